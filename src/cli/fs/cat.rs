//! `fs cat`, `fs head`, `fs tail`.

use super::each;
use crate::cli::session::Session;
use crate::client::OpenOptions;
use crate::core::error::Result;
use crate::core::model::{ByteSize, FsPath};
use clap::Args;
use std::ops::Range;

/// Print the contents of files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs cat /logs/today
  goosefs fs cat '/logs/*.gz' | zcat")]
pub struct Cat {
    /// Files to print
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// Print the beginning of files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs head /logs/today
  goosefs fs head -c 64KB /logs/today")]
pub struct Head {
    /// Files to print
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How much to print
    #[arg(short = 'c', value_name = "BYTES", default_value = "1KB")]
    count: ByteSize,
}

/// Print the end of files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs tail /logs/today
  goosefs fs tail -c 64KB /logs/today")]
pub struct Tail {
    /// Files to print
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// How much to print
    #[arg(short = 'c', value_name = "BYTES", default_value = "1KB")]
    count: ByteSize,
}

impl Cat {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        print(session, &self.paths, |length| 0..length).await
    }
}

impl Head {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        print(session, &self.paths, |length| 0..length.min(self.count.0)).await
    }
}

impl Tail {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        print(session, &self.paths, |length| length.saturating_sub(self.count.0)..length).await
    }
}

/// Prints of each file the range that `which` says for its length.
async fn print(
    session: &mut Session,
    operands: &[String],
    which: impl Fn(u64) -> Range<u64>,
) -> Result<()> {
    each(session, operands, "reading", async |session, path| file(session, &path, &which).await)
        .await
}

async fn file(
    session: &mut Session,
    path: &FsPath,
    which: impl Fn(u64) -> Range<u64>,
) -> Result<()> {
    let reader = session.fs.open(path, &OpenOptions::default()).await?;
    let mut stream = reader.stream(which(reader.len()));
    while let Some(bytes) = stream.next().await? {
        session.out.bytes(&bytes)?;
    }
    Ok(())
}
