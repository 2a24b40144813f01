//! What a namespace may take: its quota of the cache, how strongly its blocks stay, and its requests.

use crate::cluster::{Cluster, eventually, texts};
use goosefs::client::{FileSystem, StatusOptions};
use goosefs::core::model::FsPath;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

fn content(seed: usize) -> Vec<u8> {
    (0..MIB).map(|i| (i / 3 + i / 4096 + seed * 7) as u8).collect()
}

/// A cluster of workers with room for 40 MiB each, and namespaces with 20 files of one MiB.
fn cluster(workers: usize, namespaces: &[&str]) -> Cluster {
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("worker.block.heartbeat.interval", "100ms")
        .set("worker.page.size", "256KB")
        .set("worker.migration.bandwidth", "512KB")
        .set("master.migration.delay", "200ms")
        .start();
    (0..workers).for_each(|_| add_worker(&mut cluster));
    cluster.wait_for_workers();
    for name in namespaces {
        let store = cluster.dir().join(name);
        fs::create_dir_all(&store).unwrap();
        (0..20).for_each(|i| fs::write(store.join(i.to_string()), content(i)).unwrap());
        cluster.ok(&["ns", "create", name, &format!("file://{}", store.display())]);
    }
    cluster
}

fn add_worker(cluster: &mut Cluster) {
    let number = cluster.workers.len();
    let dirs = format!("SSD:{}:40MB", cluster.dir().join(format!("store{number}")).display());
    let host = format!("127.0.0.{}", number + 2);
    let own = [
        ("worker.dirs", dirs.as_str()),
        ("worker.hostname", host.as_str()),
        ("worker.bind.host", "0.0.0.0"),
    ];
    cluster.add_worker(&own);
}

fn read_all(cluster: &Cluster, name: &str) {
    for index in 0..20 {
        let output = cluster.run(&["fs", "cat", &format!("/{name}/{index}")]);
        assert!(output.status.success(), "/{name}/{index}: {}", texts(&output).1);
        assert!(output.stdout == content(index), "/{name}/{index} has other bytes");
    }
}

