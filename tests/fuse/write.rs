//! create, write, flush, release.

use super::{mount, pattern};
use crate::cluster::Cluster;
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
