//! What is done with all of a staged file: fetching it whole, making it durable here, and making a new
//! version of it.

use super::{Base, MOST_PIECES, PIECE, Source, Staged, local, read_here};
use crate::client::{Reader, Writer};
use crate::core::error::Result;
use crate::core::model::FileId;
use crate::core::runtime::{blocking, files};
use crate::fuse::errno::Errno;
use crate::fuse::staging::errno_of;
use crate::fuse::staging::ranges::Ranges;
use crate::fuse::staging::record::{BaseRecord, Record};
use bytes::Bytes;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of a file that the kernel reads by itself that are read at once.
const MOST_RELOADED: u64 = 64 << 20;

impl Staged {
    /// Fetches what is not here.
    ///
    /// # Errors
    /// `ENOSPC`; what whoever has the base fails with.
    pub async fn fetch(self: &Arc<Self>) -> Result<(), Errno> {
        let _alone = self.gate.write().await;
        let Some(base) = self.state.lock().base.clone() else { return Ok(()) };
        let plan = self.state.lock().plan(0..base.end.min(self.length()));
        for (piece, _) in plan.into_iter().filter(|(_, source)| *source == Source::Base) {
            let mut stream = base.reader.stream(piece.clone());
            let mut at = piece.start;
            while let Some(bytes) = stream.next().await? {
                self.home.take(bytes.len() as u64)?;
                self.counted.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let (data, length) = (self.data.clone(), bytes.len() as u64);
                local(move || data.write_all_at(&bytes, at).map_err(errno_of)).await?;
                at += length;
            }
            if at < piece.end {
                return Err(Errno::IO);
            }
        }
        let mut state = self.state.lock();
        (state.base, state.present) = (None, Ranges::default());
        Ok(())
    }

