//! Who takes how much of the store: one account a mount, which every block of it is charged to.
//!
//! A block that is filled knows its mount from the reader. Of one that a client wrote, another worker
//! sent or the last start found, the mount is not known at first: it is charged to nobody, and the
//! master is asked. What a mount may take here, and how strongly its blocks stay, the master says. A
//! fill that would go beyond that makes room among its own mount's blocks or is refused; what lies
//! beyond it in another way, because a client wrote it or the limit came later, is trimmed in the
//! background. What is the only copy, pinned or in use counts, and stays.

use super::BlockStore;
use super::block::Block;
use super::dir::Dir;
use super::evict::{From, Next, is_in_use};
use super::table::unlist;
use crate::core::error::{Result, resource_exhausted};
use crate::core::eviction::Owner;
use crate::core::model::{BlockId, ByteSize, MountId, Priority};
use parking_lot::{Mutex, RwLock};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A quota that is none.
const NO_QUOTA: u64 = u64::MAX;
/// Times a fill tries to get what its mount's other blocks made free.
const MOST_ROUNDS: usize = 64;

/// What a mount may take of this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Which mount.
    pub mount: MountId,
    /// Its path, for people.
    pub name: String,
    /// Bytes of it that may be here; none: as many as there is room for.
    pub quota: Option<u64>,
    /// How strongly its blocks stay.
    pub priority: Priority,
}

/// What a mount has here.
#[derive(Debug)]
pub(super) struct Account {
    mount: MountId,
    used: AtomicU64,
    quota: AtomicU64,
    priority: AtomicU8,
}

impl Account {
    fn new(mount: MountId) -> Account {
        let (used, quota) = (AtomicU64::new(0), AtomicU64::new(NO_QUOTA));
        Account { mount, used, quota, priority: AtomicU8::new(Priority::default() as u8) }
    }

    pub(super) fn mount(&self) -> MountId {
        self.mount
    }

    /// As the orders want to know it.
    pub(super) fn owner(&self) -> Owner {
        let bounded = self.quota.load(Ordering::Relaxed) != NO_QUOTA;
        Owner { mount: self.mount, priority: self.priority(), bounded }
    }

    pub(super) fn priority(&self) -> Priority {
        Priority::ALL[usize::from(self.priority.load(Ordering::Relaxed)).min(2)]
    }

