//! What data on its way through a worker may take of its memory.
//!
//! The budget is divided into shares, and each kind of work waits for a turn in its own:
//!
//! ```text
//! uploads ──┬─► passes ──► receipts        an arrow: who has a turn of the one may
//! of jobs   ╰─► readers ─► fills           wait for one of the other
//! uploads of clients
//! writers
//! ```
//!
//! No worker waits in a circle, here or over several of them, which is why there is not one pool
//! for all: the one with two needs would wait there for those who wait for him. A worker that sends
//! a block has a turn of its passes and needs a receipt's at the other, who needs no more; who
//! persists or copies a file has an upload's and needs a reader's or a pass's; a reader may need a
//! fill. Where a fill asks another worker, where readers wait for fills, the wait ends in time, and
//! the fill goes to the under store.
//!
//! Clients are not ours to order. One that writes to the cache and the under store at once needs a
//! writer's turn and an upload's, and may get them in either order: a block's writer that no data
//! comes for gives its turn back until some does, so that nobody waits for a writer who waits for
//! an upload. Two clients that each hold a reader and wait for an upload, or the other way round,
//! may wait for each other: that ends with the deadline of one of them. What a client keeps and
//! does not use never stops jobs, whose uploads have turns of their own, and it loses an upload's
//! turn to others who want one.
//!
//! A stream that waits for its turn is not read, so what has come of it stays unread: a small
//! window each, which must not use up that of the connection, or the stream with the turn would
//! starve. These windows are outside the budget, so only so many streams may wait to write, and
//! more are refused.
//!
//! Turns are counted in bytes, by what the work may hold at most, and come in the order in which
//! they were asked for. Who finds nothing left waits; a reader or writer that has waited long is
//! told so, and asks another worker; a job's work that waits where nobody is served fails, and
//! leaves its slot to other work. Without a budget nobody waits.

use crate::core::error::{Error, ErrorKind, Result};
use crate::core::runtime::limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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
/// How long a block from another worker waits: with what it waits before, less than its sender
/// does.
const RECEIPT_TURN: Duration = Duration::from_secs(40);
/// How long those wait who have begun, or whose forerunners may have large files.
const LONG_TURN: Duration = Duration::from_secs(300);
/// How long a file waits to be persisted while nobody gets a turn. The master tries it again.
const PERSIST_TURN: Duration = Duration::from_secs(60);
/// What a stream that waits may hold outside the budget: its window.
const WINDOW: u64 = 256 << 10;
/// Streams of a kind that may wait in any case.
const LEAST_WAITING: usize = 16;

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
    job_uploads: Share,
    fills: usize,
    page: u64,
}

/// A part of the budget, and who waits for it.
#[derive(Clone, Debug)]
struct Share {
    who: &'static str,
    left: Arc<Semaphore>,
    units: u32,
    queue: Arc<Queue>,
    /// How many may wait before others are refused.
    most: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: AtomicUsize,
    /// Turns given so far.
    given: AtomicU64,
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
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
    /// `Unavailable` when it does not come in time, or too many wait.
    pub async fn writer(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.writers.stream_turn(WRITER, TURN).await
    }

    /// The turn of a writer that gave its own back. What it has written is not lost for a short
    /// wait.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time.
    pub async fn writer_again(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.writers.turn(WRITER, LONG_TURN).await
    }

