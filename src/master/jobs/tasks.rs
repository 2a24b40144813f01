//! The tasks of all jobs: handed to workers, reported on, and placed anew when a worker is lost.

use super::board::Placed;
use super::replicate::REPLICATION;
use super::{Desk, Jobs, Progress, Share, copy, extra, load, verify};
use crate::core::error::{Result, failed_precondition};
use crate::core::model::{BlockId, FileId, WorkerId};
use crate::core::proto::v1::task::Kind;
use crate::core::proto::v1::{self, JobState};
use std::time::{Duration, Instant};

/// The longest an exchange waits for work.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Times a block is tried on workers that vanish with it.
pub(super) const ATTEMPTS: u32 = 3;
/// How long a running task may go unmentioned.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a worker may be silent before a user who has just asked for something is told that
/// nobody answers: so many heartbeats, and so many seconds at least.
const SILENT_BEATS: u32 = 3;
const SILENT_S: i32 = 8;

impl Jobs {
    /// Notes something of a run of a job, and ends the job if that was the last.
    pub(super) fn note(&self, id: i64, run: u64, what: impl FnOnce(&mut Progress)) {
        let mut desk = self.inner.desk.lock();
        let now = self.inner.clock.now_ms();
        let entry = desk.jobs.get_mut(&id).filter(|entry| entry.run == run);
        let Some(entry) = entry.filter(|entry| entry.progress.is_running()) else { return };
        what(&mut entry.progress);
        if entry.progress.end_if_complete(now) {
            drop(desk);
            self.inner.room.notify_waiters();
        }
    }

