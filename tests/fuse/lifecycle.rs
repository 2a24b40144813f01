//! Mounting, unmounting, dying.

use super::{is_mounted, may_mount, mount};
use crate::cluster::{Cluster, eventually, free_port, goosefs, run, texts};
use std::process::Command;

#[test]
fn what_is_wrong_with_a_mount_point_is_said_with_the_cure() {
    if !may_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (missing, at) = (dir.path().join("none"), dir.path().to_str().unwrap());
    for (target, options, said) in [
        (missing.to_str().unwrap(), "ro", "make the directory first"),
        (file.to_str().unwrap(), "ro", "is not a directory"),
        (at, "atr_timeout=1", "did you mean attr_timeout?"),
    ] {
        let output = run(goosefs().args(["fuse", "mount", "/", target, "-o", options]));
        let (_, error) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
    }
    let output = run(goosefs().args(["fuse", "umount", at]));
    assert!(texts(&output).1.contains("no FUSE file system is mounted"), "{:?}", texts(&output));
}

#[test]
fn without_a_master_mounting_fails_in_time_and_names_it() {
    if !may_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, mnt) = (dir.path().join("data"), dir.path().join("mnt"));
    std::fs::create_dir(&mnt).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = goosefs();
    command.args(["-D", &format!("goosefs.data.dir={}", data.display())]);
    command.args(["-D", &format!("goosefs.master.rpc.addresses={address}")]);
    let output = run(command.args(["fuse", "mount", "/"]).arg(&mnt));
    let (_, error) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&address), "{error}");
    assert!(!is_mounted(&mnt));
}

#[test]
fn mounting_returns_once_the_directory_can_be_used() {
    if !may_mount() {
        return;
    }
    let cluster = Cluster::start();
    std::fs::write(cluster.root_ufs().join("f"), "ready").unwrap();
    let mnt = cluster.dir().join("mnt");
    std::fs::create_dir(&mnt).unwrap();
    let data = format!("goosefs.data.dir={}", cluster.dir().join("fuse").display());
    cluster.ok(&["-D", &data, "fuse", "mount", "/", mnt.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(mnt.join("f")).unwrap(), "ready");
    let busy = cluster.fails(&["-D", &data, "fuse", "mount", "/", mnt.to_str().unwrap()]);
    assert!(busy.contains("mounted on"), "{busy}");
    cluster.ok(&["fuse", "umount", mnt.to_str().unwrap()]);
    assert!(!is_mounted(&mnt));
}

#[test]
fn a_signal_unmounts() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let pid = mounted.server().id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = eventually("the server ends", || mounted.server().try_wait().unwrap());
    assert!(status.success());
    assert!(!is_mounted(&mounted.path("").components().collect::<std::path::PathBuf>()));
}

#[test]
fn a_killed_server_leaves_a_mount_that_can_be_unmounted_and_mounted_again() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("kept"), "before").unwrap();
    let mut half = std::fs::File::create(mounted.path("half")).unwrap();
    std::io::Write::write_all(&mut half, b"never closed").unwrap();
    mounted.server().kill().unwrap();
    mounted.server().wait().unwrap();
    drop(half);
    let dead = mounted.path("").to_str().unwrap().to_string();
    let error = std::fs::read(mounted.path("kept")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    let refused = mounted.cluster().fails(&["fuse", "mount", "/", &dead]);
    assert!(refused.contains("fuse umount"), "{refused}");
    mounted.unmount();
    mounted.serve_again();
    assert_eq!(std::fs::read_to_string(mounted.path("kept")).unwrap(), "before");
}

#[test]
fn a_mount_outlives_the_one_that_was_there_before_it() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("f"), "here").unwrap();
    // Files that stay open keep the first one busy after it was unmounted.
    let (signalled, closed) = (mounted.path("f"), mounted.path("f"));
    for (path, signal) in [(signalled, true), (closed, false)] {
        let open = std::fs::File::open(path).unwrap();
        mounted.unmount();
        let mut before = mounted.serve_beside();
        if signal {
            let pid = before.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        }
        drop(open);
        eventually("the first one ends", || before.try_wait().unwrap());
        assert_eq!(std::fs::read_to_string(mounted.path("f")).unwrap(), "here");
    }
}
