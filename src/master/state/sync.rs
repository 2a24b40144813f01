//! What the under store holds of a directory becomes what the tree says of it.
//!
//! The listing was taken some time ago, without a lock. So whatever changed here since it began
//! is left alone, and when a child was removed here since then the whole entry is refused: the
//! listing may show the child still. What is in the cache only is never touched.

use super::namespace::new_inode;
use super::stage;
use super::store::Stop;
use super::transaction::{Node, Transaction};
use crate::core::error::{Error, ErrorKind, failed_precondition, invalid_argument, not_found};
use crate::core::model::{FileId, FsPath, PersistenceState, media, replication};
use crate::master::inode::{Directory, Extra, File, Inode, Kind, Place};
use crate::master::journal::entry::{Found, Outcome, SyncLoad, SyncScope, Synced};
use std::collections::BTreeMap;

/// Inodes looked at below a directory that vanished, to see whether anything is only here.
const LOOKED_AT: usize = 1000;
/// Children compared at a time.
const PAGE: usize = 1000;

pub(super) fn load(tx: &mut Transaction, load: &SyncLoad) -> Result<Outcome, Stop> {
    let gone = || not_found(format!("no directory has the id {}", load.directory));
    let (path, node) = tx.find(load.directory)?.ok_or_else(gone)?;
    if let Some(job) = stage::holds_back(&tx.stages, &path) {
        return Err(failed_precondition(format!(
            "{path} stays as it is while job {job} loads its next version at once: wait until it has \
             ended, or cancel it"
        ))
        .into());
    }
    let outcome = merge(tx, &path, &node, load)?;
    if !matches!(&outcome, Outcome::Synced(synced) if *synced == Synced::default()) {
        tx.notice(&path, true);
    }
    Ok(outcome)
}

/// Makes a directory as it was found.
pub(super) fn merge(
    tx: &mut Transaction,
    path: &FsPath,
    node: &Node,
    load: &SyncLoad,
) -> Result<Outcome, Stop> {
    check_unchanged(path, node, load)?;
    let mut merge = Merge::new(tx, path, load);
    merge.found()?;
    merge.vanished()?;
    let synced = merge.synced;
    if load.loaded {
        mark_loaded(tx, node, load.listed_ms)?;
    }
    Ok(Outcome::Synced(synced))
}

/// Whether a listing can still be true of a directory.
pub(super) fn check_unchanged(path: &FsPath, node: &Node, load: &SyncLoad) -> Result<(), Stop> {
    let Some(directory) = node.inode.directory() else {
        let message = format!("{path} is not a directory");
        return Err(Error::new(ErrorKind::NotDirectory, message).into());
    };
    if directory.removed_ms >= load.listed_ms {
        let message = format!("{path} changed while it was listed; list it again");
        return Err(Error::new(ErrorKind::Aborted, message).into());
    }
    Ok(())
}

fn mark_loaded(tx: &mut Transaction, node: &Node, listed_ms: i64) -> Result<(), Stop> {
    let Some(inode) = tx.get(&node.place)? else { return Ok(()) };
    let mut inode = Inode::clone(&inode);
    if let Kind::Directory(directory) = &mut inode.kind {
        directory.children_loaded_ms = Some(listed_ms);
    }
    tx.put(node.place.clone(), Some(std::sync::Arc::new(inode)));
    Ok(())
}

/// A listing on its way into a directory.
pub(super) struct Merge<'a, 's> {
    tx: &'a mut Transaction<'s>,
    path: &'a FsPath,
    load: &'a SyncLoad,
    synced: Synced,
}

impl<'a, 's> Merge<'a, 's> {
    pub fn new(tx: &'a mut Transaction<'s>, path: &'a FsPath, load: &'a SyncLoad) -> Self {
        Merge { tx, path, load, synced: Synced::default() }
    }

