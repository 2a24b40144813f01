//! How far a job is: a bar on a terminal, a line every few seconds anywhere else. On standard error,
//! so that results stay clean.

use super::print;
use crate::core::model::ByteSize;
use crate::core::proto::v1::Job;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// What the rate is measured over: long enough to be calm, short enough to be true.
const WINDOW: Duration = Duration::from_secs(10);

/// Shows how far one job is until it is dropped.
pub struct Progress {
    shown: Shown,
    pace: Pace,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Instant),
}

impl Progress {
    /// Begins to show a job.
    pub fn start() -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} [{bar:24}] {msg}")
                .expect("the template is a constant")
                .progress_chars("=> ");
            let bar = ProgressBar::new(1).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            Shown::Bar(bar)
        } else {
            Shown::Lines(Instant::now())
        };
        Progress { shown, pace: Pace::default() }
    }

    /// Shows what `job` says.
    pub fn update(&mut self, job: &Job) {
        let now = Instant::now();
        self.pace.add(now, job);
        let line = || line(job, &self.pace);
        match &mut self.shown {
            Shown::Bar(bar) => {
                let (done, total) = share(job);
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(line());
            }
            Shown::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = now;
                // Nobody may be listening, and that is fine.
                let _ = writeln!(std::io::stderr(), "{}", line());
            }
            Shown::Lines(_) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// What is done and what there is to do, in bytes, or in files where there are no bytes.
fn share(job: &Job) -> (u64, u64) {
    let (done, total) = match job.bytes_total {
        0 => (job.files_done + job.files_failed, job.files_total),
        bytes => (job.bytes_done, bytes),
    };
    (done.max(0) as u64, total.max(1) as u64)
}

/// How far `job` is, in one line.
fn line(job: &Job, pace: &Pace) -> String {
    // While the listing goes on, the totals still grow.
    let so_far = if job.listed { "" } else { "+" };
    let done = job.files_done + job.files_failed;
    let mut text = format!(
        "{} {}: {done} of {}{so_far} files, {} of {}{so_far}",
        job.kind,
        job.path,
        job.files_total,
        ByteSize(job.bytes_done as u64),
        ByteSize(job.bytes_total as u64),
    );
    if let Some((per_second, left)) = pace.of(job) {
        text.push_str(&format!(", {}/s", ByteSize(per_second as u64)));
        if let (true, Some(left)) = (job.listed, left) {
            text.push_str(&format!(", {} left", print::took(left)));
        }
    }
    if job.files_failed > 0 {
        text.push_str(&format!(", {} failed", job.files_failed));
    }
    text
}

/// How fast bytes were done lately.
#[derive(Default)]
struct Pace(VecDeque<(Instant, i64)>);

impl Pace {
    fn add(&mut self, now: Instant, job: &Job) {
        self.0.push_back((now, job.bytes_done));
        while self.0.len() > 2 && self.0[1].0 + WINDOW < now {
            self.0.pop_front();
        }
    }

    /// Bytes a second, and how long the rest takes at that rate.
    fn of(&self, job: &Job) -> Option<(f64, Option<Duration>)> {
        let (&(from, before), &(to, after)) = (self.0.front()?, self.0.back()?);
        let seconds = (to - from).as_secs_f64();
        if seconds < 0.2 {
            return None;
        }
        let per_second = (after - before).max(0) as f64 / seconds;
        let rest = (job.bytes_total - job.bytes_done).max(0) as f64;
        let left = Duration::try_from_secs_f64(rest / per_second).ok();
        Some((per_second, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(bytes_done: i64) -> Job {
        Job {
            kind: "load".into(),
            path: "/data".into(),
            listed: true,
            files_total: 3000,
            files_done: 1200,
            files_failed: 1,
            bytes_total: 500 << 20,
            bytes_done,
            ..Default::default()
        }
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_still() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.add(start, &job(0));
        pace.add(start + Duration::from_secs(2), &job(100 << 20));
        assert_eq!(
            line(&job(100 << 20), &pace),
            "load /data: 1201 of 3000 files, 100MB of 500MB, 50MB/s, 8.0s left, 1 failed"
        );
        let listing = Job { listed: false, ..job(0) };
        assert!(line(&listing, &Pace::default()).contains("of 3000+ files"));
    }

    #[test]
    fn a_job_that_stands_still_has_no_time_left_to_tell() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.add(start, &job(5));
        pace.add(start + Duration::from_secs(2), &job(5));
        assert_eq!(pace.of(&job(5)).map(|(rate, left)| (rate, left.is_none())), Some((0.0, true)));
    }

    #[test]
    fn the_pace_forgets_what_is_long_ago() {
        let start = Instant::now();
        let mut pace = Pace::default();
        (0..100).for_each(|s| pace.add(start + Duration::from_secs(s), &job(s as i64)));
        assert!(pace.0.len() <= 13, "{}", pace.0.len());
    }

    #[test]
    fn a_job_of_no_bytes_is_measured_in_files() {
        let empty = Job { bytes_total: 0, bytes_done: 0, ..job(0) };
        assert_eq!(share(&empty), (1201, 3000));
        assert_eq!(share(&Job::default()), (0, 1));
    }
}
