//! What a process costs when it does nothing: time from its start until it serves, and memory.

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

/// Start-up time and idle memory of a master and a worker.
///
/// # Errors
/// When a process does not start.
pub fn roles(base: &Path) -> Result<Vec<Row>> {
    let start = Instant::now();
    let mut scratch = Scratch::start(base, &[])?;
    let master_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    scratch.start_worker()?;
    let worker_s = start.elapsed().as_secs_f64();
    std::thread::sleep(IDLE);
    let mut rows = Vec::new();
    for (name, seconds) in [("master", master_s), ("worker", worker_s)] {
        let rounds = [(seconds, START_S)];
        rows.push(Row::new(&format!("C1 {name}: start to serving"), "s", "target", &rounds, true));
        let rounds = [(resident_mb(scratch.pid(name)?)?, RESIDENT_MB)];
        rows.push(Row::new(&format!("C1 {name}: idle memory"), "MB", "target", &rounds, true));
    }
    Ok(rows)
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
