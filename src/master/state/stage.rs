//! Stages: the next version of a directory, beside the one that everybody sees.
//!
//! A stage has, for each name below its path that is to change, a row: the inode that will be there,
//! or that nothing will. Such an inode has an id of its own, so its blocks can be cached, and lies in a
//! directory that is in no other: no path leads there. A directory that is new is staged with all it
//! will hold and is one change, however much that is. Publishing puts the rows in place, all of them in
//! one entry; dropping a stage removes what it has and nothing else has changed. So who reads the tree
//! sees the one version or the other.
//!
//! As long as there is a stage nothing below its path follows the under store: listings taken
//! meanwhile are refused. What users do there goes on, and wins: a name that was changed here since
//! the under store was listed last stays as it is.

use super::namespace::new_inode;
use super::store::{Stop, encode, load_rows};
use super::sync::{self, Merge};
use super::transaction::{Node, Transaction};
use super::{Published, State, store::Store};
use crate::core::error::{
    Error, ErrorKind, Result, failed_precondition, not_found, resource_exhausted,
};
use crate::core::model::{FileId, FsPath, Status};
use crate::master::inode::keys::{Section, number};
use crate::master::inode::metastore::Fault;
use crate::master::inode::{Inode, Place};
use crate::master::journal::entry::{
    BeginStage, Found, Outcome, PublishStage, StageListing, Synced,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All stages, by the number of the job that makes them.
pub type Stages = Arc<BTreeMap<i64, Stage>>;

/// What is known of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The directory whose next version it is.
    pub path: FsPath,
    /// The directory that was there when it began.
    pub top: FileId,
    /// Where staged inodes lie.
    root: FileId,
    /// Names that will change.
    changes: u64,
    /// And how many may.
    most: u64,
}

fn record_key(stage: i64) -> Vec<u8> {
    Section::Stages.of(FileId(stage))
}

/// The row of `name` in `directory`.
fn row_key(stage: i64, directory: FileId, name: &str) -> Vec<u8> {
    let (stage, directory) = (stage.to_be_bytes(), directory.0.to_be_bytes());
    Section::Staged.key(&[&stage, &directory, name.as_bytes()])
}

/// The directory and the name of a row.
fn target_of(key: &[u8]) -> Result<Place, Fault> {
    let place = key.get(9..).and_then(Place::from_bytes);
    place.ok_or_else(|| Fault::damaged("a staged name"))
}

impl Stage {
    /// Where the inode lies that will be at `target`. No name has a slash, so none lies there twice.
    fn place(&self, target: &Place) -> Place {
        Place::new(self.root, &format!("{:016x}/{}", target.parent().0, target.name()))
    }

    /// Where an inode that lies at `place` in this stage will be; none if it lies elsewhere.
    fn target(&self, place: &Place) -> Option<Place> {
        let (directory, name) = place.name().split_once('/')?;
        let directory = i64::from_str_radix(directory, 16).ok()?;
        (place.parent() == self.root).then(|| Place::new(FileId(directory), name))
    }
}

/// All stages in the store.
pub(super) fn load_stages(store: &Store) -> Result<Stages> {
    let rows = load_rows::<Stage>(store, Section::Stages, "a stage")?;
    Ok(Arc::new(rows.into_iter().map(|(key, stage)| (number(&key, 1), stage)).collect()))
}

/// Whether something at or below `path` is held as it is: then what the under store says of it does
/// not count.
pub(super) fn holds_back(stages: &Stages, path: &FsPath) -> Option<i64> {
    let over = stages.iter().find(|(_, stage)| path.starts_with(&stage.path));
    over.map(|(id, _)| *id)
}

/// Whether there is a stage at or below `path`.
pub(super) fn is_above(stages: &Stages, path: &FsPath) -> bool {
    stages.values().any(|stage| stage.path.starts_with(path))
}

pub(super) fn begin(tx: &mut Transaction, begin: &BeginStage) -> Result<Outcome, Stop> {
    let (id, path) = (begin.stage, &begin.path);
    let node = tx.at(path)?;
    if !node.inode.is_directory() {
        let text = format!("{path} is no directory: a single file is replaced as a whole anyway");
        return Err(Error::new(ErrorKind::NotDirectory, text).into());
    }
    if let Some(mount) = tx.mounts.below(path).filter(|mount| mount.path != *path) {
        return Err(failed_precondition(format!(
            "{} is mounted below {path}, and changes by itself: load the directories beside it",
            mount.path
        ))
        .into());
    }
    if tx.stages.get(&id).is_some_and(|stage| stage.path == *path && stage.top == node.inode.id) {
        return Ok(Outcome::Done);
    }
    // Of another directory, or of an earlier life of the cluster: nobody goes on with it.
    drop_stage(tx, id)?;
    let overlaps = |stage: &Stage| stage.path.starts_with(path) || path.starts_with(&stage.path);
    if let Some((other, stage)) = tx.stages.iter().find(|(_, stage)| overlaps(stage)) {
        return Err(failed_precondition(format!(
            "job {other} loads {} at once: wait until it has ended, or cancel it",
            stage.path
        ))
        .into());
    }
    let (root, top) = (tx.new_id(), node.inode.id);
    let stage = Stage { path: path.clone(), top, root, changes: 0, most: begin.most };
    put_stage(tx, id, Some(stage));
    Ok(Outcome::Done)
}

