//! Mounts of one tree, changed through several of them at the same time.

use super::{Mounted, mount};
use crate::cluster::{Cluster, eventually};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long a killed process may take to end.
const DEATH: Duration = Duration::from_secs(5);

/// A process that stands still until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(process: u32) -> Self {
        let process = Pid::from_raw(process as i32);
        kill(process, Signal::SIGSTOP).unwrap();
        Stopped(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).ok();
    }
}

fn update(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn elsewhere(mounted: &Mounted, path: &str) -> Vec<u8> {
    mounted.cluster().run(&["fs", "cat", path]).stdout
}

#[test]
fn a_mount_that_is_killed_while_another_changes_names_beside_a_long_rename_leaves_nothing_locked() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    for dir in ["d", "e"] {
        std::fs::create_dir(mounted.path(dir)).unwrap();
    }
    let safe = update(&mounted.path("safe"));
    safe.write_all_at(b"synced", 0).unwrap();
    safe.sync_all().unwrap();
    let big = update(&mounted.path("d/big"));
    big.write_all_at(&[7; 1 << 20], 0).unwrap();
    // It is published before it gets its new name, which takes as long as its worker does.
    let worker = Stopped::new(mounted.cluster().workers[0].pid());
    let mut rename = Command::new("mv")
        .args([mounted.path("d/big"), mounted.path("d/moved")])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("it is on its way", || {
        let stack = std::fs::read_to_string(format!("/proc/{}/stack", rename.id())).unwrap();
        stack.contains("fuse_rename").then_some(())
    });
    for name in ["d/x", "e/x"] {
        std::fs::create_dir(other.path(name)).unwrap();
    }
    eventually("the mount knows of it", || mounted.path("e/x").exists().then_some(()));
    let dir = mounted.path("");
    let server = mounted.server();
    server.kill().unwrap();
    let killed = Instant::now();
    while server.try_wait().unwrap().is_none() {
        if killed.elapsed() > DEATH {
            umount2(&dir, MntFlags::MNT_FORCE).ok();
            panic!("it waits for an answer of its own");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    rename.wait().unwrap();
    drop((worker, safe, big));
    mounted.unmount();
    mounted.serve_killed_again();
    eventually("what was synced is published", || {
        (elsewhere(&mounted, "/safe") == b"synced").then_some(())
    });
    assert_eq!(std::fs::read(mounted.path("safe")).unwrap(), b"synced");
    std::fs::create_dir(mounted.path("d/y")).unwrap();
    assert!(other.path("d/y").exists());
}

#[test]
fn names_that_others_change_beside_a_long_rename_show_after_it() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    std::fs::create_dir(mounted.path("d")).unwrap();
    std::fs::write(mounted.path("d/old"), "x").unwrap();
    let big = update(&mounted.path("d/big"));
    big.write_all_at(&[7; 1 << 20], 0).unwrap();
    assert!(mounted.path("d/old").exists());
    let worker = Stopped::new(mounted.cluster().workers[0].pid());
    let from = mounted.path("d/big");
    let to = mounted.path("d/moved");
    let rename = std::thread::spawn(move || std::fs::rename(from, to));
    eventually("another deletes a name there", || std::fs::remove_file(other.path("d/old")).ok());
    drop(worker);
    rename.join().unwrap().unwrap();
    eventually("it is gone here too", || (!mounted.path("d/old").exists()).then_some(()));
    assert_eq!(std::fs::read(mounted.path("d/moved")).unwrap().len(), 1 << 20);
}

#[test]
fn what_is_appended_after_another_mount_closed_the_file_comes_after_what_it_wrote() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    let append = |path: &Path, text: &str| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    for turn in 0..4 {
        let name = format!("log{turn}");
        let (here, there) = (mounted.path(&name), other.path(&name));
        std::fs::write(&here, "first\n").unwrap();
        eventually("both know it", || {
            let both = [&here, &there].map(|path| std::fs::read(path).ok());
            both.iter().all(|read| read.as_deref() == Some(b"first\n")).then_some(())
        });
        // It hears of what the other does only when it goes on.
        let stopped = Stopped::new(mounted.server().id());
        append(&there, "second\n");
        let third = here.clone();
        let third = std::thread::spawn(move || {
            OpenOptions::new().append(true).open(third)?.write_all(b"third\n")
        });
        // So that its question is there first.
        std::thread::sleep(Duration::from_millis(50));
        drop(stopped);
        third.join().unwrap().unwrap();
        let all = elsewhere(&mounted, &format!("/{name}"));
        assert_eq!(String::from_utf8_lossy(&all), "first\nsecond\nthird\n", "{name}");
    }
}

#[test]
fn two_mounts_make_a_file_at_the_same_time_and_both_have_it() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    std::fs::create_dir(mounted.path("d")).unwrap();
    eventually("the other sees it", || other.path("d").exists().then_some(()));
    for turn in 0..20 {
        let barrier = Barrier::new(2);
        let name = format!("d/{turn}");
        std::thread::scope(|scope| {
            for path in [mounted.path(&name), other.path(&name)] {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    let mut options = OpenOptions::new();
                    options.read(true).write(true).create(true).truncate(false);
                    options.open(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
                });
            }
        });
    }
    std::fs::write(mounted.path("d/mine"), "mine").unwrap();
    let again = OpenOptions::new().write(true).create_new(true).open(other.path("d/mine"));
    assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EEXIST));
}

#[test]
fn fsync_of_a_descriptor_that_was_opened_for_reading_before_makes_durable_what_others_wrote() {
    let Some(mut mounted) = mount(Cluster::setup().set("fuse.passthrough", "false").start(), "rw")
    else {
        return;
    };
    let path = mounted.path("f");
    std::fs::write(&path, [b'o'; 100_000]).unwrap();
    let mut reader = File::open(&path).unwrap();
    reader.read_exact(&mut [0; 10]).unwrap();
    let writer = update(&path);
    writer.write_all_at(b"NEW", 0).unwrap();
    reader.sync_all().unwrap();
    mounted.kill_and_serve_again();
    drop((reader, writer));
    eventually("the next mount publishes it", || {
        elsewhere(&mounted, "/f").starts_with(b"NEWoo").then_some(())
    });
}
