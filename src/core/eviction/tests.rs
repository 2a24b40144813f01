//! What every policy keeps to, and what tells them apart.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const POLICIES: [EvictionPolicy; 3] =
    [EvictionPolicy::S3Fifo, EvictionPolicy::Lru, EvictionPolicy::Lfu];

fn drain(order: &mut dyn Eviction) -> Vec<u64> {
    std::iter::from_fn(|| order.evict()).map(|(key, _)| key).collect()
}

#[test]
fn the_longest_unused_the_least_used_and_the_never_used_again_go_first() {
    let play = |policy| {
        let mut order = new(policy);
        (1..=4).for_each(|key| order.insert(key, 10));
        [1, 1, 2].into_iter().for_each(|key| order.access(key));
        drain(&mut *order)
    };
    assert_eq!(play(EvictionPolicy::Lru), [3, 4, 1, 2]);
    assert_eq!(play(EvictionPolicy::Lfu), [3, 4, 2, 1]);
    assert_eq!(play(EvictionPolicy::S3Fifo), [3, 4, 1, 2]);
}

#[test]
fn what_comes_back_soon_after_it_went_is_not_taken_for_a_scan() {
    let mut order = new(EvictionPolicy::S3Fifo);
    (1..=20).for_each(|key| order.insert(key, 10));
    assert_eq!(order.evict(), Some((1, 10)));
    order.insert(1, 10);
    (21..=60).for_each(|key| order.insert(key, 10));
    let went: Vec<u64> = (0..55).filter_map(|_| order.evict()).map(|(key, _)| key).collect();
    assert!(!went.contains(&1), "{went:?}");
}

#[test]
fn what_was_popular_long_ago_is_overtaken() {
    let mut order = new(EvictionPolicy::Lfu);
    order.insert(1, 1);
    (0..20).for_each(|_| order.access(1));
    for key in 100..200 {
        order.insert(key, 1);
        (0..2).for_each(|_| order.access(key));
        order.evict();
    }
    assert!(!drain(&mut *order).contains(&1));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Keep(u64, u64),
    Precede(u64, u64),
    Postpone(u64, u64),
    Access(u64),
    Resize(u64, u64),
    Remove(u64),
    Evict,
}

fn step() -> impl Strategy<Value = Step> {
    let (key, bytes) = (0..40u64, 0..100u64);
    prop_oneof![
        4 => (key.clone(), bytes.clone()).prop_map(|(key, bytes)| Step::Insert(key, bytes)),
        1 => (key.clone(), bytes.clone()).prop_map(|(key, bytes)| Step::Keep(key, bytes)),
        1 => (key.clone(), bytes.clone()).prop_map(|(key, bytes)| Step::Precede(key, bytes)),
        1 => (key.clone(), bytes.clone()).prop_map(|(key, bytes)| Step::Postpone(key, bytes)),
        4 => key.clone().prop_map(Step::Access),
        1 => (key.clone(), bytes).prop_map(|(key, bytes)| Step::Resize(key, bytes)),
        1 => key.prop_map(Step::Remove),
        2 => Just(Step::Evict),
    ]
}

proptest! {
    #[test]
    fn every_key_that_came_goes_once_with_the_weight_it_has(
        steps in prop::collection::vec(step(), 0..400)
    ) {
        for policy in POLICIES {
            let mut order = new(policy);
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            for step in &steps {
                match *step {
                    Step::Insert(key, bytes) => {
                        order.insert(key, bytes);
                        model.insert(key, bytes);
                    }
                    Step::Keep(key, bytes) => {
                        order.keep(key, bytes);
                        model.insert(key, bytes);
                    }
                    Step::Precede(key, bytes) => {
                        order.precede(key, bytes);
                        model.entry(key).or_insert(bytes);
                    }
                    Step::Postpone(key, bytes) => {
                        order.postpone(key, bytes);
                        model.entry(key).or_insert(bytes);
                    }
                    Step::Access(key) => order.access(key),
                    Step::Resize(key, bytes) => {
                        order.resize(key, bytes);
                        model.entry(key).and_modify(|kept| *kept = bytes);
                    }
                    Step::Remove(key) => {
                        order.remove(key);
                        model.remove(&key);
                    }
                    Step::Evict => match order.evict() {
                        Some((key, bytes)) => prop_assert_eq!(model.remove(&key), Some(bytes)),
                        None => prop_assert!(model.is_empty()),
                    },
                }
                prop_assert!((0..40).all(|key| order.has(key) == model.contains_key(&key)));
                prop_assert_eq!(order.len(), model.len());
                prop_assert_eq!(order.bytes(), model.values().sum::<u64>());
            }
            let mut left = drain(&mut *order);
            left.sort_unstable();
            prop_assert_eq!(left, model.into_keys().collect::<Vec<_>>());
        }
    }
}
