//! `fs getCapacityBytes`, `fs getUsedBytes`.

use crate::cli::session::Session;
use crate::core::error::Result;
use clap::Args;

/// Print how many bytes the cache can hold
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs getCapacityBytes")]
pub struct GetCapacityBytes {}

/// Print how many bytes the cache holds
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs getUsedBytes")]
pub struct GetUsedBytes {}

impl GetCapacityBytes {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let bytes = session.fs.capacity().await?.total_bytes;
        say(session, ("Capacity Bytes", "capacityBytes"), bytes)
    }
}

impl GetUsedBytes {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let bytes = session.fs.capacity().await?.used_bytes;
        say(session, ("Used Bytes", "usedBytes"), bytes)
    }
}

fn say(session: &mut Session, (text, name): (&str, &str), bytes: u64) -> Result<()> {
    if session.out.is_json() {
        return session.out.json(&serde_json::json!({ name: bytes }));
    }
    session.out.line(format!("{text}: {bytes}"))
}
