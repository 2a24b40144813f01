//! Files that are being changed, on a disk of this host.
//!
//! The staging directory has one directory for each process that mounts, locked by it for as long as it
//! lives:
//!
//! ```text
//! <staging directory>/<process>-<random>/lock
//!                                        3.data     the bytes, sparse
//!                                        3.json     what they are (record.rs); only what must outlast us
//! ```
//!
//! A file without a record is nobody's once its process is gone. One with a record is published by the
//! next mount, or by hand (`goosefs fuse staged`).
//!
//! A record makes us read a file and put its bytes where others may see them, so what is not our user's own
//! counts for nothing here, and no link is followed (`own.rs`).

mod lease;
mod own;
mod ranges;
mod record;
mod staged;

pub use record::Record;
pub use staged::{Base, Staged};

use super::errno::Errno;
use crate::core::error::{Context, Error, Result, failed_precondition};
use crate::core::runtime::blocking;
use bytes::Bytes;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The file whose lock says that a process lives.
const LOCK: &str = "lock";
/// How the name of a staged file's bytes ends.
const DATA: &str = "data";
/// How the name of its record ends.
const RECORD: &str = "json";
/// How it ends while it is written (`core::runtime::files`).
const UNFINISHED: &str = "new";

/// The directory of one process.
#[derive(Debug)]
pub struct Home {
    dir: PathBuf,
    /// Bytes that all files in it may take together.
    limit: u64,
    used: AtomicU64,
    last: AtomicU64,
    cluster: String,
    lock: Flock<File>,
    dates_stores: bool,
}

impl Home {
    /// Makes the directory of this process below `above`.
    ///
    /// # Errors
    /// Whatever the disk says, with the cure.
    pub fn make(above: &Path, limit: u64, cluster: &str) -> Result<Arc<Home>> {
        let cure = || {
            let shown = above.display();
            format!("staging files in {shown}: give another directory (goosefs.fuse.staging.dir)")
        };
        let random = uuid::Uuid::new_v4().as_u64_pair().0 as u32;
        let dir = above.join(format!("{}-{random:08x}", std::process::id()));
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(Error::from).with_context(cure)?;
        own::check_shared(above).with_context(cure)?;
        let durable = File::open(above).and_then(|above| above.sync_all());
        durable.map_err(Error::from).with_context(cure)?;
        let lock = lock(&dir).with_context(cure)?;
        let lock = lock.ok_or_else(|| failed_precondition("a new directory is locked already"))?;
        let (used, last, cluster) = (AtomicU64::new(0), AtomicU64::new(0), cluster.to_string());
        let dates_stores = dates_stores(&dir);
        Ok(Arc::new(Home { dir, limit, used, last, cluster, lock, dates_stores }))
    }

    /// Takes over the directory of a process that has gone; none while it lives.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn adopt(dir: &Path, limit: u64, cluster: &str) -> Result<Option<Arc<Home>>> {
        own::check_dir(dir)?;
        let Some(lock) = lock(dir)? else { return Ok(None) };
        let (dir, cluster) = (dir.to_path_buf(), cluster.to_string());
        let (used, last) = (AtomicU64::new(0), AtomicU64::new(0));
        let dates_stores = dates_stores(&dir);
        Ok(Some(Arc::new(Home { dir, limit, used, last, cluster, lock, dates_stores })))
    }

    /// The cluster whose files are staged.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Bytes that all files in it may take together.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// A new file's name and the file.
    fn create(&self) -> std::result::Result<(String, File), Errno> {
        let name = (self.last.fetch_add(1, Ordering::Relaxed) + 1).to_string();
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        let data = options.open(self.data(&name)).map_err(errno_of)?;
        Ok((name, data))
    }

    fn data(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{DATA}"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.{RECORD}"))
    }

    /// Takes room for that many bytes.
    fn take(&self, bytes: u64) -> std::result::Result<(), Errno> {
        if bytes == 0 {
            return Ok(());
        }
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&after| after <= self.limit)
        });
        taken.map(drop).map_err(|_| Errno(libc::ENOSPC))
    }

    /// Whether its file system dates a file when a program stores into it through a mapping.
    fn dates_stores(&self) -> bool {
        self.dates_stores
    }

    /// Whether most of the room is taken.
    fn is_tight(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit / 2
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The directory of a process that kept nothing goes with it.
impl Drop for Home {
    fn drop(&mut self) {
        let kept = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        if kept.into_iter().all(|entry| entry.file_name() == LOCK) {
            std::fs::remove_file(self.dir.join(LOCK)).ok();
            std::fs::remove_dir(&self.dir).ok();
        }
        // Only now may others look at what is left.
        let _ = &self.lock;
    }
}

/// Locks a process's directory; none while that process lives.
fn lock(dir: &Path) -> Result<Option<Flock<File>>> {
    let path = dir.join(LOCK);
    let mut options = File::options();
    let file = own::open(&path, options.create(true).truncate(false).write(true).mode(0o600))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => {
            let error = Error::from(std::io::Error::from(error));
            Err(error.context(format!("locking {}", path.display())))
        }
    }
}

