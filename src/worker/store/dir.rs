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

use super::lease;
use super::speed::Speed;
use crate::core::config::{StoreDir, StoreQuota};
use crate::core::error::{
    Context, Error, ErrorKind, Result, failed_precondition, invalid_argument, unavailable,
};
use crate::core::eviction::Orders;
use crate::core::model::{BlockId, ByteSize, EvictionPolicy};
use crate::core::runtime::files;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a disk that was found full is taken for full.
const FULL_FOR: Duration = Duration::from_secs(5);
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
    config: StoreDir,
    /// How many faster tiers there are.
    tier: usize,
    policy: EvictionPolicy,
    quota: AtomicU64,
    /// Bytes it holds, and bytes that blocks being filled will take.
    pub(super) used: AtomicU64,
    pub(super) promised: AtomicU64,
    /// When its disk was last found full before its quota was.
    found_full: Mutex<Option<Instant>>,
    /// How fast it takes bytes.
    pub speed: Speed,
    /// Held by whoever evicts to go on at once, so that one does at a time.
    pub evicting: Mutex<()>,
    /// In which order its blocks go; those that may.
    pub order: Mutex<Orders>,
    /// Blocks that were to go and are pinned.
    pub aside: Mutex<Vec<BlockId>>,
    /// Blocks that were to go and are in use.
    pub in_use: Mutex<HashSet<BlockId>>,
    /// Whether the kernel tells here who has a file open.
    leases: AtomicBool,
    /// Why it cannot be used, if so.
    lost: Mutex<Option<String>>,
    /// Locked as long as we live; none where the directory could never be opened.
    lock: Mutex<Option<File>>,
    /// Held by whoever probes it: probes share a file.
    probing: Mutex<()>,
}

impl Dir {
    /// Opens a directory, making it and its folders where they are missing.
    ///
    /// # Errors
    /// `InvalidArgument` when the quota is more than the disk has, `FailedPrecondition` when another
    /// worker uses the directory, else why it cannot be written to.
    pub fn open(config: &StoreDir, tier: usize, policy: EvictionPolicy) -> Result<Dir> {
        let dir = Dir::lost(config, tier, policy, "not opened yet".into());
        make_folders(dir.root()).with_context(|| unusable(dir.root()))?;
        dir.take_over()?;
        *dir.lost.lock() = None;
        Ok(dir)
    }

    /// A directory that cannot be used now, and why.
    pub fn lost(config: &StoreDir, tier: usize, policy: EvictionPolicy, why: String) -> Dir {
        Dir {
            config: config.clone(),
            tier,
            policy,
            quota: AtomicU64::new(0),
            used: AtomicU64::new(0),
            promised: AtomicU64::new(0),
            found_full: Mutex::new(None),
            speed: Speed::default(),
            evicting: Mutex::default(),
            order: Mutex::new(Orders::new(policy)),
            aside: Mutex::default(),
            in_use: Mutex::default(),
            leases: AtomicBool::new(false),
            lost: Mutex::new(Some(why)),
            lock: Mutex::new(None),
            probing: Mutex::default(),
        }
    }

    /// Locks the directory, measures it and clears away what was being written.
    fn take_over(&self) -> Result<()> {
        let unusable = || unusable(self.root());
        let lock = take_lock(self.root()).with_context(unusable)?;
        self.quota.store(quota_of(&self.config)?, Ordering::Relaxed);
        let tmp = self.root().join("tmp");
        for entry in std::fs::read_dir(&tmp).with_context(unusable)? {
            // What a process that died was writing; nobody was told of it.
            std::fs::remove_file(entry.map_err(Error::from)?.path()).with_context(unusable)?;
        }
        *self.lock.lock() = Some(lock);
        self.probe().with_context(unusable)?;
        let leases = lease::are_supported(&tmp);
        if !leases {
            let dir = self.root().display();
            tracing::info!(%dir, "this file system does not tell who has a file open: blocks that are lent may be evicted");
        }
        self.leases.store(leases, Ordering::Relaxed);
        Ok(())
    }

