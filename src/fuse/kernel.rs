//! The kernel's questions: each is decoded, passed to [`Posix`], and answered.
//!
//! What can be answered from what is known is answered on the spot, on one of a few threads that
//! read from the kernel; whatever has to ask someone moves to the runtime together with its reply,
//! so that no question waits behind a slow one.

use super::backing::{Backings, Of, Other};
use super::errno::Errno;
use super::handles::{Handle, PASSTHROUGH, Write};
use super::inodes::Listing;
use super::posix::locks::{Range, Wanted};
use super::posix::{Attributes, Caller, Change, Created, Entry, How, Kind, Opened, Posix};
use super::staging::Staged;
use crate::core::model::{Node, NodeKind};
use crate::core::rpc::lend::LentBlock;
use crate::core::runtime::Group;
use fuser::{
    BackingId, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, Notifier, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLock,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
/// How often an open looks anew at a file that others change meanwhile.
const MOST_TRIES: u32 = 10;
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
}

type Answer<T> = std::result::Result<T, Errno>;

impl Kernel {
    /// Serves `posix`; with `passthrough`, the kernel reads blocks of this host by itself if it can.
    pub fn new(posix: Arc<Posix>, group: Group, passthrough: bool) -> Self {
        let runtime = tokio::runtime::Handle::current();
        let notifier = Arc::default();
        Kernel { posix, backings: Arc::default(), runtime, group, passthrough, notifier }
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
        let lent = if self.may_back(ino) { self.posix.lent_now(ino) } else { None };
        let Some((version, lent)) = lent else { return Some(reply) };
        let of = Of::Version(version);
        let mode = match self.backings.join(ino, of) {
            Ok(None) => self.backings.open(ino, of, register(&reply, &lent)),
            Ok(Some(mode)) => Ok(mode),
            Err(other) => Err(other),
        };
        match mode {
            Ok(Some(backing)) if self.posix.is_current(ino, version) => {
                self.reply_passthrough(ino, reply, &backing);
                None
            }
            Ok(_) => {
                self.backings.release(ino);
                Some(reply)
            }
            Err(Other) => Some(reply),
        }
    }

