//! How far a job is: a bar on a terminal, a line every few seconds anywhere else. On standard error,
//! so that results stay clean.

use super::print;
use crate::core::model::ByteSize;
use crate::core::proto::v1::Job;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far one job is until it is dropped.
pub struct Progress {
    shown: Shown,
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
        Progress { shown }
    }

    /// Shows what `job` says.
    pub fn update(&mut self, job: &Job) {
        let line = || line(job);
        match &mut self.shown {
            Shown::Bar(bar) => {
                let (done, total) = share(job);
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(line());
            }
            Shown::Lines(last) if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
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
fn line(job: &Job) -> String {
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
    match job.bytes_total {
        0 if job.files_per_s > 0 => text.push_str(&format!(", {} files/s", job.files_per_s)),
        0 => {}
        _ if job.bytes_per_s > 0 => {
            text.push_str(&format!(", {}/s", ByteSize(job.bytes_per_s as u64)));
        }
        _ => {}
    }
    if job.left_ms > 0 {
        let left = Duration::from_millis(job.left_ms as u64);
        text.push_str(&format!(", {} left", print::took(left)));
    }
    if job.files_failed > 0 {
        text.push_str(&format!(", {} failed", job.files_failed));
    }
    text
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
        let fast = Job { bytes_per_s: 50 << 20, left_ms: 8_000, ..job(100 << 20) };
        assert_eq!(
            line(&fast),
            "load /data: 1201 of 3000 files, 100MB of 500MB, 50MB/s, 8.0s left, 1 failed"
        );
        let listing = Job { listed: false, left_ms: -1, ..job(0) };
        assert!(line(&listing).contains("of 3000+ files"));
        assert!(!line(&listing).contains("left"));
        let empty = Job { bytes_total: 0, bytes_done: 0, files_per_s: 70, ..job(0) };
        assert!(line(&empty).contains("70 files/s"));
    }

    #[test]
    fn a_job_of_no_bytes_is_measured_in_files() {
        let empty = Job { bytes_total: 0, bytes_done: 0, ..job(0) };
        assert_eq!(share(&empty), (1201, 3000));
        assert_eq!(share(&Job::default()), (0, 1));
    }
}
