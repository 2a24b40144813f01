//! Sync: bringing the under store's metadata into the tree.
//!
//! A path nobody knows costs one question to the store; a directory is listed once however many
//! ask, and what it holds goes into the journal in chunks. Later listings are compared with the
//! tree first, so one that finds nothing new writes nothing. What was replaced underneath gets a new
//! file id, so no cache holds the old bytes for the new.
//!
//! A store that does not answer takes nothing away: what is known still answers, only what is not
//! known is unavailable.

use crate::core::error::{Context, ErrorKind, Result, unavailable};
use crate::core::model::path::check_name;
use crate::core::model::{BackupName, FileId, FsPath, PersistenceState, Status};
use crate::master::file_system::{Below, FileSystem};
use crate::master::journal::entry::{
    Change, Found, Outcome, Ownership, SyncLoad, SyncScope, Synced,
};
use crate::master::mount::Resolved;
use crate::master::stores::{CALL_DEADLINE, within};
use crate::ufs::{Ufs, UfsStatus};
use futures::StreamExt;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a path that the store did not have is taken to be missing.
const ABSENT_KEPT_MS: i64 = 1_000;
/// Paths and directories whose last question to the store is remembered.
const REMEMBERED: usize = 100_000;
/// Entries of a directory in one journal entry.
pub(in crate::master) const CHUNK: usize = 1_000;
/// Questions about single entries of a listing at a time.
const PARALLEL: usize = 32;
/// How long a listing may pause between two entries.
const PAUSE: Duration = Duration::from_secs(60);
/// How often a sync that lost a race with a change begins again.
pub(in crate::master) const TRIES: usize = 5;
/// A block takes no larger part of a worker than one of so many: others are to have room beside it.
const WORKER_SHARE: u64 = 8;
/// Time enough for the clock to move on.
pub(in crate::master) const A_MOMENT: Duration = Duration::from_millis(2);

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As the tree has it.
    Here,
    /// What the tree does not know is looked for in the store.
    Known,
    /// And what was compared with the store longer ago than this, in milliseconds, is compared
    /// again.
    Within(i64),
}

/// What is remembered between syncs.
pub struct Sync {
    /// When the store last said that it has nothing at a path.
    absent: Cache<FsPath, i64>,
    /// When an inode, or a directory's listing, was last found to be as in the store.
    checked: Cache<FileId, i64>,
    /// One listing of a directory at a time.
    gates: Mutex<HashMap<FileId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Default for Sync {
    fn default() -> Self {
        Sync {
            absent: Cache::new(REMEMBERED),
            checked: Cache::new(REMEMBERED),
            gates: Mutex::default(),
        }
    }
}

impl Sync {
    /// The path is no longer known to be missing.
    pub fn appeared(&self, path: &FsPath) {
        self.absent.remove(path);
    }

    /// Nothing is known to be missing any more: paths have moved.
    pub fn moved(&self) {
        self.absent.clear();
    }

    fn gate(&self, directory: FileId) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock();
        if gates.len() > 1_000 {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        gates.entry(directory).or_default().clone()
    }
}

impl FileSystem {
    /// What is at `path`, as fresh as asked for; none when nothing is.
    ///
    /// # Errors
    /// `NotDirectory` when a component is a file; `Unavailable` when the store must be asked and
    /// does not answer.
    pub(in crate::master) async fn find(
        &self,
        path: &FsPath,
        freshness: Freshness,
    ) -> Result<Option<Status>> {
        let status = self.peek(path)?;
        if !self.is_asked_for(status.as_ref(), freshness) {
            return Ok(status);
        }
        // Not while the path is being deleted or renamed in the store.
        let _shared = self.locks.shared(path).await?;
        self.find_held(path, freshness).await
    }

    /// The same for a caller that holds the path.
    pub(in crate::master) async fn find_held(
        &self,
        path: &FsPath,
        freshness: Freshness,
    ) -> Result<Option<Status>> {
        let status = self.peek(path)?;
        if !self.is_asked_for(status.as_ref(), freshness) {
            return Ok(status);
        }
        match status {
            Some(status) => self.compare(path, status).await,
            None => self.look_for(path, freshness).await,
        }
    }

    /// Whether the store has to be asked.
    fn is_asked_for(&self, known: Option<&Status>, freshness: Freshness) -> bool {
        match (known, freshness) {
            (None, freshness) => freshness != Freshness::Here,
            (Some(status), Freshness::Within(age)) => self.is_due(status, age),
            (Some(_), _) => false,
        }
    }

