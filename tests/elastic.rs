//! Workers that come and go: blocks move with them, reads go on, and nothing is lost.

use crate::cluster::{Cluster, Node, eventually};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A cluster of `workers`, each on a host of its own, with `count` files below `/data`.
fn cluster(workers: usize, count: usize) -> Cluster {
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("master.migration.delay", "200ms")
        .set("master.persistence.initial.interval", "3s")
        .set("worker.block.heartbeat.interval", "100ms")
        .set("user.file.writetype.default", "MUST_CACHE")
        .set("user.short.circuit.enabled", "false")
        .start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    (0..count).for_each(|i| fs::write(data.join(i.to_string()), content(i)).unwrap());
    (0..workers).for_each(|_| add_worker(&mut cluster, &[]));
    cluster.wait_for_workers();
    cluster
}

fn add_worker(cluster: &mut Cluster, own: &[(&str, &str)]) {
    let host = format!("127.0.0.{}", cluster.workers.len() + 2);
    let mut all = vec![("worker.hostname", host.as_str()), ("worker.bind.host", "0.0.0.0")];
    all.extend(own);
    cluster.add_worker(&all);
}

fn content(i: usize) -> Vec<u8> {
    (0..20_000 + i).map(|byte| (byte * 31 + i) as u8).collect()
}

fn json(cluster: &Cluster, args: &[&str]) -> Value {
    serde_json::from_str(&cluster.ok(args)).unwrap()
}

/// What the master says of the worker that `node` is.
fn worker_of(cluster: &Cluster, node: &Node) -> Value {
    let report = json(cluster, &["fsadmin", "-o", "json", "report", "capacity"]);
    let port = format!(":{}", node.port);
    let workers = report["workers"].as_array().unwrap();
    let found = workers.iter().find(|w| w["address"].as_str().unwrap().ends_with(&port));
    found.cloned().unwrap_or(Value::Null)
}

fn wait_for_state(cluster: &Cluster, index: usize, state: &str) {
    eventually(&format!("worker {index} is {state}"), || {
        (worker_of(cluster, &cluster.workers[index])["state"] == state).then_some(())
    });
}

/// One counter of a worker, as its own page tells it.
fn counter(cluster: &Cluster, index: usize, name: &str) -> u64 {
    cluster.workers[index].counter(name)
}

fn filled(cluster: &Cluster) -> u64 {
    let workers = 0..cluster.workers.len();
    workers
        .filter(|&index| cluster.workers[index].is_running())
        .map(|index| counter(cluster, index, "goosefs_worker_filled_bytes"))
        .sum()
}

fn read_all(cluster: &Cluster, count: usize) {
    let copy = cluster.dir().join("copy");
    fs::remove_dir_all(&copy).ok();
    cluster.ok(&["fs", "copyToLocal", "-R", "/data", copy.to_str().unwrap()]);
    (0..count).for_each(|i| assert_eq!(read(&copy, i), content(i), "file {i}"));
}

fn read(copy: &Path, i: usize) -> Vec<u8> {
    let inner = copy.join("data").join(i.to_string());
    fs::read(&inner).or_else(|_| fs::read(copy.join(i.to_string()))).unwrap()
}

#[test]
fn a_new_worker_is_warm_before_it_is_asked_and_no_more_moves_than_must() {
    let mut cluster = cluster(2, 120);
    cluster.ok(&["load", "/data"]);
    read_all(&cluster, 120);
    let before = filled(&cluster);
    add_worker(&mut cluster, &[]);
    eventually("the newcomer warms up, and is taken in", || {
        cluster.master.log_text().contains("state=\"WARMING_UP\"").then_some(())
    });
    wait_for_state(&cluster, 2, "LIVE");
    let moved: u64 = (0..2).map(|i| counter(&cluster, i, "goosefs_worker_moved_bytes")).sum();
    let here = worker_of(&cluster, &cluster.workers[2])["usedBytes"].as_u64().unwrap();
    let all: u64 = (0..120).map(|i| content(i).len() as u64).sum();
    assert!(here > all / 6 && here < all / 2, "{here} of {all} bytes");
    assert!(moved <= here * 12 / 10, "{moved} bytes moved for {here}");
    read_all(&cluster, 120);
    assert!(counter(&cluster, 2, "goosefs_worker_read_bytes") > 0, "nobody asked the newcomer");
    assert_eq!(filled(&cluster), before, "something was fetched again");
}

