//! `fs location`.

use super::each;
use crate::cli::session::Session;
use crate::core::error::{Error, ErrorKind, Result};
use clap::Args;

/// Show which workers hold a file
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs location /data/a.parquet")]
pub struct Location {
    /// Files to look for
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Location {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "locating", async |session, path| {
            let status = session.fs.status(&path).await?;
            if status.folder {
                return Err(Error::new(ErrorKind::IsDirectory, "it is a directory"));
            }
            let blocks = session.fs.locations(&status).await?;
            let mut hosts: Vec<String> = blocks
                .iter()
                .flat_map(|block| &block.holders)
                .map(|(worker, _)| worker.address.host.clone())
                .collect();
            hosts.sort();
            hosts.dedup();
            let value = || {
                let blocks = blocks.iter().map(|block| {
                    let holders = block.holders.iter().map(|(worker, bytes)| {
                        serde_json::json!({ "worker": worker.address.to_string(), "bytes": bytes })
                    });
                    serde_json::json!({
                        "id": block.block.id.0,
                        "length": block.block.length,
                        "holders": holders.collect::<Vec<_>>(),
                    })
                });
                serde_json::json!({
                    "path": path.as_str(),
                    "fileId": status.id.0,
                    "hosts": hosts,
                    "blocks": blocks.collect::<Vec<_>>(),
                })
            };
            session.out.item(value, || {
                let mut text = format!("{path} with file id {} is on nodes:", status.id);
                hosts.iter().for_each(|host| text.push_str(&format!("\n{host}")));
                text
            })
        })
        .await?;
        session.out.end_list()
    }
}
