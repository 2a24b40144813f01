//! One file that is being changed.
//!
//! Its bytes lie in a sparse file of the same length. Of those that were not changed since the version
//! it began as, the *base*, none need be here: they are read from there when they are asked for, and
//! for good when a new version is made. A file without a base is here whole, and its bytes are then
//! just those of the local file.
//!
//! Writers hold the gate together, each for one write; what must see no write in its midst (cutting,
//! publishing) holds it alone.

mod space;
mod version;

use super::ranges::Ranges;
use super::record::Record;
use super::{Home, Left, errno_of, lease, own};
use crate::client::{Reader, Turn};
use crate::core::error::Result;
use crate::core::model::FileId;
use crate::fuse::errno::Errno;
use bytes::Bytes;
use parking_lot::Mutex;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes read or written at once where a whole file is.
const PIECE: u64 = 4 << 20;
/// A record of more pieces would take longer to write than the whole file to fetch.
const MOST_PIECES: usize = 20_000;
/// Bytes that may be counted for a file with holes and are not there.
const MISCOUNTED: u64 = 64 << 20;
/// When a local file that the kernel writes by itself counts as written before that: long ago.
const BEFORE: Duration = Duration::from_secs(1);

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
    /// Held over the writing of the record, by what may wait for the disk.
    recording: Mutex<()>,
    /// Bytes of the home's room that it takes.
    counted: AtomicU64,
}

