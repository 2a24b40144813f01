//! One file that is being changed.
//!
//! Its bytes lie in a sparse file of the same length. Of those that were not changed since the version
//! it began as, the *base*, none need be here: they are read from there when they are asked for, and
//! for good when a new version is made. A file without a base is here whole, and its bytes are then
//! just those of the local file.
//!
//! Writers hold the gate together, each for one write; what must see no write in its midst (cutting,
//! publishing) holds it alone.

use super::ranges::Ranges;
use super::record::{BaseRecord, Record};
use super::{Home, Left, errno_of};
use crate::client::{Reader, Writer};
use crate::core::error::Result;
use crate::core::runtime::{blocking, files};
use crate::fuse::errno::Errno;
use bytes::Bytes;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use parking_lot::Mutex;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes read or written at once where a whole file is.
const PIECE: u64 = 4 << 20;
/// A record of more pieces would take longer to write than the whole file to fetch.
const MOST_PIECES: usize = 20_000;
/// The clock that dates changes of a local file may stand still for so long.
const TICK_MS: i64 = 50;

/// The version that a staged file began as.
#[derive(Clone)]
pub struct Base {
    /// Reads it.
    pub reader: Reader,
    /// How many of its first bytes have not been cut off since.
    pub end: u64,
}

/// Where a range of a staged file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Here,
    Base,
    Nowhere,
}

/// See the module.
pub struct Staged {
    home: Arc<Home>,
    name: String,
    data: Arc<File>,
    gate: tokio::sync::RwLock<()>,
    state: Mutex<State>,
    /// Bytes of the home's room that it takes.
    counted: AtomicU64,
}

struct State {
    base: Option<Base>,
    /// With a base: what of the file is here.
    present: Ranges,
    modified_ms: i64,
    /// Counts changes.
    changes: u64,
    /// How many of them are published.
    published: u64,
    /// The record on the disk.
    saved: Option<Record>,
    /// Where the kernel writes the local file by itself: its time and length when we last looked.
    seen: Option<(i128, u64)>,
}

impl State {
    fn plan(&self, range: Range<u64>) -> Vec<(Range<u64>, Source)> {
        let Some(base) = &self.base else { return vec![(range, Source::Here)] };
        let mut plan = Vec::new();
        for (piece, here) in self.present.pieces(range) {
            if here {
                plan.push((piece, Source::Here));
                continue;
            }
            let cut = base.end.clamp(piece.start, piece.end);
            let parts = [(piece.start..cut, Source::Base), (cut..piece.end, Source::Nowhere)];
            plan.extend(parts.into_iter().filter(|(part, _)| !part.is_empty()));
        }
        plan
    }

    fn touch(&mut self) {
        self.changes += 1;
        self.modified_ms = now_ms();
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

impl Staged {
    /// A file with the bytes of `base`, or without any.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn new(home: &Arc<Home>, base: Option<Reader>, modified_ms: i64) -> Result<Staged, Errno> {
        let (name, data) = home.create()?;
        let staged = Staged::of(home, name, data);
        if let Some(reader) = base.filter(|reader| !reader.is_empty()) {
            staged.data.set_len(reader.len()).map_err(errno_of)?;
            let end = reader.len();
            staged.state.lock().base = Some(Base { reader, end });
        }
        staged.state.lock().modified_ms = modified_ms;
        Ok(staged)
    }

    fn of(home: &Arc<Home>, name: String, data: File) -> Staged {
        let state = State {
            base: None,
            present: Ranges::default(),
            modified_ms: 0,
            changes: 0,
            published: 0,
            saved: None,
            seen: None,
        };
        Staged {
            home: home.clone(),
            name,
            data: Arc::new(data),
            gate: Default::default(),
            state: Mutex::new(state),
            counted: AtomicU64::new(0),
        }
    }

    /// A file that another process left behind, over the version that it began as.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn adopt(home: &Arc<Home>, left: &Left, base: Option<Reader>) -> Result<Staged> {
        let data = File::options().read(true).write(true).open(left.data())?;
        let staged = Staged::of(home, left.name.clone(), data);
        let mut state = staged.state.lock();
        if let (Some(reader), Some(noted)) = (base, &left.record.base) {
            state.base = Some(Base { end: noted.end.min(reader.len()), reader });
            state.present = Ranges::of(&noted.present);
        }
        state.modified_ms = match left.record.modified_ms {
            0 => (staged.seen().0 / 1_000_000) as i64,
            known => known,
        };
        state.changes = 1;
        state.saved = Some(left.record.clone());
        drop(state);
        Ok(staged)
    }

