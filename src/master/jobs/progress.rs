//! How far a job is: files and bytes found, done and failed, how fast, and where it would go on.
//!
//! Only what is under way is remembered, so a job over millions of files costs what its queues hold.
//! Files end in another order than the walk finds them. What is to be known after a restart is where
//! everything before is done, and how much that was: a window over the walk, from the first file that
//! is not settled on, whose front moves as files settle.

use crate::core::model::{BlockId, FileId, FsPath};
use crate::core::proto::v1::{Job, JobFailure, JobState};
use crate::master::file_system::Position;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Failures told of one job, and bytes of what is told of them.
const MOST_FAILURES: usize = 1_000;
const MOST_FAILURE_BYTES: usize = 256 << 10;
/// What rates are measured over: long enough to be calm, short enough to be true.
const PACE: Duration = Duration::from_secs(10);

/// One job as it stands.
#[derive(Debug)]
pub struct Progress {
    job: Job,
    files: HashMap<FileId, Open>,
    /// Bytes of blocks that are done.
    done_bytes: i64,
    /// Bytes of blocks under way, by task, as workers report them.
    partial: HashMap<i64, i64>,
    window: VecDeque<Slot>,
    /// The number of the window's first slot.
    first: u64,
    /// What lies before the window, and its last path.
    settled: Counts,
    passed: Option<FsPath>,
    /// Where this run began.
    began: Option<Position>,
    pace: VecDeque<(Instant, i64, i64)>,
    /// When it began to run this time; none while it does not.
    running_since: Option<Instant>,
    failure_bytes: usize,
}

/// A file with parts under way.
#[derive(Debug)]
struct Open {
    /// Its number in the order of the walk.
    number: u64,
    /// Copies of blocks that are neither done nor failed.
    left: u64,
    failed: bool,
    /// Whether every copy so far was there before.
    skipped: bool,
    counts: Counts,
}

/// Something the walk has found.
#[derive(Debug)]
struct Slot {
    path: FsPath,
    /// What came of it; none while it is under way.
    settled: Option<Counts>,
}

/// Files and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    found: i64,
    done: i64,
    failed: i64,
    skipped: i64,
    bytes: i64,
    done_bytes: i64,
}

impl Counts {
    fn of(job: &Job) -> Self {
        Counts {
            found: job.files_total,
            done: job.files_done,
            failed: job.files_failed,
            skipped: job.files_skipped,
            bytes: job.bytes_total,
            done_bytes: job.bytes_done,
        }
    }

    fn add(&mut self, more: Counts) {
        self.found += more.found;
        self.done += more.done;
        self.failed += more.failed;
        self.skipped += more.skipped;
        self.bytes += more.bytes;
        self.done_bytes += more.done_bytes;
    }
}

impl Progress {
    /// A job that begins, or goes on with the figures that `job` has.
    pub fn new(job: Job) -> Self {
        let running = job.ended_ms == 0 && job.state() != JobState::Paused;
        let text = |failure: &JobFailure| failure.path.len() + failure.cause.len();
        Progress {
            settled: Counts::of(&job),
            done_bytes: job.bytes_done,
            failure_bytes: job.failures.iter().map(text).sum(),
            job,
            files: HashMap::new(),
            partial: HashMap::new(),
            window: VecDeque::new(),
            first: 0,
            passed: None,
            began: None,
            pace: VecDeque::new(),
            running_since: running.then(Instant::now),
        }
    }

    /// The job as clients see it.
    pub fn job(&self) -> Job {
        let partial: i64 = self.partial.values().sum();
        let bytes_done = (self.done_bytes + partial).min(self.job.bytes_total);
        let mut job = Job { bytes_done, active_ms: self.active_ms(), ..self.job.clone() };
        (job.bytes_per_s, job.files_per_s) = self.rates();
        job.left_ms = left_ms(&job);
        job
    }

    /// The job as a later run would begin, and where: all before that is settled.
    pub fn standing(&self) -> (Job, Option<Position>) {
        let job = Job {
            files_total: self.settled.found,
            files_done: self.settled.done,
            files_failed: self.settled.failed,
            files_skipped: self.settled.skipped,
            bytes_total: self.settled.bytes,
            bytes_done: self.settled.done_bytes,
            active_ms: self.active_ms(),
            listed: false,
            ..self.job.clone()
        };
        let next = self.window.front().map(|slot| Position { path: slot.path.clone(), open: true });
        let passed = || Some(Position { path: self.passed.clone()?, open: false });
        (job, next.or_else(passed).or_else(|| self.began.clone()))
    }

