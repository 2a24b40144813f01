//! `fs rm`.

use super::each;
use crate::cli::session::Session;
use crate::client::DeleteOptions;
use crate::core::error::Result;
use clap::Args;

/// Delete files and directories, in the under store too
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs rm /tmp/a /tmp/b
  goosefs fs rm -R /tmp/run-17
  goosefs fs rm -R --goosefsOnly /data    Forget it here, keep it in the under store")]
pub struct Rm {
    /// What to delete
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Delete directories with all that is in them
    #[arg(short = 'R', visible_short_alias = 'r', long)]
    recursive: bool,
    /// Do not check first that the under store holds nothing the tree does not know
    #[arg(short = 'U', long)]
    unchecked: bool,
    /// Keep what the under store has
    #[arg(long = "goosefsOnly", alias = "alluxioOnly")]
    goosefs_only: bool,
}

impl Rm {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let options = DeleteOptions {
            recursive: self.recursive,
            cache_only: self.goosefs_only,
            unchecked: self.unchecked,
        };
        each(session, &self.paths, "deleting", async |session, path| {
            let deleted = session.fs.delete(&path, &options).await;
            deleted.map_err(|error| match self.recursive {
                false if is_directory(&error) => error.context("use -R for a directory"),
                _ => error,
            })?;
            session.out.note(format!("{path} has been removed"))
        })
        .await
    }
}

fn is_directory(error: &crate::core::error::Error) -> bool {
    use crate::core::error::ErrorKind;
    matches!(error.kind(), ErrorKind::NotEmpty | ErrorKind::IsDirectory)
}
