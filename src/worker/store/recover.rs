//! What a directory holds when the worker starts.
//!
//! A block that was filled counts only with a good page table and a file of the right length: its
//! bytes can be had again. A block that a client wrote is the only copy, perhaps: it is kept
//! whatever became of its page table, and a damaged one says so when it is read. Nothing is read
//! but page tables; checksums are verified when a page is first served.

use super::block::{Block, Parts, Site};
use super::checksum::{Described, PageTable};
use super::dir::{Dir, Name, Origin};
use super::space::Space;
use crate::core::error::{Context, Error, Result};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// A block found, and when its file was last written.
pub type Found = (SystemTime, Block);

/// The blocks in `dir`. Files that are none, or of no use, are removed.
///
/// # Errors
/// Why a folder cannot be read.
pub fn scan(dir: &Arc<Dir>, page_size: u64) -> Result<Vec<Found>> {
    let folders: Vec<_> = dir.folders().collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().min(16));
    let scanned: Vec<Result<Vec<Found>>> = std::thread::scope(|scope| {
        let run = || {
            let mut found = Vec::new();
            while let Some((origin, folder)) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                scan_folder(dir, *origin, folder, page_size, &mut found)
                    .with_context(|| format!("looking for blocks in {}", folder.display()))?;
            }
            Ok(found)
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("a scan does not panic")).collect()
    });
    let mut all = Vec::new();
    for found in scanned {
        all.extend(found?);
    }
    Ok(all)
}

/// What the folder says of one block: whether its file and its page table are there.
#[derive(Default)]
struct Files {
    data: bool,
    table: bool,
}

fn scan_folder(
    dir: &Arc<Dir>,
    origin: Origin,
    folder: &Path,
    page_size: u64,
    found: &mut Vec<Found>,
) -> Result<()> {
    let mut names: HashMap<Name, Files> = HashMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_name().to_str().and_then(Name::parse) {
            Some((name, false)) => names.entry(name).or_default().data = true,
            Some((name, true)) => names.entry(name).or_default().table = true,
            None => {
                tracing::warn!(path = %entry.path().display(), "removed: no file of a block");
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    for (name, files) in names {
        match recover(dir, origin, name, &files, page_size)? {
            Some(block) => found.push(block),
            None => dir.remove(origin, name),
        }
    }
    Ok(())
}

/// The block of these files; none where they are of no use.
fn recover(
    dir: &Arc<Dir>,
    origin: Origin,
    name: Name,
    files: &Files,
    page_size: u64,
) -> Result<Option<Found>> {
    if !files.data {
        return Ok(None);
    }
    let meta = std::fs::metadata(dir.data_path(origin, name)).map_err(Error::from)?;
    let described = if files.table { read_table(dir, origin, name) } else { None };
    let unpersisted = match (&described, origin) {
        (Some(described), _) => described.unpersisted,
        (None, Origin::Written) => true,
        (None, Origin::Filled) => return Ok(None),
    };
    if !unpersisted && described.as_ref().is_some_and(|d| d.pages.length() != meta.len()) {
        tracing::warn!(block = %name.block, "dropped: its file is not as long as it was");
        return Ok(None);
    }
    let described = described.unwrap_or_else(|| {
        tracing::warn!(block = %name.block, "its page table is lost: its bytes cannot be verified");
        let pages = PageTable::whole(meta.len(), page_size, Vec::new(), false);
        Described { pages, version: String::new(), unpersisted }
    });
    // A block of which a part is filled takes no more of the disk than that part.
    let bytes = if described.pages.is_whole() {
        described.pages.length()
    } else {
        described.pages.bytes_filled()
    };
    let parts = Parts {
        site: Site { dir: dir.clone(), origin, name },
        pages: described.pages,
        version: described.version,
        unpersisted,
        space: Space::of(dir, bytes),
    };
    let written = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some((written, Block::new(parts))))
}

fn read_table(dir: &Dir, origin: Origin, name: Name) -> Option<Described> {
    let path = dir.table_path(origin, name);
    let bytes = std::fs::read(&path).map_err(Error::from);
    match bytes.and_then(|bytes| PageTable::decode(&bytes, name.block.0)) {
        Ok(described) => Some(described),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "not a page table");
            None
        }
    }
}
