//! Changes of the tree: create, complete, delete, rename, attributes.

use super::next;
use super::read::Location;
use super::store::{Stop, decode};
use super::transaction::{Node, Transaction};
use crate::core::error::{
    Error, ErrorKind, already_exists, failed_precondition, invalid_argument, not_found,
};
use crate::core::model::{
    BlockStatus, FileId, FsPath, PersistenceState, WorkerId,
    block::{MAX_BLOCKS, block_count},
};
use crate::master::inode::keys::{self, Section};
use crate::master::inode::{Directory, Extra, File, Inode, Kind, Place};
use crate::master::journal::entry::{
    Attributes, CommitLocation, CompleteFile, CreateDirectory, CreateFile, CreateNode,
    CreateSymlink, Delete, Deleted, Outcome, Ownership, Rename, SetAttributes, Target,
};
use std::collections::BTreeMap;

/// A new inode with nothing but an owner.
pub(super) fn new_inode(tx: &mut Transaction, ownership: &Ownership, kind: Kind) -> Inode {
    let now = tx.now_ms();
    Inode {
        id: tx.new_id(),
        owner: ownership.owner.clone(),
        group: ownership.group.clone(),
        mode: ownership.mode & 0o7777,
        created_ms: now,
        modified_ms: now,
        accessed_ms: 0,
        changed_ms: now,
        persistence: PersistenceState::NotPersisted,
        kind,
        extra: None,
    }
}

/// A directory that we made: nothing is in the under store that we do not know.
pub(super) fn new_directory(tx: &Transaction) -> Kind {
    Kind::Directory(Directory { children_loaded_ms: Some(tx.now_ms()), ..Default::default() })
}

/// The place for a new inode at `path`: nothing is there, and its parent is a directory, made now
/// if `parents_mode` says so. What is there otherwise is the error.
pub(super) fn make_room(
    tx: &mut Transaction,
    path: &FsPath,
    ownership: &Ownership,
    parents_mode: Option<u32>,
    persisted: bool,
) -> Result<Result<Place, Node>, Stop> {
    let mut nodes = tx.walk(path)?;
    let depth = path.components().count();
    if nodes.len() > depth {
        return Ok(Err(nodes.pop().expect("a walk starts with the root")));
    }
    let missing = depth - nodes.len();
    let parent = nodes.pop().expect("a walk starts with the root");
    if missing > 0 && parents_mode.is_none() {
        let parent = path.parent().unwrap_or_else(FsPath::root);
        return Err(not_found(format!("the parent directory {parent} does not exist")).into());
    }
    if !parent.inode.is_directory() {
        return Err(not_directory(path).into());
    }
    tx.touch_directory(&parent.place, false)?;
    let mut parent_id = parent.inode.id;
    let mut names = path.components().skip(depth - missing - 1);
    let last = path.name();
    for name in names.by_ref().take(missing) {
        let ownership =
            Ownership { mode: parents_mode.unwrap_or(ownership.mode), ..ownership.clone() };
        let kind = new_directory(tx);
        let mut inode = new_inode(tx, &ownership, kind);
        if persisted {
            inode.persistence = PersistenceState::Persisted;
        }
        let place = Place::new(parent_id, name);
        parent_id = inode.id;
        tx.insert(place, inode);
    }
    Ok(Ok(Place::new(parent_id, last)))
}

pub(super) fn not_directory(path: &FsPath) -> Error {
    let message = format!("a component of {path} is not a directory");
    Error::new(ErrorKind::NotDirectory, message)
}

pub(super) fn exists(path: &FsPath, node: &Node) -> Error {
    let what = if node.inode.is_directory() { "directory" } else { "file" };
    already_exists(format!("{what} {path} already exists"))
}

pub(super) fn create_file(tx: &mut Transaction, create: &CreateFile) -> Result<Outcome, Stop> {
    let path = &create.path;
    if create.block_size == 0 {
        return Err(invalid_argument(format!("{path}: the block size is 0")).into());
    }
    let place = match make_room(tx, path, &create.ownership, create.parents_mode, false)? {
        Ok(place) => place,
        Err(node) => return Err(exists(path, &node).into()),
    };
    let kind = Kind::File(File {
        block_size: create.block_size,
        cacheable: create.cacheable,
        ..Default::default()
    });
    let mut inode = new_inode(tx, &create.ownership, kind);
    let extra = Extra {
        xattrs: create.xattrs.clone(),
        pinned: false,
        ttl_ms: create.ttl_ms,
        ttl_action: create.ttl_action,
    };
    inode.extra = some_extra(extra);
    let id = inode.id;
    tx.insert(place, inode);
    tx.notice(path, false);
    Ok(Outcome::Created(id))
}

