//! What the state tells.

use super::store::{decode, id_in};
use super::{State, next};
use crate::core::error::{Error, ErrorKind, Result, internal, not_found};
use crate::core::model::{
    BlockId, BlockStatus, FileId, FsPath, Media, MountId, PersistenceState, Status, WorkerAddress,
    WorkerId, block,
};
use crate::master::inode::keys::{Section, after_prefix, number};
use crate::master::inode::metastore::{Fault, Table, View};
use crate::master::inode::{Inode, Kind, Place, ROOT};
use crate::master::journal::entry::{OperationId, Outcome};
use crate::master::mount::{MountTable, Resolved};
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use std::sync::Arc;

/// The inodes along a path, as far as there are any.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The root's first.
    pub inodes: Vec<Arc<Inode>>,
    /// Whether the last one is the path's own.
    pub whole: bool,
}

impl Walk {
    /// The path's own inode, if it exists.
    pub fn last(&self) -> Option<&Arc<Inode>> {
        self.inodes.last().filter(|_| self.whole)
    }
}

/// A deleted file whose blocks the workers may drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freed {
    /// The file.
    pub file: FileId,
    /// How many blocks it had, as far as is known.
    pub blocks: u64,
}

/// What is stored of a block's location.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Location {
    pub offset: u64,
    pub length: u64,
    pub workers: Vec<WorkerId>,
}

impl Location {
    pub fn status(self, id: BlockId) -> BlockStatus {
        let Location { offset, length, workers } = self;
        BlockStatus { id, offset, length, locations: workers }
    }
}

impl State {
    /// The inodes along `path`, as far as there are any: what permissions are checked on.
    ///
    /// # Errors
    /// `NotDirectory` when something on the way is none.
    pub fn walk(&self, path: &FsPath) -> Result<Walk> {
        let _published = self.inner.published.read();
        self.walk_locked(path)
    }

    fn walk_locked(&self, path: &FsPath) -> Result<Walk> {
        let store = &self.inner.store;
        let mut inodes = Vec::with_capacity(8);
        let Some(root) = store.child(FileId(0), "")? else {
            return Err(internal("the tree has no root yet"));
        };
        let mut at = root.clone();
        inodes.push(root);
        for name in path.components() {
            if !at.is_directory() {
                let message = format!("a component of {path} is not a directory");
                return Err(Error::new(ErrorKind::NotDirectory, message));
            }
            let Some(next) = store.child(at.id, name)? else {
                return Ok(Walk { inodes, whole: false });
            };
            inodes.push(next.clone());
            at = next;
        }
        Ok(Walk { inodes, whole: true })
    }

    /// The inode at `path`.
    ///
    /// # Errors
    /// `NotFound` when there is none, `NotDirectory` when something on the way is none.
    pub fn inode(&self, path: &FsPath) -> Result<Arc<Inode>> {
        let walk = self.walk(path)?;
        walk.last().cloned().ok_or_else(|| missing(path))
    }

    /// All that is known of `path`.
    ///
    /// # Errors
    /// As [`State::inode`].
    pub fn status(&self, path: &FsPath) -> Result<Status> {
        let published = self.inner.published.read();
        let walk = self.walk_locked(path)?;
        let inode = walk.last().ok_or_else(|| missing(path))?;
        self.status_locked(&published.mounts, path.clone(), inode)
    }