    /// Whether the kernel may be given a block's file to read `ino` from.
    fn may_back(&self, ino: u64) -> bool {
        self.passthrough && !self.backings.is_held_off(ino)
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

    /// Lets the kernel read the file by itself, or hands out a handle for reading through us: the reply,
    /// where another version of it is opened by now.
    async fn open_read(&self, ino: u64, opened: Opened, reply: ReplyOpen) -> Option<ReplyOpen> {
        let version = opened.known.status.id;
        let of = Of::Version(version);
        let mode = match self.backings.join(ino, of) {
            Ok(Some(mode)) => Ok(mode),
            Ok(None) => {
                let lent = if self.may_back(ino) { self.posix.lend(&opened).await } else { None };
                let made = lent.and_then(|block| register(&reply, &block));
                self.backings.open(ino, of, made)
            }
            Err(other) => Err(other),
        };
        match mode {
            // It may have been changed while the block was borrowed.
            Ok(Some(_)) if !self.posix.is_current(ino, version) => {
                self.backings.release(ino);
                return Some(reply);
            }
            Ok(Some(backing)) => self.reply_passthrough(ino, reply, &backing),
            Ok(None) => self.reply_read(ino, opened, reply),
            Err(Other) if self.posix.changing(ino).is_some() => return Some(reply),
            Err(Other) => self.refuse(ino, reply),
        }
        None
    }

    /// Whoever has `ino` open keeps what they opened, and the kernel looks its name up anew.
    fn refuse(&self, ino: u64, reply: ReplyOpen) {
        self.part(ino);
        reply.error(number(Errno::STALE));
    }

    fn part(&self, ino: u64) {
        if let Some(new) = self.posix.part(ino) {
            self.backings.hold_off(new);
        }
    }

    fn reply_read(&self, ino: u64, opened: Opened, reply: ReplyOpen) {
        let handle = self.posix.read_handle(ino, opened);
        reply.opened(FileHandle(handle), self.quiet(ino) | self.cached(ino, false));
    }

    /// The kernel caches nothing itself here, and refuses to be told that it should.
    fn reply_passthrough(&self, ino: u64, reply: ReplyOpen, backing: &BackingId) {
        reply.opened_passthrough(FileHandle(PASSTHROUGH), self.quiet(ino), backing);
    }

    /// Who closes any descriptor of a file gives up their locks of it, so of one that is locked we are to
    /// be told.
    fn quiet(&self, ino: u64) -> FopenFlags {
        if self.posix.is_locked(ino) { FopenFlags::empty() } else { QUIET }
    }

    /// Opens for writing, or for reading what is being changed: the kernel does not read it by itself.
    fn open_changing(&self, ino: u64, flags: OpenFlags, caller: Caller, reply: ReplyOpen) {
        let kernel = self.clone();
        self.later("open", async move {
            let mut reply = reply;
            for _ in 0..MOST_TRIES {
                match kernel.open_staged(ino, flags, caller).await {
                    Ok(Some(opened)) => {
                        return kernel.reply_staged(ino, opened, flags, reply).await;
                    }
                    Err(errno) => return reply.error(number(errno)),
                    // It is not being changed any more.
                    Ok(None) => match kernel.posix.open(ino).await {
                        Ok(opened) => match kernel.open_read(ino, opened, reply).await {
                            Some(again) => reply = again,
                            None => return,
                        },
                        Err(errno) => return reply.error(number(errno)),
                    },
                }
            }
            reply.error(number(Errno::STALE));
        });
    }

    async fn reply_staged(
        &self,
        ino: u64,
        (handle, stream): (u64, bool),
        flags: OpenFlags,
        reply: ReplyOpen,
    ) {
        let through = stream || is_sync(flags.0);
        match self.back(ino, through, |file| reply.open_backing(file)) {
            // What the kernel writes by itself is durable, but nothing would say what it is.
            Ok(Some(_)) if is_sync(flags.0) => {
                self.backings.release(ino);
                self.posix.release(handle).await;
                reply.error(number(Errno::BUSY));
            }
            Ok(Some(backing)) => {
                reply.opened_passthrough(FileHandle(handle), FopenFlags::empty(), &backing);
            }
            Ok(None) => reply.opened(FileHandle(handle), self.cached(ino, stream)),
            // Somebody was faster, and reads a block, which is not to be written.
            Err(Other) => {
                self.posix.release(handle).await;
                self.refuse(ino, reply);
            }
        }
    }

    async fn open_staged(
        &self,
        ino: u64,
        flags: OpenFlags,
        caller: Caller,
    ) -> Answer<Option<(u64, bool)>> {
        // The kernel takes no handle of another kind beside one that it reads by itself. So whoever
        // reads a block so keeps the version that they opened, and the name gets another number.
        if self.backings.is_backed_by_other(ino, self.posix.backing_of(ino)) {
            self.part(ino);
            return Err(Errno::STALE);
        }
        let truncate = flags.0 & libc::O_TRUNC != 0;
        match flags.acc_mode() {
            OpenAccMode::O_RDONLY if !truncate => self.posix.join_read(ino, caller).await,
            access => {
                let sync = is_sync(flags.0);
                let stream = access == OpenAccMode::O_WRONLY && !sync;
                let how = How { truncate, stream, whole: self.passthrough && !sync };
                self.posix.open_write(ino, how, caller).await.map(Some)
            }
        }
    }

    fn reply_created(&self, created: &Created, through: bool, reply: ReplyCreate) {
        let (entry, ino) = (&created.entry, created.entry.attributes.ino);
        let (attributes, handle) = (attr(&entry.attributes), FileHandle(created.handle));
        let (timeout, first) = (&entry.entry_timeout, Generation(0));
        match self.back(ino, through, |file| reply.open_backing(file)) {
            Ok(Some(backing)) => {
                let flags = FopenFlags::empty();
                reply.created_passthrough(timeout, &attributes, first, handle, flags, &backing);
            }
            Ok(None) => {
                let flags = self.cached(ino, created.stream);
                reply.created(timeout, &attributes, first, handle, flags);
            }
            // Its number is new, so nobody can have it open.
            Err(Other) => reply.error(number(Errno::BUSY)),
        }
    }

    /// Has the kernel read and write the staged file by itself, if it can and those that are open are
    /// used so; none where all of it goes through us, as `through` asks for. One more handle of `ino` is open then.
    fn back(
        &self,
        ino: u64,
        through: bool,
        register: impl FnOnce(Arc<std::fs::File>) -> std::io::Result<BackingId>,
    ) -> Result<Option<Arc<BackingId>>, Other> {
        let of = self.posix.backing_of(ino);
        if let Some(mode) = self.backings.join(ino, of)? {
            return Ok(mode);
        }
        let lent = if self.passthrough && !through { self.posix.lend_staged(ino) } else { None };
        let made = lent.and_then(|file| {
            let made = register(file);
            made.inspect_err(|error| tracing::debug!(%error, "no passthrough for a staged file"))
                .ok()
        });
        self.backings.open(ino, of, made)
    }

    /// A stream's pages are of no use to anybody; what is staged is cached as any file. What the kernel
    /// wrote by itself its cache does not know.
    fn cached(&self, ino: u64, stream: bool) -> FopenFlags {
        match stream {
            true => FopenFlags::FOPEN_DIRECT_IO,
            false if self.posix.forget_lent(ino) => FopenFlags::empty(),
            false => FopenFlags::FOPEN_KEEP_CACHE,
        }
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
                self.later("read", async move {
                    let read = async {
                        posix.renew_base(&write, &staged).await?;
                        staged.read(offset, size).await
                    };
                    match read.await {
                        Ok(bytes) => reply.data(&bytes),
                        Err(errno) => reply.error(number(errno)),
                    }
                });
            }
        });
    }
}

