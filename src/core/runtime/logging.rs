//! Where a process's words go: standard error, as text or JSON.

use crate::core::config::Node;
use crate::core::error::{Result, invalid_argument};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging as the configuration says. Later calls change nothing.
///
/// # Errors
/// `InvalidArgument` when the level is none.
pub fn start(node: &Node) -> Result<()> {
    let filter = EnvFilter::try_new(quiet(&node.log_level))
        .map_err(|e| invalid_argument(format!("goosefs.log.level {:?}: {e}", node.log_level)))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second role in this process finds logging started; that is fine.
    let _ = if node.log_format == "json" { builder.json().try_init() } else { builder.try_init() };
    Ok(())
}

/// Libraries below us talk at `warn` unless a level for them is asked for by name; openraft, which
/// repeats several times a second that a master is down, at `error`.
fn quiet(level: &str) -> String {
    if level.contains(',') || level.contains('=') {
        return level.into();
    }
    format!("warn,openraft=error,goosefs={level}")
}