    /// Adds what is new and replaces what is another version.
    fn found(&mut self) -> Result<(), Stop> {
        for found in &self.load.found {
            crate::core::model::path::check_name(&found.name)?;
            if !self.covers(&found.name) {
                let name = &found.name;
                let message = format!("{name:?} is outside the listing of {}", self.path);
                return Err(invalid_argument(message).into());
            }
            let place = Place::new(self.load.directory, &found.name);
            match self.tx.get(&place)? {
                None => {
                    self.add(place, found, None);
                    self.synced.added += 1;
                }
                Some(inode) => self.compare(Node { place, inode }, found)?,
            }
        }
        Ok(())
    }

    fn compare(&mut self, node: Node, found: &Found) -> Result<(), Stop> {
        if self.is_ours(&node)? || same(&node.inode, found) {
            return Ok(());
        }
        if node.inode.is_directory() && found.folder {
            if !node.inode.is_persisted() {
                let mut inode = Inode::clone(&node.inode);
                inode.persistence = PersistenceState::Persisted;
                self.tx.update(&node, inode);
            }
            return Ok(());
        }
        if node.inode.is_directory() && !self.only_underneath(node.inode.id)? {
            self.synced.kept.push(found.name.clone());
            return Ok(());
        }
        self.tx.remove(&node)?;
        self.add(node.place, found, node.inode.extra.as_deref());
        self.synced.replaced += 1;
        Ok(())
    }

    /// What the under store says nothing about: a mount point, what is in the cache only, what
    /// changed after the listing began, and what has a stage at or below it.
    pub fn is_ours(&self, node: &Node) -> Result<bool, Stop> {
        let mount_point = node.inode.directory().is_some_and(|d| d.mount_point);
        let in_cache_only = !node.inode.is_persisted() && !node.inode.is_directory();
        let staged = !self.tx.stages.is_empty()
            && node.place.parent() == self.load.directory
            && stage::is_above(&self.tx.stages, &self.path.join(node.place.name())?);
        let changed = node.inode.changed_ms >= self.load.listed_ms;
        Ok(mount_point || in_cache_only || changed || staged)
    }

    fn add(&mut self, place: Place, found: &Found, old: Option<&Extra>) {
        let inode = new_inode(self.tx, &found.ownership, kind_of(found));
        let mut inode = as_found(inode, found);
        inode.extra = kept_extra(old);
        self.tx.insert(place, inode);
    }

    /// Removes what the under store does not have any more.
    fn vanished(&mut self) -> Result<(), Stop> {
        for node in self.vanished_nodes()? {
            if node.inode.is_directory() && !self.only_underneath(node.inode.id)? {
                self.synced.kept.push(node.place.name().to_string());
                continue;
            }
            self.tx.remove(&node)?;
            self.synced.removed += 1;
        }
        Ok(())
    }

    /// What the under store had in the scope of the listing and was not found.
    pub fn vanished_nodes(&mut self) -> Result<Vec<Node>, Stop> {
        let names = self.load.found.iter().map(|found| found.name.as_str());
        let names = names.collect::<std::collections::BTreeSet<_>>();
        let (mut after, end) = match &self.load.scope {
            SyncScope::Found => return Ok(Vec::new()),
            SyncScope::Name(name) => {
                let place = Place::new(self.load.directory, name);
                let inode = if names.is_empty() { self.tx.get(&place)? } else { None };
                let node = inode.map(|inode| Node { place, inode });
                return self.had(node);
            }
            SyncScope::All => (None, None),
            SyncScope::Range(after, end) => (Some(after.clone()), end.as_deref()),
        };
        let mut vanished = Vec::new();
        loop {
            let page = self.tx.children(self.load.directory, after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(vanished) };
            after = Some(last.place.name().to_string());
            for node in page {
                if end.is_some_and(|end| node.place.name() > end) {
                    return Ok(vanished);
                }
                if !names.contains(node.place.name()) {
                    vanished.extend(self.had(Some(node))?);
                }
            }
        }
    }

