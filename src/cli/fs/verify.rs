//! `fs verify`.

use super::each;
use crate::cli::job::{self, Choice, Follow, Speed};
use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::proto::v1::VerifyJob;
use clap::Args;

/// Compare what is cached with its checksums, and with the under store
///
/// All workers read what they have of the files, at once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs verify /data
  goosefs fs verify --against-store --repair --bandwidth 100MB /data")]
pub struct Verify {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Compare with the bytes of the under store too
    #[arg(long)]
    against_store: bool,
    /// Drop bad copies, so that the next read fills them again
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    follow: Follow,
}

impl Verify {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "verifying", async |session, path| {
            let job = session.fs.verify(VerifyJob {
                path: path.as_str().into(),
                against_store: self.against_store,
                repair: self.repair,
                select: self.choice.selection(),
                bandwidth: self.speed.bandwidth(),
            });
            job::follow(session, job.await?, &self.follow).await
        })
        .await?;
        session.out.end_list()
    }
}
