//! `fs mount`, `fs unmount`, `fs updateMount`.

use super::{each, glob};
use crate::cli::key_value;
use crate::cli::session::Session;
use crate::client::MountOptions;
use crate::core::error::Result;
use crate::core::model::{FsPath, MountInfo};
use clap::Args;

/// Attach an under store to the tree, or list what is attached
#[derive(Args, Debug)]
#[command(after_help = "\
Under stores are file:///path, s3://bucket/path, cosn://bucket/path, http:// and https:// URLs.

Examples:
  goosefs fs mount
  goosefs fs mount /archive https://archive.example.org/data/
  goosefs fs mount --readonly /data s3://bucket/data \\
      --option s3.endpoint=http://10.0.0.1:9000 --option s3.region=us-east-1 \\
      --option s3a.accessKeyId=... --option s3a.secretKey=...")]
pub struct Mount {
    /// Where in the tree; all mounts are listed without it
    #[arg(value_name = "PATH", requires = "ufs")]
    path: Option<String>,
    /// Address of the under store
    #[arg(value_name = "URI")]
    ufs: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Change the options of a mount
///
/// Options that are given are set, those with an empty value go, others stay. Without --readonly or
/// --shared it is not so from now on.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs updateMount /data --readonly --option s3.endpoint=http://10.0.0.2:9000")]
pub struct UpdateMount {
    /// Where it is attached
    #[arg(value_name = "PATH")]
    path: String,
    #[command(flatten)]
    how: How,
}

/// Detach an under store from the tree; its data stays where it is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs unmount /data")]
pub struct Unmount {
    /// Where it is attached
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

/// How an under store is attached.
#[derive(Args, Clone, Debug)]
pub struct How {
    /// Refuse writes
    #[arg(long, visible_alias = "read-only")]
    readonly: bool,
    /// Let every user use it
    #[arg(long)]
    shared: bool,
    /// A property for the connector, such as a credential
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_value)]
    options: Vec<(String, String)>,
}

impl How {
    /// As the client says it.
    pub fn options(self) -> MountOptions {
        MountOptions {
            read_only: self.readonly,
            shared: self.shared,
            properties: self.options.into_iter().collect(),
        }
    }
}

impl Mount {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let (Some(path), Some(ufs)) = (self.path, self.ufs) else { return list(session).await };
        let path = FsPath::parse(&glob::unescape(&path))?;
        let mounted = session.fs.mount(&path, &ufs, &self.how.options()).await;
        mounted.map_err(|error| error.context(format!("mounting {ufs}")))?;
        session.out.note(format!("Mounted {ufs} at {path}"))
    }
}

impl UpdateMount {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let path = FsPath::parse(&glob::unescape(&self.path))?;
        session.fs.update_mount(&path, &self.how.options()).await?;
        session.out.note(format!("Updated mount point options at {path}"))
    }
}

impl Unmount {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        each(session, &self.paths, "unmounting", async |session, path| {
            session.fs.unmount(&path).await?;
            session.out.note(format!("Unmounted {path}"))
        })
        .await
    }
}

/// Prints all mounts, in the lines of GooseFS.
async fn list(session: &mut Session) -> Result<()> {
    let mounts = session.fs.mounts().await?;
    let width = |of: fn(&MountInfo) -> &str| mounts.iter().map(|m| of(m).len()).max().unwrap_or(0);
    let widths = (width(|m| &m.ufs), width(|m| m.path.as_str()));
    session.out.begin_list()?;
    for mount in &mounts {
        session.out.item(|| mount_json(mount), || mount_line(mount, widths))?;
    }
    session.out.end_list()
}

/// One mount as GooseFS prints it: address, path, and how it is attached.
pub(in crate::cli) fn mount_line(mount: &MountInfo, (ufs, path): (usize, usize)) -> String {
    // The master stars out what is secret; a mount that came another way is treated alike.
    let mount = mount.redacted();
    let kind = mount.ufs.split_once("://").map_or("local", |(scheme, _)| scheme);
    let not = |yes: bool| if yes { "" } else { "not " };
    let properties: Vec<String> =
        mount.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "{:<ufs$}  on  {:<path$}  ({kind}, {}read-only, {}shared, properties={{{}}})",
        mount.ufs,
        mount.path.as_str(),
        not(mount.read_only),
        not(mount.shared),
        properties.join(", ")
    )
}

/// One mount in JSON.
pub(in crate::cli) fn mount_json(mount: &MountInfo) -> serde_json::Value {
    let mount = mount.redacted();
    serde_json::json!({
        "path": mount.path.as_str(),
        "ufs": mount.ufs,
        "mountId": mount.id,
        "readOnly": mount.read_only,
        "shared": mount.shared,
        "properties": mount.properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_listed_without_its_secrets() {
        let mount = MountInfo {
            id: 2,
            path: FsPath::parse("/data").unwrap(),
            ufs: "s3://bucket/data".into(),
            read_only: true,
            shared: false,
            properties: [("s3a.secretKey", "hush"), ("s3.region", "eu")]
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .into(),
        };
        assert_eq!(
            mount_line(&mount, (18, 5)),
            "s3://bucket/data    on  /data  (s3, read-only, not shared, \
             properties={s3.region=eu, s3a.secretKey=******})"
        );
        assert!(!mount_json(&mount).to_string().contains("hush"));
    }
}
