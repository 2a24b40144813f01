//! A block read: from the store, else through the under store while the store is filled.
//!
//! A [`Read`] is checked once and then goes on from wherever it is: pages of a whole block come
//! from its file; a missing block is filled and its pages follow as they land; where nothing may be
//! kept, or nothing fits, bytes stream straight through. A page that fails its checksum ends in the
//! same place as a missing one. What is sent is exact: all of it, or an error.

use super::fill::{Filler, run_blocking};
use super::frame::{Buffers, prefix};
use super::memory::Memory;
use super::mend::Mender;
use super::metrics::Counts;
use super::mounts::{Mounts, Wanted};
use super::store::{Block, BlockStore, Damage, is_full};
use crate::core::error::{Error, ErrorKind, Result, internal, invalid_argument, unavailable};
use crate::core::model::BlockId;
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::proto::grpc::block::ReadRequest;
use bytes::Bytes;
use futures::StreamExt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Status;

/// Data of one read of a file, and the largest chunk: well below the 4 MiB that clients take.
const PIECE: u64 = 1 << 20;
/// How often a reader that waits for an under store hears that we are still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How often a read starts over when the block is removed under it.
const ATTEMPTS: u32 = 3;

/// What an open read is made of. Clones share it.
#[derive(Clone)]
pub struct Reads {
    /// The blocks.
    pub store: Arc<BlockStore>,
    /// What is on its way into the store.
    pub filler: Filler,
    /// The under stores.
    pub mounts: Arc<Mounts>,
    /// What has good bytes for the only copies here.
    pub mender: Mender,
    /// What is counted.
    pub counts: Counts,
    /// Where frames are read into.
    pub buffers: Buffers,
    /// What readers may take together.
    pub memory: Memory,
}

/// A read under way.
#[derive(Clone, Debug)]
pub struct Read {
    id: BlockId,
    /// The next byte to send.
    pub position: u64,
    /// One beyond the last.
    pub end: u64,
    chunk: u64,
    /// The version the block is to be of; empty for any.
    version: String,
    options: Option<OpenUfsBlockOptions>,
}

/// Frames for the wire in order; `Ok(None)` is the end.
pub type Frames = mpsc::Sender<std::result::Result<Option<Bytes>, Status>>;

/// Buffers for what [`Reads`] reads at once.
pub fn buffers(page_size: u64) -> Buffers {
    Buffers::new(piece_limit(page_size) as usize)
}

/// Data of one read of a file: at least a page, so that it is verified as it goes out.
fn piece_limit(page_size: u64) -> u64 {
    if page_size <= 4 * PIECE { page_size.max(PIECE) } else { PIECE }
}

impl Read {
    /// What a request asks for.
    ///
    /// # Errors
    /// `InvalidArgument` for one that makes no sense.
    pub fn of(request: ReadRequest) -> Result<Read> {
        let id = BlockId(request.block_id());
        let number = |value: i64, name: &str| {
            u64::try_from(value).map_err(|_| {
                invalid_argument(format!("{name} {value} of a read of block {id} is negative"))
            })
        };
        if id.0 <= 0 {
            return Err(invalid_argument(format!("{id} is no block id")));
        }
        let position = number(request.offset(), "offset")?;
        let length = number(request.length(), "length")?;
        let chunk = match number(request.chunk_size(), "chunk_size")? {
            0 => PIECE,
            chunk => chunk.min(PIECE),
        };
        let end = position.checked_add(length).filter(|&end| end <= i64::MAX as u64);
        let end = end.ok_or_else(|| {
            invalid_argument(format!("a read of block {id} beyond the end of any block"))
        })?;
        let options = request.open_ufs_block_options;
        let told = options.as_ref().map(|options| options.version());
        let version = request.version.as_deref().or(told).unwrap_or_default().into();
        Ok(Read { id, position, end, chunk, version, options })
    }

    /// Whether all has been sent.
    pub fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// Bytes of the next piece of a block with pages of this size: up to a page's end where that
    /// can be, since whole pages are verified for nothing.
    fn piece(&self, page_size: u64) -> u64 {
        let limit = if self.chunk < page_size { page_size } else { self.chunk };
        let end = self.end.min(self.position + limit.min(piece_limit(page_size)));
        let aligned = end / page_size * page_size;
        if aligned > self.position && end < self.end {
            aligned - self.position
        } else {
            end - self.position
        }
    }

    fn check_within(&self, length: u64) -> Result<()> {
        if self.end > length {
            return Err(Error::new(
                ErrorKind::OutOfRange,
                format!(
                    "{} to {} is beyond block {}, which has {length} bytes",
                    self.position, self.end, self.id
                ),
            ));
        }
        Ok(())
    }

    fn nowhere(&self, why: &str) -> Error {
        unavailable(format!("block {} is not in tiered storage and not in the UFS: {why}", self.id))
    }
}

