//! `goosefs job`, and following a job to its end.

use super::Global;
use super::print::{self, Output};
use super::progress::Progress;
use super::session::Session;
use crate::core::error::{Error, ErrorKind, Result, failed_precondition};
use crate::core::model::ByteSize;
use crate::core::proto::v1::{Job, JobState};
use clap::{Args, Subcommand};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between questions for how far a job is: short at first, since many jobs are.
const ASK_AFTER: Duration = Duration::from_millis(50);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// List, look at and cancel jobs
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs job ls
  goosefs job stat 12 --follow
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
            Verb::Cancel { ids } => cancel(session, &ids).await,
        })
    }
}

async fn list(session: &mut Session) -> Result<()> {
    let jobs = session.fs.jobs().await?;
    let values: Vec<_> = jobs.iter().map(value).collect();
    let rows = jobs.iter().map(row).collect();
    let header = ["ID", "KIND", "STATE", "FILES", "BYTES", "FAILED", "STARTED", "TOOK", "PATH"];
    session.out.table(&header, rows, &values)
}

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
        job.path.clone(),
    ]
}

fn show(session: &mut Session, job: &Job) -> Result<()> {
    if session.out.is_json() {
        return session.out.json(&value(job));
    }
    let header = ["ID", "KIND", "STATE", "FILES", "BYTES", "FAILED", "STARTED", "TOOK", "PATH"];
    for (name, field) in header.iter().zip(row(job)) {
        session.out.line(format!("{name:<9}{field}"))?;
    }
    if job.files_skipped > 0 {
        session.out.line(format!("{:<9}{}", "CACHED", job.files_skipped))?;
    }
    if !job.message.is_empty() {
        session.out.line(format!("{:<9}{}", "CAUSE", job.message))?;
    }
    for failure in &job.failures {
        session.out.line(format!("{:<9}{}: {}", "FAILURE", failure.path, failure.cause))?;
    }
    Ok(())
}

async fn cancel(session: &mut Session, ids: &[i64]) -> Result<()> {
    for &id in ids {
        match session.fs.cancel_job(id).await {
            Ok(()) => session.out.note(format!("Cancelled job {id}"))?,
            Err(error) => session.fail(&error.context(format!("cancelling job {id}"))),
        }
    }
    Ok(())
}

/// Whether a command that submits a job waits for its end.
#[derive(Args, Clone, Debug)]
pub struct Follow {
    /// Submit the job and do not wait for its end
    #[arg(long, conflicts_with = "progress")]
    pub detach: bool,
    /// Follow the job until it ends, as without it
    #[arg(long)]
    pub progress: bool,
}

/// Follows a job that was just submitted until it ends, and says what came of it as an item of a
/// list; or only says its number. Single failures are reported one by one.
///
/// # Errors
/// Why the job failed; `Cancelled` when it, or this command, was.
pub async fn follow(session: &mut Session, job: Job, follow: &Follow) -> Result<()> {
    if follow.detach {
        let id = job.id;
        let line = || format!("Submitted job {id}: see `goosefs job stat {id}`");
        return session.out.item(|| value(&job), line);
    }
    let job = wait(session, job).await?;
    for failure in &job.failures {
        let text = format!("{}: {}", failure.path, failure.cause);
        session.fail(&failed_precondition(text));
    }
    session.out.item(|| value(&job), || summary(&job))?;
    verdict(&job)
}

/// Whether `job`, which has ended, did all it was to do.
fn verdict(job: &Job) -> Result<()> {
    let (id, failed, total) = (job.id, job.files_failed, job.files_total);
    match job.state() {
        JobState::Cancelled => {
            Err(Error::new(ErrorKind::Cancelled, format!("job {id} was cancelled")))
        }
        _ if failed > 0 => Err(failed_precondition(format!(
            "job {id}: {failed} of {total} files failed; run it again for the rest"
        ))),
        JobState::Failed => Err(failed_precondition(format!("job {id} failed: {}", job.message))),
        _ => Ok(()),
    }
}

/// Asks for the job until it has ended.
async fn wait(session: &Session, mut job: Job) -> Result<Job> {
    let mut progress = Progress::start();
    let mut pause = ASK_AFTER;
    let id = job.id;
    loop {
        progress.update(&job);
        if job.ended_ms != 0 {
            return Ok(job);
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {
                return Err(Error::new(ErrorKind::Cancelled, format!(
                    "job {id} goes on: follow it with `goosefs job stat {id} --follow`, \
                     end it with `goosefs job cancel {id}`"
                )));
            }
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(ASK_EVERY);
        job = session.fs.job(id).await?;
    }
}

/// What came of a job, in one line.
fn summary(job: &Job) -> String {
    let done = match job.kind.as_str() {
        "load" => "loaded",
        "persist" => "persisted",
        _ => "done",
    };
    let mut text = format!(
        "{} {done}: {} files, {} in {} ({})",
        job.path,
        job.files_done,
        ByteSize(job.bytes_done as u64),
        print::took(took(job)),
        print::rate(job.bytes_done as u64, took(job)),
    );
    if job.files_skipped > 0 {
        text.push_str(&format!(", {} of them there already", job.files_skipped));
    }
    if job.files_failed > 0 {
        text.push_str(&format!(", {} failed", job.files_failed));
    }
    text
}

fn state(job: &Job) -> &'static str {
    match job.state() {
        JobState::Queued => "QUEUED",
        JobState::Running => "RUNNING",
        JobState::Done => "DONE",
        JobState::Failed => "FAILED",
        JobState::Cancelled => "CANCELLED",
    }
}

/// How long a job ran, until now if it still does.
fn took(job: &Job) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let end = if job.ended_ms == 0 { now } else { job.ended_ms };
    let start = if job.started_ms == 0 { end } else { job.started_ms };
    Duration::from_millis((end - start).max(0) as u64)
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
        "message": job.message,
        "failures": failures.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
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
}
