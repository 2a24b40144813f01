//! The other workers: who there is, who had a block before the ring changed, and copying from them.
//!
//! When the ring has changed, a block that belongs here now may still lie where it belonged before;
//! it is copied from there instead of from the under store, which is slower and costs money. After a
//! while what was not asked for is not asked for there any more. A copy of a block that belongs to
//! another worker comes from that one. A worker that is asked serves what it holds and never fills, so
//! nobody waits in a circle.

use super::heartbeat::patiently;
use crate::client::BlockStream;
use crate::core::error::{Context, Result, unavailable};
use crate::core::model::{BlockId, Ring, WorkerAddress, WorkerId, WorkerInfo};
use crate::core::proto::grpc::block::worker_manager_master_client_service_client::WorkerManagerMasterClientServiceClient;
use crate::core::proto::grpc::block::{GetWorkerReportPOptions, ReadRequest, WorkerRange};
use crate::core::rpc::{Channel, Credentials, MAX_MESSAGE, Primary, connect};
use bytes::Bytes;
use futures::stream::BoxStream;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long after a change of the ring the former owners of a block are asked for it.
const FORMER: Duration = Duration::from_secs(15 * 60);
/// Former owners that are asked, one after another.
const ASKED: usize = 2;
/// Workers on the ring that may hold a copy when the under store cannot be reached.
const COPIES: usize = 3;
/// How long another worker may take to answer at all; a reader is waiting.
const ANSWER: Duration = Duration::from_secs(3);
/// How long one that could not be reached is not asked again.
const AVOIDED: Duration = Duration::from_secs(10);
/// How long it may be silent in the middle of a block.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes in one message.
const CHUNK: i64 = 1 << 20;

/// The other workers of the cluster.
pub struct Peers {
    master: Primary,
    credentials: Credentials,
    own: WorkerAddress,
    rings: RwLock<Rings>,
    channels: Mutex<HashMap<String, Channel>>,
    /// Those that could not be reached, and when.
    failed: Mutex<HashMap<String, Instant>>,
}

#[derive(Default)]
struct Rings {
    /// The ring as the master named it; none before it did.
    version: Option<i64>,
    now: Arc<Ring>,
    before: Option<(Arc<Ring>, Instant)>,
    /// Where live workers are, on the ring or not.
    live: HashMap<WorkerId, WorkerAddress>,
}

impl Peers {
    /// Knows nobody yet; `own` is never asked.
    pub fn new(master: Primary, credentials: Credentials, own: WorkerAddress) -> Self {
        let (rings, channels, failed) = Default::default();
        Peers { master, credentials, own, rings, channels, failed }
    }

    /// Learns who there is, where `version` is not the ring it knows.
    ///
    /// # Errors
    /// Why the master could not be asked.
    pub async fn learn(&self, version: i64) -> Result<()> {
        if self.rings.read().version == Some(version) {
            return Ok(());
        }
        let request = GetWorkerReportPOptions {
            worker_range: Some(WorkerRange::Live as i32),
            ..Default::default()
        };
        let call = self.master.call(|channel| {
            let request = request.clone();
            async move {
                WorkerManagerMasterClientServiceClient::new(channel)
                    .max_decoding_message_size(MAX_MESSAGE)
                    .get_worker_report(request)
                    .await
            }
        });
        let report = patiently(call).await?;
        let workers: Vec<WorkerInfo> = report.worker_infos.iter().map(WorkerInfo::from).collect();
        let live = workers.iter().map(|worker| (worker.id, worker.address.clone())).collect();
        let ring = super::fill::run_blocking(move || Ring::new(workers)).await?;
        let mut rings = self.rings.write();
        if rings.version.is_some() && rings.now.fingerprint() != ring.fingerprint() {
            rings.before = Some((rings.now.clone(), Instant::now()));
        }
        // What came may be newer than what was named: then the next beat names that.
        rings.version = Some(ring.fingerprint());
        (rings.now, rings.live) = (Arc::new(ring), live);
        Ok(())
    }