    /// All that is known of the inode `id`, in the tree or about to be.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn status_of(&self, id: FileId) -> Result<Status> {
        let published = self.inner.published.read();
        match self.find_locked(id) {
            Ok((path, inode)) => self.status_locked(&published.mounts, path, &inode),
            Err(error) if error.kind() == ErrorKind::NotFound && !published.stages.is_empty() => {
                self.staged_status(&published, id)
            }
            Err(error) => Err(error),
        }
    }

    /// What `inode`, found at `path` by [`State::walk`], amounts to.
    ///
    /// # Errors
    /// When the store fails.
    pub fn describe(&self, path: FsPath, inode: &Inode) -> Result<Status> {
        let published = self.inner.published.read();
        self.status_locked(&published.mounts, path, inode)
    }

    pub(super) fn status_locked(
        &self,
        mounts: &MountTable,
        path: FsPath,
        inode: &Inode,
    ) -> Result<Status> {
        let blocks = match inode.file() {
            Some(file) if file.located => self.locations_of(inode.id)?,
            _ => Vec::new(),
        };
        let resolved = mounts.resolve(&path);
        Ok(status(path, inode, resolved, blocks))
    }

    /// The path of the inode `id`.
    ///
    /// # Errors
    /// `NotFound` when it is not in the tree.
    pub fn path_of(&self, id: FileId) -> Result<FsPath> {
        let _published = self.inner.published.read();
        Ok(self.find_locked(id)?.0)
    }

    /// The inode `id` and its path.
    ///
    /// # Errors
    /// `NotFound` when it is not in the tree.
    pub fn find(&self, id: FileId) -> Result<(FsPath, Arc<Inode>)> {
        let _published = self.inner.published.read();
        self.find_locked(id)
    }

    /// Whether the inode `id` is in the tree; none if not, else its inode.
    ///
    /// # Errors
    /// When the store fails.
    pub fn lookup(&self, id: FileId) -> Result<Option<Arc<Inode>>> {
        match self.find(id) {
            Ok((_, inode)) => Ok(Some(inode)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn find_locked(&self, id: FileId) -> Result<(FsPath, Arc<Inode>)> {
        let store = &self.inner.store;
        let gone = || not_found(format!("no file has the id {id}"));
        let place = store.place(id)?.ok_or_else(gone)?;
        let inode = store.inode_at(place.as_bytes())?.ok_or_else(gone)?;
        if let Some(path) = next::target(&place) {
            return Ok((path?, inode));
        }
        let mut places = vec![place];
        // Deleting a directory detaches it: what was below still lies there until it is reaped,
        // but is not in the tree.
        while let Some(parent) = places.last().map(Place::parent).filter(|id| *id != FileId(0)) {
            places.push(store.place(parent)?.ok_or_else(gone)?);
        }
        let names = places.iter().rev().skip(1).map(|place| format!("/{}", place.name()));
        let text = names.collect::<String>();
        let path = if text.is_empty() { FsPath::root() } else { FsPath::parse(&text)? };
        Ok((path, inode))
    }

    /// At most `limit` children of the directory at `path`, in the order of names, after the name
    /// `after`.
    ///
    /// # Errors
    /// As [`State::inode`]; `NotDirectory` when it is none.
    pub fn list(&self, path: &FsPath, after: Option<&str>, limit: usize) -> Result<Vec<Status>> {
        let children = self.children(path, after, limit)?;
        let mounts = self.mounts();
        let statuses = children.into_iter().map(|(name, inode)| {
            let path = path.join(&name)?;
            self.status_locked(&mounts, path, &inode)
        });
        statuses.collect()
    }

    /// The same as names and inodes, which costs less.
    ///
    /// # Errors
    /// As [`State::list`].
    pub fn children(
        &self,
        path: &FsPath,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Inode)>> {
        let (view, id) = {
            let _published = self.inner.published.read();
            let walk = self.walk_locked(path)?;
            let inode = walk.last().ok_or_else(|| missing(path))?;
            if !inode.is_directory() {
                let message = format!("{path} is not a directory");
                return Err(Error::new(ErrorKind::NotDirectory, message));
            }
            (self.inner.store.disk.view(), inode.id)
        };
        children_in(&view, id, after, limit)
    }

    /// The same of the directory `id`, wherever it is; nothing when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn children_of(
        &self,
        id: FileId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Inode)>> {
        // A view is of whole batches: fjall publishes one only when all of it is in.
        children_in(&self.inner.store.disk.view(), id, after, limit)
    }

    /// The mounts as they are.
    pub fn mounts(&self) -> MountTable {
        self.inner.published.read().mounts.clone()
    }

    /// The mount of `path`, and its address there.
    ///
    /// # Errors
    /// `Internal` before there is a root mount.
    pub fn mount_of(&self, path: &FsPath) -> Result<Resolved> {
        let resolved = self.inner.published.read().mounts.resolve(path);
        resolved.ok_or_else(|| internal("there is no root mount yet"))
    }

    /// Where the blocks of a file are that are nowhere else.
    ///
    /// # Errors
    /// When the store fails.
    pub fn locations(&self, file: FileId) -> Result<Vec<BlockStatus>> {
        let _published = self.inner.published.read();
        self.locations_of(file)
    }

    fn locations_of(&self, file: FileId) -> Result<Vec<BlockStatus>> {
        let rows = self.scan(&Section::Locations.of(file), None, usize::MAX)?;
        let blocks = rows.into_iter().map(|(key, value)| {
            let location = decode::<Location>(&value, "a block's location")?;
            Ok(location.status(BlockId(id_in(Section::Locations, &key).0)))
        });
        blocks.collect()
    }

    /// Inodes whose TTL has run out by `now_ms`, with the time when it did, at most `limit` after the
    /// one that was given last.
    ///
    /// # Errors
    /// When the store fails.
    pub fn expired(
        &self,
        now_ms: i64,
        after: Option<(FileId, i64)>,
        limit: usize,
    ) -> Result<Vec<(FileId, i64)>> {
        let after = after.map(|(id, ms)| Section::Ttl.at(ms, id));
        let end = Section::Ttl.at(now_ms.saturating_add(1), FileId(0));
        let rows = self.range(&Section::Ttl.key(&[]), after.as_deref(), &end, limit)?;
        let row = |key: &[u8]| (id_in(Section::Ttl, key), number(key, 1));
        Ok(rows.iter().map(|(key, _)| row(key)).collect())
    }

    /// Files that are still being written after `after`, with the time they were created.
    ///
    /// # Errors
    /// When the store fails.
    pub fn incomplete(&self, after: Option<FileId>, limit: usize) -> Result<Vec<(FileId, i64)>> {
        self.by_id(Section::Incomplete, after, limit)
    }

    /// Files waiting to be persisted after `after`, with the time from which they may be.
    ///
    /// # Errors
    /// When the store fails.
    pub fn to_persist(&self, after: Option<FileId>, limit: usize) -> Result<Vec<(FileId, i64)>> {
        self.by_id(Section::ToPersist, after, limit)
    }

    fn by_id(
        &self,
        section: Section,
        after: Option<FileId>,
        limit: usize,
    ) -> Result<Vec<(FileId, i64)>> {
        let after = after.map(|id| section.of(id));
        let rows = self.scan(&section.key(&[]), after.as_deref(), limit)?;
        let found = rows
            .into_iter()
            .map(|(key, value)| Ok((id_in(section, &key), decode::<i64>(&value, "a time")?)));
        found.collect()
    }

    /// Inodes that are never evicted, after `after`, and the media they are to be on.
    ///
    /// # Errors
    /// When the store fails.
    pub fn pinned(&self, after: Option<FileId>, limit: usize) -> Result<Vec<(FileId, Media)>> {
        let after = after.map(|id| Section::Pinned.of(id));
        let rows = self.scan(&Section::Pinned.key(&[]), after.as_deref(), limit)?;
        let media = |value: &[u8]| value.first().map_or(Media::ANY, |&bits| Media::from_bits(bits));
        let pin = |(key, value): &(Vec<u8>, Vec<u8>)| (id_in(Section::Pinned, key), media(value));
        Ok(rows.iter().map(pin).collect())
    }

    /// Files that have bounds on their cached copies, after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub fn replicated(&self, after: Option<FileId>, limit: usize) -> Result<Vec<FileId>> {
        let after = after.map(|id| Section::Replicated.of(id));
        let rows = self.scan(&Section::Replicated.key(&[]), after.as_deref(), limit)?;
        Ok(rows.iter().map(|(key, _)| id_in(Section::Replicated, key)).collect())
    }

    /// Deleted files whose blocks the workers have not been told to drop, after `after`; committed
    /// as `BlocksFreed` once they have.
    ///
    /// # Errors
    /// When the store fails.
    pub fn freed(&self, after: Option<FileId>, limit: usize) -> Result<Vec<Freed>> {
        let from = self.inner.published.read().counters.freed_from;
        let after = after.map(|id| Section::Freed.of(id));
        let start = Section::Freed.of(FileId(from));
        let rows = self.range(&start, after.as_deref(), &Section::Freed.end(), limit)?;
        let found = rows.into_iter().map(|(key, value)| {
            let blocks = decode::<u64>(&value, "a number of blocks")?.min(block::MAX_BLOCKS);
            Ok(Freed { file: id_in(Section::Freed, &key), blocks })
        });
        found.collect()
    }

    /// Whether a deleted subtree is to be taken apart (`Reap`).
    ///
    /// # Errors
    /// When the store fails.
    pub fn has_deleted(&self) -> Result<bool> {
        let from = self.inner.published.read().counters.reap_from;
        let start = Section::Reap.of(FileId(from));
        Ok(!self.range(&start, None, &Section::Reap.end(), 1)?.is_empty())
    }

    /// The address of a worker that has an id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn worker(&self, id: WorkerId) -> Result<Option<WorkerAddress>> {
        Ok(self.inner.store.rest(&Section::Workers.of(FileId(id)))?)
    }

    /// Every worker that was given an id.
    ///
    /// # Errors
    /// When the store fails.
    pub fn workers(&self) -> Result<Vec<(WorkerId, WorkerAddress)>> {
        let rows = self.scan(&Section::Workers.key(&[]), None, usize::MAX)?;
        let workers = rows
            .into_iter()
            .map(|(key, value)| Ok((id_in(Section::Workers, &key).0, decode(&value, "a worker")?)));
        workers.collect()
    }

    /// A record, as its owner encoded it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn record(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let key = super::upkeep::record_key(table, key);
        let bytes = self.inner.store.disk.get(Table::Rest, &key)?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    /// At most `limit` records of a table after the key `after`, in the order of keys.
    ///
    /// # Errors
    /// When the store fails.
    pub fn records(
        &self,
        table: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let prefix = super::upkeep::record_key(table, &[]);
        let after = after.map(|key| super::upkeep::record_key(table, key));
        let mut rows = self.scan(&prefix, after.as_deref(), limit)?;
        rows.iter_mut().for_each(|(key, _)| drop(key.drain(..prefix.len())));
        Ok(rows)
    }

    /// What came of a client's operation, if it was carried out and is remembered.
    ///
    /// # Errors
    /// When the store fails.
    pub fn operation(&self, id: &OperationId) -> Result<Option<Outcome>> {
        let row = self.inner.store.rest::<(i64, Outcome)>(&Section::Operations.key(&[id]))?;
        Ok(row.map(|(_, outcome)| outcome))
    }

    /// The cluster's own name; none before it is initialized.
    ///
    /// # Errors
    /// When the store fails.
    pub fn cluster_id(&self) -> Result<Option<String>> {
        Ok(self.inner.store.rest(&super::cluster_key())?)
    }

    /// When this state was taken out of a backup, in milliseconds since 1970; 0 if it never was. What
    /// under stores held before that may have changed behind the tree's back.
    pub fn restored_ms(&self) -> i64 {
        self.inner.published.read().restored_ms
    }

    /// Whether the tree has its root.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_initialized(&self) -> Result<bool> {
        let _published = self.inner.published.read();
        Ok(self.inner.store.place(ROOT)?.is_some())
    }

    /// The latest time of any entry, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.inner.published.read().counters.now_ms
    }

    /// About how many inodes there are.
    pub fn inodes(&self) -> u64 {
        self.inner.store.disk.inodes()
    }

    /// The mount of that id.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn mount(&self, id: MountId) -> Result<Arc<crate::core::model::MountInfo>> {
        let mounts = self.mounts();
        mounts.by_id(id).cloned().ok_or_else(|| not_found(format!("no mount has the id {id}")))
    }

    /// Rows of a section that start with `prefix`, after the key `after`.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.range(prefix, after, &after_prefix(prefix), limit)
    }

    fn range(
        &self,
        start: &[u8],
        after: Option<&[u8]>,
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        // A view is of whole batches: fjall publishes one only when all of it is in.
        let view = self.inner.store.disk.view();
        let start = after.map_or(Bound::Included(start), Bound::Excluded);
        let rows = view.range(Table::Rest, start, end).take(limit);
        let rows = rows.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())));
        Ok(rows.collect::<Result<_, Fault>>()?)
    }
}

