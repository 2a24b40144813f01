//! The official client service.

use super::super::admission::{Room, aside};
use super::convert::{
    attributes, completion, freshness, location, mode, mount_change, new_mount, read_options,
    replaced,
};
use super::{Files, caller, path};
use crate::core::error::unsupported;
use crate::core::model::{BlockId, FileId, FsPath, Status};
use crate::core::proto::convert::bits_of;
use crate::core::proto::grpc::file::file_system_master_client_service_server::FileSystemMasterClientService;
use crate::core::proto::grpc::file::*;
use crate::core::security::Access;
use crate::master::file_system::{Listing, NewDirectory, NewFile, ReadOptions, Removal};
use crate::master::measure::Measures;
use crate::master::service::Answered;
use crate::master::{Master, limits};
use futures::StreamExt;
use futures::stream::{BoxStream, try_unfold};
use prost::Message;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::yield_now;
use tonic::{Request, Response};

/// Entries in one message of a listing.
const PER_MESSAGE: usize = 1_000;
/// Entries worked on before others have their turn. A thread that only works on listings looks at no
/// connection for dozens of turns, and who is not answered for seconds takes us for dead.
const PER_TURN: usize = 100;
/// Bytes in one message of a listing; official clients take 4 MiB at most.
const MESSAGE_BYTES: usize = 1 << 20;
/// Blocks of one file told in a listing; who opens the file asks for its status.
const BLOCKS_LISTED: usize = 4_096;
/// How long the mount table waits for stores to say how full they are.
const SPACE_DEADLINE: Duration = Duration::from_secs(3);

/// What the product has and we do not.
fn unserved<T>(what: &str) -> Answered<T> {
    Err(unsupported(format!("{what} is not served by this master")).into())
}

fn answer<T>(response: T) -> Answered<T> {
    Ok(Response::new(response))
}

type Stream<T> = BoxStream<'static, Result<T, tonic::Status>>;

/// The messages of a listing: the first one is worked on once the headers are on their way, so each
/// is looked at again before it goes, and so is the end: it may be all that there is.
fn messages(
    master: Arc<Master>,
    listing: impl Future<Output = Result<Option<Told>, tonic::Status>> + Send + 'static,
) -> Stream<ListStatusPResponse> {
    let pages = futures::stream::once(listing).flat_map(|listing| match listing {
        Ok(Some(listing)) => try_unfold(listing, next_message).boxed(),
        Ok(None) => futures::stream::empty().boxed(),
        Err(status) => futures::stream::once(async { Err(status) }).boxed(),
    });
    let look = move || match master.is_primary() {
        true => Ok(()),
        false => Err(super::super::deposed()),
    };
    let looked_at = look.clone();
    let pages = pages.map(move |page| page.and_then(|page| looked_at().map(|()| page)));
    let end = futures::stream::once(async move { look().err() });
    pages.chain(end.filter_map(|late| std::future::ready(late.map(Err)))).boxed()
}

/// A listing on its way to a client.
struct Told {
    listing: Listing,
    /// Who says how much of each file is cached, for a client that wants to know: of a short listing.
    measures: Option<Measures>,
    ahead: VecDeque<FileInfo>,
}

/// Entries up to a message's size; the others of their page wait for the next one.
async fn next_message(
    mut told: Told,
) -> Result<Option<(ListStatusPResponse, Told)>, tonic::Status> {
    if told.ahead.is_empty() {
        let mut page = next_page(&mut told.listing).await?;
        let measures = told.measures.take();
        if let Some(measures) = measures.filter(|_| page.len() < PER_MESSAGE) {
            measures.tell_cached(&mut page).await;
        }
        for (turn, entries) in page.chunks(PER_TURN).enumerate() {
            if turn > 0 {
                yield_now().await;
            }
            told.ahead.extend(entries.iter().map(listed));
        }
    }
    let (mut file_infos, mut bytes) = (Vec::with_capacity(told.ahead.len()), 0);
    while let Some(info) = told.ahead.pop_front() {
        bytes += info.encoded_len();
        file_infos.push(info);
        if bytes >= MESSAGE_BYTES {
            break;
        }
    }
    let more = !file_infos.is_empty();
    Ok(more.then_some((ListStatusPResponse { file_infos }, told)))
}

