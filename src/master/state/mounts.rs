//! Changes of the mount table, and the first entry of all.

use super::namespace::{exists, make_room, new_inode, remove, set_directory, set_extra};
use super::store::Stop;
use super::transaction::Transaction;
use crate::core::error::{already_exists, failed_precondition, invalid_argument, not_found};
use crate::core::model::{FileId, FsPath, MountId, MountInfo, PersistenceState};
use crate::master::inode::keys::{Section, number};
use crate::master::inode::{Directory, Inode, Kind, Place};
use crate::master::journal::entry::{Initialize, Mount, Outcome, UpdateMount};

/// A directory at the root of a mount: it stands for one that exists, with children to be found.
fn mount_point() -> Kind {
    Kind::Directory(Directory { mount_point: true, ..Default::default() })
}

fn mount_key(path: &FsPath) -> Vec<u8> {
    Section::Mounts.key(&[path.as_str().as_bytes()])
}

fn store(tx: &mut Transaction, mount: MountInfo) -> MountId {
    let id = mount.id;
    tx.set_rest(mount_key(&mount.path), &mount);
    tx.mounts = tx.mounts.with(mount);
    id
}

pub(super) fn initialize(tx: &mut Transaction, init: &Initialize) -> Result<Outcome, Stop> {
    if tx.is_initialized()? {
        return Err(already_exists("the cluster has been initialized already").into());
    }
    let mut root = new_inode(tx, &init.ownership, mount_point());
    root.persistence = PersistenceState::Persisted;
    tx.insert(Place::root(), root);
    tx.set_rest(super::cluster_key(), &init.cluster_id);
    let id = tx.counters.next_mount;
    tx.counters.next_mount += 1;
    store(
        tx,
        MountInfo {
            id,
            path: FsPath::root(),
            ufs: init.ufs.clone(),
            read_only: false,
            shared: true,
            properties: init.properties.clone(),
        },
    );
    Ok(Outcome::Mounted(id))
}

pub(super) fn mount(tx: &mut Transaction, mount: &Mount) -> Result<Outcome, Stop> {
    let path = &mount.path;
    tx.mounts.check_new(path, &mount.ufs)?;
    let room = make_room(tx, path, &mount.ownership, mount.parents_mode, false)?;
    let attributes = &mount.attributes;
    let dress = |inode: &mut Inode| {
        set_extra(inode, attributes);
        inode.persistence = PersistenceState::Persisted;
        inode.kind = mount_point();
        if let Kind::Directory(directory) = &mut inode.kind {
            set_directory(directory, attributes);
        }
    };
    match room {
        Ok(place) => {
            let mut inode = new_inode(tx, &mount.ownership, mount_point());
            dress(&mut inode);
            tx.insert(place, inode);
        }
        Err(node) => {
            if !node.inode.is_directory() {
                return Err(exists(path, &node).into());
            }
            if !tx.children(node.inode.id, None, 1)?.is_empty() {
                let message = format!("{path} is not empty: mount at an empty or a new directory");
                return Err(failed_precondition(message).into());
            }
            let mut inode = Inode::clone(&node.inode);
            dress(&mut inode);
            inode.changed_ms = tx.now_ms();
            tx.update(&node, inode);
        }
    }
    let id = tx.counters.next_mount;
    tx.counters.next_mount += 1;
    store(
        tx,
        MountInfo {
            id,
            path: path.clone(),
            ufs: mount.ufs.clone(),
            read_only: mount.read_only,
            shared: mount.shared,
            properties: mount.properties.clone(),
        },
    );
    tx.notice(path, true);
    Ok(Outcome::Mounted(id))
}

pub(super) fn unmount(tx: &mut Transaction, path: &FsPath) -> Result<Outcome, Stop> {
    if path.is_root() {
        return Err(invalid_argument("the root mount cannot be unmounted").into());
    }
    let not_mounted = || not_found(format!("{path} is not a mount point"));
    tx.mounts.at(path).ok_or_else(not_mounted)?;
    if let Some(inner) = tx.mounts.below(path) {
        let message = format!("{path} holds the mount point {}: unmount that first", inner.path);
        return Err(failed_precondition(message).into());
    }
    for (key, _) in tx.prefix(&Section::ToPersist.key(&[]))? {
        let id = FileId(number(&key, 1));
        if let Some((file, _)) = tx.find(id)?
            && file.starts_with(path)
        {
            let message =
                format!("{file} is not in the under store yet: wait, or delete it, then unmount");
            return Err(failed_precondition(message).into());
        }
    }
    let node = tx.at(path)?;
    remove(tx, &node)?;
    tx.put_rest(mount_key(path), None);
    tx.mounts = tx.mounts.without(path);
    tx.notice(path, true);
    Ok(Outcome::Done)
}

pub(super) fn update(tx: &mut Transaction, update: &UpdateMount) -> Result<Outcome, Stop> {
    let path = &update.path;
    let found = tx.mounts.at(path).cloned();
    let found = found.ok_or_else(|| not_found(format!("{path} is not a mount point")))?;
    let mut mount = MountInfo::clone(&found);
    if let Some(ufs) = &update.ufs
        && *ufs != mount.ufs
    {
        tx.mounts.without(path).check_new(path, ufs)?;
        mount.ufs = ufs.clone();
    }
    if let Some(read_only) = update.read_only {
        mount.read_only = read_only;
    }
    if let Some(shared) = update.shared {
        mount.shared = shared;
    }
    if let Some(properties) = &update.properties {
        mount.properties = properties.clone();
    }
    store(tx, mount);
    tx.notice(path, true);
    Ok(Outcome::Done)
}
