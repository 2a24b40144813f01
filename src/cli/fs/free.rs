//! `fs free`.

use super::each;
use crate::cli::job::{self, Choice, Follow};
use crate::cli::session::Session;
use crate::client::FreeOptions;
use crate::core::error::Result;
use crate::core::model::FsPath;
use crate::core::proto::v1::FreeJob;
use clap::Args;

/// Drop files from the cache; the under store keeps them
///
/// Data that is nowhere else is never dropped: persist it first. A directory is freed by a job,
/// which `goosefs job ls` shows. With --replicas some copies of each block stay, and it is said how
/// much came free: what is pinned or not persisted yet is left as it is, and no file has fewer copies
/// than `goosefs fs setReplication --min` asks for.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs free /data/2019
  goosefs fs free -f /data               Pinned files too
  goosefs fs free --replicas 1 /data     Second and further copies only")]
pub struct Free {
    /// Files, and directories with all that is below
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Free pinned files too
    #[arg(short = 'f', long)]
    force: bool,
    /// Copies of each block that stay; only what there is beyond them is dropped
    #[arg(long, value_name = "N", conflicts_with = "force",
          value_parser = clap::value_parser!(u32).range(1..))]
    replicas: Option<u32>,
    #[command(flatten)]
    choice: Choice,
}

impl Free {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if self.replicas.is_some() {
            session.out.begin_list()?;
            each(session, &self.paths, "freeing", async |session, path| {
                let job = session.fs.free_all(self.job(&path)).await?;
                job::follow(session, job, &Follow::default()).await
            })
            .await?;
            return session.out.end_list();
        }
        let options = FreeOptions { recursive: false, forced: self.force };
        each(session, &self.paths, "freeing", async |session, path| {
            if session.fs.status(&path).await?.folder {
                let job = session.fs.free_all(self.job(&path)).await?;
                job::finish(session, job).await?;
            } else {
                session.fs.free(&path, &options).await?;
            }
            session.out.note(format!("{path} was successfully freed from GooseFS space."))
        })
        .await
    }

    fn job(&self, path: &FsPath) -> FreeJob {
        FreeJob {
            path: path.as_str().into(),
            forced: self.force,
            select: self.choice.selection(),
            replicas: self.replicas.unwrap_or_default(),
        }
    }
}
