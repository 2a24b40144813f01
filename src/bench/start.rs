//! What a process costs when it does nothing: time from its start until it serves, and memory.

use super::fuse::Mounted;
use super::{Row, Scratch};
use crate::core::error::{Context, Result, internal};
use std::path::Path;
use std::time::{Duration, Instant};

/// Resident megabytes that an idle process should stay below.
const RESIDENT_MB: f64 = 40.0;
/// Seconds a process should take until it serves.
const START_S: f64 = 1.0;
/// How long a process is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(3);

/// Start-up time and idle memory of a master, a worker and, for a user who may mount, a mounted
/// directory.
///
/// # Errors
/// When a process does not start.
pub fn roles(base: &Path) -> Result<Vec<Row>> {
    let start = Instant::now();
    let mut scratch = Scratch::start(base, &[])?;
    let master_s = start.elapsed().as_secs_f64();
    let worker_start = Instant::now();
    scratch.start_worker()?;
    let worker_s = worker_start.elapsed().as_secs_f64();
    let mounted = nix::unistd::geteuid().is_root().then(|| mount(&scratch)).transpose()?;
    let all_s = start.elapsed().as_secs_f64();
    std::thread::sleep(IDLE);
    let mut rows = Vec::new();
    for (name, seconds) in [("master", master_s), ("worker", worker_s)] {
        rows.push(row(name, "start to serving", "s", seconds, START_S));
        let resident = resident_mb(scratch.pid(name)?)?;
        rows.push(row(name, "idle memory", "MB", resident, RESIDENT_MB));
    }
    if let Some(mounted) = mounted {
        let resident = resident_mb(mounted.pid())?;
        rows.push(row("mount", "idle memory", "MB", resident, RESIDENT_MB));
        rows.push(row("all three", "start to a file read from the mount", "s", all_s, START_S));
    }
    Ok(rows)
}

fn row(name: &str, what: &str, unit: &'static str, ours: f64, target: f64) -> Row {
    Row::new(&format!("C1 {name}: {what}"), unit, "target", &[(ours, target)], true)
}

/// Mounts the tree of `scratch` and reads a file of its under store through it.
fn mount(scratch: &Scratch) -> Result<Mounted> {
    const TEXT: &str = "served";
    let below = scratch.dir().join("ufs/file");
    std::fs::write(&below, TEXT).context("writing a file of the under store")?;
    let dir = scratch.dir().join("mnt");
    std::fs::create_dir(&dir).context("making a mount point")?;
    let target = dir.display().to_string();
    let mut command = scratch.command(&["fuse", "mount", "/", &target, "--foreground"])?;
    let mounted = Mounted::start(&mut command, &dir)?;
    // The worker may still be introducing itself to the master: reading waits for that.
    match std::fs::read_to_string(dir.join("file")).context("reading from the mount")? {
        text if text == TEXT => Ok(mounted),
        text => Err(internal(format!("the mounted file says {text:?}"))),
    }
}

/// Resident memory of a process, from `/proc/PID/status` (proc(5)).
///
/// # Errors
/// `NotFound` when there is no such process.
pub fn resident_mb(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading memory")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes / 1024.0)
        .ok_or_else(|| internal("/proc/PID/status is not as proc(5) says"))
}
