//! Changes to the tree: attributes, names, directories.

use super::{Entry, Posix};
use crate::client::{CreateDirOptions, DeleteOptions, FileSystem, SetAttributes};
use crate::core::error::ErrorKind;
use crate::core::model::FsPath;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Write, Writing};
use crate::fuse::posix::writes::Caller;
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
    /// `EOPNOTSUPP` for a length other than 0 and the one it has.
    pub async fn change(&self, ino: u64, change: Change, caller: Caller) -> Result<Entry, Errno> {
        self.check_writable()?;
        if let Some(write) = self.handles.writing(ino)
            && self.change_written(&write, change, caller).await?
        {
            return Ok(self.entry_of_write(&write));
        }
        let found = self.find(ino).await?;
        match change.size {
            Some(size) if size == found.known.status.length => {}
            Some(0) => {
                let handle = self.open_write(ino, true, caller).await?;
                let write = self.handles.write(handle).ok_or(Errno::BAD_HANDLE)?;
                self.change_written(&write, change, caller).await?;
                self.release(handle).await;
                return Ok(self.entry_of_write(&write));
            }
            Some(_) => return Err(Errno::UNSUPPORTED),
            None => {}
        }
        let path = self.inodes.path(ino)?;
        self.set(&path, &self.wanted(change), caller).await?;
        self.inodes.touched(ino);
        self.attributes(ino).await
    }

    /// Changes a file that is being written: now what completing leaves alone, the rest once it is
    /// complete. False when it turns out not to be written.
    async fn change_written(
        &self,
        write: &Arc<Write>,
        change: Change,
        caller: Caller,
    ) -> Result<bool, Errno> {
        if change.size == Some(0) {
            self.truncate(write, caller).await?;
        } else if change.size.is_some_and(|size| size != write.length.load(Ordering::Acquire)) {
            return Err(Errno::UNSUPPORTED);
        }
        // Held so that the file is not completed between the question and the answer.
        let state = write.state.lock().await;
        if !matches!(*state, Writing::Open(_)) {
            return Ok(false);
        }
        let wanted = self.wanted(change);
        let mut later = write.later.lock();
        let kept = later.get_or_insert_default();
        kept.mode = wanted.mode.or(kept.mode);
        kept.owner = wanted.owner.or(kept.owner.take());
        kept.group = wanted.group.or(kept.group.take());
        kept.modified_ms = wanted.modified_ms.or(kept.modified_ms);
        kept.accessed_ms = wanted.accessed_ms.or(kept.accessed_ms);
        Ok(true)
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
        self.files_of(caller.uid).delete(&path, &DeleteOptions::default()).await?;
        self.inodes.removed(parent, name);
        Ok(())
    }

    /// Moves `from` to `to`; with `replace`, what is at `to` makes room.
    ///
    /// The master never replaces, so what is in the way steps aside under another name and is
    /// deleted once its successor is in place: whatever happens in between, neither is lost.
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
        self.wait_for_names([from, to]).await?;
        let files = self.files_of(caller.uid);
        match files.rename(&source, &target).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists && replace => {
                replace_by_rename(&files, &source, &target).await?;
            }
            Err(error) => return Err(error.into()),
        }
        self.inodes.renamed(from, to);
        Ok(())
    }

    /// Waits for files under these names that are just being completed.
    async fn wait_for_names(&self, names: [(u64, &str); 2]) -> Result<(), Errno> {
        for (parent, name) in names {
            if let Some(ino) = self.inodes.number_at(parent, name) {
                self.wait_until_written(ino).await?;
            }
        }
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

async fn replace_by_rename(
    files: &FileSystem,
    source: &FsPath,
    target: &FsPath,
) -> Result<(), Errno> {
    let old = files.status(target).await?;
    if old.folder && !files.list(target, &Default::default()).await?.is_empty() {
        return Err(Errno(libc::ENOTEMPTY));
    }
    let parent = target.parent().ok_or(Errno::BUSY)?;
    let aside = parent.join(&format!(".goosefs-replaced-{:x}", old.id.0)).map_err(Errno::from)?;
    files.rename(target, &aside).await?;
    if let Err(error) = files.rename(source, target).await {
        files.rename(&aside, target).await?;
        return Err(error.into());
    }
    // Its successor is in place; that the old one lingers is no reason to fail.
    if let Err(error) = files.delete(&aside, &DeleteOptions::default()).await {
        tracing::warn!(%error, path = %aside, "deleting a file that was replaced");
    }
    Ok(())
}
