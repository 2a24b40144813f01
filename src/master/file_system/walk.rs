//! Walking a part of the tree, with metadata loaded on the way.
//!
//! Depth first, a page of each directory on the way at a time: what a walk costs in memory grows
//! with the depth of the tree, not with its size.

use super::{Caller, FileSystem, Listing, ReadOptions};
use crate::core::error::Error;
use crate::core::model::{FsPath, Status};
use crate::master::sync::Freshness;
use std::collections::VecDeque;

/// Entries in a page.
const PAGE: usize = 1_000;

/// A walk under way.
pub struct Walk {
    files: FileSystem,
    start: Option<FsPath>,
    /// The directories from the top to where we are.
    open: Vec<Open>,
}

struct Open {
    path: FsPath,
    listing: Listing,
    /// Subdirectories of the page at hand that are yet to be entered.
    ahead: VecDeque<FsPath>,
}

/// Some entries, or what could not be read and why; the walk goes on after it.
pub type Step = Result<Vec<Status>, (FsPath, Error)>;

impl Walk {
    /// A walk over `path` and all below it.
    pub fn new(files: FileSystem, path: FsPath) -> Self {
        Walk { files, start: Some(path), open: Vec::new() }
    }

    /// The next entries; none at the end. The start itself comes first.
    pub async fn next(&mut self) -> Option<Step> {
        if let Some(start) = self.start.take() {
            return Some(self.begin(start).await);
        }
        loop {
            let at = self.open.last_mut()?;
            if let Some(next) = at.ahead.pop_front() {
                if let Err(failure) = self.enter(next).await {
                    return Some(Err(failure));
                }
                continue;
            }
            match at.listing.next_page(PAGE) {
                Ok(Some(page)) => {
                    let folders = page.iter().filter(|status| status.folder);
                    at.ahead.extend(folders.map(|status| status.path.clone()));
                    return Some(Ok(page));
                }
                Ok(None) => drop(self.open.pop()),
                Err(error) => {
                    let path = at.path.clone();
                    self.open.pop();
                    return Some(Err((path, error)));
                }
            }
        }
    }

    async fn begin(&mut self, start: FsPath) -> Step {
        let options = ReadOptions::default();
        let status = self.files.status(&Caller::master(), &start, &options).await;
        let status = status.map_err(|error| (start.clone(), error))?;
        if status.folder {
            self.enter(start).await?;
        }
        Ok(vec![status])
    }

    async fn enter(&mut self, path: FsPath) -> Result<(), (FsPath, Error)> {
        match self.files.list(&Caller::master(), &path, Freshness::Known).await {
            Ok(listing) => {
                self.open.push(Open { path, listing, ahead: VecDeque::new() });
                Ok(())
            }
            Err(error) => Err((path, error)),
        }
    }
}
