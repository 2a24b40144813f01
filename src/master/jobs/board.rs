//! The board of tasks: what each worker has to do, what it is doing, and since when.
//!
//! Pure bookkeeping. A task is queued for one worker, taken, reported on and finished; when its
//! worker is lost, restarts or falls silent, the task comes off the board and the caller places its
//! parts anew.

use crate::core::model::{FileId, WorkerId};
use crate::core::proto::v1;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// Tasks queued for one worker, beyond which whoever makes more has to wait.
pub const QUEUE: usize = 64;

/// A task on the board.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What the worker is sent.
    pub task: v1::Task,
    /// Who is to do it.
    pub worker: WorkerId,
    /// How often its parts have been tried before.
    pub attempts: u32,
    /// Bytes reported so far.
    pub bytes: i64,
    /// Blocks that are done or failed.
    pub settled: HashSet<i64>,
    /// When it was taken; none while it is queued.
    taken: Option<Taken>,
    /// Whether its worker may be ending it at this moment: an object may appear at any time.
    pub closing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    /// When the worker that took it had started.
    worker_start_ms: i64,
    heard: Instant,
}

/// All tasks.
#[derive(Debug)]
pub struct Board {
    tasks: HashMap<i64, Placed>,
    queues: HashMap<WorkerId, VecDeque<i64>>,
    /// Tasks that workers are to give up.
    revoked: HashMap<WorkerId, Vec<i64>>,
    next: i64,
}

impl Board {
    /// An empty board. Ids start at `first`, which is to be beyond those of any earlier board.
    pub fn new(first: i64) -> Self {
        let (tasks, queues) = Default::default();
        Board { tasks, queues, revoked: HashMap::new(), next: first }
    }

    /// Tasks queued for `worker`.
    pub fn queued(&self, worker: WorkerId) -> usize {
        self.queues.get(&worker).map_or(0, VecDeque::len)
    }

    /// Queues a task.
    pub fn place(
        &mut self,
        worker: WorkerId,
        job: i64,
        kind: v1::task::Kind,
        attempts: u32,
    ) -> i64 {
        let id = self.next;
        self.next += 1;
        let task = v1::Task { id, job_id: job, kind: Some(kind) };
        let (bytes, settled) = Default::default();
        self.tasks.insert(
            id,
            Placed { task, worker, attempts, bytes, settled, taken: None, closing: false },
        );
        self.queues.entry(worker).or_default().push_back(id);
        id
    }

    /// Hands `worker` up to `slots` of its tasks.
    pub fn take(&mut self, worker: WorkerId, worker_start_ms: i64, slots: usize) -> Vec<v1::Task> {
        let Some(queue) = self.queues.get_mut(&worker) else { return Vec::new() };
        let count = slots.min(queue.len());
        let mut taken = Vec::with_capacity(count);
        for id in queue.drain(..count) {
            if let Some(placed) = self.tasks.get_mut(&id) {
                placed.taken = Some(Taken { worker_start_ms, heard: Instant::now() });
                taken.push(placed.task.clone());
            }
        }
        taken
    }

    /// The task with this id, when `worker` is the one that does it; notes that it was heard of.
    pub fn heard(&mut self, worker: WorkerId, task: i64) -> Option<&mut Placed> {
        let placed = self.tasks.get_mut(&task).filter(|placed| placed.worker == worker)?;
        if let Some(taken) = &mut placed.taken {
            taken.heard = Instant::now();
        }
        Some(placed)
    }

    /// Takes a task off the board.
    pub fn remove(&mut self, task: i64) -> Option<Placed> {
        let placed = self.tasks.remove(&task)?;
        if placed.taken.is_none()
            && let Some(queue) = self.queues.get_mut(&placed.worker)
        {
            queue.retain(|&id| id != task);
        }
        Some(placed)
    }

    /// Takes all tasks of a job off the board and has running ones given up.
    pub fn cancel(&mut self, job: i64) {
        let of_job = |placed: &&Placed| placed.task.job_id == job;
        let ids: Vec<i64> = self.tasks.values().filter(of_job).map(|p| p.task.id).collect();
        for id in ids {
            if let Some(placed) = self.remove(id)
                && placed.taken.is_some()
            {
                self.revoke(placed.worker, id);
            }
        }
    }

