//! The file systems under this one: where data lives for good.
//!
//! Everything above sees one trait. A connector turns settings into a client of its store and a
//! store's answers into [`UfsStatus`]; retries, timeouts and limits are wrapped around any of
//! them. A path handed to a connector is relative to its address, without a leading slash; the
//! empty path is the address itself.
//!
//! What always holds: bytes of two versions never mix. A read names the version it wants, and a
//! connector that finds another fails with `Changed`. An object appears whole or not at all: a
//! writer that is dropped before [`UfsWriter::close`] leaves nothing behind.

mod cos;
mod http;
mod limit;
mod local;
mod opendal;
mod paced;
mod s3;
mod web;

pub use paced::paced;

use crate::core::error::{Error, ErrorKind, Result, invalid_argument, unavailable};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Options of a mount and `goosefs.underfs.*` settings: what a connector is configured by.
pub type Properties = BTreeMap<String, String>;

/// What a store says of one path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UfsStatus {
    /// Path relative to the address; the last component only, where it comes from a listing.
    pub name: String,
    /// Whether it is a directory.
    pub folder: bool,
    /// Bytes in the object; 0 for a directory.
    pub length: u64,
    /// Milliseconds since 1970; 0 where the store does not tell.
    pub modified_ms: i64,
    /// What tells one version of the object from another: its ETag, or mtime and size. Never empty
    /// for a file; equal only if the bytes are.
    pub version: String,
    /// Whether length and version are certain. An index page gives rounded sizes: such an entry is
    /// asked for by [`UnderFileSystem::status`] before it is read.
    pub exact: bool,
    /// Owner, where the store has one.
    pub owner: Option<String>,
    /// Group, where the store has one.
    pub group: Option<String>,
    /// Permission bits, where the store has them.
    pub mode: Option<u32>,
}

/// Owner, group and mode that a new file gets where the store keeps such things.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Owning user.
    pub owner: Option<String>,
    /// Owning group.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// What a store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Capabilities {
    /// Takes writes at all.
    pub write: bool,
    /// Renames a file by itself, without a copy.
    pub rename: bool,
    /// Renames a directory at once.
    pub rename_dir: bool,
    /// Keeps empty directories.
    pub directories: bool,
    /// Keeps owner, group and mode.
    pub attributes: bool,
}

/// Bytes of a store, where it tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// In all.
    pub capacity: u64,
    /// In use.
    pub used: u64,
}

/// One under store, or a directory of it.
#[async_trait]
pub trait UnderFileSystem: Send + Sync {
    /// The address it was opened by, without a trailing slash; nothing secret.
    fn address(&self) -> &str;

    /// Where its server is and which setting says so, for messages; empty where the address does.
    fn server(&self) -> String {
        String::new()
    }

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// What is at `path`.
    ///
    /// # Errors
    /// `NotFound` when nothing is; `Unavailable` when the store does not answer,
    /// `PermissionDenied` when it refuses our credentials.
    async fn status(&self, path: &str) -> Result<UfsStatus>;

    /// What is directly in the directory `path`, in no order, as the store delivers it. A
    /// directory that does not exist is `NotFound`, as the first item; where a store knows no
    /// directories one without entries counts as not existing (but for the address itself).
    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>>;

    /// Bytes `range` of the object, clipped at its end, in pieces of any size. With `version`, of
    /// that version only.
    ///
    /// # Errors
    /// `NotFound`, or `Changed` when the object is of another version; both may also come as an
    /// item of the stream.
    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Starts to write an object, with the directories above it; replaces what was there when it
    /// is closed, not before.
    async fn create(&self, path: &str, attributes: &Attributes) -> Result<Box<dyn UfsWriter>>;

    /// Makes a directory and those above it; one that exists is fine.
    async fn create_dir(&self, path: &str, attributes: &Attributes) -> Result<()>;

    /// Deletes an object; one that does not exist is fine.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Deletes a directory with all below it; one that does not exist is fine.
    async fn delete_dir(&self, path: &str) -> Result<()>;

