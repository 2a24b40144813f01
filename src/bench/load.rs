//! `goosefs bench load`: very many small objects of an S3 server brought into the cache, against
//! `rclone copy --transfers 16` of the same objects from the same server into memory. And how long
//! it takes to say how much of them is cached, against a listing of them.

use super::{Report, Row, Scratch, alternate, objects};
use crate::client::{FileSystem, ListOptions};
use crate::core::error::{Context, Result, data_loss, internal};
use crate::core::model::FsPath;
use crate::core::proto::v1::{JobState, LoadJob};
use crate::core::runtime::Group;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Rounds of ours and the floor.
const ROUNDS: usize = 3;
/// How often it is asked whether the load has ended.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// How long clean-up waits for what is under way.
const END: Duration = Duration::from_secs(5);

/// What is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Objects.
    pub files: usize,
    /// Bytes of each.
    pub length: usize,
}

/// Runs both in turn; without rclone ours alone, which `say` is told.
///
/// # Errors
/// Whatever goes wrong; `DataLoss` when not all of it was loaded.
pub async fn run(dir: &Path, options: Options, say: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let group = Group::new("bench");
    let Options { files: count, length } = options;
    let served = objects::Served { count, length: length as u64, link: 0 };
    let url = objects::serve(served, &group).await?;
    let name = format!("U2 load {} x {} bytes from S3", options.files, options.length);
    let rclone = Command::new("rclone").arg("version").stdout(Stdio::null()).status().await;
    let sums = Mutex::new(Vec::new());
    let report = if rclone.is_ok_and(|status| status.success()) {
        let ours = || ours(dir, &url, options, &sums);
        let rounds = alternate(ROUNDS, ours, || floor(&url, options)).await?;
        Row::new(&name, "files/s", "rclone copy --transfers 16 to tmpfs", &rounds, false)
    } else {
        say("SKIPPED: the floor: there is no rclone on this machine (apt install rclone)");
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let ours = ours(dir, &url, options, &sums).await?;
            rounds.push((ours, ours));
        }
        Row::new(&name, "files/s", "ourselves: no rclone", &rounds, false)
    };
    group.stop(END).await;
    let name = format!("sums of {} cached files", options.files);
    let sums = Row::new(&name, "s", "listing them", &sums.into_inner(), true);
    Ok(Report { rows: vec![report, sums] })
}

/// Loads everything into the empty cache of a fresh cluster; files a second. How long the sums take
/// and how long a listing goes to `sums`.
async fn ours(
    dir: &Path,
    url: &str,
    options: Options,
    sums: &Mutex<Vec<(f64, f64)>>,
) -> Result<f64> {
    let properties = [
        ("master.mount.table.root.ufs", format!("s3://{}", objects::BUCKET)),
        ("underfs.s3.endpoint", url.to_string()),
        ("underfs.s3.anonymous", "true".into()),
    ];
    let (base, root) = (dir.to_path_buf(), properties.clone());
    let scratch = tokio::task::spawn_blocking(move || -> Result<Scratch> {
        let mut scratch = Scratch::start(&base, &root)?;
        scratch.start_worker()?;
        Ok(scratch)
    });
    let scratch = scratch.await.map_err(|e| internal("starting a cluster").with_source(e))??;
    let files = FileSystem::connect(&scratch.config()?);
    files.workers().await?;
    let start = Instant::now();
    let path = format!("/{}", objects::FOLDER);
    let mut job = files.load(LoadJob { path, replicas: 1, ..Default::default() }).await?;
    while job.ended_ms == 0 {
        tokio::time::sleep(ASK_EVERY).await;
        job = files.job(job.id).await?;
    }
    let took = start.elapsed();
    if job.state() != JobState::Done || job.files_done != options.files as i64 {
        return Err(data_loss(format!(
            "{} of {} files: {}",
            job.files_done, options.files, job.message
        )));
    }
    let pair = (add_up(&files, options).await?, list(&files).await?);
    sums.lock().push(pair);
    Ok(options.files as f64 / took.as_secs_f64())
}

/// Seconds until all of it was found to be cached.
async fn add_up(files: &FileSystem, options: Options) -> Result<f64> {
    let start = Instant::now();
    let found = files.measure(&FsPath::root().join(objects::FOLDER)?, 0).await?;
    let took = start.elapsed().as_secs_f64();
    let sums = found.measured.first().map(|measured| measured.sums).unwrap_or_default();
    let bytes = (options.files * options.length) as u64;
    if (sums.files, sums.cached_bytes) != (options.files as u64, bytes) {
        return Err(data_loss(format!("of {bytes} loaded bytes the sums say {sums:?}")));
    }
    Ok(took)
}

/// Seconds that a listing takes.
async fn list(files: &FileSystem) -> Result<f64> {
    let start = Instant::now();
    let path = FsPath::root().join(objects::FOLDER)?;
    let mut listing = files.list_stream(&path, &ListOptions::default()).await?;
    while listing.try_next().await?.is_some() {}
    Ok(start.elapsed().as_secs_f64())
}

/// Copies everything into memory with rclone; files a second.
async fn floor(url: &str, options: Options) -> Result<f64> {
    let base = Path::new("/dev/shm");
    let base = if base.is_dir() { base } else { Path::new("/tmp") };
    let to = tempfile::Builder::new().prefix("goosefs-bench-").tempdir_in(base);
    let to = to.context("making a directory in memory")?;
    let from = format!(":s3:{}/{}", objects::BUCKET, objects::FOLDER);
    let start = Instant::now();
    let done = Command::new("rclone")
        .args(["copy", "--transfers", "16", "--config", "/dev/null", &from])
        .arg(to.path())
        .args(["--s3-provider", "Other", "--s3-endpoint", url, "--s3-force-path-style"])
        .args(["--s3-access-key-id", "bench", "--s3-secret-access-key", "bench"])
        // A bundle of certificates is not for plain HTTP, and rclone dies of one it cannot read.
        .env_remove("AWS_CA_BUNDLE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("running rclone")?;
    let took = start.elapsed();
    let copied = std::fs::read_dir(to.path()).context("counting what was copied")?.count();
    if !done.status.success() || copied != options.files {
        let said = String::from_utf8_lossy(&done.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(internal(format!("rclone copied {copied} of {} files: {last}", options.files)));
    }
    Ok(options.files as f64 / took.as_secs_f64())
}
