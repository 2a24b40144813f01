//! `fs count`.

use super::each;
use crate::cli::print;
use crate::cli::session::Session;
use crate::client::ListOptions;
use crate::core::error::Result;
use crate::core::model::FsPath;
use clap::{ArgAction, Args};
use futures::TryStreamExt;

/// Count files, directories and bytes
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  goosefs fs count /data
  goosefs fs count -h /data/2025 /data/2026")]
pub struct Count {
    /// What to count
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Print sizes for people, as in 1.5GB
    #[arg(short = 'h', long = "human")]
    human: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What there is at and below a path.
#[derive(Default)]
struct Counted {
    files: u64,
    folders: u64,
    bytes: u64,
}

impl Count {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let many = self.paths.len() > 1;
        if !session.out.is_json() {
            session
                .out
                .line(format!("{:<25}{:<25}{}", "File Count", "Folder Count", "Total Bytes"))?;
        }
        session.out.begin_list()?;
        each(session, &self.paths, "counting", async |session, path| {
            let counted = count(session, &path).await?;
            let value = || {
                serde_json::json!({
                    "path": path.as_str(),
                    "files": counted.files,
                    "folders": counted.folders,
                    "bytes": counted.bytes,
                })
            };
            let line = || {
                let bytes = print::size(counted.bytes, self.human);
                let name = if many { format!("{bytes:<15} {path}") } else { bytes };
                format!("{:<25}{:<25}{name}", counted.files, counted.folders)
            };
            session.out.item(value, line)
        })
        .await?;
        session.out.end_list()
    }
}

async fn count(session: &Session, path: &FsPath) -> Result<Counted> {
    let mut counted = Counted::default();
    let itself = session.fs.status(path).await?;
    if !itself.folder {
        return Ok(Counted { files: 1, folders: 0, bytes: itself.length });
    }
    counted.folders += 1;
    let options = ListOptions { recursive: true, ..Default::default() };
    let mut below = session.fs.list_stream(path, &options).await?;
    while let Some(status) = below.try_next().await? {
        if status.folder {
            counted.folders += 1;
        } else {
            counted.files += 1;
            counted.bytes += status.length;
        }
    }
    Ok(counted)
}
