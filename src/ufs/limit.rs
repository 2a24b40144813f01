//! Retries, deadlines and a limit of what is under way at once: wrapped around any connector.
//!
//! Only what can be repeated without harm is: looking, reading, deleting, making a directory. A
//! rename or a write is not, since its first half may have happened; a connector that can repeat
//! the halves does so itself. Every call ends by its deadline, all its attempts together. A read
//! that breaks goes on where it stopped, but only if it names a version: else the rest might be
//! of another.

use super::{Attributes, Capabilities, Properties, Space, Ufs, UfsStatus, UfsWriter};
use super::{UnderFileSystem, property};
use crate::core::error::{Context, Error, Result, deadline_exceeded, invalid_argument};
use crate::core::model::size::parse_duration;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The first pause before another attempt; each further one is three times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Calls that go through a whole tree may take this many times the deadline of others.
const TREE: u32 = 60;

/// How far a connector is trusted.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How often a call is made in all.
    pub attempts: u32,
    /// How long a call may take, all attempts together.
    pub deadline: Duration,
    /// Calls under way at once.
    pub concurrent: usize,
    /// Parts of one object that are on their way at once.
    pub parts: usize,
}

impl Limits {
    /// The limits that properties set: `attempts`, `timeout`, `connections`, `parts`.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that is no number or no duration.
    pub fn read(properties: &Properties) -> Result<Limits> {
        let number = |names: &[&str], default: u32| match property(properties, names) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                invalid_argument(format!("{}={text:?} is no number above 0", names[0]))
            }),
        };
        Ok(Limits {
            attempts: number(&["attempts"], 4)?,
            deadline: match property(properties, &["timeout"]) {
                None => Duration::from_secs(60),
                Some(text) => parse_duration(text).context("timeout")?,
            },
            concurrent: number(&["connections"], 128)? as usize,
            parts: number(&["parts"], 4)? as usize,
        })
    }

    /// Makes a call that can be repeated until it works, fails for good, or its time is over.
    async fn retry<T, F>(&self, what: &str, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            for attempt in 1.. {
                match call().await {
                    Err(error) if error.kind().is_transient() && attempt < self.attempts => {
                        tracing::debug!(what, attempt, %error, "trying again");
                        // Spread, so that many callers do not come back together.
                        tokio::time::sleep(pause.mul_f64(rand::random_range(0.7..1.3))).await;
                        pause *= 3;
                    }
                    result => return result,
                }
            }
            unreachable!("the loop above has no end but its returns")
        };
        self.in_time(self.deadline, what, attempts).await
    }

    async fn in_time<T>(
        &self,
        deadline: Duration,
        what: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(deadline, call).await {
            Ok(result) => result,
            Err(_) => Err(deadline_exceeded(format!(
                "{what}: no answer within {deadline:?}; is the store up? property timeout sets more"
            ))),
        }
    }
}

/// A connector with its limits.
struct Limited {
    inner: Ufs,
    limits: Limits,
    slots: Arc<Semaphore>,
}

/// Puts limits around a connector.
pub fn limited(inner: Ufs, limits: Limits) -> Ufs {
    let slots = Arc::new(Semaphore::new(limits.concurrent));
    Arc::new(Limited { inner, limits, slots })
}

impl Limited {
    /// One call's place among those under way.
    async fn slot(&self) -> Result<OwnedSemaphorePermit> {
        let slot = async {
            let permit = self.slots.clone().acquire_owned().await;
            Ok(permit.expect("the semaphore is never closed"))
        };
        let what = format!("{}: {} calls are under way", self.address(), self.limits.concurrent);
        self.limits.in_time(self.limits.deadline, &what, slot).await
    }

    fn what(&self, verb: &str, path: &str) -> String {
        format!("{verb} {}/{path}", self.address().trim_end_matches('/'))
    }

    async fn repeat<T, F>(&self, verb: &str, path: &str, call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let _slot = self.slot().await?;
        self.limits.retry(&self.what(verb, path), call).await
    }

    async fn once<T>(
        &self,
        factor: u32,
        what: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let _slot = self.slot().await?;
        self.limits.in_time(self.limits.deadline * factor, what, call).await
    }
}

#[async_trait]
impl UnderFileSystem for Limited {
    fn address(&self) -> &str {
        self.inner.address()
    }