impl Reads {
    /// The block, when it is whole and its file is as it should be. One whose file is not is
    /// dropped, unless it is the only copy.
    ///
    /// # Errors
    /// `OutOfRange` when the read is not within the block; `DataLoss` when the only copy is damaged.
    pub async fn stored(&self, read: &Read) -> Result<Option<(Arc<Block>, Arc<File>)>> {
        let Some(block) = self.store.get(read.id, read.position).filter(|block| block.is_whole())
        else {
            return Ok(None);
        };
        if self.is_stale(&block, read) {
            return Ok(None);
        }
        read.check_within(block.length())?;
        let opened = match block.is_in_memory() {
            true => block.open(),
            false => {
                let block = block.clone();
                run_blocking(move || block.open()).await?
            }
        };
        match opened {
            Ok(file) => Ok(Some((block, file))),
            Err(error) => self.damaged(block, error).await.map(|()| None),
        }
    }

    /// Whether the reader wants another version than the block is of.
    fn is_stale(&self, block: &Block, read: &Read) -> bool {
        !block.is_unpersisted()
            && !read.version.is_empty()
            && !block.version().is_empty()
            && read.version != block.version()
    }

    /// The frames of the next piece of a block in the store. Waits for the disk.
    ///
    /// # Errors
    /// `DataLoss` when a page does not match its checksum.
    pub fn next_piece(&self, read: &mut Read, block: &Block, file: &File) -> Result<Vec<Bytes>> {
        let page_size = block.page_size();
        let length = read.piece(page_size);
        let mut buffer = self.buffers.take(length as usize);
        block.read(file, read.position, buffer.data())?;
        let pages = (read.position + length).div_ceil(page_size) - read.position / page_size;
        self.counts.hits.inc_by(pages);
        self.counts.read_bytes.inc_by(length);
        read.position += length;
        block.read_to(read.position);
        Ok(buffer.into_frames(read.chunk as usize))
    }

    /// Forgets those bytes of a block that are not what they were, so that they are filled again.
    ///
    /// # Errors
    /// `error` itself when no other worker has a copy of what is not in the under store, or when it is not about its bytes.
    pub async fn damaged(&self, block: Arc<Block>, error: Error) -> Result<()> {
        // One that has just been evicted has no file any more, and that is no damage.
        if block.is_removed() {
            return Ok(());
        }
        let store = self.store.clone();
        let examined = run_blocking(move || (store.examine(&block, &error), error, block)).await?;
        let (damage, error, block) = examined;
        match damage {
            Damage::Lost(pages) => {
                self.counts.bad_pages.inc_by(pages as u64);
                tracing::warn!(%error, pages, "bad pages; they will be filled again");
            }
            Damage::Dropped => {
                self.counts.bad_pages.inc();
                tracing::warn!(%error, "dropped; it will be filled again");
            }
            Damage::OnlyCopy => {
                self.counts.bad_pages.inc();
                return self.mend(&block, error).await;
            }
            Damage::None if block.is_removed() => {}
            Damage::None => return Err(error),
        }
        Ok(())
    }

    /// Makes a block that is not in the under store good again, from another worker.
    async fn mend(&self, block: &Arc<Block>, error: Error) -> Result<()> {
        match self.mender.mend(block).await {
            Ok(pages) => {
                self.counts.repaired_pages.inc_by(pages);
                tracing::warn!(%error, pages, "bad pages; another worker had good ones");
                Ok(())
            }
            Err(why) => {
                tracing::error!(%error, %why, block = %block.id(), "the only copy of a block is damaged");
                Err(error)
            }
        }
    }

    /// Sends the rest of `read`, wherever it is to be had from.
    pub async fn feed(self, mut read: Read, frames: Frames) {
        let last = match self.feed_all(&mut read, &frames).await {
            Ok(()) => Ok(None),
            Err(error) => Err(error.into()),
        };
        frames.send(last).await.ok();
    }

