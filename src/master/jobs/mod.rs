//! Jobs: work a user asked for, done by all workers in shares.
//!
//! A job walks the tree, bringing in metadata as it goes, and cuts what it finds into tasks: many
//! small files together, each block for the workers the ring gives it to. Queues are short, so the
//! walk goes as fast as the workers do and a job over any number of files costs the same memory.
//! Workers ask for tasks, report and ask again in one call that waits ([`Jobs::exchange`]).
//!
//! ```text
//! submit → running ⇄ paused        running → done, failed, cancelled → retry → running
//! ```
//!
//! The journal has what a job is to do, whether it is paused, and every few seconds how far it is:
//! the last path before which everything is settled. Whoever is primary next goes on there; what was
//! under way is done again, and passes over what is in place. Jobs that have ended are kept for a
//! while, to be looked at and run again.

mod atomic;
mod board;
mod copy;
mod extra;
mod free;
mod load;
mod persist;
mod progress;
mod replicate;
mod run;
mod spec;
mod tasks;
mod verify;

pub use persist::Persister;

use crate::core::error::{
    Result, failed_precondition, invalid_argument, not_found, resource_exhausted,
};
use crate::core::model::{FsPath, WorkerId};
use crate::core::proto::v1::submit_job_request::Kind;
use crate::core::proto::v1::{self, Job, JobState};
use crate::core::runtime::{Clock, Group};
use crate::core::security::{Access, User};
use crate::master::file_system::{FileSystem, Position};
use crate::master::holdings::Holdings;
use crate::master::journal::entry::JOBS as TABLE;
use crate::master::workers::Registry;
use board::Board;
use parking_lot::Mutex;
use progress::Progress;
use run::Run;
use spec::{Record, Spec};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Jobs that have ended and are still told of.
const ENDED_KEPT: usize = 100;
/// Jobs that run or are paused at a time; more are refused.
const MOST_RUNNING: usize = 1_000;
/// Blocks in one task at most.
const MOST_BLOCKS: usize = 512;
/// How often rates are measured.
const SAMPLE: Duration = Duration::from_secs(1);
/// How often the journal is told how far a job is.
const SAVE: Duration = Duration::from_secs(5);
/// How long work waits for a worker to come: when a user has just asked for it, and when it goes on
/// under another primary, whom the workers are yet to find.
const GRACE: Duration = Duration::from_secs(5);
const GRACE_AFTER_FAILOVER: Duration = Duration::from_secs(60);

/// The jobs and their tasks. Clones share them.
#[derive(Clone)]
pub struct Jobs {
    inner: Arc<Inner>,
}

struct Inner {
    desk: Mutex<Desk>,
    /// Held over a change of a job's state and its record: the journal hears of them in order.
    records: tokio::sync::Mutex<()>,
    /// Rung when tasks were placed or revoked.
    work: Notify,
    /// Rung when a queue became shorter, a file settled or a job ended.
    room: Notify,
    workers: Registry,
    holdings: Holdings,
    files: FileSystem,
    persister: Persister,
    clock: Clock,
    group: Group,
    /// Where the duty of replication is.
    pass: Mutex<replicate::Pass>,
}

struct Desk {
    board: Board,
    jobs: BTreeMap<i64, Entry>,
    next_job: i64,
    next_run: u64,
    /// Bytes a second for missing copies, all workers together.
    replication_rate: u64,
}

/// A job.
struct Entry {
    spec: Spec,
    progress: Progress,
    /// Which run of it this is: what an earlier one still says does not count.
    run: u64,
    stop: CancellationToken,
    /// Whether any worker has spoken of it in this run, or is given the time to.
    heard: bool,
}

/// Blocks to be placed on one worker.
type Share = HashMap<WorkerId, Vec<v1::LoadBlock>>;

impl Jobs {
    /// No jobs yet; what they spawn belongs to `group`.
    pub fn new(
        files: FileSystem,
        holdings: Holdings,
        persister: Persister,
        clock: Clock,
        group: Group,
    ) -> Self {
        // Ids go up over restarts, so that a late report about an earlier task meets no new one.
        let board = Board::new(clock.now_ms() << 10);
        let replication_rate = files.config().master.replication_rate.0;
        let (jobs, next_job, next_run) = (BTreeMap::new(), 1, 1);
        let desk = Desk { board, jobs, next_job, next_run, replication_rate };
        let inner = Inner {
            desk: Mutex::new(desk),
            records: tokio::sync::Mutex::default(),
            work: Notify::new(),
            room: Notify::new(),
            workers: holdings.workers().clone(),
            holdings,
            files,
            persister,
            clock,
            group,
            pass: Mutex::default(),
        };
        Jobs { inner: Arc::new(inner) }
    }

