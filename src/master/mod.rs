//! The master: owns the inode tree and tells workers what to do.
//!
//! ```text
//! service → file_system, jobs, workers → sync, stores → journal → state → inode
//! ```
//!
//! All state changes go through the journal; everything else here can be lost with the process and
//! is learned anew: which workers live, what they do, when a store was last asked.

pub mod backup;
mod durability;
mod duties;
pub mod file_system;
mod holdings;
pub mod inode;
pub mod jobs;
pub mod journal;
pub mod limits;
pub mod locks;
mod measure;
mod membership;
pub mod metrics;
pub mod mount;
pub mod record_locks;
mod service;
pub mod state;
pub mod stores;
pub mod sync;
mod throttle;
pub mod watches;
mod web;
pub mod workers;

use crate::core::config::{Config, os_user};
use crate::core::error::{Context, Result, failed_precondition, unavailable};
use crate::core::metrics::{Counter, Metrics as Counts, names};
use crate::core::proto::v1;
use crate::core::rpc::server::Windows;
use crate::core::rpc::{self, Sessions};
use crate::core::runtime::{Clock, Duties, Group};
use crate::core::security::{Groups, User};
use backup::Backups;
use durability::Durability;
use file_system::FileSystem;
use futures::FutureExt;
use holdings::Holdings;
use jobs::{Jobs, Persister};
use journal::Journal;
use journal::entry::{Change, Entry, Initialize, Ownership};
use measure::Measures;
use membership::Membership;
use metrics::Metrics;
use record_locks::FileLocks;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use throttle::Throttle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use workers::Registry;

#[cfg(test)]
mod tests;

/// How long calls in flight may take to end when the master stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long callers wait unanswered for the masters to agree who is primary.
const SETTLING: Duration = Duration::from_secs(30);
/// How far the clocks of masters may be apart without a word, in milliseconds.
const CLOCKS_APART_MS: i64 = 5_000;
/// How often the master looks whether it is primary.
const ROLE_INTERVAL: Duration = Duration::from_millis(50);

/// What the services work with.
pub struct Master {
    pub(in crate::master) config: Config,
    pub(in crate::master) clock: Clock,
    pub(in crate::master) journal: Journal,
    pub(in crate::master) files: FileSystem,
    pub(in crate::master) workers: Registry,
    pub(in crate::master) throttle: Throttle,
    pub(in crate::master) membership: Membership,
    pub(in crate::master) durability: Durability,
    pub(in crate::master) jobs: Jobs,
    pub(in crate::master) locks: FileLocks,
    pub(in crate::master) persister: Persister,
    pub(in crate::master) backups: Backups,
    pub(in crate::master) measures: Measures,
    pub(in crate::master) metrics: Metrics,
    pub(in crate::master) duties: Duties,
    /// What this process counts, and the calls among it.
    pub(in crate::master) counts: Counts,
    calls: Counter,
    /// Primary, and ready: what an earlier primary left unfinished has been taken up.
    ready: AtomicBool,
    group: Group,
    start_ms: i64,
}

/// Runs a master until `shutdown` ends.
///
/// # Errors
/// When the journal cannot be opened, or a port is in use.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let config = config.for_master()?;
    let memory = service::memory_of_requests(&config.master)?;
    // Taken before the journal is opened, which may wait for others.
    let mut sockets = Sockets::bind(&config).await?;
    let journal = Journal::open(&config.master).await.context("opening the journal")?;
    let leaving = journal.clone();
    let shutdown = async move {
        shutdown.await;
        leaving.hand_over().await;
    };
    let shutdown = shutdown.shared();
    let result = loop {
        match serve(&config, &journal, memory, sockets, shutdown.clone()).await {
            Ok(End::Deposed) => tracing::info!("no longer primary: beginning anew as a standby"),
            Ok(End::Told) => break Ok(()),
            Err(error) => break Err(error),
        }
        sockets = match Sockets::bind(&config).await {
            Ok(sockets) => sockets,
            Err(error) => break Err(error),
        };
    };
    let failure = journal.failure();
    let closed = journal.close().await;
    match failure {
        Some(why) => {
            Err(unavailable(format!("the journal has failed, start the master anew: {why}")))
        }
        None => closed.and(result),
    }
}

