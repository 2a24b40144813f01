//! What a worker keeps whose memory tier is smaller than what is read, and what one scan of ten
//! times its room costs the hot set: real reads of a real worker, where [`evict`](super::evict)
//! simulates.

use super::cluster::free_dir;
use super::counters::Counters;
use super::{Row, Scratch};
use crate::client::{FileSystem, ListOptions, OpenOptions};
use crate::core::error::{Context, Result, data_loss};
use crate::core::model::{ByteSize, FsPath, Status};
use crate::core::rpc::server::free_port;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a file.
const FILE: u64 = 256 << 10;
/// Files that the memory tier has room for.
const ROOM: usize = 192;
/// Files of the hot set, and passes over it before the scan.
const HOT: (usize, usize) = (ROOM / 2, 5);
/// Time between two passes: what is read again within an instant is still the same pass of one reader
/// that goes back and forth, and counts once.
const APART: Duration = Duration::from_millis(250);
/// Files of the scan.
const SCAN: usize = 10 * ROOM;
/// Reads of each working set, in passes; the first ones are not counted.
const PASSES: (usize, usize) = (3, 10);
/// Every run reads the same files in the same order.
const SEED: u64 = 4;

/// Reads working sets of 0.9 and 1.5 times the tier at random, and a hot set before and after a scan.
///
/// # Errors
/// When a process does not start or a read fails; `DataLoss` when other bytes come.
pub async fn run(base: &Path) -> Result<Vec<Row>> {
    let rig = Rig::start(base).await?;
    let (small, of_small) = rig.at_random(ROOM * 9 / 10).await?;
    let (large, of_large) = rig.at_random(ROOM * 3 / 2).await?;
    drop(rig);
    // Another worker: what was popular a moment ago is no part of the hot set, and would look like it.
    let rig = Rig::start(base).await?;
    let hot = 0..HOT.0;
    for _ in 1..HOT.1 {
        rig.read_all(hot.clone()).await?;
        tokio::time::sleep(APART).await;
    }
    let before = rig.read_all(hot.clone()).await?.hits;
    rig.read_all(HOT.0..HOT.0 + SCAN).await?;
    let after = rig.read_all(hot).await?.hits;
    let row = |name: &str, floor: &str, ours: f64, ideal: f64| {
        Row::new(name, "share", floor, &[(ours, ideal)], false)
    };
    let note = |reads: &Reads| format!("{:.0} MB/s", reads.rate);
    Ok(vec![
        row("W4 hits, 0.9 x the memory tier", "all of it fits", small.hits, of_small)
            .note(note(&small)),
        row("W4 hits, 1.5 x the memory tier", "what of it fits", large.hits, of_large)
            .note(note(&large)),
        row("W4 hits in the hot set after a scan of 10 tiers", "before the scan", after, before),
    ])
}

/// What came of some reads.
struct Reads {
    /// Of all bytes, those that the under store was not asked for.
    hits: f64,
    /// MB a second.
    rate: f64,
}

struct Rig {
    _scratch: Scratch,
    files: FileSystem,
    /// The port of the worker's page.
    page: u16,
    known: Vec<Status>,
}

impl Rig {
    async fn start(base: &Path) -> Result<Rig> {
        let (page, blocks) = (free_port()?, free_dir(base)?);
        let room = ByteSize(ROOM as u64 * FILE);
        let properties = [
            ("worker.web.port", page.to_string()),
            ("worker.dirs", format!("MEM:{}:{}", blocks.display(), room.0)),
            ("user.short.circuit.enabled", "false".into()),
        ];
        let mut scratch = Scratch::start(base, &properties)?;
        let data = scratch.dir().join("ufs/data");
        std::fs::create_dir(&data).context("making the data set")?;
        for index in 0..HOT.0 + SCAN {
            let path = data.join(format!("{index:06}"));
            std::fs::write(path, content(index)).context("making the data set")?;
        }
        scratch.start_worker()?;
        let files = FileSystem::connect(&scratch.config()?);
        let known = files.list(&FsPath::parse("/data")?, &ListOptions::default()).await?;
        Ok(Rig { _scratch: scratch, files, page, known })
    }

    /// Reads so many files in random order, and what share of that would be hits if the tier were
    /// always full of them.
    async fn at_random(&self, files: usize) -> Result<(Reads, f64)> {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut order = |passes: usize| {
            let picks = (0..passes * files).map(|_| random.random_range(0..files));
            picks.collect::<Vec<_>>()
        };
        let (first, counted) = (order(PASSES.0), order(PASSES.1));
        self.read_all(first).await?;
        let reads = self.read_all(counted).await?;
        Ok((reads, (ROOM as f64 / files as f64).min(1.0)))
    }

    async fn read_all(&self, order: impl IntoIterator<Item = usize>) -> Result<Reads> {
        let before = Counters::at("127.0.0.1", self.page)?.filled;
        let (start, mut bytes) = (Instant::now(), 0);
        for index in order {
            let status = self.known[index].clone();
            let reader = self.files.open_status(status, &OpenOptions::default())?;
            let read = reader.read_at(0, FILE).await?;
            if read[..] != content(index)[..] {
                return Err(data_loss(format!("other bytes came of file {index}")));
            }
            bytes += FILE;
        }
        let took = start.elapsed().as_secs_f64();
        let filled = Counters::at("127.0.0.1", self.page)?.filled - before;
        Ok(Reads { hits: 1.0 - filled as f64 / bytes as f64, rate: bytes as f64 / took / 1e6 })
    }
}

/// The bytes of a file: its number, over and over.
fn content(index: usize) -> Vec<u8> {
    (index as u64).to_le_bytes().repeat(FILE as usize / 8)
}