    /// The same, which begins in the middle of the walk.
    pub fn resumed(job: Job, began: Option<Position>) -> Self {
        Progress { began, ..Progress::new(job) }
    }

    fn active_ms(&self) -> i64 {
        let now = self.running_since.map_or(0, |since| since.elapsed().as_millis() as i64);
        self.job.active_ms + now
    }

    /// Notes how far it is now, for the rates. To be called about once a second.
    pub fn sample(&mut self, now: Instant) {
        let done = self.done_bytes + self.partial.values().sum::<i64>();
        let files = self.job.files_done + self.job.files_failed;
        self.pace.push_back((now, done, files));
        while self.pace.len() > 2 && self.pace[1].0 + PACE < now {
            self.pace.pop_front();
        }
    }

    /// Bytes and files a second, lately.
    fn rates(&self) -> (i64, i64) {
        let (Some(from), Some(to)) = (self.pace.front(), self.pace.back()) else { return (0, 0) };
        let seconds = (to.0 - from.0).as_secs_f64();
        if seconds <= 0.0 {
            return (0, 0);
        }
        let rate = |before: i64, after: i64| ((after - before).max(0) as f64 / seconds) as i64;
        (rate(from.1, to.1), rate(from.2, to.2))
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.job.ended_ms != 0
    }

    /// Whether it runs: it has not ended, and nobody paused it.
    pub fn is_running(&self) -> bool {
        !self.is_over() && !self.is_paused()
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.job.state() == JobState::Paused
    }

    /// A file was found that needs `copies` copies of blocks, `bytes` in all. One that needs none
    /// is done.
    pub fn found(&mut self, id: FileId, path: FsPath, copies: u64, bytes: u64) {
        // Renamed while we walk, it comes twice.
        if self.files.contains_key(&id) {
            return;
        }
        self.job.files_total += 1;
        self.job.bytes_total += bytes as i64;
        let mut counts = Counts { found: 1, bytes: bytes as i64, ..Default::default() };
        if copies == 0 {
            self.job.files_done += 1;
            counts.done = 1;
            self.push(path, Some(counts));
            return;
        }
        let number = self.first + self.window.len() as u64;
        self.push(path, None);
        let (failed, skipped) = (false, true);
        self.files.insert(id, Open { number, left: copies, failed, skipped, counts });
    }

    /// A file was found to which nothing has to be done.
    pub fn in_place(&mut self, path: FsPath, bytes: u64) {
        self.job.files_total += 1;
        self.job.files_done += 1;
        self.job.files_skipped += 1;
        self.job.bytes_total += bytes as i64;
        self.done_bytes += bytes as i64;
        let bytes = bytes as i64;
        let counts = Counts { found: 1, done: 1, skipped: 1, failed: 0, bytes, done_bytes: bytes };
        self.push(path, Some(counts));
    }

    /// The walk has come by something that is no file of the job.
    pub fn passed(&mut self, path: FsPath) {
        self.push(path, Some(Counts::default()));
    }

    fn push(&mut self, path: FsPath, settled: Option<Counts>) {
        self.window.push_back(Slot { path, settled });
        self.advance();
    }

    /// Moves the window's front up to the first that is not settled.
    fn advance(&mut self) {
        while let Some(counts) = self.window.front().and_then(|slot| slot.settled) {
            self.settled.add(counts);
            self.first += 1;
            self.passed = self.window.pop_front().map(|slot| slot.path);
        }
    }

    /// A copy of a block is in place.
    pub fn block_done(&mut self, block: BlockId, bytes: u64, skipped: bool) {
        self.part_done(block.file(), bytes, skipped);
    }

    /// A part of a file is done.
    pub fn part_done(&mut self, id: FileId, bytes: u64, skipped: bool) {
        if self.files.contains_key(&id) {
            self.done_bytes += bytes as i64;
        }
        self.settle(id, |file| {
            file.skipped &= skipped;
            file.counts.done_bytes += bytes as i64;
        });
    }

