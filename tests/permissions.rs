//! Who may do what, where permissions are checked.

use crate::cluster::Cluster;
use goosefs::client::{CreateOptions, FileSystem};
use goosefs::core::error::ErrorKind;
use goosefs::core::model::{FsPath, WriteType};
use std::fs;

/// A cluster that checks permissions, with `/open` for everybody and `/closed` for its superuser.
fn cluster() -> Cluster {
    let cluster = Cluster::setup().set("security.authorization.permission.enabled", "true").start();
    cluster.ok(&["fs", "mkdir", "/open"]);
    cluster.ok(&["fs", "chmod", "777", "/open"]);
    cluster.ok(&["fs", "mkdir", "/closed"]);
    cluster
}

/// The options of a command that `user` gives.
fn user(name: &str) -> String {
    format!("-Dsecurity.login.username={name}")
}

fn client(cluster: &Cluster, name: &str) -> FileSystem {
    let mut config = cluster.config();
    config.security.username = name.into();
    FileSystem::connect(&config)
}

#[test]
fn others_may_do_what_modes_say_and_are_told_why_not() {
    let cluster = cluster();
    let local = cluster.dir().join("local");
    fs::write(&local, "hers").unwrap();
    let local = local.to_str().unwrap();
    let (alice, bob) = (user("alice"), user("bob"));
    let refused = cluster.fails(&[&alice, "fs", "copyFromLocal", local, "/closed/x"]);
    assert!(refused.contains("alice may not"), "{refused}");
    cluster.ok(&[&alice, "fs", "copyFromLocal", local, "/open/x"]);
    cluster.ok(&[&alice, "fs", "chmod", "600", "/open/x"]);
    assert_eq!(cluster.ok(&[&alice, "fs", "cat", "/open/x"]), "hers");
    for verb in [&["cat", "/open/x"][..], &["chmod", "777", "/open/x"], &["rm", "-R", "/closed"]] {
        let refused = cluster.fails(&[&[&*bob, "fs"], verb].concat());
        assert!(refused.contains("bob may not"), "{verb:?}: {refused}");
    }
    // The cluster's own user may everything.
    assert_eq!(cluster.ok(&["fs", "cat", "/open/x"]), "hers");
}

#[test]
fn who_makes_a_file_that_nobody_may_write_writes_it_once() {
    let cluster = cluster();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let types = [WriteType::MustCache, WriteType::CacheThrough, WriteType::AsyncThrough];
    for (number, write_type) in types.into_iter().enumerate() {
        let path = FsPath::parse(&format!("/open/{number}")).unwrap();
        runtime.block_on(async {
            let alice = client(&cluster, "alice");
            let options = CreateOptions {
                write_type: Some(write_type),
                mode: Some(0o444),
                ..Default::default()
            };
            let mut writer = alice.create(&path, &options).await.unwrap();
            writer.write("once").await.unwrap();
            let status = writer.close().await.unwrap();
            assert_eq!((status.owner.as_str(), status.mode), ("alice", 0o444));
            // Complete, it is as its mode says; and another does not end what she begins.
            let begun = FsPath::parse(&format!("/open/begun-{number}")).unwrap();
            let mut writer = alice.create(&begun, &options).await.unwrap();
            writer.write("hers").await.unwrap();
            let bob = client(&cluster, "bob");
            let refused = bob.create(&begun, &options).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
            writer.close().await.unwrap();
        });
        assert_eq!(cluster.ok(&["fs", "cat", path.as_str()]), "once");
    }
}
