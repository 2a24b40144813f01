//! What data on its way through a worker may take of its memory.
//!
//! The budget is divided into shares, and each kind of work waits for a turn in its own:
//!
//! ```text
//! uploads ─┬─► passes ──► receipts        an arrow: who has a turn of the one may
//!          ╰─► readers ─► fills           wait for one of the other
//! writers
//! ```
//!
//! Nobody waits in a circle, here or over several workers, which is why there is not one pool for all:
//! the one with two needs would wait there for those who wait for him. A worker that sends a block has
//! a turn of its passes and needs a receipt's at the other, who needs no more; who persists or copies a
//! file has an upload's and needs a reader's or a pass's; a reader may need a fill. A client that writes to the cache
//! and the under store at once needs a writer's and an upload's, and may get them in either order: a
//! block's writer that no data comes for gives its turn back until some does, so that nobody waits for
//! a writer who waits for an upload. Where a fill asks another worker, where readers wait for fills, the
//! wait ends in time, and the fill goes to the under store.
//!
//! A stream that waits for its turn is not read, so what has come of it stays unread: a small window
//! each, which must not use up that of the connection, or the stream with the turn would starve.
//!
//! Turns are counted in bytes, by what the work may hold at most. Who finds nothing left waits; a
//! reader or writer that has waited long is told so, and asks another worker. Without a budget nobody waits.

use crate::core::error::{Error, ErrorKind, Result};
use crate::core::runtime::limits;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: u64 = 1 << 20;
/// What a permit of a share stands for.
const UNIT: u64 = 64 << 10;
/// What a reader's pieces take: those read ahead, the one at hand, and the one being sent.
const READER: u64 = 6 * MIB;
/// What a writer's take: a step gathered, one on its way to the disk, and what has been received.
const WRITER: u64 = 4 * MIB;
/// What is read of a block here to be sent or verified, besides a page: messages on their way out.
const PASS: u64 = 3 * MIB;
/// What has been received of a block that another worker sends, besides its pages.
const RECEIPT: u64 = 2 * MIB;
/// What one read of an under store takes besides pages: the piece at hand.
const FILL: u64 = 2 * MIB;
/// What is at hand of a file on its way to an under store, besides what its connector gathers.
const UPLOAD: u64 = 2 * MIB;
/// What a connector gathers of it, one part on its way: that one, and the next.
const PARTS: u64 = 16 * MIB;
/// How long a reader or writer waits for its turn.
const TURN: Duration = Duration::from_secs(30);
/// How long a block from another worker waits, a little less than its sender does.
const RECEIPT_TURN: Duration = Duration::from_secs(50);
/// How long a client that writes to an under store waits: those before it may have large files.
const UPLOAD_TURN: Duration = Duration::from_secs(300);

/// The memory of data on its way through.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shares: Option<Shares>,
}

#[derive(Clone, Debug)]
struct Shares {
    readers: Share,
    writers: Share,
    passes: Share,
    receipts: Share,
    uploads: Share,
    fills: usize,
    page: u64,
}

/// A part of the budget, and who waits for it.
#[derive(Clone, Debug)]
struct Share {
    who: &'static str,
    left: Arc<Semaphore>,
    units: u32,
}

/// A turn, until it is dropped.
pub type Turn = Option<OwnedSemaphorePermit>;