#[test]
fn a_worker_that_leaves_takes_nothing_with_it() {
    let mut cluster = cluster(3, 60);
    cluster.ok(&["load", "/data"]);
    let local = cluster.dir().join("only");
    for i in 0..20 {
        fs::write(&local, content(i)).unwrap();
        cluster.ok(&["fs", "copyFromLocal", local.to_str().unwrap(), &format!("/only-{i}")]);
    }
    let name = worker_of(&cluster, &cluster.workers[0])["address"].as_str().unwrap().to_string();
    let held = worker_of(&cluster, &cluster.workers[0]);
    let before = filled(&cluster);
    let said = cluster.ok(&["fsadmin", "decommission", &name]);
    assert!(said.contains("has drained"), "{said}");
    assert_eq!(worker_of(&cluster, &cluster.workers[0])["persistUsedBytes"], 0, "had {held}");
    // What it filled counted in its own process: not any more.
    let gone = counter(&cluster, 0, "goosefs_worker_filled_bytes");
    cluster.workers[0].kill();
    for i in 0..20 {
        fs::remove_file(&local).ok();
        cluster.ok(&["fs", "copyToLocal", &format!("/only-{i}"), local.to_str().unwrap()]);
        assert_eq!(fs::read(&local).unwrap(), content(i), "file {i}");
    }
    read_all(&cluster, 60);
    assert_eq!(filled(&cluster), before - gone, "something was fetched again");

    let last = cluster.fails(&["fsadmin", "decommission", "127.0.0.9"]);
    assert!(last.contains("no such worker"), "{last}");
    cluster.workers[0].start();
    wait_for_state(&cluster, 0, "LIVE");
}

#[test]
fn the_last_worker_cannot_leave() {
    let cluster = cluster(1, 1);
    let error = cluster.fails(&["fsadmin", "decommission", "127.0.0.2"]);
    assert!(error.contains("last worker") && error.contains("start another"), "{error}");
}

#[test]
fn a_worker_that_is_told_to_stop_gives_away_what_it_holds_first() {
    let mut cluster = cluster(1, 0);
    add_worker(&mut cluster, &[("worker.stop.drain", "50s")]);
    cluster.wait_for_workers();
    let local = cluster.dir().join("only");
    for i in 0..20 {
        fs::write(&local, content(i)).unwrap();
        cluster.ok(&["fs", "copyFromLocal", local.to_str().unwrap(), &format!("/only-{i}")]);
    }
    let held = worker_of(&cluster, &cluster.workers[1])["persistUsedBytes"].as_u64().unwrap();
    assert!(held > 0, "nothing was written there");
    assert!(cluster.workers[1].stop(), "{}", cluster.workers[1].log_text());
    for i in 0..20 {
        fs::remove_file(&local).ok();
        cluster.ok(&["fs", "copyToLocal", &format!("/only-{i}"), local.to_str().unwrap()]);
        assert_eq!(fs::read(&local).unwrap(), content(i), "file {i}");
    }
    cluster.workers[1].start();
    wait_for_state(&cluster, 1, "LIVE");
}

