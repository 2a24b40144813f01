//! An S3 server of made-up objects: as much of the protocol as reading and listing takes, from memory,
//! so that what is measured is the client.

use crate::core::error::{Context, Result};
use crate::core::runtime::{Group, Rate};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures::stream;
use md5::{Digest, Md5};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The bucket.
pub const BUCKET: &str = "bench";
/// What all keys begin with.
pub const FOLDER: &str = "data";
/// Keys in an answer to a listing.
const PAGE: usize = 1_000;
/// Bytes of an object that are told from its other bytes.
const BLOCK: u64 = 64 << 10;
/// Bytes of an answer that are made at a time.
const PIECE: u64 = 256 << 10;
/// Longer objects look as if they had been written in parts: their ETag is no sum of their bytes.
const SUMMED: u64 = 16 << 20;
/// When all objects were last modified.
const MODIFIED: (&str, &str) = ("2026-01-01T00:00:00.000Z", "Thu, 01 Jan 2026 00:00:00 GMT");

/// What is served.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// Objects.
    pub count: usize,
    /// Bytes of each.
    pub length: u64,
    /// Bytes a second of all answers together; 0 for no bound.
    pub link: u64,
}

struct Objects {
    length: u64,
    /// ETags: the MD5 sums, which clients compare.
    etags: Vec<String>,
    link: Rate,
}

/// Serves objects until the group stops; tells the URL.
///
/// # Errors
/// `Internal` when no port can be had.
pub async fn serve(served: Served, group: &Group) -> Result<String> {
    let Served { count, length, link } = served;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("serving objects")?;
    let url = format!("http://{}", listener.local_addr().context("serving objects")?);
    let etag = |number| {
        let sum = Md5::digest(content(number, 0..length.min(SUMMED)));
        let parts = if length > SUMMED { "-2" } else { "" };
        let hex = sum.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string never fails.
            let _ = write!(text, "{byte:02x}");
            text
        });
        hex + parts
    };
    let etags = (0..count).map(etag).collect();
    let objects = Objects { length, etags, link: Rate::new(link) };
    let app = axum::Router::new().fallback(answer).with_state(Arc::new(objects));
    let stopping = group.stopping();
    group.spawn("objects", async move {
        let listener = listener.tap_io(|stream| {
            // Best effort: without it answers are only slower.
            stream.set_nodelay(true).ok();
        });
        let server = axum::serve(listener, app).with_graceful_shutdown(stopping);
        if let Err(error) = server.await {
            tracing::warn!(%error, "the objects ended");
        }
    });
    Ok(url)
}

/// A part of an object's bytes: every block is its number and the object's, over and over.
pub fn content(number: usize, range: Range<u64>) -> Bytes {
    let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min(at - at % BLOCK + BLOCK);
        let pattern = pattern(number, at).to_le_bytes();
        let skip = (at % BLOCK) as usize % pattern.len();
        let head = pattern[skip..].iter().copied().take((end - at) as usize);
        bytes.extend(head);
        let left = (end - range.start) as usize - bytes.len();
        bytes.extend(pattern.repeat(left.div_ceil(pattern.len())));
        bytes.truncate((end - range.start) as usize);
        at = end;
    }
    bytes.into()
}

