//! The official Rust crate: names, write types, reads, and life after a restart.

use crate::cluster::{Cluster, PATIENCE, eventually};
use goosefs_sdk::config::{GoosefsConfig, WriteType};
use goosefs_sdk::context::FileSystemContext;
use goosefs_sdk::error::Error;
use goosefs_sdk::fs::{
    BaseFileSystem, CreateFileOptions, DeleteOptions, FileSystem, OpenFileOptions, URIStatus,
};
use goosefs_sdk::io::{GoosefsFileReader, GoosefsFileWriter};
use std::sync::Arc;
use std::time::Instant;

const WRITE_TYPES: [WriteType; 5] = [
    WriteType::MustCache,
    WriteType::TryCache,
    WriteType::CacheThrough,
    WriteType::Through,
    WriteType::AsyncThrough,
];

pub(crate) fn config(cluster: &Cluster) -> GoosefsConfig {
    GoosefsConfig::new(cluster.master_address())
        .with_auth_username("tester")
        .with_file_replication_durable(1)
        .with_file_replication_durable_min(1)
}

pub(crate) async fn connect(cluster: &Cluster) -> Arc<BaseFileSystem> {
    let context = FileSystemContext::connect(config(cluster)).await.unwrap();
    BaseFileSystem::from_context(context)
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u64 * 31 + (i >> 12) as u64 + u64::from(seed)) as u8).collect()
}

async fn read(fs: &BaseFileSystem, path: &str) -> Result<Vec<u8>, Error> {
    GoosefsFileReader::read_file_with_context(fs.context().clone(), path).await.map(|b| b.to_vec())
}

