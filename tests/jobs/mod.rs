//! Jobs: what a user may do to them, and what they do to files.

mod atomic;
mod copy;
mod extra;
mod life;
mod measure;
mod replicate;
mod verify;

use crate::cluster::{Cluster, eventually};
use serde_json::Value;
use std::fs;

/// A job as `goosefs job stat` tells of it.
fn stat(cluster: &Cluster, id: &str) -> Value {
    serde_json::from_str(&cluster.ok(&["job", "-o", "json", "stat", id])).unwrap()
}

/// The number of the job that the command submits.
fn submit(cluster: &Cluster, args: &[&str]) -> String {
    let args: Vec<&str> = args.iter().copied().chain(["--detach", "-o", "json"]).collect();
    let said: Value = serde_json::from_str(&cluster.ok(&args)).unwrap();
    said[0]["id"].to_string()
}

/// Waits until the job says that `what`.
fn wait_for(cluster: &Cluster, id: &str, what: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("job {id}"), || {
        let job = stat(cluster, id);
        what(&job).then_some(job)
    })
}

/// Makes `count` files of `length` bytes in `dir` of the root under store.
fn put(cluster: &Cluster, dir: &str, count: usize, length: usize) {
    let dir = cluster.root_ufs().join(dir);
    fs::create_dir_all(&dir).unwrap();
    for i in 0..count {
        fs::write(dir.join(format!("f{i:04}")), vec![i as u8; length]).unwrap();
    }
}

/// Whether all of `path` is cached.
fn is_cached(cluster: &Cluster, path: &str) -> bool {
    cluster.ok(&["fs", "du", "-s", path]).contains("(100%)")
}

/// The workers that hold the file, by their place in the cluster.
fn holders(cluster: &Cluster, path: &str) -> Vec<usize> {
    let said = cluster.ok(&["fs", "-o", "json", "location", path]);
    let holds = |port: u16| said.contains(&port.to_string());
    (0..cluster.workers.len()).filter(|&i| holds(cluster.workers[i].port)).collect()
}