/// What a master listens on.
struct Sockets {
    rpc: TcpListener,
    page: TcpListener,
}

impl Sockets {
    async fn bind(config: &Config) -> Result<Sockets> {
        let (host, port) = (config.master.bind_host.as_str(), config.master.rpc_port);
        let web_port = config.master.web_port;
        Ok(Sockets {
            rpc: rpc::server::bind(host, port, "goosefs.master.rpc.port").await?,
            page: rpc::server::bind(host, web_port, "goosefs.master.web.port").await?,
        })
    }
}

/// Why a master stops serving.
enum End {
    /// It was told to.
    Told,
    /// It was primary and is no more: what it keeps in memory may be old.
    Deposed,
}

/// Serves until `shutdown` ends or another master takes over. What is kept beside the journal lives
/// as long as this call: who has been primary and becomes it again knows nothing from before.
async fn serve(
    config: &Config,
    journal: &Journal,
    memory: Option<u64>,
    sockets: Sockets,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<End> {
    let group = Group::new("master");
    let master = Master::new(config.clone(), journal.clone(), group.clone());
    let (end, ended) = oneshot::channel();
    group.spawn_until_stop("role", lead(master.clone(), end));
    duties::start(&master, &master.duties, &group);
    web::show(&master, sockets.page, &group);

    master.settle().await;
    let simple = config.security.authentication.eq_ignore_ascii_case("SIMPLE");
    let routes = service::routes(&master, &Sessions::new(simple), memory);
    let stop = group.clone();
    let why = Arc::new(AtomicBool::new(false));
    let deposed = why.clone();
    let windows = if memory.is_some() { Windows::SMALLEST } else { Windows::default() };
    let served = rpc::server::serve_within(windows, sockets.rpc, routes, GRACE, async move {
        tokio::select! {
            () = shutdown => {}
            Ok(end) = ended => deposed.store(matches!(end, End::Deposed), Ordering::Release),
        }
        // Streams that never end by themselves do now.
        stop.cancel();
    })
    .await;
    group.stop(GRACE).await;
    served.map(|()| if why.load(Ordering::Acquire) { End::Deposed } else { End::Told })
}

/// Forgets everything a master keeps: the journal and the tree. Under stores are not touched.
///
/// # Errors
/// When a master runs on it, or the directory cannot be removed.
pub fn format(config: &Config) -> Result<()> {
    check_stopped(config)?;
    let dir = &config.master.journal_dir;
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.with_context(|| format!("removing {}", dir.display())),
    }
}

/// Whether a master has nothing that [`format()`] or [`restore`] would replace.
///
/// # Errors
/// When the directory cannot be read.
pub fn is_formatted(config: &Config) -> Result<bool> {
    Ok(!journal::restore::is_used(&config.master.journal_dir)?)
}

/// Puts the backup at `from`, an under store's address or a file of this host, in the place of
/// everything a master keeps; the master takes it up when it starts. What the backup says of itself,
/// and the number of files and directories in it.
///
/// # Errors
/// When a master runs on it; when there is no backup at `from`, or it is damaged or of a newer
/// format: then nothing was changed.
pub async fn restore(config: &Config, from: &str) -> Result<(journal::restore::Header, u64)> {
    check_stopped(config)?;
    journal::restore::take(&config.master.journal_dir, from, &config.ufs_properties()).await
}

fn check_stopped(config: &Config) -> Result<()> {
    let (host, port) = (config.master.bind_host.as_str(), config.master.rpc_port);
    if let Err(error) = std::net::TcpListener::bind((host, port))
        && error.kind() == std::io::ErrorKind::AddrInUse
    {
        return Err(failed_precondition(format!(
            "a master listens on {host}:{port}: stop it before its journal is removed"
        )));
    }
    Ok(())
}

