//! What the next mount does with what the one before had made durable.

use super::{Mounted, mount, pattern};
use crate::cluster::{Cluster, eventually};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

fn update(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn elsewhere(mounted: &Mounted, path: &str) -> Vec<u8> {
    mounted.cluster().run(&["fs", "cat", path]).stdout
}

fn nothing_is_staged(mounted: &Mounted) {
    eventually("nothing is staged", || {
        let said = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
        said.contains("[]").then_some(())
    });
}

/// The directories of processes in the staging directory.
fn homes(mounted: &Mounted) -> Vec<PathBuf> {
    let staging = mounted.cluster().dir().join("staging");
    std::fs::read_dir(staging).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_was_renamed_after_it_was_synced_is_found() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let mut files = Vec::new();
    for name in ["here", "there"] {
        std::fs::create_dir(mounted.path(name)).unwrap();
        let path = mounted.path(name).join("f");
        std::fs::write(&path, "old content").unwrap();
        let file = update(&path);
        file.write_all_at(b"NEW", 0).unwrap();
        file.sync_all().unwrap();
        files.push(file);
    }
    std::fs::rename(mounted.path("here"), mounted.path("moved")).unwrap();
    mounted.kill();
    drop(files);
    mounted.cluster().ok(&["fs", "mv", "/there", "/away"]);
    mounted.serve_killed_again();
    for name in ["moved/f", "away/f"] {
        assert_eq!(std::fs::read(mounted.path(name)).unwrap(), b"NEW content", "{name}");
        eventually("it is published", || {
            (elsewhere(&mounted, &format!("/{name}")) == b"NEW content").then_some(())
        });
    }
    nothing_is_staged(&mounted);
}

#[test]
fn a_mount_does_not_wait_for_what_cannot_be_published_and_shows_it() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("old"), "original").unwrap();
    let (old, new) = (update(&mounted.path("old")), update(&mounted.path("new")));
    old.write_all_at(b"synced", 0).unwrap();
    new.write_all_at(b"new and synced", 0).unwrap();
    old.sync_all().unwrap();
    new.sync_all().unwrap();
    mounted.kill();
    drop((old, new));
    mounted.cluster_mut().workers[0].kill();
    mounted.serve_killed_again();
    assert_eq!(std::fs::read(mounted.path("old")).unwrap(), b"syncedal");
    assert_eq!(std::fs::read(mounted.path("new")).unwrap(), b"new and synced");
    // It goes on from there.
    let append = OpenOptions::new().append(true).open(mounted.path("new"));
    std::io::Write::write_all(&mut append.unwrap(), b", and more").unwrap();
    mounted.cluster_mut().workers[0].start();
    for (name, bytes) in [("/old", "syncedal"), ("/new", "new and synced, and more")] {
        eventually("it is published", || {
            (elsewhere(&mounted, name) == bytes.as_bytes()).then_some(())
        });
    }
    nothing_is_staged(&mounted);
}

#[test]
fn what_was_published_just_before_the_end_is_not_published_again() {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "1MB").start();
    let bytes = pattern(6 << 20, 1);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mut mounted) = mount(cluster, "rw") else { return };
    let file = update(&mounted.path("f"));
    file.write_all_at(b"changed", 3 << 20).unwrap();
    file.sync_all().unwrap();
    let home = homes(&mounted).pop().unwrap();
    let saved = mounted.cluster().dir().join("saved");
    let copy = |from: &Path, to: &Path| {
        let mut copy = std::process::Command::new("cp");
        assert!(copy.args(["-a", "--sparse=always"]).arg(from).arg(to).status().unwrap().success());
    };
    copy(&home, &saved);
    drop(file);
    let published = mounted.cluster().ok(&["fs", "stat", "/f"]);
    mounted.kill();
    std::fs::remove_dir_all(&home).ok();
    copy(&saved, &home);
    mounted.serve_killed_again();
    nothing_is_staged(&mounted);
    assert_eq!(mounted.cluster().ok(&["fs", "stat", "/f"]), published);
}

