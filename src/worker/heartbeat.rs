//! Register, report, obey.
//!
//! A worker that cannot reach the master goes on serving what it holds and keeps trying. What the
//! master says is done: drop these blocks, those are safe in the under store, register again, move
//! blocks to other workers; and when what is pinned or who takes part has changed, the worker asks
//! for it; so with what mounts may take. One that stops says so, and gives away what it holds first where it is told to. Once an
//! hour the worker asks which of the files it holds blocks of still exist; it believes a "no"
//! only from the cluster it first belonged to.

mod learn;

use super::fill::run_blocking;
use super::identity::Identity;
use super::migrate::Migrator;
use super::mounts::Mounts;
use super::peers::Peers;
use super::store::BlockStore;
use super::write::Intake;
use crate::core::config::Config;
use crate::core::error::{Error, Result, failed_precondition, unavailable};
use crate::core::metrics::{Metrics, names};
use crate::core::model::{BlockId, FileId, Locality, WorkerAddress, WorkerId};
use crate::core::proto::grpc::block::worker_manager_master_client_service_client::WorkerManagerMasterClientServiceClient;
use crate::core::proto::grpc::block::worker_manager_master_worker_service_client::WorkerManagerMasterWorkerServiceClient;
use crate::core::proto::grpc::block::{
    BlockHeartbeatPOptions, BlockHeartbeatPRequest, BlockHeartbeatPResponse, GetWorkerIdPRequest,
    ManageWorkerPRequest, RegisterWorkerPRequest, StorageList,
};
use crate::core::proto::grpc::{
    CommandType, ManageWorkerAction, Metric, MetricType, WorkerNetAddress,
};
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use crate::core::rpc::Primary;
use crate::core::runtime::Rate;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the worker asks which files still exist.
const CHECK_FILES: Duration = Duration::from_secs(3600);
/// Files asked for at once.
const FILES_AT_ONCE: usize = 10_000;
/// How long saying that this worker stops may hold it up.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often the master is reminded that this worker is giving everything away.
const REMIND: Duration = Duration::from_secs(5);
/// How often it looks whether all has been given away.
const LOOK: Duration = Duration::from_millis(200);
/// How long the master may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The worker's side of its conversation with the master.
pub struct Heartbeat {
    master: Primary,
    store: Arc<BlockStore>,
    identity: Arc<Identity>,
    metrics: Metrics,
    address: WorkerAddress,
    locality: Locality,
    virtual_nodes: u32,
    start_ms: i64,
    peers: Arc<Peers>,
    migrator: Migrator,
    intake: Arc<Intake>,
    ufs_rate: Rate,
    mounts: Arc<Mounts>,
    /// This worker's own bound on that.
    ufs_rate_own: u64,
    /// Whether the master says that all has been given away.
    drained: AtomicBool,
    /// Held by whoever talks to the master of this worker's life; true once it has said farewell.
    speaking: tokio::sync::Mutex<bool>,
    /// The id the worker is registered by; none before.
    registered: watch::Sender<Option<WorkerId>>,
    files_checked: Mutex<Option<Instant>>,
    /// What is pinned as of this version is what the store knows.
    pins_version: Mutex<Option<i64>>,
    /// What mounts may take as of this version is what the store knows.
    allowances_version: Mutex<Option<u64>>,
}

/// What reports are made of, and what does what the master says.
pub struct Obedient {
    /// The blocks here.
    pub store: Arc<BlockStore>,
    /// Who this worker is.
    pub identity: Arc<Identity>,
    /// What it counts.
    pub metrics: Metrics,
    /// The other workers.
    pub peers: Arc<Peers>,
    /// Moves blocks to them.
    pub migrator: Migrator,
    /// What clients write.
    pub intake: Arc<Intake>,
    /// At which bytes pass between here and the under stores.
    pub ufs_rate: Rate,
    /// The under stores.
    pub mounts: Arc<Mounts>,
}

impl Heartbeat {
    /// Says nothing yet.
    pub fn new(config: &Config, address: WorkerAddress, parts: Obedient) -> Self {
        let Obedient { store, identity, metrics, peers, migrator, intake, ufs_rate, mounts } =
            parts;
        let locality = Locality { zone: config.node.zone.clone(), rack: config.node.rack.clone() };
        Heartbeat {
            locality,
            peers,
            migrator,
            intake,
            ufs_rate,
            mounts,
            ufs_rate_own: config.worker.ufs_bandwidth.0,
            drained: AtomicBool::new(false),
            speaking: tokio::sync::Mutex::new(false),
            master: Primary::new(config),
            store,
            identity,
            metrics,
            address,
            virtual_nodes: config.worker.virtual_nodes,
            start_ms: crate::core::runtime::Clock::default().now_ms(),
            registered: watch::Sender::new(None),
            files_checked: Mutex::new(None),
            pins_version: Mutex::new(None),
            allowances_version: Mutex::new(None),
        }
    }

