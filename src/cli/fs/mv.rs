//! `fs mv`.

use super::glob;
use crate::cli::session::Session;
use crate::core::error::{ErrorKind, Result, invalid_argument};
use crate::core::model::FsPath;
use clap::Args;

/// Rename a file or directory
///
/// A destination that is a directory takes the source in; nothing is ever replaced.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs mv /data/new /data/current
  goosefs fs mv '/inbox/*.csv' /archive")]
pub struct Mv {
    /// What to rename; several when the destination is a directory
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Its new path, or the directory to put it in
    #[arg(value_name = "DESTINATION")]
    destination: String,
}

impl Mv {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let sources = glob::expand(session, &self.source).await?;
        let destination = FsPath::parse(&glob::unescape(&self.destination))?;
        let into = match session.fs.status(&destination).await {
            Ok(status) => status.folder,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if sources.len() > 1 && !into {
            let count = sources.len();
            return Err(invalid_argument(format!(
                "{} stands for {count} paths, and {destination} is no directory to put them in",
                self.source
            )));
        }
        for source in sources {
            let to = if into { destination.join(source.name())? } else { destination.clone() };
            match session.fs.rename(&source, &to).await {
                Ok(()) => session.out.note(format!("Renamed {source} to {to}"))?,
                Err(error) => session.fail(&error.context(format!("renaming {source} to {to}"))),
            }
        }
        Ok(())
    }
}
