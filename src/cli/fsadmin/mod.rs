//! `goosefs fsadmin`: what operators ask a cluster.

mod backup;
mod journal;
mod report;

use super::Global;
use super::print::Output;
use super::session::Session;
use crate::core::error::Result;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Look after a cluster
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs fsadmin report
  goosefs fsadmin journal quorum info
  goosefs fsadmin backup
  goosefs fsadmin -o json report capacity | jq '.workers[].usedBytes'")]
pub struct FsAdmin {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report on the cluster, its capacity, its under stores or its metrics
    Report(report::Report),
    /// Look after the journal
    Journal(journal::Journal),
    /// Back up the masters' state
    Backup(backup::Backup),
}

impl FsAdmin {
    /// Does what the verb says.
    ///
    /// # Errors
    /// What keeps the verb from doing anything.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let verb = self.verb;
        Session::run(global, self.output, async |session| match verb {
            Verb::Report(report) => report.run(session).await,
            Verb::Journal(journal) => journal.run(session).await,
            Verb::Backup(backup) => backup.run(session).await,
        })
    }
}
