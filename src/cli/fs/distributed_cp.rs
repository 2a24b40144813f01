//! `fs distributedCp` and `fs distributedMv`.

use super::glob;
use crate::cli::job::{self, Choice, Follow, Speed};
use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::model::FsPath;
use crate::core::proto::v1::CopyJob;
use clap::Args;

/// What copying and moving share.
#[derive(Args, Debug)]
struct Way {
    /// A file, or a directory with all that is below
    #[arg(value_name = "SOURCE")]
    source: String,
    /// What the copy shall be called; a file may also name the directory that it goes into
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Replace files at the destination that differ
    #[arg(long)]
    overwrite: bool,
    /// Copy again what is in place: of the same length, and not older
    #[arg(short = 'f', long)]
    force: bool,
    #[command(flatten)]
    speed: Speed,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    follow: Follow,
}

impl Way {
    async fn run(self, session: &mut Session, moves: bool, verify: bool) -> Result<()> {
        let path = |text: &str| FsPath::parse(&glob::unescape(text));
        let copy = CopyJob {
            from: path(&self.source)?.to_string(),
            to: path(&self.destination)?.to_string(),
            r#move: moves,
            overwrite: self.overwrite,
            force: self.force,
            verify,
            select: self.choice.selection(),
            bandwidth: self.speed.bandwidth(),
        };
        let job = session.fs.copy(copy).await?;
        session.out.begin_list()?;
        job::follow(session, job, &self.follow).await?;
        session.out.end_list()
    }
}

/// Copy files and directories by the workers, also between different under stores
///
/// Cached data is not fetched again. A copy appears when it is whole, with mode and, for the
/// superuser, owner of its source. A directory that exists is added to; files in place are passed
/// over. Ctrl-C leaves the job running.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs distributedCp /s3/train /cos/train
  goosefs fs distributedCp --verify --bandwidth 500MB /hdfs/logs /s3/logs")]
pub struct DistributedCp {
    #[command(flatten)]
    way: Way,
    /// Read every copy back and compare it with its source
    #[arg(long)]
    verify: bool,
}

impl DistributedCp {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        self.way.run(session, false, self.verify).await
    }
}

/// Move files and directories by the workers, also between different under stores
///
/// A file goes from its source once its copy has been read back and compared, and only if it has not
/// changed since; what changed stays and is told of.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs distributedMv /hot/2019 /archive/2019")]
pub struct DistributedMv {
    #[command(flatten)]
    way: Way,
}

impl DistributedMv {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        self.way.run(session, true, true).await
    }
}
