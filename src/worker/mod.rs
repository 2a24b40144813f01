//! The worker: stores blocks and serves them.
//!
//! What flows through: a read finds its block in the store, or has it filled from the under store
//! and follows the pages as they land; a write commits a block at the end of its stream; a client on
//! this host borrows a whole block's file; the master's jobs come as tasks. What always holds: what
//! a client was told is written survives kill -9; bytes of two versions never mix; a read that ends
//! well has had every byte asked for.
//!
//! ```text
//! service ─ body ─ read ──┬─ store                  short_circuit ─ read
//!         ├─ write ───────┤  fill ─ mounts, peers   tasks ─┬─ fill
//!         ╰─ receive ─────┴─ mounts                        ╰─ persist ─ store, mounts
//! heartbeat ─ migrate ─ store, peers
//! ```

mod body;
mod fill;
mod frame;
mod heartbeat;
mod identity;
mod memory;
mod mend;
mod metrics;
mod migrate;
mod mounts;
mod pace;
mod peers;
mod persist;
mod read;
mod receive;
mod scrub;
mod service;
mod short_circuit;
pub mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod upkeep;
mod write;

use crate::core::config::Config;
use crate::core::error::{Context, Result, internal};
use crate::core::metrics::Metrics;
use crate::core::model::WorkerAddress;
use crate::core::rpc::server::Windows;
use crate::core::rpc::{Credentials, Primary, Sessions, server};
use crate::core::runtime::{Duties, Group, Rate};
use crate::core::web::{self, Pages};
use fill::{Filler, run_blocking};
use heartbeat::{Heartbeat, Obedient};
use identity::Identity;
use memory::Memory;
use mend::Mender;
use metrics::Counts;
use migrate::{Migrator, Source};
use mounts::Mounts;
use peers::Peers;
use persist::Persister;
use read::Reads;
use service::Service;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::BlockStore;
use tasks::Tasks;
use tokio::net::TcpListener;
use write::{Intake, Writes};

/// How often the worker looks whether it is time to ask which files still exist.
const CHECK_FILES: Duration = Duration::from_secs(10);

/// Runs a worker until `shutdown` ends: restores the store, serves, and reports to the master.
///
/// # Errors
/// What keeps it from starting: a port in use, a directory that cannot be used, a quota that its
/// disk cannot hold. A master that is away does not.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let worker = &config.worker;
    worker.check_memory()?;
    let listener =
        server::bind(&worker.bind_host, worker.rpc_port, "goosefs.worker.rpc.port").await?;
    let web = match worker.web_port {
        0 => None,
        port => Some(server::bind(&worker.bind_host, port, "goosefs.worker.web.port").await?),
    };
    let address = address_of(&config, &listener)?;
    let parts = Parts::open(&config, Some((Primary::new(&config), address.clone()))).await?;

    // Streams outlive duties: those in flight may end while the worker stops.
    let duties = Group::new("worker");
    lend(&config, &parts, &duties)?;
    let heartbeat = report(&config, &parts, address.clone(), &duties)?;
    take_tasks(&config, &parts, address.clone(), &heartbeat, &duties);
    upkeep::start(worker, &parts, &duties);
    if let Some(listener) = web {
        show(&config, &parts, listener, &duties);
    }
    let usage = parts.reads.store.usage();
    let blocks = parts.reads.store.count();
    tracing::info!(%address, blocks, used = usage.used, capacity = usage.capacity, "serving");

    let sessions = Sessions::new(config.security.authentication != "NOSASL");
    let routes = service::routes(parts.service(), &sessions);
    let shutdown = leave(shutdown, heartbeat, worker.stop_drain);
    let windows = windows(&parts.reads.memory);
    let served = server::serve_within(windows, listener, routes, worker.stop_grace, shutdown).await;
    parts.reads.store.stop();
    duties.stop(Duration::from_secs(2)).await;
    parts.streams.stop(Duration::from_secs(2)).await;
    let store = parts.reads.store.clone();
    let saving = move || {
        store.save_partial();
        store.flush_trace()
    };
    if let Err(error) = run_blocking(saving).await? {
        tracing::warn!(%error, "the last accesses are not recorded");
    }
    served
}

