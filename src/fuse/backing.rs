//! Files that the kernel reads by itself.
//!
//! A block's file that a worker on this host lends is registered with the kernel as the backing of an
//! inode; the kernel then serves reads of it with no process in the path. It insists that all
//! handles of an inode that are open at a time have the same backing, or that all have none, and
//! fails an open that differs. So which of the two an inode is, is decided once, by its first open
//! handle, and stands until its last is released.
//!
//! An inode outlives versions of its file, and a backing has the bytes of one: whoever opens another is
//! refused it.

use crate::core::model::FileId;
use fuser::BackingId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an inode that somebody wants to write is read through us.
const UNBACKED: Duration = Duration::from_secs(1);

/// How the open handles of each inode are read.
#[derive(Debug, Default)]
pub struct Backings {
    modes: Mutex<HashMap<u64, Mode>>,
    /// Inodes that are not to be backed until then.
    unbacked: Mutex<HashMap<u64, Instant>>,
}

/// What has the bytes that an inode is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The block of that version.
    Version(FileId),
    /// What is staged, by where that is in memory: its handles keep it there.
    Staged(usize),
    /// Nothing that the kernel knows.
    Nothing,
}

#[derive(Debug)]
struct Mode {
    /// The kernel's name for the file; none where reads come to us.
    backing: Option<Arc<BackingId>>,
    /// What that has.
    of: Of,
    /// Handles that are open.
    open: u64,
}

impl Mode {
    fn join(&mut self, of: Of) -> Result<Option<Arc<BackingId>>, Other> {
        if self.backing.is_some() && self.of != of {
            return Err(Other);
        }
        self.open += 1;
        Ok(self.backing.clone())
    }
}

/// Handles that are open are backed by something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Other;

impl Backings {
    /// Joins the handles that are open on `ino`, if there are any: their backing, or that they have
    /// none.
    ///
    /// # Errors
    /// [`Other`] where they have one that is not `of` that.
    pub fn join(&self, ino: u64, of: Of) -> Result<Option<Option<Arc<BackingId>>>, Other> {
        let mut modes = self.modes.lock();
        modes.get_mut(&ino).map(|mode| mode.join(of)).transpose()
    }

    /// Opens `ino` with `made` as its backing, unless other handles were faster: then as those are.
    ///
    /// # Errors
    /// As [`Backings::join`].
    pub fn open(
        &self,
        ino: u64,
        of: Of,
        made: Option<BackingId>,
    ) -> Result<Option<Arc<BackingId>>, Other> {
        let made = made.map(Arc::new);
        let mut modes = self.modes.lock();
        let mode = modes.entry(ino).or_insert_with(|| Mode { backing: made.clone(), of, open: 0 });
        let backing = mode.join(of);
        // One that lost is given back to the kernel, which takes a call that others need not await.
        drop(modes);
        drop(made);
        backing
    }

    /// Somebody wants to write `ino`: for a moment, nobody opens it with a backing.
    pub fn hold_off(&self, ino: u64) {
        let now = Instant::now();
        let mut unbacked = self.unbacked.lock();
        unbacked.retain(|_, until| *until > now);
        unbacked.insert(ino, now + UNBACKED);
    }

    /// Whether that is so.
    pub fn is_held_off(&self, ino: u64) -> bool {
        let unbacked = self.unbacked.lock();
        !unbacked.is_empty() && unbacked.get(&ino).is_some_and(|until| *until > Instant::now())
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

    /// Whether the kernel reads `ino` by itself, and not from that.
    pub fn is_backed_by_other(&self, ino: u64, of: Of) -> bool {
        self.modes.lock().get(&ino).is_some_and(|mode| mode.backing.is_some() && mode.of != of)
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
        let of = Of::Nothing;
        assert!(backings.join(5, of).unwrap().is_none());
        assert!(backings.open(5, of, None).unwrap().is_none());
        assert!(matches!(backings.join(5, Of::Version(FileId(7))), Ok(Some(None))));
        assert!(backings.open(5, of, None).unwrap().is_none());
        for _ in 0..3 {
            backings.release(5);
        }
        assert!(backings.join(5, of).unwrap().is_none(), "the last handle is gone");
        backings.release(5);
    }
}
