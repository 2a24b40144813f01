//! `fs ls`.

use super::cached::{self, BATCH};
use super::each;
use crate::cli::print;
use crate::cli::session::Session;
use crate::client::{ListOptions, StatusOptions};
use crate::core::error::Result;
use crate::core::model::{FsPath, Status};
use clap::{ArgAction, Args, ValueEnum};
use futures::TryStreamExt;
use std::cmp::Ordering;

/// List files and directories
///
/// Prints permissions, owner, group, size, state, time, the share that is cached (or DIR), and the path.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Examples:
  goosefs fs ls /
  goosefs fs ls -R -h /data
  goosefs fs ls --sort size -r '/data/*.parquet'
  goosefs fs ls -f /data                 What the under store has now")]
pub struct Ls {
    /// What to list
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// List directories below too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Print sizes for people, as in 1.5GB
    #[arg(short = 'h', long = "human")]
    human: bool,
    /// List only what is pinned, and on which media it is to be
    #[arg(short = 'p', long = "pinned")]
    pinned: bool,
    /// List a directory itself, not what is in it
    #[arg(short = 'd', long = "directory")]
    directory: bool,
    /// Ask the under store what is there now
    #[arg(short = 'f', long = "force")]
    force: bool,
    /// Order by this; each directory is then held in memory
    #[arg(long, value_name = "FIELD", value_enum, ignore_case = true)]
    sort: Option<Field>,
    /// Turn the order around
    #[arg(short = 'r', long = "reverse")]
    reverse: bool,
    /// Which time to print
    #[arg(long, value_name = "TIME", value_enum, ignore_case = true)]
    #[arg(default_value = "lastModificationTime")]
    timestamp: Time,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// What a listing can be ordered by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Field {
    #[value(name = "name")]
    Name,
    #[value(name = "path")]
    Path,
    #[value(name = "size")]
    Size,
    #[value(name = "creationTime")]
    Created,
    #[value(name = "lastModificationTime")]
    Modified,
    #[value(name = "lastAccessTime")]
    Accessed,
    #[value(name = "inGooseFSPercentage", alias = "inMemoryPercentage")]
    Cached,
}

/// The times a path has.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Time {
    #[value(name = "createdTime", alias = "creationTime")]
    Created,
    #[value(name = "lastModificationTime", alias = "lastModifiedTime")]
    Modified,
    #[value(name = "lastAccessTime")]
    Accessed,
}

