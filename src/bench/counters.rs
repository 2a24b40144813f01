//! What workers count, as their own pages tell it.

use crate::core::error::{Context, Result};
use crate::core::metrics::names;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Counters of a worker since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Bytes fetched from under stores.
    pub filled: u64,
    /// Bytes served to readers.
    pub read: u64,
    /// Bytes sent to other workers since they belong there.
    pub moved: u64,
}

impl Counters {
    /// Those of the worker with its page at `host` and `port`.
    ///
    /// # Errors
    /// When the page is not served.
    pub fn at(host: &str, port: u16) -> Result<Counters> {
        let page = page(host, port).with_context(|| format!("asking {host}:{port}"))?;
        let value = |name: &str| {
            let total = format!("{name}_total ");
            let line = page.lines().find_map(|line| line.strip_prefix(&total));
            line.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
        };
        Ok(Counters {
            filled: value(names::WORKER_FILLED_BYTES.text),
            read: value(names::WORKER_READ_BYTES.text),
            moved: value(names::WORKER_MOVED_BYTES.text),
        })
    }

    /// The sum of several.
    pub fn sum<'c>(all: impl IntoIterator<Item = &'c Counters>) -> Counters {
        all.into_iter().fold(Counters::default(), |sum, one| Counters {
            filled: sum.filled + one.filled,
            read: sum.read + one.read,
            moved: sum.moved + one.moved,
        })
    }
}

fn page(host: &str, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
