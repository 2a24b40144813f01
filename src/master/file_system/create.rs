//! New files, directories and links, and files that have been written to the end.

use super::next::given_up;
use super::{Behalf, Caller, FileSystem, check_writable, missing, unexpected, write_type_of};
use crate::core::error::{Context, Error, ErrorKind, Result, already_exists, invalid_argument};
use crate::core::model::{BlockStatus, FileId, FsPath, PersistenceState, Status, WriteType};
use crate::master::journal::entry::{
    self, Change, CommitLocation, CompleteFile, CreateDirectory, CreateFile, CreateSymlink, Delete,
    Outcome, Ownership, SetAttributes, Target,
};
use crate::master::locks::Guard;
use crate::master::stores::{CALL_DEADLINE, within};
use crate::master::sync::Freshness;
use crate::ufs::{Attributes, UfsStatus};
use std::collections::BTreeMap;

/// The extended attribute that holds a write type: on a directory the policy for what is made in
/// it, on a file how it is being written, so that its completion knows where the bytes are.
pub(super) const WRITE_TYPE: &str = "innerWriteType";

/// The extended attribute of a directory that is being made in the under store: the store may have
/// it already, or get it from a retry. It goes when the directory counts as persisted.
pub(super) const PERSISTING: &str = "innerPersisting";

/// What a client says of a new file.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    /// Bytes a block holds; none for the usual.
    pub block_size: Option<u64>,
    /// Whether missing parents are made.
    pub recursive: bool,
    /// Permission bits.
    pub mode: Option<u32>,
    /// How it will be written, where the client says so.
    pub write_type: Option<WriteType>,
    /// How it will be written where neither the client nor a policy says so.
    pub default_write_type: Option<WriteType>,
    /// Whether it is the next version of what is at the path, and takes its place when complete.
    pub next: bool,
    /// Of a next version: what it may replace; none for whatever is there.
    pub expected: Option<Option<FileId>>,
}

/// What a client says of a new directory.
#[derive(Clone, Debug, Default)]
pub struct NewDirectory {
    /// Whether missing parents are made.
    pub recursive: bool,
    /// Whether one that is there already is fine.
    pub allow_exists: bool,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Whether it is made in the under store too: how files in it would be written.
    pub write_type: Option<WriteType>,
    /// The same, where neither the client nor a policy says so.
    pub default_write_type: Option<WriteType>,
}

/// What a client says of a file it has written.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The file's id, where the client says it.
    pub id: Option<FileId>,
    /// Bytes in it.
    pub length: u64,
    /// Whether its bytes are in the under store, however it was to be written.
    pub forced_persisted: bool,
    /// To be persisted later: milliseconds to wait before.
    pub persist_after_ms: Option<i64>,
    /// Who holds blocks that are nowhere else.
    pub blocks: Vec<BlockStatus>,
    /// Attributes to keep with it, such as its checksum.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// When its bytes were last changed; none for now.
    pub modified_ms: Option<i64>,
    /// Of a next version: what it may replace; none for whatever is there.
    pub expected: Option<Option<FileId>>,
    /// Of a file that went through: the version that the worker wrote, where that is known.
    pub version: Option<String>,
}

