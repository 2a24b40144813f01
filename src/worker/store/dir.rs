//! One directory of the store: its files, its quota, and who may use it.
//!
//! ```text
//! lock                        one worker at a time
//! cluster                     whose blocks these are; ids mean nothing elsewhere
//! written/<xx>/<id>-<gen>     blocks that clients wrote; the only copy, until persisted
//! filled/<xx>/<id>-<gen>      blocks read from an under store
//! …/<id>-<gen>.pages          the page table of the block beside it
//! tmp/<id>-<gen>              a block being written: nothing yet
//! ```
//!
//! A generation tells a block that is committed anew from the one before: a page table can never be
//! taken for that of other bytes, whenever the process dies.

use crate::core::config::{StoreDir, StoreQuota};
use crate::core::error::{Context, Error, ErrorKind, Result, invalid_argument};
use crate::core::model::{BlockId, ByteSize};
use crate::core::runtime::files;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Subdirectories blocks are spread over.
const FAN_OUT: i64 = 256;
/// The file with the cluster's id.
const CLUSTER: &str = "cluster";
/// What the file name of a page table ends with.
const TABLE: &str = ".pages";

/// Where a block's bytes came from, which is also the subdirectory it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A client.
    Written,
    /// An under store.
    Filled,
}

impl Origin {
    /// Both.
    pub const ALL: [Origin; 2] = [Origin::Written, Origin::Filled];

    fn folder(self) -> &'static str {
        match self {
            Origin::Written => "written",
            Origin::Filled => "filled",
        }
    }
}

/// The name of a block's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The block.
    pub block: BlockId,
    /// Which commit of it; later ones are larger.
    pub generation: u64,
}

impl Name {
    /// Takes a file's name apart; the second is whether it is a page table's.
    pub fn parse(text: &str) -> Option<(Name, bool)> {
        let (stem, table) = match text.strip_suffix(TABLE) {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let (block, generation) = stem.split_once('-')?;
        let block = BlockId(block.parse().ok()?);
        let generation = u64::from_str_radix(generation, 16).ok()?;
        Some((Name { block, generation }, table))
    }

    fn file(self) -> String {
        format!("{}-{:x}", self.block, self.generation)
    }
}

/// One directory of the store.
#[derive(Debug)]
pub struct Dir {
    medium: String,
    root: PathBuf,
    quota: u64,
    used: AtomicU64,
    /// Held by whoever evicts from this directory, so that one does at a time.
    pub evicting: parking_lot::Mutex<()>,
    /// Locked as long as we live.
    _lock: File,
}

impl Dir {
    /// Opens a directory, making it and its folders where they are missing.
    ///
    /// # Errors
    /// `InvalidArgument` when the quota is more than the disk has, `FailedPrecondition` when another
    /// worker uses the directory, else why it cannot be written to.
    pub fn open(config: &StoreDir) -> Result<Dir> {
        let root = &config.path;
        let unusable = || {
            let root = root.display();
            format!("{root} cannot hold blocks: make it writable or change goosefs.worker.dirs")
        };
        let lock = make_folders(root).and_then(|()| take_lock(root)).with_context(unusable)?;
        let quota = quota_of(config)?;
        let tmp = root.join("tmp");
        for entry in std::fs::read_dir(&tmp).with_context(unusable)? {
            // What a process that died was writing; nobody was told of it.
            std::fs::remove_file(entry.map_err(Error::from)?.path()).with_context(unusable)?;
        }
        Ok(Dir {
            medium: config.medium.clone(),
            root: root.clone(),
            quota,
            used: AtomicU64::new(0),
            evicting: Default::default(),
            _lock: lock,
        })
    }

    /// The cluster that blocks here are of; empty where nobody has said.
    ///
    /// # Errors
    /// Why that cannot be read.
    pub fn cluster(&self) -> Result<String> {
        match std::fs::read_to_string(self.root.join(CLUSTER)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.with_context(|| format!("reading {}", self.root.join(CLUSTER).display())),
        }
    }

    /// Notes which cluster blocks here are of.
    ///
    /// # Errors
    /// Why that cannot be written.
    pub fn set_cluster(&self, cluster: &str) -> Result<()> {
        if self.cluster()? == cluster {
            return Ok(());
        }
        let path = self.root.join(CLUSTER);
        files::replace(&path, cluster.as_bytes())
            .with_context(|| format!("writing {}", path.display()))
    }

    /// MEM, SSD or HDD.
    pub fn medium(&self) -> &str {
        &self.medium
    }

