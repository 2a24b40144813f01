//! Where copies are: in zones apart, near who reads them, and never more than a file may have.

use crate::cluster::{Cluster, Setup, eventually};
use goosefs::client::{FileSystem, OpenOptions};
use goosefs::core::model::FsPath;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;

const FILES: usize = 24;
const LENGTH: usize = 50_000;

fn content(i: usize) -> Vec<u8> {
    (0..LENGTH).map(|byte| (byte * 7 + i) as u8).collect()
}

/// A cluster whose store has files below `/data`, and workers with these settings of their own.
fn cluster(setup: Setup, workers: &[[(&str, &str); 2]]) -> Cluster {
    let mut cluster = setup.workers(0).set("worker.block.heartbeat.interval", "100ms").start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    (0..FILES).for_each(|i| fs::write(data.join(i.to_string()), content(i)).unwrap());
    for own in workers {
        let all: Vec<_> = own.iter().copied().chain([("worker.bind.host", "0.0.0.0")]).collect();
        cluster.add_worker(&all);
    }
    cluster.wait_for_workers();
    cluster
}

fn path(i: usize) -> String {
    format!("/data/{i}")
}

/// The indices of the workers that hold a file.
fn holders(cluster: &Cluster, i: usize) -> Vec<usize> {
    let text = cluster.ok(&["fs", "-o", "json", "location", &path(i)]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let found = if found.is_array() { found[0].clone() } else { found };
    let holders = found["blocks"][0]["holders"].as_array().unwrap();
    let index = |holder: &Value| {
        let address = holder["worker"].as_str().unwrap();
        let of = |port: u16| address.ends_with(&format!(":{port}"));
        cluster.workers.iter().position(|worker| of(worker.port)).unwrap()
    };
    holders.iter().map(index).collect()
}

fn counter(cluster: &Cluster, index: usize, name: &str) -> u64 {
    cluster.workers[index].counter(&format!("goosefs_worker_{name}"))
}

#[test]
fn copies_are_in_different_zones_and_the_nearest_is_read() {
    copies_are_apart_and_the_nearest_is_read("locality.zone");
}

#[test]
fn copies_are_in_different_racks_and_the_nearest_is_read() {
    copies_are_apart_and_the_nearest_is_read("locality.rack");
}

fn copies_are_apart_and_the_nearest_is_read(label: &str) {
    let zones = ["a", "a", "b", "b"];
    // This machine, but no address that a client knows for its own: only the label says who is near.
    let hosts: Vec<String> = (2..6).map(|host| format!("127.{host}")).collect();
    let own = |at: usize| [("worker.hostname", hosts[at].as_str()), (label, zones[at])];
    let cluster = cluster(Cluster::setup(), &[own(0), own(1), own(2), own(3)]);
    cluster.ok(&["fs", "setReplication", "-R", "--min", "2", "/data"]);
    cluster.ok(&["load", "/data"]);
    for i in 0..FILES {
        let holders = eventually("both copies are known", || {
            Some(holders(&cluster, i)).filter(|holders| holders.len() == 2)
        });
        let zones: HashSet<&str> = holders.iter().map(|&index| zones[index]).collect();
        assert_eq!(zones.len(), 2, "file {i} is at {holders:?}");
    }
    for (zone, near, far) in [("a", [0, 1], [2, 3]), ("b", [2, 3], [0, 1])] {
        let read = |workers: [usize; 2]| -> u64 {
            workers.iter().map(|&index| counter(&cluster, index, "read_bytes")).sum()
        };
        let before = (read(near), read(far));
        let own = format!("{label}={zone}");
        for i in 0..FILES {
            let read = cluster.run(&["-D", &own, "fs", "cat", &path(i)]);
            assert_eq!(read.stdout, content(i), "file {i}");
        }
        assert_eq!(read(near) - before.0, (FILES * LENGTH) as u64, "{label} {zone}");
        assert_eq!(read(far), before.1, "{label} {zone} read from the other one");
    }
}

#[test]
fn what_a_host_reads_again_and_again_gets_a_copy_there_unless_it_may_have_no_more() {
    let here = [("worker.hostname", "127.0.0.2"), ("locality.rack", "")];
    let away = [("worker.hostname", "127.1"), ("locality.rack", "")];
    let setup = Cluster::setup().set("user.hot.reads", "2");
    let cluster = cluster(setup, &[here, away]);
    cluster.ok(&["load", "/data"]);
    let away: Vec<usize> = (0..FILES).filter(|&i| holders(&cluster, i) == [1]).collect();
    assert!(away.len() >= 3, "all belong to one worker");
    let (limited, once, hot) = (away[0], away[1], &away[2..]);
    cluster.ok(&["fs", "setReplication", "--max", "1", &path(limited)]);
    let filled = counter(&cluster, 0, "filled_bytes");

    // One client: each counts for itself.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let files = FileSystem::connect(&cluster.config());
    let read = |i: usize| {
        let path = FsPath::parse(&path(i)).unwrap();
        let bytes = runtime.block_on(async {
            let reader = files.open(&path, &OpenOptions::default()).await?;
            reader.read_at(0, LENGTH as u64).await
        });
        assert_eq!(bytes.unwrap(), content(i), "file {i}");
    };
    read(once);
    for &i in hot {
        eventually("a hot file has a copy here", || {
            read(limited);
            read(i);
            holders(&cluster, i).contains(&0).then_some(())
        });
    }
    assert_eq!(holders(&cluster, limited), [1], "more copies than it may have");
    assert_eq!(holders(&cluster, once), [1], "read once, and copied");
    let copied = counter(&cluster, 0, "copied_bytes");
    assert_eq!(copied, (hot.len() * LENGTH) as u64);
    assert_eq!(counter(&cluster, 0, "filled_bytes"), filled, "the store was asked again");
    eventually("nothing hot is read far away", || {
        let before = counter(&cluster, 1, "read_bytes");
        hot.iter().for_each(|&i| read(i));
        (counter(&cluster, 1, "read_bytes") == before).then_some(())
    });
}

#[test]
fn blocks_belong_to_workers_by_what_these_may_hold() {
    const MANY: usize = 400;
    let mut cluster =
        Cluster::setup().workers(0).set("worker.block.heartbeat.interval", "100ms").start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    (0..MANY).for_each(|i| fs::write(data.join(i.to_string()), [7; 1000]).unwrap());
    for (index, quota) in ["100MB", "300MB"].into_iter().enumerate() {
        let dirs = format!("SSD:{}:{quota}", cluster.dir().join(quota).display());
        let host = format!("127.0.0.{}", index + 2);
        let own =
            [("worker.dirs", &*dirs), ("worker.hostname", &host), ("worker.bind.host", "0.0.0.0")];
        cluster.add_worker(&own);
    }
    cluster.wait_for_workers();
    cluster.ok(&["load", "/data"]);
    let held = |index| counter(&cluster, index, "filled_bytes") / 1000;
    assert_eq!(held(0) + held(1), MANY as u64);
    // A quarter, give or take what chance and the points of a ring do.
    assert!((60..=145).contains(&held(0)), "{} of {MANY} with a quarter of the room", held(0));
}
