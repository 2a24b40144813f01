//! A file being written: cut into blocks, each to its workers, and to the under store as its write
//! type asks (protocol, section 6.3).
//!
//! A file shows up whole or not at all: until [`Writer::close`] has returned it is incomplete, and
//! a writer that is cancelled, dropped or fails takes back what it wrote. Which failures a write
//! survives:
//!
//! - a worker that is lost is replaced while what it was given is still held here (16 MiB a stream,
//!   or less where memory has a bound); later the write fails, except that
//! - with `CACHE_THROUGH` the cache is an extra: without it the file goes to the under store alone;
//! - with `TRY_CACHE` a full cache makes the file go to the under store instead, with what was
//!   cached before.

use super::FileSystem;
use super::block::copies::{Copies, Wanted};
use super::block::{Blocks, Part, route};
use super::master::{named, status_of, wire_write};
use super::memory::{Lane, Turn};
use super::options::{CreateOptions, DeleteOptions, MetadataLoad, SetAttributes, StatusOptions};
use crate::core::error::{Error, ErrorKind, Result, failed_precondition, unsupported};
use crate::core::model::{BlockId, BlockStatus, FileId, FsPath, Status, WriteType};
use crate::core::proto::convert::pmode;
use crate::core::proto::dataserver::CreateUfsFileOptions;
use crate::core::proto::grpc::ChecksumTypeProto;
use crate::core::proto::grpc::block::{RequestType, WriteRequestCommand};
use crate::core::proto::grpc::file::{
    CompleteFilePOptions, CompleteFilePRequest, CreateFilePOptions, CreateFilePRequest,
    DeletePOptions, DeletePRequest, RemoveBlocksPRequest, ScheduleAsyncPersistencePOptions,
};
use crate::core::proto::shared::FileLocation;
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;

/// Blocks that may be committing while the next is written.
const COMMITTING: usize = 2;

/// What a next version may replace: the file with that id or, inside, nothing; none for whatever there
/// is.
pub type Expected = Option<Option<FileId>>;

/// How it stands with the object that a next version is to be in the under store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// Nothing of it is to be seen.
    Open,
    /// The master holds it for us, and it may be there.
    Asked,
    /// It does not come about: the store has refused it, or the master has not agreed.
    Refused,
}

/// A file being written. Dropping it before [`Writer::close`] discards the file.
pub struct Writer {
    /// None once closed or cancelled.
    open: Option<Open>,
    runtime: tokio::runtime::Handle,
}

struct Open {
    fs: FileSystem,
    status: Status,
    write_type: WriteType,
    persist_delay: Option<Duration>,
    /// How many copies of a block go into the cache; none where it is left out.
    cache: Option<Wanted>,
    /// Whether the bytes go to the under store now.
    through: bool,
    chunk_size: u64,
    /// Less than a chunk, not sent yet, and its turn. Without one nothing is left here.
    pending: BytesMut,
    gathering: Option<Turn>,
    lane: Lane,
    sent: u64,
    crc: u32,
    block: Option<Copies>,
    committing: VecDeque<Copies>,
    committed: Vec<BlockStatus>,
    ufs: Option<Copies>,
    failed: bool,
    /// Whether it is a next version.
    next: bool,
    /// Whether the file stays, incomplete, when it cannot be completed.
    kept: bool,
    /// How it stands with the object of a next version.
    closing: Closing,
    modified_ms: Option<i64>,
    expected: Expected,
}

impl FileSystem {
    /// Makes a file and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists` where something is, also a file that another writer has not closed;
    /// `NotFound` without a parent, unless `recursive`; `ReadOnly` on a mount that takes no writes.
    pub async fn create(&self, path: &FsPath, options: &CreateOptions) -> Result<Writer> {
        let client = &self.context.config.client;
        let mode = options.mode.unwrap_or(0o666 & !self.umask());
        let request = CreateFilePRequest {
            path: Some(path.as_str().into()),
            options: Some(CreateFilePOptions {
                block_size_bytes: Some(options.block_size.unwrap_or(client.block_size.0) as i64),
                recursive: Some(options.recursive),
                mode: Some(pmode(mode)),
                write_type: options.write_type.map(wire_write),
                common_options: Some(self.change()),
                persistence_wait_time: options.persist_delay.map(|d| d.as_millis() as i64),
                default_write_type: Some(wire_write(client.write_type)),
                next: options.next.then_some(true),
                replaces_id: options.replaces.map(|id| id.map_or(0, |id| id.0)),
            }),
        };
        let answer = self
            .tree(path, |mut tree| {
                let request = request.clone();
                async move { tree.create_file(request).await }
            })
            .await?;
        let status = status_of(answer.file_info)?;
        let write_type = options.write_type.unwrap_or_else(|| decided(&status));
        let open = Open::new(self, status, write_type, options);
        let writer = Writer { open: Some(open), runtime: tokio::runtime::Handle::current() };
        if mode & 0o7000 != 0 && !options.next {
            let special = SetAttributes { mode: Some(mode), ..Default::default() };
            self.set_attributes(path, &special).await?;
        }
        Ok(writer)
    }
}