    /// The id the worker is registered by, as it changes.
    pub fn registered(&self) -> watch::Receiver<Option<WorkerId>> {
        self.registered.subscribe()
    }

    /// One report, after registering where need be, and what the master says to it.
    ///
    /// # Errors
    /// Why the master could not be told.
    pub async fn beat(&self) -> Result<()> {
        let farewell = self.speaking.lock().await;
        if *farewell {
            return Ok(());
        }
        let registered = *self.registered.borrow();
        let id = match registered {
            Some(id) => id,
            None => {
                let id = self.register().await?;
                self.registered.send_replace(Some(id));
                id
            }
        };
        let answer = self.report(id).await?;
        let pins = answer.pins_version;
        // Who is told to register again is not told how it stands.
        if let Some(refuse) = answer.refuse_writes {
            self.intake.close(refuse);
            self.drained.store(answer.drained(), Ordering::Release);
        }
        if let Some(command) = &answer.migration_command {
            self.migrator.obey(id, command);
        }
        for copy in &answer.copy_blocks {
            if let Some(to) = &copy.to {
                self.migrator.copy(id, BlockId(copy.block_id()), to.into());
            }
        }
        let share = answer.sync_cache_rate_limit.as_ref().map_or(0.0, |limit| limit.rate_limit());
        self.ufs_rate.set(lower(self.ufs_rate_own, share));
        if let Some(allowances) = &answer.allowances {
            self.allow(allowances).await?;
        }
        self.metrics.gauge(&names::WORKER_UFS_RATE).set(self.ufs_rate.get() as i64);
        let ring = answer.ring_version;
        self.obey(answer).await?;
        if let Some(version) = ring {
            self.peers.learn(version).await?;
        }
        let known = *self.pins_version.lock();
        if let Some(version) = pins.filter(|&version| known != Some(version)) {
            self.learn_pins(version).await?;
        }
        self.learn_mounts().await
    }

    /// Tells the master that this worker stops, so that nobody is sent here any more.
    ///
    /// # Errors
    /// Why the master could not be told; it will notice.
    pub async fn farewell(&self) -> Result<()> {
        let said = tokio::time::timeout(FAREWELL, self.speaking.lock()).await;
        let Ok(mut said) = said else { return Ok(()) };
        *said = true;
        let Some(id) = *self.registered.borrow() else { return Ok(()) };
        let request = BlockHeartbeatPRequest {
            worker_id: Some(id),
            stopping: Some(true),
            ..Default::default()
        };
        tokio::time::timeout(FAREWELL, self.say(request))
            .await
            .unwrap_or_else(|_| Err(unavailable("the master does not answer")))
            .map(drop)
    }

