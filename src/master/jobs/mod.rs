//! Jobs: work a user asked for, done by all workers in shares.
//!
//! A load walks the tree, bringing in metadata as it goes, and cuts what it finds into tasks: many
//! small files together, each block for the workers the ring gives it to. Queues are short, so the
//! walk goes as fast as the workers do and a job over any number of files costs the same memory.
//! Workers ask for tasks, report and ask again in one call that waits ([`Jobs::exchange`]).
//!
//! What a job is to do is journaled, how far it is is not: after a restart it begins at the top,
//! and workers skip what they hold.

mod board;
mod load;
mod persist;
mod progress;

pub use persist::Persister;

use crate::core::error::{Result, failed_precondition, invalid_argument, not_found};
use crate::core::model::{BlockId, WorkerId};
use crate::core::proto::v1::{self, Job, JobState};
use crate::core::runtime::{Clock, Group};
use crate::master::file_system::FileSystem;
use crate::master::journal::entry::JOBS as TABLE;
use crate::master::workers::Registry;
use board::{Board, Placed, QUEUE};
use parking_lot::Mutex;
use progress::Progress;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use v1::task::Kind;

/// The longest an exchange waits for work.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Times a block is tried on workers that vanish with it.
const ATTEMPTS: u32 = 3;
/// How long a running task may go unmentioned.
const PATIENCE: Duration = Duration::from_secs(600);
/// Jobs that have ended and are still told of.
const ENDED_KEPT: usize = 100;
/// Jobs that run at a time; more are refused.
const MOST_RUNNING: usize = 1_000;
/// How long work waits for a worker to come.
const NO_WORKER: Duration = Duration::from_secs(60);

/// The jobs and their tasks. Clones share them.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    desk: Mutex<Desk>,
    /// Rung when tasks were placed or revoked.
    work: Notify,
    /// Rung when a queue became shorter or a job ended.
    room: Notify,
    workers: Registry,
    files: FileSystem,
    persister: Persister,
    clock: Clock,
    group: Group,
}

struct Desk {
    board: Board,
    jobs: BTreeMap<i64, Progress>,
    next_job: i64,
}

/// Blocks to be placed on one worker.
type Share = HashMap<WorkerId, Vec<v1::LoadBlock>>;

impl Jobs {
    /// No jobs yet; what they spawn belongs to `group`.
    pub fn new(
        files: FileSystem,
        workers: Registry,
        persister: Persister,
        clock: Clock,
        group: Group,
    ) -> Self {
        // Ids go up over restarts, so that a late report about an earlier task meets no new one.
        let first = clock.now_ms() << 10;
        let desk = Desk { board: Board::new(first), jobs: BTreeMap::new(), next_job: 1 };
        let inner = Inner {
            desk: Mutex::new(desk),
            work: Notify::new(),
            room: Notify::new(),
            workers,
            files,
            persister,
            clock,
            group,
        };
        Jobs { inner: Arc::new(inner) }
    }

    /// Begins a job, which the journal knows before this returns.
    ///
    /// # Errors
    /// `InvalidArgument` when it makes no sense, `NotFound` when its path is missing,
    /// `ResourceExhausted` when too many run.
    pub async fn submit(&self, request: v1::SubmitJobRequest) -> Result<Job> {
        let spec = Spec::of(request)?;
        self.inner.files.known(&spec.path()?).await?;
        let id = {
            let mut desk = self.inner.desk.lock();
            if desk.jobs.values().filter(|job| !job.is_over()).count() >= MOST_RUNNING {
                let text = format!("{MOST_RUNNING} jobs run already: wait for one, or cancel one");
                return Err(crate::core::error::resource_exhausted(text));
            }
            let id = desk.next_job;
            desk.next_job += 1;
            id
        };
        self.inner.files.put_record(TABLE, &id.to_be_bytes(), spec.encode()).await?;
        Ok(self.begin(id, spec))
    }

    /// Begins the jobs of the journal again: those that had not ended when the last primary did.
    pub fn restore(&self) -> Result<()> {
        for (key, value) in self.inner.files.records(TABLE)? {
            let (Ok(key), Some(spec)) = (<[u8; 8]>::try_from(key.as_slice()), Spec::decode(&value))
            else {
                tracing::warn!("a job in the journal makes no sense; it is left out");
                continue;
            };
            let id = i64::from_be_bytes(key);
            {
                let mut desk = self.inner.desk.lock();
                desk.next_job = desk.next_job.max(id + 1);
                if desk.jobs.contains_key(&id) {
                    continue;
                }
            }
            self.begin(id, spec);
        }
        Ok(())
    }

