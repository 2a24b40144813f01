//! Keys of the metastore. Numbers are big endian, so that keys sort as what they stand for.

use crate::core::model::{BlockId, FileId};

/// The root directory's id.
pub const ROOT: FileId = FileId(1 << 24 | 0xFF_FFFF);

/// Where an inode lies: its parent's id and its name. As bytes, so that one value serves the
/// store, the cache and the overlay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Box<[u8]>);

impl Place {
    /// Of `name` in the directory `parent`.
    pub fn new(parent: FileId, name: &str) -> Self {
        let mut key = Vec::with_capacity(8 + name.len());
        key.extend_from_slice(&parent.0.to_be_bytes());
        key.extend_from_slice(name.as_bytes());
        Place(key.into())
    }

    /// Of the root directory, which is in none.
    pub fn root() -> Self {
        Place::new(FileId(0), "")
    }

    /// The place these bytes stand for, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes.get(8..)?).ok()?;
        Some(Place(bytes.into()))
    }

    /// The directory it is in.
    pub fn parent(&self) -> FileId {
        let bytes = self.0[..8].try_into().expect("a place starts with eight bytes");
        FileId(i64::from_be_bytes(bytes))
    }

    /// Its name there.
    pub fn name(&self) -> &str {
        std::str::from_utf8(&self.0[8..]).expect("a place is made from text only")
    }

    /// The key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for Place {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Calls `act` with the key of `name` in `parent`, made on the stack: the way of every lookup.
pub fn with_place<T>(parent: FileId, name: &str, act: impl FnOnce(&[u8]) -> T) -> T {
    let mut buffer = [0u8; 8 + crate::core::model::path::MAX_NAME];
    let end = 8 + name.len();
    if end > buffer.len() {
        return act(Place::new(parent, name).as_bytes());
    }
    buffer[..8].copy_from_slice(&parent.0.to_be_bytes());
    buffer[8..end].copy_from_slice(name.as_bytes());
    act(&buffer[..end])
}

/// The parts of the `rest` table; the first byte of its keys. Never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Section {
    /// Single values by name.
    Meta = 0,
    /// Path → mount.
    Mounts = 1,
    /// Expiry time, id → nothing.
    Ttl = 2,
    /// Id → creation time of a file that is still being written.
    Incomplete = 3,
    /// Id → time from which it may be persisted.
    ToPersist = 4,
    /// Id → nothing, for what is never evicted.
    Pinned = 5,
    /// File id, block id → offset, length and workers of a block that is nowhere else.
    Locations = 6,
    /// Operation id → when it may be forgotten, outcome.
    Operations = 7,
    /// Time, operation id → nothing.
    OperationExpiry = 8,
    /// Id → address.
    Workers = 9,
    /// Address → id.
    WorkerAddresses = 10,
    /// Id of a deleted directory → the last name of it that was taken apart.
    Reap = 11,
    /// Id of a deleted file → its number of blocks.
    Freed = 12,
    /// Table, zero byte, key → value.
    Records = 13,
    /// Id → whether it is persisted, for files that have bounds on their copies.
    Replicated = 14,
    /// Number of a job → the stage it makes.
    Stages = 15,
    /// Number of a job, id of a directory, name → the inode that will be there; none: nothing.
    Staged = 16,
}

impl Section {
    /// The key of these parts in this section.
    pub fn key(self, parts: &[&[u8]]) -> Vec<u8> {
        let length = parts.iter().map(|p| p.len()).sum::<usize>();
        let mut key = Vec::with_capacity(1 + length);
        key.push(self as u8);
        parts.iter().for_each(|part| key.extend_from_slice(part));
        key
    }

    /// The key of an inode in this section.
    pub fn of(self, id: FileId) -> Vec<u8> {
        self.key(&[&id.0.to_be_bytes()])
    }

    /// The key of an inode at a time.
    pub fn at(self, ms: i64, id: FileId) -> Vec<u8> {
        self.key(&[&time(ms), &id.0.to_be_bytes()])
    }

    /// The first key after the whole section.
    pub fn end(self) -> Vec<u8> {
        vec![self as u8 + 1]
    }
}

/// The key of a block's location.
pub fn location(id: BlockId) -> Vec<u8> {
    Section::Locations.key(&[&id.file().0.to_be_bytes(), &id.0.to_be_bytes()])
}

/// A time that sorts; whatever was before 1970 is at 1970.
pub fn time(ms: i64) -> [u8; 8] {
    ms.max(0).to_be_bytes()
}

/// The number in `bytes[from..from + 8]`; 0 if there are not so many.
pub fn number(bytes: &[u8], from: usize) -> i64 {
    let part = bytes.get(from..from + 8).and_then(|part| part.try_into().ok());
    part.map_or(0, i64::from_be_bytes)
}

/// The first key that does not start with `prefix`.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            return end;
        }
    }
    // Only ones: nothing can come after.
    vec![0xFF; prefix.len() + 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_apart_again() {
        let place = Place::new(ROOT, "a file");
        assert_eq!((place.parent(), place.name()), (ROOT, "a file"));
        assert_eq!(Place::from_bytes(place.as_bytes()), Some(place.clone()));
        with_place(ROOT, "a file", |key| assert_eq!(key, place.as_bytes()));
        assert_eq!(Place::from_bytes(b"short"), None);
        assert_eq!(ROOT, FileId::from_container(1));
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        assert_eq!(after_prefix(&[1, 2]), [1, 3]);
        assert_eq!(after_prefix(&[1, 0xFF]), [2]);
    }
}