    fn server(&self) -> String {
        self.inner.server()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn status(&self, path: &str) -> Result<UfsStatus> {
        self.repeat("looking at", path, || self.inner.status(path)).await
    }

    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        // The slot is given back before the entries come: who lists asks more of us between them.
        let entries = self.repeat("listing", path, || self.inner.list(path)).await?;
        Ok(timed(entries, self.limits.clone(), self.what("listing", path)))
    }

    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let slot = self.slot().await?;
        let what = self.what("reading", path);
        let open = || self.inner.read(path, version, range.clone());
        let pieces = self.limits.retry(&what, open).await?;
        let pieces = timed(pieces, self.limits.clone(), what.clone());
        let reading = Reading {
            inner: self.inner.clone(),
            limits: self.limits.clone(),
            path: path.into(),
            version: version.map(String::from),
            range,
            attempts: 1,
            what,
            pieces,
            _slot: slot,
        };
        Ok(stream::try_unfold(reading, Reading::next).boxed())
    }

    async fn create(&self, path: &str, attributes: &Attributes) -> Result<Box<dyn UfsWriter>> {
        let what = self.what("writing", path);
        let inner = self.once(1, &what, self.inner.create(path, attributes)).await?;
        Ok(Box::new(LimitedWriter { inner, limits: self.limits.clone(), what }))
    }

    async fn create_dir(&self, path: &str, attributes: &Attributes) -> Result<()> {
        self.repeat("making directory", path, || self.inner.create_dir(path, attributes)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.repeat("deleting", path, || self.inner.delete(path)).await
    }

    async fn delete_dir(&self, path: &str) -> Result<()> {
        self.once(TREE, &self.what("deleting", path), self.inner.delete_dir(path)).await
    }

    async fn rename(&self, from: &str, to: &str, folder: bool) -> Result<()> {
        self.once(TREE, &self.what("renaming", from), self.inner.rename(from, to, folder)).await
    }

    async fn set_attributes(&self, path: &str, attributes: &Attributes) -> Result<()> {
        let call = || self.inner.set_attributes(path, attributes);
        self.repeat("setting attributes of", path, call).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        self.repeat("asking the space of", "", || self.inner.space()).await
    }
}

/// A stream whose items each come within the deadline, or an error does and it ends.
fn timed<T: Send + 'static>(
    items: BoxStream<'static, Result<T>>,
    limits: Limits,
    what: String,
) -> BoxStream<'static, Result<T>> {
    let next = |(mut items, limits, what): (BoxStream<'static, _>, Limits, String)| async move {
        let item = async { items.next().await.transpose() };
        let item = limits.in_time(limits.deadline, &what, item).await?;
        Ok(item.map(|item| (item, (items, limits, what))))
    };
    stream::try_unfold((items, limits, what), next).boxed()
}

/// A read that goes on after a break.
struct Reading {
    inner: Ufs,
    limits: Limits,
    path: String,
    version: Option<String>,
    /// What is still to come.
    range: Range<u64>,
    /// How often the piece at the start of the range was tried.
    attempts: u32,
    what: String,
    pieces: BoxStream<'static, Result<Bytes>>,
    _slot: OwnedSemaphorePermit,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Reading)>> {
        loop {
            match self.pieces.next().await {
                None => return Ok(None),
                Some(Ok(piece)) => {
                    self.range.start += piece.len() as u64;
                    self.attempts = 1;
                    return Ok(Some((piece, self)));
                }
                Some(Err(error)) if self.may_go_on(&error) => self.go_on(error).await?,
                Some(Err(error)) => return Err(error),
            }
        }
    }

    fn may_go_on(&self, error: &Error) -> bool {
        let transient = error.kind().is_transient();
        transient && self.version.is_some() && self.attempts < self.limits.attempts
    }

    async fn go_on(&mut self, error: Error) -> Result<()> {
        tracing::debug!(what = self.what, at = self.range.start, %error, "reading on");
        self.attempts += 1;
        tokio::time::sleep(FIRST_PAUSE * self.attempts).await;
        let open = || self.inner.read(&self.path, self.version.as_deref(), self.range.clone());
        let pieces = self.limits.retry(&self.what, open).await?;
        self.pieces = timed(pieces, self.limits.clone(), self.what.clone());
        Ok(())
    }
}

/// A writer whose calls end. It holds no slot: it is bounded by its own parts under way, and one
/// who copies between two files of a store would wait for itself.
struct LimitedWriter {
    inner: Box<dyn UfsWriter>,
    limits: Limits,
    what: String,
}

/// Handing over a piece may wait for others sent before it; closing waits for all of them.
const WRITE: u32 = 5;

#[async_trait]
impl UfsWriter for LimitedWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let deadline = self.limits.deadline * WRITE;
        self.limits.in_time(deadline, &self.what, self.inner.write(bytes)).await
    }

    async fn close(self: Box<Self>) -> Result<UfsStatus> {
        let deadline = self.limits.deadline * WRITE;
        self.limits.in_time(deadline, &self.what, self.inner.close()).await
    }
}

#[cfg(test)]
mod tests;
