//! Renaming, here and in the under store.

use super::delete::is_below;
use super::intents::Intent;
use super::objects::PATIENCE;
use super::{Caller, FileSystem, check_writable, deposed, missing};
use crate::core::error::{Error, ErrorKind, Result, already_exists, invalid_argument, unavailable};
use crate::core::model::{FsPath, PersistenceState, Status};
use crate::master::journal::entry::{Attributes, Change, Rename, SetAttributes, Target};
use crate::master::locks::Guard;
use crate::master::stores::{CALL_DEADLINE, within};
use crate::master::sync::Freshness;

impl FileSystem {
    /// Gives a path another name. Replaces what is there only if `over`, and then at once: a file
    /// makes room for a file, an empty directory for a directory.
    ///
    /// # Errors
    /// `NotFound` when the source or the destination's parent is missing; `AlreadyExists` when the
    /// destination is there; `InvalidArgument` into itself or from one mount to another; with `over`,
    /// `NotEmpty`, `IsDirectory` or `NotDirectory` where the destination makes no room.
    pub async fn rename(
        &self,
        caller: &Caller,
        from: &FsPath,
        to: &FsPath,
        over: bool,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let renamed = self.rename_now(caller, from, to, over).await;
        self.unless_repeated(caller, renamed)
    }

    async fn rename_now(
        &self,
        caller: &Caller,
        from: &FsPath,
        to: &FsPath,
        over: bool,
    ) -> Result<()> {
        self.check_rename(from, to)?;
        let (object, moved) = (self.resolve(to)?.ufs_path, self.resolve(from)?.ufs_path);
        let began = tokio::time::Instant::now();
        let (source, alone) = loop {
            let source = self.find(from, Freshness::Known).await?.ok_or_else(|| missing(from))?;
            self.permit_parent(caller, from)?;
            self.permit_parent(caller, to)?;
            if over {
                self.prepare_replaced(&source, to).await?;
            }
            // Alone also where only the tree changes: nobody is to create the destination in the under
            // store between our look and the entry.
            let alone = self.locks.exclusive(&[from.clone(), to.clone()]).await?;
            if !self.objects.is_held(&object) && !self.objects.is_closing(&moved) {
                break (source, alone);
            }
            // What was there before is still on its way to the under store, and would come after this;
            // and so may be what will be at `from` then.
            drop(alone);
            if began.elapsed() > PATIENCE {
                let text = format!("{from} or {to} is written all the time: try again later");
                return Err(unavailable(text));
            }
            self.objects.free(&object, to).await?;
            self.objects.closed(&moved, from).await?;
        };
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let now = self.peek(from)?.filter(|now| now.id == source.id);
        let now = now.ok_or_else(|| missing(from))?;
        let old = self.check_destination(to, over.then_some(&now)).await?;
        // Where an empty directory of the store makes room too, the store is to do the same.
        let folders = now.folder && old.as_ref().is_some_and(is_below);
        if is_below(&now) || folders {
            let (files, caller, to) = (self.clone(), caller.clone(), to.clone());
            let over = old.is_some();
            let rename = async move { files.rename_both(&caller, &now, (&to, over), alone).await };
            self.to_the_end("rename", rename).await
        } else {
            let rename = Rename { from: from.clone(), to: to.clone() };
            self.commit_for(caller, renaming(rename, old.is_some())).await.map(drop)
        }?;
        self.sync.moved();
        Ok(())
    }

    fn check_rename(&self, from: &FsPath, to: &FsPath) -> Result<()> {
        self.check_no_mount(from, "renamed")?;
        if to.is_root() || from == to {
            return Err(already_exists(format!("path {to} already exists")));
        }
        if to.starts_with(from) {
            return Err(invalid_argument(format!("{from} cannot be moved into itself, to {to}")));
        }
        let (source, target) = (self.resolve(from)?.mount, self.resolve(to)?.mount);
        check_writable(&source, from)?;
        check_writable(&target, to)?;
        if source.id != target.id {
            return Err(invalid_argument(format!(
                "{from} is on {} and {to} on {}: a rename stays within one mount; copy it \
                 (goosefs fs cp -R) and delete the original",
                source.ufs, target.ufs
            )));
        }
        Ok(())
    }

    /// The destination's parent is there. So may the destination, for `over` to take its place.
    async fn check_destination(
        &self,
        to: &FsPath,
        over: Option<&Status>,
    ) -> Result<Option<Status>> {
        let found = self.find_held(to, Freshness::Within(0)).await?;
        match (&found, over) {
            (Some(old), Some(new)) => self.check_replaceable(old, new)?,
            (Some(_), None) => return Err(already_exists(format!("path {to} already exists"))),
            (None, _) => {}
        }
        let Some(parent) = to.parent() else { return Ok(found) };
        match self.peek(&parent)? {
            None => Err(missing(&parent)),
            Some(status) if !status.folder => {
                let text = format!("{parent} is a file, so there is nothing below it");
                Err(Error::new(ErrorKind::NotDirectory, text))
            }
            Some(_) => Ok(found),
        }
    }