/// Ends after `shutdown` has, and after what is to be done before nobody is served any more: for up
/// to `drain` this worker gives away what it holds, and then says farewell.
async fn leave(shutdown: impl Future<Output = ()>, heartbeat: Arc<Heartbeat>, drain: Duration) {
    shutdown.await;
    if !drain.is_zero() {
        match heartbeat.drain(drain).await {
            Ok(true) => tracing::info!("all that was only here is elsewhere now"),
            Ok(false) => tracing::error!(
                "stopping with data that is nowhere else: start this worker again on the same \
                 directories, or give it longer (goosefs.worker.stop.drain)"
            ),
            Err(error) => tracing::warn!(%error, "stopping without giving anything away"),
        }
    }
    if let Err(error) = heartbeat.farewell().await {
        tracing::debug!(%error, "the master was not told");
    }
}

/// What a worker is made of, apart from those who talk to it.
pub(crate) struct Parts {
    reads: Reads,
    writes: Writes,
    mounts: Arc<Mounts>,
    peers: Option<Arc<Peers>>,
    /// At which bytes pass between here and the under stores.
    ufs_rate: Rate,
    identity: Arc<Identity>,
    metrics: Metrics,
    streams: Group,
}

impl Parts {
    /// What is here; with a master to talk to, and the address at which others know this worker.
    async fn open(config: &Config, master: Option<(Primary, WorkerAddress)>) -> Result<Parts> {
        let metrics = Metrics::default();
        let (settings, shown) = (config.worker.clone(), metrics.clone());
        let opened = run_blocking(move || {
            let identity = Identity::open(&settings.meta_dir)?;
            Ok::<_, crate::core::error::Error>((identity, BlockStore::open(&settings, &shown)?))
        });
        let (identity, store) = opened.await??;
        let streams = Group::new("worker streams");
        let counts = Counts::new(&metrics);
        let memory = Memory::new(config.worker.memory_budget.0, config.worker.page_size.0);
        let credentials = credentials(config, &memory);
        let peers =
            master.clone().map(|(master, own)| Arc::new(Peers::new(master, credentials, own)));
        let ufs_rate = Rate::new(config.worker.ufs_bandwidth.0);
        let intake = Arc::new(Intake::new(master.is_some()));
        let master = master.map(|(master, _)| master);
        let mut mounts = Mounts::new(config, master, ufs_rate.clone());
        if memory.is_bounded() {
            mounts = mounts.one_part_at_a_time();
        }
        let mounts = Arc::new(mounts);
        let concurrency = config.worker.fill_concurrency;
        let limits = fill::Limits { of_a_block: concurrency, in_all: memory.fills(fill::READS) };
        let (group, asked) = (streams.clone(), peers.clone());
        let filler = Filler::new(store.clone(), group, limits, asked, counts.clone());
        let buffers = read::buffers(store.page_size());
        let writes = Writes {
            store: store.clone(),
            mounts: mounts.clone(),
            counts: counts.clone(),
            intake,
            memory: memory.clone(),
            upload_idle: write::UPLOAD_IDLE,
        };
        let mender = Mender::new(mounts.clone(), peers.clone());
        let reads =
            Reads { memory, store, filler, mounts: mounts.clone(), mender, counts, buffers };
        Ok(Parts {
            reads,
            writes,
            mounts,
            peers,
            ufs_rate,
            identity: Arc::new(identity),
            metrics,
            streams,
        })
    }

    fn service(&self) -> Service {
        Service {
            reads: self.reads.clone(),
            writes: self.writes.clone(),
            group: self.streams.clone(),
        }
    }
}

/// What a connection may hold of what is on its way.
fn windows(memory: &Memory) -> Windows {
    if memory.is_bounded() { Windows::SMALL } else { Windows::default() }
}

/// How this worker speaks to others.
fn credentials(config: &Config, memory: &Memory) -> Credentials {
    Credentials { windows: windows(memory), ..Credentials::of(config) }
}

