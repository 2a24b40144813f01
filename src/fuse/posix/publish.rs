//! What was changed becomes a new version of the file, at once for everybody.
//!
//! The bytes go to the workers and the under store as those of a version that nobody sees; completing it
//! puts it in the place of the old one. Whoever reads sees the old version whole or the new one. What
//! cannot be published stays staged, with a record, and is tried again for as long as the mount lives;
//! the next mount goes on with it.

use super::Posix;
use super::recover::{pour, pour_next};
use crate::client::Writer;
use crate::core::error::{Error, ErrorKind, Result, unavailable};
use crate::core::runtime::Group;
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Write, Writing};
use crate::fuse::staging::{Record, Staged};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often what could not be published is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// How long publishing may take when the process ends; then the next mount does it.
const LAST_TRY: Duration = Duration::from_secs(10);

impl Posix {
    /// Makes what was changed what everyone sees.
    ///
    /// # Errors
    /// Whatever that fails with. What was staged stays so.
    pub(super) async fn publish(&self, write: &Arc<Write>) -> Result<(), Errno> {
        let mut state = write.state.lock().await;
        match std::mem::replace(&mut *state, Writing::Published) {
            Writing::Published => Ok(()),
            Writing::Failed(errno) => {
                *state = Writing::Failed(errno);
                Err(errno)
            }
            Writing::Stream(writer) => {
                let closed = self.close_stream(write, *writer).await;
                if let Err(errno) = closed {
                    *state = Writing::Failed(errno);
                }
                closed
            }
            Writing::Staged(first) => {
                *state = Writing::Staged(None);
                let Some(staged) = write.staged() else { return Ok(()) };
                if write.is_unlinked() || first.is_none() && !staged.is_dirty() {
                    return Ok(());
                }
                let published = self.publish_staged(write, &staged, first).await;
                if let Err(error) = &published {
                    self.keep(write, &staged, error).await;
                }
                Ok(published?)
            }
        }
    }

    /// A file that was written in order is complete.
    async fn close_stream(&self, write: &Write, writer: Writer) -> Result<(), Errno> {
        let later = write.later.lock().take();
        let set = later.as_ref().and_then(|later| later.modified_ms);
        let modified_ms = set.unwrap_or_else(|| write.modified_ms());
        let status = writer.status().ok_or(Errno::IO)?;
        let (id, path) = (status.id, status.path.clone());
        let finished = writer.modified(modified_ms).finish().await;
        self.inodes.touched(write.ino);
        finished?;
        self.now_is(write, id, (write.length.load(Ordering::Acquire), modified_ms));
        let later = later.filter(|later| {
            let wanted = later.mode.is_some() || later.accessed_ms.is_some();
            wanted || later.owner.is_some() || later.group.is_some()
        });
        match later {
            Some(later) => {
                self.files_of(write.uid).set_attributes(&path, &later).await?;
                self.inodes.touched(write.ino);
                self.refresh(write).await.map(drop)
            }
            None => Ok(()),
        }
    }

    async fn publish_staged(
        &self,
        write: &Arc<Write>,
        staged: &Arc<Staged>,
        first: Option<Box<Writer>>,
    ) -> Result<()> {
        let _alone = staged.alone().await;
        let changes = staged.changes();
        let path = self.place_of(write);
        let made = match first {
            Some(writer) if writer.status().is_some_and(|status| status.path == path) => {
                let made = pour(staged, *writer).await;
                // The master may have given it up, if it was open for long.
                made.map(Some).or_else(|error| match error.kind() {
                    ErrorKind::NotFound => Ok(None),
                    _ => Err(error),
                })?
            }
            _ => None,
        };
        let (id, known) = match made {
            Some(made) => made,
            None => pour_next(&self.files_of(write.uid), &path, staged, None).await?,
        };
        self.now_is(write, id, known);
        // What is not here is in the new version too, and with the old one it goes.
        let base = match staged.is_whole() {
            true => None,
            false => self.base_of(write).await.ok(),
        };
        staged.published(changes, base);
        Ok(())
    }

    /// What could not be published outlasts this process.
    async fn keep(&self, write: &Write, staged: &Arc<Staged>, error: &Error) {
        let mut record = self.record_of(write);
        record.failure = Some(error.to_string());
        let path = &record.path;
        tracing::warn!(%error, path, "not published: it stays staged and will be tried again");
        if let Err(errno) = staged.save(record).await {
            tracing::error!(?errno, "a staged file is not safe either");
        }
    }

    fn record_of(&self, write: &Write) -> Record {
        let cluster = self.home.get().map_or("", |home| home.cluster());
        let mut record = Record::new(cluster, self.place_of(write).as_str(), write.uid);
        record.replaces = Some(write.known.lock().status.id.0);
        record.new = write.is_new();
        record
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
        let new = matches!(*write.state.lock().await, Writing::Staged(Some(_)));
        // What the kernel writes by itself may not show yet.
        if !new && !staged.is_dirty() && !staged.is_lent() {
            return Ok(());
        }
        staged.save(self.record_of(write)).await
    }

    /// This process ends: what is open is published, or left for the next mount.
    pub async fn abandon_writes(&self) {
        for write in self.handles.all_writing() {
            let stream = match &mut *write.state.lock().await {
                state @ Writing::Stream(_) => {
                    Some(std::mem::replace(state, Writing::Failed(Errno::IO)))
                }
                _ => None,
            };
            if let Some(Writing::Stream(writer)) = stream {
                let path = self.place_of(&write);
                tracing::warn!(%path, "not complete: its writer goes on");
                writer.cancel().await;
                continue;
            }
            let published = tokio::time::timeout(LAST_TRY, self.publish(&write)).await;
            if let (Err(_), Some(staged)) = (published, write.staged()) {
                let late = unavailable("the mount ended before it was published");
                self.keep(&write, &staged, &late).await;
            }
        }
    }

    /// Tries what could not be published again, now and then.
    pub fn retry_kept(self: &Arc<Self>, group: &Group) {
        let posix = self.clone();
        group.spawn_until_stop("publish staged files", async move {
            loop {
                tokio::time::sleep(RETRY).await;
                for write in posix.handles.all_writing() {
                    if write.writers() == 0
                        && write.staged().is_some_and(|staged| staged.is_saved())
                    {
                        posix.publish(&write).await.ok();
                        posix.end(&write);
                    }
                }
            }
        });
    }
}
