//! `kill -9` under load: nothing that was acknowledged is lost.

use crate::cluster::{Cluster, PATIENCE};
use crate::official::rust::{config, pattern};
use goosefs_sdk::config::WriteType;
use goosefs_sdk::context::FileSystemContext;
use goosefs_sdk::fs::{BaseFileSystem, CreateFileOptions, FileSystem};
use goosefs_sdk::io::GoosefsFileReader;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Callers at work when the process is killed.
const CALLERS: usize = 16;
/// Bytes in a file of the load.
const FILE: usize = 40_000;

/// What the callers do all the time.
#[derive(Clone, Copy)]
enum Load {
    /// Make directories.
    Directories,
    /// Write files.
    Files(WriteType),
}

impl Load {
    async fn act(self, fs: &BaseFileSystem, name: &str, seed: u8) -> bool {
        match self {
            Load::Directories => fs.mkdir(name, false).await.is_ok(),
            Load::Files(write_type) => {
                let options = CreateFileOptions::with_write_type(write_type);
                fs.write_file(name, &pattern(FILE, seed), options).await.is_ok()
            }
        }
    }
}

async fn connect(cluster: &Cluster) -> Arc<BaseFileSystem> {
    BaseFileSystem::from_context(FileSystemContext::connect(config(cluster)).await.unwrap())
}

/// Puts the cluster under load, calls `kill` once `enough` operations are acknowledged, and returns
/// the names and seeds of all that were. A caller stops at its first failure.
async fn kill_under_load(
    cluster: &mut Cluster,
    load: Load,
    prefix: &str,
    enough: usize,
    kill: impl FnOnce(&mut Cluster),
) -> Vec<(String, u8)> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let fs = connect(cluster).await;
        let (acknowledged, prefix) = (acknowledged.clone(), prefix.to_string());
        callers.spawn(async move {
            for turn in 0.. {
                let (name, seed) = (format!("/{prefix}{caller}-{turn}"), (caller * 7 + turn) as u8);
                if !load.act(&fs, &name, seed).await {
                    break;
                }
                acknowledged.lock().unwrap().push((name, seed));
            }
        });
    }
    let start = Instant::now();
    while acknowledged.lock().unwrap().len() < enough {
        assert!(start.elapsed() < PATIENCE, "too slow to be killed under load");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kill(cluster);
    // What arrives from now on was acknowledged before the kill. Callers in their retries against
    // a dead process are given up.
    tokio::time::sleep(Duration::from_millis(200)).await;
    callers.shutdown().await;
    let names = acknowledged.lock().unwrap().clone();
    assert!(names.len() >= enough);
    names
}

async fn expect_files(cluster: &Cluster, names: &[(String, u8)]) {
    let fs = connect(cluster).await;
    for (name, seed) in names {
        let read = GoosefsFileReader::read_file_with_context(fs.context().clone(), name).await;
        let bytes = read.unwrap_or_else(|e| panic!("{name} was acknowledged and is lost: {e}"));
        assert!(bytes == pattern(FILE, *seed), "{name} has other bytes than were written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_keeps_every_acknowledged_directory() {
    let mut cluster = Cluster::start();
    let mut all = Vec::new();
    for round in ["a", "b", "c"] {
        let load = Load::Directories;
        all.extend(kill_under_load(&mut cluster, load, round, 300, |c| c.master.kill()).await);
        cluster.master.start();
        let fs = connect(&cluster).await;
        for (name, _) in &all {
            assert!(fs.exists(name).await.unwrap(), "killed in round {round}: {name} is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_keeps_every_acknowledged_file() {
    let mut cluster = Cluster::start();
    let load = Load::Files(WriteType::CacheThrough);
    let names = kill_under_load(&mut cluster, load, "f", 100, |c| c.master.kill()).await;
    cluster.master.start();
    expect_files(&cluster, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_keeps_every_acknowledged_file() {
    let mut cluster = Cluster::start();
    // In the cache only: there is no other copy to fall back on.
    let load = Load::Files(WriteType::MustCache);
    let names = kill_under_load(&mut cluster, load, "f", 100, |c| c.workers[0].kill()).await;
    cluster.workers[0].start();
    expect_files(&cluster, &names).await;
}