    /// Renames a file or directory, replacing a file at `to`. By copying where the store cannot:
    /// then it is not atomic, and the source is deleted only once the copy is whole.
    async fn rename(&self, from: &str, to: &str, folder: bool) -> Result<()>;

    /// Sets owner, group and mode where the store keeps them; does nothing where not.
    async fn set_attributes(&self, path: &str, attributes: &Attributes) -> Result<()>;

    /// How full the store is; none where it does not tell.
    async fn space(&self) -> Result<Option<Space>>;
}

/// An object being written. Dropped before it is closed, it leaves nothing behind.
#[async_trait]
pub trait UfsWriter: Send {
    /// Appends bytes.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the object visible, durable as the store does it, and says what it became.
    async fn close(self: Box<Self>) -> Result<UfsStatus>;
}

/// A handle on an under store that is shared.
pub type Ufs = Arc<dyn UnderFileSystem>;

/// The under store at `address`, by the scheme that the address begins with.
///
/// Opens nothing yet: whether the store answers and takes the credentials shows at the first call.
///
/// # Errors
/// `InvalidArgument` for a scheme nobody serves, an address that makes no sense, or a property
/// that is missing or of no valid value.
pub fn open(address: &str, properties: &Properties) -> Result<Ufs> {
    match address.split_once("://") {
        None | Some(("file", _)) => local::open(address, properties),
        Some(("s3" | "s3a", _)) => s3::open(address, properties),
        Some(("cosn" | "cos", _)) => cos::open(address, properties),
        Some(("http" | "https", _)) => web::open(address, properties),
        Some((scheme, _)) => Err(invalid_argument(format!(
            "no under store serves {scheme}://: there are file, s3, cosn, http and https"
        ))),
    }
}

/// The value of the first of `names` that is set and not empty.
fn property<'p>(properties: &'p Properties, names: &[&str]) -> Option<&'p str> {
    names.iter().filter_map(|name| properties.get(*name)).map(|v| v.trim()).find(|v| !v.is_empty())
}

/// Refuses a path that is not relative and normal: one that could leave its address.
fn check_path(path: &str) -> Result<()> {
    let normal = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    if path.is_empty() || path.split('/').all(normal) {
        return Ok(());
    }
    Err(invalid_argument(format!("{path:?} is no normal path relative to its under store")))
}

/// The error of a read that finds another version than it wants.
fn changed(what: &dyn std::fmt::Display, wanted: &str, found: &str) -> Error {
    let message = format!("{what} was changed in the under store: version {found}, not {wanted}");
    Error::new(ErrorKind::Changed, message)
}

/// Exactly `left` bytes of a body, after the first `skip`; fewer are an error.
fn exactly(
    body: BoxStream<'static, Result<Bytes>>,
    skip: u64,
    left: u64,
) -> BoxStream<'static, Result<Bytes>> {
    type State = (BoxStream<'static, Result<Bytes>>, u64, u64);
    let next = |(mut body, mut skip, left): State| async move {
        loop {
            if left == 0 {
                return Ok(None);
            }
            let Some(mut piece) = body.try_next().await? else {
                return Err(unavailable(format!("the store ended {left} bytes early")));
            };
            let skipped = skip.min(piece.len() as u64);
            piece = piece.slice(skipped as usize..);
            skip -= skipped;
            if piece.is_empty() {
                continue;
            }
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(piece.len()));
            let left = left - piece.len() as u64;
            return Ok(Some((piece, (body, skip, left))));
        }
    };
    stream::try_unfold((body, skip, left), next).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_cut_out_and_a_short_one_is_noticed() {
        let body = || stream::iter(["abc", "", "def"].map(|p| Ok(Bytes::from(p)))).boxed();
        for (skip, left, expected) in [(0, 4, "abcd"), (2, 2, "cd"), (4, 2, "ef"), (0, 0, "")] {
            let read: Vec<_> = exactly(body(), skip, left).try_collect().await.unwrap();
            assert_eq!(read.concat(), expected.as_bytes());
        }
        let short: Result<Vec<_>> = exactly(body(), 0, 7).try_collect().await;
        assert_eq!(short.unwrap_err().kind(), ErrorKind::Unavailable);
    }
}
