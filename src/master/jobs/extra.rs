//! Free down to a number of copies: what there is of a block beyond that goes.
//!
//! The master does not know who holds a block, so every worker is asked about some files at a time.
//! The first holders in the order of the ring keep theirs, since readers come by there first; the
//! others are told to drop theirs, and say what came free.
//!
//! What is pinned stays as it is, and so does what is not in its under store: there are no more copies
//! of that than keep it from being lost.

use super::load;
use super::progress::Progress;
use super::run::{Chosen, Run};
use crate::core::error::{Error, Result};
use crate::core::model::{BlockId, Ring, Status, WorkerId, WorkerInfo};
use crate::core::proto::convert::Part;
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use crate::master::holdings::PATIENCE;
use futures::future::join_all;
use std::collections::{HashMap, HashSet};

/// Blocks that workers are asked about at once: all their answers are in memory.
const AT_ONCE: usize = 8_192;
/// Blocks in one task.
const MOST_BLOCKS: usize = 512;

/// Has the copies beyond `copies` of each block dropped, or beyond what its file is to have at least.
pub(super) async fn run(run: &Run, copies: u32) -> Result<()> {
    run.need_worker("drop copies").await?;
    let (chosen, silent) = (Chosen::of(&run.spec)?, HashSet::new());
    let mut search = Search { run, chosen, copies, silent };
    let mut walk = run.walk_here().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => search.thin_out(page).await,
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
    }
    run.note(Progress::listed);
    Ok(())
}

/// The search for copies too many.
struct Search<'a> {
    run: &'a Run,
    chosen: Chosen,
    copies: u32,
    /// Workers that did not answer: their copies stay, and do not count as copies.
    silent: HashSet<WorkerId>,
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
        let ring = self.run.workers().ring();
        let blocks_of = |(at, status): (usize, &Status)| {
            let id = status.id;
            (0..self.blocks_of(status)).map(move |index| (at, id.block(index)))
        };
        let blocks: Vec<_> = files.iter().enumerate().flat_map(blocks_of).collect();
        let (mut drops, mut counts) = (HashMap::<_, Vec<i64>>::new(), vec![0; files.len()]);
        for some in blocks.chunks(AT_ONCE) {
            for (holders, &(at, id)) in self.holders(some).await.into_iter().zip(some) {
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
    async fn holders(&mut self, blocks: &[(usize, BlockId)]) -> Vec<Vec<WorkerId>> {
        let workers = self.run.workers().live();
        let workers = workers.iter().filter(|worker| !self.silent.contains(&worker.id));
        let answers = workers.map(async |worker| {
            let ids = blocks.iter().map(|(_, id)| *id);
            (worker, self.run.jobs.inner.holdings.of(&worker.address, ids, PATIENCE).await)
        });
        let mut holders = vec![Vec::new(); blocks.len()];
        let mut silent = Vec::new();
        for (worker, answer) in join_all(answers).await {
            match answer {
                Ok(parts) => holders
                    .iter_mut()
                    .zip(parts)
                    .filter(|(_, part)| *part != Part::None)
                    .for_each(|(holders, _)| holders.push(worker.id)),
                Err(error) => silent.push((worker.clone(), error)),
            }
        }
        silent.into_iter().for_each(|(worker, error)| self.fell_silent(&worker, &error));
        holders
    }

    fn fell_silent(&mut self, worker: &WorkerInfo, error: &Error) {
        self.silent.insert(worker.id);
        let cause = format!("worker {} keeps its copies: {error}", worker.address);
        if let Ok(top) = self.run.spec.path() {
            self.run.note(|progress| progress.unreadable(&top, &cause));
        }
    }
}

/// Those of `holders` that are to drop their copy of a block, so that `stay` copies do.
fn too_many(ring: &Ring, block: BlockId, mut holders: Vec<WorkerId>, stay: usize) -> Vec<WorkerId> {
    if holders.len() <= stay {
        return Vec::new();
    }
    let owners = ring.owners(block, ring.workers().len(), |_| false);
    // Who is not on the ring, or beside another worker on its host, comes after those who are.
    holders.sort_by_key(|id| {
        (owners.iter().position(|owner| owner.id == *id).unwrap_or(usize::MAX), *id)
    });
    holders.split_off(stay)
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
        let of = |holders: &[WorkerId], stay| too_many(&ring, block, holders.to_vec(), stay);
        assert_eq!(of(&[1, 2, 3, 4], 1), order[1..]);
        assert_eq!(of(&[4, 3, 2, 1], 3), order[3..]);
        assert!(of(&[1, 2], 2).is_empty());
        assert_eq!(of(&[order[2], order[3]], 1), [order[3]], "the owner has none");
        assert_eq!(of(&[99, order[3]], 1), [99], "one that is not on the ring");
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
