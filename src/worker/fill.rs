//! Fetching what is missing of a block, once, however many ask.
//!
//! A [`Fill`] is one block on its way in. Readers say which pages they want and wait for each; pages
//! that nobody fetches yet are fetched in runs, several at a time, and land one by one, so a reader
//! has its first bytes after the first page. All reads name the version the block is pinned to: when
//! the object turns out to be another, what was filled is dropped, and everyone who waits is told.
//! A block that belonged to another worker until lately is copied from there ([`Peers`]).

use super::metrics::Counts;
use super::mounts::{Source, Wanted};
use super::peers::Peers;
use super::store::{Block, BlockStore, Held, is_full};
use crate::core::error::{Error, ErrorKind, Result, internal, unavailable};
use crate::core::metrics::Counter;
use crate::core::model::{BlockId, WorkerAddress};
use crate::core::runtime::{Group, Rate};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// A read of an under store fetches at least this much, where that much is missing: a small block
/// costs one read.
const RUN_MIN: u64 = 4 << 20;
/// And at most this much.
const RUN_MAX: u64 = 8 << 20;
/// Reads of under stores at a time, over all blocks; each holds about one page in memory.
pub const READS: usize = 64;
/// Blocks filled in the background at a time; more than that are not, and will be when they are read.
const BEHIND: usize = 64;
/// How long a store may be silent in the middle of a read.
const SILENCE: Duration = Duration::from_secs(60);
/// Attempts at a read that fails for a passing reason; the connector has its own beneath.
const ATTEMPTS: u32 = 3;

/// Reads of under stores at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one block.
    pub of_a_block: u32,
    /// For all of them.
    pub in_all: usize,
}

/// Everything that is being filled. Clones share it.
#[derive(Clone)]
pub struct Filler {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<BlockStore>,
    group: Group,
    fills: Mutex<HashMap<BlockId, Weak<Fill>>>,
    concurrency: usize,
    reads: Semaphore,
    behind: Arc<Semaphore>,
    peers: Option<Arc<Peers>>,
    counts: Counts,
}

/// One block on its way in.
pub struct Fill {
    shared: Arc<Shared>,
    block: Arc<Block>,
    source: Source,
    page_size: u64,
    /// Reads of this block at a time.
    slots: Semaphore,
    state: Mutex<State>,
    /// Counts what happened: pages that landed, reads that failed.
    events: watch::Sender<u64>,
}

/// A block that has been filled.
pub struct Filled {
    /// The block, which does not go before whoever had it filled has seen to it.
    pub block: Held,
    /// Whether anything had to be fetched.
    pub fetched: bool,
}

#[derive(Default)]
struct State {
    in_flight: HashSet<usize>,
    failures: u64,
    last: Option<(ErrorKind, String)>,
    /// The object is not what this block is of: nothing will come any more.
    dead: bool,
    /// Keeps the file open between pages.
    file: Option<Arc<File>>,
    /// Workers that are asked before the under store is, the first one next.
    peers: Vec<WorkerAddress>,
}

impl Filler {
    /// Nothing is being filled. Reads run within `limits`, in `group`; `peers` are asked for what used to be theirs.
    pub fn new(
        store: Arc<BlockStore>,
        group: Group,
        limits: Limits,
        peers: Option<Arc<Peers>>,
        counts: Counts,
    ) -> Self {
        let shared = Shared {
            store,
            group,
            fills: Mutex::default(),
            concurrency: limits.of_a_block.max(1) as usize,
            reads: Semaphore::new(limits.in_all.max(1)),
            behind: Arc::new(Semaphore::new(BEHIND)),
            peers,
            counts,
        };
        Filler { shared: Arc::new(shared) }
    }

    /// The fill of a block: the one under way, or a new one, which fetches nothing yet.
    ///
    /// # Errors
    /// `ResourceExhausted` when the block does not fit into any directory; `Changed` when it is
    /// being filled from another version.
    pub async fn open(&self, wanted: &Wanted) -> Result<Arc<Fill>> {
        let fits = |block: &Block| {
            let version = block.version();
            (version.is_empty() || version == wanted.source.version)
                && block.length() == wanted.length
        };
        let stale = self.shared.store.peek(wanted.block).filter(|block| !fits(block));
        if let Some(stale) = stale {
            self.drop_stale(stale).await?;
        }
        // Declared first, so dropped last: the end of a fill takes the lock, too.
        let under_way;
        let mut fills = self.shared.fills.lock();
        under_way = fills.get(&wanted.block).and_then(Weak::upgrade);
        let usable = |fill: &Arc<Fill>| {
            !fill.state.lock().dead && !fill.block.is_removed() && fits(&fill.block)
        };
        if let Some(fill) = under_way.as_ref().filter(|fill| usable(fill)) {
            return Ok(fill.clone());
        }
        let version = &wanted.source.version;
        let block = self.shared.store.begin(wanted.block, wanted.length, version, wanted.mount)?;
        if !fits(&block) {
            return Err(changed(wanted.block));
        }
        let peers = self.shared.peers.as_ref();
        let peers = peers.map(|peers| peers.likely(wanted.block)).unwrap_or_default();
        block.set_filling(true);
        let fill = Arc::new(Fill {
            shared: self.shared.clone(),
            page_size: block.page_size(),
            block,
            source: wanted.source.clone(),
            slots: Semaphore::new(self.shared.concurrency),
            state: Mutex::new(State { peers, ..Default::default() }),
            events: watch::Sender::new(0),
        });
        fills.insert(wanted.block, Arc::downgrade(&fill));
        Ok(fill)
    }

