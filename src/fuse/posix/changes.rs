//! Changes to the tree: attributes, names, directories.

use super::{Entry, Posix};
use crate::client::{CreateDirOptions, DeleteOptions, FileSystem, SetAttributes};
use crate::core::model::FsPath;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Write, Writing};
use crate::fuse::inodes::Known;
use crate::fuse::posix::writes::{Caller, How};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What setattr changes; what is none stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Number of the owning user.
    pub uid: Option<u32>,
    /// Number of the owning group.
    pub gid: Option<u32>,
    /// Bytes in the file.
    pub size: Option<u64>,
    /// Milliseconds since 1970.
    pub accessed_ms: Option<i64>,
    /// Milliseconds since 1970.
    pub modified_ms: Option<i64>,
}

impl Posix {
    /// The file system as the user `uid` of this host; as the one who mounted where this host has no
    /// name for that user.
    pub(super) fn files_of(&self, uid: u32) -> FileSystem {
        if uid == nix::unistd::geteuid().as_raw() {
            return self.files.clone();
        }
        match self.owners.user(uid) {
            Some(name) => self.files.as_user(&name),
            None => self.files.clone(),
        }
    }

    /// Changes attributes of `ino`.
    ///
    /// # Errors
    /// `EBUSY` for the length of a file that another mount is making.
    pub async fn change(&self, ino: u64, change: Change, caller: Caller) -> Result<Entry, Errno> {
        self.check_writable()?;
        if let Some(size) = change.size {
            self.resize(ino, size, caller).await?;
        }
        if let Some(write) = self.handles.writing(ino) {
            self.change_written(&write, change, caller).await?;
            return Ok(self.entry_of_write(&write));
        }
        let wanted = self.wanted(change);
        if wanted != SetAttributes::default() {
            self.set(&self.inodes.path(ino)?, &wanted, caller).await?;
            self.inodes.touched(ino);
        }
        self.attributes(ino).await
    }

    /// Gives `ino` another length. Where nobody else writes it, it is published so.
    async fn resize(&self, ino: u64, size: u64, caller: Caller) -> Result<(), Errno> {
        let write = self.enter_write(ino, caller.uid).await?;
        let resized = self.resize_written(&write, size).await;
        // A file that was just emptied keeps the error of that.
        let left = self.leave(&write, true).await;
        resized.and(left)
    }

    async fn resize_written(&self, write: &Arc<Write>, size: u64) -> Result<(), Errno> {
        if write.staged().is_none()
            && matches!(*write.state.lock().await, Writing::Stream(_))
            && size == write.length.load(Ordering::Acquire)
        {
            return Ok(());
        }
        self.prepare(write, How { truncate: size == 0, stream: false, whole: false }).await?;
        match write.staged() {
            Some(staged) if size > 0 => staged.truncate(size).await,
            _ => Ok(()),
        }
    }

    /// Changes attributes of a file that is being changed: now what publishing leaves alone, the rest
    /// with it.
    async fn change_written(
        &self,
        write: &Arc<Write>,
        change: Change,
        caller: Caller,
    ) -> Result<(), Errno> {
        let mut wanted = self.wanted(change);
        // Held so that the file is not completed between the question and the answer.
        let state = write.state.lock().await;
        if matches!(*state, Writing::Stream(_)) {
            let mut later = write.later.lock();
            let kept = later.get_or_insert_default();
            kept.mode = wanted.mode.or(kept.mode);
            kept.owner = wanted.owner.or(kept.owner.take());
            kept.group = wanted.group.or(kept.group.take());
            kept.modified_ms = wanted.modified_ms.or(kept.modified_ms);
            kept.accessed_ms = wanted.accessed_ms.or(kept.accessed_ms);
            return Ok(());
        }
        let new = matches!(*state, Writing::Staged(Some(_)));
        if let Some(staged) = write.staged()
            && let Some(modified_ms) = wanted.modified_ms
        {
            let later = new || staged.is_dirty() || write.is_unlinked();
            staged.set_modified(modified_ms, later);
            wanted.modified_ms = wanted.modified_ms.filter(|_| !later);
        }
        drop(state);
        if wanted == SetAttributes::default() {
            return Ok(());
        }
        if write.is_unlinked() {
            self.change_unlinked(write, change);
            return Ok(());
        }
        self.set(&self.place_of(write), &wanted, caller).await?;
        self.inodes.touched(write.ino);
        self.refresh(write).await.map(drop)
    }

    /// Nobody but those who have it open will ever see these.
    fn change_unlinked(&self, write: &Write, change: Change) {
        let mut known = write.known.lock();
        let mut status = known.status.clone();
        status.mode = change.mode.unwrap_or(status.mode);
        status.accessed_ms = change.accessed_ms.unwrap_or(status.accessed_ms);
        let uid = change.uid.unwrap_or(known.uid);
        let gid = change.gid.unwrap_or(known.gid);
        *known = Arc::new(Known { status, uid, gid });
    }

    fn wanted(&self, change: Change) -> SetAttributes {
        let user = |uid: u32| self.owners.user(uid).unwrap_or_else(|| uid.to_string());
        let group = |gid: u32| self.owners.group(gid).unwrap_or_else(|| gid.to_string());
        SetAttributes {
            mode: change.mode.map(|mode| mode & 0o7777),
            owner: change.uid.map(user),
            group: change.gid.map(group),
            accessed_ms: change.accessed_ms,
            modified_ms: change.modified_ms,
            ..SetAttributes::default()
        }
    }

