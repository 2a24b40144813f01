//! The inode tree on disk: a thin layer over fjall, so that another store would be one file.
//!
//! Three tables: `tree` has each inode under its parent's id and name, `ids` says where the inode
//! of an id lies, `rest` is everything else (see [`super::keys::Section`]). A batch over all of
//! them is atomic, but it is not synced: after a crash the newest batches are gone, as a prefix,
//! and the log brings them back, since each batch says up to which entry it goes.

use crate::core::error::{Error, ErrorKind};
use crate::core::model::ByteSize;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::ops::Bound;
use std::path::Path;

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Place → inode.
    Tree,
    /// Inode id → place.
    Ids,
    /// The sections.
    Rest,
}

/// The store itself failed, or holds what it should not: never a reason to refuse an entry, always
/// one to stop.
#[derive(Debug)]
pub struct Fault(pub Error);

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        fault.0
    }
}

impl From<fjall::Error> for Fault {
    fn from(error: fjall::Error) -> Fault {
        let kind = match &error {
            fjall::Error::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => {
                ErrorKind::ResourceExhausted
            }
            _ => ErrorKind::Internal,
        };
        Fault(Error::new(kind, "the metastore failed").with_source(error))
    }
}

impl Fault {
    /// A value that cannot be read back.
    pub fn damaged(what: impl std::fmt::Display) -> Fault {
        let message = format!("the metastore is damaged: {what} cannot be read back");
        Fault(Error::new(ErrorKind::DataLoss, message))
    }
}

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Metastore {
    db: Database,
    tree: Keyspace,
    ids: Keyspace,
    rest: Keyspace,
}

/// A key with its new value, or none to remove it.
pub type Put = (Table, Vec<u8>, Option<Vec<u8>>);

impl Metastore {
    /// Opens the store in `dir`, with so much memory for its blocks.
    ///
    /// # Errors
    /// When `dir` cannot be written, is open elsewhere, or holds no such store.
    pub fn open(dir: &Path, cache: ByteSize) -> Result<Self, Fault> {
        let context = |e: fjall::Error| {
            let what = format!(
                "opening the metastore {} (is another master running on it?)",
                dir.display()
            );
            Fault(Fault::from(e).0.context(what))
        };
        let db = Database::builder(dir)
            .cache_size(cache.0.max(1 << 20))
            .worker_threads(2)
            .open()
            .map_err(context)?;
        let table = |name: &str, memtable: u64| {
            db.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable))
                .map_err(context)
        };
        Ok(Metastore {
            tree: table("tree", 32 << 20)?,
            ids: table("ids", 16 << 20)?,
            rest: table("rest", 16 << 20)?,
            db,
        })
    }

    fn table(&self, table: Table) -> &Keyspace {
        match table {
            Table::Tree => &self.tree,
            Table::Ids => &self.ids,
            Table::Rest => &self.rest,
        }
    }

    /// The value of `key`.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<fjall::Slice>, Fault> {
        Ok(self.table(table).get(key)?)
    }

    /// A view that later batches do not change. Short-lived: it keeps old values from being
    /// dropped.
    pub fn view(&self) -> View {
        View { store: self.clone(), snapshot: self.db.snapshot() }
    }

    /// Writes all of `puts` or none.
    pub fn write(&self, puts: impl IntoIterator<Item = Put>) -> Result<(), Fault> {
        let mut batch = self.db.batch();
        for (table, key, value) in puts {
            match value {
                Some(value) => batch.insert(self.table(table), key, value),
                None => batch.remove(self.table(table), key),
            }
        }
        Ok(batch.commit()?)
    }

    /// Removes everything. Views keep what they show.
    pub fn clear(&self) -> Result<(), Fault> {
        for table in [&self.tree, &self.ids, &self.rest] {
            table.clear()?;
        }
        Ok(())
    }

    /// Brings everything written so far safely to disk.
    pub fn sync(&self) -> Result<(), Fault> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    /// About how many inodes there are.
    pub fn inodes(&self) -> u64 {
        self.ids.approximate_len() as u64
    }
}

/// The store as it was at one moment.
pub struct View {
    store: Metastore,
    snapshot: fjall::Snapshot,
}

impl View {
    /// Keys and values from `start` up to `end` (exclusive), in order.
    pub fn range(
        &self,
        table: Table,
        start: Bound<&[u8]>,
        end: &[u8],
    ) -> impl Iterator<Item = Result<(fjall::Slice, fjall::Slice), Fault>> + use<> {
        // A range that ends before it starts is empty, not a mistake of the caller's.
        let start = match start {
            Bound::Included(key) if key >= end => Bound::Included(end),
            Bound::Excluded(key) if key >= end => Bound::Included(end),
            other => other,
        };
        let range = (start.map(<[u8]>::to_vec), Bound::Excluded(end.to_vec()));
        let iter = self.snapshot.range::<Vec<u8>, _>(self.store.table(table), range);
        iter.map(|guard| Ok(guard.into_inner()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_there_after_reopening_and_a_view_does_not_move() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Metastore::open(dir.path(), ByteSize(1 << 20)).unwrap();
        let store = open();
        let put = |key: &str, value: Option<&str>| {
            (Table::Tree, key.as_bytes().to_vec(), value.map(|v| v.as_bytes().to_vec()))
        };
        store.write([put("a", Some("1")), put("b", Some("2"))]).unwrap();
        let view = store.view();
        store.write([put("a", None), put("c", Some("3"))]).unwrap();
        let keys = |view: &View| {
            let all = view.range(Table::Tree, Bound::Unbounded, b"z");
            all.map(|kv| String::from_utf8(kv.unwrap().0.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&view), ["a", "b"]);
        drop((view, store));
        assert_eq!(keys(&open().view()), ["b", "c"]);
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let store = Metastore::open(dir.path(), ByteSize(1 << 20)).unwrap();
        store.write([(Table::Rest, b"b".to_vec(), Some(vec![]))]).unwrap();
        let view = store.view();
        assert_eq!(view.range(Table::Rest, Bound::Excluded(b"z"), b"a").count(), 0);
    }
}
