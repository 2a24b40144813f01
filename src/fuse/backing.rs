//! Files that the kernel reads by itself.
//!
//! A block's file that a worker on this host lends is registered with the kernel as the backing of an
//! inode; the kernel then serves reads of it with no process in the path. It insists that all
//! handles of an inode that are open at a time have the same backing, or that all have none, and
//! fails an open that differs. So which of the two an inode is, is decided once, by its first open
//! handle, and stands until its last is released.

use fuser::BackingId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// How the open handles of each inode are read.
#[derive(Debug, Default)]
pub struct Backings {
    modes: Mutex<HashMap<u64, Mode>>,
}

#[derive(Debug)]
struct Mode {
    /// The kernel's name for the block's file; none where reads come to us.
    backing: Option<Arc<BackingId>>,
    /// Handles that are open.
    open: u64,
}

impl Backings {
    /// Joins the handles that are open on `ino`, if there are any: their backing, or that they have
    /// none.
    pub fn join(&self, ino: u64) -> Option<Option<Arc<BackingId>>> {
        let mut modes = self.modes.lock();
        let mode = modes.get_mut(&ino)?;
        mode.open += 1;
        Some(mode.backing.clone())
    }

    /// Opens `ino` with `made` as its backing, unless other handles were faster: then as those are.
    pub fn open(&self, ino: u64, made: Option<BackingId>) -> Option<Arc<BackingId>> {
        let made = made.map(Arc::new);
        let mut modes = self.modes.lock();
        let mode = modes.entry(ino).or_insert_with(|| Mode { backing: made.clone(), open: 0 });
        mode.open += 1;
        let backing = mode.backing.clone();
        // One that lost is given back to the kernel, which takes a call that others need not await.
        drop(modes);
        drop(made);
        backing
    }

    /// One handle of `ino` is released. The last one takes the backing with it.
    pub fn release(&self, ino: u64) {
        let mut modes = self.modes.lock();
        let Some(mode) = modes.get_mut(&ino) else { return };
        mode.open -= 1;
        let last = if mode.open == 0 { modes.remove(&ino) } else { None };
        // Giving a backing back takes a call to the kernel that others need not await.
        drop(modes);
        drop(last);
    }

    /// Whether the kernel reads `ino` by itself.
    pub fn is_backed(&self, ino: u64) -> bool {
        self.modes.lock().get(&ino).is_some_and(|mode| mode.backing.is_some())
    }

    /// How many handles of `ino` are open.
    pub fn count(&self, ino: u64) -> u64 {
        self.modes.lock().get(&ino).map_or(0, |mode| mode.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_handle_decides_for_all() {
        let backings = Backings::default();
        assert!(backings.join(5).is_none());
        assert!(backings.open(5, None).is_none());
        assert!(matches!(backings.join(5), Some(None)));
        assert!(backings.open(5, None).is_none());
        for _ in 0..3 {
            backings.release(5);
        }
        assert!(backings.join(5).is_none(), "the last handle is gone");
        backings.release(5);
    }
}
