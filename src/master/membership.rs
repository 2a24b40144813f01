//! Who takes part: workers that come, leave, and come back.
//!
//! A worker that is new to a cluster with data warms up: it is not on the ring, and the owners of
//! the blocks that will be its own send it copies; then it is active, at once and with a warm cache.
//! One that is to leave drains: it stays on the ring while it gives away what it holds, and has
//! drained when nothing is on it that is nowhere else. Both are one migration, from the ring there
//! is to the ring there will be; several workers that come and go together share it.
//!
//! Where a worker stands is in the journal, so a new primary goes on where the last one was: it
//! begins a migration anew, and what has moved already is passed over. A worker that crashes or
//! comes back moves nothing: its place on the ring is its own, whatever happened meanwhile.

use super::file_system::FileSystem;
use super::journal::entry::{Change, Outcome, WORKERS as TABLE};
use super::workers::{Migration, Phase, Registration, Registry};
use crate::core::config;
use crate::core::error::{ErrorKind, Result, failed_precondition, invalid_argument, not_found};
use crate::core::model::ring::{DEFAULT_VIRTUAL_NODES, MOST_VIRTUAL_NODES};
use crate::core::model::{WorkerAddress, WorkerId, WorkerInfo, WorkerState};
use crate::core::proto::grpc::block::{MigrationCommand, MigrationProgressReport};
use crate::core::proto::v1::{WorkerRecord, WorkerStanding};
use crate::core::runtime::Clock;
use parking_lot::Mutex;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The record of the capacity that a worker with the usual number of points has.
const REFERENCE: &[u8] = b"capacity";
/// The record of the bytes a second that all workers together may exchange with under stores.
const RATE: &[u8] = b"rate";
/// How long after a worker was heard of another with its id is refused: some heartbeats.
const ALONE: Duration = Duration::from_secs(5);
/// Points on the ring: fewer spread badly, more cost every client memory.
const POINTS: (u32, u32) = (100, MOST_VIRTUAL_NODES);
/// Changes of capacity that are not worth moving blocks for, as a share.
const SLIGHT: f64 = 0.05;

/// The membership. Clones share it.
#[derive(Clone)]
pub struct Membership {
    inner: Arc<Inner>,
}

struct Inner {
    files: FileSystem,
    workers: Registry,
    clock: Clock,
    config: config::Master,
    migration: Mutex<Option<Migration>>,
    plan: Mutex<Plan>,
    /// Held while a worker's record is looked at and changed.
    changing: tokio::sync::Mutex<()>,
}

/// When the next migration begins.
struct Plan {
    /// When somebody last came or was told to leave.
    changed: Instant,
    /// An operator ended the last one: nothing begins by itself.
    held: bool,
    /// What workers asked for: points on the ring; none for what their capacity is worth.
    asked: HashMap<WorkerId, Option<u32>>,
    /// Workers that stop and come back: the journal does not know.
    stopping: HashSet<WorkerId>,
}

impl Membership {
    /// Nobody takes part yet.
    pub fn new(
        files: FileSystem,
        workers: Registry,
        clock: Clock,
        config: &config::Master,
    ) -> Membership {
        let (asked, stopping) = Default::default();
        let plan = Plan { changed: Instant::now(), held: false, asked, stopping };
        let inner = Inner {
            files,
            workers,
            clock,
            config: config.clone(),
            migration: Mutex::new(None),
            plan: Mutex::new(plan),
            changing: tokio::sync::Mutex::new(()),
        };
        Membership { inner: Arc::new(inner) }
    }

    /// Whether nobody else goes by the id of a worker that registers: two would take each other's
    /// blocks for their own.
    ///
    /// # Errors
    /// `FailedPrecondition` when somebody was heard of lately; one that has moved gets in soon after.
    pub fn check_alone(&self, id: WorkerId, address: &WorkerAddress) -> Result<()> {
        match self.inner.workers.elsewhere(id, address, ALONE) {
            None => Ok(()),
            Some(other) => Err(failed_precondition(format!(
                "the worker at {other} has the same id {id}: the data folder of one is a copy of the \
                 other's; stop the worker at {address} and empty its goosefs.worker.data.folder and \
                 goosefs.worker.dirs"
            ))),
        }
    }

