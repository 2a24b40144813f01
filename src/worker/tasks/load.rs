//! A load's share: these blocks are to be in the store.

use super::{BLOCKS_AT_ONCE, Tasks, failure};
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::BlockId;
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::proto::v1;
use crate::core::runtime::Rate;
use crate::worker::fill::run_blocking;
use crate::worker::mounts::Wanted;
use crate::worker::store::Block;
use futures::StreamExt;
use std::sync::Arc;

/// Bytes read at a time of a block that is verified, when its pages are smaller.
const STEP: u64 = 1 << 20;

impl Tasks {
    pub(super) async fn load(&self, task: i64, job: i64, load: v1::LoadTask) {
        // Known at once as being worked on.
        self.note(task, job, |_| {});
        let pace = &self.inner.paces.of(job);
        let verify = load.verify;
        futures::stream::iter(load.blocks)
            .for_each_concurrent(BLOCKS_AT_ONCE, |block| async move {
                let id = block.block_id;
                let landed = |bytes: u64| {
                    self.note(task, job, |report| report.bytes_done += bytes as i64);
                };
                let result = self.load_block(block, verify, pace, landed).await;
                self.note(task, job, |report| match result {
                    Ok(skipped) => {
                        report.done.push(id);
                        if skipped {
                            report.skipped.push(id);
                        }
                    }
                    Err(error) => report.failed.push(failure(id, &error)),
                });
            })
            .await;
    }

    /// Has a block filled, and verified if asked for; says whether it was there before.
    async fn load_block(
        &self,
        block: v1::LoadBlock,
        verify: bool,
        pace: &Rate,
        landed: impl Fn(u64),
    ) -> Result<bool> {
        let reads = &self.inner.reads;
        let id = BlockId(block.block_id);
        let length = block.length.max(0) as u64;
        let there = reads.store.peek(id).filter(|found| is_there(found, &block.version));
        if let Some(found) = there
            && (!verify || self.is_sound(&found).await?)
            && reads.store.keep(&found)
        {
            landed(length);
            return Ok(true);
        }
        let options = OpenUfsBlockOptions {
            ufs_path: Some(block.ufs_path),
            offset_in_file: Some(block.offset_in_file),
            block_size: Some(block.length),
            mount_id: Some(block.mount_id),
            file_length: Some(block.file_length),
            version: Some(block.version),
            ..Default::default()
        };
        let wanted = reads.mounts.locate(id, &options).await?;
        let filled = reads.filler.fill(&wanted, pace, landed).await?;
        reads.store.keep(filled.block.block());
        if verify {
            self.verify_filled(&wanted, block.file_length.max(0) as u64, pace).await?;
        }
        Ok(!filled.fetched)
    }

    /// Reads a block that has just been filled, fills it once more when its bytes are not what they
    /// should be, and asks the store whether its object still is the one that was read.
    async fn verify_filled(&self, wanted: &Wanted, file_length: u64, pace: &Rate) -> Result<()> {
        let reads = &self.inner.reads;
        let stored = || reads.store.peek(wanted.block).filter(|block| block.is_whole());
        let sound = match stored() {
            Some(block) => self.is_sound(&block).await?,
            None => false,
        };
        if !sound {
            let again = reads.filler.fill(wanted, pace, |_| {}).await?;
            reads.store.keep(again.block.block());
            let block = again.block.block().clone();
            let _turn = reads.memory.pass().await?;
            run_blocking(move || read_through(&block)).await??;
        }
        if wanted.source.offset > 0 || wanted.source.version.is_empty() {
            return Ok(());
        }
        let now = wanted.source.ufs.status(&wanted.source.path).await?;
        if now.version != wanted.source.version || now.length != file_length {
            return Err(Error::new(ErrorKind::Changed, "it was replaced while it was loaded"));
        }
        Ok(())
    }

    /// Whether all pages of a block match their checksums; drops the block when they do not.
    pub(super) async fn is_sound(&self, block: &Arc<Block>) -> Result<bool> {
        let read = block.clone();
        let turn = self.inner.reads.memory.pass().await?;
        let read = run_blocking(move || read_through(&read)).await?;
        drop(turn);
        match read {
            Ok(()) => Ok(true),
            Err(error) => {
                self.inner.reads.damaged(block.clone(), error).await?;
                Ok(false)
            }
        }
    }
}

/// Whether the store has all of this very version.
fn is_there(found: &Arc<Block>, version: &str) -> bool {
    let known = found.version();
    found.is_whole() && (known.is_empty() || version.is_empty() || known == version)
}

/// Reads all of a block, whose pages are verified on the way. Waits for the disk.
pub(super) fn read_through(block: &Block) -> Result<()> {
    let file = block.open()?;
    let step = STEP.next_multiple_of(block.page_size());
    let mut buffer = vec![0; step.min(block.length()) as usize];
    let mut at = 0;
    while at < block.length() {
        let part = &mut buffer[..step.min(block.length() - at) as usize];
        block.read(&file, at, part)?;
        at += part.len() as u64;
    }
    Ok(())
}
