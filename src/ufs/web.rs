//! `http://` and `https://`: a web archive with directory index pages, as Apache, nginx and many
//! others make them. Read-only.
//!
//! An index page tells names, minutes and sizes. Asking about every file of a large tree once more
//! would cost a request each, so an entry is believed when its size is in bytes, its minute is
//! past, and one file of the site was asked to see that the page's clock is ours (see `version`).
//! Whatever is believed is checked when it is read: an answer of another time or length is an
//! error, not data.

mod page;
mod version;

use super::limit::{Limits, limited};
use super::{Attributes, Capabilities, Properties, Space, Ufs, UfsStatus, UfsWriter};
use super::{UnderFileSystem, changed, check_path, exactly, http, property};
use crate::core::error::{Error, ErrorKind, Result, failed_precondition, internal};
use crate::core::error::{invalid_argument, not_found, read_only, unavailable, unsupported};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use page::{Link, Page, Size};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Method, Response, StatusCode, Url, header};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use version::Answer;

/// Redirections followed for one request.
const REDIRECTS: usize = 5;
/// What stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

struct Web(Arc<Site>);

/// A site: where its directory is, and whether its pages can be believed.
struct Site {
    client: Client,
    address: String,
    base: Url,
    user: Option<(String, Option<String>)>,
    trust: AtomicU8,
}

/// Nobody looked yet whether pages and files tell the same time and size.
const UNKNOWN: u8 = 0;
/// They do.
const TRUSTED: u8 = 1;
/// They do not: every file has to be asked about.
const UNTRUSTED: u8 = 2;

