//! Next versions: files that are written where nobody sees them, and then take the place of what is
//! at their path, in one entry.
//!
//! Until then such an inode lies in no directory: its place is below an id that no inode has, under a
//! name made of its own id and the path it is meant for. So it is found by its id, as the blocks that
//! workers hold of it are, and never by a path. It counts as incomplete, and one that nobody completes
//! goes as any incomplete file does.

use super::namespace::{
    completed, is_directory, mark_parents_persisted, new_inode, not_directory, some_extra,
};
use super::store::Stop;
use super::transaction::{Node, Transaction};
use crate::core::error::{
    Error, ErrorKind, Result as Outer, already_exists, invalid_argument, not_found,
};
use crate::core::model::{FileId, FsPath, PersistenceState, node};
use crate::master::inode::{Extra, File, Inode, Kind, Place};
use crate::master::journal::entry::{CreateFile, Outcome, Replace};
use std::sync::Arc;

/// The directory of all next versions; ids of inodes end in ones.
const NOWHERE: FileId = FileId(1);
/// Digits of an id in a name.
const DIGITS: usize = 16;
/// The extended attribute of a file whose under store has an older version at its path: that goes, or
/// moves, with the file, until the file is persisted itself.
pub(in crate::master) const BELOW: &str = "innerBelow";
/// Extended attributes that belong to one version of a file.
const OF_A_VERSION: [&str; 4] = ["innerWriteType", BELOW, "CrcType", "CrcValue"];

fn place(id: FileId, path: &FsPath) -> Place {
    Place::new(NOWHERE, &format!("{:0width$x}{path}", id.0, width = DIGITS))
}

/// The path that the next version at `place` is meant for; none where something else lies.
pub(super) fn target(place: &Place) -> Option<Outer<FsPath>> {
    let is_next = place.parent() == NOWHERE;
    is_next.then(|| FsPath::parse(place.name().get(DIGITS..).unwrap_or_default()))
}

/// The directory that `path` is in, and what is there.
pub(super) fn room(tx: &Transaction, path: &FsPath) -> Result<(Node, Option<Node>), Stop> {
    let mut nodes = tx.walk(path)?;
    let depth = path.components().count();
    let old = if nodes.len() > depth { nodes.pop() } else { None };
    match nodes.pop() {
        Some(_) if nodes.len() + 1 < depth => {
            let parent = path.parent().unwrap_or_else(FsPath::root);
            Err(not_found(format!("the parent directory {parent} does not exist")).into())
        }
        Some(parent) if parent.inode.is_directory() => Ok((parent, old)),
        Some(_) => Err(not_directory(path).into()),
        None => Err(invalid_argument("the root directory cannot be replaced").into()),
    }
}

/// As [`room`], where a file may be.
fn room_for_file(tx: &Transaction, path: &FsPath) -> Result<(Node, Option<Node>), Stop> {
    let (parent, old) = room(tx, path)?;
    match &old {
        Some(node) if node.inode.is_directory() => Err(is_directory(path).into()),
        Some(node) if node.inode.file().is_none() => {
            Err(already_exists(format!("{path} is a link")).into())
        }
        Some(node) if noted(&node.inode, node::ATTRIBUTE) => {
            let text = format!("{path} is a pipe, a socket or a device: it has no bytes");
            Err(already_exists(text).into())
        }
        _ => Ok((parent, old)),
    }
}

pub(super) fn create(tx: &mut Transaction, create: &CreateFile) -> Result<Outcome, Stop> {
    let path = &create.path;
    if create.block_size == 0 {
        return Err(invalid_argument(format!("{path}: the block size is 0")).into());
    }
    room_for_file(tx, path)?;
    let kind = Kind::File(File {
        block_size: create.block_size,
        cacheable: create.cacheable,
        ..Default::default()
    });
    let mut inode = new_inode(tx, &create.ownership, kind);
    inode.extra = some_extra(Extra { xattrs: create.xattrs.clone(), ..Default::default() });
    let id = inode.id;
    tx.insert(place(id, path), inode);
    Ok(Outcome::Created(id))
}

