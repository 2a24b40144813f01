//! `fs free`.

use super::each;
use crate::cli::job::{self, Choice};
use crate::cli::session::Session;
use crate::client::FreeOptions;
use crate::core::error::Result;
use crate::core::proto::v1::FreeJob;
use clap::Args;

/// Drop files from the cache; the under store keeps them
///
/// Data that is nowhere else is never dropped: persist it first. A directory is freed by a job,
/// which `goosefs job ls` shows.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs free /data/2019
  goosefs fs free -f /data               Pinned files too")]
pub struct Free {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Free pinned files too
    #[arg(short = 'f', long)]
    force: bool,
    #[command(flatten)]
    choice: Choice,
}

impl Free {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let options = FreeOptions { recursive: false, forced: self.force };
        each(session, &self.paths, "freeing", async |session, path| {
            if session.fs.status(&path).await?.folder {
                let free = FreeJob {
                    path: path.as_str().into(),
                    forced: self.force,
                    select: self.choice.selection(),
                };
                let job = session.fs.free_all(free).await?;
                job::finish(session, job).await?;
            } else {
                session.fs.free(&path, &options).await?;
            }
            session.out.note(format!("{path} was successfully freed from GooseFS space."))
        })
        .await
    }
}
