//! mkdir, unlink, rmdir, rename, setattr, setxattr.

use super::mount;
use crate::cluster::Cluster;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

fn errno(error: std::io::Error) -> i32 {
    error.raw_os_error().unwrap()
}

#[test]
fn the_tree_is_changed_as_any_directory_is() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let at = |name: &str| mounted.path(name);
    std::fs::create_dir_all(at("a/b/c")).unwrap();
    assert_eq!(errno(std::fs::create_dir(at("a/b")).unwrap_err()), libc::EEXIST);
    std::fs::write(at("a/b/f"), "one").unwrap();
    assert_eq!(errno(std::fs::remove_dir(at("a/b")).unwrap_err()), libc::ENOTEMPTY);
    std::fs::rename(at("a/b"), at("z")).unwrap();
    assert_eq!(std::fs::read_to_string(at("z/f")).unwrap(), "one");
    assert_eq!(errno(std::fs::metadata(at("a/b")).unwrap_err()), libc::ENOENT);
    std::fs::write(at("z/g"), "two").unwrap();
    std::fs::rename(at("z/g"), at("z/f")).unwrap();
    assert_eq!(std::fs::read_to_string(at("z/f")).unwrap(), "two");
    assert_eq!(std::fs::read_dir(at("z")).unwrap().count(), 2, "f and c");
    std::fs::remove_file(at("z/f")).unwrap();
    assert_eq!(errno(std::fs::remove_file(at("z/f")).unwrap_err()), libc::ENOENT);
    std::fs::remove_dir_all(at("z")).unwrap();
    assert!(!mounted.cluster().ok(&["fs", "ls", "/"]).contains("/z"));
}

#[test]
fn modes_times_and_attributes_are_kept() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "x").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o751)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o751);
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(then).unwrap();
    drop(file);
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), then);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "x", "touching changes no bytes");
}

#[test]
fn whoever_changes_a_program_does_not_keep_it_running_as_its_owner() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(mounted.cluster().dir(), open).unwrap();
    let changes = [
        "printf x >> f",
        "printf x > f",
        "truncate -s 3 f",
        "dd if=f of=f count=1 conv=notrunc 2>&1",
    ];
    for change in changes {
        let path = mounted.path("f");
        std::fs::write(&path, "program").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o6777)).unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", change]).current_dir(mounted.path(""));
        assert!(
            std::os::unix::process::CommandExt::uid(&mut shell, 65534).status().unwrap().success()
        );
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o777, "{change}");
    }
    let path = mounted.path("f");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o6755)).unwrap();
    std::os::unix::fs::chown(&path, Some(1), None).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn a_mount_that_is_read_only_refuses_every_change() {
    let cluster = Cluster::start();
    std::fs::write(cluster.root_ufs().join("f"), "x").unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    for refused in [
        std::fs::write(mounted.path("new"), "x"),
        std::fs::create_dir(mounted.path("d")),
        std::fs::remove_file(mounted.path("f")),
        std::fs::rename(mounted.path("f"), mounted.path("g")),
    ] {
        assert_eq!(errno(refused.unwrap_err()), libc::EROFS);
    }
}
