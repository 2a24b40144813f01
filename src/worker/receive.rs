//! Taking in a block that another worker sends because it belongs here now.
//!
//! A copy of what is in an under store comes in like a fill, page by page; what is nowhere else comes
//! in like a write, and the answer says that it is durable. Every page must match the checksum that
//! was announced: a block that does not is not taken.

use super::store::{Block, BlockStore, Held};
use super::write::Writes;
use crate::core::error::{Error, ErrorKind, Result, data_loss, invalid_argument, unavailable};
use crate::core::model::BlockId;
use crate::core::proto::grpc::block::migrate_block_request::Value;
use crate::core::proto::grpc::block::{
    MigrateBlockCommand, MigrateBlockRequest, MigrateBlockResponse,
};
use crate::core::runtime::blocking;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tonic::Streaming;

/// How long the sender may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes one block in; what the sender is told.
pub async fn receive(
    writes: &Writes,
    mut requests: Streaming<MigrateBlockRequest>,
) -> MigrateBlockResponse {
    match take(writes, &mut requests).await {
        Ok(()) => MigrateBlockResponse { success: Some(true), ..Default::default() },
        Err(error) => {
            tracing::debug!(%error, "a block that another worker sends is not taken");
            MigrateBlockResponse {
                success: Some(false),
                out_of_space: Some(error.kind() == ErrorKind::ResourceExhausted),
                error_message: Some(error.to_string()),
            }
        }
    }
}

async fn take(writes: &Writes, requests: &mut Streaming<MigrateBlockRequest>) -> Result<()> {
    let Writes { store, intake, memory, .. } = writes;
    let Some(Value::Command(command)) = next(requests).await? else {
        return Err(invalid_argument("a block that comes without saying which it is"));
    };
    let id = BlockId(command.block_id());
    let length = u64::try_from(command.block_length()).unwrap_or_default();
    if id.0 <= 0 || length == 0 {
        return Err(invalid_argument(format!("{id} with {length} bytes is no block")));
    }
    // One on its way out would be the only one to have it.
    let _entered = if command.unpersisted() { Some(intake.enter().await?) } else { None };
    let counts = |block: &Block| {
        let kept = block.is_unpersisted() || !command.unpersisted();
        block.is_whole() && block.length() == length && kept
    };
    if store.peek(id).is_some_and(|block| counts(&block)) {
        return Ok(());
    }
    let pages = Pages::new(&command, length)?;
    let _turn = memory.receipt(pages.size.min(length)).await?;
    if command.unpersisted() {
        take_only_copy(store, requests, id, pages).await
    } else {
        take_copy(store, requests, id, command.version().into(), pages).await
    }
}

/// What is nowhere else: like a write.
async fn take_only_copy(
    store: &Arc<BlockStore>,
    requests: &mut Streaming<MigrateBlockRequest>,
    id: BlockId,
    mut pages: Pages,
) -> Result<()> {
    let (opened, length) = (store.clone(), pages.length);
    let mut writing = blocking(move || opened.write(id, length)).await?;
    while let Some((_, pieces)) = pages.next(requests).await? {
        writing = blocking(move || writing.append(&pieces).map(|()| writing)).await?;
    }
    blocking(move || writing.commit().map(drop)).await
}

/// A copy of what is elsewhere: like a fill. What breaks off leaves good pages behind.
async fn take_copy(
    store: &Arc<BlockStore>,
    requests: &mut Streaming<MigrateBlockRequest>,
    id: BlockId,
    version: String,
    mut pages: Pages,
) -> Result<()> {
    let block = store.begin(id, pages.length, &version, 0)?;
    // Until it has been put with those that stay.
    let _held = Held::new(block.clone());
    let other = block.length() != pages.length || block.page_size() != pages.size;
    if other || block.version() != version {
        return Err(Error::new(
            ErrorKind::Changed,
            format!("block {id} is here in another version, or with other pages"),
        ));
    }
    let taken = async {
        // Kept open between pages.
        let mut _file = None;
        while let Some((index, pieces)) = pages.next(requests).await? {
            if block.has_page(index) {
                continue;
            }
            let (store, block) = (store.clone(), block.clone());
            _file = Some(blocking(move || store.put_pages(&block, index, &[pieces])).await?);
        }
        Ok(())
    };
    let taken = taken.await;
    if taken.is_ok() {
        store.keep(&block);
    } else {
        block.set_filling(false);
        let (store, block) = (store.clone(), block.clone());
        blocking(move || {
            if block.is_empty() {
                store.discard(&block);
            }
            Ok(())
        })
        .await?;
    }
    taken
}

async fn next(requests: &mut Streaming<MigrateBlockRequest>) -> Result<Option<Value>> {
    let message = tokio::time::timeout(SILENCE, requests.message()).await;
    let message = message.map_err(|_| unavailable("no more of the block comes"))??;
    Ok(message.and_then(|message| message.value))
}

/// The pages of a block on its way in.
struct Pages {
    length: u64,
    size: u64,
    sums: Vec<u32>,
    index: usize,
    received: u64,
    waiting: VecDeque<Bytes>,
    waiting_bytes: u64,
}

impl Pages {
    fn new(command: &MigrateBlockCommand, length: u64) -> Result<Pages> {
        let size = u64::try_from(command.page_size()).unwrap_or_default();
        let sums = command.page_sums.clone();
        // Of a block that was found without its page table there are none.
        let all = sums.len() as u64 == length.div_ceil(size.max(1));
        if size == 0 || !(all || sums.is_empty()) {
            return Err(invalid_argument("a block whose pages do not add up to its length"));
        }
        let (index, received, waiting_bytes) = Default::default();
        Ok(Pages { length, size, sums, index, received, waiting: VecDeque::new(), waiting_bytes })
    }

    /// The next page, verified; none after the last.
    async fn next(
        &mut self,
        requests: &mut Streaming<MigrateBlockRequest>,
    ) -> Result<Option<(usize, Vec<Bytes>)>> {
        let start = self.index as u64 * self.size;
        if start >= self.length {
            return Ok(None);
        }
        let wanted = self.size.min(self.length - start);
        while self.waiting_bytes < wanted {
            let data = match next(requests).await? {
                Some(Value::Chunk(chunk)) => chunk.data.unwrap_or_default(),
                Some(Value::Command(_)) => {
                    return Err(invalid_argument("a second command for one block"));
                }
                None => return Err(unavailable("the block ended early")),
            };
            self.received += data.len() as u64;
            if self.received > self.length {
                return Err(invalid_argument("more comes than the block has"));
            }
            self.waiting_bytes += data.len() as u64;
            self.waiting.push_back(data);
        }
        let pieces = self.take(wanted);
        let sum = pieces.iter().fold(0, |sum, piece| crc32c::crc32c_append(sum, piece));
        let index = self.index;
        if self.sums.get(index).is_some_and(|announced| *announced != sum) {
            return Err(data_loss(format!("page {index} does not match its checksum")));
        }
        self.index += 1;
        Ok(Some((index, pieces)))
    }

    fn take(&mut self, mut bytes: u64) -> Vec<Bytes> {
        self.waiting_bytes -= bytes;
        let mut pieces = Vec::new();
        while bytes > 0 {
            let Some(first) = self.waiting.front_mut() else { break };
            let piece = first.split_to((bytes as usize).min(first.len()));
            bytes -= piece.len() as u64;
            pieces.push(piece);
            if !first.has_remaining() {
                self.waiting.pop_front();
            }
        }
        pieces
    }
}