#[test]
fn moving_goes_on_after_the_master_and_a_worker_are_killed() {
    let mut cluster = cluster(3, 40);
    cluster.ok(&["load", "/data"]);
    let local = cluster.dir().join("only");
    for i in 0..30 {
        fs::write(&local, content(i)).unwrap();
        cluster.ok(&["fs", "copyFromLocal", local.to_str().unwrap(), &format!("/only-{i}")]);
    }
    cluster.ok(&["fsadmin", "decommission", "127.0.0.2", "--detach"]);
    eventually("blocks begin to move", || {
        cluster.master.log_text().contains("blocks begin to move").then_some(())
    });
    cluster.master.kill();
    cluster.workers[1].kill();
    cluster.master.start();
    cluster.workers[1].start();
    wait_for_state(&cluster, 0, "DRAINED");
    cluster.workers[0].kill();
    for i in 0..30 {
        fs::remove_file(&local).ok();
        cluster.ok(&["fs", "copyToLocal", &format!("/only-{i}"), local.to_str().unwrap()]);
        assert_eq!(fs::read(&local).unwrap(), content(i), "file {i}");
    }
    read_all(&cluster, 40);
}

#[test]
fn a_migration_can_be_held_ended_and_cut_short() {
    let mut cluster = cluster(1, 80);
    cluster.ok(&["load", "/data"]);
    cluster.workers[0].set("worker.migration.bandwidth", "20KB");
    cluster.workers[0].kill();
    cluster.workers[0].start();
    wait_for_state(&cluster, 0, "LIVE");
    add_worker(&mut cluster, &[]);
    wait_for_state(&cluster, 1, "WARMING_UP");
    let status = || json(&cluster, &["fsadmin", "-o", "json", "report", "migration"]);
    eventually("blocks move, slowly", || {
        let migration = cluster.run(&["fsadmin", "report", "migration"]);
        (migration.status.success() && status()["movedBlocks"].as_i64() > Some(0)).then_some(())
    });
    cluster.ok(&["fsadmin", "migrate", "pause"]);
    assert_eq!(status()["status"], "PAUSED");
    assert!(cluster.ok(&["fsadmin", "report"]).contains("Moving Blocks: PAUSED, "));
    let report = json(&cluster, &["fsadmin", "-o", "json", "report"]);
    assert!(report["migrationMovedBlocks"].as_i64() > Some(0), "{report}");
    assert!(report["migrationTotalBlocks"].as_i64() > Some(0), "{report}");
    cluster.ok(&["fsadmin", "migrate", "start"]);
    assert_eq!(status()["status"], "RUNNING");
    read_all(&cluster, 80);
    cluster.ok(&["fsadmin", "migrate", "cancel"]);
    assert_eq!(status()["status"], "CANCELLED");
    assert_eq!(worker_of(&cluster, &cluster.workers[1])["state"], "WARMING_UP");
    let said = cluster.ok(&["fsadmin", "recommission", "--warming"]);
    assert!(said.contains("1 workers are active"), "{said}");
    wait_for_state(&cluster, 1, "LIVE");
    // What did not move is copied when it is asked for, not fetched again.
    let before = filled(&cluster);
    read_all(&cluster, 80);
    assert_eq!(filled(&cluster), before, "something was fetched again");
    assert!(counter(&cluster, 1, "goosefs_worker_copied_bytes") > 0);
}

#[test]
fn all_workers_together_keep_to_the_bound_of_their_under_stores() {
    let cluster = cluster(2, 50);
    assert!(cluster.ok(&["fsadmin", "ratelimit"]).contains("without a bound"));
    let said = cluster.ok(&["fsadmin", "ratelimit", "400KB"]);
    assert!(said.contains("400KB a second"), "{said}");
    for index in 0..2 {
        eventually("each worker hears of its half", || {
            let rate = counter(&cluster, index, "goosefs_worker_ufs_rate_bytes");
            (rate == 200 << 10).then_some(())
        });
    }
    let start = std::time::Instant::now();
    cluster.ok(&["load", "/data"]);
    let took = start.elapsed().as_secs_f64();
    let bytes: usize = (0..50).map(|i| content(i).len()).sum();
    let ideal = bytes as f64 / (400.0 * 1024.0);
    assert!(took > 0.8 * ideal, "{took} s for {ideal}");
    cluster.ok(&["fsadmin", "ratelimit", "0"]);
    read_all(&cluster, 50);
}

