//! mknod, owners and groups of what is new, times to the nanosecond, extended attributes.

use super::mount;
use crate::cluster::Cluster;
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{Gid, Uid, chown};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::time::{Duration, SystemTime};

#[test]
fn pipes_sockets_and_devices_are_what_they_are_anywhere() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let at = |name: &str| mounted.path(name);
    nix::unistd::mkfifo(&at("pipe"), Mode::from_bits_truncate(0o640)).unwrap();
    let (to, from) = (at("pipe"), at("pipe"));
    let writer = std::thread::spawn(move || {
        std::fs::File::options().write(true).open(to).unwrap().write_all(b"through").unwrap();
    });
    let mut text = String::new();
    std::fs::File::open(from).unwrap().read_to_string(&mut text).unwrap();
    writer.join().unwrap();
    assert_eq!(text, "through");
    let listener = UnixListener::bind(at("socket")).unwrap();
    drop(UnixStream::connect(at("socket")).unwrap());
    drop(listener);
    let device = nix::sys::stat::makedev(1, 3);
    mknod(&at("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), device).unwrap();
    let meta = std::fs::symlink_metadata(at("null")).unwrap();
    assert_eq!((meta.rdev(), meta.len(), meta.mode() & 0o7777), (device, 0, 0o600));
    assert!(meta.file_type().is_char_device());
    assert!(std::fs::symlink_metadata(at("socket")).unwrap().file_type().is_socket());
    std::fs::rename(at("pipe"), at("moved")).unwrap();
    assert!(std::fs::symlink_metadata(at("moved")).unwrap().file_type().is_fifo());
    let shown = mounted.cluster().ok(&["fs", "ls", "/"]);
    assert!(shown.contains("prw-r-----") && shown.contains("crw-------"), "{shown}");
    std::fs::remove_file(at("moved")).unwrap();
    assert!(!mounted.cluster().root_ufs().join("socket").exists(), "not in the under store");
}

#[test]
fn what_is_new_belongs_to_its_maker_or_to_the_group_of_its_directory() {
    let Some(mounted) = mount(Cluster::start(), "rw,allow_other") else { return };
    let at = |name: &str| mounted.path(name);
    let owners = |name: &str| {
        let meta = std::fs::symlink_metadata(at(name)).unwrap();
        (meta.uid(), meta.gid())
    };
    std::fs::create_dir(at("shared")).unwrap();
    // Numbers that no user of this host has.
    chown(&at("shared"), Some(Uid::from_raw(4_711)), Some(Gid::from_raw(4_712))).unwrap();
    std::fs::set_permissions(at("shared"), PermissionsExt::from_mode(0o2777)).unwrap();
    assert_eq!(owners("shared"), (4_711, 4_712));
    std::fs::write(at("shared/f"), "x").unwrap();
    std::fs::create_dir(at("shared/d")).unwrap();
    std::os::unix::fs::symlink("f", at("shared/l")).unwrap();
    for name in ["shared/f", "shared/d", "shared/l"] {
        assert_eq!(owners(name), (0, 4_712), "{name}");
    }
    assert_eq!(std::fs::metadata(at("shared/d")).unwrap().mode() & 0o7777, 0o2755);
    let made = std::process::Command::new("mkdir")
        .arg(at("shared/theirs"))
        .current_dir("/")
        .uid(4_711)
        .status()
        .unwrap();
    assert!(made.success());
    assert_eq!(owners("shared/theirs"), (4_711, 4_712));
    std::fs::write(at("mine"), "x").unwrap();
    assert_eq!(owners("mine"), (0, 0));
}

#[test]
fn times_are_kept_to_the_nanosecond_and_a_change_of_the_inode_is_one() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "x").unwrap();
    let before = std::fs::metadata(&path).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
    let times = std::fs::FileTimes::new();
    let earlier = then - Duration::new(7, 11);
    let file = std::fs::File::open(&path).unwrap();
    file.set_times(times.set_modified(then).set_accessed(earlier)).unwrap();
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!((meta.modified().unwrap(), meta.accessed().unwrap()), (then, earlier));
    let changed = |meta: &std::fs::Metadata| (meta.ctime(), meta.ctime_nsec());
    assert!(changed(&meta) > changed(&before), "{meta:?}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(file.metadata().unwrap().nlink(), 0);
}

#[test]
fn programs_have_extended_attributes_of_their_own() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("f"), "x").unwrap();
    let script = r#"
import errno, os, sys
path = sys.argv[1]
def refused(number, call, *args, **more):
    try: call(*args, **more)
    except OSError as error: assert error.errno == number, (error, args)
    else: raise AssertionError(args)
refused(errno.ENODATA, os.setxattr, path, "user.a", b"1", os.XATTR_REPLACE)
os.setxattr(path, "user.a", b"1", os.XATTR_CREATE)
refused(errno.EEXIST, os.setxattr, path, "user.a", b"2", os.XATTR_CREATE)
os.setxattr(path, "user.a", b"", os.XATTR_REPLACE)
assert os.getxattr(path, "user.a") == b""
os.setxattr(path, "user.b", bytes(range(256)) * 100)
assert os.getxattr(path, "user.b") == bytes(range(256)) * 100
os.setxattr(path, "trusted.c", b"3")
assert sorted(os.listxattr(path)) == ["trusted.c", "user.a", "user.b"], os.listxattr(path)
refused(errno.ENOSPC, os.setxattr, path, "user.d", b"x" * 50000)
os.removexattr(path, "user.a")
refused(errno.ENODATA, os.removexattr, path, "user.a")
refused(errno.ENODATA, os.getxattr, path, "user.a")
refused(errno.EOPNOTSUPP, os.setxattr, path, "security.x", b"1")
"#;
    let mut python = std::process::Command::new("python3");
    let output = python.arg("-c").arg(script).arg(mounted.path("f")).output().unwrap();
    assert!(output.status.success(), "{:?}", crate::cluster::texts(&output));
}
