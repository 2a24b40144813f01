//! Every change of the master's state, as it stands in the log.
//!
//! `State::apply` asks no clock, no network, no random number: whatever it needs to know is in the
//! entry. It also checks there, not before: of two racing creates the log decides which one is
//! first, and the second is refused. So whoever commits needs no lock on the tree.
//!
//! Entries are postcard, which names neither fields nor variants: append new variants at the end
//! of an enum, never reorder, and never add a field to a struct that has been released.

use crate::core::error::{Error, ErrorKind};
use crate::core::model::{
    BlockStatus, FileId, FsPath, MountId, PersistenceState, ReadType, TtlAction, WorkerAddress,
    WorkerId, WriteType,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// One entry of the log: a change, when it was decided, and by which operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When the change was decided, in milliseconds since 1970. Time never runs backwards in the
    /// state: an entry older than the one before it counts as decided at the same moment.
    pub at_ms: i64,
    /// The client's operation, so that a retry is answered and not repeated.
    pub operation: Option<Operation>,
    /// What changes.
    pub change: Change,
}

impl Entry {
    /// An entry without an operation id.
    pub fn new(at_ms: i64, change: Change) -> Self {
        Entry { at_ms, operation: None, change }
    }

    /// The same for the client's operation `id`, which is remembered for `kept`.
    pub fn with_operation(mut self, id: Option<OperationId>, kept: Duration) -> Self {
        let expires_ms = self.at_ms.saturating_add(kept.as_millis() as i64);
        self.operation = id.map(|id| Operation { id, expires_ms });
        self
    }
}

impl fmt::Display for Entry {
    /// The kind of change only: this goes into logs, and a mount's properties are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.change.name())
    }
}

/// A client's operation id: 128 bits, big endian.
pub type OperationId = [u8; 16];

/// Which operation of a client an entry carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// When it may be forgotten. In the entry, so that every master forgets at the same entry.
    pub expires_ms: i64,
}

/// Who owns a new inode, and its permission bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// Owning user.
    pub owner: String,
    /// Owning group.
    pub group: String,
    /// Permission bits, 0o7777.
    pub mode: u32,
}

/// What changes. Paths are checked when the entry is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The first entry of a cluster: its name, the root directory and the root mount.
    Initialize(Initialize),
    /// A new, incomplete file. → [`Outcome::Created`]
    CreateFile(CreateFile),
    /// A new directory. → [`Outcome::Created`], or [`Outcome::Existed`] where that is allowed.
    CreateDirectory(CreateDirectory),
    /// A new symbolic link. → [`Outcome::Created`]
    CreateSymlink(CreateSymlink),
    /// A file has been written to the end. → [`Outcome::Done`]
    CompleteFile(CompleteFile),
    /// Workers hold a block that is nowhere else yet. → [`Outcome::Done`]
    CommitLocation(CommitLocation),
    /// A path goes, with all below it if `recursive`. → [`Outcome::Deleted`]
    Delete(Delete),
    /// A path gets another name; never replaces. → [`Outcome::Done`]
    Rename(Rename),
    /// Attributes of one path or of several inodes. → [`Outcome::Done`]
    SetAttributes(SetAttributes),
    /// An under store is attached. → [`Outcome::Mounted`]
    Mount(Mount),
    /// An under store is detached, its part of the tree goes. → [`Outcome::Done`]
    Unmount(FsPath),
    /// A mount's settings. → [`Outcome::Done`]
    UpdateMount(UpdateMount),
    /// What the under store holds of one directory. → [`Outcome::Synced`]
    SyncLoad(SyncLoad),
    /// A worker gets its id. → [`Outcome::Worker`]
    RegisterWorker(RegisterWorker),
    /// Drops a worker from all block locations: it is lost for good. → [`Outcome::Lost`]
    ForgetWorker(WorkerId),
    /// Takes the next `n` inodes of deleted subtrees apart. → [`Outcome::Reaped`]
    Reap(u32),
    /// These files' blocks have been freed. → [`Outcome::Done`]
    BlocksFreed(Vec<FileId>),
    /// A record of jobs or others that keep their own form. → [`Outcome::Done`]
    PutRecord(PutRecord),
    /// Removes a record. → [`Outcome::Done`]
    DeleteRecord(RecordKey),
    /// As `CommitLocation`, and another worker does not hold those blocks any more.
    /// → [`Outcome::Done`]
    MoveLocation(MoveLocation),
    /// A job begins to make the next version of a directory. → [`Outcome::Done`]
    BeginStage(BeginStage),
    /// What the under store holds of a directory goes into the next version. → [`Outcome::Synced`]
    StageListing(StageListing),
    /// Everybody sees the next version from now on. → [`Outcome::Synced`]
    PublishStage(PublishStage),
    /// The next version that this job makes is given up. → [`Outcome::Done`]
    DropStage(i64),
    /// A new, incomplete file that nobody sees: the next version of what is at the path, or will
    /// be. → [`Outcome::Created`]
    CreateNext(CreateFile),
    /// Such a file has been written to the end, and takes its place; or one that is in its place from the
    /// beginning. → [`Outcome::Done`]
    Replace(Replace),
    /// Such a file is given up. → [`Outcome::Done`]
    DropNext(FileId),
    /// As `Rename`, and what is there makes room: a file for a file, an empty directory for a
    /// directory. → [`Outcome::Done`]
    RenameOver(Rename),
    /// A pipe, a socket or a device. → [`Outcome::Created`]
    CreateNode(CreateNode),
}

