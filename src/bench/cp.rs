//! `goosefs bench cp`: what goosefs is for, on this machine's own files.
//!
//! A tree lies on a slow web archive. It is mounted and copied with `cp -r` as it is (cold), loaded
//! into a fresh cache, and copied again (warm); the floor is the same `cp -r` of the same tree from
//! memory to memory. The kernel's caches are dropped before each warm copy where that is allowed,
//! every copy is compared byte for byte, and warm and floor run in turn.

use super::tree::{self, Tree};
use super::{Row, Scratch, Stop, archive};
use crate::client::{FileSystem, MountOptions};
use crate::core::error::{Context, Error, ErrorKind, Result, internal, invalid_argument};
use crate::core::error::{deadline_exceeded, resource_exhausted};
use crate::core::model::FsPath;
use crate::core::runtime::{Group, signals};
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

/// The most bytes that fit into the cache of the cluster that is started.
const MOST: u64 = 3 << 30;
/// How long the mounted directory may take to show up.
const MOUNT: Duration = Duration::from_secs(30);
/// How long clean-up waits for what is under way.
const END: Duration = Duration::from_secs(5);

/// What to copy, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// An under store to copy from, instead of the archive.
    pub ufs: Option<String>,
    /// Properties of that under store.
    pub properties: BTreeMap<String, String>,
    /// Bytes of the tree.
    pub size: u64,
    /// Bytes a second of the archive's line.
    pub rate: u64,
    /// Warm copies.
    pub rounds: usize,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// What was copied.
    pub tree: Tree,
    /// Where it came from.
    pub source: String,
    /// Bytes a second of the line; none for an under store of one's own.
    pub rate: Option<u64>,
    /// Seconds of the copy that fetched everything.
    pub cold_s: f64,
    /// Seconds of `goosefs load`.
    pub load_s: f64,
    /// Seconds of the warm copies and of the floor, and the floor divided by warm.
    pub warm: Row,
    /// Cold divided by the median of warm.
    pub speed_up: f64,
    /// Whether the kernel's caches were dropped before each warm copy.
    pub caches_dropped: bool,
}

/// Runs the whole of it; `say` is told what happens. Cleans up also on SIGINT and SIGTERM.
///
/// # Errors
/// Whatever goes wrong, `DataLoss` if a copy is not the same; `Cancelled` by a signal.
pub async fn run(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<Found> {
    if options.size > MOST || options.size < 1 << 20 || options.rounds == 0 {
        return Err(invalid_argument("--size must be 1MB to 3GB, and --rounds 1 or more"));
    }
    let bench = Bench {
        dir: WorkDir::new(options.size)?,
        stop: Stop::default(),
        work: TaskTracker::new(),
        say,
        options,
    };
    let group = Group::new("bench");
    let found = tokio::select! {
        found = bench.run(&group) => found,
        () = signals::shutdown() => Err(Error::new(ErrorKind::Cancelled, "interrupted")),
    };
    bench.stop.tell();
    bench.work.close();
    bench.work.wait().await;
    group.stop(END).await;
    found
}

struct Bench<'b> {
    dir: WorkDir,
    stop: Stop,
    /// Work that blocks, to be waited for before its directory goes.
    work: TaskTracker,
    say: &'b (dyn Fn(&str) + Sync),
    options: &'b Options,
}

