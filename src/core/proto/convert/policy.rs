//! Read and write types.

use crate::core::model::{ReadType, TtlAction, WriteType};
use crate::core::proto::grpc::file::{ReadPType, WritePType};
use crate::core::proto::v1;

impl From<WriteType> for WritePType {
    fn from(write: WriteType) -> Self {
        match write {
            WriteType::MustCache => WritePType::MustCache,
            WriteType::TryCache => WritePType::TryCache,
            WriteType::CacheThrough => WritePType::CacheThrough,
            WriteType::Through => WritePType::Through,
            WriteType::AsyncThrough => WritePType::AsyncThrough,
        }
    }
}

impl WritePType {
    /// The write type; none where the sender left it open.
    pub fn chosen(self) -> Option<WriteType> {
        match self {
            WritePType::UnspecifiedWriteType => None,
            WritePType::MustCache | WritePType::None => Some(WriteType::MustCache),
            WritePType::TryCache => Some(WriteType::TryCache),
            WritePType::CacheThrough => Some(WriteType::CacheThrough),
            WritePType::Through => Some(WriteType::Through),
            WritePType::AsyncThrough => Some(WriteType::AsyncThrough),
        }
    }
}

impl From<ReadType> for ReadPType {
    fn from(read: ReadType) -> Self {
        match read {
            ReadType::Cache => ReadPType::Cache,
            ReadType::NoCache => ReadPType::NoCache,
        }
    }
}

impl ReadPType {
    /// The read type; none where the sender left it open.
    pub fn chosen(self) -> Option<ReadType> {
        match self {
            ReadPType::UnspecifiedReadType => None,
            ReadPType::NoCache => Some(ReadType::NoCache),
            ReadPType::Cache => Some(ReadType::Cache),
        }
    }
}

impl From<TtlAction> for v1::TtlAction {
    fn from(action: TtlAction) -> Self {
        match action {
            TtlAction::Free => v1::TtlAction::Free,
            TtlAction::Delete => v1::TtlAction::Delete,
        }
    }
}

impl v1::TtlAction {
    /// The action; none where the sender left it open.
    pub fn chosen(self) -> Option<TtlAction> {
        match self {
            v1::TtlAction::Unchanged => None,
            v1::TtlAction::Delete => Some(TtlAction::Delete),
            v1::TtlAction::Free => Some(TtlAction::Free),
        }
    }
}