/// Follows whether this master is primary; becoming it, takes up what was left unfinished before
/// anybody is answered. Ends, telling `end`, when it is no longer primary, or when the journal has
/// failed: a master that can change nothing ever again makes way for one that can.
async fn lead(master: Arc<Master>, end: oneshot::Sender<End>) {
    // The term that it serves: who is deposed and elected again knows only what it knew before.
    let mut served = 0;
    let leads_in = |term| master.journal.leads() && master.journal.standing().term == term;
    loop {
        if let Some(error) = master.journal.failure() {
            tracing::error!(%error, "the journal has failed: ending");
            // Nobody who listens is stopping already.
            let _ = end.send(End::Told);
            return;
        }
        let ready = master.ready.load(Ordering::Acquire);
        if ready && !leads_in(served) {
            master.ready.store(false, Ordering::Release);
            let _ = end.send(End::Deposed);
            return;
        }
        if !ready && master.journal.is_primary() {
            served = master.journal.standing().term;
            match master.take_over().await {
                Ok(()) if !leads_in(served) => {
                    let _ = end.send(End::Deposed);
                    return;
                }
                Ok(()) => {
                    master.ready.store(true, Ordering::Release);
                    let address = master.address();
                    tracing::info!(%address, "primary: serving");
                }
                Err(error) => {
                    tracing::warn!(%error, "not ready yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        tokio::time::sleep(ROLE_INTERVAL).await;
    }
}

impl Master {
    fn new(config: Config, journal: Journal, group: Group) -> Arc<Master> {
        let clock = Clock::default();
        let counts = Counts::default();
        let workers = Registry::new(config.master.worker_timeout);
        let files = FileSystem::new(
            &config,
            journal.clone(),
            workers.clone(),
            clock.clone(),
            group.clone(),
        );
        let membership =
            Membership::new(files.clone(), workers.clone(), clock.clone(), &config.master);
        let copies = config.client.durable_replicas;
        let patience = config.master.worker_timeout;
        let durability = Durability::new(files.clone(), workers.clone(), copies, patience);
        let persister = Persister::new(files.clone(), workers.clone(), clock.clone());
        let holdings = Holdings::new(&config, workers.clone());
        let jobs = Jobs::new(
            files.clone(),
            holdings.clone(),
            persister.clone(),
            clock.clone(),
            group.clone(),
        );
        let locks = FileLocks::new(files.clone(), config.master.lock_lease);
        let measures = Measures::new(files.clone(), holdings, clock.clone());
        let backups = Backups::new(&config, files.clone(), clock.clone(), group.clone(), &counts);
        Arc::new(Master {
            start_ms: clock.now_ms(),
            config,
            clock,
            journal,
            files,
            workers,
            membership,
            throttle: Throttle::default(),
            durability,
            locks,
            jobs,
            persister,
            backups,
            measures,
            metrics: Metrics::default(),
            calls: counts.counter(&names::MASTER_CALLS),
            counts,
            duties: Duties::default(),
            ready: AtomicBool::new(false),
            group,
        })
    }

    /// Whether this master is primary and ready to serve.
    pub fn is_primary(&self) -> bool {
        self.ready.load(Ordering::Acquire) && self.journal.is_primary()
    }

    /// Waits until this master is ready as primary, or knows another one. Until then nobody is
    /// answered, though connections are taken: an official client whose first question for workers
    /// is refused never asks again.
    async fn settle(&self) {
        let own = self.address();
        let follows = || self.journal.standing().leader.is_some_and(|leader| leader != own);
        let settled = async {
            while !self.is_primary() && !follows() {
                tokio::time::sleep(ROLE_INTERVAL).await;
            }
        };
        if tokio::time::timeout(SETTLING, settled).await.is_err() {
            tracing::warn!("no primary yet: callers are told to try again");
        }
    }

    /// Refuses what only the primary may answer.
    fn check_primary(&self) -> Result<()> {
        self.calls.inc();
        if self.is_primary() {
            return Ok(());
        }
        Err(unavailable("this master is not the primary, or not ready yet: try again"))
    }

    /// Makes the tree if there is none, and takes up what an earlier primary left unfinished.
    async fn take_over(&self) -> Result<()> {
        self.journal.catch_up().await?;
        self.agree_on_time();
        if !self.journal.state().is_initialized()? {
            self.initialize().await?;
        }
        self.files.recover().await?;
        self.locks.restore()?;
        self.jobs.restore()
    }

    /// Time goes on from where the primary before has left it.
    fn agree_on_time(&self) {
        let told_ms = self.journal.state().now_ms();
        let behind_ms = told_ms - self.clock.now_ms();
        self.clock.after_ms(told_ms);
        if behind_ms > CLOCKS_APART_MS {
            tracing::warn!(
                behind_ms,
                "this host's clock is behind that of an earlier primary: times are wrong until it \
                 has caught up; set the clocks of all masters"
            );
        }
    }

    /// The first entry of a new cluster: its root, over the under store of the configuration or
    /// over a directory of our own.
    async fn initialize(&self) -> Result<()> {
        let ufs = self.root_ufs()?;
        let user = User::named(&os_user());
        let ownership = Ownership {
            group: Groups::default().primary(&user),
            owner: user.name.to_string(),
            mode: 0o755,
        };
        let change = Initialize {
            cluster_id: uuid::Uuid::new_v4().to_string(),
            ownership,
            ufs: ufs.clone(),
            properties: Default::default(),
        };
        let entry = Entry::new(self.clock.now_ms(), Change::Initialize(change));
        self.journal.commit(entry).await.with_context(|| format!("mounting {ufs} at /"))?;
        tracing::info!(root = ufs, "a new cluster");
        Ok(())
    }

    fn root_ufs(&self) -> Result<String> {
        match self.config.master.root_ufs.as_str() {
            "" => {
                let dir: PathBuf = self.config.node.data_dir.join("underFSStorage");
                std::fs::create_dir_all(&dir)
                    .with_context(|| format!("making {}", dir.display()))?;
                let dir = std::path::absolute(&dir)?;
                Ok(format!("file://{}", dir.display()))
            }
            path if path.starts_with('/') => Ok(format!("file://{path}")),
            address => Ok(address.trim_end_matches('/').into()),
        }
    }

    /// Ends when the master is told to stop.
    fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.group.stopping()
    }

    /// Where clients reach this master.
    fn address(&self) -> String {
        format!("{}:{}", self.config.master.hostname, self.config.master.rpc_port)
    }

    /// The name no other cluster has.
    fn cluster_id(&self) -> Result<String> {
        Ok(self.journal.state().cluster_id()?.unwrap_or_default())
    }

    /// Who is primary, who stands by, who does not answer.
    async fn masters(&self) -> Result<v1::GetMastersResponse> {
        let members = self.journal.members().await;
        let told = |member: &journal::Member| {
            let standing = member.standing.as_ref();
            let own = member.node.rpc == self.address();
            let serving = if own { self.is_primary() } else { standing.is_some_and(|s| s.primary) };
            v1::Master {
                address: member.node.rpc.clone(),
                role: match standing {
                    None => "UNREACHABLE",
                    Some(_) if serving => "PRIMARY",
                    Some(_) => "STANDBY",
                }
                .into(),
                term: standing.map_or(0, |standing| standing.term),
                applied: standing.map_or(0, |standing| standing.applied),
                name: member.node.name.clone(),
            }
        };
        Ok(v1::GetMastersResponse {
            leader: self.journal.standing().leader.unwrap_or_default(),
            masters: members.iter().map(told).collect(),
            cluster_id: self.cluster_id()?,
            version: env!("CARGO_PKG_VERSION").into(),
            start_ms: self.start_ms,
        })
    }

    /// The master's own figures. Reads the metastore.
    fn figures(&self) -> Vec<(String, f64)> {
        let totals = self.workers.totals();
        let running = self.jobs.list().iter().filter(|job| job.ended_ms == 0).count();
        let figures = [
            ("Cluster.CapacityTotal", totals.capacity_bytes as f64),
            ("Cluster.CapacityUsed", totals.used_bytes as f64),
            (
                "Cluster.CapacityFree",
                totals.capacity_bytes.saturating_sub(totals.used_bytes) as f64,
            ),
            ("Cluster.Workers", totals.live as f64),
            ("Cluster.LostWorkers", totals.lost as f64),
            ("Master.TotalPaths", self.journal.state().inodes() as f64),
            ("Master.JobsRunning", running as f64),
            ("Master.FilesToPersist", self.persister.waiting() as f64),
            ("Master.FilesNotPersisted", self.persister.failing() as f64),
            ("Master.UptimeMs", (self.clock.now_ms() - self.start_ms) as f64),
        ];
        figures.map(|(name, value)| (name.to_string(), value)).into()
    }
}
