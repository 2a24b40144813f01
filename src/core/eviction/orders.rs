//! Several owners in one cache: whose keys go first. Pure, as the orders it is made of.
//!
//! There is one order for each priority, and none of a higher one gives a key while a lower one has
//! any: within a priority keys go as if they were all of one owner. An owner that has a quota has an
//! order of its own beside, over the same keys, so that what is too much of it can be taken from it
//! alone. Where nobody has a priority or a quota, all of this is the one order that it was.

use super::Eviction;
use crate::core::model::{EvictionPolicy, MountId, Priority};
use std::collections::HashMap;

/// Whose a key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Which mount it belongs to; 0 where that is not known yet.
    pub mount: MountId,
    /// How strongly its keys stay.
    pub priority: Priority,
    /// Whether it has a quota.
    pub bounded: bool,
}

/// The orders in which the keys of several owners go.
#[derive(Debug)]
pub struct Orders {
    policy: EvictionPolicy,
    /// One a priority.
    shared: [Box<dyn Eviction>; 3],
    /// Of owners with a quota: what is in a shared order too, under the same weight.
    own: HashMap<MountId, Box<dyn Eviction>>,
}

impl Orders {
    /// No keys.
    pub fn new(policy: EvictionPolicy) -> Self {
        let shared = Priority::ALL.map(|_| super::new(policy));
        Orders { policy, shared, own: HashMap::new() }
    }

    /// A key comes in. One that is there gets the weight.
    pub fn insert(&mut self, key: u64, bytes: u64, owner: Owner) {
        self.put(key, owner, |order| order.insert(key, bytes));
    }

    /// A key comes in that has proved itself before.
    pub fn keep(&mut self, key: u64, bytes: u64, owner: Owner) {
        self.put(key, owner, |order| order.keep(key, bytes));
    }

    /// It is known now whose a key is. In an order where it is already it keeps its place; into
    /// another it comes as one that has proved itself: before all others if it was here before them.
    pub fn belongs(&mut self, key: u64, bytes: u64, owner: Owner, before_others: bool) {
        self.put(key, owner, |order| match before_others {
            true => order.precede(key, bytes),
            false if order.has(key) => {}
            false => order.keep(key, bytes),
        });
    }

    /// A key that was to go and could not, comes in again where it was.
    pub fn postpone(&mut self, key: u64, bytes: u64, owner: Owner) {
        self.put(key, owner, |order| order.postpone(key, bytes));
    }

    fn put(&mut self, key: u64, owner: Owner, put: impl Fn(&mut dyn Eviction)) {
        // It may have come under another priority.
        for priority in Priority::ALL.into_iter().filter(|&priority| priority != owner.priority) {
            self.order(priority).remove(key);
        }
        put(self.order(owner.priority));
        match owner.bounded {
            true => {
                let new = || super::new(self.policy);
                put(&mut **self.own.entry(owner.mount).or_insert_with(new));
            }
            // It may have had a quota before.
            false => self.taken(key, owner.mount),
        }
    }

    fn order(&mut self, priority: Priority) -> &mut dyn Eviction {
        &mut *self.shared[priority as usize]
    }

    /// A key of that mount is asked for.
    pub fn access(&mut self, key: u64, mount: MountId) {
        self.each(mount, |order| order.access(key));
    }

    /// A key of that mount is not to be considered any more.
    pub fn remove(&mut self, key: u64, mount: MountId) {
        self.each(mount, |order| order.remove(key));
    }

    /// A key that was [taken out](Orders::evict) was of that mount.
    pub fn taken(&mut self, key: u64, mount: MountId) {
        self.own(mount, |order| order.remove(key));
    }

    fn each(&mut self, mount: MountId, call: impl Fn(&mut dyn Eviction)) {
        let shared = self.shared.iter_mut().filter(|order| !order.is_empty());
        shared.for_each(|order| call(&mut **order));
        self.own(mount, call);
    }

    fn own(&mut self, mount: MountId, call: impl Fn(&mut dyn Eviction)) {
        if !self.own.is_empty()
            && let Some(own) = self.own.get_mut(&mount)
        {
            call(&mut **own);
            if own.is_empty() {
                self.own.remove(&mount);
            }
        }
    }

    /// Takes the next key out, of none that has a priority above `most`. Whoever takes it knows whose
    /// it is, and [says so](Orders::taken).
    pub fn evict(&mut self, most: Priority) -> Option<u64> {
        let orders = self.shared.iter_mut().take(most as usize + 1);
        orders.filter_map(|order| order.evict()).map(|(key, _)| key).next()
    }

    /// Takes the next key of a mount out, if that has a quota.
    pub fn evict_of(&mut self, mount: MountId) -> Option<u64> {
        let own = self.own.get_mut(&mount)?;
        let next = own.evict().map(|(key, _)| key);
        if own.is_empty() {
            self.own.remove(&mount);
        }
        let key = next?;
        self.shared.iter_mut().for_each(|order| order.remove(key));
        Some(key)
    }