impl Change {
    /// The kind of change, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Change::Initialize(_) => "Initialize",
            Change::CreateFile(_) => "CreateFile",
            Change::CreateDirectory(_) => "CreateDirectory",
            Change::CreateSymlink(_) => "CreateSymlink",
            Change::CompleteFile(_) => "CompleteFile",
            Change::CommitLocation(_) => "CommitLocation",
            Change::Delete(_) => "Delete",
            Change::Rename(_) => "Rename",
            Change::SetAttributes(_) => "SetAttributes",
            Change::Mount(_) => "Mount",
            Change::Unmount(_) => "Unmount",
            Change::UpdateMount(_) => "UpdateMount",
            Change::SyncLoad(_) => "SyncLoad",
            Change::RegisterWorker(_) => "RegisterWorker",
            Change::ForgetWorker(_) => "ForgetWorker",
            Change::Reap(_) => "Reap",
            Change::BlocksFreed(_) => "BlocksFreed",
            Change::PutRecord(_) => "PutRecord",
            Change::DeleteRecord(_) => "DeleteRecord",
            Change::MoveLocation(_) => "MoveLocation",
            Change::BeginStage(_) => "BeginStage",
            Change::StageListing(_) => "StageListing",
            Change::PublishStage(_) => "PublishStage",
            Change::DropStage(_) => "DropStage",
            Change::CreateNext(_) => "CreateNext",
            Change::Replace(_) => "Replace",
            Change::DropNext(_) => "DropNext",
            Change::RenameOver(_) => "RenameOver",
            Change::CreateNode(_) => "CreateNode",
        }
    }
}

/// See [`Change::Initialize`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Initialize {
    /// A name no other cluster has.
    pub cluster_id: String,
    /// Of the root directory.
    pub ownership: Ownership,
    /// Address of the under store at the root.
    pub ufs: String,
    /// Options of its connector.
    pub properties: BTreeMap<String, String>,
}

/// See [`Change::CreateFile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateFile {
    /// Where.
    pub path: FsPath,
    /// Owner, group and mode of the file.
    pub ownership: Ownership,
    /// Mode of parents that are created on the way; none: parents must exist.
    pub parents_mode: Option<u32>,
    /// Bytes a block holds.
    pub block_size: u64,
    /// Whether reads may leave it in the cache.
    pub cacheable: bool,
    /// Milliseconds from creation to expiry.
    pub ttl_ms: Option<i64>,
    /// What happens then.
    pub ttl_action: TtlAction,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// See [`Change::CreateDirectory`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateDirectory {
    /// Where.
    pub path: FsPath,
    /// Owner, group and mode.
    pub ownership: Ownership,
    /// Mode of parents that are created on the way; none: parents must exist.
    pub parents_mode: Option<u32>,
    /// Whether a directory that exists is fine.
    pub allow_exists: bool,
    /// Whether the under store has it too.
    pub persisted: bool,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// See [`Change::CreateSymlink`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateSymlink {
    /// Where.
    pub path: FsPath,
    /// What it points to; any text.
    pub target: String,
    /// Owner, group and mode.
    pub ownership: Ownership,
    /// Whether the under store has it too.
    pub persisted: bool,
}

/// See [`Change::CreateNode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CreateNode {
    /// Where.
    pub path: FsPath,
    /// Owner, group and mode.
    pub ownership: Ownership,
    /// What says which kind it is, among others.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// See [`Change::CompleteFile`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompleteFile {
    /// Which file.
    pub path: FsPath,
    /// Its id, where the client knows it: another file at the path is then refused.
    pub id: Option<FileId>,
    /// Bytes in it.
    pub length: u64,
    /// Where its bytes are safe.
    pub persistence: PersistenceState,
    /// With `ToBePersisted`: not before this time, in milliseconds since 1970.
    pub persist_at_ms: i64,
    /// The object's version in the under store; empty if unknown or none.
    pub ufs_version: String,
    /// Locations of blocks that are nowhere else yet.
    pub blocks: Vec<BlockStatus>,
    /// Extended attributes to add, such as a checksum.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// See [`Change::Replace`]. Owner, group, mode and the like are those of what it replaces, if there is
/// anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replace {
    /// The version, by its id, and the path where it goes.
    pub complete: CompleteFile,
    /// When its bytes were last changed, in milliseconds since 1970; none for now.
    pub modified_ms: Option<i64>,
    /// What is to be at the path, or it stays: `Some(None)` for nothing; none for whatever.
    pub expected: Option<Option<FileId>>,
}

/// See [`Change::CommitLocation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitLocation {
    /// Which file.
    pub id: FileId,
    /// Its blocks, and who holds them.
    pub blocks: Vec<BlockStatus>,
}

/// See [`Change::MoveLocation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveLocation {
    /// Blocks, and who holds them now.
    pub moved: CommitLocation,
    /// Who does not.
    pub from: WorkerId,
}

/// See [`Change::Delete`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// What goes.
    pub path: FsPath,
    /// Only if it still is this inode.
    pub id: Option<FileId>,
    /// Whether a directory may have children.
    pub recursive: bool,
}

/// See [`Change::Rename`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rename {
    /// The old path.
    pub from: FsPath,
    /// The new one; nothing may be there, its parent must.
    pub to: FsPath,
}

/// See [`Change::SetAttributes`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetAttributes {
    /// Whose.
    pub target: Target,
    /// What they become.
    pub attributes: Attributes,
}

/// Which inodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// The one at a path; refused if nothing is there.
    Path(FsPath),
    /// These, as far as they still exist.
    Inodes(Vec<FileId>),
}

/// Attributes to set; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// Owning user.
    pub owner: Option<String>,
    /// Owning group.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Milliseconds since 1970.
    pub modified_ms: Option<i64>,
    /// Milliseconds since 1970.
    pub accessed_ms: Option<i64>,
    /// Never evicted.
    pub pinned: Option<bool>,
    /// Milliseconds from creation to expiry; `Some(None)` removes it.
    pub ttl_ms: Option<Option<i64>>,
    /// What happens at expiry.
    pub ttl_action: Option<TtlAction>,
    /// A directory's own read policy; `Some(None)` removes it.
    pub read_type: Option<Option<ReadType>>,
    /// A directory's own write policy; `Some(None)` removes it.
    pub write_type: Option<Option<WriteType>>,
    /// Extended attributes to set.
    pub set_xattrs: BTreeMap<String, Vec<u8>>,
    /// Extended attributes to remove.
    pub remove_xattrs: Vec<String>,
    /// Where the bytes are safe now.
    pub persistence: Option<PersistenceState>,
    /// With `ToBePersisted`: not before this time.
    pub persist_at_ms: i64,
    /// The object's version in the under store.
    pub ufs_version: Option<String>,
    /// When a directory's children were last brought in from the under store;
    /// `Some(None)`: they must be brought in anew.
    pub children_loaded_ms: Option<Option<i64>>,
}

/// See [`Change::Mount`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is attached: an empty directory, or nothing in a directory that exists.
    pub path: FsPath,
    /// Address of the under store.
    pub ufs: String,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether every user may use it.
    pub shared: bool,
    /// Options of the connector, with secrets in clear.
    pub properties: BTreeMap<String, String>,
    /// Of the directory at `path`, if it is new.
    pub ownership: Ownership,
    /// Mode of parents that are created on the way; none: parents must exist.
    pub parents_mode: Option<u32>,
    /// A namespace's own policies; nothing for a plain mount.
    pub attributes: Attributes,
}

/// Shows no properties: they hold secrets.
impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mount({} at {})", self.ufs, self.path)
    }
}

/// See [`Change::UpdateMount`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateMount {
    /// Which mount.
    pub path: FsPath,
    /// Its new address; only the root mount's may change, and only to the same data elsewhere.
    pub ufs: Option<String>,
    /// Whether writes are refused.
    pub read_only: Option<bool>,
    /// Whether every user may use it.
    pub shared: Option<bool>,
    /// All options of the connector, replacing the old.
    pub properties: Option<BTreeMap<String, String>>,
}

/// Shows no properties: they hold secrets.
impl fmt::Debug for UpdateMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpdateMount({})", self.path)
    }
}

/// See [`Change::SyncLoad`]. Children that are persisted follow the under store; what is in the
/// cache only, or still being written, stays as it is. So does whatever changed here since
/// `listed_ms`: the listing may be older than the change. If a child was removed here since then,
/// the entry is refused as `Aborted`: list again. That holds for removals that reach the under store
/// before they are committed; do them in that order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncLoad {
    /// The directory.
    pub directory: FileId,
    /// Which of its names the listing covers.
    pub scope: SyncScope,
    /// What was found, in the order of names. A name outside the scope is refused.
    pub found: Vec<Found>,
    /// When the listing began, by the master's clock.
    pub listed_ms: i64,
    /// Whether the directory counts as loaded from now on: this was the last of its listing.
    pub loaded: bool,
}

