//! Persisting: files that exist in the cache only are written to their under store by a worker
//! that holds them.
//!
//! Which files wait is in the journal; what is being tried, and what failed how often, is here. A
//! failure is tried again, ever more seldom, for as long as the file waits: its only copy is in the
//! cache, so giving up would lose it.

use super::load::LOOK_AGAIN;
use super::run::Run;
use crate::core::error::{ErrorKind, Result, unavailable};
use crate::core::model::{FileId, FsPath, MountId, PersistenceState, Status, WorkerId};
use crate::core::proto::v1;
use crate::core::runtime::Clock;
use crate::master::file_system::{FileSystem, is_below};
use crate::master::journal::entry::{Attributes, Change, Delete, SetAttributes, Target};
use crate::master::state::next::BELOW;
use crate::master::stores::CALL_DEADLINE;
use crate::master::workers::Registry;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

/// Files being persisted at a time, by all workers.
const MOST_RUNNING: usize = 512;
/// Files looked at in one pass.
const PAGE: usize = 1_000;
/// The wait after the first failure, and the longest, in milliseconds.
const BACKOFF_MS: (i64, i64) = (1_000, 300_000);
/// Workers asked for a block whose holders are not known.
const CANDIDATES: usize = 3;
/// Failures of a file after which a job that waits for it gives up on it.
const PATIENCE: u32 = 6;
/// Files a persist job waits for at a time.
const WINDOW: usize = 5_000;
/// After so many failures in a row, of whichever files, a store is taken to be down: it is asked for
/// so many files at a time and ever more seldom, until one succeeds. So however many files wait for
/// it, few are remembered as failed.
const STORE_DOWN: u32 = 32;
/// A look at all files that wait, of which none could be started, took its time; the next one comes
/// after so many times as long.
const LOOK_REST: u32 = 20;
/// How often attempts at files that were deleted are forgotten.
const FORGET_EVERY_MS: i64 = 60_000;
/// Files counted in one go, and for somebody who asks how many wait.
const COUNTED: usize = 10_000;
const MOST_COUNTED: usize = 100_000;
/// Bytes of a cause that are kept.
const MOST_CAUSE: usize = 500;

/// Sees to it that what waits to be persisted is. Clones share it.
#[derive(Clone)]
pub struct Persister {
    files: FileSystem,
    workers: Registry,
    clock: Clock,
    attempts: Arc<Mutex<HashMap<FileId, Attempt>>>,
    stores: Arc<Mutex<HashMap<MountId, Store>>>,
    rest: Arc<Mutex<Rest>>,
}

/// How it goes with one store.
#[derive(Clone, Copy, Debug, Default)]
struct Store {
    /// In a row.
    failures: u32,
    not_before_ms: i64,
}

/// When there is something to look at again.
#[derive(Debug, Default)]
struct Rest {
    look_ms: i64,
    forgot_ms: i64,
}

/// How it goes with one file.
#[derive(Clone, Debug, Default)]
struct Attempt {
    running: bool,
    failures: u32,
    not_before_ms: i64,
    cause: String,
}

impl Persister {
    /// Nothing tried yet.
    pub fn new(files: FileSystem, workers: Registry, clock: Clock) -> Self {
        let (attempts, stores, rest) = Default::default();
        Persister { files, workers, clock, attempts, stores, rest }
    }

    /// The tasks that are due, and who is to do them. To be called often.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn due(&self) -> Result<Vec<(WorkerId, v1::PersistTask)>> {
        let now = self.clock.now_ms();
        if now < self.rest.lock().look_ms {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let mut tasks = Vec::new();
        // What was begun is handed out in any case.
        if let Err(error) = self.begin_due(now, &mut tasks)
            && tasks.is_empty()
        {
            return Err(error);
        }
        let rest = began.elapsed() * if tasks.is_empty() { LOOK_REST } else { 0 };
        self.rest.lock().look_ms = now + rest.as_millis() as i64;
        Ok(tasks)
    }

    fn begin_due(&self, now: i64, tasks: &mut Vec<(WorkerId, v1::PersistTask)>) -> Result<()> {
        let running = self.attempts.lock().values().filter(|attempt| attempt.running).count();
        let mut room = MOST_RUNNING.saturating_sub(running);
        let mut doubtful = HashMap::new();
        let mut after = None;
        while room > 0 {
            let page = self.files.state().to_persist(after, PAGE)?;
            for &(id, at_ms) in &page {
                if room > 0 && at_ms <= now && self.may_start(id, now) {
                    let started = self.start(id, now, &mut doubtful)?;
                    room -= usize::from(started.is_some());
                    tasks.extend(started);
                }
            }
            after = page.last().map(|&(id, _)| id);
            if page.len() < PAGE {
                break;
            }
        }
        Ok(())
    }

