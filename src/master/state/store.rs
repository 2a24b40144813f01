//! The metastore with a cache of inodes before it: a get from the store costs some microseconds,
//! one from the cache some hundred nanoseconds, and a stat of `/a/b/c` needs three.

use crate::core::error::Error;
use crate::core::model::{ByteSize, FileId};
use crate::master::inode::keys::{Section, number, with_place};
use crate::master::inode::metastore::{Fault, Metastore, Table};
use crate::master::inode::{Extra, Inode, Kind, Place};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// The metastore and the caches. Whoever reads holds the state's lock (or is the one who
/// applies), so what is put into a cache after a miss cannot be older than what is in the store.
pub(super) struct Store {
    pub disk: Metastore,
    inodes: Cache<Place, Arc<Inode>, InodeWeight>,
    places: Cache<FileId, Place, PlaceWeight>,
}

#[derive(Clone)]
struct InodeWeight;

impl Weighter<Place, Arc<Inode>> for InodeWeight {
    /// Bytes on the heap, with what the allocator and the cache add.
    fn weight(&self, place: &Place, inode: &Arc<Inode>) -> u64 {
        let kind = match &inode.kind {
            Kind::File(file) => file.ufs_version.len(),
            Kind::Directory(_) => 0,
            Kind::Symlink(target) => target.len(),
        };
        let extra = inode.extra.as_ref().map_or(0, |extra| {
            let xattrs = extra.xattrs.iter().map(|(k, v)| 96 + k.len() + v.len()).sum::<usize>();
            size_of::<Extra>() + xattrs
        });
        let text = place.as_bytes().len() + inode.owner.len() + inode.group.len();
        (size_of::<Inode>() + 128 + text + kind + extra) as u64
    }
}

#[derive(Clone)]
struct PlaceWeight;

impl Weighter<FileId, Place> for PlaceWeight {
    fn weight(&self, _: &FileId, place: &Place) -> u64 {
        96 + place.as_bytes().len() as u64
    }
}

impl Store {
    pub fn open(dir: &Path, memory: ByteSize) -> Result<Self, Fault> {
        let inodes = memory.0 / 2;
        let places = memory.0 / 8;
        Ok(Store {
            disk: Metastore::open(dir, ByteSize(memory.0 - inodes - places))?,
            inodes: Cache::with_weighter((inodes / 400) as usize, inodes, InodeWeight),
            places: Cache::with_weighter((places / 128) as usize, places, PlaceWeight),
        })
    }

    /// The inode that lies at the place with this key.
    pub fn inode_at(&self, place: &[u8]) -> Result<Option<Arc<Inode>>, Fault> {
        if let Some(inode) = self.inodes.get(place) {
            return Ok(Some(inode));
        }
        let Some(bytes) = self.disk.get(Table::Tree, place)? else { return Ok(None) };
        let inode = Arc::new(decode::<Inode>(&bytes, "an inode")?);
        let place = Place::from_bytes(place).ok_or_else(|| Fault::damaged("an inode's place"))?;
        self.inodes.insert(place, inode.clone());
        Ok(Some(inode))
    }

    /// The inode `name` in the directory `parent`.
    pub fn child(&self, parent: FileId, name: &str) -> Result<Option<Arc<Inode>>, Fault> {
        with_place(parent, name, |key| self.inode_at(key))
    }

    /// Where the inode `id` lies.
    pub fn place(&self, id: FileId) -> Result<Option<Place>, Fault> {
        if let Some(place) = self.places.get(&id) {
            return Ok(Some(place));
        }
        let Some(bytes) = self.disk.get(Table::Ids, &id.0.to_be_bytes())? else { return Ok(None) };
        let place = Place::from_bytes(&bytes).ok_or_else(|| Fault::damaged("a place"))?;
        self.places.insert(id, place.clone());
        Ok(Some(place))
    }

    /// The value of a key of a section.
    pub fn rest<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        let bytes = self.disk.get(Table::Rest, key)?;
        bytes.map(|bytes| decode(&bytes, "a record")).transpose()
    }

    /// The store has other contents now.
    pub fn forget_cached(&self) {
        self.inodes.clear();
        self.places.clear();
    }

    /// What the store has for `place` is now `inode`.
    pub fn refresh(&self, place: Place, inode: Option<Arc<Inode>>) {
        match inode {
            Some(inode) => self.inodes.insert(place, inode),
            None => drop(self.inodes.remove(&place)),
        }
    }

    /// Where `id` lies has changed.
    pub fn refresh_place(&self, id: FileId, place: Option<Place>) {
        match place {
            Some(place) => self.places.insert(id, place),
            None => drop(self.places.remove(&id)),
        }
    }
}

/// The value in `bytes`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, Fault> {
    postcard::from_bytes(bytes).map_err(|_| Fault::damaged(what))
}

/// `value` as bytes.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Postcard fails only for types it cannot write (maps and sequences of unknown length).
    postcard::to_allocvec(value).expect("every stored type has a known length")
}

/// All keys and values of a section that has few.
pub(super) fn load_rows<T: DeserializeOwned>(
    store: &Store,
    section: Section,
    what: &str,
) -> Result<Vec<(Vec<u8>, T)>, Fault> {
    let prefix = section.key(&[]);
    let view = store.disk.view();
    let rows = view.range(Table::Rest, Bound::Included(&prefix), &section.end());
    rows.map(|row| row.and_then(|(key, value)| Ok((key.to_vec(), decode(&value, what)?)))).collect()
}

/// The inode's id at the end of a key of `section`.
pub(super) fn id_in(section: Section, key: &[u8]) -> FileId {
    debug_assert_eq!(key.first(), Some(&(section as u8)));
    FileId(number(key, key.len().saturating_sub(8)))
}

/// Why an entry could not be applied.
pub(super) enum Stop {
    /// It does not fit the state: the log goes on, and whoever committed it is told.
    Refused(Error),
    /// The store failed: nothing can be applied any more.
    Failed(Fault),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Refused(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Failed(fault)
    }
}
