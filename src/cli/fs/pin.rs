//! `fs pin`, `fs unpin`.

use super::each;
use crate::cli::session::Session;
use crate::client::SetAttributes;
use crate::core::error::Result;
use clap::Args;

/// Mark files as ones to keep in the cache
///
/// Workers never evict blocks of a pinned file, and `fs free` refuses it unless forced. Pinning
/// brings nothing into the cache: `goosefs load` does. What comes into a directory later is not
/// pinned with it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs pin /models/current")]
pub struct Pin {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

/// Let pinned files be evicted again
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs unpin /models/current")]
pub struct Unpin {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Directories with all that is below, as without it
    #[arg(short = 'R', long, hide = true)]
    recursive: bool,
}

impl Pin {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        set(session, &self.paths, true).await
    }
}

impl Unpin {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        set(session, &self.paths, false).await
    }
}

async fn set(session: &mut Session, operands: &[String], pinned: bool) -> Result<()> {
    let set = SetAttributes { pinned: Some(pinned), recursive: true, ..Default::default() };
    let (doing, done) = if pinned { ("pinning", "pinned") } else { ("unpinning", "unpinned") };
    each(session, operands, doing, async |session, path| {
        session.fs.set_attributes(&path, &set).await?;
        session.out.note(format!("File '{path}' was successfully {done}."))
    })
    .await
}