/// As many entries as a message has at most; fewer when there are no more.
async fn next_page(listing: &mut Listing) -> Result<Vec<Status>, tonic::Status> {
    let mut page = Vec::new();
    loop {
        let entries = listing.next_page(PER_TURN)?.unwrap_or_default();
        let last = entries.len() < PER_TURN;
        page.extend(entries);
        if last || page.len() >= PER_MESSAGE {
            return Ok(page);
        }
        yield_now().await;
    }
}

fn listed(status: &Status) -> FileInfo {
    let mut info = FileInfo::from(status);
    if info.block_ids.len() > BLOCKS_LISTED {
        info.block_ids.truncate(BLOCKS_LISTED);
        info.file_block_infos.truncate(BLOCKS_LISTED);
    }
    info
}

#[tonic::async_trait]
impl FileSystemMasterClientService for Files {
    async fn get_status(
        &self,
        request: Request<GetStatusPRequest>,
    ) -> Answered<GetStatusPResponse> {
        let files = self.files()?;
        let sent = request.get_ref();
        let caller = caller(&request, &None);
        let unset = GetStatusPOptions::default();
        let options = read_options(files, sent.options.as_ref().unwrap_or(&unset));
        let path = match sent.options.as_ref().and_then(|options| options.file_id) {
            Some(id) => {
                let path = files.by_id(FileId(id))?.path;
                self.admit_to(&path).await?;
                path
            }
            None => self.admit(sent.path()).await?,
        };
        let mut status = aside(files.status(&caller, &path, &options)).await??;
        if !sent.options.as_ref().is_some_and(|options| options.without_cached()) {
            self.0.measures.tell_cached(std::slice::from_mut(&mut status)).await;
        }
        answer(GetStatusPResponse { file_info: Some((&status).into()) })
    }

    async fn get_status_batch(
        &self,
        request: Request<GetStatusBatchPRequest>,
    ) -> Answered<GetStatusBatchPResponse> {
        let files = self.files()?;
        let caller = caller(&request, &None);
        let sent = request.into_inner();
        let unset = GetStatusPOptions::default();
        let wanted = sent.options.as_ref().unwrap_or(&unset);
        let options = read_options(files, wanted);
        let (mut response, mut found) = (GetStatusBatchPResponse::default(), Vec::new());
        for text in sent.paths {
            let status = match FsPath::parse(&text) {
                Ok(path) => match self.admit_to(&path).await {
                    Ok(()) => aside(files.status(&caller, &path, &options)).await?,
                    // As a whole: to the caller a path that fails is one that is not there.
                    Err(busy) => return Err(busy.into()),
                },
                Err(error) => Err(error),
            };
            match status {
                Ok(status) => found.push(status),
                Err(_) => response.failed_paths.push(text),
            }
        }
        if !wanted.without_cached() {
            self.0.measures.tell_cached(&mut found).await;
        }
        response.file_infos = found.iter().map(FileInfo::from).collect();
        answer(response)
    }

    type ListStatusStream = Stream<ListStatusPResponse>;

    async fn list_status(
        &self,
        request: Request<ListStatusPRequest>,
    ) -> Answered<Self::ListStatusStream> {
        let files = self.files()?.clone();
        let caller = caller(&request, &None);
        let sent = request.into_inner();
        let path = self.admit(sent.path()).await?;
        let options = sent.options.unwrap_or_default();
        let load = (options.load_metadata_type, options.default_load_metadata_type);
        let freshness = freshness(&files, load, &options.common_options);
        let measures = (!options.without_cached()).then(|| self.0.measures.clone());
        let room = Room::of_this_request();
        answer(messages(self.0.clone(), async move {
            let listing = room.aside(files.list(&caller, &path, freshness)).await??;
            let told = Told { listing, measures, ahead: VecDeque::new() };
            Ok((!options.load_metadata_only()).then_some(told))
        }))
    }

