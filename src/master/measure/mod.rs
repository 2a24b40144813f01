//! How much there is, and how much of it is in the cache: sums over a part of the tree.
//!
//! The master keeps no list of cached blocks, so nothing has to be kept true when blocks are filled,
//! evicted or lost and when files are renamed: a sum is found anew each time. It walks its own inodes,
//! a page at a time and without the state's lock, cuts them into questions by the ring, and the
//! workers answer with a byte or two a block ([`Holdings`]). What is asked about and what is
//! answered is a few megabytes for a million files, between the servers; the caller gets the sums.
//!
//! ```text
//! walk: pages of inodes → batches of blocks by worker → ask → sums of groups
//! ```
//!
//! A block counts where a reader looks for it: at its owner, at as many owners as it has copies, and
//! for what is in the cache only where it is known to be. Counters kept up by reports would answer
//! faster, but cost memory for each cached block, at the place that must not grow with them.

mod told;
mod walk;

use super::file_system::{Caller, FileSystem, missing};
use super::holdings::{Holdings, PATIENCE};
use super::sync::Freshness;
use super::workers::Registry;
use crate::core::error::{Result, internal};
use crate::core::model::{FsPath, Measured, Measurement, WorkerAddress, WorkerId};
use crate::core::proto::convert::Part;
use crate::core::runtime::Clock;
use crate::core::security::Access;
use futures::future::join_all;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use walk::{Batch, Groups, Walker};

/// Callers that are served at a time; the others wait.
const AT_ONCE: usize = 2;
/// Batches that the walk may be ahead of the workers' answers.
const AHEAD: usize = 2;
/// What is known of the mounts is at least so old before it is looked at again, and so many times
/// older than looking takes.
const MOUNTS_KEPT: Duration = Duration::from_secs(30);
const MOUNTS_SHARE: u32 = 20;
/// How long somebody waits who asks about the mounts before anything is known of them.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Measures parts of the tree. Clones share what they know.
#[derive(Clone)]
pub struct Measures {
    inner: Arc<Inner>,
}

struct Inner {
    files: FileSystem,
    workers: Registry,
    clock: Clock,
    holdings: Holdings,
    turns: Semaphore,
    mounts: Mutex<Mounts>,
    looked: tokio::sync::Notify,
    /// Workers that did not answer at once, and when.
    slow: Mutex<HashMap<WorkerAddress, Instant>>,
}

/// What is known of the mounts.
#[derive(Default)]
struct Mounts {
    found: Option<(Measurement, i64)>,
    /// When that was, and how long it took.
    when: Option<(Instant, Duration)>,
    looking: bool,
}

/// What has sums of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// Directories down to this depth, each with all below it.
    Depth(u32),
    /// Mounts, each without those below it.
    Mounts,
}

impl Measures {
    /// Knows nothing yet.
    pub fn new(files: FileSystem, holdings: Holdings, clock: Clock) -> Self {
        let inner = Inner {
            workers: holdings.workers().clone(),
            holdings,
            files,
            clock,
            turns: Semaphore::new(AT_ONCE),
            mounts: Mutex::default(),
            looked: tokio::sync::Notify::new(),
            slow: Mutex::default(),
        };
        Measures { inner: Arc::new(inner) }
    }

    /// What there is at `path` and below it, and in directories down to `depth` below it.
    /// Directories nobody has listed yet are brought in from their under store first.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied` when the caller may not read what is at `path`; `Unavailable` when
    /// the under store must be asked and does not answer; `ResourceExhausted` when there are too many
    /// directories to tell of.
    pub async fn measure(&self, caller: &Caller, path: &FsPath, depth: u32) -> Result<Measurement> {
        let files = &self.inner.files;
        let status = files.find(path, Freshness::Known).await?.ok_or_else(|| missing(path))?;
        files.permit(caller, path, Access::READ)?;
        if status.folder {
            files.load_children(&status, Freshness::Known).await?;
        }
        self.run(path, Split::Depth(depth), Walker::new(files, caller, &self.inner.workers)).await
    }

    /// What there is in each mount, as it was a short while ago, and when that was; looks again in the
    /// background when it was longer ago. Nothing when the first look takes too long to wait for.
    pub async fn mounts(&self) -> Option<(Measurement, i64)> {
        let looked = self.inner.looked.notified();
        let mut looked = std::pin::pin!(looked);
        looked.as_mut().enable();
        self.look_at_mounts();
        let known = || self.inner.mounts.lock().found.clone();
        if let Some(found) = known() {
            return Some(found);
        }
        tokio::time::timeout(FIRST_LOOK, looked).await.ok();
        known()
    }

