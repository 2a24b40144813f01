//! Which workers live, and what they said last.

use super::orders::Orders;
use crate::core::model::{
    BlockId, Locality, MountId, Ring, TierUsage, WorkerAddress, WorkerId, WorkerInfo, WorkerState,
};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long a lost worker is still listed as lost.
const LOST_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Workers known at a time; whoever asks becomes one, so there must be an end.
const MOST_WORKERS: usize = 10_000;
/// The part of its capacity that a worker holds before it begins to evict, where it does not say.
const EVICTS_ABOVE: f64 = 0.95;

/// What a worker says when it registers.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Its id, which the journal knows.
    pub id: WorkerId,
    /// Where it is reached.
    pub address: WorkerAddress,
    /// Bytes its block store may hold.
    pub capacity_bytes: u64,
    /// Bytes its block store holds.
    pub used_bytes: u64,
    /// Of those: bytes that exist nowhere else yet.
    pub persist_used_bytes: u64,
    /// Bytes it holds before it begins to evict, where it says so.
    pub evicts_above: Option<u64>,
    /// When it started, in milliseconds since 1970.
    pub start_ms: i64,
    /// Points on the ring.
    pub virtual_nodes: u32,
    /// Directories it could not use.
    pub lost_storage: Vec<String>,
    /// Where it stands.
    pub state: WorkerState,
    /// Where it is.
    pub locality: Locality,
    /// Whether an operator has it take no writes.
    pub forbid_write: bool,
}

/// What a worker says every second.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    /// Its id.
    pub id: WorkerId,
    /// Bytes its block store may hold, where it says so.
    pub capacity_bytes: Option<u64>,
    /// Bytes its block store holds.
    pub used_bytes: u64,
    /// Of those: bytes that exist nowhere else yet.
    pub persist_used_bytes: u64,
    /// Bytes it holds before it begins to evict, where it says so.
    pub evicts_above: Option<u64>,
    /// Directories it could not use.
    pub lost_storage: Vec<String>,
    /// Blocks that are being written to it.
    pub open_writes: u32,
    /// When its process started, where it says so.
    pub start_ms: Option<i64>,
    /// How full its directories are.
    pub tiers: Vec<TierUsage>,
    /// Bytes of each mount in its block store.
    pub mounts: Vec<(MountId, u64)>,
}

/// What a worker is told in answer to a heartbeat.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    /// Blocks to drop.
    pub free: Vec<i64>,
    /// Blocks that are safe in the under store now.
    pub persisted: Vec<i64>,
    /// Blocks that another worker is to have a copy of.
    pub copies: Vec<(BlockId, WorkerInfo)>,
}

/// Sums over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Bytes that live workers may hold.
    pub capacity_bytes: u64,
    /// Bytes that live workers hold.
    pub used_bytes: u64,
    /// Workers heard of lately.
    pub live: usize,
    /// Workers not heard of lately.
    pub lost: usize,
}

/// The table of workers. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    table: Arc<RwLock<Table>>,
    /// Counts changes of who is live.
    changes: watch::Sender<u64>,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Table {
    workers: HashMap<WorkerId, Worker>,
    /// The live workers' ring; rebuilt when who is live changes.
    ring: Arc<Ring>,
    free: Orders,
    persisted: Orders,
}

#[derive(Debug)]
struct Worker {
    info: WorkerInfo,
    registered: bool,
    contact: Instant,
    evicts_above: Option<u64>,
    lost_storage: Vec<String>,
    open_writes: u32,
    mounts: Vec<(MountId, u64)>,
    copies: Vec<(BlockId, WorkerInfo)>,
    free_cursor: u64,
    persisted_cursor: u64,
}

impl Registry {
    /// No workers; one that is silent for `timeout` is lost.
    pub fn new(timeout: Duration) -> Self {
        Registry { table: Arc::default(), changes: watch::Sender::new(0), timeout }
    }

    /// Notes where the worker with this id is, before it registers.
    pub fn expect(&self, id: WorkerId, address: WorkerAddress) {
        let mut table = self.table.write();
        if table.workers.len() < MOST_WORKERS && !table.workers.contains_key(&id) {
            let worker = table.newcomer(WorkerInfo { id, address, ..Default::default() });
            table.workers.insert(id, worker);
        }
    }