    /// Fills a whole block at `pace` and waits for it, telling `landed` of bytes as they come.
    ///
    /// # Errors
    /// Why it could not be filled.
    pub async fn fill(&self, wanted: &Wanted, pace: &Rate, landed: impl Fn(u64)) -> Result<Filled> {
        let fill = self.open(wanted).await?;
        let block = Held::new(fill.block.clone());
        let fetched = !fill.block.is_whole();
        let step = pace.step().map_or(fill.pages(), |bytes| (bytes / fill.page_size) as usize);
        let step = step.max(1);
        for from in (0..fill.pages()).step_by(step) {
            let pages = from..(from + step).min(fill.pages());
            let missing = pages.clone().filter(|&page| !fill.block.has_page(page));
            pace.take(missing.map(|page| fill.page_length(page)).sum()).await;
            let ticket = fill.want(pages.clone());
            for page in pages {
                fill.wait(page, ticket).await?;
                landed(fill.page_length(page));
            }
        }
        Ok(Filled { block, fetched })
    }

    /// Fills a block with nobody waiting for it; does nothing when too many are.
    pub fn fill_behind(&self, wanted: impl Future<Output = Result<Wanted>> + Send + 'static) {
        let Ok(permit) = self.shared.behind.clone().try_acquire_owned() else { return };
        let filler = self.clone();
        self.shared.group.spawn_until_stop("fill behind", async move {
            let filled =
                async { filler.fill(&wanted.await?, &Rate::default(), |_| {}).await }.await;
            match filled {
                // A mount that may take no more of the cache says so for every block of it.
                Err(error) if is_full(error.kind()) => tracing::debug!(%error, "not filled"),
                Err(error) => tracing::info!(%error, "a block was not filled"),
                Ok(_) => {}
            }
            drop(permit);
        });
    }

    /// Makes way for another version of the same block. The only copy never does.
    async fn drop_stale(&self, block: Arc<Block>) -> Result<()> {
        if block.is_unpersisted() {
            return Err(changed(block.id()));
        }
        tracing::info!(block = %block.id(), "dropped: it is of another version than asked for");
        let store = self.shared.store.clone();
        run_blocking(move || store.discard(&block)).await
    }
}

fn changed(id: BlockId) -> Error {
    Error::new(
        ErrorKind::Changed,
        format!("block {id} is here in another version than asked for: look the file up again"),
    )
}

impl Fill {
    /// The block.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Pages in the block.
    pub fn pages(&self) -> usize {
        self.block.length().div_ceil(self.page_size) as usize
    }

    fn page_length(&self, page: usize) -> u64 {
        self.page_size.min(self.block.length() - page as u64 * self.page_size)
    }

    /// Pages of the shortest read: how far ahead of itself a reader asks at first.
    pub fn run_min(&self) -> usize {
        (RUN_MIN / self.page_size).max(1) as usize
    }

    /// Pages that can be on their way at a time.
    pub fn run_all(&self) -> usize {
        (RUN_MAX / self.page_size).max(1) as usize * self.shared.concurrency
    }

    /// Has those of `pages` fetched that are missing. Returns a ticket to [`wait`](Fill::wait) with.
    pub fn want(self: &Arc<Self>, pages: Range<usize>) -> u64 {
        let mut state = self.state.lock();
        let missing: Vec<usize> = pages
            .filter(|&page| !self.block.has_page(page) && !state.in_flight.contains(&page))
            .collect();
        if !state.dead {
            let most = (RUN_MAX / self.page_size).max(1) as usize;
            let share = missing.len().div_ceil(self.shared.concurrency);
            let run = share.clamp(self.run_min(), most);
            for neighbours in missing.chunk_by(|a, b| a + 1 == *b) {
                for pages in neighbours.chunks(run) {
                    state.in_flight.extend(pages);
                    self.spawn(pages[0]..pages[pages.len() - 1] + 1);
                }
            }
        }
        state.failures
    }