    /// Looks at the mounts, unless what is known is new or somebody looks already.
    fn look_at_mounts(&self) {
        {
            let mut mounts = self.inner.mounts.lock();
            let kept = |(at, took): (Instant, Duration)| {
                at.elapsed() < MOUNTS_KEPT.max(took.saturating_mul(MOUNTS_SHARE))
            };
            if mounts.looking || mounts.when.is_some_and(kept) {
                return;
            }
            mounts.looking = true;
        }
        let measures = self.clone();
        self.inner.files.group.spawn_until_stop("measuring mounts", async move {
            let Inner { files, workers, clock, .. } = &*measures.inner;
            let (begun, at_ms) = (Instant::now(), clock.now_ms());
            let walker = Walker::new(files, &Caller::master(), workers).of_what_is_here();
            let found = measures.run(&FsPath::root(), Split::Mounts, walker).await;
            let mut mounts = measures.inner.mounts.lock();
            mounts.looking = false;
            mounts.when = Some((Instant::now(), begun.elapsed()));
            match found {
                Ok(found) => mounts.found = Some((found, at_ms)),
                Err(error) => tracing::warn!(%error, "the mounts were not measured"),
            }
            drop(mounts);
            measures.inner.looked.notify_waiters();
        });
    }

    /// Walks and asks, and adds up.
    async fn run(&self, path: &FsPath, split: Split, walker: Walker) -> Result<Measurement> {
        let _turn = self.inner.turns.acquire().await.map_err(|e| internal(e.to_string()))?;
        let (batches, mut found) = mpsc::channel::<Batch>(AHEAD);
        let top = path.clone();
        let walk = tokio::task::spawn_blocking(move || walker.walk(&top, split, &batches));
        let mut asked = Asked::default();
        while let Some(batch) = found.recv().await {
            self.ask(batch, &mut asked).await;
        }
        let walked = walk.await.map_err(|e| internal(e.to_string()))?;
        let Groups { mut groups, unread } = walked?;
        for (group, cached) in groups.iter_mut().zip(asked.cached) {
            group.sums.cached_bytes += cached;
        }
        if matches!(split, Split::Depth(_)) {
            roll_up(&mut groups);
        }
        let told = groups.into_iter().map(|group| Measured { path: group.path, sums: group.sums });
        let mut measured = told.collect::<Vec<_>>();
        measured.sort_by(|a, b| a.path.cmp(&b.path));
        let mut silent = asked.silent.iter().map(|a| a.to_string()).collect::<Vec<_>>();
        silent.sort();
        Ok(Measurement { measured, silent, unread })
    }

    /// Asks the workers about a batch and adds what they hold to the sums.
    async fn ask(&self, batch: Batch, asked: &mut Asked) {
        let mut held = vec![0u64; batch.blocks.len()];
        for Answer { question, parts, .. } in
            self.answers(&batch, &mut asked.silent, PATIENCE).await
        {
            // Copies count once.
            question.iter().zip(parts).for_each(|(&at, part)| {
                held[at] = held[at].max(part.of(batch.blocks[at].length));
            });
        }
        for (block, held) in batch.blocks.iter().zip(held) {
            if asked.cached.len() <= block.group {
                asked.cached.resize(block.group + 1, 0);
            }
            asked.cached[block.group] += held;
        }
    }

    /// What workers say about a batch, but for those that are silent: who does not answer joins them.
    async fn answers<'a>(
        &self,
        batch: &'a Batch,
        silent: &mut HashSet<WorkerAddress>,
        patience: Duration,
    ) -> Vec<Answer<'a>> {
        let questions = batch.questions.iter().filter_map(|(&worker, question)| {
            let address = self.inner.workers.address(worker)?;
            (!silent.contains(&address)).then_some((worker, address, question))
        });
        let answers = questions.map(async |(worker, address, question)| {
            let blocks = question.iter().map(|&at| batch.blocks[at].id);
            let parts = self.inner.holdings.of(&address, blocks, patience).await;
            (address, parts.map(|parts| Answer { worker, question, parts }))
        });
        let mut answered = Vec::new();
        for (address, answer) in join_all(answers.collect::<Vec<_>>()).await {
            match answer {
                Ok(answer) => answered.push(answer),
                Err(error) => {
                    tracing::warn!(worker = %address, %error, "what it holds is not counted");
                    silent.insert(address);
                }
            }
        }
        answered
    }
}

/// What a worker has of the blocks it was asked about.
struct Answer<'a> {
    worker: WorkerId,
    /// The blocks' places in the batch.
    question: &'a [usize],
    parts: Vec<Part>,
}

/// What the workers have said so far.
#[derive(Default)]
struct Asked {
    /// Bytes that are cached, by group.
    cached: Vec<u64>,
    silent: HashSet<WorkerAddress>,
}

/// Adds what is in each group to the one above it. Those below come after those above.
fn roll_up(groups: &mut [walk::Group]) {
    for index in (1..groups.len()).rev() {
        let (sums, above) = (groups[index].sums, groups[index].above);
        groups[above].sums += sums;
    }
}