/// The next version `id`.
fn next(tx: &Transaction, id: FileId) -> Result<Option<Node>, Stop> {
    let Some(place) = tx.place(id)?.filter(|place| place.parent() == NOWHERE) else {
        return Ok(None);
    };
    Ok(tx.get(&place)?.map(|inode| Node { place, inode }))
}

pub(super) fn replace(tx: &mut Transaction, done: &Replace) -> Result<Outcome, Stop> {
    let path = &done.complete.path;
    let gone = || not_found(format!("{path}: what was being written was given up; write it again"));
    let (parent, old) = room_for_file(tx, path)?;
    let next = done.complete.id.map_or(Ok(None), |id| next(tx, id))?;
    let (node, old) = match (next, old) {
        (Some(node), old) => (node, old),
        // It was there, incomplete, from the beginning.
        (None, Some(node)) if done.complete.id.is_none_or(|id| id == node.inode.id) => (node, None),
        _ => return Err(gone().into()),
    };
    let place = Place::new(parent.inode.id, path.name());
    let moves = node.place != place;
    let there = old.as_ref().map(|old| old.inode.id);
    if moves && done.expected.is_some_and(|expected| expected != there) {
        let text = format!("{path} was changed by others since it was opened");
        return Err(Error::new(ErrorKind::Changed, text).into());
    }
    let mut inode = completed(tx, &node.inode, &done.complete)?;
    inode.modified_ms = done.modified_ms.unwrap_or(inode.modified_ms);
    match &old {
        Some(old) => {
            inherit(&old.inode, &mut inode);
            note_below(&old.inode, &mut inode);
            tx.remove(old)?;
        }
        None if moves => tx.touch_directory(&parent.place, false)?,
        None => {}
    }
    if inode.is_persisted() {
        mark_parents_persisted(tx, &place)?;
    }
    tx.update(&node, inode.clone());
    if moves {
        // Out of nowhere, and into the directory.
        tx.put(node.place, None);
        tx.put_place(inode.id, Some(place.clone()));
        tx.put(place, Some(Arc::new(inode)));
    }
    tx.notice(path, false);
    Ok(Outcome::Done)
}

/// A file that is overwritten stays the file it was, in all but its bytes.
fn inherit(old: &Inode, new: &mut Inode) {
    (new.owner, new.group, new.mode) = (old.owner.clone(), old.group.clone(), old.mode);
    new.created_ms = old.created_ms;
    let mut extra = old.extra.as_deref().cloned().unwrap_or_default();
    extra.xattrs.retain(|name, _| !OF_A_VERSION.contains(&name.as_str()));
    extra.xattrs.extend(new.extra.take().map(|extra| extra.xattrs).unwrap_or_default());
    new.extra = some_extra(extra);
}

fn noted(inode: &Inode, attribute: &str) -> bool {
    inode.extra.as_ref().is_some_and(|extra| extra.xattrs.contains_key(attribute))
}

/// What takes the place of something that the under store has, or is being given, and is not there itself,
/// has that older version below it.
pub(super) fn note_below(old: &Inode, new: &mut Inode) {
    let begun = old.persistence == PersistenceState::ToBePersisted;
    let below = old.is_persisted() || begun || noted(old, BELOW) || is_going_through(old);
    if new.is_directory() || new.is_persisted() || !below {
        return;
    }
    let extra = new.extra.get_or_insert_default();
    extra.xattrs.insert(BELOW.into(), Vec::new());
}

/// Whether it is being written to the under store, which may have it already.
fn is_going_through(inode: &Inode) -> bool {
    let xattrs = inode.extra.as_ref().map(|extra| &extra.xattrs);
    let name = xattrs.and_then(|xattrs| xattrs.get("innerWriteType"));
    let name = name.and_then(|name| std::str::from_utf8(name).ok());
    let through = matches!(name, Some("THROUGH" | "CACHE_THROUGH" | "TRY_CACHE"));
    through && inode.file().is_some_and(|file| !file.completed)
}

pub(super) fn drop_next(tx: &mut Transaction, id: FileId) -> Result<Outcome, Stop> {
    if let Some(node) = next(tx, id)? {
        tx.remove(&node)?;
    }
    Ok(Outcome::Done)
}
