//! `goosefs worker start`.

use super::Global;
use crate::core::error::Result;
use crate::core::runtime::{logging, signals};
use crate::worker;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Run a worker
///
/// A worker keeps blocks in the directories of goosefs.worker.dirs, memory before disks, and fetches
/// from under stores what it does not have. It may join and leave at any time: see goosefs fsadmin
/// decommission for how it leaves without losing what is warm.
#[derive(Args, Debug)]
pub struct Worker {
    #[command(subcommand)]
    command: WorkerCommand,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// Store and serve blocks, in the foreground, until it is told to stop
    Start,
}

impl Worker {
    /// Runs it.
    ///
    /// # Errors
    /// As [`worker::run`].
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let WorkerCommand::Start = self.command;
        let config = global.load()?;
        logging::start(&config.node)?;
        super::block_on(worker::run(config, signals::shutdown()))?;
        Ok(ExitCode::SUCCESS)
    }
}
