//! How much of a file is cached, and where, for clients that have only the master's word for it: the
//! official ones show what a status says, and the share of the blocks that it has locations of. Ours
//! ask workers when somebody wants to know.
//!
//! Whoever asks for a status wants that first of all. So a worker is asked once for all there is to
//! tell, has a moment to answer, and is left alone for a while when it does not.

use super::walk::{Batch, Wanted};
use super::{Answer, Measures};
use crate::core::model::measure::percent;
use crate::core::model::{BlockStatus, Status, WorkerAddress};
use crate::core::proto::convert::Part;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Blocks asked about for one answer at most; of files with more in all nothing is told.
const MOST_BLOCKS: u64 = 4_096;
/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long one that took longer is not asked.
const LEFT_ALONE: Duration = Duration::from_secs(5);

impl Measures {
    /// Sets how much of each of `files` is cached, and who has all of a block, if they are few:
    /// nothing as far as nobody says at once.
    pub async fn tell_cached(&self, files: &mut [Status]) {
        let batch = self.blocks_of(files);
        if batch.blocks.is_empty() {
            return;
        }
        let mut silent = self.left_alone();
        let mut found = vec![(0, Vec::new()); batch.blocks.len()];
        for Answer { worker, question, parts } in self.answers(&batch, &mut silent, PATIENCE).await
        {
            for (&at, part) in question.iter().zip(parts) {
                let (held, holders) = &mut found[at];
                *held = part.of(batch.blocks[at].length).max(*held);
                if part == Part::Whole && !holders.contains(&worker) {
                    holders.push(worker);
                }
            }
        }
        self.leave_alone(silent);
        let mut found = batch.blocks.iter().zip(found).peekable();
        for (group, file) in files.iter_mut().enumerate() {
            let (mut cached, mut blocks) = (0, Vec::new());
            while let Some((block, (held, locations))) = found.next_if(|(b, _)| b.group == group) {
                cached += held;
                blocks.push(BlockStatus { locations, ..file.block(block.id.index()) });
            }
            if !blocks.is_empty() {
                file.cached_percent = percent(cached, file.length);
                file.blocks = blocks;
            }
        }
    }

    /// Whom to ask about which blocks; nothing where there are too many. Each file is a group.
    fn blocks_of(&self, files: &[Status]) -> Batch {
        let mut batch = Batch::default();
        let blocks = |file: &Status| if is_elsewhere(file) { file.block_count() } else { 0 };
        if files.iter().map(blocks).sum::<u64>() > MOST_BLOCKS {
            return batch;
        }
        let (ring, replicas) =
            (self.inner.workers.ring(), self.inner.files.config().client.replicas);
        for (group, file) in files.iter().enumerate() {
            let copies = file.replication().clamp(replicas).max(1) as usize;
            for block in (0..blocks(file)).map(|index| file.block(index)) {
                let wanted = Wanted { id: block.id, length: block.length, group };
                batch.want(&ring, wanted, copies, block.locations.iter().copied());
            }
        }
        batch
    }

    /// The workers that did not answer a short while ago.
    fn left_alone(&self) -> HashSet<WorkerAddress> {
        let mut slow = self.inner.slow.lock();
        slow.retain(|_, since| since.elapsed() < LEFT_ALONE);
        slow.keys().cloned().collect()
    }

    /// Notes those that do not answer.
    fn leave_alone(&self, silent: HashSet<WorkerAddress>) {
        let mut slow = self.inner.slow.lock();
        silent.into_iter().for_each(|address| {
            slow.entry(address).or_insert_with(Instant::now);
        });
    }
}

/// Whether it has to be asked for: what is nowhere else is in the cache.
fn is_elsewhere(file: &Status) -> bool {
    !file.folder && !file.is_symlink() && file.completed && file.is_persisted() && file.length > 0
}
