//! Any OpenDAL operator as an under store; what the connectors of object stores share.
//!
//! A directory of an object store is a prefix, kept alive while it is empty by an object of no
//! bytes whose name ends in `/`. The version of an object is its ETag: sent along with a read as
//! `If-Match`, and compared with what the answer says, since some stores ignore the condition.
//!
//! There are two operators, one with retries. Looking and reading are repeated above, in `limit`,
//! where it is known which version a broken read may go on with; the requests of a write, a
//! listing, a rename and a recursive deletion are repeated here, one by one.

mod error;
mod list;
mod rename;
mod writer;

use super::limit::{Limits, limited};
use super::{Attributes, Capabilities, Space, Ufs, UfsStatus, UfsWriter, UnderFileSystem};
use super::{changed, check_path, exactly, http};
use crate::core::error::{Error, ErrorKind, Result, invalid_argument, not_found};
use ::opendal::layers::{RetryLayer, TimeoutLayer};
use ::opendal::options::{ListOptions, ReaderOptions};
use ::opendal::{Builder, HttpTransporter, Metadata, OperationContext, Operator};
use async_trait::async_trait;
use bytes::Bytes;
use error::Store;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::redirect::Policy;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What a connector says of its store besides the operator.
pub struct About {
    /// The address, normal.
    pub address: String,
    /// What to call the bucket in messages.
    pub bucket: String,
    /// Where it is.
    pub endpoint: String,
    /// The property that says where.
    pub setting: &'static str,
    /// The properties that hold the credentials.
    pub keys: &'static str,
}

/// An object store.
struct Objects {
    store: Arc<Store>,
    /// Without retries.
    once: Operator,
    /// Repeats each request.
    patient: Operator,
    /// Parts of an object that are on their way at once.
    parts: usize,
}

/// Makes an under store of an operator.
///
/// # Errors
/// `InvalidArgument` when the builder refuses its settings.
pub fn open(builder: impl Builder, about: About, limits: Limits) -> Result<Ufs> {
    // A store that redirects sends its clients to another region; signed requests do not follow.
    let client = http::client(&http::host_of(&about.endpoint), Policy::none)?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client));
    let store = Arc::new(Store(about));
    let operator = Operator::new(builder).map_err(|e| store.error(e))?;
    let once = operator
        .with_context(OperationContext::new().with_http_transport(transport))
        .layer(TimeoutLayer::new().with_timeout(limits.deadline).with_io_timeout(limits.deadline));
    let retry = RetryLayer::new()
        .with_min_delay(Duration::from_millis(100))
        .with_factor(3.0)
        .with_jitter()
        .with_max_times(limits.attempts.saturating_sub(1) as usize);
    let patient = once.clone().layer(retry);
    Ok(limited(Arc::new(Objects { store, once, patient, parts: limits.parts }), limits))
}

/// Splits `scheme://bucket/prefix` into bucket and prefix.
///
/// # Errors
/// `InvalidArgument` for an address without a bucket, or a prefix that is no normal path.
pub fn split_address(address: &str) -> Result<(&str, &str)> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_matches('/');
    if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
        return Err(invalid_argument(format!(
            "{address:?} names no bucket: write scheme://bucket/prefix, credentials as properties"
        )));
    }
    check_path(prefix)?;
    Ok((bucket, prefix))
}

impl Objects {
    /// Refuses what the operator would silently change into another name.
    fn key<'p>(&self, path: &'p str) -> Result<&'p str> {
        check_path(path)?;
        if path.trim() == path {
            return Ok(path);
        }
        Err(invalid_argument(format!(
            "{path:?} begins or ends in white space, which this store is not trusted with"
        )))
    }

    /// The prefix of what is in the directory `path`.
    fn prefix(&self, path: &str) -> Result<String> {
        let key = self.key(path)?;
        Ok(if key.is_empty() { "/".into() } else { format!("{key}/") })
    }

    /// Whether anything lies below a prefix; fails when the bucket cannot be listed.
    async fn exists_below(&self, prefix: &str) -> Result<bool> {
        let options = ListOptions { limit: Some(1), ..Default::default() };
        let lister = self.once.lister_options(prefix, options).await;
        let mut lister = lister.map_err(|e| self.store.error(e))?;
        let first = lister.try_next().await.map_err(|e| self.store.error(e))?;
        Ok(first.is_some())
    }
}

#[async_trait]
impl UnderFileSystem for Objects {
    fn address(&self) -> &str {
        &self.store.0.address
    }

