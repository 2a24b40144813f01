//! Random operations on files, against bytes in memory. A failure names the seed that repeats it:
//! `GOOSEFS_MODEL_SEED=… cargo test --test all fuse::model`.

use super::{Mounted, mount};
use crate::cluster::{Cluster, eventually};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The longest that a file becomes.
const LONGEST: u64 = 3 << 20;
/// Operations of one run.
const OPERATIONS: usize = 600;

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    /// A range, mostly a short one.
    fn range(&mut self, most: u64) -> (u64, usize) {
        let longest = [100, 5000, 70_000, 400_000][self.below(4) as usize];
        let offset = self.below(most);
        (offset, self.below(longest).min(most - offset) as usize)
    }
}

/// A file and what is to be in it.
struct Checked {
    path: PathBuf,
    handles: Vec<File>,
    bytes: Vec<u8>,
    random: Random,
    log: Vec<String>,
}

impl Checked {
    fn handle(&mut self) -> &File {
        if self.handles.is_empty() {
            self.open();
        }
        let which = self.random.below(self.handles.len() as u64) as usize;
        &self.handles[which]
    }

    fn open(&mut self) {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        self.handles.push(options.open(&self.path).unwrap());
    }

    fn put(&mut self, offset: u64, new: &[u8]) {
        let end = offset as usize + new.len();
        if self.bytes.len() < end && !new.is_empty() {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset as usize..end].copy_from_slice(new);
    }

    fn write(&mut self) {
        let (offset, length) = self.random.range(LONGEST);
        let new = super::pattern(length, self.random.next());
        self.log.push(format!("write {offset}+{length}"));
        self.handle().write_all_at(&new, offset).unwrap();
        if length > 0 {
            self.put(offset, &new);
        }
    }

    fn append(&mut self) {
        let length = self.random.below(3000) as usize;
        let new = super::pattern(length, self.random.next());
        self.log.push(format!("append {length}"));
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        std::io::Write::write_all(&mut file, &new).unwrap();
        self.bytes.extend_from_slice(&new);
    }

    fn read(&mut self) {
        let (offset, length) = self.random.range(LONGEST);
        self.log.push(format!("read {offset}+{length}"));
        let mut read = vec![0; length];
        let mut have = 0;
        let file = self.handle();
        while have < length {
            match file.read_at(&mut read[have..], offset + have as u64).unwrap() {
                0 => break,
                count => have += count,
            }
        }
        self.compare(offset, &read[..have], length);
    }

    fn compare(&self, offset: u64, read: &[u8], wanted: usize) {
        let start = self.bytes.len().min(offset as usize);
        let end = self.bytes.len().min(offset as usize + wanted);
        let expected = &self.bytes[start..end];
        assert_eq!(read.len(), expected.len(), "bytes at {offset}: {}", self.story());
        let differs = read.iter().zip(expected).position(|(a, b)| a != b);
        assert!(differs.is_none(), "at {offset} + {differs:?}: {}", self.story());
    }

    fn story(&self) -> String {
        let from = self.log.len().saturating_sub(40);
        format!("{} operations, the last: {}", self.log.len(), self.log[from..].join(", "))
    }

    fn truncate(&mut self) {
        let length = match self.random.below(6) {
            0 => 0,
            _ => self.random.below(LONGEST),
        };
        self.log.push(format!("truncate {length}"));
        if self.random.below(2) == 0 && self.path.exists() {
            nix::unistd::truncate(&self.path, length as i64).unwrap();
        } else {
            self.handle().set_len(length).unwrap();
        }
        self.bytes.resize(length as usize, 0);
    }

    fn allocate(&mut self) {
        let (offset, length) = self.random.range(LONGEST);
        let (length, keep) = (length.max(1), libc::FALLOC_FL_KEEP_SIZE);
        let (mode, zeroes, grows) = match self.random.below(4) {
            0 => (0, false, true),
            1 => (keep, false, false),
            2 => (libc::FALLOC_FL_PUNCH_HOLE | keep, true, false),
            _ => (libc::FALLOC_FL_ZERO_RANGE, true, true),
        };
        self.log.push(format!("fallocate {mode} {offset}+{length}"));
        let file = self.handle().as_raw_fd();
        // SAFETY: the descriptor is open, and the call touches no memory of ours.
        let done = unsafe { libc::fallocate(file, mode, offset as i64, length as i64) };
        assert_eq!(done, 0, "{}: {}", std::io::Error::last_os_error(), self.story());
        let end = offset as usize + length;
        if grows && self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let (start, end) = (self.bytes.len().min(offset as usize), self.bytes.len().min(end));
        if zeroes {
            self.bytes[start..end].fill(0);
        }
    }

