//! Random changes of names and bytes, made in two mounted directories at once, against a tree in memory.
//! What one does the other must see; what it must not see yet, such as half a version, it must not.
//! A failure is made smaller and told with the seed that repeats it:
//! `GOOSEFS_MODEL_SEED=… cargo test --test all fuse::model_names -- --ignored --nocapture`.

use super::model::{Random, seeds};
use super::{Other, mount, pattern};
use crate::cluster::Cluster;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Operations of one seed.
const OPERATIONS: usize = 300;
/// How long one mount may take to see what another did; it should be milliseconds.
const SOON: Duration = Duration::from_secs(15);
/// How long a failure is made smaller.
const SHRINK: Duration = Duration::from_secs(180);
/// Names that mostly directories have, and those that mostly files have.
const DIRS: [&str; 4] = ["a", "b", "a/x", "b/x"];
const FILES: [&str; 7] = ["f", "g", "a/f", "a/x/f", "b/f", "b/x/f", "b/x/g"];

/// Something to do, in the first or second mount, to a name. What does not fit what is there is done
/// all the same, for its error, so that any part of a list of these is a list too.
#[derive(Clone, Copy, Debug)]
struct Op {
    deed: Deed,
    mount: usize,
    name: &'static str,
    other: &'static str,
    offset: u64,
    length: usize,
    salt: u64,
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    Write,
    Append,
    Cut,
    Rewrite,
    Replace,
    Hold,
    WriteHeld,
    Release,
    Rename,
    Unlink,
    MakeDir,
    RemoveDir,
    Read,
    List,
}

const DEEDS: [Deed; 24] = [
    Deed::Write,
    Deed::Write,
    Deed::Write,
    Deed::Append,
    Deed::Append,
    Deed::Cut,
    Deed::Rewrite,
    Deed::Rewrite,
    Deed::Replace,
    Deed::Hold,
    Deed::Hold,
    Deed::WriteHeld,
    Deed::WriteHeld,
    Deed::Release,
    Deed::Rename,
    Deed::Rename,
    Deed::Unlink,
    Deed::MakeDir,
    Deed::MakeDir,
    Deed::MakeDir,
    Deed::MakeDir,
    Deed::RemoveDir,
    Deed::Read,
    Deed::List,
];

fn plan(seed: u64) -> Vec<Op> {
    let mut random = Random(seed);
    let mut pick = |count: usize| random.below(count as u64) as usize;
    let ops = (0..OPERATIONS).map(|_| {
        let deed = DEEDS[pick(DEEDS.len())];
        let of_dirs = match deed {
            Deed::MakeDir | Deed::RemoveDir => pick(20) > 0,
            Deed::Rename => pick(2) > 0,
            _ => pick(20) == 0,
        };
        let (dirs, files) =
            ([pick(4), pick(4)].map(|n| DIRS[n]), [pick(7), pick(7)].map(|n| FILES[n]));
        Op {
            deed,
            mount: pick(2),
            name: if of_dirs { dirs[0] } else { files[0] },
            other: if of_dirs ^ (pick(20) == 0) { dirs[1] } else { files[1] },
            offset: pick(150_000) as u64,
            length: 1 + [pick(200_000), pick(5_000), pick(5_000)][pick(3)],
            salt: pick(usize::MAX) as u64,
        }
    });
    ops.collect()
}

/// What is to be at a name.
#[derive(Clone, PartialEq)]
enum Entry {
    Dir,
    File(Vec<u8>),
}

/// A file that one mount has open for writing: what it has written is for others to see later.
struct Held {
    mount: usize,
    name: String,
    file: File,
    bytes: Vec<u8>,
}

/// The tree as it is to be, and the mounts that are to show it.
struct Pair {
    tops: [PathBuf; 2],
    tree: BTreeMap<String, Entry>,
    held: Option<Held>,
    /// Every content that was ever published: nothing else may be seen.
    published: BTreeSet<Vec<u8>>,
    /// How often something was done and not refused, which is to be often enough to prove something.
    done: usize,
}

type Checked<T = ()> = Result<T, String>;
type Errno = i32;

fn parent(name: &str) -> Option<&str> {
    name.rsplit_once('/').map(|(parent, _)| parent)
}

