//! How a call may be made: what callers can say beyond a path. Every `Default` is what the
//! configuration or the master says.

use crate::core::error::{Error, Result, invalid_argument};
use crate::core::model::{ReadType, TtlAction, WriteType};
use crate::core::proto::grpc::file::LoadMetadataPType;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// When metadata is looked up in the under store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataLoad {
    /// Not at all: the inode tree alone answers.
    Never,
    /// Where the inode tree does not know the path or directory yet.
    #[default]
    Once,
    /// Every time.
    Always,
}

impl FromStr for MetadataLoad {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_uppercase().as_str() {
            "NEVER" => Ok(MetadataLoad::Never),
            "ONCE" => Ok(MetadataLoad::Once),
            "ALWAYS" => Ok(MetadataLoad::Always),
            _ => Err(invalid_argument(format!("{text:?} is none of NEVER, ONCE, ALWAYS"))),
        }
    }
}

impl From<MetadataLoad> for LoadMetadataPType {
    fn from(load: MetadataLoad) -> Self {
        match load {
            MetadataLoad::Never => LoadMetadataPType::Never,
            MetadataLoad::Once => LoadMetadataPType::Once,
            MetadataLoad::Always => LoadMetadataPType::Always,
        }
    }
}

/// How to ask for a status.
#[derive(Clone, Debug, Default)]
pub struct StatusOptions {
    /// When the under store is asked; none for the configured way.
    pub load: Option<MetadataLoad>,
    /// How old what the tree knows of the under store may be; none for the configured age.
    pub max_age: Option<Duration>,
    /// Whether the last component, if it is a symbolic link, is followed.
    pub follow: bool,
    /// Whether it is asked for to be read: refused to those who may not, where permissions are checked.
    pub read: bool,
}

impl StatusOptions {
    /// What the under store has now, whatever the tree knew.
    pub fn synced() -> Self {
        StatusOptions {
            load: Some(MetadataLoad::Always),
            max_age: Some(Duration::ZERO),
            ..Default::default()
        }
    }
}

/// How to list a directory.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// When the under store is asked; none for the configured way.
    pub load: Option<MetadataLoad>,
    /// How old what the tree knows of the under store may be; none for the configured age.
    pub max_age: Option<Duration>,
    /// Whether directories below are listed too, each directory before what is in it.
    pub recursive: bool,
}

impl ListOptions {
    /// What the under store has now, whatever the tree knew.
    pub fn synced() -> Self {
        ListOptions {
            load: Some(MetadataLoad::Always),
            max_age: Some(Duration::ZERO),
            ..Default::default()
        }
    }
}

/// How to make a file.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Bytes in a block; none for the configured size.
    pub block_size: Option<u64>,
    /// Where the bytes go; none for the policy of the directory, then the configured type.
    pub write_type: Option<WriteType>,
    /// Whether missing parent directories are made.
    pub recursive: bool,
    /// Permission bits (0o7777); none for 0o666 less the umask of the configuration.
    pub mode: Option<u32>,
    /// Copies of each block; none for the configured number.
    pub replicas: Option<u32>,
    /// With `ASYNC_THROUGH`: how long to wait before persisting; none for the master's setting.
    pub persist_delay: Option<Duration>,
    /// Whether it is the next version of what is at the path, or of nothing: nobody sees it until it
    /// is closed, and then it is at the path at once, in the place of what was there. Owner, group
    /// and mode stay as they were.
    pub next: bool,
    /// Of a next version: what it may replace; anything else is refused with `Changed`, before anything
    /// is written and, unless the bytes go through to the under store, again when it is closed.
    pub replaces: super::writer::Expected,
}

/// How to make a directory.
#[derive(Clone, Debug, Default)]
pub struct CreateDirOptions {
    /// Whether missing parent directories are made.
    pub recursive: bool,
    /// Whether a directory that is there already is fine.
    pub allow_exists: bool,
    /// Permission bits (0o7777); none for 0o777 less the umask of the configuration.
    pub mode: Option<u32>,
    /// Whether the directory is made in the under store now (`THROUGH`, `CACHE_THROUGH`) or with
    /// the first file in it; none for the policy of its parent, then the configured type.
    pub write_type: Option<WriteType>,
}

/// How to delete.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions {
    /// Whether a directory goes with all that is in it.
    pub recursive: bool,
    /// Whether the under store keeps what it has.
    pub cache_only: bool,
    /// Whether the tree may differ from the under store: what is there and not known here is
    /// deleted too.
    pub unchecked: bool,
}

/// How to open a file.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Whether reads leave data in the cache; none for the policy of the file, then the
    /// configured type.
    pub read_type: Option<ReadType>,
    /// Bytes a sequential reader fetches ahead, which also bounds its memory; none for 32 MiB.
    pub read_ahead: Option<u64>,
}

/// What to change of a path; what is none stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SetAttributes {
    /// Owning user.
    pub owner: Option<String>,
    /// Owning group.
    pub group: Option<String>,
    /// Permission bits (0o7777).
    pub mode: Option<u32>,
    /// Whether the file counts as persisted: for repairs.
    pub persisted: Option<bool>,
    /// A directory's read policy.
    pub read_type: Option<ReadType>,
    /// A directory's write policy.
    pub write_type: Option<WriteType>,
    /// Whether it is never evicted.
    pub pinned: Option<bool>,
    /// How long from creation to expiry; `Some(None)` removes the TTL.
    pub ttl: Option<Option<Duration>>,
    /// What happens at expiry.
    pub ttl_action: Option<TtlAction>,
    /// Time of last change, in milliseconds since 1970.
    pub modified_ms: Option<i64>,
    /// Time of last access, in milliseconds since 1970.
    pub accessed_ms: Option<i64>,
    /// Extended attributes to set.
    pub set_xattrs: BTreeMap<String, Vec<u8>>,
    /// Extended attributes to remove.
    pub remove_xattrs: Vec<String>,
    /// Whether all that is below changes too.
    pub recursive: bool,
}

/// How to free cached copies.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreeOptions {
    /// Whether a directory goes with all that is in it.
    pub recursive: bool,
    /// Whether pinned files are freed too.
    pub forced: bool,
}

/// An under store to attach.
#[derive(Clone, Debug, Default)]
pub struct MountOptions {
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether every user may use it.
    pub shared: bool,
    /// Properties for the connector, such as credentials.
    pub properties: BTreeMap<String, String>,
}

/// A namespace to make or change: a mount with policies.
#[derive(Clone, Debug, Default)]
pub struct NamespaceOptions {
    /// How its under store is attached.
    pub mount: MountOptions,
    /// Its read policy.
    pub read_type: Option<ReadType>,
    /// Its write policy.
    pub write_type: Option<WriteType>,
}