/// The socket that blocks are lent by, as an absolute path; none where none are.
fn socket_of(config: &Config) -> Result<Option<PathBuf>> {
    let path = &config.worker.domain_socket;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    std::path::absolute(path).context("the lending socket").map(Some)
}

fn address_of(config: &Config, listener: &TcpListener) -> Result<WorkerAddress> {
    let socket = socket_of(config)?.map(|path| path.to_string_lossy().into_owned());
    Ok(WorkerAddress {
        host: config.worker.hostname.clone(),
        rpc_port: listener.local_addr().context("asking for the worker's port")?.port(),
        web_port: config.worker.web_port,
        domain_socket: socket.unwrap_or_default(),
    })
}

fn lend(config: &Config, parts: &Parts, group: &Group) -> Result<()> {
    if let Some(path) = socket_of(config)? {
        let listener = short_circuit::bind(&path)?;
        let lending = short_circuit::serve(listener, parts.reads.clone(), group.clone());
        let stopping = group.stopping();
        group.spawn("lending socket", async move {
            tokio::select! {
                () = stopping => {}
                () = lending => {}
            }
            std::fs::remove_file(path).ok();
        });
    }
    Ok(())
}

fn report(
    config: &Config,
    parts: &Parts,
    address: WorkerAddress,
    group: &Group,
) -> Result<Arc<Heartbeat>> {
    let store = parts.reads.store.clone();
    let peers = parts.peers.clone().ok_or_else(|| internal("a worker without a master"))?;
    let rate = Rate::new(config.worker.migration_bandwidth.0);
    let counts = parts.reads.counts.clone();
    let (master, streams) = (Primary::new(config), parts.streams.clone());
    let from = Source { store: store.clone(), memory: parts.reads.memory.clone() };
    let migrator = Migrator::new(from, peers.clone(), master, rate, counts, streams);
    let heartbeat = Heartbeat::new(
        config,
        address,
        Obedient {
            store,
            identity: parts.identity.clone(),
            metrics: parts.metrics.clone(),
            peers,
            migrator,
            intake: parts.writes.intake.clone(),
            ufs_rate: parts.ufs_rate.clone(),
            mounts: parts.mounts.clone(),
        },
    );
    let heartbeat = Arc::new(heartbeat);
    let duties = Duties::default();
    let beating = heartbeat.clone();
    duties.start(group, "heartbeat", config.worker.heartbeat_interval, move || {
        let heartbeat = beating.clone();
        async move { heartbeat.beat().await }
    });
    let checking = heartbeat.clone();
    duties.start(group, "check files", CHECK_FILES, move || {
        let heartbeat = checking.clone();
        async move { heartbeat.check_files_when_due().await }
    });
    Ok(heartbeat)
}

fn take_tasks(
    config: &Config,
    parts: &Parts,
    own: WorkerAddress,
    heartbeat: &Heartbeat,
    group: &Group,
) {
    let persister = Persister {
        store: parts.reads.store.clone(),
        mounts: parts.mounts.clone(),
        credentials: credentials(config, &parts.reads.memory),
        memory: parts.reads.memory.clone(),
        own,
    };
    let tasks = Tasks::new(
        Primary::new(config),
        parts.reads.clone(),
        persister,
        heartbeat.registered(),
        group.clone(),
        config.worker.task_slots,
    );
    group.spawn_until_stop("tasks", tasks.run());
}

fn show(config: &Config, parts: &Parts, listener: TcpListener, group: &Group) {
    let (counts, store) = (parts.reads.counts.clone(), parts.reads.store.clone());
    let pages = Pages {
        role: "worker",
        metrics: parts.metrics.clone(),
        refresh: Arc::new(move || counts.refresh(&store)),
        unhealthy: Arc::new(|| None),
        config: Arc::new(config.clone()),
        more: Default::default(),
    };
    let stopping = group.stopping();
    group.spawn("web page", async move {
        if let Err(error) = web::serve(listener, pages, stopping).await {
            tracing::warn!(%error, "the web page is gone");
        }
    });
}
