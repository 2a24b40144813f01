//! What file data on its way through a client may take of its memory.
//!
//! A mounted directory has any number of readers and writers, and a bound on what all of them hold. The
//! budget is divided into shares, so that nobody waits in a circle:
//!
//! ```text
//! reads      wait      a read, until its bytes are with the reader
//! writes     never     bytes that are written, until the connection has sent them
//! pieces     wait      the same for files that find nothing left of `writes`: little, and one at a time
//! gathered   never     small writes that go on together; without a turn each goes on by itself
//! held       never     what a worker was sent, so that another can be given it
//! metadata   counted   entries of the cache
//! ```
//!
//! A worker may take in one file after another, and the one whose turn it is there must get on whoever
//! else waits for that worker with all of `writes` on his way. So each file has a piece of its own in any
//! case. A file that is open and not written to holds at most what it has gathered.
//!
//! Bytes carry their turns: one ends when the last who has the bytes lets go of them, be it the connection.
//!
//! Bytes that have come and nobody has taken yet need no windows smaller than usual: a worker sends no
//! more than was asked for. While a read is handed on it takes twice what its turn counts, for a moment.
//! By default as many reads of a megabyte have turns as the kernel has on its way at a time, so that those
//! of a slow store keep no others waiting.

use crate::core::error::{Error, ErrorKind, Result, invalid_argument};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: u64 = 1 << 20;
/// What a permit of a share stands for.
const UNIT: u64 = 4 << 10;
/// The most of a chunk, and what callers should read or write at a time.
const CHUNK: u64 = MIB;
/// What four reads at a time take.
const READS: u64 = 4 * CHUNK;
/// What two files that are written take: what is being written, and a chunk on its way.
const WRITES: u64 = 4 * CHUNK;
/// What a file sends at a time that finds nothing left.
const PIECE: u64 = 16 << 10;
/// Pieces of so many files at a time in any case.
const PIECES: u64 = 64 * PIECE;
/// Small writes go on together up to this.
const GATHERED: u64 = 128 << 10;
/// What an entry of the metadata cache takes: its status, its paths and owners, and its places in tables.
/// Files of an under store were measured at 1.05 KiB, with short paths.
const ENTRY: u64 = 1280;
/// Entries that a client cannot do without.
const ENTRIES: u64 = 4 << 10;
/// How long one waits where nobody gives anything back.
const PATIENCE: Duration = Duration::from_secs(300);

/// The memory of data on its way through. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shares: Option<Arc<Shares>>,
}

#[derive(Debug)]
struct Shares {
    reads: Share,
    writes: Share,
    pieces: Share,
    gathered: Share,
    held: Share,
    entries: u64,
}

/// A part of the budget.
#[derive(Debug)]
struct Share {
    who: &'static str,
    left: Arc<Semaphore>,
    units: u32,
    /// Turns that have ended.
    ended: Arc<AtomicU64>,
}

/// A turn, until the last of its clones is dropped.
#[derive(Clone, Debug, Default)]
pub struct Turn(Option<Arc<Given>>);

#[derive(Debug)]
struct Given {
    _permit: OwnedSemaphorePermit,
    /// The room of the file itself, where it is a piece.
    _own: Option<OwnedSemaphorePermit>,
    ended: Arc<AtomicU64>,
}

impl Drop for Given {
    fn drop(&mut self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A file that is written: it has one piece at a time on its way, whatever others have.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Semaphore>);

impl Default for Lane {
    fn default() -> Self {
        Lane(Arc::new(Semaphore::new(1)))
    }
}

impl Memory {
    /// The least budget: a few of each, and a small metadata cache.
    pub const LEAST: u64 = READS + WRITES + PIECES + GATHERED + ENTRIES * ENTRY;

    /// So many bytes, of which `entries` of the metadata cache are a part; 0 for no bound.
    ///
    /// # Errors
    /// `InvalidArgument` for fewer than [`Memory::LEAST`].
    pub fn new(budget: u64, entries: u64) -> Result<Self> {
        if budget == 0 {
            return Ok(Memory::default());
        }
        let Some(rest) = budget.checked_sub(Self::LEAST) else {
            return Err(invalid_argument(format!(
                "goosefs.fuse.memory.budget ({budget}) does not hold four reads, two files being \
                 written and a small metadata cache; give it {} or more, or 0",
                Self::LEAST
            )));
        };
        Ok(Memory { shares: Some(Arc::new(Shares::of(rest, entries))) })
    }

    /// Whether there is a bound.
    pub fn is_bounded(&self) -> bool {
        self.shares.is_some()
    }

    /// Entries that a metadata cache may have, of `most`.
    pub fn entries(&self, most: u64) -> u64 {
        self.shares.as_ref().map_or(most, |shares| shares.entries.min(most))
    }

