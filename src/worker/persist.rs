//! Copies a file whose blocks exist only on workers to its under store.

use super::fill::run_blocking;
use super::memory::{Memory, Turn};
use super::mounts::Mounts;
use super::store::BlockStore;
use crate::core::error::{Context, Error, ErrorKind, Result, data_loss, unavailable};
use crate::core::model::{BlockId, WorkerAddress};
use crate::core::proto::grpc::block::ReadRequest;
use crate::core::proto::grpc::block::block_worker_client::BlockWorkerClient;
use crate::core::proto::v1::{PersistBlock, PersistTask};
use crate::core::rpc::{Credentials, MAX_MESSAGE, connect};
use crate::ufs::{Attributes, UfsStatus, UfsWriter};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Bytes read of a block at a time.
const STEP: u64 = 1 << 20;
/// How long another worker may be silent in the middle of a block.
const SILENCE: Duration = Duration::from_secs(60);

/// A file that is in its store but for the last step. Nothing is left of it when this is dropped.
pub struct Written {
    writer: Box<dyn UfsWriter>,
    ufs_path: String,
    _turn: Turn,
}

impl Written {
    /// Makes it visible, and says what it became.
    ///
    /// # Errors
    /// Why the store did not take it; nothing is visible there then.
    pub async fn close(self) -> Result<UfsStatus> {
        self.writer.close().await.with_context(|| format!("writing {}", self.ufs_path))
    }
}

/// What persisting needs.
#[derive(Clone)]
pub struct Persister {
    /// The blocks here.
    pub store: Arc<BlockStore>,
    /// The under stores.
    pub mounts: Arc<Mounts>,
    /// How to say who we are to other workers.
    pub credentials: Credentials,
    /// What files on their way may take.
    pub memory: Memory,
    /// Where this worker is reached: not asked over the wire.
    pub own: WorkerAddress,
}

impl Persister {
    /// Writes the file, block by block. Nothing is visible in the store before it is closed.
    ///
    /// # Errors
    /// `DataLoss` when no worker has a good copy of some block, `Unavailable` when there is no memory
    /// for it, else why the store did not take it.
    pub async fn write(&self, task: &PersistTask) -> Result<Written> {
        let turn = self.memory.persist(task.length.max(0) as u64).await?;
        let (ufs, path) = self.mounts.open(task.mount_id, &task.ufs_path).await?;
        let attributes = Attributes {
            owner: Some(task.owner.clone()).filter(|owner| !owner.is_empty()),
            group: Some(task.group.clone()).filter(|group| !group.is_empty()),
            mode: Some(task.mode),
        };
        let writing = || format!("writing {}", task.ufs_path);
        let mut writer = ufs.create(&path, &attributes).await.with_context(writing)?;
        let mut total = 0;
        for block in &task.blocks {
            let length = u64::try_from(block.length).unwrap_or_default();
            self.copy(block, length, writer.as_mut()).await?;
            total += length;
        }
        if Ok(total) != u64::try_from(task.length) {
            return Err(data_loss(format!(
                "{} has {} bytes, its blocks {total}",
                task.path, task.length
            )));
        }
        Ok(Written { writer, ufs_path: task.ufs_path.clone(), _turn: turn })
    }

    async fn copy(&self, block: &PersistBlock, length: u64, to: &mut dyn UfsWriter) -> Result<()> {
        match self.copy_cached(block, length, &mut 0, to).await {
            Ok(()) => Ok(()),
            Err(failed) => {
                let id = BlockId(block.block_id);
                let text = format!("no worker has block {id} any more");
                Err(data_loss(text).with_source(failed?))
            }
        }
    }

    /// Copies a block from `position` on from here, or from a worker that has it. The error is `Err`
    /// when it was the writer's.
    pub(super) async fn copy_cached(
        &self,
        block: &PersistBlock,
        length: u64,
        position: &mut u64,
        to: &mut dyn UfsWriter,
    ) -> Result<(), Result<Error>> {
        let id = BlockId(block.block_id);
        let mut last = match self.copy_own(id, length, position, to).await {
            Ok(()) => return Ok(()),
            Err(failed) => failed.map_err(Err)?,
        };
        let own = self.own.to_string();
        for worker in block.workers.iter().filter(|worker| **worker != own) {
            // From where the one before broke off: a block is the same on every worker.
            match self.copy_from(worker, id, length, position, to).await {
                Ok(()) => return Ok(()),
                Err(failed) => last = failed.map_err(Err)?.context(worker),
            }
        }
        Err(Ok(last))
    }

    /// Copies from the store here. The error is `Err` when it was the under store's.
    async fn copy_own(
        &self,
        id: BlockId,
        length: u64,
        position: &mut u64,
        to: &mut dyn UfsWriter,
    ) -> Result<(), Result<Error>> {
        let block = self.store.peek(id).filter(|block| block.is_whole());
        let missing =
            || Error::new(ErrorKind::NotFound, format!("block {id} is not on this worker"));
        let block = block.filter(|block| block.length() == length).ok_or_else(|| Ok(missing()))?;
        while *position < length {
            let (block, from) = (block.clone(), *position);
            let read = run_blocking(move || {
                let mut buffer = vec![0; STEP.min(length - from) as usize];
                block.read(&*block.open()?, from, &mut buffer)?;
                Ok(Bytes::from(buffer))
            });
            let bytes = read.await.and_then(|read| read).map_err(Ok)?;
            *position += bytes.len() as u64;
            to.write(bytes).await.map_err(Err)?;
        }
        Ok(())
    }

    async fn copy_from(
        &self,
        worker: &str,
        id: BlockId,
        length: u64,
        position: &mut u64,
        to: &mut dyn UfsWriter,
    ) -> Result<(), Result<Error>> {
        let request = ReadRequest {
            block_id: Some(id.0),
            offset: Some(*position as i64),
            length: Some((length - *position) as i64),
            chunk_size: Some(STEP as i64),
            ..Default::default()
        };
        let channel = connect(worker, &self.credentials).await.map_err(Ok)?;
        let requests = futures::stream::iter([request]);
        let mut answers = BlockWorkerClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .read_block(requests)
            .await
            .map_err(|status| Ok(status.into()))?
            .into_inner();
        while *position < length {
            let answer = tokio::time::timeout(SILENCE, answers.message())
                .await
                .map_err(|_| Ok(unavailable("no more of the block comes")))?
                .map_err(|status| Ok(status.into()))?;
            let answer = answer.ok_or_else(|| Ok(unavailable("the block ended early")))?;
            let bytes = answer.chunk.and_then(|chunk| chunk.data).unwrap_or_default();
            *position += bytes.len() as u64;
            to.write(bytes).await.map_err(Err)?;
        }
        Ok(())
    }
}
