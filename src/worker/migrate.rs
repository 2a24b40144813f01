//! Sending blocks to the workers they belong to, when the ring is about to change.
//!
//! The master names the ring there is and the ring there will be. Each worker looks at what it
//! holds: a block that it owns goes to the owner of the new ring, unless that one has it. Those asked
//! for lately go first. Further copies do not move: who wants a number of them has it kept by
//! `goosefs fs setReplication`. Nothing is removed here: the copies that stay behind serve those who
//! still ask for them, and are evicted in time like anything that nobody asks for; or first of all,
//! where their namespace has more here than it may.
//!
//! Blocks that are nowhere else are another matter. They leave only a worker that drains; they are
//! sent to one that does not hold them, the master is told, and only then is the copy here removed.

use super::heartbeat::patiently;
use super::memory::Memory;
use super::metrics::Counts;
use super::peers::Peers;
use super::store::{Block, BlockStore};
use crate::core::error::{Error, ErrorKind, Result, resource_exhausted, unavailable};
use crate::core::model::{BlockId, Ring, WorkerId, WorkerInfo};
use crate::core::proto::grpc::block::block_worker_client::BlockWorkerClient;
use crate::core::proto::grpc::block::migrate_block_request::Value;
use crate::core::proto::grpc::block::*;
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use crate::core::rpc::Primary;
use crate::core::runtime::{Group, Rate, blocking};
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Workers on the ring that are tried for a block that is nowhere else.
const TRIES: usize = 5;
/// Blocks that another worker is asked about at once.
const ASKED: usize = 256;
/// Blocks on their way to one worker at a time.
const AT_ONCE: usize = 4;
/// Bytes in one message.
const STEP: u64 = 1 << 20;
/// How long another worker may take to say what it holds.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a message may wait to be taken, and the end of a block to be confirmed.
const SILENCE: Duration = Duration::from_secs(60);

/// Where blocks are sent from.
pub struct Source {
    /// The blocks.
    pub store: Arc<BlockStore>,
    /// What those on their way out may take.
    pub memory: Memory,
}

/// Moves blocks as the master says.
pub struct Migrator {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<BlockStore>,
    memory: Memory,
    peers: Arc<Peers>,
    master: Primary,
    rate: Rate,
    counts: Counts,
    group: Group,
    /// Copies of single blocks under way at a time.
    copies: Semaphore,
    current: Mutex<Option<Arc<Current>>>,
}

/// Who sends a block, and for which migration.
#[derive(Clone, Debug)]
struct Sender {
    worker: WorkerId,
    task: String,
}

/// One migration, as far as this worker is with it.
struct Current {
    sender: Sender,
    phase: watch::Sender<Phase>,
    total_blocks: AtomicI64,
    total_bytes: AtomicI64,
    moved_blocks: AtomicI64,
    moved_bytes: AtomicI64,
    skipped: AtomicI64,
    failed: AtomicI64,
    completed: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    Cancelled,
}

/// What is to become of one block.
struct Move {
    block: BlockId,
    bytes: u64,
    /// Those who may take it, the first choice first.
    to: Vec<WorkerId>,
}

/// What became of it.
enum Moved {
    Sent,
    /// It is where it belongs, or here no more.
    Needless,
}

impl Migrator {
    /// Nothing to move. What is moved goes at `rate`, in `group`.
    pub fn new(
        from: Source,
        peers: Arc<Peers>,
        master: Primary,
        rate: Rate,
        counts: Counts,
        group: Group,
    ) -> Self {
        let inner = Inner {
            store: from.store,
            memory: from.memory,
            peers,
            master,
            rate,
            counts,
            group,
            copies: Semaphore::new(AT_ONCE),
            current: Mutex::new(None),
        };
        Migrator { inner: Arc::new(inner) }
    }