pub(super) fn create_directory(
    tx: &mut Transaction,
    create: &CreateDirectory,
) -> Result<Outcome, Stop> {
    let (path, persisted) = (&create.path, create.persisted);
    let place = match make_room(tx, path, &create.ownership, create.parents_mode, persisted)? {
        Ok(place) => place,
        Err(node) if create.allow_exists && node.inode.is_directory() => {
            return Ok(Outcome::Existed(node.inode.id));
        }
        Err(node) => return Err(exists(path, &node).into()),
    };
    let kind = new_directory(tx);
    let mut inode = new_inode(tx, &create.ownership, kind);
    if persisted {
        inode.persistence = PersistenceState::Persisted;
        mark_parents_persisted(tx, &place)?;
    }
    let extra = Extra { xattrs: create.xattrs.clone(), ..Default::default() };
    inode.extra = some_extra(extra);
    let id = inode.id;
    tx.insert(place, inode);
    tx.notice(path, false);
    Ok(Outcome::Created(id))
}

pub(super) fn create_symlink(
    tx: &mut Transaction,
    create: &CreateSymlink,
) -> Result<Outcome, Stop> {
    let path = &create.path;
    let longest = crate::core::model::path::MAX_PATH;
    if create.target.is_empty() || create.target.len() > longest {
        let length = create.target.len();
        let message = format!("{path}: a link's target has 1 to {longest} bytes, not {length}");
        return Err(invalid_argument(message).into());
    }
    let place = match make_room(tx, path, &create.ownership, None, false)? {
        Ok(place) => place,
        Err(node) => return Err(exists(path, &node).into()),
    };
    let mut inode = new_inode(tx, &create.ownership, Kind::Symlink(create.target.clone()));
    if create.persisted {
        inode.persistence = PersistenceState::Persisted;
    }
    let id = inode.id;
    tx.insert(place, inode);
    tx.notice(path, false);
    Ok(Outcome::Created(id))
}

/// A file without bytes is whole as soon as it is there.
pub(super) fn create_node(tx: &mut Transaction, create: &CreateNode) -> Result<Outcome, Stop> {
    let path = &create.path;
    let place = match make_room(tx, path, &create.ownership, None, false)? {
        Ok(place) => place,
        Err(node) => return Err(exists(path, &node).into()),
    };
    let kind = Kind::File(File { block_size: 1, completed: true, ..Default::default() });
    let mut inode = new_inode(tx, &create.ownership, kind);
    let extra = Extra { xattrs: create.xattrs.clone(), ..Default::default() };
    inode.extra = some_extra(extra);
    let id = inode.id;
    tx.insert(place, inode);
    tx.notice(path, false);
    Ok(Outcome::Created(id))
}

pub(super) fn complete_file(
    tx: &mut Transaction,
    complete: &CompleteFile,
) -> Result<Outcome, Stop> {
    let path = &complete.path;
    let node = tx.at(path)?;
    let id = node.inode.id;
    if complete.id.is_some_and(|expected| expected != id) {
        let message = format!("{path} is another file now: it was replaced while being written");
        return Err(not_found(message).into());
    }
    let inode = completed(tx, &node.inode, complete)?;
    if inode.is_persisted() {
        mark_parents_persisted(tx, &node.place)?;
    }
    tx.update(&node, inode);
    tx.notice(path, false);
    Ok(Outcome::Done)
}

/// An incomplete file as it is once it has been written to the end.
pub(super) fn completed(
    tx: &mut Transaction,
    incomplete: &Inode,
    complete: &CompleteFile,
) -> Result<Inode, Stop> {
    let path = &complete.path;
    let mut inode = incomplete.clone();
    let Kind::File(file) = &mut inode.kind else { return Err(is_directory(path).into()) };
    if file.completed {
        return Err(failed_precondition(format!("{path} has been completed already")).into());
    }
    if block_count(complete.length, file.block_size) > MAX_BLOCKS {
        let message = format!(
            "{path}: {} bytes are more than {MAX_BLOCKS} blocks of {} bytes; use larger blocks",
            complete.length, file.block_size
        );
        return Err(invalid_argument(message).into());
    }
    file.length = complete.length;
    file.completed = true;
    file.ufs_version = complete.ufs_version.clone();
    add_locations(tx, &mut inode, &complete.blocks, None)?;
    add_xattrs(&mut inode, &complete.xattrs);
    inode.modified_ms = tx.now_ms();
    inode.changed_ms = tx.now_ms();
    set_persistence(tx, &mut inode, complete.persistence, complete.persist_at_ms)?;
    Ok(inode)
}

