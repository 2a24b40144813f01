//! Locks on paths, for operations of several steps.
//!
//! A change of the tree alone needs no lock: the journal orders entries and the state checks each
//! one as it applies it. What also changes the under store (deleting or renaming what is persisted)
//! takes a while between its first and its last step; it holds its paths, with all below them, and
//! whoever wants to change something there waits.

use crate::core::error::{Result, unavailable};
use crate::core::model::FsPath;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a caller waits for paths that others hold.
const PATIENCE: Duration = Duration::from_secs(60);

/// The paths that are held. Clones share them.
#[derive(Clone, Debug)]
pub struct Locks {
    inner: Arc<Inner>,
    patience: Duration,
}

impl Default for Locks {
    fn default() -> Self {
        Locks { inner: Arc::default(), patience: PATIENCE }
    }
}

#[derive(Debug, Default)]
struct Inner {
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    shared: HashMap<u64, FsPath>,
    listings: HashMap<u64, FsPath>,
    exclusive: HashMap<u64, Vec<FsPath>>,
}

/// Holds paths until it is dropped.
#[derive(Debug)]
pub struct Guard {
    id: u64,
    inner: Arc<Inner>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut held = self.inner.held.lock();
        held.shared.remove(&self.id);
        held.listings.remove(&self.id);
        held.exclusive.remove(&self.id);
        drop(held);
        self.inner.released.notify_waiters();
    }
}

impl Locks {
    /// Holds `path` together with others who change one thing there.
    ///
    /// # Errors
    /// `Unavailable` when an operation above, at or below it takes too long.
    pub async fn shared(&self, path: &FsPath) -> Result<Guard> {
        self.acquire(std::slice::from_ref(path), |held, id| held.share(id, path)).await
    }

    /// Holds which children the directory `path` has, while they are listed underneath.
    ///
    /// # Errors
    /// As [`Locks::shared`].
    pub async fn listing(&self, path: &FsPath) -> Result<Guard> {
        self.acquire(std::slice::from_ref(path), |held, id| held.list(id, path)).await
    }

    /// Holds `paths` and all below them alone.
    ///
    /// # Errors
    /// As [`Locks::shared`].
    pub async fn exclusive(&self, paths: &[FsPath]) -> Result<Guard> {
        self.acquire(paths, |held, id| held.own(id, paths)).await
    }

    async fn acquire(
        &self,
        paths: &[FsPath],
        mut attempt: impl FnMut(&mut Held, u64) -> bool,
    ) -> Result<Guard> {
        let deadline = tokio::time::Instant::now() + self.patience;
        loop {
            // Before looking, so that a release in between is not missed.
            let released = self.inner.released.notified();
            {
                let mut held = self.inner.held.lock();
                held.next += 1;
                let id = held.next;
                if attempt(&mut held, id) {
                    return Ok(Guard { id, inner: self.inner.clone() });
                }
            }
            if tokio::time::timeout_at(deadline, released).await.is_err() {
                let path = paths.first().map(FsPath::as_str).unwrap_or_default();
                return Err(unavailable(format!(
                    "{path} is being deleted or renamed in the under store, and that takes long: try again"
                )));
            }
        }
    }
}

impl Held {
    fn share(&mut self, id: u64, path: &FsPath) -> bool {
        let free = !self.exclusive.values().flatten().any(|owned| related(owned, path));
        if free {
            self.shared.insert(id, path.clone());
        }
        free
    }

    fn list(&mut self, id: u64, path: &FsPath) -> bool {
        let mut owned = self.exclusive.values().flatten();
        let free = !owned.any(|owned| moves_children(owned, path));
        if free {
            self.listings.insert(id, path.clone());
        }
        free
    }

    fn own(&mut self, id: u64, paths: &[FsPath]) -> bool {
        let mut others = self.shared.values().chain(self.exclusive.values().flatten());
        let mut listed = self.listings.values();
        let free = !others.any(|other| paths.iter().any(|path| related(path, other)))
            && !listed.any(|listed| paths.iter().any(|path| moves_children(path, listed)));
        if free {
            self.exclusive.insert(id, paths.to_vec());
        }
        free
    }
}

/// Whether an operation on `path` changes which children `directory` has.
fn moves_children(path: &FsPath, directory: &FsPath) -> bool {
    directory.starts_with(path) || path.parent().as_ref() == Some(directory)
}

/// Whether one path is the other or above it.
fn related(a: &FsPath, b: &FsPath) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FsPath {
        FsPath::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_held_subtree_keeps_others_out_until_it_is_released() {
        let locks = Locks::default();
        let _elsewhere = locks.shared(&path("/b/x")).await.unwrap();
        let tree = locks.exclusive(&[path("/a"), path("/c")]).await.unwrap();
        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.shared(&path("/a/b/c")).await.map(drop) })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(locks.exclusive(&[path("/b/y")]).await.unwrap());
        drop(tree);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_listing_holds_the_children_but_not_what_is_deeper() {
        let locks = Locks { patience: Duration::from_millis(5), ..Default::default() };
        let _listing = locks.listing(&path("/a")).await.unwrap();
        drop(locks.shared(&path("/a/b")).await.unwrap());
        drop(locks.exclusive(&[path("/a/b/c")]).await.unwrap());
        assert!(locks.exclusive(&[path("/a/b")]).await.is_err());
        assert!(locks.exclusive(&[path("/a")]).await.is_err());
    }

    #[tokio::test]
    async fn waiting_has_an_end() {
        let locks = Locks { patience: Duration::from_millis(5), ..Default::default() };
        let _held = locks.shared(&path("/a/b")).await.unwrap();
        let _other = locks.shared(&path("/a/b")).await.unwrap();
        assert!(locks.exclusive(&[path("/a")]).await.is_err());
    }
}
