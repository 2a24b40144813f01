//! `goosefs fs`: every verb, driven as a user would, with good input and bad.

use crate::cluster::{Cluster, PATIENCE, eventually, texts};
use std::fs;
use std::time::Instant;

/// A cluster whose root holds `/data/{a.txt,b.bin,sub/c.txt}`.
fn with_data() -> Cluster {
    let cluster = Cluster::start();
    let data = cluster.root_ufs().join("data");
    fs::create_dir_all(data.join("sub")).unwrap();
    fs::write(data.join("a.txt"), "0123456789").unwrap();
    fs::write(data.join("b.bin"), vec![7u8; 300_000]).unwrap();
    fs::write(data.join("sub/c.txt"), "deep").unwrap();
    cluster
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn files_of_the_under_store_are_listed_and_read() {
    let cluster = with_data();
    let all = cluster.ok(&["fs", "ls", "-R", "/data"]);
    let paths: Vec<&str> = all.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(paths, ["/data/a.txt", "/data/b.bin", "/data/sub", "/data/sub/c.txt"]);
    assert!(all.lines().next().is_some_and(|line| line.starts_with("-rw")), "{all}");
    let sizes = json(&cluster.ok(&["fs", "-o", "json", "ls", "--sort", "size", "-r", "/data"]));
    assert_eq!(sizes[0]["length"], 300_000);
    assert_eq!(cluster.ok(&["fs", "cat", "/data/a.txt", "/data/sub/c.txt"]), "0123456789deep");
    assert_eq!(cluster.ok(&["fs", "head", "-c", "3", "/data/a.txt"]), "012");
    assert_eq!(cluster.ok(&["fs", "tail", "-c", "3", "/data/a.txt"]), "789");
    assert_eq!(cluster.ok(&["fs", "stat", "-f", "%N %z", "/data/*.txt"]), "a.txt 10\n");
    assert!(
        cluster
            .ok(&["fs", "count", "/data"])
            .ends_with("3                        2                        300014\n")
    );
    let sum = cluster.ok(&["fs", "checksum", "/data/a.txt"]);
    assert_eq!(sum, "md5sum: 781e5e245d69b566979b86e28d23f2c7\n");
}

#[test]
fn the_tree_is_changed_by_the_verbs() {
    let cluster = Cluster::start();
    cluster.ok(&["fs", "mkdir", "/a/b", "/a/c"]);
    cluster.ok(&["fs", "touch", "/a/b/one", "/a/b/two"]);
    cluster.ok(&["fs", "mv", "/a/b/*", "/a/c"]);
    assert!(cluster.run(&["fs", "test", "-e", "/a/c/two"]).status.success());
    assert!(!cluster.run(&["fs", "test", "-s", "/a/b"]).status.success());
    assert!(cluster.run(&["fs", "test", "-z", "/a/c/one"]).status.success());
    cluster.ok(&["fs", "chmod", "640", "/a/c/one"]);
    cluster.ok(&["fs", "chmod", "-R", "g+w", "/a/c"]);
    cluster.ok(&["fs", "chown", "ann:users", "/a/c/one"]);
    cluster.ok(&["fs", "setTtl", "/a/c/one", "1day"]);
    cluster.ok(&["fs", "pin", "/a/c/one"]);
    let stat = json(&cluster.ok(&["fs", "-o", "json", "stat", "/a/c/one"]));
    assert_eq!((&stat[0]["mode"], &stat[0]["owner"]), (&"0660".into(), &"ann".into()));
    assert_eq!((&stat[0]["ttlMs"], &stat[0]["pinned"]), (&86_400_000.into(), &true.into()));
    assert!(cluster.ok(&["fs", "ls", "-p", "/a/c"]).contains("/a/c/one"));
    cluster.ok(&["fs", "unpin", "/a/c/one"]);
    cluster.ok(&["fs", "unsetTtl", "/a/c/one"]);
    assert!(cluster.fails(&["fs", "rm", "/a"]).contains("-R"));
    cluster.ok(&["fs", "rm", "-R", "/a"]);
    assert!(cluster.fails(&["fs", "ls", "/a"]).contains("/a does not exist"));
}

#[test]
fn trees_are_copied_in_and_out_and_within() {
    let cluster = Cluster::start();
    let local = cluster.dir().join("local");
    fs::create_dir_all(local.join("deep/er")).unwrap();
    for i in 0..40 {
        fs::write(local.join(format!("deep/er/{i}")), vec![i as u8; i * 1000]).unwrap();
    }
    std::os::unix::fs::symlink("deep/er/1", local.join("link")).unwrap();
    let source = format!("file://{}", local.display());
    assert!(cluster.fails(&["fs", "cp", &source, "/in"]).contains("use -R"));
    cluster.ok(&["fs", "cp", "-R", &source, "/in"]);
    cluster.ok(&["fs", "cp", "-R", "/in", "/again"]);
    let back = cluster.dir().join("back");
    cluster.ok(&["fs", "copyToLocal", "-R", "/again", &back.display().to_string()]);
    for i in 0..40 {
        let read = fs::read(back.join(format!("deep/er/{i}"))).unwrap();
        assert_eq!(read, vec![i as u8; i * 1000], "file {i}");
    }
    assert_eq!(fs::read_link(back.join("link")).unwrap().to_str(), Some("deep/er/1"));
    let error = cluster.fails(&["fs", "cp", "/in/deep/er/1", "/in/deep/er/2"]);
    assert!(error.contains("--overwrite"), "{error}");
    cluster.ok(&["fs", "cp", "--overwrite", "/in/deep/er/1", "/in/deep/er/2"]);
    assert_eq!(cluster.ok(&["fs", "stat", "-f", "%z", "/in/deep/er/2"]), "1000\n");
}

#[test]
fn what_is_only_in_the_cache_is_persisted_when_asked() {
    let cluster = Cluster::setup().set("user.file.writetype.default", "MUST_CACHE").start();
    let local = cluster.dir().join("local");
    fs::create_dir_all(&local).unwrap();
    fs::write(local.join("file"), "precious").unwrap();
    std::os::unix::fs::symlink("file", local.join("link")).unwrap();
    cluster.ok(&["fs", "copyFromLocal", "-R", &local.display().to_string(), "/in"]);
    assert!(!cluster.root_ufs().join("in/file").exists());
    let said = cluster.ok(&["fs", "persist", "/in"]);
    assert!(said.contains("persisted: 1 files"), "{said}");
    assert_eq!(fs::read(cluster.root_ufs().join("in/file")).unwrap(), b"precious");
    cluster.ok(&["fs", "free", "/in"]);
    assert_eq!(cluster.ok(&["fs", "cat", "/in/file"]), "precious");
}

#[test]
fn mounts_come_and_go_and_wrong_ones_are_refused() {
    let cluster = with_data();
    let other = cluster.dir().join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("x"), "x").unwrap();
    let uri = format!("file://{}", other.display());
    cluster.ok(&["fs", "mount", "--readonly", "/other", &uri, "--option", "a.secretKey=hush"]);
    let listed = cluster.ok(&["fs", "mount"]);
    assert!(listed.contains("/other") && listed.contains("read-only"), "{listed}");
    assert!(!listed.contains("hush"), "{listed}");
    assert_eq!(cluster.ok(&["fs", "cat", "/other/x"]), "x");
    cluster.fails(&["fs", "touch", "/other/y"]);
    for (path, uri, says) in [
        ("/other", "file:///tmp", "/other"),
        ("/data", "file:///tmp", "/data"),
        ("/gone", "file:///no/such/directory", "/no/such/directory"),
        ("/odd", "odd://x", "odd"),
    ] {
        let error = cluster.fails(&["fs", "mount", path, uri]);
        assert!(error.contains(says), "mounting {uri} at {path}: {error}");
    }
    cluster.ok(&["fs", "unmount", "/other"]);
    assert!(!cluster.run(&["fs", "test", "-e", "/other/x"]).status.success());
    assert!(other.join("x").exists(), "what is underneath stays");
    cluster.fails(&["fs", "unmount", "/other"]);
}