    async fn set(&self, path: &FsPath, set: &SetAttributes, caller: Caller) -> Result<(), Errno> {
        Ok(self.files_of(caller.uid).set_attributes(path, set).await?)
    }

    /// Makes the directory `name` in `parent`.
    ///
    /// # Errors
    /// `EEXIST` where something is.
    pub async fn make_dir(
        &self,
        (parent, name): (u64, &str),
        mode: u32,
        caller: Caller,
    ) -> Result<Entry, Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        let options = CreateDirOptions { mode: Some(mode & 0o7777), ..CreateDirOptions::default() };
        self.files_of(caller.uid).create_dir(&path, &options).await?;
        self.inodes.touched(parent);
        self.lookup(parent, name).await
    }

    /// Makes the link `name` in `parent` that says `target`.
    ///
    /// # Errors
    /// `EEXIST` where something is.
    pub async fn make_link(
        &self,
        (parent, name): (u64, &str),
        target: &str,
        caller: Caller,
    ) -> Result<Entry, Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        self.files_of(caller.uid).symlink(&path, target).await?;
        self.inodes.touched(parent);
        self.lookup(parent, name).await
    }

    /// Deletes the file, or the empty directory, `name` in `parent`.
    ///
    /// # Errors
    /// `ENOTEMPTY`; `ENOENT`.
    pub async fn remove(&self, (parent, name): (u64, &str), caller: Caller) -> Result<(), Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        let open = self.before_unlink(parent, name).await?;
        self.files_of(caller.uid).delete(&path, &DeleteOptions::default()).await?;
        self.inodes.removed(parent, name);
        self.unlinked(open).await;
        Ok(())
    }

    /// A name is about to go: whoever has its file open for writing keeps all its bytes.
    async fn before_unlink(&self, parent: u64, name: &str) -> Result<Option<Arc<Write>>, Errno> {
        let ino = self.inodes.number_at(parent, name);
        let Some(write) = ino.and_then(|ino| self.handles.writing(ino)) else { return Ok(None) };
        let at_rest = matches!(*write.state.lock().await, Writing::Published);
        if write.staged().is_some() || !at_rest {
            self.staged(&write).await?.fetch().await?;
        }
        Ok(Some(write))
    }

    /// The name of a file that is open is gone.
    async fn unlinked(&self, write: Option<Arc<Write>>) {
        let Some(write) = write else { return };
        write.unlinked.store(true, Ordering::Release);
        let mut state = write.state.lock().await;
        let before = std::mem::replace(&mut *state, Writing::Staged(None));
        drop(state);
        if let Writing::Staged(Some(first)) = before {
            first.cancel().await;
        }
        if let Some(staged) = write.staged() {
            staged.forget();
        }
        self.end(&write);
    }

    /// Moves `from` to `to`; with `replace`, what is at `to` makes room, at once.
    ///
    /// # Errors
    /// `EEXIST` where something is at `to` and must not be replaced.
    pub async fn rename(
        &self,
        from: (u64, &str),
        to: (u64, &str),
        replace: bool,
        caller: Caller,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        let (source, target) =
            (self.inodes.path_of(from.0, from.1)?, self.inodes.path_of(to.0, to.1)?);
        if source == target {
            return Ok(());
        }
        let moved = self.inodes.number_at(from.0, from.1);
        if let Some(write) = moved.and_then(|ino| self.handles.writing(ino)) {
            // Under its new name it is what was written under the old.
            self.publish(&write).await?;
        }
        let open = if replace { self.before_unlink(to.0, to.1).await? } else { None };
        let files = self.files_of(caller.uid);
        match replace {
            true => files.rename_over(&source, &target).await?,
            false => files.rename(&source, &target).await?,
        }
        self.inodes.renamed(from, to);
        self.unlinked(open).await;
        Ok(())
    }

    /// Sets the extended attribute `name` of `ino`.
    ///
    /// # Errors
    /// `EEXIST` or `ENODATA` where `flags` (setxattr(2)) ask for the opposite of what is.
    pub async fn set_xattr(
        &self,
        ino: u64,
        (name, value): (&str, Vec<u8>),
        flags: i32,
        caller: Caller,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        let there = self.find(ino).await?.known.status.xattrs.contains_key(name);
        if flags & libc::XATTR_CREATE != 0 && there {
            return Err(Errno::EXISTS);
        }
        if flags & libc::XATTR_REPLACE != 0 && !there {
            return Err(Errno::NO_DATA);
        }
        let set_xattrs = [(name.to_string(), value)].into();
        let set = SetAttributes { set_xattrs, ..SetAttributes::default() };
        self.set(&self.inodes.path(ino)?, &set, caller).await?;
        self.inodes.touched(ino);
        Ok(())
    }

    /// Removes the extended attribute `name` of `ino`.
    ///
    /// # Errors
    /// `ENODATA` when it has none of that name.
    pub async fn remove_xattr(&self, ino: u64, name: &str, caller: Caller) -> Result<(), Errno> {
        self.check_writable()?;
        if !self.find(ino).await?.known.status.xattrs.contains_key(name) {
            return Err(Errno::NO_DATA);
        }
        let set = SetAttributes { remove_xattrs: vec![name.into()], ..SetAttributes::default() };
        self.set(&self.inodes.path(ino)?, &set, caller).await?;
        self.inodes.touched(ino);
        Ok(())
    }
}
