//! What data on its way through a worker may take of its memory.
//!
//! Readers, writers and fills each have their share, since a reader may wait for a fill. Who finds
//! nothing left waits; a reader that has waited long is told so, and asks another worker. Without a
//! bound nobody waits.

use crate::core::error::{Error, ErrorKind, Result};
use crate::core::runtime::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: u64 = 1 << 20;
/// What a reader's pieces take: those read ahead, the one at hand, and the one being sent.
const READER: u64 = 6 * MIB;
/// What a writer's take: a step gathered, one on its way to the disk, and what has been received.
const WRITER: u64 = 4 * MIB;
/// What one read of an under store takes: a page on its way in, one landing, and the piece at hand.
const FILL: u64 = 4 * MIB;
/// How long a reader or writer waits for its turn.
const TURN: Duration = Duration::from_secs(30);

/// The memory of data on its way through.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shares: Option<Shares>,
}

#[derive(Clone, Debug)]
struct Shares {
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    fills: usize,
}

/// A turn, until it is dropped.
pub type Turn = Option<OwnedSemaphorePermit>;

impl Memory {
    /// So many bytes; 0 for half of what the process may have, and no bound where that has none.
    pub fn new(budget: u64) -> Self {
        let budget = match budget {
            0 => limits::memory().map(|limit| limit / 2),
            budget => Some(budget),
        };
        let of = |bytes: u64, each: u64| ((bytes / each) as usize).max(1);
        let shares = budget.map(|budget| Shares {
            readers: Arc::new(Semaphore::new(of(budget / 2, READER))),
            writers: Arc::new(Semaphore::new(of(budget / 4, WRITER))),
            fills: of(budget / 4, FILL),
        });
        if let (Some(budget), Some(shares)) = (budget, &shares) {
            limits::give_memory_back();
            tracing::info!(
                budget,
                readers = shares.readers.available_permits(),
                writers = shares.writers.available_permits(),
                fills = shares.fills,
                "memory is bounded"
            );
        }
        Memory { shares }
    }

    /// Whether there is a bound.
    pub fn is_bounded(&self) -> bool {
        self.shares.is_some()
    }

    /// Reads of under stores at a time, of `most`.
    pub fn fills(&self, most: usize) -> usize {
        self.shares.as_ref().map_or(most, |shares| shares.fills.min(most))
    }

    /// A reader's turn.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time.
    pub async fn reader(&self) -> Result<Turn> {
        turn(self.shares.as_ref().map(|shares| &shares.readers), "readers").await
    }

    /// A writer's turn.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time.
    pub async fn writer(&self) -> Result<Turn> {
        turn(self.shares.as_ref().map(|shares| &shares.writers), "writers").await
    }
}

async fn turn(share: Option<&Arc<Semaphore>>, who: &str) -> Result<Turn> {
    let Some(share) = share else { return Ok(None) };
    match tokio::time::timeout(TURN, share.clone().acquire_owned()).await {
        Ok(turn) => Ok(turn.ok()),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "this worker's memory is taken by other {who}; raise \
                 goosefs.worker.memory.budget, or the memory it may have"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_memory_left_waits_and_is_told() {
        let memory = Memory::new(24 * MIB);
        assert_eq!(memory.fills(64), 1);
        let first = memory.reader().await.unwrap();
        let second = memory.reader().await.unwrap();
        let error = memory.reader().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("goosefs.worker.memory.budget"), "{error}");
        // Writers have a share of their own.
        assert!(memory.writer().await.unwrap().is_some());
        drop(first);
        assert!(memory.reader().await.unwrap().is_some());
        drop(second);
        let unbounded = Memory::default();
        assert!(unbounded.reader().await.unwrap().is_none());
        assert_eq!(unbounded.fills(64), 64);
    }
}
