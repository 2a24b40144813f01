//! Copies beyond a number are freed, and no others.

use super::{holders, is_cached, put, stat};
use crate::cluster::{Cluster, eventually};
use serde_json::Value;

const BYTES: usize = 100_000;

/// Frees copies of `path` but for `replicas`; what the job tells of itself.
fn free(cluster: &Cluster, replicas: &str, path: &str) -> Value {
    let said = cluster.ok(&["fs", "-o", "json", "free", "--replicas", replicas, path]);
    serde_json::from_str::<Value>(&said).unwrap()[0].take()
}

/// How many bytes came free, of how many files, and how many files were left as they were.
fn figures(job: &Value) -> [u64; 3] {
    ["bytesDone", "filesDone", "filesSkipped"].map(|name| job[name].as_u64().unwrap())
}

#[test]
fn copies_beyond_a_number_are_freed_but_for_those_that_must_stay() {
    let setup = Cluster::setup().workers(0).set("master.persistence.initial.interval", "1h");
    let mut cluster = setup.start();
    for host in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        cluster.add_worker(&[("worker.hostname", host), ("worker.bind.host", "0.0.0.0")]);
    }
    cluster.wait_for_workers();
    let copies = |path: &str| holders(&cluster, path).len();
    put(&cluster, "data", 5, BYTES);
    cluster.ok(&["load", "--replicas", "3", "/data"]);
    assert_eq!(copies("/data/f0000"), 3);
    cluster.ok(&["fs", "setReplication", "--min", "2", "/data/f0000"]);
    cluster.ok(&["fs", "pin", "/data/f0001"]);
    cluster.ok(&[
        "-Duser.file.writetype.default=ASYNC_THROUGH",
        "-Duser.file.replication.durable=2",
        "fs",
        "cp",
        &format!("file://{}", cluster.root_ufs().join("data/f0000").display()),
        "/data/only",
    ]);
    assert_eq!(copies("/data/only"), 2);

    // A file by itself.
    let bytes = BYTES as u64;
    assert_eq!(figures(&free(&cluster, "2", "/data/f0002")), [bytes, 1, 0]);
    assert_eq!([copies("/data/f0002"), copies("/data/f0003")], [2, 3]);
    assert_eq!(figures(&free(&cluster, "2", "/data/f0002")), [0, 1, 1], "there are no more");

    // A tree: two of f0003 and f0004, one of f0002, one of f0000, which is to have two.
    let said = cluster.ok(&["fs", "free", "--replicas", "1", "/data"]);
    assert!(said.contains("6 files, 585.9KB"), "{said}");
    assert!(said.contains("2 of them left as they were"), "{said}");
    for (file, left) in [("f0000", 2), ("f0001", 3), ("f0002", 1), ("f0003", 1), ("f0004", 1)] {
        let path = format!("/data/{file}");
        assert_eq!(copies(&path), left, "{path}");
        assert!(is_cached(&cluster, &path), "{path}: the copy that readers look for has stayed");
    }
    assert_eq!(copies("/data/only"), 2, "the copies of what is nowhere else stay");
    let shown = cluster.ok(&["fs", "stat", "/data/f0000", "/data/f0003"]);
    assert!(shown.contains("replicationMin=2") && shown.contains("replicationMax=-1"), "{shown}");

    assert!(!cluster.run(&["fs", "free", "--replicas", "0", "/data"]).status.success());
    assert!(!cluster.run(&["fs", "free", "-f", "--replicas", "1", "/data"]).status.success());
    assert!(cluster.fails(&["fs", "free", "--replicas", "1", "/nope"]).contains("/nope"));
}

#[test]
fn copies_of_a_worker_that_does_not_answer_stay_and_are_told_of() {
    let mut cluster = Cluster::setup().workers(0).start();
    for host in ["127.0.0.1", "127.0.0.2"] {
        cluster.add_worker(&[("worker.hostname", host), ("worker.bind.host", "0.0.0.0")]);
    }
    cluster.wait_for_workers();
    put(&cluster, "data", 3, BYTES);
    cluster.ok(&["load", "--replicas", "2", "/data"]);
    cluster.workers[1].kill();
    let error = cluster.fails(&["fs", "free", "--replicas", "1", "/data"]);
    assert!(error.contains("127.0.0.2") && error.contains("goosefs job retry 2"), "{error}");
    assert_eq!(figures(&stat(&cluster, "2")), [0, 3, 3], "the others' are the only ones known");
    cluster.workers[1].start();
    eventually("the copies too many are freed once all answer", || {
        let again = cluster.run(&["job", "retry", "2"]);
        let two = |i| holders(&cluster, &format!("/data/f000{i}")).len() > 1;
        (again.status.success() && !(0..3).any(two)).then_some(())
    });
    assert!(is_cached(&cluster, "/data"));
}
