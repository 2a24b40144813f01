//! A file's blocks as one reader gets at them: from a lent file on this host, else from a worker.
//!
//! A part of a block is asked of one worker after another, in the order of [`route`], until its
//! bytes have arrived; what has arrived is kept and the next worker goes on from there. Bytes of
//! two versions never mix, since a worker serves the version that is asked for or fails.

mod call;
pub(super) mod copies;
pub(super) mod local;
pub(super) mod prefetch;
mod remote;
pub(super) mod route;
mod upload;

use super::FileSystem;
use super::context::Context;
use crate::core::error::{Error, ErrorKind, Result, unavailable};
use crate::core::model::{BlockId, BlockStatus, FsPath, Status, WorkerInfo};
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::proto::grpc::block::ReadRequest;
use crate::core::rpc::Channel;
use crate::core::rpc::lend::LentBlock;
use bytes::{Bytes, BytesMut};
use call::Failure;
use local::read_lent;
use parking_lot::RwLock;
use remote::Remote;
use std::sync::Arc;
use std::time::Instant;

/// Reads of one block from an under store that a worker may run at the same time.
const UFS_CONCURRENCY: i32 = 8;

/// A block as one worker sends it: no routing, no second worker. For measuring, and for workers
/// that copy from each other; a file is read through [`super::Reader`].
pub struct BlockStream(Remote);

impl BlockStream {
    /// Asks the worker at the other end of `channel`.
    ///
    /// # Errors
    /// What the worker refuses with; `Unavailable` when it is gone.
    pub async fn open(channel: Channel, request: ReadRequest) -> Result<Self> {
        Remote::open(channel, request).await.map(BlockStream).map_err(|failure| failure.error)
    }

    /// The next bytes, as the slices they arrived in; none when the worker has sent all it will,
    /// which is fewer than were asked for only by its fault.
    ///
    /// # Errors
    /// What the worker fails with; `Unavailable` when it is gone.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.next().await.map_err(|failure| failure.error)
    }
}

/// A piece of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Which block of the file.
    pub(super) index: u64,
    /// Where in the block.
    pub(super) offset: u64,
    /// How many bytes.
    pub(super) length: u64,
    /// Whether it is read on its own, not as a step of a sequential read.
    pub(super) alone: bool,
}

/// The blocks of an open file. Clones share it.
#[derive(Clone)]
pub(super) struct Blocks {
    fs: FileSystem,
    path: FsPath,
    status: Arc<RwLock<Arc<Status>>>,
    no_cache: bool,
}

impl Blocks {
    pub(super) fn new(fs: &FileSystem, status: Status, no_cache: bool) -> Self {
        let path = status.path.clone();
        Blocks { fs: fs.clone(), path, status: Arc::new(RwLock::new(Arc::new(status))), no_cache }
    }

    /// What is known of the file.
    pub(super) fn status(&self) -> Arc<Status> {
        self.status.read().clone()
    }

    fn context(&self) -> &Arc<Context> {
        &self.fs.context
    }

    /// The file of block `index`, where a worker on this host has it whole.
    pub(super) async fn lend(&self, index: u64) -> Result<Option<Arc<LentBlock>>> {
        self.lend_with(index, Vec::new).await
    }

    /// The same; where the worker has to be asked, it is asked for the blocks that `also` names too.
    pub(super) async fn lend_with(
        &self,
        index: u64,
        also: impl FnOnce() -> Vec<BlockId>,
    ) -> Result<Option<Arc<LentBlock>>> {
        if !self.context().config.client.short_circuit || self.no_cache {
            return Ok(None);
        }
        let status = self.status();
        let block = status.block(index);
        if let Some(lent) = self.context().lender.cached(block.id) {
            return Ok(Some(lent).filter(|lent| lent.length == block.length));
        }
        let workers = self.context().workers().await?;
        let bounds = status.replication();
        let candidates = route::candidates(self.context(), &workers, &block, bounds.min);
        let lends =
            |w: &WorkerInfo| workers.local.contains(&w.id) && !w.address.domain_socket.is_empty();
        let Some(rank) = candidates.iter().position(lends) else { return Ok(None) };
        let worker = candidates[rank].clone();
        // Filling a block behind is for those of the usual size, since who opens a long file may want
        // only its end; and for owners, or where it pays.
        let copies = self.context().config.client.replicas.max(bounds.min).max(1);
        let more = bounds.max.is_none_or(|max| max > copies);
        let belongs = rank < copies as usize || (more && self.context().is_hot(block.id));
        let usual = block.length <= self.context().config.client.block_size.0;
        let open_ufs = if usual && belongs { self.open_ufs(&status, &block) } else { None };
        let lender = &self.context().lender;
        let lent = lender.ask(self.context(), &worker, block.id, open_ufs, also()).await;
        match lent {
            Ok(lent) => Ok(lent.filter(|lent| lent.length == block.length)),
            Err(error) => {
                tracing::debug!(%error, worker = %worker.address, "borrowing a block");
                Ok(None)
            }
        }
    }