    /// Waits until `page` has landed.
    ///
    /// # Errors
    /// Why a read failed since the ticket was made.
    pub async fn wait(&self, page: usize, ticket: u64) -> Result<()> {
        let mut events = self.events.subscribe();
        loop {
            if self.block.has_page(page) {
                return Ok(());
            }
            {
                let state = self.state.lock();
                if state.failures > ticket || state.dead {
                    let (kind, text) =
                        state.last.clone().unwrap_or((ErrorKind::Aborted, "".into()));
                    return Err(Error::new(kind, text));
                }
            }
            if events.changed().await.is_err() {
                return Err(internal("a fill ended without a word"));
            }
        }
    }

    fn spawn(self: &Arc<Self>, pages: Range<usize>) {
        let mut run = Run { fill: self.clone(), pages, failure: None };
        self.shared.counts.misses.inc_by(run.pages.len() as u64);
        self.shared.group.spawn_until_stop("fill", async move {
            let fill = run.fill.clone();
            let _slot = fill.slots.acquire().await.expect("never closed");
            let _read = fill.shared.reads.acquire().await.expect("never closed");
            if let Err(error) = run.fetch_patiently().await {
                if ends_fill(error.kind()) {
                    fill.discard(&error).await;
                }
                run.fail(error);
            }
        });
    }

    /// Drops what was filled: it is of an object that is not there any more.
    async fn discard(&self, why: &Error) {
        tracing::info!(block = %self.block.id(), error = %why, "what was filled is dropped");
        let (store, block) = (self.shared.store.clone(), self.block.clone());
        if let Err(error) = run_blocking(move || store.discard(&block)).await {
            tracing::warn!(%error, "dropping a block");
        }
    }
}

/// Whether an error says that the object is not the one the block is of.
fn ends_fill(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Changed | ErrorKind::NotFound)
}

impl Drop for Fill {
    fn drop(&mut self) {
        let mut fills = self.shared.fills.lock();
        if fills.get(&self.block.id()).is_none_or(|fill| fill.strong_count() > 0) {
            return;
        }
        fills.remove(&self.block.id());
        self.block.set_filling(false);
        // Under the lock: the next fill begins another block.
        let is_out = self.shared.store.take_out_empty(&self.block);
        drop(fills);
        if is_out {
            discard_behind(self.shared.store.clone(), self.block.clone());
        }
    }
}

/// Removes a block that is in no table any more, away from the runtime's threads.
fn discard_behind(store: Arc<BlockStore>, block: Arc<Block>) {
    let discard = move || store.discard(&block);
    match tokio::runtime::Handle::try_current() {
        // What a runtime that stops leaves of it, the next start removes.
        Ok(runtime) => drop(runtime.spawn_blocking(discard)),
        Err(_) => discard(),
    }
}

/// Pages that one read fetches; `pages` shrinks as they land. When it is dropped, those left are
/// given back and whoever waits for them is told why.
struct Run {
    fill: Arc<Fill>,
    pages: Range<usize>,
    failure: Option<Error>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.pages.is_empty() {
            return;
        }
        let stopping = || unavailable("the worker is stopping");
        let error = self.failure.take().unwrap_or_else(stopping);
        let mut state = self.fill.state.lock();
        for page in self.pages.clone() {
            state.in_flight.remove(&page);
        }
        state.failures += 1;
        state.dead |= ends_fill(error.kind());
        state.last = Some((error.kind(), error.to_string()));
        drop(state);
        self.fill.events.send_modify(|count| *count += 1);
    }
}

impl Run {
    /// Ends it with what went wrong.
    fn fail(mut self, error: Error) {
        self.failure = Some(error);
    }