impl FileSystem {
    /// Owner, group and mode of something new.
    pub(super) fn ownership(&self, caller: &Caller, mode: u32) -> Ownership {
        let mode = mode & 0o7777;
        match &caller.behalf {
            Some(Behalf { owner, group }) if self.is_superuser(caller) => {
                Ownership { owner: owner.clone(), group: group.clone(), mode }
            }
            _ => Ownership {
                owner: caller.user.name.to_string(),
                group: self.groups.primary(&caller.user),
                mode,
            },
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// `AlreadyExists`, also when the under store has it; `NotFound` when the parent is missing.
    pub async fn create_file(
        &self,
        caller: &Caller,
        path: &FsPath,
        new: NewFile,
    ) -> Result<Status> {
        let created = match self.repeated(caller)? {
            None => self.create_now(caller, path, new).await,
            Some(outcome) => return self.created(&outcome, path),
        };
        match (created, self.repeated(caller)?) {
            // The first attempt was on its way through the journal while this one looked.
            (Err(_), Some(outcome)) => self.created(&outcome, path),
            (created, _) => created,
        }
    }

    async fn create_now(&self, caller: &Caller, path: &FsPath, new: NewFile) -> Result<Status> {
        let write_type = match new.write_type {
            Some(write_type) => write_type,
            None => {
                let policy = self.write_policy(path)?;
                policy.or(new.default_write_type).unwrap_or(WriteType::MustCache)
            }
        };
        // TRY_CACHE goes there too, if the cache is full.
        let through = !matches!(write_type, WriteType::MustCache | WriteType::AsyncThrough);
        if new.next && through {
            self.wait_for_persist(path).await?;
        }
        let _shared = loop {
            let shared = self.locks.shared(path).await?;
            let resolved = self.resolve(path)?;
            check_writable(&resolved.mount, path)?;
            if new.next {
                self.permit_next(caller, path, Freshness::Known).await?;
                self.check_expected(path, new.expected)?;
            } else {
                self.permit_parent(caller, path)?;
                self.check_vacant(path, new.recursive).await?;
            }
            // A next version waits for other clients when it is to become the object.
            let held = match new.next {
                true => self.objects.is_persisted(&resolved.ufs_path),
                false => self.objects.is_held(&resolved.ufs_path),
            };
            if !(through && held) {
                break shared;
            }
            // The writer makes the object, after a worker that still writes what was there before; that
            // may have to wait for the lock.
            drop(shared);
            self.objects.free(&resolved.ufs_path, path).await?;
        };
        let mut xattrs = BTreeMap::new();
        // Also tells a client that left it open what was decided.
        if write_type != WriteType::MustCache {
            xattrs.insert(WRITE_TYPE.to_string(), write_type.name().as_bytes().to_vec());
        }
        let change = CreateFile {
            path: path.clone(),
            ownership: self.ownership(caller, new.mode.unwrap_or(0o644)),
            parents_mode: new.recursive.then_some(0o755),
            block_size: new.block_size.unwrap_or(self.config.client.block_size.0),
            cacheable: true,
            ttl_ms: None,
            ttl_action: Default::default(),
            xattrs,
        };
        let change = if new.next { Change::CreateNext(change) } else { Change::CreateFile(change) };
        let outcome = self.commit_for(caller, change).await?;
        if !new.next {
            self.sync.appeared(path);
        }
        // The client writes as this says, whoever decided it.
        let write_type = Some(write_type);
        self.created(&outcome, path).map(|status| Status { write_type, ..status })
    }

    /// Nothing is at `path`, here or in the under store, and its parent is a directory, or may be
    /// made.
    pub(super) async fn check_vacant(&self, path: &FsPath, recursive: bool) -> Result<()> {
        if self.find(path, Freshness::Known).await?.is_some() {
            return Err(already_exists(format!("path {path} already exists")));
        }
        self.check_parent(path, recursive)
    }

    fn check_parent(&self, path: &FsPath, recursive: bool) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.peek(&parent)? {
            Some(status) if !status.folder => {
                let text = format!("{parent} is a file, so there is nothing below it");
                Err(Error::new(ErrorKind::NotDirectory, text))
            }
            None if !recursive => Err(missing(&parent).context(format!("creating {path}"))),
            _ => Ok(()),
        }
    }

    fn created(&self, outcome: &Outcome, path: &FsPath) -> Result<Status> {
        match outcome {
            Outcome::Created(id) | Outcome::Existed(id) => {
                self.by_id(*id).with_context(|| format!("after creating {path}"))
            }
            other => Err(unexpected(other)),
        }
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `AlreadyExists` when a file is there, or a directory and that is not allowed; `NotFound`
    /// when the parent is missing.
    pub async fn create_directory(
        &self,
        caller: &Caller,
        path: &FsPath,
        new: NewDirectory,
    ) -> Result<()> {
        if path.is_root() && new.allow_exists {
            return Ok(());
        }
        let persisted = self.is_through_here(path, new.write_type, new.default_write_type)?;
        let _held = self.hold_directory(path, persisted).await?;
        // Before we look whether this is a retry: what the first attempt makes meanwhile, we see.
        let found = self.find_held(path, Freshness::Known).await;
        if let Some(Outcome::Created(id) | Outcome::Existed(id)) = self.repeated(caller)? {
            // Only the tree's part of it is known to have been done. Somebody may have moved or
            // removed it since.
            let still = self.peek(path)?.is_some_and(|status| status.id == id);
            return if persisted && still { self.persist_directory(path).await } else { Ok(()) };
        }
        let there = match found? {
            Some(found) if found.folder && new.allow_exists => true,
            Some(_) => return Err(already_exists(format!("path {path} already exists"))),
            None => false,
        };
        if there {
            return if persisted { self.persist_directory(path).await } else { Ok(()) };
        }
        check_writable(&self.resolve(path)?.mount, path)?;
        self.permit_parent(caller, path)?;
        self.check_parent(path, new.recursive)?;
        // The tree first: a master killed before the store has it too leaves a directory of the
        // tree's own, and the caller who tries again is known by its operation's id.
        let persisting = persisted.then(|| (PERSISTING.to_string(), Vec::new()));
        let change = CreateDirectory {
            path: path.clone(),
            ownership: self.ownership(caller, new.mode.unwrap_or(0o755)),
            parents_mode: new.recursive.then_some(0o755),
            allow_exists: new.allow_exists,
            persisted: false,
            xattrs: persisting.into_iter().collect(),
        };
        let made = self.commit_for(caller, Change::CreateDirectory(change)).await?;
        self.sync.appeared(path);
        if !persisted {
            return Ok(());
        }
        let below = self.persist_directory(path).await;
        // What may work when the caller tries again is left for that. Of what cannot, nothing is;
        // should this fail too, an empty directory is.
        if let Err(error) = &below
            && !error.kind().is_transient()
            && let Outcome::Created(id) = made
        {
            let delete = Delete { path: path.clone(), id: Some(id), recursive: false };
            self.commit(Change::Delete(delete)).await.ok();
        }
        below
    }

    /// Holds the path of a directory that is to be made, alone if its store gets it too and does not
    /// have it: nobody is to remove or move it in between.
    async fn hold_directory(&self, path: &FsPath, persisted: bool) -> Result<Guard> {
        let shared = self.locks.shared(path).await?;
        let whole = self.peek(path)?.is_some_and(|status| status.folder && status.is_persisted());
        if !persisted || whole {
            return Ok(shared);
        }
        drop(shared);
        self.locks.exclusive(std::slice::from_ref(path)).await
    }

    /// Makes a directory of the tree in its under store too, if that does not have it.
    pub(super) async fn persist_directory(&self, path: &FsPath) -> Result<()> {
        let Some(status) = self.peek(path)? else { return Err(missing(path)) };
        if status.is_persisted() {
            return Ok(());
        }
        let Status { owner, group, mode, .. } = status;
        self.create_below(path, &Ownership { owner, group, mode }).await?;
        self.mark_persisted(path).await
    }

    /// Notes that the under store has the directory at `path` and all above it.
    pub(in crate::master) async fn mark_persisted(&self, path: &FsPath) -> Result<()> {
        let mut above = Some(path.clone());
        let mut inodes = Vec::new();
        while let Some(directory) = above {
            match self.peek(&directory)? {
                Some(status) if status.is_persisted() => break,
                Some(status) => inodes.push(status.id),
                None => {}
            }
            above = directory.parent();
        }
        if inodes.is_empty() {
            return Ok(());
        }
        let persistence = Some(PersistenceState::Persisted);
        let remove_xattrs = vec![PERSISTING.to_string()];
        let attributes = entry::Attributes { persistence, remove_xattrs, ..Default::default() };
        let change = SetAttributes { target: Target::Inodes(inodes), attributes };
        self.commit(Change::SetAttributes(change)).await.map(drop)
    }

    /// Whether what is made at `path` goes through to the under store at once.
    fn is_through_here(
        &self,
        path: &FsPath,
        asked: Option<WriteType>,
        default: Option<WriteType>,
    ) -> Result<bool> {
        let write_type = match asked {
            Some(write_type) => Some(write_type),
            None => self.write_policy(path)?.or(default),
        };
        Ok(write_type.is_some_and(is_through))
    }

    /// Makes a directory in the under store.
    pub(super) async fn create_below(&self, path: &FsPath, ownership: &Ownership) -> Result<()> {
        let mount = self.resolve(path)?.mount;
        let ufs = self.stores.of(&mount)?;
        let relative = path.relative_to(&mount.path).unwrap_or_default();
        let attributes = Attributes {
            owner: Some(ownership.owner.clone()),
            group: Some(ownership.group.clone()),
            mode: Some(ownership.mode),
        };
        self.change_store(&mount, CALL_DEADLINE, ufs.create_dir(relative, &attributes))
            .await
            .with_context(|| format!("making directory {path}"))
    }

    /// Makes a symbolic link. It exists in the tree only: under stores keep none.
    ///
    /// # Errors
    /// As [`FileSystem::create_file`]; `InvalidArgument` for an empty target.
    pub async fn create_symlink(
        &self,
        caller: &Caller,
        path: &FsPath,
        target: &str,
        recursive: bool,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let linked = self.link_now(caller, path, target, recursive).await;
        self.unless_repeated(caller, linked)
    }

    async fn link_now(
        &self,
        caller: &Caller,
        path: &FsPath,
        target: &str,
        recursive: bool,
    ) -> Result<()> {
        if target.is_empty() || target.len() > crate::core::model::path::MAX_PATH {
            return Err(invalid_argument("the target of a link is 1 to 4096 bytes long"));
        }
        let _shared = self.locks.shared(path).await?;
        check_writable(&self.resolve(path)?.mount, path)?;
        self.permit_parent(caller, path)?;
        self.check_vacant(path, recursive).await?;
        if recursive && let Some(parent) = path.parent() {
            let above = NewDirectory { recursive, allow_exists: true, ..Default::default() };
            let maker = Caller { operation: None, ..caller.clone() };
            Box::pin(self.create_directory(&maker, &parent, above)).await?;
        }
        let change = CreateSymlink {
            path: path.clone(),
            target: target.into(),
            ownership: self.ownership(caller, 0o777),
            persisted: false,
        };
        self.commit_for(caller, Change::CreateSymlink(change)).await?;
        Ok(())
    }

    /// A file has been written to the end.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it should be in the under store and is not.
    pub async fn complete_file(
        &self,
        caller: &Caller,
        path: &FsPath,
        done: Completion,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let completed = self.complete_now(caller, path, done).await;
        self.unless_repeated(caller, completed)
    }

    async fn complete_now(&self, caller: &Caller, path: &FsPath, done: Completion) -> Result<()> {
        // From the look at the store until the tree names what is there, nobody of ours writes it. Before
        // the path is held: who is to say that a file is persisted takes it too.
        let (file, next) = self.being_written(path, &done)?;
        let object = self.resolve(path)?.ufs_path;
        let _object = match self.goes_through(&file, &done) {
            true => Some(self.objects.hold(object, path, file.id).await?),
            false if next => {
                self.objects.closed(&object, path).await?;
                None
            }
            false => None,
        };
        let _shared = self.locks.shared(path).await?;
        let (file, next) = self.being_written(path, &done)?;
        match next {
            true => {
                check_writable(&self.resolve(path)?.mount, path)?;
                self.permit_next(caller, path, Freshness::Here).await?;
            }
            false => self.permit_completion(caller, &file)?,
        }
        let write_type = file.xattrs.get(WRITE_TYPE).and_then(|value| write_type_of(value));
        let through = self.goes_through(&file, &done);
        let mut change = CompleteFile {
            path: path.clone(),
            id: done.id,
            length: done.length,
            persistence: PersistenceState::NotPersisted,
            persist_at_ms: 0,
            ufs_version: String::new(),
            blocks: done.blocks,
            xattrs: done.xattrs,
        };
        if through {
            change.ufs_version = self.written(path, done.length, done.version).await?.version;
            change.persistence = PersistenceState::Persisted;
            change.blocks.clear();
        } else if write_type == Some(WriteType::AsyncThrough) || done.persist_after_ms.is_some() {
            let delay = self.config.master.persist_delay.as_millis() as i64;
            let wait = done.persist_after_ms.unwrap_or_default().max(delay);
            change.persistence = PersistenceState::ToBePersisted;
            change.persist_at_ms = self.clock.now_ms().saturating_add(wait);
        }
        // What is in the store already takes its place in any case: what was there has gone.
        let expected = done.expected.filter(|_| !through);
        let modified_ms = done.modified_ms;
        let change = match next || modified_ms.is_some() {
            true => Change::Replace(entry::Replace { complete: change, modified_ms, expected }),
            false => Change::CompleteFile(change),
        };
        self.commit_for(caller, change).await?;
        if through {
            // The copies that were cached on the way may be evicted from now on.
            let count = crate::core::model::block::block_count(done.length, file.block_size);
            self.workers.persisted((0..count).map(|index| file.id.block(index)));
        }
        self.sync.appeared(path);
        Ok(())
    }

    /// The file that is being completed, and whether it is a next version.
    fn being_written(&self, path: &FsPath, done: &Completion) -> Result<(Status, bool)> {
        match done.id.map_or(Ok(None), |id| self.next_version(id))? {
            Some(file) if file.path != *path => Err(given_up(path)),
            Some(file) => Ok((file, true)),
            None => self.here(path).map(|file| (file, false)),
        }
    }

    /// Whether it is in the under store when it is complete.
    fn goes_through(&self, file: &Status, done: &Completion) -> bool {
        let write_type = file.xattrs.get(WRITE_TYPE).and_then(|value| write_type_of(value));
        done.forced_persisted || write_type.is_some_and(is_through)
    }

    fn permit_completion(&self, caller: &Caller, file: &Status) -> Result<()> {
        if file.folder {
            let text = format!("{}: Is a directory, which is never completed", file.path);
            return Err(Error::new(ErrorKind::IsDirectory, text));
        }
        // Who made it was let in then, whatever its mode says to those who open it later.
        if !file.completed && self.permit_owner(caller, &file.path).is_ok() {
            return Ok(());
        }
        self.permit(caller, &file.path, crate::core::security::Access::WRITE)
    }

    /// What a worker has written to the under store for `path`, as the store has it. Of two who write one
    /// object at the same time, the one whose bytes are not there is refused.
    async fn written(
        &self,
        path: &FsPath,
        length: u64,
        version: Option<String>,
    ) -> Result<UfsStatus> {
        let resolved = self.resolve(path)?;
        let ufs = self.stores.of(&resolved.mount)?;
        let relative = path.relative_to(&resolved.mount.path).unwrap_or_default();
        let status = within(&resolved.mount, CALL_DEADLINE, ufs.status(relative)).await;
        let lost = |what: String| {
            let at = &resolved.ufs_path;
            let text = format!("{path} was to be written to {at}, but {what}: write it again");
            Error::new(ErrorKind::FailedPrecondition, text)
        };
        match status {
            Ok(status) if status.folder => Err(lost("a directory is there".into())),
            Ok(status) if version.is_some_and(|version| version != status.version) => {
                let text = format!(
                    "{path} was written by others at the same time, and {} has what they wrote",
                    resolved.ufs_path
                );
                Err(Error::new(ErrorKind::Changed, text))
            }
            Ok(status) if status.length != length => {
                Err(lost(format!("{} bytes are there instead of {length}", status.length)))
            }
            Ok(status) => Ok(status),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(lost("nothing is there".into()))
            }
            Err(error) => Err(error.context(format!("completing {path}"))),
        }
    }

    /// Workers hold a block of an incomplete file.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn commit_location(
        &self,
        path: &FsPath,
        id: Option<FileId>,
        blocks: Vec<BlockStatus>,
    ) -> Result<()> {
        let id = match id {
            Some(id) => id,
            None => self.here(path)?.id,
        };
        if blocks.iter().any(|block| block.id.file() != id) {
            return Err(invalid_argument(format!("the blocks are not all of file {id} ({path})")));
        }
        self.commit(Change::CommitLocation(CommitLocation { id, blocks })).await.map(drop)
    }
}

/// Whether a write of this type is in the under store when it is closed.
pub(super) fn is_through(write_type: WriteType) -> bool {
    matches!(write_type, WriteType::CacheThrough | WriteType::Through)
}