    /// How far it is, for the master.
    pub fn report(&self) -> Option<MigrationProgressReport> {
        let current = self.inner.current.lock().clone()?;
        let told = |number: &AtomicI64| Some(number.load(Ordering::Relaxed));
        // Read first: all that is counted was before it.
        let completed = current.completed.load(Ordering::Acquire);
        Some(MigrationProgressReport {
            task_id: Some(current.sender.task.clone()),
            total_blocks: told(&current.total_blocks),
            migrated_blocks: told(&current.moved_blocks),
            failed_blocks: told(&current.failed),
            skipped_blocks: told(&current.skipped),
            total_bytes: told(&current.total_bytes),
            migrated_bytes: told(&current.moved_bytes),
            completed: Some(completed),
        })
    }

    /// Does what the master says; `own` is this worker's id.
    pub fn obey(&self, own: WorkerId, command: &MigrationCommand) {
        let start = command.start_info.clone().unwrap_or_default();
        let current = self.inner.current.lock().clone();
        let known = current.filter(|current| current.sender.task == start.task_id());
        let phase = match command.r#type() {
            MigrationCommandType::MigrationStart if known.is_none() => {
                return self.start(own, start);
            }
            MigrationCommandType::MigrationPause => Phase::Paused,
            MigrationCommandType::MigrationCancel => Phase::Cancelled,
            MigrationCommandType::MigrationStart | MigrationCommandType::MigrationResume => {
                Phase::Running
            }
            MigrationCommandType::MigrationNoop => return,
        };
        if let Some(current) = known {
            current.phase.send_if_modified(|now| std::mem::replace(now, phase) != phase);
        }
    }

    /// Copies a block that is nowhere else to another worker, and tells the master once it is there.
    pub fn copy(&self, own: WorkerId, block: BlockId, to: WorkerInfo) {
        let inner = self.inner.clone();
        self.inner.group.spawn_until_stop("copy", async move {
            let Some(block) = inner.store.peek(block).filter(|block| block.is_whole()) else {
                return;
            };
            let copied = async {
                let _turn = inner.copies.acquire().await.expect("never closed");
                let sender = Sender { worker: own, task: String::new() };
                inner.push(&sender, &to, &block).await?;
                inner.tell_moved(block.id(), to.id, 0).await.map(drop)
            };
            if let Err(error) = copied.await {
                tracing::warn!(block = %block.id(), worker = %to.address, %error, "not copied");
            }
        });
    }

    fn start(&self, own: WorkerId, start: StartMigrationInfo) {
        let current = Arc::new(Current {
            sender: Sender { worker: own, task: start.task_id().to_string() },
            phase: watch::Sender::new(Phase::Running),
            total_blocks: AtomicI64::new(0),
            total_bytes: AtomicI64::new(0),
            moved_blocks: AtomicI64::new(0),
            moved_bytes: AtomicI64::new(0),
            skipped: AtomicI64::new(0),
            failed: AtomicI64::new(0),
            completed: AtomicBool::new(false),
        });
        let before = self.inner.current.lock().replace(current.clone());
        if let Some(before) = before {
            before.phase.send_replace(Phase::Cancelled);
        }
        let inner = self.inner.clone();
        self.inner.group.spawn_until_stop("migrate", async move {
            inner.run(&current, start).await;
            let moved = current.moved_blocks.load(Ordering::Relaxed);
            let failed = current.failed.load(Ordering::Relaxed);
            tracing::info!(migration = current.sender.task, moved, failed, "all moved that can be");
            current.completed.store(true, Ordering::Release);
        });
    }
}

impl Inner {
    async fn run(&self, current: &Arc<Current>, start: StartMigrationInfo) {
        let of = |infos: &[WorkerInfoMessage]| -> Vec<WorkerInfo> {
            infos.iter().map(WorkerInfo::from).collect()
        };
        let (old, new) = (of(&start.old_hash_ring_workers), of(&start.new_hash_ring_workers));
        let workers: HashMap<WorkerId, WorkerInfo> =
            new.iter().map(|worker| (worker.id, worker.clone())).collect();
        let (store, own) = (self.store.clone(), current.sender.worker);
        store.forget_elsewhere();
        let planned =
            blocking(move || Ok(plan(&store, own, &Ring::new(old), &Ring::new(new)))).await;
        let Ok(moves) = planned else { return };
        let bytes: u64 = moves.iter().map(|one| one.bytes).sum();
        current.total_blocks.store(moves.len() as i64, Ordering::Relaxed);
        current.total_bytes.store(bytes as i64, Ordering::Relaxed);
        tracing::info!(
            migration = current.sender.task,
            blocks = moves.len(),
            bytes,
            "moving blocks"
        );

        let mut by_target: HashMap<WorkerId, Vec<Move>> = HashMap::new();
        for one in moves {
            by_target.entry(one.to[0]).or_default().push(one);
        }
        let targets = by_target.into_values().map(|moves| self.send_all(current, &workers, moves));
        futures::future::join_all(targets).await;
    }

