//! A verification's share: what this worker has of these files is read and compared.

use super::{Tasks, failure};
use crate::core::error::{Error, ErrorKind, Result, data_loss, unavailable};
use crate::core::model::FileId;
use crate::core::model::block::block_count;
use crate::core::proto::v1;
use crate::core::runtime::Rate;
use crate::worker::fill::run_blocking;
use crate::worker::store::Block;
use bytes::Bytes;
use futures::StreamExt;
use std::sync::Arc;
use std::time::Duration;

/// Files of one task on their way at a time.
const FILES_AT_ONCE: usize = 4;
/// How long a store may be silent in the middle of a read.
const SILENCE: Duration = Duration::from_secs(60);

impl Tasks {
    pub(super) async fn verify(&self, task: i64, job: i64, verify: v1::VerifyTask) {
        self.note(task, job, |_| {});
        let pace = &self.inner.paces.of(job);
        let (against_store, repair) = (verify.against_store, verify.repair);
        futures::stream::iter(verify.files)
            .for_each_concurrent(FILES_AT_ONCE, |file| async move {
                let result = self.verify_file(&file, against_store, repair, pace).await;
                self.note(task, job, |report| match result {
                    Ok(bytes) => report
                        .verified
                        .push(v1::VerifiedFile { file_id: file.file_id, bytes: bytes as i64 }),
                    Err(error) => report.failed.push(failure(file.file_id, &error)),
                });
            })
            .await;
    }

    /// Compares every block of the file that is here; says how many bytes that were.
    async fn verify_file(
        &self,
        file: &v1::VerifyFile,
        against_store: bool,
        repair: bool,
        pace: &Rate,
    ) -> Result<u64> {
        let (length, block_size) = (file.length.max(0) as u64, file.block_size.max(1) as u64);
        let mut bytes = 0;
        let mut bad = None;
        for index in 0..block_count(length, block_size) {
            let id = FileId(file.file_id).block(index);
            let Some(block) = self.inner.reads.store.peek(id) else { continue };
            pace.take(block.length()).await;
            let verified = match self.verify_block(&block).await {
                Ok(_) if against_store => {
                    self.compare(&block, file, index * block_size, pace).await
                }
                other => other,
            };
            match verified {
                Ok(read) => bytes += read,
                // It has been evicted since.
                Err(_) if block.is_removed() => {}
                Err(error) if error.kind() == ErrorKind::DataLoss => {
                    bad = Some(self.found_bad(block, error, repair).await);
                }
                Err(error) => return Err(error),
            }
        }
        bad.map_or(Ok(bytes), Err)
    }

    /// Reads all pages that are here of a block.
    async fn verify_block(&self, block: &Arc<Block>) -> Result<u64> {
        let _turn = self.inner.reads.memory.pass().await?;
        let block = block.clone();
        run_blocking(move || {
            let file = block.open()?;
            let size = block.page_size();
            let mut bytes = 0;
            let mut page = vec![0; size.min(block.length()) as usize];
            for index in 0..block.length().div_ceil(size) {
                if block.has_page(index as usize) {
                    let part = &mut page[..size.min(block.length() - index * size) as usize];
                    block.read(&file, index * size, part)?;
                    bytes += part.len() as u64;
                }
            }
            Ok(bytes)
        })
        .await?
    }

    /// Compares a whole block with what its under store has.
    async fn compare(
        &self,
        block: &Arc<Block>,
        file: &v1::VerifyFile,
        offset: u64,
        pace: &Rate,
    ) -> Result<u64> {
        if !block.is_whole() || block.is_unpersisted() {
            return Ok(block.length());
        }
        let (ufs, path) = self.inner.reads.mounts.open(file.mount_id, &file.ufs_path).await?;
        let version = Some(file.version.as_str()).filter(|version| !version.is_empty());
        let mut body = ufs.read(&path, version, offset..offset + block.length()).await?;
        let mut at = 0;
        while at < block.length() {
            let piece = match tokio::time::timeout(SILENCE, body.next()).await {
                Ok(Some(piece)) => piece?,
                Ok(None) => return Err(unavailable(format!("{} ended early", file.ufs_path))),
                Err(_) => return Err(unavailable(format!("no more comes of {}", file.ufs_path))),
            };
            pace.take(piece.len() as u64).await;
            let length = piece.len() as u64;
            let (block, from) = (block.clone(), at);
            // For as long as this takes: while we wait for the store, others pass.
            let _turn = self.inner.reads.memory.pass().await?;
            run_blocking(move || same(&block, from, &piece)).await??;
            at += length;
        }
        Ok(block.length())
    }

    /// Drops a bad copy if it is to be, and says what happened.
    async fn found_bad(&self, block: Arc<Block>, error: Error, repair: bool) -> Error {
        let id = block.id();
        tracing::warn!(block = %id, %error, repair, "a cached block is bad");
        if !repair {
            let text = "bad in the cache, verify it with --repair to drop the copy: ";
            return data_loss(format!("{text}{error}"));
        }
        if block.is_unpersisted() {
            return data_loss(format!("the only copy is damaged, write the file again: {error}"));
        }
        let store = self.inner.reads.store.clone();
        if let Err(failed) = run_blocking(move || store.discard(&block)).await {
            return failed;
        }
        data_loss(format!("dropped from the cache, the next read fills it again: {error}"))
    }
}

/// Whether the block has these bytes at `from`. Waits for the disk.
fn same(block: &Block, from: u64, piece: &Bytes) -> Result<()> {
    let mut own = vec![0; piece.len()];
    block.read(&*block.open()?, from, &mut own)?;
    match own.iter().zip(piece.iter()).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(data_loss(format!(
            "byte {} of block {} is another in the under store",
            from + at as u64,
            block.id()
        ))),
    }
}
