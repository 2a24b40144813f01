//! `fs checksum`.

use super::each;
use crate::cli::session::Session;
use crate::client::OpenOptions;
use crate::core::error::Result;
use crate::core::model::FsPath;
use clap::Args;
use md5::{Digest, Md5};

/// Print the MD5 checksum of files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs checksum /data/a.parquet")]
pub struct Checksum {
    /// Files to read
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Checksum {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "reading", async |session, path| {
            let sum = md5_of(session, &path).await?;
            session.out.item(
                || serde_json::json!({ "path": path.as_str(), "md5sum": sum }),
                || format!("md5sum: {sum}"),
            )
        })
        .await?;
        session.out.end_list()
    }
}

async fn md5_of(session: &Session, path: &FsPath) -> Result<String> {
    let reader = session.fs.open(path, &OpenOptions::default()).await?;
    let mut stream = reader.stream_all();
    let mut sum = Md5::new();
    while let Some(bytes) = stream.next().await? {
        sum.update(&bytes);
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
