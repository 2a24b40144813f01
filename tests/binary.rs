//! The binary itself: static, and able to find names in spite of that.

use crate::cluster::{Cluster, goosefs};
use std::process::Command;

#[test]
fn the_binary_is_static() {
    let binary = goosefs().get_program().to_owned();
    let output = Command::new("ldd").arg(binary).output().expect("ldd comes with the C library");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("not a dynamic executable"), "{text}");
}

#[test]
fn names_of_hosts_are_found() {
    let cluster = Cluster::start();
    let out = cluster.ok(&["-D", "master.hostname=localhost", "fs", "ls", "/"]);
    assert!(out.is_empty(), "{out}");
}
