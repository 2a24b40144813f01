//! Shares of a directory's quota.

use super::account::Account;
use super::dir::Dir;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of a directory's quota that somebody has; given back when dropped.
#[derive(Debug)]
pub struct Space {
    dir: Arc<Dir>,
    bytes: u64,
    /// Bytes it will be asked to grow by: others are not sent to the same directory for them.
    promised: u64,
    /// Who has the bytes; nobody while they may still come to nothing.
    account: Option<Arc<Account>>,
}

impl Space {
    /// None yet.
    pub fn none(dir: &Arc<Dir>) -> Space {
        Space { dir: dir.clone(), bytes: 0, promised: 0, account: None }
    }

    /// The same within the quota of whose bytes these are; none where that keeps it from growing.
    pub fn grow_within_quota(&mut self, more: u64, limit: u64) -> Option<bool> {
        let Some(account) = self.account.clone() else { return Some(self.grow(more, limit)) };
        if !account.take(more) {
            return None;
        }
        let grown = self.grow_uncharged(more, limit);
        if !grown {
            account.give_back(more);
        }
        Some(grown)
    }

    /// Charges the bytes to somebody, in place of who had them.
    pub fn charge(&mut self, account: &Arc<Account>) {
        account.charge(self.bytes);
        if let Some(before) = self.account.replace(account.clone()) {
            before.give_back(self.bytes);
        }
    }

    /// Takes `more` bytes as long as the directory stays below `limit`; says whether it did.
    pub fn grow(&mut self, more: u64, limit: u64) -> bool {
        let grown = self.grow_uncharged(more, limit);
        if grown {
            self.account.iter().for_each(|account| account.charge(more));
        }
        grown
    }

    fn grow_uncharged(&mut self, more: u64, limit: u64) -> bool {
        let fits = |used: u64| used.checked_add(more).filter(|&used| used <= limit);
        let grown = self.dir.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += more;
            self.promise(self.promised.saturating_sub(more));
        }
        grown
    }

    /// Gives `less` bytes back.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.dir.used.fetch_sub(less, Ordering::Relaxed);
        self.account.iter().for_each(|account| account.give_back(less));
        self.bytes -= less;
    }

    /// Says that it will grow by so many bytes from now on.
    pub fn promise(&mut self, bytes: u64) {
        self.dir.promised.fetch_add(bytes, Ordering::Relaxed);
        self.dir.promised.fetch_sub(self.promised, Ordering::Relaxed);
        self.promised = bytes;
    }

    /// Takes `bytes` whatever the quota says: for blocks that are there already.
    pub fn of(dir: &Arc<Dir>, bytes: u64) -> Space {
        dir.used.fetch_add(bytes, Ordering::Relaxed);
        Space { dir: dir.clone(), bytes, promised: 0, account: None }
    }

    /// Who has them.
    pub fn account(&self) -> Option<&Arc<Account>> {
        self.account.as_ref()
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.promise(0);
        self.account.iter().for_each(|account| account.give_back(self.bytes));
        self.dir.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