impl Bench<'_> {
    async fn run(&self, group: &Group) -> Result<Found> {
        let (source, reference) = match &self.options.ufs {
            Some(ufs) => (ufs.clone(), None),
            None => {
                let tree = self.dir.0.join("tree");
                self.build(&tree).await?;
                (archive::serve(&tree, self.options.rate, group).await?, Some(tree))
            }
        };
        let (cold_s, reference) = self.cold(&source, reference).await?;
        let mut cluster = Cluster::start(self, &source).await?;
        let result = self.loaded(&mut cluster, &source, cold_s, &reference).await;
        cluster.explain(result)
    }

    async fn build(&self, tree: &Path) -> Result<()> {
        (self.say)("building a tree of this machine's files");
        let (dir, size, stop) = (tree.to_path_buf(), self.options.size, self.stop.clone());
        let built = self.blocking(move || tree::build(&dir, size, &stop)).await?;
        (self.say)(&format!(
            "{} small and {} large files, {} MiB, behind a line of {:.1} MiB/s",
            built.small,
            built.large,
            built.bytes >> 20,
            self.options.rate as f64 / 1048576.0
        ));
        Ok(())
    }

    /// Copies through an empty cache; tells how long it took, and what copies are compared with.
    async fn cold(&self, source: &str, reference: Option<PathBuf>) -> Result<(f64, PathBuf)> {
        let cluster = Cluster::start(self, source).await?;
        (self.say)("cold: cp -r out of the mounted directory, nothing cached");
        let copy = self.dir.0.join("cold");
        let result = self.copy(cluster.mounted.dir(), &copy).await;
        let cold_s = cluster.explain(result)?;
        match reference {
            Some(reference) => {
                self.verify_and_remove(&reference, &copy).await?;
                Ok((cold_s, reference))
            }
            None => Ok((cold_s, copy)),
        }
    }

    async fn loaded(
        &self,
        cluster: &mut Cluster,
        source: &str,
        cold_s: f64,
        reference: &Path,
    ) -> Result<Found> {
        (self.say)("load: goosefs load, into the empty cache of a fresh cluster");
        let load_s = cluster.load().await?;
        (self.say)("warm: cp -r out of the mounted directory, and from tmpfs to tmpfs, in turn");
        let (mut rounds, mut tree, mut dropped) = (Vec::new(), Tree::default(), true);
        for round in 0..self.options.rounds {
            let mut times = [0.0; 2];
            // Warm first, then the floor first: what drifts hits both.
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                dropped &= self.blocking(|| Ok(drop_caches())).await?;
                let from = if which == 0 { cluster.mounted.dir() } else { reference };
                let copy = self.dir.0.join("copy");
                times[which] = self.copy(from, &copy).await?;
                tree = self.verify_and_remove(reference, &copy).await?;
            }
            (self.say)(&format!("round {}: {:.3} s, tmpfs {:.3} s", round + 1, times[0], times[1]));
            rounds.push((times[0], times[1]));
        }
        let warm = Row::new("F1 cp -r, warm", "s", "tmpfs to tmpfs", &rounds, true);
        Ok(Found {
            tree,
            source: source.into(),
            rate: self.options.ufs.is_none().then_some(self.options.rate),
            cold_s,
            load_s,
            speed_up: cold_s / warm.ours,
            warm,
            caches_dropped: dropped,
        })
    }

    /// `cp -r from to`; tells the seconds.
    async fn copy(&self, from: &Path, to: &Path) -> Result<f64> {
        let start = Instant::now();
        let mut command = Command::new("cp");
        let command = command.arg("-r").arg(from).arg(to).stdin(Stdio::null()).kill_on_drop(true);
        let done = command.output().await.context("running cp")?;
        let seconds = start.elapsed().as_secs_f64();
        if done.status.success() {
            return Ok(seconds);
        }
        let said = String::from_utf8_lossy(&done.stderr);
        let first = said.lines().next().unwrap_or("no reason given").to_string();
        Err(internal(format!("cp -r {} failed: {first}", from.display())))
    }

    async fn verify_and_remove(&self, reference: &Path, copy: &Path) -> Result<Tree> {
        let (reference, copy, stop) =
            (reference.to_path_buf(), copy.to_path_buf(), self.stop.clone());
        self.blocking(move || {
            let tree = tree::compare(&reference, &copy, &stop)?;
            std::fs::remove_dir_all(&copy).context("removing a copy")?;
            Ok(tree)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = self.work.spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(internal("the work was given up").with_source(error)))
    }
}

/// A cluster with the source mounted in its tree, and its tree as a directory.
struct Cluster {
    // Before the cluster: unmounted while somebody still answers.
    mounted: Mounted,
    scratch: Scratch,
}

const DATA: &str = "/data";

impl Cluster {
    async fn start(bench: &Bench<'_>, source: &str) -> Result<Cluster> {
        let base = bench.dir.0.clone();
        let scratch = bench.blocking(move || {
            let mut scratch = Scratch::start(&base, &[])?;
            scratch.start_worker()?;
            Ok(scratch)
        });
        let scratch = scratch.await?;
        let mount = MountOptions {
            read_only: true,
            shared: true,
            properties: bench.options.properties.clone(),
        };
        let path = FsPath::parse(DATA)?;
        let tree = FileSystem::connect(&scratch.config()?);
        tree.mount(&path, source, &mount).await?;
        let dir = scratch.dir().join("mounted");
        let mounted = Mounted::start(&scratch, &dir).await;
        let log = log_of(&scratch, "fuse");
        let mounted = mounted.map_err(|error| error.context(log))?;
        Ok(Cluster { mounted, scratch })
    }