    /// Has this worker give away what it holds, and waits until it has or `patience` is over. Says
    /// whether nothing is left here that is nowhere else.
    ///
    /// # Errors
    /// Why the master does not take part: it cannot be reached, or there is no other worker.
    pub async fn drain(&self, patience: Duration) -> Result<bool> {
        let request = ManageWorkerPRequest {
            address: Some((&self.address).into()),
            action: Some(ManageWorkerAction::Isolate as i32),
            until_restart: Some(true),
            ..Default::default()
        };
        let ask = || {
            self.master.call(|channel| {
                let request = request.clone();
                async move {
                    let mut manager = WorkerManagerMasterClientServiceClient::new(channel);
                    manager.manage_worker(request).await
                }
            })
        };
        tracing::info!(?patience, "giving away what is here before stopping");
        let deadline = Instant::now() + patience;
        patiently(ask()).await?;
        let mut asked = Instant::now();
        while Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
            if self.drained.load(Ordering::Acquire) {
                return Ok(true);
            }
            // A new primary does not know of it.
            if asked.elapsed() > REMIND {
                asked = Instant::now();
                if let Err(error) = patiently(ask()).await {
                    tracing::debug!(%error, "reminding the master");
                }
            }
        }
        Ok(self.store.usage().unpersisted == 0)
    }

    /// Makes sure that the blocks here are of the master's cluster, before anybody is sent to them:
    /// another cluster counts its files from the start too, and the same ids stand for other bytes.
    /// What is elsewhere as well is dropped where they are not; the only copies of another cluster
    /// are left alone, and so is this one.
    async fn join(&self) -> Result<()> {
        let call = self.master.call(|channel| async move {
            FileSystemClient::new(channel).check_files(v1::CheckFilesRequest::default()).await
        });
        let cluster = patiently(call).await?.cluster_id;
        if cluster.is_empty() {
            return Err(unavailable("the master does not say which cluster it is of"));
        }
        let (identity, store) = (self.identity.clone(), self.store.clone());
        run_blocking(move || {
            let mut known = store.clusters()?;
            known.push(identity.get().cluster_id);
            known.retain(|known| !known.is_empty());
            let other = known.iter().find(|&known| *known != cluster);
            if let Some(other) = other.filter(|_| store.usage().unpersisted > 0) {
                return Err(of_another(&cluster, other));
            }
            if other.is_some() || known.is_empty() {
                let dropped = store.persisted().into_iter().filter(|id| store.remove(*id)).count();
                if dropped > 0 {
                    tracing::warn!(blocks = dropped, "dropped: they may be of another cluster");
                }
            }
            store.set_cluster(&cluster)?;
            identity.set(|kept| kept.cluster_id = cluster)
        })
        .await?
    }

    async fn register(&self) -> Result<WorkerId> {
        self.join().await?;
        let id = match self.identity.get().worker_id {
            0 => self.new_id().await?,
            id => id,
        };
        let usage = self.store.usage();
        let mut address = WorkerNetAddress::from(&self.address);
        if self.locality != Locality::default() {
            address.tiered_identity = Some((&self.locality).into());
        }
        let request = RegisterWorkerPRequest {
            worker_id: Some(id),
            capacity_bytes: Some(usage.capacity as i64),
            used_bytes: Some(usage.used as i64),
            cache_used_bytes: Some(usage.used.saturating_sub(usage.unpersisted) as i64),
            persist_used_bytes: Some(usage.unpersisted as i64),
            lost_storage: self.lost_storage(),
            address: Some(address),
            start_time_ms: Some(self.start_ms),
            virtual_node_num: Some(self.virtual_nodes as i32),
            evicts_above: Some(self.store.evicts_above() as i64),
        };
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move {
                WorkerManagerMasterWorkerServiceClient::new(channel).register_worker(request).await
            }
        });
        patiently(call).await?;
        tracing::info!(worker = id, address = %self.address, "registered");
        self.tell_held(id).await?;
        Ok(id)
    }

    /// Tells the master of the blocks here that are nowhere else: it may have given them up for lost,
    /// or never have heard that they came here.
    async fn tell_held(&self, id: WorkerId) -> Result<()> {
        let blocks = self.store.blocks();
        let only = blocks.iter().filter(|block| block.is_whole() && block.is_unpersisted());
        let ids: Vec<i64> = only.map(|block| block.id().0).collect();
        for block_ids in ids.chunks(FILES_AT_ONCE) {
            let request = v1::MovedBlocksRequest { block_ids: block_ids.to_vec(), to: id, from: 0 };
            let call = self.master.call(|channel| {
                let request = request.clone();
                async move { FileSystemClient::new(channel).moved_blocks(request).await }
            });
            patiently(call).await?;
        }
        Ok(())
    }

    async fn new_id(&self) -> Result<WorkerId> {
        let request =
            GetWorkerIdPRequest { worker_net_address: Some((&self.address).into()), options: None };
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move {
                WorkerManagerMasterWorkerServiceClient::new(channel).get_worker_id(request).await
            }
        });
        let id = patiently(call).await?.worker_id();
        if id <= 0 {
            return Err(failed_precondition("the master has no id for this worker"));
        }
        let identity = self.identity.clone();
        run_blocking(move || identity.set(|kept| kept.worker_id = id)).await??;
        Ok(id)
    }

    async fn report(&self, id: WorkerId) -> Result<BlockHeartbeatPResponse> {
        // Before the usage: a write that ends in between is in one of them.
        let open_writes = self.intake.open_writes();
        let usage = self.store.usage();
        let options = BlockHeartbeatPOptions {
            metrics: self.told_metrics(),
            capacity_bytes: Some(usage.capacity as i64),
        };
        let request = BlockHeartbeatPRequest {
            worker_id: Some(id),
            used_bytes: Some(usage.used as i64),
            options: Some(options),
            cache_used_bytes: Some(usage.used.saturating_sub(usage.unpersisted) as i64),
            persist_used_bytes: Some(usage.unpersisted as i64),
            open_writes: Some(open_writes as i32),
            start_time_ms: Some(self.start_ms),
            migration_progress: self.migrator.report(),
            lost_storage: self.lost_storage(),
            tiers: self.store.tiers().iter().map(Into::into).collect(),
            mount_usages: self.mount_usages(),
            allowances_version: *self.allowances_version.lock(),
            evicts_above: Some(self.store.evicts_above() as i64),
            ..Default::default()
        };
        patiently(self.say(request)).await
    }

    /// One heartbeat, however long the master takes to answer.
    async fn say(&self, request: BlockHeartbeatPRequest) -> Result<BlockHeartbeatPResponse> {
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move {
                WorkerManagerMasterWorkerServiceClient::new(channel).block_heartbeat(request).await
            }
        });
        call.await
    }

    fn lost_storage(&self) -> Option<StorageList> {
        Some(StorageList { storage: self.store.lost_dirs() })
    }

    fn told_metrics(&self) -> Vec<Metric> {
        let told = |(name, value): (String, f64)| Metric {
            source: Some(self.address.to_string()),
            metric_type: MetricType::Gauge as i32,
            name: Some(name),
            value: Some(value),
            ..Default::default()
        };
        self.metrics.values().into_iter().map(told).collect()
    }

    async fn obey(&self, answer: BlockHeartbeatPResponse) -> Result<()> {
        let command = answer.command.unwrap_or_default();
        let free = match command.command_type() {
            CommandType::Register => {
                tracing::info!("the master does not know this worker: registering again");
                self.registered.send_replace(None);
                Vec::new()
            }
            CommandType::Free => command.data,
            CommandType::Nothing | CommandType::Unknown => Vec::new(),
        };
        let persisted = answer.persisted_move_blocks;
        if free.is_empty() && persisted.is_empty() {
            return Ok(());
        }
        let store = self.store.clone();
        run_blocking(move || {
            persisted.into_iter().for_each(|id| store.set_persisted(BlockId(id)));
            for id in free {
                store.remove(BlockId(id));
            }
        })
        .await
    }

    /// Asks which files still exist, when that is due.
    ///
    /// # Errors
    /// Why the master could not be asked.
    pub async fn check_files_when_due(&self) -> Result<()> {
        let recent = self.files_checked.lock().is_some_and(|at| at.elapsed() < CHECK_FILES);
        if recent || self.registered.borrow().is_none() {
            return Ok(());
        }
        self.check_files().await?;
        *self.files_checked.lock() = Some(Instant::now());
        Ok(())
    }

    async fn check_files(&self) -> Result<()> {
        let files: Vec<i64> = self.store.files().into_iter().map(|file| file.0).collect();
        // Asked even by an empty worker: it learns which cluster it belongs to.
        let first: &[i64] = &[];
        let chunks = files.chunks(FILES_AT_ONCE);
        for file_ids in std::iter::once(first).chain(chunks) {
            let request = v1::CheckFilesRequest { file_ids: file_ids.to_vec() };
            let call = self.master.call(|channel| {
                let request = request.clone();
                async move { FileSystemClient::new(channel).check_files(request).await }
            });
            self.settle_files(patiently(call).await?).await?;
        }
        Ok(())
    }

    /// Drops what the cluster says is gone, if it is the cluster this worker belongs to.
    async fn settle_files(&self, answer: v1::CheckFilesResponse) -> Result<()> {
        let own = self.identity.get().cluster_id;
        if answer.cluster_id.is_empty() {
            return Err(unavailable("the master does not say which cluster it is of"));
        }
        if own != answer.cluster_id {
            return Err(of_another(&answer.cluster_id, &own));
        }
        let set = |ids: Vec<i64>| ids.into_iter().map(FileId).collect::<HashSet<_>>();
        let (missing, persisted) = (set(answer.missing), set(answer.persisted));
        let store = self.store.clone();
        run_blocking(move || {
            store.blocks_of(&persisted).into_iter().for_each(|id| store.set_persisted(id));
            let gone = store.blocks_of(&missing);
            if !gone.is_empty() {
                tracing::info!(blocks = gone.len(), "dropped: their files do not exist any more");
            }
            for id in gone {
                store.remove(id);
            }
        })
        .await
    }
}

/// The lower of two bounds, of which each may be none: 0.
fn lower(own: u64, share: f64) -> u64 {
    // A share that is less than a byte is not none.
    let share = if share > 0.0 { share.max(1.0) } else { 0.0 };
    match (own, share as u64) {
        (0, share) => share,
        (own, 0) => own,
        (own, share) => own.min(share),
    }
}

fn of_another(cluster: &str, own: &str) -> Error {
    failed_precondition(format!(
        "the master is of cluster {cluster}, the blocks here are of {own}, some of them the only \
         copies: none is dropped, and this worker is not used; empty goosefs.worker.dirs and \
         goosefs.worker.data.folder to move it"
    ))
}

/// Waits for the master, but not for ever.
pub(super) async fn patiently<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, call)
        .await
        .unwrap_or_else(|_| Err(unavailable("the master does not answer")))
}

#[cfg(test)]
mod tests {
    use super::lower;

    #[test]
    fn the_lower_bound_counts_and_none_is_no_bound() {
        assert_eq!([lower(0, 0.0), lower(5, 0.0), lower(0, 7.0)], [0, 5, 7]);
        assert_eq!([lower(5, 7.0), lower(9, 7.5)], [5, 7]);
    }
}
