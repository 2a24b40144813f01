//! Calls to workers, and the connections they are made on.

use crate::core::config::Config;
use crate::core::error::{Context, Result};
use crate::core::model::{BlockId, WorkerAddress};
use crate::core::proto::convert::Part;
use crate::core::proto::v1::HoldsRequest;
use crate::core::proto::v1::cache_client::CacheClient;
use crate::core::rpc::{Channel, Credentials, MAX_MESSAGE, connect};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections to workers, a few to each: one TCP stream does not fill a fast network, and one
/// HTTP/2 connection is served by one thread.
pub(super) struct Channels {
    credentials: Credentials,
    each: usize,
    pools: Mutex<HashMap<WorkerAddress, Arc<Pool>>>,
}

struct Pool {
    slots: Vec<tokio::sync::Mutex<Option<Connection>>>,
    next: AtomicUsize,
    /// Tells connections of one slot apart, so that only the broken one is forgotten.
    serial: AtomicUsize,
}

/// One connection in use; returned to [`Channels::forget`] when it breaks.
#[derive(Clone)]
pub(super) struct Connection {
    /// What calls are made on.
    pub(super) channel: Channel,
    slot: usize,
    serial: usize,
}

impl Channels {
    pub(super) fn new(config: &Config) -> Self {
        Channels {
            credentials: Credentials::of(config),
            each: config.client.worker_connections.max(1) as usize,
            pools: Mutex::default(),
        }
    }

    /// A connection to `address`, in turn one of those that stand or a new one.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers there; callers say that it is a worker.
    pub(super) async fn get(&self, address: &WorkerAddress) -> Result<Connection> {
        let pool = self.pool(address);
        let slot = pool.next.fetch_add(1, Ordering::Relaxed) % pool.slots.len();
        // Held while connecting: callers that come meanwhile share the attempt.
        let mut held = pool.slots[slot].lock().await;
        if let Some(connection) = held.as_ref() {
            return Ok(connection.clone());
        }
        let channel = connect(&address.to_string(), &self.credentials).await?;
        let serial = pool.serial.fetch_add(1, Ordering::Relaxed);
        let connection = Connection { channel, slot, serial };
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// Lets go of a connection that broke or whose session is gone.
    pub(super) async fn forget(&self, address: &WorkerAddress, connection: &Connection) {
        let pool = self.pool(address);
        let mut held = pool.slots[connection.slot].lock().await;
        if held.as_ref().is_some_and(|c| c.serial == connection.serial) {
            *held = None;
        }
    }

    fn pool(&self, address: &WorkerAddress) -> Arc<Pool> {
        let mut pools = self.pools.lock();
        if let Some(pool) = pools.get(address) {
            return pool.clone();
        }
        let slots = (0..self.each).map(|_| tokio::sync::Mutex::default()).collect();
        let pool = Arc::new(Pool { slots, next: AtomicUsize::new(0), serial: AtomicUsize::new(0) });
        pools.insert(address.clone(), pool.clone());
        pool
    }

    /// How much of each block the worker at `address` can serve without the under store.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers there.
    pub(super) async fn holds(
        &self,
        address: &WorkerAddress,
        blocks: &[BlockId],
    ) -> Result<Vec<Part>> {
        let connection = self.get(address).await.with_context(|| format!("worker {address}"))?;
        let answer = CacheClient::new(connection.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .holds(HoldsRequest::about(blocks.iter().copied()))
            .await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().parts(blocks.len()).collect()),
            Err(status) => {
                self.forget(address, &connection).await;
                Err(status).with_context(|| format!("worker {address}"))
            }
        }
    }
}

/// Where a worker serves blocks and takes them: calls that are framed by hand.
pub(super) const BLOCK_WRITE: &str = "/com.qcloud.cos.goosefs.grpc.block.BlockWorker/WriteBlock";
/// See [`BLOCK_WRITE`].
pub(super) const BLOCK_READ: &str = "/com.qcloud.cos.goosefs.grpc.block.BlockWorker/ReadBlock";