#[test]
fn schedulers_are_told_where_data_belongs() {
    let cluster = cluster(2, 50);
    cluster.ok(&["load", "/data"]);
    let port = cluster.master.property("master.web.port").unwrap();
    let get = |path: &str| {
        let path = format!("/api/v1/locations?path={path}");
        crate::cluster::http_get(&format!("127.0.0.1:{port}"), &path)
    };
    let body = |answer: &str| -> Value {
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    };
    let all = body(&get("/data"));
    assert_eq!((&all["files"], &all["complete"]), (&50.into(), &true.into()));
    let hosts = all["hosts"].as_array().unwrap();
    let told: u64 = hosts.iter().map(|host| host["bytes"].as_u64().unwrap()).sum();
    assert_eq!((hosts.len(), told), (2, all["length"].as_u64().unwrap()));
    for host in hosts {
        let address = format!("{}:{}", host["host"].as_str().unwrap(), host["port"]);
        let report = json(&cluster, &["fsadmin", "-o", "json", "report", "capacity"]);
        let worker =
            report["workers"].as_array().unwrap().iter().find(|w| w["address"] == *address);
        assert_eq!(worker.unwrap()["usedBytes"], host["bytes"]);
    }
    assert!(get("/nope").starts_with("HTTP/1.1 404"));
    assert!(get("nope").starts_with("HTTP/1.1 400"));
}

#[test]
fn many_readers_of_one_cold_file_fetch_it_once() {
    let cluster = cluster(2, 0);
    let data: Vec<u8> = (0..24 << 20).map(|i: u32| (i ^ (i >> 11)) as u8).collect();
    fs::write(cluster.root_ufs().join("large"), &data).unwrap();
    let readers: Vec<_> = (0..16)
        .map(|_| {
            let mut command = cluster.command(&["fs", "cat", "/large"]);
            std::thread::spawn(move || command.output().unwrap().stdout)
        })
        .collect();
    for reader in readers {
        assert!(reader.join().unwrap() == data, "other bytes came");
    }
    assert_eq!(filled(&cluster), data.len() as u64);
}

#[test]
fn copies_of_what_waits_to_be_persisted_are_kept_when_workers_are_lost() {
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("master.worker.timeout", "1s")
        .set("master.persistence.initial.interval", "1h")
        .set("worker.block.heartbeat.interval", "100ms")
        .set("user.file.writetype.default", "ASYNC_THROUGH")
        .set("user.short.circuit.enabled", "false")
        .start();
    (0..4).for_each(|_| add_worker(&mut cluster, &[]));
    cluster.wait_for_workers();
    let local = cluster.dir().join("only");
    for i in 0..10 {
        fs::write(&local, content(i)).unwrap();
        cluster.ok(&["fs", "copyFromLocal", local.to_str().unwrap(), &format!("/only-{i}")]);
    }
    let all: u64 = 2 * (0..10).map(|i| content(i).len() as u64).sum::<u64>();
    let held = |cluster: &Cluster, live: &[usize]| -> u64 {
        let unpersisted = |&index: &usize| {
            worker_of(cluster, &cluster.workers[index])["persistUsedBytes"].as_u64().unwrap()
        };
        live.iter().map(unpersisted).sum()
    };
    let whole = |cluster: &Cluster, live: &[usize]| (held(cluster, live) == all).then_some(());
    eventually("two copies of everything", || whole(&cluster, &[0, 1, 2, 3]));
    // One goes after the other: nothing is lost with both.
    cluster.workers[0].kill();
    eventually("two copies of everything, again", || whole(&cluster, &[1, 2, 3]));
    cluster.workers[1].kill();
    for i in 0..10 {
        fs::remove_file(&local).ok();
        cluster.ok(&["fs", "copyToLocal", &format!("/only-{i}"), local.to_str().unwrap()]);
        assert_eq!(fs::read(&local).unwrap(), content(i), "file {i}");
    }
}

