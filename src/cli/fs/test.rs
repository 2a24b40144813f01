//! `fs test`.

use super::glob;
use crate::cli::session::Session;
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{FsPath, Status};
use clap::Args;

/// Ask something of a path: the exit code is 0 for yes, 1 for no
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  if goosefs fs test -e /data/_SUCCESS; then echo done; fi")]
pub struct Test {
    #[command(flatten)]
    question: Question,
    /// The path in question
    #[arg(value_name = "PATH")]
    path: String,
}

/// What is asked.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Question {
    /// Is it a directory
    #[arg(short = 'd')]
    directory: bool,
    /// Does it exist
    #[arg(short = 'e')]
    exists: bool,
    /// Is it a file
    #[arg(short = 'f')]
    file: bool,
    /// Is it a directory with something in it, or a file that is not empty
    #[arg(short = 's')]
    something: bool,
    /// Is it a file of no bytes
    #[arg(short = 'z')]
    empty: bool,
}

impl Test {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let path = FsPath::parse(&glob::unescape(&self.path))?;
        let yes = match session.fs.status(&path).await {
            Ok(status) => self.question.of(session, &status).await?,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !yes {
            session.answer_no();
        }
        Ok(())
    }
}

impl Question {
    async fn of(&self, session: &Session, status: &Status) -> Result<bool> {
        if self.something && status.folder {
            return has_children(session, &status.path).await;
        }
        Ok(self.exists
            || self.directory && status.folder
            || self.file && !status.folder
            || self.something && status.length > 0
            || self.empty && !status.folder && status.length == 0)
    }
}

async fn has_children(session: &Session, path: &FsPath) -> Result<bool> {
    use crate::client::ListOptions;
    use futures::TryStreamExt;
    let mut children = session.fs.list_stream(path, &ListOptions::default()).await?;
    Ok(children.try_next().await?.is_some())
}
