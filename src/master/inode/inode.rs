//! One inode.
//!
//! Stored under its parent's id and its name, so neither is in the record: a directory is one
//! range of keys that holds its children whole, and a path of three components costs three reads.

use crate::core::model::replication::Replication;
use crate::core::model::{FileId, Media, PersistenceState, ReadType, TtlAction, WriteType, block};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a file, directory or symbolic link, but for where it is in the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inode {
    /// Its id; kept over renames.
    pub id: FileId,
    /// Owning user.
    pub owner: String,
    /// Owning group.
    pub group: String,
    /// Permission bits, 0o7777.
    pub mode: u32,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    /// Milliseconds since 1970; 0: never since it was modified.
    pub accessed_ms: i64,
    /// When the inode itself last changed, by the log's time. A listing of the under store that
    /// began earlier knows nothing of it.
    pub changed_ms: i64,
    /// Where its bytes are safe; for a directory, whether the under store has it.
    pub persistence: PersistenceState,
    /// What it is.
    pub kind: Kind,
    /// What few inodes have.
    pub extra: Option<Box<Extra>>,
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// A file.
    File(File),
    /// A directory.
    Directory(Directory),
    /// A symbolic link to this target.
    Symlink(String),
}

/// What only files have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Bytes in it.
    pub length: u64,
    /// Bytes a block of it holds.
    pub block_size: u64,
    /// Whether it has been written to the end.
    pub completed: bool,
    /// Whether reads may leave it in the cache.
    pub cacheable: bool,
    /// Whether locations of its blocks are recorded.
    pub located: bool,
    /// The object's version in the under store; empty if unknown or none.
    pub ufs_version: String,
}

/// What only directories have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Directory {
    /// Whether it is the root of a mount.
    pub mount_point: bool,
    /// When its children were last brought in from the under store; none: never whole.
    pub children_loaded_ms: Option<i64>,
    /// When a child was last removed, by the log's time.
    pub removed_ms: i64,
    /// Its own read policy.
    pub read_type: Option<ReadType>,
    /// Its own write policy.
    pub write_type: Option<WriteType>,
}

/// What few inodes have; one byte for all others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extra {
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Never evicted.
    pub pinned: bool,
    /// Milliseconds from creation to expiry.
    pub ttl_ms: Option<i64>,
    /// What happens then.
    pub ttl_action: TtlAction,
}

impl Inode {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// What only files have; none for anything else.
    pub fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) => Some(file),
            _ => None,
        }
    }

    /// What only directories have; none for anything else.
    pub fn directory(&self) -> Option<&Directory> {
        match &self.kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Whether it is in the under store.
    pub fn is_persisted(&self) -> bool {
        self.persistence == PersistenceState::Persisted
    }

    /// Whether it is never evicted.
    pub fn pinned(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.pinned)
    }

    /// The media it is pinned to.
    pub fn pinned_media(&self) -> Media {
        let extra = self.extra.as_ref().filter(|extra| extra.pinned);
        extra.map(|extra| Media::of(&extra.xattrs)).unwrap_or_default()
    }

    /// Bounds on its cached copies.
    pub fn replication(&self) -> Replication {
        let extra = self.extra.as_ref();
        extra.map(|extra| Replication::of(&extra.xattrs)).unwrap_or_default()
    }

    /// When its TTL runs out, in milliseconds since 1970.
    pub fn expires_ms(&self) -> Option<i64> {
        let ttl_ms = self.extra.as_ref()?.ttl_ms?;
        Some(self.created_ms.saturating_add(ttl_ms))
    }

    /// How many blocks it has.
    pub fn block_count(&self) -> u64 {
        self.file().map_or(0, |file| block::block_count(file.length, file.block_size))
    }
}