#[test]
fn bad_names_are_refused_in_one_line() {
    let cluster = Cluster::start();
    let long = format!("/{}", "x".repeat(256));
    for path in ["/a/../b", "", "relative", long.as_str()] {
        for verb in ["ls", "mkdir", "touch", "stat", "rm", "cat"] {
            let error = cluster.fails(&["fs", verb, path]);
            assert_eq!(error.lines().count(), 1, "{verb} {path:?}: {error}");
            assert!(error.starts_with("goosefs: "), "{error}");
        }
    }
    let output = cluster.run(&["fs", "ls", "--nonsense", "/"]);
    assert_eq!(output.status.code(), Some(2), "{:?}", texts(&output));
}

#[test]
fn the_good_operands_are_done_whatever_the_bad() {
    let cluster = with_data();
    let output = cluster.run(&["fs", "cat", "/data/a.txt", "/nope", "/data/sub/c.txt"]);
    let (out, err) = texts(&output);
    assert_eq!((out.as_str(), output.status.code()), ("0123456789deep", Some(1)));
    assert!(err.contains("/nope"), "{err}");
}

#[test]
fn an_absent_master_is_named_soon() {
    let mut cluster = Cluster::setup().workers(0).start();
    cluster.master.kill();
    let start = Instant::now();
    let error = cluster.fails(&["fs", "ls", "/"]);
    assert!(error.contains(&cluster.master_address()), "{error}");
    assert!(start.elapsed() < PATIENCE / 2, "it took {:?}", start.elapsed());
}

