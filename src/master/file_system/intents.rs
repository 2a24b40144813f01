//! Intents: what is being done to the tree and an under store together.
//!
//! The journal learns of it before the first step and forgets it with the last, so a master that is
//! killed in between leaves nothing half done: whoever is primary next holds the paths before it
//! serves anybody, and carries the operation through. It always goes forward. Every step can be
//! made twice, and the inode's id says whether the tree's part has been done.

use super::{Caller, FileSystem, deposed};
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{FileId, FsPath};
use crate::master::journal::entry::{Change, Delete, INTENTS as TABLE, OperationId, Rename};
use crate::master::locks::Guard;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a store may take to delete or rename a whole directory.
const LONG_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long an unfinished intent rests before it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// An operation on the tree and an under store. Kept in the journal: append variants, change none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Intent {
    /// The path goes, with all below it.
    Delete { path: FsPath, id: FileId, folder: bool },
    /// The path gets another name.
    Rename { from: FsPath, to: FsPath, id: FileId, folder: bool },
    /// The same, in the place of what is there.
    RenameOver { from: FsPath, to: FsPath, id: FileId, folder: bool },
}

/// Whether a store that answers so will not answer otherwise.
fn is_final(kind: ErrorKind) -> bool {
    let denied = [ErrorKind::PermissionDenied, ErrorKind::Unauthenticated, ErrorKind::ReadOnly];
    denied.contains(&kind) || kind == ErrorKind::Unsupported
}

impl Intent {
    fn id(&self) -> FileId {
        match self {
            Intent::Delete { id, .. } | Intent::Rename { id, .. } => *id,
            Intent::RenameOver { id, .. } => *id,
        }
    }

    fn paths(&self) -> Vec<FsPath> {
        match self {
            Intent::Delete { path, .. } => vec![path.clone()],
            Intent::Rename { from, to, .. } | Intent::RenameOver { from, to, .. } => {
                vec![from.clone(), to.clone()]
            }
        }
    }
}

impl FileSystem {
    /// Notes that an operation of the caller's begins.
    pub(super) async fn intend(&self, caller: &Caller, intent: &Intent) -> Result<()> {
        let begun = (intent, caller.operation);
        let value = postcard::to_stdvec(&begun).expect("paths and numbers can be encoded");
        self.put_record(TABLE, &intent.id().0.to_be_bytes(), value).await
    }

    /// Notes that an operation is over.
    pub(super) async fn forget(&self, intent: &Intent) -> Result<()> {
        self.delete_record(TABLE, &intent.id().0.to_be_bytes()).await
    }

    /// The under store's part of an intent; none when this master was not the primary for a moment:
    /// it may have been done or not, so only whoever goes on with the intent may say what came of it.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub(super) async fn carry_out_below(&self, intent: &Intent) -> Result<Option<()>> {
        let (at, folder) = match intent {
            Intent::Delete { path, folder, .. } => (path, *folder),
            Intent::Rename { from, folder, .. } | Intent::RenameOver { from, folder, .. } => {
                (from, *folder)
            }
        };
        let mount = self.resolve(at)?.mount;
        let ufs = self.stores.of(&mount)?;
        let relative =
            |path: &FsPath| path.relative_to(&mount.path).unwrap_or_default().to_string();
        let from = relative(at);
        let work = async {
            match intent {
                Intent::Delete { .. } if folder => ufs.delete_dir(&from).await,
                Intent::Delete { .. } => ufs.delete(&from).await,
                Intent::Rename { to, .. } | Intent::RenameOver { to, .. } => {
                    ufs.rename(&from, &relative(to), folder).await
                }
            }
        };
        // A primary that follows carries it out itself, and may have done so already.
        self.change_unless_deposed(&mount, LONG_DEADLINE, work).await.transpose()
    }

    /// Takes up the operations that an earlier primary did not finish. Their paths are held when
    /// this returns; they are finished in the background, as soon as their stores answer.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recover(&self) -> Result<()> {
        for (key, value) in self.records(TABLE)? {
            let begun = postcard::from_bytes::<(Intent, Option<OperationId>)>(&value);
            let Ok((intent, operation)) = begun else {
                tracing::error!("an operation in the journal makes no sense; it is left out");
                self.delete_record(TABLE, &key).await?;
                continue;
            };
            let guard = self.locks.exclusive(&intent.paths()).await?;
            self.spawn_finish(Caller { operation, ..Caller::master() }, intent, guard);
        }
        Ok(())
    }

    /// The store's part of an operation is done, or may be, and the tree's is not: goes on with it,
    /// holding its paths, so that whoever tries again finds it done, if that can help. Gives back the
    /// error for the caller.
    pub(super) fn finish_later(
        &self,
        caller: &Caller,
        intent: Intent,
        guard: Guard,
        error: Error,
    ) -> Error {
        if error.kind().is_transient() {
            self.spawn_finish(caller.clone(), intent, guard);
        }
        error
    }

    fn spawn_finish(&self, caller: Caller, intent: Intent, guard: Guard) {
        let files = self.clone();
        let finish = async move { files.finish(&caller, intent, guard).await };
        self.group.spawn_until_stop("intent", finish);
    }

    async fn finish(&self, caller: &Caller, intent: Intent, _guard: Guard) {
        loop {
            match self.try_finish(caller, &intent).await {
                Ok(()) => {
                    tracing::info!(?intent, "finished what was begun before");
                    return;
                }
                Err(error) => tracing::warn!(?intent, %error, "not finished yet"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Does what is left of it, as the caller's operation: whoever repeats that finds it done.
    async fn try_finish(&self, caller: &Caller, intent: &Intent) -> Result<()> {
        let at = match intent {
            Intent::Delete { path, .. } => path,
            Intent::Rename { from, .. } | Intent::RenameOver { from, .. } => from,
        };
        // If the tree's part has been done, so had the store's.
        if self.peek(at)?.is_some_and(|status| status.id == intent.id()) {
            match self.carry_out_below(intent).await {
                // Renamed before the crash.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if is_final(error.kind()) => {
                    tracing::error!(?intent, %error, "given up: its store refuses it");
                    return self.forget(intent).await;
                }
                other => other?.ok_or_else(deposed)?,
            }
            let change = match intent.clone() {
                Intent::Delete { path, id, .. } => {
                    Change::Delete(Delete { path, id: Some(id), recursive: true })
                }
                Intent::Rename { from, to, .. } => Change::Rename(Rename { from, to }),
                Intent::RenameOver { from, to, .. } => Change::RenameOver(Rename { from, to }),
            };
            match self.commit_for(caller, change).await {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => drop(other?),
            }
        }
        self.forget(intent).await?;
        self.sync.moved();
        Ok(())
    }
}
