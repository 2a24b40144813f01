//! `fs du`.

use super::cached::BATCH;
use super::each;
use crate::cli::print;
use crate::cli::session::Session;
use crate::client::ListOptions;
use crate::core::error::{Result, unavailable};
use crate::core::model::measure::percent;
use crate::core::model::{FsPath, Measured, Measurement, Status, Sums};
use clap::{ArgAction, Args};
use futures::TryStreamExt;

/// Show how much space files take, and how much of them is cached
///
/// With -s or -d the master adds up: a million files cost about a second. Without, each file has a line.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  goosefs fs du -h -s '/data/*'
  goosefs fs du -h -d 1 /data           Each directory in /data
  goosefs fs du /data/2026")]
pub struct Du {
    /// What to measure
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Print sizes for people, as in 1.5GB
    #[arg(short = 'h', long = "human")]
    human: bool,
    /// Print only the sum of each path
    #[arg(short = 's', long, conflicts_with = "depth")]
    summarize: bool,
    /// Print the sums of directories so far below each path, and of the path
    #[arg(short = 'd', long = "max-depth", value_name = "N")]
    depth: Option<u32>,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl Du {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if !session.out.is_json() {
            session.out.line(format!("{:<13} {:<18} {}", "File Size", "In GooseFS", "Path"))?;
        }
        session.out.begin_list()?;
        let depth = if self.summarize { Some(0) } else { self.depth };
        each(session, &self.paths, "measuring", async |session, path| match depth {
            Some(depth) => self.sums(session, &path, depth).await,
            None => self.files(session, &path).await,
        })
        .await?;
        session.out.end_list()
    }

    async fn sums(&self, session: &mut Session, path: &FsPath, depth: u32) -> Result<()> {
        let Measurement { measured, silent, unread } = session.fs.measure(path, depth).await?;
        measured.iter().try_for_each(|measured| self.show(session, measured))?;
        if let Some(text) = left_out(&silent, unread) {
            session.fail(&unavailable(format!("{path}: {text}")));
        }
        Ok(())
    }

    async fn files(&self, session: &mut Session, path: &FsPath) -> Result<()> {
        // A file lists itself.
        let options = ListOptions { recursive: true, ..Default::default() };
        let mut below = session.fs.list_stream(path, &options).await?;
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(status) = below.try_next().await? {
            if status.folder {
                continue;
            }
            batch.push(status);
            if batch.len() == BATCH {
                self.show_files(session, &mut batch).await?;
            }
        }
        self.show_files(session, &mut batch).await
    }

    async fn show_files(&self, session: &mut Session, batch: &mut Vec<Status>) -> Result<()> {
        let cached = session.fs.cached_bytes(batch).await;
        for (status, cached_bytes) in batch.drain(..).zip(cached) {
            let sums = Sums { files: 1, folders: 0, bytes: status.length, cached_bytes };
            self.show(session, &Measured { path: status.path, sums })?;
        }
        Ok(())
    }

    fn show(&self, session: &mut Session, measured: &Measured) -> Result<()> {
        session.out.item(|| measured_json(measured), || self.line(measured))
    }

    fn line(&self, Measured { path, sums }: &Measured) -> String {
        let percent = percent(sums.cached_bytes, sums.bytes);
        let cached = format!("{} ({percent}%)", print::size(sums.cached_bytes, self.human));
        format!("{:<13} {cached:<18} {path}", print::size(sums.bytes, self.human))
    }
}

/// What was measured, for scripts.
pub fn measured_json(Measured { path, sums }: &Measured) -> serde_json::Value {
    serde_json::json!({
        "path": path.as_str(),
        "files": sums.files,
        "folders": sums.folders,
        "bytes": sums.bytes,
        "cachedBytes": sums.cached_bytes,
    })
}

/// What sums do not have in them; none when they have everything.
pub(in crate::cli) fn left_out(silent: &[String], unread: u64) -> Option<String> {
    let workers = (!silent.is_empty()).then(|| {
        let names = silent.join(", ");
        format!("what these workers hold is not counted, since they do not answer: {names}")
    });
    let directories =
        (unread > 0).then(|| format!("{unread} directories could not be read and are left out"));
    let parts: Vec<String> = workers.into_iter().chain(directories).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_cached() {
        let du = |human| Du { paths: vec![], human, summarize: false, depth: None, help: None };
        let path = FsPath::parse("/a").unwrap();
        let sums = Sums { files: 1, folders: 0, bytes: 4096, cached_bytes: 1024 };
        let a = Measured { path: path.clone(), sums };
        assert_eq!(du(false).line(&a), "4096          1024 (25%)         /a");
        assert_eq!(du(true).line(&a), "4KB           1KB (25%)          /a");
        let empty = Measured { path, sums: Sums::default() };
        assert_eq!(du(true).line(&empty), "0B            0B (100%)          /a");
    }

    #[test]
    fn what_is_not_counted_is_said() {
        assert_eq!(left_out(&[], 0), None);
        let text = left_out(&["w1:9203".into()], 2).unwrap();
        assert!(text.contains("w1:9203") && text.contains("2 directories"), "{text}");
    }
}
