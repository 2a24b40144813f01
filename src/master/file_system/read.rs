//! Reading the tree: status and listings.

use super::{Caller, FileSystem, missing};
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{FsPath, Status};
use crate::core::security::Access;
use crate::master::sync::Freshness;
use std::time::Duration;

/// Symbolic links followed one after the other.
const MOST_LINKS: usize = 40;

/// How a path is to be looked up.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// How fresh the answer must be.
    pub freshness: Freshness,
    /// Whether a symbolic link at the end is followed.
    pub resolve_link: bool,
    /// What the caller wants to do with it; checked.
    pub access: Option<Access>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { freshness: Freshness::Known, resolve_link: false, access: None }
    }
}

impl FileSystem {
    /// How fresh an answer must be, from what a client asks for and what the master is set to.
    pub fn freshness(&self, load: Load, interval_ms: i64) -> Freshness {
        let millis = |duration: Duration| duration.as_millis() as i64;
        let own = self.config.master.sync_interval.0.map(millis);
        match load {
            Load::Never => Freshness::Here,
            Load::Always => Freshness::Within(0),
            Load::Once => match (interval_ms, own) {
                (0.., _) => Freshness::Within(interval_ms),
                (_, Some(interval)) => Freshness::Within(interval),
                _ => Freshness::Known,
            },
        }
    }

    /// What is known of a path.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied`; `Unavailable` when the under store must be asked and does
    /// not answer.
    pub async fn status(
        &self,
        caller: &Caller,
        path: &FsPath,
        options: &ReadOptions,
    ) -> Result<Status> {
        let mut path = path.clone();
        for _ in 0..MOST_LINKS {
            let freshness = self.as_shown(&path, options.freshness);
            let status = self.find(&path, freshness).await?;
            let status = status.ok_or_else(|| missing(&path))?;
            match options.access {
                Some(access) => self.permit(caller, &path, access)?,
                None => self.permit(caller, &path, Access::from_bits(0))?,
            }
            if !(options.resolve_link && status.is_symlink()) {
                return Ok(shown(status));
            }
            path = target_of(&path, &status.symlink)?;
        }
        let text = format!("{path}: over {MOST_LINKS} symbolic links, one after the other");
        Err(Error::new(ErrorKind::InvalidArgument, text))
    }

    /// The rest of a directory's children, after the one of that name.
    pub(super) fn listing_after(&self, path: &FsPath, name: &str) -> Listing {
        let rest = Rest::Directory { path: path.clone(), after: Some(name.into()) };
        Listing { files: self.clone(), rest }
    }

    /// The children of a directory, or the file itself.
    ///
    /// # Errors
    /// As [`FileSystem::status`].
    pub async fn list(
        &self,
        caller: &Caller,
        path: &FsPath,
        freshness: Freshness,
    ) -> Result<Listing> {
        let freshness = self.as_shown(path, freshness);
        // The listing brings the directory itself up to date.
        let own = match freshness {
            Freshness::Within(_) if self.peek(path)?.is_some_and(|s| s.folder) => Freshness::Known,
            other => other,
        };
        let status = self.find(path, own).await?.ok_or_else(|| missing(path))?;
        self.permit(caller, path, Access::READ)?;
        if !status.folder {
            return Ok(Listing { files: self.clone(), rest: Rest::File(Box::new(shown(status))) });
        }
        self.load_children(&status, freshness).await?;
        self.here(path)?;
        let rest = Rest::Directory { path: path.clone(), after: None };
        Ok(Listing { files: self.clone(), rest })
    }
}

/// Whether metadata is looked for in the under store, as clients ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It is not.
    Never,
    /// If the tree does not know it.
    Once,
    /// In any case.
    Always,
}

/// A directory being listed, a page at a time.
pub struct Listing {
    files: FileSystem,
    rest: Rest,
}

enum Rest {
    File(Box<Status>),
    Directory { path: FsPath, after: Option<String> },
    Nothing,
}

impl Listing {
    /// The next entries, `limit` at most; none when there are no more.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn next_page(&mut self, limit: usize) -> Result<Option<Vec<Status>>> {
        match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Nothing => Ok(None),
            Rest::File(status) => Ok(Some(vec![*status])),
            Rest::Directory { path, after } => {
                let page = self.files.state().list(&path, after.as_deref(), limit)?;
                let Some(last) = page.last() else { return Ok(None) };
                if page.len() == limit {
                    let after = Some(last.name().to_string());
                    self.rest = Rest::Directory { path, after };
                }
                Ok(Some(page.into_iter().map(shown).collect()))
            }
        }
    }
}

/// The status as clients see it: what exists only in the cache is wholly there.
fn shown(mut status: Status) -> Status {
    if !status.folder && (status.length == 0 || !status.is_persisted()) {
        status.cached_percent = 100;
    }
    status
}

/// Where a symbolic link at `link` leads.
fn target_of(link: &FsPath, target: &str) -> Result<FsPath> {
    if target.starts_with('/') {
        return FsPath::parse(target);
    }
    let mut at = link.parent().unwrap_or_else(FsPath::root);
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => at = at.parent().unwrap_or_else(FsPath::root),
            name => at = at.join(name)?,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_where_they_are() {
        let link = FsPath::parse("/a/b/link").unwrap();
        let to = |target| target_of(&link, target).unwrap().to_string();
        assert_eq!(to("/x"), "/x");
        assert_eq!(to("c"), "/a/b/c");
        assert_eq!(to("../../../y/./z"), "/y/z");
    }
}
