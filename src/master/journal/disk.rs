//! The log on disk: segments of records, and a small file with the vote.
//!
//! Whoever appends gives bytes and their place to one writer thread, which takes all that is
//! queued, writes it, makes it safe with one `fdatasync` and then tells everyone. So while one
//! sync runs the next group gathers. When many callers wait at once and few of them are in the
//! group yet, the writer waits for the others, at most as long as one sync takes: their answers to
//! the last group are just on their way, and a sync for each half of them would make each half
//! wait for the other.
//!
//! A full disk fails nobody: the writer tries again until there is space, and callers run into
//! their deadlines. To openraft a failed append is the end; bytes with a fixed place can be written
//! again. (`Journal` refuses entries before it comes to that.) Any other error is the end: after a
//! failed sync nobody knows what the disk holds.

use super::raft::{LogId, RaftEntry, Types, Vote};
use super::segment::{self, HEADER, Position};
use crate::core::error::{Context, Result, data_loss, internal, unavailable};
use crate::core::runtime::files;
use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A new segment begins when one has so many bytes.
const SEGMENT: u64 = 32 << 20;
/// Bytes of newest entries kept in memory: what is applied has just been appended.
const CACHED: usize = 32 << 20;
/// Commands that may wait for the writer.
const QUEUE: usize = 1024;
/// Bytes one sync takes at most.
const GROUP_BYTES: usize = 16 << 20;
/// The writer never waits longer for company.
const LONGEST_WAIT: Duration = Duration::from_millis(4);

/// The log. Shared by whoever appends and whoever reads.
pub struct Log {
    dir: PathBuf,
    index: Mutex<Index>,
    /// Indexes below this are safe.
    durable: AtomicU64,
    commands: SyncSender<Command>,
    /// Commits that wait for their outcome; the writer knows by it whether more are coming.
    pub waiting: Arc<AtomicUsize>,
    /// Syncs made for entries, for whoever measures.
    pub syncs: Arc<AtomicU64>,
}

/// What is where.
#[derive(Default)]
struct Index {
    meta: Meta,
    last: Option<LogId>,
    /// Index of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    /// Entries before this index are not kept in memory.
    cached_from: u64,
    cached_bytes: usize,
    /// Where the next record goes; none: into a new segment.
    tail: Option<(u64, u64)>,
}

struct Slot {
    at: Position,
    entry: Option<RaftEntry>,
}

/// What is kept beside the entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Meta {
    vote: Option<Vote>,
    purged: Option<LogId>,
}

/// Bytes for a place in a segment; its header too, if it is new.
struct Piece {
    segment: u64,
    offset: u64,
    bytes: Vec<u8>,
}

type Done = oneshot::Sender<io::Result<()>>;

enum Command {
    Append {
        pieces: Vec<Piece>,
        last: u64,
        entries: usize,
        flushed: IOFlushed<Types>,
    },
    /// Replace the vote file, then remove these segments.
    Meta {
        meta: Vec<u8>,
        remove: Vec<u64>,
        done: Done,
    },
    /// Cut a segment and remove those behind it.
    Truncate {
        cut: Option<(u64, u64)>,
        remove: Vec<u64>,
        done: Done,
    },
}

impl Log {
    /// Opens the log in `dir`, which exists, and starts its writer.
    ///
    /// # Errors
    /// `DataLoss` when it is damaged; or the directory cannot be used.
    pub fn open(dir: &Path) -> Result<Arc<Log>> {
        let mut index = Index { meta: read_meta(dir)?, ..Default::default() };
        segment::recover(dir, |at, payload| index.recover(at, payload))?;
        index.settle(dir)?;
        let durable = AtomicU64::new(index.last.map_or(0, |id| id.index + 1));
        let (commands, queue) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let syncs = Arc::new(AtomicU64::new(0));
        let log = Log {
            dir: dir.into(),
            index: Mutex::new(index),
            durable,
            commands,
            waiting: waiting.clone(),
            syncs: syncs.clone(),
        };
        let log = Arc::new(log);
        let writer = Writer {
            dir: dir.into(),
            log: Arc::downgrade(&log),
            waiting,
            syncs,
            open: None,
            most_waiting: 0,
            sync_time: Duration::ZERO,
            failed: None,
        };
        let thread = std::thread::Builder::new().name("journal-writer".into());
        thread.spawn(move || writer.run(queue)).context("starting the journal's writer")?;
        Ok(log)
    }