fn is_below(name: &str, dir: &str) -> bool {
    name.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn errno(result: &std::io::Result<()>) -> Errno {
    result.as_ref().err().map_or(0, |error| error.raw_os_error().unwrap_or(-1))
}

impl Pair {
    fn new(tops: [PathBuf; 2]) -> Self {
        Pair { tops, tree: BTreeMap::new(), held: None, published: BTreeSet::new(), done: 0 }
    }

    fn at(&self, mount: usize, name: &str) -> PathBuf {
        self.tops[mount].join(name)
    }

    fn is_held(&self, name: &str) -> bool {
        self.held.as_ref().is_some_and(|held| held.name == name)
    }

    /// What a mount is to show at a name.
    fn expected(&self, mount: usize, name: &str) -> Option<Entry> {
        match &self.held {
            Some(held) if held.name == name && held.mount == mount => {
                Some(Entry::File(held.bytes.clone()))
            }
            _ => self.tree.get(name).cloned(),
        }
    }

    /// What it shows; an error where it does not say, such as of a version that goes meanwhile.
    fn shown(&self, mount: usize, name: &str) -> std::io::Result<Option<Entry>> {
        let path = self.at(mount, name);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(Some(Entry::Dir)),
            Ok(_) => match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(Entry::File(bytes))),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
                Err(error) => Err(error),
            },
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Waits until a mount shows what is to be at a name, and fails when it shows what never was.
    fn sees(&self, mount: usize, name: &str) -> Checked {
        let (expected, began) = (self.expected(mount, name), Instant::now());
        loop {
            let shown = self.shown(mount, name);
            match &shown {
                Ok(shown) if *shown == expected => return Ok(()),
                Ok(Some(Entry::File(bytes))) if !self.published.contains(bytes) => {
                    let like = expected.as_ref().map(describe);
                    return Err(format!(
                        "mount {mount} shows {} at {name}, which never was; it should be {like:?}",
                        describe(&Entry::File(bytes.clone()))
                    ));
                }
                _ if began.elapsed() > SOON => {
                    let shown = shown.map(|shown| shown.as_ref().map(describe));
                    let expected = expected.as_ref().map(describe);
                    return Err(format!("mount {mount}, {name}: {shown:?}, not {expected:?}"));
                }
                _ => std::thread::sleep(Duration::from_millis(3)),
            }
        }
    }

    /// The same for a name and all above it, so that what is done next is done to what is there.
    fn knows(&self, mount: usize, name: &str) -> Checked {
        if let Some(parent) = parent(name) {
            self.knows(mount, parent)?;
        }
        self.sees(mount, name)
    }

    /// Why a name cannot be made, removed or opened, as far as that lies above it.
    fn above(&self, name: &str) -> Result<(), Errno> {
        let Some(parent) = parent(name) else { return Ok(()) };
        self.above(parent)?;
        match self.tree.get(parent) {
            Some(Entry::Dir) => Ok(()),
            Some(Entry::File(_)) => Err(libc::ENOTDIR),
            None => Err(libc::ENOENT),
        }
    }

    fn is_empty(&self, dir: &str) -> bool {
        !self.tree.keys().any(|name| is_below(name, dir))
    }

    /// The bytes of a file that is to be changed here; none if it is to be made.
    fn bytes(&self, mount: usize, name: &str) -> Result<Vec<u8>, Errno> {
        self.above(name)?;
        match self.expected(mount, name) {
            Some(Entry::Dir) => Err(libc::EISDIR),
            Some(Entry::File(bytes)) => Ok(bytes),
            None => Ok(Vec::new()),
        }
    }

    /// Notes what a file is now: for all, or as long as one mount holds it, for that one.
    fn note(&mut self, name: &str, bytes: Vec<u8>) {
        match &mut self.held {
            Some(held) if held.name == name => held.bytes = bytes,
            _ => {
                self.published.insert(bytes.clone());
                self.tree.insert(name.into(), Entry::File(bytes));
            }
        }
    }

    fn publish_held(&mut self) {
        if let Some(held) = &self.held {
            self.published.insert(held.bytes.clone());
            self.tree.insert(held.name.clone(), Entry::File(held.bytes.clone()));
        }
    }

    fn step(&mut self, op: Op) -> Checked {
        // What another mount changes right now is left to it: of two who write one wins.
        let elsewhere = self.held.as_ref().filter(|held| held.mount != op.mount);
        let touched = elsewhere.is_some_and(|held| {
            [op.name, op.other].iter().any(|name| held.name == *name || is_below(&held.name, name))
        });
        match op.deed {
            Deed::Read => return self.knows(op.mount, op.name),
            Deed::List => return self.list(op),
            Deed::WriteHeld => return self.write_held(op),
            Deed::Release => return self.release(),
            _ if touched => return Ok(()),
            _ => self.knows(op.mount, op.name)?,
        }
        let (expected, done) = match op.deed {
            Deed::Write | Deed::Append | Deed::Cut | Deed::Rewrite => self.change(op),
            Deed::Replace => self.replace(op)?,
            Deed::Hold => return self.hold(op),
            Deed::Rename => {
                self.knows(op.mount, op.other)?;
                self.rename(op)
            }
            Deed::Unlink => self.unlink(op),
            Deed::MakeDir => self.make_dir(op),
            _ => self.remove_dir(op),
        };
        match (expected, errno(&done)) {
            (expected, found) if expected == found => {
                self.done += usize::from(found == 0);
                Ok(())
            }
            (expected, found) => Err(format!("{op:?}: error {found}, not {expected}: {done:?}")),
        }
    }

    fn change(&mut self, op: Op) -> (Errno, std::io::Result<()>) {
        let (path, new) = (self.at(op.mount, op.name), pattern(op.length, op.salt));
        let (offset, end) = (op.offset as usize, op.offset as usize + op.length);
        let mut options = OpenOptions::new();
        options.create(true);
        let done = match op.deed {
            Deed::Write => options
                .write(true)
                .truncate(false)
                .open(path)
                .and_then(|file| file.write_all_at(&new, op.offset)),
            Deed::Append => {
                options.append(true).open(path).and_then(|mut file| file.write_all(&new))
            }
            Deed::Cut => options
                .write(true)
                .truncate(false)
                .open(path)
                .and_then(|file| file.set_len(op.offset)),
            _ => std::fs::write(path, &new),
        };
        let mut bytes = match self.bytes(op.mount, op.name) {
            Ok(bytes) => bytes,
            Err(error) => return (error, done),
        };
        match op.deed {
            Deed::Write => {
                bytes.resize(bytes.len().max(end), 0);
                bytes[offset..end].copy_from_slice(&new);
            }
            Deed::Append => bytes.extend_from_slice(&new),
            Deed::Cut => bytes.resize(offset, 0),
            _ => bytes = new,
        }
        self.note(op.name, bytes);
        (0, done)
    }

    /// As editors save: a new file, synced, renamed over the old one.
    fn replace(&mut self, op: Op) -> Checked<(Errno, std::io::Result<()>)> {
        if self.is_held(op.name) || self.bytes(op.mount, op.name).is_err() {
            return Ok((0, Ok(())));
        }
        let (new, bytes) = (self.at(op.mount, "new"), pattern(op.length, op.salt));
        let done = File::create(&new).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        let done = done.and_then(|()| std::fs::rename(new, self.at(op.mount, op.name)));
        self.note(op.name, bytes);
        Ok((0, done))
    }

    fn hold(&mut self, op: Op) -> Checked {
        let Some(Entry::File(bytes)) = self.expected(op.mount, op.name) else { return Ok(()) };
        if self.held.is_some() {
            return Ok(());
        }
        let file = OpenOptions::new().read(true).write(true).open(self.at(op.mount, op.name));
        let file = file.map_err(|error| format!("{op:?}: {error}"))?;
        self.held = Some(Held { mount: op.mount, name: op.name.into(), file, bytes });
        Ok(())
    }

    fn write_held(&mut self, op: Op) -> Checked {
        let Some(held) = &mut self.held else { return Ok(()) };
        let (new, end) = (pattern(op.length, op.salt), op.offset as usize + op.length);
        let done = held.file.write_all_at(&new, op.offset);
        let done = done
            .and_then(|()| if op.salt.is_multiple_of(3) { held.file.sync_all() } else { Ok(()) });
        done.map_err(|error| format!("{op:?}: {error}"))?;
        held.bytes.resize(held.bytes.len().max(end), 0);
        held.bytes[op.offset as usize..end].copy_from_slice(&new);
        self.done += 1;
        Ok(())
    }

    fn release(&mut self) -> Checked {
        self.publish_held();
        let Some(held) = self.held.take() else { return Ok(()) };
        nix::unistd::close(held.file).map_err(|error| format!("closing {}: {error}", held.name))
    }

    fn rename(&mut self, op: Op) -> (Errno, std::io::Result<()>) {
        let (from, to) = (op.name, op.other);
        let expected = self.may_rename(from, to);
        if expected == Ok(true) {
            self.note_rename(from, to);
        }
        let done = std::fs::rename(self.at(op.mount, from), self.at(op.mount, to));
        (expected.err().unwrap_or(0), done)
    }

    /// In the order in which the kernel looks; whether anything changes.
    fn may_rename(&self, from: &str, to: &str) -> Result<bool, Errno> {
        self.above(from)?;
        self.above(to)?;
        let source = self.tree.get(from).ok_or(libc::ENOENT)?;
        match self.tree.get(to) {
            _ if is_below(to, from) => Err(libc::EINVAL),
            _ if is_below(from, to) => Err(libc::ENOTEMPTY),
            _ if from == to => Ok(false),
            None => Ok(true),
            Some(target) => match (source, target) {
                (Entry::Dir, Entry::File(_)) => Err(libc::ENOTDIR),
                (Entry::File(_), Entry::Dir) => Err(libc::EISDIR),
                (Entry::Dir, Entry::Dir) if !self.is_empty(to) => Err(libc::ENOTEMPTY),
                _ => Ok(true),
            },
        }
    }

    fn note_rename(&mut self, from: &str, to: &str) {
        // What is renamed is published first, and what is replaced is gone for who had it open.
        if self.is_held(from) {
            self.publish_held();
        }
        if self.is_held(to) {
            self.held = None;
        }
        let moved = |name: &str| match name.strip_prefix(from) {
            Some("") => to.to_string(),
            Some(rest) if rest.starts_with('/') => format!("{to}{rest}"),
            _ => name.to_string(),
        };
        self.tree.remove(to);
        self.tree = std::mem::take(&mut self.tree)
            .into_iter()
            .map(|(name, entry)| (moved(&name), entry))
            .collect();
        if let Some(held) = &mut self.held {
            held.name = moved(&held.name);
        }
    }

    fn unlink(&mut self, op: Op) -> (Errno, std::io::Result<()>) {
        let done = std::fs::remove_file(self.at(op.mount, op.name));
        let expected = self.above(op.name).and_then(|()| match self.tree.get(op.name) {
            None => Err(libc::ENOENT),
            Some(Entry::Dir) => Err(libc::EISDIR),
            Some(Entry::File(_)) => Ok(()),
        });
        if expected.is_ok() {
            if self.is_held(op.name) {
                self.held = None;
            }
            self.tree.remove(op.name);
        }
        (expected.err().unwrap_or(0), done)
    }

    fn make_dir(&mut self, op: Op) -> (Errno, std::io::Result<()>) {
        let done = std::fs::create_dir(self.at(op.mount, op.name));
        let expected = self.above(op.name).and_then(|()| match self.tree.contains_key(op.name) {
            true => Err(libc::EEXIST),
            false => Ok(()),
        });
        if expected.is_ok() {
            self.tree.insert(op.name.into(), Entry::Dir);
        }
        (expected.err().unwrap_or(0), done)
    }

    fn remove_dir(&mut self, op: Op) -> (Errno, std::io::Result<()>) {
        let done = std::fs::remove_dir(self.at(op.mount, op.name));
        let expected = self.above(op.name).and_then(|()| match self.tree.get(op.name) {
            None => Err(libc::ENOENT),
            Some(Entry::File(_)) => Err(libc::ENOTDIR),
            Some(Entry::Dir) if !self.is_empty(op.name) => Err(libc::ENOTEMPTY),
            Some(Entry::Dir) => Ok(()),
        });
        if expected.is_ok() {
            self.tree.remove(op.name);
        }
        (expected.err().unwrap_or(0), done)
    }

    /// A listing shows all that is in a directory, and nothing else, soon.
    fn list(&self, op: Op) -> Checked {
        let dir = parent(op.name).unwrap_or("");
        if !dir.is_empty() {
            self.knows(op.mount, dir)?;
        }
        if !dir.is_empty() && self.tree.get(dir) != Some(&Entry::Dir) {
            return Ok(());
        }
        let within = |name: &&String| parent(name).unwrap_or("") == dir;
        let expected: BTreeSet<String> =
            self.tree.keys().filter(within).map(|name| base(Path::new(name))).collect();
        let began = Instant::now();
        loop {
            let shown = names(&self.at(op.mount, dir));
            match shown {
                Ok(shown) if shown == expected => return Ok(()),
                shown if began.elapsed() > SOON => {
                    return Err(format!("mount {} lists {shown:?}, not {expected:?}", op.mount));
                }
                _ => std::thread::sleep(Duration::from_millis(3)),
            }
        }
    }

    /// Does it all, lets go of what is held, and looks at everything from both sides.
    fn run(&mut self, ops: &[Op]) -> Checked<usize> {
        for (n, op) in ops.iter().enumerate() {
            self.step(*op).map_err(|why| format!("operation {n}: {why}"))?;
        }
        self.release()?;
        for mount in [0, 1] {
            for name in self.tree.keys().map(String::as_str).chain(FILES).chain(DIRS) {
                self.knows(mount, name).map_err(|why| format!("in the end: {why}"))?;
            }
        }
        Ok(self.done)
    }
}