pub(super) fn is_directory(path: &FsPath) -> Error {
    Error::new(ErrorKind::IsDirectory, format!("{path}: Is a directory"))
}

pub(super) fn commit_location(
    tx: &mut Transaction,
    commit: &CommitLocation,
    from: Option<WorkerId>,
) -> Result<Outcome, Stop> {
    let found = tx.find(commit.id)?;
    let (path, node) =
        found.ok_or_else(|| not_found(format!("no file has the id {}", commit.id)))?;
    let mut inode = Inode::clone(&node.inode);
    if inode.file().is_none() {
        return Err(is_directory(&path).into());
    }
    if inode.is_persisted() {
        // The report of a worker that came late: the bytes are safe elsewhere by now.
        return Ok(Outcome::Done);
    }
    add_locations(tx, &mut inode, &commit.blocks, from)?;
    if inode.persistence == PersistenceState::Lost
        && tx.prefix(&Section::Locations.of(inode.id))?.len() as u64 >= inode.block_count()
    {
        // The worker that was lost is back, with all that was missing.
        let now = tx.now_ms();
        set_persistence(tx, &mut inode, PersistenceState::ToBePersisted, now)?;
    }
    if inode != *node.inode {
        tx.update(&node, inode);
    }
    Ok(Outcome::Done)
}

/// Records who holds blocks of `inode`, beside those that are known already, but for `from`.
fn add_locations(
    tx: &mut Transaction,
    inode: &mut Inode,
    blocks: &[BlockStatus],
    from: Option<WorkerId>,
) -> Result<(), Stop> {
    let id = inode.id;
    let Kind::File(file) = &mut inode.kind else { return Ok(()) };
    for block in blocks {
        if block.id.file() != id {
            return Err(invalid_argument(format!("block {} is not of file {id}", block.id)).into());
        }
        let key = keys::location(block.id);
        let mut workers = tx.rest::<Location>(&key)?.map(|known| known.workers).unwrap_or_default();
        workers.extend(block.locations.iter().filter(|w| !workers.contains(w)).collect::<Vec<_>>());
        workers.retain(|worker| Some(*worker) != from);
        let location = Location { offset: block.offset, length: block.length, workers };
        tx.set_rest(key, &location);
        file.located = true;
    }
    Ok(())
}

/// Moves `inode` to another state of persistence, with what hangs on it.
pub(super) fn set_persistence(
    tx: &mut Transaction,
    inode: &mut Inode,
    state: PersistenceState,
    persist_at_ms: i64,
) -> Result<(), Stop> {
    let waiting = Section::ToPersist.of(inode.id);
    if state == PersistenceState::ToBePersisted {
        tx.set_rest(waiting, &persist_at_ms.max(0));
    } else if inode.persistence == PersistenceState::ToBePersisted {
        tx.put_rest(waiting, None);
    }
    if state == PersistenceState::Persisted
        && let Kind::File(file) = &mut inode.kind
        && file.located
    {
        file.located = false;
        tx.drop_locations(inode.id)?;
    }
    inode.persistence = state;
    Ok(())
}

/// What lies in the under store has its parents there too.
pub(super) fn mark_parents_persisted(tx: &mut Transaction, place: &Place) -> Result<(), Stop> {
    let mut id = place.parent();
    while let Some(parent) = tx.place(id)? {
        let Some(inode) = tx.get(&parent)? else { break };
        if inode.is_persisted() {
            break;
        }
        id = parent.parent();
        let mut inode = Inode::clone(&inode);
        inode.persistence = PersistenceState::Persisted;
        tx.put(parent, Some(std::sync::Arc::new(inode)));
    }
    Ok(())
}

