//! `fsadmin persist`: files on their way to their under stores that do not get there.

use crate::cli::session::Session;
use crate::core::error::Result;
use clap::{Args, Subcommand};

/// See which files could not be persisted, and have them tried again
///
/// A file written ASYNC_THROUGH that its under store does not take is tried again, ever more
/// seldom, up to every five minutes, for as long as it is there: its only copies are in the cache.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs fsadmin persist ls
  goosefs fsadmin persist retry")]
pub struct Persist {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Verb {
    /// List them, with the last cause
    Ls,
    /// Have all of them tried again now
    Retry,
}

impl Persist {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        match self.verb {
            Verb::Ls => {
                let failed = session.fs.failed_persists().await?;
                if session.out.is_json() {
                    return session.out.json(&serde_json::json!({ "failed": failed }));
                }
                failed.iter().try_for_each(|file| session.out.line(file))
            }
            Verb::Retry => {
                let any = session.fs.retry_persists().await?;
                session.out.line(match any {
                    true => "They are tried again now: see `goosefs fsadmin persist ls`",
                    false => "Nothing has failed",
                })
            }
        }
    }
}