    /// Whether its disk works: it is the one we locked, takes a few bytes and gives them back. A
    /// full one works, and so does one that the process has no descriptor left to ask.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn probe(&self) -> Result<()> {
        let _one_at_a_time = self.probing.lock();
        if !self.is_as_locked()? {
            return Err(unavailable("another file system is there than was, or none"));
        }
        let path = self.root().join("tmp").join("probe");
        let tried = || {
            let mut file = File::create(&path)?;
            file.write_all(b"probe")?;
            let mut found = Vec::new();
            File::open(&path)?.read_to_end(&mut found)?;
            Ok::<_, std::io::Error>(found == b"probe")
        };
        let result = tried();
        std::fs::remove_file(&path).ok();
        match result {
            Ok(true) => Ok(()),
            Ok(false) => Err(unavailable("what is written is not what is read")),
            Err(error) if !is_of_disk(&error) => Ok(()),
            Err(error) => Err(Error::from(error).context(path.display())),
        }
    }

    /// Whether the lock that is there is the one we have, as far as can be told.
    fn is_as_locked(&self) -> Result<bool> {
        let lock = self.lock.lock();
        let Some(lock) = lock.as_ref() else { return Ok(false) };
        let path = self.root().join("lock");
        let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let same = || Ok(identity(lock.metadata()?) == identity(std::fs::metadata(&path)?));
        match same() {
            Err(error) if !is_of_disk(&error) => Ok(true),
            same => same.with_context(|| path.display().to_string()),
        }
    }

    /// Tries to take a lost directory back. It must be as it was left, of `cluster`: one that is
    /// not mounted is an empty folder of another disk, which is not ours to fill.
    ///
    /// # Errors
    /// Why it cannot be used yet.
    pub fn take_back(&self, cluster: &str) -> Result<()> {
        if self.probe().is_err() {
            if !self.root().join("lock").exists() {
                return Err(unavailable(
                    "no blocks were ever kept here: is its disk mounted? Restart the worker to use a new one",
                ));
            }
            *self.lock.lock() = None;
            self.take_over()?;
        }
        let other = self.cluster()?;
        if !other.is_empty() && !cluster.is_empty() && other != cluster {
            return Err(failed_precondition(format!(
                "its blocks are of cluster {other}, not of {cluster}: empty it and restart the worker"
            )));
        }
        Ok(())
    }

    /// Notes that its disk is full, whatever the quota says: for a while it takes nothing new.
    pub fn find_full(&self) {
        *self.found_full.lock() = Some(Instant::now());
    }

    /// Takes it out of service; says whether that is news.
    pub fn lose(&self, why: String) -> bool {
        let news = self.lost.lock().replace(why).is_none();
        if news {
            *self.order.lock() = Orders::new(self.policy);
            self.aside.lock().clear();
            self.in_use.lock().clear();
        }
        news
    }

    /// Puts it into service again.
    pub fn serve_again(&self) {
        *self.lost.lock() = None;
    }

    /// Whether it is out of service.
    pub fn is_lost(&self) -> bool {
        self.lost.lock().is_some()
    }

    /// Whether anybody has a file of it open, as far as can be told; where that cannot be, yes,
    /// unless nobody could ever tell here.
    pub fn is_open(&self, path: &Path) -> bool {
        self.leases.load(Ordering::Relaxed)
            && lease::is_open(path).unwrap_or_else(|error| {
                // One that is gone is nobody's concern; of any other nothing is known.
                error.kind() != std::io::ErrorKind::NotFound
            })
    }

    /// How many faster tiers there are.
    pub fn tier(&self) -> usize {
        self.tier
    }

    /// The cluster that blocks here are of; empty where nobody has said.
    ///
    /// # Errors
    /// Why that cannot be read.
    pub fn cluster(&self) -> Result<String> {
        match std::fs::read_to_string(self.root().join(CLUSTER)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => {
                read.with_context(|| format!("reading {}", self.root().join(CLUSTER).display()))
            }
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
        let path = self.root().join(CLUSTER);
        files::replace(&path, cluster.as_bytes())
            .with_context(|| format!("writing {}", path.display()))
    }

    /// MEM, SSD or HDD.
    pub fn medium(&self) -> &str {
        &self.config.medium
    }

    /// Whether it is memory: no call on its files waits for a disk, and nothing survives a power cut.
    pub fn is_memory(&self) -> bool {
        self.config.medium == "MEM"
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.config.path
    }

    /// Bytes it may hold.
    pub fn quota(&self) -> u64 {
        self.quota.load(Ordering::Relaxed)
    }

    /// Bytes it holds, with what is reserved.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes it can still take, apart from what it will get anyway.
    pub fn free(&self) -> u64 {
        if self.found_full.lock().is_some_and(|at| at.elapsed() < FULL_FOR) {
            return 0;
        }
        let taken = self.used().saturating_add(self.promised.load(Ordering::Relaxed));
        self.quota().saturating_sub(taken)
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
        self.root().join("tmp").join(name.file())
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
        fan(self.root(), origin, index)
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

/// Whether an error tells of a disk that does not work: not of one that is full, nor of a process
/// that is short of memory or descriptors.
fn is_of_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let is_full = matches!(error.kind(), StorageFull | QuotaExceeded);
    let is_short = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
    !is_full && !is_short
}

fn unusable(root: &Path) -> String {
    format!("{} cannot hold blocks: make it writable or change goosefs.worker.dirs", root.display())
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
    let path = root.join("lock");
    File::options().create(true).append(true).open(&path)?;
    // Kept open for reading only: a disk that fails can be made read-only under us.
    let lock = File::open(&path)?;
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

#[cfg(test)]
mod tests {
    use super::super::space::Space;
    use super::*;
    use std::sync::Arc;

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
    fn probes_at_the_same_time_find_a_disk_that_works() {
        let temp = tempfile::tempdir().unwrap();
        let config = config(temp.path(), StoreQuota::Bytes(ByteSize(1000)));
        let dir = Dir::open(&config, 0, Default::default()).unwrap();
        let probe = || (0..100).try_for_each(|_| dir.probe());
        std::thread::scope(|scope| {
            let probing: Vec<_> = (0..4).map(|_| scope.spawn(probe)).collect();
            probing.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
    }

    #[test]
    fn a_full_disk_and_a_process_without_descriptors_are_no_failed_disk() {
        let is_of_disk = |code| is_of_disk(&std::io::Error::from_raw_os_error(code));
        for code in [libc::ENOSPC, libc::EDQUOT, libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert!(!is_of_disk(code), "{code}");
        }
        assert!([libc::EIO, libc::EROFS, libc::ENOENT].into_iter().all(is_of_disk));
    }

    #[test]
    fn a_directory_has_one_user_and_a_quota_its_disk_can_hold() {
        let temp = tempfile::tempdir().unwrap();
        let some = StoreQuota::Bytes(ByteSize(1000));
        let open = |path: &Path, quota| Dir::open(&config(path, quota), 0, Default::default());
        let dir = Arc::new(open(temp.path(), some).unwrap());
        let second = open(temp.path(), some).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::FailedPrecondition);
        let other = tempfile::tempdir().unwrap();
        let large = StoreQuota::Bytes(ByteSize(1 << 60));
        let error = open(other.path(), large).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("goosefs.worker.dirs"), "{error}");
        let mut space = Space::none(&dir);
        assert!(space.grow(900, 1000) && !space.grow(101, 1000) && space.grow(100, 1000));
        drop(space);
        assert_eq!(dir.used(), 0);
    }
}
