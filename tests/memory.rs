//! A worker that may have little memory: readers and writers wait, and it lives.

use crate::cluster::{Cluster, Node};
use std::fs;
use std::path::{Path, PathBuf};

/// A control group with a bound on memory; removed when dropped.
struct Group(PathBuf);

impl Group {
    /// None, said loudly, where this machine lets nobody make one.
    fn new(bytes: u64) -> Option<Group> {
        let first = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
        let (root, limit) = match first {
            true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            false => ("/sys/fs/cgroup", "memory.max"),
        };
        let path = Path::new(root).join(format!("goosefs-test-{}", std::process::id()));
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join(limit), bytes.to_string()))
            .map(|()| Group(path.clone()));
        if let Err(error) = &made {
            eprintln!("SKIPPED: no control group with a bound on memory: {error}");
            fs::remove_dir(&path).ok();
        }
        made.ok()
    }

    fn take(&self, node: &Node) {
        fs::write(self.0.join("cgroup.procs"), node.pid().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn many_readers_and_writers_of_a_small_worker_wait_and_it_lives() {
    const FILE: usize = 48 << 20;
    /// The budget, and what a worker that does nothing takes: its code for the most part.
    const MOST_KB: u64 = 192 << 10;
    // Room for the dirty pages of a disk that others keep busy, too: the kernel counts those, and an
    // old one kills rather than wait for them.
    let Some(group) = Group::new(224 << 20) else { return };
    let mut cluster =
        Cluster::setup().workers(0).set("user.short.circuit.enabled", "false").start();
    cluster.add_worker(&[("worker.memory.budget", "64MB")]);
    cluster.wait_for_workers();
    group.take(&cluster.workers[0]);
    let data: Vec<u8> = (0..FILE as u32).map(|i| (i ^ (i >> 13)) as u8).collect();
    (0..3).for_each(|i| fs::write(cluster.root_ufs().join(format!("{i}")), &data).unwrap());
    let local = cluster.dir().join("local");
    fs::write(&local, &data[..8 << 20]).unwrap();
    let mut work = Vec::new();
    for i in 0..24 {
        let (read, write) = (format!("/{}", i % 3), format!("/written-{i}"));
        let local = local.to_str().unwrap();
        let args = match i % 4 {
            0 => vec!["fs", "copyFromLocal", local, &write],
            _ => vec!["fs", "cat", &read],
        };
        let mut command = cluster.command(&args);
        work.push((i, std::thread::spawn(move || command.output().unwrap())));
    }
    for (i, done) in work {
        let output = done.join().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{i}: {error}{}", cluster.workers[0].log_text());
        assert!(i % 4 == 0 || output.stdout == data, "{i}: other bytes came");
    }
    assert!(cluster.workers[0].log_text().contains("memory is bounded"));
    // The same process: nobody killed it meanwhile.
    cluster.workers[0].signal("-0");
    let peak = fs::read_to_string(format!("/proc/{}/status", cluster.workers[0].pid())).unwrap();
    let peak =
        peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_string();
    let kilobytes: u64 = peak.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < MOST_KB, "it took {peak} of memory at its peak");
    cluster.workers[0].kill();
}
