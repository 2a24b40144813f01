//! Whose blocks a worker holds: file ids of one cluster mean nothing in another.

use crate::cluster::{Cluster, texts};
use std::fs;

fn cat(cluster: &Cluster, path: &str) -> String {
    cluster.ok(&["fs", "cat", path])
}

/// Another cluster in place of the one that was there, with one other file.
fn begin_anew(cluster: &mut Cluster, gone: &str, new: &str, content: &str) {
    cluster.master.kill();
    fs::remove_dir_all(cluster.master.dir().join("data/master")).unwrap();
    fs::remove_file(cluster.root_ufs().join(gone)).unwrap();
    fs::write(cluster.root_ufs().join(new), content).unwrap();
    cluster.master.start();
}

#[test]
fn blocks_of_another_cluster_are_dropped_and_never_served() {
    let mut cluster = Cluster::setup().workers(0).start();
    fs::write(cluster.root_ufs().join("one"), "first cluster").unwrap();
    cluster.add_worker(&[]);
    cluster.wait_for_workers();
    assert_eq!(cat(&cluster, "/one"), "first cluster");

    // The worker lives on.
    begin_anew(&mut cluster, "one", "two", "the second's");
    cluster.wait_for_workers();
    assert_eq!(cat(&cluster, "/two"), "the second's");

    // The worker has forgotten who it is, but its directories know.
    cluster.workers[0].kill();
    fs::remove_dir_all(cluster.workers[0].dir().join("data/worker")).unwrap();
    begin_anew(&mut cluster, "two", "three", "third");
    cluster.workers[0].start();
    cluster.wait_for_workers();
    assert_eq!(cat(&cluster, "/three"), "third");
}

#[test]
fn a_worker_with_the_only_copies_of_another_cluster_is_not_used() {
    let mut cluster = Cluster::start();
    let local = cluster.dir().join("local");
    fs::write(&local, "the only copy").unwrap();
    let kept = "-Duser.file.writetype.default=MUST_CACHE";
    cluster.ok(&[kept, "fs", "copyFromLocal", local.to_str().unwrap(), "/only"]);

    fs::write(cluster.root_ufs().join("x"), "").unwrap();
    begin_anew(&mut cluster, "x", "other", "of the store");
    let output = cluster.run(&["-Duser.rpc.retry.max.duration=2s", "fs", "cat", "/other"]);
    assert!(!output.status.success(), "{:?}", texts(&output));
    let why = "some of them the only copies";
    crate::cluster::eventually("the worker says why", || {
        cluster.workers[0].log_text().contains(why).then_some(())
    });
}
