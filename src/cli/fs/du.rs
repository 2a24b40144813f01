//! `fs du`.

use super::cached::{BATCH, percent};
use super::each;
use crate::cli::print;
use crate::cli::session::Session;
use crate::client::ListOptions;
use crate::core::error::Result;
use crate::core::model::{FsPath, Status};
use clap::{ArgAction, Args};
use futures::TryStreamExt;

/// Show how much space files take, and how much of them is cached
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  goosefs fs du -h -s '/data/*'
  goosefs fs du /data/2026")]
pub struct Du {
    /// What to measure
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Print sizes for people, as in 1.5GB
    #[arg(short = 'h', long = "human")]
    human: bool,
    /// Print only the sum of each path
    #[arg(short = 's', long)]
    summarize: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// Bytes, and those of them that are in the cache.
#[derive(Clone, Copy, Default)]
struct Space {
    bytes: u64,
    cached: u64,
}

impl Du {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if !session.out.is_json() {
            session.out.line(format!("{:<13} {:<18} {}", "File Size", "In GooseFS", "Path"))?;
        }
        session.out.begin_list()?;
        each(session, &self.paths, "measuring", async |session, path| {
            self.one(session, &path).await
        })
        .await?;
        session.out.end_list()
    }

    async fn one(&self, session: &mut Session, path: &FsPath) -> Result<()> {
        // A file lists itself.
        let options = ListOptions { recursive: true, ..Default::default() };
        let mut below = session.fs.list_stream(path, &options).await?;
        let mut sum = Space::default();
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(status) = below.try_next().await? {
            if status.folder {
                continue;
            }
            batch.push(status);
            if batch.len() == BATCH {
                self.measure(session, &mut batch, &mut sum).await?;
            }
        }
        self.measure(session, &mut batch, &mut sum).await?;
        if self.summarize { self.show(session, path, sum) } else { Ok(()) }
    }

    async fn measure(
        &self,
        session: &mut Session,
        batch: &mut Vec<Status>,
        sum: &mut Space,
    ) -> Result<()> {
        let cached = session.fs.cached_bytes(batch).await;
        for (status, cached) in batch.drain(..).zip(cached) {
            sum.bytes += status.length;
            sum.cached += cached;
            if !self.summarize {
                self.show(session, &status.path, Space { bytes: status.length, cached })?;
            }
        }
        Ok(())
    }

    fn show(&self, session: &mut Session, path: &FsPath, space: Space) -> Result<()> {
        let value = || {
            serde_json::json!({
                "path": path.as_str(),
                "bytes": space.bytes,
                "cachedBytes": space.cached,
            })
        };
        session.out.item(value, || self.line(path, space))
    }

    fn line(&self, path: &FsPath, space: Space) -> String {
        let percent = percent(space.cached, space.bytes);
        let cached = format!("{} ({percent}%)", print::size(space.cached, self.human));
        format!("{:<13} {cached:<18} {path}", print::size(space.bytes, self.human))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_cached() {
        let du = |human| Du { paths: vec![], human, summarize: false, help: None };
        let path = FsPath::parse("/a").unwrap();
        let space = Space { bytes: 4096, cached: 1024 };
        assert_eq!(du(false).line(&path, space), "4096          1024 (25%)         /a");
        assert_eq!(du(true).line(&path, space), "4KB           1KB (25%)          /a");
        assert_eq!(du(true).line(&path, Space::default()), "0B            0B (100%)          /a");
    }
}