    fn server(&self) -> String {
        let About { endpoint, setting, .. } = &self.store.0;
        format!("{endpoint}, set by {setting}")
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            rename: false,
            rename_dir: false,
            directories: true,
            attributes: false,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsStatus> {
        let key = self.key(path)?;
        if !key.is_empty() {
            match self.once.stat(key).await {
                Ok(found) => return Ok(status_of(key, &found)),
                Err(error) => match self.store.error(error) {
                    missing if missing.kind() == ErrorKind::NotFound => {}
                    error => return Err(error),
                },
            }
        }
        let exists = self.exists_below(&self.prefix(path)?).await?;
        if exists || key.is_empty() {
            return Ok(UfsStatus {
                name: key.into(),
                folder: true,
                exact: true,
                ..Default::default()
            });
        }
        Err(not_found(format!("no {key} in {}", self.address())))
    }

    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        let prefix = self.prefix(path)?;
        let lister = self.patient.lister(&prefix).await.map_err(|e| self.store.error(e))?;
        Ok(list::entries(lister, prefix, self.store.clone()))
    }

    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let key = self.key(path)?;
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let options = ReaderOptions { if_match: version.and_then(condition), ..Default::default() };
        let reader = self.once.reader_options(key, options).await;
        let reader = reader.map_err(|e| self.store.error(e))?;
        let found = reader.into_bytes_stream(range.clone()).await;
        let mut pieces = found.map_err(|e| self.store.error(e))?;
        let found = match pieces.metadata().await.map_err(|e| self.store.error(e)) {
            Err(error) if error.kind() == ErrorKind::OutOfRange => {
                return Ok(stream::empty().boxed());
            }
            found => found?,
        };
        let is = version_of(&found);
        if let Some(wanted) = version.filter(|wanted| *wanted != is) {
            return Err(changed(&format_args!("{}/{key}", self.address()), wanted, &is));
        }
        let left = range.end.min(found.content_length()).saturating_sub(range.start);
        // The store clips a range at the object's end, which the operator would take for a
        // broken connection: it is not asked for more than there is.
        Ok(exactly(pieces.map_err(Error::from).boxed(), 0, left))
    }

    async fn create(&self, path: &str, _attributes: &Attributes) -> Result<Box<dyn UfsWriter>> {
        let key = self.key(path)?;
        if key.is_empty() {
            return Err(Error::new(ErrorKind::IsDirectory, "the address itself is a directory"));
        }
        let store = self.store.clone();
        Ok(Box::new(writer::Writer::new(&self.patient, key, store, self.parts).await?))
    }

    async fn create_dir(&self, path: &str, _attributes: &Attributes) -> Result<()> {
        let prefix = self.prefix(path)?;
        if prefix == "/" {
            return Ok(());
        }
        self.once.create_dir(&prefix).await.map_err(|e| self.store.error(e))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.once.delete(self.key(path)?).await.map_err(|e| self.store.error(e))
    }

    async fn delete_dir(&self, path: &str) -> Result<()> {
        let prefix = self.prefix(path)?;
        if prefix == "/" {
            return Err(invalid_argument(format!("{} itself is not deleted", self.address())));
        }
        let deletion = self.patient.delete_with(&prefix).recursive(true).await;
        deletion.map_err(|e| self.store.error(e))
    }

    async fn rename(&self, from: &str, to: &str, folder: bool) -> Result<()> {
        if folder {
            let (from, to) = (self.prefix(from)?, self.prefix(to)?);
            return rename::directory(&self.patient, &from, &to, &self.store).await;
        }
        rename::file(&self.patient, self.key(from)?, self.key(to)?, &self.store).await
    }

    async fn set_attributes(&self, _path: &str, _attributes: &Attributes) -> Result<()> {
        Ok(())
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

/// What the operator says of an object, as a status.
fn status_of(name: &str, found: &Metadata) -> UfsStatus {
    UfsStatus {
        name: name.into(),
        folder: false,
        length: found.content_length(),
        modified_ms: modified_ms(found),
        version: version_of(found),
        exact: true,
        ..Default::default()
    }
}

fn modified_ms(found: &Metadata) -> i64 {
    found.last_modified().map_or(0, |time| time.into_inner().as_millisecond())
}

/// The ETag without its quotes, which listings leave away; without an ETag, time and size.
fn version_of(found: &Metadata) -> String {
    match found.etag().map(|etag| etag.trim_matches('"')).filter(|etag| !etag.is_empty()) {
        Some(etag) => etag.into(),
        None => format!("{TIME_AND_SIZE}{}-{}", modified_ms(found), found.content_length()),
    }
}

/// How a version begins that is no ETag.
const TIME_AND_SIZE: &str = "modified-";

/// The value of `If-Match` for a version; none where the store could not match it.
fn condition(version: &str) -> Option<String> {
    let weak = version.starts_with("W/") || version.starts_with(TIME_AND_SIZE);
    (!weak).then(|| format!("\"{version}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        assert_eq!(split_address("s3://b").unwrap(), ("b", ""));
        assert_eq!(split_address("s3://b/").unwrap(), ("b", ""));
        assert_eq!(split_address("cosn://b-125/x y/z/").unwrap(), ("b-125", "x y/z"));
        for wrong in ["s3://", "s3:///x", "s3://key:secret@b/x", "s3://b/../c"] {
            assert!(split_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_weak_version_is_no_condition() {
        assert_eq!(condition("abc").as_deref(), Some("\"abc\""));
        assert_eq!((condition("W/\"abc"), condition("modified-1-2")), (None, None));
    }
}
