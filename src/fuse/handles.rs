//! Open files.
//!
//! A file the kernel reads by itself (passthrough) has no handle here, since none of its reads ask
//! us. A file read through us has a reader, and the blocks that a worker on this host lent of it. A
//! file that is being changed has one [`Write`] for all its handles, found by its inode: so all of
//! them see the same bytes, of which the master knows nothing yet.

use super::errno::Errno;
use super::inodes::Known;
use super::staging::Staged;
use crate::client::{Reader, SetAttributes, Writer};
use crate::core::model::{FileId, FsPath};
use crate::core::rpc::lend::LentBlock;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The handle of every file that the kernel reads by itself.
pub const PASSTHROUGH: u64 = 0;
/// The longest wait between two tries to publish a file.
pub const LAST_RETRY: Duration = Duration::from_secs(300);
/// Blocks of one file whose descriptors are kept open.
const MOST_LENT: usize = 64;

/// An open file.
#[derive(Clone)]
pub enum Handle {
    /// Read through us.
    Read(Arc<Read>),
    /// Being changed.
    Write(WriteHandle),
}

/// A file that is read through us.
pub struct Read {
    /// Its inode, as the kernel knows it.
    pub ino: u64,
    /// What was known of it when it was opened; its bytes never change.
    pub known: Arc<Known>,
    /// Reads whatever is not on this host.
    pub reader: Reader,
    lent: Mutex<HashMap<u64, Arc<LentBlock>>>,
}

impl Read {
    /// A handle on `ino`, which is `known` and read by `reader`.
    pub fn new(ino: u64, known: Arc<Known>, reader: Reader) -> Self {
        Read { ino, known, reader, lent: Mutex::default() }
    }

    /// The file of block `index`, if it was lent before.
    pub fn lent(&self, index: u64) -> Option<Arc<LentBlock>> {
        self.lent.lock().get(&index).cloned()
    }

    /// Keeps the file of block `index` open.
    pub fn keep_lent(&self, index: u64, block: Arc<LentBlock>) {
        let mut lent = self.lent.lock();
        if lent.len() >= MOST_LENT {
            lent.clear();
        }
        lent.insert(index, block);
    }
}

/// A file that is being changed: new, or open for writing.
pub struct Write {
    /// Its inode, as the kernel knows it.
    pub ino: u64,
    /// The user who opened it first: it is published as theirs.
    pub uid: u32,
    /// What the master knows of it.
    pub known: Mutex<Arc<Known>>,
    /// Where it was last: its name may stand for something else by now.
    pub path: Mutex<FsPath>,
    /// Bytes in it, while it is written in order.
    pub length: AtomicU64,
    /// When it was last written so, in milliseconds since 1970.
    modified_ms: AtomicI64,
    /// Attributes to set once it is complete, for completing sets times of its own.
    pub later: Mutex<Option<SetAttributes>>,
    /// How it is written, held over what changes that.
    pub state: tokio::sync::Mutex<Writing>,
    /// Its bytes, once they are staged.
    pub staged: RwLock<Option<Arc<Staged>>>,
    /// Deleted or replaced through this mount: nothing of it is to be published.
    pub unlinked: AtomicBool,
    /// Whether no version of it was published yet.
    new: AtomicBool,
    /// That publishing it has failed, so that what others made since is newer.
    failed: Mutex<Option<Failed>>,
    /// How many deletions and renames of it are under way.
    leaving: watch::Sender<u32>,
    /// The version that was begun last, which may be there although nobody was told so.
    attempt: Mutex<Option<FileId>>,
    /// Whether others have changed it, so that what is staged is for people to decide on.
    given_up: AtomicBool,
    open: Mutex<Open>,
}

/// Publishing a file has failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    /// How many changes it had had when that was tried last.
    changes: u64,
    /// How long it then was not to be tried again, and when that is over.
    wait: Duration,
    until: Instant,
}

/// How many have it open.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Handles through us, for reading or writing.
    all: u32,
    /// Of these, those that write.
    writers: u32,
    /// Of these, those that their process has closed: the kernel says later that they are gone.
    closed: u32,
}

impl Open {
    fn leave(&mut self, writable: bool) -> bool {
        self.all -= 1;
        self.writers -= u32::from(writable);
        writable && self.writers == 0
    }
}

/// How a file is written.
pub enum Writing {
    /// In order, straight to the workers: new, or emptied when it was opened.
    Stream(Box<Writer>),
    /// Anywhere, on a disk of this host. A new file keeps the writer that it was made with for its
    /// first version.
    Staged(Option<Box<Writer>>),
    /// Nothing has been written since it was published.
    Published,
    /// What was written in order is lost.
    Failed(Errno),
}

