//! `fs cp`, `fs copyFromLocal`, `fs copyToLocal`: what the arguments say; `copy` does it.

use super::copy::{self, Place};
use super::glob;
use crate::cli::session::Session;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::FsPath;
use clap::Args;
use std::path::PathBuf;

/// Copy files and directories, within the tree and from or to this machine
///
/// A path of this machine is written as file:///path. A destination that is a directory takes the
/// source in. Copying goes on after a failure; what failed is listed and the exit code is 1.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs cp /data/a.parquet /backup/
  goosefs fs cp -R --thread 16 file:///home/me/photos /photos
  goosefs fs cp -R /photos file:///mnt/usb")]
pub struct Cp {
    /// What to copy
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Where to
    #[arg(value_name = "DESTINATION")]
    destination: String,
    #[command(flatten)]
    options: Options,
}

/// Copy files and directories from this machine into the tree
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs copyFromLocal model.bin /models/model.bin
  goosefs fs copyFromLocal -R photos/ /photos")]
pub struct CopyFromLocal {
    /// What to copy, on this machine
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Where to, in the tree
    #[arg(value_name = "DESTINATION")]
    destination: String,
    #[command(flatten)]
    options: Options,
}

/// Copy files and directories from the tree to this machine
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs copyToLocal /models/model.bin .
  goosefs fs copyToLocal -R /photos /mnt/usb")]
pub struct CopyToLocal {
    /// What to copy, in the tree
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Where to, on this machine
    #[arg(value_name = "DESTINATION")]
    destination: String,
    #[command(flatten)]
    options: Options,
}

/// How to copy.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Copy directories with all that is in them
    #[arg(short = 'R', visible_short_alias = 'r', long)]
    pub recursive: bool,
    /// Replace files that are there already
    #[arg(short = 'f', long)]
    pub overwrite: bool,
    /// Keep modification times and, within the tree, owners and groups
    #[arg(short = 'p', long)]
    pub preserve: bool,
    /// Files copied at the same time
    #[arg(long = "thread", visible_alias = "threads", value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
}

impl Cp {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let sources = match local(&self.source) {
            Some(path) => vec![Place::Local(path)],
            None => in_tree(session, &self.source).await?,
        };
        let destination = match local(&self.destination) {
            Some(path) => Place::Local(path),
            None => Place::Tree(tree_path(&self.destination)?),
        };
        if let (Some(Place::Local(_)), Place::Local(_)) = (sources.first(), &destination) {
            return Err(invalid_argument("both paths are on this machine: use cp"));
        }
        copy::copy(session, sources, destination, &self.options).await
    }
}

impl CopyFromLocal {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let path = |text: &String| local(text).unwrap_or_else(|| PathBuf::from(text));
        let sources = self.sources.iter().map(|source| Place::Local(path(source))).collect();
        let destination = Place::Tree(tree_path(&self.destination)?);
        copy::copy(session, sources, destination, &self.options).await
    }
}

impl CopyToLocal {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let sources = in_tree(session, &self.source).await?;
        let path = local(&self.destination).unwrap_or_else(|| PathBuf::from(&self.destination));
        copy::copy(session, sources, Place::Local(path), &self.options).await
    }
}

/// The path of `file:///path`; none for any other text.
fn local(text: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix("file:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    Some(PathBuf::from(path.strip_prefix("localhost").unwrap_or(path)))
}

async fn in_tree(session: &Session, operand: &str) -> Result<Vec<Place>> {
    Ok(glob::expand(session, operand).await?.into_iter().map(Place::Tree).collect())
}

fn tree_path(text: &str) -> Result<FsPath> {
    FsPath::parse(&glob::unescape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_machine_are_told_by_their_scheme() {
        assert_eq!(local("file:///a/b"), Some(PathBuf::from("/a/b")));
        assert_eq!(local("file:/a/b"), Some(PathBuf::from("/a/b")));
        assert_eq!(local("file://localhost/a"), Some(PathBuf::from("/a")));
        assert_eq!(local("/a/b"), None);
        assert_eq!(local("/file:/a"), None);
    }
}
