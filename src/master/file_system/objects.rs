//! Objects of under stores that a worker is writing because the master told it to: nobody else writes
//! them meanwhile, so that what comes last in the tree comes last there.

use super::questions::{Question, Questions, name_in};
use crate::core::error::{Error, Result, unavailable};
use crate::core::model::FsPath;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for a worker that is to give an object up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// The objects that are being written, or looked at to be named in the tree. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<HashSet<String>>>, Questions);

/// An object that is held, until this is dropped.
#[derive(Debug)]
pub struct Held {
    objects: Objects,
    object: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.objects.release(&self.object);
    }
}

impl Objects {
    /// Holds an object until [`Objects::release`]; false where somebody does.
    pub fn begin(&self, object: &str) -> bool {
        self.0.lock().insert(object.to_string())
    }

    /// Whoever held it is through, or gone.
    pub fn release(&self, object: &str) {
        self.1.released(object);
        self.0.lock().remove(object);
    }

    /// Whether somebody writes it, or one below it.
    pub fn is_held(&self, object: &str) -> bool {
        let below = |held: &String| held.strip_prefix(object).is_some_and(|b| b.starts_with('/'));
        let held = self.0.lock();
        held.contains(object) || held.iter().any(below)
    }

    /// The names in a directory, an address that ends in a slash, of what somebody writes there or below.
    pub(super) fn held_in(&self, directory: &str) -> HashSet<String> {
        let held = self.0.lock();
        held.iter().filter_map(|at| name_in(directory, at)).map(str::to_string).collect()
    }

    /// An under store is about to be asked what it has.
    pub(in crate::master) fn question(&self) -> Question {
        self.1.ask()
    }

    /// Waits until nobody writes `object`, which is to be at `path`, or one below it.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub async fn free(&self, object: &str, path: &FsPath) -> Result<()> {
        let free = async {
            while self.is_held(object) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, free).await.map_err(|_| late(path))
    }

    /// Holds `object`, which is to be at `path`, as soon as nobody does: no worker is asked to write it
    /// meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub async fn hold(&self, object: String, path: &FsPath) -> Result<Held> {
        let begun = async {
            while !self.begin(&object) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, begun).await.map_err(|_| late(path))?;
        Ok(Held { objects: self.clone(), object })
    }
}

fn late(path: &FsPath) -> Error {
    let text = "is still being written to the under store: try again later";
    unavailable(format!("what was at {path} before {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_after_waits_until_it_is_released_and_not_for_ever() {
        let objects = Objects::default();
        let path = FsPath::parse("/a").unwrap();
        assert!(objects.begin("s3://b/a/x") && !objects.begin("s3://b/a/x"));
        assert!(objects.is_held("s3://b/a/x") && objects.is_held("s3://b/a"));
        assert!(!objects.is_held("s3://b/a/") && !objects.is_held("s3://b/a/xy"));
        objects.free("s3://b/other", &path).await.unwrap();
        let error = objects.free("s3://b/a", &path).await.unwrap_err();
        assert!(error.to_string().contains("try again later"), "{error}");
        let (waiting, at) = (objects.clone(), path.clone());
        let waits = tokio::spawn(async move { waiting.free("s3://b/a", &at).await });
        tokio::time::sleep(LOOK * 3).await;
        assert!(!waits.is_finished());
        objects.release("s3://b/a/x");
        waits.await.unwrap().unwrap();
    }
}
