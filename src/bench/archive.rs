//! A web archive on a slow line: a directory over HTTP with index pages as nginx makes them, and
//! one rate for all connections together.

use crate::core::error::{Context, Result};
use crate::core::runtime::Group;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// Bytes that are read and sent together.
const PIECE: u64 = 64 << 10;

struct Archive {
    root: PathBuf,
    line: Line,
}

/// Serves `root` at `rate` bytes a second until the group stops; tells the URL.
///
/// # Errors
/// `Internal` when no port can be had.
pub async fn serve(root: &Path, rate: u64, group: &Group) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("serving the archive")?;
    let url = format!("http://{}", listener.local_addr().context("serving the archive")?);
    let archive = Archive { root: root.into(), line: Line::new(rate) };
    let app = axum::Router::new().fallback(answer).with_state(Arc::new(archive));
    let stopping = group.stopping();
    group.spawn("archive", async move {
        let listener = listener.tap_io(|stream| {
            // Best effort: without it answers are only slower.
            stream.set_nodelay(true).ok();
        });
        let server = axum::serve(listener, app).with_graceful_shutdown(stopping);
        if let Err(error) = server.await {
            tracing::warn!(%error, "the archive ended");
        }
    });
    Ok(url)
}

/// A line that all connections share.
struct Line {
    rate: f64,
    free_at: Mutex<Instant>,
}

impl Line {
    fn new(rate: u64) -> Line {
        Line { rate: rate.max(1) as f64, free_at: Mutex::new(Instant::now()) }
    }

    /// Ends when that many bytes would have come through.
    async fn pass(&self, bytes: usize) {
        let through = {
            let mut free_at = self.free_at.lock();
            *free_at =
                (*free_at).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.rate);
            *free_at
        };
        tokio::time::sleep_until(through).await;
    }
}

async fn answer(
    State(archive): State<Arc<Archive>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Some(path) = archive.path(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    let looked_up = path.clone();
    let opened = tokio::task::spawn_blocking(move || open(&looked_up)).await;
    let Ok(Ok((file, meta))) = opened else { return StatusCode::NOT_FOUND.into_response() };
    if meta.is_file() {
        return archive.file(file, &meta, &headers, method == Method::HEAD);
    }
    if !uri.path().ends_with('/') {
        let location = format!("{}/", uri.path());
        return (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response();
    }
    let page = tokio::task::spawn_blocking(move || index(&path)).await;
    let Ok(Ok(page)) = page else { return StatusCode::NOT_FOUND.into_response() };
    archive.line.pass(page.len()).await;
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    Ok((file, meta))
}

impl Archive {
    /// The file that a URL's path names; none for one that leads elsewhere.
    fn path(self: &Arc<Self>, path: &str) -> Option<PathBuf> {
        let mut full = self.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let name = percent_decode_str(name).decode_utf8().ok()?;
            if matches!(name.as_ref(), "." | "..") || name.contains(['/', '\0']) {
                return None;
            }
            full.push(name.as_ref());
        }
        Some(full)
    }

    fn file(
        self: &Arc<Self>,
        file: File,
        meta: &Metadata,
        headers: &HeaderMap,
        head: bool,
    ) -> Response {
        let modified = meta.modified().unwrap_or(UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = meta.len();
        let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = asked.and_then(|text| range(text, length));
        let builder = Response::builder()
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::LAST_MODIFIED, httpdate::fmt_http_date(modified))
            .header(header::ETAG, format!("\"{:x}-{length:x}\"", since.as_nanos()));
        let (builder, range) = match range {
            None => (builder, 0..length),
            Some(range) if range.is_empty() => {
                return (
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    [(header::CONTENT_RANGE, format!("bytes */{length}"))],
                )
                    .into_response();
            }
            Some(range) => {
                let told = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let builder = builder.status(StatusCode::PARTIAL_CONTENT);
                (builder.header(header::CONTENT_RANGE, told), range)
            }
        };
        let builder = builder.header(header::CONTENT_LENGTH, range.end - range.start);
        let body = if head { Body::empty() } else { self.clone().body(file, range) };
        builder.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    /// The bytes of a file, as fast as the line lets them through.
    fn body(self: Arc<Self>, file: File, range: Range<u64>) -> Body {
        let file = Arc::new(file);
        Body::from_stream(stream::try_unfold(range, move |range| {
            let (archive, file) = (self.clone(), file.clone());
            async move {
                if range.is_empty() {
                    return Ok(None);
                }
                let length = PIECE.min(range.end - range.start);
                let piece = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; length as usize];
                    file.read_exact_at(&mut piece, range.start).map(|()| Bytes::from(piece))
                });
                let piece = piece.await.map_err(io::Error::other)??;
                archive.line.pass(piece.len()).await;
                io::Result::Ok(Some((piece, range.start + length..range.end)))
            }
        }))
    }
}

