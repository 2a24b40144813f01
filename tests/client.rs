//! The client library against a real cluster: what is written is read, whole or in parts, by every
//! write type; a file shows whole or not at all; the loss of a worker is survived where it can be.

use crate::cluster::Cluster;
use bytes::Bytes;
use goosefs::client::{
    CreateDirOptions, CreateOptions, DeleteOptions, FileSystem, ListOptions, OpenOptions, Reader,
    SetAttributes, Writer,
};
use goosefs::core::config::Config;
use goosefs::core::error::ErrorKind;
use goosefs::core::model::{FileId, FsPath, PersistenceState, Status, WriteType};
use goosefs::core::proto::v1::CloseObjectRequest;
use goosefs::core::proto::v1::file_system_client::FileSystemClient;
use std::time::{Duration, Instant};

/// Small blocks, so that a few megabytes are many blocks.
const BLOCK: u64 = 1 << 20;

/// Runs `test` with a client of `config`.
fn with_client<F: Future<Output = ()>>(config: &Config, test: impl FnOnce(FileSystem) -> F) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(test(FileSystem::connect(config)));
    runtime.shutdown_timeout(Duration::from_secs(5));
}

/// A cluster whose workers are on hosts of their own, as far as the ring can tell.
fn cluster(workers: usize) -> Cluster {
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("user.block.size.bytes.default", "1MB")
        .set("master.file.single.block.max", "0")
        .set("user.file.replication.durable", "1")
        .start();
    for number in 0..workers {
        let host = format!("127.0.0.{}", 2 + number);
        cluster.add_worker(&[("worker.hostname", &host), ("worker.bind.host", "0.0.0.0")]);
    }
    cluster.wait_for_workers();
    cluster
}

fn path(text: &str) -> FsPath {
    FsPath::parse(text).unwrap()
}

fn content(length: usize) -> Bytes {
    (0..length).map(|i| (i * 31 % 251) as u8 ^ (i >> 16) as u8).collect::<Vec<_>>().into()
}

async fn write(fs: &FileSystem, at: &FsPath, write_type: WriteType, content: &Bytes) -> Status {
    let options = CreateOptions { write_type: Some(write_type), ..Default::default() };
    let mut writer = fs.create(at, &options).await.unwrap();
    for piece in content.chunks(300_007) {
        writer.write(content.slice_ref(piece)).await.unwrap();
    }
    writer.close().await.unwrap()
}

async fn read_all(reader: &Reader) -> Vec<u8> {
    let mut stream = reader.stream_all();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

async fn check_ranges(reader: &Reader, content: &Bytes) {
    let length = content.len() as u64;
    for (offset, wanted) in [
        (0, 10),
        (0, length),
        (BLOCK - 1, 2),
        (BLOCK, BLOCK),
        (length.saturating_sub(3), 100),
        (length, 1),
        (length / 2, 4096),
    ] {
        let bytes = reader.read_at(offset, wanted).await.unwrap();
        let (start, end) = (offset.min(length) as usize, (offset + wanted).min(length) as usize);
        assert!(bytes == content[start..end], "bytes {offset}+{wanted} of {length}");
    }
}

#[test]
fn what_is_written_is_read_back_by_every_write_type() {
    let cluster = cluster(2);
    for short_circuit in ["true", "false"] {
        let config = cluster.config().and("user.short.circuit.enabled", short_circuit).unwrap();
        with_client(&config, async |fs| {
            for name in WriteType::NAMES {
                let write_type: WriteType = name.parse().unwrap();
                for length in [0, 1, 70_000, 3 * BLOCK as usize + 5] {
                    let at = path(&format!("/{name}-{length}-{short_circuit}"));
                    let content = content(length);
                    let status = write(&fs, &at, write_type, &content).await;
                    assert_eq!(status.length, length as u64);
                    assert!(status.completed, "{at}");
                    let persisted =
                        matches!(write_type, WriteType::Through | WriteType::CacheThrough);
                    assert_eq!(status.is_persisted(), persisted, "{at}");
                    if persisted {
                        let object = cluster.root_ufs().join(at.name());
                        assert!(std::fs::read(object).unwrap() == content, "{at} in the store");
                    }
                    let reader = fs.open(&at, &OpenOptions::default()).await.unwrap();
                    assert!(read_all(&reader).await == content, "{at}");
                    check_ranges(&reader, &content).await;
                    assert_eq!(reader.crc32c().await.unwrap(), crc32c::crc32c(&content));
                }
            }
        });
    }
}

#[test]
fn a_write_type_left_open_is_the_nearest_policy_else_the_default() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let policy = SetAttributes { write_type: Some(WriteType::MustCache), ..Default::default() };
        fs.create_dir(&path("/cached"), &CreateDirOptions::default()).await.unwrap();
        fs.set_attributes(&path("/cached"), &policy).await.unwrap();
        for (at, persisted) in [("/plain", true), ("/cached/file", false)] {
            let mut writer = fs.create(&path(at), &CreateOptions::default()).await.unwrap();
            writer.write("goose").await.unwrap();
            let status = writer.close().await.unwrap();
            assert_eq!(status.is_persisted(), persisted, "{at}");
            let object = cluster.root_ufs().join(at.trim_start_matches('/'));
            assert_eq!(object.exists(), persisted, "{at} in the store");
            let reader = fs.open_status(status, &OpenOptions::default()).unwrap();
            assert_eq!(&reader.read_at(0, 5).await.unwrap()[..], b"goose");
        }
    });
}

