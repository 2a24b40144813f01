//! An open file: read anywhere, or from one place on.

use super::FileSystem;
use super::block::prefetch::Prefetch;
use super::block::{Blocks, Part};
use super::memory::{Memory, Turn, carrying};
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{BlockId, ReadType, Status};
use crate::core::rpc::lend::LentBlock;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use std::ops::Range;
use std::sync::Arc;

use super::options::OpenOptions;

/// Bytes a sequential reader fetches ahead where nobody says otherwise.
const READ_AHEAD: u64 = 32 << 20;

/// An open file. Clones read the same file; any number of reads may run at the same time.
#[derive(Clone)]
pub struct Reader {
    blocks: Blocks,
    status: Arc<Status>,
    read_ahead: u64,
    memory: Memory,
}

impl Reader {
    pub(super) fn open(fs: &FileSystem, status: Status, options: &OpenOptions) -> Result<Self> {
        let path = &status.path;
        if status.folder {
            let text = format!("{path} is a directory: give a file");
            return Err(Error::new(ErrorKind::IsDirectory, text));
        }
        if !status.completed {
            let text = format!("{path} is incomplete: its writer has not closed it yet");
            return Err(Error::new(ErrorKind::Incomplete, text));
        }
        let configured = fs.context.config.client.read_type;
        let read_type = options.read_type.or(status.read_type).unwrap_or(configured);
        let no_cache = read_type == ReadType::NoCache || !status.cacheable;
        let blocks = Blocks::new(fs, status, no_cache);
        let read_ahead = options.read_ahead.unwrap_or(READ_AHEAD);
        let memory = fs.context.memory.clone();
        Ok(Reader { status: blocks.status(), blocks, read_ahead, memory })
    }

    /// What was known of the file when it was opened.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Bytes in the file.
    pub fn len(&self) -> u64 {
        self.status.length
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `length` bytes from `offset`; fewer only where the file ends, none beyond its end. Where memory
    /// has a bound, waits until others have let go of what they read, and counts until the bytes go.
    ///
    /// # Errors
    /// `Changed` when the file was replaced in the under store since it was opened: see
    /// [`FileSystem::refresh`]. `Unavailable`, naming block and workers, when nobody could serve
    /// it.
    pub async fn read_at(&self, offset: u64, length: u64) -> Result<Bytes> {
        let length = self.len().saturating_sub(offset).min(length);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let turn = self.memory.read(length).await?;
        let bytes = self.read_within(offset, length, &turn).await;
        bytes.map(|bytes| carrying(bytes, turn))
    }

    /// The same for one who has a turn already: another would have it wait for others who wait for it.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub async fn read_within(&self, offset: u64, length: u64, _turn: &Turn) -> Result<Bytes> {
        let end = offset.saturating_add(length).min(self.len());
        let parts = parts(offset..end, self.status.block_size);
        match parts[..] {
            [part] => self.blocks.read(part).await,
            _ => {
                let reads = parts.iter().map(|&part| self.blocks.read(part));
                let pieces = futures::future::try_join_all(reads).await?;
                let mut whole = BytesMut::with_capacity((end - offset) as usize);
                pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
                Ok(whole.freeze())
            }
        }
    }

    /// The bytes in `range` in order, fetched ahead of the reader. What lies beyond the end of the
    /// file is left out.
    pub fn stream(&self, range: Range<u64>) -> ReadStream {
        let range = range.start.min(self.len())..range.end.min(self.len());
        ReadStream(Prefetch::new(self.blocks.clone(), range, self.read_ahead))
    }

    /// All bytes of the file in order, fetched ahead of the reader.
    pub fn stream_all(&self) -> ReadStream {
        self.stream(0..self.len())
    }

    /// CRC32C of the whole file: the one its writer left, else computed by reading it.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub async fn crc32c(&self) -> Result<u32> {
        let left = |name| self.status.xattrs.get(name).map(Vec::as_slice);
        // The wire's number for CRC32C, and the value big endian (protocol, section 5.4).
        if let (Some([2]), Some(&[a, b, c, d])) = (left("CrcType"), left("CrcValue")) {
            return Ok(u32::from_be_bytes([a, b, c, d]));
        }
        let mut stream = self.stream_all();
        let mut crc = 0;
        while let Some(bytes) = stream.next().await? {
            crc = crc32c::crc32c_append(crc, &bytes);
        }
        Ok(crc)
    }

    /// The local file that is block `index`, where a worker on this host has it whole; none where
    /// the block must be read. The block never changes, and the descriptor stays good.
    ///
    /// # Errors
    /// `Unavailable` when the master cannot name the workers.
    pub async fn lend(&self, index: u64) -> Result<Option<Arc<LentBlock>>> {
        self.blocks.lend(index).await
    }

    /// The same, and where a worker has to be asked, it is asked for the blocks that `also` names
    /// too: those of files one will open next. They are kept for a moment.
    ///
    /// # Errors
    /// As [`Reader::lend`].
    pub async fn lend_with(
        &self,
        index: u64,
        also: impl FnOnce() -> Vec<BlockId>,
    ) -> Result<Option<Arc<LentBlock>>> {
        self.blocks.lend_with(index, also).await
    }
}

/// A range of a file, in order.
pub struct ReadStream(Prefetch);

impl ReadStream {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// As [`Reader::read_at`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.next().await
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        futures::stream::try_unfold(self, |mut stream| async move {
            Ok(stream.next().await?.map(|bytes| (bytes, stream)))
        })
    }
}

/// Cuts a range at block boundaries.
fn parts(range: Range<u64>, block_size: u64) -> Vec<Part> {
    let block_size = block_size.max(1);
    let mut parts = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let offset = at % block_size;
        let length = (block_size - offset).min(range.end - at);
        parts.push(Part { index: at / block_size, offset, length, alone: true });
        at += length;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_blocks() {
        let cut: Vec<_> = parts(5..25, 10).iter().map(|p| (p.index, p.offset, p.length)).collect();
        assert_eq!(cut, [(0, 5, 5), (1, 0, 10), (2, 0, 5)]);
        assert!(parts(7..7, 10).is_empty());
        assert_eq!(parts(10..20, 10).len(), 1);
    }
}
