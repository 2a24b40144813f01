//! `fs persist`.

use super::each;
use crate::cli::job::{self, Follow};
use crate::cli::session::Session;
use crate::core::error::Result;
use clap::Args;

/// Copy files that are only in the cache to the under store
///
/// Waits until they are there, unless told otherwise.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs persist /results/run-17")]
pub struct Persist {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    follow: Follow,
}

impl Persist {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "persisting", async |session, path| {
            let job = session.fs.persist(&path).await?;
            job::follow(session, job, &self.follow).await
        })
        .await?;
        session.out.end_list()
    }
}
