//! Data a client writes: a block into the store, or a file straight into an under store.
//!
//! The end of the stream commits, and only the end that the client sent: a call that breaks off
//! leaves nothing behind, neither a block nor an object.

use super::fill::run_blocking;
use super::memory::{Memory, Turn};
use super::metrics::Counts;
use super::mounts::Mounts;
use super::store::{BlockStore, Writing};
use crate::core::error::{
    Context, Error, ErrorKind, Result, internal, invalid_argument, unavailable, unsupported,
};
use crate::core::model::BlockId;
use crate::core::proto::grpc::block::write_request::Value;
use crate::core::proto::grpc::block::{
    RequestType, WriteRequest, WriteRequestCommand, WriteResponse,
};
use crate::ufs::{Attributes, UfsWriter};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::{Status, Streaming};

/// Bytes gathered before they are written: a small block is written at once, a large one in steps
/// of this size while the next ones arrive.
const STEP: usize = 1 << 20;

/// How long a block's writer keeps its turn while nothing comes.
const IDLE: Duration = Duration::from_millis(500);

/// How long it keeps its turn while others wait.
const SLICE: Duration = Duration::from_secs(2);

/// How long a file on its way to an under store keeps its turn while nothing comes and others wait.
/// What there is of it is in its connector, so it ends with its turn.
pub const UPLOAD_IDLE: Duration = Duration::from_secs(120);

/// How often is looked for others who wait, then.
const LOOK: Duration = Duration::from_secs(1);

/// How long the end of a stream is not believed, where believing it wrongly shows.
const LINGER: Duration = Duration::from_millis(5);

/// What a writer is told.
pub type Answers = mpsc::Sender<std::result::Result<WriteResponse, Status>>;

/// What writes need.
#[derive(Clone)]
pub struct Writes {
    /// The blocks.
    pub store: Arc<BlockStore>,
    /// The under stores.
    pub mounts: Arc<Mounts>,
    /// What is counted.
    pub counts: Counts,
    /// Whether blocks are taken, and how many are on their way in.
    pub intake: Arc<Intake>,
    /// What writers may take together.
    pub memory: Memory,
    /// How long a file on its way to an under store may keep others waiting while nothing comes.
    pub upload_idle: Duration,
}

/// A writer's turn, and since when.
struct Held {
    turn: Turn,
    since: Instant,
}

impl Held {
    fn new(turn: Turn) -> Held {
        Held { turn, since: Instant::now() }
    }
}

/// How long a write waits for the master to say how a worker that has just started stands.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Whether a worker takes blocks that clients write.
#[derive(Debug)]
pub struct Intake {
    stands: watch::Sender<Stand>,
    open_writes: AtomicU32,
}

/// How a worker stands with those who write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its master has not said yet.
    Unknown,
    Open,
    Closed,
}

impl Intake {
    /// Takes blocks at once; with `told_first`, only once [`Intake::close`] has said so.
    pub fn new(told_first: bool) -> Self {
        let stand = if told_first { Stand::Unknown } else { Stand::Open };
        Intake { stands: watch::Sender::new(stand), open_writes: AtomicU32::default() }
    }

    /// Takes no more, or again: a worker on its way out would be the only one to have them.
    pub fn close(&self, closed: bool) {
        self.stands.send_replace(if closed { Stand::Closed } else { Stand::Open });
    }

    /// Blocks on their way in.
    pub fn open_writes(&self) -> u32 {
        self.open_writes.load(Ordering::SeqCst)
    }

