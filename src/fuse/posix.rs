//! The operations of a file system in terms of inodes, with no kernel in sight.
//!
//! Each question that can be answered from what this process knows has a form that answers at once
//! (`…_now`) and one that asks the master. The kernel's threads try the first and hand the second to
//! the runtime, so that a slow answer never keeps a quick one waiting.

mod changes;
mod files;
pub mod locks;
mod nodes;
mod publish;
mod recover;
mod stage;
mod times;
mod walks;
mod writes;
mod xattrs;

use super::ahead::Ahead;
use super::errno::Errno;
use super::handles::{Handle, Handles};
use super::inodes::{Child, Found, Inodes, Known, Listed, Listing, ROOT, Stale};
use super::options::Options;
use super::owners::Owners;
use super::parked::Parking;
use super::staging::{Home, Left};
use crate::client::{Capacity, FileSystem, ListOptions};
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{FsPath, Node, Status};
use crate::core::proto::v1;
use futures::Stream;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub use changes::Change;
pub use files::Opened;
pub use recover::{Verdict, publish_left, version_of};
use walks::Walks;
pub use writes::{Caller, Created, How};

/// How long the figures of statfs are used.
const CAPACITY_KEPT: Duration = Duration::from_secs(2);
/// How long anything is trusted while nobody tells us of changes.
const UNWATCHED: Duration = Duration::from_secs(1);

/// What kind of file an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket or a device.
    Node(Node),
}

/// What stat(2) tells of an inode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attributes {
    /// Its number.
    pub ino: u64,
    /// File, directory or link.
    pub kind: Kind,
    /// Bytes in it.
    pub size: u64,
    /// Permission bits, 0o7777.
    pub mode: u32,
    /// Number of the owning user.
    pub uid: u32,
    /// Number of the owning group.
    pub gid: u32,
    /// Names that lead to it; none once it is deleted.
    pub links: u32,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Nanoseconds beyond those.
    pub modified_ns: u32,
    /// Milliseconds since 1970.
    pub accessed_ms: i64,
    /// Nanoseconds beyond those.
    pub accessed_ns: u32,
    /// When the inode itself last changed, in milliseconds since 1970.
    pub changed_ms: i64,
    /// Milliseconds since 1970.
    pub created_ms: i64,
}

/// An inode's attributes and how long the kernel may keep them and the name that led there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// What stat(2) tells.
    pub attributes: Attributes,
    /// How long the attributes may be kept.
    pub attribute_timeout: Duration,
    /// How long the name may be kept.
    pub entry_timeout: Duration,
}

/// A mounted file system.
pub struct Posix {
    pub(super) files: FileSystem,
    pub(super) inodes: Inodes,
    pub(super) handles: Handles,
    pub(super) options: Options,
    /// Where files are staged; none where none are.
    home: OnceLock<Arc<Home>>,
    /// Inodes that the kernel wrote by itself: what it has cached of them is old.
    lent: Mutex<HashSet<u64>>,
    /// What earlier mounts left staged and has no place in this one.
    unclaimed: Mutex<Vec<(Arc<Home>, Left)>>,
    /// Whether fsync publishes.
    publish_on_fsync: bool,
    ahead: Ahead,
    root: FsPath,
    owners: Owners,
    capacity: Mutex<Option<(Instant, Capacity)>>,
    walks: Walks,
    parking: Arc<Parking>,
    /// Whether the master tells us of changes.
    watched: AtomicBool,
    /// Whether the master refuses this process nothing: the kernel then is who checks.
    trusted: AtomicBool,
    locks: locks::Locks,
}

impl Posix {
    /// The tree below `root`.
    pub fn new(
        files: FileSystem,
        root: FsPath,
        options: Options,
        limit: usize,
        keep: Duration,
    ) -> Self {
        Posix {
            files,
            inodes: Inodes::new(root.clone(), keep, limit),
            handles: Handles::default(),
            owners: Owners::new(options.uid, options.gid),
            options,
            home: OnceLock::new(),
            lent: Mutex::default(),
            unclaimed: Mutex::default(),
            publish_on_fsync: false,
            ahead: Ahead::default(),
            root,
            capacity: Mutex::default(),
            walks: Walks::default(),
            parking: Arc::default(),
            watched: AtomicBool::new(false),
            trusted: AtomicBool::new(false),
            locks: locks::Locks::default(),
        }
    }