/// Something that a process left behind, or still has.
#[derive(Debug)]
pub struct Left {
    /// The directory of its process.
    pub home: PathBuf,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub record: Record,
    /// Bytes in it.
    pub length: u64,
    /// Bytes of the disk that it takes.
    pub used: u64,
}

impl Left {
    /// How people name it.
    pub fn id(&self) -> String {
        let home = self.home.file_name().unwrap_or_default().to_string_lossy();
        format!("{home}/{}", self.name)
    }

    /// Where its bytes are.
    pub fn data(&self) -> PathBuf {
        self.home.join(format!("{}.{DATA}", self.name))
    }

    /// What of it was changed, and not cut off since.
    pub fn changed(&self) -> Vec<Range<u64>> {
        let Some(base) = &self.record.base else {
            return std::iter::once(0..self.length).collect();
        };
        let present = base.present.iter().map(|&(start, end)| start..end.min(self.length));
        present.filter(|range| !range.is_empty()).collect()
    }

    /// Reads `length` bytes of it.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub async fn read(&self, offset: u64, length: u64) -> Result<Bytes> {
        let path = self.data();
        blocking(move || {
            let data = own::open(&path, File::options().read(true))?;
            let mut bytes = vec![0; length as usize];
            data.read_exact_at(&mut bytes, offset).with_context(|| path.display().to_string())?;
            Ok(Bytes::from(bytes))
        })
        .await
    }

    /// Has programs of the mount that left it write elsewhere: the kernel may let them write what they had
    /// open, or mapped, with nobody there to tell them that it is lost.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub async fn detach(&self) -> Result<()> {
        let path = self.data();
        blocking(move || {
            let data = own::open(&path, File::options().read(true).write(true))?;
            if !lease::is_shared(&data) {
                return Ok(());
            }
            let copy = path.with_extension(UNFINISHED);
            let copied = own::copy(&data, &copy).and_then(|()| std::fs::rename(&copy, &path));
            copied.with_context(|| format!("copying {}", path.display()))
        })
        .await
    }

    /// Removes it.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn remove(&self) -> Result<()> {
        for ending in [RECORD, DATA] {
            let path = self.home.join(format!("{}.{ending}", self.name));
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }
}

/// The directories of all processes of our user in a staging directory; none where there is no such.
///
/// # Errors
/// Whatever the disk says.
pub fn homes(above: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(above) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", above.display()))?,
    };
    own::check_shared(above)?;
    let dirs = entries.flatten().map(|entry| entry.path()).filter(|path| path.join(LOCK).exists());
    let (mut dirs, others): (Vec<_>, Vec<_>) = dirs.partition(|dir| own::check_dir(dir).is_ok());
    for dir in others {
        tracing::debug!(dir = %dir.display(), "another user's staged files");
    }
    dirs.sort();
    Ok(dirs)
}

/// What has a record in a process's directory, in order of names. What cannot be read is told of, and
/// stays.
pub fn left_in(home: &Path) -> Vec<Left> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != RECORD) {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let data = home.join(format!("{name}.{DATA}"));
        match (Record::read(&path), own::metadata(&data)) {
            (Ok(record), Ok(meta)) => {
                let length = record.cut.unwrap_or(meta.len());
                let used = meta.blocks() * 512;
                found.push(Left { home: home.to_path_buf(), name, record, length, used });
            }
            (Err(error), _) => tracing::warn!(%error, "a staged file is left alone"),
            (_, Err(error)) => {
                tracing::warn!(%error, path = %data.display(), "the bytes of a staged file");
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// Removes bytes without a record from the directory of a process that has gone: nobody asked for them
/// to last. And what was to become a record.
pub fn clear(home: &Home) {
    for entry in std::fs::read_dir(&home.dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let ends = |with: &str| path.extension().is_some_and(|ending| ending == with);
        let is_data = ends(DATA);
        if ends(UNFINISHED) || is_data && path.with_extension(RECORD).symlink_metadata().is_err() {
            std::fs::remove_file(&path).ok();
        }
    }
}

/// Whether the file system there is on a disk: one in memory takes stores through a mapping and says so
/// nowhere.
fn dates_stores(dir: &Path) -> bool {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    statfs(dir).is_ok_and(|found| found.filesystem_type() != TMPFS_MAGIC)
}

/// What a local disk says, as the kernel says it.
pub fn errno_of(error: std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}
