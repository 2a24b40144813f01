//! Next versions of files: written where nobody sees them, then in the place of what was there.
//!
//! To the under store a version that goes through is written as the object at its path, which the store
//! replaces as a whole; from then until the entry is in the journal, the tree names the version before,
//! and whoever reads of that what is in no cache is told that it has changed.

use super::objects::{LOOK, PATIENCE};
use super::{Caller, FileSystem, check_writable};
use crate::core::error::{Error, ErrorKind, Result, already_exists, not_found, unavailable};
use crate::core::model::{FileId, FsPath, PersistenceState, Status, node};
use crate::core::security::Access;
use crate::master::journal::entry::Change;
use crate::master::sync::Freshness;

/// A next version that is not there any more.
pub(super) fn given_up(path: &FsPath) -> Error {
    not_found(format!("{path}: what was being written was given up; write it again"))
}

impl FileSystem {
    /// The caller may write what is at `path`, or make it where nothing is.
    pub(super) async fn permit_next(
        &self,
        caller: &Caller,
        path: &FsPath,
        freshness: Freshness,
    ) -> Result<()> {
        match self.find(path, freshness).await? {
            Some(status) if status.folder => {
                let text = format!("{path}: Is a directory");
                Err(Error::new(ErrorKind::IsDirectory, text))
            }
            Some(status) if status.xattrs.contains_key(node::ATTRIBUTE) => Err(already_exists(
                format!("{path} is a pipe, a socket or a device: it has no bytes"),
            )),
            // Its owner could make it writable, and may have it open since it was.
            Some(_) if self.permit_owner(caller, path).is_ok() => Ok(()),
            Some(_) => self.permit(caller, path, Access::WRITE),
            None => self.permit_parent(caller, path),
        }
    }

    /// The next version with that id, under the path it is meant for.
    pub(super) fn next_version(&self, id: FileId) -> Result<Option<Status>> {
        let found = match self.by_id(id) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let there = self.peek(&found.path)?.is_some_and(|status| status.id == id);
        Ok((!there && !found.completed).then_some(found))
    }

    /// A worker may be writing to the under store what is to be replaced there: its bytes must not come
    /// after those of the next version.
    pub(super) async fn wait_for_persist(&self, path: &FsPath) -> Result<()> {
        let object = self.resolve(path)?.ufs_path;
        let waits = |status: Status| status.persistence == PersistenceState::ToBePersisted;
        let persisted = async {
            // Also what has been replaced since may still be on its way.
            while self.objects.is_persisted(&object) || self.peek(path)?.is_some_and(waits) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        let late = |_| unavailable(format!("{path} is still being persisted: try again later"));
        tokio::time::timeout(PATIENCE, persisted).await.map_err(late)?
    }

    /// What is at `path` may be replaced.
    pub(super) fn check_expected(
        &self,
        path: &FsPath,
        expected: Option<Option<FileId>>,
    ) -> Result<()> {
        let Some(expected) = expected else { return Ok(()) };
        if self.peek(path)?.map(|status| status.id) == expected {
            return Ok(());
        }
        let text = format!("{path} was changed by others since it was opened");
        Err(Error::new(ErrorKind::Changed, text))
    }

    /// Gives up the next version with that id; one that is there already stays.
    ///
    /// # Errors
    /// `PermissionDenied` where it may not be written.
    pub async fn drop_next(&self, caller: &Caller, id: FileId) -> Result<()> {
        let Some(found) = self.next_version(id)? else { return Ok(()) };
        // Whatever has come to be at its path.
        if self.is_checked(caller) && found.owner != *caller.user.name {
            self.permit(caller, &found.path, Access::WRITE)?;
            self.permit_parent(caller, &found.path)?;
        }
        self.commit_for(caller, Change::DropNext(id)).await.map(drop)
    }

    /// The bytes of the next version `id` are about to be the object of `path` in the under store: it is
    /// held from now on, until the version is completed.
    ///
    /// # Errors
    /// `NotFound` for one that was given up; `Changed` where something else than `expected` is there;
    /// `Unavailable` while others write the object.
    pub async fn close_object(
        &self,
        caller: &Caller,
        path: &FsPath,
        id: FileId,
        expected: Option<Option<FileId>>,
    ) -> Result<()> {
        let object = self.resolve(path)?.ufs_path;
        self.objects.close_for(&object, path, id).await?;
        let checked = self.check_closing(caller, path, id, expected).await;
        if checked.is_err() {
            self.objects.give_up(&object, id);
        }
        checked
    }

    async fn check_closing(
        &self,
        caller: &Caller,
        path: &FsPath,
        id: FileId,
        expected: Option<Option<FileId>>,
    ) -> Result<()> {
        let _shared = self.locks.shared(path).await?;
        check_writable(&self.resolve(path)?.mount, path)?;
        let next = self.next_version(id)?.filter(|next| next.path == *path);
        next.ok_or_else(|| given_up(path))?;
        self.permit_next(caller, path, Freshness::Here).await?;
        self.check_expected(path, expected)
    }

    /// Nothing comes of that object, which the client knows for sure.
    ///
    /// # Errors
    /// `NotFound` for a path that no mount has.
    pub fn give_up_object(&self, path: &FsPath, id: FileId) -> Result<()> {
        self.objects.give_up(&self.resolve(path)?.ufs_path, id);
        Ok(())
    }
}