    /// Bytes in a chunk, of `most`.
    pub(super) fn chunk(&self, most: u64) -> u64 {
        if self.is_bounded() { most.min(CHUNK) } else { most }
    }

    /// Small writes go on together up to so many bytes, of `most`.
    pub(super) fn gathered(&self, most: u64) -> u64 {
        if self.is_bounded() { most.min(GATHERED) } else { most }
    }

    /// The turn of a read of `length` bytes.
    ///
    /// # Errors
    /// `DeadlineExceeded` when nobody has given anything back for minutes.
    pub async fn read(&self, length: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(Turn::default()) };
        shares.reads.wait(length).await
    }

    /// A turn for `length` bytes that are to be written; none when there is no room.
    pub fn write_now(&self, length: u64) -> Option<Turn> {
        self.take(|shares| &shares.writes, length)
    }

    /// The same, when there is.
    ///
    /// # Errors
    /// `DeadlineExceeded` when nobody has given anything back for minutes.
    pub async fn write(&self, length: u64) -> Result<Turn> {
        let Some(shares) = &self.shares else { return Ok(Turn::default()) };
        shares.writes.wait(length).await
    }

    /// A turn for the next of `wanted` bytes that are written to the file of `lane`, and how many: as many
    /// as there is room for, but some in any case once the piece before has gone.
    pub(super) async fn next(&self, lane: &Lane, wanted: u64) -> Result<(Turn, u64)> {
        let Some(shares) = &self.shares else { return Ok((Turn::default(), wanted)) };
        let (most, least) = (wanted.min(CHUNK), wanted.min(PIECE));
        if let Some(turn) = shares.writes.take(most) {
            return Ok((turn, most));
        }
        let own = lane.0.clone().acquire_owned().await.ok();
        let permit = shares.pieces.permit(least).await?;
        Ok((shares.pieces.give(permit, own), least))
    }

    /// A turn for `length` bytes of small writes; none when nothing is left.
    pub(super) fn gather(&self, length: u64) -> Option<Turn> {
        self.take(|shares| &shares.gathered, length)
    }

    /// A turn for `length` bytes that were sent and may have to be sent again; none when nothing is left.
    pub(super) fn hold(&self, length: u64) -> Option<Turn> {
        self.take(|shares| &shares.held, length)
    }

    fn take(&self, share: impl FnOnce(&Shares) -> &Share, bytes: u64) -> Option<Turn> {
        match &self.shares {
            Some(shares) => share(shares).take(bytes),
            None => Some(Turn::default()),
        }
    }
}

impl Shares {
    fn of(rest: u64, entries: u64) -> Shares {
        let sixteenths = |count: u64| rest / 16 * count;
        let metadata = ENTRIES * ENTRY + sixteenths(8);
        let entries = (metadata / ENTRY).min(entries.max(1));
        // What the cache does not need is for data.
        let spared = (metadata - entries * ENTRY) / 3;
        let more = |count| sixteenths(count) + spared;
        Shares {
            reads: Share::new("reads", READS + more(4)),
            writes: Share::new("writes", WRITES + more(2)),
            pieces: Share::new("writes", PIECES + sixteenths(1) / 2),
            gathered: Share::new("writes", GATHERED + sixteenths(1) / 2),
            held: Share::new("writes", more(1)),
            entries,
        }
    }
}

impl Share {
    fn new(who: &'static str, bytes: u64) -> Share {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).min(1 << 28);
        let left = Arc::new(Semaphore::new(units as usize));
        Share { who, left, units, ended: Arc::default() }
    }

    async fn wait(&self, bytes: u64) -> Result<Turn> {
        match self.take(bytes) {
            Some(turn) => Ok(turn),
            None => Ok(self.give(self.permit(bytes).await?, None)),
        }
    }

    /// Waits as long as others get on; one that asks for more than there is has all of it.
    async fn permit(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let units = bytes.div_ceil(UNIT).min(u64::from(self.units)) as u32;
        let permit = self.left.clone().acquire_many_owned(units);
        tokio::pin!(permit);
        loop {
            let before = self.ended.load(Ordering::Relaxed);
            match tokio::time::timeout(PATIENCE, &mut permit).await {
                Ok(permit) => return Ok(permit.expect("the semaphore is never closed")),
                Err(_) if self.ended.load(Ordering::Relaxed) == before => return Err(self.stuck()),
                Err(_) => {}
            }
        }
    }

