//! Copies a file within the cluster, reading ahead while it writes:
//!
//! ```console
//! $ cargo run --example copy -- /from /to
//! ```

use goosefs::client::{CreateOptions, FileSystem, OpenOptions};
use goosefs::core::config::{Config, Overrides};
use goosefs::core::error::{Result, invalid_argument};
use goosefs::core::model::FsPath;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        return Err(invalid_argument("give two paths: copy FROM TO"));
    };
    let fs = FileSystem::connect(&Config::load(&Overrides::default())?);
    let reader = fs.open(&FsPath::parse(from)?, &OpenOptions::default()).await?;
    let mut writer = fs.create(&FsPath::parse(to)?, &CreateOptions::default()).await?;
    let mut bytes = reader.stream_all();
    while let Some(bytes) = bytes.next().await? {
        writer.write(bytes).await?;
    }
    let status = writer.close().await?;
    println!("{}: {} bytes", status.path, status.length);
    Ok(())
}