    /// The bytes of `part`.
    pub(super) async fn read(&self, part: Part) -> Result<Bytes> {
        let mut bytes = self.open(part).await;
        let first = match bytes.next().await? {
            Some(first) if first.len() as u64 == part.length => return Ok(first),
            Some(first) => first,
            None => return Ok(Bytes::new()),
        };
        let mut whole = BytesMut::with_capacity(part.length as usize);
        whole.extend_from_slice(&first);
        while let Some(next) = bytes.next().await? {
            whole.extend_from_slice(&next);
        }
        Ok(whole.freeze())
    }

    /// The bytes of `part` as they come in.
    pub(super) async fn open(&self, part: Part) -> BlockReader {
        let lent = match part.length {
            0 => None,
            // A failure here shows again, with its cause, when the workers are asked.
            _ => self.lend(part.index).await.unwrap_or_default(),
        };
        BlockReader {
            blocks: self.clone(),
            part,
            received: 0,
            lent,
            remote: None,
            tried: Vec::new(),
            failures: Vec::new(),
            doubtful: false,
            refreshed: false,
        }
    }

    fn open_ufs(&self, status: &Status, block: &BlockStatus) -> Option<OpenUfsBlockOptions> {
        // What lies in the under store at the path of a file that is not persisted is not the file.
        if status.ufs_path.is_empty() || !status.is_persisted() {
            return None;
        }
        Some(OpenUfsBlockOptions {
            ufs_path: Some(status.ufs_path.clone()),
            offset_in_file: Some(block.offset as i64),
            block_size: Some(block.length as i64),
            max_ufs_read_concurrency: Some(UFS_CONCURRENCY),
            mount_id: Some(status.mount_id),
            no_cache: Some(self.no_cache),
            file_length: Some(status.length as i64),
            version: (!status.ufs_version.is_empty()).then(|| status.ufs_version.clone()),
            ..Default::default()
        })
    }

    /// Asks the master again about a file whose blocks nobody could serve: it may have been
    /// persisted since, or its blocks may have moved. False where nothing is new.
    async fn ask_again(&self) -> bool {
        let known = self.status();
        let Ok(now) = self.fs.status(&self.path).await else { return false };
        let same = now.id == known.id && now.completed;
        let news = now.persistence != known.persistence || now.blocks != known.blocks;
        if same && news {
            *self.status.write() = Arc::new(now);
        }
        same && news
    }
}

/// One part on its way in.
pub(super) struct BlockReader {
    blocks: Blocks,
    part: Part,
    received: u64,
    lent: Option<Arc<LentBlock>>,
    remote: Option<(WorkerInfo, Remote)>,
    /// Workers that were asked.
    tried: Vec<i64>,
    /// What each said.
    failures: Vec<Error>,
    /// Whether one of them could not be reached: who there is may have changed.
    doubtful: bool,
    refreshed: bool,
}

/// Bytes of a lent file that are read at once.
const LENT_PIECE: u64 = 1 << 20;

