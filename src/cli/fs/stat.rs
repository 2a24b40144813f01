//! `fs stat`.

use super::{cached, each};
use crate::cli::print;
use crate::cli::session::Session;
use crate::core::error::Result;
use crate::core::model::{NodeKind, Status};
use clap::Args;

/// Show all that is known of files and directories
#[derive(Args, Debug)]
#[command(after_help = "\
Formats of -f: %N name, %z size in bytes, %b blocks, %u owner, %g group, %a permissions in octal,
%i file id, %y modification time in UTC, %Y the same in milliseconds, %% a percent sign.

Examples:
  goosefs fs stat /data/a.parquet
  goosefs fs stat -f '%z %Y' '/data/*.parquet'")]
pub struct Stat {
    /// Paths to show
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Print this, with what is known in the place of %-letters
    #[arg(short = 'f', long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Stat {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        session.out.begin_list()?;
        each(session, &self.paths, "looking at", async |session, path| {
            let mut status = [session.fs.status(&path).await?];
            cached::fill_in(session, &mut status).await;
            let [status] = status;
            session.out.item(
                || value(&status),
                || match &self.format {
                    Some(format) => formatted(format, &status),
                    None => described(&status),
                },
            )
        })
        .await?;
        session.out.end_list()
    }
}

/// The status in JSON, with its blocks.
fn value(status: &Status) -> serde_json::Value {
    let mut value = print::status_json(status);
    let blocks = (0..status.block_count()).map(|index| {
        let block = status.block(index);
        serde_json::json!({
            "id": block.id.0,
            "offset": block.offset,
            "length": block.length,
            "locations": block.locations,
        })
    });
    value["blocks"] = blocks.collect();
    let xattrs = status.xattrs.iter().map(|(name, value)| {
        (name.clone(), serde_json::Value::from(String::from_utf8_lossy(value)))
    });
    value["xattrs"] = serde_json::Value::Object(xattrs.collect());
    value
}

/// The text of GooseFS: what it is, all fields, its blocks.
fn described(status: &Status) -> String {
    let kind = match status {
        s if s.is_symlink() => "symbolic link",
        s if s.folder => "directory",
        s => match s.node().map(|node| node.kind) {
            Some(NodeKind::Pipe) => "named pipe",
            Some(NodeKind::Socket) => "socket",
            Some(NodeKind::Character) => "character device",
            Some(NodeKind::Block) => "block device",
            None => "file",
        },
    };
    let mut text = format!("{} is a {kind} path.\n{}", status.path, fields(status));
    if status.folder || status.is_symlink() {
        return text;
    }
    text.push_str("\nContaining the following blocks:");
    for index in 0..status.block_count() {
        let block = status.block(index);
        text.push_str(&format!(
            "\nBlockInfo{{id={}, length={}, locations={:?}}}",
            block.id, block.length, block.locations
        ));
    }
    text
}

fn fields(status: &Status) -> String {
    let policy = |name: Option<&'static str>| name.unwrap_or("UNSET");
    let xattrs: Vec<String> = status
        .xattrs
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value).escape_debug()))
        .collect();
    let fields: [(&str, String); 30] = [
        ("fileId", status.id.to_string()),
        ("name", status.name().into()),
        ("path", status.path.to_string()),
        ("ufsPath", status.ufs_path.clone()),
        ("length", status.length.to_string()),
        ("blockSizeBytes", status.block_size.to_string()),
        ("creationTimeMs", status.created_ms.to_string()),
        ("completed", status.completed.to_string()),
        ("folder", status.folder.to_string()),
        ("symlink", status.symlink.clone()),
        ("pinned", status.pinned.to_string()),
        ("pinnedMedia", format!("[{}]", status.pinned_media())),
        ("cacheable", status.cacheable.to_string()),
        ("persisted", status.is_persisted().to_string()),
        ("inGooseFSPercentage", status.cached_percent.to_string()),
        ("lastModificationTimeMs", status.modified_ms.to_string()),
        ("lastAccessTimeMs", status.accessed_ms.to_string()),
        ("ttl", status.ttl_ms.unwrap_or(-1).to_string()),
        ("ttlAction", status.ttl_action.to_string()),
        ("owner", status.owner.clone()),
        ("group", status.group.clone()),
        ("mode", format!("{:o}", status.mode)),
        ("persistenceState", status.persistence.name().into()),
        ("mountPoint", status.mount_point.to_string()),
        ("mountId", status.mount_id.to_string()),
        ("readType", policy(status.read_type.map(|read| read.name())).into()),
        ("writeType", policy(status.write_type.map(|write| write.name())).into()),
        ("replicationMin", status.replication().min.to_string()),
        ("replicationMax", status.replication().max.map_or(-1, i64::from).to_string()),
        ("ufsFingerprint", status.ufs_version.clone()),
    ];
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("FileInfo{{{}, xattr={{{}}}}}", fields.join(", "), xattrs.join(", "))
}

/// `format` with what is known in the place of %-letters; a letter that means nothing stays.
fn formatted(format: &str, status: &Status) -> String {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        match characters.next() {
            Some('N') => text.push_str(status.name()),
            Some('z') => text.push_str(&status.length.to_string()),
            Some('b') => text.push_str(&status.block_count().to_string()),
            Some('u') => text.push_str(&status.owner),
            Some('g') => text.push_str(&status.group),
            Some('a') => text.push_str(&format!("{:o}", status.mode)),
            Some('i') => text.push_str(&status.id.to_string()),
            Some('y') => text.push_str(&print::time_utc(status.modified_ms)),
            Some('Y') => text.push_str(&status.modified_ms.to_string()),
            Some('%') => text.push('%'),
            Some(other) => text.extend(['%', other]),
            None => text.push('%'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{FileId, FsPath};

    fn status() -> Status {
        Status {
            id: FileId::from_container(1),
            path: FsPath::parse("/a/b").unwrap(),
            length: 130,
            block_size: 64,
            completed: true,
            owner: "ann".into(),
            group: "users".into(),
            mode: 0o644,
            modified_ms: 1_700_000_000_042,
            ..Default::default()
        }
    }

    #[test]
    fn a_format_is_filled_in() {
        let text = formatted("%N %z %b %u:%g %a %y|%Y 100%% %q %", &status());
        assert_eq!(text, "b 130 3 ann:users 644 2023-11-14 22:13:20|1700000000042 100% %q %");
    }

    #[test]
    fn a_file_is_described_with_its_blocks() {
        let text = described(&status());
        assert!(
            text.starts_with("/a/b is a file path.\nFileInfo{fileId=33554431, name=b, "),
            "{text}"
        );
        assert!(text.contains("persistenceState=NOT_PERSISTED"), "{text}");
        assert!(text.ends_with("BlockInfo{id=16777218, length=2, locations=[]}"), "{text}");
        let folder = Status { folder: true, ..status() };
        assert!(described(&folder).starts_with("/a/b is a directory path.\n"));
        assert!(!described(&folder).contains("BlockInfo"));
    }

    #[test]
    fn the_json_form_has_blocks() {
        assert_eq!(value(&status())["blocks"][2]["length"], 2);
    }
}