    /// The last entry purged, and the last there is.
    pub fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let index = self.index.lock();
        (index.meta.purged, index.last.or(index.meta.purged))
    }

    /// Whether anything was ever written.
    pub fn is_used(&self) -> bool {
        self.vote().is_some() || self.bounds().1.is_some()
    }

    /// The vote that was saved last.
    pub fn vote(&self) -> Option<Vote> {
        self.index.lock().meta.vote
    }

    /// The entries of `range`, as far as they are there.
    ///
    /// # Errors
    /// When one has to be read from its file and cannot be.
    pub fn read(&self, range: impl RangeBounds<u64>) -> Result<Vec<RaftEntry>> {
        let mut found = Vec::new();
        let start = match range.start_bound() {
            Bound::Included(at) => *at,
            Bound::Excluded(at) => at + 1,
            Bound::Unbounded => 0,
        };
        let index = self.index.lock();
        for at in start.max(index.first)..index.first + index.slots.len() as u64 {
            if !range.contains(&at) {
                break;
            }
            let slot = &index.slots[(at - index.first) as usize];
            found.push(match &slot.entry {
                Some(entry) => entry.clone(),
                None => {
                    let payload = segment::read(&self.dir, slot.at)?;
                    decode(&payload).ok_or_else(|| {
                        data_loss(format!("entry {at} of the journal cannot be decoded"))
                    })?
                }
            });
        }
        Ok(found)
    }

    /// Up to where entries from `start` on, but not from `end` on, are so many bytes together; one is
    /// always among them.
    pub fn end_within(&self, start: u64, end: u64, bytes: u64) -> u64 {
        let index = self.index.lock();
        let from = start.saturating_sub(index.first) as usize;
        let mut sum = 0;
        let lengths = index.slots.iter().skip(from).map(|slot| u64::from(slot.at.length));
        let fit = lengths.take_while(|length| {
            sum += length;
            sum <= bytes
        });
        let fit = fit.count().max(1) as u64;
        end.min(start.max(index.first) + fit)
    }

    /// Takes entries in; `flushed` is told when they are safe.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub fn append(
        &self,
        entries: impl IntoIterator<Item = RaftEntry>,
        flushed: IOFlushed<Types>,
    ) -> io::Result<()> {
        let durable = self.durable.load(Ordering::Acquire);
        let mut pieces = Vec::<Piece>::new();
        let mut index = self.index.lock();
        let before = index.slots.len();
        for entry in entries {
            let payload = postcard::to_allocvec(&entry).map_err(io::Error::other)?;
            index.push(entry, &payload, durable, &mut pieces);
        }
        let entries = index.slots.len() - before;
        let last = index.last.map_or(0, |id| id.index);
        index.forget(durable);
        drop(index);
        self.send(Command::Append { pieces, last, entries, flushed })
    }

    /// Saves a vote.
    ///
    /// # Errors
    /// When it could not be made safe.
    pub async fn save_vote(&self, vote: Vote) -> io::Result<()> {
        let mut meta = self.index.lock().meta.clone();
        meta.vote = Some(vote);
        self.save_meta(meta.clone(), Vec::new()).await?;
        self.index.lock().meta.vote = meta.vote;
        Ok(())
    }

    /// Forgets entries up to `upto`, and removes segments that hold nothing else.
    ///
    /// # Errors
    /// When that could not be made safe.
    pub async fn purge(&self, upto: LogId) -> io::Result<()> {
        let (meta, remove) = {
            let mut index = self.index.lock();
            index.meta.purged = index.meta.purged.max(Some(upto));
            (index.meta.clone(), index.purge(upto))
        };
        self.save_meta(meta, remove).await
    }

    async fn save_meta(&self, meta: Meta, remove: Vec<u64>) -> io::Result<()> {
        let meta = postcard::to_allocvec(&meta).map_err(io::Error::other)?;
        let (done, saved) = oneshot::channel();
        self.send(Command::Meta { meta, remove, done })?;
        saved.await.map_err(|_| stopped())?
    }

    /// Takes back entries after `last`: another master's log has others there.
    ///
    /// # Errors
    /// When that could not be made safe.
    pub async fn truncate_after(&self, last: Option<LogId>) -> io::Result<()> {
        let (done, cut_off) = oneshot::channel();
        let (cut, remove) = self.index.lock().truncate_after(last);
        self.durable.fetch_min(last.map_or(0, |id| id.index + 1), Ordering::AcqRel);
        self.send(Command::Truncate { cut, remove, done })?;
        let cut_off = cut_off.await.map_err(|_| stopped())?;
        // What was being written meanwhile has said that it is safe, and is cut off.
        self.durable.fetch_min(last.map_or(0, |id| id.index + 1), Ordering::AcqRel);
        cut_off
    }

    fn send(&self, command: Command) -> io::Result<()> {
        self.commands.send(command).map_err(|_| stopped())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the journal's writer has stopped")
}

