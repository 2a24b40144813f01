//! The kernel's questions: each is decoded, passed to [`Posix`], and answered.
//!
//! What can be answered from what is known is answered on the spot, on one of a few threads that
//! read from the kernel; whatever has to ask someone moves to the runtime together with its reply,
//! so that no question waits behind a slow one.

mod answers;
mod opening;

use super::backing::Backings;
use super::errno::Errno;
use super::handles::{Handle, PASSTHROUGH, Write};
use super::posix::locks::{Range, Wanted};
use super::posix::{Change, Posix};
use super::staging::Staged;
use super::underway::{Places, Underway};
use crate::core::model::Node;
use crate::core::runtime::Group;
use answers::{
    Fill, caller, fill, fill_plus, is_sync, node_kind, number, send_attr, send_empty, send_entry,
    send_xattr, split, utf8,
};
use fuser::{
    FileHandle, Filesystem, FopenFlags, INodeNo, InitFlags, KernelConfig, LockOwner, Notifier,
    OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

/// The most bytes of one read or write request.
pub const MAX_REQUEST: u32 = 1 << 20;
/// Reads ahead that the kernel may have on their way at a time.
const MAX_BACKGROUND: u16 = 64;
/// Cookies of the two entries every directory has; those of others are their numbers.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// Closing a file that is read tells us nothing, unless somebody has locked it.
const QUIET: FopenFlags = FopenFlags::FOPEN_NOFLUSH;
/// What copying programs are told to read at a time: each read of theirs is a call to the kernel.
const PREFERRED_READ: u32 = 1 << 20;
/// The unit of the figures of statfs.
const UNIT: u64 = 4096;

thread_local! {
    /// Bytes on their way from a block's file to the kernel; one buffer a thread, not one a read.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One mounted directory, as the kernel sees it.
#[derive(Clone)]
pub struct Kernel {
    posix: Arc<Posix>,
    backings: Arc<Backings>,
    runtime: tokio::runtime::Handle,
    group: Group,
    passthrough: bool,
    /// Tells the kernel what has changed, once there is a session.
    pub notifier: Arc<OnceLock<Notifier>>,
    /// What is answered later, and for what the kernel waits meanwhile.
    pub underway: Arc<Underway>,
}

/// What the kernel asks for, and the inodes that it holds until it is answered.
struct Question {
    name: &'static str,
    places: Places,
}

impl From<&'static str> for Question {
    fn from(name: &'static str) -> Self {
        Question { name, places: Places::default() }
    }
}

impl<const N: usize> From<(&'static str, [u64; N])> for Question {
    fn from((name, held): (&'static str, [u64; N])) -> Self {
        let mut places = Places::default();
        places[..N].copy_from_slice(&held);
        Question { name, places }
    }
}

type Answer<T> = std::result::Result<T, Errno>;

impl Kernel {
    /// Serves `posix`; with `passthrough`, the kernel reads blocks of this host by itself if it can.
    pub fn new(posix: Arc<Posix>, group: Group, passthrough: bool) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let (backings, notifier, underway) = (Arc::default(), Arc::default(), Arc::default());
        Kernel { posix, backings, runtime, group, passthrough, notifier, underway }
    }

    /// Answers later, from the runtime.
    fn later(
        &self,
        question: impl Into<Question>,
        answer: impl Future<Output = ()> + Send + 'static,
    ) {
        let Question { name, places } = question.into();
        let operation = self.underway.begin(places);
        let _runtime = self.runtime.enter();
        self.group.spawn(name, async move {
            answer.await;
            drop(operation);
        });
    }

    /// Answers on the spot where `now` is known, else later by `ask`.
    fn answer<T: 'static, R: Send + 'static, F: Future<Output = Answer<T>> + Send + 'static>(
        &self,
        question: impl Into<Question>,
        now: Option<Answer<T>>,
        ask: impl FnOnce(Arc<Posix>) -> F,
        reply: R,
        send: fn(R, Answer<T>),
    ) {
        match now {
            Some(answer) => send(reply, answer),
            None => {
                let ask = ask(self.posix.clone());
                self.later(question, async move { send(reply, ask.await) });
            }
        }
    }

    /// Answers with the directory `ino` from `offset` on: `fill` puts it into the reply, `send` ends it.
    fn list<R: Send + 'static>(
        &self,
        name: &'static str,
        (ino, offset): (u64, u64),
        reply: R,
        fill: Fill<R>,
        send: fn(R, Answer<()>),
    ) {
        if offset == 0 {
            self.look_ahead(ino);
        }
        let now = self.posix.listing_now(ino).map(Ok);
        let ask = move |posix: Arc<Posix>| async move { posix.listing(ino).await };
        let context = (reply, self.posix.clone(), (ino, offset), fill, send);
        let question = (name, [ino]);
        self.answer(question, now, ask, context, |(mut reply, posix, at, fill, send), answer| {
            let filled = answer.map(|listing| fill(&posix, at, &listing, &mut reply));
            send(reply, filled);
        });
    }

    /// Lists what a walk would ask for after `ino`.
    fn look_ahead(&self, ino: u64) {
        let _runtime = self.runtime.enter();
        self.posix.look_ahead(ino, &self.group);
    }

    /// The staged bytes of a handle, for operations that only those have.
    fn with_staged<
        T: 'static,
        R: Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    >(
        &self,
        (name, handle): (&'static str, FileHandle),
        reply: R,
        act: impl FnOnce(Arc<Staged>) -> F + Send + 'static,
        send: fn(R, Answer<T>),
    ) {
        let write = match self.posix.handle(handle.0) {
            Ok(Handle::Write(handle)) if handle.writable => handle.write,
            _ => return send(reply, Err(Errno::BAD_HANDLE)),
        };
        let ask = move |posix: Arc<Posix>| async move { act(posix.staged(&write).await?).await };
        self.answer(name, None, ask, reply, send);
    }

    /// Reads what is being changed.
    fn read_staged(
        &self,
        (write, staged): (Arc<Write>, Arc<Staged>),
        (offset, size): (u64, u32),
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(|buffer| match staged.read_now(offset, size, buffer) {
            Some(Ok(())) => reply.data(buffer),
            Some(Err(errno)) => reply.error(number(errno)),
            None => {
                let posix = self.posix.clone();
                self.later(("read", [write.ino]), async move {
                    let read = async {
                        posix.renew_base(&write, &staged).await?;
                        let turn = posix.read_turn(size).await?;
                        Ok::<_, Errno>((staged.read(offset, size, &turn).await?, turn))
                    };
                    match read.await {
                        Ok((bytes, _turn)) => reply.data(&bytes),
                        Err(errno) => reply.error(number(errno)),
                    }
                });
            }
        });
    }
}

