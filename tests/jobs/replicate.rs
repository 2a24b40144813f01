//! Files with bounds on their copies.

use super::{holders, put};
use crate::cluster::{Cluster, eventually};

#[test]
fn a_file_has_its_copies_when_it_is_told_to_and_after_a_worker_is_lost() {
    let mut cluster = Cluster::setup().workers(0).set("master.worker.timeout", "3s").start();
    // Copies are of use on different hosts only.
    for host in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        cluster.add_worker(&[("worker.hostname", host), ("worker.bind.host", "0.0.0.0")]);
    }
    cluster.wait_for_workers();
    put(&cluster, "data", 4, 100_000);
    cluster.ok(&["load", "/data"]);
    assert_eq!(holders(&cluster, "/data/f0001").len(), 1);
    assert!(cluster.fails(&["fs", "setReplication", "--min", "2", "/data"]).contains("-R"));
    cluster.ok(&["fs", "setReplication", "-R", "--min", "2", "/data"]);
    let shown = cluster.ok(&["fs", "stat", "/data/f0001"]);
    assert!(shown.contains("replicationMin=2") && shown.contains("replicationMax=-1"), "{shown}");
    let two = eventually("a second copy is made", || {
        Some(holders(&cluster, "/data/f0001")).filter(|holders| holders.len() == 2)
    });

    cluster.workers[two[0]].kill();
    eventually("the lost copy is made elsewhere", || {
        let now = holders(&cluster, "/data/f0001");
        (now.len() == 2 && !now.contains(&two[0])).then_some(())
    });

    // It is known to the journal, and bounds that leave less drop copies.
    cluster.master.kill();
    cluster.master.start();
    let error = cluster.run(&["fs", "setReplication", "--min", "3", "--max", "1", "/data/f0001"]);
    assert!(!error.status.success());
    cluster.ok(&["fs", "setReplication", "-R", "--min", "0", "--max", "1", "/data"]);
    eventually("the copy too many is dropped", || {
        (holders(&cluster, "/data/f0001").len() == 1).then_some(())
    });
    assert!(cluster.ok(&["fs", "stat", "/data/f0001"]).contains("replicationMax=1"));
    cluster.ok(&["load", "/data", "--replicas", "2"]);
    // The ring may just have changed: then the copy of before is dropped soon.
    eventually("there is no copy beyond the maximum", || {
        (holders(&cluster, "/data/f0001").len() == 1).then_some(())
    });
}