impl Write {
    /// One that nobody has open yet.
    pub fn new(ino: u64, uid: u32, known: Arc<Known>, state: Writing) -> Self {
        let length = match state {
            Writing::Stream(_) => 0,
            _ => known.status.length,
        };
        Write {
            ino,
            uid,
            path: Mutex::new(known.status.path.clone()),
            length: AtomicU64::new(length),
            modified_ms: AtomicI64::new(known.status.modified_ms),
            known: Mutex::new(known),
            later: Mutex::default(),
            state: tokio::sync::Mutex::new(state),
            staged: RwLock::default(),
            unlinked: AtomicBool::new(false),
            new: AtomicBool::new(false),
            failed: Mutex::default(),
            leaving: watch::Sender::new(0),
            attempt: Mutex::default(),
            given_up: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    /// The same, of a file that has just been made.
    pub fn of_new(self) -> Self {
        self.new.store(true, Ordering::Release);
        self
    }

    /// Whether no version of it was published yet.
    pub fn is_new(&self) -> bool {
        self.new.load(Ordering::Acquire)
    }

    /// A version of it is published.
    pub fn published(&self) {
        self.new.store(false, Ordering::Release);
        *self.failed.lock() = None;
        self.given_up.store(false, Ordering::Release);
    }

    /// Publishing it has failed, with so many changes. It is to be tried again after `wait` or, where it
    /// has failed before, after twice as long as then, but not later than [`LAST_RETRY`].
    pub fn fail(&self, changes: u64, wait: Duration) {
        let mut failed = self.failed.lock();
        let before = failed.map_or(Duration::ZERO, |failed| failed.wait);
        let wait = wait.max(before * 2).min(LAST_RETRY);
        *failed = Some(Failed { changes, wait, until: Instant::now() + wait });
    }

    /// Whether that is so.
    pub fn has_failed(&self) -> bool {
        self.failed.lock().is_some()
    }

    /// Whether it is time to try again.
    pub fn is_due(&self) -> bool {
        self.failed.lock().is_some_and(|failed| failed.until <= Instant::now())
    }

    /// Whether it was not changed either since.
    pub fn has_just_failed(&self) -> bool {
        let failed = self.failed.lock().map(|failed| failed.changes);
        failed.is_some() && failed == self.staged().map(|staged| staged.made())
    }

    /// It is about to be deleted, or to get another path: nothing of it is published until the answer is
    /// dropped.
    pub fn depart(self: &Arc<Self>) -> Departing {
        self.leaving.send_modify(|count| *count += 1);
        Departing(self.clone())
    }

    /// Waits for somebody to do so.
    pub async fn leaves(&self) {
        // It fails when the sender has gone, which is this.
        self.leaving.subscribe().wait_for(|&count| count > 0).await.ok();
    }

    /// Waits until nobody does.
    pub async fn stays(&self) {
        self.leaving.subscribe().wait_for(|&count| count == 0).await.ok();
    }

    /// Whether somebody does.
    pub fn is_leaving(&self) -> bool {
        *self.leaving.borrow() > 0
    }

    /// What is staged goes to `writer`.
    pub fn attempt(&self, writer: &Writer) {
        *self.attempt.lock() = writer.status().map(|status| status.id);
    }

    /// The version that it went to last.
    pub fn attempted(&self) -> Option<FileId> {
        *self.attempt.lock()
    }

    /// It is not tried again to publish it.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Its bytes, if they are staged.
    pub fn staged(&self) -> Option<Arc<Staged>> {
        self.staged.read().clone()
    }

    /// It is written, in order, just now.
    pub fn touch(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_millis() as i64);
        self.modified_ms.store(now, Ordering::Release);
    }

    /// When it was last written in order.
    pub fn modified_ms(&self) -> i64 {
        self.modified_ms.load(Ordering::Acquire)
    }

    /// Whether one handle is all there is.
    pub fn is_alone(&self) -> bool {
        self.open.lock().all == 1
    }

    /// Whether it was deleted or replaced.
    pub fn is_unlinked(&self) -> bool {
        self.unlinked.load(Ordering::Acquire)
    }

    /// The process that opened `handle` closes a descriptor of it. Says whether no other handle writes.
    pub fn closes(&self, handle: &WriteHandle) -> bool {
        let mut open = self.open.lock();
        open.closed += u32::from(!handle.closed.swap(true, Ordering::AcqRel));
        open.closed >= open.writers
    }

    /// Something is written through `handle`: it was another descriptor of it that was closed.
    pub fn writes(&self, handle: &WriteHandle) {
        if handle.closed.load(Ordering::Acquire) {
            let mut open = self.open.lock();
            open.closed -= u32::from(handle.closed.swap(false, Ordering::AcqRel));
        }
    }

    /// How many handles there are.
    pub fn handles(&self) -> u32 {
        self.open.lock().all
    }

    /// How many handles write it.
    pub fn writers(&self) -> u32 {
        self.open.lock().writers
    }

    fn enter(&self, writable: bool) {
        let mut open = self.open.lock();
        open.all += 1;
        open.writers += u32::from(writable);
    }
}

/// A file that is being changed, while it is deleted or gets another path.
pub struct Departing(pub Arc<Write>);

impl Drop for Departing {
    fn drop(&mut self) {
        self.0.leaving.send_modify(|count| *count -= 1);
    }
}

/// A handle on a file that is being changed.
#[derive(Clone)]
pub struct WriteHandle {
    /// The file.
    pub write: Arc<Write>,
    /// The process that opened it.
    pub opener: u32,
    /// Whether it writes.
    pub writable: bool,
    /// Whether that process has closed a descriptor of it and nothing was written through it since.
    closed: Arc<AtomicBool>,
}

impl WriteHandle {
    /// One that the process `opener` has.
    pub fn new(write: Arc<Write>, opener: u32, writable: bool) -> Self {
        WriteHandle { write, opener, writable, closed: Arc::default() }
    }
}

/// All open files of one mount.
#[derive(Default)]
pub struct Handles {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Handle>>,
    writing: Mutex<HashMap<u64, Arc<Write>>>,
    /// How many files are being changed: reads look here before they look for theirs.
    changing: AtomicUsize,
    /// Handles that read through us, by inode.
    reading: Mutex<HashMap<u64, u32>>,
}

impl Handles {
    /// Opens a handle that reads.
    pub fn insert_read(&self, read: Read) -> u64 {
        *self.reading.lock().entry(read.ino).or_default() += 1;
        self.insert(Handle::Read(Arc::new(read)))
    }