    /// Before any path is held: what is at `to` is known whole, and not on its way to the store.
    async fn prepare_replaced(&self, source: &Status, to: &FsPath) -> Result<()> {
        match self.find(to, Freshness::Known).await? {
            Some(old) if old.folder && source.folder && is_below(&old) => {
                self.load_children(&old, Freshness::Within(0)).await
            }
            Some(old) if !old.folder && is_below(source) => self.wait_for_persist(to).await,
            _ => Ok(()),
        }
    }

    /// `old` makes room for `new`.
    fn check_replaceable(&self, old: &Status, new: &Status) -> Result<()> {
        let to = &old.path;
        self.check_no_mount(to, "replaced")?;
        match (new.folder, old.folder) {
            (false, true) => {
                Err(Error::new(ErrorKind::IsDirectory, format!("{to}: Is a directory")))
            }
            (true, false) => {
                let text = format!("{to} is no directory, so none takes its place");
                Err(Error::new(ErrorKind::NotDirectory, text))
            }
            (true, true) => self.check_empty(to),
            (false, false)
                if is_below(new) && old.persistence == PersistenceState::ToBePersisted =>
            {
                Err(unavailable(format!("{to} is being persisted: try again")))
            }
            (false, false) => Ok(()),
        }
    }

    async fn rename_both(
        &self,
        caller: &Caller,
        source: &Status,
        (to, over): (&FsPath, bool),
        alone: Guard,
    ) -> Result<()> {
        if !source.folder && !source.completed {
            let text = format!("file {} is incomplete: it is being written", source.path);
            return Err(Error::new(ErrorKind::Incomplete, text));
        }
        if source.folder {
            // Its making may have been interrupted.
            self.persist_directory(&source.path).await?;
        }
        self.make_parent_below(to).await?;
        let follows = !source.folder && self.is_as_known(source).await;
        let (from, id, folder) = (source.path.clone(), source.id, source.folder);
        let intent = match over {
            true => Intent::RenameOver { from: from.clone(), to: to.clone(), id, folder },
            false => Intent::Rename { from: from.clone(), to: to.clone(), id, folder },
        };
        self.intend(caller, &intent).await?;
        match self.carry_out_below(&intent).await {
            Ok(Some(())) => {}
            Ok(None) => return Err(self.finish_later(caller, intent, alone, deposed())),
            // It has an older version there at most, and that has gone.
            Err(error) if error.kind() == ErrorKind::NotFound && !source.is_persisted() => {}
            Err(error) => {
                self.forget(&intent).await?;
                return Err(error.context(format!("renaming {from} to {to}")));
            }
        }
        let rename = renaming(Rename { from, to: to.clone() }, over);
        let renamed = self.commit_for(caller, rename);
        let (renamed, forgotten) = tokio::join!(biased; renamed, self.forget(&intent));
        if let Err(error) = renamed.and(forgotten) {
            return Err(self.finish_later(caller, intent, alone, error));
        }
        if follows {
            self.follow_version(source, to).await;
        }
        Ok(())
    }

    /// The destination's parent may exist in the cache only.
    async fn make_parent_below(&self, to: &FsPath) -> Result<()> {
        let Some(parent) = to.parent() else { return Ok(()) };
        if parent.is_root() || self.here(&parent)?.mount_point {
            return Ok(());
        }
        self.persist_directory(&parent).await
    }

    /// Whether the under store has the bytes of a file that the tree says it has. Otherwise it shows, as a
    /// change that was made underneath.
    async fn is_as_known(&self, file: &Status) -> bool {
        let found = async {
            let mount = self.resolve(&file.path)?.mount;
            let ufs = self.stores.of(&mount)?;
            let relative = file.path.relative_to(&mount.path).unwrap_or_default();
            within(&mount, CALL_DEADLINE, ufs.status(relative)).await
        };
        Result::from(found.await).is_ok_and(|found| found.version == file.ufs_version)
    }

    /// A store that renames by copying may give the copy another version. The bytes are the same,
    /// so the file keeps its id and what is cached of it.
    async fn follow_version(&self, source: &Status, to: &FsPath) {
        let result = async {
            let mount = self.resolve(to)?.mount;
            let ufs = self.stores.of(&mount)?;
            let relative = to.relative_to(&mount.path).unwrap_or_default();
            let found = within(&mount, CALL_DEADLINE, ufs.status(relative)).await?;
            if found.version == source.ufs_version || found.length != source.length {
                return Ok(());
            }
            let attributes = Attributes { ufs_version: Some(found.version), ..Default::default() };
            let change = SetAttributes { target: Target::Inodes(vec![source.id]), attributes };
            self.commit(Change::SetAttributes(change)).await.map(drop)
        };
        if let Err(error) = Result::<()>::from(result.await) {
            tracing::warn!(path = %to, %error, "its version in the under store is not known; it will be synced");
        }
    }
}

fn renaming(rename: Rename, over: bool) -> Change {
    if over { Change::RenameOver(rename) } else { Change::Rename(rename) }
}