    /// Takes a worker in, standing where it stood. `points` on the ring are what it asks for; none
    /// for what its capacity is worth.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn admit(&self, mut registration: Registration, points: Option<u32>) -> Result<()> {
        let _turn = self.inner.changing.lock().await;
        let (id, start_ms) = (registration.id, registration.start_ms);
        let before = self.record(id)?;
        let mut record = before.unwrap_or_default();
        if record.standing() == WorkerStanding::Drained && record.drained_start_ms != start_ms {
            record.standing = WorkerStanding::WarmingUp as i32;
        }
        let cold = match record.standing() {
            // From a cluster that kept no records, or one that lost its own: it has its blocks.
            WorkerStanding::Unknown => registration.used_bytes == 0,
            standing => standing == WorkerStanding::WarmingUp,
        };
        registration.state = match record.standing() {
            WorkerStanding::Draining => WorkerState::Draining,
            // Something was written to it after all.
            WorkerStanding::Drained if registration.persist_used_bytes > 0 => WorkerState::Draining,
            WorkerStanding::Drained => WorkerState::Drained,
            // Nobody else may have registered yet with a new primary.
            WorkerStanding::WarmingUp if self.inner.config.warm_up => WorkerState::WarmingUp,
            _ if cold && self.inner.config.warm_up && self.others_hold(id) => {
                WorkerState::WarmingUp
            }
            _ => WorkerState::Active,
        };
        record.standing = standing_of(registration.state) as i32;
        if before.as_ref() != Some(&record) {
            self.keep(id, &record).await?;
        }
        let asked = record.virtual_nodes.or(points);
        registration.virtual_nodes = self.points(asked, registration.capacity_bytes).await?;
        registration.forbid_write = record.forbid_write;
        let moves = registration.state != WorkerState::Active;
        {
            let mut plan = self.inner.plan.lock();
            plan.asked.insert(id, asked);
            plan.stopping.remove(&id);
            if moves {
                (plan.changed, plan.held) = (Instant::now(), false);
            }
        }
        self.inner.workers.register(registration);
        Ok(())
    }

    /// Whether a worker on the ring other than `id` holds anything.
    fn others_hold(&self, id: WorkerId) -> bool {
        let holds = |worker: &WorkerInfo| worker.is_on_ring() && worker.used_bytes > 0;
        self.inner.workers.live().iter().any(|worker| worker.id != id && holds(worker))
    }

    /// Points on the ring of a worker of that capacity, unless it has `asked` for a number.
    async fn points(&self, asked: Option<u32>, capacity: u64) -> Result<u32> {
        if let Some(asked) = asked {
            return Ok(asked.clamp(1, POINTS.1));
        }
        let reference = match self.reference()? {
            Some(reference) => reference,
            None if capacity == 0 => return Ok(DEFAULT_VIRTUAL_NODES),
            None => {
                let value = capacity.to_le_bytes().to_vec();
                self.inner.files.put_record(TABLE, REFERENCE, value).await?;
                capacity
            }
        };
        Ok(worth(capacity, reference))
    }

    fn reference(&self) -> Result<Option<u64>> {
        self.number(REFERENCE)
    }

    /// A number of the journal; none for 0.
    fn number(&self, key: &[u8]) -> Result<Option<u64>> {
        let value = self.inner.files.record(TABLE, key)?;
        let bytes = value.and_then(|value| <[u8; 8]>::try_from(value).ok());
        Ok(bytes.map(u64::from_le_bytes).filter(|&bytes| bytes > 0))
    }

    /// Bytes a second that all workers together may exchange with under stores; none for no bound.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn rate(&self) -> Result<Option<u64>> {
        self.number(RATE)
    }

    /// Sets that bound; 0 for none. Workers hear of it with their next heartbeat.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn set_rate(&self, bytes_per_second: u64) -> Result<()> {
        let value = bytes_per_second.to_le_bytes().to_vec();
        self.inner.files.put_record(TABLE, RATE, value).await
    }

    /// One worker's share of that bound.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn rate_share(&self) -> Result<Option<f64>> {
        // Asked with every heartbeat: workers are counted only where there is something to share.
        let share = |rate| rate as f64 / self.inner.workers.totals().live.max(1) as f64;
        Ok(self.rate()?.map(share))
    }

    fn record(&self, id: WorkerId) -> Result<Option<WorkerRecord>> {
        let value = self.inner.files.record(TABLE, &id.to_be_bytes())?;
        Ok(value.and_then(|value| WorkerRecord::decode(value.as_slice()).ok()))
    }

    /// Keeps where a worker stands.
    async fn set_standing(&self, id: WorkerId, standing: WorkerStanding) -> Result<()> {
        let mut record = self.record(id)?.unwrap_or_default();
        record.standing = standing as i32;
        self.keep(id, &record).await
    }

    async fn keep(&self, id: WorkerId, record: &WorkerRecord) -> Result<()> {
        self.inner.files.put_record(TABLE, &id.to_be_bytes(), record.encode_to_vec()).await
    }

    /// Has the worker at `place` (host:port, or a host with one worker) give away what it holds and
    /// leave; `for_now` when it is only stopping, and comes back as what it was.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it is the last one that blocks could go to.
    pub async fn drain(&self, place: &str, for_now: bool) -> Result<()> {
        let _turn = self.inner.changing.lock().await;
        let worker = self.live_at(place)?;
        if matches!(worker.state, WorkerState::Draining | WorkerState::Drained) {
            return Ok(());
        }
        let stays = |other: &WorkerInfo| {
            other.id != worker.id && other.live && other.state == WorkerState::Active
        };
        if worker.is_on_ring() && !self.inner.workers.live().iter().any(stays) {
            return Err(failed_precondition(format!(
                "{} is the last worker: what it holds has nowhere to go; start another first",
                worker.address
            )));
        }
        if for_now {
            self.inner.plan.lock().stopping.insert(worker.id);
        } else {
            self.set_standing(worker.id, WorkerStanding::Draining).await?;
        }
        self.inner.workers.set_states(&[(worker.id, WorkerState::Draining)]);
        self.changed();
        Ok(())
    }

    /// Takes back a worker that was told to leave, or takes in one that warms up as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn activate(&self, place: &str) -> Result<()> {
        let worker = self.live_at(place)?;
        self.activate_all(&[worker.id]).await
    }

    /// Makes all workers active that warm up; how many.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn activate_warming(&self) -> Result<usize> {
        let live = self.inner.workers.live();
        let warming = live.iter().filter(|worker| worker.state == WorkerState::WarmingUp);
        let ids: Vec<WorkerId> = warming.map(|worker| worker.id).collect();
        self.activate_all(&ids).await.map(|()| ids.len())
    }

    async fn activate_all(&self, ids: &[WorkerId]) -> Result<()> {
        let _turn = self.inner.changing.lock().await;
        for &id in ids {
            self.set_standing(id, WorkerStanding::Active).await?;
        }
        let states: Vec<_> = ids.iter().map(|&id| (id, WorkerState::Active)).collect();
        self.inner.workers.set_states(&states);
        let mut migration = self.inner.migration.lock();
        if let Some(open) = migration.as_mut().filter(|migration| migration.is_open()) {
            open.joining.retain(|id| !ids.contains(id));
            open.leaving.retain(|id| !ids.contains(id));
            if open.joining.is_empty() && open.leaving.is_empty() {
                open.phase = Phase::Cancelled;
            }
        }
        Ok(())
    }

    /// Forgets a lost worker for good: what was only there is lost. How many files those are.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it lives.
    pub async fn forget(&self, place: &str) -> Result<usize> {
        let _turn = self.inner.changing.lock().await;
        let known = self.inner.workers.at(place);
        let worker = known.first().ok_or_else(|| nobody(place))?;
        if worker.live {
            return Err(failed_precondition(format!(
                "{} lives: have it leave first (goosefs fsadmin decommission), and stop it",
                worker.address
            )));
        }
        let lost = self.drop_locations(worker.id).await?;
        self.inner.files.delete_record(TABLE, &worker.id.to_be_bytes()).await?;
        self.inner.workers.forget(worker.id);
        Ok(lost)
    }

    async fn drop_locations(&self, id: WorkerId) -> Result<usize> {
        match self.inner.files.commit(Change::ForgetWorker(id)).await? {
            Outcome::Lost(files) => Ok(files.len()),
            _ => Ok(0),
        }
    }

    /// Changes what an operator wants of the worker at `place`.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn set_attributes(
        &self,
        place: &str,
        forbid_write: Option<bool>,
        virtual_nodes: Option<u32>,
    ) -> Result<()> {
        let _turn = self.inner.changing.lock().await;
        let worker = self.live_at(place)?;
        if virtual_nodes.is_some_and(|points| !(1..=POINTS.1).contains(&points)) {
            return Err(invalid_argument(format!(
                "a worker has 1 to {} points; one that is to hold nothing is decommissioned",
                POINTS.1
            )));
        }
        let mut record = self.record(worker.id)?.unwrap_or_default();
        record.forbid_write = forbid_write.unwrap_or(record.forbid_write);
        record.virtual_nodes = virtual_nodes.or(record.virtual_nodes);
        self.keep(worker.id, &record).await?;
        self.inner.workers.update(worker.id, |worker| {
            worker.forbid_write = record.forbid_write;
            worker.virtual_nodes = record.virtual_nodes.unwrap_or(worker.virtual_nodes);
        });
        if record.virtual_nodes.is_some() {
            self.inner.plan.lock().asked.insert(worker.id, record.virtual_nodes);
        }
        Ok(())
    }

    fn live_at(&self, place: &str) -> Result<WorkerInfo> {
        let mut at = self.inner.workers.at(place);
        at.retain(|worker| worker.live);
        match at.len() {
            0 => Err(nobody(place)),
            1 => Ok(at.remove(0)),
            _ => Err(invalid_argument(format!(
                "several workers are at {place}: name one with its port, as {}",
                at[0].address
            ))),
        }
    }

    fn changed(&self) {
        let mut plan = self.inner.plan.lock();
        (plan.changed, plan.held) = (Instant::now(), false);
    }

    /// Takes in how far a worker is with a migration; what it is told in turn.
    pub fn heard(
        &self,
        worker: WorkerId,
        report: Option<MigrationProgressReport>,
    ) -> Option<MigrationCommand> {
        self.inner.migration.lock().as_mut()?.heard(worker, report)
    }

    /// Begins a migration now, or goes on with the one that is paused; its name. With nobody coming
    /// or leaving, blocks that are not where they belong go there.
    ///
    /// # Errors
    /// `FailedPrecondition` when another one is under way.
    pub fn start(&self, id: Option<&str>) -> Result<String> {
        let mut migration = self.inner.migration.lock();
        if let Some(open) = migration.as_mut().filter(|migration| migration.is_open()) {
            if open.phase == Phase::Paused && id.is_none_or(|id| id == open.id) {
                open.resume();
                return Ok(open.id.clone());
            }
            return Err(failed_precondition(format!(
                "migration {} is under way: pause or cancel it first",
                open.id
            )));
        }
        let id = id.map_or_else(|| self.new_id(), String::from);
        if migration.as_ref().is_some_and(|last| last.id == id) {
            return Err(failed_precondition(format!("{id} has ended: give it another name")));
        }
        self.inner.plan.lock().held = false;
        let new = Migration::new(id.clone(), &self.inner.workers.live());
        if new.leads_nowhere() {
            return Err(failed_precondition("no worker is there that blocks could go to"));
        }
        *migration = Some(new);
        Ok(id)
    }

    fn new_id(&self) -> String {
        format!("migration-{}", self.inner.clock.now_ms())
    }

    /// Holds the migration under way until it is started again.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub fn pause(&self, id: Option<&str>) -> Result<()> {
        self.change_phase(id, Phase::Paused)
    }

    /// Ends the migration under way; what has moved has moved, and nothing begins by itself until
    /// somebody comes or leaves.
    ///
    /// # Errors
    /// `NotFound` when there is none of that name.
    pub fn cancel(&self, id: Option<&str>) -> Result<()> {
        self.change_phase(id, Phase::Cancelled)?;
        self.inner.plan.lock().held = true;
        Ok(())
    }

    fn change_phase(&self, id: Option<&str>, phase: Phase) -> Result<()> {
        let mut migration = self.inner.migration.lock();
        let open = migration
            .as_mut()
            .filter(|open| open.is_open() && id.is_none_or(|id| id == open.id))
            .ok_or_else(|| not_found("no such migration is under way"))?;
        open.phase = phase;
        tracing::info!(migration = open.id, phase = phase.name(), "changed");
        Ok(())
    }

    /// The migration under way, or the last one.
    ///
    /// # Errors
    /// `NotFound` when there has been none of that name.
    pub fn migration(&self, id: Option<&str>) -> Result<Migration> {
        let migration = self.inner.migration.lock().clone();
        migration
            .filter(|migration| id.is_none_or(|id| id == migration.id))
            .ok_or_else(|| not_found("there has been no such migration"))
    }

    /// Ends a migration that is over and begins the one that is due. To be called every second.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn tick(&self) -> Result<()> {
        self.weigh()?;
        self.doubt_drained().await?;
        if let Some(over) = self.take_finished() {
            return self.settle(over).await;
        }
        let mut migration = self.inner.migration.lock();
        let open = migration.as_ref().is_some_and(Migration::is_open);
        let moves = |worker: &WorkerInfo| {
            matches!(worker.state, WorkerState::WarmingUp | WorkerState::Draining)
        };
        let live = self.inner.workers.live();
        let due = {
            let plan = self.inner.plan.lock();
            !plan.held && plan.changed.elapsed() >= self.inner.config.migration_delay
        };
        if open || !due || !live.iter().any(moves) {
            return Ok(());
        }
        let new = Migration::new(self.new_id(), &live);
        if !new.leads_nowhere() {
            let (joining, leaving) = (new.joining.len(), new.leaving.len());
            tracing::info!(migration = new.id, joining, leaving, "blocks begin to move");
            *migration = Some(new);
        }
        Ok(())
    }

    /// Has workers drain again that have drained, and hold something after all.
    async fn doubt_drained(&self) -> Result<()> {
        for worker in self.inner.workers.live() {
            let holds = !self.inner.workers.is_empty_handed(worker.id);
            if worker.state == WorkerState::Drained && holds {
                let _turn = self.inner.changing.lock().await;
                tracing::warn!(worker = worker.id, "it has drained, but holds something again");
                self.set_standing(worker.id, WorkerStanding::Draining).await?;
                self.inner.workers.set_states(&[(worker.id, WorkerState::Draining)]);
                self.changed();
            }
        }
        Ok(())
    }

    /// The migration that is over now, once.
    fn take_finished(&self) -> Option<Migration> {
        let live: HashSet<WorkerId> =
            self.inner.workers.live().into_iter().map(|worker| worker.id).collect();
        let mut migration = self.inner.migration.lock();
        let open = migration.as_mut().filter(|open| open.phase == Phase::Running)?;
        let patience = self.inner.config.migration_timeout;
        if !open.is_complete(|id| live.contains(&id), patience) {
            return None;
        }
        open.phase = Phase::Done;
        Some(open.clone())
    }

    /// Puts everybody who took part in a migration where they stand after it.
    async fn settle(&self, over: Migration) -> Result<()> {
        let _turn = self.inner.changing.lock().await;
        let mut states = Vec::new();
        for worker in self.inner.workers.live() {
            let joined = over.joining.contains(&worker.id);
            let left = over.leaving.contains(&worker.id);
            match worker.state {
                WorkerState::WarmingUp if joined => {
                    self.set_standing(worker.id, WorkerStanding::Active).await?;
                    states.push((worker.id, WorkerState::Active));
                }
                // What is nowhere else stays on the ring until it is elsewhere: another round.
                WorkerState::Draining if left && !self.inner.workers.is_empty_handed(worker.id) => {
                    tracing::warn!(
                        worker = worker.id,
                        bytes = worker.persist_used_bytes,
                        "it still holds what is nowhere else; blocks will move again"
                    );
                    self.changed();
                }
                WorkerState::Draining if left => {
                    self.set_drained(&worker).await?;
                    states.push((worker.id, WorkerState::Drained));
                }
                _ => {}
            }
        }
        tracing::info!(migration = over.id, "blocks have moved");
        if !states.is_empty() {
            self.inner.workers.set_states(&states);
        }
        Ok(())
    }

    async fn set_drained(&self, worker: &WorkerInfo) -> Result<()> {
        let lost = self.drop_locations(worker.id).await?;
        if lost > 0 {
            tracing::error!(worker = worker.id, files = lost, "files were only there");
        }
        if self.inner.plan.lock().stopping.contains(&worker.id) {
            return Ok(());
        }
        let mut record = self.record(worker.id)?.unwrap_or_default();
        record.standing = WorkerStanding::Drained as i32;
        record.drained_start_ms = worker.start_ms;
        self.keep(worker.id, &record).await
    }

    /// Gives workers whose capacity has changed the points that it is worth now.
    fn weigh(&self) -> Result<()> {
        let Some(reference) = self.reference()? else { return Ok(()) };
        for worker in self.inner.workers.live() {
            let fixed = self.inner.plan.lock().asked.get(&worker.id).copied().flatten();
            let worth = worth(worker.capacity_bytes, reference);
            let change = (f64::from(worth) / f64::from(worker.virtual_nodes.max(1)) - 1.0).abs();
            if fixed.is_none() && worker.capacity_bytes > 0 && change > SLIGHT {
                tracing::info!(worker = worker.id, points = worth, "its capacity has changed");
                self.inner.workers.update(worker.id, |worker| worker.virtual_nodes = worth);
            }
        }
        Ok(())
    }
}