fn stat(cluster: &Cluster, name: &str) -> Value {
    let text = cluster.ok(&["ns", "-o", "json", "stat", name]);
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

/// MiB of a namespace in the cache.
fn cached(cluster: &Cluster, name: &str) -> u64 {
    stat(cluster, name)["cachedBytes"].as_u64().unwrap() / MIB as u64
}

fn waits_for(cluster: &Cluster, name: &str, what: &str, is_so: impl Fn(u64) -> bool) {
    eventually(what, || is_so(cached(cluster, name)).then_some(()));
}

/// Bounds a namespace, and waits until the workers know.
fn limit(cluster: &Cluster, name: &str, limits: &[&str]) {
    cluster.ok(&[&["ns", "setLimits", name], limits].concat());
    let told = |line: &str| line.contains("learnt what mounts may take");
    let times = |c: &Cluster| {
        c.workers.iter().map(|w| w.log_text().lines().filter(|l| told(l)).count()).sum::<usize>()
    };
    let before = times(cluster);
    let deadline = Instant::now() + Duration::from_secs(2);
    while times(cluster) == before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_quota_holds_over_all_workers_and_leaves_others_alone() {
    let cluster = cluster(2, &["gold", "sand"]);
    cluster.ok(&["load", "/gold"]);
    waits_for(&cluster, "gold", "all of gold is counted", |mib| mib == 20);
    limit(&cluster, "sand", &["--cacheQuota", "8MB"]);
    read_all(&cluster, "sand");
    read_all(&cluster, "sand");
    waits_for(&cluster, "sand", "some of sand is cached, no more than may be", |mib| {
        assert!(mib <= 8, "{mib} MiB");
        mib >= 4
    });
    assert_eq!(cached(&cluster, "gold"), 20);
    let shown = cluster.ok(&["ns", "ls"]);
    assert!(shown.contains("8MB") && shown.contains("cacheQuota"), "{shown}");
    let report = cluster.ok(&["fsadmin", "report", "capacity"]);
    assert!(report.contains("/sand") && report.contains("Quota"), "{report}");
    // A load says what does not fit.
    let error = cluster.fails(&["load", "/sand"]);
    assert!(error.contains("quota of /sand") && error.contains("cacheQuota"), "{error}");
    assert!(cached(&cluster, "sand") <= 8);
    // Raised, it is filled; lowered, it is trimmed; the limit is kept over a restart of the master.
    limit(&cluster, "sand", &["--cacheQuota", "none"]);
    eventually("the workers know that it may all come", || {
        cluster.run(&["load", "/sand"]).status.success().then_some(())
    });
    waits_for(&cluster, "sand", "all of sand is cached", |mib| mib == 20);
    let mut cluster = cluster;
    limit(&cluster, "sand", &["--cacheQuota", "0"]);
    waits_for(&cluster, "sand", "nothing of sand is left", |mib| mib == 0);
    cluster.master.kill();
    cluster.master.start();
    cluster.wait_for_workers();
    read_all(&cluster, "sand");
    assert_eq!(stat(&cluster, "sand")["cacheQuotaBytes"], 0);
    assert_eq!(cached(&cluster, "sand"), 0);
    waits_for(&cluster, "gold", "gold is counted again", |mib| mib == 20);
}

#[test]
fn what_a_namespace_at_its_quota_has_stays_until_it_has_moved_to_a_newcomer() {
    let mut cluster = cluster(2, &["sand"]);
    limit(&cluster, "sand", &["--cacheQuota", "16MB"]);
    // Says what does not fit.
    cluster.fails(&["load", "/sand"]);
    let sum = |cluster: &Cluster, name| -> u64 {
        cluster.workers[..2].iter().map(|worker| worker.counter(name)).sum()
    };
    let before = sum(&cluster, "goosefs_worker_evicted_blocks");
    add_worker(&mut cluster);
    eventually("the newcomer knows what it may take", || {
        cluster.workers[2].log_text().contains("learnt what mounts may take").then_some(())
    });
    // How many are to move is the ring's chance: hardly any, now and then.
    eventually("blocks are on their way", || {
        let on_their_way = sum(&cluster, "goosefs_worker_moved_bytes") > 0;
        (on_their_way || cluster.master.log_text().contains("blocks have moved")).then_some(())
    });
    assert_eq!(sum(&cluster, "goosefs_worker_evicted_blocks"), before, "some went too early");
    waits_for(&cluster, "sand", "the quota holds again", |mib| {
        cluster.master.log_text().contains("state=\"ACTIVE\"") && mib <= 16
    });
    read_all(&cluster, "sand");
    waits_for(&cluster, "sand", "the quota holds", |mib| mib <= 16);
}

#[test]
fn what_a_killed_worker_finds_again_is_counted_and_trimmed() {
    let mut cluster = cluster(1, &["gold", "sand"]);
    cluster.ok(&["load", "/sand"]);
    read_all(&cluster, "gold");
    waits_for(&cluster, "sand", "all of sand is cached", |mib| mib > 10);
    cluster.workers[0].kill();
    cluster.ok(&["ns", "setLimits", "sand", "--cacheQuota", "5MB"]);
    cluster.workers[0].start();
    cluster.wait_for_workers();
    waits_for(&cluster, "sand", "what it found is trimmed to the quota", |mib| {
        (1..=5).contains(&mib)
    });
    waits_for(&cluster, "gold", "what others have is counted", |mib| mib > 5);
    read_all(&cluster, "sand");
    assert!(cached(&cluster, "sand") <= 5);
}

#[test]
fn what_a_client_wrote_stays_until_it_is_safe_whatever_the_quota() {
    let cluster = cluster(1, &["sand"]);
    limit(&cluster, "sand", &["--cacheQuota", "0"]);
    let file = cluster.dir().join("new");
    fs::write(&file, content(77)).unwrap();
    let from = file.display().to_string();
    let kept = "-Duser.file.writetype.default=MUST_CACHE";
    cluster.ok(&[kept, "fs", "cp", &format!("file://{from}"), "/sand/new"]);
    waits_for(&cluster, "sand", "the file is counted", |mib| mib == 1);
    let read = cluster.run(&["fs", "cat", "/sand/new"]);
    assert!(read.stdout == content(77), "{}", texts(&read).1);
    cluster.ok(&["fs", "persist", "/sand/new"]);
    waits_for(&cluster, "sand", "it goes once it is safe", |mib| mib == 0);
    let read = cluster.run(&["fs", "cat", "/sand/new"]);
    assert!(read.stdout == content(77), "{}", texts(&read).1);
}

#[test]
fn a_higher_priority_outlasts_a_lower_one() {
    let cluster = cluster(1, &["gold", "sand", "dust"]);
    limit(&cluster, "gold", &["--cachePriority", "HIGH"]);
    cluster.ok(&["load", "/gold"]);
    waits_for(&cluster, "gold", "gold is cached", |mib| mib == 20);
    for _ in 0..2 {
        read_all(&cluster, "sand");
        read_all(&cluster, "dust");
    }
    assert_eq!(cached(&cluster, "gold"), 20);
    assert_eq!(stat(&cluster, "gold")["cachePriority"], "HIGH");
    assert_eq!(stat(&cluster, "dust")["cachePriority"], "NORMAL");
}

#[test]
fn a_bound_on_the_bandwidth_is_of_one_namespace_over_all_workers() {
    let cluster = cluster(2, &["slow", "fast"]);
    limit(&cluster, "slow", &["--ufsBandwidth", "4MB"]);
    let load = |name: &str| {
        let start = Instant::now();
        cluster.ok(&["load", &format!("/{name}")]);
        start.elapsed()
    };
    let (fast, slow) = (load("fast"), load("slow"));
    assert!(slow > Duration::from_secs(3), "20 MiB at 4 MiB a second took {slow:?}");
    assert!(slow < Duration::from_secs(20) && fast < slow / 2, "{fast:?} and {slow:?}");
    limit(&cluster, "slow", &["--ufsBandwidth", "none"]);
    cluster.ok(&["fs", "free", "/slow"]);
    waits_for(&cluster, "slow", "it is freed", |mib| mib == 0);
    assert!(load("slow") < slow / 2, "it is not bounded any more");
}

#[test]
fn requests_beyond_the_bound_wait_and_others_do_not_notice() {
    let cluster = cluster(1, &["busy", "calm"]);
    cluster.ok(&["ns", "setLimits", "busy", "--maxRequests", "20"]);
    let patient = FileSystem::connect(&cluster.config());
    let mut config = cluster.config();
    config.client.retry_max = Duration::ZERO;
    let impatient = FileSystem::connect(&config);
    let ask = async |fs: &FileSystem, name: &str| {
        let path = FsPath::parse(&format!("/{name}/1")).unwrap();
        let start = Instant::now();
        let options = StatusOptions::synced();
        let all = (0..100).map(|_| fs.status_with(&path, &options));
        let answers = futures::future::join_all(all).await;
        (start.elapsed(), answers.into_iter().filter_map(Result::err).collect::<Vec<_>>())
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (busy, calm) = tokio::join!(ask(&patient, "busy"), ask(&patient, "calm"));
        assert!(busy.1.is_empty() && calm.1.is_empty(), "{:?}", busy.1);
        // A second's worth at once, then 20 a second.
        assert!(busy.0 > Duration::from_secs(3), "100 requests took {:?}", busy.0);
        assert!(calm.0 < busy.0 / 2, "others were held up: {:?}", calm.0);
        let (_, refused) = ask(&impatient, "busy").await;
        assert!(refused.len() >= 50, "{} of 100", refused.len());
        let text = refused[0].to_string();
        assert!(text.contains("namespace busy is busy") && text.contains("setLimits"), "{text}");
    });
    cluster.ok(&["ns", "setLimits", "busy", "--maxRequests", "none"]);
    assert!(stat(&cluster, "busy")["maxRequests"].is_null());
    let fails = |args: &[&str]| cluster.fails(&[&["ns"], args].concat());
    assert!(fails(&["setLimits", "busy", "--maxRequests", "0"]).contains("requests"));
    let wrong = cluster.run(&["ns", "setLimits", "busy", "--cacheQuota", "much"]);
    assert!(!wrong.status.success() && texts(&wrong).1.contains("much"));
    let misspelt = ["update", "busy", "--option", "goosefs.namespace.cache.qouta=1GB"];
    assert!(fails(&misspelt).contains("means nothing"));
}