    /// The node, if the under store had it. A directory that only we have is no news.
    fn had(&self, node: Option<Node>) -> Result<Vec<Node>, Stop> {
        let Some(node) = node.filter(|node| node.inode.is_persisted()) else { return Ok(vec![]) };
        Ok(if self.is_ours(&node)? { vec![] } else { vec![node] })
    }

    /// Whether everything below the directory is a copy of what the under store had, as far as a
    /// bounded look tells.
    pub fn only_underneath(&mut self, directory: FileId) -> Result<bool, Stop> {
        let mut directories = vec![directory];
        let mut looked_at = 0;
        while let Some(id) = directories.pop() {
            let children = self.tx.children(id, None, LOOKED_AT + 1 - looked_at)?;
            looked_at += children.len();
            if looked_at > LOOKED_AT {
                return Ok(false);
            }
            for child in children {
                if self.is_ours(&child)? || !child.inode.is_persisted() {
                    return Ok(false);
                }
                if child.inode.is_directory() {
                    directories.push(child.inode.id);
                }
            }
        }
        Ok(true)
    }

    /// Whether the listing says anything about a name.
    pub fn covers(&self, name: &str) -> bool {
        match &self.load.scope {
            SyncScope::All | SyncScope::Found => true,
            SyncScope::Name(one) => one == name,
            SyncScope::Range(after, end) => {
                name > after.as_str() && end.as_ref().is_none_or(|end| name <= end.as_str())
            }
        }
    }
}

/// What kind of inode stands for what was found.
pub(super) fn kind_of(found: &Found) -> Kind {
    match found {
        found if found.folder => Kind::Directory(Directory::default()),
        found if !found.symlink.is_empty() => Kind::Symlink(found.symlink.clone()),
        found => Kind::File(File {
            length: found.length,
            block_size: found.block_size.max(1),
            completed: true,
            cacheable: true,
            located: false,
            ufs_version: found.version.clone(),
        }),
    }
}

/// A new inode with what the under store says of it.
pub(super) fn as_found(mut inode: Inode, found: &Found) -> Inode {
    inode.persistence = PersistenceState::Persisted;
    if found.modified_ms > 0 {
        inode.created_ms = found.modified_ms;
        inode.modified_ms = found.modified_ms;
    }
    inode
}

/// What a user set on a path outlives its content; what describes the content does not.
pub(super) fn kept_extra(old: Option<&Extra>) -> Option<Box<Extra>> {
    let old = old?;
    let mut extra = Extra { xattrs: BTreeMap::new(), ..old.clone() };
    for name in [replication::MIN, replication::MAX, media::PINNED_MEDIA] {
        extra.xattrs.extend(old.xattrs.get_key_value(name).map(|(n, v)| (n.clone(), v.clone())));
    }
    (extra.pinned || extra.ttl_ms.is_some() || !extra.xattrs.is_empty()).then(|| Box::new(extra))
}

/// Whether everything below a directory is a copy of what the under store had before `listed_ms`.
pub(super) fn is_copy(tx: &mut Transaction, node: &Node, listed_ms: i64) -> Result<bool, Stop> {
    let load = SyncLoad {
        directory: node.inode.id,
        scope: SyncScope::Found,
        found: Vec::new(),
        listed_ms,
        loaded: false,
    };
    // The path matters only for stages below it, and none overlap.
    Merge::new(tx, &FsPath::root(), &load).only_underneath(node.inode.id)
}

/// Whether an inode stands for what was found.
pub(super) fn same(inode: &Inode, found: &Found) -> bool {
    match &inode.kind {
        Kind::Directory(_) => found.folder && inode.is_persisted(),
        Kind::Symlink(target) => *target == found.symlink,
        Kind::File(file) => {
            if found.folder || !found.symlink.is_empty() || file.length != found.length {
                return false;
            }
            if file.ufs_version.is_empty() || found.version.is_empty() {
                return found.modified_ms == 0 || inode.modified_ms == found.modified_ms;
            }
            file.ufs_version == found.version
        }
    }
}