    async fn feed_all(&self, read: &mut Read, frames: &Frames) -> Result<()> {
        let mut attempt = 1;
        while !read.is_done() {
            if let Some((block, file)) = self.stored(read).await? {
                self.feed_stored(read, block, file, frames).await?;
                continue;
            }
            match self.feed_cold(read, frames).await {
                // The block was removed under us: it was damaged, or the master said so.
                Err(error) if error.kind() == ErrorKind::Aborted && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(read.nowhere(&error.to_string()));
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Sends from a whole block; returns early, without an error, when it turns out damaged.
    async fn feed_stored(
        &self,
        read: &mut Read,
        block: Arc<Block>,
        file: Arc<File>,
        frames: &Frames,
    ) -> Result<()> {
        while !read.is_done() {
            let (reads, mut next) = (self.clone(), read.clone());
            let (held, open) = (block.clone(), file.clone());
            let piece = run_blocking(move || {
                let piece = reads.next_piece(&mut next, &held, &open);
                piece.map(|piece| (piece, next.position))
            });
            match piece.await? {
                Ok((piece, position)) => {
                    read.position = position;
                    send(frames, piece).await?;
                }
                Err(error) => return self.damaged(block, error).await,
            }
        }
        Ok(())
    }

    async fn feed_cold(&self, read: &mut Read, frames: &Frames) -> Result<()> {
        let Some(options) = &read.options else {
            return Err(read.nowhere("the request names no UFS file to read it from"));
        };
        let wanted = waiting(frames, self.mounts.locate(read.id, options)).await?;
        read.check_within(wanted.length)?;
        if options.no_cache() {
            return self.feed_through(read, &wanted, frames).await;
        }
        match self.feed_filling(read, &wanted, frames).await {
            Err(error) if is_full(error.kind()) => {
                tracing::debug!(%error, "read through without keeping it");
                self.feed_through(read, &wanted, frames).await
            }
            result => result,
        }
    }

    /// Sends pages as they land in the store, having those ahead fetched meanwhile: few at first,
    /// more as the reader goes on.
    async fn feed_filling(&self, read: &mut Read, wanted: &Wanted, frames: &Frames) -> Result<()> {
        let fill = self.filler.open(wanted).await?;
        let page_size = fill.block().page_size();
        let last = read.end.div_ceil(page_size) as usize;
        let mut asked = (read.position / page_size) as usize;
        let mut ahead = fill.run_min();
        let mut ticket = 0;
        while !read.is_done() {
            let page = (read.position / page_size) as usize;
            if asked < last && asked <= page + ahead / 2 {
                let to = (page + ahead).min(last);
                ticket = fill.want(asked..to);
                asked = to;
                ahead = (ahead * 2).min(fill.run_all());
            }
            waiting(frames, fill.wait(page, ticket)).await?;
            let end = ((page as u64 + 1) * page_size).min(read.end);
            let mut one = Read { end, ..read.clone() };
            let (reads, block) = (self.clone(), fill.block().clone());
            let pieces = match run_blocking(move || reads.pieces(&mut one, &block)).await? {
                Ok(pieces) => pieces,
                Err(error) => {
                    let again = Error::new(ErrorKind::Aborted, error.to_string());
                    self.damaged(fill.block().clone(), error).await?;
                    return Err(again);
                }
            };
            read.position = end;
            send(frames, pieces).await?;
        }
        Ok(())
    }

    /// All frames of a read within one page.
    fn pieces(&self, read: &mut Read, block: &Block) -> Result<Vec<Bytes>> {
        let file = block.open()?;
        let mut pieces = Vec::new();
        while !read.is_done() {
            pieces.extend(self.next_piece(read, block, &file)?);
        }
        Ok(pieces)
    }

    /// Sends bytes of the under store as they come, and keeps none.
    async fn feed_through(&self, read: &mut Read, wanted: &Wanted, frames: &Frames) -> Result<()> {
        let source = &wanted.source;
        let range = source.offset + read.position..source.offset + read.end;
        let version = Some(source.version.as_str()).filter(|version| !version.is_empty());
        let mut stream = waiting(frames, source.ufs.read(&source.path, version, range)).await?;
        while !read.is_done() {
            let next = waiting(frames, async { Ok(stream.next().await) }).await?;
            let mut bytes = next.unwrap_or_else(|| {
                Err(unavailable(format!("{} of block {} ended early", source.path, read.id)))
            })?;
            bytes.truncate((read.end - read.position).min(usize::MAX as u64) as usize);
            self.counts.read_bytes.inc_by(bytes.len() as u64);
            read.position += bytes.len() as u64;
            while !bytes.is_empty() {
                let chunk = bytes.split_to(bytes.len().min(read.chunk as usize));
                send(frames, vec![prefix(chunk.len()), chunk]).await?;
            }
        }
        Ok(())
    }
}

async fn send(frames: &Frames, pieces: Vec<Bytes>) -> Result<()> {
    for piece in pieces {
        frames.send(Ok(Some(piece))).await.map_err(|_| gone())?;
    }
    Ok(())
}

fn gone() -> Error {
    Error::new(ErrorKind::Cancelled, "the reader is gone")
}

/// Waits for `work` as long as the reader is there, and tells it now and then that we are.
async fn waiting<T>(frames: &Frames, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = frames.closed() => return Err(gone()),
            () = tokio::time::sleep(KEEP_ALIVE) => {
                frames.send(Ok(Some(prefix(0)))).await.map_err(|_| gone())?;
            }
        }
    }
}

/// What a reader is told whose feed ended without a word.
pub fn broken_off() -> Status {
    internal("the worker broke this read off").into()
}
