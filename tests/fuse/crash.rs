//! What is safe when processes are killed, and what happens to it then.

use super::{Mounted, mount, pattern};
use crate::cluster::{Cluster, eventually};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

fn update(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn elsewhere(mounted: &Mounted, path: &str) -> Vec<u8> {
    mounted.cluster().run(&["fs", "cat", path]).stdout
}

#[test]
fn what_was_synced_outlasts_the_process() {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "1MB").start();
    let mut bytes = pattern(3 << 20, 1);
    std::fs::write(cluster.root_ufs().join("old"), &bytes).unwrap();
    let Some(mut mounted) = mount(cluster, "rw") else { return };
    let (old, new) = (update(&mounted.path("old")), update(&mounted.path("new")));
    old.write_all_at(b"changed", 1 << 20).unwrap();
    old.set_len(2 << 20).unwrap();
    old.sync_all().unwrap();
    new.write_all_at(b"new and safe", 0).unwrap();
    new.sync_data().unwrap();
    let lost = update(&mounted.path("lost"));
    lost.write_all_at(b"nobody asked", 0).unwrap();
    // In order, to the workers: made durable there.
    let mut stream = File::create(mounted.path("stream")).unwrap();
    std::io::Write::write_all(&mut stream, b"written in order").unwrap();
    stream.sync_all().unwrap();
    mounted.kill_and_serve_again();
    drop((old, new, lost, stream));
    bytes.truncate(2 << 20);
    bytes[1 << 20..][..7].copy_from_slice(b"changed");
    assert!(std::fs::read(mounted.path("old")).unwrap() == bytes);
    assert_eq!(std::fs::read(mounted.path("new")).unwrap(), b"new and safe");
    assert_eq!(elsewhere(&mounted, "/stream"), b"written in order");
    eventually("the next mount publishes it", || {
        (elsewhere(&mounted, "/old") == bytes && elsewhere(&mounted, "/new") == b"new and safe")
            .then_some(())
    });
    eventually("nothing is staged any more", || {
        let said = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
        said.contains("[]").then_some(())
    });
}

#[test]
fn what_others_changed_since_waits_for_a_decision() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let names = ["published", "exported", "dropped"];
    for name in names {
        std::fs::write(mounted.path(name), "original").unwrap();
        let file = update(&mounted.path(name));
        file.set_len(0).unwrap();
        file.write_all_at(b"staged", 0).unwrap();
        file.sync_all().unwrap();
        std::mem::forget(file);
    }
    let said = mounted.cluster().ok(&["fuse", "staged", "ls"]);
    assert!(said.contains("open in its mount"), "{said}");
    mounted.kill();
    let source = mounted.cluster().dir().join("other");
    std::fs::write(&source, "by others").unwrap();
    for name in names {
        let path = format!("/{name}");
        mounted.cluster().ok(&[
            "fs",
            "copyFromLocal",
            "--overwrite",
            source.to_str().unwrap(),
            &path,
        ]);
    }
    mounted.serve_killed_again();
    let listed = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = |name: &str| {
        let path = format!("/{name}");
        let all = listed.as_array().unwrap().iter();
        let found = all.clone().find(|left| left["path"] == path.as_str());
        found.unwrap_or_else(|| panic!("{name} is not in {listed}"))["id"]
            .as_str()
            .unwrap()
            .to_string()
    };
    for name in names {
        assert_eq!(elsewhere(&mounted, &format!("/{name}")), b"by others");
    }
    let refused = mounted.cluster().fails(&["fuse", "staged", "publish", &id("published")]);
    assert!(refused.contains("--force"), "{refused}");
    mounted.cluster().ok(&["fuse", "staged", "publish", "--force", &id("published")]);
    assert_eq!(elsewhere(&mounted, "/published"), b"staged");
    let out = mounted.cluster().dir().join("exported");
    mounted.cluster().ok(&["fuse", "staged", "export", &id("exported"), out.to_str().unwrap()]);
    assert_eq!(std::fs::read(out).unwrap(), b"staged");
    for name in ["exported", "dropped"] {
        mounted.cluster().ok(&["fuse", "staged", "drop", &id(name)]);
    }
    assert!(mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]).contains("[]"));
}

#[test]
fn what_cannot_be_published_fails_the_close_stays_staged_and_is_tried_again() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "old").unwrap();
    let file = update(&path);
    file.write_all_at(b"new", 0).unwrap();
    mounted.cluster_mut().workers[0].kill();
    let closed = nix::unistd::close(file);
    assert!(closed.is_err(), "the error shows at close");
    let said = mounted.cluster().ok(&["fuse", "staged", "ls"]);
    assert!(said.contains("tried again by its mount") && said.contains("/f"), "{said}");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        b"new",
        "who works here goes on with what they wrote"
    );
    mounted.cluster_mut().workers[0].start();
    eventually("it is published", || (elsewhere(&mounted, "/f") == b"new").then_some(()));
    eventually("nothing is staged any more", || {
        let said = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
        said.contains("[]").then_some(())
    });
}

#[test]
fn synced_records_survive_kills_at_any_moment() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let mut safe = 0_u64;
    for round in 0..4 {
        let path = mounted.path("log");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let synced = std::sync::atomic::AtomicU64::new(safe);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = update(&path);
                for n in safe.. {
                    let done =
                        file.write_all_at(&n.to_le_bytes(), n * 8).and_then(|()| file.sync_data());
                    if done.is_err() || stop.load(std::sync::atomic::Ordering::Relaxed) {
                        break;
                    }
                    synced.store(n + 1, std::sync::atomic::Ordering::SeqCst);
                }
                // Closing fails: nobody is there.
                nix::unistd::close(file).ok();
            });
            let enough = safe + 20 + round * 7;
            eventually("records are synced", || {
                (synced.load(std::sync::atomic::Ordering::SeqCst) > enough).then_some(())
            });
            mounted.kill_process();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        safe = synced.load(std::sync::atomic::Ordering::SeqCst);
        mounted.unmount();
        mounted.serve_killed_again();
        let read = std::fs::read(mounted.path("log")).unwrap();
        assert!(read.len() as u64 >= safe * 8, "{} bytes of {safe} records", read.len());
        for n in 0..safe {
            let at = n as usize * 8;
            assert_eq!(read[at..at + 8], n.to_le_bytes(), "record {n}");
        }
    }
}
