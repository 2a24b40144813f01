//! The kernel's questions: each is decoded, passed to [`Posix`], and answered.
//!
//! What can be answered from what is known is answered on the spot, on one of a few threads that
//! read from the kernel; whatever has to ask someone moves to the runtime together with its reply,
//! so that no question waits behind a slow one.

use super::backing::Backings;
use super::errno::Errno;
use super::handles::{Handle, PASSTHROUGH};
use super::inodes::Listing;
use super::posix::{Attributes, Caller, Change, Entry, Kind, Opened, Posix};
use crate::core::rpc::lend::LentBlock;
use crate::core::runtime::Group;
use fuser::{
    BackingId, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most bytes of one read or write request.
pub const MAX_REQUEST: u32 = 1 << 20;
/// Reads ahead that the kernel may have on their way at a time.
const MAX_BACKGROUND: u16 = 64;
/// Cookies of the two entries every directory has; those of others are their numbers.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// How long a writer waits for the last reader's close to be told.
const LAST_CLOSE: Duration = Duration::from_millis(500);
/// Closing a file that is read tells us nothing.
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
}

type Answer<T> = std::result::Result<T, Errno>;

impl Kernel {
    /// Serves `posix`; with `passthrough`, the kernel reads blocks of this host by itself if it can.
    pub fn new(posix: Arc<Posix>, group: Group, passthrough: bool) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Kernel { posix, backings: Arc::default(), runtime, group, passthrough }
    }

    /// Answers later, from the runtime.
    fn later(&self, name: &'static str, answer: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.group.spawn(name, answer);
    }

    /// Answers on the spot where `now` is known, else later by `ask`.
    fn answer<T: 'static, R: Send + 'static, F: Future<Output = Answer<T>> + Send + 'static>(
        &self,
        name: &'static str,
        now: Option<Answer<T>>,
        ask: impl FnOnce(Arc<Posix>) -> F,
        reply: R,
        send: fn(R, Answer<T>),
    ) {
        match now {
            Some(answer) => send(reply, answer),
            None => {
                let ask = ask(self.posix.clone());
                self.later(name, async move { send(reply, ask.await) });
            }
        }
    }

    /// Opens `ino` for reading without asking anyone, if all is known: the reply, where it is not.
    fn open_now(&self, ino: u64, reply: ReplyOpen) -> Option<ReplyOpen> {
        let lent = if self.passthrough { self.posix.lent_now(ino) } else { None };
        let Some(lent) = lent else { return Some(reply) };
        let mode = self.backings.join(ino).unwrap_or_else(|| {
            let made = register(&reply, &lent);
            self.backings.open(ino, made)
        });
        let Some(backing) = mode else {
            self.backings.release(ino);
            return Some(reply);
        };
        reply_passthrough(reply, &backing);
        None
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
        self.answer(name, now, ask, context, |(mut reply, posix, at, fill, send), answer| {
            let filled = answer.map(|listing| fill(&posix, at, &listing, &mut reply));
            send(reply, filled);
        });
    }

    /// Lists what a walk would ask for after `ino`.
    fn look_ahead(&self, ino: u64) {
        let _runtime = self.runtime.enter();
        self.posix.look_ahead(ino, &self.group);
    }

    /// Lets the kernel read the file by itself, or hands out a handle for reading through us.
    async fn open_read(&self, ino: u64, opened: Opened, reply: ReplyOpen) {
        let mode = match self.backings.join(ino) {
            Some(mode) => mode,
            None => {
                let lent = if self.passthrough { self.posix.lend(&opened).await } else { None };
                let made = lent.and_then(|block| register(&reply, &block));
                self.backings.open(ino, made)
            }
        };
        match mode {
            Some(backing) => reply_passthrough(reply, &backing),
            None => self.reply_read(opened, reply),
        }
    }

    fn reply_read(&self, opened: Opened, reply: ReplyOpen) {
        let handle = self.posix.read_handle(opened);
        reply.opened(FileHandle(handle), QUIET | FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn open_write(&self, ino: u64, truncate: bool, caller: Caller, reply: ReplyOpen) {
        let (posix, backings) = (self.posix.clone(), self.backings.clone());
        self.later("open", async move {
            // The kernel takes no handle of its own beside one that it reads by itself. It tells of
            // the last close of such a one a moment after close(2) has returned.
            if tokio::time::timeout(LAST_CLOSE, backings.ours(ino)).await.is_err() {
                return reply.error(number(Errno(libc::ETXTBSY)));
            }
            match posix.open_write(ino, truncate, caller).await {
                Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_DIRECT_IO),
                Err(errno) => reply.error(number(errno)),
            }
        });
    }
}

