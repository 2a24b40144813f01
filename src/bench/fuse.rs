//! A mounted directory against the kernel's own tmpfs, and against an empty FUSE on the same library
//! where this process has to answer.
//!
//! The cluster is one of this machine, its blocks on tmpfs. Page caches are dropped before every
//! sequential or random read, so that no figure is the kernel's memory of an earlier one.

use super::{ROUNDS, Row, Scratch, empty_fuse};
use crate::core::error::{Context, Result, internal, permission_denied};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes in the file that is read.
const FILE: usize = 512 << 20;
/// Bytes of one sequential read.
const CHUNK: usize = 1 << 20;
/// Bytes of one random read, and how many there are.
const PAGE: usize = 4096;
const RANDOM_READS: usize = 40_000;
/// Calls of stat(2) in one round.
const STATS: usize = 200_000;
/// Files and directories that find(1) walks.
const TREE: (usize, usize) = (1000, 100);
/// How long a directory may take to be mounted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything there is to measure.
///
/// # Errors
/// `PermissionDenied` for a user who may not mount and drop caches; when a process does not start.
pub fn all(base: &Path) -> Result<Vec<Row>> {
    if !nix::unistd::geteuid().is_root() {
        return Err(permission_denied("this measurement mounts and drops caches: run it as root"));
    }
    let floor = tempfile::Builder::new()
        .prefix("goosefs-bench-")
        .tempdir_in("/dev/shm")
        .context("making a directory on tmpfs")?;
    let mut rows = Vec::new();
    // One block, as most files are; then the same file in blocks of 64 MiB, as very long ones are.
    for (single, what) in [("512MB", "one block"), ("0", "blocks of 64 MB")] {
        let cluster = Site::start(base, single)?;
        make_file(&cluster.below("file"))?;
        make_file(&floor.path().join("file"))?;
        rows.extend(reads(&cluster, floor.path(), what)?);
    }
    let cluster = Site::start(base, "512MB")?;
    make_tree(&cluster.below("tree"))?;
    make_tree(&floor.path().join("tree"))?;
    rows.push(stats(&cluster, floor.path())?);
    rows.extend(finds(&cluster, floor.path())?);
    rows.extend(answers(&cluster)?);
    Ok(rows)
}

/// A cluster with a worker, and a place to mount its tree.
struct Site {
    scratch: Scratch,
    mount: PathBuf,
}

impl Site {
    /// Files of up to `single` bytes are one block.
    fn start(base: &Path, single: &str) -> Result<Site> {
        let properties = [("master.file.single.block.max", single.to_string())];
        let mut scratch = Scratch::start(base, &properties)?;
        scratch.start_worker()?;
        let mount = scratch.dir().join("mnt");
        std::fs::create_dir(&mount).context("making a mount point")?;
        Ok(Site { scratch, mount })
    }

    /// A path in the under store at the root of the tree.
    fn below(&self, name: &str) -> PathBuf {
        self.scratch.dir().join("ufs").join(name)
    }

    fn mounted(&self, options: &str, properties: &[&str]) -> Result<Mounted> {
        let dir = self.mount.display().to_string();
        let mut args = Vec::new();
        properties.iter().for_each(|property| args.extend(["-D", property]));
        args.extend(["fuse", "mount", "/", &dir, "-o", options, "--foreground"]);
        Mounted::start(&mut self.scratch.command(&args)?, &self.mount)
    }
}

/// A mounted directory and the process that serves it; both end when it is dropped.
pub(super) struct Mounted {
    dir: PathBuf,
    server: Child,
}

