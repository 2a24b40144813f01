//! Load: walk the tree, cut what it holds into tasks, give each block to its owners on the ring.

use super::progress::Progress;
use super::{Jobs, Kind, NO_WORKER, Share};
use crate::core::error::{Result, unavailable};
use crate::core::model::{BlockId, Status, WorkerId};
use crate::core::proto::v1;
use crate::master::file_system::Walk;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Blocks in one task at most.
const MOST_BLOCKS: usize = 512;

/// Walks what the job names and places its blocks; returns once everything is placed.
pub(super) async fn run(jobs: &Jobs, id: i64, load: &v1::LoadJob) -> Result<()> {
    let mut packer = Packer::new(jobs, id, load.replicas.max(1) as usize);
    let mut walk = Walk::new(jobs.inner.files.clone(), load.path.parse()?);
    while let Some(step) = walk.next().await {
        if jobs.is_over(id) {
            return Ok(());
        }
        match step {
            Ok(page) => {
                for status in page {
                    if !load.metadata_only && wanted(&status) {
                        packer.add(status).await?;
                    }
                }
                packer.flush_idle();
            }
            Err((path, error)) => {
                jobs.note(id, |progress| progress.unreadable(&path, &error.to_string()));
            }
        }
    }
    packer.flush();
    jobs.note(id, Progress::listed);
    Ok(())
}

/// Whether there is something to bring into the cache: what is not in the under store is there.
fn wanted(status: &Status) -> bool {
    !status.folder && !status.is_symlink() && status.completed && status.is_persisted()
}

/// Blocks on their way into tasks, by worker.
struct Packer<'a> {
    jobs: &'a Jobs,
    job: i64,
    replicas: usize,
    task_size: u64,
    packs: HashMap<WorkerId, Pack>,
}

#[derive(Default)]
struct Pack {
    blocks: Vec<v1::LoadBlock>,
    bytes: u64,
}

impl<'a> Packer<'a> {
    fn new(jobs: &'a Jobs, job: i64, replicas: usize) -> Self {
        let task_size = jobs.inner.files.config().master.load_task_size.0;
        Packer { jobs, job, replicas, task_size, packs: HashMap::new() }
    }

    /// Takes a file in, and places the tasks that are full with it.
    async fn add(&mut self, status: Status) -> Result<()> {
        let shares = self.shares(&status).await?;
        let copies = shares.values().map(|blocks| blocks.len() as u64).sum();
        let bytes = shares.values().flatten().map(|block| block.length as u64).sum();
        let (id, path) = (status.id, status.path.clone());
        self.jobs.note(self.job, |progress| progress.found(id, path, copies, bytes));
        for (worker, blocks) in shares {
            for block in blocks {
                let pack = self.packs.entry(worker).or_default();
                pack.bytes += block.length as u64;
                pack.blocks.push(block);
                if pack.bytes >= self.task_size || pack.blocks.len() >= MOST_BLOCKS {
                    self.jobs.room(worker, self.job).await;
                    self.place(worker);
                }
            }
        }
        Ok(())
    }

    /// The file's blocks by the workers that are to hold them.
    async fn shares(&self, status: &Status) -> Result<Share> {
        let workers = &self.jobs.inner.workers;
        let mut shares = Share::new();
        if status.block_count() == 0 {
            return Ok(shares);
        }
        let nobody = workers.ring().workers().is_empty();
        if nobody && workers.live_within(NO_WORKER).await.is_empty() {
            let text = "no worker is there to load: start one with `goosefs worker start`";
            return Err(unavailable(text));
        }
        let ring = workers.ring();
        for index in 0..status.block_count() {
            let block = status.block(index);
            for owner in ring.owners(block.id, self.replicas, |_| false) {
                shares.entry(owner.id).or_default().push(v1::LoadBlock {
                    block_id: block.id.0,
                    length: block.length as i64,
                    offset_in_file: block.offset as i64,
                    file_length: status.length as i64,
                    mount_id: status.mount_id,
                    ufs_path: status.ufs_path.clone(),
                    version: status.ufs_version.clone(),
                });
            }
        }
        Ok(shares)
    }

    fn place(&mut self, worker: WorkerId) {
        if let Some(pack) = self.packs.remove(&worker).filter(|pack| !pack.blocks.is_empty()) {
            let kind = Kind::Load(v1::LoadTask { blocks: pack.blocks });
            self.jobs.place(worker, self.job, kind, 0);
        }
    }

    /// Places what there is for workers that have nothing to do.
    fn flush_idle(&mut self) {
        let idle = |worker: &WorkerId| self.jobs.inner.desk.lock().board.queued(*worker) == 0;
        let workers: Vec<_> = self.packs.keys().copied().filter(idle).collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }

    fn flush(&mut self) {
        let workers: Vec<_> = self.packs.keys().copied().collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }
}

/// Notes a worker's report about a load.
pub(super) fn settle(
    load: &v1::LoadTask,
    settled: &mut HashSet<i64>,
    bytes: &mut i64,
    report: &v1::TaskReport,
    job: &mut Progress,
) {
    let lengths: HashMap<i64, i64> = load.blocks.iter().map(|b| (b.block_id, b.length)).collect();
    let skipped: HashSet<i64> = report.skipped.iter().copied().collect();
    for &id in &report.done {
        if let Some(&length) = lengths.get(&id)
            && settled.insert(id)
        {
            job.block_done(BlockId(id), length as u64, skipped.contains(&id));
        }
    }
    for failure in &report.failed {
        if lengths.contains_key(&failure.id) && settled.insert(failure.id) {
            job.block_failed(BlockId(failure.id), &failure.cause);
        }
    }
    *bytes += report.bytes_done.max(0);
    let whole: i64 = settled.iter().filter_map(|id| lengths.get(id)).sum();
    let under_way = if report.finished { 0 } else { *bytes - whole };
    job.under_way(report.task_id, under_way);
}

/// How often a job that waits for others looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{FileId, FsPath};

    #[test]
    fn blocks_count_once_and_bytes_never_twice() {
        let file = FileId::from_container(1);
        let block = |index, length| v1::LoadBlock {
            block_id: file.block(index).0,
            length,
            ..Default::default()
        };
        let load = v1::LoadTask { blocks: vec![block(0, 10), block(1, 5)] };
        let mut progress = Progress::new(v1::Job::default());
        progress.found(file, FsPath::root(), 2, 15);
        let (mut settled, mut bytes) = (HashSet::new(), 0);
        let mut report = v1::TaskReport { task_id: 1, bytes_done: 12, ..Default::default() };
        report.done = vec![file.block(0).0, file.block(0).0, 99];
        settle(&load, &mut settled, &mut bytes, &report, &mut progress);
        assert_eq!(progress.job().bytes_done, 12);
        report.bytes_done = 3;
        report.finished = true;
        report.done = vec![file.block(0).0, file.block(1).0];
        settle(&load, &mut settled, &mut bytes, &report, &mut progress);
        progress.listed();
        assert!(progress.end_if_complete(1));
        assert_eq!((progress.job().bytes_done, progress.job().files_done), (15, 1));
    }
}
