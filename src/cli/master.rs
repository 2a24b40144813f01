//! The master: start it, or make it forget everything.

use super::print::time_utc;
use super::{Global, block_on};
use crate::core::config::Config;
use crate::core::error::{Result, failed_precondition};
use crate::core::runtime::{logging, signals};
use crate::master;
use clap::{Args, Subcommand};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Run a master
///
/// Masters own the tree: names, attributes, mounts and jobs. One is enough to begin with; three or
/// five in goosefs.masters elect one among them, keep the journal together, and go on when fewer than
/// half of them are lost.
#[derive(Args, Debug)]
pub struct Master {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a master in the foreground, until SIGTERM or Ctrl-C
    #[command(after_help = "\
Examples:
  goosefs master start
  goosefs --config three.yaml master start --name m1    one of several; see goosefs.masters")]
    Start {
        /// Which of goosefs.masters this is; found out by host where it is not said
        #[arg(long)]
        name: Option<String>,
    },
}

impl Master {
    /// Runs it.
    ///
    /// # Errors
    /// As [`master::run`].
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let Action::Start { name } = self.action;
        let config = named(global.load()?, name.as_deref())?;
        logging::start(&config.node)?;
        block_on(async { master::run(config, signals::shutdown()).await })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Forget a master's journal and inode tree
///
/// Removes the journal and the inode tree of this node's master. Under stores are not touched: what is
/// persisted there can be mounted again. What was in the cache only is lost.
///
/// With --from-backup the master begins with a backup in place of nothing. The backup is checked whole
/// before anything is removed. Of several masters restore one, format the others, and start all: they
/// begin when all are there. See goosefs(7).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs format
  goosefs format --from-backup /var/backups/goosefs-backup-2026-11-22-....image
  goosefs format --name m0 --yes --from-backup s3://bucket/backups/goosefs-backup-....image
  goosefs format --name m1 --yes")]
pub struct Format {
    /// Do not ask
    #[arg(short = 'y', long)]
    yes: bool,
    /// Which of goosefs.masters this is; found out by host where it is not said
    #[arg(long)]
    name: Option<String>,
    /// Begin with this backup: the address of an under store, or a file of this host
    #[arg(long, value_name = "URI|FILE")]
    from_backup: Option<String>,
}

impl Format {
    /// Runs it.
    ///
    /// # Errors
    /// When nobody agreed, the directory cannot be removed, or the backup is not a whole one.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = named(global.load()?, self.name.as_deref())?.for_master()?;
        let dir = config.master.journal_dir.display().to_string();
        // A backup in the place of nothing takes nothing away.
        let asks = self.from_backup.is_none() || !master::is_formatted(&config)?;
        if asks && !self.yes && !agreed(&dir)? {
            return Err(failed_precondition("nothing was formatted: say yes, or give --yes"));
        }
        let Some(from) = self.from_backup else {
            master::format(&config)?;
            println!("Formatted the master's journal in {dir}");
            return Ok(ExitCode::SUCCESS);
        };
        let (header, inodes) = block_on(master::restore(&config, &from))?;
        println!(
            "The master's journal in {dir} begins with the backup of {} UTC, of cluster {}: {inodes} \
             files and directories. Start the master.",
            time_utc(header.made_ms),
            header.cluster_id
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// The configuration of the master of that name.
fn named(config: Config, name: Option<&str>) -> Result<Config> {
    match name {
        Some(name) => config.and("goosefs.master.name", name),
        None => Ok(config),
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