    /// Whether one more file may be tried at a store; `doubtful` counts those that were in this pass
    /// where it may be down.
    fn may_ask(&self, mount: MountId, now: i64, doubtful: &mut HashMap<MountId, u32>) -> bool {
        let store = self.stores.lock().get(&mount).copied().unwrap_or_default();
        if store.failures < STORE_DOWN {
            return true;
        }
        let tried = doubtful.entry(mount).or_default();
        *tried += 1;
        store.not_before_ms <= now && *tried <= STORE_DOWN
    }

    fn may_start(&self, id: FileId, now: i64) -> bool {
        let attempts = self.attempts.lock();
        attempts.get(&id).is_none_or(|own| !own.running && own.not_before_ms <= now)
    }

    /// The task for a file and the worker to do it; none when no worker is there.
    fn start(
        &self,
        id: FileId,
        now: i64,
        doubtful: &mut HashMap<MountId, u32>,
    ) -> Result<Option<(WorkerId, v1::PersistTask)>> {
        let status = match self.files.by_id(id) {
            Ok(status) => status,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !self.may_ask(status.mount_id, now, doubtful) {
            return Ok(None);
        }
        let Some(worker) = self.worker_for(&status) else { return Ok(None) };
        if !self.files.objects.begin(&status.ufs_path) {
            // What was there before is still on its way.
            return Ok(None);
        }
        self.attempts.lock().entry(id).or_default().running = true;
        Ok(Some((worker, self.task(&status))))
    }

    /// A worker that holds the beginning of the file, or would.
    pub(super) fn worker_for(&self, status: &Status) -> Option<WorkerId> {
        let first = status.block(0);
        let holder = first.locations.iter().find(|&&id| self.workers.address(id).is_some());
        holder.copied().or_else(|| Some(self.workers.ring().owner(first.id)?.id))
    }

    /// The file's blocks, and who holds them or would.
    pub(super) fn blocks(&self, status: &Status, candidates: usize) -> Vec<v1::PersistBlock> {
        let ring = self.workers.ring();
        let block = |index| {
            let block = status.block(index);
            let holders = block.locations.iter().filter_map(|&id| self.workers.address(id));
            let mut workers: Vec<String> = holders.map(|address| address.to_string()).collect();
            for owner in ring.owners(block.id, candidates, |_| false) {
                let address = owner.address.to_string();
                if !workers.contains(&address) {
                    workers.push(address);
                }
            }
            v1::PersistBlock { block_id: block.id.0, length: block.length as i64, workers }
        };
        (0..status.block_count()).map(block).collect()
    }

    fn task(&self, status: &Status) -> v1::PersistTask {
        v1::PersistTask {
            file_id: status.id.0,
            path: status.path.to_string(),
            ufs_path: status.ufs_path.clone(),
            mount_id: status.mount_id,
            length: status.length as i64,
            blocks: self.blocks(status, CANDIDATES),
            owner: status.owner.clone(),
            group: status.group.clone(),
            mode: status.mode,
        }
    }

    /// Whether the file is still to be where a worker writes it.
    pub(super) fn is_wanted(&self, file: FileId, ufs_path: &str) -> Result<bool> {
        match self.files.by_id(file) {
            Ok(status) => Ok(status.ufs_path == ufs_path && !status.is_persisted()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Nothing came of a task that nobody wants any more, and nothing will.
    pub(super) fn given_back(&self, task: &v1::PersistTask) {
        self.files.objects.release(&task.ufs_path);
        self.attempts.lock().remove(&FileId(task.file_id));
    }

    /// Takes in what a worker says at the end of a task; `closing` where it had begun to end the object.
    pub(super) async fn settled(
        &self,
        task: &v1::PersistTask,
        report: &v1::TaskReport,
        closing: bool,
    ) {
        let id = FileId(task.file_id);
        let result = match report.failed.first() {
            Some(failure) => Err(unavailable(failure.cause.clone())),
            None => self.persisted(task, report).await,
        };
        if result.is_err() && matches!(self.is_wanted(id, &task.ufs_path), Ok(false)) {
            // No fault of the store's, which may have taken it all the same.
            if closing && let Err(error) = self.withdraw_lastingly(task, &report.version).await {
                tracing::warn!(path = task.path, %error, "what was deleted may be in its store");
            }
            return self.given_back(task);
        }
        self.files.objects.release(&task.ufs_path);
        match result {
            Ok(()) => {
                self.attempts.lock().remove(&id);
                self.stores.lock().remove(&task.mount_id);
            }
            Err(error) => {
                tracing::warn!(path = task.path, %error, "not persisted; it will be tried again");
                self.failed(id, error.to_string());
                self.doubt(task.mount_id);
            }
        }
    }

    /// A store did not take a file.
    fn doubt(&self, mount: MountId) {
        let mut stores = self.stores.lock();
        let store = stores.entry(mount).or_default();
        store.failures = store.failures.saturating_add(1);
        let wait = backoff_ms(store.failures / STORE_DOWN);
        store.not_before_ms = self.clock.now_ms() + wait;
    }

    fn failed(&self, id: FileId, mut cause: String) {
        cause.truncate(cause.floor_char_boundary(MOST_CAUSE));
        let mut attempts = self.attempts.lock();
        let attempt = attempts.entry(id).or_default();
        let wait = backoff_ms(attempt.failures);
        attempt.running = false;
        attempt.failures += 1;
        attempt.not_before_ms = self.clock.now_ms() + wait;
        attempt.cause = cause;
    }

    /// A worker has written the file to its store.
    async fn persisted(&self, task: &v1::PersistTask, report: &v1::TaskReport) -> Result<()> {
        let id = FileId(task.file_id);
        let written = task.path.parse()?;
        // Neither deleted nor renamed while we look and say so.
        let shared = self.files.locks.shared(&written).await?;
        let now = match self.files.by_id(id) {
            Ok(status) => Some(status),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match now {
            Some(status) if status.ufs_path == task.ufs_path => {
                let attributes = Attributes {
                    persistence: Some(PersistenceState::Persisted),
                    ufs_version: Some(report.version.clone()),
                    ..Default::default()
                };
                let set = SetAttributes { target: Target::Inodes(vec![id]), attributes };
                self.files.commit(Change::SetAttributes(set)).await?;
                let blocks = (0..status.block_count()).map(|index| id.block(index));
                self.workers.persisted(blocks);
                Ok(())
            }
            // Deleted or renamed meanwhile: what was written must not come back as a file.
            _ => {
                drop(shared);
                self.withdraw(&written, task, &report.version).await
            }
        }
    }

    /// The same as [`Persister::withdraw`], tried again while the store does not.
    async fn withdraw_lastingly(&self, task: &v1::PersistTask, version: &str) -> Result<()> {
        let path = task.path.parse()?;
        let mut result = Ok(());
        for failures in 0..PATIENCE {
            result = self.withdraw(&path, task, version).await;
            if result.is_ok() {
                break;
            }
            let wait = u64::try_from(backoff_ms(failures)).unwrap_or_default();
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
        result
    }

    /// Removes an object that nobody wants any more. Where another file has its name now, it goes with
    /// that; where it was itself taken for a file of the store's, that goes with it.
    async fn withdraw(&self, path: &FsPath, task: &v1::PersistTask, version: &str) -> Result<()> {
        let is_it = |status: &Status| {
            let there = !status.folder && status.is_persisted() && !version.is_empty();
            there && status.ufs_version == version && status.id.0 != task.file_id
        };
        // Whoever deletes what is there has to know of the object, or nobody removes it.
        let _alone = self.files.locks.exclusive(std::slice::from_ref(path)).await?;
        let found = self.files.peek(path)?;
        if let Some(taken_in) = found.as_ref().filter(|status| is_it(status)) {
            self.remove_object(path).await?;
            let delete = Delete { path: path.clone(), id: Some(taken_in.id), recursive: false };
            return match self.files.commit(Change::Delete(delete)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        match found {
            Some(status) if status.folder || is_below(&status) => Ok(()),
            Some(status) => {
                self.note_below(status.id).await?;
                // The store has the directories too.
                let parent = path.parent().unwrap_or_else(FsPath::root);
                self.files.mark_persisted(&parent).await
            }
            None => self.remove_object(path).await,
        }
    }

    async fn remove_object(&self, path: &FsPath) -> Result<()> {
        let mount = self.files.mount_of(path)?;
        let ufs = self.files.stores.of(&mount)?;
        let relative = path.relative_to(&mount.path).unwrap_or_default();
        self.files.change_store(&mount, CALL_DEADLINE, ufs.delete(relative)).await
    }

    /// The under store has an older version of a file that is here only.
    async fn note_below(&self, id: FileId) -> Result<()> {
        let set_xattrs = [(BELOW.to_string(), Vec::new())].into();
        let attributes = Attributes { set_xattrs, ..Default::default() };
        let set = SetAttributes { target: Target::Inodes(vec![id]), attributes };
        self.files.commit(Change::SetAttributes(set)).await.map(drop)
    }

    /// The worker was lost with the task.
    pub(super) fn lost(&self, task: &v1::PersistTask) {
        // Should it come back it asks before the object appears.
        self.files.objects.release(&task.ufs_path);
        self.failed(FileId(task.file_id), "the worker that did it was lost".into());
    }

    /// Files that failed at least once and still wait, with the last cause.
    pub fn failures(&self) -> Vec<(FileId, String)> {
        let attempts = self.attempts.lock();
        let failed = attempts.iter().filter(|(_, attempt)| attempt.failures > 0);
        let mut failed: Vec<_> = failed.map(|(&id, attempt)| (id, attempt.cause.clone())).collect();
        failed.sort_unstable();
        failed
    }

    /// How many files failed at least once and still wait.
    pub fn failing(&self) -> usize {
        self.attempts.lock().values().filter(|attempt| attempt.failures > 0).count()
    }

    /// How many files wait, as far as 100,000. Reads the metastore.
    pub fn waiting(&self) -> usize {
        let (mut count, mut after) = (0, None);
        while count < MOST_COUNTED {
            let Ok(page) = self.files.state().to_persist(after, COUNTED) else { break };
            count += page.len();
            after = page.last().map(|&(id, _)| id);
            if page.len() < COUNTED {
                break;
            }
        }
        count
    }

    /// Has files that failed tried again at once; says whether there are any.
    pub fn retry_now(&self) -> bool {
        self.stores.lock().clear();
        self.rest.lock().look_ms = 0;
        let mut attempts = self.attempts.lock();
        let mut any = false;
        for attempt in attempts.values_mut().filter(|attempt| attempt.failures > 0) {
            attempt.not_before_ms = 0;
            any = true;
        }
        any
    }

    /// Forgets attempts at files that no longer wait: they were deleted.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn forget_deleted(&self) -> Result<()> {
        let now = self.clock.now_ms();
        if now < self.rest.lock().forgot_ms + FORGET_EVERY_MS {
            return Ok(());
        }
        self.rest.lock().forgot_ms = now;
        let known: Vec<FileId> = self.attempts.lock().keys().copied().collect();
        for id in known {
            if self.files.state().lookup(id)?.is_none() {
                self.attempts.lock().remove(&id);
            }
        }
        Ok(())
    }

    fn given_up(&self, id: FileId) -> Option<String> {
        let attempts = self.attempts.lock();
        let attempt = attempts.get(&id).filter(|attempt| attempt.failures >= PATIENCE)?;
        Some(attempt.cause.clone())
    }
}

/// The wait after so many failures more than one.
fn backoff_ms(failures: u32) -> i64 {
    let (first, longest) = BACKOFF_MS;
    first.saturating_mul(1 << failures.min(20)).min(longest)
}

/// A persist job: has every file below a path persisted, and waits for it.
pub(super) async fn run(run: &Run, _: &v1::PersistJob) -> Result<()> {
    run.need_worker("persist").await?;
    let mut open = HashMap::new();
    let mut walk = run.walk().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => {
                for status in page {
                    begin_one(run, status, &mut open).await;
                }
            }
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
        while open.len() > WINDOW || !open.is_empty() && run.is_far_ahead(usize::MAX) {
            look(run, &mut open).await?;
        }
    }
    run.note(super::Progress::listed);
    while !open.is_empty() {
        look(run, &mut open).await?;
    }
    Ok(())
}

async fn begin_one(run: &Run, status: Status, open: &mut HashMap<FileId, u64>) {
    // Links are in the tree only and stay there.
    let settled =
        status.folder || status.is_symlink() || status.node().is_some() || status.is_persisted();
    if settled || !status.completed {
        return run.note(|progress| progress.passed(status.path));
    }
    run.note(|p| p.found(status.id, status.path.clone(), 1, status.length));
    match run.files().schedule_one(&status, 0).await {
        Ok(()) => drop(open.insert(status.id, status.length)),
        Err(error) => run.note(|p| p.file_part_failed(status.id, &error.to_string())),
    }
}

/// Notes which of the open files are persisted by now.
async fn look(run: &Run, open: &mut HashMap<FileId, u64>) -> Result<()> {
    tokio::time::sleep(LOOK_AGAIN).await;
    let mut done = HashSet::new();
    for (&file, &length) in open.iter() {
        let inode = run.files().state().lookup(file)?;
        let persisted = inode.is_none_or(|inode| inode.is_persisted());
        if persisted {
            run.note(|p| p.part_done(file, length, false));
            done.insert(file);
        } else if let Some(cause) = run.jobs.inner.persister.given_up(file) {
            run.note(|p| p.file_part_failed(file, &cause));
            done.insert(file);
        }
    }
    open.retain(|file, _| !done.contains(file));
    Ok(())
}