#[test]
fn a_file_that_is_made_again_has_the_mode_and_the_owner_it_had() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let mut files = Vec::new();
    for name in ["closed", "left"] {
        let path = mounted.path(name);
        std::fs::write(&path, "secret").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(4_711), Some(4_712)).unwrap();
        let file = update(&path);
        file.write_all_at(b"S", 0).unwrap();
        file.sync_all().unwrap();
        files.push(file);
        mounted.cluster().ok(&["fs", "rm", &format!("/{name}")]);
    }
    let left = files.pop();
    drop(files);
    let like = |mounted: &Mounted, name: &str| {
        let meta = std::fs::metadata(mounted.path(name)).ok()?;
        Some((meta.mode() & 0o7777, meta.uid(), meta.gid()))
    };
    let expected = (0o600, 4_711, 4_712);
    eventually("it is made again", || (like(&mounted, "closed")? == expected).then_some(()));
    mounted.kill();
    drop(left);
    mounted.serve_killed_again();
    // Others have deleted it: what is staged waits until somebody decides.
    let listed = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    mounted.cluster().ok(&["fuse", "staged", "publish", "--force", id]);
    eventually("it is made again", || (like(&mounted, "left")? == expected).then_some(()));
    assert_eq!(elsewhere(&mounted, "/left"), b"Secret");
}

#[test]
fn records_of_others_and_links_are_left_alone() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let file = update(&mounted.path("f"));
    file.write_all_at(b"mine", 0).unwrap();
    file.sync_all().unwrap();
    let home = homes(&mounted).pop().unwrap();
    let record = std::fs::read_dir(&home).unwrap().flatten().map(|entry| entry.path());
    let record = record.into_iter().find(|path| path.extension().is_some_and(|e| e == "json"));
    let record = std::fs::read_to_string(record.unwrap()).unwrap();
    mounted.kill();
    drop(file);
    let secret = mounted.cluster().dir().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let forge = |home: &str, path: &str, linked: bool| {
        let dir = mounted.cluster().dir().join("staging").join(home);
        std::fs::create_dir(&dir).unwrap();
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(dir.join("lock"), "").unwrap();
        let mut forged: serde_json::Value = serde_json::from_str(&record).unwrap();
        forged["path"] = path.into();
        forged["replaces"] = serde_json::Value::Null;
        std::fs::write(dir.join("1.json"), forged.to_string()).unwrap();
        match linked {
            true => std::os::unix::fs::symlink(&secret, dir.join("1.data")).unwrap(),
            false => std::fs::copy(&secret, dir.join("1.data")).map(drop).unwrap(),
        }
        dir
    };
    forge("9-linked", "/linked", true);
    let theirs = forge("9-theirs", "/theirs", false);
    std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
    let mine = forge("9-mine", "/mine", false);
    // Nobody asked for these to last.
    std::fs::write(mine.join("2.data"), "never synced").unwrap();
    std::fs::write(mine.join("3.new"), "{").unwrap();
    mounted.serve_killed_again();
    eventually("what is ours is published", || {
        (elsewhere(&mounted, "/mine") == b"secret" && elsewhere(&mounted, "/f") == b"mine")
            .then_some(())
    });
    eventually("its directory goes", || (!mine.exists()).then_some(()));
    for name in ["linked", "theirs"] {
        assert!(std::fs::metadata(mounted.path(name)).is_err(), "{name}");
    }
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
}

#[test]
fn files_are_staged_where_nobody_else_can_write() {
    let cluster = Cluster::start();
    let staging = cluster.dir().join("open");
    std::fs::create_dir(&staging).unwrap();
    std::fs::set_permissions(&staging, PermissionsExt::from_mode(0o777)).unwrap();
    if !super::may_mount() {
        return;
    }
    let dir = cluster.dir().join("mnt");
    std::fs::create_dir(&dir).unwrap();
    let setting = format!("fuse.staging.dir={}", staging.display());
    let refused = cluster.fails(&[
        "-D",
        &setting,
        "fuse",
        "mount",
        "/",
        dir.to_str().unwrap(),
        "--foreground",
    ]);
    assert!(refused.contains("can be written by others"), "{refused}");
}

#[test]
fn another_version_of_the_same_length_and_time_is_not_taken_for_what_is_staged() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    std::fs::write(mounted.path("f"), "original").unwrap();
    let file = update(&mounted.path("f"));
    file.write_all_at(b"synced, ", 0).unwrap();
    file.sync_all().unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    mounted.kill();
    drop(file);
    std::fs::write(other.path("f"), "another!").unwrap();
    File::open(other.path("f")).unwrap().set_modified(time).unwrap();
    mounted.serve_killed_again();
    let staged = mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"]);
    let staged: serde_json::Value = serde_json::from_str(&staged).unwrap();
    let id = staged[0]["id"].as_str().unwrap();
    eventually("it waits for a decision", || {
        let tried = mounted.cluster().run(&["fuse", "staged", "publish", id]);
        String::from_utf8(tried.stderr).unwrap().contains("changed by others").then_some(())
    });
    assert_eq!(elsewhere(&mounted, "/f"), b"another!");
    mounted.cluster().ok(&["fuse", "staged", "publish", id, "--force"]);
    assert_eq!(elsewhere(&mounted, "/f"), b"synced, ");
}
