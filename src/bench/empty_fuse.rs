//! A file system of one file that does nothing: what the kernel and the library cost by themselves.

use crate::core::error::{Context, Result};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Its one file.
pub const NAME: &str = "file";
/// Bytes in it.
const LENGTH: u64 = 512 << 20;
/// The file's number; the directory has 1.
const FILE: INodeNo = INodeNo(2);
/// Threads that answer, as many as a mounted directory has where nobody says otherwise.
const THREADS: usize = 4;

struct Empty(Vec<u8>);

/// Serves it on `dir` until it is unmounted.
///
/// # Errors
/// When it cannot be mounted.
pub fn serve(dir: &Path) -> Result<()> {
    let mut config = fuser::Config::default();
    // As a mounted directory has it: the kernel then asks for the directory's attributes too.
    config.mount_options = vec![MountOption::DefaultPermissions];
    config.n_threads = Some(THREADS);
    config.clone_fd = true;
    fuser::mount(Empty(vec![0; 1 << 20]), dir, &config).context("mounting an empty file system")
}

fn attr(ino: INodeNo) -> FileAttr {
    let file = ino == FILE;
    FileAttr {
        ino,
        size: if file { LENGTH } else { 0 },
        blocks: LENGTH / 512,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if file { FileType::RegularFile } else { FileType::Directory },
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Empty {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name != NAME {
            return reply.error(Errno::ENOENT);
        }
        let minute = Duration::from_secs(60);
        reply.entry_with_ttls(&Duration::ZERO, &minute, &attr(FILE), Generation(0));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &attr(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(1), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(&self.0[..(size as usize).min(self.0.len())]);
    }
}
