//! create, write, flush, release.

use super::{mount, pattern};
use crate::cluster::Cluster;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;

#[test]
fn files_are_copied_in_and_read_back_the_same() {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "4MB").start();
    let source = cluster.dir().join("source");
    std::fs::create_dir_all(source.join("sub")).unwrap();
    for n in [0, 1, 4096, 100_000, (4 << 20) + 1, 9 << 20] {
        std::fs::write(source.join(format!("sub/{n}")), pattern(n, n as u64)).unwrap();
    }
    let Some(mounted) = mount(cluster, "rw") else { return };
    let copied = Command::new("cp").arg("-r").args([&source, &mounted.path("in")]).output();
    let copied = copied.unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let same =
        Command::new("diff").arg("-r").args([&source, &mounted.path("in")]).output().unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let below = mounted.cluster().root_ufs().join("in/sub/100000");
    assert!(std::fs::read(below).unwrap() == pattern(100_000, 100_000), "a plain file underneath");
}

#[test]
fn a_file_is_overwritten_and_a_shell_redirects() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    for text in ["first", "the second, which is longer", "3"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let script = "echo one > g && (echo two; /bin/echo three) > h && cat g h";
    let shell = Command::new("sh").args(["-c", script]).current_dir(mounted.path("")).output();
    assert_eq!(String::from_utf8_lossy(&shell.unwrap().stdout), "one\ntwo\nthree\n");
}

#[test]
fn what_would_change_bytes_in_the_middle_is_refused_and_changes_nothing() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "original").unwrap();
    let mut append = OpenOptions::new().append(true).open(&path).unwrap();
    assert!(append.write_all(b"more").is_err());
    drop(append);
    let update = OpenOptions::new().write(true).open(&path).unwrap();
    assert!(update.write_all_at(b"x", 3).is_err());
    assert!(update.set_len(3).is_err());
    drop(update);
    let new = File::create(mounted.path("holes")).unwrap();
    assert!(new.write_all_at(b"x", 100).is_err());
    drop(new);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "original");
}