#[test]
fn a_worker_killed_while_it_persists_leaves_no_half_file_and_another_goes_on() {
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("master.worker.timeout", "1s")
        .set("worker.block.heartbeat.interval", "100ms")
        .set("user.file.writetype.default", "ASYNC_THROUGH")
        .start();
    (0..2).for_each(|_| add_worker(&mut cluster, &[]));
    cluster.wait_for_workers();
    cluster.ok(&["fsadmin", "ratelimit", "2MB"]);
    for index in 0..2 {
        eventually("each worker hears of its half", || {
            (counter(&cluster, index, "goosefs_worker_ufs_rate_bytes") == 1 << 20).then_some(())
        });
    }
    let (local, store) = (cluster.dir().join("only"), cluster.root_ufs());
    let data: Vec<u8> = (0..8 << 20).map(|i: u32| (i ^ (i >> 9)) as u8).collect();
    fs::write(&local, &data).unwrap();
    cluster.ok(&["fs", "copyFromLocal", local.to_str().unwrap(), "/only"]);
    // Whoever has a file of the store open is writing it.
    let writes = |node: &Node| {
        let open = fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap();
        let mut open = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        open.any(|path| path.starts_with(&store))
    };
    let writer = eventually("a worker persists it", || cluster.workers.iter().position(writes));
    cluster.workers[writer].kill();
    assert!(!store.join("only").exists(), "it was persisted too soon for this test");
    cluster.ok(&["fsadmin", "ratelimit", "0"]);
    eventually("the other one persists it", || {
        store.join("only").exists().then(|| {
            assert!(fs::read(store.join("only")).unwrap() == data, "other bytes, or not all");
        })
    });
    eventually("it is known to be safe", || {
        let stat = json(&cluster, &["fs", "-o", "json", "stat", "/only"]);
        (stat[0]["persistenceState"] == "PERSISTED").then_some(())
    });
}

#[test]
fn a_file_that_its_store_does_not_take_is_shown_and_tried_again() {
    let cluster = cluster(1, 0);
    let local = cluster.dir().join("only");
    fs::write(&local, content(7)).unwrap();
    let write = ["-D", "user.file.writetype.default=ASYNC_THROUGH", "fs"];
    let run = |args: &[&str]| cluster.ok(&[&write[..], args].concat());
    run(&["mkdir", "/out"]);
    run(&["copyFromLocal", local.to_str().unwrap(), "/out/a"]);
    // A file where the directory was: nobody can write below it, root or not.
    fs::remove_dir_all(cluster.root_ufs().join("out")).ok();
    fs::write(cluster.root_ufs().join("out"), b"in the way").unwrap();
    eventually("the failure is shown with its cause", || {
        let failed = cluster.ok(&["fsadmin", "persist", "ls"]);
        failed.starts_with("/out/a: ").then_some(())
    });
    let report = cluster.ok(&["fsadmin", "report"]);
    assert!(report.contains("To Persist: 1 files, 1 of them failed so far"), "{report}");
    let report = json(&cluster, &["fsadmin", "-o", "json", "report"]);
    assert_eq!((&report["filesToPersist"], &report["filesNotPersisted"]), (&1.into(), &1.into()));
    fs::remove_file(cluster.root_ufs().join("out")).unwrap();
    assert!(cluster.ok(&["fsadmin", "persist", "retry"]).contains("tried again"));
    eventually("it is persisted whole", || {
        let there = fs::read(cluster.root_ufs().join("out/a")).unwrap_or_default();
        (there == content(7)).then_some(())
    });
    eventually("nothing is left to retry", || {
        cluster.ok(&["fsadmin", "persist", "ls"]).is_empty().then_some(())
    });
}

