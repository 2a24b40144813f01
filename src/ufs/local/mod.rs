//! `file://`: a directory that the operating system serves – a local disk, NFS, Lustre, CephFS.
//!
//! Every call of the operating system may stall on a far or sick disk, so none is made on a
//! runtime thread. A new file grows under a hidden name beside its place, is flushed, and takes
//! the place by a rename; so a reader sees the old file or the new one, also after a power cut.
//! A file's version is its inode, size and modification time to the nanosecond, and a piece of a
//! read is handed out only if the version still holds after it was read.

mod owners;
mod writer;

use super::limit::{Limits, limited};
use super::{Attributes, Capabilities, Properties, Space, Ufs, UfsStatus, UfsWriter};
use super::{UnderFileSystem, changed, check_path};
use crate::core::error::{Error, ErrorKind, Result, invalid_argument, not_found};
use crate::core::runtime::blocking;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use owners::Owners;
use std::fs::{File, Metadata, OpenOptions, ReadDir};
use std::io::ErrorKind as Io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the hidden name of a file that is being written begins.
const TEMPORARY: &str = ".goosefs-tmp.";
/// Bytes in a piece of a read: large enough that a thread switch costs nothing beside it.
const PIECE: u64 = 1 << 20;
/// Pieces of one read that are fetched at once: one being used, one on its way.
const PIECES_AHEAD: usize = 2;
/// Directory entries looked at between two hand-overs.
const ENTRIES: usize = 256;

/// A directory of this machine as an under store.
struct Local {
    address: String,
    root: PathBuf,
    owners: Arc<Owners>,
}

/// The under store at `file:///dir` or `/dir`. The directory need not exist yet.
///
/// # Errors
/// `InvalidArgument` for a host in the address or a relative path.
pub fn open(address: &str, properties: &Properties) -> Result<Ufs> {
    let path = address.strip_prefix("file://").unwrap_or(address);
    if !path.starts_with('/') {
        return Err(invalid_argument(format!(
            "{address:?} names no absolute directory: write file:///dir"
        )));
    }
    let path = path.trim_end_matches('/');
    check_path(path.trim_start_matches('/'))?;
    let root = PathBuf::from(if path.is_empty() { "/" } else { path });
    let address = format!("file://{}", if path.is_empty() { "/" } else { path });
    let local = Local { address, root, owners: Arc::default() };
    Ok(limited(Arc::new(local), Limits::read(properties)?))
}

impl Local {
    fn path(&self, path: &str) -> Result<PathBuf> {
        check_path(path)?;
        Ok(if path.is_empty() { self.root.clone() } else { self.root.join(path) })
    }
}