impl Writer {
    /// What is known of the file so far.
    pub fn status(&self) -> Option<&Status> {
        self.open.as_ref().map(|open| &open.status)
    }

    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.sent + open.pending.len() as u64)
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `data`; waits while the workers are slower than the caller.
    ///
    /// # Errors
    /// `ResourceExhausted` when the cache has no room and the write type needs it; `Unavailable`
    /// when no worker can be reached. After an error nothing more can be written: close fails too.
    pub async fn write(&mut self, data: impl Into<Bytes>) -> Result<()> {
        let mut data = data.into();
        while !data.is_empty() {
            let (turn, room) = self.room(data.len() as u64).await?;
            self.write_within(data.split_to(room as usize), turn).await?;
        }
        Ok(())
    }

    /// Waits for memory for the next bytes, `wanted` at most: its turn, and how many. They are written
    /// with [`Writer::write_within`].
    ///
    /// # Errors
    /// `DeadlineExceeded` when nobody else gets on either; then as [`Writer::write`].
    pub async fn room(&mut self, wanted: u64) -> Result<(Turn, u64)> {
        let open = self.open()?;
        let result = open.fs.context.memory.next(&open.lane, wanted).await;
        open.failed |= result.is_err();
        result.map_err(|e| named(e, &open.status.path))
    }

    /// Has everything later fail, as after an error: what the caller had to write is not whole.
    pub fn give_up(&mut self) {
        if let Some(open) = &mut self.open {
            open.failed = true;
        }
    }

    /// Appends `data`, which has `turn` until it is sent on.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub async fn write_within(&mut self, data: Bytes, turn: Turn) -> Result<()> {
        let open = self.open()?;
        let result = open.write(data, turn).await;
        open.failed |= result.is_err();
        result.map_err(|e| named(e, &open.status.path))
    }

    /// Waits until all that was written is durable where it went. The file stays incomplete.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub async fn flush(&mut self) -> Result<()> {
        let open = self.open()?;
        let result = open.flush().await;
        open.failed |= result.is_err();
        result.map_err(|e| named(e, &open.status.path))
    }

    /// Completes the file, and tells what it is now. When this returns, the file is as safe as its
    /// write type says.
    ///
    /// # Errors
    /// As [`Writer::write`]; what was written is discarded then.
    pub async fn close(self) -> Result<Status> {
        let (fs, path) = match &self.open {
            Some(open) => (open.fs.clone(), open.status.path.clone()),
            None => return Err(ended()),
        };
        self.finish().await?;
        let known = StatusOptions { load: Some(MetadataLoad::Never), ..Default::default() };
        fs.status_with(&path, &known).await
    }

    /// All that was written is where it goes, as far as nobody sees it: what is left is to finish it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub async fn seal(&mut self) -> Result<()> {
        let open = self.open()?;
        let result = open.seal().await;
        open.failed |= result.is_err();
        result.map_err(|e| named(e, &open.status.path))
    }

    /// It counts as modified at `modified_ms`, whenever it is closed.
    pub fn modified(mut self, modified_ms: i64) -> Self {
        if let Some(open) = &mut self.open {
            open.modified_ms = Some(modified_ms);
        }
        self
    }

    /// Should it not be completed, the file stays, incomplete and with nothing of what was written.
    pub fn kept(mut self) -> Self {
        if let Some(open) = &mut self.open {
            open.kept = true;
        }
        self
    }

    /// Whether [`Writer::take_back`] would work: some of it is kept elsewhere than in the under store.
    pub fn gives_back(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.cache.is_some())
    }

    /// Gives back to `to` what was written so far, in order, and nothing is left of it with the workers. The
    /// file itself stays, incomplete, unless it was a next version.
    ///
    /// # Errors
    /// `Unsupported` when it went to the under store alone, which gives nothing back before the end;
    /// `Unavailable` when the workers do not either. The file is discarded then.
    pub async fn take_back(mut self, to: mpsc::Sender<Bytes>) -> Result<()> {
        let mut open = self.open.take().ok_or_else(ended)?;
        match open.take_back(to).await {
            Ok(()) => {
                open.withdraw().await;
                Ok(())
            }
            // Nobody can complete it any more.
            Err(error) => {
                let error = named(error, &open.status.path);
                open.discard().await;
                Err(error)
            }
        }
    }

    /// Nothing is left of what was written so far. The file itself stays, incomplete, unless it was a next
    /// version.
    pub async fn withdraw(mut self) {
        if let Some(mut open) = self.open.take() {
            open.withdraw().await;
        }
    }

    /// [`Writer::close`] without asking for the status: one call less.
    ///
    /// # Errors
    /// As [`Writer::close`].
    pub async fn finish(mut self) -> Result<()> {
        let mut open = self.open.take().ok_or_else(ended)?;
        let result = match open.failed {
            true => Err(failed_precondition("an earlier write failed, so the file was discarded")),
            false => open.finish().await,
        };
        if let Err(error) = result {
            let error = named(error, &open.status.path);
            open.discard().await;
            return Err(error);
        }
        Ok(())
    }

    /// Discards the file.
    pub async fn cancel(mut self) {
        if let Some(open) = self.open.take() {
            open.discard().await;
        }
    }

    fn open(&mut self) -> Result<&mut Open> {
        let open = self.open.as_mut().ok_or_else(ended)?;
        if open.failed {
            let path = &open.status.path;
            return Err(failed_precondition(format!("{path}: an earlier write failed")));
        }
        Ok(open)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        let group = open.fs.context.group.clone();
        let _runtime = self.runtime.enter();
        group.spawn("discard a file", open.discard());
    }
}

