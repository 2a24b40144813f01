//! `fs touch`.

use super::each;
use crate::cli::session::Session;
use crate::client::CreateOptions;
use crate::core::error::Result;
use clap::Args;

/// Make empty files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs touch /data/_SUCCESS")]
pub struct Touch {
    /// Files to make
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl Touch {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        each(session, &self.paths, "making", async |session, path| {
            let options = CreateOptions { recursive: true, ..Default::default() };
            session.fs.create(&path, &options).await?.close().await?;
            session.out.note(format!("{path} has been created"))
        })
        .await
    }
}