/// Has the kernel drop the pages of a file whose bytes are others by now, which it waits for.
async fn drop_pages(notifier: &Arc<OnceLock<Notifier>>, underway: &Underway, ino: INodeNo) {
    underway.clear(ino.0).await;
    let notifier = notifier.clone();
    let told = tokio::task::spawn_blocking(move || {
        notifier.get().map_or(Ok(()), |notifier| notifier.inval_inode(ino, 0, 0))
    });
    if let Ok(Err(error)) = told.await {
        tracing::debug!(%error, ino = ino.0, "the kernel did not drop pages");
    }
}

/// Unwraps a name, or answers that there can be none.
macro_rules! name {
    ($name:expr, $reply:expr) => {
        match utf8($name) {
            Ok(name) => name.to_string(),
            Err(errno) => return $reply.error(number(errno)),
        }
    };
}

impl Filesystem for Kernel {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let wanted = InitFlags::FUSE_ASYNC_READ
            | InitFlags::FUSE_DO_READDIRPLUS
            | InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_CACHE_SYMLINKS
            | InitFlags::FUSE_NO_OPENDIR_SUPPORT
            | InitFlags::FUSE_ATOMIC_O_TRUNC
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP
            | InitFlags::FUSE_POSIX_LOCKS
            | InitFlags::FUSE_FLOCK_LOCKS
            // Without it the kernel asks for an attribute before each write.
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_EXPLICIT_INVAL_DATA;
        for flag in wanted.iter() {
            // An older kernel does without.
            config.add_capabilities(flag).ok();
        }
        self.passthrough &= config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(1).is_ok();
        config.set_max_write(MAX_REQUEST).ok();
        config.set_max_background(MAX_BACKGROUND).ok();
        let ahead = u32::try_from(self.posix.read_ahead()).unwrap_or(u32::MAX);
        if let Err(most) = config.set_max_readahead(ahead.max(4096)) {
            config.set_max_readahead(most).ok();
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let Ok(name) = utf8(name) else { return reply.error(fuser::Errno::ENOENT) };
        let now = self.posix.lookup_now(parent.0, name);
        let name = name.to_string();
        let ask = move |posix: Arc<Posix>| async move { posix.lookup(parent.0, &name).await };
        self.answer(("lookup", [parent.0]), now, ask, reply, send_entry);
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        self.posix.forget(ino.0, lookups);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let now = self.posix.attributes_now(ino.0).map(Ok);
        let ask = move |posix: Arc<Posix>| async move { posix.attributes(ino.0).await };
        self.answer("getattr", now, ask, reply, send_attr);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (accessed_ms, accessed_ns) = atime.map(split).unzip();
        let (modified_ms, modified_ns) = mtime.map(split).unzip();
        let (accessed_ns, modified_ns) =
            (accessed_ns.unwrap_or_default(), modified_ns.unwrap_or_default());
        let times =
            Change { accessed_ms, modified_ms, accessed_ns, modified_ns, ..Change::default() };
        let change = Change { mode, uid, gid, size, ..times };
        let caller = caller(request);
        let of = self.posix.backing_of(ino.0);
        if size.is_some() && self.backings.is_backed_by_other(ino.0, of) {
            self.part(ino.0);
            return reply.error(number(Errno::STALE));
        }
        let ask = move |posix: Arc<Posix>| async move { posix.change(ino.0, change, caller).await };
        self.answer(("setattr", [ino.0]), None, ask, reply, send_attr);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let ask = move |posix: Arc<Posix>| async move { posix.read_link(ino.0).await };
        self.answer("readlink", None, ask, reply, |reply, answer| match answer {
            Ok(target) => reply.data(target.as_bytes()),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (name, caller) = (name!(name, reply), caller(request));
        if let Some(kind) = node_kind(mode) {
            let node = Node { kind, device: rdev };
            let ask = move |posix: Arc<Posix>| async move {
                posix.make_node((parent.0, &name), (node, mode), caller).await
            };
            return self.answer(("mknod", [parent.0]), None, ask, reply, send_entry);
        }
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(fuser::Errno::EPERM);
        }
        let ask = move |posix: Arc<Posix>| async move {
            let created = posix.create((parent.0, &name), mode, true, caller).await?;
            posix.release(created.handle).await;
            Ok(created.entry)
        };
        self.answer(("mknod", [parent.0]), None, ask, reply, send_entry);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let (name, caller) = (name!(name, reply), caller(request));
        let ask = move |posix: Arc<Posix>| async move {
            posix.make_dir((parent.0, &name), mode, caller).await
        };
        self.answer(("mkdir", [parent.0]), None, ask, reply, send_entry);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (name, caller) = (name!(name, reply), caller(request));
        let question = ("unlink", [parent.0, self.posix.number_at(parent.0, &name)]);
        let ask =
            move |posix: Arc<Posix>| async move { posix.remove((parent.0, &name), caller).await };
        self.answer(question, None, ask, reply, send_empty);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(request, parent, name, reply);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        link: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let (name, target) = (name!(link, reply), name!(target.as_os_str(), reply));
        let caller = caller(request);
        let ask = move |posix: Arc<Posix>| async move {
            posix.make_link((parent.0, &name), &target, caller).await
        };
        self.answer(("symlink", [parent.0]), None, ask, reply, send_entry);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !RenameFlags::RENAME_NOREPLACE.contains(flags) {
            return reply.error(fuser::Errno::EINVAL);
        }
        let (from, to) = (name!(name, reply), name!(new_name, reply));
        let (replace, caller) = (flags.is_empty(), caller(request));
        let [moved, replaced] = [(parent, &from), (new_parent, &to)]
            .map(|(parent, name)| self.posix.number_at(parent.0, name));
        let question = ("rename", [parent.0, new_parent.0, moved, replaced]);
        let ask = move |posix: Arc<Posix>| async move {
            posix.rename((parent.0, &from), (new_parent.0, &to), replace, caller).await
        };
        self.answer(question, None, ask, reply, send_empty);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY || flags.0 & libc::O_TRUNC != 0;
        if writes || self.posix.is_changing(ino.0) {
            return self.open_changing(ino.0, flags, caller(request), reply);
        }
        let Some(reply) = self.open_now(ino.0, reply) else { return };
        match self.posix.open_now(ino.0) {
            // Borrowing a block takes a worker microseconds; moving to another thread takes more.
            Some(Ok(opened)) => {
                if let Some(reply) = self.runtime.block_on(self.open_read(ino.0, opened, reply)) {
                    self.open_changing(ino.0, flags, caller(request), reply);
                }
            }
            Some(Err(errno)) => reply.error(number(errno)),
            None => {
                let (kernel, caller) = (self.clone(), caller(request));
                self.later("open", async move {
                    match kernel.posix.open(ino.0).await {
                        Ok(opened) => {
                            if let Some(reply) = kernel.open_read(ino.0, opened, reply).await {
                                kernel.open_changing(ino.0, flags, caller, reply);
                            }
                        }
                        Err(errno) => reply.error(number(errno)),
                    }
                });
            }
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let (name, caller) = (name!(name, reply), caller(request));
        let (sync, exclusive) = (is_sync(flags), flags & libc::O_EXCL != 0);
        let stream = flags & libc::O_ACCMODE == libc::O_WRONLY && !sync;
        let ask = move |posix: Arc<Posix>| async move {
            match exclusive {
                true => posix.create((parent.0, &name), mode, stream, caller).await,
                false => posix.create_or_find((parent.0, &name), mode, stream, caller).await,
            }
        };
        let context = (reply, self.clone(), sync);
        self.answer(("create", [parent.0]), None, ask, context, |(reply, kernel, sync), answer| {
            match answer {
                Ok(created) => kernel.reply_created(&created, sync || created.stream, reply),
                Err(errno) => reply.error(number(errno)),
            }
        });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let handle = match self.posix.handle(handle.0) {
            Ok(handle) => handle,
            Err(errno) => return reply.error(number(errno)),
        };
        let (ino, write) = match &handle {
            Handle::Read(file) => (file.ino, None),
            Handle::Write(handle) => (handle.write.ino, Some(handle.write.clone())),
        };
        if let Some(write) = write.or_else(|| self.posix.changing(ino)) {
            if let Some(staged) = write.staged() {
                return self.read_staged((write, staged), (offset, size), reply);
            }
            let kernel = self.clone();
            return self.later(("read", [ino]), async move {
                match kernel.posix.staged(&write).await {
                    Ok(staged) => kernel.read_staged((write, staged), (offset, size), reply),
                    Err(errno) => reply.error(number(errno)),
                }
            });
        }
        let Handle::Read(file) = handle else { return reply.error(fuser::Errno::EBADF) };
        BUFFER.with_borrow_mut(|buffer| match self.posix.read_now(&file, offset, size, buffer) {
            Some(Ok(())) => reply.data(buffer),
            Some(Err(errno)) => reply.error(number(errno)),
            None => {
                let posix = self.posix.clone();
                self.later(("read", [ino]), async move {
                    match posix.read(&file, offset, size).await {
                        Ok(bytes) => reply.data(&bytes),
                        Err(errno) => reply.error(number(errno)),
                    }
                });
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        opened: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Ok(Handle::Write(handle)) = self.posix.handle(handle.0) else {
            return reply.error(number(Errno::BAD_HANDLE));
        };
        handle.write.writes(&handle);
        let write = handle.write;
        let send = |reply: ReplyWrite, answer: Answer<u32>| match answer {
            Ok(count) => reply.written(count),
            Err(errno) => reply.error(number(errno)),
        };
        let strips = flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let sync = is_sync(opened.0);
        let now = !strips && !sync;
        if now && let Some(answer) = self.posix.write_now(&write, offset, data) {
            return send(reply, answer);
        }
        let incoming = match self.posix.take(data, &self.runtime) {
            Ok(incoming) => incoming,
            Err(errno) => return reply.error(number(errno)),
        };
        let ask = move |posix: Arc<Posix>| async move {
            if strips {
                posix.strip(write.ino).await?;
            }
            let written = posix.write(&write, offset, incoming).await?;
            if sync {
                posix.sync(&write).await?;
            }
            Ok(written)
        };
        self.answer(("write", [ino.0]), None, ask, reply, send);
    }

    fn flush(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let write = match self.posix.handle(handle.0) {
            Ok(Handle::Write(handle)) => Some(handle),
            _ => None,
        };
        let locked = self.posix.has_locked(ino.0, owner.0);
        if write.is_none() && !locked {
            return reply.ok();
        }
        let pid = request.pid();
        let ask = move |posix: Arc<Posix>| async move {
            let closed = match write {
                Some(handle) => posix.closed_by(&handle, pid).await,
                None => Ok(()),
            };
            // Whoever gets the lock next is to see what was written under it.
            posix.unlock_all(ino.0, owner.0).await.and(closed)
        };
        self.answer("flush", None, ask, reply, send_empty);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        // A file that the kernel reads by itself has one handle for all that have it open.
        let last = handle.0 != PASSTHROUGH || self.backings.count(ino.0) <= 1;
        let through = last.then_some(handle.0);
        let owners = self.posix.locked_through(ino.0, through, owner.map(|owner| owner.0));
        if !owners.is_empty() {
            let posix = self.posix.clone();
            self.later("unlock", async move {
                for owner in owners {
                    // A lock that the master does not hear of ends with our session.
                    posix.unlock_all(ino.0, owner).await.ok();
                }
            });
        }
        self.backings.release(ino.0);
        if handle.0 != PASSTHROUGH
            && let Ok(Handle::Write(_)) = self.posix.handle(handle.0)
        {
            let ask = move |posix: Arc<Posix>| async move {
                posix.release(handle.0).await;
                Ok(())
            };
            return self.answer("release", None, ask, reply, send_empty);
        }
        self.posix.close(handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let write = match self.posix.handle(handle.0) {
            Ok(Handle::Write(handle)) => Some(handle.write),
            // Others may have changed it since it was opened for reading.
            _ => self.posix.changing(ino.0),
        };
        let Some(write) = write else { return reply.ok() };
        let ask = move |posix: Arc<Posix>| async move { posix.sync(&write).await };
        self.answer("fsync", None, ask, reply, send_empty);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let act =
            move |staged: Arc<Staged>| async move { staged.allocate(mode, offset, length).await };
        self.with_staged(("fallocate", handle), reply, act, send_empty);
    }

    fn lseek(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let ask = move |posix: Arc<Posix>| async move {
            let offset = u64::try_from(offset).map_err(|_| Errno(libc::ENXIO))?;
            posix.seek(ino.0, offset, whence).await
        };
        self.answer("lseek", None, ask, reply, |reply, answer| match answer {
            Ok(offset) => reply.offset(offset as i64),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn getlk(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        let range = Range { ino: ino.0, owner: owner.0, pid, start, end };
        let exclusive = kind == libc::F_WRLCK;
        let ask = move |posix: Arc<Posix>| async move { posix.test_lock(range, exclusive).await };
        self.answer("getlk", None, ask, reply, |reply, answer| match answer {
            Ok(Some(held)) => {
                let kind = if held.exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
                reply.locked(held.start, held.end, kind, held.pid);
            }
            Ok(None) => reply.locked(0, 0, libc::F_UNLCK, 0),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn setlk(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        owner: LockOwner,
        start: u64,
        end: u64,
        kind: i32,
        _pid: u32,
        wait: bool,
        reply: ReplyEmpty,
    ) {
        let wanted = match kind {
            kind if kind == libc::F_WRLCK => Wanted::Exclusive,
            kind if kind == libc::F_RDLCK => Wanted::Shared,
            _ => Wanted::Unlocked,
        };
        let range = Range { ino: ino.0, owner: owner.0, pid: request.pid(), start, end };
        let (notifier, underway) = (self.notifier.clone(), self.underway.clone());
        let ask = move |posix: Arc<Posix>| async move {
            if posix.lock((range, handle.0), wanted, wait).await? {
                drop_pages(&notifier, &underway, ino).await;
            }
            Ok(())
        };
        self.answer("setlk", None, ask, reply, send_empty);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        // The master has made every change durable before it answered.
        reply.ok();
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // The kernel then opens directories without asking and caches what is in them.
        reply.error(fuser::Errno::ENOSYS);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        self.list("readdir", (ino.0, offset), reply, fill, |reply, filled| match filled {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.list("readdirplus", (ino.0, offset), reply, fill_plus, |reply, filled| match filled {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let ask = |posix: Arc<Posix>| async move { Ok(posix.capacity().await) };
        self.answer("statfs", None, ask, reply, |reply, answer| {
            let capacity = answer.unwrap_or_default();
            let total = capacity.total_bytes / UNIT;
            let free = total.saturating_sub(capacity.used_bytes / UNIT);
            let (size, name) = (UNIT as u32, crate::core::model::path::MAX_NAME as u32);
            reply.statfs(total, free, free, 0, 0, size, name, size);
        });
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (name, value, caller) = (name!(name, reply), value.to_vec(), caller(request));
        let ask = move |posix: Arc<Posix>| async move {
            posix.set_xattr(ino.0, (&name, value), flags, caller).await
        };
        self.answer(("setxattr", [ino.0]), None, ask, reply, send_empty);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name!(name, reply);
        let now = self.posix.xattr_now(ino.0, &name);
        let ask = move |posix: Arc<Posix>| async move { posix.xattr(ino.0, &name).await };
        self.answer("getxattr", now, ask, (reply, size), send_xattr);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let ask = move |posix: Arc<Posix>| async move { posix.xattr_names(ino.0).await };
        self.answer("listxattr", None, ask, (reply, size), send_xattr);
    }

    fn removexattr(&self, request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (name, caller) = (name!(name, reply), caller(request));
        let ask =
            move |posix: Arc<Posix>| async move { posix.remove_xattr(ino.0, &name, caller).await };
        self.answer(("removexattr", [ino.0]), None, ask, reply, send_empty);
    }
}
