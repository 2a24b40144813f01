//! Load: walk the tree, cut what it holds into tasks, give each block to its owners on the ring.

use super::progress::Progress;
use super::run::{Chosen, Run, nobody};
use super::{MOST_BLOCKS, Share};
use crate::core::error::Result;
use crate::core::model::{BlockId, ByteSize, FsPath, Limits, MountId, Status, WorkerId};
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Walks what the job names and places its blocks; returns once everything is placed.
pub(super) async fn run(run: &Run, load: &v1::LoadJob) -> Result<()> {
    let mut packer = Packer::new(run, load);
    let chosen = Chosen::of(&run.spec)?;
    let mut walk = run.walk().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => {
                for status in page {
                    if status.folder || !chosen.takes(&status.path) || !wanted(&status) {
                        run.note(|progress| progress.passed(status.path));
                    } else if load.metadata_only {
                        run.note(|progress| progress.found(status.id, status.path, 0, 0));
                    } else {
                        packer.add(status).await?;
                    }
                }
                packer.flush_idle();
            }
            Err((path, error)) => {
                run.note(|progress| progress.unreadable(&path, &error.to_string()));
            }
        }
    }
    packer.flush();
    run.note(Progress::listed);
    Ok(())
}

/// Whether there is something to bring into the cache: what is not in the under store is there.
pub(super) fn wanted(status: &Status) -> bool {
    !status.folder && !status.is_symlink() && status.completed && status.is_persisted()
}

/// A block of a file, as it is to be loaded.
pub(super) fn block_of(status: &Status, index: u64) -> v1::LoadBlock {
    let block = status.block(index);
    v1::LoadBlock {
        block_id: block.id.0,
        length: block.length as i64,
        offset_in_file: block.offset as i64,
        file_length: status.length as i64,
        mount_id: status.mount_id,
        ufs_path: status.ufs_path.clone(),
        version: status.ufs_version.clone(),
    }
}

/// Blocks on their way into tasks, by worker.
pub(super) struct Packer<'a> {
    run: &'a Run,
    replicas: usize,
    verify: bool,
    task_size: u64,
    packs: HashMap<WorkerId, Pack>,
    fit: Fit,
    answered: bool,
}

#[derive(Default)]
struct Pack {
    blocks: Vec<v1::LoadBlock>,
    bytes: u64,
}

impl<'a> Packer<'a> {
    pub fn new(run: &'a Run, load: &v1::LoadJob) -> Self {
        let task_size = run.files().config().master.load_task_size.0;
        let (replicas, verify) = (load.replicas.max(1) as usize, load.verify);
        let (packs, fit) = Default::default();
        Packer { run, replicas, verify, task_size, packs, fit, answered: false }
    }

    /// Takes a file in, and places the tasks that are full with it.
    pub async fn add(&mut self, status: Status) -> Result<()> {
        let run = self.run;
        run.keep_near(usize::MAX, || self.flush()).await;
        let shares = self.shares(&status).await?;
        if let Err(cause) = self.fit.take(self.run, &shares) {
            self.run.note(|progress| {
                progress.unreadable(&status.path, &cause);
                progress.remark(self.fit.remark(self.run, progress.failed()));
            });
            return Ok(());
        }
        let copies = shares.values().map(|blocks| blocks.len() as u64).sum();
        let bytes = shares.values().flatten().map(|block| block.length as u64).sum();
        let (id, path) = (status.id, status.path.clone());
        self.run.note(|progress| progress.found(id, path, copies, bytes));
        for (worker, blocks) in shares {
            for block in blocks {
                let pack = self.packs.entry(worker).or_default();
                pack.bytes += block.length as u64;
                pack.blocks.push(block);
                if pack.bytes >= self.task_size || pack.blocks.len() >= MOST_BLOCKS {
                    self.run.room(worker).await;
                    self.place(worker);
                }
            }
        }
        Ok(())
    }

    /// The file's blocks by the workers that are to hold them.
    async fn shares(&mut self, status: &Status) -> Result<Share> {
        let mut shares = Share::new();
        if status.block_count() == 0 {
            return Ok(shares);
        }
        let empty = self.run.workers().ring().workers().is_empty();
        if empty || !self.answered {
            self.run.need_worker("load").await?;
            self.answered = true;
        }
        let ring = self.run.workers().ring();
        let copies = status.replication().clamp(self.replicas as u32).max(1) as usize;
        for index in 0..status.block_count() {
            let block = status.block(index);
            for owner in ring.owners(block.id, copies, |_| false) {
                shares.entry(owner.id).or_default().push(block_of(status, index));
            }
        }
        if shares.is_empty() { Err(nobody("load")) } else { Ok(shares) }
    }

