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
pub struct Backings(Mutex<HashMap<u64, Mode>>);

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
        let mut modes = self.0.lock();
        let mode = modes.get_mut(&ino)?;
        mode.open += 1;
        Some(mode.backing.clone())
    }

    /// Opens `ino`, with the backing that `register` makes unless other handles were faster. That
    /// it makes none is an answer too.
    pub fn open(
        &self,
        ino: u64,
        register: impl FnOnce() -> Option<BackingId>,
    ) -> Option<Arc<BackingId>> {
        let mut modes = self.0.lock();
        let mode =
            modes.entry(ino).or_insert_with(|| Mode { backing: register().map(Arc::new), open: 0 });
        mode.open += 1;
        mode.backing.clone()
    }

    /// One handle of `ino` is released. The last one takes the backing with it.
    pub fn release(&self, ino: u64) {
        let mut modes = self.0.lock();
        let Some(mode) = modes.get_mut(&ino) else { return };
        mode.open -= 1;
        if mode.open == 0 {
            modes.remove(&ino);
        }
    }

    /// Whether the kernel reads `ino` by itself now.
    pub fn is_passthrough(&self, ino: u64) -> bool {
        self.0.lock().get(&ino).is_some_and(|mode| mode.backing.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_open_handle_decides_for_all() {
        let backings = Backings::default();
        assert!(backings.join(5).is_none());
        assert!(backings.open(5, || None).is_none());
        assert!(matches!(backings.join(5), Some(None)));
        assert!(backings.open(5, || unreachable!("it was decided")).is_none());
        for _ in 0..3 {
            backings.release(5);
        }
        assert!(backings.join(5).is_none(), "the last handle is gone");
        backings.release(5);
    }
}
