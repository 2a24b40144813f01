//! Atomic loads: readers see the one version of a directory or the other.

use super::{submit, wait_for};
use crate::cluster::Masters;
use crate::cluster::{Cluster, eventually};
use goosefs::client::{FileSystem, ListOptions, OpenOptions};
use goosefs::core::config::Config;
use goosefs::core::model::FsPath;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FILES: usize = 30;
/// Lengths say which version a file is of.
const OLD: usize = 10_000;
const NEW: usize = 20_000;

/// Names and lengths in a directory.
type Version = BTreeMap<String, u64>;

/// The first version, in the under store and in the cache.
fn first(cluster: &Cluster) {
    put_first(&cluster.root_ufs());
    cluster.ok(&["load", "/data"]);
}

fn put_first(store: &Path) {
    let dir = store.join("data");
    fs::create_dir_all(dir.join("sub")).unwrap();
    for i in 0..FILES {
        fs::write(dir.join(format!("f{i:04}")), vec![1; OLD]).unwrap();
    }
    fs::write(dir.join("sub/same"), vec![3; 500]).unwrap();
}

/// The second one, in the under store alone: every file is another, one is gone, a directory is new.
fn second(cluster: &Cluster) {
    put_second(&cluster.root_ufs());
}

fn put_second(store: &Path) {
    let dir = store.join("data");
    for i in 1..FILES {
        fs::write(dir.join(format!("f{i:04}")), vec![2; NEW]).unwrap();
    }
    fs::remove_file(dir.join("f0000")).unwrap();
    fs::create_dir_all(dir.join("new/deep")).unwrap();
    fs::write(dir.join("new/deep/x"), vec![2; NEW]).unwrap();
    fs::write(dir.join("new/empty"), "").unwrap();
}

fn names(files: impl Iterator<Item = usize>, length: usize, folders: &[&str]) -> Version {
    let files = files.map(|i| (format!("f{i:04}"), length as u64));
    files.chain(folders.iter().map(|name| (name.to_string(), 0))).collect()
}

fn old() -> Version {
    names(0..FILES, OLD, &["sub"])
}

fn new() -> Version {
    names(1..FILES, NEW, &["new", "sub"])
}

/// What a listing shows; `fresh` asks the under store.
fn listed(cluster: &Cluster, fresh: bool) -> Version {
    let args = ["fs", "-o", "json", "ls", if fresh { "-f" } else { "-R" }, "/data"];
    let all: Value = serde_json::from_str(&cluster.ok(&args)).unwrap();
    let of = |one: &Value| {
        let name = one["path"].as_str()?.strip_prefix("/data/")?.to_string();
        let length = if one["folder"] == true { 0 } else { one["length"].as_u64()? };
        (!name.contains('/')).then_some((name, length))
    };
    all.as_array().unwrap().iter().filter_map(of).collect()
}

/// Bytes in the stores of all workers.
fn held(cluster: &Cluster) -> u64 {
    let report = cluster.ok(&["fsadmin", "-o", "json", "report", "capacity"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    report["usedCapacityBytes"].as_u64().unwrap()
}

/// Waits until the workers hold what the tree says, and nothing that nobody can read.
fn nothing_is_left_over(cluster: &Cluster) {
    eventually("what is held to be what is there", || {
        let du = cluster.ok(&["fs", "-o", "json", "du", "-s", "/"]);
        let du: Value = serde_json::from_str(&du).unwrap();
        (du[0]["cachedBytes"] == held(cluster)).then_some(())
    });
}

/// Lists and reads all the time until it is told to stop; how often each version was seen.
fn watch(config: Config, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<(usize, usize)> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let files = FileSystem::connect(&config);
            let data = FsPath::parse("/data").unwrap();
            let (mut olds, mut news) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let fresh = olds % 2 == 0;
                let options = if fresh { ListOptions::synced() } else { ListOptions::default() };
                // A master that restarts answers late, or not.
                let Ok(all) = files.list(&data, &options).await else { continue };
                let version: Version = all
                    .iter()
                    .map(|s| (s.name().to_string(), if s.folder { 0 } else { s.length }))
                    .collect();
                assert!(version == old() || version == new(), "a mixture: {version:?}");
                assert!(news == 0 || version == new(), "it never goes back");
                if version == new() {
                    news += 1
                } else {
                    olds += 1
                }
                let one = all.into_iter().find(|status| status.name() == "f0029").unwrap();
                let length = one.length;
                let reader = files.open_status(one, &OpenOptions::default()).unwrap();
                let Ok(bytes) = reader.read_at(0, length).await else { continue };
                let byte = if length == OLD as u64 { 1 } else { 2 };
                assert!(bytes.len() as u64 == length && bytes.iter().all(|b| *b == byte));
            }
            (olds, news)
        })
    })
}