    /// Bytes that nobody knew of before are done.
    pub fn more_done(&mut self, id: FileId, bytes: u64) {
        let Some(file) = self.files.get_mut(&id) else { return };
        file.counts.bytes += bytes as i64;
        file.counts.done_bytes += bytes as i64;
        self.job.bytes_total += bytes as i64;
        self.done_bytes += bytes as i64;
    }

    /// A copy of a block could not be made.
    pub fn block_failed(&mut self, block: BlockId, cause: &str) {
        self.file_part_failed(block.file(), cause);
    }

    /// A part of a file could not be done.
    pub fn file_part_failed(&mut self, id: FileId, cause: &str) {
        let first = self.files.get(&id).filter(|file| !file.failed);
        let first = first.and_then(|file| self.window.get((file.number - self.first) as usize));
        if let Some(path) = first.map(|slot| slot.path.to_string()) {
            self.fail(path, cause);
        }
        self.settle(id, |file| file.failed = true);
    }

    /// Something could not even be begun: it counts as a file that failed.
    pub fn unreadable(&mut self, path: &FsPath, cause: &str) {
        self.job.files_total += 1;
        self.job.files_failed += 1;
        self.fail(path.to_string(), cause);
        let counts = Counts { found: 1, failed: 1, ..Default::default() };
        self.push(path.clone(), Some(counts));
    }

