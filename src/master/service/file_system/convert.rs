//! Options on the wire, as the domain takes them.

use super::Common;
use crate::core::model::{BlockId, BlockStatus, FileId, WorkerId};
use crate::core::proto::convert::{bits_of, mode_of};
use crate::core::proto::grpc::file::{
    CompleteFilePOptions, GetStatusPOptions, LoadMetadataPType, MountPOptions, ReadPType,
    SetAttributePOptions, WritePType,
};
use crate::core::proto::grpc::{ChecksumTypeProto, PMode};
use crate::core::proto::shared::FileLocation;
use crate::core::security::Access;
use crate::master::file_system::{
    AttributeChange, Completion, FileSystem, Load, MountChange, NewMount, ReadOptions,
};
use crate::master::journal::entry::Attributes;
use crate::master::sync::Freshness;
use std::collections::BTreeMap;

/// How fresh an answer a client wants. Clients that say nothing get what is known, or is found at
/// the first look.
pub(super) fn freshness(
    files: &FileSystem,
    (load, default): (Option<i32>, Option<i32>),
    common: &Common,
) -> Freshness {
    let load = match load.or(default).and_then(|load| LoadMetadataPType::try_from(load).ok()) {
        Some(LoadMetadataPType::Never) => Load::Never,
        Some(LoadMetadataPType::Always) => Load::Always,
        Some(LoadMetadataPType::Once) | None => Load::Once,
    };
    let interval = common.as_ref().and_then(|common| common.sync_interval_ms);
    files.freshness(load, interval.unwrap_or(-1))
}

pub(super) fn read_options(files: &FileSystem, options: &GetStatusPOptions) -> ReadOptions {
    let load = (options.load_metadata_type, options.default_load_metadata_type);
    ReadOptions {
        freshness: freshness(files, load, &options.common_options),
        resolve_link: options.resolve_link(),
        access: options.access_mode.map(|bits| Access::from_bits(bits_of(bits))),
    }
}

/// A completion with its checksum as attributes (protocol, section 5.4).
pub(super) fn completion(id: Option<i64>, options: CompleteFilePOptions) -> Completion {
    let mut xattrs = BTreeMap::new();
    if let (Some(kind), Some(value)) = (options.crc_type, options.crc_value)
        && ChecksumTypeProto::try_from(kind).is_ok()
    {
        xattrs.insert("CrcType".to_string(), vec![kind as u8]);
        xattrs.insert("CrcValue".to_string(), (value as u32).to_be_bytes().to_vec());
    }
    let later = options.async_persist_options.as_ref();
    Completion {
        id: id.filter(|&id| id > 0).map(FileId),
        length: u64::try_from(options.ufs_length()).unwrap_or_default(),
        forced_persisted: options.force_persisted(),
        persist_after_ms: later.map(|later| later.persistence_wait_time().max(0)),
        blocks: options.locations.iter().map(location).collect(),
        xattrs,
        modified_ms: options.modified_ms,
        expected: replaced(options.replaces_id),
        version: options.ufs_version.filter(|version| !version.is_empty()),
    }
}

/// What a next version may replace, as it is sent.
pub(super) fn replaced(id: Option<i64>) -> Option<Option<FileId>> {
    id.map(|id| (id > 0).then_some(FileId(id)))
}

pub(super) fn location(sent: &FileLocation) -> BlockStatus {
    let locations: Vec<WorkerId> = sent.worker_id.clone();
    BlockStatus {
        id: BlockId(sent.block_id()),
        offset: u64::try_from(sent.offset()).unwrap_or_default(),
        length: u64::try_from(sent.length()).unwrap_or_default(),
        locations,
    }
}

pub(super) fn mode(sent: &Option<PMode>) -> Option<u32> {
    sent.as_ref().map(mode_of)
}

/// Policies of a directory: an unspecified one that is sent removes it.
fn policies(read: Option<i32>, write: Option<i32>) -> Attributes {
    let read = read.and_then(|read| ReadPType::try_from(read).ok());
    let write = write.and_then(|write| WritePType::try_from(write).ok());
    Attributes {
        read_type: read.map(ReadPType::chosen),
        write_type: write.map(WritePType::chosen),
        ..Default::default()
    }
}

pub(super) fn attributes(options: &SetAttributePOptions) -> AttributeChange {
    let attributes = Attributes {
        owner: options.owner.clone(),
        group: options.group.clone(),
        mode: mode(&options.mode),
        ..policies(options.read_p_type, options.write_p_type)
    };
    AttributeChange { attributes, recursive: options.recursive() }
}

pub(super) fn new_mount(
    ufs: &str,
    options: MountPOptions,
    (read, write): (Option<i32>, Option<i32>),
) -> NewMount {
    NewMount {
        ufs: ufs.into(),
        read_only: options.read_only(),
        shared: options.shared(),
        properties: options.properties.into_iter().collect(),
        recursive: false,
        attributes: policies(read, write),
    }
}

pub(super) fn mount_change(options: MountPOptions) -> MountChange {
    MountChange {
        read_only: options.read_only,
        shared: options.shared,
        properties: options.properties.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_becomes_two_attributes() {
        let options = CompleteFilePOptions {
            ufs_length: Some(3),
            crc_type: Some(ChecksumTypeProto::ChecksumCrc32c as i32),
            crc_value: Some(0xE306_9283),
            ..Default::default()
        };
        let done = completion(Some(5), options);
        assert_eq!(done.xattrs["CrcType"], [2]);
        assert_eq!(done.xattrs["CrcValue"], [0xE3, 0x06, 0x92, 0x83]);
        assert_eq!((done.length, done.id), (3, Some(FileId(5))));
        assert!(completion(Some(0), CompleteFilePOptions::default()).xattrs.is_empty());
    }
}