fn put_stage(tx: &mut Transaction, id: i64, stage: Option<Stage>) {
    tx.put_rest(record_key(id), stage.as_ref().map(encode));
    let mut stages = BTreeMap::clone(&tx.stages);
    match stage {
        Some(stage) => stages.insert(id, stage),
        None => stages.remove(&id),
    };
    tx.stages = Arc::new(stages);
}

fn stage_of(tx: &Transaction, id: i64) -> Result<Stage, Stop> {
    let none = || not_found(format!("job {id} has no stage (any more)"));
    tx.stages.get(&id).cloned().ok_or_else(|| none().into())
}

/// What the under store has in a directory, for the stage to take in.
pub(super) fn listing(tx: &mut Transaction, staged: &StageListing) -> Result<Outcome, Stop> {
    let stage = stage_of(tx, staged.stage)?;
    let load = &staged.listing;
    if let Some((path, node)) = staged_directory(tx, &stage, load.directory)? {
        // It is new: nobody sees it yet, so it may be made as it is found.
        return sync::merge(tx, &path, &node, load);
    }
    let gone = || not_found(format!("no directory has the id {}", load.directory));
    let (path, node) = tx.find(load.directory)?.ok_or_else(gone)?;
    if !path.starts_with(&stage.path) {
        return Err(gone().into());
    }
    sync::check_unchanged(&path, &node, load)?;
    let changes = stage.changes;
    let mut overlay =
        Overlay { tx, id: staged.stage, stage, path, listing: staged, synced: Synced::default() };
    overlay.found()?;
    overlay.vanished()?;
    let Overlay { tx, stage, synced, .. } = overlay;
    if stage.changes > stage.most {
        return Err(resource_exhausted(format!(
            "more than {} names change in {}: load the directories in it one by one, or without \
             --atomic",
            stage.most, stage.path
        ))
        .into());
    }
    if stage.changes != changes {
        put_stage(tx, staged.stage, Some(stage));
    }
    Ok(Outcome::Synced(synced))
}

/// A directory that is staged, and the path where it will be; none where it is not of this stage.
fn staged_directory(
    tx: &Transaction,
    stage: &Stage,
    id: FileId,
) -> Result<Option<(FsPath, Node)>, Stop> {
    let Some(place) = tx.place(id)? else { return Ok(None) };
    let (mut at, mut names) = (place.clone(), Vec::new());
    while at.parent() != stage.root {
        names.push(at.name().to_string());
        match tx.place(at.parent())? {
            Some(parent) => at = parent,
            None => return Ok(None),
        }
    }
    let Some(target) = stage.target(&at) else { return Ok(None) };
    let Some((path, _)) = tx.find(target.parent())? else { return Ok(None) };
    let mut path = path.join(target.name())?;
    for name in names.iter().rev() {
        path = path.join(name)?;
    }
    let Some(inode) = tx.get(&place)?.filter(|inode| inode.is_directory()) else { return Ok(None) };
    Ok(Some((path, Node { place, inode })))
}

/// A listing of a directory that everybody sees, beside it.
struct Overlay<'a, 's> {
    tx: &'a mut Transaction<'s>,
    id: i64,
    stage: Stage,
    path: FsPath,
    listing: &'a StageListing,
    synced: Synced,
}