/// Waits until the status of `path` is as wished.
async fn until(fs: &BaseFileSystem, path: &str, wish: impl Fn(&URIStatus) -> bool) -> URIStatus {
    let start = Instant::now();
    loop {
        let status = fs.get_status(path).await.unwrap();
        if wish(&status) {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "{path} stays {}", status.persistence_state);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_type_is_read_back_whole_and_in_ranges() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    // Three blocks of 1 MiB, the last one short.
    let data = pattern((2 << 20) + 12_345, 7);
    for write_type in WRITE_TYPES {
        let path = format!("/types/{write_type:?}");
        let mut options = CreateFileOptions::with_write_type(write_type);
        options.recursive = true;
        options.block_size_bytes = Some(1 << 20);
        fs.write_file(&path, &data, options).await.unwrap();
        let status = fs.get_status(&path).await.unwrap();
        assert_eq!((status.length, status.completed), (data.len() as i64, true), "{path}");
        assert_eq!(read(&fs, &path).await.unwrap(), data, "{path}");
        for (offset, length) in [(0, 1), (1_048_570, 20), (2_097_152, 12_345), (5, 2_000_000)] {
            let part = GoosefsFileReader::read_range_with_context(
                fs.context().clone(),
                &path,
                offset as u64,
                length as u64,
            );
            let expected = &data[offset..offset + length];
            assert_eq!(part.await.unwrap(), expected, "{path} {offset}+{length}");
        }
        let mut stream = fs.open_file(&path, OpenFileOptions::new()).await.unwrap();
        assert_eq!(stream.read_at(1_000_000, 100_000).await.unwrap(), data[1_000_000..1_100_000]);
        stream.seek(2_000_000).await.unwrap();
        assert_eq!(stream.read_all().await.unwrap(), data[2_000_000..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn through_types_leave_a_plain_file_in_the_under_store() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    let data = pattern(300_000, 1);
    for write_type in [WriteType::CacheThrough, WriteType::Through, WriteType::AsyncThrough] {
        let path = format!("/{write_type:?}");
        fs.write_file(&path, &data, CreateFileOptions::with_write_type(write_type)).await.unwrap();
        until(&fs, &path, |status| status.persisted).await;
        let plain = std::fs::read(cluster.root_ufs().join(&path[1..])).unwrap();
        assert!(plain == data, "{path} differs in the under store");
    }
    let kept = CreateFileOptions::with_write_type(WriteType::MustCache);
    fs.write_file("/cached", &data, kept).await.unwrap();
    assert!(!cluster.root_ufs().join("cached").exists());
    assert_eq!(fs.get_status("/cached").await.unwrap().in_goose_fs_percentage, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_files_exist_and_are_empty() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    for write_type in WRITE_TYPES {
        let path = format!("/empty-{write_type:?}");
        fs.write_file(&path, b"", CreateFileOptions::with_write_type(write_type)).await.unwrap();
        assert_eq!(fs.get_status(&path).await.unwrap().length, 0);
        assert_eq!(read(&fs, &path).await.unwrap(), b"");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_made_listed_renamed_and_deleted() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    fs.mkdir("/a/b/c", true).await.unwrap();
    fs.mkdir("/a", false).await.expect("a directory that exists is fine");
    assert!(matches!(fs.mkdir("/x/y", false).await, Err(Error::NotFound { .. })));
    for name in ["one", "two", "three"] {
        fs.write_file(&format!("/a/{name}"), b"x", CreateFileOptions::default()).await.unwrap();
    }
    let mut names: Vec<String> =
        fs.list_status("/a", false).await.unwrap().into_iter().map(|s| s.name).collect();
    names.sort();
    assert_eq!(names, ["b", "one", "three", "two"]);

    let id = fs.get_status("/a/one").await.unwrap().file_id;
    fs.rename("/a/one", "/a/b/uno").await.unwrap();
    assert_eq!(fs.get_status("/a/b/uno").await.unwrap().file_id, id);
    assert!(!fs.exists("/a/one").await.unwrap());
    assert!(matches!(fs.rename("/a/two", "/a/three").await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(fs.rename("/a/none", "/a/n").await, Err(Error::NotFound { .. })));
    assert!(matches!(fs.rename("/a/two", "/no/two").await, Err(Error::NotFound { .. })));
    fs.rename("/a/b", "/a/d").await.unwrap();
    assert_eq!(read(&fs, "/a/d/uno").await.unwrap(), b"x");

    let plain = || DeleteOptions::default();
    let error = fs.delete("/a", plain()).await.unwrap_err();
    assert!(error.is_directory_not_empty(), "{error}");
    fs.delete("/a/two", plain()).await.unwrap();
    assert!(matches!(fs.delete("/a/two", plain()).await, Err(Error::NotFound { .. })));
    fs.delete("/a", DeleteOptions::recursive()).await.unwrap();
    assert!(!fs.exists("/a/d/uno").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_renames_to_one_name_exactly_one_wins() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    for i in 0..16 {
        fs.write_file(&format!("/s{i}"), b"x", CreateFileOptions::default()).await.unwrap();
    }
    let renames = (0..16).map(|i| {
        let fs = fs.clone();
        tokio::spawn(async move { fs.rename(&format!("/s{i}"), "/winner").await })
    });
    let results = futures::future::join_all(renames).await;
    let won = results.iter().filter(|result| result.as_ref().unwrap().is_ok()).count();
    assert_eq!(won, 1);
    assert_eq!(fs.list_status("/", false).await.unwrap().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_write_leaves_nothing_to_read() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    let mut writer =
        GoosefsFileWriter::create_with_context(fs.context().clone(), "/half", None).await.unwrap();
    writer.write(&pattern(3 << 20, 2)).await.unwrap();
    writer.cancel().await.unwrap();
    assert!(!fs.exists("/half").await.unwrap());
    assert!(fs.open_file("/half", OpenFileOptions::new()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_under_store_is_seen_and_read_cold() {
    let cluster = Cluster::start();
    let fs = connect(&cluster).await;
    let data = pattern(5 << 20, 3);
    std::fs::create_dir_all(cluster.root_ufs().join("in/deep")).unwrap();
    std::fs::write(cluster.root_ufs().join("in/deep/file"), &data).unwrap();
    let status = fs.get_status("/in/deep/file").await.unwrap();
    assert_eq!((status.length, status.persisted), (data.len() as i64, true));
    assert_eq!(read(&fs, "/in/deep/file").await.unwrap(), data);
    let error = fs.get_status("/in/none").await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_survives_a_restart_of_master_and_worker() {
    let mut cluster = Cluster::start();
    let fs = connect(&cluster).await;
    let data = pattern(3 << 20, 4);
    for write_type in [WriteType::MustCache, WriteType::CacheThrough] {
        let options = CreateFileOptions::with_write_type(write_type);
        fs.write_file(&format!("/{write_type:?}"), &data, options).await.unwrap();
    }
    cluster.master.kill();
    cluster.workers[0].kill();
    cluster.master.start();
    cluster.workers[0].start();
    for path in ["/MustCache", "/CacheThrough"] {
        assert_eq!(fs.get_status(path).await.unwrap().length, data.len() as i64);
        assert_eq!(read(&fs, path).await.unwrap(), data, "{path}");
    }
    fs.write_file("/after", &data, CreateFileOptions::default()).await.unwrap();
    assert_eq!(read(&fs, "/after").await.unwrap(), data);
}

/// How much of the file is cached, as its own status and the listing it is in have it.
async fn percentages(fs: &BaseFileSystem, dir: &str, name: &str) -> [i32; 2] {
    let status = fs.get_status(&format!("{dir}/{name}")).await.unwrap();
    let listed = fs.list_status(dir, false).await.unwrap();
    let listed = listed.iter().find(|status| status.name == name).unwrap();
    [status.in_goose_fs_percentage, listed.in_goose_fs_percentage]
}

#[test]
fn it_is_told_how_much_of_a_file_is_cached() {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fs = runtime.block_on(connect(&cluster));
    let told = || runtime.block_on(percentages(&fs, "/in", "file"));
    let become_ = |percent: i32| {
        eventually(&format!("{percent} %"), || (told() == [percent; 2]).then_some(()));
    };
    let data = pattern(5 << 20, 3);
    std::fs::create_dir_all(cluster.root_ufs().join("in")).unwrap();
    std::fs::write(cluster.root_ufs().join("in/file"), &data).unwrap();
    assert_eq!(told(), [0, 0]);
    cluster.ok(&["load", "/in"]);
    become_(100);
    assert_eq!(
        runtime.block_on(read(&fs, "/in/file")).unwrap(),
        data,
        "from who is said to have it"
    );
    cluster.ok(&["fs", "free", "/in"]);
    become_(0);
}