    /// Whether somebody waits for a writer's turn.
    pub fn wants_writer(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.writers.is_wanted())
    }

    /// The turn of a block that another worker sends, with pages of `page`.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time, or too many wait; `ResourceExhausted` when it
    /// never can.
    pub async fn receipt(&self, page: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        let bytes = page.saturating_mul(2).saturating_add(RECEIPT);
        if bytes > u64::from(shares.receipts.units) * UNIT {
            let text = format!("a block with pages of {page} bytes: {}", shares.receipts.cure());
            return Err(Error::new(ErrorKind::ResourceExhausted, text));
        }
        shares.receipts.stream_turn(bytes, RECEIPT_TURN).await
    }

    /// The turn of a client's file on its way to an under store.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time, or too many wait.
    pub async fn upload(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.uploads.stream_turn(UPLOAD + PARTS, LONG_TURN).await
    }

    /// Whether somebody waits for such a turn.
    pub fn wants_upload(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.uploads.is_wanted())
    }

    /// The turn of a file of `length` bytes that is persisted.
    ///
    /// # Errors
    /// `Unavailable` when nobody has got one for a while.
    pub async fn persist(&self, length: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.job_uploads.moving_turn(UPLOAD + length.min(PARTS), PERSIST_TURN).await
    }

    /// The turn of a file of `length` bytes that a job copies.
    ///
    /// # Errors
    /// `Unavailable` when nobody has got one for long.
    pub async fn copy(&self, length: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.job_uploads.moving_turn(UPLOAD + length.min(PARTS), LONG_TURN).await
    }

    /// The turn of who reads a block here, to send or to verify it.
    ///
    /// # Errors
    /// `Unavailable` when nobody has got one for long.
    pub async fn pass(&self) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(None) };
        shares.passes.moving_turn(PASS.saturating_add(shares.page), LONG_TURN).await
    }
}

impl Shares {
    fn of(budget: u64, page: u64) -> Shares {
        let (pass, pages) = (PASS.saturating_add(page), page.saturating_mul(2));
        let (receipt, fill) = (RECEIPT.saturating_add(pages), FILL.saturating_add(pages));
        let least = [READER, WRITER, pass, receipt, UPLOAD + PARTS, UPLOAD + PARTS, fill];
        let all = least.iter().fold(0, |sum: u64, least| sum.saturating_add(*least));
        let rest = budget.saturating_sub(all);
        // Each has room for one; of what is left over the most goes to those who are waited for.
        let part =
            |which: usize, sixteenths: u64| least[which].saturating_add(rest / 16 * sixteenths);
        let most = usize::try_from(budget / 8 / WINDOW).unwrap_or(usize::MAX).max(LEAST_WAITING);
        let share = |who, bytes| Share::new(who, bytes, most);
        Shares {
            readers: share("readers", part(0, 6)),
            writers: share("writers", part(1, 2)),
            passes: share("blocks on their way out", part(2, 1)),
            receipts: share("blocks on their way in", part(3, 1)),
            uploads: share("files that clients write to under stores", part(4, 2)),
            job_uploads: share("files that are persisted or copied to under stores", part(5, 2)),
            fills: (part(6, 2) / fill) as usize,
            page,
        }
    }
}

impl Share {
    fn new(who: &'static str, bytes: u64, most: usize) -> Share {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).min(1 << 28);
        let left = Arc::new(Semaphore::new(units as usize));
        Share { who, left, units, queue: Arc::default(), most }
    }

    fn is_wanted(&self) -> bool {
        self.queue.waiting.load(Ordering::Relaxed) > 0
    }

