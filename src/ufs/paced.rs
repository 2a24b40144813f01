//! An under store whose bytes pass at a bounded rate, however many read and write it.

use super::{Attributes, Capabilities, Space, Ufs, UfsStatus, UfsWriter, UnderFileSystem};
use crate::core::error::Result;
use crate::core::runtime::Rate;
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;

/// A store with a bound on its bytes a second.
struct Paced {
    inner: Ufs,
    rate: Rate,
}

/// Has all bytes of a store pass at `rate`.
pub fn paced(inner: Ufs, rate: Rate) -> Ufs {
    Arc::new(Paced { inner, rate })
}

/// The length of the next piece of `length` bytes: whoever waits for the next sees that we live.
fn step(rate: &Rate, length: usize) -> usize {
    rate.step().map_or(length, |step| length.min(step as usize))
}

#[async_trait]
impl UnderFileSystem for Paced {
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
        self.inner.status(path).await
    }

    async fn list(&self, path: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        self.inner.list(path).await
    }

    async fn read(
        &self,
        path: &str,
        version: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let pieces = self.inner.read(path, version, range).await?;
        let rate = self.rate.clone();
        let next = move |(mut pieces, mut piece): (BoxStream<'static, Result<Bytes>>, Bytes)| {
            let rate = rate.clone();
            async move {
                if piece.is_empty() {
                    match pieces.try_next().await? {
                        Some(next) => piece = next,
                        None => return Ok(None),
                    }
                }
                let now = piece.split_to(step(&rate, piece.len()));
                rate.take(now.len() as u64).await;
                Ok(Some((now, (pieces, piece))))
            }
        };
        Ok(stream::try_unfold((pieces, Bytes::new()), next).boxed())
    }

    async fn create(&self, path: &str, attributes: &Attributes) -> Result<Box<dyn UfsWriter>> {
        let inner = self.inner.create(path, attributes).await?;
        Ok(Box::new(PacedWriter { inner, rate: self.rate.clone() }))
    }

    async fn create_dir(&self, path: &str, attributes: &Attributes) -> Result<()> {
        self.inner.create_dir(path, attributes).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.inner.delete(path).await
    }

    async fn delete_dir(&self, path: &str) -> Result<()> {
        self.inner.delete_dir(path).await
    }

    async fn rename(&self, from: &str, to: &str, folder: bool) -> Result<()> {
        self.inner.rename(from, to, folder).await
    }

    async fn set_attributes(&self, path: &str, attributes: &Attributes) -> Result<()> {
        self.inner.set_attributes(path, attributes).await
    }

    async fn space(&self) -> Result<Option<Space>> {
        self.inner.space().await
    }
}

struct PacedWriter {
    inner: Box<dyn UfsWriter>,
    rate: Rate,
}

#[async_trait]
impl UfsWriter for PacedWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let now = bytes.split_to(step(&self.rate, bytes.len()));
            self.rate.take(now.len() as u64).await;
            self.inner.write(now).await?;
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<UfsStatus> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn bytes_pass_unchanged_and_not_too_fast() {
        let temp = tempfile::tempdir().unwrap();
        let address = format!("file://{}", temp.path().display());
        let rate = Rate::new(0);
        let ufs = paced(super::super::open(&address, &Default::default()).unwrap(), rate.clone());
        let data: Vec<u8> = (0..200_000).map(|i| (i % 251) as u8).collect();
        let mut writer = ufs.create("f", &Attributes::default()).await.unwrap();
        writer.write(data.clone().into()).await.unwrap();
        writer.close().await.unwrap();

        rate.set(400_000);
        let start = Instant::now();
        let read: Vec<_> =
            ufs.read("f", None, 0..200_000).await.unwrap().try_collect().await.unwrap();
        assert_eq!(read.concat(), data);
        assert!(start.elapsed() > Duration::from_millis(350), "{:?}", start.elapsed());
        assert!(read.iter().all(|piece| piece.len() <= 100_000), "in pieces");
    }
}