    /// A block's way in, counted until it is dropped. Waits a while for a worker that has just
    /// started to be told how it stands: in a small cluster there may be no other to turn to.
    ///
    /// # Errors
    /// `Unavailable` when none are taken.
    pub async fn enter(self: &Arc<Self>) -> Result<Entered> {
        let mut stands = self.stands.subscribe();
        let told = stands.wait_for(|stand| *stand != Stand::Unknown);
        tokio::time::timeout(TOLD_WITHIN, told).await.ok();
        let entered = Entered(self.clone());
        // Counted first: whoever closes and then counts misses nobody.
        self.open_writes.fetch_add(1, Ordering::SeqCst);
        let text = match *self.stands.borrow() {
            Stand::Open => return Ok(entered),
            Stand::Closed => "this worker takes no more blocks, it is leaving; write to another",
            Stand::Unknown => {
                "this worker takes no blocks yet: no master has answered it since it started; write \
                 to another, or see the worker's log"
            }
        };
        Err(unavailable(text))
    }
}

/// A block on its way in, until it is dropped.
#[derive(Debug)]
pub struct Entered(Arc<Intake>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.open_writes.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Writes {
    /// Takes one stream to its end.
    pub async fn take(self, mut requests: Streaming<WriteRequest>, answers: Answers) {
        if let Err(error) = self.take_all(&mut requests, &answers).await {
            tracing::debug!(%error, "a write ended early");
            answers.send(Err(error.into())).await.ok();
        }
    }

    async fn take_all(
        &self,
        requests: &mut Streaming<WriteRequest>,
        answers: &Answers,
    ) -> Result<()> {
        let command = match requests.message().await?.and_then(|request| request.value) {
            Some(Value::Command(command)) => command,
            _ => return Err(invalid_argument("a write that does not begin with a command")),
        };
        let (_entered, turn) = match command.r#type() {
            RequestType::GoosefsBlock => {
                (Some(self.intake.enter().await?), self.memory.writer().await?)
            }
            _ => (None, self.memory.upload().await?),
        };
        let mut held = Held::new(turn);
        let mut sink = self.open(&command).await?;
        let poured = match self.pour(&mut sink, &mut held, requests, answers).await {
            Ok(()) => believe(sink.linger(), answers).await,
            Err(error) => Err(error),
        };
        match poured {
            Ok(()) => {
                let version = sink.commit().await?;
                if command.tell_version() {
                    let answer = WriteResponse { offset: None, version: Some(version) };
                    answers.send(Ok(answer)).await.ok();
                }
                Ok(())
            }
            Err(error) => {
                sink.cancel().await;
                Err(error)
            }
        }
    }

    async fn open(&self, command: &WriteRequestCommand) -> Result<Sink> {
        if command.offset() != 0 {
            return Err(invalid_argument("a write that does not begin at offset 0"));
        }
        match command.r#type() {
            RequestType::GoosefsBlock => {
                let id = BlockId(command.id());
                if id.0 <= 0 {
                    return Err(invalid_argument(format!("{id} is no block id")));
                }
                let expected = u64::try_from(command.space_to_reserve()).unwrap_or_default();
                Ok(Sink::Block(BlockSink::new(self.store.clone(), id, expected)))
            }
            RequestType::UfsFile => {
                let options = command.create_ufs_file_options.clone().unwrap_or_default();
                let path = options.ufs_path().to_string();
                if path.is_empty() {
                    return Err(invalid_argument("a write to an under store without a path"));
                }
                let (ufs, inner) = self.mounts.open(options.mount_id(), &path).await?;
                let attributes = Attributes {
                    mode: options.mode.and_then(|mode| u32::try_from(mode).ok()),
                    owner: options.owner.filter(|owner| !owner.is_empty()),
                    group: options.group.filter(|group| !group.is_empty()),
                };
                let creating = || format!("creating {path}");
                let writer = ufs.create(&inner, &attributes).await.with_context(creating)?;
                Ok(Sink::Ufs(UfsSink { writer, path, length: 0 }))
            }
            RequestType::UfsFallbackBlock => {
                Err(unsupported("this worker takes no UFS fallback blocks"))
            }
        }
    }

    /// What comes next. A block gives its turn back when nothing comes, because its client may be
    /// waiting for another's, and when it has had it for long and others wait.
    async fn next(
        &self,
        sink: &mut Sink,
        held: &mut Held,
        requests: &mut Streaming<WriteRequest>,
    ) -> Result<Option<WriteRequest>> {
        if held.turn.is_none() {
            return Ok(requests.message().await?);
        }
        let block = match sink {
            Sink::Block(block) => block,
            Sink::Ufs(file) => return self.next_of_file(&file.path, requests).await,
        };
        if held.since.elapsed() > SLICE && self.memory.wants_writer() {
            block.rest().await?;
            held.turn = None;
            *held = Held::new(self.memory.writer_again().await?);
        }
        if let Ok(request) = tokio::time::timeout(IDLE, requests.message()).await {
            return Ok(request?);
        }
        block.rest().await?;
        held.turn = None;
        let request = requests.message().await?;
        if request.is_some() {
            *held = Held::new(self.memory.writer_again().await?);
        }
        Ok(request)
    }

    /// What comes next of a file on its way to an under store, which ends if nothing does and
    /// others wait: its client writes it again, or is told.
    async fn next_of_file(
        &self,
        path: &str,
        requests: &mut Streaming<WriteRequest>,
    ) -> Result<Option<WriteRequest>> {
        let mut patience = self.upload_idle;
        loop {
            if let Ok(request) = tokio::time::timeout(patience, requests.message()).await {
                return Ok(request?);
            }
            if self.memory.wants_upload() {
                return Err(unavailable(format!(
                    "nothing came to be written to {path} for {} s while others wait: write it again, \
                     without pauses, or raise goosefs.worker.memory.budget",
                    self.upload_idle.as_secs()
                )));
            }
            patience = LOOK;
        }
    }

    async fn pour(
        &self,
        sink: &mut Sink,
        held: &mut Held,
        requests: &mut Streaming<WriteRequest>,
        answers: &Answers,
    ) -> Result<()> {
        while let Some(request) = self.next(sink, held, requests).await? {
            match request.value {
                Some(Value::Chunk(chunk)) => {
                    let data = chunk.data.unwrap_or_default();
                    self.counts.written_bytes.inc_by(data.len() as u64);
                    sink.write(data).await?;
                }
                Some(Value::Command(command)) if command.flush() => {
                    let offset = sink.flush().await? as i64;
                    let answer = WriteResponse { offset: Some(offset), version: None };
                    // A writer that is gone shows at its stream.
                    answers.send(Ok(answer)).await.ok();
                }
                _ => return Err(invalid_argument("neither a chunk nor a flush")),
            }
        }
        Ok(())
    }
}