#[test]
fn a_file_that_is_freed_at_the_end_of_its_time_stays_in_its_store() {
    let cluster = Cluster::setup().set("master.ttl.checker.interval", "100ms").start();
    for name in ["kept", "freed"] {
        fs::write(cluster.root_ufs().join(name), "as it was").unwrap();
    }
    cluster.ok(&["load", "/kept", "/freed"]);
    let cached = |name: &str| cluster.ok(&["fs", "du", "-s", name]).contains("(100%)");
    assert!(cached("/kept") && cached("/freed"));
    cluster.ok(&["fs", "setTtl", "/freed", "1s"]);
    eventually("it is freed", || (!cached("/freed")).then_some(()));
    assert!(cached("/kept"));
    assert_eq!(cluster.ok(&["fs", "cat", "/freed"]), "as it was");
    // Its time to live has done its work: what is read again stays.
    eventually("it is cached again", || cached("/freed").then_some(()));
}

#[test]
fn an_expired_file_goes_from_its_store_and_what_took_its_place_there_stays() {
    let cluster = Cluster::setup().set("master.ttl.checker.interval", "100ms").start();
    for name in ["old", "replaced"] {
        fs::write(cluster.root_ufs().join(name), "as it was").unwrap();
    }
    // Long enough for it to be replaced before, on a busy machine too.
    cluster.ok(&["fs", "setTtl", "--action", "delete", "/replaced", "5s"]);
    fs::write(cluster.root_ufs().join("replaced"), "something newer").unwrap();
    cluster.ok(&["fs", "setTtl", "--action", "delete", "/old", "1s"]);
    eventually("the old one is deleted", || {
        (!cluster.root_ufs().join("old").exists()).then_some(())
    });
    eventually("the time of the replaced one to run out", || {
        let log = cluster.master.log_text();
        log.lines()
            .any(|l| l.contains("its TTL has run out, and") && l.contains("/replaced"))
            .then_some(())
    });
    assert_eq!(fs::read(cluster.root_ufs().join("replaced")).unwrap(), b"something newer");
    assert_eq!(cluster.ok(&["fs", "cat", "/replaced"]), "something newer");
}