impl<'s> Overlay<'_, 's> {
    fn found(&mut self) -> Result<(), Stop> {
        for found in &self.listing.listing.found {
            crate::core::model::path::check_name(&found.name)?;
            let target = Place::new(self.listing.listing.directory, &found.name);
            let stays = match self.tx.get(&target)? {
                None => false,
                Some(inode) => {
                    let node = Node { place: target.clone(), inode };
                    self.stays(&node, found)?
                }
            };
            if stays {
                self.unstage(&target)?;
            } else {
                self.stage(target, found)?;
            }
        }
        Ok(())
    }

    /// Whether what everybody sees is as it was found, or not to be touched.
    fn stays(&mut self, node: &Node, found: &Found) -> Result<bool, Stop> {
        let mut merge = self.merge();
        if merge.is_ours(node)? || sync::same(&node.inode, found) {
            return Ok(true);
        }
        if node.inode.is_directory() {
            return Ok(found.folder || !merge.only_underneath(node.inode.id)?);
        }
        Ok(false)
    }

    fn merge(&mut self) -> Merge<'_, 's> {
        Merge::new(self.tx, &self.path, &self.listing.listing)
    }

    /// Has what was found take the place, unless it is to already.
    fn stage(&mut self, target: Place, found: &Found) -> Result<(), Stop> {
        let place = self.stage.place(&target);
        if let Some(inode) = self.tx.get(&place)? {
            if sync::same(&inode, found) {
                return Ok(());
            }
            self.tx.remove(&Node { place: place.clone(), inode })?;
        }
        let kind = sync::kind_of(found);
        let inode = new_inode(self.tx, &found.ownership, kind);
        let inode = sync::as_found(inode, found);
        self.put(&target, Some(Some(inode.id)))?;
        self.tx.insert(place, inode);
        self.synced.added += 1;
        Ok(())
    }

    /// Has nothing change there.
    fn unstage(&mut self, target: &Place) -> Result<(), Stop> {
        let key = row_key(self.id, target.parent(), target.name());
        if self.tx.rest_bytes(&key)?.is_none() {
            return Ok(());
        }
        let place = self.stage.place(target);
        if let Some(inode) = self.tx.get(&place)? {
            self.tx.remove(&Node { place, inode })?;
        }
        self.put(target, None)?;
        self.synced.removed += 1;
        Ok(())
    }

    /// The row of a name: which inode will be there, or that nothing will.
    fn put(&mut self, target: &Place, row: Option<Option<FileId>>) -> Result<(), Stop> {
        let key = row_key(self.id, target.parent(), target.name());
        let there = self.tx.rest_bytes(&key)?.is_some();
        self.stage.changes += u64::from(row.is_some());
        self.stage.changes -= u64::from(there);
        self.tx.put_rest(key, row.map(|row| encode(&row)));
        Ok(())
    }

    /// What the under store does not have any more will not be there, and what it had only lately will
    /// not come.
    fn vanished(&mut self) -> Result<(), Stop> {
        for node in self.merge().vanished_nodes()? {
            if node.inode.is_directory() && !self.merge().only_underneath(node.inode.id)? {
                continue;
            }
            let key = row_key(self.id, node.place.parent(), node.place.name());
            let place = self.stage.place(&node.place);
            if let Some(inode) = self.tx.get(&place)? {
                self.tx.remove(&Node { place, inode })?;
            } else if self.tx.rest_bytes(&key)?.is_some() {
                continue;
            }
            self.put(&node.place, Some(None))?;
            self.synced.removed += 1;
        }
        let directory = self.listing.listing.directory;
        let prefix = row_key(self.id, directory, "");
        for (key, row) in self.tx.prefix(&prefix)? {
            let target = target_of(&key)?;
            let staged = super::store::decode::<Option<FileId>>(&row, "a staged name")?;
            let found = self.listing.listing.found.iter().any(|found| found.name == target.name());
            if staged.is_some() && self.merge().covers(target.name()) && !found {
                self.unstage(&target)?;
            }
        }
        Ok(())
    }
}

/// Puts all that is staged in its place.
pub(super) fn publish(tx: &mut Transaction, publish: &PublishStage) -> Result<Outcome, Stop> {
    let stage = stage_of(tx, publish.stage)?;
    let top = tx.at(&stage.path)?;
    if top.inode.id != stage.top {
        let text = format!("{} is another directory now than when the load began", stage.path);
        return Err(failed_precondition(text).into());
    }
    let mut synced = Synced::default();
    for (key, row) in tx.prefix(&Section::Staged.of(FileId(publish.stage)))? {
        let target = target_of(&key)?;
        let row = super::store::decode::<Option<FileId>>(&row, "a staged name")?;
        let place = stage.place(&target);
        let staged = tx.get(&place)?.map(|inode| Node { place, inode });
        debug_assert_eq!(staged.as_ref().map(|node| node.inode.id), row);
        put_in_place(tx, &stage, publish, target, staged, &mut synced)?;
        tx.put_rest(key, None);
    }
    put_stage(tx, publish.stage, None);
    tx.notice(&stage.path, true);
    Ok(Outcome::Synced(synced))
}

