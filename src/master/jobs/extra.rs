//! Free down to a number of copies: what there is of a block beyond that goes.
//!
//! The master does not know who holds a block, so every worker is asked about some files at a time.
//! Of those who hold all of it the first in the order of the ring keep theirs, since readers come by
//! there first; the others are told to drop theirs, and say what came free. A part of a block is no
//! copy: it goes only where enough are whole. Nothing begins while workers give blocks to each other.
//!
//! What is pinned stays as it is, and so does what is not in its under store: there are no more copies
//! of that than keep it from being lost.

use super::MOST_BLOCKS;
use super::load;
use super::progress::Progress;
use super::run::{Chosen, Run};
use crate::core::error::{Result, failed_precondition};
use crate::core::model::{BlockId, Ring, Status, WorkerId, WorkerInfo, WorkerState};
use crate::core::proto::convert::Part;
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use crate::master::holdings::PATIENCE;
use futures::future::join_all;
use std::collections::{HashMap, HashSet};

/// Blocks that workers are asked about at once: all their answers are in memory.
const AT_ONCE: usize = 8_192;
/// Times a worker is asked before its copies stay as they are.
const TIMES_ASKED: usize = 3;

/// Has the copies beyond `copies` of each block dropped, or beyond what its file is to have at least.
pub(super) async fn run(run: &Run, copies: u32) -> Result<()> {
    run.need_worker("drop copies").await?;
    nothing_moves(run)?;
    let (chosen, silent) = (Chosen::of(&run.spec)?, HashMap::new());
    let mut search = Search { run, chosen, copies, silent };
    let mut walk = run.walk_here().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => search.thin_out(page).await,
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
    }
    // Behind all that was walked: a later run goes on where this one was.
    let (top, silent) = (run.spec.path()?, search.silent);
    silent.values().for_each(|cause| run.note(|progress| progress.unreadable(&top, cause)));
    run.note(Progress::listed);
    Ok(())
}

/// Who gives a block away, or takes one, is no judge of how many there are.
fn nothing_moves(run: &Run) -> Result<()> {
    let moves = |worker: &&WorkerInfo| {
        matches!(worker.state, WorkerState::WarmingUp | WorkerState::Draining)
    };
    match run.workers().live().iter().find(moves) {
        Some(worker) => Err(failed_precondition(format!(
            "blocks move to or from worker {}, so copies are not counted now: free again once it has \
             ended (goosefs fsadmin report)",
            worker.address
        ))),
        None => Ok(()),
    }
}

/// The search for copies too many.
struct Search<'a> {
    run: &'a Run,
    chosen: Chosen,
    copies: u32,
    /// Workers that did not answer, with the cause: their copies stay, and do not count as copies.
    silent: HashMap<WorkerId, String>,
}

impl Search<'_> {
    /// Has the copies too many of these files dropped, some files at a time.
    async fn thin_out(&mut self, page: Vec<Status>) {
        self.run.keep_near(usize::MAX, || {}).await;
        let (mut files, mut blocks) = (Vec::new(), 0);
        for status in page {
            blocks += self.blocks_of(&status);
            files.push(status);
            if blocks >= AT_ONCE as u64 {
                self.thin_out_some(std::mem::take(&mut files)).await;
                blocks = 0;
            }
        }
        self.thin_out_some(files).await;
    }

    /// How many blocks of a file there may be copies too many of.
    fn blocks_of(&self, status: &Status) -> u64 {
        let may_go = load::wanted(status) && !status.pinned && self.chosen.takes(&status.path);
        if may_go { status.block_count() } else { 0 }
    }

    async fn thin_out_some(&mut self, files: Vec<Status>) {
        let blocks_of = |(at, status): (usize, &Status)| {
            let id = status.id;
            (0..self.blocks_of(status)).map(move |index| (at, id.block(index)))
        };
        let blocks: Vec<_> = files.iter().enumerate().flat_map(blocks_of).collect();
        let (mut drops, mut counts) = (HashMap::<_, Vec<i64>>::new(), vec![0; files.len()]);
        for some in blocks.chunks(AT_ONCE) {
            let holders = self.holders(some).await;
            let ring = self.run.workers().ring();
            for (holders, &(at, id)) in holders.into_iter().zip(some) {
                let stay = self.copies.max(files[at].replication().min);
                for worker in too_many(&ring, id, holders, stay as usize) {
                    drops.entry(worker).or_default().push(id.0);
                    counts[at] += 1;
                }
            }
        }
        // In the order of the walk: a later run goes on behind what is settled.
        for (status, copies) in files.into_iter().zip(counts) {
            let takes = !status.folder && self.chosen.takes(&status.path);
            self.run.note(|progress| match copies {
                0 if takes => progress.in_place(status.path, 0),
                0 => progress.passed(status.path),
                _ => progress.found(status.id, status.path, copies, 0),
            });
        }
        for (worker, blocks) in drops {
            for block_ids in blocks.chunks(MOST_BLOCKS).map(<[i64]>::to_vec) {
                self.run.room(worker).await;
                self.run.place(worker, Kind::Drop(v1::DropTask { block_ids }));
            }
        }
    }

    /// Who holds each of these blocks, or a part of it.
    async fn holders(&mut self, blocks: &[(usize, BlockId)]) -> Vec<Vec<Held>> {
        let workers = self.run.workers().live();
        let workers = workers.iter().filter(|worker| !self.silent.contains_key(&worker.id));
        let answers = workers.map(async |worker| (worker, self.parts(worker, blocks).await));
        let mut holders = vec![Vec::new(); blocks.len()];
        for (worker, answer) in join_all(answers).await {
            let parts = match answer {
                Ok(parts) => parts,
                Err(error) => {
                    let cause = format!("worker {} keeps its copies: {error}", worker.address);
                    self.silent.insert(worker.id, cause);
                    continue;
                }
            };
            for (holders, part) in holders.iter_mut().zip(parts) {
                if part != Part::None {
                    holders.push(Held { worker: worker.id, whole: part == Part::Whole });
                }
            }
        }
        holders
    }

    /// What a worker says it holds of these blocks. One that is busy is asked more than once.
    async fn parts(&self, worker: &WorkerInfo, blocks: &[(usize, BlockId)]) -> Result<Vec<Part>> {
        let holdings = &self.run.jobs.inner.holdings;
        let ask = || holdings.of(&worker.address, blocks.iter().map(|(_, id)| *id), PATIENCE);
        let mut answer = ask().await;
        for _ in 1..TIMES_ASKED {
            if answer.is_ok() {
                break;
            }
            answer = ask().await;
        }
        answer
    }
}

