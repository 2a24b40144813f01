//! The master's state: everything the log amounts to.
//!
//! [`State::apply`] is the only way it changes: it takes a group of entries in the log's order,
//! checks each against the state as the ones before have left it, and writes what they change, and
//! up to which entry, in one batch. The same entries give the same state on every master: nothing
//! here asks a clock, a network or a random number.
//!
//! ```text
//! entries → transaction (overlay, undo) → one batch → store → caches → notices
//! ```
//!
//! Readers run beside it under a lock that is held for single lookups, and exclusively while a
//! batch is published, so nobody sees half an entry. No lock is held across an await: everything
//! here is synchronous, and what is not in a cache may wait for the disk. Long listings take a view
//! of the store under the lock and read it without.

pub mod image;
mod mounts;
mod namespace;
pub(in crate::master) mod next;
mod read;
pub mod restore;
mod stage;
mod store;
mod sync;
mod transaction;
mod upkeep;

pub use read::{Freed, Walk};
pub use transaction::Notice;

use crate::core::error::{Context, Error, Result, internal};
use crate::core::model::{ByteSize, MountInfo};
use crate::master::inode::keys::Section;
use crate::master::inode::metastore::{Fault, Table};
use crate::master::journal::entry::{Change, Entry, Outcome, Refusal};
use crate::master::mount::MountTable;
use parking_lot::{Mutex, RwLock};
use stage::Stages;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use store::{Stop, Store, encode, load_rows};
use tokio::sync::broadcast;
use transaction::{Counters, Transaction};

/// Notices a watcher may fall behind by before it has to start anew.
const NOTICES_KEPT: usize = 4096;

/// The master's state. Clones share it.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Held shared for lookups, exclusively while a batch is published.
    published: RwLock<Published>,
    /// Held by the one who applies.
    applying: Mutex<()>,
    watchers: broadcast::Sender<Arc<[Notice]>>,
    pins_version: AtomicI64,
    /// Counts changes of the index of files with bounds on their copies.
    replicated_version: AtomicU64,
}

/// What is kept in memory whole.
struct Published {
    mounts: MountTable,
    stages: Stages,
    counters: Counters,
    /// When this state was taken out of a backup; 0 if never.
    restored_ms: i64,
}

/// Up to where the log is in the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied(pub Vec<u8>);

/// The name under which a group's position in the log is stored.
fn applied_key() -> Vec<u8> {
    Section::Meta.key(&[b"applied"])
}

fn counters_key() -> Vec<u8> {
    Section::Meta.key(&[b"counters"])
}

fn restored_key() -> Vec<u8> {
    Section::Meta.key(&[b"restored"])
}

fn cluster_key() -> Vec<u8> {
    Section::Meta.key(&[b"cluster"])
}

/// All mounts in the store.
fn load_mounts(store: &Store) -> Result<Vec<MountInfo>> {
    let rows = load_rows::<MountInfo>(store, Section::Mounts, "a mount")?;
    Ok(rows.into_iter().map(|(_, mount)| mount).collect())
}

impl State {
    /// Opens the state in `dir`, with so much memory for caches.
    ///
    /// # Errors
    /// When the store cannot be opened or read.
    pub fn open(dir: &Path, memory: ByteSize) -> Result<State> {
        let store = Store::open(dir, memory)?;
        let counters = store.rest::<Counters>(&counters_key())?.unwrap_or_default();
        let restored_ms = store.rest(&restored_key())?.unwrap_or_default();
        let mounts = MountTable::new(load_mounts(&store)?);
        let stages = stage::load_stages(&store)?;
        let published = Published { mounts, stages, counters, restored_ms };
        Ok(State {
            inner: Arc::new(Inner {
                store,
                published: RwLock::new(published),
                applying: Mutex::new(()),
                watchers: broadcast::channel(NOTICES_KEPT).0,
                // Another one than the process before had, most likely.
                replicated_version: AtomicU64::new(1),
                pins_version: AtomicI64::new(rand::random::<i64>() & (i64::MAX >> 1)),
            }),
        })
    }

