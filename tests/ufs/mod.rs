//! Every connector keeps the same promises, each against a real server.

mod promises;
pub mod s3;
pub mod servers;
mod tls;
mod web;

use futures::TryStreamExt;
use goosefs::core::error::Result;
use goosefs::ufs::{self, Attributes, Properties, Ufs, UfsStatus};
use std::ops::Range;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

async fn put(ufs: &Ufs, path: &str, content: impl AsRef<[u8]>) -> UfsStatus {
    let mut writer = ufs.create(path, &Attributes::default()).await.unwrap();
    for piece in content.as_ref().chunks(1 << 20) {
        writer.write(piece.to_vec().into()).await.unwrap();
    }
    writer.close().await.unwrap()
}

async fn get(ufs: &Ufs, path: &str, version: Option<&str>, range: Range<u64>) -> Result<Vec<u8>> {
    let pieces: Vec<_> = ufs.read(path, version, range).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn all(ufs: &Ufs, path: &str) -> Result<Vec<u8>> {
    get(ufs, path, None, 0..u64::MAX).await
}

async fn list(ufs: &Ufs, path: &str) -> Result<Vec<UfsStatus>> {
    let mut entries: Vec<_> = ufs.list(path).await?.try_collect().await?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

async fn names(ufs: &Ufs, path: &str) -> Result<Vec<String>> {
    Ok(list(ufs, path).await?.into_iter().map(|entry| entry.name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_directory_keeps_the_promises() {
    let dir = tempfile::tempdir().unwrap();
    let ufs = ufs::open(dir.path().to_str().unwrap(), &Properties::new()).unwrap();
    promises::all(&ufs).await;
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something stayed behind");
    let space = ufs.space().await.unwrap().unwrap();
    assert!(space.used < space.capacity);
}

#[test]
fn an_address_nobody_serves_is_refused() {
    for address in ["gopher://host/x", "relative/dir", "s3://", "cosn:///x", "file://host/dir"] {
        let error = ufs::open(address, &Properties::new()).err().expect(address);
        assert!(error.kind() == goosefs::core::error::ErrorKind::InvalidArgument, "{error}");
    }
}
