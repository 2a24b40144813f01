use super::*;
use crate::core::error::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::time::Instant;

fn limits(attempts: u32) -> Limits {
    Limits { attempts, deadline: Duration::from_secs(5), concurrent: 4, parts: 4 }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "gone for lunch")
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_while_that_may_help() {
    let calls = AtomicU32::new(0);
    let call = |kind| {
        calls.fetch_add(1, Ordering::Relaxed);
        async move { Err::<(), _>(Error::new(kind, "no")) }
    };
    let failed = limits(3).retry("x", || call(ErrorKind::Unavailable)).await;
    assert_eq!(
        (failed.unwrap_err().kind(), calls.swap(0, Ordering::Relaxed)),
        (ErrorKind::Unavailable, 3)
    );
    let failed = limits(3).retry("x", || call(ErrorKind::NotFound)).await;
    assert_eq!(
        (failed.unwrap_err().kind(), calls.load(Ordering::Relaxed)),
        (ErrorKind::NotFound, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_by_its_deadline() {
    let start = Instant::now();
    let result: Result<()> = limits(100).retry("x", || async { Err(unavailable()) }).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    let hangs: Result<()> = limits(1).retry("x", std::future::pending).await;
    assert_eq!(hangs.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

/// A store of one object, whose connections break after three bytes.
struct Breaking {
    opened: AtomicU32,
}

#[async_trait]
impl UnderFileSystem for Breaking {
    fn address(&self) -> &str {
        "test://"
    }

    fn capabilities(&self) -> Capabilities {
        unimplemented!("not asked for")
    }

    async fn status(&self, _: &str) -> Result<UfsStatus> {
        Err(unavailable())
    }

    async fn list(&self, _: &str) -> Result<BoxStream<'static, Result<UfsStatus>>> {
        Ok(stream::pending().boxed())
    }

    async fn read(
        &self,
        _: &str,
        _: Option<&str>,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let all = &b"abcdefgh"[range.start as usize..];
        let mut items = vec![Ok(Bytes::from_static(&all[..all.len().min(3)]))];
        if all.len() > 3 {
            items.push(Err(unavailable()));
        }
        Ok(stream::iter(items).boxed())
    }

    async fn create(&self, _: &str, _: &Attributes) -> Result<Box<dyn UfsWriter>> {
        Err(unavailable())
    }

    async fn create_dir(&self, _: &str, _: &Attributes) -> Result<()> {
        Err(unavailable())
    }

    async fn delete(&self, _: &str) -> Result<()> {
        Err(unavailable())
    }

    async fn delete_dir(&self, _: &str) -> Result<()> {
        Err(unavailable())
    }

    async fn rename(&self, _: &str, _: &str, _: bool) -> Result<()> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Err(unavailable())
    }

    async fn set_attributes(&self, _: &str, _: &Attributes) -> Result<()> {
        Err(unavailable())
    }

    async fn space(&self) -> Result<Option<Space>> {
        Ok(None)
    }
}

async fn read_all(ufs: &Ufs, version: Option<&str>) -> Result<Vec<u8>> {
    use futures::TryStreamExt;
    let pieces: Vec<_> = ufs.read("x", version, 0..8).await?.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test(start_paused = true)]
async fn a_broken_read_goes_on_only_with_a_version() {
    let breaking = Arc::new(Breaking { opened: AtomicU32::new(0) });
    let ufs = limited(breaking.clone(), limits(3));
    assert_eq!(read_all(&ufs, Some("v1")).await.unwrap(), b"abcdefgh");
    assert_eq!(breaking.opened.swap(0, Ordering::Relaxed), 3);
    assert_eq!(read_all(&ufs, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(breaking.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rename_is_not_repeated_and_a_silent_listing_ends() {
    let breaking = Arc::new(Breaking { opened: AtomicU32::new(0) });
    let ufs = limited(breaking.clone(), limits(3));
    ufs.rename("a", "b", false).await.unwrap_err();
    assert_eq!(breaking.opened.load(Ordering::Relaxed), 1);
    let first = ufs.list("").await.unwrap().next().await.unwrap();
    assert_eq!(first.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn open_reads_count_until_they_end() {
    let breaking = Arc::new(Breaking { opened: AtomicU32::new(0) });
    let ufs = limited(breaking, limits(1));
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(ufs.read("x", None, 0..8).await.unwrap());
    }
    let refused = ufs.read("x", None, 0..8).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::DeadlineExceeded);
    drop(open);
    assert!(ufs.read("x", None, 0..8).await.is_ok());
}
