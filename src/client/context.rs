//! What all handles of one client share: the way to the master, the workers and the ring they
//! form, connections to them, lent block files, and who failed lately.
//!
//! The worker list is fetched when it is first needed and again when it is old or a worker failed:
//! old but usable, it is refreshed behind the caller's back; too old or empty, the caller waits.
//! Nothing runs while nobody asks.

use super::block::local::{Lender, is_local};
use super::memory::Memory;
use super::worker::Channels;
use crate::core::config::Config;
use crate::core::error::{Context as _, Result, unavailable};
use crate::core::model::{BlockId, Ring, WorkerId, WorkerInfo};
use crate::core::proto::grpc::block::GetWorkerInfoListPOptions;
use crate::core::proto::grpc::block::worker_manager_master_client_service_client::WorkerManagerMasterClientServiceClient;
use crate::core::rpc::{Credentials, Primary};
use crate::core::runtime::Group;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a worker list is used without asking again.
const WORKERS_FRESH: Duration = Duration::from_secs(30);
/// How long an old one serves while a new one is fetched.
const WORKERS_USABLE: Duration = Duration::from_secs(300);
/// How soon after a failure the list is fetched again.
const WORKERS_DOUBTED: Duration = Duration::from_secs(1);
/// How long a worker that could not be reached is asked last.
const FAILED_FOR: Duration = Duration::from_secs(60);
/// Blocks whose heat is remembered.
const HEAT: usize = 10_000;
/// Users this client acts for at a time; beyond that connections are made anew.
const MOST_USERS: usize = 256;

/// The workers at one moment.
#[derive(Debug)]
pub(super) struct Workers {
    /// Those that take part, with their figures.
    pub(super) list: Vec<WorkerInfo>,
    /// Where blocks belong.
    pub(super) ring: Arc<Ring>,
    /// Those on this host.
    pub(super) local: HashSet<WorkerId>,
    fetched: Instant,
}

impl Workers {
    /// The worker of that id.
    pub(super) fn get(&self, id: WorkerId) -> Option<&WorkerInfo> {
        self.list.iter().find(|worker| worker.id == id)
    }
}

/// What the handles of one client share.
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) primary: Primary,
    pub(super) channels: Channels,
    pub(super) lender: Lender,
    pub(super) memory: Memory,
    /// Everything this client has running; stops with the last handle.
    pub(super) group: Group,
    users: Mutex<HashMap<String, Primary>>,
    workers: RwLock<Option<Arc<Workers>>>,
    /// Held while the list is fetched, so that callers share one call.
    fetching: tokio::sync::Mutex<()>,
    refreshing: AtomicBool,
    doubted: AtomicBool,
    failed: Mutex<HashMap<WorkerId, Instant>>,
    /// How often blocks of other hosts were asked for, as far as there is room to remember.
    heat: quick_cache::sync::Cache<BlockId, u32>,
}

impl Context {
    pub(super) fn new(config: &Config, memory: Memory) -> Self {
        Context {
            memory,
            primary: Primary::new(config),
            channels: Channels::new(config),
            lender: Lender::default(),
            group: Group::new("client"),
            users: Mutex::default(),
            workers: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
            refreshing: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            failed: Mutex::default(),
            heat: quick_cache::sync::Cache::new(HEAT),
            config: config.clone(),
        }
    }

    /// The way to the master as `user`.
    pub(super) fn primary_as(&self, user: &str) -> Primary {
        let mut users = self.users.lock();
        if let Some(primary) = users.get(user) {
            return primary.clone();
        }
        if users.len() >= MOST_USERS {
            users.clear();
        }
        let credentials = Credentials::of(&self.config).as_user(user);
        let addresses = self.config.master_addresses();
        let primary = Primary::of(addresses, credentials, self.config.client.retry_max);
        users.insert(user.into(), primary.clone());
        primary
    }

    /// The workers, not older than they may be.
    ///
    /// # Errors
    /// `Unavailable` when the master does not answer or has no worker.
    pub(super) async fn workers(self: &Arc<Self>) -> Result<Arc<Workers>> {
        let known = self.workers.read().clone();
        let Some(known) = known else { return self.fetch_workers(Instant::now()).await };
        let age = known.fetched.elapsed();
        if age > WORKERS_USABLE || known.ring.workers().is_empty() {
            return self.fetch_workers(Instant::now()).await;
        }
        let doubted = self.doubted.load(Ordering::Relaxed) && age > WORKERS_DOUBTED;
        let due = age > WORKERS_FRESH || doubted;
        if due && !self.refreshing.swap(true, Ordering::Relaxed) {
            let context = Arc::downgrade(self);
            self.group.spawn_until_stop("refresh workers", async move {
                let Some(context) = context.upgrade() else { return };
                if let Err(error) = context.fetch_workers(Instant::now()).await {
                    tracing::debug!(%error, "refreshing the worker list");
                }
                context.refreshing.store(false, Ordering::Relaxed);
            });
        }
        Ok(known)
    }

