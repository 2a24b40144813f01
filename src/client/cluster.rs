//! Calls to the master about the cluster: mounts, jobs, workers, masters.

use super::FileSystem;
use super::master::named;
use super::options::MountOptions;
use crate::core::error::{Result, internal};
use crate::core::model::{FsPath, MountInfo, WorkerInfo};
use crate::core::proto::grpc::block::worker_manager_master_client_service_client::WorkerManagerMasterClientServiceClient;
use crate::core::proto::grpc::block::*;
use crate::core::proto::grpc::file::*;
use crate::core::proto::grpc::metric::GetMetricsPOptions;
use crate::core::proto::grpc::metric::metrics_master_client_service_client::MetricsMasterClientServiceClient;
use crate::core::proto::v1;
use crate::core::proto::v1::cluster_client::ClusterClient;
use crate::core::proto::v1::jobs_client::JobsClient;
use crate::core::proto::v1::journal_admin_client::JournalAdminClient;
use crate::core::rpc::{Channel, Credentials, MAX_MESSAGE, connect};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};
use tonic::Response;

/// How long one master may take to say who is primary.
const MASTER_PATIENCE: Duration = Duration::from_secs(5);

/// How full the cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes all live workers may hold.
    pub total_bytes: u64,
    /// Bytes they hold.
    pub used_bytes: u64,
    /// Workers that take part.
    pub live_workers: u32,
    /// Workers that were lost.
    pub lost_workers: u32,
}

/// Where one block is.
#[derive(Clone, Debug)]
pub struct BlockLocations {
    /// The block.
    pub block: crate::core::model::BlockStatus,
    /// Workers that hold some of it, with the bytes each can serve by itself.
    pub holders: Vec<(WorkerInfo, u64)>,
}

