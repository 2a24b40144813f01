//! What workers hold, asked of them: the master keeps no list of cached blocks.

use super::workers::Registry;
use crate::core::config::Config;
use crate::core::error::{Error, Result, unavailable};
use crate::core::model::{BlockId, WorkerAddress};
use crate::core::proto::convert::Part;
use crate::core::proto::v1::HoldsRequest;
use crate::core::proto::v1::cache_client::CacheClient;
use crate::core::rpc::{Channel, Credentials, MAX_MESSAGE, connect};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a worker may take to answer somebody who can wait.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How long at least a connection may take: several round trips, and that once.
const CONNECTING: Duration = Duration::from_secs(1);

/// Asks workers what they hold. Clones share connections.
#[derive(Clone)]
pub struct Holdings {
    inner: Arc<Inner>,
}

struct Inner {
    workers: Registry,
    credentials: Credentials,
    channels: Mutex<HashMap<WorkerAddress, Channel>>,
}

impl Holdings {
    /// Has no connections yet.
    pub fn new(config: &Config, workers: Registry) -> Self {
        let (credentials, channels) = (Credentials::of(config), Mutex::default());
        Holdings { inner: Arc::new(Inner { workers, credentials, channels }) }
    }

    /// The workers it asks.
    pub fn workers(&self) -> &Registry {
        &self.inner.workers
    }

    /// How much of each of these blocks the worker at `address` holds: at most
    /// [`MOST_BLOCKS`](crate::core::proto::convert::MOST_BLOCKS).
    ///
    /// # Errors
    /// `Unavailable` when it does not answer in time.
    pub async fn of(
        &self,
        address: &WorkerAddress,
        blocks: impl IntoIterator<Item = BlockId>,
        patience: Duration,
    ) -> Result<Vec<Part>> {
        let request = HoldsRequest::about(blocks);
        let asked = request.steps.len();
        let late = |_| unavailable("it does not answer in time");
        let channel = timeout(patience.max(CONNECTING), self.channel(address));
        let channel = channel.await.map_err(late)??;
        let mut client = CacheClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        // Who is late is connected still.
        match timeout(patience, client.holds(request)).await.map_err(late)? {
            Ok(answer) => Ok(answer.into_inner().parts(asked).collect()),
            Err(status) => {
                self.inner.channels.lock().remove(address);
                Err(Error::from(status))
            }
        }
    }

    async fn channel(&self, address: &WorkerAddress) -> Result<Channel> {
        if let Some(channel) = self.inner.channels.lock().get(address) {
            return Ok(channel.clone());
        }
        let channel = connect(&address.to_string(), &self.inner.credentials).await?;
        let live: HashSet<_> = self.inner.workers.live().into_iter().map(|w| w.address).collect();
        let mut channels = self.inner.channels.lock();
        channels.retain(|address, _| live.contains(address));
        channels.insert(address.clone(), channel.clone());
        Ok(channel)
    }
}