#[test]
fn of_two_workers_with_one_id_only_the_first_takes_part() {
    let mut cluster = cluster(1, 20);
    cluster.ok(&["load", "/data"]);
    let copy = cluster.dir().join("copy-of-identity");
    fs::create_dir(&copy).unwrap();
    let identity = cluster.workers[0].dir().join("data/worker/identity.json");
    fs::copy(identity, copy.join("identity.json")).unwrap();
    add_worker(&mut cluster, &[("worker.data.folder", copy.to_str().unwrap())]);
    eventually("the second is told what is wrong", || {
        cluster.workers[1].log_text().contains("has the same id").then_some(())
    });
    let name = worker_of(&cluster, &cluster.workers[0])["address"].clone();
    assert!(name.as_str().unwrap().starts_with("127.0.0.2"), "{name}");
    let before = filled(&cluster);
    read_all(&cluster, 20);
    assert_eq!(filled(&cluster), before, "something was fetched again");
    // It was the one that moved, after all.
    cluster.workers[0].kill();
    wait_for_state(&cluster, 1, "LIVE");
    read_all(&cluster, 20);
}

#[test]
fn a_worker_that_was_given_up_comes_back_with_what_is_still_good() {
    const ALL: usize = 30;
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("master.worker.timeout", "1s")
        .set("worker.block.heartbeat.interval", "100ms")
        .set("user.short.circuit.enabled", "false")
        .set("user.file.metadata.sync.interval", "0")
        .start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(&data).unwrap();
    (0..ALL).for_each(|i| fs::write(data.join(i.to_string()), content(i)).unwrap());
    (0..2).for_each(|_| add_worker(&mut cluster, &[]));
    cluster.wait_for_workers();
    cluster.ok(&["load", "/data"]);
    let port = format!(":{}", cluster.workers[0].port);
    let was_there: Vec<usize> = (0..ALL)
        .filter(|i| {
            let location = cluster.ok(&["fs", "-o", "json", "location", &format!("/data/{i}")]);
            location.contains(&format!("{port}\""))
        })
        .collect();
    assert!(was_there.len() > 4 && was_there.len() < ALL, "{was_there:?}");
    cluster.workers[0].kill();
    eventually("it is given up", || {
        let address = format!("127.0.0.2{port}");
        cluster.run(&["fsadmin", "forget-worker", &address]).status.success().then_some(())
    });
    // While it is away files are deleted, and others replaced by some of the same length.
    let new = |i: usize| content(i).iter().map(|byte| !byte).collect::<Vec<u8>>();
    for i in 0..ALL {
        match i % 3 {
            0 => fs::remove_file(data.join(i.to_string())).unwrap(),
            1 => fs::write(data.join(i.to_string()), new(i)).unwrap(),
            _ => {}
        }
    }
    cluster.ok(&["fs", "ls", "/data"]);
    cluster.workers[0].start();
    cluster.wait_for_workers();
    let good: u64 =
        was_there.iter().filter(|&&i| i % 3 == 2).map(|&i| content(i).len() as u64).sum();
    eventually("it has dropped what nobody can want", || {
        let used = worker_of(&cluster, &cluster.workers[0])["usedBytes"].as_u64();
        (used == Some(good)).then_some(())
    });
    for i in 0..ALL {
        let read = cluster.run(&["fs", "cat", &format!("/data/{i}")]);
        match i % 3 {
            0 => assert!(!read.status.success(), "file {i} is back"),
            1 => assert!(read.stdout == new(i), "file {i} as it was"),
            _ => assert!(read.stdout == content(i), "file {i}"),
        }
    }
}

#[test]
fn a_second_copy_comes_from_the_first_and_not_from_the_store() {
    let cluster = cluster(2, 30);
    cluster.ok(&["load", "/data"]);
    let (before, all) = (filled(&cluster), (0..30).map(|i| content(i).len() as u64).sum::<u64>());
    assert_eq!(before, all);
    cluster.ok(&["load", "/data", "--replicas", "2"]);
    assert_eq!(filled(&cluster), before, "the store was asked again");
    let copied = |index| counter(&cluster, index, "goosefs_worker_copied_bytes");
    assert_eq!(copied(0) + copied(1), all);
}