    /// Takes `more` bytes if that stays within the quota; says whether it did.
    pub(super) fn take(&self, more: u64) -> bool {
        let quota = self.quota.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(more).filter(|&used| used <= quota);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Takes `more` bytes whatever the quota says: for what is there already.
    pub(super) fn charge(&self, more: u64) {
        self.used.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, less: u64) {
        self.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Bytes that are too many if `more` come.
    fn excess(&self, more: u64) -> u64 {
        let wanted = self.used.load(Ordering::Relaxed).saturating_add(more);
        wanted.saturating_sub(self.quota.load(Ordering::Relaxed))
    }
}

/// All accounts, and the blocks of which nobody knows whose they are.
#[derive(Debug)]
pub(super) struct Accounts {
    all: RwLock<HashMap<MountId, Arc<Account>>>,
    /// Those with a quota.
    bounded: RwLock<Arc<[Arc<Account>]>>,
    names: RwLock<HashMap<MountId, String>>,
    unknown: Mutex<HashSet<BlockId>>,
    /// Blocks that the workers have they belong to now: the first to go of a mount that has too much.
    elsewhere: Mutex<HashSet<BlockId>>,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts {
            all: RwLock::default(),
            bounded: RwLock::new(Arc::new([])),
            names: RwLock::default(),
            unknown: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }
}

impl Accounts {
    /// The account of a mount; with 0 that of nobody.
    pub(super) fn of(&self, mount: MountId) -> Arc<Account> {
        if let Some(account) = self.all.read().get(&mount) {
            return account.clone();
        }
        self.all.write().entry(mount).or_insert_with(|| Arc::new(Account::new(mount))).clone()
    }

    /// The mounts that have more than they may.
    pub(super) fn over(&self) -> Vec<MountId> {
        let bounded = self.bounded.read();
        let over = bounded.iter().filter(|account| account.excess(0) > 0);
        over.map(|account| account.mount).collect()
    }

    pub(super) fn note_unknown(&self, id: BlockId) {
        self.unknown.lock().insert(id);
    }

    /// Says what mounts may take; returns those whose blocks go in another order now.
    fn allow(&self, allowances: &[Allowance]) -> HashSet<MountId> {
        let said: HashMap<MountId, &Allowance> =
            allowances.iter().map(|allowance| (allowance.mount, allowance)).collect();
        said.keys().for_each(|&mount| drop(self.of(mount)));
        let mut changed = HashSet::new();
        let all = self.all.read();
        for account in all.values() {
            let before = account.owner();
            let said = said.get(&account.mount);
            let quota = said.and_then(|said| said.quota).map_or(NO_QUOTA, |q| q.min(NO_QUOTA - 1));
            account.quota.store(quota, Ordering::Relaxed);
            let priority = said.map(|said| said.priority).unwrap_or_default();
            account.priority.store(priority as u8, Ordering::Relaxed);
            if account.owner() != before {
                changed.insert(account.mount);
            }
        }
        *self.bounded.write() = all.values().filter(|a| a.owner().bounded).cloned().collect();
        let name = |allowance: &Allowance| (allowance.mount, allowance.name.clone());
        *self.names.write() = allowances.iter().map(name).collect();
        changed
    }

    fn over_quota(&self, account: &Account) -> crate::core::error::Error {
        let names = self.names.read();
        let unnamed = format!("mount {}", account.mount);
        let name = names.get(&account.mount).unwrap_or(&unnamed);
        resource_exhausted(format!(
            "{name} may take {} of this worker's cache by its quota, and no more of it can go: raise \
             it with `goosefs ns setLimits --cacheQuota`",
            ByteSize(account.quota.load(Ordering::Relaxed)),
        ))
    }
}

impl BlockStore {
    /// Says what mounts may take here; what is said of no mount, it may. Goes over all blocks where
    /// their order changes.
    pub fn allow(&self, allowances: &[Allowance]) {
        let changed = self.accounts.allow(allowances);
        if !changed.is_empty() {
            let mut blocks = self.blocks();
            blocks.retain(|block| changed.contains(&block.mount()));
            // The coldest first, so that they are in that order again.
            blocks.sort_unstable_by_key(|block| block.accessed());
            blocks.iter().for_each(|block| self.list_as_owned(block, false));
        }
        if !self.accounts.over().is_empty() {
            self.untidy.notify_one();
        }
    }

    /// Bytes of each mount that are here; of mount 0 those of which nobody knows yet.
    pub fn usage_by_mount(&self) -> Vec<(MountId, u64)> {
        let all = self.accounts.all.read();
        let used = |account: &Arc<Account>| (account.mount, account.used.load(Ordering::Relaxed));
        let mut used: Vec<_> = all.values().map(used).filter(|(_, bytes)| *bytes > 0).collect();
        used.sort_unstable();
        used
    }

    /// Some blocks, `most` at the most, of which it is not known whose they are. They are not told of
    /// again: those that stay unknown have to be [put back](BlockStore::still_unknown).
    pub fn unknown(&self, most: usize) -> Vec<BlockId> {
        let mut unknown = self.accounts.unknown.lock();
        let some: Vec<BlockId> = unknown.iter().take(most).copied().collect();
        for id in &some {
            unknown.remove(id);
        }
        if unknown.is_empty() {
            unknown.shrink_to_fit();
        }
        some
    }

    /// Notes that it is not known whose these blocks are.
    pub fn still_unknown(&self, ids: impl IntoIterator<Item = BlockId>) {
        self.accounts.unknown.lock().extend(ids);
    }

    /// Says whose blocks are.
    pub fn learn_owners(&self, owners: impl Iterator<Item = (BlockId, MountId)>) {
        let there = |(id, mount)| Some((self.peek(id)?, mount));
        let mut owned: Vec<(Arc<Block>, MountId)> = owners.filter_map(there).collect();
        // What is from before is put before all others, one by one: the one that goes first comes last.
        owned.sort_by_cached_key(|(block, _)| match self.is_from_before(block) {
            true => (true, u64::MAX - block.accessed()),
            false => (false, block.accessed()),
        });
        owned.iter().for_each(|(block, mount)| self.belongs_to(block, *mount));
    }

    /// Whether nobody has asked for a block since the start.
    fn is_from_before(&self, block: &Block) -> bool {
        block.accessed() < self.started
    }

    /// Says whose a block is.
    pub(super) fn belongs_to(&self, block: &Arc<Block>, mount: MountId) {
        let account = self.accounts.of(mount);
        if block.mount() == mount || !block.charge(&account) {
            return;
        }
        self.list_as_owned(block, self.is_from_before(block));
        if account.excess(0) > 0 {
            self.untidy.notify_one();
        }
    }

    /// Whether a block of `length` bytes of that mount may come: where it could not stay there is no
    /// use in fetching its pages twice, to keep and to pass on.
    ///
    /// # Errors
    /// `ResourceExhausted` when it is more than the mount's quota, or more than is left of that with
    /// nothing of the mount that may go.
    pub(super) fn check_quota(&self, account: &Account, length: u64) -> Result<()> {
        let may_go = || self.serving().any(|dir| dir.order.lock().has_of(account.mount));
        let never = length > account.quota.load(Ordering::Relaxed);
        match never || (account.excess(length) > 0 && !may_go()) {
            true => Err(self.accounts.over_quota(account)),
            false => Ok(()),
        }
    }

    /// Has a block that is being filled grow by `more` bytes, in `dir`: within its mount's quota at
    /// the cost of its mount's own blocks, then as there is room. Says whether there was.
    ///
    /// # Errors
    /// `ResourceExhausted` when nothing of its mount may go for it.
    pub(super) fn make_room_for(
        &self,
        block: &Arc<Block>,
        dir: &Arc<Dir>,
        more: u64,
    ) -> Result<bool> {
        let Some(account) = block.account() else {
            // It has been removed: growing says so.
            return block.grow(more, 0).map(|grown| grown == Some(true));
        };
        let over = Cell::new(false);
        let mut rounds = MOST_ROUNDS;
        loop {
            let grow = |limit| {
                let grown = block.grow(more, limit)?;
                over.set(grown.is_none());
                grown.ok_or_else(|| self.accounts.over_quota(&account))
            };
            let asked =
                super::evict::Asked { more, except: Some(block.id()), most: account.priority() };
            let grown = self.make_room(dir, asked, grow);
            if !over.get() || rounds == 0 {
                return grown;
            }
            rounds -= 1;
            let excess = account.excess(more);
            if excess > 0 && self.evict_of(&account, excess, Some(dir), Some(block.id())) == 0 {
                return grown;
            }
        }
    }

    /// Notes that a block is at the worker that it belongs to as well.
    pub fn is_elsewhere(&self, id: BlockId) {
        self.accounts.elsewhere.lock().insert(id);
    }

    /// Forgets what is elsewhere: blocks are about to belong to others.
    pub fn forget_elsewhere(&self) {
        *self.accounts.elsewhere.lock() = HashSet::new();
    }

    /// Drops blocks of mounts that have more than they may: what is elsewhere before what is not.
    pub(super) fn trim(&self) {
        for mount in self.accounts.over() {
            let account = self.accounts.of(mount);
            self.drop_elsewhere(&account);
            self.evict_of(&account, account.excess(0), None, None);
        }
    }

    fn drop_elsewhere(&self, account: &Account) {
        let noted: Vec<BlockId> = self.accounts.elsewhere.lock().iter().copied().collect();
        for id in noted {
            if account.excess(0) == 0 {
                return;
            }
            let Some(block) = self.peek(id) else {
                self.accounts.elsewhere.lock().remove(&id);
                continue;
            };
            let stays = block.is_unpersisted() || self.pins.read().contains(id.file());
            if block.mount() == account.mount && !stays && !is_in_use(&block) {
                self.accounts.elsewhere.lock().remove(&id);
                unlist(&block);
                self.drop_victim(&block);
            }
        }
    }

    /// Drops blocks of one mount until `bytes` came free, those in `first` before others, or nothing
    /// more of it may go; returns how many did.
    fn evict_of(
        &self,
        account: &Account,
        bytes: u64,
        first: Option<&Arc<Dir>>,
        except: Option<BlockId>,
    ) -> u64 {
        let is_other = |dir: &&Arc<Dir>| first.is_none_or(|first| !Arc::ptr_eq(first, dir));
        let mut freed = 0;
        for dir in first.into_iter().chain(self.serving().filter(is_other)) {
            let _one_at_a_time = dir.evicting.lock();
            let most = dir.order.lock().len();
            for _ in 0..most {
                if freed >= bytes {
                    return freed;
                }
                match self.next_victim(dir, except, From::Mount(account.mount)) {
                    Next::Victim(block) => freed += self.drop_victim(&block),
                    Next::Passed => {}
                    Next::Empty => break,
                }
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests;