/// Waits a moment for the reset that may follow the end of the stream: a client that cancels drops
/// its sending half and its receiving half, and now and then the first is told as an end before the
/// second can be as a reset. An object must not appear then; a block that does is of a file that
/// does not come about, and goes with it.
async fn believe(linger: Duration, answers: &Answers) -> Result<()> {
    match tokio::time::timeout(linger, answers.closed()).await {
        Ok(()) => Err(Error::new(ErrorKind::Cancelled, "the client cancelled the write")),
        Err(_) => Ok(()),
    }
}

/// Where the bytes go.
enum Sink {
    Block(BlockSink),
    Ufs(UfsSink),
}

impl Sink {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        match self {
            Sink::Block(sink) => sink.write(data).await,
            Sink::Ufs(sink) => {
                sink.length += data.len() as u64;
                sink.writer.write(data).await.with_context(|| format!("writing {}", sink.path))
            }
        }
    }

    /// Everything so far is taken; returns how much that is.
    async fn flush(&mut self) -> Result<u64> {
        match self {
            Sink::Block(sink) => sink.flush().await,
            // Objects appear whole or not at all: taken is all they can be before the end.
            Sink::Ufs(sink) => Ok(sink.length),
        }
    }

    /// How long to wait for the reset that may follow the end of the stream.
    fn linger(&self) -> Duration {
        match self {
            Sink::Block(_) => Duration::ZERO,
            Sink::Ufs(_) => LINGER,
        }
    }

    /// Makes it last; returns the version that an under store has of it.
    async fn commit(self) -> Result<String> {
        match self {
            Sink::Block(sink) => sink.commit().await.map(|()| String::new()),
            Sink::Ufs(UfsSink { writer, path, .. }) => {
                let written = writer.close().await.with_context(|| format!("writing {path}"))?;
                Ok(written.version)
            }
        }
    }

    async fn cancel(self) {
        match self {
            Sink::Block(sink) => sink.cancel().await,
            // Dropped before it is closed, it leaves nothing behind.
            Sink::Ufs(_) => {}
        }
    }
}

