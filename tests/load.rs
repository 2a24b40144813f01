//! `goosefs load` and `goosefs job`.

use crate::cluster::{Cluster, Masters, eventually};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn with_files(count: usize) -> Cluster {
    let cluster = Cluster::start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    for i in 0..count {
        fs::write(data.join(format!("{i}")), vec![i as u8; 5000 + i]).unwrap();
    }
    cluster
}

#[test]
fn a_load_brings_every_file_into_the_cache() {
    let cluster = with_files(50);
    let said = cluster.ok(&["load", "/data"]);
    assert!(said.starts_with("/data loaded: 50 files"), "{said}");
    let du = cluster.ok(&["fs", "du", "-s", "/data"]);
    assert!(du.contains("(100%)"), "{du}");
    assert!(cluster.ok(&["fs", "location", "/data/7"]).contains("127.0.0.1"));
    cluster.ok(&["fs", "free", "/data"]);
    let again = cluster.ok(&["load", "/data", "-o", "json"]);
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again[0]["state"], &again[0]["filesDone"]), (&"DONE".into(), &50.into()));
}

#[test]
fn a_load_of_metadata_brings_names_and_no_bytes() {
    let cluster = with_files(50);
    let said = cluster.ok(&["load", "--metadata-only", "/data"]);
    assert!(said.contains("50 files"), "{said}");
    assert!(cluster.ok(&["fs", "du", "-s", "/data"]).contains("(0%)"));
    // The tree knows them now: they are listed when the store is asked no more.
    fs::rename(cluster.root_ufs().join("data"), cluster.root_ufs().join("elsewhere")).unwrap();
    assert_eq!(cluster.ok(&["fs", "ls", "/data"]).lines().count(), 50);
}

#[test]
fn a_worker_keeps_to_its_own_bound_towards_under_stores() {
    let mut cluster = Cluster::setup().workers(0).start();
    cluster.add_worker(&[("worker.ufs.bandwidth", "500KB")]);
    cluster.wait_for_workers();
    fs::write(cluster.root_ufs().join("big"), vec![7; 2 << 20]).unwrap();
    let begun = Instant::now();
    cluster.ok(&["load", "/big"]);
    let least = Duration::from_secs(3);
    assert!(begun.elapsed() > least, "2 MiB at 500 KB a second took {:?}", begun.elapsed());
    let begun = Instant::now();
    assert_eq!(cluster.run(&["fs", "cat", "/big"]).stdout, vec![7; 2 << 20]);
    assert!(begun.elapsed() < least, "what is cached is read at any rate");
}

#[test]
fn jobs_are_listed_and_shown() {
    let cluster = with_files(3);
    let said = cluster.ok(&["load", "/data", "--detach"]);
    assert!(said.contains("goosefs job stat"), "{said}");
    let jobs = cluster.ok(&["job", "-o", "json", "ls"]);
    let jobs: serde_json::Value = serde_json::from_str(&jobs).unwrap();
    let id = jobs[0]["id"].to_string();
    let shown = cluster.ok(&["job", "stat", &id, "--follow"]);
    assert!(shown.contains("DONE") && shown.contains("3/3"), "{shown}");
    assert!(cluster.fails(&["job", "stat", "999999"]).contains("999999"));
    assert!(cluster.fails(&["job", "cancel", "999999"]).contains("999999"));
}

#[test]
fn a_file_that_cannot_be_loaded_is_named_with_its_cause() {
    let cluster = with_files(3);
    cluster.ok(&["fs", "ls", "/data"]);
    fs::remove_file(cluster.root_ufs().join("data/1")).unwrap();
    let error = cluster.fails(&["load", "/data"]);
    assert!(error.contains("/data/1"), "{error}");
    assert!(cluster.fails(&["load", "/nope"]).contains("/nope"));
}

#[test]
fn a_pinned_file_stays_when_the_cache_is_too_small_for_all() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:20MB", cluster.dir().join("small").display());
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    for i in 0..8 {
        fs::write(cluster.root_ufs().join(format!("{i}")), vec![i; 4 << 20]).unwrap();
    }
    let cached = |path: &str| cluster.ok(&["fs", "du", "-s", path]).contains("(100%)");
    cluster.ok(&["load", "/0", "/1"]);
    cluster.ok(&["fs", "pin", "/0"]);
    // The worker learns of it with its next heartbeat.
    eventually("the worker knows the pin", || {
        cluster.workers[0].log_text().contains("learnt what is pinned files=1").then_some(())
    });
    (2..8).for_each(|i| drop(cluster.ok(&["load", &format!("/{i}")])));
    assert!(cached("/0") && !cached("/1"), "{}", cluster.ok(&["fs", "du", "/"]));
    assert!(cluster.fails(&["fs", "free", "/0"]).contains("pinned"));

    cluster.ok(&["fs", "unpin", "/0"]);
    eventually("the worker knows that it is unpinned", || {
        cluster.workers[0].log_text().contains("learnt what is pinned files=0").then_some(())
    });
    (1..8).for_each(|i| drop(cluster.ok(&["load", &format!("/{i}")])));
    assert!(!cached("/0"), "it could go again");
}

#[test]
fn a_load_brings_no_more_than_its_workers_hold_before_they_evict() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:40MB", cluster.dir().join("small").display());
    let watermarks = [("worker.watermark.high", "50%"), ("worker.watermark.low", "20%")];
    cluster.add_worker(&[&[("worker.dirs", dirs.as_str())], &watermarks[..]].concat());
    cluster.wait_for_workers();
    for i in 0..9 {
        fs::write(cluster.root_ufs().join(format!("{i}")), vec![i; 4 << 20]).unwrap();
    }
    let error = cluster.fails(&["load", "/"]);
    assert!(error.contains("4 files were not loaded"), "{error}");
    let cached = |i: &usize| cluster.ok(&["fs", "du", "-s", &format!("/{i}")]).contains("(100%)");
    assert_eq!((0..9).filter(cached).count(), 5, "{}", cluster.ok(&["fs", "du", "/"]));
}

#[test]
fn a_load_goes_on_when_the_primary_is_killed() {
    const FILES: usize = 3000;
    let mut masters = Masters::start(3, &[]);
    masters.add_worker();
    let data = masters.dir().join("ufs/data");
    fs::create_dir(&data).unwrap();
    for i in 0..FILES {
        fs::write(data.join(format!("{i}")), vec![i as u8; 20_000]).unwrap();
    }
    let mut load = masters.command(&["load", "/data"]);
    let load = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the load is on its way", || {
        let (_, jobs, _) = masters.run(&["job", "-o", "json", "ls"]);
        let jobs: serde_json::Value = serde_json::from_str(&jobs).ok()?;
        let done = jobs[0]["filesDone"].as_u64()?;
        assert!(done < FILES as u64, "too fast to be interrupted");
        (done > 0).then_some(())
    });
    let primary = masters.wait_for_primary();
    masters.nodes[primary].kill();
    let ended = load.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{complained}{}", masters.logs());
    assert!(said.contains("/data loaded"), "{said}{complained}");
    assert!(masters.ok(&["fs", "du", "-s", "/data"]).contains("(100%)"));
}
