//! A command that returns once a directory can be used, and leaves a process behind that serves it.
//!
//! That process is this program again, in the foreground, with its words in a file; it says over its
//! standard output when it is ready.

use super::Global;
use crate::core::config::Config;
use crate::core::error::{Context, Error, ErrorKind, Result, internal};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the serving process says on its standard output once the directory can be used.
const READY: &str = "mounted";

/// Says to whoever waits in [`start`] that the directory can be used.
pub(super) fn announce() {
    // Whoever started this may be gone; the directory is mounted all the same.
    writeln!(std::io::stdout(), "{READY}").ok();
}

/// Starts this program again with `arguments` to serve `dir`, and waits until it does. What must not
/// be seen among the arguments goes by the variable `secret`.
///
/// # Errors
/// What the process says when it ends instead.
pub(super) fn start(
    arguments: Vec<OsString>,
    secret: Option<(&str, String)>,
    config: &Config,
    dir: &Path,
) -> Result<()> {
    let (log_path, mut log) = open_log(config, dir)?;
    let said_before = log.seek(SeekFrom::End(0))?;
    let program = std::env::current_exe().context("finding this program")?;
    let mut server = Command::new(program)
        .args(arguments)
        .envs(secret)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        // Not ended by the terminal it was started from.
        .process_group(0)
        .spawn()
        .context("starting the process that serves the directory")?;
    let output = server.stdout.take().ok_or_else(|| internal("the process has no output"))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line.trim_end() == READY {
        return Ok(());
    }
    server.wait()?;
    log.seek(SeekFrom::Start(said_before))?;
    let mut said = String::new();
    log.read_to_string(&mut said).ok();
    let last = said.lines().rev().find_map(|line| line.strip_prefix("goosefs: "));
    Err(match last {
        Some(last) => Error::new(ErrorKind::FailedPrecondition, last),
        None => internal(format!("the process ended early: see {}", log_path.display())),
    })
}

/// The options of every command, as they were given to this one.
pub(super) fn global_arguments(global: &Global) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if let Some(file) = &global.config {
        arguments.extend(["--config".into(), file.into()]);
    }
    for (key, value) in &global.properties {
        arguments.extend(["-D".into(), format!("{key}={value}").into()]);
    }
    arguments
}

/// The file that takes the words of the process that serves `dir`.
fn open_log(config: &Config, dir: &Path) -> Result<(PathBuf, File)> {
    let logs = config.node.data_dir.join("logs");
    std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
    let name = dir.to_string_lossy().trim_matches('/').replace('/', "-");
    let path = logs.join(format!("fuse-{name}.log"));
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .open(&path)
        .with_context(|| format!("opening the log {}", path.display()))?;
    Ok((path, log))
}
