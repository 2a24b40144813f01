//! `fsadmin backup`.

use crate::cli::print;
use crate::cli::session::Session;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::proto::v1::{self, BackupState};
use clap::Args;
use std::time::Duration;

/// How often the primary is asked how it goes.
const LOOK: Duration = Duration::from_millis(100);

/// Back up the masters' state
///
/// The primary writes the whole inode tree, the mounts and all else that the journal amounts to, as
/// it is at one moment; nobody waits meanwhile. What was acknowledged before is in it. Data is not:
/// what is in the cache only stays there. It holds the credentials of mounts, so keep it where
/// nobody else reads.
///
/// goosefs.master.daily.backup.enabled makes one every day.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin backup                            in goosefs.master.backup.directory
  goosefs fsadmin backup s3://bucket/backups
  goosefs fsadmin backup /backups                   a directory of the root under store
  goosefs fsadmin backup /var/backups --local       a directory of the primary's host
  goosefs format --from-backup s3://bucket/backups/goosefs-backup-2026-11-22-....image")]
pub struct Backup {
    /// Where to; the configured directory where it is not said
    #[arg(value_name = "DIR|URI")]
    directory: Option<String>,
    /// The directory is one of the primary's host
    #[arg(long, requires = "directory")]
    local: bool,
}

impl Backup {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let id = uuid::Uuid::new_v4().to_string();
        let directory = self.directory.unwrap_or_default();
        let mut backup = session.fs.start_backup(&id, &directory, self.local).await?;
        while backup.state() == BackupState::Running {
            tokio::time::sleep(LOOK).await;
            backup = session.fs.backup(&id).await?;
        }
        if backup.state() == BackupState::Failed {
            return Err(Error::new(ErrorKind::Internal, backup.message));
        }
        if session.out.is_json() {
            return session.out.json(&value(&backup));
        }
        session.out.line(text(&backup))
    }
}

fn text(backup: &v1::Backup) -> String {
    let took = print::took(Duration::from_millis(backup.took_ms.max(0) as u64));
    let lines = [
        ("Backup Host", backup.host.clone()),
        ("Backup URI", backup.uri.clone()),
        ("Backup Entry Count", backup.entries.to_string()),
        ("Backup Size", print::size(backup.bytes, true)),
        ("Backup Duration", took),
    ];
    let lines = lines.iter().map(|(name, value)| format!("{name:<19}: {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn value(backup: &v1::Backup) -> serde_json::Value {
    serde_json::json!({
        "host": backup.host,
        "uri": backup.uri,
        "entries": backup.entries,
        "bytes": backup.bytes,
        "seconds": backup.took_ms as f64 / 1000.0,
        "startedMs": backup.started_ms,
        "clusterId": backup.cluster_id,
        "lastEntry": backup.last_entry,
    })
}
