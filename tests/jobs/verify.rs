//! Verification, and freeing by a job.

use super::{is_cached, put};
use crate::cluster::{Cluster, eventually};
use std::fs;
use std::path::{Path, PathBuf};

/// The largest file below `dir`.
fn largest(dir: &Path) -> Option<(u64, PathBuf)> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let found = entries.filter_map(|entry| match entry.path() {
        path if path.is_dir() => largest(&path),
        path => Some((entry.metadata().ok()?.len(), path)),
    });
    found.max()
}

#[test]
fn a_corrupted_page_is_found_told_of_and_repaired() {
    let cluster = Cluster::start();
    put(&cluster, "data", 5, 10_000);
    let bytes: Vec<u8> = (0..3 << 20).map(|i| (i / 7) as u8).collect();
    fs::write(cluster.root_ufs().join("data/big"), &bytes).unwrap();
    cluster.ok(&["load", "/data"]);
    let said = cluster.ok(&["fs", "verify", "--against-store", "/data"]);
    assert!(said.contains("/data verified: 6 files, 3"), "{said}");

    let (_, block) = largest(&cluster.dir().join("worker0/blocks")).unwrap();
    let mut damaged = fs::read(&block).unwrap();
    damaged[2_000_000] ^= 1;
    fs::write(&block, damaged).unwrap();
    let error = cluster.fails(&["fs", "verify", "/data"]);
    assert!(error.contains("/data/big") && error.contains("--repair"), "{error}");
    let error = cluster.fails(&["fs", "verify", "--repair", "/data"]);
    assert!(error.contains("fills it again"), "{error}");
    let copy = cluster.dir().join("out");
    cluster.ok(&["fs", "copyToLocal", "/data/big", &copy.display().to_string()]);
    assert!(fs::read(copy).unwrap() == bytes);
    cluster.ok(&["fs", "verify", "--against-store", "/data"]);
}

#[test]
fn a_tree_is_freed_by_a_job_but_for_what_must_stay() {
    let cluster = Cluster::start();
    put(&cluster, "data", 20, 3_000);
    cluster.ok(&["load", "/data"]);
    cluster.ok(&["fs", "pin", "/data/f0003"]);
    let error = cluster.fails(&["fs", "free", "/data"]);
    assert!(error.contains("/data/f0003") && error.contains("pinned"), "{error}");
    eventually("the rest is freed", || (!is_cached(&cluster, "/data/f0001")).then_some(()));
    assert!(is_cached(&cluster, "/data/f0003"));
    assert!(cluster.ok(&["job", "ls"]).contains("free"));
    let freed = cluster.ok(&["fs", "free", "-f", "/data"]);
    assert!(freed.contains("/data was successfully freed"), "{freed}");
    eventually("all is freed", || (!is_cached(&cluster, "/data/f0003")).then_some(()));
}
