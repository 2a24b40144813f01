//! The tree that `bench cp` copies: real files of this machine, thousands of small ones and a few
//! large ones, always the same on the same machine.

use super::Stop;
use crate::core::error::{Context, Result, data_loss, internal};
use std::fs::{File, Metadata};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The size and the number of small files of the tree that GooseFS was first shown with.
pub const SEED_BYTES: u64 = 545 << 20;
const SEED_SMALL: u64 = 3000;

/// A small file has at most so many bytes.
const SMALL: u64 = 128 << 10;
/// A large one has at least so many, or a 16th of a small tree.
const LARGE: u64 = 8 << 20;
/// Files looked at before what was found has to do.
const MOST_VISITED: usize = 50_000;
/// Where small files come from; none may give more than half of them.
const SMALL_SOURCES: [&str; 5] =
    ["/usr/lib/python3", "/usr/include", "/usr/share", "/usr/lib", "/usr/local"];
/// Where large ones come from, after the user's own tool chains.
const LARGE_SOURCES: [&str; 4] = ["/usr/bin", "/usr/lib", "/usr/local", "/opt"];

/// What is in a tree.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Tree {
    /// Files of at most 128 KiB.
    pub small: u64,
    /// The others.
    pub large: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Those of them that were made up, since the machine had too little.
    pub generated: u64,
}

/// Fills the directory `dir` with about `size` bytes of files.
///
/// # Errors
/// What the file system says; `Cancelled` once `stop` is told.
pub fn build(dir: &Path, size: u64, stop: &Stop) -> Result<Tree> {
    let mut builder = Builder { dir, stop, tree: Tree::default() };
    let count = (SEED_SMALL * size / SEED_BYTES).clamp(10, 100_000);
    builder.small(count, size / 4)?;
    builder.large(size)?;
    Ok(builder.tree)
}

struct Builder<'b> {
    dir: &'b Path,
    stop: &'b Stop,
    tree: Tree,
}

impl Builder<'_> {
    /// Copies small files: `count` of them, but not more than `bytes` together.
    fn small(&mut self, count: u64, bytes: u64) -> Result<()> {
        for source in SMALL_SOURCES {
            let most = (self.tree.small + count.div_ceil(2)).min(count);
            for (path, length) in
                find(Path::new(source), 1..=SMALL, most - self.tree.small, self.stop)?
            {
                if self.tree.bytes + length <= bytes && self.copy(&path, length)? {
                    self.tree.small += 1;
                }
            }
        }
        while self.tree.small < count && self.tree.bytes < bytes {
            let length = 1 + self.tree.small * 7919 % (SMALL / 4);
            self.generate(&format!("generated/small/{}", self.tree.small), length)?;
            self.tree.small += 1;
        }
        Ok(())
    }

    /// Copies large files until the tree has `size` bytes; the last one is cut.
    fn large(&mut self, size: u64) -> Result<()> {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let own = [home.join(".rustup/toolchains"), home.join(".cargo/bin")];
        let sources = own.into_iter().chain(LARGE_SOURCES.map(PathBuf::from));
        let sizes = LARGE.min(size / 16).max(SMALL + 1)..=size / 4;
        for source in sources {
            if self.tree.bytes + sizes.start() > size {
                break;
            }
            for (path, length) in find(&source, sizes.clone(), 8, self.stop)? {
                if self.tree.bytes + length <= size && self.copy(&path, length)? {
                    self.tree.large += 1;
                }
            }
        }
        while self.tree.bytes < size {
            let length = (size - self.tree.bytes).min(64 << 20);
            self.generate(&format!("generated/large/{}", self.tree.large), length)?;
            self.tree.large += 1;
        }
        Ok(())
    }

    /// Copies a file to its own path below the tree; false if it cannot be read or is there.
    fn copy(&mut self, path: &Path, length: u64) -> Result<bool> {
        self.stop.check()?;
        let target = self.place(path.strip_prefix("/").unwrap_or(path))?;
        if target.exists() {
            return Ok(false);
        }
        let Ok(mut source) = File::open(path) else { return Ok(false) };
        let mut copy = File::create(&target).with_context(|| target.display().to_string())?;
        let copied = std::io::copy(&mut (&mut source).take(length), &mut copy);
        let copied = copied.with_context(|| format!("copying {}", path.display()))?;
        let modified = source.metadata().and_then(|meta| meta.modified());
        modified.and_then(|time| copy.set_modified(time)).context("setting a time")?;
        self.tree.bytes += copied;
        Ok(true)
    }

    /// Makes up a file that does not compress.
    fn generate(&mut self, name: &str, length: u64) -> Result<()> {
        self.stop.check()?;
        let mut state = length.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut bytes = vec![0u8; length as usize];
        for word in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
        let target = self.place(Path::new(name))?;
        std::fs::write(&target, bytes).with_context(|| target.display().to_string())?;
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
        let file = File::options().write(true).open(&target);
        file.and_then(|file| file.set_modified(old)).context("setting a time")?;
        self.tree.bytes += length;
        self.tree.generated += length;
        Ok(())
    }

    fn place(&self, path: &Path) -> Result<PathBuf> {
        let target = self.dir.join(path);
        let parent = target.parent().unwrap_or(self.dir);
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        Ok(target)
    }
}

