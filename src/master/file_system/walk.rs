//! Walking a part of the tree, with metadata loaded on the way.
//!
//! A page of each directory on the way at a time: what a walk costs in memory grows with the depth
//! of the tree, not with its size.
//!
//! There are two orders. [`Walk::new`] gives a page whole before it enters the directories in it.
//! [`Walk::in_order`] enters each directory right behind its own entry: then all that was told of
//! lies before all that was not, by the paths' components, and a walk can go on from any path that
//! another one has come to, whatever has changed in between.

use super::{Caller, FileSystem, Listing, ReadOptions};
use crate::core::error::{Error, ErrorKind};
use crate::core::model::{FsPath, Status};
use crate::master::sync::Freshness;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Entries in a page.
const PAGE: usize = 1_000;
/// How long what was read of a page is told of: what comes later is read again.
const FRESH: Duration = Duration::from_secs(30);

/// A walk under way.
pub struct Walk {
    files: FileSystem,
    start: Option<FsPath>,
    /// Whether directories are entered one by one, as they come.
    in_order: bool,
    freshness: Freshness,
    enters: Enters,
    /// The directory to enter next.
    next: Option<FsPath>,
    /// What could not be read when the walk went on, to be told of first.
    failed: Option<(FsPath, Error)>,
    /// The directories from the top to where we are.
    open: Vec<Open>,
}

/// Which directories are entered.
type Enters = Box<dyn Fn(&FsPath) -> bool + Send + Sync>;

struct Open {
    path: FsPath,
    listing: Listing,
    /// Subdirectories of the page at hand that are yet to be entered.
    ahead: VecDeque<FsPath>,
    /// In order: what is left of the page at hand, and when it was read.
    page: VecDeque<Status>,
    read: Instant,
}

/// Some entries, or what could not be read and why; the walk goes on after it.
pub type Step = Result<Vec<Status>, (FsPath, Error)>;

/// Where a walk in order goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last path that was told of, or the next.
    pub path: FsPath,
    /// Whether that path is yet to be told of.
    pub open: bool,
}

impl Walk {
    /// A walk over `path` and all below it.
    pub fn new(files: FileSystem, path: FsPath) -> Self {
        Walk {
            files,
            start: Some(path),
            in_order: false,
            freshness: Freshness::Known,
            enters: Box::new(|_| true),
            next: None,
            failed: None,
            open: Vec::new(),
        }
    }

    /// The same in the order of paths, into those directories that `enters` says.
    pub fn in_order(
        files: FileSystem,
        path: FsPath,
        enters: impl Fn(&FsPath) -> bool + Send + Sync + 'static,
    ) -> Self {
        Walk { in_order: true, enters: Box::new(enters), ..Walk::new(files, path) }
    }

    /// The same over what the tree has, without a look at under stores.
    pub fn of_what_is_here(self) -> Self {
        Walk { freshness: Freshness::Here, ..self }
    }

    /// Goes on from `position`, where a walk in order over the same path had been. What is gone
    /// since then has nothing more to tell; what cannot be read is told of as a failure by the next
    /// step, and the walk goes on behind it.
    pub async fn resume(&mut self, position: &Position) {
        let Some(start) = self.start.clone() else { return };
        let Some(relative) = position.path.relative_to(&start) else { return };
        let names: Vec<&str> = relative.split('/').filter(|name| !name.is_empty()).collect();
        if names.is_empty() && position.open {
            return;
        }
        self.start = None;
        let mut at = start;
        for name in names {
            let Ok(inner) = at.join(name) else { return };
            if let Err(failure) = self.enter(at.clone()).await {
                self.failed = Some(failure);
                return;
            }
            // One that is gone was not entered, and the last that is open is above it.
            let Some(open) = self.open.last_mut().filter(|open| open.path == at) else { return };
            open.listing = self.files.listing_after(&at, name);
            at = inner;
        }
        if position.open {
            self.tell_first(at).await;
        } else if self.files.peek(&at).is_ok_and(|found| found.is_some_and(|found| found.folder)) {
            self.next = Some(at);
        }
    }

    /// Has `path`, if it is still there, told of before anything else.
    async fn tell_first(&mut self, path: FsPath) {
        match self.files.find(&path, self.freshness).await {
            Ok(found) => {
                if let (Some(status), Some(open)) = (found, self.open.last_mut()) {
                    open.page.push_front(status);
                }
            }
            Err(error) if is_gone(error.kind()) => {}
            Err(error) => self.failed = Some((path, error)),
        }
    }

    /// The next entries; none at the end. The start itself comes first.
    pub async fn next(&mut self) -> Option<Step> {
        if let Some(failure) = self.failed.take() {
            return Some(Err(failure));
        }
        if let Some(start) = self.start.take() {
            return Some(self.begin(start).await);
        }
        if let Some(next) = self.next.take()
            && let Err(failure) = self.enter(next).await
        {
            return Some(Err(failure));
        }
        loop {
            let at = self.open.last_mut()?;
            if let Some(next) = at.ahead.pop_front() {
                if let Err(failure) = self.enter(next).await {
                    return Some(Err(failure));
                }
                continue;
            }
            if self.in_order && !at.page.is_empty() {
                return Some(Ok(self.tell_in_order()));
            }
            match at.listing.next_page(PAGE) {
                Ok(Some(page)) if self.in_order => {
                    at.page = page.into();
                    at.read = Instant::now();
                }
                Ok(Some(page)) => {
                    let folders = page.iter().filter(|status| status.folder);
                    at.ahead.extend(folders.map(|status| status.path.clone()));
                    return Some(Ok(page));
                }
                Ok(None) => drop(self.open.pop()),
                Err(error) => {
                    let path = at.path.clone();
                    self.open.pop();
                    return Some(Err((path, error)));
                }
            }
        }
    }