    /// The cluster's name.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn cluster(&self) -> Result<String> {
        Ok(self.files.masters().await?.cluster_id)
    }

    /// Files that are changed are staged in `home` from now on.
    pub fn stage_in(&self, home: Arc<Home>) {
        self.home.set(home).ok();
    }

    /// The same, with fsync publishing what is staged if `publish`.
    pub fn publishing_on_fsync(mut self, publish: bool) -> Self {
        self.publish_on_fsync = publish;
        self
    }

    /// The path that is mounted.
    pub fn root(&self) -> &FsPath {
        &self.root
    }

    /// Asks for the mounted directory itself, which also tells whether the cluster is there.
    ///
    /// # Errors
    /// `NotFound`; `NotDirectory`; `Unavailable`.
    pub async fn load_root(&self) -> Result<Found> {
        let ticket = self.inodes.ticket();
        let status = self.files.status(&self.root).await?;
        if !status.folder {
            return Err(crate::core::error::Error::new(
                ErrorKind::NotDirectory,
                format!("{} is a file: only a directory can be mounted", self.root),
            ));
        }
        Ok(self.inodes.place_root(self.know(status), ticket))
    }

    /// What changes in the tree from now on.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn watch(
        &self,
    ) -> Result<impl Stream<Item = Result<Vec<v1::Change>>> + Send + Unpin + use<>> {
        self.files.watch(&self.root).await
    }

    /// The master says that these changed. Answers what the kernel has to drop.
    pub fn changed(&self, changes: &[v1::Change]) -> Vec<Stale> {
        let mut stale = Vec::new();
        for change in changes {
            match FsPath::parse(&change.path) {
                Ok(path) => stale.extend(self.inodes.changed(&path, change.subtree)),
                // A change nobody can name could be anywhere.
                Err(_) => stale.extend(self.inodes.doubt_all()),
            }
        }
        stale
    }

    /// Nothing may be trusted any more. Answers what the kernel has to drop.
    pub fn doubt_all(&self) -> Vec<Stale> {
        self.inodes.doubt_all()
    }

    /// Drops what has expired. Answers what the kernel has to drop.
    pub fn sweep(&self) -> Vec<Stale> {
        self.inodes.sweep()
    }

    /// Whether changes are being told from now on.
    pub fn set_watched(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// What `name` in `parent` is; none where the master has to be asked.
    pub fn lookup_now(&self, parent: u64, name: &str) -> Option<Result<Entry, Errno>> {
        match self.inodes.child(parent, name) {
            Child::Fresh(found) => Some(Ok(self.entry(&found))),
            Child::Absent => Some(Err(Errno::NOT_FOUND)),
            Child::Unknown => None,
        }
    }

    /// What `name` in `parent` is.
    ///
    /// # Errors
    /// `ENOENT` where there is nothing.
    pub async fn lookup(&self, parent: u64, name: &str) -> Result<Entry, Errno> {
        let found = self.fetch_child(parent, name, 1).await?;
        Ok(self.entry(&found))
    }

    /// The attributes of `ino`; none where the master has to be asked.
    pub fn attributes_now(&self, ino: u64) -> Option<Entry> {
        if let Some(write) = self.handles.writing(ino) {
            return Some(self.entry_of_write(&write));
        }
        match self.inodes.known(ino) {
            Some(found) => Some(self.entry(&found)),
            None => self.inodes.deleted(ino).map(|found| self.entry_of_deleted(&found)),
        }
    }

    /// The attributes of `ino`.
    ///
    /// # Errors
    /// `ESTALE` when it is gone.
    pub async fn attributes(&self, ino: u64) -> Result<Entry, Errno> {
        if let Some(write) = self.handles.writing(ino) {
            return Ok(self.entry_of_write(&write));
        }
        let found = self.find(ino).await?;
        Ok(self.entry(&found))
    }

    /// What is known of a file that is open and has no name any more.
    fn entry_of_deleted(&self, found: &Found) -> Entry {
        let mut entry = self.entry(found);
        entry.attributes.links = 0;
        entry
    }

    /// The entries of the directory `ino`; none where the master has to be asked.
    pub fn listing_now(&self, ino: u64) -> Option<Arc<Listing>> {
        self.inodes.listing(ino)
    }

    /// The entries of the directory `ino`.
    ///
    /// # Errors
    /// `ESTALE` when it is gone.
    pub async fn listing(&self, ino: u64) -> Result<Arc<Listing>, Errno> {
        // It may be on its way already.
        self.walks.arrival(ino).await;
        if let Some(listing) = self.inodes.listing(ino) {
            return Ok(listing);
        }
        self.fetch_listing(ino).await
    }

    async fn fetch_listing(&self, ino: u64) -> Result<Arc<Listing>, Errno> {
        let path = self.inodes.path(ino)?;
        let ticket = self.inodes.ticket();
        let listed = self.files.list(&path, &ListOptions::default()).await?;
        let children = listed.into_iter().map(|status| self.know(status)).collect();
        Ok(self.inodes.place_listing(ino, children, ticket))
    }

    /// The entry for something that the directory `parent` was listed to hold; the kernel then holds
    /// one more reference to it. None when it went away meanwhile.
    pub fn enter(&self, parent: u64, listed: &Listed, trusted: Duration) -> Option<Entry> {
        let newer = self.inodes.enter(parent, listed)?;
        let found = newer.unwrap_or_else(|| Found {
            ino: listed.ino,
            known: listed.known.clone(),
            trusted,
        });
        Some(self.entry(&found))
    }

    /// The kernel gives up `lookups` references to `ino`.
    pub fn forget(&self, ino: u64, lookups: u64) {
        if self.inodes.forget(ino, lookups) {
            // With the inode went its pages.
            self.lent.lock().remove(&ino);
        }
    }

    /// The number of `name` in `parent`, as far as is known; else 0.
    pub fn number_at(&self, parent: u64, name: &str) -> u64 {
        self.inodes.number_at(parent, name).unwrap_or_default()
    }

    /// The directory that `ino` is in.
    pub fn parent(&self, ino: u64) -> u64 {
        self.inodes.parent(ino)
    }

    /// Bytes the kernel reads ahead.
    pub fn read_ahead(&self) -> u64 {
        self.options.max_read_ahead
    }

    /// What `handle` is.
    ///
    /// # Errors
    /// `EBADF` when it is not open.
    pub fn handle(&self, handle: u64) -> Result<Handle, Errno> {
        self.handles.get(handle).ok_or(Errno::BAD_HANDLE)
    }

    /// Closes a handle that reads.
    pub fn close(&self, handle: u64) {
        if let Some(Handle::Read(read)) = self.handles.remove(handle)
            && let Some(write) = self.handles.writing(read.ino)
        {
            self.end(&write);
        }
    }

    /// Where the link `ino` points.
    ///
    /// # Errors
    /// `EINVAL` when it is no link.
    pub async fn read_link(&self, ino: u64) -> Result<String, Errno> {
        let found = self.find(ino).await?;
        if !found.known.status.is_symlink() {
            return Err(Errno::INVALID);
        }
        Ok(found.known.status.symlink.clone())
    }

    /// How full the cache is, as df(1) shows it.
    pub async fn capacity(&self) -> Capacity {
        if let Some((read, capacity)) = *self.capacity.lock()
            && read.elapsed() < CAPACITY_KEPT
        {
            return capacity;
        }
        // df must not fail, or hang, because a figure is missing.
        let asked = tokio::time::timeout(CAPACITY_KEPT, self.files.capacity()).await;
        let capacity = match asked {
            Ok(Ok(capacity)) => capacity,
            _ => self.capacity.lock().map(|(_, old)| old).unwrap_or_default(),
        };
        *self.capacity.lock() = Some((Instant::now(), capacity));
        capacity
    }

    /// What is known of `ino`, from the master if need be.
    async fn find(&self, ino: u64) -> Result<Found, Errno> {
        if let Some(found) = self.inodes.known(ino) {
            return Ok(found);
        }
        if ino == ROOT {
            return Ok(self.load_root().await?);
        }
        self.find_now(ino).await
    }

    /// What the master knows of `ino`, which is not the mounted directory itself.
    async fn find_now(&self, ino: u64) -> Result<Found, Errno> {
        let path = self.inodes.path(ino)?;
        let found = self.fetch_child(self.inodes.parent(ino), path.name(), 0).await;
        match found {
            Ok(found) if found.ino == ino => Ok(found),
            // The name stands for another file now, or for none.
            Ok(_) | Err(Errno::NOT_FOUND) => Err(Errno::STALE),
            Err(errno) => Err(errno),
        }
    }

    async fn fetch_child(&self, parent: u64, name: &str, lookups: u64) -> Result<Found, Errno> {
        let path = self.inodes.path_of(parent, name)?;
        let ticket = self.inodes.ticket();
        match self.files.status(&path).await {
            Ok(status) => Ok(self.inodes.place((parent, name), self.know(status), ticket, lookups)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.inodes.vanished(parent, name);
                Err(Errno::NOT_FOUND)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn know(&self, status: Status) -> Known {
        Known { uid: self.owners.uid(&status.owner), gid: self.owners.gid(&status.group), status }
    }

    fn entry(&self, found: &Found) -> Entry {
        if let Some(write) = self.handles.writing(found.ino) {
            return self.entry_of_write(&write);
        }
        // An incomplete file grows without anyone telling us.
        let growing = !found.known.status.folder && !found.known.status.completed;
        let most = match (growing, self.watched.load(Ordering::Relaxed)) {
            (true, _) => Duration::ZERO,
            (false, true) => found.trusted,
            (false, false) => found.trusted.min(UNWATCHED),
        };
        Entry {
            attributes: attributes(found.ino, &found.known),
            attribute_timeout: self.options.attribute_timeout.min(most),
            entry_timeout: self.options.entry_timeout.min(most),
        }
    }
}

/// What stat(2) tells of a file that is known.
pub fn attributes(ino: u64, known: &Known) -> Attributes {
    let status = &known.status;
    let (kind, size) = if status.folder {
        (Kind::Directory, 4096)
    } else if status.is_symlink() {
        (Kind::Symlink, status.symlink.len() as u64)
    } else if let Some(node) = status.node() {
        (Kind::Node(node), 0)
    } else {
        (Kind::File, status.length)
    };
    Attributes {
        ino,
        kind,
        size,
        mode: status.mode & 0o7777,
        uid: known.uid,
        gid: known.gid,
        links: if status.folder { 2 } else { 1 },
        modified_ms: status.modified_ms,
        modified_ns: times::MODIFIED.beyond(status.modified_ms, &status.xattrs),
        accessed_ms: status.accessed_ms,
        accessed_ns: times::ACCESSED.beyond(status.accessed_ms, &status.xattrs),
        // A master that does not say when an inode changed knows when its bytes did.
        changed_ms: if status.changed_ms == 0 { status.modified_ms } else { status.changed_ms },
        created_ms: status.created_ms,
    }
}

impl Attributes {
    /// Those of some directory.
    pub fn directory() -> Self {
        let known = Known { status: Status { folder: true, ..Status::default() }, uid: 0, gid: 0 };
        attributes(ROOT, &known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_as_long_as_what_it_says_and_a_directory_has_a_size() {
        let known = |status| Known { status, uid: 1, gid: 2 };
        let link = known(Status { symlink: "a/b".into(), mode: 0o777, ..Status::default() });
        let directory = known(Status { folder: true, mode: 0o1755, ..Status::default() });
        let file = known(Status { length: 7, modified_ms: 9, ..Status::default() });
        assert_eq!(attributes(5, &link).size, 3);
        assert_eq!(attributes(5, &link).kind, Kind::Symlink);
        assert_eq!(
            (attributes(5, &directory).size, attributes(5, &directory).mode),
            (4096, 0o1755)
        );
        assert_eq!(attributes(5, &file).size, 7);
        assert_eq!(attributes(5, &file).changed_ms, 9, "at the last change that is known of");
    }
}
