//! A mount that may have little memory: whoever needs some waits, and it lives.

use super::{Group, peak_kb};
use crate::cluster::{Cluster, eventually};
use crate::fuse::{Mounted, may_mount, mount, pattern};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;

/// The budget, and what the allocator keeps of that: so much more than a mount that does nothing.
const MOST_KB: u64 = 80 << 10;

/// A mount that may have 48 MB for data and metadata, and all that it reads and writes goes through it.
struct Small {
    mounted: Mounted,
    pid: u32,
    /// What it had taken before there was anything to do, in kB.
    idle: u64,
    // Dropped when nobody is in it any more.
    _group: Group,
}

impl Small {
    fn mount(name: &str, worker: &[(&str, &str)], fill: impl FnOnce(&Path)) -> Option<Small> {
        if !may_mount() {
            return None;
        }
        let group = Group::new(name, 224 << 20)?;
        let mut cluster = Cluster::setup()
            .workers(0)
            .set("user.short.circuit.enabled", "false")
            .set("fuse.passthrough", "false")
            .set("fuse.memory.budget", "48MB")
            .start();
        cluster.add_worker(worker);
        cluster.wait_for_workers();
        fill(&cluster.root_ufs());
        let mut mounted = mount(cluster, "rw")?;
        let pid = mounted.server().id();
        group.take(pid);
        let idle = peak_kb(pid);
        Some(Small { mounted, pid, idle, _group: group })
    }

    /// That it lives, bounded, and has taken no more than so many `kilobytes` more at any time.
    fn assert_lives_within(mut self, kilobytes: u64) {
        // The same process: nobody killed it meanwhile.
        assert!(self.mounted.server().try_wait().unwrap().is_none());
        let taken = peak_kb(self.pid);
        eprintln!("idle {} kB, at its peak {taken} kB", self.idle);
        let log = fs::read_to_string(self.mounted.cluster().dir().join("fuse.log")).unwrap();
        assert!(log.contains("memory is bounded"), "{log}");
        let more = taken - self.idle;
        assert!(more < kilobytes, "it took {more} kB of memory more at its peak");
    }
}

/// Runs `work` for each number below `count`, all at the same moment.
fn together(count: usize, work: impl Fn(usize) + Sync) {
    let start = Barrier::new(count);
    std::thread::scope(|scope| {
        for i in 0..count {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(i);
            });
        }
    });
}

#[test]
fn many_readers_and_writers_of_a_small_mount_wait_and_it_lives() {
    const FILE: usize = 8 << 20;
    const READERS: usize = 64;
    const WRITERS: usize = 12;
    let data = pattern(FILE + READERS * 4096, 1);
    let file = |i: usize| &data[i * 4096..][..FILE];
    let fill = |root: &Path| {
        (0..READERS).for_each(|i| fs::write(root.join(i.to_string()), file(i)).unwrap());
    };
    let Some(small) = Small::mount("mount", &[], fill) else { return };
    let path = |name: String| small.mounted.path(&name);
    together(READERS + WRITERS, |i| match i.checked_sub(READERS) {
        None => {
            let mut open = File::open(path(i.to_string())).unwrap();
            let mut buffer = vec![0; 1 << 20];
            for part in file(i).chunks(buffer.len()) {
                open.read_exact(&mut buffer).unwrap();
                assert!(buffer == part, "{i}: other bytes came");
            }
        }
        Some(i) => {
            let mut open = File::create(path(format!("written-{i}"))).unwrap();
            file(i).chunks(1 << 20).for_each(|part| open.write_all(part).unwrap());
        }
    });
    for i in 0..WRITERS {
        let written = small.mounted.cluster().root_ufs().join(format!("written-{i}"));
        assert!(fs::read(written).unwrap() == file(i), "{i}: other bytes were written");
    }
    small.assert_lives_within(MOST_KB);
}

#[test]
fn more_files_are_written_than_a_small_worker_takes_at_a_time() {
    const FILE: usize = 5 << 20;
    // So many may wait at the worker.
    const WRITERS: usize = 30;
    let data = pattern(FILE + WRITERS * 4096, 3);
    let file = |i: usize| &data[i * 4096..][..FILE];
    let worker = [("worker.memory.budget", "60MB")];
    let Some(small) = Small::mount("takes", &worker, |_| ()) else { return };
    together(WRITERS, |i| {
        let mut open = File::create(small.mounted.path(&i.to_string())).unwrap();
        file(i).chunks(1 << 20).for_each(|part| open.write_all(part).unwrap());
    });
    for i in 0..WRITERS {
        let written = small.mounted.cluster().root_ufs().join(i.to_string());
        assert!(fs::read(written).unwrap() == file(i), "{i}: other bytes were written");
    }
    small.assert_lives_within(MOST_KB);
}

#[test]
fn files_left_open_for_writing_take_no_memory_from_others() {
    const IDLE: usize = 400;
    const EACH: usize = 300_000;
    const READERS: usize = 200;
    const FILE: usize = 1 << 20;
    let data = pattern(FILE + READERS * 4096, 2);
    let file = |i: usize, length: usize| &data[i * 512..][..length];
    let fill = |root: &Path| {
        (0..READERS).for_each(|i| fs::write(root.join(i.to_string()), file(i, FILE)).unwrap());
    };
    let Some(small) = Small::mount("idle", &[], fill) else { return };
    let path = |name: String| small.mounted.path(&name);
    let mut idle: Vec<File> =
        (0..IDLE).map(|i| File::create(path(format!("idle-{i}"))).unwrap()).collect();
    for (i, open) in idle.iter_mut().enumerate() {
        // What is sent, and what would be gathered.
        open.write_all(&file(i, EACH)[..EACH - 9]).unwrap();
    }
    // Others read and write, in small pieces too.
    let mut new = File::create(path("new".into())).unwrap();
    file(0, FILE).chunks(5000).for_each(|part| new.write_all(part).unwrap());
    drop(new);
    together(READERS, |i| {
        let open = File::open(path(i.to_string())).unwrap();
        let mut buffer = [0; 10_000];
        for n in 1..=20 {
            let at = (n * 7919 * (i + 1)) % (FILE - buffer.len());
            open.read_exact_at(&mut buffer, at as u64).unwrap();
            assert!(buffer == file(i, FILE)[at..][..buffer.len()], "{i}: other bytes came");
        }
    });
    for (i, open) in idle.iter_mut().enumerate() {
        open.write_all(&file(i, EACH)[EACH - 9..]).unwrap();
    }
    drop(idle);
    let root = small.mounted.cluster().root_ufs();
    assert!(fs::read(root.join("new")).unwrap() == file(0, FILE));
    for i in 0..IDLE {
        let written = || fs::read(root.join(format!("idle-{i}"))).ok();
        // The last close tells nobody when it is done.
        eventually("what was written is there", || (written()? == file(i, EACH)).then_some(()));
    }
    small.assert_lives_within(MOST_KB);
}