/// Points on the ring that `capacity` is worth, where `reference` is worth the usual number.
fn worth(capacity: u64, reference: u64) -> u32 {
    let share = capacity as f64 / reference.max(1) as f64;
    let points = (f64::from(DEFAULT_VIRTUAL_NODES) * share).round();
    (points as u32).clamp(POINTS.0, POINTS.1)
}

fn standing_of(state: WorkerState) -> WorkerStanding {
    match state {
        WorkerState::Active => WorkerStanding::Active,
        WorkerState::WarmingUp => WorkerStanding::WarmingUp,
        WorkerState::Draining => WorkerStanding::Draining,
        WorkerState::Drained => WorkerStanding::Drained,
    }
}

fn nobody(place: &str) -> crate::core::error::Error {
    crate::core::error::Error::new(
        ErrorKind::NotFound,
        format!("no such worker: {place} (`goosefs fsadmin report capacity` lists them)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_capacity_within_reason() {
        let gib = 1 << 30;
        assert_eq!(worth(gib, gib), DEFAULT_VIRTUAL_NODES);
        assert_eq!(worth(2 * gib, gib), 2 * DEFAULT_VIRTUAL_NODES);
        assert_eq!((worth(1, gib), worth(1000 * gib, gib)), POINTS);
    }
}
