//! `goosefs fsadmin`: what operators ask a cluster.

mod backup;
mod journal;
mod migrate;
mod persist;
mod ratelimit;
mod report;
mod summary;
mod worker;

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
  goosefs fsadmin decommission worker-3:9203
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
    Report(report::Report),
    Journal(journal::Journal),
    Backup(backup::Backup),
    Decommission(worker::Decommission),
    Recommission(worker::Recommission),
    ForgetWorker(worker::ForgetWorker),
    UpdateWorker(worker::UpdateWorker),
    Migrate(migrate::Migrate),
    Persist(persist::Persist),
    #[command(name = "ratelimit")]
    RateLimit(ratelimit::RateLimit),
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
            Verb::Decommission(decommission) => decommission.run(session).await,
            Verb::Recommission(recommission) => recommission.run(session).await,
            Verb::ForgetWorker(forget) => forget.run(session).await,
            Verb::UpdateWorker(update) => update.run(session).await,
            Verb::Migrate(migrate) => migrate.run(session).await,
            Verb::Persist(persist) => persist.run(session).await,
            Verb::RateLimit(rate) => rate.run(session).await,
        })
    }
}
