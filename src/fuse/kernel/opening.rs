//! Opening files, so that the kernel reads or writes them by itself where it can.

use super::answers::{attr, is_sync, number};
use super::{Answer, Kernel, QUIET};
use crate::core::rpc::lend::LentBlock;
use crate::fuse::backing::{Of, Other};
use crate::fuse::errno::Errno;
use crate::fuse::handles::PASSTHROUGH;
use crate::fuse::posix::{Caller, Created, How, Opened};
use fuser::{
    BackingId, FileHandle, FopenFlags, Generation, OpenAccMode, OpenFlags, ReplyCreate, ReplyOpen,
};
use std::sync::Arc;

/// How often an open looks anew at a file that others change meanwhile.
const MOST_TRIES: u32 = 10;

impl Kernel {
    /// Opens `ino` for reading without asking anyone, if all is known: the reply, where it is not.
    pub(super) fn open_now(&self, ino: u64, reply: ReplyOpen) -> Option<ReplyOpen> {
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

    /// Lets the kernel read the file by itself, or hands out a handle for reading through us: the reply,
    /// where another version of it is opened by now.
    pub(super) async fn open_read(
        &self,
        ino: u64,
        opened: Opened,
        reply: ReplyOpen,
    ) -> Option<ReplyOpen> {
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
            Ok(None) => return self.reply_read(ino, opened, reply),
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

    pub(super) fn part(&self, ino: u64) {
        if let Some(new) = self.posix.part(ino) {
            self.backings.hold_off(new);
        }
    }

    fn reply_read(&self, ino: u64, opened: Opened, reply: ReplyOpen) -> Option<ReplyOpen> {
        let version = opened.known.status.id;
        let handle = self.posix.read_handle(ino, opened);
        // From here on it stays known that it is changed. Before, what others made may have been
        // published, and the kernel keeps what it reads for all who open it.
        if !self.posix.is_current(ino, version) {
            self.posix.close(handle);
            self.backings.release(ino);
            return Some(reply);
        }
        reply.opened(FileHandle(handle), self.quiet(ino) | self.cached(ino, false));
        None
    }

    /// The kernel caches nothing itself here, and refuses to be told that it should.
    fn reply_passthrough(&self, ino: u64, reply: ReplyOpen, backing: &BackingId) {
        reply.opened_passthrough(FileHandle(PASSTHROUGH), self.quiet(ino), backing);
    }

    /// Who closes any descriptor of a file gives up their locks of it, so of one that is locked we are to
    /// be told.
    pub(super) fn quiet(&self, ino: u64) -> FopenFlags {
        if self.posix.is_locked(ino) { FopenFlags::empty() } else { QUIET }
    }

    /// Opens for writing, or for reading what is being changed: the kernel does not read it by itself.
    pub(super) fn open_changing(
        &self,
        ino: u64,
        flags: OpenFlags,
        caller: Caller,
        reply: ReplyOpen,
    ) {
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

    pub(super) fn reply_created(&self, created: &Created, through: bool, reply: ReplyCreate) {
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
}

/// Makes a block's file known to the kernel; none where it cannot use that file.
fn register(reply: &ReplyOpen, block: &LentBlock) -> Option<BackingId> {
    reply
        .open_backing(&block.file)
        .inspect_err(|error| tracing::debug!(%error, "no passthrough for a block's file"))
        .ok()
}
