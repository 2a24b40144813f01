//! Pausing, resuming, cancelling, retrying, and what of it survives.

use super::{is_cached, put, stat, submit, wait_for};
use crate::cluster::Cluster;
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_paused_job_is_paused_after_a_restart_and_goes_on_where_it_was() {
    let mut cluster = Cluster::start();
    put(&cluster, "data", 40, 100_000);
    let id = submit(&cluster, &["load", "/data", "--bandwidth", "1MB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    cluster.ok(&["job", "pause", &id]);
    let paused = stat(&cluster, &id);
    assert_eq!(paused["state"], "PAUSED");
    assert!(cluster.fails(&["job", "pause", &id]).contains("paused already"));
    assert!(cluster.fails(&["job", "stat", &id, "--follow"]).contains("job resume"));

    cluster.master.kill();
    cluster.master.start();
    let after = wait_for(&cluster, &id, |job| job["state"] == "PAUSED");
    assert_eq!(after["filesDone"], paused["filesDone"]);
    assert_eq!(after["startedMs"], paused["startedMs"]);
    assert!(!is_cached(&cluster, "/data"));

    cluster.ok(&["job", "resume", &id]);
    let done = wait_for(&cluster, &id, |job| job["state"] == "DONE");
    assert_eq!((&done["filesDone"], &done["filesTotal"]), (&40.into(), &40.into()));
    assert_eq!(done["bytesDone"], 4_000_000);
    assert!(is_cached(&cluster, "/data"));
    assert!(cluster.fails(&["job", "resume", &id]).contains("not paused"));

    // Also one that has ended is still known.
    cluster.master.kill();
    cluster.master.start();
    wait_for(&cluster, &id, |job| job["state"] == "DONE" && job["filesDone"] == 40);
}

#[test]
fn a_running_job_goes_on_after_a_restart_without_doing_all_again() {
    let mut cluster = Cluster::start();
    put(&cluster, "data", 120, 50_000);
    let id = submit(&cluster, &["load", "/data", "--bandwidth", "500KB"]);
    // The journal hears of it every few seconds.
    let before = wait_for(&cluster, &id, |job| job["activeMs"].as_i64() > Some(6_500));
    cluster.master.kill();
    cluster.master.start();
    let after = wait_for(&cluster, &id, |job| job["state"] == "RUNNING");
    assert!(after["filesDone"].as_i64() > Some(0), "{before} {after}");
    let done = wait_for(&cluster, &id, |job| job["state"] == "DONE");
    assert_eq!((&done["filesDone"], &done["bytesDone"]), (&120.into(), &6_000_000.into()));
    assert!(is_cached(&cluster, "/data"));
}

#[test]
fn a_bandwidth_limit_bounds_what_is_fetched() {
    let cluster = Cluster::setup().workers(2).start();
    put(&cluster, "data", 60, 100_000);
    let start = Instant::now();
    cluster.ok(&["load", "/data", "--bandwidth", "2MB"]);
    let took = start.elapsed();
    // 6 MB at 2 MB a second; each of the workers may have a little in hand.
    assert!(took >= Duration::from_millis(2_200), "{took:?}");
    assert!(took <= Duration::from_secs(10), "{took:?}");
    let again = Instant::now();
    cluster.ok(&["load", "/data", "--bandwidth", "100KB"]);
    assert!(again.elapsed() < Duration::from_secs(5), "what is there costs nothing");
}

#[test]
fn a_cancelled_job_stops_and_can_be_run_again() {
    let cluster = Cluster::start();
    put(&cluster, "data", 30, 100_000);
    let id = submit(&cluster, &["load", "/data", "--bandwidth", "300KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(0));
    assert!(cluster.fails(&["job", "retry", &id]).contains("not ended"));
    cluster.ok(&["job", "cancel", &id]);
    assert_eq!(stat(&cluster, &id)["state"], "CANCELLED");
    assert!(cluster.fails(&["job", "pause", &id]).contains("has ended"));
    cluster.ok(&["job", "retry", &id, "--detach"]);
    wait_for(&cluster, &id, |job| job["state"] == "RUNNING");
    cluster.ok(&["job", "pause", &id]);
    cluster.ok(&["job", "cancel", &id]);
    assert_eq!(stat(&cluster, &id)["state"], "CANCELLED");
}

#[test]
fn a_retry_does_what_failed_and_passes_over_the_rest() {
    let cluster = Cluster::start();
    put(&cluster, "data", 12, 5_000);
    cluster.ok(&["fs", "ls", "/data"]);
    let lost = cluster.root_ufs().join("data/f0003");
    fs::rename(&lost, cluster.dir().join("kept")).unwrap();
    let id = submit(&cluster, &["load", "/data"]);
    let failed = wait_for(&cluster, &id, |job| job["state"] == "FAILED");
    assert_eq!((&failed["filesFailed"], &failed["filesDone"]), (&1.into(), &11.into()));
    assert_eq!(failed["failures"][0]["path"], "/data/f0003");
    fs::rename(cluster.dir().join("kept"), &lost).unwrap();
    let said = cluster.ok(&["job", "retry", &id]);
    assert!(said.contains("12 files") && said.contains("11 of them"), "{said}");
    assert_eq!(stat(&cluster, &id)["state"], "DONE");
}

#[test]
fn patterns_choose_what_is_loaded() {
    let cluster = Cluster::start();
    for dir in ["day=1", "day=2", "day=2/_temporary", "old"] {
        put(&cluster, &format!("t/{dir}"), 2, 1_000);
        fs::write(cluster.root_ufs().join(format!("t/{dir}/x.parquet")), [7; 900]).unwrap();
    }
    let load = ["load", "/t", "--include", "*.parquet", "--exclude", "/old", "-o", "json"];
    let said = cluster.ok(&[&load[..], &["--exclude", "_temporary/"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said[0]["filesTotal"], &said[0]["bytesDone"]), (&2.into(), &1_800.into()));
    assert!(is_cached(&cluster, "/t/day=2/x.parquet") && !is_cached(&cluster, "/t/old"));
    cluster.ok(&["load", "/t/old", "--verify"]);
    assert!(is_cached(&cluster, "/t/old"));
    assert!(cluster.fails(&["load", "/t", "--include", "/"]).contains("no pattern"));
}

#[test]
fn a_load_says_at_once_that_no_worker_is_there() {
    let mut cluster = Cluster::start();
    put(&cluster, "data", 3, 1_000);
    cluster.ok(&["load", "/data"]);
    cluster.ok(&["fs", "free", "/data"]);
    cluster.workers[0].kill();
    let start = Instant::now();
    let error = cluster.fails(&["load", "/data"]);
    assert!(error.contains("goosefs worker start"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_load_larger_than_the_cache_keeps_what_fits_and_says_what_does_not() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:20MB", cluster.dir().join("small").display());
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    put(&cluster, "data", 10, 4 << 20);
    let error = cluster.fails(&["load", "/data"]);
    assert!(error.contains("do not fit into the cache"), "{error}");
    assert!(error.contains("goosefs.worker.dirs") && error.contains("/data/f0009"), "{error}");
    // What it brought in first it has not driven out again.
    let cached = (0..4).filter(|i| is_cached(&cluster, &format!("/data/f{i:04}"))).count();
    assert_eq!(cached, 4);
}

#[test]
fn what_is_loaded_does_not_go_before_what_nobody_has_asked_for_since_the_worker_started() {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs = format!("SSD:{}:20MB", cluster.dir().join("small").display());
    cluster.add_worker(&[("worker.dirs", &dirs)]);
    cluster.wait_for_workers();
    put(&cluster, "old", 18, 1 << 20);
    put(&cluster, "new", 10, 1 << 20);
    cluster.ok(&["load", "/old"]);
    assert!(is_cached(&cluster, "/old"));
    cluster.workers[0].kill();
    cluster.workers[0].start();
    cluster.wait_for_workers();
    cluster.ok(&["load", "/new"]);
    assert!(is_cached(&cluster, "/new"), "{}", cluster.ok(&["fs", "du", "-s", "/new"]));
}

#[test]
fn a_load_outlives_a_killed_worker() {
    let mut cluster = Cluster::setup().workers(2).set("master.worker.timeout", "3s").start();
    put(&cluster, "data", 60, 50_000);
    let id = submit(&cluster, &["load", "/data", "--bandwidth", "800KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    cluster.workers[0].kill();
    let done = wait_for(&cluster, &id, |job| job["endedMs"].as_i64() > Some(0));
    assert_eq!((&done["state"], &done["filesDone"]), (&"DONE".into(), &60.into()), "{done}");
    // What the other one had brought in is gone with it; a retry brings it back.
    cluster.ok(&["job", "retry", &id]);
    assert!(is_cached(&cluster, "/data"));
}
