//! Files pinned to media: their blocks are where they are to be, and stay there.

use crate::cluster::{Cluster, eventually, texts};
use std::fs;
use std::path::{Path, PathBuf};

const MIB: usize = 1 << 20;

fn content(seed: usize) -> Vec<u8> {
    (0..MIB).map(|i| (i / 3 + i / 4096 + seed * 7) as u8).collect()
}

/// A worker with memory for ten files and a disk for a hundred; and twenty files, the first ten of
/// which are loaded.
fn cluster(files: usize) -> Cluster {
    let mut cluster =
        Cluster::setup().workers(0).set("worker.block.heartbeat.interval", "100ms").start();
    let (mem, ssd) = (tier(&cluster, "mem"), tier(&cluster, "ssd"));
    let dirs = format!("MEM:{}:20MB,SSD:{}:100MB", mem.display(), ssd.display());
    cluster.add_worker(&[("worker.dirs", &dirs), ("worker.page.size", "256KB")]);
    cluster.wait_for_workers();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    (0..files).for_each(|i| fs::write(data.join(i.to_string()), content(i)).unwrap());
    cluster.ok(&["fs", "ls", "/data"]);
    cluster
}

fn tier(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.dir().join(name)
}

/// Whether the block of a file is in a directory.
fn is_in(cluster: &Cluster, name: &str, file: usize) -> bool {
    let stat = cluster.ok(&["fs", "-o", "json", "stat", &format!("/data/{file}")]);
    let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
    let id = stat[0]["blocks"][0]["id"].to_string();
    fn files(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.path().is_dir() {
                true => found.extend(files(&entry.path())),
                false => found.push(entry.file_name().to_string_lossy().into_owned()),
            }
        }
        found
    }
    let prefix = format!("{}-", id.trim_matches('"'));
    files(&tier(cluster, name)).iter().any(|file| file.starts_with(&prefix))
}

fn is_moved(cluster: &Cluster, to: &str, file: usize) {
    eventually(&format!("file {file} is on {to}"), || is_in(cluster, to, file).then_some(()));
}

fn cat(cluster: &Cluster, file: usize) {
    let output = cluster.run(&["fs", "cat", &format!("/data/{file}")]);
    assert!(output.stdout == content(file), "{}", texts(&output).1);
}

#[test]
fn pinned_files_are_on_their_medium_through_pressure_restarts_and_until_unpinned() {
    let mut cluster = cluster(60);
    (0..6).for_each(|file| cat(&cluster, file));
    assert!(is_in(&cluster, "mem", 0) && is_in(&cluster, "mem", 1));
    let said = cluster.ok(&["fs", "pin", "/data/0", "SSD,HDD"]);
    assert!(said.contains("successfully pinned"), "{said}");
    cluster.ok(&["fs", "pin", "/data/1", "/data/50", "MEM"]);
    is_moved(&cluster, "ssd", 0);
    assert!(!is_in(&cluster, "mem", 0));
    // One that is not there yet goes there at once; shown in every form.
    cat(&cluster, 50);
    assert!(is_in(&cluster, "mem", 50));
    let stat = cluster.ok(&["fs", "stat", "/data/0"]);
    assert!(stat.contains("pinnedMedia=[SSD,HDD]"), "{stat}");
    let listed = cluster.ok(&["fs", "ls", "-p", "/data"]);
    assert!(listed.contains("/data/1 [MEM]") && !listed.contains("/data/2"), "{listed}");
    let json = cluster.ok(&["fs", "-o", "json", "ls", "-p", "/data"]);
    assert!(json.contains("pinnedMedia"), "{json}");
    // Far more than memory holds passes by.
    (6..50).for_each(|file| cat(&cluster, file));
    for file in [1, 50] {
        assert!(is_in(&cluster, "mem", file), "file {file} is still in memory");
        cat(&cluster, file);
    }
    (0..12).for_each(|_| cat(&cluster, 0));
    assert!(!is_in(&cluster, "mem", 0), "hot as it is");
    // Both processes come anew, and know it.
    cluster.master.kill();
    cluster.workers[0].kill();
    cluster.master.start();
    cluster.workers[0].start();
    cluster.wait_for_workers();
    cluster.ok(&["fs", "pin", "/data/0", "MEM"]);
    is_moved(&cluster, "mem", 0);
    cat(&cluster, 0);
    let stat = cluster.ok(&["fs", "stat", "/data/1"]);
    assert!(stat.contains("pinnedMedia=[MEM]"), "{stat}");
    cluster.ok(&["fs", "unpin", "/data/0"]);
    let stat = cluster.ok(&["fs", "stat", "/data/0"]);
    assert!(stat.contains("pinned=false") && stat.contains("pinnedMedia=[]"), "{stat}");
    assert!(cluster.fails(&["fs", "pin", "/data/2", "TAPE"]).contains("TAPE"));
}