fn decode(payload: &[u8]) -> Option<RaftEntry> {
    postcard::from_bytes(payload).ok()
}

impl Index {
    /// Takes in an entry found on disk; none if it cannot be what comes next.
    fn recover(&mut self, at: Position, payload: &[u8]) -> Option<u64> {
        let entry = decode(payload)?;
        let index = entry.log_id.index;
        if self.slots.is_empty() {
            self.first = index;
        }
        if index != self.first + self.slots.len() as u64 || index < at.segment {
            return None;
        }
        self.slots.push_back(Slot { at, entry: None });
        self.last = Some(entry.log_id);
        self.cached_from = index + 1;
        let end = at.offset + (segment::RECORD + payload.len()) as u64;
        self.tail = Some((at.segment, end));
        Some(index)
    }

    /// Drops what had been purged before the last stop.
    fn settle(&mut self, dir: &Path) -> Result<()> {
        let needed = self.meta.purged.map_or(0, |purged| purged.index + 1);
        if self.first > needed && !self.slots.is_empty() {
            let (dir, first) = (dir.display(), self.first);
            return Err(data_loss(format!(
                "the journal in {dir} begins with entry {first}, but entry {needed} is needed: \
                 files are missing"
            )));
        }
        let Some(purged) = self.meta.purged else { return Ok(()) };
        for segment in self.purge(purged) {
            std::fs::remove_file(segment::path(dir, segment))?;
        }
        Ok(())
    }

    fn push(&mut self, entry: RaftEntry, payload: &[u8], durable: u64, pieces: &mut Vec<Piece>) {
        let index = entry.log_id.index;
        let (segment, offset) = match self.tail {
            Some(tail) if tail.1 < SEGMENT => tail,
            _ => (index, HEADER),
        };
        match pieces.last_mut() {
            Some(piece) if piece.segment == segment => {
                segment::encode(&mut piece.bytes, payload, durable);
            }
            _ => {
                let new = offset == HEADER;
                let mut bytes = if new { segment::header(segment).to_vec() } else { Vec::new() };
                segment::encode(&mut bytes, payload, durable);
                let offset = if new { 0 } else { offset };
                pieces.push(Piece { segment, offset, bytes });
            }
        }
        let at = Position { segment, offset, length: payload.len() as u32 };
        self.tail = Some((segment, offset + (segment::RECORD + payload.len()) as u64));
        if self.slots.is_empty() {
            self.first = index;
            self.cached_from = index;
        }
        self.last = Some(entry.log_id);
        self.cached_bytes += payload.len();
        self.slots.push_back(Slot { at, entry: Some(entry) });
    }

    /// Lets go of the oldest entries in memory that are safe, when there are too many.
    fn forget(&mut self, durable: u64) {
        while self.cached_bytes > CACHED && self.cached_from < durable {
            let at = self.cached_from.saturating_sub(self.first) as usize;
            let Some(slot) = self.slots.get_mut(at) else { break };
            if slot.entry.take().is_some() {
                self.cached_bytes -= slot.at.length as usize;
            }
            self.cached_from += 1;
        }
    }

    /// Drops entries up to `upto`; the segments that hold nothing else.
    fn purge(&mut self, upto: LogId) -> Vec<u64> {
        let mut segments = Vec::new();
        while self.first <= upto.index
            && let Some(slot) = self.slots.pop_front()
        {
            if slot.entry.is_some() {
                self.cached_bytes -= slot.at.length as usize;
            }
            if segments.last() != Some(&slot.at.segment) {
                segments.push(slot.at.segment);
            }
            self.first += 1;
        }
        // The next entry begins a segment of its own, so that the next purge takes all before it.
        self.tail = None;
        if self.slots.is_empty() {
            self.last = self.last.filter(|last| *last > upto);
            self.first = upto.index + 1;
        }
        self.cached_from = self.cached_from.max(self.first);
        let kept = self.slots.front().map(|slot| slot.at.segment);
        segments.retain(|segment| Some(*segment) != kept);
        segments
    }

