//! What tells one version of a file of a web site from another.
//!
//! A page and an answer must call the same bytes by the same version, and a page tells minutes
//! only. So the version of a file is the minute it was last modified and its length, once that
//! minute is well past: whoever changes the file afterwards changes the minute. Before that a
//! version is the ETag, or the second and the length.

use reqwest::{Response, StatusCode, header};
use std::time::{SystemTime, UNIX_EPOCH};

/// How long after its beginning a minute is surely over, in seconds: clocks differ.
const SETTLED: i64 = 180;
/// Clocks of the world differ by multiples of this, in minutes.
const ZONE: i64 = 15;

/// What an answer says of the file it is about.
#[derive(Debug)]
pub struct Answer {
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// When the file was last modified, likewise.
    pub modified: Option<i64>,
    /// Bytes in the file.
    pub length: Option<u64>,
    /// Where in the file its body starts.
    pub start: u64,
    etag: Option<String>,
}

impl Answer {
    /// Reads the headers of an answer.
    pub fn of(response: &Response) -> Answer {
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let seconds = |name| text(name).and_then(|text| httpdate::parse_http_date(text).ok());
        let range = match response.status() {
            StatusCode::PARTIAL_CONTENT => text(header::CONTENT_RANGE).and_then(content_range),
            _ => None,
        };
        let (start, length) = match (response.status(), range) {
            (StatusCode::PARTIAL_CONTENT, Some((start, length))) => (start, length),
            (StatusCode::PARTIAL_CONTENT, None) => (u64::MAX, None),
            _ => (0, text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok())),
        };
        Answer {
            time: seconds_of(seconds(header::DATE).unwrap_or_else(SystemTime::now)),
            modified: seconds(header::LAST_MODIFIED).map(seconds_of),
            length,
            start,
            etag: text(header::ETAG).map(String::from),
        }
    }

    /// The version of the file; none where nothing tells one from another.
    pub fn version(&self) -> Option<String> {
        let length = self.length?;
        match (self.modified, &self.etag) {
            (Some(modified), _) if is_settled(modified, self.time) => {
                Some(of_minute(modified, length))
            }
            (_, Some(etag)) => Some(format!("etag:{etag}")),
            (Some(modified), None) => Some(of_second(modified, length)),
            (None, None) => None,
        }
    }

    /// Whether the file is of that version, whichever way it was told.
    pub fn is_version(&self, wanted: &str) -> bool {
        if let Some(etag) = wanted.strip_prefix("etag:") {
            return self.etag.as_deref() == Some(etag);
        }
        let (Some(modified), Some(length)) = (self.modified, self.length) else { return false };
        wanted == of_minute(modified, length) || wanted == of_second(modified, length)
    }

    /// Whether only the clock is another: then the pages speak of the local time of their server.
    pub fn is_of_another_clock(&self, wanted: &str) -> bool {
        let (Some(modified), Some(length)) = (self.modified, self.length) else { return false };
        let told = wanted.strip_prefix("minute:").and_then(|rest| rest.split_once('-'));
        let Some((minute, of)) = told else { return false };
        let off = minute.parse::<i64>().map(|minute| minute - modified.div_euclid(60));
        of == length.to_string() && off.is_ok_and(|off| off != 0 && off % ZONE == 0)
    }
}

/// The version of a file that was modified in that minute.
pub fn of_minute(modified: i64, length: u64) -> String {
    format!("minute:{}-{length}", modified.div_euclid(60))
}

fn of_second(modified: i64, length: u64) -> String {
    format!("second:{modified}-{length}")
}

/// The ETag in a version, if it can be matched by the server.
pub fn etag(version: &str) -> Option<&str> {
    version.strip_prefix("etag:").filter(|etag| !etag.starts_with("W/"))
}

/// Whether the minute of a modification is over at `time`.
pub fn is_settled(modified: i64, time: i64) -> bool {
    time - modified.div_euclid(60) * 60 >= SETTLED
}

/// Reads `bytes 0-9/100`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, length.trim().parse().ok()))
}

fn seconds_of(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(time: i64, modified: Option<i64>, etag: Option<&str>) -> Answer {
        Answer { time, modified, length: Some(5), start: 0, etag: etag.map(String::from) }
    }

    #[test]
    fn a_past_minute_is_the_version_and_a_recent_one_is_not() {
        let old = answer(100_000, Some(6_000), Some("\"x\""));
        assert_eq!(old.version().as_deref(), Some("minute:100-5"));
        let fresh = answer(6_100, Some(6_000), Some("\"x\""));
        assert_eq!(fresh.version().as_deref(), Some("etag:\"x\""));
        assert_eq!(answer(6_100, Some(6_001), None).version().as_deref(), Some("second:6001-5"));
        assert_eq!(answer(6_100, None, None).version(), None);
    }

    #[test]
    fn a_version_holds_whichever_way_it_was_told() {
        let now = answer(100_000, Some(6_001), Some("\"x\""));
        for version in ["minute:100-5", "second:6001-5", "etag:\"x\""] {
            assert!(now.is_version(version), "{version}");
        }
        for version in ["minute:101-5", "minute:100-6", "second:6002-5", "etag:\"y\"", ""] {
            assert!(!now.is_version(version), "{version}");
        }
        assert!(now.is_of_another_clock("minute:160-5"));
        assert!(
            !now.is_of_another_clock("minute:160-6") && !now.is_of_another_clock("minute:101-5")
        );
    }

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/100"), Some((5, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        assert_eq!(content_range("lines 5-9/100"), None);
    }
}
