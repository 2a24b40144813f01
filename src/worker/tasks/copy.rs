//! A copy's share: these files are to be written to another place, from the cache where they are
//! cached, else straight from their under store, in bounded memory.
//!
//! A file appears at its new place when it is whole, not before. What is there already is replaced
//! only if it is the version that was told of, or passed over if it has the same bytes: a worker that
//! was killed after writing a file and before saying so leaves just that.

use super::{Tasks, failure};
use crate::core::error::{Error, ErrorKind, Result, data_loss, internal, unavailable};
use crate::core::model::{BlockId, FileId};
use crate::core::proto::v1;
use crate::core::runtime::Rate;
use crate::ufs::{Attributes, Ufs, UfsStatus, UfsWriter};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use std::time::Duration;

/// Files of one task on their way at a time; each holds what its writer gathers for one request.
const FILES_AT_ONCE: usize = 8;
/// How long a store may be silent in the middle of a read.
const SILENCE: Duration = Duration::from_secs(60);

impl Tasks {
    pub(super) async fn copy(&self, task: i64, job: i64, copy: v1::CopyTask) {
        // Known at once as being worked on.
        self.note(task, job, |_| {});
        let (pace, verify) = (&self.inner.paces.of(job), copy.verify);
        futures::stream::iter(copy.files)
            .for_each_concurrent(FILES_AT_ONCE, |file| async move {
                let landed = |bytes: u64| {
                    self.note(task, job, |report| report.bytes_done += bytes as i64);
                };
                let result = self.copy_file(&file, verify, pace, &landed).await;
                self.note(task, job, |report| match result {
                    Ok(status) => report.copied.push(v1::CopiedFile {
                        file_id: file.file_id,
                        version: status.version,
                        modified_ms: status.modified_ms,
                    }),
                    Err(error) => report.failed.push(failure(file.file_id, &error)),
                });
            })
            .await;
    }

    async fn copy_file(
        &self,
        file: &v1::CopyFile,
        verify: bool,
        pace: &Rate,
        landed: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<UfsStatus> {
        let reads = &self.inner.reads;
        let _turn = reads.memory.copy(file.length.max(0) as u64).await?;
        let mounts = &reads.mounts;
        let source = match file.persisted {
            true => Some(mounts.open(file.mount_id, &file.ufs_path).await?),
            false => None,
        };
        let (to, path) = mounts.open(file.to_mount_id, &file.to_ufs_path).await?;
        let there = at_target(file, &to, &path).await?;
        if !is_expected(file, there.as_ref()) {
            return self.take_as_copy(file, source.as_ref(), there, &to, &path, pace).await;
        }
        let attributes = Attributes {
            owner: Some(file.owner.clone()).filter(|owner| !owner.is_empty()),
            group: Some(file.group.clone()).filter(|group| !group.is_empty()),
            mode: Some(file.mode),
        };
        let writing = |error: Error| error.context(format!("writing {}", file.to_ufs_path));
        let inner = to.create(&path, &attributes).await.map_err(writing)?;
        let mut writer = Summed { inner: Some(inner), sum: 0, pace: pace.clone(), landed };
        self.feed(file, source.as_ref(), &mut writer).await?;
        let (inner, sum) = (writer.inner.take(), writer.sum);
        let inner = inner.ok_or_else(|| internal("a writer that was taken"))?;
        // That may have taken long, and somebody else may have written there.
        let there = at_target(file, &to, &path).await?;
        if !is_expected(file, there.as_ref()) {
            drop(inner);
            return self.take_as_copy(file, source.as_ref(), there, &to, &path, pace).await;
        }
        let status = inner.close().await.map_err(writing)?;
        if verify {
            let found = sum_of(&to, &path, &status, pace).await?;
            if found != sum || status.length != file.length as u64 {
                let there = at_target(file, &to, &path).await?;
                let own = there.is_some_and(|there| there.version == status.version);
                if own {
                    to.delete(&path).await.ok();
                }
                return Err(data_loss(format!(
                    "{} came out with other bytes than were written; {}",
                    file.to_ufs_path,
                    if own { "it was removed" } else { "another is there by now" }
                )));
            }
        }
        Ok(status)
    }

    /// What is at the new place though it should not be, if it has the same bytes.
    async fn take_as_copy(
        &self,
        file: &v1::CopyFile,
        source: Option<&(Ufs, String)>,
        there: Option<UfsStatus>,
        to: &Ufs,
        path: &str,
        pace: &Rate,
    ) -> Result<UfsStatus> {
        let differs = || {
            let text = format!("{} was made or changed meanwhile: copy it again", file.to_ufs_path);
            Error::new(ErrorKind::AlreadyExists, text)
        };
        let alike = |there: &UfsStatus| !there.folder && there.length == file.length as u64;
        let there = there.filter(alike).ok_or_else(differs)?;
        let mut own = Summed { inner: None, sum: 0, pace: pace.clone(), landed: &|_| {} };
        self.feed(file, source, &mut own).await?;
        match sum_of(to, path, &there, pace).await? == own.sum {
            true => Ok(there),
            false => Err(differs()),
        }
    }

    /// Writes all bytes of the file to `to`.
    async fn feed(
        &self,
        file: &v1::CopyFile,
        source: Option<&(Ufs, String)>,
        to: &mut Summed<'_>,
    ) -> Result<()> {
        let mut offset = 0;
        for block in &file.blocks {
            let length = block.length.max(0) as u64;
            let mut position = 0;
            let cached = match self.is_usable(block, file) {
                true => self.inner.persister.copy_cached(block, length, &mut position, to).await,
                false => Err(Ok(unavailable("another version of it is cached"))),
            };
            if let Err(failed) = cached {
                let why = failed?;
                if why.kind() == ErrorKind::DataLoss
                    && let Some(bad) = self.inner.reads.store.peek(BlockId(block.block_id))
                {
                    self.is_sound(&bad).await?;
                }
                let Some(source) = source else {
                    let id = BlockId(block.block_id);
                    let text = format!("no worker has block {id}, and the file is not persisted");
                    return Err(data_loss(text).with_source(why));
                };
                feed_from(source, file, offset + position..offset + length, to).await?;
            }
            offset += length;
        }
        match offset == file.length as u64 {
            true => Ok(()),
            false => Err(data_loss(format!(
                "{} has {} bytes, its blocks {offset}",
                FileId(file.file_id),
                file.length
            ))),
        }
    }

    /// Whether what is cached here of a block, if anything, is of the version to copy.
    fn is_usable(&self, block: &v1::PersistBlock, file: &v1::CopyFile) -> bool {
        let here = self.inner.reads.store.peek(BlockId(block.block_id));
        here.is_none_or(|here| {
            let known = here.version();
            known.is_empty() || file.version.is_empty() || known == file.version
        })
    }
}

/// What is at the new place; none when nothing is.
async fn at_target(file: &v1::CopyFile, to: &Ufs, path: &str) -> Result<Option<UfsStatus>> {
    match to.status(path).await {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.context(format!("looking for {}", file.to_ufs_path))),
    }
}