struct UfsSink {
    writer: Box<dyn UfsWriter>,
    path: String,
    length: u64,
}

/// A block being written: one step is on its way to the disk while the next is gathered.
struct BlockSink {
    store: Arc<BlockStore>,
    id: BlockId,
    expected: u64,
    gathered: Vec<Bytes>,
    size: usize,
    length: u64,
    at_disk: AtDisk,
}

enum AtDisk {
    /// Nothing has been written.
    No,
    Idle(Writing),
    Busy(JoinHandle<Result<Writing>>),
}

impl BlockSink {
    fn new(store: Arc<BlockStore>, id: BlockId, expected: u64) -> Self {
        let (gathered, size, length) = Default::default();
        BlockSink { store, id, expected, gathered, size, length, at_disk: AtDisk::No }
    }

    async fn write(&mut self, data: Bytes) -> Result<()> {
        self.size += data.len();
        self.length += data.len() as u64;
        if !data.is_empty() {
            self.gathered.push(data);
        }
        if self.size >= STEP { self.step().await } else { Ok(()) }
    }

    /// Sends what is gathered to the disk, once the step before is there.
    async fn step(&mut self) -> Result<()> {
        let writing = self.idle().await?;
        let pieces = std::mem::take(&mut self.gathered);
        self.size = 0;
        let (store, id, expected) = (self.store.clone(), self.id, self.expected);
        self.at_disk = AtDisk::Busy(tokio::task::spawn_blocking(move || {
            let mut writing = match writing {
                Some(writing) => writing,
                None => store.write(id, expected)?,
            };
            writing.append(&pieces)?;
            Ok(writing)
        }));
        Ok(())
    }

    async fn idle(&mut self) -> Result<Option<Writing>> {
        match std::mem::replace(&mut self.at_disk, AtDisk::No) {
            AtDisk::No => Ok(None),
            AtDisk::Idle(writing) => Ok(Some(writing)),
            AtDisk::Busy(busy) => {
                let joined = busy.await.map_err(|e| internal("writing a block").with_source(e))?;
                joined.map(Some)
            }
        }
    }

    /// Waits until nothing is in memory any more.
    async fn rest(&mut self) -> Result<()> {
        if self.size > 0 {
            self.step().await?;
        }
        if let Some(writing) = self.idle().await? {
            self.at_disk = AtDisk::Idle(writing);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<u64> {
        self.step().await?;
        if let Some(writing) = self.idle().await? {
            let synced = run_blocking(move || writing.sync().map(|()| writing)).await??;
            self.at_disk = AtDisk::Idle(synced);
        }
        Ok(self.length)
    }

    async fn commit(mut self) -> Result<()> {
        let writing = self.idle().await?;
        let pieces = std::mem::take(&mut self.gathered);
        let (store, id, size) = (self.store.clone(), self.id, self.size as u64);
        run_blocking(move || {
            let mut writing = match writing {
                Some(writing) => writing,
                None => store.write(id, size)?,
            };
            writing.append(&pieces)?;
            let block = writing.commit()?;
            store.note_access(block.id(), block.length());
            Ok(())
        })
        .await?
    }

    async fn cancel(mut self) {
        if let Ok(Some(writing)) = self.idle().await {
            run_blocking(move || drop(writing)).await.ok();
        }
    }
}