pub(super) fn delete(tx: &mut Transaction, delete: &Delete) -> Result<Outcome, Stop> {
    let path = &delete.path;
    if path.is_root() {
        return Err(invalid_argument("the root directory cannot be deleted").into());
    }
    let node = tx.at(path)?;
    if delete.id.is_some_and(|expected| expected != node.inode.id) {
        return Err(not_found(format!("{path} is another file now")).into());
    }
    check_no_mount(tx, path, "deleted")?;
    let folder = node.inode.is_directory();
    if folder && !delete.recursive && !tx.children(node.inode.id, None, 1)?.is_empty() {
        let message = format!("directory {path} is not empty; delete it recursively");
        return Err(Error::new(ErrorKind::NotEmpty, message).into());
    }
    remove(tx, &node)?;
    tx.notice(path, folder);
    let (id, persisted) = (node.inode.id, node.inode.is_persisted());
    Ok(Outcome::Deleted(Deleted { id, folder, persisted }))
}

/// Takes a node out of the tree and notes it at its parent.
pub(super) fn remove(tx: &mut Transaction, node: &Node) -> Result<(), Stop> {
    tx.remove(node)?;
    if let Some(parent) = tx.place(node.place.parent())? {
        tx.touch_directory(&parent, true)?;
    }
    Ok(())
}

/// A mount point goes by unmounting it, and nothing that has one below goes over its head.
fn check_no_mount(tx: &Transaction, path: &FsPath, what: &str) -> Result<(), Stop> {
    let mount = tx.mounts.at(path).or_else(|| tx.mounts.below(path));
    match mount {
        None => Ok(()),
        Some(mount) => {
            let at = &mount.path;
            let message =
                format!("{path} cannot be {what}: {at} is a mount point; unmount it first");
            Err(failed_precondition(message).into())
        }
    }
}

pub(super) fn rename(tx: &mut Transaction, rename: &Rename, over: bool) -> Result<Outcome, Stop> {
    let (from, to) = (&rename.from, &rename.to);
    if from.is_root() || to.is_root() {
        return Err(invalid_argument("the root directory cannot be renamed").into());
    }
    let node = tx.at(from)?;
    if to != from && to.starts_with(from) {
        let message = format!("{from} cannot be renamed to {to}, which is inside it");
        return Err(invalid_argument(message).into());
    }
    check_no_mount(tx, from, "renamed")?;
    let mount = |path| tx.mounts.find(path).map(|mount| mount.id);
    if mount(from) != mount(to) {
        let message = format!("{from} and {to} are in different mounts: copy and delete instead");
        return Err(invalid_argument(message).into());
    }
    let (parent, old) = next::room(tx, to)?;
    let mut inode = Inode::clone(&node.inode);
    inode.changed_ms = tx.now_ms();
    match &old {
        Some(old) if !over => return Err(exists(to, old).into()),
        Some(old) if old.inode.id == inode.id => return Ok(Outcome::Done),
        Some(old) => make_way(tx, to, old, &mut inode)?,
        None => {}
    }
    let place = Place::new(parent.inode.id, to.name());
    if inode.is_persisted() {
        mark_parents_persisted(tx, &place)?;
    }
    let folder = inode.is_directory();
    tx.put(node.place.clone(), None);
    tx.put_place(inode.id, Some(place.clone()));
    tx.put(place, Some(std::sync::Arc::new(inode)));
    if let Some(old) = tx.place(node.place.parent())? {
        tx.touch_directory(&old, true)?;
    }
    tx.touch_directory(&parent.place, false)?;
    tx.notice(from, folder);
    tx.notice(to, folder);
    Ok(Outcome::Done)
}

/// What is at the path `to` goes, for `inode` to come there.
fn make_way(tx: &mut Transaction, to: &FsPath, old: &Node, inode: &mut Inode) -> Result<(), Stop> {
    check_no_mount(tx, to, "replaced")?;
    match (inode.is_directory(), old.inode.is_directory()) {
        (false, true) => return Err(is_directory(to).into()),
        (true, false) => {
            let message = format!("{to} is no directory, so none takes its place");
            return Err(Error::new(ErrorKind::NotDirectory, message).into());
        }
        (true, true) if !tx.children(old.inode.id, None, 1)?.is_empty() => {
            let message = format!("directory {to} is not empty");
            return Err(Error::new(ErrorKind::NotEmpty, message).into());
        }
        _ => {}
    }
    next::note_below(&old.inode, inode);
    Ok(tx.remove(old)?)
}