#[test]
fn readers_see_the_new_version_only_when_it_is_whole() {
    let cluster = Cluster::setup().workers(2).start();
    first(&cluster);
    second(&cluster);
    assert_eq!(listed(&cluster, false), old());
    let id = submit(&cluster, &["load", "--atomic", "/data", "--bandwidth", "100KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(cluster.config(), stop.clone());
    assert_eq!(listed(&cluster, true), old(), "who asks for what is there now is shown it later");
    let error = cluster.fails(&["fs", "ls", "/data/new"]);
    assert!(error.contains("does not exist"), "{error}");
    let again = cluster.fails(&["load", "--atomic", "/data/sub"]);
    assert!(again.contains(&format!("job {id} loads /data at once")), "{again}");
    let done = wait_for(&cluster, &id, |job| job["endedMs"].as_i64() > Some(0));
    assert_eq!(done["state"], "DONE", "{done}");
    assert_eq!((&done["filesDone"], &done["filesFailed"]), (&32.into(), &0.into()), "{done}");

    let sums = cluster.ok(&["fs", "du", "-s", "/data"]);
    assert!(sums.contains("(100%)"), "{sums}");
    assert_eq!(listed(&cluster, false), new());
    assert_eq!(cluster.run(&["fs", "cat", "/data/new/deep/x"]).stdout, vec![2; NEW]);
    assert_eq!(cluster.run(&["fs", "cat", "/data/sub/same"]).stdout, vec![3; 500]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let (olds, news) = watching.join().unwrap();
    assert!(olds > 3 && news > 0, "{olds} times the old one, {news} times the new one");
    nothing_is_left_over(&cluster);
    let again = cluster.ok(&["load", "--atomic", "/data"]);
    assert!(again.contains("32 of them there already"), "{again}");
    // From here on the under store is followed again.
    fs::write(cluster.root_ufs().join("data/f0001"), vec![9; 5]).unwrap();
    assert_eq!(listed(&cluster, true)["f0001"], 5);
}

#[test]
fn a_load_that_is_cancelled_or_fails_leaves_the_old_version_and_nothing_else() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:2MB", cluster.dir().join("cache").display());
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    first(&cluster);
    second(&cluster);
    let id = submit(&cluster, &["load", "--atomic", "/data", "--bandwidth", "100KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    cluster.ok(&["job", "pause", &id]);
    assert_eq!(listed(&cluster, true), old(), "it is only held");
    cluster.ok(&["job", "resume", &id]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    cluster.ok(&["job", "cancel", &id]);
    assert_eq!(listed(&cluster, false), old());
    let read = cluster.run(&["fs", "cat", "/data/f0007"]);
    assert!(read.stdout == vec![1; OLD], "{read:?}");

    // More than the cache holds.
    let big = cluster.root_ufs().join("data/new/big");
    fs::write(&big, vec![2; 3 << 20]).unwrap();
    let error = cluster.fails(&["load", "--atomic", "/data"]);
    assert!(
        error.contains("everybody sees the old version") && error.contains("does not fit"),
        "{error}"
    );
    assert_eq!(listed(&cluster, false), old());
    nothing_is_left_over(&cluster);
    fs::remove_file(&big).unwrap();
    cluster.ok(&["load", "--atomic", "/data"]);
    assert_eq!(listed(&cluster, false), new());
    nothing_is_left_over(&cluster);

    let error = cluster.fails(&["load", "--atomic", "/data/f0001"]);
    assert!(error.contains("no directory"), "{error}");
    let output = cluster.run(&["load", "--atomic", "--include", "*.x", "/data"]);
    assert_eq!(output.status.code(), Some(2), "it is of all there is");
}

#[test]
fn a_killed_master_goes_on_with_an_atomic_load_and_shows_no_mixture() {
    let mut cluster = Cluster::setup().workers(2).start();
    first(&cluster);
    second(&cluster);
    assert_eq!(listed(&cluster, false), old());
    let id = submit(&cluster, &["load", "--atomic", "/data", "--bandwidth", "100KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(5));
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(cluster.config(), stop.clone());
    cluster.master.kill();
    cluster.master.start();
    cluster.wait_for_workers();
    // What changes in the midst of it is in the new version as well.
    fs::write(cluster.root_ufs().join("data/sub/late"), "late").unwrap();
    let done = wait_for(&cluster, &id, |job| job["endedMs"].as_i64() > Some(0));
    assert_eq!(done["state"], "DONE", "{done}");
    assert_eq!(listed(&cluster, false), new());
    assert!(cluster.ok(&["fs", "du", "-s", "/data"]).contains("(100%)"));
    assert_eq!(cluster.run(&["fs", "cat", "/data/sub/late"]).stdout, b"late");
    stop.store(true, Ordering::Relaxed);
    watching.join().unwrap();
    // A worker that came back before the other has loaded for both: copies, not left-overs.
    cluster.ok(&["fs", "free", "/data"]);
    eventually("nothing to be held", || (held(&cluster) == 0).then_some(()));
}

#[test]
fn another_primary_ends_an_atomic_load_and_knows_every_limit() {
    let mut masters = Masters::start(3, &[]);
    masters.add_worker();
    put_first(&masters.root_ufs());
    masters.ok(&["load", "/data"]);
    let sand = masters.dir().join("sand");
    fs::create_dir(&sand).unwrap();
    masters.ok(&["ns", "create", "sand", &format!("file://{}", sand.display())]);
    masters.ok(&["ns", "setLimits", "sand", "--cacheQuota", "8MB", "--cachePriority", "HIGH"]);
    put_second(&masters.root_ufs());
    let load = ["load", "--atomic", "/data", "--bandwidth", "100KB", "--detach", "-o", "json"];
    let told: Value = serde_json::from_str(&masters.ok(&load)).unwrap();
    let id = told[0]["id"].to_string();
    // Between two primaries nobody answers.
    let job = |masters: &Masters| -> Option<Value> {
        let (_, job, _) = masters.run(&["job", "-o", "json", "stat", &id]);
        serde_json::from_str(&job).ok()
    };
    eventually("the load to be on its way", || {
        job(&masters).filter(|job| job["filesDone"].as_i64() > Some(5))
    });
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(masters.config(), stop.clone());
    let primary = masters.wait_for_primary();
    masters.nodes[primary].kill();
    let done = eventually("the load to end", || {
        job(&masters).filter(|job| job["endedMs"].as_i64() > Some(0))
    });
    assert_eq!(done["state"], "DONE", "{done}");
    assert!(masters.ok(&["fs", "du", "-s", "/data"]).contains("(100%)"));
    assert!(masters.ok(&["fs", "ls", "/data/new"]).contains("deep"));
    let limits: Value =
        serde_json::from_str(&masters.ok(&["ns", "-o", "json", "stat", "sand"])).unwrap();
    assert_eq!(limits[0]["cacheQuotaBytes"], 8 << 20, "{limits}");
    stop.store(true, Ordering::Relaxed);
    watching.join().unwrap();
}