    /// Sends the blocks that have the same first choice.
    async fn send_all(
        &self,
        current: &Arc<Current>,
        workers: &HashMap<WorkerId, WorkerInfo>,
        moves: Vec<Move>,
    ) {
        for batch in moves.chunks(ASKED) {
            let Some(first) = workers.get(&batch[0].to[0]) else { return };
            let ids: Vec<BlockId> = batch.iter().map(|one| one.block).collect();
            let held = self.held(first, &ids).await;
            let held = held.as_ref();
            futures::stream::iter(batch)
                .for_each_concurrent(AT_ONCE, |one| async move {
                    if !current.may_go_on().await {
                        return;
                    }
                    let held = held.map(|held| held.contains_key(&one.block.0));
                    let held = held.map_err(|error| unavailable(error.to_string()));
                    current.note(one, self.send(&current.sender, workers, one, held).await);
                })
                .await;
        }
    }

    /// Which of these blocks `worker` holds whole.
    async fn held(&self, worker: &WorkerInfo, blocks: &[BlockId]) -> Result<HashMap<i64, i64>> {
        let channel = self.peers.channel(&worker.address).await?;
        let block_ids = blocks.iter().map(|id| id.0).collect();
        let mut client = BlockWorkerClient::new(channel);
        let asked = client.check_blocks(CheckBlocksRequest { block_ids });
        let answer = tokio::time::timeout(ANSWER, asked).await;
        let answer = answer.map_err(|_| unavailable("another worker does not answer"))?;
        match answer {
            Ok(answer) => Ok(answer.into_inner().block_cached_bytes),
            Err(status) => {
                self.peers.forget(&worker.address);
                Err(Error::from(status).context(format!("worker {}", worker.address)))
            }
        }
    }