    /// Bytes in it.
    pub fn length(&self) -> u64 {
        self.data.metadata().map_or(0, |meta| meta.len())
    }

    /// When its bytes were last changed, in milliseconds since 1970.
    pub fn modified_ms(&self) -> i64 {
        self.look().modified_ms
    }

    /// Has it count as changed then; and, if `change`, as not published.
    pub fn set_modified(&self, ms: i64, change: bool) {
        let mut state = self.look();
        state.modified_ms = ms;
        state.changes += u64::from(change);
    }

    /// Whether something of it is not published.
    pub fn is_dirty(&self) -> bool {
        let state = self.look();
        state.changes != state.published
    }

    /// Whether all its bytes are here.
    pub fn is_whole(&self) -> bool {
        self.state.lock().base.is_none()
    }

    /// The local file, which the kernel is going to write by itself.
    pub fn lend(&self) -> Arc<File> {
        let mut state = self.state.lock();
        if state.seen.is_none() {
            state.seen = Some(self.seen());
        }
        self.data.clone()
    }

    /// Whether the kernel writes, or wrote, the local file by itself.
    pub fn is_lent(&self) -> bool {
        self.state.lock().seen.is_some()
    }

    fn seen(&self) -> (i128, u64) {
        let meta = self.data.metadata();
        meta.map_or((0, 0), |meta| {
            (i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()), meta.len())
        })
    }

    /// The state, with what the kernel did behind our back.
    fn look(&self) -> parking_lot::MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if let Some(before) = state.seen {
            let now = self.seen();
            if now != before {
                state.seen = Some(now);
                state.changes += 1;
                state.modified_ms = (now.0 / 1_000_000) as i64;
            }
        }
        state
    }

    /// Writes on the spot; none while something else has to be waited for.
    pub fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<Result<(), Errno>> {
        let _shared = self.gate.try_read().ok()?;
        Some(self.write_at(offset, bytes))
    }

    /// Writes.
    ///
    /// # Errors
    /// `ENOSPC`; `EFBIG`.
    pub async fn write(self: &Arc<Self>, offset: u64, bytes: Bytes) -> Result<(), Errno> {
        let _shared = self.gate.read().await;
        let staged = self.clone();
        local(move || staged.write_at(offset, &bytes)).await
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= i64::MAX as u64);
        let end = end.ok_or(Errno(libc::EFBIG))?;
        self.take(offset..end)?;
        let before = self.length();
        if let Err(error) = self.data.write_all_at(bytes, offset) {
            // What came of it beyond the end is not part of the file.
            self.data.set_len(before).ok();
            return Err(errno_of(error));
        }
        let mut state = self.state.lock();
        if state.base.is_some() {
            state.present.insert(offset..end);
        }
        state.touch();
        Ok(())
    }

    /// Takes room for what a write of `range` adds.
    fn take(&self, range: Range<u64>) -> Result<(), Errno> {
        let state = self.state.lock();
        let new = match &state.base {
            Some(_) => state.present.missing(range),
            None => range.end.saturating_sub(self.length().max(range.start)),
        };
        drop(state);
        self.home.take(new)?;
        self.counted.fetch_add(new, Ordering::Relaxed);
        Ok(())
    }

    /// Counts anew what it takes of the disk: holes take nothing.
    fn count(&self) {
        let Ok(meta) = self.data.metadata() else { return };
        let now = meta.blocks() * 512;
        let before = self.counted.swap(now, Ordering::Relaxed);
        self.home.used.fetch_add(now, Ordering::Relaxed);
        self.home.give_back(before);
    }

    /// Reads into `buffer`, if all of it is here.
    pub fn read_now(
        &self,
        offset: u64,
        size: u32,
        buffer: &mut Vec<u8>,
    ) -> Option<Result<(), Errno>> {
        let range = self.clip(offset, size);
        let plan = self.state.lock().plan(range.clone());
        if plan.iter().any(|(_, source)| *source == Source::Base) {
            return None;
        }
        buffer.clear();
        buffer.resize((range.end - range.start) as usize, 0);
        for (piece, source) in plan {
            let part = &mut buffer[within(&piece, &range)];
            if source == Source::Here
                && let Err(error) = read_here(&self.data, part, piece.start)
            {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }

    /// Reads; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// What the local disk fails with, or whoever has the base.
    pub async fn read(&self, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let range = self.clip(offset, size);
        let (plan, base) = {
            let state = self.state.lock();
            (state.plan(range.clone()), state.base.clone())
        };
        let mut whole = vec![0; (range.end - range.start) as usize];
        for (piece, source) in plan {
            let part = &mut whole[within(&piece, &range)];
            match (source, &base) {
                (Source::Here, _) => {
                    let data = self.data.clone();
                    let mut read = vec![0; part.len()];
                    let read =
                        local(move || read_here(&data, &mut read, piece.start).map(|()| read));
                    part.copy_from_slice(&read.await?);
                }
                (Source::Base, Some(base)) => {
                    let read = base.reader.read_at(piece.start, piece.end - piece.start).await?;
                    part[..read.len()].copy_from_slice(&read);
                }
                _ => {}
            }
        }
        Ok(whole)
    }

    fn clip(&self, offset: u64, size: u32) -> Range<u64> {
        let end = offset.saturating_add(u64::from(size)).min(self.length());
        offset..end.max(offset)
    }

    /// Cuts it, or has it grow by nothing but zeros.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn truncate(self: &Arc<Self>, length: u64) -> Result<(), Errno> {
        let _alone = self.gate.write().await;
        let staged = self.clone();
        local(move || {
            staged.data.set_len(length).map_err(errno_of)?;
            let mut state = staged.state.lock();
            if let Some(base) = &mut state.base {
                base.end = base.end.min(length);
            }
            state.present.truncate(length);
            if state.base.as_ref().is_some_and(|base| base.end == 0) {
                state.base = None;
            }
            state.touch();
            drop(state);
            staged.count();
            Ok(())
        })
        .await
    }

    /// Takes room for a range, or makes it zeros, as fallocate(2) says.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for what would move bytes; `ENOSPC`.
    pub async fn allocate(
        self: &Arc<Self>,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::UNSUPPORTED)?;
        let keep = mode.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE);
        let what = mode - FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE;
        if !what.is_empty() && what != hole && what != FallocateFlags::FALLOC_FL_ZERO_RANGE {
            return Err(Errno::UNSUPPORTED);
        }
        let end = offset.checked_add(length).filter(|&end| end <= i64::MAX as u64);
        let range = offset..end.ok_or(Errno(libc::EFBIG))?;
        let _alone = self.gate.write().await;
        let staged = self.clone();
        local(move || match what.is_empty() {
            true => staged.reserve(&range, keep),
            false => staged.zero(&range, what == hole || keep),
        })
        .await
    }

    fn reserve(&self, range: &Range<u64>, keep: bool) -> Result<(), Errno> {
        let keep = if keep { FallocateFlags::FALLOC_FL_KEEP_SIZE } else { FallocateFlags::empty() };
        let length = range.end - range.start;
        self.home.take(length)?;
        self.home.give_back(length);
        let (grown, before) = (self.length() < range.end && keep.is_empty(), self.length());
        let reserved = fallocate(&*self.data, keep, range.start as i64, length as i64);
        if let Err(error) = reserved {
            self.data.set_len(before).ok();
            return Err(Errno(error as i32));
        }
        if grown {
            self.state.lock().touch();
        }
        self.count();
        Ok(())
    }

    fn zero(&self, range: &Range<u64>, keep: bool) -> Result<(), Errno> {
        let before = self.length();
        let inside = range.start.min(before)..range.end.min(before);
        if !inside.is_empty() {
            // Not every file system zeroes a range, but what makes holes does.
            let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let length = inside.end - inside.start;
            fallocate(&*self.data, mode, inside.start as i64, length as i64)
                .map_err(|error| Errno(error as i32))?;
        }
        if !keep && range.end > before {
            self.data.set_len(range.end).map_err(errno_of)?;
        }
        let mut state = self.state.lock();
        if state.base.is_some() {
            state.present.insert(inside);
        }
        state.touch();
        drop(state);
        self.count();
        Ok(())
    }

    /// Where data or a hole is, at `offset` or after it, as lseek(2) says. What the base has counts as
    /// data.
    ///
    /// # Errors
    /// `ENXIO` beyond the end; `EINVAL`.
    pub fn seek(&self, offset: u64, whence: i32) -> Result<u64, Errno> {
        let length = self.length();
        if offset >= length {
            return Err(Errno(libc::ENXIO));
        }
        let whole = self.is_whole();
        let whence = match whence {
            libc::SEEK_DATA if !whole => return Ok(offset),
            libc::SEEK_HOLE if !whole => return Ok(length),
            libc::SEEK_DATA => Whence::SeekData,
            libc::SEEK_HOLE => Whence::SeekHole,
            _ => return Err(Errno::INVALID),
        };
        let found =
            lseek(&*self.data, offset as i64, whence).map_err(|error| Errno(error as i32))?;
        Ok(found as u64)
    }

    /// Fetches what is not here.
    ///
    /// # Errors
    /// `ENOSPC`; what whoever has the base fails with.
    pub async fn fetch(self: &Arc<Self>) -> Result<(), Errno> {
        let _alone = self.gate.write().await;
        let Some(base) = self.state.lock().base.clone() else { return Ok(()) };
        let plan = self.state.lock().plan(0..base.end.min(self.length()));
        for (piece, _) in plan.into_iter().filter(|(_, source)| *source == Source::Base) {
            let mut stream = base.reader.stream(piece.clone());
            let mut at = piece.start;
            while let Some(bytes) = stream.next().await? {
                self.home.take(bytes.len() as u64)?;
                self.counted.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let (data, length) = (self.data.clone(), bytes.len() as u64);
                local(move || data.write_all_at(&bytes, at).map_err(errno_of)).await?;
                at += length;
            }
            if at < piece.end {
                return Err(Errno::IO);
            }
        }
        let mut state = self.state.lock();
        (state.base, state.present) = (None, Ranges::default());
        Ok(())
    }

    /// Everything so far is on the local disk, with `record` filled in and beside it, so that it outlasts
    /// this process.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn save(self: &Arc<Self>, mut record: Record) -> Result<(), Errno> {
        let pieces = self.state.lock().present.count();
        if pieces > MOST_PIECES {
            self.fetch().await?;
        }
        {
            // Before the bytes are made durable: it must not tell of any that are not.
            let state = self.look();
            // The kernel changes time and length of what it writes by itself, and the file tells both.
            record.modified_ms = if state.seen.is_some() { 0 } else { state.modified_ms };
            record.base = state.base.as_ref().map(|base| BaseRecord {
                id: base.reader.status().id.0,
                end: base.end,
                present: state.present.list(),
            });
        }
        let staged = self.clone();
        local(move || {
            staged.data.sync_data().map_err(errno_of)?;
            staged.count();
            let known = staged.state.lock().saved.clone();
            // Of a file that is here whole, time is all that a later one would add.
            let mut dated = record.clone();
            if let Some(known) = known.as_ref().filter(|_| record.base.is_none()) {
                dated.modified_ms = known.modified_ms;
            }
            let same = known.is_some_and(|known| known == dated);
            if !same {
                files::replace(&staged.home.record(&staged.name), &record.bytes())
                    .map_err(errno_of)?;
                staged.state.lock().saved = Some(record);
            }
            Ok(())
        })
        .await
    }

    /// Holds off every change.
    pub async fn alone(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// How many changes there were: what is published when all of its bytes are poured now.
    pub fn changes(&self) -> u64 {
        self.look().changes
    }

    /// Puts all its bytes into `writer`. The gate is to be held alone.
    ///
    /// # Errors
    /// What the local disk fails with, whoever has the base, or the writer.
    pub async fn pour(&self, writer: &mut Writer) -> Result<()> {
        let (plan, base) = {
            let state = self.look();
            (state.plan(0..self.length()), state.base.clone())
        };
        for (piece, source) in plan {
            match (source, &base) {
                (Source::Base, Some(base)) => {
                    let mut stream = base.reader.stream(piece);
                    while let Some(bytes) = stream.next().await? {
                        writer.write(bytes).await?;
                    }
                }
                _ => self.pour_here(piece, writer).await?,
            }
        }
        Ok(())
    }

    /// What is nowhere is zeros in the local file too.
    async fn pour_here(&self, piece: Range<u64>, writer: &mut Writer) -> Result<()> {
        for start in piece.clone().step_by(PIECE as usize) {
            let length = PIECE.min(piece.end - start) as usize;
            let data = self.data.clone();
            let bytes = blocking(move || {
                let mut bytes = vec![0; length];
                read_here(&data, &mut bytes, start)
                    .map_err(|e| std::io::Error::from_raw_os_error(e.0))?;
                Ok(Bytes::from(bytes))
            });
            writer.write(bytes.await?).await?;
        }
        Ok(())
    }

    /// The first `changes` of it are published, and `base` has all its bytes.
    pub fn published(&self, changes: u64, base: Option<Reader>) {
        let mut state = self.state.lock();
        state.published = changes;
        if let Some((time, _)) = state.seen
            && (time / 1_000_000) as i64 + TICK_MS > now_ms()
        {
            // A change within the same tick would not show.
            state.changes += 1;
        }
        if let (Some(old), Some(reader)) = (&mut state.base, base) {
            *old = Base { end: reader.len(), reader };
        }
        drop(state);
        self.forget();
        self.count();
    }

    /// It need not outlast this process any more.
    pub fn forget(&self) {
        if self.state.lock().saved.take().is_some() {
            let record = self.home.record(&self.name);
            if let Err(error) = std::fs::remove_file(&record) {
                let path = record.display();
                tracing::warn!(%error, %path, "removing the record of a staged file");
            }
        }
    }

    /// Whether it is to outlast this process.
    pub fn is_saved(&self) -> bool {
        self.state.lock().saved.is_some()
    }
}

/// What has no record goes.
impl Drop for Staged {
    fn drop(&mut self) {
        self.home.give_back(self.counted.load(Ordering::Relaxed));
        if !self.is_saved()
            && let Err(error) = std::fs::remove_file(self.home.data(&self.name))
        {
            tracing::warn!(%error, name = self.name, "removing a staged file");
        }
    }
}

fn within(piece: &Range<u64>, whole: &Range<u64>) -> Range<usize> {
    (piece.start - whole.start) as usize..(piece.end - whole.start) as usize
}

/// Fills `buffer`, with zeros beyond the end of the file.
fn read_here(data: &File, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
    let mut at = 0;
    while at < buffer.len() {
        match data.read_at(&mut buffer[at..], offset + at as u64) {
            Ok(0) => break,
            Ok(count) => at += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(errno_of(error)),
        }
    }
    buffer[at..].fill(0);
    Ok(())
}

/// Runs `work` where it may wait for the disk.
async fn local<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Errno::IO))
}
