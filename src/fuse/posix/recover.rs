//! What earlier mounts of this host left staged.
//!
//! A process that is killed leaves the records of what was made durable. The next mount takes each over,
//! provided that the file is still what the writer had opened: before anybody works in the mounted directory,
//! the file is being changed there again, with all that was made durable, and is published as one that
//! could not be before. So a cluster in trouble, or much that is left, holds up no mount, and nobody who
//! synced finds less than that. What has no place in the directory is published beside.
//!
//! A file that is another version by now was changed by somebody since, and what is staged waits for a
//! decision (`goosefs fuse staged`).

use super::Posix;
use crate::client::{CreateOptions, Expected, FileSystem, OpenOptions, Reader, Writer};
use crate::core::error::{Context, ErrorKind, Result, failed_precondition};
use crate::core::model::{FileId, FsPath, Status};
use crate::core::runtime::blocking;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Write, Writing};
use crate::fuse::inodes::{Found, ROOT};
use crate::fuse::owners::Owners;
use crate::fuse::staging::{self, Home, Left, Record, Staged};
use futures::stream::{self, StreamExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Files that are looked at, or published, at a time.
const AT_A_TIME: usize = 16;
/// Bytes that are compared at a time.
const COMPARED: u64 = 1 << 20;

/// What became of something staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is a version of the file now.
    Published,
    /// It was already; nobody had come to say so.
    Known,
    /// It stays: the file was changed by others since.
    Changed,
}

/// What a file that has to be made again is like.
pub(super) struct Like {
    pub(super) mode: u32,
    pub(super) owner: String,
    pub(super) group: String,
}

/// What is staged, beside what there is now.
enum Now {
    /// The file is as it was when it was opened; none where nothing was.
    Same(Option<Box<Status>>),
    /// It may be what is staged: as long, and from the same time.
    Alike(Box<Status>),
    Changed,
}

impl Posix {
    /// Takes over what processes that have gone left in the staging directory `above`.
    pub async fn recover(&self, above: &Path) {
        let Ok(own) = self.home() else { return };
        let above = above.to_path_buf();
        let homes = match blocking(move || staging::homes(&above)).await {
            Ok(homes) => homes,
            Err(error) => return tracing::warn!(%error, "looking for staged files"),
        };
        for dir in homes {
            match Home::adopt(&dir, own.limit(), own.cluster()) {
                Ok(Some(home)) => {
                    staging::clear(&home);
                    let left = stream::iter(staging::left_in(&dir));
                    left.for_each_concurrent(AT_A_TIME, |left| self.adopt(&home, left)).await;
                }
                // Its process lives.
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "looking for staged files"),
            }
        }
    }

    async fn adopt(&self, home: &Arc<Home>, left: Left) {
        match self.take_over(home, &left).await {
            Ok(Some(verdict)) => say(&left, verdict),
            Ok(None) => self.unclaimed.lock().push((home.clone(), left)),
            Err(error) if error.kind().is_transient() => {
                self.unclaimed.lock().push((home.clone(), left));
            }
            Err(error) => refused(&left, &error),
        }
    }

    /// From now on the file is being changed here; none where it has no place here.
    async fn take_over(&self, home: &Arc<Home>, left: &Left) -> Result<Option<Verdict>> {
        let record = &left.record;
        check_cluster(home, record)?;
        let (path, now) = find(&self.files, left).await?;
        let now = match now {
            Now::Same(now) => now,
            // To find out takes time.
            Now::Alike(_) => return Ok(None),
            Now::Changed => return Ok(Some(Verdict::Changed)),
        };
        let base = base_of(&self.files, left, now.as_deref())?;
        let (Some(now), Some(below)) = (now, path.relative_to(&self.root)) else { return Ok(None) };
        let Ok(found) = self.walk_to(below).await else { return Ok(None) };
        if found.known.status.id != now.id {
            return Ok(None);
        }
        left.detach().await?;
        let staged = Arc::new(Staged::adopt(home, left, base)?);
        let write = Write::new(found.ino, record.uid, found.known, Writing::Staged(None));
        let write = if record.new { write.of_new() } else { write };
        // It is published over what it began as, and over nothing else.
        write.fail(0, Duration::ZERO);
        *write.staged.write() = Some(staged.clone());
        let write = self.handles.begin(write, false);
        self.handles.leave(&write, false);
        let ours = write.staged().is_some_and(|other| Arc::ptr_eq(&other, &staged));
        // Of two that began as the same version the first is the next.
        Ok(Some(if ours { Verdict::Published } else { Verdict::Changed }))
    }

    async fn walk_to(&self, below: &str) -> Result<Found, Errno> {
        let mut names = below.split('/').filter(|name| !name.is_empty());
        let first = names.next().ok_or(Errno::IS_DIRECTORY)?;
        let mut found = self.fetch_child(ROOT, first, 0).await?;
        for name in names {
            found = self.fetch_child(found.ino, name, 0).await?;
        }
        Ok(found)
    }

    /// Publishes what was left and has no place in the mounted directory. What cannot be now is tried
    /// again.
    pub(super) async fn publish_unclaimed(&self) {
        let waiting = std::mem::take(&mut *self.unclaimed.lock());
        let tried = stream::iter(waiting).map(|(home, left)| async move {
            match publish_left(&self.files, &home, &left, false).await {
                Ok(verdict) => say(&left, verdict),
                Err(error) if error.kind().is_transient() => {
                    tracing::debug!(%error, id = left.id(), "publishing what is staged");
                    return Some((home, left));
                }
                Err(error) => refused(&left, &error),
            }
            None
        });
        let again: Vec<_> = tried.buffer_unordered(AT_A_TIME).collect().await;
        self.unclaimed.lock().extend(again.into_iter().flatten());
    }
}

