//! A sequential read that runs ahead of its reader: the range is cut into parts, several of which
//! are on their way at a time, each in a task of its own.
//!
//! Memory has a bound, the window: parts in flight times the size of a part, whatever the reader
//! does. The first parts are small, so that a reader of the first kilobytes does not cause a
//! window's worth of traffic.

use super::super::context::Context;
use super::{Blocks, Part};
use crate::core::error::{Result, internal};
use crate::core::runtime::Group;
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Parts on their way at a time.
const IN_FLIGHT: u64 = 4;
/// Bytes in the first part.
const FIRST_PART: u64 = 256 << 10;
/// The least a part is cut to, however small the window.
const LEAST_PART: u64 = 64 << 10;

/// Cuts a range of a file into parts that never cross a block.
#[derive(Debug)]
struct Cutter {
    left: Range<u64>,
    block_size: u64,
    part: u64,
    largest: u64,
}

impl Cutter {
    fn new(range: Range<u64>, block_size: u64, window: u64) -> Self {
        let largest = (window / IN_FLIGHT).max(LEAST_PART);
        Cutter { left: range, block_size, part: FIRST_PART.min(largest), largest }
    }
}

impl Iterator for Cutter {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.left.is_empty() {
            return None;
        }
        let index = self.left.start / self.block_size;
        let offset = self.left.start % self.block_size;
        let in_block = self.block_size - offset;
        let in_range = self.left.end - self.left.start;
        let length = in_block.min(in_range).min(self.part);
        self.left.start += length;
        self.part = (self.part * 2).min(self.largest);
        Some(Part { index, offset, length, alone: false })
    }
}

/// A part as its task sends it. Unbounded in messages, bounded in bytes: a part is.
type Incoming = mpsc::UnboundedReceiver<Result<Bytes>>;

/// A range of a file on its way in, in order.
pub(in super::super) struct Prefetch {
    blocks: Blocks,
    cutter: Cutter,
    flying: VecDeque<(Part, u64, Incoming)>,
    group: Group,
    /// Ends the tasks when the reader goes.
    _stop: tokio_util::sync::DropGuard,
    stopped: CancellationToken,
    failed: bool,
}

impl Prefetch {
    /// Starts nothing yet: the first read does.
    pub(in super::super) fn new(blocks: Blocks, range: Range<u64>, window: u64) -> Self {
        let block_size = blocks.status().block_size.max(1);
        let context: &Arc<Context> = blocks.context();
        let group = context.group.clone();
        let stopped = CancellationToken::new();
        Prefetch {
            cutter: Cutter::new(range, block_size, window),
            blocks,
            flying: VecDeque::new(),
            group,
            _stop: stopped.clone().drop_guard(),
            stopped,
            failed: false,
        }
    }

    /// The next bytes; none at the end of the range.
    ///
    /// # Errors
    /// As [`super::BlockReader::next`]. After an error there is nothing more.
    pub(in super::super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.failed {
                return Ok(None);
            }
            self.fill();
            let Some((part, received, incoming)) = self.flying.front_mut() else { return Ok(None) };
            match incoming.recv().await {
                Some(Ok(bytes)) => {
                    *received += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => {
                    self.failed = true;
                    return Err(error);
                }
                None if *received == part.length => {
                    self.flying.pop_front();
                }
                None => {
                    self.failed = true;
                    return Err(internal("a read was stopped: the client is shutting down"));
                }
            }
        }
    }

    fn fill(&mut self) {
        while (self.flying.len() as u64) < IN_FLIGHT {
            let Some(part) = self.cutter.next() else { return };
            let (send, incoming) = mpsc::unbounded_channel();
            let blocks = self.blocks.clone();
            let stopped = self.stopped.clone();
            self.group.spawn_until_stop("prefetch", async move {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = fetch(blocks, part, send) => {}
                }
            });
            self.flying.push_back((part, 0, incoming));
        }
    }
}

async fn fetch(blocks: Blocks, part: Part, send: mpsc::UnboundedSender<Result<Bytes>>) {
    let mut reader = blocks.open(part).await;
    loop {
        match reader.next().await {
            Ok(Some(bytes)) => {
                if send.send(Ok(bytes)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                send.send(Err(error)).ok();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_range_in_order_and_never_cross_a_block() {
        let (start, end, block_size) = (700_000, 9_000_001, 1 << 20);
        let mut at = start;
        for part in Cutter::new(start..end, block_size, 8 << 20) {
            assert_eq!(part.index * block_size + part.offset, at);
            assert!(part.length > 0 && part.offset + part.length <= block_size);
            at += part.length;
        }
        assert_eq!(at, end);
        assert_eq!(Cutter::new(5..5, block_size, 8 << 20).count(), 0);
    }

    #[test]
    fn parts_grow_to_their_share_of_the_window() {
        let lengths: Vec<_> =
            Cutter::new(0..64 << 20, 64 << 20, 16 << 20).map(|part| part.length).collect();
        assert_eq!(lengths[..5], [256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20]);
        assert!(lengths.iter().all(|&length| length <= 4 << 20));
    }
}