fn base(path: &Path) -> String {
    path.file_name().expect("a name has a last part").to_string_lossy().into_owned()
}

fn names(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    std::fs::read_dir(dir)?.map(|entry| Ok(base(&entry?.path()))).collect()
}

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Dir => "a directory".into(),
        Entry::File(bytes) => {
            let start = &bytes[..bytes.len().min(4)];
            format!("{} bytes, {start:02x?}, crc {:08x}", bytes.len(), crc32c::crc32c(bytes))
        }
    }
}

/// Runs operations in a directory of their own; how many were done.
fn fresh(mounts: [&Path; 2], name: &str, ops: &[Op]) -> Checked<usize> {
    let tops = mounts.map(|mount| mount.join(name));
    std::fs::create_dir(&tops[0]).map_err(|error| format!("{}: {error}", tops[0].display()))?;
    let began = Instant::now();
    while !tops[1].is_dir() {
        if began.elapsed() > SOON {
            return Err("the other mount never sees the directory".into());
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    Pair::new(tops).run(ops)
}

/// Leaves out what the failure does not need.
fn shrink(mounts: [&Path; 2], name: &str, mut ops: Vec<Op>, mut why: String) -> (Vec<Op>, String) {
    let (began, mut size, mut tries) = (Instant::now(), ops.len() / 2, 0);
    while size > 0 {
        let mut at = 0;
        while at < ops.len() && began.elapsed() < SHRINK {
            let mut less = ops.clone();
            less.drain(at..ops.len().min(at + size));
            tries += 1;
            match fresh(mounts, &format!("{name}-{tries}"), &less) {
                Ok(_) => at += size,
                Err(still) => (ops, why) = (less, still),
            }
        }
        size /= 2;
    }
    (ops, why)
}

#[test]
#[ignore = "minutes; make e2e"]
fn two_mounts_show_one_tree() {
    show_one_tree("true", "CACHE_THROUGH");
}

#[test]
#[ignore = "minutes; make e2e"]
fn two_mounts_show_one_tree_through_us() {
    show_one_tree("false", "ASYNC_THROUGH");
}

fn show_one_tree(passthrough: &str, write_type: &str) {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "64KB");
    let cluster = cluster.set("worker.page.size", "64KB").set("fuse.passthrough", passthrough);
    let cluster = cluster.set("user.file.writetype.default", write_type).start();
    let Some(mounted) = mount(cluster, "rw") else { return };
    let other: Other = mounted.again();
    let (one, two) = (mounted.path(""), other.path(""));
    let (seeds, mut done) = (seeds(20), 0);
    for seed in &seeds {
        let (name, ops) = (format!("s{seed}"), plan(*seed));
        match fresh([&one, &two], &name, &ops) {
            Ok(count) => done += count,
            Err(why) => {
                eprintln!("seed {seed} fails, and is made smaller: {why}");
                let (ops, why) = shrink([&one, &two], &name, ops, why);
                let told: Vec<String> = ops.iter().map(|op| format!("{op:?}\n")).collect();
                panic!("seed {seed}, passthrough {passthrough}: {why}\n{}", told.concat());
            }
        }
    }
    let count = seeds.len();
    eprintln!("passthrough {passthrough}, {write_type}: {count} seeds, {done} changes");
    assert!(done > count * OPERATIONS / 10, "too little of it was possible");
}