    /// Whether a mount that has a quota has any keys.
    pub fn has_of(&self, mount: MountId) -> bool {
        self.own.contains_key(&mount)
    }

    /// Whether a key may still go.
    pub fn has(&self, key: u64) -> bool {
        self.shared.iter().any(|order| order.has(key))
    }

    /// Keys in all orders.
    pub fn len(&self) -> usize {
        self.shared.iter().map(|order| order.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(mount: MountId, priority: Priority, bounded: bool) -> Owner {
        Owner { mount, priority, bounded }
    }

    fn all(orders: &mut Orders, most: Priority) -> Vec<u64> {
        std::iter::from_fn(|| orders.evict(most)).collect()
    }

    #[test]
    fn a_lower_priority_goes_first_and_a_higher_one_only_for_its_like() {
        let mut orders = Orders::new(EvictionPolicy::Lru);
        let priorities = [Priority::High, Priority::Low, Priority::Normal];
        for (key, priority) in (0..6).zip(priorities.into_iter().cycle()) {
            orders.insert(key, 10, owner(1, priority, false));
        }
        assert_eq!(all(&mut orders, Priority::Normal), [1, 4, 2, 5]);
        assert_eq!(orders.len(), 2);
        assert_eq!(all(&mut orders, Priority::High), [0, 3]);
        assert!(orders.is_empty());
    }

    #[test]
    fn an_owner_with_a_quota_gives_its_own_and_no_others() {
        let mut orders = Orders::new(EvictionPolicy::Lru);
        let (bounded, free) = (owner(1, Priority::Normal, true), owner(2, Priority::Normal, false));
        for key in 0..6 {
            orders.insert(key, 10, if key % 2 == 0 { bounded } else { free });
        }
        orders.access(0, 1);
        assert_eq!(orders.evict_of(1), Some(2));
        assert_eq!(orders.evict_of(2), None, "it has no quota");
        orders.postpone(2, 10, bounded);
        assert_eq!([orders.evict_of(1), orders.evict_of(1)].map(Option::unwrap), [4, 0]);
        assert_eq!(orders.evict_of(1), Some(2));
        assert_eq!(orders.evict_of(1), None);
        assert_eq!(all(&mut orders, Priority::Normal), [1, 3, 5]);
    }

    #[test]
    fn a_key_whose_owner_becomes_known_does_not_change_places_with_others() {
        let nobody = owner(0, Priority::Normal, false);
        for policy in [EvictionPolicy::S3Fifo, EvictionPolicy::Lru, EvictionPolicy::Lfu] {
            for priority in [Priority::Normal, Priority::High] {
                let known = owner(1, priority, true);
                let mut orders = Orders::new(policy);
                (0..3).for_each(|key| orders.keep(key, 10, nobody));
                (3..6).for_each(|key| orders.keep(key, 10, known));
                [2, 1, 0].into_iter().for_each(|key| orders.belongs(key, 10, known, true));
                orders.keep(6, 10, nobody);
                orders.belongs(6, 10, known, false);
                assert_eq!([orders.evict_of(1), orders.evict_of(1)], [Some(0), Some(1)]);
                assert!(orders.has(2) && !orders.has(1));
                assert_eq!(all(&mut orders, Priority::High), [2, 3, 4, 5, 6], "{policy:?}");
            }
        }
    }

    #[test]
    fn a_key_is_in_one_priority_whatever_it_came_under() {
        for policy in [EvictionPolicy::S3Fifo, EvictionPolicy::Lru, EvictionPolicy::Lfu] {
            let mut orders = Orders::new(policy);
            orders.insert(7, 10, owner(1, Priority::Normal, true));
            orders.keep(7, 10, owner(1, Priority::High, true));
            assert_eq!(orders.len(), 1);
            assert_eq!(orders.evict(Priority::Normal), None);
            assert!(orders.has_of(1));
            orders.keep(7, 10, owner(1, Priority::High, false));
            assert!(!orders.has_of(1) && orders.len() == 1);
            orders.remove(7, 1);
            assert!(orders.is_empty() && orders.own.is_empty());
        }
    }

    #[test]
    fn one_owner_is_served_as_by_the_policy_alone() {
        for policy in [EvictionPolicy::S3Fifo, EvictionPolicy::Lru, EvictionPolicy::Lfu] {
            let mut alone = super::super::new(policy);
            let mut orders = Orders::new(policy);
            for step in 0..2000u64 {
                let key = step * step % 137;
                if step % 3 == 0 {
                    alone.access(key);
                    orders.access(key, 5);
                } else {
                    alone.insert(key, 10);
                    orders.insert(key, 10, owner(5, Priority::Normal, false));
                }
                if step % 7 == 0 {
                    let next = alone.evict().map(|(key, _)| key);
                    assert_eq!(orders.evict(Priority::High), next);
                }
            }
            assert_eq!(orders.len(), alone.len());
        }
    }
}