    /// Drops entries after `last`; where to cut, and the segments behind.
    fn truncate_after(&mut self, last: Option<LogId>) -> (Option<(u64, u64)>, Vec<u64>) {
        let keep = last.map_or(0, |id| id.index + 1);
        let mut removed = Vec::new();
        let mut cut = None;
        if keep >= self.first + self.slots.len() as u64 {
            return (cut, removed);
        }
        while self.first + self.slots.len() as u64 > keep
            && let Some(slot) = self.slots.pop_back()
        {
            if slot.entry.is_some() {
                self.cached_bytes -= slot.at.length as usize;
            }
            if slot.at.offset == HEADER {
                removed.push(slot.at.segment);
                cut = None;
            } else {
                cut = Some((slot.at.segment, slot.at.offset));
            }
        }
        self.last = last.filter(|_| !self.slots.is_empty());
        self.tail = match (cut, self.slots.back()) {
            (Some(cut), _) => Some(cut),
            (None, Some(slot)) => {
                let end = slot.at.offset + segment::RECORD as u64 + u64::from(slot.at.length);
                Some((slot.at.segment, end))
            }
            (None, None) => None,
        };
        (cut, removed)
    }
}

/// The thread that writes.
struct Writer {
    dir: PathBuf,
    log: std::sync::Weak<Log>,
    waiting: Arc<AtomicUsize>,
    syncs: Arc<AtomicU64>,
    open: Option<(u64, File)>,
    /// The most commits that waited at once while the last group was made safe.
    most_waiting: usize,
    /// How long a sync takes, lately.
    sync_time: Duration,
    failed: Option<String>,
}

/// What one sync makes safe.
#[derive(Default)]
struct Group {
    pieces: Vec<Piece>,
    bytes: usize,
    entries: usize,
    last: u64,
    flushed: Vec<IOFlushed<Types>>,
}

impl Group {
    fn add(&mut self, command: Command) -> Option<Command> {
        let Command::Append { pieces, last, entries, flushed } = command else {
            return Some(command);
        };
        self.bytes += pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        self.pieces.extend(pieces);
        self.entries += entries;
        self.last = last;
        self.flushed.push(flushed);
        None
    }
}

impl Writer {
    fn run(mut self, queue: Receiver<Command>) {
        while let Ok(first) = queue.recv() {
            let mut group = Group::default();
            let mut other = group.add(first);
            if other.is_none() {
                other = self.gather(&queue, &mut group);
                self.flush(group);
            }
            if let Some(command) = other {
                self.carry_out(command);
            }
        }
    }

    /// Takes what is queued, and waits a little for what is about to be.
    fn gather(&mut self, queue: &Receiver<Command>, group: &mut Group) -> Option<Command> {
        let most = std::mem::replace(&mut self.most_waiting, 0);
        let until = Instant::now() + self.sync_time.min(LONGEST_WAIT);
        loop {
            let waiting = self.waiting.load(Ordering::Relaxed);
            self.most_waiting = self.most_waiting.max(waiting);
            let next = match queue.try_recv() {
                Err(TryRecvError::Empty) => {
                    // Nine in ten of those who were here the last time is company enough.
                    let expected = most.max(self.most_waiting) * 9 / 10;
                    let left = until.saturating_duration_since(Instant::now());
                    if group.entries >= expected || left.is_zero() {
                        return None;
                    }
                    match queue.recv_timeout(left.min(Duration::from_micros(200))) {
                        Ok(command) => command,
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => return None,
                    }
                }
                Err(TryRecvError::Disconnected) => return None,
                Ok(command) => command,
            };
            if let Some(other) = group.add(next) {
                return Some(other);
            }
            if group.bytes >= GROUP_BYTES {
                return None;
            }
        }
    }

    fn flush(&mut self, group: Group) {
        let result = match &self.failed {
            Some(cause) => Err(cause.clone()),
            None => self.until_space(|writer| writer.write(&group.pieces)),
        };
        self.most_waiting = self.most_waiting.max(self.waiting.load(Ordering::Relaxed));
        match result {
            Ok(()) => {
                if let Some(log) = self.log.upgrade() {
                    log.durable.store(group.last + 1, Ordering::Release);
                }
                self.syncs.fetch_add(1, Ordering::Relaxed);
                group.flushed.into_iter().for_each(|flushed| flushed.io_completed(Ok(())));
            }
            Err(cause) => {
                tracing::error!(%cause, "the journal cannot be written; this master stops");
                let error = || io::Error::other(cause.clone());
                group.flushed.into_iter().for_each(|f| f.io_completed(Err(error())));
                self.failed = Some(cause);
            }
        }
    }