impl Memory {
    /// So many bytes, with pages of `page`; 0 for half of what the process may have, and no bound
    /// where that has none.
    pub fn new(budget: u64, page: u64) -> Self {
        let budget = match budget {
            0 => limits::memory().map(|limit| limit / 2),
            budget => Some(budget),
        };
        let shares = budget.map(|budget| Shares::of(budget, page));
        if let (Some(budget), Some(shares)) = (budget, &shares) {
            limits::give_memory_back();
            tracing::info!(budget, fills = shares.fills, "memory is bounded");
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
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.readers.turn(READER, TURN).await
    }

    /// A writer's turn.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time.
    pub async fn writer(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.writers.turn(WRITER, TURN).await
    }

    /// The turn of a block that another worker sends, with pages of `page`.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time; `ResourceExhausted` when it never can.
    pub async fn receipt(&self, page: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        let bytes = page.saturating_mul(2).saturating_add(RECEIPT);
        if bytes > u64::from(shares.receipts.units) * UNIT {
            let text = format!("a block with pages of {page} bytes: {}", shares.receipts.cure());
            return Err(Error::new(ErrorKind::ResourceExhausted, text));
        }
        shares.receipts.turn(bytes, RECEIPT_TURN).await
    }

    /// The turn of a client's file on its way to an under store.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time.
    pub async fn upload(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.uploads.turn(UPLOAD + PARTS, UPLOAD_TURN).await
    }

    /// The same of a job's file of `length` bytes. It is given up with the job.
    pub async fn job_upload(&self, length: u64) -> Turn {
        let shares = self.shares.as_ref()?;
        shares.uploads.wait(UPLOAD + length.min(PARTS)).await
    }

    /// The turn of a job that reads a block here, to send or to verify it. It is given up with the job.
    pub async fn pass(&self) -> Turn {
        let shares = self.shares.as_ref()?;
        shares.passes.wait(PASS + shares.page).await
    }
}

impl Shares {
    fn of(budget: u64, page: u64) -> Shares {
        let fill = FILL + 2 * page;
        let least = [READER, WRITER, PASS + page, RECEIPT + 2 * page, UPLOAD + PARTS, fill];
        let rest = budget.saturating_sub(least.iter().sum());
        // Each has room for one; of what is left over the most goes to those who are waited for.
        let share = |which: usize, sixteenths: u64| least[which] + rest / 16 * sixteenths;
        Shares {
            readers: Share::new("readers", share(0, 6)),
            writers: Share::new("writers", share(1, 2)),
            passes: Share::new("blocks on their way out", share(2, 1)),
            receipts: Share::new("blocks on their way in", share(3, 1)),
            uploads: Share::new("files on their way to under stores", share(4, 4)),
            fills: (share(5, 2) / fill) as usize,
            page,
        }
    }
}

impl Share {
    fn new(who: &'static str, bytes: u64) -> Share {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).min(1 << 28);
        Share { who, left: Arc::new(Semaphore::new(units as usize)), units }
    }

    async fn wait(&self, bytes: u64) -> Turn {
        let units = bytes.div_ceil(UNIT).min(u64::from(self.units)) as u32;
        self.left.clone().acquire_many_owned(units).await.ok()
    }

    async fn turn(&self, bytes: u64, patience: Duration) -> Result<Turn> {
        match tokio::time::timeout(patience, self.wait(bytes)).await {
            Ok(turn) => Ok(turn),
            Err(_) => Err(Error::new(ErrorKind::Unavailable, self.cure())),
        }
    }

    fn cure(&self) -> String {
        format!(
            "this worker's memory is taken by other {}; raise goosefs.worker.memory.budget, or the \
             memory it may have",
            self.who
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::least_worker_memory;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_memory_left_waits_and_is_told() {
        let memory = Memory::new(56 * MIB, MIB);
        assert_eq!(memory.fills(64), 1);
        let first = memory.reader().await.unwrap();
        let second = memory.reader().await.unwrap();
        let error = memory.reader().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("goosefs.worker.memory.budget"), "{error}");
        // Others have shares of their own.
        let _writer = memory.writer().await.unwrap().unwrap();
        let _pass = memory.pass().await.unwrap();
        let _receipt = memory.receipt(MIB).await.unwrap().unwrap();
        assert!(memory.receipt(1 << 30).await.is_err(), "pages that never fit");
        // Small files go up beside a large one that waits for nobody.
        let large = memory.upload().await.unwrap().unwrap();
        let _small = memory.job_upload(1000).await.unwrap();
        assert_eq!(memory.upload().await.unwrap_err().kind(), ErrorKind::Unavailable);
        drop(large);
        assert!(memory.upload().await.unwrap().is_some());
        drop((first, second));
        assert!(memory.reader().await.unwrap().is_some());
        let unbounded = Memory::default();
        assert!(unbounded.reader().await.unwrap().is_none());
        assert_eq!(unbounded.fills(64), 64);
    }

    #[test]
    fn shares_are_no_more_than_the_budget_from_the_least_on() {
        for page in [64 << 10, MIB, 16 * MIB] {
            let least = least_worker_memory(page);
            for budget in [least, least + 10 * MIB, 8 << 30] {
                let shares = Shares::of(budget, page);
                let all = [&shares.readers, &shares.writers, &shares.passes, &shares.receipts];
                let units: u64 = all.iter().map(|share| u64::from(share.units)).sum();
                let bytes = (units + u64::from(shares.uploads.units)) * UNIT
                    + shares.fills as u64 * (FILL + 2 * page);
                assert!(bytes <= budget, "{bytes} of {budget} bytes with pages of {page}");
            }
        }
    }
}