    /// Everything so far is on the local disk, with `record` filled in and beside it, so that it outlasts
    /// this process.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn save(self: &Arc<Self>, record: impl FnOnce() -> Record) -> Result<(), Errno> {
        let pieces = self.state.lock().present.count();
        if pieces > MOST_PIECES {
            self.fetch().await?;
        }
        let _shared = self.gate.read().await;
        let record = record();
        // It may have been published until now.
        match record.new || self.is_dirty() {
            true => self.save_at_once(record).await,
            false => Ok(()),
        }
    }

    /// The same, also in the midst of publishing.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn save_at_once(self: &Arc<Self>, record: Record) -> Result<(), Errno> {
        let staged = self.clone();
        local(move || staged.save_now(record)).await
    }

    fn save_now(&self, mut record: Record) -> Result<(), Errno> {
        let _one = self.recording.lock();
        {
            // Before the bytes are made durable: it must not tell of any that are not.
            let state = self.look();
            record.modified_ms = state.modified_ms;
            record.base = state.base.as_ref().map(|base| BaseRecord {
                id: state.outdated.unwrap_or(base.reader.status().id).0,
                end: base.end,
                present: state.present.list(),
            });
        }
        self.data.sync_data().map_err(errno_of)?;
        self.count();
        let known = self.state.lock().saved.clone();
        // Of a file that is here whole, time is all that a later one would add.
        let mut dated = record.clone();
        if let Some(known) = known.as_ref().filter(|_| record.base.is_none()) {
            dated.modified_ms = known.modified_ms;
        }
        match known.is_some_and(|known| known == dated) {
            true => Ok(()),
            false => self.record(record),
        }
    }

    /// Writes the record.
    pub(super) fn record(&self, record: Record) -> Result<(), Errno> {
        let path = self.home.record(&self.name);
        files::replace(&path, &record.bytes()).map_err(errno_of)?;
        self.state.lock().saved = Some(record);
        Ok(())
    }

    /// Its bytes are those of `reader` from now on, unless it was changed. Says whether.
    ///
    /// # Errors
    /// `ESTALE` for a large file that the kernel reads by itself; what the local disk fails with, or whoever
    /// has those bytes.
    pub async fn reload(self: &Arc<Self>, reader: Reader, modified_ms: i64) -> Result<bool, Errno> {
        let length = reader.len();
        // Read before anything is touched: the kernel shows what is in the local file.
        let bytes = match self.is_lent() {
            true if length > MOST_RELOADED => return Err(Errno::STALE),
            true => Some(reader.read_at(0, length).await?),
            false => None,
        };
        let _alone = self.gate.write().await;
        if self.is_dirty() {
            return Ok(false);
        }
        let staged = self.clone();
        local(move || staged.replace(reader, bytes, modified_ms)).await.map(|()| true)
    }

    fn replace(&self, reader: Reader, bytes: Option<Bytes>, modified_ms: i64) -> Result<(), Errno> {
        let length = reader.len();
        self.home.take(length)?;
        self.home.give_back(length);
        match &bytes {
            Some(bytes) => self.data.write_all_at(bytes, 0).map_err(errno_of)?,
            None => self.data.set_len(0).map_err(errno_of)?,
        }
        self.data.set_len(length).map_err(errno_of)?;
        let mut state = self.state.lock();
        state.present = Ranges::default();
        state.outdated = None;
        state.base = None;
        if bytes.is_none() && length > 0 {
            state.base = Some(Base { end: length, reader });
        }
        state.modified_ms = modified_ms;
        if state.seen.is_some() {
            self.backdate(&mut state);
        }
        drop(state);
        self.count();
        Ok(())
    }

    /// Holds off every change.
    pub async fn alone(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// [`Staged::changes`], with those that the kernel makes from now on sure to show. A page that a program
    /// has mapped and stored into takes more stores unseen until it is written to the disk. The gate is to
    /// be held alone.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn settle(&self) -> Result<u64> {
        let changes = self.changes();
        if self.is_lent() {
            // After it was dated back: what is stored before is poured, what is stored later dates it.
            let data = self.data.clone();
            blocking(move || Ok(data.sync_data()?)).await?;
        }
        Ok(changes)
    }

    /// How many changes there were: what is published when all of its bytes are poured now.
    pub fn changes(&self) -> u64 {
        let mut state = self.look();
        if state.seen.is_some() {
            // What comes after this counts anew, although some of it may be poured.
            self.backdate(&mut state);
        }
        state.changes
    }

    /// How many changes there were, with no promise of what comes.
    pub fn made(&self) -> u64 {
        self.look().changes
    }

    /// The version that is to be read in the place of what has gone, if there is one.
    pub fn outdated(&self) -> Option<FileId> {
        let state = self.state.lock();
        state.outdated.filter(|_| state.base.is_some())
    }

    /// The bytes of the base are in `version` too, and may be nowhere else.
    pub fn outdate(&self, version: FileId) {
        self.state.lock().outdated = Some(version);
    }

    /// That version is read by `reader`.
    pub fn renew(&self, reader: Reader) {
        let mut state = self.state.lock();
        if state.outdated.take().is_some()
            && let Some(old) = &mut state.base
        {
            // It may have been cut meanwhile.
            *old = Base { end: old.end.min(reader.len()), reader };
        }
    }

    /// How many bytes [`Staged::fetch`] would fetch.
    pub fn missing(&self) -> u64 {
        let state = self.state.lock();
        let base = state.base.as_ref().map_or(0, |base| base.end);
        let plan = state.plan(0..base).into_iter();
        plan.filter(|(_, from)| *from == Source::Base).map(|(part, _)| part.end - part.start).sum()
    }

    /// Puts all its bytes into `writer`. The gate is to be held alone.
    ///
    /// # Errors
    /// What the local disk fails with, whoever has the base, or the writer.
    pub async fn pour(&self, writer: &mut Writer) -> Result<()> {
        let (plan, base) = {
            let state = self.look();
            (state.plan(0..self.length()), state.base.clone())
        };
        for (piece, source) in plan {
            match (source, &base) {
                (Source::Base, Some(base)) => {
                    let mut stream = base.reader.stream(piece);
                    while let Some(bytes) = stream.next().await? {
                        writer.write(bytes).await?;
                    }
                }
                _ => self.pour_here(piece, writer).await?,
            }
        }
        Ok(())
    }

    /// What is nowhere is zeros in the local file too.
    async fn pour_here(&self, piece: Range<u64>, writer: &mut Writer) -> Result<()> {
        let mut start = piece.start;
        while start < piece.end {
            let (turn, length) = writer.room(PIECE.min(piece.end - start)).await?;
            let data = self.data.clone();
            let bytes = blocking(move || {
                let mut bytes = vec![0; length as usize];
                read_here(&data, &mut bytes, start)
                    .map_err(|e| std::io::Error::from_raw_os_error(e.0))?;
                Ok(Bytes::from(bytes))
            });
            writer.write_within(bytes.await?, turn).await?;
            start += length;
        }
        Ok(())
    }

    /// The first `changes` of it are published as `version`, which has all its bytes and is read by `base`,
    /// if that is known.
    pub fn published(&self, changes: u64, version: FileId, base: Option<Reader>) {
        let length = self.length();
        let mut state = self.state.lock();
        state.published = changes;
        state.outdated = base.is_none().then_some(version);
        match (&mut state.base, base) {
            (Some(old), Some(reader)) => *old = Base { end: reader.len(), reader },
            (Some(old), None) => old.end = length,
            (None, _) => {}
        }
        drop(state);
        self.forget();
        self.count();
    }
}