    async fn check_access(
        &self,
        request: Request<CheckAccessPRequest>,
    ) -> Answered<CheckAccessPResponse> {
        let files = self.files()?;
        let caller = caller(&request, &None);
        let sent = request.into_inner();
        let bits = sent.options.as_ref().and_then(|options| options.bits).map_or(0, bits_of);
        let options = ReadOptions { access: Some(Access::from_bits(bits)), ..Default::default() };
        let path = self.admit(sent.path()).await?;
        files.status(&caller, &path, &options).await?;
        answer(CheckAccessPResponse {})
    }

    async fn create_file(
        &self,
        request: Request<CreateFilePRequest>,
    ) -> Answered<CreateFilePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let new = NewFile {
            block_size: options
                .block_size_bytes
                .and_then(|size| u64::try_from(size).ok())
                .filter(|&size| size > 0),
            recursive: options.recursive(),
            mode: mode(&options.mode),
            write_type: options.write_type().chosen(),
            default_write_type: options.default_write_type().chosen(),
            next: options.next(),
            expected: replaced(options.replaces_id),
        };
        let path = self.admit(request.get_ref().path()).await?;
        let status = aside(files.create_file(&caller, &path, new)).await??;
        answer(CreateFilePResponse { file_info: Some((&status).into()) })
    }

    async fn complete_file(
        &self,
        request: Request<CompleteFilePRequest>,
    ) -> Answered<CompleteFilePResponse> {
        let files = self.files()?;
        let sent = request.get_ref();
        let options = sent.options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let done = completion(sent.inode_id, options);
        aside(files.complete_file(&caller, &path(sent.path())?, done)).await??;
        answer(CompleteFilePResponse {})
    }

    async fn commit_location(
        &self,
        request: Request<CommitLocationPRequest>,
    ) -> Answered<CommitLocationPResponse> {
        let files = self.files()?;
        let sent = request.into_inner();
        let id = sent.inode_id.filter(|&id| id > 0).map(FileId);
        let path = path(sent.path())?;
        let blocks = sent.options.unwrap_or_default().locations;
        let blocks = blocks.iter().map(location).collect();
        files.commit_location(&path, id, blocks).await?;
        answer(CommitLocationPResponse {})
    }

    async fn create_directory(
        &self,
        request: Request<CreateDirectoryPRequest>,
    ) -> Answered<CreateDirectoryPResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let new = NewDirectory {
            recursive: options.recursive(),
            allow_exists: options.allow_exists(),
            mode: mode(&options.mode),
            write_type: options.write_type().chosen(),
            default_write_type: options.default_write_type().chosen(),
        };
        let path = self.admit(request.get_ref().path()).await?;
        aside(files.create_directory(&caller, &path, new)).await??;
        answer(CreateDirectoryPResponse {})
    }

    async fn create_symlink(
        &self,
        request: Request<CreateSymlinkPRequest>,
    ) -> Answered<CreateSymlinkPResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let link = self.admit(request.get_ref().link()).await?;
        let linked =
            files.create_symlink(&caller, &link, options.target(), options.create_parent());
        aside(linked).await??;
        answer(CreateSymlinkPResponse {})
    }

    async fn get_link_target(
        &self,
        request: Request<GetLinkTargetPRequest>,
    ) -> Answered<GetLinkTargetPResponse> {
        let caller = caller(&request, &None);
        let link = self.admit(request.get_ref().link()).await?;
        let status = self.files()?.status(&caller, &link, &ReadOptions::default()).await?;
        if !status.is_symlink() {
            let text = format!("{link} is no symbolic link");
            return Err(crate::core::error::invalid_argument(text).into());
        }
        answer(GetLinkTargetPResponse { target: Some(status.symlink) })
    }

    async fn remove(&self, request: Request<DeletePRequest>) -> Answered<DeletePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let (recursive, here_only) = (options.recursive(), options.goosefs_only());
        let removal = Removal { recursive, here_only, only: None };
        let path = self.admit(request.get_ref().path()).await?;
        if let Some(id) = options.next_id {
            files.drop_next(&caller, FileId(id)).await?;
            return answer(DeletePResponse {});
        }
        aside(files.remove(&caller, &path, removal)).await??;
        answer(DeletePResponse {})
    }

    async fn rename(&self, request: Request<RenamePRequest>) -> Answered<RenamePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let from = self.admit(request.get_ref().path()).await?;
        let to = path(request.get_ref().dst_path())?;
        aside(files.rename(&caller, &from, &to, options.over())).await??;
        if options.persist() {
            files.schedule_persist(&caller, &to, 0).await?;
        }
        answer(RenamePResponse {})
    }

    async fn remove_blocks(
        &self,
        request: Request<RemoveBlocksPRequest>,
    ) -> Answered<RemoveBlocksPResponse> {
        let ids = request.into_inner().block_ids;
        self.files()?.remove_blocks(ids.into_iter().map(BlockId))?;
        answer(RemoveBlocksPResponse {})
    }

    async fn schedule_async_persistence(
        &self,
        request: Request<ScheduleAsyncPersistencePRequest>,
    ) -> Answered<ScheduleAsyncPersistencePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = self.admit(request.get_ref().path()).await?;
        let wait = options.persistence_wait_time();
        files.schedule_persist(&caller, &path, wait).await?;
        answer(ScheduleAsyncPersistencePResponse {})
    }

    async fn set_attribute(
        &self,
        request: Request<SetAttributePRequest>,
    ) -> Answered<SetAttributePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = self.admit(request.get_ref().path()).await?;
        if options.persisted() {
            files.schedule_persist(&caller, &path, 0).await?;
        }
        files.set_attributes(&caller, &path, attributes(&options)).await?;
        answer(SetAttributePResponse {})
    }

    async fn free(&self, request: Request<FreePRequest>) -> Answered<FreePResponse> {
        let caller = caller(&request, &None);
        let sent = request.into_inner();
        let options = sent.options.clone().unwrap_or_default();
        let path = self.admit(sent.path()).await?;
        self.files()?.free(&caller, &path, options.recursive(), options.forced()).await?;
        answer(FreePResponse {})
    }

    async fn get_file_path(
        &self,
        request: Request<GetFilePathPRequest>,
    ) -> Answered<GetFilePathPResponse> {
        let path = self.files()?.state().path_of(FileId(request.get_ref().file_id()))?;
        answer(GetFilePathPResponse { path: Some(path.to_string()) })
    }

    async fn mount(&self, request: Request<MountPRequest>) -> Answered<MountPResponse> {
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = path(request.get_ref().goosefs_path())?;
        let new = new_mount(request.get_ref().ufs_path(), options, (None, None));
        self.files()?.mount(&caller, &path, new).await?;
        answer(MountPResponse {})
    }

    async fn unmount(&self, request: Request<UnmountPRequest>) -> Answered<UnmountPResponse> {
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        self.files()?.unmount(&caller, &path(request.get_ref().goosefs_path())?).await?;
        answer(UnmountPResponse {})
    }

    async fn update_mount(
        &self,
        request: Request<UpdateMountPRequest>,
    ) -> Answered<UpdateMountPResponse> {
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = path(request.get_ref().goosefs_path())?;
        self.files()?.update_mount(&caller, &path, mount_change(options)).await?;
        answer(UpdateMountPResponse {})
    }

    async fn get_mount_point(
        &self,
        request: Request<GetMountPointPRequest>,
    ) -> Answered<GetMountPointPResponse> {
        let mount = self.files()?.mount_of(&path(&request.get_ref().path)?)?;
        answer(GetMountPointPResponse { mount_point_info: (&*mount).into() })
    }

    async fn get_mount_table(
        &self,
        _: Request<GetMountTablePRequest>,
    ) -> Answered<GetMountTablePResponse> {
        let files = self.files()?;
        let mounts = files.mounts();
        let told = mounts.iter().map(|mount| async {
            let mut info = MountPointInfo::from(&**mount);
            let space = tokio::time::timeout(SPACE_DEADLINE, files.space_of(mount)).await;
            let (capacity, used) = space.unwrap_or((-1, -1));
            info.ufs_capacity_bytes = Some(capacity);
            info.ufs_used_bytes = Some(used);
            (mount.path.to_string(), info)
        });
        let mount_points = futures::future::join_all(told).await.into_iter().collect();
        answer(GetMountTablePResponse { mount_points })
    }

    async fn reverse_resolve(
        &self,
        request: Request<ReverseResolvePRequest>,
    ) -> Answered<ReverseResolvePResponse> {
        let uri = request.get_ref().ufs_uri();
        let path = self.files()?.mounts().reverse(uri).ok_or_else(|| {
            let text = format!("{uri} is not below any mount: `goosefs fs mount` lists them");
            tonic::Status::from(crate::core::error::not_found(text))
        })?;
        answer(ReverseResolvePResponse { goosefs_path: Some(path.to_string()) })
    }

    async fn create_namespace(
        &self,
        request: Request<CreateNamespacePRequest>,
    ) -> Answered<CreateNamespacePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = files.namespace_path(request.get_ref().namespace())?;
        let policies = (options.read_p_type, options.write_p_type);
        let mount = MountPOptions {
            read_only: options.read_only,
            properties: options.properties,
            shared: options.shared,
            common_options: None,
        };
        let new = new_mount(request.get_ref().ufs_path(), mount, policies);
        files.mount(&caller, &path, new).await?;
        answer(CreateNamespacePResponse {})
    }

    async fn update_namespace(
        &self,
        request: Request<UpdateNamespacePRequest>,
    ) -> Answered<UpdateNamespacePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = files.namespace_path(request.get_ref().namespace())?;
        let mount = MountPOptions {
            read_only: options.read_only,
            properties: options.properties,
            shared: options.shared,
            common_options: None,
        };
        files.update_mount(&caller, &path, mount_change(mount)).await?;
        answer(UpdateNamespacePResponse {})
    }

    async fn delete_namespace(
        &self,
        request: Request<DeleteNamespacePRequest>,
    ) -> Answered<DeleteNamespacePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = files.namespace_path(request.get_ref().namespace())?;
        files.unmount(&caller, &path).await?;
        answer(DeleteNamespacePResponse {})
    }

    type ListNamespaceStream = Stream<ListNamespacePResponse>;

    async fn list_namespace(
        &self,
        _: Request<ListNamespacePRequest>,
    ) -> Answered<Self::ListNamespaceStream> {
        let found = self.files()?.namespaces()?;
        let file_info = found.iter().map(FileInfo::from).collect();
        let message = ListNamespacePResponse { file_info, shares: limits::shares(&self.0) };
        answer(futures::stream::once(async { Ok(message) }).boxed())
    }

    async fn stat_namespace(
        &self,
        request: Request<StatNamespacePRequest>,
    ) -> Answered<StatNamespacePResponse> {
        let status = self.files()?.namespace(request.get_ref().namespace())?;
        let mut shares = limits::shares(&self.0).into_iter();
        let share = shares.find(|share| share.mount_id() == status.mount_id);
        answer(StatNamespacePResponse { file_info: Some((&status).into()), share })
    }

    async fn set_namespace_attribute(
        &self,
        request: Request<SetNamespaceAttributePRequest>,
    ) -> Answered<SetNamespaceAttributePResponse> {
        let files = self.files()?;
        let options = request.get_ref().options.clone().unwrap_or_default();
        let caller = caller(&request, &options.common_options);
        let path = files.namespace(request.get_ref().namespace())?.path;
        let options = SetAttributePOptions {
            owner: options.owner,
            group: options.group,
            mode: options.mode,
            read_p_type: options.read_p_type,
            write_p_type: options.write_p_type,
            ..Default::default()
        };
        files.set_attributes(&caller, &path, attributes(&options)).await?;
        answer(SetNamespaceAttributePResponse {})
    }

    async fn check_persistence_done(
        &self,
        _: Request<CheckPersistenceDonePRequest>,
    ) -> Answered<CheckPersistenceDonePResponse> {
        let waiting = self.files()?.state().to_persist(None, 1)?;
        answer(CheckPersistenceDonePResponse { done: Some(waiting.is_empty()) })
    }

    async fn retry_failed_persistence(
        &self,
        _: Request<RetryFailedPersistencePRequest>,
    ) -> Answered<RetryFailedPersistencePResponse> {
        self.files()?;
        let effective = Some(self.0.persister.retry_now());
        answer(RetryFailedPersistencePResponse { effective })
    }

    async fn count_failed_persistence(
        &self,
        _: Request<CountFailedPersistencePRequest>,
    ) -> Answered<CountFailedPersistencePResponse> {
        self.files()?;
        answer(CountFailedPersistencePResponse {
            traversed_count: Some(self.0.persister.failures().len() as i64),
            traverse_finished: Some(true),
        })
    }

    async fn list_failed_persistence(
        &self,
        request: Request<ListFailedPersistencePRequest>,
    ) -> Answered<ListFailedPersistencePResponse> {
        let files = self.files()?;
        let sent = request.into_inner();
        let after = sent.marker().parse::<i64>().unwrap_or(i64::MIN);
        let limit = sent.max_files_count.map_or(PER_MESSAGE, |most| most.clamp(1, 10_000) as usize);
        let failed: Vec<_> =
            self.0.persister.failures().into_iter().filter(|(id, _)| id.0 > after).collect();
        let page = failed.iter().take(limit);
        let next_marker = page.clone().next_back().map(|(id, _)| id.to_string());
        let told = page.filter_map(|(id, cause)| {
            let path = files.state().path_of(*id).ok()?;
            Some(format!("{path}: {cause}"))
        });
        answer(ListFailedPersistencePResponse {
            failed_files: told.collect(),
            truncated: Some(failed.len() > limit),
            next_marker,
        })
    }

    async fn get_sync_path_list(
        &self,
        _: Request<GetSyncPathListPRequest>,
    ) -> Answered<GetSyncPathListPResponse> {
        self.files()?;
        answer(GetSyncPathListPResponse { sync_paths: Vec::new() })
    }

    async fn get_state_lock_holders(
        &self,
        _: Request<GetStateLockHoldersPRequest>,
    ) -> Answered<GetStateLockHoldersPResponse> {
        self.files()?;
        answer(GetStateLockHoldersPResponse { threads: Vec::new() })
    }

    async fn check_consistency(
        &self,
        _: Request<CheckConsistencyPRequest>,
    ) -> Answered<CheckConsistencyPResponse> {
        unserved("CheckConsistency")
    }

    async fn set_acl(&self, _: Request<SetAclPRequest>) -> Answered<SetAclPResponse> {
        unserved("SetAcl")
    }

    async fn start_sync(&self, _: Request<StartSyncPRequest>) -> Answered<StartSyncPResponse> {
        unserved("StartSync")
    }

    async fn stop_sync(&self, _: Request<StopSyncPRequest>) -> Answered<StopSyncPResponse> {
        unserved("StopSync")
    }

    async fn update_ufs_mode(
        &self,
        _: Request<UpdateUfsModePRequest>,
    ) -> Answered<UpdateUfsModePResponse> {
        unserved("UpdateUfsMode")
    }

    async fn get_delegation_token(
        &self,
        _: Request<GetDelegationTokenPRequest>,
    ) -> Answered<GetDelegationTokenPResponse> {
        unserved("GetDelegationToken")
    }

    async fn renew_delegation_token(
        &self,
        _: Request<RenewDelegationTokenPRequest>,
    ) -> Answered<RenewDelegationTokenPResponse> {
        unserved("RenewDelegationToken")
    }

    async fn cancel_delegation_token(
        &self,
        _: Request<CancelDelegationTokenPRequest>,
    ) -> Answered<CancelDelegationTokenPResponse> {
        unserved("CancelDelegationToken")
    }
}
