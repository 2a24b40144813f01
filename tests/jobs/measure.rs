//! How much is cached, in sums: true whatever happens to blocks, files, workers and masters.

use super::put;
use crate::cluster::{Cluster, eventually};
use goosefs::client::{FileSystem, OpenOptions};
use goosefs::core::model::FsPath;
use goosefs::core::proto::grpc::file::GetStatusPRequest;
use goosefs::core::proto::grpc::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use goosefs::core::rpc::{Credentials, connect};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Bytes of the file that is read in part.
const BIG: usize = 32 << 20;

/// The bytes and the cached bytes of what is at `path`, by one sum and as the sum of its files, which
/// has to be the same.
fn du(cluster: &Cluster, path: &str) -> (u64, u64) {
    let sums = json(cluster, &["fs", "-o", "json", "du", "-s", path]);
    let each = json(cluster, &["fs", "-o", "json", "du", path]);
    let of = |all: &Value, name: &str| {
        all.as_array().unwrap().iter().map(|one| one[name].as_u64().unwrap()).sum::<u64>()
    };
    let sum = (of(&sums, "bytes"), of(&sums, "cachedBytes"));
    assert_eq!(sum, (of(&each, "bytes"), of(&each, "cachedBytes")), "{path}");
    sum
}

fn json(cluster: &Cluster, args: &[&str]) -> Value {
    serde_json::from_str(&cluster.ok(args)).unwrap()
}

/// Waits until so many bytes below `path` are cached.
fn cached(cluster: &Cluster, path: &str, bytes: u64) {
    eventually(&format!("{bytes} cached bytes at {path}"), || {
        let sums = json(cluster, &["fs", "-o", "json", "du", "-s", path]);
        (sums[0]["cachedBytes"] == bytes).then_some(())
    });
    assert_eq!(du(cluster, path).1, bytes);
}

/// Reads some bytes from the middle of a file, over the wire.
fn read_some(cluster: &Cluster, path: &str) {
    let mut config = cluster.config();
    config.client.short_circuit = false;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let files = FileSystem::connect(&config);
        let path = FsPath::parse(path).unwrap();
        let reader = files.open(&path, &OpenOptions::default()).await.unwrap();
        assert_eq!(reader.read_at(BIG as u64 / 2, 1_000).await.unwrap().len(), 1_000);
    });
}

/// What the master says of how much of a file is cached to a client that does not ask workers.
fn told(cluster: &Cluster, path: &str) -> i32 {
    told_often(cluster, path, 1)[0]
}

/// The same, asked so many times.
fn told_often(cluster: &Cluster, path: &str, times: usize) -> Vec<i32> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let credentials = Credentials::of(&cluster.config());
        let channel = connect(&cluster.master_address(), &credentials).await.unwrap();
        let mut client = FileSystemMasterClientServiceClient::new(channel);
        let mut told = Vec::new();
        for _ in 0..times {
            let request = GetStatusPRequest { path: Some(path.into()), ..Default::default() };
            let answer = client.get_status(request).await.unwrap().into_inner();
            told.push(answer.file_info.unwrap().in_goose_fs_percentage());
        }
        told
    })
}

#[test]
fn a_worker_that_hangs_delays_no_status_but_the_first() {
    let cluster = Cluster::start();
    put(&cluster, "data", 1, 1_000);
    cluster.ok(&["load", "/data"]);
    eventually("it is cached", || (told(&cluster, "/data/f0000") == 100).then_some(()));
    cluster.workers[0].signal("-STOP");
    eventually("the worker is not asked", || (told(&cluster, "/data/f0000") == 0).then_some(()));
    let begun = Instant::now();
    // Were it asked each time, they would take 40 s.
    assert_eq!(told_often(&cluster, "/data/f0000", 200), [0; 200]);
    assert!(begun.elapsed() < Duration::from_secs(20), "each has waited for it");
    cluster.workers[0].signal("-CONT");
    eventually("it is asked again", || (told(&cluster, "/data/f0000") == 100).then_some(()));
}

