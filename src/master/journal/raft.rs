//! The glue between openraft and our log and state; nothing else here knows openraft's traits.
//!
//! One master is a cluster of one. The state is persistent by itself and carries the position it
//! was applied up to, so making a snapshot is nothing but a promise: "the state is safe on disk up to
//! here", after which the log may be cut. What another master gets that needs entries from before
//! the cut is an image of the state as it is at that moment; what comes from another is a file.

use super::disk::{self, Log};
use super::entry::{Entry, Outcome, Refusal};
use super::images::{Outgoing, Sending, name_of};
use crate::master::state::{Applied, State, image};
use futures::{Stream, StreamExt};
use openraft::storage::{
    ApplyResponder, EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage,
    RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta,
};
use openraft::{EntryPayload, OptionalSend};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

openraft::declare_raft_types!(
    /// What our log is made of.
    pub Types:
        D = Arc<Entry>,
        R = Result<Outcome, Refusal>,
        NodeId = u64,
        Node = Node,
);

/// A master, as the others know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name in `goosefs.masters`; empty for one that is configured by itself.
    pub name: String,
    /// `host:port` of its RPC service.
    pub rpc: String,
    /// `host:port` of its journal.
    pub journal: String,
}

/// An entry as openraft wraps it.
pub type RaftEntry = openraft::alias::EntryOf<Types>;
/// Its place in the log.
pub type LogId = openraft::alias::LogIdOf<Types>;
/// Who this master has voted for.
pub type Vote = openraft::alias::VoteOf<Types>;
/// Who the masters are, and since which entry.
pub type Membership = openraft::alias::StoredMembershipOf<Types>;
/// A snapshot as openraft hands it around.
pub type RaftSnapshot = openraft::alias::SnapshotOf<Types, Checkpoint>;
/// What is told of one.
pub type RaftSnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
/// The running consensus of this master.
pub type Raft = openraft::Raft<Types, Machine>;

/// Bytes of entries in one message to another master, about; a single entry may be longer.
const MESSAGE: u64 = 2 << 20;
/// Entries applied as one batch at most.
const GROUP: usize = 1024;
/// The file beside the state that holds an image to be installed.
const PENDING: &str = "install.image";
/// The file that holds an image on its way in.
pub const INCOMING: &str = "incoming.image";

impl RaftLogReader<Types> for Arc<Log> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<RaftEntry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(range).map_err(io::Error::other)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        self.read(start..self.end_within(start, end, MESSAGE)).map_err(io::Error::other)
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
    sending: Sending,
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
    /// Where an image lies while it is being installed.
    pub fn pending_image(&self) -> PathBuf {
        self.dir.with_file_name(PENDING)
    }

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
    pub fn new(
        state: State,
        space: Space,
        sending: Sending,
    ) -> crate::core::error::Result<Machine> {
        let (applied, membership) = match state.applied()? {
            None => (None, Membership::default()),
            Some(applied) => position(&applied)?,
        };
        Ok(Machine { state, applied, membership, space, sending })
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

/// Up to which entry a state goes, and who the masters are by then.
pub fn position(applied: &Applied) -> crate::core::error::Result<(Option<LogId>, Membership)> {
    postcard::from_bytes(&applied.0).map_err(|_| {
        crate::core::error::data_loss(
            "the metastore is damaged: it does not say up to which entry it goes",
        )
    })
}

/// What openraft calls the data of a snapshot; see the module.
pub enum Checkpoint {
    /// The state is safe on disk.
    Here,
    /// The state as it is, for another master.
    Image(Arc<Outgoing>),
    /// The file of an image that another master has sent.
    File(PathBuf),
}

impl Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Checkpoint::Here => "Here",
            Checkpoint::Image(_) => "Image",
            Checkpoint::File(_) => "File",
        })
    }
}

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
        Checkpointer { state: self.state.clone(), meta, sending: self.sending.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &RaftSnapshotMeta,
        snapshot: Checkpoint,
    ) -> Result<(), io::Error> {
        let Checkpoint::File(file) = snapshot else {
            return Err(io::Error::other("only what another master has sent can be installed"));
        };
        let (state, pending) = (self.state.clone(), self.space.pending_image());
        let name = name_of(&meta.last_log_id);
        let install = move || {
            // Another transfer may have taken the file since: what is installed is what was meant,
            // and whole, or nothing.
            let (found, _) = image::check(&file, "the image").map_err(io::Error::other)?;
            if found != name {
                return Err(io::Error::other("the image is not the one that was sent"));
            }
            std::fs::rename(&file, &pending)?;
            install_pending(&state, &pending).map_err(io::Error::other)?;
            let applied = state.applied().map_err(io::Error::other)?.unwrap_or_default();
            position(&applied).map_err(io::Error::other)
        };
        let installed = tokio::task::spawn_blocking(install).await.map_err(io::Error::other)??;
        (self.applied, self.membership) = installed;
        tracing::info!(upto = ?self.applied, "took over the state of the primary");
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, io::Error> {
        if let Some(broken) = self.sending.take() {
            return Ok(Some(broken));
        }
        let Some(image) = self.state.image().map_err(io::Error::other)? else { return Ok(None) };
        let (last_log_id, last_membership) = position(image.applied()).map_err(io::Error::other)?;
        let meta = SnapshotMeta { last_log_id, last_membership };
        Ok(Some(Snapshot { meta, snapshot: Checkpoint::Image(Outgoing::new(image)) }))
    }
}

/// Puts the image in the file `pending` in the place of the state; done again if it was interrupted.
///
/// # Errors
/// When the file or the store fails.
pub fn install_pending(state: &State, pending: &Path) -> crate::core::error::Result<()> {
    let folder = pending.parent().map(std::fs::File::open).transpose()?;
    folder.as_ref().map(std::fs::File::sync_all).transpose()?;
    state.install(pending)?;
    std::fs::remove_file(pending)?;
    folder.map(|folder| folder.sync_all()).transpose()?;
    Ok(())
}

/// Makes a checkpoint.
pub struct Checkpointer {
    state: State,
    meta: RaftSnapshotMeta,
    sending: Sending,
}

impl RaftSnapshotBuilder<Types> for Checkpointer {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, io::Error> {
        self.sending.expire();
        let state = self.state.clone();
        let made = tokio::task::spawn_blocking(move || state.checkpoint()).await;
        made.map_err(io::Error::other)?.map_err(io::Error::other)?;
        tracing::debug!(upto = ?self.meta.last_log_id, "made a checkpoint");
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Checkpoint::Here })
    }
}
