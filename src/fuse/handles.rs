//! Open files.
//!
//! A file the kernel reads by itself (passthrough) has no handle here, since none of its reads ask
//! us. A file read through us has a reader, and the blocks that a worker on this host lent of it. A
//! file being written has a writer; it is also found by its inode, because until it is complete the
//! master knows neither its length nor its times.

use super::errno::Errno;
use super::inodes::Known;
use crate::client::{Reader, SetAttributes, Writer};
use crate::core::rpc::lend::LentBlock;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The handle of every file that the kernel reads by itself.
pub const PASSTHROUGH: u64 = 0;
/// Blocks of one file whose descriptors are kept open.
const MOST_LENT: usize = 64;

/// An open file.
#[derive(Clone)]
pub enum Handle {
    /// Read through us.
    Read(Arc<Read>),
    /// Being written.
    Write(Arc<Write>),
}

/// A file that is read through us.
pub struct Read {
    /// What was known of it when it was opened; its bytes never change.
    pub known: Arc<Known>,
    /// Reads whatever is not on this host.
    pub reader: Reader,
    lent: Mutex<HashMap<u64, Arc<LentBlock>>>,
}

impl Read {
    /// A handle on `known`, read by `reader`.
    pub fn new(known: Arc<Known>, reader: Reader) -> Self {
        Read { known, reader, lent: Mutex::default() }
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

/// A file that is being written.
pub struct Write {
    /// Its inode, as the kernel knows it.
    pub ino: u64,
    /// The process that opened it: its close completes the file.
    pub opener: u32,
    /// The user who did.
    pub uid: u32,
    /// What was known when it was opened.
    pub known: Arc<Known>,
    /// Bytes in it so far.
    pub length: AtomicU64,
    /// Attributes to set once it is complete, for completing sets times of its own.
    pub later: Mutex<Option<SetAttributes>>,
    /// The rest, held over one operation at a time.
    pub state: tokio::sync::Mutex<Writing>,
    /// Tells those who wait that it is complete.
    pub done: tokio::sync::Notify,
}

/// How far writing has come.
pub enum Writing {
    /// An existing file, opened for writing and not truncated: its attributes may change, its bytes
    /// may not.
    Untouched,
    /// New, or truncated when it was opened.
    Open(Box<Writer>),
    /// Complete, or given up with that error.
    Closed(Result<(), Errno>),
}

/// All open files of one mount.
#[derive(Default)]
pub struct Handles {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Handle>>,
    writing: Mutex<HashMap<u64, Arc<Write>>>,
}

impl Handles {
    /// Opens a handle.
    pub fn insert(&self, handle: Handle) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        if let Handle::Write(write) = &handle {
            self.writing.lock().insert(write.ino, write.clone());
        }
        self.open.lock().insert(number, handle);
        number
    }

    /// The file a handle reads.
    ///
    /// # Errors
    /// `EBADF` when it is not open for reading.
    pub fn read(&self, number: u64) -> Result<Arc<Read>, Errno> {
        match self.open.lock().get(&number) {
            Some(Handle::Read(read)) => Ok(read.clone()),
            _ => Err(Errno::BAD_HANDLE),
        }
    }

    /// The file a handle writes.
    pub fn write(&self, number: u64) -> Option<Arc<Write>> {
        match self.open.lock().get(&number) {
            Some(Handle::Write(write)) => Some(write.clone()),
            _ => None,
        }
    }

    /// The file that is being written under that inode.
    pub fn writing(&self, ino: u64) -> Option<Arc<Write>> {
        self.writing.lock().get(&ino).cloned()
    }

    /// Closes a handle for good.
    pub fn remove(&self, number: u64) -> Option<Handle> {
        self.open.lock().remove(&number)
    }

    /// The file under that inode is complete, or given up.
    pub fn written(&self, write: &Arc<Write>) {
        let mut writing = self.writing.lock();
        if writing.get(&write.ino).is_some_and(|other| Arc::ptr_eq(other, write)) {
            writing.remove(&write.ino);
        }
    }

    /// Every file that is still being written.
    pub fn all_writing(&self) -> Vec<Arc<Write>> {
        self.writing.lock().values().cloned().collect()
    }
}