#[test]
fn sums_follow_fills_frees_renames_deletes_and_copies() {
    let cluster = Cluster::setup().workers(3).set("worker.page.size", "256KB").start();
    put(&cluster, "data/a", 20, 1_000);
    put(&cluster, "data/b/c", 10, 5_000);
    fs::write(cluster.root_ufs().join("data/big"), vec![7; BIG]).unwrap();
    let all = 20_000 + 50_000 + BIG as u64;
    assert_eq!(du(&cluster, "/data"), (all, 0), "what nobody had listed is brought in");

    read_some(&cluster, "/data/big");
    eventually("a client without word from workers is told the same", || {
        let (_, part) = du(&cluster, "/data");
        assert!(
            part >= 1_000 && part < BIG as u64 / 2,
            "a part of a file counts as what it is: {part}"
        );
        (told(&cluster, "/data/big") == (part * 100 / BIG as u64) as i32).then_some(())
    });
    cluster.ok(&["load", "/data/a"]);
    assert_eq!(du(&cluster, "/data/a"), (20_000, 20_000));
    cluster.ok(&["load", "--replicas", "2", "/data/b"]);
    assert_eq!(du(&cluster, "/data/b"), (50_000, 50_000), "copies count once");
    assert!(cluster.ok(&["fs", "ls", "/data/b/c"]).contains("100%"));
    let by_depth = json(&cluster, &["fs", "-o", "json", "du", "-d", "1", "/data"]);
    let told: Vec<_> = by_depth
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            (
                m["path"].as_str().unwrap(),
                m["files"].as_u64().unwrap(),
                m["bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("/data", 31, all), ("/data/a", 20, 20_000), ("/data/b", 10, 50_000)]);

    cluster.ok(&["fs", "mv", "/data/b/c", "/data/a/c"]);
    assert_eq!(du(&cluster, "/data/b"), (0, 0));
    let moved = du(&cluster, "/data/a");
    assert_eq!(moved.0, 70_000);
    cluster.ok(&["load", "/data/a"]);
    assert_eq!(du(&cluster, "/data/a"), (70_000, 70_000));
    cluster.ok(&["fs", "free", "/data/a/c"]);
    cached(&cluster, "/data/a", 20_000);
    cluster.ok(&["fs", "rm", "/data/a/f0000"]);
    assert_eq!(du(&cluster, "/data/a"), (69_000, 19_000));
    cluster.ok(&[
        "-Duser.file.writetype.default=MUST_CACHE",
        "fs",
        "cp",
        &format!("file://{}", cluster.root_ufs().join("data/big").display()),
        "/data/only",
    ]);
    assert_eq!(
        du(&cluster, "/data/only"),
        (BIG as u64, BIG as u64),
        "what is nowhere else is there"
    );
    assert!(cluster.fails(&["fs", "du", "-s", "/nope"]).contains("/nope"));
}

#[test]
fn sums_are_true_after_a_worker_is_lost_and_the_master_restarts() {
    let mut cluster = Cluster::setup().workers(3).set("master.worker.timeout", "3s").start();
    put(&cluster, "data/in", 60, 10_000);
    cluster.ok(&["load", "/data"]);
    assert_eq!(du(&cluster, "/data"), (600_000, 600_000));
    let other = cluster.dir().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("x"), vec![1; 2_000]).unwrap();
    cluster.ok(&["fs", "mount", "/data/other", &format!("file://{}", other.display())]);
    cluster.ok(&["fs", "ls", "/data/other"]);

    cluster.workers[0].kill();
    let left = eventually("the lost worker's blocks not to count", || {
        let output = cluster.run(&["fs", "-o", "json", "du", "-s", "/data/in"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let cached = told[0]["cachedBytes"].as_u64()?;
        (output.status.success() && cached < 600_000).then_some(cached)
    });
    assert!(left > 100_000, "two of three workers are there: {left}");
    cluster.workers.remove(0);
    cluster.master.kill();
    cluster.master.start();
    cluster.wait_for_workers();
    cached(&cluster, "/data/in", left);
    cluster.ok(&["load", "/data/in"]);
    assert_eq!(du(&cluster, "/data/in"), (600_000, 600_000));

    let mounts = eventually("the mounts to be measured", || {
        let told = json(&cluster, &["fsadmin", "-o", "json", "report", "ufs"]);
        told[0]["measuredMs"].is_i64().then_some(told)
    });
    let of = |path: &str| {
        let all = mounts.as_array().unwrap();
        let one = all.iter().find(|mount| mount["path"] == path || mount["goosefsPath"] == path);
        let one = one.unwrap_or_else(|| panic!("{path} is not in {mounts}"));
        (one["files"].as_u64().unwrap(), one["bytes"].as_u64(), one["cachedBytes"].as_u64())
    };
    assert_eq!(of("/data/other"), (1, Some(2_000), Some(0)));
    assert_eq!(of("/"), (60, Some(600_000), Some(600_000)), "without the mount below it");
    assert!(cluster.ok(&["fsadmin", "report", "ufs"]).contains("(100%)"));
}

#[test]
fn eviction_takes_from_the_sums_what_it_drops() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dir = cluster.dir().join("cache");
    let dirs = format!("SSD:{}:4MB", Path::display(&dir));
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    put(&cluster, "data", 10, MIB as usize);
    for i in 0..10 {
        cluster.ok(&["fs", "checksum", &format!("/data/f{i:04}")]);
    }
    let used = eventually("what is cached to be what the worker holds", || {
        let report = json(&cluster, &["fsadmin", "-o", "json", "report", "capacity"]);
        let used = report["usedCapacityBytes"].as_u64().unwrap();
        (used > 0 && used == du(&cluster, "/data").1).then_some(used)
    });
    assert!((2 * MIB..=4 * MIB).contains(&used), "{used}");
}
