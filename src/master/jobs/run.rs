//! One run of a job: from when it begins, or goes on, until it ends or is paused.

use super::board::QUEUE;
use super::{Jobs, Kind, Progress, Spec, atomic, copy, extra, free, load, persist, verify};
use crate::core::error::{Result, unavailable};
use crate::core::model::pattern::Selection;
use crate::core::model::{FsPath, WorkerId};
use crate::core::proto::v1::{self, JobState};
use crate::master::file_system::{FileSystem, Position, Walk};
use crate::master::workers::Registry;
use std::time::Duration;

/// What a walk may find behind a file that is not settled.
const MOST_BEHIND: usize = 100_000;
/// How often somebody who waits for a worker looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A run under way. It is dropped where it stands when the job is paused or ended.
pub(super) struct Run {
    pub jobs: Jobs,
    pub id: i64,
    /// Which run of the job it is.
    pub number: u64,
    pub spec: Spec,
    /// Where the walk begins; none: at the top.
    pub position: Option<Position>,
    /// How long it waits for a worker to come.
    pub grace: Duration,
}

impl Run {
    /// Does the job; ends when the job has.
    pub async fn work(&self) {
        let result = match &self.spec.kind {
            Kind::Load(job) if job.atomic => atomic::run(self, job).await,
            Kind::Load(job) => load::run(self, job).await,
            Kind::Persist(job) => persist::run(self, job).await,
            Kind::Free(job) if job.replicas > 0 => extra::run(self, job.replicas).await,
            Kind::Free(job) => free::run(self, job).await,
            Kind::Copy(job) => copy::run(self, job).await,
            Kind::Verify(job) => verify::run(self, job).await,
        };
        if let Err(error) = result {
            tracing::warn!(job = self.id, %error, "failed");
            self.jobs.end(self.id, JobState::Failed, error.to_string());
        }
        self.over().await;
    }

    /// Waits until the job has ended.
    pub async fn over(&self) {
        self.wait_until(|progress| progress.is_over()).await;
    }

    /// Waits until `what` is so of the job, or this run is none any more.
    pub async fn wait_until(&self, what: impl Fn(&Progress) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.jobs.inner.room.notified());
            changed.as_mut().enable();
            if self.look(&what).unwrap_or(true) {
                return;
            }
            changed.await;
        }
    }

    /// Waits while the walk is as far ahead as it may be: all it finds behind a file that is not
    /// settled is remembered. `flush` places what was found and is not placed, which nobody would
    /// settle otherwise.
    pub async fn keep_near(&self, most_open: usize, flush: impl FnOnce()) {
        if self.is_far_ahead(most_open) {
            flush();
            self.wait_until(|progress| !is_far_ahead(progress, most_open)).await;
        }
    }

    /// Whether the walk has to wait, with up to `most_open` files under way.
    pub fn is_far_ahead(&self, most_open: usize) -> bool {
        self.look(|progress| is_far_ahead(progress, most_open)).unwrap_or(false)
    }

    /// Something of the job as it stands; none when this run is none any more.
    pub fn look<T>(&self, what: impl FnOnce(&Progress) -> T) -> Option<T> {
        let desk = self.jobs.inner.desk.lock();
        let entry = desk.jobs.get(&self.id).filter(|entry| entry.run == self.number)?;
        Some(what(&entry.progress))
    }

    /// Notes something of the job, and ends it if that was the last.
    pub fn note(&self, what: impl FnOnce(&mut Progress)) {
        self.jobs.note(self.id, self.number, what);
    }

    /// The walk over the files of the job, from where an earlier run was.
    ///
    /// # Errors
    /// `InvalidArgument` for patterns that make no sense.
    pub async fn walk(&self) -> Result<Walk> {
        self.begin_walk(|walk| walk).await
    }

    /// The same over what the tree has: nothing else can be cached.
    ///
    /// # Errors
    /// As [`Run::walk`].
    pub async fn walk_here(&self) -> Result<Walk> {
        self.begin_walk(Walk::of_what_is_here).await
    }

    async fn begin_walk(&self, how: impl FnOnce(Walk) -> Walk) -> Result<Walk> {
        let (top, chosen) = (self.spec.path()?, self.spec.selection()?);
        let root = top.clone();
        let enters = move |path: &FsPath| path.relative_to(&root).is_some_and(|p| chosen.enters(p));
        let mut walk = how(Walk::in_order(self.files().clone(), top, enters));
        if let Some(position) = &self.position {
            walk.resume(position).await;
        }
        Ok(walk)
    }

    pub fn files(&self) -> &FileSystem {
        &self.jobs.inner.files
    }

    pub fn workers(&self) -> &Registry {
        &self.jobs.inner.workers
    }

    /// Waits for a worker that answers.
    ///
    /// # Errors
    /// `Unavailable` when none comes.
    pub async fn need_worker(&self, to: &str) -> Result<()> {
        let wait = async {
            while !self.jobs.anybody_answers() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(self.grace, wait).await.map_err(|_| nobody(to))
    }

    /// Waits until `worker`'s queue has room.
    pub async fn room(&self, worker: WorkerId) {
        loop {
            let mut changed = std::pin::pin!(self.jobs.inner.room.notified());
            changed.as_mut().enable();
            if self.jobs.inner.desk.lock().board.queued(worker) < QUEUE {
                return;
            }
            changed.await;
        }
    }

    /// Queues a task.
    pub fn place(&self, worker: WorkerId, kind: v1::task::Kind) {
        self.jobs.place(worker, self.id, kind, 0);
    }
}

fn is_far_ahead(progress: &Progress, most_open: usize) -> bool {
    progress.behind() >= MOST_BEHIND || progress.open_files() >= most_open
}

/// The error of work for which no worker is there.
pub(super) fn nobody(to: &str) -> crate::core::error::Error {
    unavailable(format!(
        "no worker is there to {to}: start one with `goosefs worker start`, or see in its log \
         (goosefs-worker.log) why it does not reach the master"
    ))
}

/// Which files of a job's tree it is about.
pub(super) struct Chosen {
    top: FsPath,
    selection: Selection,
}

impl Chosen {
    /// By the patterns of `spec`.
    ///
    /// # Errors
    /// `InvalidArgument` for patterns that make no sense.
    pub fn of(spec: &Spec) -> Result<Chosen> {
        Ok(Chosen { top: spec.path()?, selection: spec.selection()? })
    }

    /// Whether all of them are.
    pub fn is_all(&self) -> bool {
        self.selection.is_all()
    }

    /// Whether the file at `path` is one of them. The top itself is, if it is a file.
    pub fn takes(&self, path: &FsPath) -> bool {
        let relative = path.relative_to(&self.top).unwrap_or_default();
        self.selection.takes(if relative.is_empty() { self.top.name() } else { relative })
    }
}
