//! Free: has the cached copies below a path dropped, at the rate at which workers can hear of it.

use super::progress::Progress;
use super::run::{Chosen, Run};
use crate::core::error::Result;
use crate::core::model::Status;
use crate::core::proto::v1;
use std::time::Duration;

/// Orders to drop blocks that may wait to be heard by workers: what takes them some seconds.
const BACKLOG: usize = 100_000;
/// How often it is looked whether they were.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tells the workers to drop the blocks of every file that may be freed.
pub(super) async fn run(run: &Run, job: &v1::FreeJob) -> Result<()> {
    let chosen = Chosen::of(&run.spec)?;
    let mut walk = run.walk_here().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => {
                for status in page {
                    if status.folder || !status.completed || !chosen.takes(&status.path) {
                        run.note(|progress| progress.passed(status.path));
                    } else {
                        free_one(run, status, job.forced);
                    }
                }
            }
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
        while run.workers().free_backlog() > BACKLOG {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    run.note(Progress::listed);
    Ok(())
}

fn free_one(run: &Run, status: Status, forced: bool) {
    match run.files().free_file(&status, forced) {
        Ok(()) => run.note(|progress| {
            progress.found(status.id, status.path, 1, status.length);
            progress.part_done(status.id, status.length, false);
        }),
        Err(error) => run.note(|p| p.unreadable(&status.path, &error.to_string())),
    }
}
