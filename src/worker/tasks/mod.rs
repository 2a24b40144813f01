//! A job's share of work: fill these blocks, copy that file to its under store.
//!
//! Two loops talk to the master: one waits there for work, as long as there are slots; the other
//! tells it twice a second, and whenever a task ends, what has been done. A report that does not
//! get through is told again with the next.

mod copy;
mod load;
mod verify;

use super::fill::run_blocking;
use super::heartbeat::patiently;
use super::pace::Paces;
use super::persist::Persister;
use super::read::Reads;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{BlockId, WorkerId};
use crate::core::proto::v1;
use crate::core::proto::v1::jobs_client::JobsClient;
use crate::core::proto::v1::task::Kind;
use crate::core::rpc::Primary;
use crate::core::runtime::Group;
use crate::ufs::UfsStatus;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Blocks of one task on their way at a time: small files are many.
const BLOCKS_AT_ONCE: usize = 32;
/// How often the master hears of what has been done.
const REPORT: Duration = Duration::from_millis(500);
/// How long the master may let us wait for work.
const WAIT: Duration = Duration::from_secs(10);
/// How long to wait after the master did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// How often the master hears of a task that runs, though nothing has come of it lately.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// Reports in one call.
const REPORTS_AT_ONCE: usize = 1000;

/// What tasks need. Clones share it.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    master: Primary,
    reads: Reads,
    persister: Persister,
    registered: watch::Receiver<Option<WorkerId>>,
    group: Group,
    slots: Arc<Semaphore>,
    slot_count: u32,
    /// What has not been told yet.
    reports: Mutex<HashMap<i64, v1::TaskReport>>,
    /// The tasks that run: their jobs, and what ends them early.
    running: Mutex<HashMap<i64, (i64, CancellationToken)>>,
    ended: Notify,
    /// How fast jobs may go.
    paces: Paces,
}

impl Tasks {
    /// No tasks yet; up to `slots` run at a time, in `group`.
    pub fn new(
        master: Primary,
        reads: Reads,
        persister: Persister,
        registered: watch::Receiver<Option<WorkerId>>,
        group: Group,
        slots: u32,
    ) -> Self {
        let slot_count = slots.max(1);
        let inner = Inner {
            master,
            reads,
            persister,
            registered,
            group,
            slots: Arc::new(Semaphore::new(slot_count as usize)),
            slot_count,
            reports: Mutex::default(),
            running: Mutex::default(),
            ended: Notify::new(),
            paces: Paces::default(),
        };
        Tasks { inner: Arc::new(inner) }
    }

    /// Takes work and reports on it until it is dropped.
    pub async fn run(self) {
        tokio::join!(self.take_work(), self.tell());
    }

