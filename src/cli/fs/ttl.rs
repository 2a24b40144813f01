//! `fs setTtl`, `fs unsetTtl`.

use super::each;
use crate::cli::session::Session;
use crate::client::SetAttributes;
use crate::core::error::Result;
use crate::core::model::TtlAction;
use crate::core::model::size::parse_duration;
use clap::Args;
use std::time::Duration;

/// Let files and directories expire
///
/// The time to live counts from creation. At its end a file is freed from the cache, or deleted
/// everywhere.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs setTtl /tmp/run-17 1day
  goosefs fs setTtl --action delete /tmp/run-17 36h")]
pub struct SetTtl {
    /// What happens at the end: free (from the cache, also what is pinned, once its store has it) or
    /// delete (everywhere)
    #[arg(long, value_name = "ACTION", default_value = "free")]
    action: TtlAction,
    /// Paths to expire
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Time to live, as in 30min, 12h or 7day; a bare number is milliseconds
    #[arg(value_name = "TIME", value_parser = parse_duration)]
    ttl: Duration,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

/// Let files and directories live forever again
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs unsetTtl /tmp/run-17")]
pub struct UnsetTtl {
    /// Paths that shall not expire
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

impl SetTtl {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let set = SetAttributes {
            ttl: Some(Some(self.ttl)),
            ttl_action: Some(self.action),
            recursive: true,
            ..Default::default()
        };
        each(session, &self.paths, "setting the TTL of", async |session, path| {
            session.fs.set_attributes(&path, &set).await?;
            session.out.note(format!(
                "TTL of path '{path}' was successfully set to {} milliseconds, with expiry action set to {}",
                self.ttl.as_millis(),
                self.action
            ))
        })
        .await
    }
}

impl UnsetTtl {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let set = SetAttributes { ttl: Some(None), recursive: true, ..Default::default() };
        each(session, &self.paths, "removing the TTL of", async |session, path| {
            session.fs.set_attributes(&path, &set).await?;
            session.out.note(format!("TTL of path '{path}' was successfully removed."))
        })
        .await
    }
}
