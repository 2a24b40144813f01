//! A record of what is asked for, so that eviction policies can be compared on it
//! (`goosefs bench evict --trace`).
//!
//! What counts as an access is what the eviction order is told: a pass of a reader over a block, its
//! file borrowed, a block that begins to be filled, one that is written; not what other workers move
//! here. Of a share of all blocks, chosen by the hash of the id, every access is noted; of the others
//! none. A policy meets the same pattern in the sample as in the whole, with a cache of that share.
//!
//! A line is `id size`; the file begins with a line that says the share and what the store may hold.
//! It never grows beyond its bound: recording ends there. An access costs a hash, and a line in memory
//! if it is in the sample; the file is written by [`Trace::flush`].

use crate::core::config;
use crate::core::error::{Context, Result, failed_precondition};
use crate::core::model::BlockId;
use parking_lot::Mutex;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Lines that wait to be written have no more bytes than that.
const PENDING: usize = 4 << 20;
/// What the first line takes at most.
const HEADER: u64 = 256;

/// Records accesses to blocks.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    /// Ids whose hash is below are recorded.
    below: f64,
    most: u64,
    over: AtomicBool,
    pending: Mutex<Pending>,
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Pending {
    lines: String,
    lost: u64,
}

#[derive(Debug)]
struct Out {
    file: File,
    length: u64,
}

impl Trace {
    /// None where nobody asked for one. `capacity` is what the store may hold. A file that is there
    /// already is continued. Waits for the disk.
    ///
    /// # Errors
    /// Why the file cannot be written; `FailedPrecondition` for one that another worker writes, or that
    /// was recorded with another share or capacity.
    pub fn open(config: &config::Worker, capacity: u64) -> Result<Option<Trace>> {
        let path = &config.trace_file;
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let opening = || format!("opening {} (goosefs.worker.trace.file)", path.display());
        let share = config.trace_share.0;
        let header = format!("# share={share} capacity={capacity}");
        let trace = Trace {
            path: path.clone(),
            below: share,
            most: config.trace_size.0,
            over: AtomicBool::new(false),
            pending: Mutex::default(),
            out: Mutex::new(begin(path, &header).with_context(opening)?),
        };
        tracing::info!(file = %path.display(), share, most = trace.most, "recording accesses");
        Ok(Some(trace))
    }

    /// Notes an access, if the block is in the sample.
    pub fn note(&self, id: BlockId, size: u64) {
        if self.over.load(Ordering::Relaxed) || draw(id) >= self.below {
            return;
        }
        let mut pending = self.pending.lock();
        if pending.lines.len() < PENDING {
            writeln!(pending.lines, "{} {size}", id.0).ok();
        } else {
            pending.lost += 1;
        }
    }

    /// Writes what was noted. Waits for the disk.
    ///
    /// # Errors
    /// Why the file cannot be written; recording has ended then.
    pub fn flush(&self) -> Result<()> {
        let Pending { mut lines, lost } = std::mem::take(&mut *self.pending.lock());
        if lines.is_empty() || self.over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut out = self.out.lock();
        let room = self.most.saturating_sub(out.length) as usize;
        if lines.len() > room {
            // Whole lines only: half a number is another one.
            let end = lines.as_bytes()[..room].iter().rposition(|&byte| byte == b'\n');
            lines.truncate(end.map_or(0, |end| end + 1));
            self.over.store(true, Ordering::Relaxed);
            tracing::info!(file = %self.path.display(), bytes = self.most, "the record of accesses is full");
        }
        if lost > 0 {
            tracing::warn!(lost, "accesses were not recorded: more came than could be written");
        }
        out.length += lines.len() as u64;
        out.file
            .write_all(lines.as_bytes())
            .inspect_err(|_| self.over.store(true, Ordering::Relaxed))
            .with_context(|| format!("recording accesses in {}", self.path.display()))
    }
}

/// Opens a record to go on with, or makes one. It is this process's until it ends.
fn begin(path: &Path, header: &str) -> Result<Out> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    if file.try_lock().is_err() {
        return Err(failed_precondition("another worker records there: name another file"));
    }
    let mut first = String::new();
    BufReader::new((&file).take(HEADER)).read_line(&mut first)?;
    if first.is_empty() {
        writeln!(file, "{header}")?;
    } else if first.trim_end() != header {
        return Err(failed_precondition(format!(
            "it was recorded with {:?} and this worker has {header:?}: name another file, or remove it",
            first.trim_end()
        )));
    }
    // A line that was cut off must not become another with the next.
    let length = file.metadata()?.len();
    let looked_at = length.min(HEADER);
    let mut end = vec![0; looked_at as usize];
    file.read_exact_at(&mut end, length - looked_at)?;
    let cut = end.iter().rev().take_while(|&&byte| byte != b'\n').count();
    let length = length - cut as u64;
    file.set_len(length)?;
    Ok(Out { length, file })
}

/// A number from 0 to 1 that is spread evenly over ids and always the same for one.
fn draw(id: BlockId) -> f64 {
    // The finalizer of SplitMix64: ids differ in few bits.
    let mut hash = id.0 as u64;
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Config, Share};

    fn settings(path: &std::path::Path, share: f64, size: u64) -> config::Worker {
        let mut worker = Config::with(&[]).unwrap().worker;
        worker.trace_file = path.into();
        worker.trace_share = Share(share);
        worker.trace_size = crate::core::model::ByteSize(size);
        worker
    }

    #[test]
    fn a_share_of_the_blocks_is_recorded_with_every_access() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        let trace = Trace::open(&settings(&path, 0.25, 1 << 20), 77).unwrap().unwrap();
        let ids: Vec<BlockId> = (1..=4000).map(|id| BlockId(id << 24)).collect();
        (0..2).for_each(|_| ids.iter().for_each(|&id| trace.note(id, 5)));
        trace.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# share=0.25 capacity=77\n"), "{text:.99}");
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert!((1700..2300).contains(&lines.len()), "{} of 8000 accesses", lines.len());
        assert_eq!(lines[..lines.len() / 2], lines[lines.len() / 2..], "twice the same");
    }

    #[test]
    fn a_record_ends_at_its_bound_and_is_continued_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        let settings = settings(&path, 1.0, 100);
        for _ in 0..3 {
            let trace = Trace::open(&settings, 1).unwrap().unwrap();
            (0..4).for_each(|_| trace.note(BlockId(123), 456));
            trace.flush().unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!((90..=100).contains(&text.len()), "{} bytes", text.len());
        assert!(text.lines().skip(1).all(|line| line == "123 456"), "{text}");
        assert!(
            Trace::open(&config::Worker { trace_file: PathBuf::new(), ..settings }, 1)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_line_that_was_cut_off_is_not_made_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        std::fs::write(&path, "# share=1 capacity=1\n20").unwrap();
        let trace = Trace::open(&settings(&path, 1.0, 1000), 1).unwrap().unwrap();
        trace.note(BlockId(300), 5);
        trace.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# share=1 capacity=1\n300 5\n");
    }

    #[test]
    fn a_record_of_another_worker_or_of_other_settings_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        let settings = |share| settings(&path, share, 1000);
        let first = Trace::open(&settings(1.0), 1).unwrap();
        let error = Trace::open(&settings(1.0), 1).unwrap_err().to_string();
        assert!(error.contains("another worker") && error.contains("trace"), "{error}");
        drop(first);
        for (share, capacity) in [(0.5, 1), (1.0, 2)] {
            let error = Trace::open(&settings(share), capacity).unwrap_err().to_string();
            assert!(error.contains("share=1 capacity=1") && error.contains("remove"), "{error}");
        }
    }
}