fn say(left: &Left, verdict: Verdict) {
    let (id, path) = (left.id(), &left.record.path);
    match verdict {
        Verdict::Changed => tracing::warn!(
            id,
            path,
            "staged by an earlier mount, and changed by others since: it stays staged; see goosefs fuse \
             staged"
        ),
        _ => {
            tracing::info!(id, path, "an earlier mount had staged it: it is, or will be, published")
        }
    }
}

fn refused(left: &Left, error: &crate::core::error::Error) {
    let (id, path) = (left.id(), &left.record.path);
    tracing::warn!(%error, id, path, "not published: it stays staged; see goosefs fuse staged");
}

fn check_cluster(home: &Home, record: &Record) -> Result<()> {
    if record.cluster == home.cluster() {
        return Ok(());
    }
    Err(failed_precondition(format!("{} belongs to the cluster {}", record.path, record.cluster)))
}

/// The version of the file at `path`, if there is one.
async fn look(files: &FileSystem, path: &FsPath) -> Result<Option<Status>> {
    match files.status(path).await {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where something staged belongs, and what is there: it or a directory above it may have been renamed.
///
/// # Errors
/// What asking the master fails with.
pub async fn version_of(files: &FileSystem, left: &Left) -> Result<(FsPath, Option<Status>)> {
    let path = FsPath::parse(&left.record.path)?;
    let now = look(files, &path).await?;
    let there = now.as_ref().map(|now| now.id.0);
    let Some(id) = left.record.replaces.filter(|&id| there != Some(id)) else {
        return Ok((path, now));
    };
    match files.status_of_id(FileId(id)).await {
        Ok(moved) => Ok((moved.path.clone(), Some(moved))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((path, now)),
        Err(error) => Err(error),
    }
}

async fn find(files: &FileSystem, left: &Left) -> Result<(FsPath, Now)> {
    let record = &left.record;
    let (path, now) = version_of(files, left).await?;
    let same = now.as_ref().map_or(record.new, |now| record.replaces == Some(now.id.0));
    let staged = (left.length, record.modified_ms);
    let now = match now {
        now if same => Now::Same(now.map(Box::new)),
        Some(now) if now.completed && (now.length, now.modified_ms) == staged => {
            Now::Alike(Box::new(now))
        }
        _ => Now::Changed,
    };
    Ok((path, now))
}

/// Publishes something staged if nobody has changed its file since; with `force`, in any case.
///
/// # Errors
/// `FailedPrecondition` where the bytes that were not changed have gone, or it belongs to another
/// cluster; whatever publishing fails with. It stays staged then.
pub async fn publish_left(
    files: &FileSystem,
    home: &Arc<Home>,
    left: &Left,
    force: bool,
) -> Result<Verdict> {
    let record = &left.record;
    check_cluster(home, record)?;
    let (path, now) = find(files, left).await?;
    let now = match now {
        Now::Same(now) => now.map(|now| *now),
        Now::Alike(now) if is_same(files, left, Status::clone(&now)).await? => {
            return left.remove().map(|()| Verdict::Known);
        }
        Now::Alike(_) | Now::Changed if !force => return Ok(Verdict::Changed),
        Now::Alike(_) | Now::Changed => look(files, &path).await?,
    };
    let base = base_of(files, left, now.as_ref())?;
    left.detach().await?;
    let staged = Arc::new(Staged::adopt(home, left, base)?);
    let expected = (!force).then(|| now.map(|now| now.id));
    let user = match record.uid == nix::unistd::geteuid().as_raw() {
        true => None,
        false => Owners::new(None, None).user(record.uid),
    };
    let files = user.map_or_else(|| files.clone(), |user| files.as_user(&user));
    let (owner, group) = (record.owner.clone(), record.group.clone());
    let like = Like { mode: record.mode, owner, group };
    let changes = staged.changes();
    let poured = async {
        let writer = next_version(&files, &path, expected, like).await?;
        pour(&staged, writer, std::future::pending()).await
    };
    let poured = poured.await.with_context(|| format!("publishing {path}"))?;
    if let Some((version, _)) = poured {
        staged.published(changes, version, None);
    }
    Ok(Verdict::Published)
}

/// Whether all that is staged is in the version `now`, which has its length.
async fn is_same(files: &FileSystem, left: &Left, now: Status) -> Result<bool> {
    let reader = files.open_status(now, &OpenOptions::default())?;
    for mut range in left.changed() {
        while !range.is_empty() {
            let piece = COMPARED.min(range.end - range.start);
            let theirs = reader.read_at(range.start, piece).await?;
            if theirs.len() as u64 != piece || left.read(range.start, piece).await? != theirs {
                return Ok(false);
            }
            range.start += piece;
        }
    }
    Ok(true)
}

/// The version that something staged began as.
fn base_of(files: &FileSystem, left: &Left, now: Option<&Status>) -> Result<Option<Reader>> {
    let Some(base) = &left.record.base else { return Ok(None) };
    match now.filter(|now| now.id.0 == base.id && now.completed) {
        Some(now) => files.open_status(now.clone(), &OpenOptions::default()).map(Some),
        None => Err(failed_precondition(format!(
            "{}: only a part of it was changed, and the version that the rest is of has gone",
            left.record.path
        ))),
    }
}

/// A version that was made: its id, its length and when it counts as modified.
pub(super) type Poured = (FileId, (u64, i64));

/// Begins the next version of `path`.
pub(super) async fn next_version(
    files: &FileSystem,
    path: &FsPath,
    expected: Expected,
    like: Like,
) -> Result<Writer> {
    let Like { mode, owner, group } = like;
    let options = CreateOptions {
        next: true,
        replaces: expected,
        mode: Some(mode),
        ..CreateOptions::default()
    };
    files.on_behalf_of(owner, group).create(path, &options).await
}

/// Puts all that is staged into a new version, and completes that; none where `stop` comes first.
pub(super) async fn pour(
    staged: &Arc<Staged>,
    mut writer: Writer,
    stop: impl Future<Output = ()>,
) -> Result<Option<Poured>> {
    let modified_ms = staged.modified_ms();
    let id = writer.status().map(|status| status.id).unwrap_or_default();
    let poured = async {
        staged.pour(&mut writer).await?;
        writer.seal().await
    };
    tokio::select! {
        poured = poured => poured?,
        () = stop => {
            writer.withdraw().await;
            return Ok(None);
        }
    }
    let length = writer.len();
    writer.modified(modified_ms).finish().await?;
    Ok(Some((id, (length, modified_ms))))
}
