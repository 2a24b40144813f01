//! Objects of under stores that somebody is writing: a worker that the master told to, or a client that
//! is about to complete a next version. Nobody else writes them meanwhile, so that what comes last in the
//! tree comes last there.

use super::questions::{Question, Questions, name_in};
use crate::core::error::{Error, Result, unavailable};
use crate::core::model::{FileId, FsPath};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a writer waits for a worker that is to give an object up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// How long a client that does not come to complete its file keeps the object: what it sent may come to
/// be there for as long, whatever became of the client.
const CLOSING: Duration = Duration::from_secs(300);

/// The objects that are being written, or looked at to be named in the tree. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<HashMap<String, By>>>, Questions);

/// Who holds an object.
#[derive(Clone, Copy, Debug)]
enum By {
    /// A worker that persists, or a call of ours.
    Us,
    /// The client that writes that next version, until then.
    Writer(FileId, Instant),
}

impl By {
    fn is_over(&self) -> bool {
        matches!(self, By::Writer(_, until) if *until <= Instant::now())
    }

    fn writes(&self, id: FileId) -> bool {
        matches!(self, By::Writer(by, _) if *by == id)
    }
}

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
        self.begin_by(object, By::Us, |_| false)
    }

    fn begin_by(&self, object: &str, by: By, mine: impl Fn(&By) -> bool) -> bool {
        let mut held = self.0.lock();
        let free = held.get(object).is_none_or(|before| before.is_over() || mine(before));
        if free {
            held.insert(object.to_string(), by);
        }
        free
    }

    /// Whoever held it is through, or gone.
    pub fn release(&self, object: &str) {
        self.1.released(object);
        self.0.lock().remove(object);
    }

    /// Whether somebody writes it, or one below it.
    pub fn is_held(&self, object: &str) -> bool {
        self.is_held_by(object, |_| true)
    }

    fn is_held_by(&self, object: &str, meant: impl Fn(&By) -> bool) -> bool {
        let is_below = |at: &str| at.strip_prefix(object).is_some_and(|b| b.starts_with('/'));
        let holds = |by: &By| meant(by) && !by.is_over();
        let held = self.0.lock();
        held.get(object).is_some_and(holds) || held.iter().any(|(at, by)| is_below(at) && holds(by))
    }

    /// The names in a directory, an address that ends in a slash, of what somebody writes there or below.
    pub(super) fn held_in(&self, directory: &str) -> HashSet<String> {
        let held = self.0.lock();
        let held = held.iter().filter(|(_, by)| !by.is_over());
        held.filter_map(|(at, _)| name_in(directory, at)).map(str::to_string).collect()
    }

    /// An under store is about to be asked what it has.
    pub(in crate::master) fn question(&self) -> Question {
        self.1.ask()
    }

    /// Whether a client writes it, or one below it, so that it is about to be completed.
    pub fn is_closing(&self, object: &str) -> bool {
        self.is_held_by(object, |by| matches!(by, By::Writer(..)))
    }

    /// Whether a worker writes it, as the master told it to.
    pub fn is_persisted(&self, object: &str) -> bool {
        self.0.lock().get(object).is_some_and(|by| matches!(by, By::Us))
    }

    /// Waits until nobody writes `object`, which is to be at `path`, or one below it.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub async fn free(&self, object: &str, path: &FsPath) -> Result<()> {
        once(path, || !self.is_held(object)).await
    }

    /// Waits until no client is about to complete `object`, which is to be at `path`.
    ///
    /// # Errors
    /// As [`Objects::free`].
    pub async fn closed(&self, object: &str, path: &FsPath) -> Result<()> {
        once(path, || !self.is_closing(object)).await
    }

    /// Holds `object`, which is to be at `path`, for the client that writes the version `id`, until that
    /// is completed ([`Objects::hold`]), or given up.
    ///
    /// # Errors
    /// As [`Objects::free`].
    pub async fn close_for(&self, object: &str, path: &FsPath, id: FileId) -> Result<()> {
        self.forget_late();
        let begin = || {
            let by = By::Writer(id, Instant::now() + CLOSING);
            self.begin_by(object, by, |before| before.writes(id))
        };
        once(path, begin).await
    }

    /// Those who did not come in time hold nothing any more.
    fn forget_late(&self) {
        let mut held = self.0.lock();
        held.retain(|object, by| {
            if by.is_over() {
                self.1.released(object);
            }
            !by.is_over()
        });
    }

    /// That version is not to be completed.
    pub fn give_up(&self, object: &str, id: FileId) {
        let mut held = self.0.lock();
        if held.get(object).is_some_and(|by| by.writes(id)) {
            self.1.released(object);
            held.remove(object);
        }
    }

    /// Holds `object`, which is to be at `path`, as soon as nobody but the client that writes the version
    /// `id` does: no worker is asked to write it meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub async fn hold(&self, object: String, path: &FsPath, id: FileId) -> Result<Held> {
        once(path, || self.begin_by(&object, By::Us, |before| before.writes(id))).await?;
        Ok(Held { objects: self.clone(), object })
    }
}

/// Waits until it is so.
async fn once(path: &FsPath, is_so: impl Fn() -> bool) -> Result<()> {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.map_err(|_| late(path))
}

fn late(path: &FsPath) -> Error {
    let text = "is still being written to the under store: try again later";
    unavailable(format!("what was at {path} before {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_holds_what_it_closes_until_it_completes_it_or_is_gone_for_long() {
        let objects = Objects::default();
        let path = FsPath::parse("/a").unwrap();
        let (mine, other) = (FileId(1), FileId(2));
        objects.close_for("o", &path, mine).await.unwrap();
        // Asked again, since the answer was lost.
        objects.close_for("o", &path, mine).await.unwrap();
        assert!(objects.is_held("o") && objects.is_closing("o") && !objects.begin("o"));
        objects.close_for("o", &path, other).await.unwrap_err();
        objects.give_up("o", other);
        let held = objects.hold("o".into(), &path, mine).await.unwrap();
        assert!(objects.is_held("o") && !objects.is_closing("o"));
        // Too late: it is being completed.
        objects.give_up("o", mine);
        assert!(objects.is_held("o"));
        drop(held);
        objects.close_for("o", &path, other).await.unwrap();
        tokio::time::sleep(CLOSING).await;
        assert!(!objects.is_held("o") && objects.begin("o"));
    }

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