pub(super) fn set_attributes(tx: &mut Transaction, set: &SetAttributes) -> Result<Outcome, Stop> {
    match &set.target {
        Target::Path(path) => {
            let node = tx.at(path)?;
            set_on(tx, path, &node, &set.attributes)?;
        }
        Target::Inodes(ids) => {
            for id in ids {
                if let Some((path, node)) = tx.find(*id)? {
                    set_on(tx, &path, &node, &set.attributes)?;
                }
            }
        }
    }
    Ok(Outcome::Done)
}

fn set_on(
    tx: &mut Transaction,
    path: &FsPath,
    node: &Node,
    attributes: &Attributes,
) -> Result<(), Stop> {
    let mut inode = Inode::clone(&node.inode);
    set_common(&mut inode, attributes);
    set_extra(&mut inode, attributes);
    match &mut inode.kind {
        Kind::Directory(directory) => set_directory(directory, attributes),
        Kind::File(file) => {
            if let Some(version) = &attributes.ufs_version {
                file.ufs_version = version.clone();
            }
        }
        Kind::Symlink(_) => {}
    }
    if let Some(state) = attributes.persistence {
        if inode.file().is_some_and(|file| !file.completed) {
            return Err(incomplete(path).into());
        }
        set_persistence(tx, &mut inode, state, attributes.persist_at_ms)?;
        if inode.is_persisted() {
            mark_parents_persisted(tx, &node.place)?;
        }
    }
    // Who sets an owner, a mode or a time to what it is has changed the inode all the same.
    let chosen = attributes.owner.is_some()
        || attributes.group.is_some()
        || attributes.mode.is_some()
        || attributes.modified_ms.is_some()
        || attributes.accessed_ms.is_some();
    if inode == *node.inode && !chosen {
        return Ok(());
    }
    inode.changed_ms = tx.now_ms();
    tx.update(node, inode);
    tx.notice(path, false);
    Ok(())
}

fn incomplete(path: &FsPath) -> Error {
    Error::new(ErrorKind::Incomplete, format!("{path} is incomplete: it is still being written"))
}

fn set_common(inode: &mut Inode, attributes: &Attributes) {
    if let Some(owner) = &attributes.owner {
        inode.owner = owner.clone();
    }
    if let Some(group) = &attributes.group {
        inode.group = group.clone();
    }
    if let Some(mode) = attributes.mode {
        inode.mode = mode & 0o7777;
    }
    if let Some(ms) = attributes.modified_ms {
        inode.modified_ms = ms;
    }
    if let Some(ms) = attributes.accessed_ms {
        inode.accessed_ms = ms;
    }
}

pub(super) fn set_directory(directory: &mut Directory, attributes: &Attributes) {
    if let Some(read) = attributes.read_type {
        directory.read_type = read;
    }
    if let Some(write) = attributes.write_type {
        directory.write_type = write;
    }
    if let Some(loaded) = attributes.children_loaded_ms {
        directory.children_loaded_ms = loaded;
    }
}

pub(super) fn set_extra(inode: &mut Inode, attributes: &Attributes) {
    let mut extra = inode.extra.take().map(|extra| *extra).unwrap_or_default();
    if let Some(pinned) = attributes.pinned {
        extra.pinned = pinned;
    }
    if let Some(ttl) = attributes.ttl_ms {
        extra.ttl_ms = ttl;
    }
    if let Some(action) = attributes.ttl_action {
        extra.ttl_action = action;
    }
    for (name, value) in &attributes.set_xattrs {
        extra.xattrs.insert(name.clone(), value.clone());
    }
    for name in &attributes.remove_xattrs {
        extra.xattrs.remove(name);
    }
    inode.extra = some_extra(extra);
}

fn add_xattrs(inode: &mut Inode, xattrs: &BTreeMap<String, Vec<u8>>) {
    let attributes = Attributes { set_xattrs: xattrs.clone(), ..Default::default() };
    set_extra(inode, &attributes);
}

/// Nothing, where there is nothing.
pub(super) fn some_extra(extra: Extra) -> Option<Box<Extra>> {
    (extra != Extra::default()).then(|| Box::new(extra))
}

/// The workers that hold blocks of a file, by block.
pub(super) fn locations(
    tx: &mut Transaction,
    id: FileId,
) -> Result<Vec<(Vec<u8>, Location)>, Stop> {
    let rows = tx.prefix(&Section::Locations.of(id))?;
    let decoded = rows.into_iter().map(|(key, value)| {
        let location = decode::<Location>(&value, "a block's location")?;
        Ok((key, location))
    });
    decoded.collect()
}
