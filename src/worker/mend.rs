//! Good bytes for what is damaged here and not in the under store yet, from the other workers that
//! hold it.
//!
//! What waits to be persisted is on several workers where its writer asked for that, and the master
//! knows on which. A page that does not match its checksum is read from one of them. Only bytes that
//! match the checksum noted here are taken, and they go where the bad ones were: the block is never
//! gone meanwhile, and whoever has its file open reads good bytes from then on. A block that is being
//! mended is not mended for another worker that asks for the same reason: nobody waits in a circle.

use super::fill::run_blocking;
use super::mounts::Mounts;
use super::peers::Peers;
use super::store::Block;
use crate::core::error::{Error, Result, data_loss, unavailable};
use crate::core::model::{BlockId, WorkerAddress};
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// Mends damaged blocks. Clones share what is under way.
#[derive(Clone)]
pub struct Mender {
    mounts: Arc<Mounts>,
    peers: Option<Arc<Peers>>,
    under_way: Arc<Mutex<HashSet<BlockId>>>,
}

/// One block that is being mended.
struct Turn<'a>(&'a Mender, BlockId);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().remove(&self.1);
    }
}

impl Mender {
    /// Asks `mounts` where blocks are, and `peers` for them.
    pub fn new(mounts: Arc<Mounts>, peers: Option<Arc<Peers>>) -> Mender {
        Mender { mounts, peers, under_way: Arc::default() }
    }

    /// Makes a block good again, and says how many pages were not.
    ///
    /// # Errors
    /// Why some page is still not: no other worker has it, or it is being mended already.
    pub async fn mend(&self, block: &Arc<Block>) -> Result<u64> {
        let id = block.id();
        if !self.under_way.lock().insert(id) {
            return Err(unavailable(format!("block {id} is being mended")));
        }
        let _turn = Turn(self, id);
        let looked_at = block.clone();
        let bad = run_blocking(move || looked_at.damaged_pages()).await??;
        if bad.is_empty() {
            return Ok(0);
        }
        let holders = self.holders(id).await?;
        for &page in &bad {
            self.mend_page(block, page, &holders).await?;
        }
        let looked_at = block.clone();
        match run_blocking(move || looked_at.damaged_pages()).await?? {
            still if still.is_empty() => Ok(bad.len() as u64),
            _ => Err(data_loss(format!("the disk of block {id} does not keep what is written"))),
        }
    }

    /// The other workers that hold a block, by what the master knows.
    async fn holders(&self, id: BlockId) -> Result<Vec<WorkerAddress>> {
        let Some(peers) = &self.peers else { return Err(nobody(id)) };
        let holders = peers.addresses(&self.mounts.locations(id).await?);
        if holders.is_empty() { Err(nobody(id)) } else { Ok(holders) }
    }

    async fn mend_page(
        &self,
        block: &Arc<Block>,
        page: usize,
        holders: &[WorkerAddress],
    ) -> Result<()> {
        let mut last = nobody(block.id());
        for holder in holders {
            let mended = match self.read(holder, block.id(), block.page_range(page)).await {
                Ok(bytes) => {
                    let block = block.clone();
                    run_blocking(move || block.mend_page(page, &bytes)).await?
                }
                Err(error) => Err(error),
            };
            match mended {
                Ok(()) => return Ok(()),
                Err(error) => last = error.context(format!("worker {holder}")),
            }
        }
        Err(last)
    }

    async fn read(&self, from: &WorkerAddress, id: BlockId, range: Range<u64>) -> Result<Vec<u8>> {
        let peers = self.peers.as_ref().ok_or_else(|| nobody(id))?;
        let length = range.end - range.start;
        let mut stream = peers.read(from, id, "", range).await?;
        let mut bytes = Vec::new();
        while let Some(more) = stream.next().await {
            bytes.extend_from_slice(&more?);
            if bytes.len() as u64 > length {
                return Err(data_loss(format!("more of block {id} came than was asked for")));
            }
        }
        Ok(bytes)
    }
}

fn nobody(id: BlockId) -> Error {
    unavailable(format!("no other worker holds block {id}: write its file again"))
}