    /// Opens a handle on a file that is being changed, and was entered.
    pub fn insert_write(&self, handle: WriteHandle) -> u64 {
        self.insert(Handle::Write(handle))
    }

    fn insert(&self, handle: Handle) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.lock().insert(number, handle);
        number
    }

    /// What a handle is.
    pub fn get(&self, number: u64) -> Option<Handle> {
        self.open.lock().get(&number).cloned()
    }

    /// The file that is being changed under that inode.
    pub fn writing(&self, ino: u64) -> Option<Arc<Write>> {
        match self.changing.load(Ordering::Acquire) {
            0 => None,
            _ => self.writing.lock().get(&ino).cloned(),
        }
    }

    /// The same, with one more handle on it.
    pub fn join(&self, ino: u64, writable: bool) -> Option<Arc<Write>> {
        let writing = self.writing.lock();
        let write = writing.get(&ino)?;
        write.enter(writable);
        Some(write.clone())
    }

    /// A file is being changed from now on, with one handle on it; the one that is already, if others
    /// were faster.
    pub fn begin(&self, write: Write, writable: bool) -> Arc<Write> {
        let mut writing = self.writing.lock();
        let write = writing.entry(write.ino).or_insert_with(|| Arc::new(write)).clone();
        write.enter(writable);
        self.changing.store(writing.len(), Ordering::Release);
        write
    }

    /// Closes a handle for good.
    pub fn remove(&self, number: u64) -> Option<Handle> {
        let handle = self.open.lock().remove(&number)?;
        if let Handle::Read(read) = &handle {
            let mut reading = self.reading.lock();
            if let Some(count) = reading.get_mut(&read.ino) {
                *count -= 1;
                if *count == 0 {
                    reading.remove(&read.ino);
                }
            }
        }
        Some(handle)
    }

    /// Whether handles that read through us are open on that inode.
    pub fn is_read(&self, ino: u64) -> bool {
        self.reading.lock().contains_key(&ino)
    }

    /// One handle on the file is closed. Says whether it was the last that writes.
    pub fn leave(&self, write: &Write, writable: bool) -> bool {
        write.open.lock().leave(writable)
    }

    /// The same of a handle that a program had.
    pub fn leave_with(&self, handle: &WriteHandle) -> bool {
        let mut open = handle.write.open.lock();
        open.closed -= u32::from(handle.closed.swap(false, Ordering::AcqRel));
        open.leave(handle.writable)
    }

    /// The file counts as not being changed any more if nobody has it open and `clean` says that
    /// nothing of it is left to be published.
    pub fn end(&self, write: &Arc<Write>, clean: impl FnOnce() -> bool) {
        let mut writing = self.writing.lock();
        let idle = write.open.lock().all == 0 && !self.reading.lock().contains_key(&write.ino);
        let known = writing.get(&write.ino).is_some_and(|other| Arc::ptr_eq(other, write));
        if idle && known && clean() {
            writing.remove(&write.ino);
        }
        self.changing.store(writing.len(), Ordering::Release);
    }

    /// Every file that is being changed.
    pub fn all_writing(&self) -> Vec<Arc<Write>> {
        self.writing.lock().values().cloned().collect()
    }
}
