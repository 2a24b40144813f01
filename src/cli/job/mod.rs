//! `goosefs job`.

mod follow;
mod options;

pub use follow::{Follow, finish, follow};
pub use options::{Choice, Speed};

use super::Global;
use super::print::{self, Output};
use super::session::Session;
use crate::core::error::Result;
use crate::core::model::ByteSize;
use crate::core::proto::v1::{Job, JobState};
use clap::{Args, Subcommand};
use follow::{verdict, wait};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// List, look at, pause, resume, cancel and retry jobs
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs job ls
  goosefs job stat 12 --follow
  goosefs job pause 12
  goosefs job cancel 12")]
pub struct Jobs {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the jobs the master remembers
    #[command(after_help = "Examples:\n  goosefs job ls\n  goosefs job -o json ls")]
    Ls {},
    /// Stop jobs until they are resumed, also over restarts of the masters
    #[command(after_help = "Examples:\n  goosefs job pause 12")]
    Pause {
        /// Numbers of the jobs
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Have paused jobs go on where they were
    #[command(after_help = "Examples:\n  goosefs job resume 12")]
    Resume {
        /// Numbers of the jobs
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Run jobs that have ended once more, for what failed
    #[command(after_help = "Examples:\n  goosefs job retry 12\n  goosefs job retry 12 --detach")]
    Retry {
        /// Numbers of the jobs
        #[arg(required = true)]
        ids: Vec<i64>,
        #[command(flatten)]
        follow: Follow,
    },
    /// Show a job, with what failed
    #[command(after_help = "Examples:\n  goosefs job stat 12\n  goosefs job stat 12 --follow")]
    Stat {
        /// Number of the job
        id: i64,
        /// Follow it until it ends; the exit code is 1 when something failed
        #[arg(short = 'f', long)]
        follow: bool,
    },
    /// End jobs; what they have done stays
    #[command(after_help = "Examples:\n  goosefs job cancel 12")]
    Cancel {
        /// Numbers of the jobs
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

impl Jobs {
    /// Does what the verb says.
    ///
    /// # Errors
    /// What keeps the verb from doing anything.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let verb = self.verb;
        Session::run(global, self.output, async |session| match verb {
            Verb::Ls {} => list(session).await,
            Verb::Stat { id, follow } => {
                let mut job = session.fs.job(id).await?;
                if follow {
                    job = wait(session, job).await?;
                }
                show(session, &job)?;
                if follow { verdict(&job) } else { Ok(()) }
            }
            Verb::Cancel { ids } => {
                let cancel = async |session: &Session, id| session.fs.cancel_job(id).await;
                change(session, &ids, ("cancelling", "Cancelled"), cancel).await
            }
            Verb::Pause { ids } => {
                let pause = async |session: &Session, id| session.fs.pause_job(id).await.map(drop);
                change(session, &ids, ("pausing", "Paused"), pause).await
            }
            Verb::Resume { ids } => {
                let resume =
                    async |session: &Session, id| session.fs.resume_job(id).await.map(drop);
                change(session, &ids, ("resuming", "Resumed"), resume).await
            }
            Verb::Retry { ids, follow } => retry(session, &ids, &follow).await,
        })
    }
}

async fn list(session: &mut Session) -> Result<()> {
    let jobs = session.fs.jobs().await?;
    let values: Vec<_> = jobs.iter().map(value).collect();
    let rows = jobs.iter().map(row).collect();
    session.out.table(&HEADER, rows, &values)
}

const HEADER: [&str; 11] =
    ["ID", "KIND", "STATE", "FILES", "BYTES", "FAILED", "STARTED", "TOOK", "RATE", "LEFT", "PATH"];

fn row(job: &Job) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.kind.clone(),
        state(job).into(),
        format!("{}/{}", job.files_done, job.files_total),
        format!("{}/{}", ByteSize(job.bytes_done as u64), ByteSize(job.bytes_total as u64)),
        job.files_failed.to_string(),
        print::time(job.started_ms),
        print::took(took(job)),
        rate(job),
        left(job).map_or("-".into(), print::took),
        what(job),
    ]
}

/// What it is about: the path, and where that goes to.
fn what(job: &Job) -> String {
    if job.to.is_empty() { job.path.clone() } else { format!("{} -> {}", job.path, job.to) }
}

/// How fast it is, of late while it runs, over all when it has ended.
fn rate(job: &Job) -> String {
    if job.state() == JobState::Paused {
        return "-".into();
    }
    if job.ended_ms != 0 {
        return print::rate(job.bytes_done as u64, took(job));
    }
    match job.bytes_total {
        0 => format!("{} files/s", job.files_per_s),
        _ => format!("{}/s", ByteSize(job.bytes_per_s as u64)),
    }
}

/// How long it will still take, as far as can be known.
fn left(job: &Job) -> Option<Duration> {
    let known = job.ended_ms == 0 && job.state() == JobState::Running && job.left_ms >= 0;
    known.then(|| Duration::from_millis(job.left_ms as u64))
}

fn show(session: &mut Session, job: &Job) -> Result<()> {
    if session.out.is_json() {
        return session.out.json(&value(job));
    }
    for (name, field) in HEADER.iter().zip(row(job)) {
        session.out.line(format!("{name:<9}{field}"))?;
    }
    if let Some(left) = left(job) {
        let end = now_ms() + left.as_millis() as i64;
        session.out.line(format!("{:<9}{}", "ETA", print::time(end)))?;
    }
    if job.files_skipped > 0 {
        session.out.line(format!("{:<9}{}", "IN PLACE", job.files_skipped))?;
    }
    if !job.message.is_empty() {
        session.out.line(format!("{:<9}{}", "CAUSE", job.message))?;
    }
    for failure in &job.failures {
        session.out.line(format!("{:<9}{}: {}", "FAILURE", failure.path, failure.cause))?;
    }
    let untold = job.files_failed - job.failures.len() as i64;
    if untold > 0 {
        session.out.line(format!("{:<9}and {untold} more", "FAILURE"))?;
    }
    Ok(())
}

/// Changes each of the jobs, and says so: what is done, and what was.
async fn change(
    session: &mut Session,
    ids: &[i64],
    (doing, done): (&str, &str),
    work: impl AsyncFn(&Session, i64) -> Result<()>,
) -> Result<()> {
    for &id in ids {
        match work(session, id).await {
            Ok(()) => session.out.note(format!("{done} job {id}"))?,
            Err(error) => session.fail(&error.context(format!("{doing} job {id}"))),
        }
    }
    Ok(())
}

async fn retry(session: &mut Session, ids: &[i64], how: &Follow) -> Result<()> {
    session.out.begin_list()?;
    for &id in ids {
        let result = match session.fs.retry_job(id).await {
            Ok(job) => follow(session, job, how).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            session.fail(&error.context(format!("retrying job {id}")));
        }
    }
    session.out.end_list()
}

fn state(job: &Job) -> &'static str {
    match job.state() {
        JobState::Queued => "QUEUED",
        JobState::Running => "RUNNING",
        JobState::Done => "DONE",
        JobState::Failed => "FAILED",
        JobState::Cancelled => "CANCELLED",
        JobState::Paused => "PAUSED",
    }
}