/// The kernel caches nothing itself here, and refuses to be told that it should.
fn reply_passthrough(reply: ReplyOpen, backing: &BackingId) {
    reply.opened_passthrough(FileHandle(PASSTHROUGH), QUIET, backing);
}

/// Makes a block's file known to the kernel; none where it cannot use that file.
fn register(reply: &ReplyOpen, block: &LentBlock) -> Option<BackingId> {
    reply
        .open_backing(&block.file)
        .inspect_err(|error| tracing::debug!(%error, "no passthrough for a block's file"))
        .ok()
}

fn number(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), pid: request.pid() }
}

fn time(ms: i64) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

fn ms(time: TimeOrNow) -> i64 {
    let time = match time {
        TimeOrNow::SpecificTime(time) => time,
        TimeOrNow::Now => SystemTime::now(),
    };
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

fn kind(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
    }
}

fn attr(of: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(of.ino),
        size: of.size,
        blocks: of.size.div_ceil(512),
        atime: time(of.accessed_ms),
        mtime: time(of.modified_ms),
        ctime: time(of.modified_ms),
        crtime: time(of.created_ms),
        kind: kind(of.kind),
        perm: of.mode as u16,
        nlink: if of.kind == Kind::Directory { 2 } else { 1 },
        uid: of.uid,
        gid: of.gid,
        rdev: 0,
        blksize: PREFERRED_READ,
        flags: 0,
    }
}

fn send_entry(reply: ReplyEntry, answer: Answer<Entry>) {
    match answer {
        Ok(entry) => reply.entry_with_ttls(
            &entry.attribute_timeout,
            &entry.entry_timeout,
            &attr(&entry.attributes),
            Generation(0),
        ),
        Err(errno) => reply.error(number(errno)),
    }
}

fn send_attr(reply: ReplyAttr, answer: Answer<Entry>) {
    match answer {
        Ok(entry) => reply.attr(&entry.attribute_timeout, &attr(&entry.attributes)),
        Err(errno) => reply.error(number(errno)),
    }
}

fn send_empty(reply: ReplyEmpty, answer: Answer<()>) {
    match answer {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(number(errno)),
    }
}

/// Sends an extended attribute, or its size to one who asks how much room it needs.
fn send_xattr((reply, room): (ReplyXattr, u32), answer: Answer<Vec<u8>>) {
    match answer {
        Ok(value) if room == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() <= room as usize => reply.data(&value),
        Ok(_) => reply.error(fuser::Errno::ERANGE),
        Err(errno) => reply.error(number(errno)),
    }
}