    /// The files that workers persist, but for those that are about to appear: the tasks, which files, and
    /// where to.
    pub fn persisting(&self) -> Vec<(i64, FileId, String)> {
        let persisting = self.tasks.values().filter_map(|placed| match &placed.task.kind {
            Some(v1::task::Kind::Persist(task)) if !placed.closing => {
                Some((placed.task.id, FileId(task.file_id), task.ufs_path.clone()))
            }
            _ => None,
        });
        persisting.collect()
    }

    /// Takes a task off the board and has its worker give it up; none where that may be ending it.
    pub fn give_up(&mut self, task: i64) -> Option<Placed> {
        self.tasks.get(&task).filter(|placed| !placed.closing)?;
        let placed = self.remove(task)?;
        if placed.taken.is_some() {
            self.revoke(placed.worker, task);
        }
        Some(placed)
    }

    /// Whether there are tasks of this job.
    pub fn has(&self, job: i64) -> bool {
        self.tasks.values().any(|placed| placed.task.job_id == job)
    }

    /// Who has tasks of this job.
    pub fn workers_of(&self, job: i64) -> HashSet<WorkerId> {
        let of_job = self.tasks.values().filter(|placed| placed.task.job_id == job);
        of_job.map(|placed| placed.worker).collect()
    }

    /// Tells `worker` to give a task up when it next asks.
    pub fn revoke(&mut self, worker: WorkerId, task: i64) {
        self.revoked.entry(worker).or_default().push(task);
    }

    /// What `worker` is to give up, once.
    pub fn revoked(&mut self, worker: WorkerId) -> Vec<i64> {
        self.revoked.remove(&worker).unwrap_or_default()
    }

    /// Takes off the board the tasks that nobody is doing any more: those of workers that
    /// `start_of` does not know, those taken by an earlier process of their worker, and those not
    /// heard of for `patience`.
    pub fn orphans(
        &mut self,
        start_of: impl Fn(WorkerId) -> Option<i64>,
        patience: Duration,
    ) -> Vec<Placed> {
        let orphan = |placed: &&Placed| match (start_of(placed.worker), placed.taken) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(start), Some(taken)) => {
                start != taken.worker_start_ms || taken.heard.elapsed() > patience
            }
        };
        let ids: Vec<i64> = self.tasks.values().filter(orphan).map(|p| p.task.id).collect();
        self.revoked.retain(|&worker, _| start_of(worker).is_some());
        let mut orphans = Vec::new();
        for id in ids {
            orphans.extend(self.remove(id));
        }
        self.queues.retain(|_, queue| !queue.is_empty());
        orphans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> v1::task::Kind {
        v1::task::Kind::Load(v1::LoadTask::default())
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_task_goes_to_its_worker_once() {
        let mut board = Board::new(100);
        let (a, b) = (board.place(1, 7, load(), 0), board.place(1, 7, load(), 0));
        assert!(board.take(2, 0, 9).is_empty());
        assert_eq!(board.take(1, 0, 1)[0].id, a);
        assert_eq!(board.take(1, 0, 9)[0].id, b);
        assert!(board.take(1, 0, 9).is_empty());
        assert!(board.heard(2, a).is_none(), "another worker's task");
        assert!(board.heard(1, a).is_some());
        assert!(board.remove(a).is_some());
        assert!(board.heard(1, a).is_none());
    }

    #[test]
    fn tasks_of_lost_restarted_and_silent_workers_are_orphans() {
        let mut board = Board::new(0);
        let lost = board.place(1, 7, load(), 0);
        let restarted = board.place(2, 7, load(), 0);
        let queued = board.place(2, 7, load(), 0);
        board.take(2, 5, 1);
        let start = |worker| (worker == 2).then_some(6);
        let mut ids: Vec<_> = board.orphans(start, LONG).iter().map(|p| p.task.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, [lost, restarted]);
        assert_eq!(board.queued(2), 1);
        board.take(2, 6, 1);
        assert!(board.orphans(|_| Some(6), LONG).is_empty());
        let silent = board.orphans(|_| Some(6), Duration::ZERO);
        assert_eq!(silent[0].task.id, queued);
    }

    #[test]
    fn cancelling_a_job_revokes_what_runs_and_forgets_what_waits() {
        let mut board = Board::new(0);
        let running = board.place(1, 7, load(), 0);
        board.place(1, 7, load(), 0);
        let other = board.place(1, 8, load(), 0);
        board.take(1, 0, 1);
        board.cancel(7);
        assert_eq!(board.revoked(1), [running]);
        assert!(board.revoked(1).is_empty());
        let left: Vec<_> = board.take(1, 0, 9).iter().map(|t| t.id).collect();
        assert_eq!(left, [other]);
    }
}