    /// Begins a job, which the journal knows before this returns.
    ///
    /// # Errors
    /// `InvalidArgument` when it makes no sense, `NotFound` when its path is missing,
    /// `PermissionDenied` when the user may not, `ResourceExhausted` when too many run.
    pub async fn submit(&self, request: v1::SubmitJobRequest, user: User) -> Result<Job> {
        let spec = Spec::of(request, user)?;
        self.check(&spec).await?;
        let id = {
            let mut desk = self.inner.desk.lock();
            if desk.jobs.values().filter(|entry| !entry.progress.is_over()).count() >= MOST_RUNNING
            {
                let text = format!("{MOST_RUNNING} jobs run already: wait for one, or cancel one");
                return Err(resource_exhausted(text));
            }
            let id = desk.next_job;
            desk.next_job += 1;
            id
        };
        let job = spec.job(id, self.inner.clock.now_ms());
        self.put(id, &Record::new(spec.clone(), job.clone())).await?;
        Ok(self.begin(spec, job, None, GRACE))
    }

    /// Whether a job can be done at all, as far as that shows before it begins.
    async fn check(&self, spec: &Spec) -> Result<()> {
        let (files, path, caller) = (&self.inner.files, spec.path()?, spec.caller());
        files.known(&path).await?;
        match &spec.kind {
            Kind::Load(load) if load.atomic => {
                files.permit(&caller, &path, Access::WRITE)?;
                if files.known(&path).await?.folder { Ok(()) } else { Err(no_directory(&path)) }
            }
            Kind::Load(_) | Kind::Persist(_) => Ok(()),
            Kind::Free(_) | Kind::Verify(_) => files.permit(&caller, &path, Access::READ),
            Kind::Copy(copy) => {
                let to: FsPath = copy.to.parse()?;
                files.permit(&caller, &path, Access::READ)?;
                if to.starts_with(&path) || copy.r#move && path.starts_with(&to) {
                    return Err(invalid_argument(format!(
                        "{path} cannot be copied to {to}: one holds the other"
                    )));
                }
                files.check_writable_at(&to)?;
                if copy.r#move { files.check_writable_at(&path) } else { Ok(()) }
            }
        }
    }

    /// Takes up the jobs of the journal: those that had not ended when the last primary did go on.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn restore(&self) -> Result<()> {
        for (key, value) in self.inner.files.records(TABLE)? {
            let (Ok(key), Some(record)) =
                (<[u8; 8]>::try_from(key.as_slice()), Record::decode(&value))
            else {
                tracing::warn!("a job in the journal makes no sense; it is left out");
                continue;
            };
            self.take_up(i64::from_be_bytes(key), record);
        }
        Ok(())
    }

    fn take_up(&self, id: i64, record: Record) {
        let Record { spec, job, position } = record;
        let job = job.unwrap_or_else(|| spec.job(id, self.inner.clock.now_ms()));
        let idle = job.ended_ms != 0 || job.state() == JobState::Paused;
        {
            let mut desk = self.inner.desk.lock();
            desk.next_job = desk.next_job.max(id + 1);
            if desk.jobs.contains_key(&id) {
                return;
            }
            if idle {
                let progress = Progress::resumed(job, position);
                let stop = CancellationToken::new();
                desk.jobs.insert(id, Entry { spec, progress, run: 0, stop, heard: true });
                return;
            }
        }
        self.begin(spec, job, position, GRACE_AFTER_FAILOVER);
    }

    /// Has a job run, from `position` on.
    fn begin(&self, spec: Spec, job: Job, position: Option<Position>, grace: Duration) -> Job {
        let id = job.id;
        let stop = CancellationToken::new();
        let (job, position) =
            if spec.is_atomic() { (progress::anew(job), None) } else { (job, position) };
        let mut desk = self.inner.desk.lock();
        let number = desk.next_run;
        desk.next_run += 1;
        let progress = Progress::resumed(job, position.clone());
        let told = progress.job();
        let heard = grace > GRACE;
        let entry = Entry { spec: spec.clone(), progress, run: number, stop: stop.clone(), heard };
        desk.jobs.insert(id, entry);
        drop(desk);
        let run = Run { jobs: self.clone(), id, number, spec, position, grace };
        let jobs = self.clone();
        self.inner.group.spawn_until_stop("job", async move {
            tokio::select! {
                () = stop.cancelled() => return,
                () = run.over() => {}
                () = jobs.watch(id) => {}
                () = run.work() => {}
            }
            jobs.finish(id).await;
        });
        told
    }

    /// Measures how fast a job is, and tells the journal how far.
    async fn watch(&self, id: i64) {
        let mut saved = (Instant::now(), None);
        loop {
            if let Some(entry) = self.inner.desk.lock().jobs.get_mut(&id) {
                entry.progress.sample(Instant::now());
            }
            tokio::time::sleep(SAMPLE).await;
            if saved.0.elapsed() >= SAVE {
                let position = self.save(id, &saved.1).await;
                saved = (Instant::now(), position);
            }
        }
    }

    /// Tells the journal how far a job is, unless it knows; says how far that is.
    async fn save(&self, id: i64, known: &Option<Position>) -> Option<Position> {
        let _in_order = self.inner.records.lock().await;
        let record = {
            let desk = self.inner.desk.lock();
            let entry = desk.jobs.get(&id).filter(|entry| entry.progress.is_running())?;
            Record::of(&entry.spec, &entry.progress)
        };
        if record.position != *known
            && let Err(error) = self.put(id, &record).await
        {
            tracing::debug!(job = id, %error, "how far it is was not saved");
            return known.clone();
        }
        record.position
    }

    async fn put(&self, id: i64, record: &Record) -> Result<()> {
        self.inner.files.put_record(TABLE, &id.to_be_bytes(), record.encode()).await
    }

    /// One job.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, id: i64) -> Result<Job> {
        let desk = self.inner.desk.lock();
        desk.jobs.get(&id).map(|entry| entry.progress.job()).ok_or_else(|| no_such_job(id))
    }

    /// All jobs, the latest first.
    pub fn list(&self) -> Vec<Job> {
        self.inner.desk.lock().jobs.values().rev().map(|entry| entry.progress.job()).collect()
    }

    /// Ends a job early. One that has ended already stays as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn cancel(&self, id: i64) -> Result<()> {
        let idle = {
            let desk = self.inner.desk.lock();
            desk.jobs.get(&id).ok_or_else(|| no_such_job(id))?.progress.is_paused()
        };
        self.end(id, JobState::Cancelled, "cancelled".into());
        if idle {
            self.finish(id).await;
        }
        Ok(())
    }

    /// Stops a job until it is resumed; the journal knows before this returns.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it does not run.
    pub async fn pause(&self, id: i64) -> Result<Job> {
        let _in_order = self.inner.records.lock().await;
        let (record, run) = {
            let desk = self.inner.desk.lock();
            let entry = desk.jobs.get(&id).ok_or_else(|| no_such_job(id))?;
            check_runs(id, &entry.progress)?;
            let mut record = Record::of(&entry.spec, &entry.progress);
            record.job.iter_mut().for_each(|job| job.state = JobState::Paused as i32);
            (record, entry.run)
        };
        self.put(id, &record).await?;
        let mut desk = self.inner.desk.lock();
        let entry = desk.jobs.get_mut(&id).filter(|entry| entry.run == run);
        let entry = entry.ok_or_else(|| no_such_job(id))?;
        check_runs(id, &entry.progress)?;
        let (mut job, position) = entry.progress.standing();
        job.state = JobState::Paused as i32;
        entry.stop.cancel();
        // What its run still says is nobody's any more.
        entry.run = 0;
        entry.progress = Progress::resumed(job, position);
        let told = entry.progress.job();
        desk.board.cancel(id);
        drop(desk);
        self.ring();
        Ok(told)
    }

    /// Has a paused job go on.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it is not paused.
    pub async fn resume(&self, id: i64) -> Result<Job> {
        let _in_order = self.inner.records.lock().await;
        let mut record = {
            let desk = self.inner.desk.lock();
            let entry = desk.jobs.get(&id).ok_or_else(|| no_such_job(id))?;
            if !entry.progress.is_paused() {
                let state = entry.progress.job().state().as_str_name().to_ascii_lowercase();
                let state = state.trim_start_matches("job_state_").to_string();
                return Err(failed_precondition(format!("job {id} is {state}, not paused")));
            }
            Record::of(&entry.spec, &entry.progress)
        };
        record.job.iter_mut().for_each(|job| job.state = JobState::Running as i32);
        self.put(id, &record).await?;
        let Record { spec, job, position } = record;
        let job = job.unwrap_or_else(|| spec.job(id, self.inner.clock.now_ms()));
        Ok(self.begin(spec, job, position, GRACE))
    }

    /// Runs a job that has ended once more, from the top: what is in place is passed over.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it has not ended.
    pub async fn retry(&self, id: i64) -> Result<Job> {
        let _in_order = self.inner.records.lock().await;
        let spec = {
            let desk = self.inner.desk.lock();
            let entry = desk.jobs.get(&id).ok_or_else(|| no_such_job(id))?;
            if !entry.progress.is_over() {
                return Err(failed_precondition(format!(
                    "job {id} has not ended: there is nothing to try again yet"
                )));
            }
            entry.spec.clone()
        };
        self.check(&spec).await?;
        let job = spec.job(id, self.inner.clock.now_ms());
        self.put(id, &Record::new(spec.clone(), job.clone())).await?;
        Ok(self.begin(spec, job, None, GRACE))
    }

    /// Has the next versions go that no job makes any more.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn drop_stages(&self) -> Result<()> {
        let is_made = |id: i64| {
            let desk = self.inner.desk.lock();
            desk.jobs.get(&id).is_some_and(|job| job.spec.is_atomic() && !job.progress.is_over())
        };
        self.inner.files.drop_stages(is_made).await
    }

    fn end(&self, id: i64, state: JobState, message: String) {
        let mut desk = self.inner.desk.lock();
        let now = self.inner.clock.now_ms();
        if let Some(entry) = desk.jobs.get_mut(&id).filter(|entry| !entry.progress.is_over()) {
            entry.progress.end(state, message, now);
        }
        desk.board.cancel(id);
        drop(desk);
        self.ring();
    }

    fn ring(&self) {
        self.inner.room.notify_waiters();
        self.inner.work.notify_waiters();
    }

    /// Tells the journal what came of a job that has ended, and forgets older ones.
    async fn finish(&self, id: i64) {
        let _in_order = self.inner.records.lock().await;
        let (record, forgotten) = {
            let desk = self.inner.desk.lock();
            let over = |id: &i64| desk.jobs.get(id).filter(|entry| entry.progress.is_over());
            // Run again already, or forgotten.
            let Some(entry) = over(&id) else { return };
            let mut ended: Vec<i64> =
                desk.jobs.keys().filter(|id| over(id).is_some()).copied().collect();
            ended.truncate(ended.len().saturating_sub(ENDED_KEPT));
            (Record::of(&entry.spec, &entry.progress), ended)
        };
        if let Err(error) = self.put(id, &record).await {
            tracing::warn!(job = id, %error, "it ended, but the journal was not told; it will run again");
        }
        for id in forgotten {
            match self.inner.files.delete_record(TABLE, &id.to_be_bytes()).await {
                Ok(()) => drop(self.inner.desk.lock().jobs.remove(&id)),
                Err(error) => tracing::debug!(job = id, %error, "not forgotten yet"),
            }
        }
    }
}

fn check_runs(id: i64, progress: &Progress) -> Result<()> {
    if progress.is_over() {
        return Err(failed_precondition(format!(
            "job {id} has ended: `goosefs job retry {id}` runs it again"
        )));
    }
    if progress.is_paused() {
        return Err(failed_precondition(format!(
            "job {id} is paused already: `goosefs job resume {id}` has it go on"
        )));
    }
    Ok(())
}

fn no_directory(path: &FsPath) -> crate::core::error::Error {
    let text = format!("{path} is no directory: a single file is replaced as a whole anyway");
    crate::core::error::Error::new(crate::core::error::ErrorKind::NotDirectory, text)
}

fn no_such_job(id: i64) -> crate::core::error::Error {
    not_found(format!("there is no job {id}: `goosefs job ls` lists them"))
}
