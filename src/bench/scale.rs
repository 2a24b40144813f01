//! What a master costs that has many files: memory, a restart, the longest wait of a writer while
//! checkpoints are made, and the rename of a large directory.

use super::metadata::{Master, create_file, open, stat_request};
use super::start::resident_mb;
use super::{ROUNDS, Row, Scratch, alternate};
use crate::core::error::{Error, Result};
use crate::core::proto::grpc::file::{CreateDirectoryPOptions, CreateDirectoryPRequest};
use crate::core::proto::grpc::file::{RenamePOptions, RenamePRequest};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Creates in flight.
const IN_FLIGHT: u64 = 128;
/// Children of the large directory.
const WIDE: u64 = 100_000;
/// Children of each other one.
const NARROW: u64 = 1_000;
/// Files between two lines of progress.
const SAY_EVERY: u64 = 1_000_000;
/// Renames that a round times.
const RENAMES: usize = 50;
/// Bytes of memory that a file may cost the master.
const BYTES_PER_FILE: f64 = 127.0;
/// Seconds that a restart may take.
const RESTART_S: f64 = 10.0;
/// Seconds that a checkpoint may hold up a writer.
const PAUSE_S: f64 = 0.2;
/// How long the master is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Fills a master with so many files, telling `say` how far it is, and measures it.
///
/// # Errors
/// When a process does not start or a call fails.
pub async fn files(base: &Path, count: u64, say: &(impl Fn(&str) + Sync)) -> Result<Vec<Row>> {
    let mut scratch = Scratch::start(base, &[])?;
    let master = open(&scratch).await?;
    create_file(&master, "/first").await?;
    let empty_mb = resident_mb(scratch.pid("master")?)?;
    let start = Instant::now();
    let longest = fill(&master, count, say).await?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    tokio::time::sleep(IDLE).await;
    let full_mb = resident_mb(scratch.pid("master")?)?;
    let disk_mb = size_mb(&scratch.config()?.master.journal_dir);
    let renames = rename(&master).await?;
    drop(master);

    let start = Instant::now();
    scratch.restart_master()?;
    let master = open(&scratch).await?;
    // Answered when the master is ready, and not before.
    master.clone().get_status(stat_request(&path(count - 1))).await?;
    let restart_s = start.elapsed().as_secs_f64();
    let again_mb = resident_mb(scratch.pid("master")?)?;

    let files = format!("{} million files", count as f64 / 1e6);
    let row = |name: &str, unit, ours, target| {
        Row::new(&format!("{name}, {files}"), unit, "target", &[(ours, target)], true)
    };
    let bytes = full_mb * 1048576.0 / count as f64;
    Ok(vec![
        row("M10 resident memory per file", "B", bytes, BYTES_PER_FILE).note(format!(
            "{full_mb:.0} MB in all, {empty_mb:.0} with one file, {again_mb:.0} after a restart; {:.0} B on disk",
            disk_mb * 1048576.0 / count as f64
        )),
        row("M11 kill -9 to ready again", "s", restart_s, RESTART_S),
        Row::new(
            &format!("M12 rename of a directory of {WIDE}"),
            "ms",
            "of an empty one",
            &renames,
            true,
        ),
        row("longest create, checkpoints and all", "s", longest.as_secs_f64(), PAUSE_S)
            .note(format!("{rate:.0} creates/s, {IN_FLIGHT} in flight")),
    ])
}

/// Where the file of that number is.
fn path(number: u64) -> String {
    match number < WIDE {
        true => format!("/wide/{number}"),
        false => {
            let directory = number / NARROW;
            format!("/many/{}/{directory}/file-{number}", directory / NARROW)
        }
    }
}

/// Makes so many files; the longest time one took.
async fn fill(master: &Master, count: u64, say: &(impl Fn(&str) + Sync)) -> Result<Duration> {
    let (next, longest_us) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let caller = || async {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok::<_, Error>(());
            }
            let begun = Instant::now();
            create_file(master, &path(number)).await?;
            longest_us.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
            if (number + 1).is_multiple_of(SAY_EVERY) {
                let (made, seconds) = (number + 1, start.elapsed().as_secs_f64());
                let longest_ms = longest_us.load(Ordering::Relaxed) / 1000;
                say(&format!("{made} files in {seconds:.0} s, the longest took {longest_ms} ms"));
            }
        }
    };
    futures::future::try_join_all((0..IN_FLIGHT).map(|_| caller())).await?;
    Ok(Duration::from_micros(longest_us.into_inner()))
}

/// Milliseconds that the rename of the large directory takes, and that of an empty one.
async fn rename(master: &Master) -> Result<Vec<(f64, f64)>> {
    let options = CreateDirectoryPOptions::default();
    let request = CreateDirectoryPRequest { path: Some("/empty".into()), options: Some(options) };
    master.clone().create_directory(request).await?;
    alternate(ROUNDS, || back_and_forth(master, "/wide"), || back_and_forth(master, "/empty")).await
}

async fn back_and_forth(master: &Master, name: &str) -> Result<f64> {
    let other = format!("{name}-renamed");
    let start = Instant::now();
    for turn in 0..RENAMES {
        let (from, to) = if turn % 2 == 0 { (name, &*other) } else { (&*other, name) };
        let request = RenamePRequest {
            path: Some(from.into()),
            dst_path: Some(to.into()),
            options: Some(RenamePOptions::default()),
        };
        master.clone().rename(request).await?;
    }
    Ok(start.elapsed().as_secs_f64() * 1000.0 / RENAMES as f64)
}

/// Megabytes of all files below `dir`.
fn size_mb(dir: &Path) -> f64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size_mb(&entry.path()),
        _ => entry.metadata().map_or(0.0, |file| file.len() as f64 / 1048576.0),
    };
    entries.map(size).sum()
}
