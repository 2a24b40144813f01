//! What of a file is in the cache, and where. The master keeps no list of cached blocks: the workers
//! are asked.

use super::FileSystem;
use super::cluster::BlockLocations;
use super::context::Workers;
use crate::core::error::Result;
use crate::core::model::{BlockId, Status, WorkerAddress, WorkerInfo};
use futures::future::join_all;
use std::collections::HashMap;
use std::time::Duration;

/// How long a worker may take to answer; one that does not holds nothing as far as anyone knows.
const PATIENCE: Duration = Duration::from_secs(3);

impl FileSystem {
    /// Which workers hold the blocks of a file, wherever they are.
    ///
    /// # Errors
    /// `Unavailable` when no master answers or no worker is registered. A worker that does not
    /// answer is passed over.
    pub async fn locations(&self, status: &Status) -> Result<Vec<BlockLocations>> {
        let workers = self.context.workers().await?;
        let blocks: Vec<_> = (0..status.block_count()).map(|index| status.block(index)).collect();
        let ids: Vec<BlockId> = blocks.iter().map(|block| block.id).collect();
        let questions = workers.list.iter().map(|worker| self.held(&worker.address, &ids));
        let answers = join_all(questions).await;
        let holders = |id: BlockId| -> Vec<(WorkerInfo, u64)> {
            let held = workers.list.iter().zip(&answers);
            held.filter_map(|(worker, held)| Some((worker.clone(), *held.get(&id)?))).collect()
        };
        Ok(blocks
            .into_iter()
            .map(|block| BlockLocations { holders: holders(block.id), block })
            .collect())
    }

    /// How many bytes of each of `files` are in the cache where a reader would look for them.
    /// Workers that do not answer hold nothing.
    pub async fn cached_bytes(&self, files: &[Status]) -> Vec<u64> {
        let nothing = || vec![0; files.len()];
        if files.iter().all(|file| file.block_count() == 0) {
            return nothing();
        }
        let workers = tokio::time::timeout(PATIENCE, self.context.workers()).await;
        let Ok(Ok(workers)) = workers else { return nothing() };
        let questions = questions(&workers, files);
        let answers = questions.iter().map(|(address, blocks)| self.held(address, blocks));
        let mut held: HashMap<BlockId, u64> = HashMap::new();
        for (block, bytes) in join_all(answers).await.into_iter().flatten() {
            let most = held.entry(block).or_default();
            *most = bytes.max(*most);
        }
        let of = |file: &Status| {
            let blocks = (0..file.block_count()).map(|index| file.id.block(index));
            let sum: u64 = blocks.filter_map(|block| held.get(&block)).sum();
            sum.min(file.length)
        };
        files.iter().map(of).collect()
    }

    /// The bytes of each of `blocks` that the worker at `address` holds; those it holds none of are
    /// left out.
    async fn held(&self, address: &WorkerAddress, blocks: &[BlockId]) -> HashMap<BlockId, u64> {
        let question = self.context.channels.check_blocks(address, blocks);
        match tokio::time::timeout(PATIENCE, question).await {
            Ok(Ok(held)) => held
                .into_iter()
                .filter(|&(_, bytes)| bytes > 0)
                .map(|(block, bytes)| (BlockId(block), bytes as u64))
                .collect(),
            Ok(Err(error)) => {
                tracing::debug!(%error, worker = %address, "asking for blocks");
                HashMap::new()
            }
            Err(_) => HashMap::new(),
        }
    }
}

/// Whom to ask for which blocks: known locations, else the owner on the ring.
fn questions(workers: &Workers, files: &[Status]) -> HashMap<WorkerAddress, Vec<BlockId>> {
    let mut questions: HashMap<WorkerAddress, Vec<BlockId>> = HashMap::new();
    for file in files {
        for index in 0..file.block_count() {
            let block = file.block(index);
            let known = block.locations.iter().filter_map(|&id| workers.get(id));
            for worker in known.chain(workers.ring.owner(block.id)) {
                questions.entry(worker.address.clone()).or_default().push(block.id);
            }
        }
    }
    questions
}
