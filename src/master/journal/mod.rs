//! The journal: the one way by which the master's state changes.
//!
//! [`Journal::commit`] hands an entry to Raft, which has it written to the log by a quorum (one
//! master is a quorum of itself), then applied to the state; only then the caller gets its outcome.
//!
//! ```text
//! commit → raft → log (grouped, one fdatasync) → State::apply (grouped, one batch) → outcome
//! ```
//!
//! Raft's tasks have a thread of their own, with a runtime of its own: applying may wait for the
//! disk, and no call of a client waits behind it. The state says by itself up to which entry it
//! goes, so a restart applies only what is behind that; a checkpoint makes the state safe, after
//! which the log is cut up to there.

mod disk;
pub mod entry;
mod identity;
mod images;
mod network;
mod peers;
mod pipeline;
mod quorum;
mod raft;
pub mod restore;
mod segment;

pub use entry::{Change, Entry, Outcome, Refusal};
pub use quorum::Member;

use crate::core::config::{Master, MasterAddress};
use crate::core::error::{
    Context, Error, ErrorKind, Result, deadline_exceeded, failed_precondition, internal,
    resource_exhausted, unavailable,
};
use crate::core::model::ByteSize;
use crate::core::rpc;
use crate::core::runtime::Group;
use crate::master::state::State;
use disk::Log;
use futures::StreamExt;
use identity::Identity;
use network::Network;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{Instant as _, ReadPolicy, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
pub use raft::Node;
use raft::{Machine, Raft};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// How long a follower stays with a primary it hears nothing from, at least; it is elected anew
/// after twice as long at most.
const ELECTION_MS: u64 = 500;
/// A primary that no quorum has heard for this long does not answer any more: by the time another
/// can be elected nobody reads from it. Less than followers wait, for clocks are not quite the same.
const LEASE: Duration = Duration::from_millis(2 * ELECTION_MS * 8 / 10);
/// How often in a row a commit that waits finds that no quorum was heard, looking twice a lease,
/// before its caller is sent to look for another primary.
const SILENT: u32 = 3;
/// How long calls of other masters may take to end when this one stops.
const PEERS_GRACE: Duration = Duration::from_secs(1);
/// How long the primary may take to write down who it is.
const SETTLE: Duration = Duration::from_secs(10);
/// Entries are refused when the disk has less than this left: checkpoints and the log's own tail
/// need some room.
const RESERVE: ByteSize = ByteSize(64 << 20);
/// Nothing is applied while the disk has less than this left.
const APPLY_RESERVE: ByteSize = ByteSize(8 << 20);
/// How often the space left is looked up.
const SPACE_EVERY: Duration = Duration::from_millis(200);
/// How long a commit may take before its caller is told that nobody knows.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long the start may take to become primary and to catch up with the log.
const START: Duration = Duration::from_secs(120);

/// Where and how a journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its directory.
    pub dir: PathBuf,
    /// Memory for caches of the state.
    pub memory: ByteSize,
    /// Entries after which a checkpoint is made and the log is cut.
    pub checkpoint_entries: u64,
    /// This master, as others reach it.
    pub own: Node,
    /// All masters; empty for one that is alone.
    pub masters: Vec<MasterAddress>,
    /// Host and port to listen on for the others; none for one that is alone.
    pub listen: Option<(String, u16)>,
    /// Space that must be left on the disk for an entry to be taken.
    pub reserve: ByteSize,
    /// How long a commit may take.
    pub deadline: Duration,
}

impl Options {
    /// As the configuration says.
    pub fn of(config: &Master) -> Self {
        let masters = config.masters.0.clone();
        let own = Node {
            name: if masters.is_empty() { String::new() } else { config.name.clone() },
            rpc: format!("{}:{}", config.hostname, config.rpc_port),
            journal: format!("{}:{}", config.hostname, config.journal_port),
        };
        let listen = (config.bind_host.clone(), config.journal_port);
        Options {
            dir: config.journal_dir.clone(),
            memory: config.metastore_cache,
            checkpoint_entries: config.checkpoint_entries,
            own,
            listen: (!masters.is_empty()).then_some(listen),
            masters,
            reserve: RESERVE,
            deadline: DEADLINE,
        }
    }
}