impl BlockReader {
    /// The next bytes; none when all have come.
    ///
    /// # Errors
    /// `Changed` when the object in the under store is another version now; else what the last
    /// worker failed with, naming the block and every worker that was asked.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.received < self.part.length {
            if let Some(lent) = self.lent.clone() {
                let length = match self.part.alone {
                    true => self.left(),
                    false => self.left().min(LENT_PIECE),
                };
                match read_lent(&lent, self.part.offset + self.received, length).await {
                    Ok(bytes) => return Ok(Some(self.take(bytes))),
                    Err(error) => self.give_up_lent(error),
                }
                continue;
            }
            let (worker, mut remote) = match self.remote.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            match remote.next().await {
                Ok(Some(bytes)) => {
                    self.remote = Some((worker, remote));
                    return Ok(Some(self.take(bytes)));
                }
                Ok(None) => {
                    let text = format!("the answer ended {} bytes early", self.left());
                    self.fail(&worker, unavailable(text))?;
                }
                Err(failure) => self.failed(&worker, failure)?,
            }
        }
        Ok(None)
    }

    fn left(&self) -> u64 {
        self.part.length - self.received
    }

    fn take(&mut self, mut bytes: Bytes) -> Bytes {
        bytes.truncate(self.left() as usize);
        self.received += bytes.len() as u64;
        bytes
    }

    fn give_up_lent(&mut self, error: Error) {
        let block = self.blocks.status().block(self.part.index);
        tracing::warn!(%error, block = %block.id, "reading a lent block; asking the worker");
        self.blocks.context().lender.forget(block.id);
        self.lent = None;
    }

    /// A stream of what is missing, from the next worker that answers.
    async fn connect(&mut self) -> Result<(WorkerInfo, Remote)> {
        loop {
            let worker = self.next_worker().await?;
            self.tried.push(worker.id);
            match self.ask(&worker).await {
                Ok(remote) => return Ok((worker, remote)),
                Err(failure) => self.failed(&worker, failure)?,
            }
        }
    }

    /// Asks one worker, with a new connection if the one at hand turns out to be stale.
    async fn ask(&mut self, worker: &WorkerInfo) -> Result<Remote, Failure> {
        let channels = &self.blocks.context().channels;
        let mut again = true;
        loop {
            let connection = channels.get(&worker.address).await?;
            match Remote::open(connection.channel.clone(), self.request()).await {
                Err(failure) if failure.stale() && again => {
                    channels.forget(&worker.address, &connection).await;
                    again = false;
                }
                result => return result,
            }
        }
    }

    fn request(&self) -> ReadRequest {
        let status = self.blocks.status();
        let block = status.block(self.part.index);
        ReadRequest {
            block_id: Some(block.id.0),
            offset: Some((self.part.offset + self.received) as i64),
            length: Some(self.left() as i64),
            chunk_size: Some(self.blocks.context().config.client.chunk_size.0 as i64),
            open_ufs_block_options: self.blocks.open_ufs(&status, &block),
            position_short: self.part.alone.then_some(true),
            block_size: Some(block.length as i64),
            ..Default::default()
        }
    }

    async fn next_worker(&mut self) -> Result<WorkerInfo> {
        loop {
            let context = self.blocks.context();
            let status = self.blocks.status();
            let workers = context.workers().await.map_err(|e| self.naming(e))?;
            let block = status.block(self.part.index);
            let kept = status.replication().min;
            let candidates = route::candidates(context, &workers, &block, kept);
            if let Some(next) = candidates.into_iter().find(|w| !self.tried.contains(&w.id)) {
                return Ok(next);
            }
            if std::mem::take(&mut self.doubtful) {
                context.fetch_workers(Instant::now()).await.map_err(|e| self.naming(e))?;
                continue;
            }
            if !self.refreshed && self.blocks.ask_again().await {
                self.refreshed = true;
                self.tried.clear();
                continue;
            }
            return Err(self.nobody());
        }
    }

    fn failed(&mut self, worker: &WorkerInfo, failure: Failure) -> Result<()> {
        if failure.unreachable {
            self.blocks.context().mark_failed(worker.id);
            self.doubtful = true;
        }
        self.fail(worker, failure.error)
    }

    /// Notes what `worker` failed with, or passes it on where no other worker can do better.
    fn fail(&mut self, worker: &WorkerInfo, error: Error) -> Result<()> {
        let error = error.context(format_args!("worker {}", worker.address));
        if is_final(error.kind()) {
            return Err(self.naming(error));
        }
        self.failures.push(error);
        Ok(())
    }

    fn naming(&self, error: Error) -> Error {
        let status = self.blocks.status();
        let block = status.block(self.part.index).id;
        let (number, count) = (self.part.index + 1, status.block_count());
        error.context(format_args!("{}: block {block} ({number} of {count})", self.blocks.path))
    }

    fn nobody(&mut self) -> Error {
        let failures = std::mem::take(&mut self.failures);
        let kind = failures.last().map_or(ErrorKind::Unavailable, Error::kind);
        let causes: Vec<String> = failures.iter().map(Error::to_string).collect();
        self.naming(Error::new(kind, format!("no worker could serve it: {}", causes.join("; "))))
    }
}

/// Whether another worker would say the same.
fn is_final(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Changed
            | ErrorKind::InvalidArgument
            | ErrorKind::OutOfRange
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests;
