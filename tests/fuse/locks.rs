//! flock and fcntl locks between mounted directories, which stand for hosts.

use super::{is_mounted, may_mount};
use crate::cluster::{Cluster, Masters, eventually};
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A directory on which the root of a tree is mounted, and who serves it.
struct Host {
    server: Child,
    dir: PathBuf,
}

impl Host {
    fn new(mut command: Command, dir: PathBuf) -> Host {
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let host = Host { server, dir };
        eventually("the directory is mounted", || is_mounted(&host.dir).then_some(()));
        host
    }

    fn open(&self, name: &str) -> File {
        let path = self.dir.join(name);
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn read(&self, name: &str) -> File {
        File::open(self.dir.join(name)).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH).ok();
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// Two hosts of one tree, in which there is a file `f`.
fn two(dir: &Path, command: impl Fn(&[&str]) -> Command) -> [Host; 2] {
    let hosts = ["one", "two"].map(|name| {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        let target = dir.to_str().unwrap();
        Host::new(command(&["fuse", "mount", "/", target, "-o", "rw", "--foreground"]), dir)
    });
    std::fs::write(hosts[0].dir.join("f"), "what is locked").unwrap();
    hosts
}

fn range(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

/// Whether the lock was got, where nobody waits for it.
fn set(file: &File, kind: i32, start: i64, length: i64) -> bool {
    match fcntl(file, FcntlArg::F_SETLK(&range(kind, start, length))) {
        Ok(_) => true,
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn locks_count_on_every_host() {
    if !may_mount() {
        return;
    }
    let cluster = Cluster::start();
    let [one, two] = two(cluster.dir(), |args| cluster.command(args));
    let (here, there) = (one.open("f"), two.open("f"));
    assert!(set(&here, libc::F_WRLCK, 0, 10));
    assert!(!set(&there, libc::F_WRLCK, 5, 10));
    assert!(!set(&there, libc::F_RDLCK, 9, 1));
    assert!(!set(&there, libc::F_WRLCK, 10, 10), "one host at a time writes a file under locks");
    let mut asked = range(libc::F_WRLCK, 5, 100);
    fcntl(&there, FcntlArg::F_GETLK(&mut asked)).unwrap();
    assert_eq!((asked.l_type, asked.l_start, asked.l_len), (libc::F_WRLCK as i16, 0, 10));
    assert!(set(&here, libc::F_UNLCK, 3, 4));
    assert!(!set(&there, libc::F_WRLCK, 3, 4));
    assert!(set(&here, libc::F_RDLCK, 0, 10), "what is exclusive becomes shared");
    assert!(set(&there, libc::F_RDLCK, 5, 3));
    assert!(!set(&there, libc::F_WRLCK, 20, 3));
    drop(one.read("f"));
    assert!(set(&there, libc::F_WRLCK, 0, 0), "closing any descriptor gives all up");
    drop(there);
    assert!(set(&here, libc::F_WRLCK, 0, 0));
    drop(here);

    let (here, there) = (one.read("f"), two.read("f"));
    here.lock_shared().unwrap();
    there.try_lock_shared().unwrap();
    assert!(here.try_lock().is_err());
    there.unlock().unwrap();
    here.lock().unwrap();
    assert!(there.try_lock_shared().is_err());
    drop(here);
    // close(2) does not wait for it.
    eventually("a lock ends with its file", || there.try_lock().ok());
}

#[test]
fn whoever_gets_a_lock_sees_what_was_written_under_it_before() {
    if !may_mount() {
        return;
    }
    for passthrough in ["true", "false"] {
        let cluster = Cluster::setup().set("fuse.passthrough", passthrough).start();
        let hosts = two(cluster.dir(), |args| cluster.command(args));
        std::fs::write(hosts[0].dir.join("f"), "0000").unwrap();
        const TIMES: u32 = 15;
        std::thread::scope(|scope| {
            for host in &hosts {
                scope.spawn(move || {
                    let mut kept = host.open("f");
                    for n in 0..TIMES {
                        if n % 4 == 3 {
                            kept = host.open("f");
                        }
                        kept.lock().unwrap();
                        let mut text = [0; 4];
                        kept.read_exact_at(&mut text, 0).unwrap();
                        let count: u32 = str::from_utf8(&text).unwrap().parse().unwrap();
                        kept.write_all_at(format!("{:04}", count + 1).as_bytes(), 0).unwrap();
                        kept.unlock().unwrap();
                    }
                });
            }
        });
        let read = cluster.run(&["fs", "cat", "/f"]).stdout;
        assert_eq!(String::from_utf8(read).unwrap(), format!("{:04}", 2 * TIMES));
    }
}

#[test]
fn a_lock_waits_for_the_one_before_it_and_not_for_a_host_that_is_dead() {
    if !may_mount() {
        return;
    }
    let cluster = Cluster::setup().set("master.lock.lease", "2s").start();
    let [mut one, two] = two(cluster.dir(), |args| cluster.command(args));
    let (here, there) = (one.open("f"), two.open("f"));
    assert!(set(&here, libc::F_WRLCK, 0, 0));
    let waiting = std::thread::spawn(move || {
        fcntl(&there, FcntlArg::F_SETLKW(&range(libc::F_WRLCK, 0, 0))).unwrap();
        there
    });
    // Longer than a lease: who is alive keeps what is locked.
    let start = Instant::now();
    eventually("some time", || (start.elapsed() > Duration::from_secs(5)).then_some(()));
    assert!(!waiting.is_finished());
    assert!(set(&here, libc::F_UNLCK, 0, 0));
    let there = waiting.join().unwrap();
    assert!(!set(&here, libc::F_WRLCK, 0, 0));
    assert!(set(&there, libc::F_UNLCK, 0, 0));

    assert!(set(&here, libc::F_WRLCK, 0, 0));
    assert!(!set(&there, libc::F_RDLCK, 0, 0));
    one.server.kill().unwrap();
    one.server.wait().unwrap();
    fcntl(&there, FcntlArg::F_SETLKW(&range(libc::F_WRLCK, 0, 0))).unwrap();
    drop(here);
}

#[test]
fn who_waits_for_a_lock_can_be_interrupted() {
    if !may_mount() {
        return;
    }
    let cluster = Cluster::start();
    let [one, two] = two(cluster.dir(), |args| cluster.command(args));
    let here = one.read("f");
    here.lock().unwrap();
    let mut waiting = Command::new("flock").arg(two.dir.join("f")).arg("true").spawn().unwrap();
    let id = nix::unistd::Pid::from_raw(waiting.id() as i32);
    eventually("somebody waits", || {
        let stack = std::fs::read_to_string(format!("/proc/{id}/syscall")).ok()?;
        stack.starts_with(&format!("{} ", libc::SYS_flock)).then_some(())
    });
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("the waiter ends", || waiting.try_wait().unwrap());
    here.unlock().unwrap();
    let there = two.read("f");
    there.try_lock().expect("who was interrupted has left nothing behind");
}

#[test]
fn locks_outlive_the_primary() {
    if !may_mount() {
        return;
    }
    let mut masters = Masters::start(3, &[("master.lock.lease", "5s")]);
    masters.add_worker();
    let [one, two] = two(masters.dir(), |args| masters.command(args));
    let (here, there) = (one.open("f"), two.open("f"));
    assert!(set(&here, libc::F_RDLCK, 0, 10));
    assert!(set(&there, libc::F_RDLCK, 10, 10));
    let primary = masters.wait_for_primary();
    masters.nodes[primary].kill();
    assert!(!set(&there, libc::F_WRLCK, 0, 1), "the next primary has been told");
    assert!(!set(&here, libc::F_WRLCK, 15, 1));
    assert!(set(&here, libc::F_UNLCK, 0, 0));
    assert!(set(&there, libc::F_WRLCK, 0, 0));
    masters.nodes[primary].spawn();
}

#[test]
fn while_no_master_answers_locks_keep_nobody_who_is_killed_and_are_free_afterwards() {
    if !may_mount() {
        return;
    }
    let mut cluster = Cluster::setup().set("master.lock.lease", "1min").start();
    let [one, two] = two(cluster.dir(), |args| cluster.command(args));
    std::fs::write(one.dir.join("g"), "another").unwrap();
    let (held, other) = (one.open("f"), one.open("g"));
    held.lock().unwrap();
    cluster.master.kill();
    // It takes what it takes to find out that no master is there, but whoever gives up waits no longer.
    let mut asks = Command::new("flock");
    let mut asks = asks.args(["--exclusive", "0"]).stdin(other).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let start = Instant::now();
    asks.kill().unwrap();
    asks.wait().unwrap();
    held.unlock().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    cluster.master.start();
    let there = two.open("f");
    eventually("what was given up is free", || there.try_lock().ok());
    eventually("what nobody waited for is free", || two.open("g").try_lock().ok());
}
