//! The glue between openraft and our log and state; nothing else here knows openraft's traits.
//!
//! One master is a cluster of one. The state is persistent by itself and carries the position it
//! was applied up to, so a snapshot is nothing but a promise: "the state is safe on disk up to
//! here", after which the log may be cut. It holds no data. Sending one to another master, and
//! taking one from there, needs a transport between masters, which this version does not have:
//! [`Nobody`] reaches no one, so openraft never asks for either.

use super::disk::{self, Log};
use super::entry::{Entry, Outcome, Refusal};
use crate::core::error::Error;
use crate::master::state::{Applied, State};
use futures::{Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{
    ApplyResponder, EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage,
    RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta,
};
use openraft::{BasicNode, EntryPayload, OptionalSend};
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

openraft::declare_raft_types!(
    /// What our log is made of.
    pub Types:
        D = Arc<Entry>,
        R = Result<Outcome, Refusal>,
        NodeId = u64,
        Node = BasicNode,
);

/// An entry as openraft wraps it.
pub type RaftEntry = openraft::alias::EntryOf<Types>;
/// Its place in the log.
pub type LogId = openraft::alias::LogIdOf<Types>;
/// Who this master has voted for.
pub type Vote = openraft::alias::VoteOf<Types>;
type Membership = openraft::alias::StoredMembershipOf<Types>;
/// The running consensus of this master.
pub type Raft = openraft::Raft<Types, Machine>;

/// Entries applied as one batch at most.
const GROUP: usize = 1024;

impl RaftLogReader<Types> for Arc<Log> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<RaftEntry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(range).map_err(io::Error::other)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.vote())
    }
}

impl RaftLogStorage<Types> for Arc<Log> {
    type LogReader = Arc<Log>;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let (last_purged_log_id, last_log_id) = self.bounds();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        Log::save_vote(self, *vote).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Log::append(self, entries, callback)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        Log::truncate_after(self, last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        Log::purge(self, upto).await
    }
}

/// The state, as openraft drives it.
pub struct Machine {
    state: State,
    applied: Option<LogId>,
    membership: Membership,
    space: Space,
}

/// The disk that the state is on.
pub struct Space {
    /// Where it is.
    pub dir: PathBuf,
    /// Bytes it must have left before anything is applied: a store that runs out of space in the
    /// middle of a batch takes no other, also when there is space again.
    pub least: u64,
    /// Set when the journal is to end, with whatever is not applied: the log has it.
    pub stopping: Arc<AtomicBool>,
}

impl Space {
    /// Waits until there is space.
    async fn wait(&self) -> io::Result<()> {
        let mut warned = None::<Instant>;
        while disk::free_bytes(&self.dir).is_ok_and(|free| free < self.least) {
            if self.stopping.load(Ordering::Acquire) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if warned.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                let dir = self.dir.display();
                tracing::warn!(%dir, "no space to apply the journal; free some: waiting");
                warned = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Machine {
    /// The machine of `state`, at the position that the state carries.
    ///
    /// # Errors
    /// When the store fails or its position cannot be read.
    pub fn new(state: State, space: Space) -> crate::core::error::Result<Machine> {
        let (applied, membership) = match state.applied()? {
            None => (None, Membership::default()),
            Some(Applied(bytes)) => postcard::from_bytes(&bytes).map_err(|_| {
                crate::core::error::data_loss(
                    "the metastore is damaged: it does not say up to which entry it goes",
                )
            })?,
        };
        Ok(Machine { state, applied, membership, space })
    }

    fn apply_group(&mut self, group: Vec<EntryResponder<Types>>) -> Result<(), io::Error> {
        let Some((last, _)) = group.last() else { return Ok(()) };
        let last = last.log_id;
        let mut entries = Vec::with_capacity(group.len());
        for (entry, _) in &group {
            match &entry.payload {
                EntryPayload::Normal(entry) => entries.push(&**entry),
                EntryPayload::Membership(membership) => {
                    self.membership = Membership::new(Some(entry.log_id), membership.clone());
                }
                EntryPayload::Blank => {}
            }
        }
        let position = postcard::to_allocvec(&(Some(last), &self.membership));
        let position = Applied(position.map_err(io::Error::other)?);
        let outcomes = self.state.apply(&entries, Some(position)).map_err(io::Error::other)?;
        self.applied = Some(last);
        let mut outcomes = outcomes.into_iter();
        for (entry, responder) in group {
            let outcome = match entry.payload {
                EntryPayload::Normal(_) => outcomes.next().expect("one outcome for each entry"),
                _ => Ok(Outcome::Done),
            };
            responder.into_iter().for_each(|responder: ApplyResponder<Types>| {
                responder.send(outcome.clone());
            });
        }
        Ok(())
    }
}

/// The promise that the state is safe on disk; see the module.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint;

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Checkpoint;
    type SnapshotBuilder = Checkpointer;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut group = Vec::new();
        while let Some(entry) = entries.next().await {
            group.push(entry?);
            if group.len() >= GROUP {
                self.space.wait().await?;
                self.apply_group(std::mem::take(&mut group))?;
            }
        }
        self.space.wait().await?;
        self.apply_group(group)
    }

    async fn get_snapshot_builder(&mut self) -> Checkpointer {
        let meta =
            SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        Checkpointer { state: self.state.clone(), meta }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &openraft::alias::SnapshotMetaOf<Types>,
        _snapshot: Checkpoint,
    ) -> Result<(), io::Error> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a single master has no one to copy from"))
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<openraft::alias::SnapshotOf<Types, Checkpoint>>, io::Error> {
        Ok(None)
    }
}

/// Makes a checkpoint.
pub struct Checkpointer {
    state: State,
    meta: openraft::alias::SnapshotMetaOf<Types>,
}

impl RaftSnapshotBuilder<Types> for Checkpointer {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(
        &mut self,
    ) -> Result<openraft::alias::SnapshotOf<Types, Checkpoint>, io::Error> {
        let state = self.state.clone();
        let made = tokio::task::spawn_blocking(move || state.checkpoint()).await;
        made.map_err(io::Error::other)?.map_err(io::Error::other)?;
        tracing::debug!(upto = ?self.meta.last_log_id, "made a checkpoint");
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Checkpoint })
    }
}

/// The network of a master that is alone.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Nobody {
    fn unreachable() -> Unreachable<Types> {
        let error: Error =
            crate::core::error::unavailable("this master has no transport to other masters");
        Unreachable::new(&error)
    }
}

impl RaftNetworkFactory<Types> for Nobody {
    type Network = Nobody;

    async fn new_client(&mut self, _target: u64, _node: &BasicNode) -> Nobody {
        Nobody
    }
}

impl RaftNetworkV2<Types> for Nobody {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(Nobody::unreachable()))
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(RPCError::Unreachable(Nobody::unreachable()))
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: openraft::alias::SnapshotOf<Types, Checkpoint>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Nobody::unreachable()))
    }
}