    /// Workers that are asked for a block before the under store is, the likeliest first: those it
    /// belonged to until lately, and its owner, where that is another.
    pub fn likely(&self, block: BlockId) -> Vec<WorkerAddress> {
        let rings = self.rings.read();
        let mut likely = Vec::new();
        if let Some((before, changed)) = &rings.before
            && changed.elapsed() < FORMER
        {
            let gone = |id| !rings.live.contains_key(&id);
            let owners = before.owners(block, ASKED, gone).into_iter();
            likely.extend(owners.filter(|owner| rings.live.contains_key(&owner.id)));
        }
        likely.extend(rings.now.owner(block));
        self.others(likely.into_iter())
    }

    /// Workers that hold a copy of a block if anybody does.
    pub fn holders(&self, block: BlockId) -> Vec<WorkerAddress> {
        let rings = self.rings.read();
        self.others(rings.now.owners(block, COPIES, |_| false).into_iter())
    }

    /// Where these workers are, as far as they are live and others.
    pub fn addresses(&self, ids: &[WorkerId]) -> Vec<WorkerAddress> {
        let rings = self.rings.read();
        let live = ids.iter().filter_map(|id| rings.live.get(id));
        live.filter(|address| address.to_string() != self.own.to_string()).cloned().collect()
    }

    fn others<'a>(&self, workers: impl Iterator<Item = &'a WorkerInfo>) -> Vec<WorkerAddress> {
        let mut others: Vec<WorkerAddress> = Vec::new();
        let mut failed = self.failed.lock();
        failed.retain(|_, at| at.elapsed() < AVOIDED);
        for worker in workers {
            let (address, name) = (&worker.address, worker.address.to_string());
            let asked = name != self.own.to_string() && !failed.contains_key(&name);
            if asked && !others.contains(address) {
                others.push(address.clone());
            }
        }
        others
    }

    /// The bytes of `range` of a block of that version, from a worker that has it whole.
    ///
    /// # Errors
    /// `Unavailable` when it has not, or does not answer.
    pub async fn read(
        &self,
        worker: &WorkerAddress,
        block: BlockId,
        version: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let request = ReadRequest {
            block_id: Some(block.0),
            offset: Some(range.start as i64),
            length: Some((range.end - range.start) as i64),
            chunk_size: Some(CHUNK),
            version: (!version.is_empty()).then(|| version.to_string()),
            ..Default::default()
        };
        let channel = self.channel(worker).await?;
        let stream = within(ANSWER, BlockStream::open(channel, request)).await;
        if stream.is_err() {
            self.forget(worker);
        }
        let stream = stream.with_context(|| format!("worker {worker}"))?;
        Ok(Box::pin(futures::stream::try_unfold(stream, |mut stream| async move {
            let next = within(SILENCE, stream.next()).await?;
            Ok(next.map(|bytes| (bytes, stream)))
        })))
    }

    /// A connection to another worker.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers there in time.
    pub async fn channel(&self, worker: &WorkerAddress) -> Result<Channel> {
        let key = worker.to_string();
        if let Some(channel) = self.channels.lock().get(&key).cloned() {
            return Ok(channel);
        }
        let channel = within(ANSWER, connect(&key, &self.credentials)).await;
        if channel.is_err() {
            self.failed.lock().insert(key.clone(), Instant::now());
        }
        let channel = channel?;
        let mut channels = self.channels.lock();
        let rings = self.rings.read();
        channels.retain(|key, _| rings.live.values().any(|live| live.to_string() == *key));
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    /// Drops a connection that does not work.
    pub fn forget(&self, worker: &WorkerAddress) {
        self.channels.lock().remove(&worker.to_string());
    }
}

/// Waits for another worker, but not for ever.
async fn within<T>(patience: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(patience, call)
        .await
        .unwrap_or_else(|_| Err(unavailable("another worker does not answer")))
}