    /// Whether it is memory: no call on its files waits for a disk, and nothing survives a power cut.
    pub fn is_memory(&self) -> bool {
        self.medium == "MEM"
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Bytes it may hold.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// Bytes it holds, with what is reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The file of a block.
    pub fn data_path(&self, origin: Origin, name: Name) -> PathBuf {
        self.folder(origin, name.block).join(name.file())
    }

    /// The page table beside it.
    pub fn table_path(&self, origin: Origin, name: Name) -> PathBuf {
        self.folder(origin, name.block).join(name.file() + TABLE)
    }

    /// The file of a block that is being written.
    pub fn tmp_path(&self, name: Name) -> PathBuf {
        self.root.join("tmp").join(name.file())
    }

    /// The folder that a block's files are in.
    pub fn folder(&self, origin: Origin, block: BlockId) -> PathBuf {
        // Blocks of one file differ in their low bits, files in those above.
        self.fan(origin, ((block.0 >> 24) ^ block.0) & (FAN_OUT - 1))
    }

    /// Every folder that block files are in.
    pub fn folders(&self) -> impl Iterator<Item = (Origin, PathBuf)> {
        let folders = |origin| (0..FAN_OUT).map(move |index| (origin, index));
        let all = Origin::ALL.into_iter().flat_map(folders);
        all.map(|(origin, index)| (origin, self.fan(origin, index)))
    }

    fn fan(&self, origin: Origin, index: i64) -> PathBuf {
        fan(&self.root, origin, index)
    }

    /// Removes a block's files. One that is not there is fine.
    pub fn remove(&self, origin: Origin, name: Name) {
        for path in [self.data_path(origin, name), self.table_path(origin, name)] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a block's file");
                }
                _ => {}
            }
        }
    }
}

fn fan(root: &Path, origin: Origin, index: i64) -> PathBuf {
    root.join(origin.folder()).join(format!("{index:02x}"))
}

fn make_folders(root: &Path) -> Result<()> {
    // Blocks are what users may or may not read: nobody but the worker's user gets in here.
    let mut make = std::fs::DirBuilder::new();
    make.recursive(true).mode(0o700);
    make.create(root.join("tmp"))?;
    for origin in Origin::ALL {
        for index in 0..FAN_OUT {
            make.create(fan(root, origin, index))?;
        }
    }
    Ok(())
}

fn take_lock(root: &Path) -> Result<File> {
    let lock = File::options().create(true).append(true).open(root.join("lock"))?;
    lock.try_lock().map_err(|e| match e {
        std::fs::TryLockError::WouldBlock => {
            Error::new(ErrorKind::FailedPrecondition, "another worker uses it")
        }
        std::fs::TryLockError::Error(e) => e.into(),
    })?;
    Ok(lock)
}

/// The quota in bytes, which must fit on the disk.
fn quota_of(config: &StoreDir) -> Result<u64> {
    let disk = nix::sys::statvfs::statvfs(&config.path)
        .map_err(std::io::Error::from)
        .with_context(|| format!("asking for the size of {}", config.path.display()))?;
    let size = disk.blocks() as u64 * disk.fragment_size() as u64;
    match config.quota {
        StoreQuota::Share(share) => Ok((size as f64 * share) as u64),
        StoreQuota::Bytes(ByteSize(quota)) if quota <= size => Ok(quota),
        StoreQuota::Bytes(quota) => Err(invalid_argument(format!(
            "{}: a quota of {quota} is more than the {} of its disk; lower it in goosefs.worker.dirs",
            config.path.display(),
            ByteSize(size),
        ))),
    }
}

/// Bytes of a directory's quota that somebody has; given back when dropped.
#[derive(Debug)]
pub struct Space {
    dir: Arc<Dir>,
    bytes: u64,
}

impl Space {
    /// None yet.
    pub fn none(dir: &Arc<Dir>) -> Space {
        Space { dir: dir.clone(), bytes: 0 }
    }

    /// Takes `more` bytes as long as the directory stays below `limit`; says whether it did.
    pub fn grow(&mut self, more: u64, limit: u64) -> bool {
        let fits = |used: u64| used.checked_add(more).filter(|&used| used <= limit);
        let grown = self.dir.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }

    /// Gives `less` bytes back.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.dir.used.fetch_sub(less, Ordering::Relaxed);
        self.bytes -= less;
    }

    /// Takes `bytes` whatever the quota says: for blocks that are there already.
    pub fn of(dir: &Arc<Dir>, bytes: u64) -> Space {
        dir.used.fetch_add(bytes, Ordering::Relaxed);
        Space { dir: dir.clone(), bytes }
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.dir.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &Path, quota: StoreQuota) -> StoreDir {
        StoreDir { medium: "SSD".into(), path: path.into(), quota }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = Name { block: BlockId(85429583872), generation: 0xab12 };
        assert_eq!(Name::parse(&name.file()), Some((name, false)));
        assert_eq!(Name::parse(&(name.file() + TABLE)), Some((name, true)));
        for other in ["lock", "7", "7-", "x-1", ".pages"] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_has_one_user_and_a_quota_its_disk_can_hold() {
        let temp = tempfile::tempdir().unwrap();
        let some = StoreQuota::Bytes(ByteSize(1000));
        let dir = Arc::new(Dir::open(&config(temp.path(), some)).unwrap());
        let second = Dir::open(&config(temp.path(), some)).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::FailedPrecondition);
        let other = tempfile::tempdir().unwrap();
        let large = StoreQuota::Bytes(ByteSize(1 << 60));
        let error = Dir::open(&config(other.path(), large)).unwrap_err();
        assert!(error.to_string().contains("goosefs.worker.dirs"), "{error}");
        let mut space = Space::none(&dir);
        assert!(space.grow(900, 1000) && !space.grow(101, 1000) && space.grow(100, 1000));
        drop(space);
        assert_eq!(dir.used(), 0);
    }
}