    fn place(&mut self, worker: WorkerId) {
        if let Some(pack) = self.packs.remove(&worker).filter(|pack| !pack.blocks.is_empty()) {
            let task = v1::LoadTask { blocks: pack.blocks, verify: self.verify };
            self.run.place(worker, Kind::Load(task));
        }
    }

    /// Places what there is for workers that have nothing to do.
    pub fn flush_idle(&mut self) {
        let idle = |worker: &WorkerId| self.run.jobs.inner.desk.lock().board.queued(*worker) == 0;
        let workers: Vec<_> = self.packs.keys().copied().filter(idle).collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }

    /// Places all there is.
    pub fn flush(&mut self) {
        let workers: Vec<_> = self.packs.keys().copied().collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }
}

/// Bytes of these blocks.
fn length(blocks: &[v1::LoadBlock]) -> u64 {
    blocks.iter().map(|block| block.length as u64).sum()
}

/// What a load has brought to each worker, so that it does not drive out of the cache what it has
/// just brought in.
#[derive(Default)]
struct Fit {
    brought: HashMap<WorkerId, u64>,
    /// The same of mounts that have a quota.
    of_mount: HashMap<(WorkerId, MountId), u64>,
    left_out: u64,
    /// The mount whose quota something did not fit into.
    over: Option<FsPath>,
}

impl Fit {
    /// Takes a file in if all of it fits beside what the load has brought; else says why not.
    fn take(&mut self, run: &Run, shares: &Share) -> Result<(), String> {
        for (id, blocks) in shares {
            let before = self.brought.get(id).copied().unwrap_or_default();
            // One that says nothing of its capacity finds out by itself.
            let Some(room) = run.workers().room_of(*id) else { continue };
            if before + length(blocks) > room {
                self.left_out += shares.values().map(|blocks| length(blocks)).sum::<u64>();
                return Err(format!(
                    "does not fit: this load has brought {} of the {} to its worker that it can \
                     hold",
                    ByteSize(before),
                    ByteSize(room)
                ));
            }
        }
        self.take_quota(run, shares)?;
        for (id, blocks) in shares {
            *self.brought.entry(*id).or_default() += length(blocks);
        }
        Ok(())
    }

    /// The same for the quota of the file's mount, of which each worker has its part.
    fn take_quota(&mut self, run: &Run, shares: &Share) -> Result<(), String> {
        let Some(first) = shares.values().flatten().next() else { return Ok(()) };
        let mounts = run.files().mounts();
        let Some(mount) = mounts.by_id(first.mount_id) else { return Ok(()) };
        let Some(quota) = Limits::known(&mount.properties).cache_quota else { return Ok(()) };
        for (id, blocks) in shares {
            let before = self.of_mount.get(&(*id, mount.id)).copied().unwrap_or_default();
            let room = (quota.0 as f64 * run.workers().cache_share_of(*id)) as u64;
            if before + length(blocks) > room {
                self.left_out += shares.values().map(|blocks| length(blocks)).sum::<u64>();
                self.over.get_or_insert(mount.path.clone());
                return Err(format!(
                    "does not fit: this load has brought {} of the {} to its worker that {} may \
                     take there by its quota",
                    ByteSize(before),
                    ByteSize(room),
                    mount.path
                ));
            }
        }
        for (id, blocks) in shares {
            *self.of_mount.entry((*id, mount.id)).or_default() += length(blocks);
        }
        Ok(())
    }

    /// What did not fit, and the cure.
    fn remark(&self, run: &Run, failed: i64) -> String {
        if let Some(path) = &self.over {
            return format!(
                "{failed} files were not loaded: {} do not fit into the quota of {path}; raise it \
                 with `goosefs ns setLimits --cacheQuota`, or choose fewer files with --include",
                ByteSize(self.left_out)
            );
        }
        let workers = run.workers();
        let room = workers.live().iter().filter_map(|worker| workers.room_of(worker.id)).sum();
        format!(
            "{failed} files were not loaded: {} do not fit into the cache, which holds {} of one \
             load; add workers, raise goosefs.worker.dirs, or choose fewer files with --include",
            ByteSize(self.left_out),
            ByteSize(room)
        )
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
    use crate::core::model::FileId;

    #[test]
    fn blocks_count_once_and_bytes_never_twice() {
        let file = FileId::from_container(1);
        let block = |index, length| v1::LoadBlock {
            block_id: file.block(index).0,
            length,
            ..Default::default()
        };
        let load = v1::LoadTask { blocks: vec![block(0, 10), block(1, 5)], verify: false };
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
