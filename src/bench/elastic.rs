//! What readers see while a cluster grows and shrinks: three workers become five, and then two,
//! under a steady load of random reads.
//!
//! A worker's own counters say what it read from the under store; the share of bytes that came out
//! of the cache is told for every second. Blocks that move are counted where they are sent from, and
//! compared with what the change of the ring makes necessary.

use super::cluster::free_dir;
use super::counters::Counters;
use super::{Row, Scratch};
use crate::client::{FileSystem, OpenOptions};
use crate::core::config::Config;
use crate::core::error::{Context, Error, Result, deadline_exceeded, internal};
use crate::core::model::{BlockId, FsPath, Ring, Status, WorkerInfo, WorkerState};
use crate::core::proto::v1::{JobState, LoadJob};
use crate::core::rpc::server::free_port;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes in a file of the data set: one block each.
const FILE: u64 = 256 << 10;
/// Readers, each of one file at a time.
const READERS: usize = 4;
/// Workers at first, after growing, and after shrinking.
const SIZES: (usize, usize, usize) = (3, 5, 2);
/// The hit ratio before anything changes is taken over this long, and after each change too.
const STEADY: Duration = Duration::from_secs(10);
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Of the steady hit ratio, what the worst second may have.
const HITS: f64 = 0.95;
/// Of the bytes that have to move, what may.
const MOVED: f64 = 1.2;

/// The processes, and who of them is where.
struct Rig {
    scratch: Scratch,
    /// Name, address and page of every worker that was started, in the order of starting.
    workers: Vec<(&'static str, String, u16)>,
}

const NAMES: [&str; 5] = ["worker1", "worker2", "worker3", "worker4", "worker5"];

impl Rig {
    fn start(base: &Path) -> Result<Rig> {
        let properties = [
            ("master.migration.delay", "1s".into()),
            // Every read is a worker's to answer: nothing is lent.
            ("user.short.circuit.enabled", "false".into()),
        ];
        Ok(Rig { scratch: Scratch::start(base, &properties)?, workers: Vec::new() })
    }

    /// Starts one more worker, on an address of its own.
    fn add_worker(&mut self) -> Result<()> {
        let number = self.workers.len();
        let name = NAMES[number];
        let (host, port, page) = (format!("127.0.1.{}", number + 1), free_port()?, free_port()?);
        let blocks = free_dir(self.scratch.dir())?;
        let set = |key: &str, value: String| ["-D".to_string(), format!("{key}={value}")];
        let properties = [
            set("data.dir", self.scratch.dir().join(name).display().to_string()),
            set("worker.hostname", host.clone()),
            set("worker.rpc.port", port.to_string()),
            set("worker.web.port", page.to_string()),
            set("worker.dirs", format!("MEM:{}:1GB", blocks.display())),
        ];
        let words: Vec<&str> = properties.iter().flatten().map(String::as_str).collect();
        let words: Vec<&str> = words.into_iter().chain(["worker", "start"]).collect();
        self.scratch.clears(blocks.clone());
        self.scratch.spawn(name, &words)?;
        self.workers.push((name, format!("{host}:{port}"), page));
        Ok(())
    }

