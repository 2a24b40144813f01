//! Following a job to its end.

use super::{state, took, value, what};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::cli::session::Session;
use crate::core::error::{Error, ErrorKind, Result, failed_precondition};
use crate::core::model::ByteSize;
use crate::core::proto::v1::{Job, JobState};
use clap::Args;
use std::time::Duration;

/// Between questions for how far a job is: short at first, since many jobs are.
const ASK_AFTER: Duration = Duration::from_millis(50);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Whether a command that submits a job waits for its end.
#[derive(Args, Clone, Debug, Default)]
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
    report_failures(session, &job);
    session.out.item(|| value(&job), || summary(&job))?;
    verdict(&job)
}

/// The same for a command that says by itself what was done.
///
/// # Errors
/// As [`follow()`].
pub async fn finish(session: &mut Session, job: Job) -> Result<()> {
    let job = wait(session, job).await?;
    report_failures(session, &job);
    verdict(&job)
}

fn report_failures(session: &mut Session, job: &Job) {
    for failure in &job.failures {
        let text = match failure.cause.contains(&failure.path) {
            true => failure.cause.clone(),
            false => format!("{}: {}", failure.path, failure.cause),
        };
        session.fail(&failed_precondition(text));
    }
}

/// Whether `job`, which has ended, did all it was to do.
pub(super) fn verdict(job: &Job) -> Result<()> {
    let (id, failed, total) = (job.id, job.files_failed, job.files_total);
    match job.state() {
        JobState::Cancelled => {
            Err(Error::new(ErrorKind::Cancelled, format!("job {id} was cancelled")))
        }
        _ if failed > 0 && !job.message.starts_with(&format!("{failed} of")) => {
            Err(failed_precondition(format!("job {id}: {}", job.message)))
        }
        _ if failed > 0 => Err(failed_precondition(format!(
            "job {id}: {failed} of {total} files failed; `goosefs job retry {id}` tries them again"
        ))),
        JobState::Failed => Err(failed_precondition(format!("job {id} failed: {}", job.message))),
        _ => Ok(()),
    }
}

/// Asks for the job until it has ended, or is paused.
pub(super) async fn wait(session: &Session, mut job: Job) -> Result<Job> {
    let mut progress = Progress::start();
    let mut pause = ASK_AFTER;
    let id = job.id;
    loop {
        progress.update(&job);
        if job.ended_ms != 0 {
            return Ok(job);
        }
        if job.state() == JobState::Paused {
            return Err(failed_precondition(format!(
                "job {id} is {}: `goosefs job resume {id}` has it go on",
                state(&job).to_lowercase()
            )));
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
pub(super) fn summary(job: &Job) -> String {
    let done = match job.kind.as_str() {
        "load" => "loaded",
        "persist" => "persisted",
        "free" => "freed",
        "copy" => "copied",
        "move" => "moved",
        "verify" => "verified",
        _ => "done",
    };
    let mut text = format!(
        "{} {done}: {} files, {} in {} ({})",
        what(job),
        job.files_done,
        ByteSize(job.bytes_done as u64),
        print::took(took(job)),
        print::rate(job.bytes_done as u64, took(job)),
    );
    if job.files_skipped > 0 {
        let as_they_were = if job.kind == "free" { "left as they were" } else { "there already" };
        text.push_str(&format!(", {} of them {as_they_were}", job.files_skipped));
    }
    if job.files_failed > 0 {
        text.push_str(&format!(", {} failed", job.files_failed));
    }
    text
}
