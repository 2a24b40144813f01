//! Operations on their way, by the inode that the kernel holds for them.
//!
//! While we owe the kernel an answer about a name in a directory it holds the directory's lock, and while we
//! owe it bytes it holds the pages. To be told that those are stale it waits for the same, and so do we
//! with it, and nothing ends that wait but our answer: who is killed then never ends, and keeps its
//! mount and all that is staged to itself. So nothing is told of an inode as long as somebody waits
//! there for us.
//!
//! Short operations may follow each other without a gap. They end by themselves, so after
//! [`PATIENCE`] only those count that have lasted longer.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How soon it is looked again.
pub const LOOK: Duration = Duration::from_millis(10);
/// How long the kernel is not told in any case while something is on its way.
const PATIENCE: Duration = Duration::from_millis(100);

/// Inodes that an operation holds; 0 for none.
pub type Places = [u64; 4];

/// All operations on their way that are answered later.
#[derive(Debug, Default)]
pub struct Underway {
    last: AtomicU64,
    /// Of each inode, in the order they began.
    begun: Mutex<HashMap<u64, Vec<(u64, Instant)>>>,
}

impl Underway {
    /// An operation that holds `places` has begun; it ends when the answer is dropped.
    pub fn begin(self: &Arc<Self>, places: Places) -> Operation {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        if places != Places::default() {
            let mut begun = self.begun.lock();
            let now = Instant::now();
            for place in places.into_iter().filter(|&place| place != 0) {
                begun.entry(place).or_default().push((number, now));
            }
        }
        Operation { underway: self.clone(), places, number }
    }

    /// Whether the kernel may be told of `ino`, of which it was to be told at `since`.
    pub fn is_clear(&self, ino: u64, since: Instant) -> bool {
        match self.begun.lock().get(&ino).and_then(|operations| operations.first()) {
            None => true,
            Some((_, oldest)) => *oldest > since && since.elapsed() >= PATIENCE,
        }
    }

    /// Waits until that is so.
    pub async fn clear(&self, ino: u64) {
        let since = Instant::now();
        while !self.is_clear(ino, since) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// An operation on its way.
#[derive(Debug)]
pub struct Operation {
    underway: Arc<Underway>,
    places: Places,
    number: u64,
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.places == Places::default() {
            return;
        }
        let mut begun = self.underway.begun.lock();
        for place in self.places.into_iter().filter(|&place| place != 0) {
            let Some(operations) = begun.get_mut(&place) else { continue };
            operations.retain(|(number, _)| *number != self.number);
            if operations.is_empty() {
                begun.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_is_clear_when_nobody_waits_there_or_all_have_begun_lately() {
        let underway = Arc::new(Underway::default());
        let since = Instant::now();
        assert!(underway.is_clear(5, since));
        let long = underway.begin([5, 6, 5, 0]);
        assert!(!underway.is_clear(5, Instant::now()) && !underway.is_clear(6, Instant::now()));
        assert!(underway.is_clear(7, since));
        let told = Instant::now();
        std::thread::sleep(PATIENCE);
        let short = underway.begin([5, 0, 0, 0]);
        assert!(!underway.is_clear(5, told), "one has lasted since before");
        drop(long);
        assert!(underway.is_clear(5, told) && underway.is_clear(6, told));
        assert!(!underway.is_clear(5, Instant::now()), "it has just begun to wait");
        drop(short);
        assert!(underway.begun.lock().is_empty());
    }
}