    /// The same for whatever run the job is in: tasks of earlier ones are off the board.
    pub(super) fn note_now(&self, id: i64, what: impl FnOnce(&mut Progress)) {
        let run = self.inner.desk.lock().jobs.get(&id).map(|entry| entry.run);
        if let Some(run) = run {
            self.note(id, run, what);
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
                response.limits = desk.limits(worker);
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

    /// Notes one report; false when nobody asked for that task, or it is not to be ended.
    async fn report(&self, worker: WorkerId, report: v1::TaskReport) -> bool {
        let (mut finishing, mut closing) = (None, None);
        let task_id = report.task_id;
        let done = {
            let mut desk = self.inner.desk.lock();
            let Desk { board, jobs, .. } = &mut *desk;
            let Some(placed) = board.heard(worker, report.task_id) else { return false };
            if let Some(entry) = jobs.get_mut(&placed.task.job_id) {
                entry.heard = true;
                let progress = &mut entry.progress;
                let Placed { settled, bytes, .. } = placed;
                match &placed.task.kind {
                    Some(Kind::Load(load)) => load::settle(load, settled, bytes, &report, progress),
                    Some(Kind::Verify(_)) => verify::settle(settled, &report, progress),
                    Some(Kind::Drop(_)) => extra::settle(settled, &report, progress),
                    Some(Kind::Copy(copy)) => {
                        let copied = copy::settle(copy, settled, bytes, &report, progress);
                        finishing = Some((placed.task.job_id, entry.run, copied));
                    }
                    _ => {}
                }
            }
            if let Some(Kind::Persist(task)) = placed.task.kind.as_ref().filter(|_| report.closes) {
                // Noted before the look: who gives it up afterwards waits for its end.
                placed.closing = true;
                closing = Some((FileId(task.file_id), task.ufs_path.clone()));
            }
            report.finished.then(|| board.remove(report.task_id)).flatten()
        };
        if let Some((job, run, copied)) = finishing.filter(|(_, _, copied)| !copied.is_empty()) {
            let jobs = self.clone();
            self.inner.group.spawn_until_stop("copied files", async move {
                copy::finish(&jobs, job, run, copied).await;
            });
        }
        if let Some(placed) = done {
            self.finished(placed, report);
        }
        let Some((file, at)) = closing else { return true };
        // Who cannot be sure is not to do it.
        let may_close = self.inner.persister.is_wanted(file, &at).unwrap_or(false);
        if !may_close && let Some(placed) = self.inner.desk.lock().board.heard(worker, task_id) {
            placed.closing = false;
        }
        may_close
    }

    /// A worker is through with a task.
    fn finished(&self, placed: Placed, report: v1::TaskReport) {
        let job = placed.task.job_id;
        match &placed.task.kind {
            Some(Kind::Load(load)) => {
                // What it did not mention it did not do.
                let missed = load.blocks.iter().filter(|b| !placed.settled.contains(&b.block_id));
                self.note_now(job, |progress| {
                    for block in missed {
                        let block = BlockId(block.block_id);
                        progress.block_failed(block, "the worker ended the task without it");
                    }
                });
            }
            Some(Kind::Persist(_)) => self.settle_persisted(placed, report),
            Some(Kind::Copy(copy)) => {
                let missed = copy.files.iter().filter(|f| !placed.settled.contains(&f.file_id));
                self.note_now(job, |progress| {
                    for file in missed {
                        let cause = "the worker ended the task without it";
                        progress.file_part_failed(FileId(file.file_id), cause);
                    }
                });
            }
            Some(Kind::Verify(verify)) => {
                let mut missed = verify.files.clone();
                missed.retain(|file| !placed.settled.contains(&file.file_id));
                let cause = "a worker ended the task without it: verify it again";
                self.note_now(job, |progress| verify::unread(&missed, cause, progress));
            }
            Some(Kind::Drop(drop)) => {
                let missed = drop.block_ids.iter().filter(|id| !placed.settled.contains(id));
                self.note_now(job, |progress| extra::gone(missed, progress));
            }
            None => {}
        }
        self.inner.room.notify_waiters();
    }

    /// Notes what became of a file that was persisted. That may have to wait for others who change the
    /// tree, longer than the worker waits for an answer.
    fn settle_persisted(&self, placed: Placed, report: v1::TaskReport) {
        let jobs = self.clone();
        self.inner.group.spawn_until_stop("a persisted file", async move {
            if let Some(Kind::Persist(task)) = &placed.task.kind {
                jobs.inner.persister.settled(task, &report, placed.closing).await;
            }
        });
    }

    /// Has workers give up persisting what was deleted, renamed or replaced. To be called every second or
    /// so.
    pub fn revoke_unwanted(&self) {
        let persister = &self.inner.persister;
        let running = self.inner.desk.lock().board.persisting();
        for (id, file, at) in running {
            if !matches!(persister.is_wanted(file, &at), Ok(false)) {
                continue;
            }
            let given_up = self.inner.desk.lock().board.give_up(id);
            if let Some(Kind::Persist(task)) = given_up.and_then(|placed| placed.task.kind) {
                // Should its worker not have heard of it: it asks before the object appears.
                persister.given_back(&task);
            }
            self.inner.work.notify_waiters();
        }
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
                    self.note_now(job, |progress| progress.under_way(placed.task.id, 0));
                    self.place_again(job, load, attempts);
                }
                Some(Kind::Persist(task)) => self.inner.persister.lost(&task),
                Some(Kind::Copy(mut copy)) => {
                    copy.files.retain(|file| !placed.settled.contains(&file.file_id));
                    self.note_now(job, |progress| progress.under_way(placed.task.id, 0));
                    copy::place_again(self, job, copy, attempts);
                }
                Some(Kind::Verify(mut verify)) => {
                    verify.files.retain(|file| !placed.settled.contains(&file.file_id));
                    // Only that worker can read what it has.
                    let there = workers.start_of(placed.worker).is_some();
                    if there && attempts < ATTEMPTS {
                        self.place(placed.worker, job, Kind::Verify(verify), attempts);
                    } else {
                        let cause = "a worker went away before it had read it: verify it again";
                        self.note_now(job, |progress| {
                            verify::unread(&verify.files, cause, progress);
                        });
                    }
                }
                // Whoever has copies too many for good is asked again with the next pass.
                Some(Kind::Drop(_)) if job == REPLICATION => {}
                Some(Kind::Drop(mut drop)) => {
                    drop.block_ids.retain(|id| !placed.settled.contains(id));
                    let there = workers.start_of(placed.worker).is_some();
                    if there && attempts < ATTEMPTS {
                        self.place(placed.worker, job, Kind::Drop(drop), attempts);
                    } else {
                        self.note_now(job, |progress| extra::unheard(&drop.block_ids, progress));
                    }
                }
                None => {}
            }
        }
        self.give_up_unanswered();
        // Whoever waits for room in the queue of a worker that is gone need not wait.
        self.inner.room.notify_waiters();
    }

    /// Whether a worker has been heard of just now.
    pub(super) fn anybody_answers(&self) -> bool {
        let beat = self.inner.files.config().worker.heartbeat_interval;
        let silent_s = SILENT_S.max((beat * SILENT_BEATS).as_secs() as i32);
        self.inner.workers.live().iter().any(|worker| worker.last_contact_s < silent_s)
    }

    /// Ends jobs that have just begun while all workers are silent, though not lost yet: the user
    /// waits, and there is nothing that would be lost.
    fn give_up_unanswered(&self) {
        if self.anybody_answers() {
            return;
        }
        let waiting: Vec<i64> = {
            let desk = self.inner.desk.lock();
            let waits = |id: &i64| desk.board.has(*id);
            let fresh = desk.jobs.iter().filter(|(_, e)| e.progress.is_running() && !e.heard);
            fresh.map(|(&id, _)| id).filter(waits).collect()
        };
        for id in waiting {
            self.end(id, JobState::Failed, super::run::nobody("do it").to_string());
        }
    }

    fn place_again(&self, job: i64, load: v1::LoadTask, attempts: u32) {
        let ring = self.inner.workers.ring();
        let mut shares = Share::new();
        let mut homeless = Vec::new();
        for block in load.blocks {
            match ring.owner(BlockId(block.block_id)) {
                Some(owner) if attempts < ATTEMPTS => {
                    shares.entry(owner.id).or_default().push(block);
                }
                _ => homeless.push(block),
            }
        }
        self.note_now(job, |progress| {
            for block in homeless {
                let cause = "its workers were lost; load it again when they are back";
                progress.block_failed(BlockId(block.block_id), cause);
            }
        });
        for (worker, blocks) in shares {
            let task = v1::LoadTask { blocks, verify: load.verify };
            self.place(worker, job, Kind::Load(task), attempts);
        }
    }

    /// Queues a task and wakes its worker.
    pub(super) fn place(&self, worker: WorkerId, job: i64, kind: Kind, attempts: u32) {
        self.inner.desk.lock().board.place(worker, job, kind, attempts);
        self.inner.work.notify_waiters();
    }

    /// Queues persist tasks on workers that have the data.
    pub fn persist(&self, worker: WorkerId, task: v1::PersistTask) {
        self.place(worker, 0, Kind::Persist(task), 0);
    }
}

