//! Calls to the master about the inode tree: one function a call.

use super::FileSystem;
use super::options::{
    CreateDirOptions, DeleteOptions, FreeOptions, ListOptions, MetadataLoad, SetAttributes,
    StatusOptions,
};
use crate::core::error::{Error, Result, internal, not_found};
use crate::core::model::{FileId, FsPath, Status, WriteType};
use crate::core::proto::convert::pmode;
use crate::core::proto::grpc::Bits;
use crate::core::proto::grpc::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use crate::core::proto::grpc::file::*;
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use crate::core::rpc::{Channel, MAX_MESSAGE};
use futures::{Stream, StreamExt, TryStreamExt};
use std::future::Future;
use std::time::Duration;
use tonic::Response;

/// The official service for the inode tree.
pub(super) type Tree = FileSystemMasterClientServiceClient<Channel>;

impl FileSystem {
    /// What is known of `path`.
    ///
    /// # Errors
    /// `NotFound` where there is nothing.
    pub async fn status(&self, path: &FsPath) -> Result<Status> {
        self.status_with(path, &StatusOptions::default()).await
    }

    /// What is known of `path`, asked for in a particular way.
    ///
    /// # Errors
    /// `NotFound` where there is nothing.
    pub async fn status_with(&self, path: &FsPath, options: &StatusOptions) -> Result<Status> {
        let options = GetStatusPOptions {
            load_metadata_type: Some(self.load_type(options.load)),
            common_options: Some(self.common(options.max_age, None)),
            resolve_link: Some(options.follow),
            without_cached: Some(true),
            access_mode: options.read.then_some(Bits::Read as i32),
            ..Default::default()
        };
        let request = GetStatusPRequest {
            path: Some(path.as_str().into()),
            options: Some(options),
            ..Default::default()
        };
        let answer = self
            .tree(path, |mut tree| {
                let request = request.clone();
                async move { tree.get_status(request).await }
            })
            .await?;
        status_of(answer.file_info)
    }

    /// What is known of the file `id`, wherever it is by now.
    ///
    /// # Errors
    /// `NotFound` where no path has it, or none that has is known to have it.
    pub async fn status_of_id(&self, id: FileId) -> Result<Status> {
        let options = GetStatusPOptions {
            load_metadata_type: Some(self.load_type(Some(MetadataLoad::Never))),
            common_options: Some(self.common(None, None)),
            without_cached: Some(true),
            file_id: Some(id.0),
            ..Default::default()
        };
        let request = GetStatusPRequest {
            path: Some("/".into()),
            options: Some(options),
            ..Default::default()
        };
        let answer = self
            .tree(&FsPath::root(), |mut tree| {
                let request = request.clone();
                async move { tree.get_status(request).await }
            })
            .await?;
        let status = status_of(answer.file_info)?;
        // A master that knows nothing of this tells of the root; and a next version is nowhere yet.
        match status.id == id {
            true => Ok(status),
            false => Err(not_found(format!("no path has the file {id}"))),
        }
    }

    /// The status of `path` after looking at the under store, whatever the tree knew: what to do
    /// when a read says that the file has changed.
    ///
    /// # Errors
    /// `NotFound` where there is nothing now.
    pub async fn refresh(&self, path: &FsPath) -> Result<Status> {
        self.status_with(path, &StatusOptions::synced()).await
    }

