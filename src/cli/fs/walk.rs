//! The walk of a copy: finds what is below a directory, makes the directories of the target, and
//! hands on the files.

use super::copy::Place;
use super::transfer::{Source, Transfer};
use crate::client::{CreateDirOptions, FileSystem, ListOptions};
use crate::core::error::{Context, Error, Result, invalid_argument, unsupported};
use crate::core::model::FsPath;
use futures::TryStreamExt;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Sender;

/// Where the walk puts what it finds, or what it could not look into.
pub type Found = Sender<Result<Transfer>>;

/// The receiver is gone: whoever copies has given up.
struct Abandoned;

/// Walks `source` and hands each file on with the place it is to be copied to.
pub async fn walk(fs: FileSystem, source: Place, target: Place, found: Found) {
    let walk = Walk { fs, found, directories: Vec::new() };
    // Abandoned is an end like any other.
    let _ = walk.run(source, target).await;
}

struct Walk {
    fs: FileSystem,
    found: Found,
    /// Directories still to look into, and their targets.
    directories: Vec<(Place, Place)>,
}

impl Walk {
    async fn run(mut self, source: Place, target: Place) -> Result<(), Abandoned> {
        let first = match &source {
            Place::Local(path) => self.local(path.clone(), target, true).await,
            Place::Tree(path) => match self.fs.status(path).await {
                Ok(status) => self.entry(Source::Tree(Box::new(status)), target).await,
                Err(error) => Err(error),
            },
        };
        self.report(first).await?;
        while let Some((directory, target)) = self.directories.pop() {
            let made = make(&self.fs, &target).await;
            if made.is_err() {
                self.report(made.with_context(|| format!("copying {directory}"))).await?;
                continue;
            }
            let listed = match &directory {
                Place::Local(path) => self.local_directory(path, &target).await,
                Place::Tree(path) => self.tree_directory(path, &target).await,
            };
            self.report(listed.with_context(|| format!("copying {directory}"))).await?;
        }
        Ok(())
    }

    async fn report(&self, result: Result<()>) -> Result<(), Abandoned> {
        match result {
            Ok(()) if self.found.is_closed() => Err(Abandoned),
            Ok(()) => Ok(()),
            Err(error) => self.found.send(Err(error)).await.map_err(|_| Abandoned),
        }
    }

    /// Takes one thing that was found: a directory for later, anything else to be copied.
    async fn entry(&mut self, source: Source, target: Place) -> Result<()> {
        if source.is_directory() {
            self.directories.push((source.place(), target));
            return Ok(());
        }
        // Nobody left to take it: `report` ends the walk.
        let _ = self.found.send(Ok(Transfer { source, target })).await;
        Ok(())
    }

    async fn tree_directory(&mut self, path: &FsPath, target: &Place) -> Result<()> {
        let mut children = self.fs.list_stream(path, &ListOptions::default()).await?;
        while let Some(child) = children.try_next().await? {
            let target = target.join(child.name())?;
            self.entry(Source::Tree(Box::new(child)), target).await?;
            if self.found.is_closed() {
                break;
            }
        }
        Ok(())
    }

    async fn local_directory(&mut self, path: &Path, target: &Place) -> Result<()> {
        let mut children = tokio::fs::read_dir(path).await?;
        while let Some(child) = children.next_entry().await? {
            let taken = match name_of(&child.file_name()).and_then(|name| target.join(&name)) {
                Ok(target) => self.local(child.path(), target, false).await,
                Err(error) => Err(error),
            };
            let taken = taken.with_context(|| format!("copying {}", child.path().display()));
            if self.report(taken).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes the file or directory at `path`; a symbolic link is followed or taken as a link.
    async fn local(&mut self, path: PathBuf, target: Place, follow: bool) -> Result<()> {
        let found = match follow {
            true => tokio::fs::metadata(&path).await?,
            false => tokio::fs::symlink_metadata(&path).await?,
        };
        let kind = found.file_type();
        if !kind.is_file() && !kind.is_dir() && !kind.is_symlink() {
            return Err(unsupported("neither file, directory nor symbolic link: left out"));
        }
        self.entry(Source::Local(path, found), target).await
    }
}

/// Makes the directory `place`; it is fine when it is there.
async fn make(fs: &FileSystem, place: &Place) -> Result<()> {
    match place {
        Place::Local(path) => {
            tokio::fs::create_dir_all(path).await.with_context(|| format!("making {place}"))
        }
        Place::Tree(path) => {
            let options =
                CreateDirOptions { recursive: true, allow_exists: true, ..Default::default() };
            fs.create_dir(path, &options).await
        }
    }
}

/// A name of this machine as the tree can hold it.
pub fn name_of(name: &OsStr) -> Result<String> {
    let wrong: Result<String, Error> =
        Err(invalid_argument(format!("the name {name:?} is not UTF-8: rename it first")));
    name.to_str().map_or(wrong, |name| Ok(name.to_string()))
}
