//! `fsadmin migrate`, and the report on it: blocks on their way to where they belong.

use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::model::ByteSize;
use crate::core::proto::grpc::block::{GetMigrationProgressPResponse, MigrationProgressReport};
use clap::{Args, Subcommand};

/// Move blocks to the workers they belong to
///
/// Blocks move by themselves when workers come or leave; this is for holding and hastening that,
/// and for putting blocks in their places after workers were lost and returned.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs fsadmin migrate start
  goosefs fsadmin migrate pause
  goosefs fsadmin migrate status")]
pub struct Migrate {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Verb {
    /// Begin now, or go on after a pause
    #[command(visible_alias = "resume")]
    Start,
    /// Hold the migration under way
    Pause,
    /// End the migration under way; what has moved has moved
    Cancel,
    /// Show how far it is
    Status,
}

impl Migrate {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        match self.verb {
            Verb::Start => {
                let id = session.fs.start_migration().await?;
                session.out.line(format!("{id} is under way"))
            }
            Verb::Pause => {
                session.fs.pause_migration().await?;
                session.out.line("Paused: go on with `goosefs fsadmin migrate start`")
            }
            Verb::Cancel => {
                session.fs.cancel_migration().await?;
                session.out.line("Cancelled: workers that warm up or leave stay as they are")
            }
            Verb::Status => report(session).await,
        }
    }
}

/// Shows the migration under way, or the last one.
pub(super) async fn report(session: &mut Session) -> Result<()> {
    let migration = session.fs.migration().await?;
    if session.out.is_json() {
        return session.out.json(&value(&migration));
    }
    session.out.line(format!("{}: {}", migration.task_id(), migration.status()))?;
    let mut rows: Vec<Vec<String>> = migration
        .worker_progress
        .iter()
        .map(|worker| {
            let progress = worker.progress.clone().unwrap_or_default();
            row(worker.worker_address(), &progress)
        })
        .collect();
    rows.push(row("all", &sums(&migration)));
    let header = ["From", "Blocks", "Moved", "Needless", "Failed", "Bytes", "Done"];
    session.out.table(&header, rows, &())
}

fn sums(migration: &GetMigrationProgressPResponse) -> MigrationProgressReport {
    let mut progress = migration.worker_progress.iter().filter_map(|w| w.progress.as_ref());
    MigrationProgressReport {
        task_id: migration.task_id.clone(),
        total_blocks: migration.total_blocks,
        migrated_blocks: migration.migrated_blocks,
        failed_blocks: migration.failed_blocks,
        skipped_blocks: migration.skipped_blocks,
        total_bytes: migration.total_bytes,
        migrated_bytes: migration.migrated_bytes,
        completed: Some(progress.all(MigrationProgressReport::completed)),
    }
}

fn row(from: &str, progress: &MigrationProgressReport) -> Vec<String> {
    let size = |bytes: i64| ByteSize(bytes.max(0) as u64);
    vec![
        from.into(),
        progress.total_blocks().to_string(),
        progress.migrated_blocks().to_string(),
        progress.skipped_blocks().to_string(),
        progress.failed_blocks().to_string(),
        format!("{}/{}", size(progress.migrated_bytes()), size(progress.total_bytes())),
        if progress.completed() { "yes" } else { "no" }.into(),
    ]
}

fn value(migration: &GetMigrationProgressPResponse) -> serde_json::Value {
    let figures = |progress: &MigrationProgressReport| {
        serde_json::json!({
            "totalBlocks": progress.total_blocks(),
            "movedBlocks": progress.migrated_blocks(),
            "needlessBlocks": progress.skipped_blocks(),
            "failedBlocks": progress.failed_blocks(),
            "totalBytes": progress.total_bytes(),
            "movedBytes": progress.migrated_bytes(),
            "completed": progress.completed(),
        })
    };
    let workers = migration.worker_progress.iter().map(|worker| {
        let mut value = figures(&worker.progress.clone().unwrap_or_default());
        value["worker"] = worker.worker_address().into();
        value
    });
    let workers: Vec<_> = workers.collect();
    let mut value = figures(&sums(migration));
    value["id"] = migration.task_id().into();
    value["status"] = migration.status().into();
    value["workers"] = workers.into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_row_and_a_value() {
        let progress = MigrationProgressReport {
            total_blocks: Some(10),
            migrated_blocks: Some(7),
            skipped_blocks: Some(2),
            failed_blocks: Some(1),
            total_bytes: Some(4 << 20),
            migrated_bytes: Some(3 << 20),
            completed: Some(true),
            task_id: None,
        };
        assert_eq!(row("w:1", &progress), ["w:1", "10", "7", "2", "1", "3MB/4MB", "yes"]);
        let migration = GetMigrationProgressPResponse {
            task_id: Some("m".into()),
            migrated_blocks: Some(7),
            ..Default::default()
        };
        assert_eq!(value(&migration)["movedBlocks"], 7);
        assert_eq!(value(&migration)["id"], "m");
    }
}