#[test]
fn a_file_written_asynchronously_is_persisted_later() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let content = content(BLOCK as usize + 9);
        write(&fs, &path("/later"), WriteType::AsyncThrough, &content).await;
        let start = Instant::now();
        while !fs.status(&path("/later")).await.unwrap().is_persisted() {
            assert!(start.elapsed() < crate::cluster::PATIENCE, "never persisted");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(std::fs::read(cluster.root_ufs().join("later")).unwrap() == content);
    });
}

#[test]
fn a_writer_that_is_dropped_or_cancelled_leaves_nothing() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        for (name, write_type) in
            [("cache", WriteType::MustCache), ("through", WriteType::CacheThrough)]
        {
            for how in ["dropped", "cancelled"] {
                let at = path(&format!("/{name}-{how}"));
                let options = CreateOptions { write_type: Some(write_type), ..Default::default() };
                let mut writer = fs.create(&at, &options).await.unwrap();
                let again = fs.create(&at, &options).await.err().unwrap();
                assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}");
                writer.write(content(2 * BLOCK as usize + 7)).await.unwrap();
                writer.flush().await.unwrap();
                let early = fs.open(&at, &OpenOptions::default()).await.err().unwrap();
                assert!(
                    matches!(early.kind(), ErrorKind::Incomplete | ErrorKind::NotFound),
                    "{early:?}"
                );
                if how == "dropped" {
                    drop(writer)
                } else {
                    writer.cancel().await
                }
                let start = Instant::now();
                while fs.status(&at).await.is_ok() {
                    assert!(start.elapsed() < crate::cluster::PATIENCE, "{at} stays");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert!(!cluster.root_ufs().join(at.name()).exists(), "{at} in the store");
                write(&fs, &at, write_type, &content(10)).await;
            }
        }
    });
}