#[async_trait]
impl UnderFileSystem for Local {
    fn address(&self) -> &str {
        &self.address
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            rename: true,
            rename_dir: true,
            directories: true,
            attributes: true,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsStatus> {
        let (full, owners, name) = (self.path(path)?, self.owners.clone(), path.to_string());
        blocking(move || {
            let meta = std::fs::metadata(&full).map_err(|e| io_error(e, &full))?;
            status_of(&owners, name, &meta).ok_or_else(|| special(&full))
        })
        .await
    }

    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        let full = self.path(path)?;
        let listing =
            Listing { path: full, entries: None, owners: self.owners.clone(), warned: false };
        let batches = stream::try_unfold(Some(listing), |listing| async move {
            let Some(listing) = listing else { return Ok(None) };
            blocking(move || listing.batch()).await.map(Some)
        });
        Ok(batches.map_ok(|batch| stream::iter(batch).map(Ok)).try_flatten().boxed())
    }

    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (full, version) = (self.path(path)?, version.map(String::from));
        let open = blocking(move || Open::new(full, version, range)).await?;
        let Some((open, first)) = open else { return Ok(stream::empty().boxed()) };
        let open = Arc::new(open);
        let rest = pieces(open.range.start + first.len() as u64..open.range.end);
        let rest = stream::iter(rest)
            .map(move |piece| {
                let open = open.clone();
                blocking(move || open.piece(piece))
            })
            .buffered(PIECES_AHEAD);
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }

    async fn create(&self, path: &str, attributes: &Attributes) -> Result<Box<dyn UfsWriter>> {
        let full = self.path(path)?;
        if path.is_empty() {
            return Err(Error::new(ErrorKind::IsDirectory, "the address itself is a directory"));
        }
        let place = writer::Place {
            root: self.root.clone(),
            full,
            path: path.into(),
            attributes: attributes.clone(),
            owners: self.owners.clone(),
        };
        Ok(Box::new(blocking(move || writer::Writer::new(place)).await?))
    }

    async fn create_dir(&self, path: &str, attributes: &Attributes) -> Result<()> {
        let full = self.path(path)?;
        let (owners, attributes) = (self.owners.clone(), attributes.clone());
        blocking(move || {
            if make_dirs(&full)? {
                apply(&owners, &full, &attributes)?;
            }
            Ok(())
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let full = self.path(path)?;
        blocking(move || ignore_missing(std::fs::remove_file(&full), &full)).await
    }

    async fn delete_dir(&self, path: &str) -> Result<()> {
        let full = self.path(path)?;
        if path.is_empty() {
            return Err(invalid_argument(format!("{} itself is not deleted", self.address)));
        }
        blocking(move || ignore_missing(std::fs::remove_dir_all(&full), &full)).await
    }

    async fn rename(&self, from: &str, to: &str, _folder: bool) -> Result<()> {
        let (from, to, root) = (self.path(from)?, self.path(to)?, self.root.clone());
        blocking(move || {
            let above = to.parent().unwrap_or(&root);
            make_dirs_in(&root, above)?;
            std::fs::rename(&from, &to).map_err(|e| io_error(e, &from))?;
            flush_dir(above)?;
            match from.parent() {
                Some(other) if other != above => flush_dir(other),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn set_attributes(&self, path: &str, attributes: &Attributes) -> Result<()> {
        let (full, owners, attributes) =
            (self.path(path)?, self.owners.clone(), attributes.clone());
        blocking(move || apply(&owners, &full, &attributes)).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        let root = self.root.clone();
        blocking(move || {
            let stat = nix::sys::statvfs::statvfs(&root).map_err(|e| io_error(e.into(), &root))?;
            let unit = stat.fragment_size();
            let (capacity, free) = (stat.blocks() * unit, stat.blocks_free() * unit);
            Ok(Some(Space { capacity, used: capacity.saturating_sub(free) }))
        })
        .await
    }
}

/// A file being read: checked to be the version that was asked for.
struct Open {
    path: PathBuf,
    file: File,
    version: String,
    range: Range<u64>,
}

impl Open {
    /// Opens the file and reads the first piece, so that a small file costs one hand-over; none
    /// when the range lies behind the end.
    fn new(
        path: PathBuf,
        version: Option<String>,
        range: Range<u64>,
    ) -> Result<Option<(Open, Bytes)>> {
        // Without O_NONBLOCK, opening a pipe that nobody writes to would hang for ever.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let file = file.map_err(|e| io_error(e, &path))?;
        let meta = file.metadata().map_err(|e| io_error(e, &path))?;
        if meta.is_dir() {
            return Err(Error::new(
                ErrorKind::IsDirectory,
                format!("{} is a directory", path.display()),
            ));
        }
        if !meta.is_file() {
            return Err(special(&path));
        }
        let found = version_of(&meta);
        if let Some(wanted) = version.filter(|wanted| *wanted != found) {
            return Err(changed(&path.display(), &wanted, &found));
        }
        let range = range.start..range.end.min(meta.len());
        if range.is_empty() {
            return Ok(None);
        }
        let open = Open { path, file, version: found, range };
        let start = open.range.start;
        let first = open.piece(start..open.range.end.min(start + PIECE))?;
        Ok(Some((open, first)))
    }

    fn piece(&self, range: Range<u64>) -> Result<Bytes> {
        let mut piece = vec![0; (range.end - range.start) as usize];
        let read = self.file.read_exact_at(&mut piece, range.start);
        let found = version_of(&self.file.metadata().map_err(|e| io_error(e, &self.path))?);
        if found != self.version {
            return Err(changed(&self.path.display(), &self.version, &found));
        }
        read.map_err(|e| io_error(e, &self.path))?;
        Ok(piece.into())
    }
}

fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send {
    let end = range.end;
    range.step_by(PIECE as usize).map(move |start| start..end.min(start + PIECE))
}

/// A directory being listed, a batch at a time.
struct Listing {
    path: PathBuf,
    entries: Option<ReadDir>,
    owners: Arc<Owners>,
    warned: bool,
}

impl Listing {
    /// The next entries, and the listing again unless that was all.
    fn batch(mut self) -> Result<(Vec<UfsStatus>, Option<Listing>)> {
        let entries = match &mut self.entries {
            Some(entries) => entries,
            none => {
                none.insert(std::fs::read_dir(&self.path).map_err(|e| io_error(e, &self.path))?)
            }
        };
        let mut batch = Vec::new();
        for _ in 0..ENTRIES {
            let Some(entry) = entries.next() else { return Ok((batch, None)) };
            let entry = entry.map_err(|e| io_error(e, &self.path))?;
            let Ok(name) = entry.file_name().into_string() else {
                if !std::mem::replace(&mut self.warned, true) {
                    let dir = self.path.display();
                    tracing::warn!(%dir, "names that are not UTF-8 are left out of the listing");
                }
                continue;
            };
            if name.starts_with(TEMPORARY) {
                continue;
            }
            // What vanished meanwhile, and links that lead nowhere, are not there to be read.
            match std::fs::metadata(entry.path()) {
                Ok(meta) => batch.extend(status_of(&self.owners, name, &meta)),
                Err(error) => tracing::debug!(path = %entry.path().display(), %error, "left out"),
            }
        }
        Ok((batch, Some(self)))
    }
}

/// What `meta` says, as a status; none for pipes, sockets and devices.
fn status_of(owners: &Owners, name: String, meta: &Metadata) -> Option<UfsStatus> {
    if !meta.is_file() && !meta.is_dir() {
        return None;
    }
    let (owner, group) = owners.names(meta.uid(), meta.gid());
    Some(UfsStatus {
        name,
        folder: meta.is_dir(),
        length: if meta.is_dir() { 0 } else { meta.len() },
        modified_ms: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
        version: if meta.is_dir() { String::new() } else { version_of(meta) },
        exact: true,
        owner: Some(owner),
        group: Some(group),
        mode: Some(meta.mode() & 0o7777),
    })
}

/// What tells one content of a file from another.
fn version_of(meta: &Metadata) -> String {
    format!("{:x}.{:09}-{:x}-{:x}", meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino())
}

/// Sets what attributes say, as far as this user may: only root gives files away.
fn apply(owners: &Owners, path: &Path, attributes: &Attributes) -> Result<()> {
    let (uid, gid) = owners.ids(attributes.owner.as_deref(), attributes.group.as_deref());
    if nix::unistd::geteuid().is_root() && (uid.is_some() || gid.is_some()) {
        std::os::unix::fs::chown(path, uid, gid).map_err(|e| io_error(e, path))?;
    }
    // After the owner: a change of owner clears the set-user-id bit.
    if let Some(mode) = attributes.mode {
        let mode = std::fs::Permissions::from_mode(mode & 0o7777);
        std::fs::set_permissions(path, mode).map_err(|e| io_error(e, path))?;
    }
    Ok(())
}

/// Makes a directory below `root`, which must exist: a disk that is not mounted must not be
/// mistaken for an empty one.
fn make_dirs_in(root: &Path, path: &Path) -> Result<()> {
    if !root.is_dir() {
        let root = root.display();
        return Err(not_found(format!(
            "the mounted directory {root} does not exist: create it, or mount its disk"
        )));
    }
    make_dirs(path).map(|_| ())
}

/// Makes a directory and those above it, for good; tells whether it was not there.
fn make_dirs(path: &Path) -> Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == Io::AlreadyExists && path.is_dir() => return Ok(false),
        Err(error) if error.kind() == Io::NotFound => {
            let above = path.parent().ok_or_else(|| io_error(error, path))?;
            make_dirs(above)?;
            return make_dirs(path);
        }
        Err(error) => return Err(io_error(error, path)),
    }
    path.parent().map_or(Ok(()), flush_dir)?;
    Ok(true)
}

/// Makes the names in a directory survive a power cut.
fn flush_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| io_error(e, path))
}

fn ignore_missing(result: std::io::Result<()>, path: &Path) -> Result<()> {
    match result {
        Err(error) if error.kind() != Io::NotFound => Err(io_error(error, path)),
        _ => Ok(()),
    }
}

fn special(path: &Path) -> Error {
    not_found(format!("{} is a pipe, a socket or a device: those are not served", path.display()))
}

fn io_error(error: std::io::Error, path: &Path) -> Error {
    Error::from(error).context(path.display())
}

#[cfg(test)]
mod tests;