    /// Sends one block to its place; `held` is whether the first choice holds it.
    async fn send(
        &self,
        sender: &Sender,
        workers: &HashMap<WorkerId, WorkerInfo>,
        one: &Move,
        held: Result<bool>,
    ) -> Result<Moved> {
        let Some(block) = self.store.peek(one.block).filter(|block| block.is_whole()) else {
            return Ok(Moved::Needless);
        };
        if !block.is_unpersisted() {
            let held = held?;
            let Some(first) = workers.get(&one.to[0]) else { return Ok(Moved::Needless) };
            if !held {
                self.push(sender, first, &block).await?;
            }
            self.store.is_elsewhere(block.id());
            return Ok(if held { Moved::Needless } else { Moved::Sent });
        }
        // Known to be here, so that whoever loses track of the copies finds this one.
        if !self.tell_moved(block.id(), sender.worker, 0).await? {
            return Err(unavailable("its file is still being written"));
        }
        let mut held = Some(held);
        let mut there = Vec::new();
        let mut last = unavailable("no worker takes it");
        for (choice, id) in one.to.iter().enumerate() {
            let Some(worker) = workers.get(id) else { continue };
            let is_there = match held.take().filter(|_| choice == 0) {
                Some(held) => held,
                None => self.held(worker, &[one.block]).await.map(|held| !held.is_empty()),
            };
            let sent = match is_there {
                // Another copy keeps their number, if there is anywhere to put it.
                Ok(true) => {
                    there.push(worker);
                    continue;
                }
                Ok(false) => self.push(sender, worker, &block).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return self.give_up(sender, &block, worker.id).await,
                Err(error) => last = error,
            }
        }
        for worker in there {
            // Taken as it is only where it counts: where it is nobody's to evict.
            match self.push(sender, worker, &block).await {
                Ok(()) => return self.give_up(sender, &block, worker.id).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Removes the copy here of a block that was nowhere else, once the master knows of the other.
    async fn give_up(&self, sender: &Sender, block: &Arc<Block>, to: WorkerId) -> Result<Moved> {
        if self.tell_moved(block.id(), to, sender.worker).await? {
            let (store, block) = (self.store.clone(), block.clone());
            blocking(move || {
                store.discard(&block);
                Ok(())
            })
            .await?;
        }
        Ok(Moved::Sent)
    }

    /// Tells the master that `to` holds a block, and that `from` will not (0 for nobody); whether the
    /// journal knows of it now, or nobody needs the block.
    async fn tell_moved(&self, block: BlockId, to: WorkerId, from: WorkerId) -> Result<bool> {
        let request = v1::MovedBlocksRequest { block_ids: vec![block.0], to, from };
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move { FileSystemClient::new(channel).moved_blocks(request).await }
        });
        Ok(patiently(call).await?.block_ids.contains(&block.0))
    }

    /// Copies a block to `worker`, which has it durably when this returns.
    async fn push(&self, sender: &Sender, worker: &WorkerInfo, block: &Arc<Block>) -> Result<()> {
        let _turn = self.memory.pass().await?;
        let channel = self.peers.channel(&worker.address).await?;
        let (messages, outbound) = tokio::sync::mpsc::channel(2);
        let mut client = BlockWorkerClient::new(channel);
        let stream = tokio_stream::wrappers::ReceiverStream::new(outbound);
        let answer = client.migrate_block(stream);
        let feed = self.feed(sender, block, messages);
        tokio::pin!(answer, feed);
        let (fed, answer) = tokio::select! {
            answer = &mut answer => (Ok(()), answer),
            fed = &mut feed => {
                let answer = tokio::time::timeout(SILENCE, answer).await;
                (fed, answer.map_err(|_| unavailable("another worker does not confirm a block"))?)
            }
        };
        let answer = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => {
                self.peers.forget(&worker.address);
                // What broke off here explains it better.
                fed?;
                return Err(Error::from(status).context(format!("worker {}", worker.address)));
            }
        };
        if answer.success() {
            return Ok(());
        }
        let text = format!("worker {}: {}", worker.address, answer.error_message());
        Err(if answer.out_of_space() { resource_exhausted(text) } else { unavailable(text) })
    }

    /// Sends a block's bytes, verified, at the rate that blocks may move.
    async fn feed(
        &self,
        sender: &Sender,
        block: &Arc<Block>,
        messages: tokio::sync::mpsc::Sender<MigrateBlockRequest>,
    ) -> Result<()> {
        let (opened, length) = (block.clone(), block.length());
        let file = blocking(move || opened.open()).await?;
        let command = MigrateBlockCommand {
            block_id: Some(block.id().0),
            block_length: Some(length as i64),
            source_worker_id: Some(sender.worker),
            task_id: Some(sender.task.clone()),
            version: Some(block.version().into()),
            unpersisted: Some(block.is_unpersisted()),
            page_sums: block.sums(),
            page_size: Some(block.page_size() as i64),
        };
        let mut next = Some(Value::Command(command));
        let mut position = 0;
        loop {
            let message = MigrateBlockRequest { value: next.take() };
            match tokio::time::timeout(SILENCE, messages.send(message)).await {
                Ok(Ok(())) => {}
                // The other side has answered already: what it says counts.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(unavailable("another worker takes no more of a block")),
            }
            if position == length {
                return Ok(());
            }
            let step = self.rate.step().unwrap_or(STEP).min(STEP).min(length - position);
            self.rate.take(step).await;
            let (block, file, from) = (block.clone(), file.clone(), position);
            let data = blocking(move || {
                let mut data = vec![0; step as usize];
                block.read(&file, from, &mut data).map(|()| Bytes::from(data))
            })
            .await?;
            position += step;
            self.counts.moved_bytes.inc_by(step);
            next = Some(Value::Chunk(Chunk { data: Some(data) }));
        }
    }
}

type WorkerInfoMessage = crate::core::proto::grpc::block::WorkerInfo;