    fn begin(&self, id: i64, spec: Spec) -> Job {
        let job = Job {
            id,
            kind: spec.kind().into(),
            path: spec.path_text().into(),
            state: JobState::Running as i32,
            started_ms: self.inner.clock.now_ms(),
            replicas: spec.replicas(),
            ..Default::default()
        };
        let progress = Progress::new(job.clone());
        self.inner.desk.lock().jobs.insert(id, progress);
        let jobs = self.clone();
        self.inner.group.spawn_until_stop("job", async move {
            let result = match &spec.0 {
                v1::submit_job_request::Kind::Load(load) => load::run(&jobs, id, load).await,
                v1::submit_job_request::Kind::Persist(job) => persist::run(&jobs, id, job).await,
            };
            if let Err(error) = result {
                tracing::warn!(job = id, %error, "failed");
                jobs.end(id, JobState::Failed, error.to_string());
            }
            jobs.finish(id).await;
        });
        job
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, id: i64) -> Result<Job> {
        let desk = self.inner.desk.lock();
        desk.jobs.get(&id).map(Progress::job).ok_or_else(|| no_such_job(id))
    }

    /// All jobs, the latest first.
    pub fn list(&self) -> Vec<Job> {
        self.inner.desk.lock().jobs.values().rev().map(Progress::job).collect()
    }

    /// Ends a job early. One that has ended already stays as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn cancel(&self, id: i64) -> Result<()> {
        self.get(id)?;
        self.end(id, JobState::Cancelled, "cancelled".into());
        Ok(())
    }

    fn end(&self, id: i64, state: JobState, message: String) {
        let mut desk = self.inner.desk.lock();
        let now = self.inner.clock.now_ms();
        if let Some(job) = desk.jobs.get_mut(&id).filter(|job| !job.is_over()) {
            job.end(state, message, now);
        }
        desk.board.cancel(id);
        drop(desk);
        self.inner.room.notify_waiters();
        self.inner.work.notify_waiters();
    }

    /// Waits until a job has ended, then takes it out of the journal and forgets older ones.
    async fn finish(&self, id: i64) {
        loop {
            let changed = self.inner.room.notified();
            if self.is_over(id) {
                break;
            }
            changed.await;
        }
        if let Err(error) = self.inner.files.delete_record(TABLE, &id.to_be_bytes()).await {
            tracing::warn!(job = id, %error, "it ended, but the journal was not told; it will run again");
        }
        let mut desk = self.inner.desk.lock();
        let ended: Vec<i64> =
            desk.jobs.iter().filter(|(_, job)| job.is_over()).map(|(&id, _)| id).collect();
        for id in ended.iter().take(ended.len().saturating_sub(ENDED_KEPT)) {
            desk.jobs.remove(id);
        }
    }

    fn is_over(&self, id: i64) -> bool {
        self.inner.desk.lock().jobs.get(&id).is_none_or(Progress::is_over)
    }

    /// Notes something of a job, and ends it if that was the last.
    fn note(&self, id: i64, what: impl FnOnce(&mut Progress)) {
        let mut desk = self.inner.desk.lock();
        let now = self.inner.clock.now_ms();
        let Some(job) = desk.jobs.get_mut(&id).filter(|job| !job.is_over()) else { return };
        what(job);
        if job.end_if_complete(now) {
            drop(desk);
            self.inner.room.notify_waiters();
        }
    }

    /// Takes a worker's reports and hands it its next tasks, waiting for some to come.
    ///
    /// # Errors
    /// `FailedPrecondition` when the worker is not registered.
    pub async fn exchange(&self, request: v1::ExchangeRequest) -> Result<v1::ExchangeResponse> {
        let worker = request.worker_id;
        let Some(start) = self.inner.workers.start_of(worker) else {
            return Err(failed_precondition("this worker is not registered: register first"));
        };
        let mut response = v1::ExchangeResponse::default();
        for report in request.reports {
            let (id, over) = (report.task_id, report.finished);
            if !self.report(worker, report).await && !over {
                response.cancelled.push(id);
            }
        }
        let wait = Duration::from_millis(request.wait_ms.into()).min(LONGEST_WAIT);
        let deadline = Instant::now() + wait;
        loop {
            let placed = self.inner.work.notified();
            {
                let mut desk = self.inner.desk.lock();
                response.tasks = desk.board.take(worker, start, request.slots as usize);
                response.cancelled.append(&mut desk.board.revoked(worker));
            }
            if !response.tasks.is_empty() {
                self.inner.room.notify_waiters();
            }
            let enough = !response.tasks.is_empty() || !response.cancelled.is_empty();
            if enough || tokio::time::timeout_at(deadline.into(), placed).await.is_err() {
                return Ok(response);
            }
        }
    }

    /// Notes one report; false when nobody asked for that task.
    async fn report(&self, worker: WorkerId, report: v1::TaskReport) -> bool {
        let done = {
            let mut desk = self.inner.desk.lock();
            let Desk { board, jobs, .. } = &mut *desk;
            let Some(placed) = board.heard(worker, report.task_id) else { return false };
            let job = jobs.get_mut(&placed.task.job_id);
            if let (Some(Kind::Load(load)), Some(job)) = (&placed.task.kind, job) {
                load::settle(load, &mut placed.settled, &mut placed.bytes, &report, job);
            }
            report.finished.then(|| board.remove(report.task_id)).flatten()
        };
        if let Some(placed) = done {
            self.finished(placed, report).await;
        }
        true
    }

    /// A worker is through with a task.
    async fn finished(&self, placed: Placed, report: v1::TaskReport) {
        let job = placed.task.job_id;
        match &placed.task.kind {
            Some(Kind::Load(load)) => {
                // What it did not mention it did not do.
                let missed = load.blocks.iter().filter(|b| !placed.settled.contains(&b.block_id));
                self.note(job, |progress| {
                    for block in missed {
                        let block = BlockId(block.block_id);
                        progress.block_failed(block, "the worker ended the task without it");
                    }
                });
            }
            Some(Kind::Persist(task)) => self.inner.persister.settled(task, &report).await,
            None => {}
        }
        self.inner.room.notify_waiters();
    }

    /// Places anew the tasks that nobody does any more. To be called every second or so.
    pub fn replace_orphans(&self) {
        let workers = &self.inner.workers;
        let orphans = self.inner.desk.lock().board.orphans(|id| workers.start_of(id), PATIENCE);
        for placed in orphans {
            let (job, attempts) = (placed.task.job_id, placed.attempts + 1);
            match placed.task.kind {
                Some(Kind::Load(mut load)) => {
                    load.blocks.retain(|block| !placed.settled.contains(&block.block_id));
                    self.note(job, |progress| progress.under_way(placed.task.id, 0));
                    self.place_again(job, load.blocks, attempts);
                }
                Some(Kind::Persist(task)) => self.inner.persister.lost(&task),
                None => {}
            }
        }
        // Whoever waits for room in the queue of a worker that is gone need not wait.
        self.inner.room.notify_waiters();
    }

    fn place_again(&self, job: i64, blocks: Vec<v1::LoadBlock>, attempts: u32) {
        let ring = self.inner.workers.ring();
        let mut shares = Share::new();
        let mut homeless = Vec::new();
        for block in blocks {
            match ring.owner(BlockId(block.block_id)) {
                Some(owner) if attempts < ATTEMPTS => {
                    shares.entry(owner.id).or_default().push(block);
                }
                _ => homeless.push(block),
            }
        }
        self.note(job, |progress| {
            for block in homeless {
                let cause = "its workers were lost; load it again when they are back";
                progress.block_failed(BlockId(block.block_id), cause);
            }
        });
        for (worker, blocks) in shares {
            self.place(worker, job, Kind::Load(v1::LoadTask { blocks }), attempts);
        }
    }

    /// Queues a task and wakes its worker.
    fn place(&self, worker: WorkerId, job: i64, kind: Kind, attempts: u32) {
        self.inner.desk.lock().board.place(worker, job, kind, attempts);
        self.inner.work.notify_waiters();
    }

    /// Waits until `worker`'s queue has room or the job is over.
    async fn room(&self, worker: WorkerId, job: i64) {
        loop {
            let changed = self.inner.room.notified();
            let full = self.inner.desk.lock().board.queued(worker) >= QUEUE;
            if !full || self.is_over(job) {
                return;
            }
            changed.await;
        }
    }

    /// Queues persist tasks on workers that have the data.
    pub fn persist(&self, worker: WorkerId, task: v1::PersistTask) {
        self.place(worker, 0, Kind::Persist(task), 0);
    }
}