/// Whether the new place has what the copy is to replace, or nothing where it replaces nothing.
fn is_expected(file: &v1::CopyFile, there: Option<&UfsStatus>) -> bool {
    there.map_or("", |there| there.version.as_str()) == file.to_version
}

/// Writes a part of the file as its under store has it.
async fn feed_from(
    (ufs, path): &(Ufs, String),
    file: &v1::CopyFile,
    range: std::ops::Range<u64>,
    to: &mut Summed<'_>,
) -> Result<()> {
    let version = Some(file.version.as_str()).filter(|version| !version.is_empty());
    let reading = |error: Error| error.context(format!("reading {}", file.ufs_path));
    let mut left = range.end - range.start;
    let mut body = ufs.read(path, version, range).await.map_err(reading)?;
    while left > 0 {
        let piece = next_piece(&mut body).await.map_err(reading)?;
        left = left.saturating_sub(piece.len() as u64);
        to.write(piece).await?;
    }
    Ok(())
}

/// The checksum of an object, read anew.
async fn sum_of(ufs: &Ufs, path: &str, status: &UfsStatus, pace: &Rate) -> Result<u32> {
    let (mut sum, mut left) = (0, status.length);
    let mut body = ufs.read(path, Some(&status.version), 0..left).await?;
    while left > 0 {
        let piece = next_piece(&mut body).await?;
        left = left.saturating_sub(piece.len() as u64);
        pace.take(piece.len() as u64).await;
        sum = crc32c::crc32c_append(sum, &piece);
    }
    Ok(sum)
}

async fn next_piece(
    body: &mut futures::stream::BoxStream<'static, Result<Bytes>>,
) -> Result<Bytes> {
    match tokio::time::timeout(SILENCE, body.next()).await {
        Ok(Some(piece)) => piece,
        Ok(None) => Err(unavailable("the store ended early")),
        Err(_) => Err(unavailable("no more comes from the store")),
    }
}

/// A writer that adds up what goes through it, at the pace of the job; without one inside it only
/// adds up.
struct Summed<'a> {
    inner: Option<Box<dyn UfsWriter>>,
    sum: u32,
    pace: Rate,
    landed: &'a (dyn Fn(u64) + Send + Sync),
}

#[async_trait]
impl UfsWriter for Summed<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let length = bytes.len() as u64;
        self.pace.take(length).await;
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        if let Some(inner) = &mut self.inner {
            inner.write(bytes).await?;
        }
        (self.landed)(length);
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<UfsStatus> {
        match self.inner {
            Some(inner) => inner.close().await,
            None => Ok(UfsStatus::default()),
        }
    }
}