impl Desk {
    /// How fast `worker` may go for the jobs that have a limit: each worker that has tasks of one
    /// gets the same share.
    fn limits(&self, worker: WorkerId) -> Vec<v1::JobLimit> {
        let share = |(&job_id, entry): (&i64, &super::Entry)| {
            let workers = self.board.workers_of(job_id);
            if !workers.contains(&worker) {
                return None;
            }
            let bytes_per_s = (entry.spec.bandwidth()? / workers.len() as u64).max(1);
            Some(v1::JobLimit { job_id, bytes_per_s })
        };
        let running = self.jobs.iter().filter(|(_, entry)| entry.progress.is_running());
        let limited = running.filter(|(_, entry)| entry.spec.bandwidth().is_some());
        let mut limits: Vec<_> = limited.filter_map(share).collect();
        let workers = self.board.workers_of(REPLICATION);
        if workers.contains(&worker) {
            let bytes_per_s = (self.replication_rate / workers.len() as u64).max(1);
            limits.push(v1::JobLimit { job_id: REPLICATION, bytes_per_s });
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Board, Entry, Spec};
    use super::*;
    use crate::core::security::User;
    use std::collections::BTreeMap;
    use tokio_util::sync::CancellationToken;

    #[test]
    fn a_limit_is_shared_by_those_who_have_tasks_and_nobody_may_have_any() {
        let load = v1::LoadJob { path: "/a".into(), bandwidth: 100, ..Default::default() };
        let kind = v1::submit_job_request::Kind::Load(load);
        let spec = Spec { kind, user: User::named("ann") };
        let (progress, stop) = (Progress::new(spec.job(7, 0)), CancellationToken::new());
        let entry = Entry { spec, progress, run: 1, stop, heard: false };
        let mut desk = Desk {
            board: Board::new(0),
            jobs: BTreeMap::from([(7, entry)]),
            next_job: 8,
            next_run: 2,
            replication_rate: 1,
        };
        assert!(desk.limits(1).is_empty(), "the walk has found nothing yet");
        for worker in [1, 2] {
            desk.board.place(worker, 7, Kind::Load(v1::LoadTask::default()), 0);
        }
        assert_eq!(desk.limits(1), [v1::JobLimit { job_id: 7, bytes_per_s: 50 }]);
        assert!(desk.limits(3).is_empty());
    }
}
