//! Verify: every worker reads what it has of the files below a path and compares it with its
//! checksums, or with the under store.
//!
//! The master does not know who has a block, so it asks everyone about every file: a task is a list
//! of files, and who has nothing of them is through with it at once.

use super::progress::Progress;
use super::run::{Chosen, Run};
use crate::core::error::Result;
use crate::core::model::{FileId, Status, WorkerId};
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use std::collections::{HashMap, HashSet};

/// Files in one task.
const MOST_FILES: usize = 256;

/// Asks every live worker about every file.
pub(super) async fn run(run: &Run, job: &v1::VerifyJob) -> Result<()> {
    run.need_worker("verify").await?;
    let chosen = Chosen::of(&run.spec)?;
    let mut packs = HashMap::new();
    let mut walk = run.walk_here().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => {
                for status in page {
                    if status.block_count() == 0 || !chosen.takes(&status.path) {
                        run.note(|progress| progress.passed(status.path));
                    } else {
                        add(run, job, &mut packs, status).await;
                    }
                }
            }
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
    }
    flush(run, job, &mut packs);
    run.note(Progress::listed);
    Ok(())
}

type Packs = HashMap<WorkerId, Vec<v1::VerifyFile>>;

async fn add(run: &Run, job: &v1::VerifyJob, packs: &mut Packs, status: Status) {
    run.keep_near(usize::MAX, || flush(run, job, packs)).await;
    let live = run.workers().live();
    let file = v1::VerifyFile {
        file_id: status.id.0,
        ufs_path: status.ufs_path,
        mount_id: status.mount_id,
        length: status.length as i64,
        block_size: status.block_size as i64,
        version: status.ufs_version,
    };
    run.note(|progress| progress.found(status.id, status.path, live.len() as u64, 0));
    for worker in live {
        let pack = packs.entry(worker.id).or_default();
        pack.push(file.clone());
        if pack.len() >= MOST_FILES {
            let files = std::mem::take(pack);
            run.room(worker.id).await;
            place(run, job, worker.id, files);
        }
    }
}

fn flush(run: &Run, job: &v1::VerifyJob, packs: &mut Packs) {
    packs.drain().for_each(|(worker, files)| place(run, job, worker, files));
}

fn place(run: &Run, job: &v1::VerifyJob, worker: WorkerId, files: Vec<v1::VerifyFile>) {
    if !files.is_empty() {
        let (against_store, repair) = (job.against_store, job.repair);
        run.place(worker, Kind::Verify(v1::VerifyTask { files, against_store, repair }));
    }
}

/// Notes a worker's report. What it does not have is sound.
pub(super) fn settle(settled: &mut HashSet<i64>, report: &v1::TaskReport, progress: &mut Progress) {
    for file in &report.verified {
        if settled.insert(file.file_id) {
            let id = FileId(file.file_id);
            progress.more_done(id, file.bytes.max(0) as u64);
            progress.part_done(id, 0, file.bytes == 0);
        }
    }
    for failure in &report.failed {
        if settled.insert(failure.id) {
            progress.file_part_failed(FileId(failure.id), &failure.cause);
        }
    }
}

/// Settles files that a worker has not told of. Nobody has read what it has of them, so nobody may
/// call them sound.
pub(super) fn unread(files: &[v1::VerifyFile], cause: &str, progress: &mut Progress) {
    for file in files {
        progress.file_part_failed(FileId(file.file_id), cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::FsPath;

    #[test]
    fn what_a_worker_has_not_told_of_is_not_sound() {
        let mut progress = Progress::new(v1::Job::default());
        let ids = [1, 2].map(FileId::from_container);
        let file = |id: FileId| v1::VerifyFile { file_id: id.0, ..Default::default() };
        for id in ids {
            progress.found(id, FsPath::parse(&format!("/f{}", id.0)).unwrap(), 1, 0);
        }
        progress.listed();
        let verified = vec![v1::VerifiedFile { file_id: ids[0].0, bytes: 5 }];
        let report = v1::TaskReport { verified, ..Default::default() };
        settle(&mut HashSet::new(), &report, &mut progress);
        unread(&[file(ids[1])], "gone", &mut progress);
        assert!(progress.end_if_complete(9));
        let job = progress.job();
        assert_eq!((job.files_done, job.files_failed, job.state()), (1, 1, v1::JobState::Failed));
    }
}