    /// Whether there is a directory or a whole file at `path`.
    ///
    /// # Errors
    /// Whatever else than `NotFound` a status fails with.
    pub async fn exists(&self, path: &FsPath) -> Result<bool> {
        match self.status(path).await {
            Ok(status) => Ok(status.folder || status.completed),
            Err(error) if error.kind() == crate::core::error::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is in the directory `path`; for a file, the file.
    ///
    /// # Errors
    /// `NotFound` where there is nothing.
    pub async fn list(&self, path: &FsPath, options: &ListOptions) -> Result<Vec<Status>> {
        self.list_stream(path, options).await?.try_collect().await
    }

    /// The same as it comes in, for directories too large to hold.
    ///
    /// # Errors
    /// `NotFound` where there is nothing. An error within the stream ends it.
    pub async fn list_stream(
        &self,
        path: &FsPath,
        options: &ListOptions,
    ) -> Result<impl Stream<Item = Result<Status>> + Send + Unpin + use<>> {
        let first = self.list_one(path, options).await?;
        let walk =
            Walk { fs: self.clone(), options: options.clone(), current: first, below: vec![] };
        Ok(Box::pin(futures::stream::try_unfold(walk, Walk::next)))
    }

    /// One directory's entries.
    async fn list_one(&self, path: &FsPath, options: &ListOptions) -> Result<Entries> {
        let request = ListStatusPRequest {
            path: Some(path.as_str().into()),
            options: Some(ListStatusPOptions {
                load_metadata_type: Some(self.load_type(options.load)),
                common_options: Some(self.common(options.max_age, None)),
                without_cached: Some(true),
                ..Default::default()
            }),
            ..Default::default()
        };
        // What happens before the first entry is the call's own.
        let (first, answers) = self
            .tree(path, |mut tree| {
                let request = request.clone();
                async move {
                    let mut answers = tree.list_status(request).await?.into_inner();
                    Ok(Response::new((answers.message().await?, answers)))
                }
            })
            .await?;
        let path = path.clone();
        let rest = answers.map_err(move |e| named(e.into(), &path));
        let batches = futures::stream::iter(first.map(Ok)).chain(rest);
        let entries = batches.map_ok(|batch| {
            futures::stream::iter(batch.file_infos).map(|info| status_of(Some(info)))
        });
        Ok(Box::pin(entries.try_flatten()))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `AlreadyExists` where something is, unless that is a directory and `allow_exists`;
    /// `NotFound` without a parent, unless `recursive`.
    pub async fn create_dir(&self, path: &FsPath, options: &CreateDirOptions) -> Result<()> {
        let mode = options.mode.unwrap_or(0o777 & !self.umask());
        let request = CreateDirectoryPRequest {
            path: Some(path.as_str().into()),
            options: Some(CreateDirectoryPOptions {
                recursive: Some(options.recursive),
                allow_exists: Some(options.allow_exists),
                mode: Some(pmode(mode)),
                write_type: options.write_type.map(wire_write),
                common_options: Some(self.change()),
                default_write_type: Some(wire_write(self.context.config.client.write_type)),
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.create_directory(request).await }
        })
        .await?;
        if mode & 0o7000 != 0 {
            let special = SetAttributes { mode: Some(mode), ..Default::default() };
            self.set_attributes(path, &special).await?;
        }
        Ok(())
    }

    /// Deletes a file or directory, in the tree, in the cache and in the under store.
    ///
    /// # Errors
    /// `NotFound` where there is nothing; `NotEmpty` for a directory with children, unless
    /// `recursive`.
    pub async fn delete(&self, path: &FsPath, options: &DeleteOptions) -> Result<()> {
        let request = DeletePRequest {
            path: Some(path.as_str().into()),
            options: Some(DeletePOptions {
                recursive: Some(options.recursive),
                goosefs_only: Some(options.cache_only),
                unchecked: Some(options.unchecked),
                common_options: Some(self.change()),
                ..Default::default()
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.remove(request).await }
        })
        .await
        .map(drop)
    }

    /// Moves a file or directory. Never replaces what is at `to`.
    ///
    /// # Errors
    /// `AlreadyExists` where something is at `to`; `NotFound` for a missing `from` or parent.
    pub async fn rename(&self, from: &FsPath, to: &FsPath) -> Result<()> {
        self.rename_how(from, to, None).await
    }

    /// Moves a file or directory; what is at `to` makes room, and nobody finds nothing there
    /// meanwhile.
    ///
    /// # Errors
    /// `NotFound` for a missing `from` or parent; `NotEmpty`, `IsDirectory` or `NotDirectory` where
    /// `to` makes no room.
    pub async fn rename_over(&self, from: &FsPath, to: &FsPath) -> Result<()> {
        self.rename_how(from, to, Some(true)).await
    }

    async fn rename_how(&self, from: &FsPath, to: &FsPath, over: Option<bool>) -> Result<()> {
        let request = RenamePRequest {
            path: Some(from.as_str().into()),
            dst_path: Some(to.as_str().into()),
            options: Some(RenamePOptions {
                common_options: Some(self.change()),
                persist: Some(false),
                over,
            }),
        };
        self.tree(from, |mut tree| {
            let request = request.clone();
            async move { tree.rename(request).await }
        })
        .await
        .map(drop)
    }

    /// Makes a symbolic link at `link` that says `target`.
    ///
    /// # Errors
    /// `AlreadyExists` where something is.
    pub async fn symlink(&self, link: &FsPath, target: &str) -> Result<()> {
        let request = CreateSymlinkPRequest {
            link: Some(link.as_str().into()),
            options: Some(CreateSymlinkPOptions {
                target: Some(target.into()),
                common_options: Some(self.change()),
                mode: Some(pmode(0o777)),
                default_write_type: Some(wire_write(self.context.config.client.write_type)),
                ..Default::default()
            }),
        };
        self.tree(link, |mut tree| {
            let request = request.clone();
            async move { tree.create_symlink(request).await }
        })
        .await
        .map(drop)
    }

    /// Changes attributes. What the official call can carry goes first, the rest follows in a
    /// second one.
    ///
    /// # Errors
    /// `NotFound` where there is nothing; `PermissionDenied` where the user may not.
    pub async fn set_attributes(&self, path: &FsPath, set: &SetAttributes) -> Result<()> {
        let official = set.owner.is_some()
            || set.group.is_some()
            || set.persisted.is_some()
            || set.read_type.is_some()
            || set.write_type.is_some();
        if official {
            self.set_official(path, set).await?;
        }
        let ours = set.mode.is_some()
            || set.pinned.is_some()
            || set.ttl.is_some()
            || set.ttl_action.is_some()
            || set.modified_ms.is_some()
            || set.accessed_ms.is_some()
            || !set.set_xattrs.is_empty()
            || !set.remove_xattrs.is_empty();
        if ours { self.set_ours(path, set).await } else { Ok(()) }
    }

    async fn set_official(&self, path: &FsPath, set: &SetAttributes) -> Result<()> {
        let request = SetAttributePRequest {
            path: Some(path.as_str().into()),
            options: Some(SetAttributePOptions {
                persisted: set.persisted,
                owner: set.owner.clone(),
                group: set.group.clone(),
                recursive: Some(set.recursive),
                common_options: Some(self.change()),
                read_p_type: set.read_type.map(|read| ReadPType::from(read) as i32),
                write_p_type: set.write_type.map(wire_write),
                ..Default::default()
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.set_attribute(request).await }
        })
        .await
        .map(drop)
    }

    async fn set_ours(&self, path: &FsPath, set: &SetAttributes) -> Result<()> {
        let ttl_action = set.ttl_action.map_or(v1::TtlAction::Unchanged, v1::TtlAction::from);
        let request = v1::SetAttributesRequest {
            path: path.as_str().into(),
            pinned: set.pinned,
            ttl_ms: set.ttl.map(|ttl| ttl.map_or(-1, |ttl| ttl.as_millis() as i64)),
            ttl_action: ttl_action as i32,
            modified_ms: set.modified_ms,
            accessed_ms: set.accessed_ms,
            set_xattrs: set.set_xattrs.clone().into_iter().collect(),
            remove_xattrs: set.remove_xattrs.clone(),
            recursive: set.recursive,
            mode: set.mode,
            operation_id: uuid::Uuid::new_v4().as_bytes().to_vec(),
        };
        self.primary
            .call(|channel| {
                let request = request.clone();
                async move { FileSystemClient::new(channel).set_attributes(request).await }
            })
            .await
            .map(drop)
            .map_err(|e| named(e, path))
    }

    /// Drops cached copies; metadata and what is in the under store stay.
    ///
    /// # Errors
    /// `FailedPrecondition` for data that is nowhere else, or pinned unless `forced`.
    pub async fn free(&self, path: &FsPath, options: &FreeOptions) -> Result<()> {
        let request = FreePRequest {
            path: Some(path.as_str().into()),
            options: Some(FreePOptions {
                recursive: Some(options.recursive),
                forced: Some(options.forced),
                common_options: Some(self.change()),
                ..Default::default()
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.free(request).await }
        })
        .await
        .map(drop)
    }

    /// Has a file of the cache copied to the under store soon, without waiting for it.
    ///
    /// # Errors
    /// `NotFound` where there is no file.
    pub async fn schedule_persist(&self, path: &FsPath, delay: Option<Duration>) -> Result<()> {
        let request = ScheduleAsyncPersistencePRequest {
            path: Some(path.as_str().into()),
            options: Some(ScheduleAsyncPersistencePOptions {
                common_options: Some(self.change()),
                persistence_wait_time: delay.map(|delay| delay.as_millis() as i64),
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.schedule_async_persistence(request).await }
        })
        .await
        .map(drop)
    }

    /// Whether this client's user may do with `path` what the octal digit `access` says: 4 to
    /// read, 2 to write, 1 to enter or run, or a sum of these.
    ///
    /// # Errors
    /// `PermissionDenied` where it may not.
    pub async fn check_access(&self, path: &FsPath, access: u32) -> Result<()> {
        let request = CheckAccessPRequest {
            path: Some(path.as_str().into()),
            options: Some(CheckAccessPOptions {
                // On the wire an enum, whose value is the octal digit plus one.
                bits: Some((access & 7) as i32 + 1),
                common_options: Some(self.common(None, None)),
            }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.check_access(request).await }
        })
        .await
        .map(drop)
    }

    /// What changes at or below `path` from now on, as the master tells it. The stream ends with
    /// an error when the master is lost or this client reads too slowly: drop what was cached,
    /// then watch anew.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn watch(
        &self,
        path: &FsPath,
    ) -> Result<impl Stream<Item = Result<Vec<v1::Change>>> + Send + Unpin + use<>> {
        let request = v1::WatchRequest { path: path.as_str().into() };
        let answers = self
            .primary
            .call(|channel| {
                let request = request.clone();
                async move { FileSystemClient::new(channel).watch(request).await }
            })
            .await
            .map_err(|e| named(e, path))?;
        Ok(answers.map_ok(|answer| answer.changes).map_err(Error::from))
    }

    /// Makes a call about `path` on the primary.
    pub(super) async fn tree<T, F>(&self, path: &FsPath, call: impl Fn(Tree) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<Response<T>, tonic::Status>>,
    {
        let call = |channel| {
            call(
                Tree::new(channel)
                    .max_decoding_message_size(MAX_MESSAGE)
                    .max_encoding_message_size(MAX_MESSAGE),
            )
        };
        self.primary.call(call).await.map_err(|e| named(e, path))
    }

    /// Options of a call that changes something: a new operation id, the same for its retries.
    pub(super) fn change(&self) -> FileSystemMasterCommonPOptions {
        let (most, least) = uuid::Uuid::new_v4().as_u64_pair();
        let id = FsOpPId {
            most_significant_bits: Some(most as i64),
            least_significant_bits: Some(least as i64),
        };
        self.common(None, Some(id))
    }

    fn common(
        &self,
        max_age: Option<Duration>,
        operation_id: Option<FsOpPId>,
    ) -> FileSystemMasterCommonPOptions {
        let age = max_age.or(self.context.config.client.sync_interval.0);
        let sync_interval_ms = Some(age.map_or(-1, |age| age.as_millis() as i64));
        let behalf = self.behalf.as_deref().filter(|_| operation_id.is_some());
        let (owner, group) = behalf.cloned().unzip();
        FileSystemMasterCommonPOptions { sync_interval_ms, operation_id, owner, group }
    }

    fn load_type(&self, load: Option<MetadataLoad>) -> i32 {
        LoadMetadataPType::from(load.unwrap_or(self.metadata_load)) as i32
    }
}

/// Entries of one directory.
type Entries = std::pin::Pin<Box<dyn Stream<Item = Result<Status>> + Send>>;

/// A listing as it goes down: the directory being read, and those still to read.
struct Walk {
    fs: FileSystem,
    options: ListOptions,
    current: Entries,
    below: Vec<FsPath>,
}

impl Walk {
    async fn next(mut self) -> Result<Option<(Status, Walk)>> {
        loop {
            if let Some(status) = self.current.try_next().await? {
                if self.options.recursive && status.folder {
                    self.below.push(status.path.clone());
                }
                return Ok(Some((status, self)));
            }
            let Some(path) = self.below.pop() else { return Ok(None) };
            self.current = match self.fs.list_one(&path, &self.options).await {
                Ok(entries) => entries,
                // Deleted since its parent was listed.
                Err(e) if e.kind() == crate::core::error::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
        }
    }
}

/// The wire's number for a write type.
pub(super) fn wire_write(write: WriteType) -> i32 {
    WritePType::from(write) as i32
}

/// The status in an answer.
pub(super) fn status_of(info: Option<FileInfo>) -> Result<Status> {
    info.ok_or_else(|| internal("the master's answer has no file info"))?.try_into()
}

/// `error`, naming `path` if it does not yet.
pub(super) fn named(error: Error, path: &FsPath) -> Error {
    if error.message().contains(path.as_str()) { error } else { error.context(path) }
}