fn pattern(number: usize, at: u64) -> u64 {
    (((number as u64) << 32) | (at / BLOCK)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The name of an object in its folder.
pub fn name(number: usize) -> String {
    format!("f{number:06}")
}

fn key(number: usize) -> String {
    format!("{FOLDER}/{}", name(number))
}

async fn answer(
    State(objects): State<Arc<Objects>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().trim_matches('/');
    let Some(inner) = path.strip_prefix(BUCKET) else { return missing() };
    match inner.trim_start_matches('/') {
        "" if method == Method::HEAD => StatusCode::OK.into_response(),
        "" if method == Method::GET => objects.list(&query),
        object => objects.object(object, &method, &headers),
    }
}

fn missing() -> Response {
    let body = "<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>";
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

impl Objects {
    fn object(&self, object: &str, method: &Method, headers: &HeaderMap) -> Response {
        let number = object.strip_prefix(FOLDER).and_then(|name| name.strip_prefix("/f"));
        let number = number.and_then(|digits| digits.parse::<usize>().ok());
        let Some((number, etag)) = number.and_then(|n| Some((n, self.etags.get(n)?))) else {
            return missing();
        };
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = range.and_then(|text| self.range(text));
        let (from, to) = range.unwrap_or((0, self.length));
        let mut answer = Response::builder()
            .header(header::ETAG, format!("\"{etag}\""))
            .header(header::LAST_MODIFIED, MODIFIED.1)
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_LENGTH, to - from);
        if range.is_some() {
            let text = format!("bytes {from}-{}/{}", to - 1, self.length);
            answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, text);
        }
        let body = match *method {
            Method::HEAD => Body::empty(),
            _ if to - from <= PIECE && self.link.get() == 0 => {
                Body::from(content(number, from..to))
            }
            _ => self.body(number, from..to),
        };
        answer.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }

    /// The bytes of an answer, piece by piece, at the pace of the link.
    fn body(&self, number: usize, range: Range<u64>) -> Body {
        let link = self.link.clone();
        Body::from_stream(stream::unfold(range.start, move |at| {
            let (end, link) = (range.end, link.clone());
            async move {
                let to = (at + PIECE).min(end);
                link.take(to - at).await;
                (at < to).then(|| (Ok::<_, Infallible>(content(number, at..to)), to))
            }
        }))
    }

    /// First and one beyond the last byte of `bytes=a-b`.
    fn range(&self, text: &str) -> Option<(u64, u64)> {
        let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
        let from: u64 = from.parse().ok()?;
        let to = to.parse::<u64>().map_or(self.length, |last| (last + 1).min(self.length));
        (from < to).then_some((from, to))
    }

    fn list(&self, query: &HashMap<String, String>) -> Response {
        let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let (prefix, delimiter) = (asked("prefix"), asked("delimiter"));
        let below = format!("{FOLDER}/");
        let mut entries = String::new();
        let mut next = None;
        if delimiter == "/" && below.starts_with(prefix) && prefix.len() < below.len() {
            entries = format!("<CommonPrefixes><Prefix>{below}</Prefix></CommonPrefixes>");
        } else {
            // Keys sort as their numbers.
            let after = [asked("continuation-token"), asked("start-after"), asked("marker")];
            let after = after.into_iter().max().unwrap_or_default();
            let first = (0..self.etags.len()).collect::<Vec<_>>();
            let first = first.partition_point(|&number| key(number).as_str() <= after);
            let most = asked("max-keys").parse().unwrap_or(PAGE).min(PAGE);
            let numbers = (first..self.etags.len()).filter(|&n| key(n).starts_with(prefix));
            let numbers: Vec<usize> = numbers.take(most + 1).collect();
            if numbers.len() > most && most > 0 {
                next = Some(key(numbers[most - 1]));
            }
            for &number in numbers.iter().take(most) {
                // Writing to a string never fails.
                let _ = write!(
                    entries,
                    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;{}&quot;\
                     </ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    key(number),
                    MODIFIED.0,
                    self.etags[number],
                    self.length
                );
            }
        }
        let more = next.map_or(String::new(), |next| {
            format!("<NextContinuationToken>{next}</NextContinuationToken><NextMarker>{next}</NextMarker>")
        });
        let truncated = !more.is_empty();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>\
             <Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><Delimiter>{delimiter}</Delimiter>\
             <MaxKeys>{PAGE}</MaxKeys><IsTruncated>{truncated}</IsTruncated>{more}{entries}\
             </ListBucketResult>"
        );
        ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_an_object_is_cut_out_of_the_whole() {
        let length = 3 * BLOCK + 100;
        let whole = content(7, 0..length);
        assert_eq!(whole.len() as u64, length);
        for range in [0..100, 3..11, 8..8, 99..100, BLOCK - 3..2 * BLOCK + 5, BLOCK + 1..length] {
            let part = content(7, range.clone());
            assert_eq!(part, whole.slice(range.start as usize..range.end as usize));
        }
        assert_ne!(content(8, 0..length), whole);
        assert_ne!(content(7, 0..BLOCK), content(7, BLOCK..2 * BLOCK));
    }
}
