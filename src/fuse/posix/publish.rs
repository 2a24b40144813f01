//! What was changed becomes a new version of the file, at once for everybody.
//!
//! The bytes go to the workers and the under store as those of a version that nobody sees; completing it
//! puts it in the place of the old one. Whoever reads sees the old version whole or the new one. What
//! cannot be published stays staged, with a record, and is tried again for as long as the mount lives and
//! nobody else changes the file; the next mount goes on with it.

use super::Posix;
use super::recover::{Like, next_version, pour};
use crate::client::{Expected, Writer};
use crate::core::error::{Error, ErrorKind, Result, unavailable};
use crate::core::model::Status;
use crate::core::runtime::Group;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{LAST_RETRY, Write, Writing};
use crate::fuse::staging::{Record, Staged};
use futures::stream::{self, StreamExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How soon what could not be published is tried again; after each failure twice as late, up to
/// [`LAST_RETRY`]: with each try its bytes take room in the cache.
const RETRY: Duration = Duration::from_secs(10);
/// How often it is looked what is due.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is looked whether files that nobody has open any more are mapped, and changed.
const FOLLOW: Duration = Duration::from_millis(500);
/// How long publishing all there is may take when the process ends; then the next mount does it.
const LAST_TRY: Duration = Duration::from_secs(10);
/// Files that are saved or published at a time then.
const AT_A_TIME: usize = 16;

impl Posix {
    /// Makes what was changed what everyone sees.
    ///
    /// # Errors
    /// Whatever that fails with. What was staged stays so.
    pub(super) async fn publish(&self, write: &Arc<Write>) -> Result<(), Errno> {
        loop {
            // What is deleted is not to come back, and what is renamed is not to land where it was.
            write.stays().await;
            let mut state = write.state.lock().await;
            if write.is_leaving() {
                continue;
            }
            if self.publish_held(write, &mut state).await? {
                return Ok(());
            }
        }
    }

    /// The same for one whose state is held. Says whether it is done, or was interrupted because somebody is
    /// about to delete or rename it. Whoever publishes is the last who wrote, unless that failed
    /// before: what others have made since is newer then.
    async fn publish_held(&self, write: &Arc<Write>, state: &mut Writing) -> Result<bool, Errno> {
        if write.has_failed()
            && !write.is_unlinked()
            && matches!(state, Writing::Staged(_))
            && let Some(staged) = write.staged().filter(|staged| staged.is_dirty())
        {
            return self.publish_again(write, &staged, state).await;
        }
        self.publish_over(write, state, None).await
    }

    /// Publishes if `expected` is what is at its path.
    async fn publish_over(
        &self,
        write: &Arc<Write>,
        state: &mut Writing,
        expected: Expected,
    ) -> Result<bool, Errno> {
        if let Writing::Stream(writer) = state
            && writer.status().is_some_and(|status| status.path != self.place_of(write))
            && !write.is_unlinked()
        {
            // It was made while a directory above it was renamed.
            self.stage(write, state, false).await?;
        }
        match std::mem::replace(state, Writing::Published) {
            Writing::Published => Ok(true),
            Writing::Failed(errno) => {
                *state = Writing::Failed(errno);
                Err(errno)
            }
            Writing::Stream(writer) => {
                if let Err(errno) = self.close_stream(write, *writer).await {
                    *state = Writing::Failed(errno);
                    return Err(errno);
                }
                self.set_later(write).await.map(|()| true)
            }
            Writing::Staged(first) => {
                *state = Writing::Staged(None);
                let Some(staged) = write.staged() else { return Ok(true) };
                if write.is_unlinked() || first.is_none() && !staged.is_dirty() {
                    staged.forget();
                    return Ok(true);
                }
                let new = first.is_some();
                let published = self.publish_staged(write, &staged, first, expected).await;
                if !matches!(published, Ok(true)) {
                    // Also one without any bytes is to be tried again.
                    staged.set_modified(staged.modified_ms(), new);
                }
                if let Err(error) = &published {
                    self.keep(write, &staged, error).await;
                    let full = error.kind() == ErrorKind::ResourceExhausted;
                    write.fail(staged.made(), if full { LAST_RETRY } else { RETRY });
                }
                Ok(published?)
            }
        }
    }

    /// A file that was written in order is complete.
    async fn close_stream(&self, write: &Write, writer: Writer) -> Result<(), Errno> {
        let set = write.later.lock().as_ref().and_then(|later| later.modified_ms);
        let modified_ms = set.unwrap_or_else(|| write.modified_ms());
        let id = writer.status().ok_or(Errno::IO)?.id;
        let finished = writer.modified(modified_ms).finish().await;
        self.inodes.touched(write.ino);
        finished?;
        self.now_is(write, id, (write.length.load(Ordering::Acquire), modified_ms));
        Ok(())
    }

    /// Sets the attributes that were to be set once it is complete.
    async fn set_later(&self, write: &Write) -> Result<(), Errno> {
        let later = write.later.lock().take().filter(|later| {
            let (set, remove) = (&later.set_xattrs, &later.remove_xattrs);
            let wanted = later.mode.is_some() || later.accessed_ms.is_some();
            let named = later.owner.is_some() || later.group.is_some();
            wanted || named || !set.is_empty() || !remove.is_empty()
        });
        match later {
            Some(later) => {
                let path = self.place_of(write);
                self.files_of(write.uid).set_attributes(&path, &later).await?;
                self.inodes.touched(write.ino);
                self.refresh(write).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Says whether it did: not of what is about to be deleted or renamed.
    async fn publish_staged(
        &self,
        write: &Arc<Write>,
        staged: &Arc<Staged>,
        first: Option<Box<Writer>>,
        expected: Expected,
    ) -> Result<bool> {
        let _alone = staged.alone().await;
        if let Err(errno) = self.renew_base(write, staged).await {
            let why = std::io::Error::from_raw_os_error(errno.0);
            return Err(unavailable(format!("what was not changed is not to be had: {why}")));
        }
        let changes = staged.settle().await?;
        let path = self.place_of(write);
        let made = match first {
            Some(writer) if writer.status().is_some_and(|status| status.path == path) => {
                write.attempt(&writer);
                // Its name stays, for whoever wants to see what became of it.
                match pour(staged, writer.kept(), write.leaves()).await {
                    Ok(None) => return Ok(false),
                    // The master may have given it up, if it was open for long.
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    made => made?,
                }
            }
            _ => None,
        };
        let made = match made {
            Some(made) => Some(made),
            None => {
                let files = self.files_of(write.uid);
                let writer = tokio::select! {
                    begun = next_version(&files, &path, expected, self.like(write)) => begun?,
                    () = write.leaves() => return Ok(false),
                };
                write.attempt(&writer);
                pour(staged, writer, write.leaves()).await?
            }
        };
        let Some((id, known)) = made else { return Ok(false) };
        self.now_is(write, id, known);
        // What is not here is in the new version too, and with the old one it goes.
        let base = match staged.is_whole() {
            true => None,
            false => self.base_of(write).await.ok(),
        };
        staged.published(changes, id, base);
        Ok(true)
    }

    /// What could not be published outlasts this process.
    async fn keep(&self, write: &Write, staged: &Arc<Staged>, error: &Error) {
        let path = self.place_of(write);
        tracing::warn!(%error, %path, "not published: it stays staged");
        self.save_unpublished(write, staged, error).await;
    }

    async fn save_unpublished(&self, write: &Write, staged: &Arc<Staged>, error: &Error) {
        let mut record = self.record_of(write);
        record.failure = Some(error.to_string());
        if let Err(errno) = staged.save_at_once(record).await {
            tracing::error!(?errno, "a staged file is not safe either");
        }
    }

    fn record_of(&self, write: &Write) -> Record {
        let cluster = self.home.get().map_or("", |home| home.cluster());
        let mut record = Record::new(cluster, self.place_of(write).as_str(), write.uid);
        let known = write.known.lock().clone();
        record.replaces = Some(known.status.id.0);
        record.new = write.is_new();
        record.given_up = write.is_given_up();
        Like { mode: record.mode, owner: record.owner, group: record.group } = self.like(write);
        record
    }

    /// What a file that is made again is like.
    fn like(&self, write: &Write) -> Like {
        let known = write.known.lock();
        let status = &known.status;
        let (owner, group) = (status.owner.clone(), status.group.clone());
        Like { mode: status.mode & 0o7777, owner, group }
    }

    /// What has been written so far is safe.
    ///
    /// # Errors
    /// Whatever the local disk fails with, or publishing.
    pub async fn sync(&self, write: &Arc<Write>) -> Result<(), Errno> {
        if write.is_unlinked() {
            return Ok(());
        }
        let Some(staged) = write.staged() else { return self.publish(write).await };
        if self.publish_on_fsync {
            return self.publish(write).await;
        }
        // Where that fails, what is here is made durable all the same.
        self.renew_base(write, &staged).await.ok();
        staged.save(|| self.record_of(write)).await
    }

    /// This process ends: what is open is published, or left for the next mount.
    pub async fn abandon_writes(&self) {
        let all = self.handles.all_writing();
        // Whoever ends us may not wait for the rest.
        let saved =
            stream::iter(&all).for_each_concurrent(AT_A_TIME, |write| self.save_last(write));
        saved.await;
        let ended = stream::iter(&all).for_each_concurrent(AT_A_TIME, |write| self.abandon(write));
        if tokio::time::timeout(LAST_TRY, ended).await.is_err() {
            tracing::warn!("what could not be published before the mount ended stays staged");
        }
    }

    async fn save_last(&self, write: &Arc<Write>) {
        let Some(staged) = write.staged().filter(|_| !write.is_unlinked()) else { return };
        if !write.is_new() && !staged.is_dirty() {
            return;
        }
        let mut record = self.record_of(write);
        record.failure = Some("the mount ended before it was published".into());
        let path = record.path.clone();
        // Publishing may be under way, and take longer than we have.
        if let Err(errno) = staged.save_at_once(record).await {
            tracing::error!(?errno, path, "what is staged is not safe");
        }
    }

    async fn abandon(&self, write: &Arc<Write>) {
        let stream = match &mut *write.state.lock().await {
            state @ Writing::Stream(_) => {
                Some(std::mem::replace(state, Writing::Failed(Errno::IO)))
            }
            _ => None,
        };
        if let Some(Writing::Stream(writer)) = stream {
            let path = self.place_of(write);
            tracing::warn!(%path, "not complete: its writer goes on");
            return writer.cancel().await;
        }
        // It was logged, and stays staged.
        self.publish(write).await.ok();
    }

    /// Publishes what programs store into files that they have mapped, and not open any more.
    pub fn follow_mapped(self: &Arc<Self>, group: &Group) {
        let posix = self.clone();
        group.spawn_until_stop("follow mapped files", async move {
            loop {
                tokio::time::sleep(FOLLOW).await;
                let all = posix.handles.all_writing();
                let closed = all.iter().filter(|write| write.handles() == 0);
                let published =
                    stream::iter(closed).for_each_concurrent(AT_A_TIME, |write| async {
                        let lent = write.staged().is_some_and(|staged| staged.is_lent());
                        if lent && !write.has_failed() {
                            posix.publish(write).await.ok();
                            posix.end(write);
                        }
                    });
                published.await;
            }
        });
    }

    /// Tries what could not be published again, now and then.
    pub fn retry_kept(self: &Arc<Self>, group: &Group) {
        let posix = self.clone();
        group.spawn_until_stop("publish staged files", async move {
            loop {
                let all = posix.handles.all_writing();
                let kept = all.iter().filter(|write| write.writers() == 0);
                let tried = stream::iter(kept).for_each_concurrent(AT_A_TIME, |write| async {
                    let saved = write.staged().is_some_and(|staged| staged.is_saved());
                    if saved && write.is_due() && !write.is_given_up() {
                        posix.publish(write).await.ok();
                    }
                    if saved {
                        posix.end(write);
                    }
                });
                tried.await;
                drop(all);
                posix.publish_unclaimed().await;
                tokio::time::sleep(LOOK).await;
            }
        });
    }

    /// Tries once more, unless others have changed the file since: what they made is newer.
    async fn publish_again(
        &self,
        write: &Arc<Write>,
        staged: &Arc<Staged>,
        state: &mut Writing,
    ) -> Result<bool, Errno> {
        if write.is_given_up() {
            return Err(Errno::STALE);
        }
        let path = self.place_of(write);
        let id = write.known.lock().status.id;
        let expected = match self.files.status(&path).await {
            Ok(now) if now.id == id => Some(id),
            Ok(now) if is_ours(&now, write, staged) => {
                // Only the answer was lost.
                self.now_is(write, now.id, (now.length, now.modified_ms));
                if is_published(&now, staged) {
                    let base = self.base_of(write).await.ok();
                    staged.published(staged.changes(), now.id, base);
                    return Ok(true);
                }
                // Written again since.
                staged.outdate(now.id);
                Some(now.id)
            }
            // One whose name stayed was deleted by others.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && write.is_new()
                    && write.attempted() != Some(id) =>
            {
                None
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::debug!(%error, %path, "publishing what is staged");
                self.save_unpublished(write, staged, &error).await;
                return Err(error.into());
            }
            _ => {
                let changed = "others changed or deleted the file since: unmount, then see goosefs fuse staged";
                write.give_up();
                self.keep(write, staged, &Error::new(ErrorKind::Changed, changed)).await;
                return Err(Errno::STALE);
            }
        };
        self.publish_over(write, state, Some(expected)).await
    }
}

/// Whether the version that is there is one that was made of what is staged.
fn is_ours(now: &Status, write: &Write, staged: &Staged) -> bool {
    match write.attempted() {
        Some(id) => now.completed && now.id == id,
        None => is_published(now, staged),
    }
}

/// Whether what is staged is what is there.
fn is_published(now: &Status, staged: &Staged) -> bool {
    now.completed && (now.length, now.modified_ms) == (staged.length(), staged.modified_ms())
}