/// The open journal and the state it feeds. Clones share it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    identity: Identity,
    state: State,
    raft: Raft,
    waiting: Arc<AtomicUsize>,
    syncs: Arc<AtomicU64>,
    space: Space,
    stop: Mutex<Option<Stop>>,
    /// The term that this master gives up to another one, which is elected without waiting for the
    /// end of its lease; 0 for none.
    leaving: AtomicU64,
    /// One change of who the masters are at a time.
    changing: tokio::sync::Mutex<()>,
    /// Serves the other masters.
    group: Group,
}

/// How to end the journal's thread.
struct Stop {
    tell: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// Where the journal stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether this master is the primary.
    pub primary: bool,
    /// `host:port` of the primary's RPC service, while there is one.
    pub leader: Option<String>,
    /// The election it is of.
    pub term: u64,
    /// The last entry applied.
    pub applied: u64,
}

impl Journal {
    /// Opens the journal where `config` says, makes it a cluster of one if it is new, and brings
    /// the state up to its end.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds is damaged.
    pub async fn open(config: &Master) -> Result<Journal> {
        Journal::open_with(Options::of(config)).await
    }

    /// The same with every choice named.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub async fn open_with(options: Options) -> Result<Journal> {
        let start = Instant::now();
        let listener = match &options.listen {
            Some((host, port)) => {
                let property = "goosefs.masters or goosefs.master.embedded.journal.port";
                Some(rpc::server::bind(host, *port, property).await?)
            }
            None => None,
        };
        let (ready, opened) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let theirs = options.clone();
        let body = move || run(theirs, ready, told);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(body);
        let thread = thread.context("starting the journal's thread")?;
        let opened = opened.await.map_err(|_| internal("the journal ended while it started"))??;
        let inner = Inner {
            space: Space::new(),
            waiting: opened.log.waiting.clone(),
            syncs: opened.log.syncs.clone(),
            identity: opened.identity,
            state: opened.state,
            raft: opened.raft,
            options,
            leaving: AtomicU64::new(0),
            stop: Mutex::new(Some(Stop { tell, thread })),
            changing: Default::default(),
            group: Group::new("journal"),
        };
        let journal = Journal { inner: Arc::new(inner) };
        match listener {
            Some(listener) => journal.meet(listener).await?,
            None => journal.lead().await?,
        }
        let took_ms = start.elapsed().as_millis() as u64;
        tracing::info!(took_ms, applied = journal.standing().applied, "the journal is open");
        Ok(journal)
    }

    /// Listens to the other masters, and becomes one of them as soon as that is possible.
    async fn meet(&self, listener: TcpListener) -> Result<()> {
        let Inner { raft, identity, group, .. } = &*self.inner;
        let (routes, stopping) = (peers::routes(&self.inner), group.stopping());
        group.spawn("other masters", async move {
            if let Err(error) = rpc::server::serve(listener, routes, PEERS_GRACE, stopping).await {
                tracing::error!(%error, "the other masters cannot reach this one");
            }
        });
        if raft.is_initialized().await.map_err(stopped)? {
            if raft.voter_ids().collect::<Vec<_>>() == [identity.id] {
                raft.trigger().elect(false).await.map_err(stopped)?;
            }
            return Ok(());
        }
        let journal = self.clone();
        let join = async move {
            if let Err(error) = journal.join().await {
                tracing::error!(%error, "this master is no part of the cluster");
            }
        };
        group.spawn_until_stop("join the others", join);
        Ok(())
    }

    /// Becomes the only master, and applies what the log has beyond the state.
    async fn lead(&self) -> Result<()> {
        let Inner { raft, options, identity, .. } = &*self.inner;
        if !raft.is_initialized().await.map_err(stopped)? {
            let begun = raft.initialize(BTreeMap::from([(identity.id, options.own.clone())])).await;
            begun.map_err(|e| internal("starting a new journal").with_source(e))?;
        } else if raft.voter_ids().collect::<Vec<_>>() == [identity.id] {
            // Nobody else could be primary: there is no need to wait for silence.
            raft.trigger().elect(false).await.map_err(stopped)?;
        } else {
            return Err(failed_precondition(
                "this journal is one of several masters': name them in goosefs.masters",
            ));
        }
        let leads = raft.wait(Some(START)).state(ServerState::Leader, "becoming primary").await;
        leads.map_err(|e| unavailable("this master did not become primary").with_source(e))?;
        let caught_up = raft.wait_for_recovery(Some(START)).await;
        caught_up.map_err(|e| unavailable("the log was not applied in time").with_source(e))?;
        Ok(())
    }

    /// Waits until everything that any primary before has acknowledged is in the state: what a
    /// master does before it serves as primary.
    ///
    /// # Errors
    /// `Unavailable` when this master is not the primary, or no quorum answers.
    pub async fn catch_up(&self) -> Result<()> {
        let read = self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex);
        let read = tokio::time::timeout(self.inner.options.deadline, read).await;
        let read = read.map_err(|_| unavailable("no quorum of the masters answers"))?;
        read.map_err(|error| unavailable(format!("not primary: {error}")))?;
        self.correct_own_address().await
    }

    /// The place of a state in the log: the election and the number of its last entry.
    ///
    /// # Errors
    /// `DataLoss` when it cannot be read.
    pub fn place(&self, applied: &crate::master::state::Applied) -> Result<(u64, u64)> {
        let (last, _) = raft::position(applied)?;
        Ok(last.map_or((0, 0), |last| (last.committed_leader_id().term, last.index)))
    }

    /// The state, to be read.
    pub fn state(&self) -> &State {
        &self.inner.state
    }

    /// Makes `entry` safe, applies it and gives its outcome.
    ///
    /// # Errors
    /// The refusal, if the state does not allow it; `Unavailable` when this master is not the
    /// primary or its journal has failed; `DeadlineExceeded` when it is not known in time whether
    /// the entry is safe: the same operation id may be sent again; `ResourceExhausted` when the
    /// disk is full.
    pub async fn commit(&self, entry: Entry) -> Result<Outcome> {
        self.check_space()?;
        let _waiting = Waiting::new(&self.inner.waiting, 1);
        let kind = entry.change.name();
        let write = self.inner.raft.client_write(Arc::new(entry));
        let written = self.in_time(write).await.ok_or_else(|| late(kind))?;
        written.map_err(refused)?.data.map_err(Error::from)
    }

    /// The same for several entries at once, each with its own outcome. They are applied in order;
    /// others may come between them.
    ///
    /// # Errors
    /// As [`Journal::commit`], for all of them; some may have been applied.
    pub async fn commit_many(&self, entries: Vec<Entry>) -> Result<Vec<Result<Outcome>>> {
        self.check_space()?;
        let _waiting = Waiting::new(&self.inner.waiting, entries.len());
        let mut outcomes = Vec::with_capacity(entries.len());
        let write = async {
            let entries = entries.into_iter().map(Arc::new);
            let mut written = self.inner.raft.client_write_many(entries).await.map_err(stopped)?;
            while let Some(result) = written.next().await {
                let result = result.map_err(stopped)?;
                let written = result.map_err(|error| refused(RaftError::APIError(error)))?;
                outcomes.push(written.response.map_err(Error::from));
            }
            Ok::<_, Error>(())
        };
        self.in_time(write).await.ok_or_else(|| late("a group of entries"))??;
        Ok(outcomes)
    }

    /// What `write` gives; none when it takes too long, or when no quorum has been heard for a while:
    /// another master is primary by then, most likely, and knows what came of it.
    async fn in_time<T>(&self, write: impl Future<Output = T>) -> Option<T> {
        let mut write = std::pin::pin!(write);
        let deadline = tokio::time::Instant::now() + self.inner.options.deadline;
        let mut silent = 0;
        while silent < SILENT && tokio::time::Instant::now() < deadline {
            if let Ok(written) = tokio::time::timeout(LEASE / 2, &mut write).await {
                return Some(written);
            }
            silent = if self.is_primary() { 0 } else { silent + 1 };
        }
        None
    }

    /// Whether this master was elected, as far as it knows: another may have been since.
    pub fn leads(&self) -> bool {
        self.inner.raft.is_leader()
    }

    /// Whether this master is the primary, and no other can be yet: only then it answers clients.
    pub fn is_primary(&self) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.state != ServerState::Leader || metrics.running_state.is_err() {
            return false;
        }
        if metrics.current_term == self.inner.leaving.load(Ordering::Acquire) {
            return false;
        }
        let alone = metrics.membership_config.membership().voter_ids().nth(1).is_none();
        alone || metrics.last_quorum_acked.is_some_and(|heard| heard.elapsed() < LEASE)
    }

    /// Does `work`, which changes an under store, as long as this master is the primary: one that was
    /// paused and deposed meanwhile would go on with it, over what the next one has let others do.
    /// None when it is not the primary any more; then some of the work may have been done, or all.
    pub async fn while_primary<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| match self.is_primary() {
            true => work.as_mut().poll(context).map(Some),
            false => Poll::Ready(None),
        })
        .await
    }

    /// Where the journal stands.
    pub fn standing(&self) -> Standing {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow_watched();
        let address = |id: u64| {
            if id == self.inner.identity.id {
                return Some(self.inner.options.own.rpc.clone());
            }
            metrics.membership_config.membership().get_node(&id).map(|node| node.rpc.clone())
        };
        Standing {
            primary: metrics.state == ServerState::Leader && metrics.running_state.is_ok(),
            leader: metrics.current_leader.and_then(address),
            term: metrics.current_term,
            applied: metrics.last_applied.map_or(0, |id| id.index),
        }
    }

    /// Why the journal has failed for good, if it has: only a restart helps.
    pub fn failure(&self) -> Option<String> {
        let metrics = self.inner.raft.metrics();
        metrics.borrow_watched().running_state.as_ref().err().map(ToString::to_string)
    }

    /// Syncs of the log made for entries so far; what a benchmark divides by.
    pub fn syncs(&self) -> u64 {
        self.inner.syncs.load(Ordering::Relaxed)
    }

    /// Makes the state safe and cuts the log, now.
    ///
    /// # Errors
    /// `Unavailable` when the journal has stopped.
    pub async fn checkpoint(&self) -> Result<()> {
        self.inner.raft.trigger().snapshot().await.map_err(stopped)
    }

    /// Stops, with everything applied safely on disk. Later commits are `Unavailable`.
    ///
    /// # Errors
    /// When the disk fails. Nothing acknowledged is lost even then.
    pub async fn close(&self) -> Result<()> {
        let Some(stop) = self.inner.stop.lock().take() else { return Ok(()) };
        self.inner.group.stop(PEERS_GRACE).await;
        // The thread may have ended by itself.
        let _ = stop.tell.send(());
        let state = self.inner.state.clone();
        let end = move || {
            let ended = stop.thread.join();
            ended.map_err(|_| internal("the journal's thread panicked"))?;
            state.checkpoint()
        };
        tokio::task::spawn_blocking(end).await.map_err(|e| internal(e.to_string()))?
    }

    fn check_space(&self) -> Result<()> {
        let Options { dir, reserve, .. } = &self.inner.options;
        if self.inner.space.is_enough(dir, *reserve) {
            return Ok(());
        }
        Err(resource_exhausted(format!(
            "the disk of the journal, {}, has less than {reserve} left: free some space",
            dir.display()
        )))
    }
}

