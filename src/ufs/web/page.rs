//! Index pages: links to what is in the directory, each followed by a date and a size.
//!
//! HTML is taken as it comes, piece by piece, and never held as a whole. A link counts if it leads
//! to something directly below the page; so the way up, the links that sort and whatever else
//! decorates a page fall away. What follows a link up to the next one is its details, be it text
//! in a `<pre>` or the cells of a table. nginx can also send the same as JSON.

mod details;
mod html;

pub use details::Size;

use crate::core::error::{Result, failed_precondition, resource_exhausted};
use crate::core::model::path::MAX_NAME;
use html::Html;
use percent_encoding::percent_decode_str;
use reqwest::{Response, Url, header};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::UNIX_EPOCH;

/// Bytes of a page that are read; nothing of them is kept but what is found.
const LONGEST: usize = 256 << 20;
/// Bytes of a JSON page, which is held as a whole.
const LONGEST_JSON: usize = 32 << 20;
/// Entries of a page.
const MOST: usize = 1_000_000;

/// Something in a directory, as its page tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name, decoded.
    pub name: String,
    /// Whether it is a directory.
    pub folder: bool,
    /// Its size.
    pub size: Size,
    /// When it was modified, in seconds since 1970 by the page's clock.
    pub modified: Option<i64>,
}

/// A page being read.
pub struct Page {
    format: Format,
    bytes: usize,
    /// Hashes of the names there were: pages that people wrote link to one thing many times.
    seen: HashSet<u64>,
}

enum Format {
    Html(Html),
    Json(Vec<u8>),
}

impl Page {
    /// A reader for what a server sends.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is no page.
    pub fn of(response: &Response) -> Result<Page> {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let format = match kind.unwrap_or_default().split(';').next().unwrap_or_default().trim() {
            "text/html" | "application/xhtml+xml" => Format::Html(Html::default()),
            "application/json" => Format::Json(Vec::new()),
            other => {
                return Err(failed_precondition(format!(
                    "{} is no directory index but {other:?}: turn on the server's index pages",
                    response.url()
                )));
            }
        };
        Ok(Page { format, bytes: 0, seen: HashSet::new() })
    }

    /// Takes the next bytes of the page at `url`; gives the links that are whole now.
    ///
    /// # Errors
    /// `ResourceExhausted` when the page is too long.
    pub fn push(&mut self, bytes: &[u8], url: &Url) -> Result<Vec<Link>> {
        self.bytes += bytes.len();
        let longest = match &self.format {
            Format::Html(_) => LONGEST,
            Format::Json(_) => LONGEST_JSON,
        };
        if self.bytes > longest {
            return Err(too_long(url, &format!("{longest} bytes")));
        }
        match &mut self.format {
            Format::Html(html) => {
                html.push(bytes)?;
                let links = links(html, url);
                self.count(links, url)
            }
            Format::Json(text) => {
                text.extend_from_slice(bytes);
                Ok(Vec::new())
            }
        }
    }

    /// The last links of the page at `url`.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is none after all.
    pub fn finish(mut self, url: &Url) -> Result<Vec<Link>> {
        let links = match &mut self.format {
            Format::Html(html) => {
                html.finish();
                links(html, url)
            }
            Format::Json(text) => json(text, url)?,
        };
        self.count(links, url)
    }

    fn count(&mut self, mut links: Vec<Link>, url: &Url) -> Result<Vec<Link>> {
        links.retain(|link| {
            let mut hasher = DefaultHasher::new();
            link.name.hash(&mut hasher);
            self.seen.insert(hasher.finish())
        });
        let too_many = self.seen.len() > MOST;
        if too_many { Err(too_long(url, &format!("{MOST} entries"))) } else { Ok(links) }
    }
}

fn too_long(url: &Url, limit: &str) -> crate::core::error::Error {
    resource_exhausted(format!("the index page {url} is longer than {limit}"))
}

fn links(html: &mut Html, url: &Url) -> Vec<Link> {
    let child = |(href, text): (String, String)| {
        let (name, folder) = child(url, &href)?;
        let (modified, size) = details::read(&text);
        Some(Link { name, folder, size, modified })
    };
    html.take().into_iter().filter_map(child).collect()
}

/// Name and kind of what `href` leads to, if that is directly below `page`.
fn child(page: &Url, href: &str) -> Option<(String, bool)> {
    let target = page.join(href.trim()).ok()?;
    let itself = target.path() == page.path();
    let into = target.query().is_some() || target.fragment().is_some();
    if itself || into || target.origin() != page.origin() {
        return None;
    }
    let dir = &page.path()[..=page.path().rfind('/')?];
    let below = target.path().strip_prefix(dir)?;
    let name = below.strip_suffix('/').unwrap_or(below);
    let decoded = percent_decode_str(name).decode_utf8().ok()?;
    let valid = !matches!(decoded.as_ref(), "" | "." | "..")
        && decoded.len() <= MAX_NAME
        && !name.contains('/')
        && !decoded.contains(['/', '\0']);
    valid.then(|| (decoded.into_owned(), below.ends_with('/')))
}

/// An entry of nginx's `autoindex_format json`.
#[derive(serde::Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    mtime: Option<String>,
    size: Option<u64>,
}

fn json(text: &[u8], url: &Url) -> Result<Vec<Link>> {
    let entries: Vec<Entry> = serde_json::from_slice(text).map_err(|error| {
        failed_precondition(format!("{url} is JSON, but no directory index")).with_source(error)
    })?;
    let link = |entry: Entry| {
        let time = entry.mtime.and_then(|text| httpdate::parse_http_date(&text).ok());
        let modified = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let valid = !matches!(entry.name.as_str(), "" | "." | "..")
            && entry.name.len() <= MAX_NAME
            && !entry.name.contains(['/', '\0']);
        valid.then_some(Link {
            folder: entry.kind == "directory",
            size: entry.size.map_or(Size::Unknown, Size::Exact),
            modified: modified.map(|since| since.as_secs() as i64),
            name: entry.name,
        })
    };
    Ok(entries.into_iter().filter_map(link).collect())
}

#[cfg(test)]
mod tests;
