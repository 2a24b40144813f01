//! The master: start it, or make it forget everything.

use super::{Global, block_on};
use crate::core::error::{Result, failed_precondition};
use crate::core::runtime::{logging, signals};
use crate::master;
use clap::{Args, Subcommand};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// The `master` command.
#[derive(Args, Debug)]
pub struct Master {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a master in the foreground, until SIGTERM or Ctrl-C
    Start,
}

impl Master {
    /// Runs it.
    ///
    /// # Errors
    /// As [`master::run`].
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        logging::start(&config.node)?;
        match self.action {
            Action::Start => block_on(async { master::run(config, signals::shutdown()).await })?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The `format` command.
#[derive(Args, Debug)]
#[command(after_help = "\
Removes the journal and the inode tree of this node's master. Under stores are not touched: what is
persisted there can be mounted again. What was in the cache only is lost.")]
pub struct Format {
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
}

impl Format {
    /// Runs it.
    ///
    /// # Errors
    /// When nobody agreed, or the directory cannot be removed.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        let dir = config.master.journal_dir.display().to_string();
        if !self.yes && !agreed(&dir)? {
            return Err(failed_precondition("nothing was formatted: say yes, or give --yes"));
        }
        master::format(&config)?;
        println!("Formatted the master's journal in {dir}");
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks on a terminal; elsewhere nobody is there to answer.
fn agreed(dir: &str) -> Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Ok(false);
    }
    print!("Forget the whole inode tree in {dir}? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
