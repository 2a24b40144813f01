//! Writes a file, reads a part of it, and removes it again:
//!
//! ```console
//! $ goosefs local start &
//! $ cargo run --example hello
//! ```

use goosefs::client::{CreateOptions, DeleteOptions, FileSystem, OpenOptions};
use goosefs::core::config::{Config, Overrides};
use goosefs::core::error::Result;
use goosefs::core::model::FsPath;

#[tokio::main]
async fn main() -> Result<()> {
    let fs = FileSystem::connect(&Config::load(&Overrides::default())?);
    let path = FsPath::parse("/hello")?;

    let mut writer = fs.create(&path, &CreateOptions::default()).await?;
    writer.write("good morning, goose").await?;
    let status = writer.close().await?;
    println!("{path}: {} bytes, {}", status.length, status.persistence.name());

    let reader = fs.open(&path, &OpenOptions::default()).await?;
    let bytes = reader.read_at(14, 5).await?;
    println!("and 5 of them from 14 on: {}", String::from_utf8_lossy(&bytes));

    fs.delete(&path, &DeleteOptions::default()).await
}
