//! The operations on the tree: resolve, permit, decide an entry, commit.
//!
//! A change of the tree alone is one entry, checked where it is applied, so two racing creates need
//! no lock: the journal says which one is first. What also changes an under store has several
//! steps; it holds its paths ([`Locks`]) and leaves an intent in the journal before the first one,
//! so that whoever is primary after a crash finishes it ([`intents`]).

mod access;
mod attributes;
mod create;
mod delete;
mod free;
pub mod intents;
mod mounts;
mod namespaces;
mod next;
mod nodes;
mod objects;
mod questions;
mod read;
mod rename;
mod stage;
mod walk;

pub use attributes::AttributeChange;
pub use create::{Completion, NewDirectory, NewFile};
pub use delete::Removal;
pub(in crate::master) use delete::is_below;
pub use mounts::{MountChange, NewMount};
pub(in crate::master) use questions::Below;
pub use read::{Listing, Load, ReadOptions};
pub use stage::Next;
pub use walk::{Position, Walk};

use crate::core::config::Config;
use crate::core::error::{Error, ErrorKind, Result, internal, not_found, read_only, unavailable};
use crate::core::model::{FileId, FsPath, MountInfo, Status, WorkerAddress, WorkerId, WriteType};
use crate::core::runtime::{Clock, Group};
use crate::core::security::{Groups, User};
use crate::master::inode::Inode;
use crate::master::journal::Journal;
use crate::master::journal::entry::{
    Change, Entry, OperationId, Outcome, PutRecord, RecordKey, RegisterWorker,
};
use crate::master::locks::Locks;
use crate::master::mount::{MountTable, Resolved};
use crate::master::state::State;
use crate::master::stores::{Stores, within};
use crate::master::sync::Sync;
use crate::master::workers::Registry;
use objects::Objects;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// Who makes a call, and which call it is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user of the session.
    pub user: User,
    /// The operation's id, the same on every retry.
    pub operation: Option<OperationId>,
    /// Owner and group of what the call makes, where a superuser makes it for somebody else.
    pub behalf: Option<Behalf>,
}

/// An owner and a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behalf {
    /// The owner's name.
    pub owner: String,
    /// The group's name.
    pub group: String,
}

impl Caller {
    /// A user, in a call that is nobody else's affair.
    pub fn of(user: User) -> Self {
        Caller { user, operation: None, behalf: None }
    }

    /// This process itself, which may do everything.
    pub fn master() -> Self {
        Caller::of(User::named(&crate::core::config::os_user()))
    }
}

/// The file system. Clones share it.
#[derive(Clone)]
pub struct FileSystem {
    inner: Arc<Inner>,
}

/// What the operations work with.
pub struct Inner {
    pub(in crate::master) config: Config,
    pub(in crate::master) journal: Journal,
    pub(in crate::master) clock: Clock,
    pub(in crate::master) groups: Groups,
    pub(in crate::master) locks: Locks,
    pub(in crate::master) stores: Stores,
    pub(in crate::master) sync: Sync,
    /// What workers write to under stores.
    pub(in crate::master) objects: Objects,
    pub(in crate::master) workers: Registry,
    pub(in crate::master) group: Group,
    pub(in crate::master) superuser: String,
    /// Held by the one who changes a mount.
    updating: tokio::sync::Mutex<()>,
}

impl Deref for FileSystem {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl FileSystem {
    /// The file system over `journal`; what it spawns belongs to `group`.
    pub fn new(
        config: &Config,
        journal: Journal,
        workers: Registry,
        clock: Clock,
        group: Group,
    ) -> Self {
        let inner = Inner {
            config: config.clone(),
            journal,
            clock,
            groups: Groups::default(),
            locks: Locks::default(),
            stores: Stores::new(config.ufs_properties()),
            sync: Sync::default(),
            objects: Objects::default(),
            workers,
            group,
            superuser: crate::core::config::os_user(),
            updating: Default::default(),
        };
        FileSystem { inner: Arc::new(inner) }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state as it is now.
    pub(in crate::master) fn state(&self) -> &State {
        self.journal.state()
    }

    /// The mount table as it is now.
    pub fn mounts(&self) -> MountTable {
        self.state().mounts()
    }

    /// The mount of a path, and its address there.
    pub(in crate::master) fn resolve(&self, path: &FsPath) -> Result<Resolved> {
        self.state().mount_of(path)
    }

    /// Commits a change that is nobody's operation.
    pub(in crate::master) async fn commit(&self, change: Change) -> Result<Outcome> {
        self.journal.commit(Entry::new(self.clock.now_ms(), change)).await
    }

    /// Commits a change that answers the caller's operation.
    pub(in crate::master) async fn commit_for(
        &self,
        caller: &Caller,
        change: Change,
    ) -> Result<Outcome> {
        let entry = Entry::new(self.clock.now_ms(), change)
            .with_operation(caller.operation, self.config.master.operation_ids_kept);
        self.journal.commit(entry).await
    }

    /// Refuses what is below a read-only mount.
    pub(in crate::master) fn check_writable_at(&self, path: &FsPath) -> Result<()> {
        check_writable(&self.resolve(path)?.mount, path)
    }

    /// The primary group of a caller.
    pub(in crate::master) fn group_of(&self, caller: &Caller) -> String {
        self.groups.primary(&caller.user)
    }

    /// Waits for a change of a mount's store, as [`within`], and only as long as this master is the
    /// primary.
    pub(in crate::master) async fn change_store<T>(
        &self,
        mount: &MountInfo,
        deadline: Duration,
        change: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.change_unless_deposed(mount, deadline, change).await.ok_or_else(deposed)?
    }

    /// The same; none when this master was not the primary for a moment: the change may have been
    /// made or not.
    async fn change_unless_deposed<T>(
        &self,
        mount: &MountInfo,
        deadline: Duration,
        change: impl Future<Output = Result<T>>,
    ) -> Option<Result<T>> {
        self.journal.while_primary(within(mount, deadline, change)).await
    }

    /// Carries a change of several steps to its end, also when the caller leaves: half of it would
    /// stay until the next primary finishes it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        name: &'static str,
        change: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let stopping = || unavailable("this master is stopping: try again");
        self.group.carry_out(name, change).await.ok_or_else(stopping)?
    }