fn late(what: &str) -> Error {
    deadline_exceeded(format!(
        "{what} is not known to be safe in time; it may still be carried out: retry it with the \
         same operation id"
    ))
}

fn stopped(error: impl std::fmt::Display) -> Error {
    unavailable(format!("the journal has stopped: {error}; see the master's log and restart it"))
}

fn not_primary(leader: Option<&Node>) -> Error {
    unavailable(match leader {
        Some(node) => format!("this master is a standby; the primary is {}", node.rpc),
        None => "this master is a standby, and there is no primary now".into(),
    })
}

fn refused(error: RaftError<raft::Types, ClientWriteError<raft::Types>>) -> Error {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            not_primary(forward.leader_node.as_ref())
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            unavailable("the primary changed; retry with the same operation id")
        }
        error => stopped(error),
    }
}

/// Counts commits that wait, as long as it lives.
struct Waiting<'a>(&'a AtomicUsize, usize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize, entries: usize) -> Self {
        count.fetch_add(entries, Ordering::Relaxed);
        Waiting(count, entries)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Whether the disk has space, looked up now and then.
struct Space {
    start: Instant,
    looked_ms: AtomicU64,
    enough: AtomicBool,
}

impl Space {
    fn new() -> Self {
        Space { start: Instant::now(), looked_ms: AtomicU64::new(0), enough: AtomicBool::new(true) }
    }

