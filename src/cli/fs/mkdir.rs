//! `fs mkdir`.

use super::each;
use crate::cli::session::Session;
use crate::client::CreateDirOptions;
use crate::core::error::Result;
use clap::Args;

/// Make directories, with their parents
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs mkdir /data/raw /data/clean")]
pub struct Mkdir {
    /// Directories to make
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// It is fine when a directory is there already
    #[arg(short = 'p', long = "parents")]
    parents: bool,
}

impl Mkdir {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        each(session, &self.paths, "making directory", async |session, path| {
            let options = CreateDirOptions {
                recursive: true,
                allow_exists: self.parents,
                ..Default::default()
            };
            session.fs.create_dir(&path, &options).await?;
            session.out.note(format!("Successfully created directory {path}"))
        })
        .await
    }
}
