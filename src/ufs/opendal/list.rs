//! What lies directly below a prefix, page by page.

use super::error::Store;
use super::{UfsStatus, status_of};
use crate::core::error::{Result, not_found};
use crate::core::model::path::MAX_NAME;
use ::opendal::{Entry, Lister};
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::HashSet;
use std::sync::Arc;

/// Entries looked at together: what stores send in one page.
const PAGE: usize = 1000;

struct Listing {
    pages: BoxStream<'static, Vec<::opendal::Result<Entry>>>,
    prefix: String,
    store: Arc<Store>,
    seen: bool,
    warned: bool,
}

/// The entries of a listing by names below `prefix`, which itself is left out; `NotFound` when
/// there is nothing at all, and `prefix` is not the address itself.
pub fn entries(
    lister: Lister,
    prefix: String,
    store: Arc<Store>,
) -> BoxStream<'static, Result<UfsStatus>> {
    let pages = lister.ready_chunks(PAGE).boxed();
    let listing = Listing { pages, seen: prefix == "/", prefix, store, warned: false };
    let pages = stream::unfold(Some(listing), |listing| async move { listing?.page().await });
    pages.map(stream::iter).flatten().boxed()
}

impl Listing {
    /// The next entries, and the listing again unless it failed.
    async fn page(mut self) -> Option<(Vec<Result<UfsStatus>>, Option<Listing>)> {
        let Some(page) = self.pages.next().await else {
            let missing = not_found(format!("no {} in {}", self.prefix, self.store.0.address));
            return (!self.seen).then(|| (vec![Err(missing)], None));
        };
        self.seen = true;
        let mut found = Vec::with_capacity(page.len());
        for entry in page {
            match entry {
                Ok(entry) => found.extend(self.entry(&entry)),
                Err(error) => {
                    let mut found: Vec<_> = found.into_iter().map(Ok).collect();
                    found.push(Err(self.store.error(error)));
                    return Some((found, None));
                }
            }
        }
        drop_shadowed(&mut found);
        Some((found.into_iter().map(Ok).collect(), Some(self)))
    }

    fn entry(&mut self, entry: &Entry) -> Option<UfsStatus> {
        let below = if self.prefix == "/" { "" } else { &self.prefix };
        let name = entry.path().strip_prefix(below).unwrap_or_default();
        let folder = name.ends_with('/');
        let name = name.strip_suffix('/').unwrap_or(name);
        if name.is_empty() && !entry.path().ends_with("//") {
            return None;
        }
        if !is_name(name) {
            if !std::mem::replace(&mut self.warned, true) {
                let (address, prefix) = (&self.store.0.address, &self.prefix);
                tracing::warn!(
                    address,
                    prefix,
                    key = entry.path(),
                    "left out keys that are no path"
                );
            }
            return None;
        }
        Some(match folder {
            true => UfsStatus { name: name.into(), folder, exact: true, ..Default::default() },
            false => status_of(name, entry.metadata()),
        })
    }
}

/// Whether a part of a key can be a name of ours.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= MAX_NAME
        && !name.contains(['/', '\0'])
        && name.trim() == name
}

/// An object and a prefix may have one name; then the object counts, as it does when asked for.
fn drop_shadowed(found: &mut Vec<UfsStatus>) {
    let folders: HashSet<&str> = names(found, true).collect();
    if folders.is_empty() {
        return;
    }
    let both: HashSet<String> =
        names(found, false).filter(|name| folders.contains(name)).map(String::from).collect();
    found.retain(|entry| !entry.folder || !both.contains(&entry.name));
}

fn names(found: &[UfsStatus], folder: bool) -> impl Iterator<Item = &str> {
    found.iter().filter(move |entry| entry.folder == folder).map(|entry| entry.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_hides_the_prefix_of_its_name() {
        let entry =
            |name: &str, folder| UfsStatus { name: name.into(), folder, ..Default::default() };
        let mut found = vec![entry("a", true), entry("b", true), entry("a", false)];
        drop_shadowed(&mut found);
        assert_eq!(found, [entry("b", true), entry("a", false)]);
    }

    #[test]
    fn keys_that_are_no_path_are_no_names() {
        for name in ["", ".", "..", " a", "a\n", "x/y", &"x".repeat(256)] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["a b", "100%", "a+b", "ü", "...", &"x".repeat(255)] {
            assert!(is_name(name), "{name:?}");
        }
    }
}
