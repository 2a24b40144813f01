//! Copy and move between mounts.

use super::{put, stat, submit, wait_for};
use crate::cluster::{Cluster, eventually};
use crate::ufs::s3::request;
use crate::ufs::servers::moto;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Mounts a directory of the test at `/other`.
fn mount_other(cluster: &Cluster) -> PathBuf {
    let other = cluster.dir().join("other");
    fs::create_dir(&other).unwrap();
    cluster.ok(&["fs", "mount", "/other", &format!("file://{}", other.display())]);
    other
}

#[test]
fn a_tree_is_copied_to_another_store_with_what_it_has() {
    let cluster = Cluster::start();
    put(&cluster, "data/a/b", 30, 3_000);
    let root = cluster.root_ufs();
    fs::write(root.join("data/big"), vec![5; 3 << 20]).unwrap();
    fs::write(root.join("data/none"), "").unwrap();
    fs::create_dir(root.join("data/empty")).unwrap();
    fs::set_permissions(root.join("data/big"), PermissionsExt::from_mode(0o640)).unwrap();
    let other = mount_other(&cluster);
    cluster.ok(&["load", "/data/a"]);
    cluster.ok(&["fs", "cp", &format!("file://{}", root.join("data/big").display()), "/data/only"]);

    let said = cluster.ok(&["fs", "distributedCp", "--verify", "/data", "/other/copy"]);
    assert!(said.contains("/data -> /other/copy copied: 33 files"), "{said}");
    let copy = other.join("copy");
    assert_eq!(fs::read(copy.join("a/b/f0007")).unwrap(), vec![7; 3_000]);
    assert_eq!(fs::read(copy.join("big")).unwrap(), vec![5; 3 << 20]);
    assert_eq!(fs::read(copy.join("only")).unwrap(), vec![5; 3 << 20]);
    assert_eq!(fs::read(copy.join("none")).unwrap(), b"");
    assert!(copy.join("empty").is_dir());
    assert_eq!(fs::metadata(copy.join("big")).unwrap().permissions().mode() & 0o777, 0o640);
    // And the tree has it, in the very version that the store has.
    let sum = |path: &str| cluster.ok(&["fs", "checksum", path]);
    assert_eq!(sum("/other/copy/big"), sum("/data/big"));
    assert!(cluster.ok(&["fs", "ls", "/other/copy/a/b"]).contains("f0029"));

    let again = cluster.ok(&["fs", "distributed-cp", "/data", "/other/copy"]);
    assert!(again.contains("33 of them there already"), "{again}");
    fs::write(root.join("data/big"), vec![6; 2 << 20]).unwrap();
    cluster.ok(&["fs", "loadMetadata", "-R", "-F", "/data"]);
    let error = cluster.fails(&["fs", "distributedCp", "/data", "/other/copy"]);
    assert!(error.contains("/other/copy/big") && error.contains("--overwrite"), "{error}");
    cluster.ok(&["fs", "distributedCp", "--overwrite", "/data", "/other/copy"]);
    assert_eq!(fs::read(copy.join("big")).unwrap(), vec![6; 2 << 20]);
    assert_eq!(sum("/other/copy/big"), sum("/data/big"));

    cluster.ok(&["fs", "distributedCp", "/data/big", "/other"]);
    assert_eq!(fs::read(other.join("big")).unwrap().len(), 2 << 20);
    let itself = cluster.fails(&["fs", "distributedCp", "--overwrite", "/data/only", "/data"]);
    assert!(itself.contains("copied to itself"), "{itself}");
    assert!(cluster.ok(&["fs", "ls", "/data/only"]).contains("/data/only"));
    let into = cluster.fails(&["fs", "distributedCp", "/data", "/data/a/x"]);
    assert!(into.contains("one holds the other"), "{into}");
    assert!(cluster.fails(&["fs", "distributedCp", "/nope", "/x"]).contains("/nope"));
    cluster.ok(&["fs", "updateMount", "--readonly", "/other"]);
    let refused = cluster.fails(&["fs", "distributedCp", "/data", "/other/x"]);
    assert!(refused.contains("read-only"), "{refused}");
}