/// The archive below `http://host/path`. Properties `http.username` and `http.password` are sent
/// where they are set.
///
/// # Errors
/// `InvalidArgument` for an address that is no URL, or has credentials or a query in it.
pub fn open(address: &str, properties: &Properties) -> Result<Ufs> {
    let mut base = Url::parse(address).map_err(|error| {
        invalid_argument(format!("{address:?} is no URL: write http://host/path"))
            .with_source(error)
    })?;
    if !base.username().is_empty() || base.password().is_some() {
        let cure = "set http.username and http.password of the mount";
        return Err(invalid_argument(format!("no credentials in an address: {cure}")));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(invalid_argument(format!(
            "{address:?}: a query or fragment names no directory"
        )));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    let client = http::client(base.host_str().unwrap_or_default(), || Policy::custom(follow))?;
    let password = property(properties, &["http.password"]).map(String::from);
    let user = property(properties, &["http.username"]).map(|user| (user.to_string(), password));
    let address = base.as_str().trim_end_matches('/').to_string();
    let site = Site { client, address, base, user, trust: AtomicU8::new(UNKNOWN) };
    Ok(limited(Arc::new(Web(Arc::new(site))), Limits::read(properties)?))
}

/// Follows a redirection, but not out of encryption.
fn follow(attempt: Attempt) -> reqwest::redirect::Action {
    let was_https = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS {
        attempt.error("too many redirections")
    } else if was_https && attempt.url().scheme() != "https" {
        attempt.error("a redirection from https to http is not followed")
    } else {
        attempt.follow()
    }
}

impl Site {
    fn url(&self, path: &str) -> Result<Url> {
        check_path(path)?;
        let encode = |name| utf8_percent_encode(name, PLAIN).to_string();
        let path = path.split('/').map(encode).collect::<Vec<_>>().join("/");
        let url = Url::parse(&format!("{}{path}", self.base));
        url.map_err(|error| invalid_argument(format!("{path:?} makes no URL")).with_source(error))
    }

    /// The URL of the directory `path`.
    fn dir_url(&self, path: &str) -> Result<Url> {
        let mut url = self.url(path)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }

    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url).header(header::ACCEPT_ENCODING, "identity");
        match &self.user {
            Some((user, password)) => request.basic_auth(user, password.as_ref()),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.failure(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (address, path) = (&self.address, response.url().path());
        let message = format!("{address} answers {status} for {path}");
        Err(match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => not_found(message),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "{message}: set http.username and http.password of the mount, or turn on the index"
                ),
            ),
            StatusCode::PRECONDITION_FAILED => Error::new(ErrorKind::Changed, message),
            StatusCode::RANGE_NOT_SATISFIABLE => Error::new(ErrorKind::OutOfRange, message),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => unsupported(message),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => unavailable(message),
            _ if status.is_server_error() => unavailable(message),
            _ => failed_precondition(message),
        })
    }

    fn failure(&self, error: reqwest::Error) -> Error {
        let address = &self.address;
        let error = error.without_url();
        if error.is_redirect() {
            return failed_precondition(format!("{address} redirects")).with_source(error);
        }
        if error.is_builder() {
            return internal(format!("asking {address}")).with_source(error);
        }
        if http::is_distrust(&error) {
            return unavailable(format!("{address} is not trusted ({})", http::CERTIFICATES))
                .with_source(error);
        }
        unavailable(format!("no good answer from {address}: is it up?")).with_source(error)
    }

    /// What the site says of a URL, without its content.
    async fn ask(&self, url: Url) -> Result<Response> {
        match self.send(self.request(Method::HEAD, url.clone())).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let request = self.request(Method::GET, url).header(header::RANGE, "bytes=0-0");
                self.send(request).await
            }
            answer => answer,
        }
    }

    /// What an entry of a page is: believed, if it may be.
    async fn entry(&self, dir: &str, link: Link, page_time: i64) -> UfsStatus {
        let (length, certain) = match link.size {
            Size::Exact(bytes) => (bytes, true),
            Size::About(bytes) => (bytes, false),
            Size::Unknown => (0, false),
        };
        let modified = link.modified.unwrap_or_default();
        let mut entry = UfsStatus {
            name: link.name,
            folder: link.folder,
            length: if link.folder { 0 } else { length },
            modified_ms: modified * 1000,
            version: String::new(),
            exact: link.folder,
            ..Default::default()
        };
        if link.folder {
            return entry;
        }
        entry.version = version::of_minute(modified, length);
        let candidate = certain && link.modified.is_some_and(|m| version::is_settled(m, page_time));
        entry.exact = candidate && self.trusts(dir, &entry).await;
        entry
    }

    /// Whether pages of this site can be believed; asks about `entry` if nobody looked yet.
    async fn trusts(&self, dir: &str, entry: &UfsStatus) -> bool {
        match self.trust.load(Ordering::Relaxed) {
            TRUSTED => return true,
            UNTRUSTED => return false,
            _ => {}
        }
        let path =
            if dir.is_empty() { entry.name.clone() } else { format!("{dir}/{}", entry.name) };
        let Ok(url) = self.url(&path) else { return false };
        let Ok(answer) = self.ask(url).await else { return false };
        let agrees = Answer::of(&answer).is_version(&entry.version);
        if !agrees {
            let address = &self.address;
            tracing::info!(
                address,
                "index pages tell other times or sizes than the files: each is asked"
            );
        }
        self.trust.store(if agrees { TRUSTED } else { UNTRUSTED }, Ordering::Relaxed);
        agrees
    }
}

/// An index page on its way.
struct Listing {
    site: Arc<Site>,
    dir: String,
    url: Url,
    time: i64,
    body: BoxStream<'static, Result<Bytes>>,
    page: Option<Page>,
}

impl Listing {
    /// The entries in the next piece of the page, and the listing again unless that was all.
    async fn piece(mut self) -> Result<Option<(Vec<UfsStatus>, Listing)>> {
        let Some(mut page) = self.page.take() else { return Ok(None) };
        let links = match self.body.try_next().await? {
            Some(bytes) => {
                let links = page.push(&bytes, &self.url)?;
                self.page = Some(page);
                links
            }
            None => page.finish(&self.url)?,
        };
        let mut entries = Vec::with_capacity(links.len());
        for link in links {
            entries.push(self.site.entry(&self.dir, link, self.time).await);
        }
        Ok(Some((entries, self)))
    }
}

