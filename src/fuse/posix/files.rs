//! Opening files and reading them.

use super::Posix;
use crate::client::{OpenOptions, Reader, Turn};
use crate::core::model::FileId;
use crate::core::rpc::lend::LentBlock;
use crate::fuse::errno::Errno;
use crate::fuse::handles::Read;
use crate::fuse::inodes::{Known, number};
use bytes::Bytes;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// How long an open waits for a worker to lend a block before it goes without.
const LENDING: Duration = Duration::from_secs(1);

/// A file about to be read.
pub struct Opened {
    /// What is known of it.
    pub known: Arc<Known>,
    /// Reads it.
    pub reader: Reader,
}

impl Posix {
    /// Opens `ino` for reading; none where the master has to be asked first.
    pub fn open_now(&self, ino: u64) -> Option<Result<Opened, Errno>> {
        if self.handles.writing(ino).is_some() {
            return None;
        }
        let known = self.inodes.known(ino)?.known;
        known.status.completed.then(|| self.opened(known))
    }

    /// The file that holds all bytes of `ino`, if this host's worker has lent it a moment ago, and of which
    /// version those are.
    pub fn lent_now(&self, ino: u64) -> Option<(FileId, Arc<LentBlock>)> {
        if self.handles.writing(ino).is_some() {
            return None;
        }
        let known = self.inodes.known(ino)?.known;
        let status = &known.status;
        if !status.completed || status.block_count() != 1 {
            return None;
        }
        let lent = self.files.lent(status.id.block(0));
        let lent = lent.filter(|block| block.length == status.length)?;
        self.ahead.hit();
        Some((status.id, lent))
    }

    /// Opens `ino` for reading.
    ///
    /// # Errors
    /// `EBUSY` when another mount is making it; `ESTALE` when it is gone.
    pub async fn open(&self, ino: u64) -> Result<Opened, Errno> {
        self.opened(self.find_complete(ino).await?)
    }

    /// Where data or a hole is in `ino`, at `offset` or after it, as lseek(2) says. Only of a file that
    /// is being changed do we know of holes.
    ///
    /// # Errors
    /// `ENXIO` beyond the end.
    pub async fn seek(&self, ino: u64, offset: u64, whence: i32) -> Result<u64, Errno> {
        if let Some(staged) = self.handles.writing(ino).and_then(|write| write.staged()) {
            return staged.seek(offset, whence);
        }
        let length = self.attributes(ino).await?.attributes.size;
        match whence {
            _ if offset >= length => Err(Errno(libc::ENXIO)),
            libc::SEEK_DATA => Ok(offset),
            libc::SEEK_HOLE => Ok(length),
            _ => Err(Errno::INVALID),
        }
    }

    fn opened(&self, known: Arc<Known>) -> Result<Opened, Errno> {
        let read_ahead = Some(self.options.max_read_ahead);
        let options = OpenOptions { read_ahead, ..OpenOptions::default() };
        let reader = self.files.open_status(known.status.clone(), &options)?;
        Ok(Opened { known, reader })
    }

    /// The file that holds all bytes of what was opened, if that is one block and this host's worker
    /// has it whole.
    pub async fn lend(&self, opened: &Opened) -> Option<Arc<LentBlock>> {
        let status = &opened.known.status;
        if status.block_count() != 1 {
            return None;
        }
        let next = || self.ahead.next(&self.inodes, number(status.id));
        let lent = tokio::time::timeout(LENDING, opened.reader.lend_with(0, next)).await;
        lent.ok()?.ok()?.filter(|block| block.length == status.length)
    }

    /// A handle for reading `ino` through us.
    pub fn read_handle(&self, ino: u64, opened: Opened) -> u64 {
        self.handles.insert_read(Read::new(ino, opened.known, opened.reader))
    }

    /// Reads into `buffer` what a block lent to this process holds; none where it has to be fetched.
    pub fn read_now(
        &self,
        file: &Read,
        offset: u64,
        size: u32,
        buffer: &mut Vec<u8>,
    ) -> Option<Result<(), Errno>> {
        let status = &file.known.status;
        let end = (offset + u64::from(size)).min(status.length);
        buffer.clear();
        if end <= offset {
            return Some(Ok(()));
        }
        let index = offset / status.block_size.max(1);
        let start = index * status.block_size;
        if end > start + status.block_size {
            return None;
        }
        let block = file.lent(index)?;
        buffer.resize((end - offset) as usize, 0);
        Some(block.file.read_exact_at(buffer, offset - start).map_err(|error| {
            tracing::warn!(%error, path = %status.path, index, "reading a block's file");
            Errno::IO
        }))
    }

    /// Memory for a read of `size` bytes, until it is answered.
    ///
    /// # Errors
    /// `ETIMEDOUT` when nobody else gets on either.
    pub async fn read_turn(&self, size: u32) -> Result<Turn, Errno> {
        Ok(self.files.memory().read(u64::from(size)).await?)
    }

    /// Reads `size` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// `ESTALE` when the file changed in the under store since it was opened; `EIO` when nobody
    /// could serve it.
    pub async fn read(&self, file: &Read, offset: u64, size: u32) -> Result<Bytes, Errno> {
        let index = offset / file.known.status.block_size.max(1);
        if file.lent(index).is_none()
            && let Ok(Some(block)) = file.reader.lend(index).await
        {
            file.keep_lent(index, block);
        }
        Ok(file.reader.read_at(offset, u64::from(size)).await?)
    }
}
