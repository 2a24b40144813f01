//! Listing directories before they are asked for.
//!
//! Whoever walks a tree lists one directory after the other, in the order in which their parent lists
//! them, and waits for the master each time. So once a second directory of the same parent is
//! listed, the next ones after it are fetched meanwhile. How far ahead is bounded, what comes early
//! is kept like any listing, under the same limit, and each is fetched once: one that failed, or was
//! out of date when it came, is fetched again by whoever needs it.

use super::Posix;
use crate::core::runtime::Group;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Directories that are fetched before they are asked for.
const AHEAD: usize = 8;
/// Of these, how many at a time: enough to keep the master busy while the kernel digests.
const AT_A_TIME: usize = 3;

/// Parents whose directories may be walked at a time: as deep as trees usually are.
const PARENTS: usize = 16;

/// What is on its way, and what was asked for last.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// The latest first.
    last: Mutex<Vec<Walk>>,
    /// Held while the directory is fetched.
    coming: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// One walk through the directories of a parent.
#[derive(Debug)]
struct Walk {
    parent: u64,
    /// The directory that was listed last.
    asked: u64,
    /// Directories that were fetched and have not been asked for since, the latest last.
    fetched: VecDeque<u64>,
}

impl Walks {
    /// Whether listing `ino`, in `parent`, looks like a step of a walk. Listing the same one again
    /// does not: large directories are read in several calls.
    fn is_step(&self, parent: u64, ino: u64) -> bool {
        let mut last = self.last.lock();
        let before = last.iter().position(|walk| walk.parent == parent).map(|at| last.remove(at));
        let step = before.as_ref().is_some_and(|walk| walk.asked != ino);
        let mut fetched = before.map(|walk| walk.fetched).unwrap_or_default();
        fetched.retain(|&other| other != ino);
        last.insert(0, Walk { parent, asked: ino, fetched });
        last.truncate(PARENTS);
        step
    }

    /// The directory in `parent` that was listed last.
    fn last_in(&self, parent: u64) -> Option<u64> {
        self.last.lock().iter().find(|walk| walk.parent == parent).map(|walk| walk.asked)
    }

    /// Begins to fetch `ino`, in `parent`; none if that was begun before, or enough others are on
    /// their way.
    fn begin(&self, parent: u64, ino: u64) -> Option<OwnedMutexGuard<()>> {
        let mut coming = self.coming.lock();
        if coming.len() >= AT_A_TIME || coming.contains_key(&ino) || !self.is_new(parent, ino) {
            return None;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        let guard = lock.clone().try_lock_owned().ok()?;
        coming.insert(ino, lock);
        Some(guard)
    }

    /// Whether the walk in `parent` has not had `ino` fetched; it counts as fetched from now on.
    fn is_new(&self, parent: u64, ino: u64) -> bool {
        let mut last = self.last.lock();
        let Some(walk) = last.iter_mut().find(|walk| walk.parent == parent) else { return false };
        if walk.fetched.contains(&ino) {
            return false;
        }
        walk.fetched.push_back(ino);
        if walk.fetched.len() > 2 * AHEAD {
            walk.fetched.pop_front();
        }
        true
    }

    fn end(&self, ino: u64) {
        self.coming.lock().remove(&ino);
    }

    /// Ends when `ino` is not being fetched, or no longer.
    pub async fn arrival(&self, ino: u64) {
        let coming = self.coming.lock().get(&ino).cloned();
        if let Some(coming) = coming {
            drop(coming.lock().await);
        }
    }
}

impl Posix {
    /// The directory `ino` is being listed, from its start: if that looks like a walk, fetches those
    /// after it.
    pub fn look_ahead(self: &Arc<Self>, ino: u64, group: &Group) {
        let parent = self.inodes.parent(ino);
        if self.walks.is_step(parent, ino) {
            self.fetch_next(parent, ino, group);
        }
    }

    /// Fetches one of the directories after `ino` in `parent`, and then the next.
    fn fetch_next(self: &Arc<Self>, parent: u64, ino: u64, group: &Group) {
        for next in self.inodes.unlisted_after(parent, ino, AHEAD) {
            let Some(guard) = self.walks.begin(parent, next) else { continue };
            let (posix, own) = (self.clone(), group.clone());
            group.spawn_until_stop("list ahead", async move {
                if let Err(errno) = posix.fetch_listing(next).await {
                    tracing::debug!(?errno, ino = next, "listing ahead");
                }
                posix.walks.end(next);
                drop(guard);
                // The one that was asked for last says how far this may go.
                if let Some(asked) = posix.walks.last_in(parent) {
                    posix.fetch_next(parent, asked, &own);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_directory_of_a_parent_makes_a_walk_and_the_same_one_does_not() {
        let walks = Walks::default();
        assert!(!walks.is_step(1, 10));
        assert!(!walks.is_step(1, 10), "read in several calls");
        assert!(!walks.is_step(10, 20), "its own first directory");
        assert!(walks.is_step(10, 21));
        assert!(walks.is_step(1, 11), "back in the parent");
        assert_eq!(walks.last_in(1), Some(11));
    }

    #[tokio::test]
    async fn whoever_asks_for_what_is_coming_waits_for_it() {
        let walks = Arc::new(Walks::default());
        walks.is_step(1, 6);
        let guard = walks.begin(1, 7).expect("nothing is coming yet");
        assert!(walks.begin(1, 7).is_none(), "once is enough");
        let (one, other) = (walks.begin(1, 8), walks.begin(1, 9));
        assert!(
            walks.begin(1, 10).is_none() && one.is_some() && other.is_some(),
            "three at a time"
        );
        let waiting = walks.clone();
        let asked = tokio::spawn(async move { waiting.arrival(7).await });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        walks.end(7);
        drop(guard);
        asked.await.unwrap();
        walks.arrival(7).await;
    }

    #[test]
    fn a_directory_that_cannot_be_listed_is_fetched_once_until_it_is_asked_for() {
        let walks = Walks::default();
        walks.is_step(1, 10);
        walks.is_step(1, 11);
        assert!(walks.begin(1, 12).is_some());
        walks.end(12);
        assert!(walks.begin(1, 12).is_none(), "it failed and would again");
        walks.is_step(1, 12);
        walks.is_step(1, 10);
        assert!(walks.begin(1, 12).is_some(), "another walk");
    }
}