/// Has the kernel drop the pages of a file whose bytes are others by now.
async fn drop_pages(notifier: &Arc<OnceLock<Notifier>>, ino: INodeNo) {
    let notifier = notifier.clone();
    let told = tokio::task::spawn_blocking(move || {
        notifier.get().map_or(Ok(()), |notifier| notifier.inval_inode(ino, 0, 0))
    });
    if let Ok(Err(error)) = told.await {
        tracing::debug!(%error, ino = ino.0, "the kernel did not drop pages");
    }
}

/// Makes a block's file known to the kernel; none where it cannot use that file.
fn register(reply: &ReplyOpen, block: &LentBlock) -> Option<BackingId> {
    reply
        .open_backing(&block.file)
        .inspect_err(|error| tracing::debug!(%error, "no passthrough for a block's file"))
        .ok()
}

/// Whether each write is to be safe when it returns. O_SYNC is O_DSYNC and more.
fn is_sync(flags: i32) -> bool {
    flags & libc::O_DSYNC != 0
}

fn number(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

fn time(ms: i64, ns: u32) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let time = if ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
    time + Duration::from_nanos(u64::from(ns))
}

/// Milliseconds since 1970, rounded down, and the nanoseconds beyond them. The clock's own time has
/// milliseconds, as those that the master sets.
fn split(time: TimeOrNow) -> (i64, u32) {
    const MS: i128 = 1_000_000;
    let ns = |time: SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    match time {
        TimeOrNow::SpecificTime(time) => {
            let ns = ns(time);
            (ns.div_euclid(MS) as i64, ns.rem_euclid(MS) as u32)
        }
        TimeOrNow::Now => (ns(SystemTime::now()).div_euclid(MS) as i64, 0),
    }
}

fn kind(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Node(node) => match node.kind {
            NodeKind::Pipe => FileType::NamedPipe,
            NodeKind::Socket => FileType::Socket,
            NodeKind::Character => FileType::CharDevice,
            NodeKind::Block => FileType::BlockDevice,
        },
    }
}

/// What mknod(2) is to make, if it has no bytes.
fn node_kind(mode: u32) -> Option<NodeKind> {
    match mode & libc::S_IFMT {
        libc::S_IFIFO => Some(NodeKind::Pipe),
        libc::S_IFSOCK => Some(NodeKind::Socket),
        libc::S_IFCHR => Some(NodeKind::Character),
        libc::S_IFBLK => Some(NodeKind::Block),
        _ => None,
    }
}

fn attr(of: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(of.ino),
        size: of.size,
        blocks: of.size.div_ceil(512),
        atime: time(of.accessed_ms, of.accessed_ns),
        mtime: time(of.modified_ms, of.modified_ns),
        ctime: time(of.changed_ms, 0),
        crtime: time(of.created_ms, 0),
        kind: kind(of.kind),
        perm: of.mode as u16,
        nlink: of.links,
        uid: of.uid,
        gid: of.gid,
        rdev: match of.kind {
            Kind::Node(node) => node.device,
            _ => 0,
        },
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
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let (name, caller) = (name!(name, reply), caller(request));
        if let Some(kind) = node_kind(mode) {
            let node = Node { kind, device: rdev };
            let ask = move |posix: Arc<Posix>| async move {
                posix.make_node((parent.0, &name), (node, mode), caller).await
            };
            return self.answer("mknod", None, ask, reply, send_entry);
        }
        if mode & libc::S_IFMT != libc::S_IFREG {
            return reply.error(fuser::Errno::EPERM);
        }
        let ask = move |posix: Arc<Posix>| async move {
            let created = posix.create((parent.0, &name), mode, true, caller).await?;
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
        let sync = is_sync(flags);
        let stream = flags & libc::O_ACCMODE == libc::O_WRONLY && !sync;
        let ask = move |posix: Arc<Posix>| async move {
            posix.create((parent.0, &name), mode, stream, caller).await
        };
        let context = (reply, self.clone(), sync);
        self.answer("create", None, ask, context, |(reply, kernel, sync), answer| match answer {
            Ok(created) => kernel.reply_created(&created, sync || created.stream, reply),
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
            return self.later("read", async move {
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
        self.answer("write", None, ask, reply, send);
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
        _: INodeNo,
        handle: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let Ok(Handle::Write(handle)) = self.posix.handle(handle.0) else { return reply.ok() };
        let ask = move |posix: Arc<Posix>| async move { posix.sync(&handle.write).await };
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
        let notifier = self.notifier.clone();
        let ask = move |posix: Arc<Posix>| async move {
            if posix.lock((range, handle.0), wanted, wait).await? {
                drop_pages(&notifier, ino).await;
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