/// What a job is to do, as the journal keeps it.
struct Spec(v1::submit_job_request::Kind);

impl Spec {
    fn of(request: v1::SubmitJobRequest) -> Result<Spec> {
        let kind = request.kind.ok_or_else(|| invalid_argument("a job of no kind"))?;
        let spec = Spec(kind);
        spec.path()?;
        Ok(spec)
    }

    fn encode(&self) -> Vec<u8> {
        use prost::Message;
        v1::SubmitJobRequest { kind: Some(self.0.clone()) }.encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Spec> {
        use prost::Message;
        Spec::of(v1::SubmitJobRequest::decode(bytes).ok()?).ok()
    }

    fn kind(&self) -> &'static str {
        match &self.0 {
            v1::submit_job_request::Kind::Load(_) => "load",
            v1::submit_job_request::Kind::Persist(_) => "persist",
        }
    }

    fn path_text(&self) -> &str {
        match &self.0 {
            v1::submit_job_request::Kind::Load(load) => &load.path,
            v1::submit_job_request::Kind::Persist(persist) => &persist.path,
        }
    }

    fn path(&self) -> Result<crate::core::model::FsPath> {
        self.path_text().parse()
    }

    fn replicas(&self) -> u32 {
        match &self.0 {
            v1::submit_job_request::Kind::Load(load) => load.replicas.max(1),
            v1::submit_job_request::Kind::Persist(_) => 0,
        }
    }
}

fn no_such_job(id: i64) -> crate::core::error::Error {
    not_found(format!("there is no job {id}: `goosefs job ls` lists them"))
}
