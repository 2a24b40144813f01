//! Changes to the tree: attributes, names, directories.

use super::{Entry, Kind, Posix, times};
use crate::client::{CreateDirOptions, DeleteOptions, SetAttributes};
use crate::core::model::FsPath;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Departing, Write, Writing};
use crate::fuse::inodes::Known;
use crate::fuse::posix::writes::{Caller, How};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that are fetched for those who have a file open that is being deleted. Deleting waits for them.
const MOST_FETCHED: u64 = 64 << 20;

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
    /// Nanoseconds beyond those of the last access.
    pub accessed_ns: u32,
    /// Nanoseconds beyond those of the last change.
    pub modified_ns: u32,
}

/// What is deleted, or replaced, while it may be open.
#[derive(Default)]
struct Leaving {
    /// Its number.
    ino: Option<u64>,
    /// What is known of it.
    known: Option<Arc<Known>>,
    /// It is open for writing.
    write: Option<Departing>,
}

impl Posix {
    /// Changes attributes of `ino`.
    ///
    /// # Errors
    /// `EBUSY` for the length of a file that another mount is making.
    pub async fn change(&self, ino: u64, change: Change, caller: Caller) -> Result<Entry, Errno> {
        self.check_writable()?;
        if let Some(size) = change.size {
            self.resize(ino, size, caller).await?;
        }
        let owner = change.uid.is_some() || change.gid.is_some();
        if change.mode.is_none() && (owner || change.size.is_some() && caller.uid != 0) {
            self.strip(ino).await?;
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

    /// Takes away what makes a program run as its owner, or its group: somebody changes the program, or
    /// gives it away.
    ///
    /// # Errors
    /// Whatever setting the mode fails with.
    pub async fn strip(&self, ino: u64) -> Result<(), Errno> {
        let known = self.attributes(ino).await?.attributes;
        let mode = stripped(known.mode);
        if known.kind != Kind::File || mode == known.mode {
            return Ok(());
        }
        let change = Change { mode: Some(mode), ..Change::default() };
        // Not the writer's doing, who need not be the owner.
        let gid = nix::unistd::getegid().as_raw();
        let caller = Caller { uid: nix::unistd::geteuid().as_raw(), gid, pid: 0 };
        if let Some(write) = self.handles.writing(ino) {
            return self.change_written(&write, change, caller).await;
        }
        self.set(&self.inodes.path(ino)?, &self.wanted(change), caller).await?;
        self.inodes.touched(ino);
        Ok(())
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
            kept.set_xattrs.retain(|name, _| !wanted.remove_xattrs.contains(name));
            kept.remove_xattrs.retain(|name| !wanted.set_xattrs.contains_key(name));
            kept.set_xattrs.extend(wanted.set_xattrs);
            // What it never had need not be removed.
            let had = &write.known.lock().status.xattrs;
            wanted.remove_xattrs.retain(|name| had.contains_key(name));
            kept.remove_xattrs.extend(wanted.remove_xattrs);
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
        let mut set = SetAttributes {
            mode: change.mode.map(|mode| mode & 0o7777),
            owner: change.uid.map(|uid| self.user_name(uid)),
            group: change.gid.map(|gid| self.group_name(gid)),
            accessed_ms: change.accessed_ms,
            modified_ms: change.modified_ms,
            ..SetAttributes::default()
        };
        times::MODIFIED.note(change.modified_ms, change.modified_ns, &mut set);
        times::ACCESSED.note(change.accessed_ms, change.accessed_ns, &mut set);
        set
    }

    pub(super) async fn set(
        &self,
        path: &FsPath,
        set: &SetAttributes,
        caller: Caller,
    ) -> Result<(), Errno> {
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
        let (files, inherited) = self.files_in(parent, caller).await?;
        let mode = Some(mode & 0o7777 | inherited);
        let options = CreateDirOptions { mode, ..CreateDirOptions::default() };
        files.create_dir(&path, &options).await?;
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
        self.files_in(parent, caller).await?.0.symlink(&path, target).await?;
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
        let leaving = self.before_unlink(parent, name).await;
        self.files_of(caller.uid).delete(&path, &DeleteOptions::default()).await?;
        self.inodes.removed(parent, name);
        self.unlinked(leaving).await;
        Ok(())
    }

    /// A name is about to go: whoever has its file open keeps what is known of it and, for writing, all its
    /// bytes.
    async fn before_unlink(&self, parent: u64, name: &str) -> Leaving {
        let Some(ino) = self.inodes.number_at(parent, name) else { return Leaving::default() };
        let write = self.handles.writing(ino).map(|write| write.depart());
        if let Some(Departing(write)) = &write {
            self.fetch_before_unlink(write).await;
        }
        let known = match self.inodes.known(ino) {
            Some(found) => Some(found),
            None if self.inodes.is_held(ino) => self.fetch_child(parent, name, 0).await.ok(),
            None => None,
        };
        let known = known.filter(|found| found.ino == ino).map(|found| found.known);
        Leaving { ino: Some(ino), known, write }
    }

    async fn fetch_before_unlink(&self, write: &Arc<Write>) {
        let at_rest = matches!(*write.state.lock().await, Writing::Published);
        if write.staged().is_none() && at_rest {
            return;
        }
        let fetched = async {
            let streamed = write.length.load(Ordering::Acquire);
            if write.staged().is_none() && streamed > MOST_FETCHED {
                return Err(Errno(libc::EFBIG));
            }
            let staged = self.staged(write).await?;
            if staged.missing() > MOST_FETCHED {
                return Err(Errno(libc::EFBIG));
            }
            self.renew_base(write, &staged).await?;
            staged.fetch().await
        };
        let fetched = fetched.await;
        if let Err(errno) = fetched {
            let path = self.place_of(write);
            tracing::warn!(?errno, %path, "deleted while open: whoever has it open loses bytes");
        }
    }

    /// The name of a file that is open is gone.
    async fn unlinked(&self, leaving: Leaving) {
        let Some(ino) = leaving.ino else { return };
        if let Some(known) = leaving.known {
            self.inodes.departed(ino, known);
        }
        // It may have been opened meanwhile.
        let late = || self.handles.writing(ino).map(|write| write.depart());
        let Some(departing) = leaving.write.or_else(late) else { return };
        let write = &departing.0;
        write.unlinked.store(true, Ordering::Release);
        let mut state = write.state.lock().await;
        let next = match &*state {
            // There was no room to take back what was written.
            Writing::Stream(_) | Writing::Failed(_) => Writing::Failed(Errno::IO),
            _ => Writing::Staged(None),
        };
        let before = std::mem::replace(&mut *state, next);
        drop(state);
        if let Writing::Staged(Some(first)) = before {
            first.cancel().await;
        }
        if let Some(staged) = write.staged() {
            staged.forget();
        }
        self.end(write);
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
        let mut below = Vec::new();
        if let Some(ino) = moved {
            below = self.before_move(ino, &source).await?;
        }
        let leaving =
            if replace { self.before_unlink(to.0, to.1).await } else { Leaving::default() };
        let files = self.files_of(caller.uid);
        match replace {
            true => files.rename_over(&source, &target).await?,
            false => files.rename(&source, &target).await?,
        }
        self.inodes.renamed(from, to);
        drop(below);
        self.unlinked(leaving).await;
        Ok(())
    }

    /// `ino` is about to move away from `path`: what is written there, or below it, is held back until it
    /// is known to be elsewhere.
    async fn before_move(&self, ino: u64, path: &FsPath) -> Result<Vec<Departing>, Errno> {
        let all = self.handles.all_writing().into_iter();
        let below: Vec<_> = all
            .filter(|write| write.ino == ino || self.place_of(write).starts_with(path))
            .map(|write| write.depart())
            .collect();
        for Departing(write) in &below {
            let mut state = write.state.lock().await;
            // Its writer knows the path that it began with.
            if matches!(*state, Writing::Stream(_)) {
                self.stage(write, &mut state, false).await.map_err(|_| Errno::BUSY)?;
            }
        }
        Ok(below)
    }
}

/// A mode without set-user-ID, and without set-group-ID where that means what it says.
pub(super) fn stripped(mode: u32) -> u32 {
    let group = if mode & 0o010 != 0 { 0o2000 } else { 0 };
    mode & !(0o4000 | group)
}
