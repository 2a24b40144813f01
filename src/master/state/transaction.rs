//! What a group of entries changes, before any of it is in the store.
//!
//! An entry reads its own writes and those of the entries before it in the group. When it is
//! refused, [`Transaction::undo`] takes back what it wrote; the group then goes to the store as
//! one batch.

use super::next;
use super::stage::Stages;
use super::store::{Stop, Store, decode, encode};
use crate::core::error::{Error, ErrorKind, not_found};
use crate::core::model::{FileId, FsPath, PersistenceState};
use crate::master::inode::keys::{Section, after_prefix};
use crate::master::inode::metastore::{Fault, Put, Table, View};
use crate::master::inode::{Inode, Place, ROOT};
use crate::master::mount::MountTable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The most that the steady time moves on by at one entry.
const STRIDE_MS: i64 = 10_000;

/// Numbers that only `apply` moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counters {
    /// The container of the next inode. Never reused.
    pub next_container: u64,
    /// The id of the next mount.
    pub next_mount: i64,
    /// How many worker ids have been made.
    pub workers: u64,
    /// The latest time of any entry.
    pub now_ms: i64,
    /// How far time has come without its leaps: what operations expire by, so that a clock which is
    /// set wrong, or the next primary's that is, does not have them all forgotten at once.
    pub steady_ms: i64,
    /// The time of the entry that the steady time went by last.
    pub paced_ms: i64,
    /// Operations that may be forgotten before this steady time have been.
    pub forgotten_ms: i64,
    /// No deleted directory with a smaller id is to be taken apart. A queue in the store begins
    /// with the marks of what was removed from it; nobody should wade through them.
    pub reap_from: i64,
    /// No deleted file with a smaller id has blocks to be freed.
    pub freed_from: i64,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            next_container: 1,
            next_mount: 1,
            workers: 0,
            now_ms: 0,
            steady_ms: 0,
            paced_ms: 0,
            forgotten_ms: 0,
            reap_from: 0,
            freed_from: 0,
        }
    }
}

/// A path whose inode changed, for those who cache it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The path.
    pub path: FsPath,
    /// Whether all below it changed too.
    pub subtree: bool,
}

/// A key of a section and its value.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// An inode and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub inode: Arc<Inode>,
}

/// See the module.
pub(super) struct Transaction<'s> {
    store: &'s Store,
    view: Option<View>,
    tree: BTreeMap<Place, Option<Arc<Inode>>>,
    ids: BTreeMap<FileId, Option<Place>>,
    rest: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub counters: Counters,
    pub mounts: MountTable,
    pub stages: Stages,
    pub notices: Vec<Notice>,
    /// Whether anybody listens to notices.
    pub watched: bool,
    undo: Vec<Undo>,
    before: (Counters, MountTable, Stages, usize),
}

enum Undo {
    Tree(Place, Option<Option<Arc<Inode>>>),
    Id(FileId, Option<Option<Place>>),
    Rest(Vec<u8>, Option<Option<Vec<u8>>>),
}

impl<'s> Transaction<'s> {
    pub fn new(store: &'s Store, counters: Counters, mounts: MountTable, stages: Stages) -> Self {
        Transaction {
            store,
            view: None,
            tree: BTreeMap::new(),
            ids: BTreeMap::new(),
            rest: BTreeMap::new(),
            before: (counters.clone(), mounts.clone(), stages.clone(), 0),
            counters,
            mounts,
            stages,
            notices: Vec::new(),
            watched: false,
            undo: Vec::new(),
        }
    }

    /// From here on [`Transaction::undo`] takes back.
    pub fn begin(&mut self) {
        self.undo.clear();
        let Self { counters, mounts, stages, .. } = &*self;
        self.before = (counters.clone(), mounts.clone(), stages.clone(), self.notices.len());
    }

