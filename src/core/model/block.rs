//! Ids of files and blocks. Any side derives one from the other: there is no call to allocate a
//! block (protocol, section 5.1).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Low bits of an id: the block's index in its file, or all ones for the file itself.
const SEQUENCE_BITS: u32 = 24;
const SEQUENCE_MASK: i64 = (1 << SEQUENCE_BITS) - 1;

/// The most blocks one file can have.
pub const MAX_BLOCKS: u64 = SEQUENCE_MASK as u64;

/// Which mount a file came by; 0 is none. The root mount is 1.
pub type MountId = i64;

/// A file's or directory's id: `container << 24 | 0xFFFFFF`. Never reused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct FileId(pub i64);

impl FileId {
    /// The id of the file that owns `container` (1 to 2^39 − 1, so that ids stay positive).
    pub fn from_container(container: u64) -> Self {
        FileId((container as i64) << SEQUENCE_BITS | SEQUENCE_MASK)
    }

    /// The container number.
    pub fn container(self) -> u64 {
        (self.0 >> SEQUENCE_BITS) as u64
    }

    /// The id of this file's block number `index`.
    pub fn block(self, index: u64) -> BlockId {
        debug_assert!(index < MAX_BLOCKS, "block index {index} does not fit");
        BlockId(self.0 & !SEQUENCE_MASK | (index as i64 & SEQUENCE_MASK))
    }
}

/// A block's id: `container << 24 | index`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct BlockId(pub i64);

impl BlockId {
    /// The file this block is of.
    pub fn file(self) -> FileId {
        FileId(self.0 | SEQUENCE_MASK)
    }

    /// Which block of the file it is, from 0.
    pub fn index(self) -> u64 {
        (self.0 & SEQUENCE_MASK) as u64
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many blocks of `block_size` bytes a file of `length` bytes has.
pub fn block_count(length: u64, block_size: u64) -> u64 {
    length.div_ceil(block_size.max(1))
}

/// The bytes in block `index` of a file of `length` bytes.
pub fn block_length(length: u64, block_size: u64, index: u64) -> u64 {
    length.saturating_sub(index * block_size).min(block_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_and_block_ids_are_derived_from_each_other() {
        let file = FileId::from_container(5092);
        assert_eq!(file.0, 5092 << 24 | 0xFF_FFFF);
        assert_eq!(file.block(0).0, 85429583872);
        assert_eq!(file.block(7).file(), file);
        assert_eq!(file.block(7).index(), 7);
        assert_eq!(file.container(), 5092);
    }

    #[test]
    fn the_last_block_is_short() {
        assert_eq!(block_count(0, 64), 0);
        assert_eq!(block_count(64, 64), 1);
        assert_eq!(block_count(65, 64), 2);
        assert_eq!(block_length(65, 64, 0), 64);
        assert_eq!(block_length(65, 64, 1), 1);
        assert_eq!(block_length(65, 64, 2), 0);
    }
}