    async fn take_work(&self) {
        loop {
            let worker_id = self.worker().await;
            // At least one slot; told of all there are.
            let Ok(first) = self.inner.slots.clone().acquire_owned().await else { return };
            let slots = 1 + self.inner.slots.available_permits() as u32;
            drop(first);
            let request = v1::ExchangeRequest {
                worker_id,
                reports: Vec::new(),
                slots: slots.min(self.inner.slot_count),
                wait_ms: WAIT.as_millis() as u32,
            };
            match self.exchange(request).await {
                Ok(answer) => {
                    for task in answer.tasks {
                        self.start(task).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "asking for work");
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }

    async fn tell(&self) {
        let mut signs = tokio::time::interval(SIGN_OF_LIFE);
        loop {
            tokio::select! {
                () = tokio::time::sleep(REPORT) => {}
                () = self.inner.ended.notified() => {}
                _ = signs.tick() => self.note_running(),
            }
            while let Some(reports) = self.untold() {
                let worker_id = self.worker().await;
                let request = v1::ExchangeRequest {
                    worker_id,
                    reports: reports.clone(),
                    slots: 0,
                    wait_ms: 0,
                };
                if let Err(error) = self.exchange(request).await {
                    tracing::debug!(%error, "reporting");
                    reports.into_iter().for_each(|report| self.note_again(report));
                    tokio::time::sleep(BACKOFF).await;
                }
            }
        }
    }

    /// The id to speak by, once the worker is registered.
    async fn worker(&self) -> WorkerId {
        let mut registered = self.inner.registered.clone();
        match registered.wait_for(Option::is_some).await.map(|id| *id) {
            Ok(Some(id)) => id,
            // The heartbeat has ended: so will this, with the group.
            _ => std::future::pending().await,
        }
    }

    async fn exchange(&self, request: v1::ExchangeRequest) -> Result<v1::ExchangeResponse> {
        let call = self.inner.master.call(|channel| {
            let request = request.clone();
            async move { JobsClient::new(channel).exchange(request).await }
        });
        let answer = patiently(call).await?;
        self.inner.paces.set(&answer.limits);
        let running = self.inner.running.lock();
        for id in &answer.cancelled {
            if let Some((_, stop)) = running.get(id) {
                stop.cancel();
            }
        }
        drop(running);
        Ok(answer)
    }

    /// Runs a task in a slot of its own.
    async fn start(&self, task: v1::Task) {
        let Ok(slot) = self.inner.slots.clone().acquire_owned().await else { return };
        let stop = CancellationToken::new();
        self.inner.running.lock().insert(task.id, (task.job_id, stop.clone()));
        let tasks = self.clone();
        self.inner.group.spawn_until_stop("task", async move {
            let (task_id, job_id) = (task.id, task.job_id);
            // Who persists gives up by itself and says so: others wait for the object.
            let persists = matches!(task.kind, Some(Kind::Persist(_)));
            let cancelled = tokio::select! {
                () = stop.cancelled(), if !persists => true,
                () = tasks.work(task, &stop) => false,
            };
            tasks.forget(task_id);
            if cancelled {
                tasks.inner.reports.lock().remove(&task_id);
            } else {
                tasks.note(task_id, job_id, |report| report.finished = true);
            }
            drop(slot);
            tasks.inner.ended.notify_one();
        });
    }

    /// A task does not run any more.
    fn forget(&self, task: i64) {
        let mut running = self.inner.running.lock();
        running.remove(&task);
        self.inner.paces.keep(|job| running.values().any(|(of, _)| *of == job));
    }

    async fn work(&self, task: v1::Task, stop: &CancellationToken) {
        let (id, job) = (task.id, task.job_id);
        match task.kind {
            Some(Kind::Load(load)) => self.load(id, job, load).await,
            Some(Kind::Persist(persist)) => {
                let result = self.persist((id, job), &persist, stop).await;
                self.note(id, job, |report| match result {
                    Ok(status) => {
                        report.bytes_done += persist.length;
                        report.version = status.version;
                        report.modified_ms = status.modified_ms;
                    }
                    Err(error) => report.failed.push(failure(persist.file_id, &error)),
                });
            }
            Some(Kind::Drop(drop)) => {
                let dropped = self.drop_blocks(drop).await;
                self.note(id, job, |report| report.dropped.extend(dropped));
            }
            Some(Kind::Copy(copy)) => self.copy(id, job, copy).await,
            Some(Kind::Verify(verify)) => self.verify(id, job, verify).await,
            None => tracing::warn!(task = id, "not done: a task of a kind this worker knows not"),
        }
    }

    /// Writes a file to its store. The last step is taken only where the master says that it still is to be,
    /// and is not cut short then: what a store has been asked for it may do later.
    async fn persist(
        &self,
        (id, job): (i64, i64),
        task: &v1::PersistTask,
        stop: &CancellationToken,
    ) -> Result<UfsStatus> {
        let may_close = async {
            let written = self.inner.persister.write(task).await?;
            self.may_close(id, job).await.map(|()| written)
        };
        let written = tokio::select! {
            biased;
            () = stop.cancelled() => Err(given_up()),
            written = may_close => written,
        };
        written?.close().await
    }

    /// Asks whether an object is to appear.
    async fn may_close(&self, task_id: i64, job_id: i64) -> Result<()> {
        let report = v1::TaskReport { task_id, job_id, closes: true, ..Default::default() };
        let ask = async {
            let worker_id = self.worker().await;
            let reports = vec![report];
            self.exchange(v1::ExchangeRequest { worker_id, reports, slots: 0, wait_ms: 0 }).await
        };
        match patiently(ask).await?.cancelled.contains(&task_id) {
            true => Err(given_up()),
            false => Ok(()),
        }
    }

    /// Drops blocks that are to be at other workers, but for only copies; says which were here.
    async fn drop_blocks(&self, task: v1::DropTask) -> Vec<v1::DroppedBlock> {
        let store = self.inner.reads.store.clone();
        let drop_one = move |block_id| {
            let block = store.peek(BlockId(block_id)).filter(|block| !block.is_unpersisted())?;
            let bytes = block.bytes_held() as i64;
            store.discard(&block);
            Some(v1::DroppedBlock { block_id, bytes })
        };
        let dropping = move || task.block_ids.into_iter().filter_map(drop_one).collect();
        run_blocking(dropping).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "dropping copies");
            Vec::new()
        })
    }

    /// Has the master told that what runs still does.
    fn note_running(&self) {
        for (&task, (job, _)) in self.inner.running.lock().iter() {
            self.note(task, *job, |_| {});
        }
    }

    /// Adds to what the master is told of a task.
    fn note(&self, task_id: i64, job_id: i64, change: impl FnOnce(&mut v1::TaskReport)) {
        let mut reports = self.inner.reports.lock();
        let new = || v1::TaskReport { task_id, job_id, ..Default::default() };
        change(reports.entry(task_id).or_insert_with(new));
    }

    /// Puts back what could not be told.
    fn note_again(&self, told: v1::TaskReport) {
        self.note(told.task_id, told.job_id, |report| {
            report.finished |= told.finished;
            report.bytes_done += told.bytes_done;
            report.done.extend(told.done);
            report.skipped.extend(told.skipped);
            report.failed.extend(told.failed);
            report.copied.extend(told.copied);
            report.verified.extend(told.verified);
            report.dropped.extend(told.dropped);
            if !told.version.is_empty() {
                report.version = told.version;
                report.modified_ms = told.modified_ms;
            }
        });
    }

    /// What there is to tell; none when there is nothing.
    fn untold(&self) -> Option<Vec<v1::TaskReport>> {
        let mut reports = self.inner.reports.lock();
        let ids: Vec<i64> = reports.keys().copied().take(REPORTS_AT_ONCE).collect();
        let told: Vec<_> = ids.iter().filter_map(|id| reports.remove(id)).collect();
        (!told.is_empty()).then_some(told)
    }
}

fn given_up() -> Error {
    Error::new(
        ErrorKind::Aborted,
        "given up: the master wants it no more, or has another worker do it",
    )
}

fn failure(id: i64, error: &Error) -> v1::BlockFailure {
    let cause = match error.kind() {
        ErrorKind::Changed => format!("changed in the under store since it was listed: {error}"),
        _ => error.to_string(),
    };
    v1::BlockFailure { id, cause }
}