fn ended() -> Error {
    failed_precondition("this writer was closed or cancelled")
}

impl Open {
    fn new(
        fs: &FileSystem,
        status: Status,
        write_type: WriteType,
        options: &CreateOptions,
    ) -> Self {
        let client = &fs.context.config.client;
        let copies = match write_type {
            WriteType::AsyncThrough => client.durable_replicas,
            _ => client.replicas,
        };
        let copies = options.replicas.unwrap_or(copies).max(1) as usize;
        let least = match write_type {
            WriteType::AsyncThrough => copies.min(client.durable_replicas_min.max(1) as usize),
            _ => 1,
        };
        Open {
            fs: fs.clone(),
            cache: (write_type != WriteType::Through).then_some(Wanted { copies, least }),
            through: matches!(write_type, WriteType::Through | WriteType::CacheThrough),
            chunk_size: fs.context.memory.chunk(client.chunk_size.0.clamp(1, 1 << 30)),
            status,
            write_type,
            persist_delay: options.persist_delay,
            pending: BytesMut::new(),
            gathering: None,
            lane: Lane::default(),
            sent: 0,
            crc: 0,
            block: None,
            committing: VecDeque::new(),
            committed: Vec::new(),
            ufs: None,
            failed: false,
            next: options.next,
            kept: false,
            closing: Closing::Open,
            modified_ms: None,
            expected: options.replaces,
        }
    }

    async fn write(&mut self, mut data: Bytes, turn: Turn) -> Result<()> {
        while !data.is_empty() {
            let room = self.room();
            let enough = self.fs.context.memory.gathered(room);
            let small = !self.pending.is_empty() || (data.len() as u64) < enough;
            if !small || !self.may_gather(enough) {
                let chunk = data.split_to(data.len().min(room as usize));
                self.send(chunk, turn.clone(), None).await?;
                continue;
            }
            let wanted = (enough as usize - self.pending.len()).min(data.len());
            self.pending.extend_from_slice(&data.split_to(wanted));
            if self.pending.len() as u64 == enough {
                self.send_pending(false).await?;
            }
        }
        Ok(())
    }

    /// Whether up to `most` bytes may be gathered before they are sent.
    fn may_gather(&mut self, most: u64) -> bool {
        if self.gathering.is_some() {
            return true;
        }
        let memory = &self.fs.context.memory;
        self.gathering = memory.gather(most);
        if self.gathering.is_some() && memory.is_bounded() {
            // Not more than was counted.
            self.pending = BytesMut::with_capacity(most as usize);
        }
        self.gathering.is_some()
    }