impl Current {
    /// Waits while it is paused; false when it is over.
    async fn may_go_on(&self) -> bool {
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| *phase != Phase::Paused).await {
            Ok(phase) => *phase == Phase::Running,
            Err(_) => false,
        }
    }

    fn note(&self, one: &Move, moved: Result<Moved>) {
        match moved {
            Ok(Moved::Sent) => {
                self.moved_blocks.fetch_add(1, Ordering::Relaxed);
                self.moved_bytes.fetch_add(one.bytes as i64, Ordering::Relaxed);
            }
            Ok(Moved::Needless) => drop(self.skipped.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                let usual = matches!(error.kind(), ErrorKind::ResourceExhausted);
                if usual {
                    tracing::debug!(block = %one.block, %error, "not moved");
                } else {
                    tracing::warn!(block = %one.block, %error, "not moved");
                }
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// What is to move from here, the latest used first.
fn plan(store: &BlockStore, own: WorkerId, old: &Ring, new: &Ring) -> Vec<Move> {
    let stays = new.workers().iter().any(|worker| worker.id == own);
    let mut moves: Vec<(u64, Move)> = Vec::new();
    for block in store.blocks() {
        let unpersisted = block.is_unpersisted();
        // What is nowhere else has its place in the journal, not on the ring.
        if !block.is_whole() || (unpersisted && stays) {
            continue;
        }
        let to = match unpersisted {
            true => {
                let owners = new.owners(block.id(), TRIES, |_| false).into_iter();
                owners.filter(|worker| !worker.forbid_write).map(|worker| worker.id).collect()
            }
            false => place(block.id(), own, old, new).into_iter().collect::<Vec<_>>(),
        };
        if !to.is_empty() {
            let one = Move { block: block.id(), bytes: block.length(), to };
            moves.push((block.accessed(), one));
        }
    }
    moves.sort_by_key(|(accessed, _)| std::cmp::Reverse(*accessed));
    moves.into_iter().map(|(_, one)| one).collect()
}

/// Who is to get a block from `own`, its owner until now: the next owner. A copy that lies where it
/// does not belong goes to the owner that stays the owner, if that one has none; where the owner
/// changes too, the one there was sees to it.
fn place(block: BlockId, own: WorkerId, old: &Ring, new: &Ring) -> Option<WorkerId> {
    let before = old.owner(block)?.id;
    let after = new.owner(block)?.id;
    (after != own && (before == own || before == after)).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::WorkerAddress;

    fn ring(ids: impl IntoIterator<Item = WorkerId>) -> Ring {
        Ring::new(ids.into_iter().map(|id| {
            let address = WorkerAddress { host: format!("w{id}"), ..Default::default() };
            WorkerInfo { id, address, virtual_nodes: 500, live: true, ..Default::default() }
        }))
    }

    #[test]
    fn only_what_belongs_to_the_newcomer_moves_and_only_once() {
        let (old, new) = (ring(1..=3), ring(1..=4));
        let mut moved = 0;
        for block in (1..3001).map(|id| BlockId(id << 24)) {
            let owner = old.owner(block).unwrap().id;
            let to = place(block, owner, &old, &new);
            assert_eq!(to, new.owner(block).map(|w| w.id).filter(|&id| id != owner));
            for other in (1..=3).filter(|&id| id != owner) {
                let expected = to.is_none().then_some(owner);
                assert_eq!(place(block, other, &old, &new), expected, "a copy elsewhere");
            }
            if let Some(to) = to {
                assert_eq!(to, 4);
                moved += 1;
            }
        }
        assert!((600..900).contains(&moved), "{moved} of 3000 blocks moved");
    }

    #[test]
    fn what_a_leaving_worker_holds_goes_to_its_next_owners() {
        let (old, new) = (ring(1..=4), ring(1..=3));
        for block in (1..500).map(|id| BlockId(id << 24)) {
            let owner = old.owner(block).unwrap().id;
            let to = place(block, owner, &old, &new);
            if owner == 4 {
                assert_eq!(to, new.owner(block).map(|worker| worker.id));
            } else {
                assert_eq!(to, None, "others keep theirs");
            }
        }
    }
}