#[test]
fn a_move_leaves_nothing_but_what_changed() {
    let cluster = Cluster::start();
    put(&cluster, "data/in", 20, 2_000);
    let other = mount_other(&cluster);
    let id =
        submit(&cluster, &["fs", "distributedMv", "/data", "/other/data", "--bandwidth", "20KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(2));
    // Of the same length, as bad as it can be: found by its version.
    fs::write(cluster.root_ufs().join("data/in/f0019"), vec![99; 2_000]).unwrap();
    let failed = wait_for(&cluster, &id, |job| job["endedMs"].as_i64() > Some(0));
    assert_eq!((&failed["filesFailed"], &failed["filesDone"]), (&1.into(), &19.into()));
    assert_eq!(failed["failures"][0]["path"], "/data/in/f0019");
    let left: Vec<_> = fs::read_dir(cluster.root_ufs().join("data/in")).unwrap().collect();
    assert_eq!(left.len(), 1);
    cluster.ok(&["fs", "loadMetadata", "-R", "-F", "/data"]);
    cluster.ok(&["fs", "distributedMv", "--overwrite", "/data", "/other/data"]);
    assert_eq!(fs::read(other.join("data/in/f0019")).unwrap(), vec![99; 2_000]);
    assert_eq!(fs::read(other.join("data/in/f0004")).unwrap(), vec![4; 2_000]);
    assert!(!cluster.root_ufs().join("data").exists());
    assert!(cluster.fails(&["fs", "ls", "/data"]).contains("/data"));
}

#[test]
fn a_copy_outlives_a_killed_worker_and_a_killed_master() {
    let mut cluster = Cluster::setup().workers(2).set("master.worker.timeout", "3s").start();
    put(&cluster, "data", 80, 50_000);
    let other = mount_other(&cluster);
    let id =
        submit(&cluster, &["fs", "distributedCp", "/data", "/other/c", "--bandwidth", "800KB"]);
    wait_for(&cluster, &id, |job| job["filesDone"].as_i64() > Some(3));
    cluster.workers[0].kill();
    std::thread::sleep(Duration::from_millis(500));
    cluster.master.kill();
    cluster.master.start();
    let done = wait_for(&cluster, &id, |job| job["endedMs"].as_i64() > Some(0));
    assert_eq!(done["state"], "DONE", "{done}");
    assert_eq!(stat(&cluster, &id)["filesDone"], 80);
    for i in 0..80 {
        let copy = fs::read(other.join(format!("c/f{i:04}"))).unwrap();
        assert!(copy == vec![i as u8; 50_000], "f{i:04}");
    }
    // Nothing half-written has a name.
    let visible = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    assert_eq!(fs::read_dir(other.join("c")).unwrap().flatten().filter(visible).count(), 80);
}

#[test]
fn a_tree_is_copied_to_an_s3_store_and_moved_back() {
    let Some(server) = moto(false) else { return };
    let url = server.url();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(request(reqwest::Method::PUT, format!("{url}/bucket")));
    let cluster = Cluster::start();
    put(&cluster, "data/in", 12, 3_000);
    fs::write(cluster.root_ufs().join("data/big"), vec![5; 12 << 20]).unwrap();
    let endpoint = format!("s3.endpoint={url}");
    let keys = ["--option", "s3.access.key=AK", "--option", "s3.secret.key=SK"];
    let mount = ["fs", "mount", "/s3", "s3://bucket/x", "--option", &endpoint];
    cluster.ok(&[&mount[..], &keys[..]].concat());

    cluster.ok(&["fs", "distributedCp", "--verify", "/data", "/s3/data"]);
    let sum = |path: &str| cluster.ok(&["fs", "checksum", path]);
    assert_eq!(sum("/s3/data/big"), sum("/data/big"));
    let again = cluster.ok(&["fs", "distributedCp", "/data", "/s3/data"]);
    assert!(again.contains("13 of them there already"), "{again}");

    cluster.ok(&["fs", "distributedMv", "/s3/data", "/back"]);
    assert_eq!(fs::read(cluster.root_ufs().join("back/big")).unwrap(), vec![5; 12 << 20]);
    assert_eq!(fs::read(cluster.root_ufs().join("back/in/f0011")).unwrap(), vec![11; 3_000]);
    let left = runtime.block_on(request(reqwest::Method::GET, format!("{url}/bucket")));
    assert!(!left.contains("big") && !left.contains("f0011"), "{left}");
}

#[test]
fn a_copy_takes_the_place_of_what_is_in_the_cache_only() {
    let cluster = Cluster::setup().workers(2).start();
    put(&cluster, "data", 3, 5_000);
    let own = cluster.dir().join("own");
    fs::write(&own, vec![99; 7_000]).unwrap();
    let own = format!("file://{}", own.display());
    cluster.ok(&["fs", "mkdir", "/copy"]);
    for name in ["f0001", "own"] {
        let to = format!("/copy/{name}");
        cluster.ok(&["-Duser.file.writetype.default=MUST_CACHE", "fs", "cp", &own, &to]);
    }
    let bytes_at = |path: &str| cluster.run(&["fs", "cat", path]).stdout;
    let stored = |name: &str| cluster.root_ufs().join("copy").join(name);
    assert!(!stored("f0001").exists(), "it is in the cache only");

    let error = cluster.fails(&["fs", "distributedCp", "/data", "/copy"]);
    assert!(error.contains("/copy/f0001") && error.contains("--overwrite"), "{error}");
    assert_eq!(bytes_at("/copy/f0001"), vec![99; 7_000], "what nobody gave up is still there");
    assert!(!stored("f0001").exists());

    cluster.ok(&["fs", "distributedCp", "--overwrite", "--verify", "/data", "/copy"]);
    assert_eq!(fs::read(stored("f0001")).unwrap(), vec![1; 5_000]);
    assert_eq!(bytes_at("/copy/f0001"), vec![1; 5_000]);
    let sum = |path: &str| cluster.ok(&["fs", "checksum", path]);
    assert_eq!(sum("/copy/f0001"), sum("/data/f0001"));
    assert!(cluster.ok(&["fs", "ls", "/copy/f0001"]).contains("PERSISTED"));
    // What is not in the source is nobody's to touch, and stays where it is.
    assert_eq!(bytes_at("/copy/own"), vec![99; 7_000]);
    assert!(!stored("own").exists());
    let again = cluster.ok(&["fs", "distributedCp", "--overwrite", "/data", "/copy"]);
    assert!(again.contains("3 of them there already"), "{again}");
    // The bytes that were replaced are given back: a worker holds no more than there is.
    cluster.ok(&["fs", "free", "/copy/f0001"]);
    eventually("the replaced blocks to be dropped", || {
        let held = cluster.ok(&["fsadmin", "-o", "json", "report", "capacity"]);
        let held: Value = serde_json::from_str(&held).unwrap();
        let du = cluster.ok(&["fs", "-o", "json", "du", "-s", "/"]);
        let du: Value = serde_json::from_str(&du).unwrap();
        (held["usedCapacityBytes"] == du[0]["cachedBytes"]).then_some(())
    });
}
