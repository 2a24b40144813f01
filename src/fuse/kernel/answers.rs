//! What the kernel says and is told, in its own terms.

use super::{Answer, DOT, DOT_DOT, PREFERRED_READ};
use crate::core::model::NodeKind;
use crate::fuse::errno::Errno;
use crate::fuse::inodes::Listing;
use crate::fuse::posix::{Attributes, Caller, Entry, Kind, Posix, attributes};
use fuser::{
    FileAttr, FileType, Generation, INodeNo, ReplyAttr, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyXattr, Request, TimeOrNow,
};
use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether each write is to be safe when it returns. O_SYNC is O_DSYNC and more.
pub(super) fn is_sync(flags: i32) -> bool {
    flags & libc::O_DSYNC != 0
}

pub(super) fn number(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.0)
}

pub(super) fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

pub(super) fn time(ms: i64, ns: u32) -> SystemTime {
    let distance = Duration::from_millis(ms.unsigned_abs());
    let time = if ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
    time + Duration::from_nanos(u64::from(ns))
}

/// Milliseconds since 1970, rounded down, and the nanoseconds beyond them. The clock's own time has
/// milliseconds, as those that the master sets.
pub(super) fn split(time: TimeOrNow) -> (i64, u32) {
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

pub(super) fn kind(kind: Kind) -> FileType {
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
pub(super) fn node_kind(mode: u32) -> Option<NodeKind> {
    match mode & libc::S_IFMT {
        libc::S_IFIFO => Some(NodeKind::Pipe),
        libc::S_IFSOCK => Some(NodeKind::Socket),
        libc::S_IFCHR => Some(NodeKind::Character),
        libc::S_IFBLK => Some(NodeKind::Block),
        _ => None,
    }
}

pub(super) fn attr(of: &Attributes) -> FileAttr {
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

pub(super) fn send_entry(reply: ReplyEntry, answer: Answer<Entry>) {
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

pub(super) fn send_attr(reply: ReplyAttr, answer: Answer<Entry>) {
    match answer {
        Ok(entry) => reply.attr(&entry.attribute_timeout, &attr(&entry.attributes)),
        Err(errno) => reply.error(number(errno)),
    }
}

pub(super) fn send_empty(reply: ReplyEmpty, answer: Answer<()>) {
    match answer {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(number(errno)),
    }
}

/// Sends an extended attribute, or its size to one who asks how much room it needs.
pub(super) fn send_xattr((reply, room): (ReplyXattr, u32), answer: Answer<Vec<u8>>) {
    match answer {
        Ok(value) if room == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() <= room as usize => reply.data(&value),
        Ok(_) => reply.error(fuser::Errno::ERANGE),
        Err(errno) => reply.error(number(errno)),
    }
}

/// A name as the tree has them. What is no UTF-8 is no name there.
pub(super) fn utf8(name: &OsStr) -> Answer<&str> {
    name.to_str().ok_or(Errno(libc::EILSEQ))
}

/// Puts a directory, by its number, into a reply, from a place on.
pub(super) type Fill<R> = fn(&Posix, (u64, u64), &Listing, &mut R);

/// Fills a reply with the entries after the cookie `offset`.
pub(super) fn fill(
    posix: &Posix,
    (ino, offset): (u64, u64),
    listing: &Listing,
    reply: &mut ReplyDirectory,
) {
    let directory = FileType::Directory;
    let full = offset < DOT && reply.add(INodeNo(ino), DOT, directory, ".")
        || offset < DOT_DOT && reply.add(INodeNo(posix.parent(ino)), DOT_DOT, directory, "..");
    if full {
        return;
    }
    for entry in listing.after(offset) {
        let kind = kind(attributes(entry.ino, &entry.known).kind);
        if reply.add(INodeNo(entry.ino), entry.ino, kind, &*entry.name) {
            return;
        }
    }
}

/// The same with what stat(2) tells of each. The kernel holds a reference to each from then on.
pub(super) fn fill_plus(
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
