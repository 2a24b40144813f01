//! Disks that are really full: what was acknowledged stays, what cannot be done is refused in words,
//! and with space everything works again, with no restart. The disks are small tmpfs mounts, so
//! these tests need root.

use crate::cluster::{Cluster, Disk, eventually, texts};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is written goes to workers alone.
const KEPT: &str = "-Duser.file.writetype.default=MUST_CACHE";
/// How long a refusal may take.
const SOON: Duration = Duration::from_secs(15);

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 3 + i / 4096 + seed) as u8).collect()
}

fn cat(cluster: &Cluster, path: &str) -> Vec<u8> {
    let output = cluster.run(&["fs", "cat", path]);
    assert!(output.status.success(), "cat {path}: {}", texts(&output).1);
    output.stdout
}

/// A worker whose only directory is on `disk`.
fn with_worker_on(disk: &Path, quota: &str) -> Cluster {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:{quota}", disk.display());
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    cluster
}

#[test]
fn a_worker_on_a_full_disk_reads_through_and_refuses_in_words() {
    let Some(disk) = Disk::new("48m") else { return };
    let cluster = with_worker_on(&disk.path("blocks"), "40MB");
    let old = bytes(3 << 20, 1);
    std::fs::write(cluster.dir().join("old"), &old).unwrap();
    cluster.ok(&[KEPT, "fs", "copyFromLocal", "old", "/only-copy"]);
    disk.fill();

    let cold = bytes(9_000_000, 2);
    std::fs::write(cluster.root_ufs().join("cold"), &cold).unwrap();
    for _ in 0..3 {
        assert!(cat(&cluster, "/cold") == cold, "read through");
    }
    assert!(cat(&cluster, "/only-copy") == old, "what is nowhere else is still there");
    let start = Instant::now();
    let error = cluster.fails(&[KEPT, "fs", "copyFromLocal", "old", "/refused"]);
    assert!(error.contains("full") && error.contains("goosefs.worker.dirs"), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    cluster.ok(&["fs", "copyFromLocal", "old", "/through"]);
    assert!(std::fs::read(cluster.root_ufs().join("through")).unwrap() == old);
    // Into the cache if there is room, else through it.
    cluster.ok(&[
        "-Duser.file.writetype.default=TRY_CACHE",
        "fs",
        "copyFromLocal",
        "old",
        "/tried",
    ]);
    assert!(std::fs::read(cluster.root_ufs().join("tried")).unwrap() == old);
    assert!(cat(&cluster, "/tried") == old);

    disk.clear();
    cluster.ok(&[KEPT, "fs", "copyFromLocal", "old", "/accepted"]);
    assert!(cat(&cluster, "/accepted") == old);
    eventually("the file that was read through is cached", || {
        assert!(cat(&cluster, "/cold") == cold);
        cluster.ok(&["fs", "du", "-s", "/cold"]).contains("(100%)").then_some(())
    });
}

#[test]
fn cached_blocks_make_room_on_a_disk_that_others_fill() {
    let Some(disk) = Disk::new("48m") else { return };
    let cluster = with_worker_on(&disk.path("blocks"), "40MB");
    for name in 0..4 {
        std::fs::write(cluster.root_ufs().join(name.to_string()), bytes(5 << 20, name)).unwrap();
    }
    cluster.ok(&["load", "/0", "/1", "/2"]);
    disk.fill();
    cluster.ok(&["load", "/3"]);
    assert!(cluster.ok(&["fs", "du", "-s", "/3"]).contains("(100%)"), "it is in the cache");
    std::fs::write(cluster.dir().join("new"), bytes(4 << 20, 9)).unwrap();
    cluster.ok(&[KEPT, "fs", "copyFromLocal", "new", "/new"]);
    assert!(cat(&cluster, "/new") == bytes(4 << 20, 9));
    for name in 0..4 {
        assert!(cat(&cluster, &format!("/{name}")) == bytes(5 << 20, name), "/{name}");
    }
}

#[test]
fn a_master_on_a_full_disk_refuses_changes_serves_reads_and_recovers_by_itself() {
    let Some(disk) = Disk::new("320m") else { return };
    let journal = disk.path("journal").display().to_string();
    let mut cluster = Cluster::setup().set("master.journal.folder", &journal).start();
    let data = bytes(100_000, 3);
    std::fs::write(cluster.root_ufs().join("file"), &data).unwrap();
    assert!(cat(&cluster, "/file") == data && cluster.ok(&["fs", "ls", "/"]).contains("/file"));

    let acknowledged = changes_while(&cluster, || disk.fill());
    assert!(!acknowledged.is_empty());
    let start = Instant::now();
    let error = cluster.fails(&["fs", "mkdir", "/refused"]);
    assert!(error.contains(&journal) && error.contains("free some space"), "{error}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let listed = cluster.ok(&["fs", "ls", "/"]);
    assert!(acknowledged.iter().all(|path| listed.contains(path)), "{listed}");
    assert!(cat(&cluster, "/file") == data, "reads go on");
    std::fs::write(cluster.root_ufs().join("news"), b"").unwrap();
    let known = cluster.ok(&["-Duser.file.metadata.sync.interval=0s", "fs", "ls", "/"]);
    assert!(known.contains("/file") && !known.contains("/news"), "as it was known: {known}");

    disk.clear();
    eventually("the master takes changes again", || {
        cluster.run(&["fs", "mkdir", "/accepted"]).status.success().then_some(())
    });
    cluster.master.kill();
    cluster.master.start();
    cluster.wait_for_workers();
    let listed = cluster.ok(&["fs", "ls", "/"]);
    for path in acknowledged.iter().map(String::as_str).chain(["/accepted"]) {
        assert!(listed.contains(path), "{path} is lost: {listed}");
    }
    assert!(!listed.contains("/refused"), "{listed}");
}

/// Makes directories, several at a time, until each caller is refused; `meanwhile` happens while
/// they do. The paths that were acknowledged.
fn changes_while(cluster: &Cluster, meanwhile: impl FnOnce()) -> Vec<String> {
    use goosefs::client::FileSystem;
    let files = FileSystem::connect(&cluster.config());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let calls = (0..8).map(|caller| {
        let files = files.clone();
        runtime.spawn(async move {
            let mut made = Vec::new();
            for turn in 0..100_000 {
                let path = format!("/made-{caller}-{turn}-end");
                let parsed = goosefs::core::model::FsPath::parse(&path).unwrap();
                match files.create_dir(&parsed, &Default::default()).await {
                    Ok(_) => made.push(path),
                    Err(_) => break,
                }
            }
            made
        })
    });
    let calls: Vec<_> = calls.collect();
    std::thread::sleep(Duration::from_millis(500));
    meanwhile();
    calls.into_iter().flat_map(|call| runtime.block_on(call).unwrap()).collect()
}
