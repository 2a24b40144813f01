//! `fsadmin ratelimit`: how hard under stores are used.

use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::model::ByteSize;
use clap::Args;

/// Show or set the bytes a second between all workers and the under stores
///
/// The bound is divided among the live workers, and outlives restarts. goosefs.worker.ufs.bandwidth
/// bounds a single worker; a job has a bound of its own (goosefs load --bandwidth).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin ratelimit
  goosefs fsadmin ratelimit 500MB
  goosefs fsadmin ratelimit 0                       no bound")]
pub struct RateLimit {
    /// Bytes a second; 0 for no bound
    #[arg(value_name = "SIZE")]
    rate: Option<ByteSize>,
}

impl RateLimit {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        if let Some(rate) = self.rate {
            session.fs.set_ufs_rate(rate.0).await?;
        }
        let rate = session.fs.ufs_rate().await?;
        if session.out.is_json() {
            return session.out.json(&serde_json::json!({ "bytesPerSecond": rate }));
        }
        session.out.line(match rate {
            0 => "Workers use under stores without a bound".into(),
            rate => format!("All workers together: {} a second", ByteSize(rate)),
        })
    }
}
