//! An atomic load: everybody sees the old version of a directory until the new one is whole in the
//! cache, and then that.
//!
//! The new version is made beside the old one ([`crate::master::state`], stages), from a listing of
//! the under store; its blocks are filled under the ids it will have. Then all of it is looked at
//! once more: only when the under store lists the same still and every block is still in place does
//! one entry of the journal make the switch. Whatever ends the job before that leaves the old version.
//!
//! ```text
//! begin → list and fill → list and look: nothing new, all there → publish
//!                   ↑___________________|  else again, a few times
//! ```
//!
//! A run that goes on after a failover begins at the top: what is staged stays staged, and what is
//! filled is passed over.

use super::load::Packer;
use super::progress::Progress;
use super::run::Run;
use crate::core::error::{Error, ErrorKind, Result, resource_exhausted, unavailable};
use crate::core::proto::v1;
use crate::master::file_system::Next;

/// How often all of it is looked at before the job gives up: the data set keeps changing, or the
/// cache does not keep it.
const ROUNDS: usize = 8;

/// What a look at all of it has found.
struct Look {
    /// Whether the under store has something else than before.
    changed: bool,
    /// When it began.
    listed_ms: i64,
}

/// Makes the next version whole and has everybody see it.
pub(super) async fn run(run: &Run, load: &v1::LoadJob) -> Result<()> {
    let path = run.spec.path()?;
    // One that was cancelled a moment ago is in nobody's way.
    run.jobs.drop_stages().await?;
    let top = run.files().begin_stage(run.id, &path).await?;
    let mut skipped = None;
    for round in 0..ROUNDS {
        if round > 0 {
            run.note(Progress::begin_again);
        }
        // Bytes are compared once; later rounds only ask whether they are there.
        let load = v1::LoadJob { verify: load.verify && round == 0, ..load.clone() };
        let look = look(run, &load, top.clone()).await?;
        run.wait_until(|progress| progress.open_files() == 0).await;
        // It is paused, or has ended.
        let Some(job) = run.look(Progress::job) else { return Ok(()) };
        if job.files_failed > 0 {
            return Err(not_whole(&job));
        }
        let first = *skipped.get_or_insert(job.files_skipped);
        let in_place = job.files_skipped == job.files_done;
        if round == 0 || look.changed || !in_place {
            continue;
        }
        match run.files().publish_stage(run.id, &path, look.listed_ms).await {
            Err(error) if error.kind() == ErrorKind::Aborted => {}
            Err(error) => return Err(error),
            Ok(()) => {
                run.note(|progress| {
                    progress.recount_skipped(first);
                    progress.listed();
                });
                return Ok(());
            }
        }
    }
    Err(resource_exhausted(format!(
        "{path} was looked at {ROUNDS} times and was never whole: it keeps changing in the under store, \
         or the cache does not keep it; everybody sees the old version"
    )))
}

/// Lists all of it into the next version, and has every file brought into the cache.
async fn look(run: &Run, load: &v1::LoadJob, top: Next) -> Result<Look> {
    let mut look = Look { changed: false, listed_ms: run.files().clock.now_ms() };
    let mut packer = Packer::new(run, load);
    // Directories still to list: of each on the way those beside it.
    let mut directories = vec![top];
    let mut at_top = true;
    while let Some(directory) = directories.pop() {
        let names = match run.files().stage_directory(run.id, &directory).await {
            Ok((names, changed)) => {
                look.changed |= changed;
                names
            }
            // It has gone since the one above was listed: the next look tells.
            Err(error) if error.kind() == ErrorKind::NotFound && !at_top => {
                look.changed = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        at_top = false;
        for name in names {
            let Some(next) = run.files().next_status(run.id, &directory, &name)? else { continue };
            if next.status.folder {
                directories.push(next);
            } else if next.status.length == 0 {
                // No worker holds it, and none has to.
                run.note(|progress| progress.in_place(next.status.path, 0));
            } else if super::load::wanted(&next.status) {
                packer.add(next.status).await?;
            }
        }
        packer.flush_idle();
    }
    packer.flush();
    Ok(look)
}

fn not_whole(job: &v1::Job) -> Error {
    let first =
        job.failures.first().map(|f| format!("{}: {}", f.path, f.cause)).unwrap_or_default();
    unavailable(format!(
        "everybody sees the old version, since {} of {} files could not be loaded; the first: {first}",
        job.files_failed, job.files_total
    ))
}