    /// Takes back everything since [`Transaction::begin`], but for the passing of time.
    pub fn undo(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Tree(key, old) => restore(&mut self.tree, key, old),
                Undo::Id(key, old) => restore(&mut self.ids, key, old),
                Undo::Rest(key, old) => restore(&mut self.rest, key, old),
            }
        }
        let (counters, mounts, stages, notices) = self.before.clone();
        let Counters { now_ms, steady_ms, paced_ms, .. } = self.counters;
        self.counters = Counters { now_ms, steady_ms, paced_ms, ..counters };
        self.mounts = mounts;
        self.stages = stages;
        self.notices.truncate(notices);
    }

    /// Whether anything is to be written.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty() && self.ids.is_empty() && self.rest.is_empty()
    }

    /// Whether anything of `section` is to be written.
    pub fn changes(&self, section: Section) -> bool {
        let prefix = section.key(&[]);
        self.rest.range(prefix.clone()..after_prefix(&prefix)).next().is_some()
    }

    /// Moves time on to that of an entry, and gives the time it counts as.
    pub fn advance(&mut self, at_ms: i64) -> i64 {
        let counters = &mut self.counters;
        counters.now_ms = counters.now_ms.max(at_ms);
        counters.steady_ms += (at_ms - counters.paced_ms).clamp(0, STRIDE_MS);
        // Entries of one clock come a little out of order; a clock that is behind is another one.
        if at_ms > counters.paced_ms || at_ms < counters.paced_ms - STRIDE_MS {
            counters.paced_ms = at_ms;
        }
        counters.now_ms
    }

    /// The steady time of the entry that is being applied.
    pub fn steady_ms(&self) -> i64 {
        self.counters.steady_ms
    }

    /// The time of the entry that is being applied.
    pub fn now_ms(&self) -> i64 {
        self.counters.now_ms
    }

    /// A new inode's id.
    pub fn new_id(&mut self) -> FileId {
        let id = FileId::from_container(self.counters.next_container);
        self.counters.next_container += 1;
        id
    }

    pub fn get(&self, place: &Place) -> Result<Option<Arc<Inode>>, Fault> {
        match self.tree.get(place) {
            Some(inode) => Ok(inode.clone()),
            None => self.store.inode_at(place.as_bytes()),
        }
    }

    pub fn put(&mut self, place: Place, inode: Option<Arc<Inode>>) {
        let old = self.tree.insert(place.clone(), inode);
        self.undo.push(Undo::Tree(place, old));
    }

    /// Where the inode `id` lies.
    pub fn place(&self, id: FileId) -> Result<Option<Place>, Fault> {
        match self.ids.get(&id) {
            Some(place) => Ok(place.clone()),
            None => self.store.place(id),
        }
    }

    pub fn put_place(&mut self, id: FileId, place: Option<Place>) {
        let old = self.ids.insert(id, place);
        self.undo.push(Undo::Id(id, old));
    }

    pub fn rest_bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.rest.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.store.disk.get(Table::Rest, key)?.map(|bytes| bytes.to_vec())),
        }
    }

    /// The value of a key of a section.
    pub fn rest<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        self.rest_bytes(key)?.map(|bytes| decode(&bytes, "a record")).transpose()
    }

    pub fn put_rest(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let old = self.rest.insert(key.clone(), value);
        self.undo.push(Undo::Rest(key, old));
    }

    pub fn set_rest<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.put_rest(key, Some(encode(value)));
    }

    /// At most `limit` keys and values from `start` up to `end`, in order.
    pub fn scan(
        &mut self,
        start: Bound<&[u8]>,
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let view = self.view.get_or_insert_with(|| self.store.disk.view());
        let mut found = Vec::new();
        for pair in view.range(Table::Rest, start, end) {
            let (key, value) = pair?;
            if !self.rest.contains_key(&*key) {
                found.push((key.to_vec(), value.to_vec()));
            }
            if found.len() >= limit {
                break;
            }
        }
        let written = self.rest.range::<[u8], _>((start, Bound::Unbounded));
        let written = written.take_while(|(key, _)| key.as_slice() < end);
        let written = written.filter_map(|(k, v)| Some((k.clone(), v.clone()?)));
        found.extend(written.take(limit));
        found.sort();
        found.truncate(limit);
        Ok(found)
    }

    /// All keys and values that start with `prefix`.
    pub fn prefix(&mut self, prefix: &[u8]) -> Result<Vec<Row>, Fault> {
        self.scan(Bound::Included(prefix), &after_prefix(prefix), usize::MAX)
    }

    /// At most `limit` children of `parent`, in the order of names, after the name `after`.
    pub fn children(
        &mut self,
        parent: FileId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Node>, Fault> {
        let first = Place::new(parent, after.unwrap_or_default());
        let start = match after {
            Some(_) => Bound::Excluded(first.as_bytes()),
            None => Bound::Included(first.as_bytes()),
        };
        let end = Place::new(FileId(parent.0 + 1), "");
        let view = self.view.get_or_insert_with(|| self.store.disk.view());
        let mut found = Vec::new();
        for pair in view.range(Table::Tree, start, end.as_bytes()) {
            let (key, value) = pair?;
            if !self.tree.contains_key(&*key) {
                let place = Place::from_bytes(&key).ok_or_else(|| Fault::damaged("a place"))?;
                found.push(Node { place, inode: Arc::new(decode(&value, "an inode")?) });
            }
            if found.len() >= limit {
                break;
            }
        }
        let written = self.tree.range::<[u8], _>((start, Bound::Excluded(end.as_bytes())));
        let written = written.filter_map(|(place, inode)| {
            Some(Node { place: place.clone(), inode: inode.clone()? })
        });
        found.extend(written.take(limit));
        found.sort_by(|a, b| a.place.cmp(&b.place));
        found.truncate(limit);
        Ok(found)
    }

    /// The inodes along `path`, the root's first, as far as there are any.
    pub fn walk(&self, path: &FsPath) -> Result<Vec<Node>, Stop> {
        let mut nodes = Vec::with_capacity(8);
        let mut place = Place::root();
        let mut names = path.components();
        loop {
            let Some(inode) = self.get(&place)? else { return Ok(nodes) };
            let (id, directory) = (inode.id, inode.is_directory());
            nodes.push(Node { place, inode });
            let Some(name) = names.next() else { return Ok(nodes) };
            if !directory {
                let message = format!("a component of {path} is not a directory");
                return Err(Error::new(ErrorKind::NotDirectory, message).into());
            }
            place = Place::new(id, name);
        }
    }

    /// The inode at `path`.
    pub fn at(&self, path: &FsPath) -> Result<Node, Stop> {
        let mut nodes = self.walk(path)?;
        match nodes.pop() {
            Some(node) if nodes.len() == path.components().count() => Ok(node),
            _ => Err(not_found(format!("{path} does not exist")).into()),
        }
    }

    /// The inode `id` and its path, if it is in the tree: also its parents must be. A next version
    /// has the path where it will be.
    pub fn find(&self, id: FileId) -> Result<Option<(FsPath, Node)>, Stop> {
        let Some(place) = self.place(id)? else { return Ok(None) };
        let Some(inode) = self.get(&place)? else { return Ok(None) };
        if let Some(path) = next::target(&place) {
            return Ok(Some((path?, Node { place, inode })));
        }
        let mut names = Vec::new();
        let mut at = place.clone();
        while at.parent() != FileId(0) {
            names.push(at.name().to_string());
            match self.place(at.parent())? {
                Some(parent) => at = parent,
                None => return Ok(None),
            }
        }
        let text = names.iter().rev().map(|name| format!("/{name}")).collect::<String>();
        let path = if text.is_empty() { FsPath::root() } else { FsPath::parse(&text)? };
        Ok(Some((path, Node { place, inode })))
    }

    /// Adds an inode that has not been anywhere yet.
    pub fn insert(&mut self, place: Place, inode: Inode) {
        self.put_place(inode.id, Some(place.clone()));
        for (key, value) in index(&inode) {
            self.put_rest(key, Some(value));
        }
        self.put(place, Some(Arc::new(inode)));
    }

    /// Replaces `old` by `new`, which has the same id and place.
    pub fn update(&mut self, node: &Node, new: Inode) {
        let (old_rows, new_rows) = (index(&node.inode), index(&new));
        for (key, _) in old_rows.iter().filter(|(key, _)| !new_rows.iter().any(|(k, _)| k == key)) {
            self.put_rest(key.clone(), None);
        }
        for row in new_rows.into_iter().filter(|row| !old_rows.contains(row)) {
            self.put_rest(row.0, Some(row.1));
        }
        self.put(node.place.clone(), Some(Arc::new(new)));
    }

    /// Takes an inode out of the tree for good: a file's blocks are to be freed, a directory is to
    /// be taken apart. Cost does not depend on what is below it.
    pub fn remove(&mut self, node: &Node) -> Result<(), Fault> {
        let inode = &node.inode;
        self.put(node.place.clone(), None);
        self.put_place(inode.id, None);
        for (key, _) in index(inode) {
            self.put_rest(key, None);
        }
        if inode.persistence == PersistenceState::ToBePersisted {
            self.put_rest(Section::ToPersist.of(inode.id), None);
        }
        if inode.is_directory() {
            self.set_rest(Section::Reap.of(inode.id), &"");
            self.counters.reap_from = self.counters.reap_from.min(inode.id.0);
        }
        let Some(file) = inode.file() else { return Ok(()) };
        let mut blocks = inode.block_count();
        if file.located {
            blocks = blocks.max(self.drop_locations(inode.id)?);
        }
        self.set_rest(Section::Freed.of(inode.id), &blocks);
        self.counters.freed_from = self.counters.freed_from.min(inode.id.0);
        Ok(())
    }

    /// Forgets where a file's blocks are; the number of its last block that was known, plus one.
    pub fn drop_locations(&mut self, id: FileId) -> Result<u64, Fault> {
        let mut blocks = 0;
        for (key, _) in self.prefix(&Section::Locations.of(id))? {
            let block = super::store::id_in(Section::Locations, &key);
            blocks = blocks.max(crate::core::model::BlockId(block.0).index() + 1);
            self.put_rest(key, None);
        }
        Ok(blocks)
    }

    /// Notes that a child of the directory at `place` came or went.
    pub fn touch_directory(&mut self, place: &Place, removed: bool) -> Result<(), Fault> {
        let Some(inode) = self.get(place)? else { return Ok(()) };
        let now = self.now_ms();
        let mut inode = Inode::clone(&inode);
        inode.modified_ms = inode.modified_ms.max(now);
        if let (true, crate::master::inode::Kind::Directory(directory)) = (removed, &mut inode.kind)
        {
            directory.removed_ms = now;
        }
        self.put(place.clone(), Some(Arc::new(inode)));
        Ok(())
    }

    /// Tells those who watch.
    pub fn notice(&mut self, path: &FsPath, subtree: bool) {
        if self.watched {
            self.notices.push(Notice { path: path.clone(), subtree });
        }
    }

    /// Everything to be written.
    pub fn puts(&self) -> impl Iterator<Item = Put> + '_ {
        let tree = self.tree.iter().map(|(place, inode)| {
            (Table::Tree, place.as_bytes().to_vec(), inode.as_ref().map(|inode| encode(&**inode)))
        });
        let ids = self.ids.iter().map(|(id, place)| {
            let value = place.as_ref().map(|place| place.as_bytes().to_vec());
            (Table::Ids, id.0.to_be_bytes().to_vec(), value)
        });
        let rest = self.rest.iter().map(|(k, v)| (Table::Rest, k.clone(), v.clone()));
        tree.chain(ids).chain(rest)
    }

    /// Brings the caches up to what was written.
    pub fn refresh_caches(self) {
        for (place, inode) in self.tree {
            self.store.refresh(place, inode);
        }
        for (id, place) in self.ids {
            self.store.refresh_place(id, place);
        }
    }

    /// Whether the cluster has been given its root.
    pub fn is_initialized(&self) -> Result<bool, Fault> {
        Ok(self.place(ROOT)?.is_some())
    }
}

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, old: Option<V>) {
    match old {
        Some(old) => map.insert(key, old),
        None => map.remove(&key),
    };
}

/// The rows by which an inode is found other than by place and id.
fn index(inode: &Inode) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    if let Some(expires_ms) = inode.expires_ms() {
        rows.push((Section::Ttl.at(expires_ms, inode.id), Vec::new()));
    }
    if inode.pinned() {
        // Any medium is no byte.
        let media = inode.pinned_media();
        let media = if media.is_any() { Vec::new() } else { vec![media.bits()] };
        rows.push((Section::Pinned.of(inode.id), media));
    }
    if inode.extra.is_some() && inode.file().is_some() && inode.replication().is_set() {
        rows.push((Section::Replicated.of(inode.id), vec![u8::from(inode.is_persisted())]));
    }
    if inode.file().is_some_and(|file| !file.completed) {
        rows.push((Section::Incomplete.of(inode.id), encode(&inode.created_ms)));
    }
    rows
}