/// What a worker has of a block.
#[derive(Clone, Copy, Debug)]
struct Held {
    worker: WorkerId,
    whole: bool,
}

/// Those of `holders` that are to drop what they have of a block, so that `stay` have all of it.
fn too_many(ring: &Ring, block: BlockId, mut holders: Vec<Held>, stay: usize) -> Vec<WorkerId> {
    let whole = holders.iter().filter(|held| held.whole).count();
    if holders.len() <= stay || whole < stay {
        return Vec::new();
    }
    let owners = ring.owners(block, ring.workers().len(), |_| false);
    // Who is not on the ring, or beside another worker on its host, comes after those who are.
    let place = |id| owners.iter().position(|owner| owner.id == id).unwrap_or(usize::MAX);
    holders.sort_by_key(|held| (!held.whole, place(held.worker), held.worker));
    holders.split_off(stay).iter().map(|held| held.worker).collect()
}

/// Notes a worker's report about copies it has dropped.
pub(super) fn settle(settled: &mut HashSet<i64>, report: &v1::TaskReport, progress: &mut Progress) {
    for dropped in &report.dropped {
        if settled.insert(dropped.block_id) {
            let file = BlockId(dropped.block_id).file();
            progress.more_done(file, dropped.bytes.max(0) as u64);
            progress.part_done(file, 0, false);
        }
    }
}

/// Settles copies that were not there any more.
pub(super) fn gone<'a>(blocks: impl Iterator<Item = &'a i64>, progress: &mut Progress) {
    blocks.for_each(|&block| progress.block_done(BlockId(block), 0, true));
}

/// Settles copies of which their worker has not told.
pub(super) fn unheard(blocks: &[i64], progress: &mut Progress) {
    let cause = "a worker went away before it had dropped its copy: free it again";
    blocks.iter().for_each(|&block| progress.block_failed(BlockId(block), cause));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{FileId, FsPath, WorkerAddress};

    #[test]
    fn the_first_in_the_order_of_the_ring_keep_their_copies() {
        let worker = |id: WorkerId| WorkerInfo {
            id,
            address: WorkerAddress { host: format!("h{id}"), ..Default::default() },
            virtual_nodes: 100,
            ..Default::default()
        };
        let ring = Ring::new((1..=4).map(worker));
        let block = FileId::from_container(7).block(0);
        let order: Vec<WorkerId> =
            ring.owners(block, 4, |_| false).iter().map(|worker| worker.id).collect();
        let held = |whole| move |&worker: &WorkerId| Held { worker, whole };
        let mixed = |all: &[WorkerId], parts: &[WorkerId], stay| {
            let holders = all.iter().map(held(true)).chain(parts.iter().map(held(false)));
            too_many(&ring, block, holders.collect(), stay)
        };
        let of = |holders: &[WorkerId], stay| mixed(holders, &[], stay);
        assert_eq!(of(&[1, 2, 3, 4], 1), order[1..]);
        assert_eq!(of(&[4, 3, 2, 1], 3), order[3..]);
        assert!(of(&[1, 2], 2).is_empty());
        assert_eq!(of(&[order[2], order[3]], 1), [order[3]], "the owner has none");
        assert_eq!(of(&[99, order[3]], 1), [99], "one that is not on the ring");
        // A part is no copy, whoever has it.
        assert_eq!(mixed(&[order[2]], &[order[0]], 1), [order[0]]);
        assert_eq!(mixed(&[order[2], order[3]], &[order[0]], 1), [order[3], order[0]]);
        assert!(mixed(&[order[2]], &[order[0], order[1]], 2).is_empty());
        assert!(mixed(&[], &[order[0], order[1]], 1).is_empty());
    }

    #[test]
    fn a_file_has_freed_what_its_workers_say_they_dropped() {
        let file = FileId::from_container(7);
        let mut progress = Progress::new(v1::Job::default());
        progress.in_place(FsPath::parse("/one").unwrap(), 0);
        progress.found(file, FsPath::parse("/two").unwrap(), 3, 0);
        progress.listed();
        let dropped = |index, bytes| v1::DroppedBlock { block_id: file.block(index).0, bytes };
        let report = v1::TaskReport { dropped: vec![dropped(0, 10)], ..Default::default() };
        let mut settled = HashSet::new();
        settle(&mut settled, &report, &mut progress);
        settle(&mut settled, &report, &mut progress);
        gone([file.block(1).0].iter(), &mut progress);
        assert!(!progress.end_if_complete(9));
        unheard(&[file.block(2).0], &mut progress);
        assert!(progress.end_if_complete(9));
        let job = progress.job();
        assert_eq!((job.files_total, job.files_skipped, job.files_failed), (2, 1, 1));
        assert_eq!((job.bytes_total, job.bytes_done), (10, 10));
    }
}