    /// What is left of the page, up to the first directory that is to be entered.
    fn tell_in_order(&mut self) -> Vec<Status> {
        let Some(at) = self.open.last_mut() else { return Vec::new() };
        if at.read.elapsed() > FRESH
            && let Some(first) = at.page.front()
        {
            // Read again from there; the first is told of as it is known, so that we get on.
            at.listing = self.files.listing_after(&at.path, first.name());
            at.page.truncate(1);
            at.read = Instant::now();
        }
        let enters = |status: &Status| status.folder && (self.enters)(&status.path);
        let cut = at.page.iter().position(enters).map_or(at.page.len(), |index| index + 1);
        let told: Vec<Status> = at.page.drain(..cut).collect();
        self.next = told.last().filter(|last| enters(last)).map(|last| last.path.clone());
        told
    }

    async fn begin(&mut self, start: FsPath) -> Step {
        let options = ReadOptions { freshness: self.freshness, ..Default::default() };
        let status = self.files.status(&Caller::master(), &start, &options).await;
        let status = status.map_err(|error| (start.clone(), error))?;
        if status.folder {
            self.enter(start).await?;
        }
        Ok(vec![status])
    }

    async fn enter(&mut self, path: FsPath) -> Result<(), (FsPath, Error)> {
        match self.files.list(&Caller::master(), &path, self.freshness).await {
            Ok(listing) => {
                let (ahead, page) = Default::default();
                self.open.push(Open { path, listing, ahead, page, read: Instant::now() });
                Ok(())
            }
            // Whoever removed it meanwhile leaves nothing to tell of.
            Err(error) if self.in_order && is_gone(error.kind()) => Ok(()),
            Err(error) => Err((path, error)),
        }
    }
}

/// Whether an error says that a path is there no more: removed, or below what is a file by now.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotDirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Config;
    use crate::core::runtime::{Clock, Group};
    use crate::master::journal::entry::{Change, Entry, Initialize, Ownership};
    use crate::master::journal::{Journal, Options};
    use crate::master::workers::Registry;
    use std::path::Path;

    fn path(text: &str) -> FsPath {
        FsPath::parse(text).unwrap()
    }

    /// A tree over `dir/ufs` with a file in each of four directories.
    async fn tree(dir: &Path) -> FileSystem {
        for name in ["a", "b", "c", "d"] {
            std::fs::create_dir_all(dir.join("ufs").join(name)).unwrap();
            std::fs::write(dir.join("ufs").join(name).join("x"), "x").unwrap();
        }
        let data = dir.join("data").display().to_string();
        let config = Config::with(&[("goosefs.data.dir", &data)]).unwrap();
        let options = Options { listen: None, ..Options::of(&config.master) };
        let journal = Journal::open_with(options).await.unwrap();
        let initialize = Initialize {
            cluster_id: "c1".into(),
            ownership: Ownership { owner: "ann".into(), group: "users".into(), mode: 0o755 },
            ufs: format!("file://{}", dir.join("ufs").display()),
            properties: Default::default(),
        };
        journal.commit(Entry::new(1, Change::Initialize(initialize))).await.unwrap();
        let workers = Registry::new(Duration::from_secs(60));
        FileSystem::new(&config, journal, workers, Clock::default(), Group::new("test"))
    }

    /// What a walk that goes on at `at` tells of; what failed with a question mark.
    async fn rest(files: &FileSystem, at: &str) -> Vec<String> {
        let mut walk = Walk::in_order(files.clone(), FsPath::root(), |_| true);
        walk.resume(&Position { path: path(at), open: true }).await;
        let mut told = Vec::new();
        while let Some(step) = walk.next().await {
            match step {
                Ok(page) => told.extend(page.iter().map(|status| status.path.to_string())),
                Err((path, _)) => told.push(format!("{path}?")),
            }
        }
        told
    }

    #[tokio::test]
    async fn a_walk_goes_on_behind_what_is_gone_and_tells_of_what_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let files = tree(dir.path()).await;
        assert_eq!(rest(&files, "/b/x").await, ["/b/x", "/c", "/c/x", "/d", "/d/x"]);
        assert_eq!(rest(&files, "/bb/y/z").await, ["/c", "/c/x", "/d", "/d/x"]);
        // Asking for what links to itself is an error of the store.
        std::os::unix::fs::symlink("cc", dir.path().join("ufs/cc")).unwrap();
        assert_eq!(rest(&files, "/cc/y/z").await, ["/cc?", "/d", "/d/x"]);
        assert_eq!(rest(&files, "/cc").await, ["/cc?", "/d", "/d/x"]);
    }
}