#[async_trait]
impl UnderFileSystem for Web {
    fn address(&self) -> &str {
        &self.0.address
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: false,
            rename: false,
            rename_dir: false,
            directories: false,
            attributes: false,
        }
    }

    async fn status(&self, path: &str) -> Result<UfsStatus> {
        let site = &self.0;
        let folder =
            || UfsStatus { name: path.into(), folder: true, exact: true, ..Default::default() };
        if path.is_empty() {
            return site.ask(site.dir_url(path)?).await.map(|_| folder());
        }
        let answer = match site.ask(site.url(path)?).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Some servers know a directory by its slash only.
                return match site.ask(site.dir_url(path)?).await {
                    Ok(_) => Ok(folder()),
                    Err(_) => Err(error),
                };
            }
            answer => answer?,
        };
        if answer.url().path().ends_with('/') {
            return Ok(folder());
        }
        let answer = Answer::of(&answer);
        let (Some(length), Some(version)) = (answer.length, answer.version()) else {
            return Err(unsupported(format!(
                "{}/{path}: the server tells no length, or neither Last-Modified nor ETag",
                site.address
            )));
        };
        let modified_ms = answer.modified.unwrap_or_default() * 1000;
        let name = path.to_string();
        Ok(UfsStatus { name, length, modified_ms, version, exact: true, ..Default::default() })
    }

    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        let site = self.0.clone();
        let response = match site.send(site.request(Method::GET, site.dir_url(path)?)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(stream::once(async { Err(error) }).boxed());
            }
            response => response?,
        };
        let page = Page::of(&response)?;
        let listing = Listing {
            dir: path.into(),
            url: response.url().clone(),
            time: Answer::of(&response).time,
            page: Some(page),
            body: body(&site, response),
            site,
        };
        let batches = stream::try_unfold(listing, Listing::piece);
        Ok(batches.map_ok(|batch| stream::iter(batch).map(Ok)).try_flatten().boxed())
    }

    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let site = &self.0;
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut request = site.request(Method::GET, site.url(path)?);
        if range.start > 0 || range.end < u64::MAX {
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            request = request.header(header::RANGE, value);
        }
        if let Some(etag) = version.and_then(version::etag) {
            request = request.header(header::IF_MATCH, etag);
        }
        let response = match site.send(request).await {
            Err(error) if error.kind() == ErrorKind::OutOfRange => {
                return Ok(stream::empty().boxed());
            }
            response => response?,
        };
        if response.url().path().ends_with('/') {
            return Err(Error::new(ErrorKind::IsDirectory, format!("{path} is a directory")));
        }
        let answer = Answer::of(&response);
        if let Some(wanted) = version.filter(|wanted| !answer.is_version(wanted)) {
            if answer.is_of_another_clock(wanted) {
                site.trust.store(UNTRUSTED, Ordering::Relaxed);
            }
            let is = answer.version().unwrap_or_default();
            return Err(changed(&format_args!("{}/{path}", site.address), wanted, &is));
        }
        let Some(length) = answer.length else {
            return Err(unsupported(format!(
                "{}/{path}: the server tells no length",
                site.address
            )));
        };
        if answer.start > range.start {
            return Err(failed_precondition(format!("{} sends another range", site.address)));
        }
        let left = range.end.min(length).saturating_sub(range.start);
        Ok(exactly(body(site, response), range.start - answer.start, left))
    }

    async fn create(&self, _: &str, _: &Attributes) -> Result<Box<dyn UfsWriter>> {
        Err(self.no_writes())
    }

    async fn create_dir(&self, _: &str, _: &Attributes) -> Result<()> {
        Err(self.no_writes())
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Err(self.no_writes())
    }

    async fn delete_dir(&self, _: &str) -> Result<()> {
        Err(self.no_writes())
    }

    async fn rename(&self, _: &str, _: &str, _: bool) -> Result<()> {
        Err(self.no_writes())
    }

    async fn set_attributes(&self, _: &str, _: &Attributes) -> Result<()> {
        Ok(())
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

impl Web {
    fn no_writes(&self) -> Error {
        read_only(format!("{} is a web archive: it takes no writes", self.0.address))
    }
}

fn body(site: &Arc<Site>, response: Response) -> BoxStream<'static, Result<Bytes>> {
    let site = site.clone();
    response.bytes_stream().map_err(move |error| site.failure(error)).boxed()
}
