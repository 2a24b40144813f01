//! The bytes of files that are being changed, on this host: where they come from, and what they are
//! changes of.

use super::Posix;
use crate::client::{OpenOptions, Reader, Writer};
use crate::fuse::errno::Errno;
use crate::fuse::handles::{Write, Writing};
use crate::fuse::inodes::Known;
use crate::fuse::staging::{Home, Staged};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces of a stream on their way back.
const TAKING_BACK: usize = 4;

impl Posix {
    /// The staged bytes of what is being changed; none where nothing of it is.
    pub(super) async fn staged_for_read(
        &self,
        write: &Arc<Write>,
    ) -> Result<Option<Arc<Staged>>, Errno> {
        if let Some(staged) = write.staged() {
            return Ok(Some(staged));
        }
        let mut state = write.state.lock().await;
        match &*state {
            Writing::Published => Ok(write.staged()),
            _ => self.stage(write, &mut state, false).await.map(Some),
        }
    }

    /// The staged bytes of a file that is open.
    ///
    /// # Errors
    /// As [`Posix::write`].
    pub async fn staged(&self, write: &Arc<Write>) -> Result<Arc<Staged>, Errno> {
        if let Some(staged) = write.staged() {
            return Ok(staged);
        }
        let mut state = write.state.lock().await;
        self.stage(write, &mut state, false).await
    }

    /// The bytes of a file that is being changed, staged. What is to be `emptied` is not looked for.
    pub(super) async fn stage(
        &self,
        write: &Arc<Write>,
        state: &mut Writing,
        emptied: bool,
    ) -> Result<Arc<Staged>, Errno> {
        if let Some(staged) = write.staged() {
            return Ok(staged);
        }
        let home = self.home()?;
        let room = match state {
            Writing::Stream(writer) => {
                if !writer.gives_back() {
                    return Err(Errno::BUSY);
                }
                // Without room for it, it goes on as it is.
                let staged = Arc::new(Staged::new(home, None, write.modified_ms())?);
                staged.make_room(writer.len()).await?;
                Some(staged)
            }
            _ => None,
        };
        let staged = match (std::mem::replace(state, Writing::Failed(Errno::IO)), room) {
            (Writing::Stream(writer), Some(staged)) => {
                take_back(*writer, &staged).await?;
                staged.set_modified(write.modified_ms(), true);
                staged
            }
            (Writing::Failed(errno), _) if !emptied => {
                *state = Writing::Failed(errno);
                return Err(errno);
            }
            (before, _) => {
                let base = match emptied {
                    true => None,
                    false => match self.base_of(write).await {
                        Ok(base) => Some(base),
                        Err(errno) => {
                            *state = before;
                            return Err(errno);
                        }
                    },
                };
                let modified_ms = write.known.lock().status.modified_ms;
                Arc::new(Staged::new(home, base, modified_ms)?)
            }
        };
        *state = Writing::Staged(None);
        *write.staged.write() = Some(staged.clone());
        Ok(staged)
    }

    /// Reads the version that is published.
    pub(super) async fn base_of(&self, write: &Arc<Write>) -> Result<Reader, Errno> {
        let known = write.known.lock().clone();
        let status = match known.status.completed {
            true => known.status.clone(),
            false => self.refresh(write).await?.status.clone(),
        };
        let read_ahead = Some(self.options.max_read_ahead);
        Ok(self.files.open_status(status, &OpenOptions { read_ahead, ..Default::default() })?)
    }

    /// Has what is not here of a file that is being changed read from where it is now.
    ///
    /// # Errors
    /// `ESTALE` where others have changed the file; what asking the master fails with.
    pub async fn renew_base(&self, write: &Arc<Write>, staged: &Staged) -> Result<(), Errno> {
        let Some(version) = staged.outdated() else { return Ok(()) };
        let reader = self.base_of(write).await?;
        if reader.status().id != version {
            return Err(Errno::STALE);
        }
        staged.renew(reader);
        Ok(())
    }

    /// Asks the master for what it knows of a file that is being changed.
    pub(super) async fn refresh(&self, write: &Write) -> Result<Arc<Known>, Errno> {
        let path = self.place_of(write);
        let status = self.files.status(&path).await?;
        if self.inodes.number_of(status.id) != write.ino {
            // Another file has its name.
            return Err(Errno::STALE);
        }
        let known = Arc::new(self.know(status));
        *write.known.lock() = known.clone();
        Ok(known)
    }

    /// Has `ino` be the version that is there now, unless it is changed here. Says whether it is another.
    ///
    /// # Errors
    /// `ESTALE` where whoever has it open cannot be shown that; what asking the master fails with.
    pub(super) async fn look_anew(&self, ino: u64) -> Result<bool, Errno> {
        self.inodes.touched(ino);
        let Some(write) = self.handles.writing(ino) else { return Ok(false) };
        let _state = write.state.lock().await;
        let held = write.is_new() || write.is_unlinked() || write.has_failed();
        let Some(staged) = write.staged().filter(|staged| !held && !staged.is_dirty()) else {
            return Ok(false);
        };
        let now = self.files.status(&self.place_of(&write)).await?;
        let known = write.known.lock().status.id;
        if now.id == known || !now.completed {
            return Ok(false);
        }
        let read_ahead = Some(self.options.max_read_ahead);
        let options = OpenOptions { read_ahead, ..Default::default() };
        let reader = self.files.open_status(now.clone(), &options)?;
        if !staged.reload(reader, now.modified_ms).await? {
            return Ok(false);
        }
        let id = now.id;
        *write.known.lock() = Arc::new(self.know(now));
        self.inodes.published(ino, id);
        Ok(true)
    }

    /// Where files are staged.
    pub(super) fn home(&self) -> Result<&Arc<Home>, Errno> {
        self.home.get().ok_or(Errno::READ_ONLY)
    }
}

/// Puts what was streamed to the workers into a staged file.
async fn take_back(writer: Writer, staged: &Arc<Staged>) -> Result<(), Errno> {
    let (send, mut pieces) = mpsc::channel::<Bytes>(TAKING_BACK);
    let write = async {
        let mut at = 0;
        while let Some(piece) = pieces.recv().await {
            let length = piece.len() as u64;
            staged.fill(at, piece).await?;
            at += length;
        }
        Ok(())
    };
    let (taken, written) = tokio::join!(writer.take_back(send), write);
    written.and(taken.map_err(Errno::from))
}
