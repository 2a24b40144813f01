//! What people see who work in a mounted directory when the primary master is killed.

use super::{is_mounted, may_mount, pattern};
use crate::cluster::{Masters, eventually};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Serves a mounted directory until it is dropped.
struct Server(Child, PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        nix::mount::umount2(&self.1, nix::mount::MntFlags::MNT_DETACH).ok();
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_mounted_directory_goes_on_when_the_primary_is_killed() {
    if !may_mount() {
        return;
    }
    let mut masters = Masters::start(3, &[]);
    masters.add_worker();
    let dir = masters.dir().join("mnt");
    fs::create_dir(&dir).unwrap();
    let target = dir.to_str().unwrap();
    let mut command = masters.command(&["fuse", "mount", "/", target, "-o", "rw", "--foreground"]);
    let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _server = Server(server, dir.clone());
    eventually("the directory is mounted", || is_mounted(&dir).then_some(()));
    let bytes = pattern(3_000_000, 7);
    fs::write(dir.join("before"), &bytes).unwrap();
    let mut longest = Duration::ZERO;
    for turn in 0..2 {
        let primary = masters.wait_for_primary();
        masters.nodes[primary].kill();
        let start = Instant::now();
        // Nobody has asked for these yet: they take a master.
        fs::create_dir(dir.join(format!("directory-{turn}"))).unwrap();
        longest = longest.max(start.elapsed());
        let file = dir.join(format!("directory-{turn}/file"));
        fs::write(&file, &bytes[turn..]).unwrap();
        assert!(fs::read(&file).unwrap() == bytes[turn..], "what was written is read");
        assert!(fs::read(dir.join("before")).unwrap() == bytes, "what was there is there");
        masters.nodes[primary].spawn();
        let all = ["m0", "m1", "m2"].map(|name| (name, "VOTER", true));
        masters.wait_for_states(&all);
    }
    assert!(longest < Duration::from_secs(15), "a pause of {longest:?}");
}