    fn fail(&mut self, path: String, cause: &str) {
        let bytes = self.failure_bytes + path.len() + cause.len();
        let known = || self.job.failures.iter().any(|failure| failure.path == path);
        if self.job.failures.len() < MOST_FAILURES && bytes <= MOST_FAILURE_BYTES && !known() {
            self.failure_bytes = bytes;
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
        let Some(mut file) = self.files.remove(&id) else { return };
        file.counts.failed = i64::from(file.failed);
        file.counts.done = i64::from(!file.failed);
        file.counts.skipped = i64::from(!file.failed && file.skipped);
        self.job.files_failed += file.counts.failed;
        self.job.files_done += file.counts.done;
        self.job.files_skipped += file.counts.skipped;
        if let Some(slot) = self.window.get_mut((file.number - self.first) as usize) {
            slot.settled = Some(file.counts);
        }
        self.advance();
    }

    /// Bytes that a running task has moved of blocks it has not finished.
    pub fn under_way(&mut self, task: i64, bytes: i64) {
        if bytes > 0 {
            self.partial.insert(task, bytes);
        } else {
            self.partial.remove(&task);
        }
    }

    /// Files under way.
    pub fn open_files(&self) -> usize {
        self.files.len()
    }

    /// What is remembered of the walk: all since the first file that is not settled.
    pub fn behind(&self) -> usize {
        self.window.len()
    }

    /// Files that failed.
    pub fn failed(&self) -> i64 {
        self.job.files_failed
    }

    /// All of it is walked once more: what was found counts anew.
    pub fn begin_again(&mut self) {
        let job = anew(self.job.clone());
        let pace = std::mem::take(&mut self.pace);
        *self = Progress { pace, running_since: self.running_since, ..Progress::new(job) };
    }

    /// So many files were in place before the job began.
    pub fn recount_skipped(&mut self, files: i64) {
        self.job.files_skipped = files;
    }

    /// The listing is complete: totals are final.
    pub fn listed(&mut self) {
        self.job.listed = true;
    }

    /// What is to be said of it beside its failures.
    pub fn remark(&mut self, message: String) {
        self.job.message = message;
    }

    /// Ends the job when everything found is done; says whether it did.
    pub fn end_if_complete(&mut self, now_ms: i64) -> bool {
        if !self.is_running() || !self.job.listed || !self.files.is_empty() {
            return false;
        }
        let (failed, total) = (self.job.files_failed, self.job.files_total);
        let mut message = std::mem::take(&mut self.job.message);
        if failed > 0 && message.is_empty() {
            message = format!("{failed} of {total} files failed");
        }
        let state = if failed == 0 { JobState::Done } else { JobState::Failed };
        self.end(state, message, now_ms);
        true
    }

    /// Ends the job, however far it is.
    pub fn end(&mut self, state: JobState, message: String, now_ms: i64) {
        self.job.bytes_done = self.done_bytes.min(self.job.bytes_total);
        self.job.message = message;
        self.job.ended_ms = now_ms;
        self.stop(state);
    }

    /// Nothing of it is under way any more.
    pub fn stop(&mut self, state: JobState) {
        self.job.state = state as i32;
        self.job.active_ms = self.active_ms();
        self.running_since = None;
        self.files = HashMap::new();
        self.partial = HashMap::new();
        self.pace = VecDeque::new();
    }
}

/// How long the rest takes at the rate of late; -1 where that is not to be known.
/// The job with nothing found yet.
pub fn anew(job: Job) -> Job {
    Job {
        files_total: 0,
        files_done: 0,
        files_failed: 0,
        files_skipped: 0,
        bytes_total: 0,
        bytes_done: 0,
        failures: Vec::new(),
        ..job
    }
}

fn left_ms(job: &Job) -> i64 {
    if job.ended_ms != 0 {
        return 0;
    }
    let (rest, rate) = match job.bytes_total {
        0 => (job.files_total - job.files_done - job.files_failed, job.files_per_s),
        bytes => (bytes - job.bytes_done, job.bytes_per_s),
    };
    if !job.listed || rate <= 0 { -1 } else { (rest.max(0) as f64 / rate as f64 * 1000.0) as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(container: u64) -> FileId {
        FileId::from_container(container)
    }

    fn path(number: u64) -> FsPath {
        FsPath::parse(&format!("/f{number}")).unwrap()
    }

    fn found(progress: &mut Progress, container: u64, copies: u64, bytes: u64) {
        progress.found(file(container), path(container), copies, bytes);
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

    #[test]
    fn a_later_run_begins_where_all_before_is_settled_and_counts_only_that() {
        let mut progress = Progress::new(Job::default());
        assert_eq!(progress.standing().1, None);
        progress.passed(path(0));
        (1..=3).for_each(|n| found(&mut progress, n, 1, 10));
        progress.block_done(file(2).block(0), 10, false);
        let (job, at) = progress.standing();
        assert_eq!(at, Some(Position { path: path(1), open: true }));
        assert_eq!((job.files_total, job.bytes_done), (0, 0));
        progress.block_failed(file(1).block(0), "gone");
        let (job, at) = progress.standing();
        assert_eq!(at, Some(Position { path: path(3), open: true }));
        assert_eq!((job.files_total, job.files_done, job.files_failed), (2, 1, 1));

        let mut later = Progress::resumed(job, at.clone());
        assert_eq!(later.standing().1, at);
        found(&mut later, 3, 1, 10);
        later.block_done(file(3).block(0), 10, false);
        assert_eq!(later.standing().1, Some(Position { path: path(3), open: false }));
        later.listed();
        assert!(later.end_if_complete(9));
        let job = later.job();
        assert_eq!((job.files_total, job.files_done, job.files_failed), (3, 2, 1));
        assert_eq!((job.bytes_total, job.bytes_done, job.failures.len()), (30, 20, 1));
    }

    #[test]
    fn what_is_settled_behind_an_open_file_is_remembered_until_that_is_settled() {
        let mut progress = Progress::new(Job::default());
        found(&mut progress, 1, 1, 10);
        (2..50).for_each(|n| found(&mut progress, n, 0, 0));
        assert_eq!((progress.behind(), progress.open_files()), (49, 1));
        progress.block_done(file(1).block(0), 10, false);
        assert_eq!((progress.behind(), progress.open_files()), (0, 0));
    }

    #[test]
    fn rates_are_those_of_late_and_say_how_long_the_rest_takes() {
        let mut progress = Progress::new(Job::default());
        let start = Instant::now();
        found(&mut progress, 1, 2, 300);
        progress.sample(start);
        progress.block_done(file(1).block(0), 100, false);
        progress.sample(start + Duration::from_secs(2));
        assert_eq!((progress.job().bytes_per_s, progress.job().left_ms), (50, -1));
        progress.listed();
        assert_eq!(progress.job().left_ms, 4000);
        (3..60).for_each(|s| progress.sample(start + Duration::from_secs(s)));
        assert!(progress.pace.len() <= 13, "{}", progress.pace.len());
        assert_eq!((progress.job().bytes_per_s, progress.job().left_ms), (0, -1));
    }
}