    async fn wait(&self, bytes: u64) -> Turn {
        self.queue.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.queue);
        let units = bytes.div_ceil(UNIT).min(u64::from(self.units)) as u32;
        let turn = self.left.clone().acquire_many_owned(units).await.ok();
        self.queue.given.fetch_add(1, Ordering::Relaxed);
        turn
    }

    async fn turn(&self, bytes: u64, patience: Duration) -> Result<Turn> {
        let turn = tokio::time::timeout(patience, self.wait(bytes)).await;
        turn.map_err(|_| Error::new(ErrorKind::Unavailable, self.cure()))
    }

    /// The turn of a stream, of which data may come while it waits.
    async fn stream_turn(&self, bytes: u64, patience: Duration) -> Result<Turn> {
        let waiting = self.queue.waiting.load(Ordering::Relaxed);
        if waiting >= self.most {
            let text = format!("{waiting} wait already: {}", self.cure());
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        self.turn(bytes, patience).await
    }

    /// A turn that is waited for as long as others get theirs: it comes nearer then.
    async fn moving_turn(&self, bytes: u64, patience: Duration) -> Result<Turn> {
        let wait = self.wait(bytes);
        tokio::pin!(wait);
        loop {
            let before = self.queue.given.load(Ordering::Relaxed);
            if let Ok(turn) = tokio::time::timeout(patience, &mut wait).await {
                return Ok(turn);
            }
            if self.queue.given.load(Ordering::Relaxed) == before {
                return Err(Error::new(ErrorKind::Unavailable, self.cure()));
            }
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
        let memory = Memory::new(74 * MIB, MIB);
        assert_eq!(memory.fills(64), 1);
        let first = memory.reader().await.unwrap();
        let second = memory.reader().await.unwrap();
        let error = memory.reader().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("goosefs.worker.memory.budget"), "{error}");
        // Others have shares of their own.
        let _writer = memory.writer().await.unwrap().unwrap();
        let _pass = memory.pass().await.unwrap().unwrap();
        let _receipt = memory.receipt(MIB).await.unwrap().unwrap();
        assert!(memory.receipt(1 << 30).await.is_err(), "pages that never fit");
        let client = memory.upload().await.unwrap().unwrap();
        assert_eq!(memory.upload().await.unwrap_err().kind(), ErrorKind::Unavailable);
        // Jobs do not wait for clients; small files go up beside a large one.
        let large = memory.persist(1 << 40).await.unwrap().unwrap();
        let _small = memory.persist(0).await.unwrap().unwrap();
        for error in [memory.persist(1 << 40).await.unwrap_err(), memory.copy(1).await.unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.to_string().contains("goosefs.worker.memory.budget"), "{error}");
        }
        drop((client, large));
        assert!(memory.upload().await.unwrap().is_some());
        assert!(memory.copy(1 << 40).await.unwrap().is_some());
        drop((first, second));
        assert!(memory.reader().await.unwrap().is_some());
        let unbounded = Memory::default();
        assert!(unbounded.reader().await.unwrap().is_none());
        assert_eq!(unbounded.fills(64), 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_waits_longer_where_others_get_their_turns() {
        let memory = Memory::new(least_worker_memory(MIB), MIB);
        let began = tokio::time::Instant::now();
        let files = (0..9).map(|_| async {
            let _turn = memory.persist(1 << 30).await.unwrap();
            tokio::time::sleep(PERSIST_TURN * 3 / 4).await;
        });
        futures::future::join_all(files).await;
        assert!(began.elapsed() > PERSIST_TURN * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_streams_wait_and_those_that_have_begun_wait_longer() {
        let memory = Memory::new(least_worker_memory(MIB), MIB);
        let first = memory.writer().await.unwrap();
        assert!(!memory.wants_writer());
        let most = memory.shares.as_ref().unwrap().writers.most;
        assert!((LEAST_WAITING..100).contains(&most), "{most}");
        let streams: Vec<_> = (0..most)
            .map(|_| {
                let memory = memory.clone();
                tokio::spawn(async move { memory.writer_again().await.map(drop) })
            })
            .collect();
        tokio::time::sleep(TURN * 2).await;
        assert!(memory.wants_writer());
        let began = tokio::time::Instant::now();
        let error = memory.writer().await.unwrap_err();
        assert!(error.to_string().contains("wait already"), "{error}");
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Unavailable, Duration::ZERO));
        drop(first);
        for stream in streams {
            stream.await.unwrap().unwrap();
        }
        assert!(!memory.wants_writer());
        assert!(memory.writer().await.unwrap().is_some());
    }

    #[test]
    fn shares_are_no_more_than_the_budget_from_the_least_on() {
        for page in [64 << 10, MIB, 16 * MIB] {
            let least = least_worker_memory(page);
            for budget in [least, least + 10 * MIB, 8 << 30] {
                let shares = Shares::of(budget, page);
                let streams = [&shares.readers, &shares.writers, &shares.receipts, &shares.uploads];
                let jobs = [&shares.passes, &shares.job_uploads];
                let all = streams.into_iter().chain(jobs);
                let units: u64 = all.map(|share| u64::from(share.units)).sum();
                let bytes = units * UNIT + shares.fills as u64 * (FILL + 2 * page);
                assert!(bytes <= budget, "{bytes} of {budget} bytes with pages of {page}");
            }
        }
        Shares::of(1 << 30, u64::MAX);
    }
}
