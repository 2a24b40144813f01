//! File status: the central message (protocol, section 5.2).

use crate::core::error::Result;
use crate::core::model::{
    BlockId, BlockStatus, FileId, FsPath, PersistenceState, Status, TtlAction,
};
use crate::core::proto::grpc::file::{FileBlockInfo, FileInfo, ReadPType, WritePType};
use crate::core::proto::grpc::{BlockInfo, BlockLocation};

/// More blocks than this are left for the client to derive; a listing must stay a listing. A file
/// this long (64 TiB at the default block size) no official client handles anyway.
const MAX_LISTED_BLOCKS: u64 = 1 << 20;

impl From<&Status> for FileInfo {
    fn from(status: &Status) -> Self {
        let blocks: Vec<FileBlockInfo> = if status.completed {
            (0..status.block_count().min(MAX_LISTED_BLOCKS))
                .map(|index| block_info(&status.block(index)))
                .collect()
        } else {
            Vec::new()
        };
        FileInfo {
            file_id: Some(status.id.0),
            name: Some(status.name().into()),
            path: Some(status.path.as_str().into()),
            ufs_path: Some(status.ufs_path.clone()),
            length: Some(status.length as i64),
            block_size_bytes: Some(status.block_size as i64),
            creation_time_ms: Some(status.created_ms),
            completed: Some(status.completed),
            folder: Some(status.folder),
            cacheable: Some(status.cacheable),
            persisted: Some(status.is_persisted()),
            block_ids: blocks
                .iter()
                .filter_map(|block| block.block_info.as_ref().map(BlockInfo::block_id))
                .collect(),
            last_modification_time_ms: Some(status.modified_ms),
            owner: Some(status.owner.clone()),
            group: Some(status.group.clone()),
            mode: Some(status.mode as i32),
            persistence_state: Some(status.persistence.name().into()),
            mount_point: Some(status.mount_point),
            file_block_infos: blocks,
            mount_id: Some(status.mount_id),
            in_goose_fs_percentage: Some(status.cached_percent),
            in_memory_percentage: Some(status.cached_percent),
            ufs_fingerprint: Some(status.ufs_version.clone()),
            acl: None,
            default_acl: None,
            last_access_time_ms: Some(status.accessed_ms),
            xattr: status.xattrs.clone().into_iter().collect(),
            capability: None,
            symlink: Some(status.symlink.clone()),
            pinned: status.pinned.then_some(true),
            ttl_ms: status.ttl_ms,
            ttl_action: status.ttl_ms.map(|_| status.ttl_action.name().into()),
            read_type: status.read_type.map(|read| ReadPType::from(read) as i32),
            write_type: status.write_type.map(|write| WritePType::from(write) as i32),
            changed_ms: Some(status.changed_ms),
        }
    }
}

fn block_info(block: &BlockStatus) -> FileBlockInfo {
    let location = |&worker| BlockLocation { worker_id: Some(worker), worker_address: None };
    FileBlockInfo {
        block_info: Some(BlockInfo {
            block_id: Some(block.id.0),
            length: Some(block.length as i64),
            max_replicas: None,
            locations: block.locations.iter().map(location).collect(),
        }),
        offset: Some(block.offset as i64),
        ufs_locations: Vec::new(),
        ufs_string_locations: Vec::new(),
    }
}

impl TryFrom<FileInfo> for Status {
    type Error = crate::core::error::Error;

    /// # Errors
    /// `InvalidArgument` when the message's path is none.
    fn try_from(info: FileInfo) -> Result<Status> {
        let known = |block: &FileBlockInfo| {
            let inner = block.block_info.as_ref()?;
            Some(BlockStatus {
                id: BlockId(inner.block_id()),
                offset: block.offset() as u64,
                length: inner.length() as u64,
                locations: inner.locations.iter().map(BlockLocation::worker_id).collect(),
            })
        };
        // Listings convert hundreds of thousands of these: what can be moved is not copied.
        Ok(Status {
            id: FileId(info.file_id()),
            path: FsPath::parse(info.path())?,
            mount_id: info.mount_id(),
            folder: info.folder(),
            mount_point: info.mount_point(),
            length: info.length() as u64,
            block_size: info.block_size_bytes() as u64,
            completed: info.completed(),
            cacheable: info.cacheable(),
            persistence: PersistenceState::from_name(info.persistence_state()),
            mode: info.mode() as u32,
            created_ms: info.creation_time_ms(),
            modified_ms: info.last_modification_time_ms(),
            accessed_ms: info.last_access_time_ms(),
            changed_ms: info.changed_ms(),
            // Only those that say more than can be derived.
            blocks: info
                .file_block_infos
                .iter()
                .filter_map(known)
                .filter(|block| !block.locations.is_empty())
                .collect(),
            pinned: info.pinned(),
            ttl_ms: info.ttl_ms,
            ttl_action: info.ttl_action().parse().unwrap_or(TtlAction::Free),
            read_type: info.read_type.and_then(|_| info.read_type().chosen()),
            write_type: info.write_type.and_then(|_| info.write_type().chosen()),
            cached_percent: info.in_goose_fs_percentage(),
            ufs_path: info.ufs_path.unwrap_or_default(),
            symlink: info.symlink.unwrap_or_default(),
            owner: info.owner.unwrap_or_default(),
            group: info.group.unwrap_or_default(),
            ufs_version: info.ufs_fingerprint.unwrap_or_default(),
            xattrs: info.xattr.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_wire() {
        let status = Status {
            id: FileId::from_container(7),
            path: FsPath::parse("/a/b").unwrap(),
            ufs_path: "s3://x/a/b".into(),
            length: 130,
            block_size: 64,
            completed: true,
            mode: 0o4755,
            modified_ms: 5,
            changed_ms: 6,
            pinned: true,
            ttl_ms: Some(9),
            ttl_action: TtlAction::Delete,
            ufs_version: "\"etag\"".into(),
            xattrs: [("k".to_string(), vec![1, 0, 255])].into(),
            blocks: vec![BlockStatus {
                id: FileId::from_container(7).block(2),
                offset: 128,
                length: 2,
                locations: vec![3],
            }],
            ..Default::default()
        };
        let info = FileInfo::from(&status);
        assert_eq!(info.block_ids.len(), 3, "every block is listed, known locations or not");
        assert_eq!(Status::try_from(info).unwrap(), status);
    }
}