    fn is_enough(&self, dir: &std::path::Path, reserve: ByteSize) -> bool {
        // Never 0, which means "not yet".
        let now_ms = self.start.elapsed().as_millis() as u64 + 1;
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        if looked_ms == 0 || now_ms > looked_ms + SPACE_EVERY.as_millis() as u64 {
            self.looked_ms.store(now_ms, Ordering::Relaxed);
            // Where the space cannot be told, the write itself will show.
            let free = disk::free_bytes(dir).unwrap_or(u64::MAX);
            let enough = free >= reserve.0;
            let before = self.enough.swap(enough, Ordering::Relaxed);
            match (before, enough) {
                (true, false) => tracing::error!(
                    dir = %dir.display(), free_bytes = free, needed = %reserve,
                    "the journal's disk is full: no changes are taken; free some space"
                ),
                (false, true) => tracing::info!("the journal's disk has space: changes are taken"),
                _ => {}
            }
        }
        self.enough.load(Ordering::Relaxed)
    }
}

/// What the journal's thread has opened.
struct Opened {
    identity: Identity,
    state: State,
    raft: Raft,
    log: Arc<Log>,
}

/// The journal's thread.
fn run(options: Options, ready: oneshot::Sender<Result<Opened>>, stop: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime.context("starting the journal's runtime") {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let stopping = Arc::new(AtomicBool::new(false));
        let opened = match start(&options, &stopping).await {
            Ok(opened) => opened,
            Err(error) => return drop(ready.send(Err(with_cure(error, &options)))),
        };
        let raft = opened.raft.clone();
        if ready.send(Ok(opened)).is_err() {
            return;
        }
        // Told to stop, or everyone who could tell is gone.
        let _ = stop.await;
        stopping.store(true, Ordering::Release);
        if let Err(error) = raft.shutdown().await {
            tracing::warn!(%error, "the journal did not end in order");
        }
    });
}