    /// Where the worker with this id said it is.
    pub fn place_of(&self, id: WorkerId) -> Option<WorkerAddress> {
        Some(self.table.read().workers.get(&id)?.info.address.clone())
    }

    /// Takes a worker in.
    pub fn register(&self, registration: Registration) {
        let mut table = self.table.write();
        let address = registration.address;
        // A worker that lost its id comes back as another at the same place: the old one is gone.
        table.workers.retain(|_, worker| !same_place(&worker.info.address, &address));
        let info = WorkerInfo {
            id: registration.id,
            address,
            capacity_bytes: registration.capacity_bytes,
            used_bytes: registration.used_bytes,
            persist_used_bytes: registration.persist_used_bytes,
            virtual_nodes: registration.virtual_nodes,
            start_ms: registration.start_ms,
            last_contact_s: 0,
            forbid_write: registration.forbid_write,
            live: true,
            state: registration.state,
            locality: registration.locality,
            tiers: Vec::new(),
        };
        let state = info.state.name();
        tracing::info!(worker = info.id, address = %info.address, state, "registered");
        let mut worker = table.newcomer(info);
        worker.registered = true;
        worker.evicts_above = registration.evicts_above;
        worker.lost_storage = registration.lost_storage;
        table.workers.insert(registration.id, worker);
        table.rebuild();
        drop(table);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Notes a heartbeat. `None` when the worker has to register first.
    pub fn heartbeat(&self, beat: Heartbeat) -> Option<Answer> {
        let mut table = self.table.write();
        let Table { workers, free, persisted, .. } = &mut *table;
        let same = |worker: &&mut Worker| {
            worker.registered && beat.start_ms.is_none_or(|start| start == worker.info.start_ms)
        };
        let worker = workers.get_mut(&beat.id).filter(same)?;
        let returned = !worker.info.live;
        worker.contact = Instant::now();
        worker.info.live = true;
        worker.info.used_bytes = beat.used_bytes;
        worker.info.persist_used_bytes = beat.persist_used_bytes;
        worker.info.capacity_bytes = beat.capacity_bytes.unwrap_or(worker.info.capacity_bytes);
        worker.evicts_above = beat.evicts_above.or(worker.evicts_above);
        worker.lost_storage = beat.lost_storage;
        worker.open_writes = beat.open_writes;
        worker.info.tiers = beat.tiers;
        worker.mounts = beat.mounts;
        let answer = Answer {
            free: free.take(&mut worker.free_cursor),
            persisted: persisted.take(&mut worker.persisted_cursor),
            copies: std::mem::take(&mut worker.copies),
        };
        if returned {
            tracing::info!(worker = beat.id, address = %worker.info.address, "is back");
            table.rebuild();
            drop(table);
            self.changes.send_modify(|count| *count += 1);
        }
        Some(answer)
    }

    /// Where the worker with this id was heard of within the last `span`, if not at `address`.
    pub fn elsewhere(
        &self,
        id: WorkerId,
        address: &WorkerAddress,
        span: Duration,
    ) -> Option<WorkerAddress> {
        let table = self.table.read();
        let worker = table.workers.get(&id).filter(|w| w.registered && w.info.live)?;
        let other = !same_place(&worker.info.address, address) && worker.contact.elapsed() < span;
        other.then(|| worker.info.address.clone())
    }

    /// When the process of a live worker started; none when it is not live.
    pub fn start_of(&self, id: WorkerId) -> Option<i64> {
        let table = self.table.read();
        let worker = table.workers.get(&id)?;
        (worker.registered && worker.info.live).then_some(worker.info.start_ms)
    }

    /// A worker says that it stops: it is not asked any more, and returns by registering.
    pub fn stopped(&self, id: WorkerId) {
        if let Some(worker) = self.update(id, |worker| worker.live = false) {
            tracing::info!(worker = id, address = %worker.address, "stopped");
        }
    }

    /// Changes what is known of a worker, and the ring with it. What it is then; none where no such
    /// worker is known.
    pub fn update(&self, id: WorkerId, update: impl FnOnce(&mut WorkerInfo)) -> Option<WorkerInfo> {
        let mut table = self.table.write();
        let worker = table.workers.get_mut(&id)?;
        update(&mut worker.info);
        let info = worker.info.clone();
        table.rebuild();
        drop(table);
        self.changes.send_modify(|count| *count += 1);
        Some(info)
    }

    /// Puts workers where they stand now, all at once: the ring changes once.
    pub fn set_states(&self, states: &[(WorkerId, WorkerState)]) {
        let mut table = self.table.write();
        for (id, state) in states {
            if let Some(worker) = table.workers.get_mut(id) {
                worker.info.state = *state;
                let address = &worker.info.address;
                tracing::info!(worker = id, %address, state = state.name(), "changed");
            }
        }
        table.rebuild();
        drop(table);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Forgets a worker that is not live; says whether it did.
    pub fn forget(&self, id: WorkerId) -> bool {
        let mut table = self.table.write();
        let lost = table.workers.get(&id).is_some_and(|worker| !worker.info.live);
        if lost {
            table.workers.remove(&id);
        }
        lost
    }

    /// Gives up workers that have been silent too long, and says which have been lost for so long
    /// that they are forgotten.
    pub fn lose_silent(&self) -> Vec<WorkerId> {
        let mut table = self.table.write();
        let (mut changed, mut forgotten) = (false, Vec::new());
        for worker in table.workers.values_mut() {
            let silent = worker.contact.elapsed();
            if worker.info.live && silent > self.timeout {
                worker.info.live = false;
                changed = true;
                tracing::warn!(worker = worker.info.id, address = %worker.info.address, "lost: it is silent");
            } else if !worker.info.live && silent > LOST_KEPT {
                forgotten.push(worker.info.id);
            }
        }
        forgotten.iter().for_each(|id| drop(table.workers.remove(id)));
        table.trim();
        if changed {
            table.rebuild();
            drop(table);
            self.changes.send_modify(|count| *count += 1);
        }
        forgotten
    }

    /// Tells all workers to drop these blocks.
    pub fn free(&self, blocks: impl IntoIterator<Item = BlockId>) {
        self.table.write().free.push(blocks);
    }

    /// Orders to drop blocks that are kept for workers that have not taken them yet.
    pub fn free_backlog(&self) -> usize {
        self.table.read().free.kept()
    }

    /// Has `holder` copy a block to another worker, with its next heartbeat.
    pub fn copy(&self, holder: WorkerId, block: BlockId, to: WorkerInfo) {
        if let Some(worker) = self.table.write().workers.get_mut(&holder) {
            worker.copies.push((block, to));
        }
    }

    /// Tells all workers that these blocks are safe in the under store.
    pub fn persisted(&self, blocks: impl IntoIterator<Item = BlockId>) {
        self.table.write().persisted.push(blocks);
    }

    /// The live workers.
    pub fn live(&self) -> Vec<WorkerInfo> {
        self.select(|worker| worker.info.live)
    }

    /// Workers that are lost, or have stopped.
    pub fn lost(&self) -> Vec<WorkerInfo> {
        self.select(|worker| worker.registered && !worker.info.live)
    }

    /// The workers at `host` or `host:port`, live or not.
    pub fn at(&self, place: &str) -> Vec<WorkerInfo> {
        self.select(|worker| {
            let address = &worker.info.address;
            address.to_string() == place || address.host == place
        })
    }

    /// The live workers, as soon as there is one; after `grace` whoever is there.
    pub async fn live_within(&self, grace: Duration) -> Vec<WorkerInfo> {
        let mut changes = self.changes.subscribe();
        let wait = async {
            loop {
                changes.borrow_and_update();
                let live = self.live();
                let usable = live.iter().any(WorkerInfo::is_on_ring);
                if usable || changes.changed().await.is_err() {
                    return live;
                }
            }
        };
        tokio::time::timeout(grace, wait).await.unwrap_or_default()
    }

    /// A receiver that sees every change of who is live.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The ring of the live workers.
    pub fn ring(&self) -> Arc<Ring> {
        self.table.read().ring.clone()
    }

    /// Where a live worker is reached.
    pub fn address(&self, id: WorkerId) -> Option<WorkerAddress> {
        let table = self.table.read();
        let worker = table.workers.get(&id).filter(|worker| worker.info.live)?;
        Some(worker.info.address.clone())
    }

    /// Sums over the workers.
    pub fn totals(&self) -> Totals {
        let table = self.table.read();
        let mut totals = Totals::default();
        for worker in table.workers.values().filter(|worker| worker.registered) {
            if worker.info.live {
                totals.live += 1;
                totals.capacity_bytes += worker.info.capacity_bytes;
                totals.used_bytes += worker.info.used_bytes;
            } else if !worker.info.live && worker.info.state != WorkerState::Drained {
                totals.lost += 1;
            }
        }
        totals
    }

    /// Bytes of each mount in the block stores of live workers.
    pub fn cached(&self) -> HashMap<MountId, u64> {
        let table = self.table.read();
        let live = table.workers.values().filter(|worker| worker.info.live);
        let mut sums = HashMap::new();
        for &(mount, bytes) in live.flat_map(|worker| &worker.mounts) {
            *sums.entry(mount).or_default() += bytes;
        }
        sums
    }

    /// The part of what all live workers may hold that this one may.
    pub fn share_of(&self, id: WorkerId) -> f64 {
        self.table.read().part_of(id, |_| true)
    }

    /// The part of what the cluster caches that this worker may: of the ring there is, or of the ring
    /// there will be where that is more. So nobody gives up what has not moved yet, and who takes over
    /// has the room for it at once.
    pub fn cache_share_of(&self, id: WorkerId) -> f64 {
        let table = self.table.read();
        let now = |worker: &WorkerInfo| worker.is_on_ring() || worker.state == WorkerState::Drained;
        match table.workers.get(&id).map(|worker| worker.info.state) {
            Some(WorkerState::Active) => {
                let now = table.part_of(id, WorkerInfo::is_on_ring);
                now.max(table.part_of(id, will_be_on_ring))
            }
            Some(WorkerState::WarmingUp) => table.part_of(id, will_be_on_ring),
            // One that has drained may return: what it had stays until then.
            Some(WorkerState::Draining) => table.part_of(id, WorkerInfo::is_on_ring),
            Some(WorkerState::Drained) => table.part_of(id, now),
            None => 0.0,
        }
    }

    /// Bytes that a live worker can cache before it begins to evict, beside what is nowhere else; none
    /// where it says nothing of its capacity.
    pub fn room_of(&self, id: WorkerId) -> Option<u64> {
        let table = self.table.read();
        let worker = table.workers.get(&id).filter(|w| w.info.live && w.info.capacity_bytes > 0)?;
        let capacity = worker.info.capacity_bytes;
        let above = worker.evicts_above.unwrap_or((capacity as f64 * EVICTS_ABOVE) as u64);
        Some(above.min(capacity).saturating_sub(worker.info.persist_used_bytes))
    }

    /// Whether a live worker holds nothing that is nowhere else, and is about to hold nothing such.
    pub fn is_empty_handed(&self, id: WorkerId) -> bool {
        let table = self.table.read();
        let worker = table.workers.get(&id);
        worker.is_some_and(|w| w.info.live && w.info.persist_used_bytes == 0 && w.open_writes == 0)
    }

    /// Where a worker stands.
    pub fn state_of(&self, id: WorkerId) -> Option<WorkerState> {
        Some(self.table.read().workers.get(&id)?.info.state)
    }

    /// What the smallest live worker may hold, in bytes; none where no worker is live.
    pub fn smallest(&self) -> Option<u64> {
        let table = self.table.read();
        let live = table.workers.values().filter(|worker| worker.info.live);
        live.map(|worker| worker.info.capacity_bytes).min()
    }

    /// Directories that live workers could not use, by worker.
    pub fn lost_storage(&self) -> Vec<(WorkerAddress, Vec<String>)> {
        let table = self.table.read();
        let broken = |worker: &&Worker| worker.info.live && !worker.lost_storage.is_empty();
        let told = |worker: &Worker| (worker.info.address.clone(), worker.lost_storage.clone());
        table.workers.values().filter(broken).map(told).collect()
    }

    fn select(&self, which: impl Fn(&Worker) -> bool) -> Vec<WorkerInfo> {
        let table = self.table.read();
        let told = |worker: &Worker| {
            let seconds = worker.contact.elapsed().as_secs();
            WorkerInfo { last_contact_s: seconds as i32, ..worker.info.clone() }
        };
        let mut found: Vec<_> = table.workers.values().filter(|w| which(w)).map(told).collect();
        found.sort_by(|a, b| {
            let key = |w: &WorkerInfo| (w.address.host.clone(), w.address.rpc_port, w.id);
            key(a).cmp(&key(b))
        });
        found
    }
}

impl Table {
    fn newcomer(&self, info: WorkerInfo) -> Worker {
        Worker {
            info,
            registered: false,
            contact: Instant::now(),
            evicts_above: None,
            lost_storage: Vec::new(),
            open_writes: 0,
            mounts: Vec::new(),
            copies: Vec::new(),
            free_cursor: self.free.end(),
            persisted_cursor: self.persisted.end(),
        }
    }

    /// The part of what those of the live workers may hold that this one of them may.
    fn part_of(&self, id: WorkerId, these: impl Fn(&WorkerInfo) -> bool) -> f64 {
        let live = self.workers.values().filter(|w| w.registered && w.info.live);
        let (mut own, mut all) = (0, 0);
        for worker in live.map(|worker| &worker.info).filter(|info| these(info)) {
            all += worker.capacity_bytes;
            own += if worker.id == id { worker.capacity_bytes } else { 0 };
        }
        if all == 0 { 0.0 } else { own as f64 / all as f64 }
    }

    fn rebuild(&mut self) {
        let members = self.workers.values().filter(|worker| worker.info.is_on_ring());
        self.ring = Arc::new(Ring::new(members.map(|worker| worker.info.clone())));
    }

    /// Forgets the orders that every live worker has taken. Lost ones start afresh when they return
    /// by registering; one that merely returns goes on with what is kept.
    fn trim(&mut self) {
        let live = || self.workers.values().filter(|worker| worker.info.live);
        let free = live().map(|w| w.free_cursor).min().unwrap_or(self.free.end());
        let persisted = live().map(|w| w.persisted_cursor).min().unwrap_or(self.persisted.end());
        self.free.trim(free);
        self.persisted.trim(persisted);
    }
}

/// Whether blocks belong to it once those that join have joined and those that leave have left.
fn will_be_on_ring(worker: &WorkerInfo) -> bool {
    matches!(worker.state, WorkerState::Active | WorkerState::WarmingUp)
}

fn same_place(a: &WorkerAddress, b: &WorkerAddress) -> bool {
    a.host == b.host && a.rpc_port == b.rpc_port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> WorkerAddress {
        WorkerAddress { host: host.into(), rpc_port: 9203, ..Default::default() }
    }

    fn register(registry: &Registry, id: WorkerId, host: &str) {
        let address = address(host);
        registry.register(Registration {
            id,
            address,
            capacity_bytes: 10,
            virtual_nodes: 100,
            ..Default::default()
        });
    }

    fn beat(registry: &Registry, id: WorkerId) -> Option<Answer> {
        registry.heartbeat(Heartbeat { id, ..Default::default() })
    }

    #[test]
    fn a_worker_that_lost_its_id_replaces_its_former_self() {
        let registry = Registry::new(Duration::from_secs(60));
        register(&registry, 5, "a");
        assert_eq!(registry.ring().workers().len(), 1);
        register(&registry, 77, "a");
        assert_eq!(registry.live().iter().map(|w| w.id).collect::<Vec<_>>(), [77]);
    }

    #[test]
    fn a_stranger_is_told_to_register() {
        let registry = Registry::new(Duration::from_secs(60));
        assert_eq!(beat(&registry, 5), None);
        registry.expect(5, address("b"));
        assert_eq!(beat(&registry, 5), None);
        assert_eq!(registry.place_of(5).unwrap().host, "b");
        register(&registry, 5, "b");
        assert!(beat(&registry, 5).is_some());
        assert_eq!(registry.address(5).unwrap().host, "b");
    }

    #[test]
    fn a_silent_worker_is_lost_until_it_speaks() {
        let registry = Registry::new(Duration::ZERO);
        let id = 1;
        register(&registry, id, "a");
        assert!(registry.lose_silent().is_empty(), "lost, but not forgotten");
        assert!(registry.live().is_empty() && registry.ring().workers().is_empty());
        assert_eq!(registry.totals().lost, 1);
        assert!(beat(&registry, id).is_some());
        assert_eq!(registry.totals().live, 1);
        assert_eq!(registry.ring().workers().len(), 1);
    }

    #[test]
    fn orders_reach_every_worker() {
        let registry = Registry::new(Duration::from_secs(60));
        let (a, b) = (1, 2);
        register(&registry, a, "a");
        register(&registry, b, "b");
        registry.free([BlockId(3)]);
        registry.persisted([BlockId(4)]);
        for id in [a, b] {
            let answer = beat(&registry, id).unwrap();
            assert_eq!(answer, Answer { free: vec![3], persisted: vec![4], copies: vec![] });
            assert_eq!(beat(&registry, id), Some(Answer::default()));
        }
        registry.lose_silent();
        assert!(beat(&registry, a).unwrap().free.is_empty());
    }

    #[test]
    fn what_a_worker_can_cache_ends_where_it_begins_to_evict() {
        let registry = Registry::new(Duration::from_secs(60));
        let says = |capacity_bytes, evicts_above| {
            let said = Registration { id: 1, capacity_bytes, evicts_above, ..Default::default() };
            registry.register(said);
            registry.room_of(1)
        };
        assert_eq!(says(0, None), None, "one that does not say");
        assert_eq!(says(1000, None), Some(950), "of an earlier version");
        assert_eq!(says(1000, Some(700)), Some(700));
        let beat = |capacity_bytes, persist_used_bytes, evicts_above| {
            let (id, capacity_bytes) = (1, Some(capacity_bytes));
            let open = Heartbeat { id, capacity_bytes, persist_used_bytes, ..Default::default() };
            registry.heartbeat(Heartbeat { evicts_above, ..open }).unwrap();
            registry.room_of(1)
        };
        assert_eq!(beat(1000, 300, None), Some(400), "what is nowhere else stays");
        assert_eq!(beat(500, 0, Some(350)), Some(350), "it lost a disk");
        assert_eq!(beat(500, 600, None), Some(0));
        registry.stopped(1);
        assert_eq!(registry.room_of(1), None);
    }

    #[test]
    fn nobody_gives_up_a_part_of_the_cache_before_what_is_there_has_moved() {
        let registry = Registry::new(Duration::from_secs(60));
        let joins = |id| registry.set_states(&[(id, WorkerState::WarmingUp)]);
        let shares = || [1, 2, 3, 4].map(|id| (registry.cache_share_of(id) * 12.0).round());
        [1, 2, 3].into_iter().for_each(|id| register(&registry, id, &format!("w{id}")));
        assert_eq!(shares(), [4.0, 4.0, 4.0, 0.0]);
        register(&registry, 4, "w4");
        joins(4);
        assert_eq!(shares(), [4.0, 4.0, 4.0, 3.0], "a fourth takes over from the others");
        assert_eq!(registry.share_of(1), 0.25, "what is no matter of warmth is shared at once");
        registry.set_states(&[(4, WorkerState::Active)]);
        assert_eq!(shares(), [3.0; 4]);
        registry.set_states(&[(4, WorkerState::Draining)]);
        assert_eq!(shares(), [4.0, 4.0, 4.0, 3.0], "the others take over from the fourth");
        registry.set_states(&[(4, WorkerState::Drained)]);
        assert_eq!(shares(), [4.0, 4.0, 4.0, 3.0], "it may return");
        registry.stopped(4);
        assert_eq!(shares(), [4.0, 4.0, 4.0, 0.0]);
        // One for one.
        register(&registry, 4, "w4");
        joins(4);
        registry.set_states(&[(1, WorkerState::Draining)]);
        assert_eq!(shares(), [4.0; 4]);
    }

    #[tokio::test]
    async fn the_first_question_waits_for_the_first_worker() {
        let registry = Registry::new(Duration::from_secs(60));
        assert!(registry.live_within(Duration::from_millis(5)).await.is_empty());
        let asking = {
            let registry = registry.clone();
            tokio::spawn(async move { registry.live_within(Duration::from_secs(30)).await })
        };
        tokio::task::yield_now().await;
        let id = 1;
        register(&registry, id, "a");
        assert_eq!(asking.await.unwrap()[0].id, id);
    }
}
