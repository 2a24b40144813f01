//! One move of blocks from old owners to new ones, as far as the master knows it.
//!
//! Workers do the moving: each compares the ring there is with the ring there will be, and sends
//! what it holds to whoever takes its place. What is here says who takes part and how far they are.
//! Pure: told what workers report, asked whether it is over.

use crate::core::model::{WorkerId, WorkerInfo, WorkerState};
use crate::core::proto::grpc::block::{
    MigrationCommand, MigrationCommandType, MigrationProgressReport, StartMigrationInfo,
};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Blocks are moving.
    Running,
    /// Nothing moves until it is resumed.
    Paused,
    /// Every worker that was still there has moved what it could.
    Done,
    /// It was ended early; what has moved has moved.
    Cancelled,
}

impl Phase {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Running => "RUNNING",
            Phase::Paused => "PAUSED",
            Phase::Done => "DONE",
            Phase::Cancelled => "CANCELLED",
        }
    }
}

/// A migration.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its name.
    pub id: String,
    /// Workers that will be active once it is done.
    pub joining: Vec<WorkerId>,
    /// Workers that give everything away.
    pub leaving: Vec<WorkerId>,
    /// How it goes.
    pub phase: Phase,
    /// The ring there is.
    old: Vec<WorkerInfo>,
    /// The ring there will be.
    new: Vec<WorkerInfo>,
    /// What those who hold blocks have said so far.
    reports: BTreeMap<WorkerId, MigrationProgressReport>,
    /// When somebody last had something new to say.
    moved: Instant,
}

impl Migration {
    /// From the ring of `members` to the one without those that drain and with those that warm up.
    pub fn new(id: String, members: &[WorkerInfo]) -> Migration {
        let of = |state| {
            let these = members.iter().filter(move |worker| worker.state == state);
            these.map(|worker| worker.id).collect::<Vec<_>>()
        };
        let active =
            |worker: &WorkerInfo| WorkerInfo { state: WorkerState::Active, ..worker.clone() };
        let old = members.iter().filter(|worker| worker.is_on_ring()).map(active).collect();
        let stays = |worker: &&WorkerInfo| {
            matches!(worker.state, WorkerState::Active | WorkerState::WarmingUp)
        };
        Migration {
            id,
            joining: of(WorkerState::WarmingUp),
            leaving: of(WorkerState::Draining),
            phase: Phase::Running,
            old,
            new: members.iter().filter(stays).map(active).collect(),
            reports: BTreeMap::new(),
            moved: Instant::now(),
        }
    }

    /// Goes on after a pause, which does not count as getting nowhere.
    pub fn resume(&mut self) {
        self.phase = Phase::Running;
        self.moved = Instant::now();
    }

    /// Whether it is under way.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    /// Whether blocks would have nowhere to go.
    pub fn leads_nowhere(&self) -> bool {
        self.new.is_empty()
    }

    /// Takes in what `worker` says; what it is told in turn.
    pub fn heard(
        &mut self,
        worker: WorkerId,
        report: Option<MigrationProgressReport>,
    ) -> Option<MigrationCommand> {
        let report = report.filter(|report| report.task_id() == self.id);
        let knows = report.is_some();
        if let Some(report) = report {
            if self.reports.get(&worker) != Some(&report) {
                self.moved = Instant::now();
            }
            self.reports.insert(worker, report);
        }
        let kind = match self.phase {
            // Everybody learns of it, also who holds nothing that moves.
            Phase::Running if !knows => MigrationCommandType::MigrationStart,
            Phase::Running => MigrationCommandType::MigrationResume,
            Phase::Paused => MigrationCommandType::MigrationPause,
            Phase::Cancelled if knows => MigrationCommandType::MigrationCancel,
            Phase::Cancelled | Phase::Done => return None,
        };
        let mut start = StartMigrationInfo { task_id: Some(self.id.clone()), ..Default::default() };
        if kind == MigrationCommandType::MigrationStart {
            start.old_hash_ring_workers = self.old.iter().map(Into::into).collect();
            start.new_hash_ring_workers = self.new.iter().map(Into::into).collect();
        }
        Some(MigrationCommand { r#type: Some(kind as i32), start_info: Some(start) })
    }

    /// Whether all that hold blocks, as far as they are `live`, have moved what they could; or
    /// nothing has been heard of it for `patience`.
    pub fn is_complete(&self, live: impl Fn(WorkerId) -> bool, patience: Duration) -> bool {
        let done = |worker: &WorkerInfo| {
            !live(worker.id)
                || self.reports.get(&worker.id).is_some_and(MigrationProgressReport::completed)
        };
        self.old.iter().all(done) || self.moved.elapsed() > patience
    }

    /// What each worker has said, with its address.
    pub fn progress(&self) -> impl Iterator<Item = (&WorkerInfo, MigrationProgressReport)> {
        self.old.iter().map(|worker| {
            let report = self.reports.get(&worker.id).cloned().unwrap_or_default();
            (worker, report)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: WorkerId, state: WorkerState) -> WorkerInfo {
        WorkerInfo { id, state, live: true, virtual_nodes: 10, ..Default::default() }
    }

    fn ids(workers: &[WorkerInfo]) -> Vec<WorkerId> {
        workers.iter().map(|worker| worker.id).collect()
    }

    fn kind(command: Option<MigrationCommand>) -> MigrationCommandType {
        command.map_or(MigrationCommandType::MigrationNoop, |command| command.r#type())
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn rings_hold_who_was_there_and_who_will_be() {
        let members = [
            worker(1, WorkerState::Active),
            worker(2, WorkerState::WarmingUp),
            worker(3, WorkerState::Draining),
            worker(4, WorkerState::Drained),
        ];
        let migration = Migration::new("m".into(), &members);
        assert_eq!(ids(&migration.old), [1, 3]);
        assert_eq!(ids(&migration.new), [1, 2]);
        assert_eq!((&*migration.joining, &*migration.leaving), (&[2][..], &[3][..]));
        assert!(!migration.leads_nowhere());
        assert!(Migration::new("m".into(), &members[2..]).leads_nowhere());
    }

    #[test]
    fn it_is_over_when_all_that_hold_blocks_say_so_or_are_gone() {
        let members = [worker(1, WorkerState::Active), worker(3, WorkerState::Draining)];
        let mut migration = Migration::new("m".into(), &members);
        let report = |task: &str, completed| {
            let (task_id, completed) = (Some(task.into()), Some(completed));
            Some(MigrationProgressReport { task_id, completed, ..Default::default() })
        };
        let start = MigrationCommandType::MigrationStart;
        assert_eq!(kind(migration.heard(1, None)), start);
        assert_eq!(kind(migration.heard(1, report("another", true))), start);
        assert_eq!(
            kind(migration.heard(1, report("m", true))),
            MigrationCommandType::MigrationResume
        );
        assert!(!migration.is_complete(|_| true, LONG));
        assert!(migration.is_complete(|id| id == 1, LONG), "the other one is gone");
        assert!(migration.is_complete(|_| true, Duration::ZERO), "nobody says anything any more");
        migration.phase = Phase::Paused;
        assert_eq!(
            kind(migration.heard(3, report("m", false))),
            MigrationCommandType::MigrationPause
        );
        migration.heard(3, report("m", true));
        assert!(migration.is_complete(|_| true, LONG));
        migration.phase = Phase::Done;
        assert!(migration.heard(3, None).is_none());
    }
}