/// Says what helps against a journal that is damaged.
fn with_cure(error: Error, options: &Options) -> Error {
    if error.kind() != ErrorKind::DataLoss {
        return error;
    }
    let cure = match options.masters.is_empty() {
        true => "restore the directory from a copy, or a backup with goosefs format --from-backup",
        false => {
            "while most of the other masters run, empty this one with goosefs format and start it: \
             it gets everything from them"
        }
    };
    Error::new(ErrorKind::DataLoss, format!("{error}; check the disk, then {cure}"))
}

async fn start(options: &Options, stopping: &Arc<AtomicBool>) -> Result<Opened> {
    let restoring = restore::begin(&options.dir)?;
    let (log_dir, state_dir) = (options.dir.join("log"), options.dir.join("state"));
    for dir in [&log_dir, &state_dir] {
        create_private(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    // The state first: opening it locks it, and a log that another master is writing looks torn.
    let state = State::open(&state_dir, options.memory)?;
    let least = APPLY_RESERVE.0.min(options.reserve.0);
    let space = raft::Space { dir: state_dir, least, stopping: stopping.clone() };
    let pending = space.pending_image();
    if pending.exists() {
        tracing::warn!("taking over the state of another master was interrupted: once more");
        raft::install_pending(&state, &pending)?;
    }
    let log = Log::open(&log_dir)?;
    let used = restoring.is_none() && (log.is_used() || state.applied()?.is_some());
    let identity = Identity::open(&options.dir, &options.own.name, used)?;
    if let Some(backup) = restoring {
        restore::carry_out(options, &state, &log, &identity, &backup).await?;
    }
    let config = openraft::Config {
        cluster_name: "goosefs".into(),
        heartbeat_interval: ELECTION_MS / 4,
        election_timeout_min: ELECTION_MS,
        election_timeout_max: 2 * ELECTION_MS,
        enable_pre_vote: Some(true),
        // A primary that comes back is elected anew: only then it knows up to where the log counts.
        enable_leader_restore: Some(false),
        max_payload_entries: 1024,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.checkpoint_entries.max(1)),
        max_in_snapshot_log_to_keep: 0,
        ..Default::default()
    };
    let config = config.validate().map_err(|e| internal(e.to_string()))?;
    let network = Network::default();
    let machine = Machine::new(state.clone(), space, network.sending.clone())?;
    let raft = Raft::new(identity.id, Arc::new(config), network, log.clone(), machine).await;
    let raft = raft.map_err(|e| {
        let dir = options.dir.display();
        internal(format!("the journal in {dir} cannot be opened")).with_source(e)
    })?;
    Ok(Opened { identity, state, raft, log })
}

/// The journal holds the credentials of mounts: nobody else may read it.
fn create_private(dir: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(test)]
mod tests;
