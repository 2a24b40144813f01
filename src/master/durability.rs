//! Keeping the number of copies of data that is nowhere else.
//!
//! A file written ASYNC_THROUGH is on several workers until it is in its under store. When one of
//! them is lost meanwhile, another worker that still has a block is told to copy it to one that has
//! not, on another host. Usually there is nothing to do: such files wait for a second or two.

use super::file_system::FileSystem;
use super::workers::Registry;
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{BlockId, BlockStatus, FileId, WorkerId, WorkerState};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Files looked at in one run: the rest comes in the next.
const PAGE: usize = 1_000;
/// Copies on their way at a time.
const MOST: usize = 256;
/// How long a copy may take before it is asked for again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What keeps copies. One of each master.
pub struct Durability {
    files: FileSystem,
    workers: Registry,
    /// Copies of a block there are to be, while it is nowhere else.
    wanted: usize,
    /// How long a worker may be silent.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When this master first ran it, being primary.
    since: Option<Instant>,
    /// Where the next run begins.
    after: Option<FileId>,
    /// Copies that were asked for, and when.
    asked: HashMap<BlockId, Instant>,
}

impl Durability {
    /// Keeps `wanted` copies; a worker that is silent for `patience` is lost.
    pub fn new(files: FileSystem, workers: Registry, wanted: u32, patience: Duration) -> Self {
        Durability { files, workers, wanted: wanted as usize, patience, state: Mutex::default() }
    }

    /// Has copies made of what has become rare. To be called every second or so.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn run(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.asked.retain(|_, at| at.elapsed() < PATIENCE);
        // Workers that have not registered yet with a new primary are not lost.
        let since = *state.since.get_or_insert_with(Instant::now);
        if self.wanted < 2 || since.elapsed() < self.patience {
            return Ok(());
        }
        let page = self.files.state().to_persist(state.after, PAGE)?;
        for &(id, _) in &page {
            let blocks = match self.files.state().locations(id) {
                Ok(blocks) => blocks,
                // Deleted since the page was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for block in blocks {
                if state.asked.len() < MOST && !state.asked.contains_key(&block.id) {
                    self.look_after(&block, &mut state);
                }
            }
        }
        state.after = page.last().map(|&(id, _)| id).filter(|_| page.len() == PAGE);
        Ok(())
    }

    fn look_after(&self, block: &BlockStatus, state: &mut State) {
        let address = |id: &WorkerId| self.workers.address(*id);
        let holders: Vec<_> = block.locations.iter().filter(|id| address(id).is_some()).collect();
        let hosts: Vec<String> =
            holders.iter().filter_map(|id| address(id)).map(|address| address.host).collect();
        let wanted = self.wanted.min(block.locations.len());
        let Some(&&holder) = holders.first().filter(|_| holders.len() < wanted) else { return };
        let ring = self.workers.ring();
        let taken = |id| {
            let stays = self.workers.state_of(id) == Some(WorkerState::Active);
            !stays || address(&id).is_none_or(|address| hosts.contains(&address.host))
        };
        let next = ring.owners(block.id, 1, taken).into_iter().find(|worker| !taken(worker.id));
        if let Some(next) = next {
            tracing::info!(block = %block.id, from = holder, to = next.id, "a copy was lost: making another");
            self.workers.copy(holder, block.id, next.clone());
            state.asked.insert(block.id, Instant::now());
        }
    }
}