    /// Applies a group of entries in order and remembers `applied` with them: all of it or, after
    /// a crash, none. Gives what came of each.
    ///
    /// # Errors
    /// When the store fails. Then nothing more can be applied; a refused entry is no error here.
    pub fn apply(
        &self,
        entries: &[&Entry],
        applied: Option<Applied>,
    ) -> Result<Vec<Result<Outcome, Refusal>>> {
        let _one = self.inner.applying.lock();
        let (mounts, stages, counters) = {
            let published = self.inner.published.read();
            (published.mounts.clone(), published.stages.clone(), published.counters.clone())
        };
        let mut tx = Transaction::new(&self.inner.store, counters.clone(), mounts, stages);
        tx.watched = self.inner.watchers.receiver_count() > 0;
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.push(apply_one(&mut tx, entry).context("applying an entry")?);
        }
        if let Some(Applied(position)) = applied {
            tx.put_rest(applied_key(), Some(position));
        }
        if tx.counters != counters {
            let counters = encode(&tx.counters);
            tx.put_rest(counters_key(), Some(counters));
        }
        self.publish(tx)?;
        Ok(outcomes)
    }

    /// Whether applying `change` now would change anything: lets a caller skip an entry that would
    /// not. The answer may be old by the time the entry is applied.
    ///
    /// # Errors
    /// The refusal it would meet; or the store fails.
    pub fn would_change(&self, at_ms: i64, change: Change) -> Result<bool> {
        let published = self.inner.published.read();
        let Published { mounts, stages, counters, .. } = &*published;
        let (mounts, stages) = (mounts.clone(), stages.clone());
        let mut tx = Transaction::new(&self.inner.store, counters.clone(), mounts, stages);
        let outcome = apply_one(&mut tx, &Entry::new(at_ms, change))?;
        outcome.map_err(Error::from)?;
        Ok(!tx.is_empty())
    }

    /// Writes a group to the store and makes it visible, at once.
    fn publish(&self, mut tx: Transaction) -> Result<()> {
        let puts = tx.puts().collect::<Vec<_>>();
        let notices = std::mem::take(&mut tx.notices);
        let pins_change = tx.changes(Section::Pinned);
        let copies_change = tx.changes(Section::Replicated);
        let mut published = self.inner.published.write();
        self.inner.store.disk.write(puts)?;
        published.mounts = tx.mounts.clone();
        published.stages = tx.stages.clone();
        published.counters = tx.counters.clone();
        tx.refresh_caches();
        drop(published);
        if pins_change {
            self.inner.pins_version.fetch_add(1, Ordering::Release);
        }
        if copies_change {
            self.inner.replicated_version.fetch_add(1, Ordering::Release);
        }
        if !notices.is_empty() {
            // Nobody listening is fine.
            let _ = self.inner.watchers.send(notices.into());
        }
        Ok(())
    }

    /// The position in the log that was applied last.
    ///
    /// # Errors
    /// When the store fails.
    pub fn applied(&self) -> Result<Option<Applied>> {
        let key = applied_key();
        let bytes = self.inner.store.disk.get(Table::Rest, &key);
        Ok(bytes.map_err(Error::from)?.map(|bytes| Applied(bytes.to_vec())))
    }

    /// Brings everything applied so far safely to disk: the log may forget it then. Waits for the
    /// disk.
    ///
    /// # Errors
    /// When the store fails.
    pub fn checkpoint(&self) -> Result<()> {
        Ok(self.inner.store.disk.sync()?)
    }

    /// A number that changes whenever what is pinned does. It says nothing about earlier processes.
    pub fn pins_version(&self) -> i64 {
        self.inner.pins_version.load(Ordering::Acquire)
    }

    /// A number that is another one whenever a file has got other bounds on its cached copies, or
    /// one that has such was persisted.
    pub fn replicated_version(&self) -> u64 {
        self.inner.replicated_version.load(Ordering::Acquire)
    }

    /// Paths as they change from now on. A receiver that lags too far gets an error and has to
    /// forget all it knows.
    pub fn watch(&self) -> broadcast::Receiver<Arc<[Notice]>> {
        self.inner.watchers.subscribe()
    }
}

/// Applies one entry; what it wrote is taken back if it is refused.
fn apply_one(tx: &mut Transaction, entry: &Entry) -> Result<Result<Outcome, Refusal>> {
    let now = tx.advance(entry.at_ms);
    tx.begin();
    match upkeep::once(tx, entry, |tx| change(tx, &entry.change)) {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Stop::Refused(error)) => {
            tx.undo();
            debug_assert_eq!(now, tx.now_ms());
            Ok(Err(error.into()))
        }
        Err(Stop::Failed(Fault(error))) => Err(error),
    }
}

fn change(tx: &mut Transaction, change: &Change) -> Result<Outcome, Stop> {
    let initialized = tx.is_initialized()?;
    if !initialized && !matches!(change, Change::Initialize(_)) {
        return Err(internal("the tree has no root yet").into());
    }
    match change {
        Change::Initialize(init) => mounts::initialize(tx, init),
        Change::CreateFile(create) => namespace::create_file(tx, create),
        Change::CreateDirectory(create) => namespace::create_directory(tx, create),
        Change::CreateSymlink(create) => namespace::create_symlink(tx, create),
        Change::CompleteFile(complete) => namespace::complete_file(tx, complete),
        Change::CommitLocation(commit) => namespace::commit_location(tx, commit, None),
        Change::MoveLocation(to) => namespace::commit_location(tx, &to.moved, Some(to.from)),
        Change::Delete(delete) => namespace::delete(tx, delete),
        Change::Rename(rename) => namespace::rename(tx, rename, false),
        Change::SetAttributes(set) => namespace::set_attributes(tx, set),
        Change::Mount(mount) => mounts::mount(tx, mount),
        Change::Unmount(path) => mounts::unmount(tx, path),
        Change::UpdateMount(update) => mounts::update(tx, update),
        Change::SyncLoad(load) => sync::load(tx, load),
        Change::RegisterWorker(register) => upkeep::register_worker(tx, register),
        Change::ForgetWorker(worker) => upkeep::forget_worker(tx, *worker),
        Change::Reap(limit) => upkeep::reap(tx, *limit),
        Change::BlocksFreed(files) => upkeep::blocks_freed(tx, files),
        Change::PutRecord(record) => upkeep::put_record(tx, record),
        Change::DeleteRecord(key) => upkeep::delete_record(tx, key),
        Change::BeginStage(begin) => stage::begin(tx, begin),
        Change::StageListing(listing) => stage::listing(tx, listing),
        Change::PublishStage(publish) => stage::publish(tx, publish),
        Change::DropStage(id) => stage::drop_stage(tx, *id),
        Change::CreateNext(create) => next::create(tx, create),
        Change::Replace(done) => next::replace(tx, done),
        Change::DropNext(id) => next::drop_next(tx, *id),
        Change::RenameOver(over) => namespace::rename(tx, over, true),
        Change::CreateNode(create) => namespace::create_node(tx, create),
    }
}

#[cfg(test)]
mod tests;