    /// Whether an inode is to be compared with the store: not what only exists here.
    fn is_due(&self, status: &Status, age: i64) -> bool {
        let checked = self.sync.checked.get(&status.id).unwrap_or_default();
        status.is_persisted()
            && !status.mount_point
            && !status.path.is_root()
            && !status.is_symlink()
            && self.clock.now_ms() - checked >= age
    }

    /// Compares one inode with the store. When the store does not answer, or what it says cannot be
    /// taken in for want of space, the tree answers as it is.
    async fn compare(&self, path: &FsPath, known: Status) -> Result<Option<Status>> {
        let asked_ms = self.clock.now_ms();
        let found = match self.look_below(path).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%path, %error, "not compared with the under store");
                return Ok(Some(known));
            }
        };
        if found.as_ref().is_some_and(|found| is_same(&known, found)) {
            if !known.folder {
                self.sync.checked.insert(known.id, asked_ms);
            }
            return Ok(Some(known));
        }
        match self.take_in(path, found, asked_ms).await {
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => {
                tracing::warn!(%path, %error, "shown as it was known");
                Ok(Some(known))
            }
            Err(_) if self.state().held_back(path).is_some() => Ok(Some(known)),
            taken => taken,
        }
    }

    /// Looks for a path the tree does not know, from the first component it lacks.
    async fn look_for(&self, path: &FsPath, freshness: Freshness) -> Result<Option<Status>> {
        let (mut above, mut names) = self.nearest(path)?;
        while let Some(name) = names.pop() {
            if !above.folder {
                let text = format!("{} is a file, so there is no {path}", above.path);
                return Err(crate::core::error::Error::new(ErrorKind::NotDirectory, text));
            }
            // Below what is only here the store has nothing, unless somebody insists.
            if !above.is_persisted() && freshness == Freshness::Known {
                return Ok(None);
            }
            let next = above.path.join(&name)?;
            let asked_ms = self.clock.now_ms();
            let absent =
                self.sync.absent.get(&next).is_some_and(|at| asked_ms - at < ABSENT_KEPT_MS);
            if absent && freshness == Freshness::Known {
                return Ok(None);
            }
            let Some(found) = self.look_below(&next).await? else {
                self.sync.absent.insert(next, asked_ms);
                return Ok(None);
            };
            self.mark_persisted(&above.path).await?;
            match self.take_in(&next, Some(found), asked_ms).await? {
                Some(status) => above = status,
                None => return Ok(None),
            }
        }
        Ok(Some(above))
    }

    /// The nearest inode at or above `path`, and the names below it, the first one last.
    fn nearest(&self, path: &FsPath) -> Result<(Status, Vec<String>)> {
        let mut names = Vec::new();
        let mut at = path.clone();
        loop {
            if let Some(status) = self.peek(&at)? {
                return Ok((status, names));
            }
            names.push(at.name().to_string());
            at = at.parent().ok_or_else(|| unavailable("the master has no root directory yet"))?;
        }
    }

    /// What the store has at `path`, whoever writes it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(in crate::master) async fn ask(&self, path: &FsPath) -> Result<Option<UfsStatus>> {
        let Resolved { mount, .. } = self.resolve(path)?;
        let ufs = self.stores.of(&mount)?;
        let relative = path.relative_to(&mount.path).unwrap_or_default();
        match within(&mount, CALL_DEADLINE, ufs.status(relative)).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.context(format!("looking for {path}"))),
        }
    }

    /// Puts what the store has at one path into the tree, and says what is there then.
    pub(in crate::master) async fn take_in(
        &self,
        path: &FsPath,
        found: Option<UfsStatus>,
        mut asked_ms: i64,
    ) -> Result<Option<Status>> {
        let Some(parent) = path.parent() else { return self.peek(path) };
        let mut found = found;
        for _ in 0..TRIES {
            let Some(directory) = self.peek(&parent)? else { return Ok(None) };
            let name = path.name().to_string();
            let load = SyncLoad {
                directory: directory.id,
                scope: SyncScope::Name(name.clone()),
                found: found.iter().map(|found| self.found(&directory, &name, found)).collect(),
                listed_ms: asked_ms,
                loaded: false,
            };
            match self.commit(Change::SyncLoad(load)).await {
                Ok(_) => {
                    self.sync.appeared(path);
                    return self.peek(path);
                }
                // Something was removed in this directory since we asked: ask again.
                Err(error) if error.kind() == ErrorKind::Aborted => {
                    tokio::time::sleep(A_MOMENT).await;
                    asked_ms = self.clock.now_ms();
                    found = self.look_below(path).await?;
                }
                // The directory itself has gone.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.peek(path)
    }

    /// What the tree takes from the store about one entry. A store that keeps no owners gives what
    /// it holds to the owner of the directory.
    /// A backup, which holds the credentials of mounts, is nobody else's than the superuser's.
    pub(in crate::master) fn found(
        &self,
        directory: &Status,
        name: &str,
        status: &UfsStatus,
    ) -> Found {
        let mode = if status.folder { 0o755 } else { 0o644 };
        let secret = !status.folder && BackupName::parse(name).is_some();
        let owner = status.owner.clone().filter(|_| !secret);
        let theirs = if secret { &self.superuser } else { &directory.owner };
        let mask = if secret { 0o600 } else { 0o7777 };
        Found {
            name: name.into(),
            folder: status.folder,
            length: status.length,
            block_size: self.block_size(status.length),
            modified_ms: status.modified_ms,
            version: status.version.clone(),
            ownership: Ownership {
                owner: owner.unwrap_or_else(|| theirs.clone()),
                group: status.group.clone().unwrap_or_else(|| directory.group.clone()),
                mode: status.mode.unwrap_or(mode) & mask,
            },
            symlink: String::new(),
        }
    }

    /// How the bytes of a file of the store are cut: not at all, up to a certain length, so that one
    /// descriptor reads all of it.
    fn block_size(&self, length: u64) -> u64 {
        let usual = self.config.client.block_size.0;
        if length <= usual {
            return usual;
        }
        let room = self.workers.smallest().map_or(u64::MAX, |bytes| bytes / WORKER_SHARE);
        let whole = length.next_multiple_of(usual);
        if whole <= self.config.master.single_block_max.0.min(room) { whole } else { usual }
    }

    /// Sees to it that a directory's children are as fresh as asked for.
    ///
    /// # Errors
    /// `Unavailable` when they were never loaded and the store does not answer.
    pub(in crate::master) async fn load_children(
        &self,
        directory: &Status,
        freshness: Freshness,
    ) -> Result<()> {
        let asked_ms = self.clock.now_ms();
        let freshness = self.as_shown(&directory.path, freshness);
        if !self.listing_due(directory, freshness, asked_ms)? {
            return Ok(());
        }
        let gate = self.sync.gate(directory.id);
        let _alone = gate.lock().await;
        // No child is to be deleted or renamed in the store meanwhile.
        let _still = self.locks.listing(&directory.path).await?;
        // Whoever held the gate has listed it for us too.
        if !self.listing_due(directory, freshness, asked_ms)? {
            return Ok(());
        }
        for _ in 0..TRIES {
            let listed_ms = self.clock.now_ms();
            let listing = match self.list_store(directory).await {
                Ok(listing) => listing,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return self.vanished(directory, listed_ms).await;
                }
                Err(error) if self.loaded_ms(directory)?.is_some() => {
                    tracing::warn!(path = %directory.path, %error, "listed as it was known");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            match self.merge(directory, listing, listed_ms).await {
                Err(error) if error.kind() == ErrorKind::Aborted => {
                    tokio::time::sleep(A_MOMENT).await;
                }
                Err(error)
                    if error.kind() == ErrorKind::ResourceExhausted
                        && self.loaded_ms(directory)?.is_some() =>
                {
                    tracing::warn!(path = %directory.path, %error, "listed as it was known");
                    return Ok(());
                }
                // A stage has begun meanwhile.
                Err(_) if self.state().held_back(&directory.path).is_some() => return Ok(()),
                other => return other,
            }
        }
        Err(unavailable(format!("{} changes too fast to be listed: try again", directory.path)))
    }

    /// How fresh an answer for readers is to be: below a path whose next version is being made it is as
    /// the tree has it.
    pub(in crate::master) fn as_shown(&self, path: &FsPath, freshness: Freshness) -> Freshness {
        match self.state().held_back(path) {
            Some(_) => Freshness::Here,
            None => freshness,
        }
    }

    /// When a directory's children were last brought in; none: never whole.
    fn loaded_ms(&self, directory: &Status) -> Result<Option<i64>> {
        let inode = self.state().lookup(directory.id)?;
        Ok(inode.and_then(|inode| inode.directory()?.children_loaded_ms))
    }

    fn listing_due(&self, directory: &Status, freshness: Freshness, asked_ms: i64) -> Result<bool> {
        let stored = directory.is_persisted() || directory.mount_point || directory.path.is_root();
        if !stored || freshness == Freshness::Here {
            return Ok(false);
        }
        let Some(loaded_ms) = self.loaded_ms(directory)? else { return Ok(true) };
        let checked = self.sync.checked.get(&directory.id).unwrap_or_default();
        if loaded_ms.max(checked) <= self.state().restored_ms() {
            return Ok(true);
        }
        Ok(match freshness {
            Freshness::Within(age) => loaded_ms.max(checked) <= asked_ms - age,
            _ => false,
        })
    }

    /// The store has no such directory (any more).
    async fn vanished(&self, directory: &Status, listed_ms: i64) -> Result<()> {
        if !directory.mount_point && !directory.path.is_root() {
            self.take_in(&directory.path, None, listed_ms).await?;
        }
        match self.peek(&directory.path)? {
            // It stays for what is only here; nothing of the store is in it.
            Some(still) if still.id == directory.id => {
                let nothing = Below { entries: Vec::new(), whole: true };
                self.merge(&still, nothing, listed_ms).await
            }
            _ => Ok(()),
        }
    }

    /// What the store has in a directory, sorted by name, as far as nobody of ours writes it.
    pub(in crate::master) async fn list_store(&self, directory: &Status) -> Result<Below> {
        let Resolved { mount, .. } = self.resolve(&directory.path)?;
        let question = self.objects.question();
        let ufs = self.stores.of(&mount)?;
        let base = directory.path.relative_to(&mount.path).unwrap_or_default().to_string();
        let entries = within(&mount, CALL_DEADLINE, ufs.list(&base)).await?;
        let mut exact =
            entries.map(|entry| complete(&ufs, &base, entry)).buffer_unordered(PARALLEL);
        let mut found = Vec::new();
        loop {
            let next = async { exact.next().await.transpose() };
            let what = format!("listing {}", directory.path);
            let Some(entry) = within(&mount, PAUSE, next).await.context(what)? else { break };
            let Some(entry) = entry else { continue };
            match check_name(&entry.name) {
                Ok(()) => found.push(entry),
                Err(error) => {
                    tracing::warn!(directory = %directory.path, %error, "left out: no valid name");
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup_by(|a, b| a.name == b.name);
        self.settled_of(directory, &question, found)
    }

    /// Makes the tree follow a listing.
    async fn merge(&self, directory: &Status, listing: Below, listed_ms: i64) -> Result<()> {
        // What came out of a backup may have changed in the store since.
        let restored_ms = self.state().restored_ms();
        let was_loaded = self.loaded_ms(directory)?.is_some_and(|at| at > restored_ms);
        let mut sum = Synced::default();
        let mut chunks = listing.entries.chunks(CHUNK).peekable();
        let mut after: Option<String> = None;
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let last = chunks.peek().is_none();
            let to = if last { None } else { chunk.last().map(|entry| entry.name.clone()) };
            let found = chunk.iter().map(|entry| self.found(directory, &entry.name, entry));
            let mut load = SyncLoad {
                directory: directory.id,
                scope: SyncScope::between(after.as_ref(), to.as_ref()),
                found: found.collect(),
                listed_ms,
                loaded: false,
            };
            // A listing that finds nothing new is not worth an entry.
            let first = last && !was_loaded && listing.whole;
            if first || self.state().would_change(listed_ms, Change::SyncLoad(load.clone()))? {
                load.loaded = last && listing.whole;
                if let Outcome::Synced(synced) = self.commit(Change::SyncLoad(load)).await? {
                    sum.added += synced.added;
                    sum.kept.extend(synced.kept);
                }
            }
            if last {
                break;
            }
            after = to;
        }
        if listing.whole {
            self.sync.checked.insert(directory.id, listed_ms);
        }
        if sum.added > 0 {
            self.sync.moved();
        }
        // Vanished underneath, but not all of it could go with one entry.
        for name in sum.kept {
            if let Ok(path) = directory.path.join(&name)
                && let Some(kept) = self.peek(&path)?.filter(|status| status.folder)
            {
                Box::pin(self.load_children(&kept, Freshness::Within(0))).await?;
            }
        }
        Ok(())
    }
}

/// An entry of a listing with certain length and version; none when it has vanished since.
async fn complete(ufs: &Ufs, base: &str, entry: Result<UfsStatus>) -> Result<Option<UfsStatus>> {
    let entry = entry?;
    if entry.exact || entry.folder {
        return Ok(Some(entry));
    }
    let path = if base.is_empty() { entry.name.clone() } else { format!("{base}/{}", entry.name) };
    match ufs.status(&path).await {
        Ok(status) => Ok(Some(UfsStatus { name: entry.name, ..status })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the store has what the tree says: a directory as a directory, a file's very version.
fn is_same(known: &Status, found: &UfsStatus) -> bool {
    if known.folder || found.folder {
        return known.folder == found.folder;
    }
    known.persistence != PersistenceState::Persisted
        || known.length == found.length && known.ufs_version == found.version
}
