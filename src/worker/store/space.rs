//! Shares of a directory's quota.

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
}

impl Space {
    /// None yet.
    pub fn none(dir: &Arc<Dir>) -> Space {
        Space { dir: dir.clone(), bytes: 0, promised: 0 }
    }

    /// Takes `more` bytes as long as the directory stays below `limit`; says whether it did.
    pub fn grow(&mut self, more: u64, limit: u64) -> bool {
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
        Space { dir: dir.clone(), bytes, promised: 0 }
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.promise(0);
        self.dir.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
