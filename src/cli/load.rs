//! `goosefs load` and `goosefs fs load`: submit a distributed load and follow it.

use super::Global;
use super::fs::each;
use super::job::{self, Choice, Follow, Speed};
use super::print::Output;
use super::session::Session;
use crate::core::error::Result;
use crate::core::proto::v1::LoadJob;
use clap::Args;
use std::process::ExitCode;

/// Load files into the cache, on all workers at once
///
/// What is cached already is passed over. The job goes on where it was when a master is restarted.
/// Ctrl-C leaves the job running.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs load /data
  goosefs load /demo/train --replicas 2 --progress
  goosefs load /data --include '*.parquet' --exclude _temporary --bandwidth 200MB
  goosefs load --atomic /models/latest          Switch to what is there now, once it is cached
  goosefs load '/data/2026-*' --detach")]
pub struct Load {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Copies of each block to hold
    #[arg(long, visible_alias = "replication", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100))]
    replicas: u32,
    /// Bring only metadata into the tree
    #[arg(long)]
    metadata_only: bool,
    /// Read every block again once it is there: its pages against their checksums, its object
    /// against the version that was listed
    #[arg(long)]
    verify: bool,
    /// Have everybody see what the under store has now only once all of it is in the cache, and the
    /// version before until then; what fails, or is cancelled, leaves that
    #[arg(long, conflicts_with_all = ["metadata_only", "include", "exclude"])]
    atomic: bool,
    /// Start before the listing is complete, as a load always does
    #[arg(long, hide = true)]
    partial_listing: bool,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    follow: Follow,
}

// Help describes it as it does `Load`.
#[derive(Args, Debug)]
pub struct LoadCommand {
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    output: Output,
}

impl LoadCommand {
    /// Loads what was asked for.
    ///
    /// # Errors
    /// What keeps all of it from being loaded.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let load = self.load;
        Session::run(global, self.output, async |session| load.run(session).await)
    }
}

impl Load {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "loading", async |session, path| {
            let load = LoadJob {
                path: path.as_str().into(),
                replicas: self.replicas,
                metadata_only: self.metadata_only,
                select: self.choice.selection(),
                bandwidth: self.speed.bandwidth(),
                verify: self.verify,
                atomic: self.atomic,
            };
            let job = session.fs.load(load).await?;
            job::follow(session, job, &self.follow).await
        })
        .await?;
        session.out.end_list()
    }
}
