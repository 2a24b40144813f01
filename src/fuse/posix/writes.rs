//! Changing files.
//!
//! A new file that is written from its first byte to its last goes straight to the workers, and is on no
//! disk of ours: a stream. Everything else is staged: a file that is opened for writing, one that is
//! opened for reading too, and a stream that turns out not to be one, which is taken back. What is
//! staged becomes a new version when its last writer closes it ([`super::publish`]).
//!
//! All handles on a file share one [`Write`], so they see the same bytes whoever wrote them.

use super::changes::stripped;
use super::{Entry, Posix, attributes, times};
use crate::client::{CreateOptions, FileSystem, Writer};
use crate::core::model::{FileId, FsPath, Status};
use crate::fuse::backing::Of;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Handle, Write, WriteHandle, Writing};
use crate::fuse::inodes::Known;
use crate::fuse::parked::Incoming;
use crate::fuse::staging::Staged;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Files up to this are staged whole where that makes writing them quicker.
const WHOLE: u64 = 4 << 20;
/// How often, and how many times, it is looked whether the kernel has let go of a staged file. Who has it
/// mapped keeps it for longer.
const LOOK: Duration = Duration::from_millis(1);
const LETTING_GO: u32 = 20;
/// How long one who opens a file for writing waits for another mount that has just made it, and how often
/// it is looked at the least.
const MAKING: Duration = Duration::from_secs(3);
const MOST_PAUSE: Duration = Duration::from_millis(100);
/// How often a file is made that comes and goes.
const MOST_TRIES: u32 = 5;

/// Who asks, as the kernel says.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group that what they make belongs to.
    pub gid: u32,
    /// The process.
    pub pid: u32,
}

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether it is emptied.
    pub truncate: bool,
    /// Whether it may be written in order: it is not read through the same handle.
    pub stream: bool,
    /// Whether a small file is staged whole, for the kernel to write it by itself.
    pub whole: bool,
}

/// A new file and the handle that writes it.
pub struct Created {
    /// What stat(2) tells of it.
    pub entry: Entry,
    /// The handle.
    pub handle: u64,
    /// Whether it is a stream.
    pub stream: bool,
}