/// At most `limit` children of the directory `id` as `view` shows them.
fn children_in(
    view: &View,
    id: FileId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Inode)>> {
    let first = Place::new(id, after.unwrap_or_default());
    let start = match after {
        Some(_) => Bound::Excluded(first.as_bytes()),
        None => Bound::Included(first.as_bytes()),
    };
    let end = Place::new(FileId(id.0 + 1), "");
    let children = view.range(Table::Tree, start, end.as_bytes()).take(limit);
    let children = children.map(|pair| {
        let (key, value) = pair?;
        let place = Place::from_bytes(&key).ok_or_else(|| Fault::damaged("a place"))?;
        Ok((place.name().to_string(), decode::<Inode>(&value, "an inode")?))
    });
    children.collect()
}

fn missing(path: &FsPath) -> Error {
    not_found(format!("{path} does not exist"))
}

/// Puts together what the wire tells of an inode.
fn status(
    path: FsPath,
    inode: &Inode,
    resolved: Option<Resolved>,
    blocks: Vec<BlockStatus>,
) -> Status {
    let mut status = Status {
        id: inode.id,
        path,
        persistence: inode.persistence,
        owner: inode.owner.clone(),
        group: inode.group.clone(),
        mode: inode.mode,
        created_ms: inode.created_ms,
        modified_ms: inode.modified_ms,
        // Never read since it was modified, as far as anybody said: not before that, then.
        accessed_ms: match inode.accessed_ms {
            0 => inode.modified_ms,
            ms => ms,
        },
        // What is added to a directory or taken from it changes its time, and that is a change.
        changed_ms: inode.changed_ms.max(match &inode.kind {
            Kind::Directory(directory) => directory.removed_ms.max(inode.modified_ms),
            _ => 0,
        }),
        blocks,
        completed: true,
        ..Default::default()
    };
    if let Some(Resolved { mount, ufs_path }) = resolved {
        status.mount_id = mount.id;
        status.ufs_path = ufs_path;
    }
    match &inode.kind {
        Kind::File(file) => {
            status.length = file.length;
            status.block_size = file.block_size;
            status.completed = file.completed;
            status.cacheable = file.cacheable;
            status.ufs_version = file.ufs_version.clone();
        }
        Kind::Directory(directory) => {
            status.folder = true;
            status.mount_point = directory.mount_point;
            status.read_type = directory.read_type;
            status.write_type = directory.write_type;
        }
        Kind::Symlink(target) => {
            status.symlink = target.clone();
            status.length = target.len() as u64;
        }
    }
    if let Some(extra) = &inode.extra {
        status.xattrs = extra.xattrs.clone();
        status.pinned = extra.pinned;
        status.ttl_ms = extra.ttl_ms;
        status.ttl_action = extra.ttl_action;
    }
    // What is in the cache only is in the cache.
    if !status.folder && inode.persistence != PersistenceState::Persisted {
        status.cached_percent = if inode.persistence == PersistenceState::Lost { 0 } else { 100 };
    }
    status
}