    fn map(&mut self) {
        let length = self.bytes.len();
        if length == 0 {
            return;
        }
        let (offset, count) = self.random.range(length as u64);
        let shared = self.random.below(3) > 0;
        self.log.push(format!("map (shared: {shared}) {offset}+{count}"));
        let new = super::pattern(count, self.random.next());
        let flags = if shared { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
        let file = self.handle().as_raw_fd();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of `length` bytes of a file that is as long, which nobody shortens
        // while it is mapped; all of it is given back below.
        let read = unsafe {
            let at = libc::mmap(std::ptr::null_mut(), length, access, flags, file, 0);
            assert_ne!(
                at,
                libc::MAP_FAILED,
                "{}: {}",
                std::io::Error::last_os_error(),
                self.story()
            );
            let bytes = std::slice::from_raw_parts_mut(at.cast::<u8>(), length);
            let read = bytes.to_vec();
            bytes[offset as usize..][..count].copy_from_slice(&new);
            if shared && self.random.below(2) == 0 {
                assert_eq!(libc::msync(at, length, libc::MS_SYNC), 0);
            }
            libc::munmap(at, length);
            read
        };
        self.compare(0, &read, length);
        if shared {
            self.put(offset, &new);
        }
    }

    fn close(&mut self) {
        self.log.push("close".into());
        let count = self.handles.len() as u64;
        match self.random.below(3) {
            0 => self.handles.clear(),
            _ if count > 0 => drop(self.handles.remove(self.random.below(count) as usize)),
            _ => {}
        }
        if self.handles.is_empty() && self.path.exists() {
            let read = std::fs::read(&self.path).unwrap();
            self.compare(0, &read, usize::MAX / 2);
        }
    }

    fn rewrite(&mut self) {
        let new = super::pattern(self.random.below(200_000) as usize, self.random.next());
        self.log.push(format!("rewrite {}", new.len()));
        std::fs::write(&self.path, &new).unwrap();
        self.bytes = new;
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=5 => self.write(),
            6..=9 => self.read(),
            10 => self.append(),
            11 | 12 => self.truncate(),
            13 | 14 => self.allocate(),
            15 | 16 => self.map(),
            17 => self.close(),
            18 => {
                self.log.push("open".into());
                self.open();
            }
            _ if self.random.below(3) == 0 => self.rewrite(),
            _ => {
                self.log.push("sync".into());
                self.handle().sync_all().unwrap();
            }
        }
    }
}

fn run(mounted: &Mounted, name: &str, seed: u64) {
    eprintln!("seed {seed}");
    let mut file = Checked {
        path: mounted.path(name),
        handles: Vec::new(),
        bytes: Vec::new(),
        random: Random(seed),
        log: vec![format!("seed {seed}")],
    };
    for _ in 0..OPERATIONS {
        file.step();
    }
    file.handles.clear();
    if !file.path.exists() {
        return;
    }
    eventually("everybody sees what is in the file", || {
        let read = mounted.cluster().run(&["fs", "cat", &format!("/{name}")]).stdout;
        (read == file.bytes).then_some(())
    });
}

/// The seed that was asked for; otherwise that many: 1, 2 and so on, and one that is new.
pub(super) fn seeds(count: u64) -> Vec<u64> {
    let chosen = std::env::var("GOOSEFS_MODEL_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    chosen.map_or_else(|| (1..count).chain([now.as_secs()]).collect(), |seed| vec![seed])
}

#[test]
fn random_operations_do_what_they_do_in_memory() {
    do_what_they_do_in_memory("true", 3);
}

#[test]
fn random_operations_through_us_do_what_they_do_in_memory() {
    do_what_they_do_in_memory("false", 3);
}

#[test]
#[ignore = "minutes; make e2e"]
fn many_random_operations_do_what_they_do_in_memory() {
    do_what_they_do_in_memory("true", 30);
}

#[test]
#[ignore = "minutes; make e2e"]
fn many_random_operations_through_us_do_what_they_do_in_memory() {
    do_what_they_do_in_memory("false", 30);
}

fn do_what_they_do_in_memory(passthrough: &str, count: u64) {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "1MB");
    let cluster = cluster.set("fuse.passthrough", passthrough).start();
    let Some(mounted) = mount(cluster, "rw") else { return };
    for (n, seed) in seeds(count).into_iter().enumerate() {
        run(&mounted, &format!("f{n}"), seed);
    }
}