impl Posix {
    /// Makes the file `name` in `parent` and opens it for writing, as a stream if `stream`.
    ///
    /// # Errors
    /// `EEXIST` where something is.
    pub async fn create(
        &self,
        (parent, name): (u64, &str),
        mode: u32,
        stream: bool,
        caller: Caller,
    ) -> Result<Created, Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        let ticket = self.inodes.ticket();
        let (files, _) = self.files_in(parent, caller).await?;
        let writer = Box::new(new_file(&files, &path, mode, false).await?);
        let status = writer.status().cloned().ok_or(Errno::IO)?;
        let stream = stream && writer.gives_back();
        let (state, staged) = match stream {
            true => (Writing::Stream(writer), None),
            false => {
                let staged = Staged::new(self.home()?, None, status.modified_ms)?;
                (Writing::Staged(Some(writer)), Some(staged))
            }
        };
        let known = self.know(status);
        self.inodes.touched(parent);
        let found = self.inodes.place((parent, name), known, ticket, 1);
        let write = Write::new(found.ino, caller.uid, found.known.clone(), state).of_new();
        *write.staged.write() = staged.map(Arc::new);
        let write = self.handles.begin(write, true);
        let entry = self.entry_of_write(&write);
        let handle = WriteHandle::new(write, process_of(caller.pid), true);
        Ok(Created { entry, handle: self.handles.insert_write(handle), stream })
    }

    /// The same where nothing is; what is there the kernel is to look up anew, and to open as any other file.
    /// Of one that it had asked us to make it would not ask who may open it.
    ///
    /// # Errors
    /// `ESTALE` where something is.
    pub async fn create_or_find(
        &self,
        (parent, name): (u64, &str),
        mode: u32,
        stream: bool,
        caller: Caller,
    ) -> Result<Created, Errno> {
        for _ in 0..MOST_TRIES {
            match self.create((parent, name), mode, stream, caller).await {
                Err(Errno::EXISTS) => {}
                made => return made,
            }
            match self.fetch_child(parent, name, 0).await {
                Ok(_) => return Err(Errno::STALE),
                // It has been deleted since.
                Err(Errno::NOT_FOUND) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXISTS)
    }

    /// Opens `ino` for writing. Answers the handle, and whether it is a stream.
    ///
    /// # Errors
    /// `EBUSY` while another mount goes on making the file; `EROFS`.
    pub async fn open_write(
        &self,
        ino: u64,
        how: How,
        caller: Caller,
    ) -> Result<(u64, bool), Errno> {
        let write = self.enter_write(ino, caller.uid).await?;
        let prepared = async {
            if how.truncate && caller.uid != 0 {
                self.strip(ino).await?;
            }
            self.prepare(&write, how).await
        };
        match prepared.await {
            Ok(stream) => {
                let handle = WriteHandle::new(write, process_of(caller.pid), true);
                Ok((self.handles.insert_write(handle), stream))
            }
            Err(errno) => {
                self.leave(&write, true).await.ok();
                Err(errno)
            }
        }
    }

    /// One more writer of `ino`, who is to leave again.
    pub(super) async fn enter_write(&self, ino: u64, uid: u32) -> Result<Arc<Write>, Errno> {
        self.check_writable()?;
        if let Some(write) = self.handles.join(ino, true) {
            return Ok(write);
        }
        let known = self.find_made(ino).await?;
        let write = self.handles.begin(Write::new(ino, uid, known, Writing::Published), true);
        if self.inodes.path(ino).is_ok() {
            return Ok(write);
        }
        // It was deleted meanwhile, by one who found nobody to tell.
        write.unlinked.store(true, Ordering::Release);
        self.leave(&write, true).await.ok();
        Err(Errno::STALE)
    }

    /// What the master knows of `ino`, whatever is known here: others may have changed it. Whoever makes
    /// it gets a moment to complete it.
    async fn find_made(&self, ino: u64) -> Result<Arc<Known>, Errno> {
        let begun = Instant::now();
        let mut pause = LOOK;
        loop {
            let known = self.find_now(ino).await?.known;
            if known.status.completed {
                return Ok(known);
            }
            if begun.elapsed() >= MAKING {
                return Err(Errno::BUSY);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Publishes what was changed of `ino`, whoever goes on writing it.
    ///
    /// # Errors
    /// Whatever publishing it fails with.
    pub(super) async fn publish_changed(&self, ino: u64) -> Result<(), Errno> {
        let Some(write) = self.handles.writing(ino) else { return Ok(()) };
        let changed = match write.staged() {
            Some(staged) => staged.is_dirty(),
            None => write.length.load(Ordering::Acquire) > 0,
        };
        if changed { self.publish(&write).await } else { Ok(()) }
    }

    /// What is known of `ino`, which somebody has completed.
    pub(super) async fn find_complete(&self, ino: u64) -> Result<Arc<Known>, Errno> {
        let mut known = self.find(ino).await?.known;
        if !known.status.completed {
            // Someone else may have completed it since this was learned.
            self.inodes.touched(ino);
            known = self.find(ino).await?.known;
        }
        if known.status.completed { Ok(known) } else { Err(Errno::BUSY) }
    }

    /// One more reader of `ino`, if it is being changed; none where it is read as any other.
    ///
    /// # Errors
    /// As [`Posix::write`].
    pub async fn join_read(&self, ino: u64, caller: Caller) -> Result<Option<(u64, bool)>, Errno> {
        let Some(write) = self.handles.join(ino, false) else { return Ok(None) };
        let staged = self.staged_for_read(&write).await;
        match staged {
            Ok(Some(_)) => {
                let handle = WriteHandle::new(write, caller.pid, false);
                Ok(Some((self.handles.insert_write(handle), false)))
            }
            other => {
                self.leave(&write, false).await.ok();
                other.map(|_| None)
            }
        }
    }

    /// Makes a file that was opened ready to be written. Says whether it is a stream.
    pub(super) async fn prepare(&self, write: &Arc<Write>, how: How) -> Result<bool, Errno> {
        let mut state = write.state.lock().await;
        let fresh = matches!(*state, Writing::Published | Writing::Failed(_));
        // Whoever reads it is to see what is written, and a stream gives nothing back meanwhile.
        let alone = write.is_alone() && !self.handles.is_read(write.ino);
        if fresh && how.truncate && how.stream && alone && write.staged().is_none() {
            let path = self.place_of(write);
            let mode = write.known.lock().status.mode;
            let writer = new_file(&self.files_of(write.uid), &path, mode, true).await?;
            if writer.gives_back() {
                write.length.store(0, Ordering::Release);
                write.touch();
                *state = Writing::Stream(Box::new(writer));
                return Ok(true);
            }
            writer.cancel().await;
        }
        let staged = self.stage(write, &mut state, how.truncate).await?;
        if how.truncate && (staged.length() > 0 || fresh) {
            staged.truncate(0).await?;
        }
        if how.whole && !staged.is_whole() && staged.length() <= WHOLE {
            self.renew_base(write, &staged).await?;
            if let Err(errno) = staged.fetch().await {
                // It is slower without, and no more.
                tracing::debug!(?errno, "a small file is not staged whole");
            }
        }
        Ok(false)
    }

    /// Where a file that is being changed is, or was last.
    pub(super) fn place_of(&self, write: &Write) -> FsPath {
        let mut path = write.path.lock();
        if !write.is_unlinked()
            && let Ok(now) = self.inodes.path(write.ino)
        {
            *path = now;
        }
        path.clone()
    }

    /// Writes on the spot; none where something has to be waited for.
    pub fn write_now(
        &self,
        write: &Write,
        offset: u64,
        bytes: &[u8],
    ) -> Option<Result<u32, Errno>> {
        write.staged()?.write_now(offset, bytes)
    }

    /// Writes.
    ///
    /// # Errors
    /// `ENOSPC`; `EIO` for what was streamed to workers that are lost.
    pub async fn write(
        &self,
        write: &Arc<Write>,
        offset: u64,
        incoming: Incoming,
    ) -> Result<u32, Errno> {
        let count = incoming.len() as u32;
        if let Some(staged) = write.staged() {
            return incoming.stage(&staged, offset).await;
        }
        // One operation at a time: a writer takes its bytes in order.
        let mut state = write.state.lock().await;
        if let Writing::Stream(writer) = &mut *state
            && offset == write.length.load(Ordering::Acquire)
        {
            if let Err(error) = incoming.write_to(writer).await {
                // Some of it may be with the workers.
                writer.give_up();
                return Err(error.into());
            }
            write.length.fetch_add(u64::from(count), Ordering::Release);
            write.touch();
            return Ok(count);
        }
        let staged = self.stage(write, &mut state, false).await?;
        drop(state);
        incoming.stage(&staged, offset).await
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

    /// A process closed one of its descriptors: that of the opener publishes the file, if nobody else
    /// writes it, so that an error shows there.
    ///
    /// # Errors
    /// Whatever publishing it fails with.
    pub async fn closed_by(&self, handle: &WriteHandle, pid: u32) -> Result<(), Errno> {
        let write = &handle.write;
        if !handle.writable || !is_of(handle.opener, pid) || !write.closes(handle) {
            return Ok(());
        }
        // A shell opens an empty file, duplicates the descriptor and closes the first.
        let begun = write.staged().is_some() || write.length.load(Ordering::Acquire) > 0;
        if begun { self.publish(write).await } else { Ok(()) }
    }

    /// Closes a handle for good.
    pub async fn release(&self, handle: u64) {
        if let Some(Handle::Write(handle)) = self.handles.remove(handle) {
            // What could not be published when it was closed is tried again later.
            if self.handles.leave_with(&handle) && !handle.write.has_just_failed() {
                // The kernel has no use for an error here; it was logged.
                self.publish(&handle.write).await.ok();
            }
            self.let_go(&handle.write).await;
            self.end(&handle.write);
        }
    }

    /// The kernel lets go of a file only after it has told us so.
    async fn let_go(&self, write: &Write) {
        let Some(staged) = write.staged() else { return };
        for _ in 0..LETTING_GO {
            if write.handles() > 0 || !staged.is_shared() {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One handle less. The last that writes publishes the file.
    pub(super) async fn leave(&self, write: &Arc<Write>, writable: bool) -> Result<(), Errno> {
        let published = match self.handles.leave(write, writable) {
            true => self.publish(write).await,
            false => Ok(()),
        };
        self.end(write);
        published
    }

    /// A file that nobody has open and all of which is published is not being changed any more.
    pub(super) fn end(&self, write: &Arc<Write>) {
        let clean = || {
            let state = write.state.try_lock();
            let settled = state.is_ok_and(|state| !matches!(*state, Writing::Stream(_)));
            // Looked at in this order: whoever has it mapped may store into it to the last.
            let kept = |staged: Arc<Staged>| staged.is_shared() || staged.is_dirty();
            let forsaken = write.is_unlinked() || write.is_given_up();
            settled && (forsaken || !write.staged().is_some_and(kept))
        };
        self.handles.end(write, clean);
    }

    /// The file that is being changed under `ino`, unless nothing of it was changed yet that a reader
    /// could miss.
    pub fn changing(&self, ino: u64) -> Option<Arc<Write>> {
        let write = self.handles.writing(ino)?;
        let at_rest = || {
            let state = write.state.try_lock();
            state.is_ok_and(|state| matches!(*state, Writing::Published))
        };
        let missed = write.staged().is_some() || !at_rest();
        missed.then_some(write)
    }

    /// The staged file of `ino`, if all its bytes are here: the kernel is going to write it by itself.
    pub fn lend_staged(&self, ino: u64) -> Option<Arc<std::fs::File>> {
        let write = self.handles.writing(ino)?;
        // Writing strips such a mode, which we would not see.
        let mode = write.known.lock().status.mode;
        if stripped(mode) != mode {
            return None;
        }
        let staged = write.staged().filter(|staged| staged.is_whole())?;
        let lent = staged.lend()?;
        self.lent.lock().insert(ino);
        Some(lent)
    }

    /// What the kernel reads and writes by itself where it does so with the staged file of `ino`.
    pub fn backing_of(&self, ino: u64) -> Of {
        let staged = self.handles.writing(ino).and_then(|write| write.staged());
        staged.map_or(Of::Nothing, |staged| Of::Staged(Arc::as_ptr(&staged) as usize))
    }

    /// Whether the kernel wrote `ino` by itself since it was last asked to forget what it had cached of
    /// it, which it is now.
    pub fn forget_lent(&self, ino: u64) -> bool {
        self.lent.lock().remove(&ino)
    }

    /// Whether somebody changes `ino`.
    pub fn is_changing(&self, ino: u64) -> bool {
        self.handles.writing(ino).is_some()
    }

    /// Whether whoever opened the version `id` of `ino` would still open that.
    pub fn is_current(&self, ino: u64, id: FileId) -> bool {
        self.inodes.is_version(ino, id) && self.changing(ino).is_none()
    }

    /// Whoever reads `ino` keeps what they opened; its name gets another number, which is answered, for
    /// others to write.
    pub fn part(&self, ino: u64) -> Option<u64> {
        self.inodes.renumber(ino)
    }

    pub(super) fn entry_of_write(&self, write: &Write) -> Entry {
        let known = write.known.lock().clone();
        let mut attributes = attributes(write.ino, &known);
        match write.staged() {
            Some(staged) => {
                attributes.size = staged.length();
                attributes.modified_ms = staged.modified_ms();
            }
            None => {
                attributes.size = write.length.load(Ordering::Acquire);
                attributes.modified_ms = write.modified_ms();
            }
        }
        if let Some(later) = &*write.later.lock() {
            attributes.modified_ms = later.modified_ms.unwrap_or(attributes.modified_ms);
            attributes.accessed_ms = later.accessed_ms.unwrap_or(attributes.accessed_ms);
            attributes.mode = later.mode.unwrap_or(attributes.mode);
        }
        let mut xattrs = known.status.xattrs.clone();
        if let Some(later) = &*write.later.lock() {
            xattrs.extend(later.set_xattrs.clone());
        }
        attributes.modified_ns = times::MODIFIED.beyond(attributes.modified_ms, &xattrs);
        attributes.accessed_ns = times::ACCESSED.beyond(attributes.accessed_ms, &xattrs);
        attributes.changed_ms = attributes.changed_ms.max(attributes.modified_ms);
        if write.is_unlinked() {
            attributes.links = 0;
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

    /// What a file is from now on, once its bytes have become the version `id`.
    pub(super) fn now_is(&self, write: &Write, id: FileId, (length, modified_ms): (u64, i64)) {
        let mut known = write.known.lock();
        // Where its blocks are the master tells whoever asks: for that it counts as incomplete.
        let status = Status { id, length, modified_ms, completed: false, ..known.status.clone() };
        *known = Arc::new(Known { status, uid: known.uid, gid: known.gid });
        drop(known);
        write.published();
        if !write.is_unlinked() {
            self.inodes.published(write.ino, id);
        }
    }
}

/// The process that `thread` is one of. Asked while the thread waits for us: later it may have ended.
fn process_of(thread: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    process.and_then(|number| number.trim().parse().ok()).unwrap_or(thread)
}

/// Whether `thread` is one of `process`.
fn is_of(process: u32, thread: u32) -> bool {
    process == thread || Path::new(&format!("/proc/{process}/task/{thread}")).exists()
}

async fn new_file(
    files: &FileSystem,
    path: &FsPath,
    mode: u32,
    next: bool,
) -> Result<Writer, Errno> {
    let options = CreateOptions { mode: Some(mode & 0o7777), next, ..CreateOptions::default() };
    Ok(files.create(path, &options).await?)
}