    /// Sends what was gathered; `ends` where the file does.
    async fn send_pending(&mut self, ends: bool) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = self.pending.split().freeze();
        let turn = self.gathering.take().unwrap_or_default();
        let in_block = self.sent % self.status.block_size.max(1);
        let last = ends.then_some(in_block + chunk.len() as u64);
        self.send(chunk, turn, last).await
    }

    /// Bytes in the next chunk: chunks never cross a block.
    fn room(&self) -> u64 {
        let block_size = self.status.block_size.max(1);
        self.chunk_size.min(block_size - self.sent % block_size)
    }

    /// Sends one chunk where it belongs; it has `turn` until then. `last` is the length of the block
    /// where it is known to end with this chunk: then no more room than that is reserved.
    async fn send(&mut self, chunk: Bytes, turn: Turn, last: Option<u64>) -> Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, &chunk);
        if self.through {
            if self.ufs.is_none() {
                self.ufs = Some(self.open_ufs().await?);
            }
            let ufs = self.ufs.as_mut().expect("just opened");
            ufs.write(chunk.clone(), turn.clone()).await?;
        }
        if self.cache.is_some()
            && let Err(error) = self.send_to_cache(chunk.clone(), turn.clone(), last).await
        {
            self.without_cache(error, Some((chunk.clone(), turn))).await?;
        }
        self.sent += chunk.len() as u64;
        Ok(())
    }

    async fn send_to_cache(&mut self, chunk: Bytes, turn: Turn, last: Option<u64>) -> Result<()> {
        if self.block.is_none() {
            match self.open_block(last).await? {
                Some(block) => self.block = Some(block),
                None => {
                    let ufs = self.ufs.as_mut().expect("instead of the block");
                    return ufs.write(chunk, turn).await;
                }
            }
        }
        let block = self.block.as_mut().expect("just opened");
        block.write(chunk, turn).await?;
        if block.length() < self.status.block_size.max(1) {
            return Ok(());
        }
        self.end_block().await?;
        // A file that may still have to go elsewhere must know what the cache took.
        let most = if self.write_type == WriteType::TryCache { 0 } else { COMMITTING };
        while self.committing.len() > most {
            self.settle().await?;
        }
        Ok(())
    }

    async fn end_block(&mut self) -> Result<()> {
        if let Some(mut block) = self.block.take() {
            block.end().await;
            self.committing.push_back(block);
        }
        Ok(())
    }

    /// Waits for the oldest block that is committing.
    async fn settle(&mut self) -> Result<()> {
        let Some(block) = self.committing.front_mut() else { return Ok(()) };
        let locations = block.committed().await?;
        let length = block.length();
        self.committing.pop_front();
        let index = self.committed.len() as u64;
        let offset = index * self.status.block_size;
        let id = self.status.id.block(index);
        self.committed.push(BlockStatus { id, offset, length, locations });
        Ok(())
    }

    /// The cache failed: goes on without it where the write type allows that.
    async fn without_cache(&mut self, error: Error, unsent: Option<(Bytes, Turn)>) -> Result<()> {
        let path = &self.status.path;
        match self.write_type {
            WriteType::CacheThrough => {
                tracing::warn!(%error, %path, "writing to the under store only");
                self.cache = None;
                self.block = None;
                self.committing.clear();
                Ok(())
            }
            WriteType::TryCache if error.kind() == ErrorKind::ResourceExhausted => {
                let block = self.block.take().or_else(|| self.committing.pop_front());
                let Some(held) = block.map_or(Some(Vec::new()), |block| block.held()) else {
                    return Err(error);
                };
                tracing::info!(%error, %path, "the cache is full; writing to the under store");
                // The chunk that failed may be held already.
                let before = self.committed.iter().map(|block| block.length).sum::<u64>();
                let have = before + held.iter().map(|(chunk, _)| chunk.len() as u64).sum::<u64>();
                let unsent = unsent.filter(|_| have <= self.sent);
                self.move_to_ufs(held.into_iter().chain(unsent)).await
            }
            _ => Err(error),
        }
    }

    /// Writes to the under store what the cache holds of this file, and then `rest`.
    async fn move_to_ufs(
        &mut self,
        rest: impl Iterator<Item = (Bytes, Turn)> + Send,
    ) -> Result<()> {
        let mut ufs = self.open_ufs().await?;
        let mut known = self.status.clone();
        known.blocks = self.committed.clone();
        known.length = known.blocks.iter().map(|block| block.length).sum();
        let cached = Blocks::new(&self.fs, known, false);
        for (index, block) in self.committed.iter().enumerate() {
            let index = index as u64;
            let mut offset = 0;
            while offset < block.length {
                let left = block.length - offset;
                let (turn, length) = self.fs.context.memory.next(&self.lane, left).await?;
                let mut reader = cached.open(Part { index, offset, length, alone: false }).await;
                while let Some(bytes) = reader.next().await? {
                    ufs.write(bytes, turn.clone()).await?;
                }
                offset += length;
            }
        }
        for (chunk, turn) in rest.filter(|(chunk, _)| !chunk.is_empty()) {
            ufs.write(chunk, turn).await?;
        }
        self.ufs = Some(ufs);
        self.through = true;
        self.cache = None;
        Ok(())
    }

    /// Opens the next block in the cache. None where an `ASYNC_THROUGH` file finds no worker with
    /// room at its start, and goes to the under store at once instead.
    async fn open_block(&mut self, last: Option<u64>) -> Result<Option<Copies>> {
        let Some(wanted) = self.cache else { return Ok(None) };
        let asynchronous = self.write_type == WriteType::AsyncThrough;
        let context = &self.fs.context;
        let workers = context.workers().await?;
        let index = self.sent / self.status.block_size.max(1);
        let id = self.status.id.block(index);
        let candidates = route::writers(context, &workers, id, wanted.copies, asynchronous);
        let candidates = match candidates {
            Some(candidates) => candidates,
            None if index > 0 => {
                route::writers(context, &workers, id, wanted.copies, false).unwrap_or_default()
            }
            None => {
                tracing::info!(path = %self.status.path, "no worker has room for unpersisted data");
                self.move_to_ufs(std::iter::empty()).await?;
                return Ok(None);
            }
        };
        let command = WriteRequestCommand {
            r#type: Some(RequestType::GoosefsBlock as i32),
            id: Some(id.0),
            offset: Some(0),
            space_to_reserve: Some(last.unwrap_or(self.status.block_size) as i64),
            async_write: asynchronous.then_some(true),
            ..Default::default()
        };
        Ok(Some(Copies::open(context, command, candidates, wanted)))
    }

    /// Opens the stream to the under store.
    async fn open_ufs(&self) -> Result<Copies> {
        let context = &self.fs.context;
        let workers = context.workers().await?;
        let status = &self.status;
        let command = WriteRequestCommand {
            r#type: Some(RequestType::UfsFile as i32),
            id: Some(-1),
            offset: Some(0),
            space_to_reserve: Some(i64::MAX),
            tell_version: Some(true),
            create_ufs_file_options: Some(CreateUfsFileOptions {
                ufs_path: Some(status.ufs_path.clone()),
                owner: Some(status.owner.clone()),
                group: Some(status.group.clone()),
                mode: Some(status.mode as i32),
                mount_id: Some(status.mount_id),
                acl: None,
            }),
            ..Default::default()
        };
        let candidates = route::gateways(context, &workers);
        Ok(Copies::open(context, command, candidates, Wanted { copies: 1, least: 1 }))
    }

    async fn flush(&mut self) -> Result<()> {
        self.send_pending(false).await?;
        if let Some(ufs) = &mut self.ufs {
            ufs.flush().await?;
        }
        if let Some(block) = &mut self.block
            && let Err(error) = block.flush().await
        {
            self.without_cache(error, None).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.send_pending(true).await?;
        // Also an empty file is an object.
        if self.through && self.ufs.is_none() {
            self.ufs = Some(self.open_ufs().await?);
        }
        self.end_ufs().await?;
        if self.end_blocks().await? {
            self.end_ufs().await?;
        }
        if let Some(ufs) = &mut self.ufs
            && let Err(error) = ufs.committed().await
        {
            if self.closing == Closing::Asked && is_answer(&error) {
                self.closing = Closing::Refused;
            }
            return Err(error);
        }
        self.complete().await
    }

    async fn seal(&mut self) -> Result<()> {
        self.send_pending(true).await?;
        self.end_blocks().await?;
        match &mut self.ufs {
            Some(ufs) => ufs.flush().await,
            None => Ok(()),
        }
    }

    /// Says whether some of it goes to the under store instead.
    async fn end_blocks(&mut self) -> Result<bool> {
        let mut moved = false;
        self.end_block().await?;
        while !self.committing.is_empty() {
            if let Err(error) = self.settle().await {
                self.without_cache(error, None).await?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// The object is whole, and appears. That of a next version replaces what is there, so the master is
    /// asked before.
    async fn end_ufs(&mut self) -> Result<()> {
        let Some(ufs) = &mut self.ufs else { return Ok(()) };
        if self.next && self.closing == Closing::Open {
            // Whoever is to write it has all of it, so that little is left to fail once it is held.
            ufs.flush().await?;
            // Should no answer come, nothing comes of the object either.
            self.closing = Closing::Refused;
            self.fs.close_object(&self.status, self.expected).await?;
            self.closing = Closing::Asked;
        }
        if let Some(ufs) = &mut self.ufs {
            ufs.end().await;
        }
        Ok(())
    }

    async fn complete(&self) -> Result<()> {
        let asynchronous = self.write_type == WriteType::AsyncThrough && !self.through;
        let persist = ScheduleAsyncPersistencePOptions {
            common_options: None,
            persistence_wait_time: self.persist_delay.map(|delay| delay.as_millis() as i64),
        };
        let locations = match self.through {
            true => Vec::new(),
            false => self.committed.iter().map(location).collect(),
        };
        let request = CompleteFilePRequest {
            path: Some(self.status.path.as_str().into()),
            inode_id: Some(self.status.id.0),
            options: Some(CompleteFilePOptions {
                ufs_length: Some(self.sent as i64),
                async_persist_options: asynchronous.then_some(persist),
                common_options: Some(self.fs.change()),
                crc_type: Some(ChecksumTypeProto::ChecksumCrc32c as i32),
                crc_value: Some(i64::from(self.crc)),
                locations,
                force_persisted: self.through.then_some(true),
                modified_ms: self.modified_ms,
                replaces_id: self.expected.map(|id| id.map_or(0, |id| id.0)),
                ufs_version: self.ufs.as_ref().and_then(Copies::version).map(String::from),
            }),
        };
        self.fs
            .tree(&self.status.path, |mut tree| {
                let request = request.clone();
                async move { tree.complete_file(request).await }
            })
            .await
            .map(drop)
    }

    async fn take_back(&mut self, to: mpsc::Sender<Bytes>) -> Result<()> {
        let gone = |_| failed_precondition("nobody takes what was written");
        if self.sent > 0 && self.cache.is_none() {
            return Err(unsupported(
                "bytes that went to the under store only cannot be taken back",
            ));
        }
        self.end_block().await?;
        while !self.committing.is_empty() {
            self.settle().await?;
        }
        let mut known = self.status.clone();
        known.blocks = self.committed.clone();
        known.length = self.sent;
        let cached = Blocks::new(&self.fs, known, false);
        for (index, block) in self.committed.iter().enumerate() {
            let part = Part { index: index as u64, offset: 0, length: block.length, alone: false };
            let mut reader = cached.open(part).await;
            while let Some(bytes) = reader.next().await? {
                to.send(bytes).await.map_err(gone)?;
            }
        }
        to.send(self.pending.split().freeze()).await.map_err(gone)
    }

    /// Takes back what was written: streams are reset, the incomplete file and its blocks go. What
    /// cannot be reached now the master removes later. A file that may be complete, since no answer says
    /// that it is not, keeps its blocks; should it not be, the workers find out.
    async fn discard(mut self) {
        self.reset();
        if !self.next && !self.kept {
            if !self.is_there().await {
                return;
            }
            let options = DeleteOptions { cache_only: true, unchecked: true, recursive: false };
            if let Err(error) = self.fs.delete(&self.status.path, &options).await
                && error.kind() != ErrorKind::NotFound
            {
                tracing::warn!(%error, "removing an incomplete file; the master will, later");
                return;
            }
        }
        if self.is_given_up().await {
            self.drop_blocks().await;
        }
    }

    /// Whether the incomplete file is at its path: another may be by now, or ours be complete after
    /// all.
    async fn is_there(&self) -> bool {
        let known = StatusOptions { load: Some(MetadataLoad::Never), ..Default::default() };
        let found = self.fs.status_with(&self.status.path, &known).await;
        found.is_ok_and(|now| now.id == self.status.id && !now.completed)
    }

    async fn withdraw(&mut self) {
        self.reset();
        if self.is_given_up().await {
            self.drop_blocks().await;
        }
    }

    /// Streams that are open end, and what they wrote is discarded.
    fn reset(&mut self) {
        self.block = None;
        self.ufs = None;
        self.committing.clear();
    }

    /// Nobody can complete this version any more: a next one is given up for that.
    async fn is_given_up(&self) -> bool {
        if !self.next {
            return true;
        }
        let path = &self.status.path;
        let dropped = self.fs.drop_next(path, self.status.id).await;
        if self.closing == Closing::Refused
            && let Err(error) = self.fs.give_up_object(&self.status).await
        {
            tracing::debug!(%error, %path, "others wait for an object that does not come");
        }
        if let Err(error) = &dropped {
            tracing::debug!(%error, %path, "removing a next version; the master will, later");
        }
        dropped.is_ok()
    }

    /// The master keeps those of a file that is complete after all.
    async fn drop_blocks(&self) {
        let begun = self.sent.div_ceil(self.status.block_size.max(1));
        let blocks = (0..begun).map(|index| self.status.id.block(index)).collect();
        if let Err(error) = self.fs.remove_blocks(blocks).await {
            let path = &self.status.path;
            tracing::debug!(%error, %path, "removing the blocks of an incomplete file");
        }
    }
}

impl FileSystem {
    /// Asks whether the bytes of a next version may become the object at its path. A master that is too old
    /// to know has nothing against it.
    async fn close_object(&self, next: &Status, expected: Expected) -> Result<()> {
        let replaces_id = expected.map(|id| id.map_or(0, |id| id.0));
        match self.ask_for_object(next, replaces_id, false).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            answered => answered,
        }
    }

    /// That object does not come about.
    async fn give_up_object(&self, next: &Status) -> Result<()> {
        self.ask_for_object(next, None, true).await
    }

    async fn ask_for_object(
        &self,
        next: &Status,
        replaces_id: Option<i64>,
        give_up: bool,
    ) -> Result<()> {
        let (path, file_id) = (next.path.as_str().to_string(), next.id.0);
        let request = v1::CloseObjectRequest { path, file_id, replaces_id, give_up };
        let asked = self.primary.call(|channel| {
            let request = request.clone();
            async move { FileSystemClient::new(channel).close_object(request).await }
        });
        asked.await.map(drop)
    }

    /// Gives up a next version; one that has taken its place stays.
    async fn drop_next(&self, path: &FsPath, id: FileId) -> Result<()> {
        let options = DeletePOptions {
            common_options: Some(self.change()),
            next_id: Some(id.0),
            ..Default::default()
        };
        let request = DeletePRequest { path: Some(path.as_str().into()), options: Some(options) };
        let dropped = self.tree(path, |mut tree| {
            let request = request.clone();
            async move { tree.remove(request).await }
        });
        dropped.await.map(drop)
    }

    async fn remove_blocks(&self, blocks: Vec<BlockId>) -> Result<()> {
        if blocks.is_empty() {
            return Ok(());
        }
        let block_ids: Vec<i64> = blocks.iter().map(|block| block.0).collect();
        self.tree(&FsPath::root(), |mut tree| {
            let request = RemoveBlocksPRequest { block_ids: block_ids.clone() };
            async move { tree.remove_blocks(request).await }
        })
        .await
        .map(drop)
    }
}

/// Whether somebody who has looked says so, and not only that no answer came.
fn is_answer(error: &Error) -> bool {
    let doubtful = [
        ErrorKind::Unavailable,
        ErrorKind::DeadlineExceeded,
        ErrorKind::Cancelled,
        ErrorKind::Aborted,
        ErrorKind::Internal,
    ];
    !doubtful.contains(&error.kind())
}

/// How the master has decided that a new file is written; it notes all but the plainest.
fn decided(status: &Status) -> WriteType {
    let noted = status.xattrs.get("innerWriteType");
    let name = noted.and_then(|name| std::str::from_utf8(name).ok());
    name.and_then(|name| name.parse().ok()).unwrap_or(WriteType::MustCache)
}

fn location(block: &BlockStatus) -> FileLocation {
    FileLocation {
        block_id: Some(block.id.0),
        offset: Some(block.offset as i64),
        length: Some(block.length as i64),
        worker_id: block.locations.clone(),
    }
}
