//! `fs loadMetadata`.

use super::each;
use crate::cli::session::Session;
use crate::client::{ListOptions, StatusOptions};
use crate::core::error::Result;
use crate::core::model::FsPath;
use clap::Args;
use futures::TryStreamExt;

/// Bring metadata of the under store into the tree
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs loadMetadata /data
  goosefs fs loadMetadata -R -F /data    All of it, and what has changed since")]
pub struct LoadMetadata {
    /// What to look up
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Look into directories below too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Look again at what is known already
    #[arg(short = 'F', visible_short_alias = 'f', long)]
    force: bool,
}

impl LoadMetadata {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        each(session, &self.paths, "loading the metadata of", async |session, path| {
            let count = self.one(session, &path).await?;
            session.out.note(format!("{path}: {count} files and directories known"))
        })
        .await
    }

    async fn one(&self, session: &Session, path: &FsPath) -> Result<u64> {
        let mut options = if self.force { ListOptions::synced() } else { ListOptions::default() };
        let status_options =
            if self.force { StatusOptions::synced() } else { StatusOptions::default() };
        options.recursive = self.recursive;
        if !session.fs.status_with(path, &status_options).await?.folder {
            return Ok(1);
        }
        let mut count = 1;
        let mut below = session.fs.list_stream(path, &options).await?;
        while below.try_next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}
