//! How far a job is: files and bytes found, done and failed.
//!
//! Only files that have blocks under way are remembered, so a job over millions of files costs what
//! its queues hold.

use crate::core::model::{BlockId, FileId, FsPath};
use crate::core::proto::v1::{Job, JobFailure, JobState};
use std::collections::HashMap;

/// Failures told of one job.
const MOST_FAILURES: usize = 1_000;

/// One job as it stands.
#[derive(Debug)]
pub struct Progress {
    job: Job,
    files: HashMap<FileId, Open>,
    /// Bytes of blocks that are done.
    done_bytes: i64,
    /// Bytes of blocks under way, by task, as workers report them.
    partial: HashMap<i64, i64>,
}

/// A file with blocks under way.
#[derive(Debug)]
struct Open {
    path: FsPath,
    /// Copies of blocks that are neither done nor failed.
    left: u64,
    failed: bool,
    /// Whether every copy so far was there before.
    skipped: bool,
}

impl Progress {
    /// A job that has just begun.
    pub fn new(job: Job) -> Self {
        Progress { job, files: HashMap::new(), done_bytes: 0, partial: HashMap::new() }
    }

    /// The job as clients see it.
    pub fn job(&self) -> Job {
        let partial: i64 = self.partial.values().sum();
        let bytes_done = (self.done_bytes + partial).min(self.job.bytes_total);
        Job { bytes_done, ..self.job.clone() }
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.job.ended_ms != 0
    }

    /// A file was found that needs `copies` copies of blocks, `bytes` in all. One that needs none
    /// is done.
    pub fn found(&mut self, id: FileId, path: FsPath, copies: u64, bytes: u64) {
        self.job.files_total += 1;
        self.job.bytes_total += bytes as i64;
        if copies == 0 {
            self.job.files_done += 1;
            return;
        }
        self.files.insert(id, Open { path, left: copies, failed: false, skipped: true });
    }

    /// A copy of a block is in place.
    pub fn block_done(&mut self, block: BlockId, bytes: u64, skipped: bool) {
        self.done_bytes += bytes as i64;
        self.settle(block.file(), |file| file.skipped &= skipped);
    }

    /// A copy of a block could not be made.
    pub fn block_failed(&mut self, block: BlockId, cause: &str) {
        self.file_part_failed(block.file(), cause);
    }

    /// A part of a file could not be done.
    pub fn file_part_failed(&mut self, id: FileId, cause: &str) {
        let first =
            self.files.get(&id).filter(|file| !file.failed).map(|file| file.path.to_string());
        if let Some(path) = first {
            self.fail(path, cause);
        }
        self.settle(id, |file| file.failed = true);
    }

    /// Something could not even be listed: it counts as a file that failed.
    pub fn unreadable(&mut self, path: &FsPath, cause: &str) {
        self.job.files_total += 1;
        self.job.files_failed += 1;
        self.fail(path.to_string(), cause);
    }

    fn fail(&mut self, path: String, cause: &str) {
        if self.job.failures.len() < MOST_FAILURES {
            self.job.failures.push(JobFailure { path, cause: cause.into() });
        }
    }

    fn settle(&mut self, id: FileId, note: impl FnOnce(&mut Open)) {
        let Some(file) = self.files.get_mut(&id) else { return };
        note(file);
        file.left = file.left.saturating_sub(1);
        if file.left > 0 {
            return;
        }
        if let Some(file) = self.files.remove(&id) {
            self.job.files_failed += i64::from(file.failed);
            self.job.files_done += i64::from(!file.failed);
            self.job.files_skipped += i64::from(!file.failed && file.skipped);
        }
    }

    /// Bytes that a running task has moved of blocks it has not finished.
    pub fn under_way(&mut self, task: i64, bytes: i64) {
        if bytes > 0 {
            self.partial.insert(task, bytes);
        } else {
            self.partial.remove(&task);
        }
    }

    /// The listing is complete: totals are final.
    pub fn listed(&mut self) {
        self.job.listed = true;
    }

    /// Ends the job when everything found is done; says whether it did.
    pub fn end_if_complete(&mut self, now_ms: i64) -> bool {
        if self.is_over() || !self.job.listed || !self.files.is_empty() {
            return false;
        }
        let failed = self.job.files_failed;
        let (state, message) = match failed {
            0 => (JobState::Done, String::new()),
            _ => (JobState::Failed, format!("{failed} of {} files failed", self.job.files_total)),
        };
        self.end(state, message, now_ms);
        true
    }

    /// Ends the job, however far it is.
    pub fn end(&mut self, state: JobState, message: String, now_ms: i64) {
        self.job.state = state as i32;
        self.job.message = message;
        self.job.ended_ms = now_ms;
        self.files = HashMap::new();
        self.partial = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(container: u64) -> FileId {
        FileId::from_container(container)
    }

    fn found(progress: &mut Progress, container: u64, copies: u64, bytes: u64) {
        let path = FsPath::parse(&format!("/f{container}")).unwrap();
        progress.found(file(container), path, copies, bytes);
    }

    #[test]
    fn a_job_is_done_when_every_copy_of_every_file_is() {
        let mut progress = Progress::new(Job::default());
        found(&mut progress, 1, 2, 20);
        found(&mut progress, 2, 0, 0);
        found(&mut progress, 3, 1, 5);
        progress.listed();
        progress.block_done(file(1).block(0), 10, false);
        progress.block_done(file(3).block(0), 5, true);
        assert!(!progress.end_if_complete(9));
        progress.under_way(1, 4);
        assert_eq!(progress.job().bytes_done, 19);
        progress.under_way(1, 0);
        progress.block_done(file(1).block(1), 10, true);
        assert!(progress.end_if_complete(9));
        let job = progress.job();
        assert_eq!((job.files_total, job.files_done, job.files_skipped), (3, 3, 1));
        assert_eq!((job.bytes_total, job.bytes_done, job.state()), (25, 25, JobState::Done));
    }

    #[test]
    fn a_file_fails_once_however_many_of_its_blocks_do() {
        let mut progress = Progress::new(Job::default());
        found(&mut progress, 1, 3, 30);
        progress.block_failed(file(1).block(0), "gone");
        progress.block_failed(file(1).block(1), "gone");
        progress.block_done(file(1).block(2), 10, false);
        progress.unreadable(&FsPath::root(), "no answer");
        progress.listed();
        assert!(progress.end_if_complete(9));
        let job = progress.job();
        assert_eq!((job.files_failed, job.files_done, job.failures.len()), (2, 0, 2));
        assert_eq!(job.state(), JobState::Failed);
        assert!(job.message.contains("2 of 2"), "{}", job.message);
    }
}