struct State {
    base: Option<Base>,
    /// The version that has all the base's bytes by now, where nobody could be asked how to read that: what
    /// the base reads has gone.
    outdated: Option<FileId>,
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
            outdated: None,
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
            recording: Mutex::default(),
            counted: AtomicU64::new(0),
        }
    }

    /// A file that another process left behind, over the version that it began as.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn adopt(home: &Arc<Home>, left: &Left, base: Option<Reader>) -> Result<Staged> {
        let data = own::open(&left.data(), File::options().read(true).write(true))?;
        if let Some(length) = left.record.cut {
            data.set_len(length)?;
        }
        let staged = Staged::of(home, left.name.clone(), data);
        let mut state = staged.state.lock();
        if let (Some(reader), Some(noted)) = (base, &left.record.base) {
            state.base = Some(Base { end: noted.end.min(reader.len()), reader });
            state.present = Ranges::of(&noted.present);
        }
        state.modified_ms = left.record.modified_ms;
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

    /// The local file, which the kernel is going to write by itself; none once there is little room, for
    /// what it writes is counted later, and none where it would not show that it wrote.
    pub fn lend(&self) -> Option<Arc<File>> {
        if self.home.is_tight() || !self.home.dates_stores() {
            return None;
        }
        let mut state = self.state.lock();
        if state.seen.is_none() {
            self.backdate(&mut state);
        }
        Some(self.data.clone())
    }

    /// Dates the local file back, so that whatever the kernel writes into it from now on shows, however
    /// coarse the clock is.
    fn backdate(&self, state: &mut State) {
        if let Err(error) = self.data.set_modified(UNIX_EPOCH + BEFORE) {
            tracing::warn!(%error, "dating a staged file back");
        }
        state.seen = Some(self.seen());
    }

    /// Whether the kernel writes, or wrote, the local file by itself.
    pub fn is_lent(&self) -> bool {
        self.state.lock().seen.is_some()
    }

    /// Whether the kernel may still write the local file by itself, for a program that has it open or
    /// mapped.
    pub fn is_shared(&self) -> bool {
        self.is_lent() && lease::is_shared(&self.data)
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
    pub fn write_now(&self, offset: u64, bytes: &[u8]) -> Option<Result<u32, Errno>> {
        let _shared = self.gate.try_read().ok()?;
        Some(self.write_at(offset, bytes))
    }

    /// Writes. Answers how many bytes: fewer where the disk took no more.
    ///
    /// # Errors
    /// `ENOSPC`; `EFBIG`.
    pub async fn write(self: &Arc<Self>, offset: u64, bytes: Bytes) -> Result<u32, Errno> {
        let _shared = self.gate.read().await;
        let staged = self.clone();
        local(move || staged.write_at(offset, &bytes)).await
    }

    /// What was written before an error stays: others may have written behind it meanwhile, so that it
    /// cannot be cut off.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= i64::MAX as u64);
        let end = end.ok_or(Errno(libc::EFBIG))?;
        self.take(offset..end)?;
        let (written, failed) = write_here(&self.data, bytes, offset);
        if failed.is_some() {
            self.count();
        }
        match failed {
            Some(errno) if written == 0 => return Err(errno),
            _ => {}
        }
        let mut state = self.state.lock();
        if state.base.is_some() {
            state.present.insert(offset..offset + written as u64);
        }
        state.touch();
        Ok(written as u32)
    }

    /// Takes room for a file that is to be `length` bytes long, on the disk too.
    ///
    /// # Errors
    /// `ENOSPC`.
    pub async fn make_room(self: &Arc<Self>, length: u64) -> Result<(), Errno> {
        let staged = self.clone();
        if length == 0 {
            return Ok(());
        }
        match local(move || staged.reserve(&(0..length), true)).await {
            // Not every file system keeps room, and the disk may be large enough all the same.
            Err(Errno::UNSUPPORTED) | Ok(()) => {}
            Err(errno) => return Err(errno),
        }
        self.home.take(length.saturating_sub(self.counted.load(Ordering::Relaxed)))?;
        self.counted.fetch_max(length, Ordering::Relaxed);
        Ok(())
    }

    /// Puts bytes in for which room was made.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn fill(self: &Arc<Self>, offset: u64, bytes: Bytes) -> Result<(), Errno> {
        let data = self.data.clone();
        local(move || data.write_all_at(&bytes, offset).map_err(errno_of)).await
    }

    /// Takes room for what a write of `range` adds.
    fn take(&self, range: Range<u64>) -> Result<(), Errno> {
        let state = self.state.lock();
        let new = match &state.base {
            Some(_) => state.present.missing(range),
            None => self.grows(range),
        };
        drop(state);
        if let Err(errno) = self.home.take(new) {
            // What was written into a hole again and again was counted as often.
            if self.counted.load(Ordering::Relaxed) <= self.on_disk() {
                return Err(errno);
            }
            self.count();
            self.home.take(new)?;
        }
        self.counted.fetch_add(new, Ordering::Relaxed);
        Ok(())
    }

    /// What a write of `range` adds at most to a file that is here whole: it may go into a hole.
    fn grows(&self, range: Range<u64>) -> u64 {
        let Ok(meta) = self.data.metadata() else { return range.end - range.start };
        let on_disk = meta.blocks() * 512;
        match on_disk < meta.len() {
            true => {
                if self.counted.load(Ordering::Relaxed) > on_disk + MISCOUNTED {
                    self.count();
                }
                range.end - range.start
            }
            false => range.end.saturating_sub(meta.len().max(range.start)),
        }
    }

    fn on_disk(&self) -> u64 {
        self.data.metadata().map_or(0, |meta| meta.blocks() * 512)
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

    /// Reads within the turn of one who has memory for it; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// What the local disk fails with, or whoever has the base.
    pub async fn read(&self, offset: u64, size: u32, turn: &Turn) -> Result<Vec<u8>, Errno> {
        let range = self.clip(offset, size);
        let (plan, base) = {
            let state = self.state.lock();
            (state.plan(range.clone()), state.base.clone())
        };
        let mut whole = vec![0; (range.end - range.start) as usize];
        for (piece, source) in plan {
            let part = within(&piece, &range);
            match (source, &base) {
                (Source::Here, _) => {
                    let data = self.data.clone();
                    let read = local(move || {
                        read_here(&data, &mut whole[part], piece.start).map(|()| whole)
                    });
                    whole = read.await?;
                }
                (Source::Base, Some(base)) => {
                    let length = piece.end - piece.start;
                    let read = base.reader.read_within(piece.start, length, turn).await?;
                    whole[part][..read.len()].copy_from_slice(&read);
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

/// Writes what can be written: how much that was, and why no more.
fn write_here(data: &File, bytes: &[u8], offset: u64) -> (usize, Option<Errno>) {
    let mut at = 0;
    while at < bytes.len() {
        match data.write_at(&bytes[at..], offset + at as u64) {
            Ok(0) => return (at, Some(Errno::IO)),
            Ok(count) => at += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return (at, Some(errno_of(error))),
        }
    }
    (at, None)
}

/// Runs `work` where it may wait for the disk.
async fn local<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Errno::IO))
}

#[cfg(test)]
mod tests;
