//! Writing files: in order, from the first byte to the last, once.
//!
//! Blocks never change once they are whole, so a file is made new, or made anew when it is truncated
//! to nothing; what would change bytes in the middle is refused (`EOPNOTSUPP`) before any byte is
//! touched. The file is complete when the process that opened it closes it, so that an error shows
//! there; should that process hand its descriptor to others, when the last of them is done.

use super::{Entry, Posix, attributes};
use crate::client::{CreateOptions, DeleteOptions, SetAttributes, Writer};
use crate::core::error::ErrorKind;
use crate::core::model::FsPath;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Handle, Write, Writing};
use crate::fuse::inodes::{Found, Known};
use crate::fuse::parked::Incoming;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Who asks, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Number of the user.
    pub uid: u32,
    /// The process.
    pub pid: u32,
}

/// A new file and the handle that writes it.
pub struct Created {
    /// What stat(2) tells of it.
    pub entry: Entry,
    /// The handle.
    pub handle: u64,
}

impl Posix {
    /// Makes the file `name` in `parent` and opens it for writing.
    ///
    /// # Errors
    /// `EEXIST` where something is.
    pub async fn create(
        &self,
        (parent, name): (u64, &str),
        mode: u32,
        caller: Caller,
    ) -> Result<Created, Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        let ticket = self.inodes.ticket();
        let writer = self.new_file(&path, mode, caller).await?;
        let status = writer.status().cloned().ok_or(Errno::IO)?;
        let known = self.know(status);
        self.inodes.touched(parent);
        let found = self.inodes.place((parent, name), known, ticket, 1);
        let write = new_write(&found, caller, Some(writer));
        let entry = self.entry_of_write(&write);
        Ok(Created { entry, handle: self.handles.insert(Handle::Write(write)) })
    }

    /// Opens `ino` for writing, and truncates it if `truncate`.
    ///
    /// # Errors
    /// `EBUSY` while another handle writes it; `EROFS`.
    pub async fn open_write(&self, ino: u64, truncate: bool, caller: Caller) -> Result<u64, Errno> {
        self.check_writable()?;
        self.wait_until_written(ino).await?;
        let found = self.find(ino).await?;
        let write = new_write(&found, caller, None);
        if truncate {
            self.truncate(&write, caller).await?;
        }
        Ok(self.handles.insert(Handle::Write(write)))
    }

    /// Takes the next bytes of a file.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for bytes that are not next, or a file that was not truncated.
    pub async fn write(
        &self,
        write: &Arc<Write>,
        offset: u64,
        incoming: Incoming,
    ) -> Result<u32, Errno> {
        let count = incoming.len() as u32;
        // One operation at a time: a writer takes its bytes in order.
        let mut state = write.state.lock().await;
        if matches!(*state, Writing::Untouched) && write.known.status.length == 0 {
            let caller = Caller { uid: write.uid, pid: write.opener };
            *state = Writing::Open(self.replace(write, caller).await?);
        }
        let writer = match &mut *state {
            Writing::Open(writer) => writer,
            Writing::Untouched => return Err(Errno::UNSUPPORTED),
            Writing::Closed(Err(errno)) => return Err(*errno),
            Writing::Closed(Ok(())) => return Err(Errno::BAD_HANDLE),
        };
        if offset != write.length.load(Ordering::Acquire) {
            return Err(Errno::UNSUPPORTED);
        }
        if let Err(error) = incoming.write_to(writer).await {
            // Some of it may be with the workers.
            writer.give_up();
            return Err(error.into());
        }
        write.length.fetch_add(u64::from(count), Ordering::Release);
        Ok(count)
    }

    /// Takes what the kernel gives to be written: as it is if there is memory for it. Else it is kept on
    /// disk, and only where that cannot be does this thread wait.
    ///
    /// # Errors
    /// `ETIMEDOUT` when nobody else gets on either.
    pub fn take(&self, data: &[u8], runtime: &tokio::runtime::Handle) -> Result<Incoming, Errno> {
        let memory = self.files.memory();
        if let Some(turn) = memory.write_now(data.len() as u64) {
            return Ok(Incoming::here(data, turn));
        }
        match self.parking.park(data) {
            Some(parked) => Ok(Incoming::Parked(parked)),
            None => Ok(Incoming::here(data, runtime.block_on(memory.write(data.len() as u64))?)),
        }
    }

    /// A process closed one of its descriptors: the opener's own completes the file.
    ///
    /// # Errors
    /// Whatever completing it fails with.
    pub async fn closed_by(&self, write: &Arc<Write>, pid: u32) -> Result<(), Errno> {
        // A shell opens an empty file, duplicates the descriptor and closes the first.
        let started = write.length.load(Ordering::Acquire) > 0
            && !matches!(*write.state.lock().await, Writing::Untouched);
        if pid == write.opener && started { self.complete(write).await } else { Ok(()) }
    }

    /// What has been written so far is with the workers.
    ///
    /// # Errors
    /// Whatever they fail with.
    pub async fn sync(&self, write: &Arc<Write>) -> Result<(), Errno> {
        match &mut *write.state.lock().await {
            Writing::Open(writer) => Ok(writer.flush().await?),
            Writing::Closed(result) => *result,
            Writing::Untouched => Ok(()),
        }
    }

    /// Closes a handle for good.
    pub async fn release(&self, handle: u64) {
        // The kernel has no use for an error here; it was logged.
        if let Some(Handle::Write(write)) = self.handles.remove(handle) {
            self.complete(&write).await.ok();
        }
    }

    /// Gives up every file that is still being written: this process ends.
    pub async fn abandon_writes(&self) {
        for write in self.handles.all_writing() {
            let closed = Writing::Closed(Err(Errno::IO));
            let state = std::mem::replace(&mut *write.state.lock().await, closed);
            if let Writing::Open(writer) = state {
                tracing::warn!(path = %write.known.status.path, "not complete: its writer goes on");
                writer.cancel().await;
            }
        }
    }

    /// Makes a written file what everyone sees.
    ///
    /// # Errors
    /// Whatever completing it fails with; the same when asked again.
    pub(super) async fn complete(&self, write: &Arc<Write>) -> Result<(), Errno> {
        let mut state = write.state.lock().await;
        let result = match std::mem::replace(&mut *state, Writing::Closed(Ok(()))) {
            Writing::Open(writer) => self.close_writer(write, writer).await,
            Writing::Closed(result) => result,
            Writing::Untouched => Ok(()),
        };
        *state = Writing::Closed(result);
        self.handles.written(write);
        write.done.notify_waiters();
        result
    }

    async fn close_writer(&self, write: &Write, writer: Box<Writer>) -> Result<(), Errno> {
        let path = writer.status().map(|status| status.path.clone()).ok_or(Errno::IO)?;
        let finished = writer.finish().await;
        self.inodes.touched(write.ino);
        finished?;
        let later = write.later.lock().take();
        match later {
            Some(later) => Ok(self.files_of(write.uid).set_attributes(&path, &later).await?),
            None => Ok(()),
        }
    }

    /// Empties an existing file that is open for writing.
    ///
    /// # Errors
    /// Whatever replacing it fails with.
    pub(super) async fn truncate(&self, write: &Arc<Write>, caller: Caller) -> Result<(), Errno> {
        let mut state = write.state.lock().await;
        match &*state {
            Writing::Untouched => *state = Writing::Open(self.replace(write, caller).await?),
            Writing::Open(_) if write.length.load(Ordering::Acquire) == 0 => {}
            Writing::Open(_) => return Err(Errno::UNSUPPORTED),
            Writing::Closed(_) => return Err(Errno::BAD_HANDLE),
        }
        write.length.store(0, Ordering::Release);
        Ok(())
    }

    /// A new file in the place of the one that `write` has open, with its mode.
    async fn replace(&self, write: &Write, caller: Caller) -> Result<Box<Writer>, Errno> {
        let path = self.inodes.path(write.ino)?;
        match self.files_of(caller.uid).delete(&path, &DeleteOptions::default()).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let writer = self.new_file(&path, write.known.status.mode, caller).await?;
        self.inodes.replaced(write.ino);
        Ok(Box::new(writer))
    }

    async fn new_file(&self, path: &FsPath, mode: u32, caller: Caller) -> Result<Writer, Errno> {
        let options = CreateOptions { mode: Some(mode & 0o7777), ..CreateOptions::default() };
        Ok(self.files_of(caller.uid).create(path, &options).await?)
    }

    pub(super) fn entry_of_write(&self, write: &Write) -> Entry {
        let mut attributes = attributes(write.ino, &write.known);
        attributes.size = write.length.load(Ordering::Acquire);
        if let Some(later) = &*write.later.lock() {
            attributes.modified_ms = later.modified_ms.unwrap_or(attributes.modified_ms);
            attributes.accessed_ms = later.accessed_ms.unwrap_or(attributes.accessed_ms);
            attributes.mode = later.mode.unwrap_or(attributes.mode);
        }
        Entry {
            attributes,
            attribute_timeout: Duration::ZERO,
            // The name is sure as long as the file is open here.
            entry_timeout: self.options.entry_timeout,
        }
    }

    /// # Errors
    /// `EROFS` for a mount that takes no writes.
    pub(super) fn check_writable(&self) -> Result<(), Errno> {
        if self.options.read_only { Err(Errno::READ_ONLY) } else { Ok(()) }
    }
}

fn new_write(found: &Found, caller: Caller, writer: Option<Writer>) -> Arc<Write> {
    let known: &Arc<Known> = &found.known;
    let state = match writer {
        Some(writer) => Writing::Open(Box::new(writer)),
        None => Writing::Untouched,
    };
    Arc::new(Write {
        ino: found.ino,
        opener: caller.pid,
        uid: caller.uid,
        known: known.clone(),
        length: AtomicU64::new(known.status.length),
        later: Mutex::new(None::<SetAttributes>),
        state: tokio::sync::Mutex::new(state),
        done: tokio::sync::Notify::new(),
    })
}