/// Reads `bytes=5-9`, `bytes=5-` or `bytes=-5`; empty if it lies behind the end.
fn range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => Some(first.min(length)..last.saturating_add(1).min(length)),
        (Ok(first), Err(_)) => Some(first.min(length)..length),
        (Err(_), Ok(last)) => Some(length.saturating_sub(last)..length),
        _ => None,
    }
}

/// A directory as nginx shows it.
fn index(dir: &Path) -> io::Result<String> {
    let mut entries: Vec<_> = std::fs::read_dir(dir)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    let mut page = String::from("<html><body><h1>Index</h1><hr><pre><a href=\"../\">../</a>\n");
    for entry in entries {
        let (Ok(meta), Ok(name)) = (entry.metadata(), entry.file_name().into_string()) else {
            continue;
        };
        let (slash, size) = match meta.is_dir() {
            true => ("/", "-".to_string()),
            false => ("", meta.len().to_string()),
        };
        let href = utf8_percent_encode(&name, NON_ALPHANUMERIC);
        let shown = name.replace('&', "&amp;").replace('<', "&lt;");
        let date = date(meta.modified().unwrap_or(UNIX_EPOCH));
        writeln!(page, "<a href=\"{href}{slash}\">{shown}{slash}</a>  {date}  {size}")
            .map_err(io::Error::other)?;
    }
    page.push_str("</pre><hr></body></html>\n");
    Ok(page)
}

/// A time as `21-Nov-2026 23:10`.
fn date(time: SystemTime) -> String {
    // `Sat, 21 Nov 2026 23:10:00 GMT`, whose parts stand at fixed places.
    let text = httpdate::fmt_http_date(time);
    format!("{}-{}-{} {}", &text[5..7], &text[8..11], &text[12..16], &text[17..22])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ufs;
    use futures::TryStreamExt;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_archive_is_read_by_its_pages_at_its_rate() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a b")).unwrap();
        let path = dir.path().join("a b/100%&<ü>");
        std::fs::write(&path, vec![7; 500_000]).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(5000)).unwrap();
        let group = Group::new("test");
        let url = serve(dir.path(), 1 << 20, &group).await.unwrap();
        let ufs = ufs::open(&url, &Default::default()).unwrap();
        let entries: Vec<_> = ufs.list("a b").await.unwrap().try_collect().await.unwrap();
        let (name, exact) = (entries[0].name.as_str(), entries[0].exact);
        assert_eq!((name, entries[0].length, exact), ("100%&<ü>", 500_000, true));
        let start = Instant::now();
        let read = ufs.read("a b/100%&<ü>", Some(&entries[0].version), 100_000..900_000).await;
        let read: Vec<_> = read.unwrap().try_collect().await.unwrap();
        assert!(read.concat() == vec![7; 400_000]);
        assert!(start.elapsed() > Duration::from_millis(350), "{:?}", start.elapsed());
        assert!(ufs.status("a b/nothing").await.is_err());
        drop(ufs);
        group.stop(Duration::from_secs(5)).await;
    }

    #[test]
    fn ranges_are_clipped() {
        assert_eq!(range("bytes=5-9", 100), Some(5..10));
        assert_eq!(range("bytes=95-200", 100), Some(95..100));
        assert_eq!(range("bytes=95-", 100), Some(95..100));
        assert_eq!(range("bytes=-5", 100), Some(95..100));
        assert_eq!(range("bytes=100-200", 100), Some(100..100));
        assert_eq!(range("lines=1-2", 100), None);
    }
}
