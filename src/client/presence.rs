//! What of a file is in the cache, and where. The master keeps no list of cached blocks: the workers
//! are asked.

use super::FileSystem;
use super::cluster::BlockLocations;
use super::context::Workers;
use super::master::named;
use crate::core::error::Result;
use crate::core::model::{
    BlockId, BlockStatus, FsPath, Measurement, Status, WorkerAddress, WorkerInfo,
};
use crate::core::proto::convert::MOST_BLOCKS;
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;
use crate::core::rpc::MAX_MESSAGE;
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
        let questions = workers.list.iter().map(|worker| self.held(&worker.address, &blocks));
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

    /// What there is at `path` and below it, and in each directory down to `depth` below it: how much,
    /// and how much of that is in the cache. The master adds up; nothing is listed here.
    ///
    /// # Errors
    /// `NotFound` where there is nothing, `PermissionDenied` where it may not be read,
    /// `ResourceExhausted` when there are too many directories to tell of.
    pub async fn measure(&self, path: &FsPath, depth: u32) -> Result<Measurement> {
        let request = v1::MeasureRequest { path: path.as_str().into(), depth };
        let call = |channel| {
            let request = request.clone();
            let mut tree = FileSystemClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
            async move { tree.measure(request).await }
        };
        self.primary.call(call).await.map_err(|e| named(e, path))?.try_into()
    }

    /// What there is in each mount, without those below it, and when the master found that, in
    /// milliseconds since 1970. None while it has not looked yet.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn measure_mounts(&self) -> Result<Option<(Measurement, i64)>> {
        let call = |channel| async move {
            let request = v1::MeasureMountsRequest {};
            FileSystemClient::new(channel).measure_mounts(request).await
        };
        let told = self.primary.call(call).await?;
        told.found.map(|found| Ok((found.try_into()?, told.measured_ms))).transpose()
    }

    /// The bytes of each of `blocks` that the worker at `address` holds; those it holds none of are
    /// left out.
    async fn held(&self, address: &WorkerAddress, blocks: &[BlockStatus]) -> HashMap<BlockId, u64> {
        let mut held = HashMap::new();
        for asked in blocks.chunks(MOST_BLOCKS) {
            let ids: Vec<BlockId> = asked.iter().map(|block| block.id).collect();
            let question = self.context.channels.holds(address, &ids);
            match tokio::time::timeout(PATIENCE, question).await {
                Ok(Ok(parts)) => {
                    let bytes = asked.iter().zip(parts);
                    let bytes = bytes.map(|(block, part)| (block.id, part.of(block.length)));
                    held.extend(bytes.filter(|(_, bytes)| *bytes > 0));
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, worker = %address, "asking for blocks");
                    break;
                }
                Err(_) => break,
            }
        }
        held
    }
}

/// Whom to ask for which blocks: known locations, else the owner on the ring.
fn questions(workers: &Workers, files: &[Status]) -> HashMap<WorkerAddress, Vec<BlockStatus>> {
    let mut questions: HashMap<WorkerAddress, Vec<BlockStatus>> = HashMap::new();
    for file in files {
        for index in 0..file.block_count() {
            let block = file.block(index);
            let known = block.locations.iter().filter_map(|&id| workers.get(id));
            for worker in known.chain(workers.ring.owner(block.id)) {
                questions.entry(worker.address.clone()).or_default().push(block.clone());
            }
        }
    }
    questions
}