fn put_in_place(
    tx: &mut Transaction,
    stage: &Stage,
    publish: &PublishStage,
    target: Place,
    staged: Option<Node>,
    synced: &mut Synced,
) -> Result<(), Stop> {
    let parent = tx.find(target.parent())?.filter(|(path, _)| path.starts_with(&stage.path));
    let Some((path, parent)) = parent else {
        // The directory has gone, and with it what was to come there.
        return staged.map_or(Ok(()), |node| Ok(tx.remove(&node)?));
    };
    let changed = |at_ms: i64| at_ms >= publish.listed_ms;
    if parent.inode.directory().is_some_and(|directory| changed(directory.removed_ms)) {
        let text = format!("{path} changed since it was listed; list it again");
        return Err(Error::new(ErrorKind::Aborted, text).into());
    }
    let old = tx.get(&target)?.map(|inode| Node { place: target.clone(), inode });
    if let Some(old) = &old {
        let ours = !old.inode.is_persisted() || changed(old.inode.changed_ms);
        let kept = ours || old.inode.is_directory() && !sync::is_copy(tx, old, publish.listed_ms)?;
        if kept {
            synced.kept.push(target.name().to_string());
            return staged.map_or(Ok(()), |node| Ok(tx.remove(&node)?));
        }
        tx.remove(old)?;
    }
    let Some(staged) = staged else {
        synced.removed += u32::from(old.is_some());
        return Ok(());
    };
    let mut inode = Inode::clone(&staged.inode);
    inode.changed_ms = tx.now_ms();
    inode.extra = old.as_ref().and_then(|old| sync::kept_extra(old.inode.extra.as_deref()));
    tx.put(staged.place, None);
    tx.insert(target, inode);
    match old {
        Some(_) => synced.replaced += 1,
        None => synced.added += 1,
    }
    Ok(())
}

/// Removes all that is staged.
pub(super) fn drop_stage(tx: &mut Transaction, id: i64) -> Result<Outcome, Stop> {
    let Some(stage) = tx.stages.get(&id).cloned() else { return Ok(Outcome::Done) };
    for (key, _) in tx.prefix(&Section::Staged.of(FileId(id)))? {
        let place = stage.place(&target_of(&key)?);
        if let Some(inode) = tx.get(&place)? {
            tx.remove(&Node { place, inode })?;
        }
        tx.put_rest(key, None);
    }
    put_stage(tx, id, None);
    Ok(Outcome::Done)
}

impl State {
    /// All stages.
    pub fn stages(&self) -> Stages {
        self.inner.published.read().stages.clone()
    }

    /// The job that makes the next version of what is at `path`; none when it follows the under store.
    pub fn held_back(&self, path: &FsPath) -> Option<i64> {
        let published = self.inner.published.read();
        if published.stages.is_empty() { None } else { holds_back(&published.stages, path) }
    }

    /// The inode that will be `name` in the directory `parent`, which may be staged itself.
    ///
    /// # Errors
    /// When the store fails.
    pub fn next_child(&self, stage: i64, parent: FileId, name: &str) -> Result<Option<Arc<Inode>>> {
        let published = self.inner.published.read();
        let store = &self.inner.store;
        let Some(known) = published.stages.get(&stage) else {
            return Err(not_found(format!("job {stage} has no stage (any more)")));
        };
        let target = Place::new(parent, name);
        match store.rest::<Option<FileId>>(&row_key(stage, parent, name))? {
            Some(Some(_)) => Ok(store.inode_at(known.place(&target).as_bytes())?),
            Some(None) => Ok(None),
            None => Ok(store.inode_at(target.as_bytes())?),
        }
    }

    /// What is known of an inode that is staged, under the path where it will be.
    ///
    /// # Errors
    /// `NotFound` when none such has the id.
    pub(super) fn staged_status(&self, published: &Published, id: FileId) -> Result<Status> {
        let gone = || not_found(format!("no file has the id {id}"));
        let store = &self.inner.store;
        let place = store.place(id)?.ok_or_else(gone)?;
        let inode = store.inode_at(place.as_bytes())?.ok_or_else(gone)?;
        let (mut at, mut names) = (place, Vec::new());
        let target = loop {
            if let Some(target) = published.stages.values().find_map(|stage| stage.target(&at)) {
                break target;
            }
            names.push(at.name().to_string());
            at = store.place(at.parent())?.ok_or_else(gone)?;
        };
        let (mut path, _) = self.find_locked(target.parent())?;
        path = path.join(target.name())?;
        for name in names.iter().rev() {
            path = path.join(name)?;
        }
        self.status_locked(&published.mounts, path, &inode)
    }
}