    /// Bytes that live workers have read from the under store, and those they were asked for, and
    /// those they have sent to others; by worker, so that one that ends takes nothing away.
    fn counters(&self, seen: &mut HashMap<String, Counters>) {
        for (_, address, page) in &self.workers {
            let host = address.split(':').next().unwrap_or_default();
            if let Ok(counters) = Counters::at(host, *page) {
                seen.insert(address.clone(), counters);
            }
        }
    }
}

/// What readers did.
#[derive(Default)]
struct Readers {
    stop: AtomicBool,
    reads: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
}

/// Reads files at random until it is told to stop, and looks at every byte.
async fn read_at_random(files: FileSystem, all: Arc<Vec<Status>>, seed: u64, did: Arc<Readers>) {
    let mut random = StdRng::seed_from_u64(seed);
    while !did.stop.load(Ordering::Relaxed) {
        let index = random.random_range(0..all.len());
        let read = async {
            let reader = files.open_status(all[index].clone(), &OpenOptions::default())?;
            reader.read_at(0, FILE).await
        };
        match read.await {
            Ok(bytes) if bytes[..] == content(index)[..] => {}
            Ok(_) => drop(did.wrong.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                tracing::warn!(%error, "a read failed");
                did.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        did.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bytes of a file: its number, over and over.
fn content(index: usize) -> Vec<u8> {
    (index as u64).to_le_bytes().repeat(FILE as usize / 8)
}

/// Grows and shrinks a cluster that holds `count` files, telling `say` how far it is.
///
/// # Errors
/// When a process does not start, or workers do not come and go in time.
pub async fn run(base: &Path, count: usize, say: &(impl Fn(&str) + Sync)) -> Result<Vec<Row>> {
    let mut rig = Rig::start(base)?;
    let data = rig.scratch.dir().join("ufs/data");
    std::fs::create_dir(&data).context("making the data set")?;
    for index in 0..count {
        let path = data.join(format!("{index:06}"));
        std::fs::write(path, content(index)).context("making the data set")?;
    }
    (0..SIZES.0).try_for_each(|_| rig.add_worker())?;
    let files = FileSystem::connect(&rig.scratch.config()?);
    wait_for(&files, SIZES.0).await?;
    load(&files, "/data").await?;
    let all = Arc::new(list(&files, count).await?);
    let did = Arc::new(Readers::default());
    let config: Config = rig.scratch.config()?;
    let readers: Vec<_> = (0..READERS as u64)
        .map(|seed| {
            let files = FileSystem::connect(&config);
            tokio::spawn(read_at_random(files, all.clone(), seed, did.clone()))
        })
        .collect();
    let mut seen = HashMap::new();
    let steady = watch(&rig, &mut seen, async { tokio::time::sleep(STEADY).await }).await;
    say(&format!("{} workers, {:.3} of bytes from the cache", SIZES.0, steady.mean()));

    let before = ring(&files).await?;
    (SIZES.0..SIZES.1).try_for_each(|_| rig.add_worker())?;
    let grown = watch(&rig, &mut seen, async {
        wait_for(&files, SIZES.1).await?;
        tokio::time::sleep(STEADY).await;
        Ok::<_, Error>(())
    })
    .await;
    grown.end.as_ref().map_err(|error| internal(error.to_string()))?;
    let after = ring(&files).await?;
    let (up_moved, up_ideal) = (grown.moved, must_move(&all, &before, &after));
    say(&format!("{} workers, {} MB moved", SIZES.1, up_moved >> 20));

    let leaving: Vec<String> =
        rig.workers.iter().take(SIZES.1 - SIZES.2).map(|(_, address, _)| address.clone()).collect();
    let shrunk = watch(&rig, &mut seen, async {
        for worker in &leaving {
            files.decommission(worker).await?;
        }
        wait_for(&files, SIZES.2).await
    })
    .await;
    shrunk.end.as_ref().map_err(|error| internal(error.to_string()))?;
    let last = ring(&files).await?;
    let (down_moved, down_ideal) = (shrunk.moved, must_move(&all, &after, &last));
    for name in NAMES.iter().take(leaving.len()) {
        rig.scratch.kill(name)?;
    }
    let left = watch(&rig, &mut seen, async { tokio::time::sleep(STEADY * 4).await }).await;
    say(&format!("{} workers, {} MB moved", SIZES.2, down_moved >> 20));
    did.stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.map_err(|e| internal(e.to_string()))?;
    }

    let worst = grown.worst().min(shrunk.worst()).min(left.worst());
    let below = grown.below(HITS) + shrunk.below(HITS) + left.below(HITS);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mb = |bytes: u64| bytes as f64 / 1048576.0;
    let share = |name: &str, moved: u64, ideal: u64| {
        let pair = [(mb(moved), mb(ideal) * MOVED)];
        let row = Row::new(name, "MB", "1.2 × what must move", &pair, true);
        row.note(format!("{:.3} of what must move", moved as f64 / ideal.max(1) as f64))
    };
    Ok(vec![
        Row::new(
            "bytes out of the cache, worst second",
            "share",
            "0.95 × before",
            &[(worst, HITS * steady.mean())],
            false,
        )
        .note(format!(
            "{below} s in all below that; {} reads, {} failed, {} wrong",
            count(&did.reads),
            count(&did.failed),
            count(&did.wrong),
        )),
        share(&format!("moved, {} to {} workers", SIZES.0, SIZES.1), up_moved, up_ideal),
        share(&format!("moved, {} to {} workers", SIZES.1, SIZES.2), down_moved, down_ideal),
    ])
}

/// What a while was like.
struct Watched<T> {
    /// The share of bytes from the cache, for each second with reads.
    hits: Vec<f64>,
    /// Bytes that went from worker to worker.
    moved: u64,
    end: T,
}

impl<T> Watched<T> {
    fn mean(&self) -> f64 {
        self.hits.iter().sum::<f64>() / self.hits.len().max(1) as f64
    }

    fn worst(&self) -> f64 {
        self.hits.iter().copied().fold(1.0, f64::min)
    }

    fn below(&self, share: f64) -> usize {
        self.hits.iter().filter(|&&hits| hits < share).count()
    }
}

/// Looks at the workers' counters every second while `work` is done.
async fn watch<T>(
    rig: &Rig,
    seen: &mut HashMap<String, Counters>,
    work: impl Future<Output = T>,
) -> Watched<T> {
    tokio::pin!(work);
    rig.counters(seen);
    let first = Counters::sum(seen.values());
    let mut last = first;
    let mut hits = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let end = loop {
        tokio::select! {
            end = &mut work => break end,
            _ = ticks.tick() => {
                rig.counters(seen);
                let now = Counters::sum(seen.values());
                let (read, filled) = (now.read - last.read, now.filled - last.filled);
                if read > 0 {
                    hits.push(1.0 - filled as f64 / read as f64);
                }
                last = now;
            }
        }
    };
    rig.counters(seen);
    Watched { hits, moved: Counters::sum(seen.values()).moved - first.moved, end }
}

async fn ring(files: &FileSystem) -> Result<Ring> {
    Ok(Ring::new(files.workers().await?))
}

/// Bytes whose owner is another one on the ring `after`.
fn must_move(all: &[Status], before: &Ring, after: &Ring) -> u64 {
    let owner = |ring: &Ring, block: BlockId| ring.owner(block).map(|worker| worker.id);
    let blocks = all.iter().map(|status| status.block(0).id);
    blocks.filter(|&block| owner(before, block) != owner(after, block)).count() as u64 * FILE
}

/// Waits until so many workers are active and nobody else is on the way in or out.
async fn wait_for(files: &FileSystem, count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let workers = files.worker_report().await?;
        let moves = |worker: &&WorkerInfo| {
            matches!(worker.state, WorkerState::WarmingUp | WorkerState::Draining)
        };
        let active = workers.iter().filter(|worker| worker.is_on_ring()).count();
        if active == count && !workers.iter().any(|worker| moves(&worker)) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(deadline_exceeded(format!("{active} workers instead of {count}")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn load(files: &FileSystem, path: &str) -> Result<()> {
    let job = LoadJob { path: path.into(), replicas: 1, ..Default::default() };
    let mut job = files.load(job).await?;
    let start = Instant::now();
    while job.ended_ms == 0 {
        if start.elapsed() > PATIENCE {
            return Err(deadline_exceeded("the data set is not loaded"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        job = files.job(job.id).await?;
    }
    match job.state() {
        JobState::Done => Ok(()),
        _ => Err(internal(format!("the data set is not loaded: {}", job.message))),
    }
}

/// The files, in the order of their numbers.
async fn list(files: &FileSystem, count: usize) -> Result<Vec<Status>> {
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        all.push(files.status(&FsPath::parse(&format!("/data/{index:06}"))?).await?);
    }
    Ok(all)
}