impl FileSystem {
    /// Attaches an under store at `path`.
    ///
    /// # Errors
    /// `AlreadyExists` where something is or the store is mounted already; what the store fails
    /// with when it cannot be reached.
    pub async fn mount(&self, path: &FsPath, ufs: &str, options: &MountOptions) -> Result<()> {
        let request = MountPRequest {
            goosefs_path: Some(path.as_str().into()),
            ufs_path: Some(ufs.into()),
            options: Some(self.mount_options(options)),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.mount(request).await }
        })
        .await
        .map(drop)
    }

    /// Detaches the under store at `path`; what it holds stays there.
    ///
    /// # Errors
    /// `NotFound` or `InvalidArgument` where `path` is no mount point.
    pub async fn unmount(&self, path: &FsPath) -> Result<()> {
        let request = UnmountPRequest {
            goosefs_path: Some(path.as_str().into()),
            options: Some(UnmountPOptions { common_options: Some(self.change()) }),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.unmount(request).await }
        })
        .await
        .map(drop)
    }

    /// Replaces the options of the mount at `path`.
    ///
    /// # Errors
    /// As [`FileSystem::mount`].
    pub async fn update_mount(&self, path: &FsPath, options: &MountOptions) -> Result<()> {
        let request = UpdateMountPRequest {
            goosefs_path: Some(path.as_str().into()),
            options: Some(self.mount_options(options)),
        };
        self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.update_mount(request).await }
        })
        .await
        .map(drop)
    }

    /// All mounts, by path; secrets are starred out.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn mounts(&self) -> Result<Vec<MountInfo>> {
        let table = self
            .tree(&FsPath::root(), |mut tree| async move {
                tree.get_mount_table(GetMountTablePRequest {}).await
            })
            .await?;
        let mut mounts: Vec<MountInfo> = table
            .mount_points
            .iter()
            .map(|(path, mount)| mount.to_model(path))
            .collect::<Result<_>>()?;
        mounts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(mounts)
    }

    fn mount_options(&self, options: &MountOptions) -> MountPOptions {
        MountPOptions {
            read_only: Some(options.read_only),
            properties: options.properties.clone().into_iter().collect(),
            shared: Some(options.shared),
            common_options: Some(self.change()),
        }
    }

    /// Has files loaded into the cache. Follow it with [`FileSystem::job`].
    ///
    /// # Errors
    /// `NotFound` when the path does not exist.
    pub async fn load(&self, load: v1::LoadJob) -> Result<v1::Job> {
        let path = FsPath::parse(&load.path)?;
        self.submit_job(v1::submit_job_request::Kind::Load(load)).await.map_err(|e| named(e, &path))
    }

    /// Has the cached copies of what is chosen dropped. Follow it with [`FileSystem::job`].
    ///
    /// # Errors
    /// `NotFound` when the path does not exist.
    pub async fn free_all(&self, free: v1::FreeJob) -> Result<v1::Job> {
        let path = FsPath::parse(&free.path)?;
        self.submit_job(v1::submit_job_request::Kind::Free(free)).await.map_err(|e| named(e, &path))
    }

    /// Has files copied or moved by the workers. Follow it with [`FileSystem::job`].
    ///
    /// # Errors
    /// `NotFound` when the source does not exist, `ReadOnly` when the destination takes no writes.
    pub async fn copy(&self, copy: v1::CopyJob) -> Result<v1::Job> {
        let path = FsPath::parse(&copy.from)?;
        self.submit_job(v1::submit_job_request::Kind::Copy(copy)).await.map_err(|e| named(e, &path))
    }

    /// Has what is cached of files compared with its checksums. Follow it with [`FileSystem::job`].
    ///
    /// # Errors
    /// `NotFound` when the path does not exist.
    pub async fn verify(&self, verify: v1::VerifyJob) -> Result<v1::Job> {
        let path = FsPath::parse(&verify.path)?;
        let kind = v1::submit_job_request::Kind::Verify(verify);
        self.submit_job(kind).await.map_err(|e| named(e, &path))
    }

    /// Has `path` copied to the under store. Follow it with [`FileSystem::job`].
    ///
    /// # Errors
    /// `NotFound` where there is nothing.
    pub async fn persist(&self, path: &FsPath) -> Result<v1::Job> {
        let persist = v1::PersistJob { path: path.as_str().into() };
        let kind = v1::submit_job_request::Kind::Persist(persist);
        self.submit_job(kind).await.map_err(|e| named(e, path))
    }

    /// Hands a job to the master.
    ///
    /// # Errors
    /// `InvalidArgument` for a job that makes no sense.
    pub async fn submit_job(&self, kind: v1::submit_job_request::Kind) -> Result<v1::Job> {
        let request = v1::SubmitJobRequest { kind: Some(kind) };
        self.jobs_call(|mut jobs| {
            let request = request.clone();
            async move { jobs.submit(request).await }
        })
        .await
    }

    /// A job as it stands.
    ///
    /// # Errors
    /// `NotFound` for a job nobody knows.
    pub async fn job(&self, id: i64) -> Result<v1::Job> {
        self.jobs_call(|mut jobs| async move { jobs.get(v1::GetJobRequest { id }).await }).await
    }

    /// All jobs the master remembers.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn jobs(&self) -> Result<Vec<v1::Job>> {
        let answer =
            self.jobs_call(|mut jobs| async move { jobs.list(v1::ListJobsRequest {}).await });
        Ok(answer.await?.jobs)
    }

    /// Ends a job before it is done.
    ///
    /// # Errors
    /// `NotFound` for a job nobody knows.
    pub async fn cancel_job(&self, id: i64) -> Result<()> {
        self.jobs_call(|mut jobs| async move { jobs.cancel(v1::CancelJobRequest { id }).await })
            .await
            .map(drop)
    }

    /// Stops a job until it is resumed; it knows how far it was.
    ///
    /// # Errors
    /// `NotFound` for a job nobody knows, `FailedPrecondition` for one that does not run.
    pub async fn pause_job(&self, id: i64) -> Result<v1::Job> {
        self.jobs_call(|mut jobs| async move { jobs.pause(v1::PauseJobRequest { id }).await }).await
    }

    /// Has a paused job go on.
    ///
    /// # Errors
    /// `NotFound` for a job nobody knows, `FailedPrecondition` for one that is not paused.
    pub async fn resume_job(&self, id: i64) -> Result<v1::Job> {
        self.jobs_call(|mut jobs| async move { jobs.resume(v1::ResumeJobRequest { id }).await })
            .await
    }

    /// Runs a job that has ended once more, for what failed; what is in place is passed over.
    ///
    /// # Errors
    /// `NotFound` for a job nobody knows, `FailedPrecondition` for one that has not ended.
    pub async fn retry_job(&self, id: i64) -> Result<v1::Job> {
        self.jobs_call(|mut jobs| async move { jobs.retry(v1::RetryJobRequest { id }).await }).await
    }

    async fn jobs_call<T, F>(&self, call: impl Fn(JobsClient<Channel>) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<Response<T>, tonic::Status>>,
    {
        let call = |channel| call(JobsClient::new(channel).max_decoding_message_size(MAX_MESSAGE));
        self.primary.call(call).await
    }

    /// The workers that take part, as the master knows them now.
    ///
    /// # Errors
    /// `Unavailable` when no master answers or no worker is registered.
    pub async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.context.fetch_workers(Instant::now()).await?.list.clone())
    }

    /// All workers the master knows, also lost ones; none registered is no error.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn worker_report(&self) -> Result<Vec<WorkerInfo>> {
        let range = Some(WorkerRange::All as i32);
        let request = GetWorkerReportPOptions { worker_range: range, ..Default::default() };
        let answer = self
            .manager(|mut manager| {
                let request = request.clone();
                async move { manager.get_worker_report(request).await }
            })
            .await?;
        Ok(answer.worker_infos.iter().map(WorkerInfo::from).collect())
    }

    /// How full the cache is.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn capacity(&self) -> Result<Capacity> {
        let request = GetWorkerManagerMasterInfoPOptions::default();
        let answer = self
            .manager(|mut manager| {
                let request = request.clone();
                async move { manager.get_worker_manager_master_info(request).await }
            })
            .await?;
        let info = answer
            .worker_manager_master_info
            .ok_or_else(|| internal("the master's answer has no figures"))?;
        Ok(Capacity {
            total_bytes: info.capacity_bytes() as u64,
            used_bytes: info.used_bytes() as u64,
            live_workers: info.live_worker_num() as u32,
            lost_workers: info.lost_worker_num() as u32,
        })
    }

    /// Files that could not be persisted so far and are tried again, each with the last cause.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn failed_persists(&self) -> Result<Vec<String>> {
        let (mut failed, mut marker) = (Vec::new(), None);
        let root = FsPath::root();
        loop {
            let request = ListFailedPersistencePRequest { marker, ..Default::default() };
            let call = self.tree(&root, |mut tree| {
                let request = request.clone();
                async move { tree.list_failed_persistence(request).await }
            });
            let page = call.await?;
            let last = !page.truncated() || page.next_marker.is_none();
            failed.extend(page.failed_files);
            marker = page.next_marker;
            if last {
                return Ok(failed);
            }
        }
    }

    /// Has them tried again now; whether there are any.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn retry_persists(&self) -> Result<bool> {
        let root = FsPath::root();
        let call = self.tree(&root, |mut tree| async move {
            tree.retry_failed_persistence(RetryFailedPersistencePRequest {}).await
        });
        call.await.map(|answer| answer.effective())
    }

    pub(super) async fn manager<T, F>(
        &self,
        call: impl Fn(WorkerManagerMasterClientServiceClient<Channel>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<Response<T>, tonic::Status>>,
    {
        let call = |channel| {
            call(
                WorkerManagerMasterClientServiceClient::new(channel)
                    .max_decoding_message_size(MAX_MESSAGE),
            )
        };
        self.primary.call(call).await
    }

    /// The cluster's metrics, by name.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let answer = self
            .primary
            .call(|channel| async move {
                MetricsMasterClientServiceClient::new(channel)
                    .get_metrics(GetMetricsPOptions {})
                    .await
            })
            .await?;
        Ok(answer.metrics.into_iter().map(|(name, value)| (name, value.double_value())).collect())
    }

    /// Who is primary and who stands by, from the first configured master that answers. Masters
    /// that do not are listed as `UNREACHABLE`.
    ///
    /// # Errors
    /// `Unavailable` when none answers.
    pub async fn masters(&self) -> Result<v1::GetMastersResponse> {
        let addresses = self.primary.addresses();
        let questions = addresses.iter().map(|address| self.ask_master(address));
        let answers = futures::future::join_all(questions).await;
        let mut last = None;
        let mut silent = Vec::new();
        let mut found: Option<v1::GetMastersResponse> = None;
        for (address, answer) in addresses.iter().zip(answers) {
            match answer {
                // One that knows the primary knows more.
                Ok(answer) if found.as_ref().is_none_or(|f| f.leader.is_empty()) => {
                    found = Some(answer);
                }
                Ok(_) => {}
                Err(error) => {
                    silent.push(address.clone());
                    last = Some(error);
                }
            }
        }
        let Some(mut found) = found else {
            let all = addresses.join(", ");
            let error = last.unwrap_or_else(|| internal("no master is configured"));
            return Err(error.context(format!("no master answers at {all}: is one running?")));
        };
        for address in silent {
            match found.masters.iter_mut().find(|master| master.address == address) {
                Some(master) => master.role = "UNREACHABLE".into(),
                None => found.masters.push(v1::Master {
                    address,
                    role: "UNREACHABLE".into(),
                    ..Default::default()
                }),
            }
        }
        Ok(found)
    }

    /// The masters that keep the journal, as the primary sees them.
    ///
    /// # Errors
    /// `Unavailable` when no master is primary.
    pub async fn quorum(&self) -> Result<Vec<v1::QuorumMember>> {
        let request = v1::GetQuorumRequest {};
        let asked = self.primary.call(|channel| async move {
            JournalAdminClient::new(channel).get_quorum(request).await
        });
        Ok(asked.await?.members)
    }

    /// Has the master whose journal listens at `journal` taken in; it must wait for that.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer; `AlreadyExists` when its name is taken;
    /// `FailedPrecondition` when it has a journal of its own.
    pub async fn add_master(&self, journal: &str) -> Result<()> {
        let asked = self.primary.call(|channel| async move {
            let request = v1::AddMemberRequest { journal: journal.into() };
            JournalAdminClient::new(channel).add_member(request).await
        });
        asked.await.map(drop)
    }

    /// Takes the master of that name out of the quorum.
    ///
    /// # Errors
    /// `NotFound` when there is none; `FailedPrecondition` for the primary.
    pub async fn remove_master(&self, name: &str) -> Result<()> {
        let asked = self.primary.call(|channel| async move {
            let request = v1::RemoveMemberRequest { name: name.into() };
            JournalAdminClient::new(channel).remove_member(request).await
        });
        asked.await.map(drop)
    }

    /// Makes the master of that name primary.
    ///
    /// # Errors
    /// `NotFound` when there is none; `DeadlineExceeded` when it was not elected in time.
    pub async fn elect_master(&self, name: &str) -> Result<()> {
        let asked = self.primary.call(|channel| async move {
            let request = v1::ElectMemberRequest { name: name.into() };
            JournalAdminClient::new(channel).elect_member(request).await
        });
        asked.await.map(drop)
    }

    /// Begins a backup of the masters' state in `directory`, or the configured one; with an id that
    /// the primary knows already, says how it goes with that backup.
    ///
    /// # Errors
    /// `FailedPrecondition` while another is made; `InvalidArgument` for a directory that makes no
    /// sense.
    pub async fn start_backup(&self, id: &str, directory: &str, local: bool) -> Result<v1::Backup> {
        let asked = self.primary.call(|channel| async move {
            let (id, directory) = (id.into(), directory.into());
            let request = v1::StartBackupRequest { id, directory, local };
            JournalAdminClient::new(channel).start_backup(request).await
        });
        asked.await
    }

    /// How it goes with a backup.
    ///
    /// # Errors
    /// `NotFound` when the primary does not know it: another master has become primary since.
    pub async fn backup(&self, id: &str) -> Result<v1::Backup> {
        let asked = self.primary.call(|channel| async move {
            let request = v1::GetBackupRequest { id: id.into() };
            JournalAdminClient::new(channel).get_backup(request).await
        });
        asked.await
    }

    async fn ask_master(&self, address: &str) -> Result<v1::GetMastersResponse> {
        let ask = async {
            let channel = connect(address, &Credentials::of(&self.context.config)).await?;
            let answer = ClusterClient::new(channel).get_masters(v1::GetMastersRequest {}).await?;
            Ok(answer.into_inner())
        };
        tokio::time::timeout(MASTER_PATIENCE, ask).await.unwrap_or_else(|_| {
            let text = format!("master {address} does not answer");
            Err(crate::core::error::deadline_exceeded(text))
        })
    }
}