/// Which names of a directory a listing covers; names in it that were not found vanish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SyncScope {
    /// All.
    All,
    /// Those after the first (exclusive) up to the second (inclusive; none: to the end).
    Range(String, Option<String>),
    /// One.
    Name(String),
    /// None: what is found is added, nothing vanishes.
    Found,
}

impl SyncScope {
    /// Of a listing that is told in parts, the part after one name and up to another.
    pub fn between(after: Option<&String>, to: Option<&String>) -> Self {
        match (after, to) {
            (None, None) => SyncScope::All,
            (after, to) => SyncScope::Range(after.cloned().unwrap_or_default(), to.cloned()),
        }
    }
}

/// See [`Change::BeginStage`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeginStage {
    /// The number of the job.
    pub stage: i64,
    /// The directory.
    pub path: FsPath,
    /// Names that may change at most; a directory that is new counts as one with all it holds.
    pub most: u64,
}

/// See [`Change::StageListing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageListing {
    /// The number of the job.
    pub stage: i64,
    /// What was found, of a directory that everybody sees or of one that is staged.
    pub listing: SyncLoad,
}

/// See [`Change::PublishStage`]. What changed here since `listed_ms` stays as it is; if something was
/// removed here since then, the entry is refused as `Aborted`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishStage {
    /// The number of the job.
    pub stage: i64,
    /// When the last listing of all of it began, by the master's clock.
    pub listed_ms: i64,
}

/// A file or directory that the under store has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its name in the directory.
    pub name: String,
    /// Whether it is a directory.
    pub folder: bool,
    /// Bytes in it.
    pub length: u64,
    /// Bytes a block of it shall hold.
    pub block_size: u64,
    /// When it was last modified, in milliseconds since 1970; 0 if the store does not say.
    pub modified_ms: i64,
    /// Its version, as the connector gives it; empty if unknown.
    pub version: String,
    /// Owner, group and mode.
    pub ownership: Ownership,
    /// Target of a symbolic link; empty for anything else.
    pub symlink: String,
}

/// See [`Change::RegisterWorker`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegisterWorker {
    /// Where it is reached.
    pub address: WorkerAddress,
    /// The id it has kept, if any.
    pub id: Option<WorkerId>,
}

/// Table of the records of operations on the tree and an under store that are not finished.
pub const INTENTS: &str = "intents";
/// Table of the records of what jobs are to do.
pub const JOBS: &str = "jobs";
/// Table of the records of where workers stand.
pub const WORKERS: &str = "workers";
/// Table of the records of sessions that may hold locks on files.
pub const LOCK_SESSIONS: &str = "lockSessions";
/// Tables of what is under way, and no more so when a state comes out of a backup.
pub const UNFINISHED: [&str; 3] = [INTENTS, JOBS, LOCK_SESSIONS];

/// A record of one of the tables that their owners encode themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordKey {
    /// The owner's table, such as `jobs`.
    pub table: String,
    /// Its key there.
    pub key: Vec<u8>,
}

/// See [`Change::PutRecord`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutRecord {
    /// Which record.
    pub key: RecordKey,
    /// Its new value.
    pub value: Vec<u8>,
}

/// What came of an entry. Small, since it is kept for retries of the same operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It is so.
    Done,
    /// An inode was created.
    Created(FileId),
    /// It was there already, and that was allowed.
    Existed(FileId),
    /// An inode was deleted.
    Deleted(Deleted),
    /// A mount was made.
    Mounted(MountId),
    /// The tree follows the under store.
    Synced(Synced),
    /// The worker's id.
    Worker(WorkerId),
    /// Files whose last copy was on the worker that was forgotten.
    Lost(Vec<FileId>),
    /// Inodes of deleted subtrees were taken apart.
    Reaped {
        /// How many.
        inodes: u32,
        /// Whether there are more.
        more: bool,
    },
}

/// See [`Outcome::Deleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Which inode.
    pub id: FileId,
    /// Whether it was a directory.
    pub folder: bool,
    /// Whether the under store had it.
    pub persisted: bool,
}

/// See [`Outcome::Synced`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Children that are new.
    pub added: u32,
    /// Children that were another version and have a new id now.
    pub replaced: u32,
    /// Children that are gone.
    pub removed: u32,
    /// Directories that vanished underneath but hold something that is only here, or too much to
    /// tell: they stay, and are to be synced themselves.
    pub kept: Vec<String>,
}

/// Why an entry changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// What people read.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::new(refusal.kind, refusal.message)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal { kind: error.kind(), message: error.to_string() }
    }
}