    /// Fetches all pages: from a worker that has them, where one may; else from the under store, and
    /// what fails there for a passing reason is tried again from where it stopped. Where the store
    /// does not answer at all, a copy elsewhere does as well.
    async fn fetch_patiently(&mut self) -> Result<()> {
        if self.copy().await {
            return Ok(());
        }
        let mut attempt = 1;
        loop {
            match self.fetch().await {
                Err(error) if error.kind().is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(block = %self.fill.block.id(), %error, "reading again");
                    tokio::time::sleep(Duration::from_millis(100) * attempt).await;
                    attempt += 1;
                }
                Err(error) if error.kind().is_transient() => {
                    let peers = self.fill.shared.peers.as_ref();
                    let holders = peers.map(|peers| peers.holders(self.fill.block.id()));
                    self.fill.state.lock().peers = holders.unwrap_or_default();
                    return if self.copy().await { Ok(()) } else { Err(error) };
                }
                result => return result,
            }
        }
    }

    /// Fetches from other workers, as far as that goes; says whether nothing is left to fetch.
    async fn copy(&mut self) -> bool {
        let fill = self.fill.clone();
        let Some(peers) = &fill.shared.peers else { return false };
        loop {
            let Some(peer) = fill.state.lock().peers.first().cloned() else { return false };
            let (range, version) = (self.range(), &fill.source.version);
            let copied = match peers.read(&peer, fill.block.id(), version, range).await {
                Ok(stream) => self.take(stream, &fill.shared.counts.copied_bytes).await,
                Err(error) => Err(error),
            };
            match copied {
                Ok(()) => return true,
                Err(error) => {
                    tracing::debug!(block = %fill.block.id(), worker = %peer, %error, "not copied");
                    fill.state.lock().peers.retain(|other| *other != peer);
                }
            }
        }
    }

    async fn fetch(&mut self) -> Result<()> {
        let source = self.fill.source.clone();
        let Range { start, end } = self.range();
        let range = source.offset + start..source.offset + end;
        let version = Some(source.version.as_str()).filter(|version| !version.is_empty());
        let stream = source.ufs.read(&source.path, version, range).await?;
        let counter = self.fill.shared.counts.filled_bytes.clone();
        self.take(stream, &counter).await
    }

    /// The block's bytes that are still to come.
    fn range(&self) -> Range<u64> {
        let start = self.pages.start as u64 * self.fill.page_size;
        start..(self.pages.end as u64 * self.fill.page_size).min(self.fill.block.length())
    }

    /// Puts the pages into the store as they come, and counts their bytes.
    async fn take(
        &mut self,
        mut stream: BoxStream<'static, Result<Bytes>>,
        counter: &Counter,
    ) -> Result<()> {
        let fill = self.fill.clone();
        let mut landing: Option<JoinHandle<Result<()>>> = None;
        let mut page = Page::new(&fill, self.pages.start);
        while page.index < self.pages.end {
            let mut bytes = match tokio::time::timeout(SILENCE, stream.next()).await {
                Ok(Some(bytes)) => bytes?,
                Ok(None) => {
                    land(&mut landing).await?;
                    return Err(unavailable(format!("{} ended early", fill.source.path)));
                }
                Err(_) => {
                    return Err(unavailable(format!("no more comes of {}", fill.source.path)));
                }
            };
            while page.take(&mut bytes) {
                // One page lands while the next is on its way.
                land(&mut landing).await?;
                self.pages.start = page.index;
                let (index, pieces) = (page.index, std::mem::take(&mut page.pieces));
                let (fill, counter) = (fill.clone(), counter.clone());
                landing = Some(tokio::task::spawn_blocking(move || {
                    counter.inc_by(pieces.iter().map(Bytes::len).sum::<usize>() as u64);
                    fill.put(index, pieces)
                }));
                page = Page::new(&self.fill, index + 1);
                if page.index == self.pages.end {
                    break;
                }
            }
        }
        land(&mut landing).await?;
        self.pages.start = self.pages.end;
        Ok(())
    }
}

/// Waits for the page that is being put into the store, if one is.
async fn land(landing: &mut Option<JoinHandle<Result<()>>>) -> Result<()> {
    match landing.take() {
        Some(put) => put.await.map_err(|e| internal("storing a page").with_source(e))?,
        None => Ok(()),
    }
}

impl Fill {
    /// Puts a page into the store and tells those who wait for it.
    fn put(&self, index: usize, pieces: Vec<Bytes>) -> Result<()> {
        let file = self.shared.store.put_pages(&self.block, index, &[pieces])?;
        let mut state = self.state.lock();
        state.in_flight.remove(&index);
        state.file = Some(file);
        drop(state);
        self.events.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// A page as its bytes come in.
struct Page {
    index: usize,
    missing: u64,
    pieces: Vec<Bytes>,
}

impl Page {
    fn new(fill: &Fill, index: usize) -> Page {
        let start = index as u64 * fill.page_size;
        let missing = fill.page_size.min(fill.block.length().saturating_sub(start));
        Page { index, missing, pieces: Vec::new() }
    }

    /// Takes what belongs to this page off the front of `bytes`; says whether that made it whole.
    fn take(&mut self, bytes: &mut Bytes) -> bool {
        let piece = bytes.split_to(bytes.len().min(self.missing as usize));
        self.missing -= piece.len() as u64;
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        self.missing == 0
    }
}

/// Runs what waits for a disk away from the runtime's threads.
///
/// # Errors
/// `Internal` when it panics.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| internal("a call to the block store").with_source(e))
}
