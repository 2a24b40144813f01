//! `fs free`.

use super::each;
use crate::cli::session::Session;
use crate::client::FreeOptions;
use crate::core::error::Result;
use clap::Args;

/// Drop files from the cache; the under store keeps them
///
/// Data that is nowhere else is never dropped: persist it first.
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
}

impl Free {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let options = FreeOptions { recursive: true, forced: self.force };
        each(session, &self.paths, "freeing", async |session, path| {
            session.fs.free(&path, &options).await?;
            session.out.note(format!("{path} was successfully freed from GooseFS space."))
        })
        .await
    }
}