    /// `goosefs load` of everything; tells the seconds.
    async fn load(&self) -> Result<f64> {
        let start = Instant::now();
        let mut command = Command::from(self.scratch.command(&["load", DATA])?);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let status = command.status().await.context("running goosefs load")?;
        match status.success() {
            true => Ok(start.elapsed().as_secs_f64()),
            false => Err(internal(format!("goosefs load ended with {status}"))),
        }
    }

    /// Adds to an error what the processes had to say.
    fn explain<T>(&self, result: Result<T>) -> Result<T> {
        let logs = || ["master", "worker", "fuse"].map(|name| log_of(&self.scratch, name)).concat();
        result.map_err(|error| match logs() {
            logs if logs.is_empty() => error,
            logs => error.context(logs),
        })
    }
}

/// The last words of a process of the cluster.
fn log_of(scratch: &Scratch, name: &str) -> String {
    let log = std::fs::read_to_string(scratch.dir().join(format!("{name}.log")));
    match log.unwrap_or_default().lines().last() {
        Some(line) => format!("the {name} said {line:?}; "),
        None => String::new(),
    }
}

/// The mounted directory and the process behind it.
struct Mounted {
    dir: PathBuf,
    process: Child,
}

impl Mounted {
    async fn start(scratch: &Scratch, dir: &Path) -> Result<Mounted> {
        std::fs::create_dir(dir).context("making a directory to mount on")?;
        let name = dir.to_str().ok_or_else(|| internal("the directory's name is not UTF-8"))?;
        let log =
            std::fs::File::create(scratch.dir().join("fuse.log")).context("creating a log")?;
        let mut command =
            Command::from(scratch.command(&["fuse", "mount", DATA, name, "--foreground"])?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let process = command.spawn().context("starting goosefs fuse mount")?;
        let mut mounted = Mounted { dir: dir.into(), process };
        let above = std::fs::metadata(scratch.dir()).context("looking at a directory")?.dev();
        let start = Instant::now();
        loop {
            let (dir, look) = (dir.to_path_buf(), move |dir: PathBuf| std::fs::metadata(dir));
            let device =
                tokio::task::spawn_blocking(move || look(dir).map(|meta| meta.dev())).await;
            if device.is_ok_and(|device| device.is_ok_and(|device| device != above)) {
                return Ok(mounted);
            }
            if let Some(status) = mounted.process.try_wait().context("waiting for a process")? {
                return Err(internal(format!("goosefs fuse mount ended with {status}")));
            }
            if start.elapsed() > MOUNT {
                return Err(deadline_exceeded(format!("nothing was mounted within {MOUNT:?}")));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, so that it goes also while somebody is in it or nobody answers.
        nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH).ok();
        self.process.start_kill().ok();
    }
}

/// A directory in memory for everything, removed when dropped.
struct WorkDir(PathBuf);

impl WorkDir {
    /// The tree, a copy of it, and the cache have to fit.
    fn new(size: u64) -> Result<WorkDir> {
        let base = Path::new("/dev/shm");
        let stat = nix::sys::statvfs::statvfs(base).map_err(|error| {
            resource_exhausted("no /dev/shm: mount a tmpfs there").with_source(error)
        })?;
        let (free, needed) = (stat.blocks_available() * stat.fragment_size(), size * 4);
        if free < needed {
            let (free, needed) = (free >> 20, needed >> 20);
            return Err(resource_exhausted(format!(
                "/dev/shm has {free} MiB free, {needed} are needed: choose a smaller --size"
            )));
        }
        let dir = tempfile::Builder::new().prefix("goosefs-bench-cp-").tempdir_in(base);
        Ok(WorkDir(dir.context("making a directory in /dev/shm")?.keep()))
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // A cp that was killed just now may still finish what it was at.
        for _ in 0..20 {
            match std::fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => return,
            }
        }
        tracing::warn!(dir = %self.0.display(), "could not be removed");
    }
}

/// Drops the kernel's caches of pages, names and inodes; tells whether that was allowed.
fn drop_caches() -> bool {
    nix::unistd::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}