    /// The workers as the master knows them at `since` or later.
    pub(super) async fn fetch_workers(&self, since: Instant) -> Result<Arc<Workers>> {
        let _turn = self.fetching.lock().await;
        let known = self.workers.read().clone();
        if let Some(known) = &known
            && known.fetched >= since
            && !known.ring.workers().is_empty()
        {
            return Ok(known.clone());
        }
        let fetched = Instant::now();
        let list = self.ask_for_workers().await?;
        if list.is_empty() {
            let masters = self.primary.addresses().join(", ");
            return Err(unavailable(format!(
                "no worker is registered at {masters}: start one with `goosefs worker start`"
            )));
        }
        let workers = Arc::new(arrange(list, known, fetched).await?);
        *self.workers.write() = Some(workers.clone());
        self.doubted.store(false, Ordering::Relaxed);
        Ok(workers)
    }

    async fn ask_for_workers(&self) -> Result<Vec<WorkerInfo>> {
        let answer = self
            .primary
            .call(|channel| async move {
                WorkerManagerMasterClientServiceClient::new(channel)
                    .max_decoding_message_size(crate::core::rpc::MAX_MESSAGE)
                    .get_worker_info_list(GetWorkerInfoListPOptions {})
                    .await
            })
            .await
            .context("asking for the workers")?;
        Ok(answer.worker_infos.iter().map(WorkerInfo::from).collect())
    }

    /// Notes that a block of another host is asked for; whether that makes it worth a copy here.
    pub(super) fn is_hot(&self, block: BlockId) -> bool {
        let asked = self.heat.get(&block).unwrap_or_default().saturating_add(1);
        self.heat.insert(block, asked);
        let hot = self.config.client.hot_reads;
        hot > 0 && asked >= hot
    }

    /// Remembers that `worker` could not be reached, and doubts the list.
    pub(super) fn mark_failed(&self, worker: WorkerId) {
        self.failed.lock().insert(worker, Instant::now());
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether `worker` could not be reached lately.
    pub(super) fn is_failed(&self, worker: WorkerId) -> bool {
        let mut failed = self.failed.lock();
        let Some(when) = failed.get(&worker) else { return false };
        let recent = when.elapsed() < FAILED_FOR;
        if !recent {
            failed.remove(&worker);
        }
        recent
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.group.cancel();
    }
}

/// Makes a ring of `list`, or keeps the one of `known` where nothing that matters to it changed:
/// a ring has thousands of points a worker.
async fn arrange(
    list: Vec<WorkerInfo>,
    known: Option<Arc<Workers>>,
    fetched: Instant,
) -> Result<Workers> {
    if let Some(known) = known
        && same_ring(&list, &known.list)
    {
        let (ring, local) = (known.ring.clone(), known.local.clone());
        return Ok(Workers { list, ring, local, fetched });
    }
    let build = move || {
        let ring = Arc::new(Ring::new(list.iter().cloned()));
        let local = list.iter().filter(|w| is_local(&w.address.host)).map(|w| w.id).collect();
        Workers { list, ring, local, fetched }
    };
    tokio::task::spawn_blocking(build)
        .await
        .map_err(|e| crate::core::error::internal("arranging the workers").with_source(e))
}

fn same_ring(new: &[WorkerInfo], old: &[WorkerInfo]) -> bool {
    let key = |w: &WorkerInfo| (w.id, w.address.clone(), w.virtual_nodes, w.locality.clone());
    new.len() == old.len() && new.iter().map(key).eq(old.iter().map(key))
}

#[cfg(test)]
impl Workers {
    /// A set of workers for tests, `local` of them on this host.
    pub(super) fn of(list: Vec<WorkerInfo>, local: &[WorkerId]) -> Self {
        let ring = Arc::new(Ring::new(list.iter().cloned()));
        Workers { list, ring, local: local.iter().copied().collect(), fetched: Instant::now() }
    }
}

#[cfg(test)]
impl Context {
    /// Takes `workers` for what the master said.
    pub(super) fn know(&self, workers: Workers) {
        *self.workers.write() = Some(Arc::new(workers));
    }
}
