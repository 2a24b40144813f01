//! What earlier mounts of this host left staged.
//!
//! A process that is killed leaves the records of what was made durable. The next mount publishes each,
//! provided that what is at its path is what the writer had opened: otherwise somebody has changed it
//! since, and what is staged waits for a decision (`goosefs fuse staged`).

use super::Posix;
use crate::client::{CreateOptions, Expected, FileSystem, OpenOptions, Reader};
use crate::core::error::{Context, ErrorKind, Result, failed_precondition};
use crate::core::model::{FileId, FsPath, Status};
use crate::fuse::owners::Owners;
use crate::fuse::staging::{self, Home, Left, Staged};
use std::path::Path;
use std::sync::Arc;

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

impl Posix {
    /// Publishes what processes that have gone left in the staging directory `above`.
    pub async fn recover(&self, above: &Path) {
        let Some(cluster) = self.home.get().map(|home| home.cluster().to_string()) else { return };
        let homes = match staging::homes(above) {
            Ok(homes) => homes,
            Err(error) => return tracing::warn!(%error, "looking for staged files"),
        };
        for dir in homes {
            match Home::adopt(&dir, u64::MAX, &cluster) {
                Ok(Some(home)) => self.recover_home(&home, &dir).await,
                // Its process lives.
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "looking for staged files"),
            }
        }
    }

    async fn recover_home(&self, home: &Arc<Home>, dir: &Path) {
        staging::clear(home);
        for left in staging::left_in(dir) {
            let (id, path) = (left.id(), &left.record.path);
            match publish_left(&self.files, home, &left, false).await {
                Ok(Verdict::Changed) => tracing::warn!(
                    id,
                    path,
                    "staged by an earlier mount, and changed by others since: it stays staged; see goosefs \
                     fuse staged"
                ),
                Ok(_) => tracing::info!(id, path, "published what an earlier mount had staged"),
                Err(error) => tracing::warn!(%error, id, path, "not published: it stays staged"),
            }
        }
    }
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
    if record.cluster != home.cluster() {
        let text = format!("{} belongs to the cluster {}", record.path, record.cluster);
        return Err(failed_precondition(text));
    }
    let path = FsPath::parse(&record.path)?;
    let now = match files.status(&path).await {
        Ok(status) => Some(status),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let same = match &now {
        Some(now) => record.replaces == Some(now.id.0),
        None => record.new,
    };
    let base = base_of(files, left, now.as_ref())?;
    let staged = Arc::new(Staged::adopt(home, left, base)?);
    let is_it = |now: &Status| {
        now.completed && (now.length, now.modified_ms) == (left.length, staged.modified_ms())
    };
    if !same && now.as_ref().is_some_and(is_it) {
        staged.forget();
        return Ok(Verdict::Known);
    }
    if !same && !force {
        return Ok(Verdict::Changed);
    }
    let expected = (!force).then(|| now.as_ref().map(|now| now.id));
    let user = match record.uid == nix::unistd::geteuid().as_raw() {
        true => None,
        false => Owners::new(None, None).user(record.uid),
    };
    let files = user.map_or_else(|| files.clone(), |user| files.as_user(&user));
    let changes = staged.changes();
    pour_next(&files, &path, &staged, expected)
        .await
        .with_context(|| format!("publishing {path}"))?;
    staged.published(changes, None);
    Ok(Verdict::Published)
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

/// Makes the next version of `path` out of what is staged.
pub(super) async fn pour_next(
    files: &FileSystem,
    path: &FsPath,
    staged: &Arc<Staged>,
    expected: Expected,
) -> Result<Poured> {
    let options = CreateOptions { next: true, ..Default::default() };
    let writer = files.create(path, &options).await?;
    pour(staged, writer.replacing(expected)).await
}

/// Puts all that is staged into a new version, and completes that.
pub(super) async fn pour(
    staged: &Arc<Staged>,
    mut writer: crate::client::Writer,
) -> Result<Poured> {
    let modified_ms = staged.modified_ms();
    let id = writer.status().map(|status| status.id).unwrap_or_default();
    staged.pour(&mut writer).await?;
    let length = writer.len();
    writer.modified(modified_ms).finish().await?;
    Ok((id, (length, modified_ms)))
}
