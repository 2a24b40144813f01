//! An object being written: in one request if it is small, in parts if not.

use super::error::Store;
use super::{UfsStatus, UfsWriter, status_of, version_of};
use crate::core::error::{Error, ErrorKind, Result};
use ::opendal::{Buffer, Operator};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of the first parts.
const PART: usize = 8 << 20;
/// After so many parts they double: a store takes 10,000 of them, so the largest object has about
/// 480 GB. All the same size at first, since some stores insist on that.
const DOUBLED_AFTER: u32 = 2000;
/// How long giving up an upload may take.
const ABORT: Duration = Duration::from_secs(30);

pub struct Writer {
    /// None once it is closed.
    inner: Option<::opendal::Writer>,
    operator: Operator,
    key: String,
    store: Arc<Store>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    parts: u32,
    length: u64,
    failed: bool,
}

impl Writer {
    /// Begins to write the object at `key`, that many parts at a time. In memory are those, the one
    /// before them, which is held back until it is known whether it is the last, and the next.
    pub async fn new(
        operator: &Operator,
        key: &str,
        store: Arc<Store>,
        parts_at_once: usize,
    ) -> Result<Writer> {
        let inner = operator.writer_with(key).concurrent(parts_at_once).await;
        Ok(Writer {
            inner: Some(inner.map_err(|e| store.error(e))?),
            operator: operator.clone(),
            key: key.into(),
            store,
            pending: Vec::new(),
            pending_bytes: 0,
            parts: 0,
            length: 0,
            failed: false,
        })
    }

    /// Hands over what is pending as one part.
    async fn part(&mut self) -> Result<()> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        let bytes: Buffer = std::mem::take(&mut self.pending).into();
        self.pending_bytes = 0;
        self.parts += 1;
        // A part that is given up half-way is lost: the object must not be completed then.
        self.failed = true;
        inner.write(bytes).await.map_err(|e| self.store.error(e))?;
        self.failed = false;
        Ok(())
    }
}

fn part_size(parts: u32) -> usize {
    PART << (parts / DOUBLED_AFTER).min(6)
}

#[async_trait]
impl UfsWriter for Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.length += bytes.len() as u64;
        loop {
            let room = part_size(self.parts) - self.pending_bytes;
            // Only when more follows, so that an object of just one part is one request.
            if bytes.len() <= room {
                self.pending_bytes += bytes.len();
                self.pending.push(bytes);
                return Ok(());
            }
            self.pending.push(bytes.split_to(room));
            self.part().await?;
        }
    }

    async fn close(mut self: Box<Self>) -> Result<UfsStatus> {
        if self.failed {
            let message = format!("{} was not written whole", self.key);
            return Err(Error::new(ErrorKind::Aborted, message));
        }
        if self.pending_bytes > 0 {
            self.part().await?;
        }
        let inner = self.inner.as_mut().expect("closed only once: close takes the writer");
        let written = inner.close().await.map_err(|e| self.store.error(e))?;
        self.inner = None;
        if written.etag().is_none_or(|etag| etag.trim_matches('"').is_empty()) {
            let found = self.operator.stat(&self.key).await.map_err(|e| self.store.error(e))?;
            return Ok(status_of(&self.key, &found));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(UfsStatus {
            name: std::mem::take(&mut self.key),
            length: self.length,
            modified_ms: now.as_millis() as i64,
            version: version_of(&written),
            exact: true,
            ..Default::default()
        })
    }
}

impl Drop for Writer {
    /// Gives up what was begun, so that no parts stay behind that cost money and show nowhere.
    fn drop(&mut self) {
        let Some(mut inner) = self.inner.take().filter(|_| self.parts > 0) else { return };
        let (key, store) = (self.key.clone(), self.store.clone());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let given_up = tokio::time::timeout(ABORT, inner.abort()).await;
            if !matches!(given_up, Ok(Ok(()))) {
                let address = &store.0.address;
                tracing::warn!(address, key, "parts of an unfinished upload may stay behind");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_480_gb() {
        let all: u64 = (0..10_000).map(|n| part_size(n) as u64).sum();
        assert!(all > 480_000_000_000, "{all}");
        assert_eq!(part_size(1999), PART);
    }
}