impl Mounted {
    pub(super) fn start(command: &mut Command, dir: &Path) -> Result<Mounted> {
        let server = command
            .stdout(Stdio::null())
            .spawn()
            .context("starting the process that serves a directory")?;
        let mounted = Mounted { dir: dir.into(), server };
        let start = Instant::now();
        while !mounted.is_mounted() {
            if start.elapsed() > PATIENCE {
                return Err(internal("the directory was not mounted in time"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(mounted)
    }

    /// The process id of the one that serves it.
    pub(super) fn pid(&self) -> u32 {
        self.server.id()
    }

    fn is_mounted(&self) -> bool {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        table.lines().any(|line| line.split(' ').nth(4) == self.dir.to_str())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH).ok();
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// Ours and the floor in turn, the order swapped each round.
fn alternate(
    mut ours: impl FnMut() -> Result<f64>,
    mut floor: impl FnMut() -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    let round = |number: usize| {
        if number.is_multiple_of(2) {
            let ours = ours()?;
            return Ok((ours, floor()?));
        }
        let floor = floor()?;
        Ok((ours()?, floor))
    };
    (0..ROUNDS).map(round).collect()
}

fn make_file(path: &Path) -> Result<()> {
    let mut bytes = vec![0; FILE];
    let mut state = 1_u64;
    for word in bytes.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word.copy_from_slice(&state.to_le_bytes());
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

fn make_tree(root: &Path) -> Result<()> {
    for directory in 0..TREE.0 {
        let dir = root.join(format!("d{directory:04}"));
        std::fs::create_dir_all(&dir).context("making the tree")?;
        for file in 0..TREE.1 {
            File::create(dir.join(format!("f{file:03}"))).context("making the tree")?;
        }
    }
    Ok(())
}

fn drop_page_cache() -> Result<()> {
    std::fs::write("/proc/sys/vm/drop_caches", "1").context("dropping the page cache")
}

fn reads(site: &Site, floor: &Path, what: &str) -> Result<[Row; 2]> {
    let mounted = site.mounted("ro", &[])?;
    let (ours, floor) = (mounted.path("file"), floor.join("file"));
    // The first time brings the file onto this host, and proves that the bytes are right.
    if std::fs::read(&ours).context("reading")? != std::fs::read(&floor).context("reading")? {
        return Err(internal("the mounted file differs from its source"));
    }
    let sequential = alternate(|| sequential_rate(&ours), || sequential_rate(&floor))?;
    let random = alternate(|| random_rate(&ours), || random_rate(&floor))?;
    let name = |id: &str, read: &str| format!("{id} {read}, {what}");
    let dropped = || "page cache dropped".to_string();
    Ok([
        Row::new(&name("F2", "sequential read, 1 MiB"), "MB/s", "tmpfs", &sequential, false)
            .note(dropped()),
        Row::new(&name("F4", "random read, 4 KiB"), "reads/s", "tmpfs", &random, false)
            .note(dropped()),
    ])
}

/// Megabytes a second.
fn sequential_rate(path: &Path) -> Result<f64> {
    drop_page_cache()?;
    let mut buffer = vec![0; CHUNK];
    let start = Instant::now();
    let file = File::open(path).context("opening")?;
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at).context("reading")? {
            0 => break,
            count => at += count as u64,
        }
    }
    Ok(at as f64 / 1e6 / start.elapsed().as_secs_f64())
}

/// Reads a second.
fn random_rate(path: &Path) -> Result<f64> {
    drop_page_cache()?;
    let file = File::open(path).context("opening")?;
    random_reads(&file, RANDOM_READS)
}

fn random_reads(file: &File, count: usize) -> Result<f64> {
    let mut buffer = Aligned([0; PAGE]);
    let mut state = 7_usize;
    let start = Instant::now();
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let page = (state >> 33) % (FILE / PAGE);
        file.read_exact_at(&mut buffer.0, (page * PAGE) as u64).context("reading")?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// As O_DIRECT wants it.
#[repr(align(4096))]
struct Aligned([u8; PAGE]);

fn stats(site: &Site, floor: &Path) -> Result<Row> {
    let mounted = site.mounted("ro", &[])?;
    let (ours, floor) = (mounted.path("tree/d0000"), floor.join("tree/d0000"));
    let rounds = alternate(|| stat_rate(&ours, STATS), || stat_rate(&floor, STATS))?;
    Ok(Row::new("M1 stat, attributes cached", "stats/s", "tmpfs", &rounds, false))
}

fn stat_rate(dir: &Path, count: usize) -> Result<f64> {
    let paths: Vec<PathBuf> = (0..TREE.1).map(|file| dir.join(format!("f{file:03}"))).collect();
    for path in &paths {
        std::fs::metadata(path).context("stat")?;
    }
    let start = Instant::now();
    for path in paths.iter().cycle().take(count) {
        std::fs::metadata(path).context("stat")?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn finds(site: &Site, floor: &Path) -> Result<[Row; 2]> {
    // The master learns of the tree here, and not in the first round.
    find_seconds(&site.mounted("ro", &[])?.path("tree"))?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let floor = floor.join("tree");
    for _ in 0..ROUNDS {
        let mounted = site.mounted("ro", &[])?;
        first.push((find_seconds(&mounted.path("tree"))?, find_seconds(&floor)?));
        second.push((find_seconds(&mounted.path("tree"))?, find_seconds(&floor)?));
    }
    let name = |time: &str| format!("M3 find over {} files, {time} time", TREE.0 * TREE.1);
    Ok([
        Row::new(&name("first"), "s", "tmpfs", &first, true),
        Row::new(&name("second"), "s", "tmpfs", &second, true),
    ])
}

fn find_seconds(dir: &Path) -> Result<f64> {
    let start = Instant::now();
    let output = Command::new("find")
        .arg(dir)
        .args(["-type", "f", "-size", "-100c"])
        .output()
        .context("running find")?;
    let seconds = start.elapsed().as_secs_f64();
    let found = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
    if found != TREE.0 * TREE.1 {
        return Err(internal(format!("find found {found} of {} files", TREE.0 * TREE.1)));
    }
    Ok(seconds)
}

/// What this process itself has to answer: attributes that may not be cached, and reads that the
/// kernel may not keep.
fn answers(site: &Site) -> Result<[Row; 2]> {
    make_file(&site.below("file"))?;
    let empty = site.scratch.dir().join("empty");
    std::fs::create_dir(&empty).context("making a mount point")?;
    let binary = std::env::current_exe().context("finding this binary")?;
    let mut command = Command::new(binary);
    command.args(["bench", "empty-fuse"]).arg(&empty);
    let floor = Mounted::start(&mut command, &empty)?;
    let ours = site.mounted("ro,attr_timeout=0,entry_timeout=60", &["fuse.passthrough=false"])?;
    std::fs::read(ours.path("file")).context("reading")?;
    let (file, floor_file) = (ours.path("file"), floor.path(empty_fuse::NAME));
    let stats = alternate(|| one_stat_rate(&file), || one_stat_rate(&floor_file))?;
    let reads = alternate(|| direct_rate(&file), || direct_rate(&floor_file))?;
    Ok([
        Row::new("F0 getattr, not cached", "stats/s", "an empty FUSE", &stats, false),
        Row::new("F0 read, 4 KiB, O_DIRECT", "reads/s", "an empty FUSE", &reads, false),
    ])
}

fn one_stat_rate(path: &Path) -> Result<f64> {
    let count = STATS / 10;
    let start = Instant::now();
    for _ in 0..count {
        std::fs::metadata(path).context("stat")?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn direct_rate(path: &Path) -> Result<f64> {
    let mut options = File::options();
    let file = options.read(true).custom_flags(libc::O_DIRECT).open(path).context("opening")?;
    random_reads(&file, RANDOM_READS / 2)
}