impl Ls {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "listing", async |session, path| self.one(session, &path).await)
            .await?;
        session.out.end_list()
    }

    async fn one(&self, session: &mut Session, path: &FsPath) -> Result<()> {
        if self.directory {
            let options =
                if self.force { StatusOptions::synced() } else { StatusOptions::default() };
            let mut status = [session.fs.status_with(path, &options).await?];
            cached::fill_in(session, &mut status).await;
            return self.show(session, &status[0]);
        }
        let options = if self.force { ListOptions::synced() } else { ListOptions::default() };
        // Directories still to list. Deep trees are walked depth first, so this holds no more than
        // the siblings along one path.
        let mut directories = vec![path.clone()];
        while let Some(directory) = directories.pop() {
            let mut below = Vec::new();
            let listed = self.children(session, &directory, &options, &mut below).await;
            match listed {
                Err(error) if directory != *path => {
                    session.fail(&error.context(format!("listing {directory}")));
                }
                other => other?,
            }
            if self.recursive {
                directories.extend(below.into_iter().rev());
            }
        }
        Ok(())
    }

    /// Prints what is in `directory` as it arrives, or in order once it is all there.
    async fn children(
        &self,
        session: &mut Session,
        directory: &FsPath,
        options: &ListOptions,
        below: &mut Vec<FsPath>,
    ) -> Result<()> {
        let mut children = session.fs.list_stream(directory, options).await?;
        let ordered = self.sort.is_some() || self.reverse;
        let mut held = Vec::new();
        while let Some(child) = children.try_next().await? {
            held.push(child);
            if !ordered && held.len() == BATCH {
                self.print(session, &mut held, below).await?;
            }
        }
        self.print(session, &mut held, below).await
    }

    async fn print(
        &self,
        session: &mut Session,
        children: &mut Vec<Status>,
        below: &mut Vec<FsPath>,
    ) -> Result<()> {
        for batch in children.chunks_mut(BATCH) {
            cached::fill_in(session, batch).await;
        }
        if self.sort.is_some() || self.reverse {
            children.sort_by(|a, b| self.order(a, b));
        }
        for child in children.drain(..) {
            self.show(session, &child)?;
            if child.folder {
                below.push(child.path);
            }
        }
        Ok(())
    }

    fn show(&self, session: &mut Session, status: &Status) -> Result<()> {
        if self.pinned && !status.pinned {
            return Ok(());
        }
        session.out.item(|| print::status_json(status), || self.line(status))
    }

    /// One line, in the columns of GooseFS.
    fn line(&self, status: &Status) -> String {
        let cached = match status.folder {
            true => "DIR".to_string(),
            false => format!("{}%", status.cached_percent),
        };
        let target = match status.is_symlink() {
            true => format!(" -> {}", status.symlink),
            false => String::new(),
        };
        let media = match self.pinned && !status.pinned_media().is_any() {
            true => format!(" [{}]", status.pinned_media()),
            false => String::new(),
        };
        format!(
            "{:<11}{:<15}{:<15}{:>15}{:>16}{:>24}{:>5} {}{target}{media}",
            print::permissions(status),
            status.owner,
            status.group,
            print::size(status.length, self.human),
            status.persistence.name(),
            print::time(self.time(status)),
            cached,
            status.path
        )
    }

    fn time(&self, status: &Status) -> i64 {
        match self.timestamp {
            Time::Created => status.created_ms,
            Time::Modified => status.modified_ms,
            Time::Accessed => status.accessed_ms,
        }
    }

    fn order(&self, a: &Status, b: &Status) -> Ordering {
        let by = match self.sort.unwrap_or(Field::Name) {
            Field::Name => a.name().cmp(b.name()),
            Field::Path => a.path.cmp(&b.path),
            Field::Size => a.length.cmp(&b.length),
            Field::Created => a.created_ms.cmp(&b.created_ms),
            Field::Modified => a.modified_ms.cmp(&b.modified_ms),
            Field::Accessed => a.accessed_ms.cmp(&b.accessed_ms),
            Field::Cached => a.cached_percent.cmp(&b.cached_percent),
        };
        let by = by.then_with(|| a.path.cmp(&b.path));
        if self.reverse { by.reverse() } else { by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::PersistenceState;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ls: Ls,
    }

    fn ls(arguments: &[&str]) -> Ls {
        Line::parse_from([&["ls"], arguments].concat()).ls
    }

    fn status(path: &str, length: u64) -> Status {
        Status {
            path: FsPath::parse(path).unwrap(),
            length,
            owner: "ann".into(),
            group: "users".into(),
            mode: 0o644,
            persistence: PersistenceState::Persisted,
            cached_percent: 100,
            ..Default::default()
        }
    }

    #[test]
    fn a_line_has_the_columns_of_goosefs() {
        assert_eq!(
            ls(&["/"]).line(&status("/a", 80)),
            "-rw-r--r-- ann            users                       80       PERSISTED                       - 100% /a"
        );
        let folder = Status { folder: true, ..status("/d", 2048) };
        assert!(ls(&["-h", "/"]).line(&folder).contains(" 2KB "));
        assert!(ls(&["/"]).line(&folder).contains("  DIR /d"));
    }

    #[test]
    fn any_field_orders_a_listing_in_both_directions() {
        let (small, large) = (status("/b", 1), status("/a", 2));
        assert_eq!(ls(&["/", "--sort", "size"]).order(&small, &large), Ordering::Less);
        assert_eq!(ls(&["/", "--sort", "size", "-r"]).order(&small, &large), Ordering::Greater);
        assert_eq!(ls(&["/", "--sort", "NAME"]).order(&small, &large), Ordering::Greater);
    }
}