#[test]
fn reads_and_writes_survive_the_loss_of_a_worker() {
    let mut cluster = cluster(3);
    let config = cluster.config().and("user.short.circuit.enabled", "false").unwrap();
    let content = content(8 * BLOCK as usize + 1);
    let before = content.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fs = FileSystem::connect(&config);
    let reader = runtime.block_on(async {
        write(&fs, &path("/before"), WriteType::Through, &before).await;
        let reader = fs.open(&path("/before"), &OpenOptions::default()).await.unwrap();
        assert!(read_all(&reader).await == before);
        reader
    });
    cluster.workers[1].kill();
    runtime.block_on(async {
        assert!(read_all(&reader).await == content, "read with a worker gone");
        let status = write(&fs, &path("/after"), WriteType::MustCache, &content).await;
        let reader = fs.open_status(status, &OpenOptions::default()).unwrap();
        assert!(read_all(&reader).await == content, "written with a worker gone");
    });
    for worker in &mut cluster.workers {
        worker.kill();
    }
    let error = runtime.block_on(reader.read_at(0, 10)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    assert!(text.contains("/before") && text.contains("127.0.0."), "{text}");
}

#[test]
fn a_worker_that_starts_again_is_used_again() {
    let mut cluster = cluster(1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = cluster.config().and("user.short.circuit.enabled", "false").unwrap();
    let fs = FileSystem::connect(&config);
    let content = content(BLOCK as usize + 1);
    runtime.block_on(write(&fs, &path("/kept"), WriteType::MustCache, &content));
    cluster.workers[0].kill();
    cluster.workers[0].start();
    runtime.block_on(async {
        let reader = fs.open(&path("/kept"), &OpenOptions::default()).await.unwrap();
        assert!(read_all(&reader).await == content);
        write(&fs, &path("/new"), WriteType::MustCache, &content).await;
    });
}

#[test]
fn a_file_that_is_replaced_underneath_is_changed_and_never_mixed() {
    let cluster = cluster(1);
    let object = cluster.root_ufs().join("moving");
    let (old, new) = (vec![1u8; 3 * BLOCK as usize], vec![2u8; 3 * BLOCK as usize]);
    std::fs::write(&object, &old).unwrap();
    with_client(&cluster.config(), async |fs| {
        let reader = fs.open(&path("/moving"), &OpenOptions::default()).await.unwrap();
        assert!(reader.read_at(0, 10).await.unwrap() == old[..10]);
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, &new).unwrap();
        match reader.read_at(2 * BLOCK, BLOCK).await {
            Ok(bytes) => assert!(bytes == old[..BLOCK as usize], "bytes of another version"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
        }
        let now = fs.refresh(&path("/moving")).await.unwrap();
        assert_ne!(now.id, reader.status().id, "a replaced file is another file");
        let reader = fs.open_status(now, &OpenOptions::default()).unwrap();
        assert!(read_all(&reader).await == new);
    });
}

#[test]
fn the_tree_is_changed_and_listed() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let deep = CreateDirOptions { recursive: true, ..Default::default() };
        fs.create_dir(&path("/a/b/c"), &deep).await.unwrap();
        write(&fs, &path("/a/b/file"), WriteType::MustCache, &content(5)).await;
        let walk = ListOptions { recursive: true, ..Default::default() };
        let mut names: Vec<String> = fs
            .list(&path("/a"), &walk)
            .await
            .unwrap()
            .iter()
            .map(|status| status.path.to_string())
            .collect();
        names.sort();
        assert_eq!(names, ["/a/b", "/a/b/c", "/a/b/file"]);
        let missing = fs.list(&path("/none"), &walk).await.err().unwrap();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        fs.rename(&path("/a/b"), &path("/a/z")).await.unwrap();
        let set = SetAttributes {
            mode: Some(0o4711),
            pinned: Some(true),
            ttl: Some(Some(Duration::from_secs(3600))),
            set_xattrs: [("user.k".to_string(), b"v".to_vec())].into(),
            ..Default::default()
        };
        fs.set_attributes(&path("/a/z/file"), &set).await.unwrap();
        let status = fs.status(&path("/a/z/file")).await.unwrap();
        assert_eq!((status.mode, status.pinned, status.ttl_ms), (0o4711, true, Some(3_600_000)));
        assert_eq!(status.xattrs["user.k"], b"v");
        assert_eq!(status.persistence, PersistenceState::NotPersisted);
        fs.symlink(&path("/link"), "/a/z/file").await.unwrap();
        assert_eq!(fs.status(&path("/link")).await.unwrap().symlink, "/a/z/file");
        let full = fs.delete(&path("/a"), &DeleteOptions::default()).await.err().unwrap();
        assert_eq!(full.kind(), ErrorKind::NotEmpty, "{full}");
        let all = DeleteOptions { recursive: true, ..Default::default() };
        fs.delete(&path("/a"), &all).await.unwrap();
        assert!(!fs.exists(&path("/a")).await.unwrap());
    });
}

#[test]
fn of_writers_at_the_same_time_one_has_the_tree_and_the_store() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let at = path("/f");
        let options = CreateOptions {
            write_type: Some(WriteType::CacheThrough),
            next: true,
            ..Default::default()
        };
        for round in 0..12 {
            let mut writers = Vec::new();
            for seed in [1, 2, 3] {
                let mut writer = fs.create(&at, &options).await.unwrap();
                writer.write(Bytes::from(vec![round * 3 + seed; 300_000])).await.unwrap();
                writers.push(writer.finish());
            }
            let ends = futures::future::join_all(writers).await;
            assert!(ends.iter().any(Result::is_ok), "{ends:?}");
            let lost = ends.iter().filter_map(|end| end.as_ref().err());
            for error in lost {
                assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
            }
            let status = fs.status(&at).await.unwrap();
            let reader = fs.open_status(status, &OpenOptions::default()).unwrap();
            let below = std::fs::read(cluster.root_ufs().join("f")).unwrap();
            assert!(read_all(&reader).await == below, "round {round}");
        }
    });
}