    /// Does `work` again and again while the disk is full.
    fn until_space(&mut self, work: impl Fn(&mut Self) -> io::Result<()>) -> Result<(), String> {
        let mut warned = None::<Instant>;
        loop {
            let error = match work(self) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
            if !full.contains(&error.kind()) || self.log.strong_count() == 0 {
                return Err(error.to_string());
            }
            if warned.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                let dir = self.dir.display();
                tracing::warn!(%error, %dir, "no space for the journal; free some: waiting");
                warned = Some(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn write(&mut self, pieces: &[Piece]) -> io::Result<()> {
        let start = Instant::now();
        for piece in pieces {
            let new = piece.offset == 0;
            if self.open.as_ref().is_none_or(|(segment, _)| *segment != piece.segment) {
                if let Some((_, file)) = self.open.take() {
                    file.sync_data()?;
                }
                let path = segment::path(&self.dir, piece.segment);
                let file = File::options().write(true).create(new).truncate(false).open(path)?;
                if new {
                    File::open(&self.dir)?.sync_all()?;
                }
                self.open = Some((piece.segment, file));
            }
            let (_, file) = self.open.as_ref().expect("just opened");
            file.write_all_at(&piece.bytes, piece.offset)?;
        }
        if let Some((_, file)) = &self.open {
            file.sync_data()?;
        }
        self.sync_time = (self.sync_time * 7 + start.elapsed()) / 8;
        Ok(())
    }

    fn carry_out(&mut self, command: Command) {
        let (result, done) = match command {
            Command::Append { .. } => unreachable!("appends are grouped"),
            Command::Meta { meta, remove, done } => {
                let work = |writer: &mut Self| {
                    write_meta(&writer.dir, &meta)?;
                    writer.remove(&remove)
                };
                (self.until_space(work), done)
            }
            Command::Truncate { cut, remove, done } => {
                (self.until_space(|writer| writer.truncate(cut, &remove)), done)
            }
        };
        // Whoever asked may have given up; what was asked is done all the same.
        let _ = done.send(result.map_err(io::Error::other));
    }

    fn truncate(&mut self, cut: Option<(u64, u64)>, remove: &[u64]) -> io::Result<()> {
        self.remove(remove)?;
        if let Some((segment, offset)) = cut {
            let file = File::options().write(true).open(segment::path(&self.dir, segment))?;
            file.set_len(offset)?;
            file.sync_all()?;
        }
        Ok(())
    }

    fn remove(&mut self, segments: &[u64]) -> io::Result<()> {
        for segment in segments {
            if self.open.as_ref().is_some_and(|(open, _)| open == segment) {
                self.open = None;
            }
            match std::fs::remove_file(segment::path(&self.dir, *segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if segments.is_empty() { Ok(()) } else { File::open(&self.dir)?.sync_all() }
    }
}

const META: &str = "vote";

/// Replaces the vote file as a whole: after a crash it is the old one or the new one.
fn write_meta(dir: &Path, meta: &[u8]) -> io::Result<()> {
    let mut bytes = crc32c::crc32c(meta).to_le_bytes().to_vec();
    bytes.extend_from_slice(meta);
    files::replace(&dir.join(META), &bytes)
}

fn read_meta(dir: &Path) -> Result<Meta> {
    let path = dir.join(META);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !segment::list(dir)?.is_empty() {
                let message = "the journal's vote file is missing beside its segments";
                return Err(data_loss(format!("{message}: {}", path.display())));
            }
            // There from the start, or a crash before the first vote would look like its loss.
            let meta = Meta::default();
            let bytes = postcard::to_allocvec(&meta).map_err(|e| internal(e.to_string()))?;
            write_meta(dir, &bytes).with_context(|| format!("writing {}", path.display()))?;
            return Ok(meta);
        }
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let sound = bytes
        .split_first_chunk::<4>()
        .filter(|(crc, meta)| u32::from_le_bytes(**crc) == crc32c::crc32c(meta));
    let meta = sound.and_then(|(_, meta)| postcard::from_bytes(meta).ok());
    meta.ok_or_else(|| data_loss(format!("{} is damaged", path.display())))
}

/// Bytes free for the journal on its disk.
///
/// # Errors
/// When the directory is gone.
pub fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir);
    let stat = stat.map_err(|e| unavailable(format!("{}: {e}", dir.display())))?;
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}