/// The first `most` files below `source` of a size within `sizes`, in the order of their names.
fn find(
    source: &Path,
    sizes: std::ops::RangeInclusive<u64>,
    most: u64,
    stop: &Stop,
) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut visited = 0;
    let mut visit = |path: &Path, meta: &Metadata| {
        visited += 1;
        if sizes.contains(&meta.len()) && path.to_str().is_some() {
            found.push((path.to_path_buf(), meta.len()));
        }
        let enough = found.len() as u64 >= most || visited >= MOST_VISITED;
        if enough || stop.check().is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    if most > 0 {
        // What cannot be read is passed over.
        let _ = walk(source, &mut visit);
    }
    stop.check()?;
    Ok(found)
}

/// Visits all plain files below a directory in the order of their names, without following links.
fn walk(
    dir: &Path,
    visit: &mut impl FnMut(&Path, &Metadata) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for path in children(dir).unwrap_or_default() {
        let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            walk(&path, visit)?;
        } else if meta.is_file() {
            visit(&path, &meta)?;
        }
    }
    ControlFlow::Continue(())
}

fn children(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut children: Vec<_> =
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    children.sort();
    Ok(children)
}

/// Compares two trees byte for byte; tells how much there was to compare.
///
/// # Errors
/// `DataLoss` naming the first difference.
pub fn compare(expected: &Path, copy: &Path, stop: &Stop) -> Result<Tree> {
    let mut tree = Tree::default();
    compare_dirs(expected, copy, stop, &mut tree)?;
    Ok(tree)
}

fn compare_dirs(expected: &Path, copy: &Path, stop: &Stop, tree: &mut Tree) -> Result<()> {
    let named = |dir: &Path| -> Result<Vec<PathBuf>> {
        let children = children(dir).with_context(|| dir.display().to_string())?;
        Ok(children.iter().filter_map(|path| path.file_name().map(PathBuf::from)).collect())
    };
    let names = named(expected)?;
    if names != named(copy)? {
        let (expected, copy) = (expected.display(), copy.display());
        return Err(data_loss(format!("{copy} has other entries than {expected}")));
    }
    for name in names {
        stop.check()?;
        let (expected, copy) = (expected.join(&name), copy.join(&name));
        let meta = std::fs::metadata(&expected).with_context(|| expected.display().to_string())?;
        if meta.is_dir() {
            compare_dirs(&expected, &copy, stop, tree)?;
            continue;
        }
        compare_files(&expected, &copy)?;
        tree.bytes += meta.len();
        match meta.len() <= SMALL {
            true => tree.small += 1,
            false => tree.large += 1,
        }
    }
    Ok(())
}

fn compare_files(expected: &Path, copy: &Path) -> Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| path.display().to_string());
    let (mut ours, mut theirs) = (open(expected)?, open(copy)?);
    let piece = || vec![0u8; 1 << 20];
    let (mut left, mut right) = (piece(), piece());
    loop {
        let length = fill(&mut ours, &mut left)?;
        if fill(&mut theirs, &mut right)? != length || left[..length] != right[..length] {
            let (expected, copy) = (expected.display(), copy.display());
            return Err(data_loss(format!("{copy} is not the same as {expected}")));
        }
        if length < left.len() {
            return Ok(());
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) => return Err(internal("reading a copy").with_source(error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorKind;

    #[test]
    fn the_tree_has_the_size_asked_for_and_is_the_same_each_time() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stop = Stop::default();
        let built = build(one.path(), 20 << 20, &stop).unwrap();
        assert_eq!(built.bytes, 20 << 20);
        assert!(built.small >= 50 && built.large >= 1, "{built:?}");
        assert_eq!(build(two.path(), 20 << 20, &stop).unwrap(), built);
        let compared = compare(one.path(), two.path(), &stop).unwrap();
        assert_eq!(compared.bytes, built.bytes);
    }

    #[test]
    fn one_wrong_byte_is_found() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&one, &two] {
            std::fs::create_dir(dir.path().join("d")).unwrap();
            std::fs::write(dir.path().join("d/f"), vec![7; 3 << 20]).unwrap();
        }
        let stop = Stop::default();
        compare(one.path(), two.path(), &stop).unwrap();
        let mut wrong = vec![7; 3 << 20];
        wrong[2_999_999] = 8;
        std::fs::write(two.path().join("d/f"), wrong).unwrap();
        let error = compare(one.path(), two.path(), &stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        std::fs::write(two.path().join("d/f"), vec![7; (3 << 20) + 1]).unwrap();
        assert!(compare(one.path(), two.path(), &stop).is_err());
        std::fs::write(two.path().join("d/g"), "").unwrap();
        assert!(compare(one.path(), two.path(), &stop).is_err());
    }

    #[test]
    fn a_build_ends_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        stop.tell();
        let error = build(dir.path(), 1 << 20, &stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