/// A next version of `at`, of one byte again and again, to be published in the place of `replaces`.
async fn next(
    fs: &FileSystem,
    at: &FsPath,
    (byte, replaces): (u8, Option<Option<FileId>>),
) -> Writer {
    let write_type = Some(WriteType::CacheThrough);
    let options = CreateOptions { write_type, next: true, replaces, ..Default::default() };
    let mut writer = fs.create(at, &options).await.unwrap();
    writer.write(Bytes::from(vec![byte; 300_000])).await.unwrap();
    writer
}

#[test]
fn what_others_made_meanwhile_is_not_overwritten_underneath_either() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let at = path("/f");
        next(&fs, &at, (1, None)).await.finish().await.unwrap();
        let first = fs.status(&at).await.unwrap().id;
        let late = next(&fs, &at, (2, Some(Some(first)))).await;
        next(&fs, &at, (3, None)).await.finish().await.unwrap();
        let error = late.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        let below = std::fs::read(cluster.root_ufs().join("f")).unwrap();
        assert!(below == vec![3; 300_000]);
        let status = fs.status(&at).await.unwrap();
        let reader = fs.open_status(status, &OpenOptions::default()).unwrap();
        assert!(read_all(&reader).await == below);
        // It holds nothing up.
        next(&fs, &at, (4, None)).await.finish().await.unwrap();
    });
}

#[test]
fn a_file_is_renamed_as_its_next_version_once_that_goes_to_the_store() {
    let cluster = Cluster::setup().set("security.authentication.type", "NOSASL").start();
    with_client(&cluster.config(), async |fs| {
        let (at, to) = (path("/f"), path("/g"));
        next(&fs, &at, (1, None)).await.finish().await.unwrap();
        let writer = next(&fs, &at, (2, None)).await;
        let closing = CloseObjectRequest {
            path: "/f".into(),
            file_id: writer.status().unwrap().id.0,
            ..Default::default()
        };
        let master = format!("http://127.0.0.1:{}", cluster.master.port);
        let mut master = FileSystemClient::connect(master).await.unwrap();
        master.close_object(closing).await.unwrap();
        let renamed = tokio::spawn({
            let (fs, at, to) = (fs.clone(), at.clone(), to.clone());
            async move { fs.rename(&at, &to).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!renamed.is_finished());
        writer.finish().await.unwrap();
        renamed.await.unwrap().unwrap();
        let reader = fs.open(&to, &OpenOptions::default()).await.unwrap();
        assert!(read_all(&reader).await == vec![2; 300_000]);
        assert!(std::fs::read(cluster.root_ufs().join("g")).unwrap() == vec![2; 300_000]);
        assert!(!fs.exists(&at).await.unwrap());
    });
}

#[test]
fn a_next_version_is_given_up_whatever_is_at_its_path_by_then() {
    let cluster = cluster(1);
    with_client(&cluster.config(), async |fs| {
        let at = path("/f");
        let mut writer = next(&fs, &at, (1, None)).await;
        writer.seal().await.unwrap();
        let blocks = || cluster.workers[0].counter("goosefs_worker_blocks");
        crate::cluster::eventually("its block is there", || (blocks() == 1).then_some(()));
        fs.create_dir(&at, &CreateDirOptions::default()).await.unwrap();
        writer.cancel().await;
        crate::cluster::eventually("its block has gone", || (blocks() == 0).then_some(()));
    });
}

#[test]
fn a_master_that_is_down_is_named() {
    let port = crate::cluster::free_port();
    let config = Config::with(&[
        ("master.rpc.port", &port.to_string()),
        ("master.hostname", "127.0.0.1"),
        ("user.rpc.retry.max.duration", "300ms"),
    ])
    .unwrap();
    with_client(&config, async |fs| {
        let error = fs.status(&path("/x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(fs.masters().await.is_err());
    });
}