/// A name as the tree has them. What is no UTF-8 is no name there.
fn utf8(name: &OsStr) -> Answer<&str> {
    name.to_str().ok_or(Errno(libc::EILSEQ))
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
        self.answer("lookup", now, ask, reply, send_entry);
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
        let (accessed_ms, modified_ms) = (atime.map(ms), mtime.map(ms));
        let change = Change { mode, uid, gid, size, accessed_ms, modified_ms };
        let caller = caller(request);
        let ask = move |posix: Arc<Posix>| async move { posix.change(ino.0, change, caller).await };
        self.answer("setattr", None, ask, reply, send_attr);
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
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(fuser::Errno::EPERM);
        }
        let (name, caller) = (name!(name, reply), caller(request));
        let ask = move |posix: Arc<Posix>| async move {
            let created = posix.create((parent.0, &name), mode, caller).await?;
            posix.release(created.handle).await;
            Ok(created.entry)
        };
        self.answer("mknod", None, ask, reply, send_entry);
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
        self.answer("mkdir", None, ask, reply, send_entry);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (name, caller) = (name!(name, reply), caller(request));
        let ask =
            move |posix: Arc<Posix>| async move { posix.remove((parent.0, &name), caller).await };
        self.answer("unlink", None, ask, reply, send_empty);
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
        self.answer("symlink", None, ask, reply, send_entry);
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
        let ask = move |posix: Arc<Posix>| async move {
            posix.rename((parent.0, &from), (new_parent.0, &to), replace, caller).await
        };
        self.answer("rename", None, ask, reply, send_empty);
    }

    fn open(&self, request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            let truncate = flags.0 & libc::O_TRUNC != 0;
            return self.open_write(ino.0, truncate, caller(request), reply);
        }
        let Some(reply) = self.open_now(ino.0, reply) else { return };
        match self.posix.open_now(ino.0) {
            // Borrowing a block takes a worker microseconds; moving to another thread takes more.
            Some(Ok(opened)) => self.runtime.block_on(self.open_read(ino.0, opened, reply)),
            Some(Err(errno)) => reply.error(number(errno)),
            None => {
                let kernel = self.clone();
                self.later("open", async move {
                    match kernel.posix.open(ino.0).await {
                        Ok(opened) => kernel.open_read(ino.0, opened, reply).await,
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
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let (name, caller) = (name!(name, reply), caller(request));
        let ask = move |posix: Arc<Posix>| async move {
            posix.create((parent.0, &name), mode, caller).await
        };
        self.answer("create", None, ask, reply, |reply, answer| match answer {
            Ok(created) => reply.created(
                &created.entry.entry_timeout,
                &attr(&created.entry.attributes),
                Generation(0),
                FileHandle(created.handle),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(errno) => reply.error(number(errno)),
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
        let file = match self.posix.reading(handle.0) {
            Ok(file) => file,
            Err(errno) => return reply.error(number(errno)),
        };
        BUFFER.with_borrow_mut(|buffer| match self.posix.read_now(&file, offset, size, buffer) {
            Some(Ok(())) => reply.data(buffer),
            Some(Err(errno)) => reply.error(number(errno)),
            None => {
                let posix = self.posix.clone();
                self.later("read", async move {
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
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let Some(write) = self.posix.writing(handle.0) else {
            return reply.error(number(Errno::BAD_HANDLE));
        };
        let data = match self.posix.take(data, &self.runtime) {
            Ok(data) => data,
            Err(errno) => return reply.error(number(errno)),
        };
        let ask = move |posix: Arc<Posix>| async move { posix.write(&write, offset, data).await };
        self.answer("write", None, ask, reply, |reply, answer| match answer {
            Ok(count) => reply.written(count),
            Err(errno) => reply.error(number(errno)),
        });
    }

    fn flush(
        &self,
        request: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: LockOwner,
        reply: ReplyEmpty,
    ) {
        let Some(write) = self.posix.writing(handle.0) else { return reply.ok() };
        let pid = request.pid();
        let ask = move |posix: Arc<Posix>| async move { posix.closed_by(&write, pid).await };
        self.answer("flush", None, ask, reply, send_empty);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if handle.0 != PASSTHROUGH && self.posix.writing(handle.0).is_some() {
            let ask = move |posix: Arc<Posix>| async move {
                posix.release(handle.0).await;
                Ok(())
            };
            return self.answer("release", None, ask, reply, send_empty);
        }
        if let Some(Handle::Read(file)) = self.posix.close(handle.0) {
            drop(file);
        }
        self.backings.release(ino.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let Some(write) = self.posix.writing(handle.0) else { return reply.ok() };
        let ask = move |posix: Arc<Posix>| async move { posix.sync(&write).await };
        self.answer("fsync", None, ask, reply, send_empty);
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
        self.answer("setxattr", None, ask, reply, send_empty);
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
        self.answer("removexattr", None, ask, reply, send_empty);
    }
}

/// Puts a directory, by its number, into a reply, from a place on.
type Fill<R> = fn(&Posix, (u64, u64), &Listing, &mut R);

/// Fills a reply with the entries after the cookie `offset`.
fn fill(posix: &Posix, (ino, offset): (u64, u64), listing: &Listing, reply: &mut ReplyDirectory) {
    let directory = FileType::Directory;
    let full = offset < DOT && reply.add(INodeNo(ino), DOT, directory, ".")
        || offset < DOT_DOT && reply.add(INodeNo(posix.parent(ino)), DOT_DOT, directory, "..");
    if full {
        return;
    }
    for entry in listing.after(offset) {
        let kind = kind(super::posix::attributes(entry.ino, &entry.known).kind);
        if reply.add(INodeNo(entry.ino), entry.ino, kind, &*entry.name) {
            return;
        }
    }
}

/// The same with what stat(2) tells of each. The kernel holds a reference to each from then on.
fn fill_plus(
    posix: &Posix,
    (ino, offset): (u64, u64),
    listing: &Listing,
    reply: &mut ReplyDirectoryPlus,
) {
    let once = Duration::ZERO;
    for (cookie, number, name) in [(DOT, ino, "."), (DOT_DOT, posix.parent(ino), "..")] {
        // The kernel takes only the number from these two.
        let attributes = attr(&Attributes { ino: number, ..Attributes::directory() });
        let due = offset < cookie;
        if due && reply.add(INodeNo(number), cookie, name, &once, &attributes, Generation(0)) {
            return;
        }
    }
    let trusted = listing.trusted();
    for listed in listing.after(offset) {
        let Some(entry) = posix.enter(ino, listed, trusted) else { continue };
        let timeout = entry.attribute_timeout.min(entry.entry_timeout);
        let attributes = attr(&entry.attributes);
        let (number, name) = (INodeNo(listed.ino), &*listed.name);
        if reply.add(number, listed.ino, name, &timeout, &attributes, Generation(0)) {
            posix.forget(listed.ino, 1);
            return;
        }
    }
}
