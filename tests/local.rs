//! Everything in one process: `goosefs mount URI DIR` and `goosefs local start --mount DIR`.

use crate::cluster::{eventually, free_port, goosefs, run, scratch_dir, texts};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

/// A store with one file, and a directory to mount on; unmounted and removed when dropped.
struct Place {
    dir: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = scratch_dir();
        std::fs::create_dir_all(dir.join("store/deep")).unwrap();
        std::fs::create_dir(dir.join("mnt")).unwrap();
        std::fs::write(dir.join("store/deep/file"), vec![42; 3 << 20]).unwrap();
        Place { dir }
    }

    fn mnt(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = goosefs();
        command.arg("-D").arg(format!("data.dir={}", self.dir.join("data").display()));
        command.args(args);
        command
    }

    fn unmount(&self) -> Output {
        run(self.command(&["fuse", "umount"]).arg(self.mnt()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if is_mounted(&self.mnt()) {
            self.unmount();
        }
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

fn is_mounted(dir: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1) == dir.to_str())
}

fn can_mount() -> bool {
    let can = Path::new("/dev/fuse").exists() && nix::unistd::geteuid().is_root();
    if !can {
        eprintln!("SKIPPED: mounting needs /dev/fuse and root");
    }
    can
}

#[test]
fn a_store_is_mounted_by_its_address_alone() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    for round in 0..2 {
        let store = place.dir.join("store");
        let output = run(place.command(&["mount"]).arg(&store).arg(place.mnt()));
        assert!(output.status.success(), "round {round}: {}", texts(&output).1);
        let bytes = std::fs::read(place.mnt().join("deep/file")).unwrap();
        assert!(bytes == vec![42; 3 << 20], "round {round}");
        let output = place.unmount();
        assert!(output.status.success(), "round {round}: {}", texts(&output).1);
        // The process behind it goes too, or the next round could not open its journal.
        eventually("the directory is free", || (!is_mounted(&place.mnt())).then_some(()));
        let pattern = format!("mount --foreground.*{}", place.mnt().display());
        eventually("the serving process ends", || {
            let found = Command::new("pgrep").args(["-f", &pattern]).output().unwrap();
            (!found.status.success()).then_some(())
        });
    }
}

#[test]
fn a_store_that_is_not_there_is_named() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let output = run(place.command(&["mount", "/no/such/store"]).arg(place.mnt()));
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("/no/such/store"), "{}", texts(&output).1);
}

#[test]
fn local_start_serves_clients_and_a_directory() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let port = free_port();
    let properties = [
        format!("master.rpc.port={port}"),
        "master.hostname=127.0.0.1".into(),
        "master.web.port=0".into(),
        format!("worker.rpc.port={}", free_port()),
        "worker.web.port=0".into(),
        "worker.hostname=127.0.0.1".into(),
        format!("worker.dirs=SSD:{}:1GB", place.dir.join("blocks").display()),
        format!("master.mount.table.root.ufs={}", place.dir.join("store").display()),
    ];
    let with = |args: &[&str]| {
        let mut command = place.command(&[]);
        properties.iter().for_each(|property| {
            command.arg("-D").arg(property);
        });
        command.args(args);
        command
    };
    let mut process =
        Stopped(with(&["local", "start", "--mount"]).arg(place.mnt()).spawn().unwrap());
    eventually("the directory is mounted", || is_mounted(&place.mnt()).then_some(()));
    assert_eq!(std::fs::read(place.mnt().join("deep/file")).unwrap().len(), 3 << 20);
    let output = run(&mut with(&["fs", "ls", "/deep"]));
    assert!(texts(&output).0.contains("/deep/file"), "{output:?}");
    Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap();
    let status = eventually("it stops on SIGTERM", || process.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(!is_mounted(&place.mnt()));
}

/// A process that does not outlive its test.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
