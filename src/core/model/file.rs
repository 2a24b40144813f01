//! What is known of a path.

use super::block::{self, BlockId, FileId, MountId};
use super::caching::{ReadType, TtlAction, WriteType};
use super::media::Media;
use super::node::Node;
use super::path::FsPath;
use super::replication::Replication;
use super::worker::WorkerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a file's bytes are safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PersistenceState {
    /// In the cache only.
    #[default]
    NotPersisted,
    /// In the cache, on its way to the under store.
    ToBePersisted,
    /// In the under store.
    Persisted,
    /// Nowhere: it was in the cache only and its workers are gone.
    Lost,
}

impl PersistenceState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            PersistenceState::NotPersisted => "NOT_PERSISTED",
            PersistenceState::ToBePersisted => "TO_BE_PERSISTED",
            PersistenceState::Persisted => "PERSISTED",
            PersistenceState::Lost => "LOST",
        }
    }

    /// The state of that name; `NotPersisted` for a name that is none.
    pub fn from_name(name: &str) -> Self {
        match name {
            "PERSISTED" => PersistenceState::Persisted,
            "TO_BE_PERSISTED" => PersistenceState::ToBePersisted,
            "LOST" => PersistenceState::Lost,
            _ => PersistenceState::NotPersisted,
        }
    }
}

/// One block of a file, and who is known to hold it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockStatus {
    /// Its id.
    pub id: BlockId,
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Workers that hold it; known only for data that is not persisted yet.
    pub locations: Vec<WorkerId>,
}

/// All that is known of a file or directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its id; kept over renames, new when a path is deleted and made anew.
    pub id: FileId,
    /// Its path.
    pub path: FsPath,
    /// The address of the same path in the under store, e.g. `s3://bucket/a/b`.
    pub ufs_path: String,
    /// The mount it is under.
    pub mount_id: MountId,
    /// Whether it is a directory.
    pub folder: bool,
    /// Whether it is the root of a mount.
    pub mount_point: bool,
    /// Target of a symbolic link; empty for anything else.
    pub symlink: String,
    /// Bytes in the file.
    pub length: u64,
    /// Bytes a block of it holds.
    pub block_size: u64,
    /// Whether it has been written to the end.
    pub completed: bool,
    /// Whether reads may leave it in the cache.
    pub cacheable: bool,
    /// Where its bytes are safe.
    pub persistence: PersistenceState,
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
    /// Milliseconds since 1970.
    pub accessed_ms: i64,
    /// When the inode itself last changed, in milliseconds since 1970; 0 if the master does not say.
    pub changed_ms: i64,
    /// Blocks whose locations are known; the others follow from id, length and block size.
    pub blocks: Vec<BlockStatus>,
    /// The object's version in the under store, as the connector gives it; empty if unknown.
    pub ufs_version: String,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Never evicted.
    pub pinned: bool,
    /// Milliseconds from creation to expiry.
    pub ttl_ms: Option<i64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// A directory's or namespace's own read policy.
    pub read_type: Option<ReadType>,
    /// A directory's or namespace's own write policy.
    pub write_type: Option<WriteType>,
    /// Share of the bytes in the cache, 0 to 100, as far as the master knows.
    pub cached_percent: i32,
}

impl Status {
    /// The last component of the path.
    pub fn name(&self) -> &str {
        self.path.name()
    }

    /// Whether the bytes are in the under store.
    pub fn is_persisted(&self) -> bool {
        self.persistence == PersistenceState::Persisted
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        !self.symlink.is_empty()
    }

    /// The pipe, socket or device it is; none for what has bytes.
    pub fn node(&self) -> Option<Node> {
        Node::of(&self.xattrs)
    }

    /// Bounds on its cached copies.
    pub fn replication(&self) -> Replication {
        Replication::of(&self.xattrs)
    }

    /// The media it is pinned to; any where it is not pinned to certain ones.
    pub fn pinned_media(&self) -> Media {
        if self.pinned { Media::of(&self.xattrs) } else { Media::ANY }
    }

    /// How many blocks the file has.
    pub fn block_count(&self) -> u64 {
        if self.folder { 0 } else { block::block_count(self.length, self.block_size) }
    }

    /// The block at `index`: its id, offset and length, with its locations where they are known.
    pub fn block(&self, index: u64) -> BlockStatus {
        let id = self.id.block(index);
        // Where all are known they are in order.
        let there = self.blocks.get(index as usize).filter(|block| block.id == id);
        if let Some(known) = there.or_else(|| self.blocks.iter().find(|block| block.id == id)) {
            return known.clone();
        }
        BlockStatus {
            id,
            offset: index * self.block_size,
            length: block::block_length(self.length, self.block_size, index),
            locations: Vec::new(),
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Status {
            id: FileId::default(),
            path: FsPath::root(),
            ufs_path: String::new(),
            mount_id: 0,
            folder: false,
            mount_point: false,
            symlink: String::new(),
            length: 0,
            block_size: 0,
            completed: false,
            cacheable: true,
            persistence: PersistenceState::default(),
            owner: String::new(),
            group: String::new(),
            mode: 0,
            created_ms: 0,
            modified_ms: 0,
            accessed_ms: 0,
            changed_ms: 0,
            blocks: Vec::new(),
            ufs_version: String::new(),
            xattrs: BTreeMap::new(),
            pinned: false,
            ttl_ms: None,
            ttl_action: TtlAction::default(),
            read_type: None,
            write_type: None,
            cached_percent: 0,
        }
    }
}