/// How long a job ran, until now if it still does; pauses are left out.
fn took(job: &Job) -> Duration {
    Duration::from_millis(job.active_ms.max(0) as u64)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}

/// A job in JSON.
fn value(job: &Job) -> serde_json::Value {
    let failures = job
        .failures
        .iter()
        .map(|failure| serde_json::json!({ "path": failure.path, "cause": failure.cause }));
    serde_json::json!({
        "id": job.id,
        "kind": job.kind,
        "path": job.path,
        "to": (!job.to.is_empty()).then_some(&job.to),
        "state": state(job),
        "startedMs": job.started_ms,
        "endedMs": job.ended_ms,
        "listed": job.listed,
        "filesTotal": job.files_total,
        "filesDone": job.files_done,
        "filesFailed": job.files_failed,
        "filesSkipped": job.files_skipped,
        "bytesTotal": job.bytes_total,
        "bytesDone": job.bytes_done,
        "replicas": job.replicas,
        "user": job.user,
        "activeMs": job.active_ms,
        "bytesPerSecond": job.bytes_per_s,
        "filesPerSecond": job.files_per_s,
        "leftMs": left(job).map(|left| left.as_millis() as i64),
        "message": job.message,
        "failures": failures.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::follow::summary;
    use super::*;
    use crate::cli::print::Format;
    use crate::cli::print::tests::Page;

    fn job() -> Job {
        Job {
            id: 12,
            kind: "load".into(),
            path: "/data".into(),
            state: JobState::Done as i32,
            started_ms: 1_000,
            ended_ms: 3_000,
            active_ms: 2_000,
            files_total: 10,
            files_done: 9,
            files_failed: 1,
            files_skipped: 2,
            bytes_total: 10 << 20,
            bytes_done: 10 << 20,
            ..Default::default()
        }
    }

    #[test]
    fn a_summary_says_what_was_done_and_what_was_not() {
        assert_eq!(
            summary(&job()),
            "/data loaded: 9 files, 10MB in 2.0s (5MB/s), 2 of them there already, 1 failed"
        );
    }

    #[test]
    fn jobs_have_a_row_and_a_value() {
        assert_eq!(row(&job())[2..6], ["DONE", "9/10", "10MB/10MB", "1"]);
        assert_eq!(value(&job())["filesSkipped"], 2);
        let page = Page::default();
        let header = ["ID", "KIND"];
        page.out(Format::Table).table(&header, vec![row(&job())[..2].to_vec()], &()).unwrap();
        assert_eq!(page.text(), "ID   KIND\n12   load\n");
    }

    #[test]
    fn a_running_job_says_how_fast_it_is_and_how_long_it_takes() {
        let running = Job {
            state: JobState::Running as i32,
            ended_ms: 0,
            bytes_per_s: 5 << 20,
            left_ms: 4_000,
            ..job()
        };
        assert_eq!(row(&running)[8..10], ["5MB/s", "4.0s"]);
        let paused = Job { state: JobState::Paused as i32, ..running };
        assert_eq!(row(&paused)[8..10], ["-", "-"]);
        let copy = Job { to: "/b".into(), ..job() };
        assert_eq!(row(&copy)[10], "/data -> /b");
    }
}