    /// What came of the caller's operation, when this is a retry of one that was carried out.
    pub(in crate::master) fn repeated(&self, caller: &Caller) -> Result<Option<Outcome>> {
        match &caller.operation {
            Some(id) => self.state().operation(id),
            None => Ok(None),
        }
    }

    /// What a retry fails with is nothing to tell if the first attempt was carried out meanwhile: an
    /// earlier primary had begun it, say, and this one has just finished it; or its entry was on its
    /// way through the journal when nobody could wait for it any more.
    pub(in crate::master) fn unless_repeated(
        &self,
        caller: &Caller,
        result: Result<()>,
    ) -> Result<()> {
        match result {
            Err(_) if self.repeated(caller)?.is_some() => Ok(()),
            result => result,
        }
    }

    /// What is known of a path, without asking the under store.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn here(&self, path: &FsPath) -> Result<Status> {
        self.peek(path)?.ok_or_else(|| missing(path))
    }

    /// What the tree has at a path; none when it has nothing there.
    ///
    /// # Errors
    /// `NotDirectory` when a component is a file.
    pub(in crate::master) fn peek(&self, path: &FsPath) -> Result<Option<Status>> {
        match self.state().status(path) {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is known of an inode.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn by_id(&self, id: FileId) -> Result<Status> {
        self.state().status_of(id)
    }

    /// The path is there, here or in its under store.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn known(&self, path: &FsPath) -> Result<Status> {
        self.status(&Caller::master(), path, &ReadOptions::default()).await
    }

    /// The id of a worker: the one it has kept, or a new one, that no other has.
    pub(in crate::master) async fn worker_id(
        &self,
        address: &WorkerAddress,
        id: Option<WorkerId>,
    ) -> Result<WorkerId> {
        let change = RegisterWorker { address: address.clone(), id };
        match self.commit(Change::RegisterWorker(change)).await? {
            Outcome::Worker(id) => Ok(id),
            other => Err(unexpected(&other)),
        }
    }

    /// Keeps a record in the journal.
    pub(in crate::master) async fn put_record(
        &self,
        table: &str,
        key: &[u8],
        value: Vec<u8>,
    ) -> Result<()> {
        let key = RecordKey { table: table.into(), key: key.into() };
        self.commit(Change::PutRecord(PutRecord { key, value })).await.map(drop)
    }

    /// Removes a record from the journal.
    pub(in crate::master) async fn delete_record(&self, table: &str, key: &[u8]) -> Result<()> {
        let key = RecordKey { table: table.into(), key: key.into() };
        self.commit(Change::DeleteRecord(key)).await.map(drop)
    }

    /// One record of a table.
    pub(in crate::master) fn record(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.state().record(table, key)
    }

    /// The records of a table.
    pub(in crate::master) fn records(&self, table: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.state().records(table, None, usize::MAX)
    }

    /// How a file at `path` is written where its client does not say: the nearest policy of a
    /// directory above it.
    pub(in crate::master) fn write_policy(&self, path: &FsPath) -> Result<Option<WriteType>> {
        let walk = self.state().walk(path)?;
        let above = walk.inodes.iter().rev().skip(usize::from(walk.whole));
        Ok(above.filter_map(|inode| policy_of(inode)).next())
    }
}

/// A directory's own write policy.
fn policy_of(inode: &Inode) -> Option<WriteType> {
    let attribute = || write_type_of(inode.extra.as_ref()?.xattrs.get(create::WRITE_TYPE)?);
    inode.directory()?.write_type.or_else(attribute)
}

/// A write type, as an attribute holds it.
fn write_type_of(value: &[u8]) -> Option<WriteType> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Refuses a change below a read-only mount.
fn check_writable(mount: &MountInfo, path: &FsPath) -> Result<()> {
    if mount.read_only {
        return Err(read_only(format!(
            "{path} is below {}, which is mounted read-only",
            mount.path
        )));
    }
    Ok(())
}

/// The error of a path that is not there.
pub(in crate::master) fn missing(path: &FsPath) -> Error {
    not_found(format!("path {path} does not exist"))
}

/// What a caller is told whose change of an under store was interrupted.
fn deposed() -> Error {
    unavailable("this master is not the primary any more: try again")
}

/// The error of an outcome that the change cannot have.
fn unexpected(outcome: &Outcome) -> Error {
    internal(format!("the journal answered {outcome:?}"))
}