    fn take(&self, bytes: u64) -> Option<Turn> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = self.left.clone().try_acquire_many_owned(units).ok()?;
        Some(self.give(permit, None))
    }

    fn give(&self, permit: OwnedSemaphorePermit, own: Option<OwnedSemaphorePermit>) -> Turn {
        let ended = self.ended.clone();
        Turn(Some(Arc::new(Given { _permit: permit, _own: own, ended })))
    }

    fn stuck(&self) -> Error {
        let text = format!(
            "this mount's memory is taken by other {}, of which none has ended for {} s: see what their \
             workers wait for, or raise goosefs.fuse.memory.budget",
            self.who,
            PATIENCE.as_secs()
        );
        Error::new(ErrorKind::DeadlineExceeded, text)
    }
}

/// `bytes` whose turn ends with the last of their clones and slices.
pub(super) fn carrying(bytes: Bytes, turn: Turn) -> Bytes {
    struct Carried {
        bytes: Bytes,
        _turn: Turn,
    }
    impl AsRef<[u8]> for Carried {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    match turn.0 {
        Some(_) => Bytes::from_owner(Carried { bytes, _turn: turn }),
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(share: &Share) -> u64 {
        share.left.available_permits() as u64 * UNIT
    }

    #[test]
    fn shares_are_no_more_than_the_budget_from_the_least_on() {
        for budget in [Memory::LEAST, Memory::LEAST + 1, 48 * MIB, 256 * MIB, 8 << 30] {
            for entries in [0, 1, 10_000, 200_000, u64::MAX] {
                let memory = Memory::new(budget, entries).unwrap();
                let shares = memory.shares.as_ref().unwrap();
                let all = [&shares.reads, &shares.writes, &shares.pieces, &shares.gathered];
                let bytes: u64 = all.iter().map(|share| left(share)).sum();
                let bytes = bytes + left(&shares.held) + memory.entries(entries) * ENTRY;
                assert!(bytes <= budget + ENTRY, "{bytes} of {budget} with {entries} entries");
                assert!(memory.write_now(CHUNK).is_some() && memory.gather(GATHERED).is_some());
            }
        }
        Memory::new(u64::MAX, u64::MAX).unwrap();
        let error = Memory::new(Memory::LEAST - 1, 1).unwrap_err().to_string();
        assert!(error.contains(&Memory::LEAST.to_string()), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_waits_until_the_bytes_of_another_are_gone() {
        let memory = Memory::new(Memory::LEAST, ENTRIES).unwrap();
        let mut read = Vec::new();
        for _ in 0..4 {
            let turn = memory.read(MIB).await.unwrap();
            read.push(carrying(Bytes::from(vec![7; MIB as usize]), turn));
        }
        let slice = read[0].slice(5..6);
        read.remove(0);
        let late = tokio::time::timeout(Duration::from_secs(1), memory.read(MIB)).await;
        assert!(late.is_err(), "a slice is left, and all of the bytes with it");
        drop(slice);
        memory.read(MIB).await.unwrap();
        drop(read);
        memory.read(1 << 40).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_where_others_get_on_gets_on_and_else_is_told_of_the_setting() {
        let memory = Memory::new(Memory::LEAST, ENTRIES).unwrap();
        let reads = (0..9).map(|_| async {
            let _turn = memory.read(MIB * 4).await.unwrap();
            tokio::time::sleep(PATIENCE * 3 / 4).await;
        });
        futures::future::join_all(reads).await;
        let _all = memory.read(1 << 40).await.unwrap();
        let error = memory.read(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
        assert!(error.to_string().contains("goosefs.fuse.memory.budget"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_finds_nothing_left_sends_one_piece_at_a_time_whatever_others_do() {
        let memory = Memory::new(Memory::LEAST, ENTRIES).unwrap();
        let (first, second) = (Lane::default(), Lane::default());
        let mut taken = Vec::new();
        loop {
            let (turn, bytes) = memory.next(&first, MIB * 9).await.unwrap();
            taken.push(turn);
            if bytes != CHUNK {
                assert_eq!(bytes, PIECE);
                break;
            }
        }
        let again = |lane| tokio::time::timeout(Duration::from_secs(1), memory.next(lane, 7));
        assert!(again(&first).await.is_err(), "its piece has not gone");
        let (piece, bytes) = again(&second).await.unwrap().unwrap();
        assert_eq!(bytes, 7);
        assert!(again(&second).await.is_err());
        drop(piece);
        again(&second).await.unwrap().unwrap();
        drop(taken);
        assert_eq!(memory.next(&second, MIB * 9).await.unwrap().1, CHUNK);
    }

    #[tokio::test]
    async fn without_a_budget_nobody_waits() {
        let memory = Memory::new(0, 7).unwrap();
        memory.read(u64::MAX).await.unwrap();
        assert!(memory.write_now(u64::MAX).is_some() && memory.gather(u64::MAX).is_some());
        assert_eq!(memory.next(&Lane::default(), u64::MAX).await.unwrap().1, u64::MAX);
        assert_eq!((memory.entries(7), memory.chunk(8 << 20)), (7, 8 << 20));
    }
}
