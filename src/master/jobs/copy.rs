//! Copy and move: each file is written to its new place by a worker, from the cache or straight from
//! where it is, and then taken into the tree.
//!
//! Workers write, the tree decides. A copy counts once the tree has it in the version that the
//! worker wrote; a source goes after that, and only if it still is the file that was copied. Whatever
//! is interrupted between those steps is done again: a copy that is whole already is recognised by
//! its bytes, so nothing is replaced that somebody else has put there.

use super::Jobs;
use super::progress::Progress;
use super::run::{Chosen, Run};
use crate::core::error::{
    Error, ErrorKind, Result, already_exists, failed_precondition, invalid_argument,
};
use crate::core::model::{FileId, FsPath, Status, WorkerId, WriteType};
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use crate::master::file_system::{Caller, FileSystem, NewDirectory, Removal};
use crate::master::sync::Freshness;
use crate::ufs::UfsStatus;
use futures::StreamExt;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Files in one task.
const MOST_FILES: usize = 256;
/// Files on their way at a time, from being found to being in the tree.
const WINDOW: usize = 20_000;
/// Files of one report that are taken into the tree at a time.
const FINISHING: usize = 32;
/// Workers asked for a block that may be cached, beside the one that copies.
const CANDIDATES: usize = 2;
/// Children of a source directory looked at at a time.
const PAGE: usize = 1_000;
/// How often something is tried again while a store does not answer, and the wait before the first
/// time; each later one is twice as long.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Time enough for the clock to move on.
const A_MOMENT: Duration = Duration::from_millis(2);

/// Copies everything below the source, and removes its empty directories after a move.
pub(super) async fn run(run: &Run, job: &v1::CopyJob) -> Result<()> {
    run.need_worker("copy").await?;
    let mut copy = Copy::new(run, job).await?;
    let mut walk = run.walk().await?;
    while let Some(step) = walk.next().await {
        match step {
            Ok(page) => {
                for status in page {
                    copy.take(status).await?;
                }
                copy.flush_idle();
            }
            Err((path, error)) => run.note(|p| p.unreadable(&path, &error.to_string())),
        }
    }
    copy.flush();
    if job.r#move && copy.top_is_folder {
        run.wait_until(|progress| progress.open_files() == 0).await;
        copy.remove_directories().await;
    }
    run.note(Progress::listed);
    Ok(())
}

struct Copy<'a> {
    run: &'a Run,
    job: &'a v1::CopyJob,
    caller: Caller,
    chosen: Chosen,
    from: FsPath,
    to: FsPath,
    top_is_folder: bool,
    /// The directory that is known to be there, with all that its store has in it.
    ready: Option<FsPath>,
    packs: HashMap<WorkerId, (Vec<v1::CopyFile>, u64)>,
    began: Instant,
    /// How often in a row a store did not answer and was asked again.
    tries: u32,
}

impl<'a> Copy<'a> {
    async fn new(run: &'a Run, job: &'a v1::CopyJob) -> Result<Self> {
        let (from, mut to): (FsPath, FsPath) = (job.from.parse()?, job.to.parse()?);
        let top_is_folder = run.files().known(&from).await?.folder;
        if !top_is_folder {
            let there = run.files().find(&to, Freshness::Known).await?;
            if there.is_some_and(|there| there.folder) {
                to = to.join(from.name())?;
            }
        }
        if to == from {
            return Err(invalid_argument(format!("{from} would be copied to itself")));
        }
        Ok(Copy {
            run,
            job,
            caller: run.spec.caller(),
            chosen: Chosen::of(&run.spec)?,
            from,
            to,
            top_is_folder,
            ready: None,
            packs: HashMap::new(),
            began: Instant::now(),
            tries: 0,
        })
    }

    /// Where something of the source goes to.
    fn target(&self, path: &FsPath) -> Result<FsPath> {
        match path.relative_to(&self.from).unwrap_or_default() {
            "" => Ok(self.to.clone()),
            below => FsPath::parse(&format!("{}/{below}", self.to)),
        }
    }

    /// Does what is to be done with one entry of the source. What cannot be done is noted.
    async fn take(&mut self, status: Status) -> Result<()> {
        let run = self.run;
        if !status.folder && !self.chosen.takes(&status.path) {
            run.note(|progress| progress.passed(status.path));
            return Ok(());
        }
        run.keep_near(WINDOW, || self.flush()).await;
        let path = status.path.clone();
        match self.take_patiently(status).await {
            Err(error) if self.ends_run(&error) => Err(error),
            Err(error) => {
                run.note(|progress| progress.unreadable(&path, &error.to_string()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The same, tried again for a while when a store does not answer; once that while is over,
    /// each entry is tried once until one can be taken.
    async fn take_patiently(&mut self, status: Status) -> Result<()> {
        loop {
            let taken = match status.clone() {
                status if status.folder => self.take_directory(status).await,
                status if status.is_symlink() => self.take_link(status).await,
                status => self.take_file(status).await,
            };
            match taken {
                Err(error) if error.kind() == ErrorKind::Unavailable && self.tries < TRIES => {
                    tracing::debug!(path = %status.path, %error, "trying again");
                    tokio::time::sleep(FIRST_WAIT * (1 << self.tries)).await;
                    self.tries += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.tries = 0;
                    return Ok(());
                }
            }
        }
    }

    /// Whether nothing else could be done either: this is not the primary any more, and whoever is
    /// next goes on; or no worker is left.
    fn ends_run(&self, error: &Error) -> bool {
        let primary = self.run.files().journal.is_primary();
        let alone = self.run.workers().ring().workers().is_empty();
        error.kind() == ErrorKind::Unavailable && (!primary || alone)
    }

    async fn take_directory(&mut self, status: Status) -> Result<()> {
        // With a choice of files, directories come with the files in them.
        if self.chosen.is_all() {
            let to = self.target(&status.path)?;
            self.make_ready(&to, Some(&status)).await?;
        }
        self.run.note(|progress| progress.passed(status.path));
        Ok(())
    }

    /// Has a directory made, if it is missing, and looked up in its store once.
    async fn make_ready(&mut self, path: &FsPath, like: Option<&Status>) -> Result<()> {
        if self.ready.as_ref() == Some(path) {
            return Ok(());
        }
        let files = self.run.files();
        let known = files.find(path, Freshness::Known).await?;
        if known.is_none() {
            let new = NewDirectory {
                recursive: true,
                allow_exists: true,
                mode: like.map(|like| like.mode),
                write_type: Some(WriteType::CacheThrough),
                default_write_type: None,
            };
            files.create_directory(&self.caller, path, new).await?;
            if let Some(like) = like.filter(|_| files.is_superuser(&self.caller)) {
                files.give_to(path, &like.owner, &like.group).await?;
            }
        }
        let age = self.began.elapsed().as_millis() as i64;
        files.load_children(&files.here(path)?, Freshness::Within(age)).await?;
        self.ready = Some(path.clone());
        Ok(())
    }

    async fn parent_ready(&mut self, path: &FsPath) -> Result<()> {
        match path.parent() {
            Some(parent) => self.make_ready(&parent, None).await,
            None => Ok(()),
        }
    }

    async fn take_link(&mut self, status: Status) -> Result<()> {
        let (files, to) = (self.run.files(), self.target(&status.path)?);
        self.parent_ready(&to).await?;
        match files.find(&to, Freshness::Known).await? {
            Some(there) if there.symlink == status.symlink => {}
            Some(there) if self.job.overwrite && !there.folder => {
                files.remove(&self.caller, &to, Removal::default()).await?;
                files.create_symlink(&self.caller, &to, &status.symlink, false).await?;
            }
            Some(_) => return Err(in_the_way(&to)),
            None => files.create_symlink(&self.caller, &to, &status.symlink, false).await?,
        }
        if self.job.r#move {
            let only = Removal { only: Some(status.id), ..Default::default() };
            files.remove(&self.caller, &status.path, only).await?;
        }
        self.run.note(|progress| progress.found(status.id, status.path, 0, 0));
        Ok(())
    }

    async fn take_file(&mut self, status: Status) -> Result<()> {
        if !status.completed {
            return Err(failed_precondition("it is being written: copy it again when it is whole"));
        }
        let (files, to) = (self.run.files(), self.target(&status.path)?);
        files.permit(&self.caller, &status.path, crate::core::security::Access::READ)?;
        self.parent_ready(&to).await?;
        let Some(replaced) = self.replaced(&status, &to).await? else {
            self.run.note(|progress| progress.in_place(status.path, status.length));
            return Ok(());
        };
        files.permit_parent(&self.caller, &to)?;
        let file = self.file(&status, &to, replaced)?;
        let worker = self.worker_for(&status)?;
        self.run.note(|progress| progress.found(status.id, status.path, 1, status.length));
        let pack = self.packs.entry(worker).or_default();
        pack.0.push(file);
        pack.1 += status.length;
        let most = files.config().master.load_task_size.0;
        if pack.0.len() >= MOST_FILES || pack.1 >= most {
            self.run.room(worker).await;
            self.place(worker);
        }
        Ok(())
    }

    /// What the copy replaces at `to`; none when the copy is there already.
    async fn replaced(&self, status: &Status, to: &FsPath) -> Result<Option<Replaced>> {
        let v1::CopyJob { r#move: moves, overwrite, force, .. } = *self.job;
        // The listing of its directory is from this run, but the top has none.
        let freshness = if self.top_is_folder { Freshness::Known } else { Freshness::Within(0) };
        let Some(there) = self.run.files().find(to, freshness).await? else {
            return Ok(Some(Replaced::default()));
        };
        let alike = there.length == status.length && there.modified_ms >= status.modified_ms;
        let alike = alike && there.is_persisted() && there.completed && !there.folder;
        if alike && !force && !moves {
            return Ok(None);
        }
        // A source that is to go has its copy compared or written anew, whatever it looks like.
        if !there.folder && there.is_persisted() && (overwrite || alike) {
            let version = if overwrite || force { there.ufs_version } else { String::new() };
            return Ok(Some(Replaced { version, only_here: 0 }));
        }
        if overwrite && !there.folder && there.completed {
            return Ok(Some(Replaced { version: String::new(), only_here: there.id.0 }));
        }
        Err(in_the_way(to))
    }

    fn file(&self, status: &Status, to: &FsPath, replaced: Replaced) -> Result<v1::CopyFile> {
        let files = self.run.files();
        let target = files.resolve(to)?;
        let all = files.is_superuser(&self.caller);
        let owner = if all { status.owner.clone() } else { self.caller.user.name.to_string() };
        let group = if all { status.group.clone() } else { files.group_of(&self.caller) };
        let persisted = status.is_persisted();
        Ok(v1::CopyFile {
            file_id: status.id.0,
            ufs_path: status.ufs_path.clone(),
            mount_id: status.mount_id,
            length: status.length as i64,
            version: if persisted { status.ufs_version.clone() } else { String::new() },
            blocks: self.run.jobs.inner.persister.blocks(status, CANDIDATES),
            to_ufs_path: target.ufs_path,
            to_mount_id: target.mount.id,
            to_version: replaced.version,
            replaced_id: replaced.only_here,
            owner,
            group,
            mode: status.mode,
            path: status.path.to_string(),
            to_path: to.to_string(),
            persisted,
        })
    }

    fn worker_for(&self, status: &Status) -> Result<WorkerId> {
        let worker = self.run.jobs.inner.persister.worker_for(status);
        worker.ok_or_else(|| super::run::nobody("copy"))
    }

    fn place(&mut self, worker: WorkerId) {
        if let Some((files, _)) = self.packs.remove(&worker).filter(|pack| !pack.0.is_empty()) {
            let verify = self.job.verify || self.job.r#move;
            self.run.place(worker, Kind::Copy(v1::CopyTask { files, verify }));
        }
    }

    fn flush_idle(&mut self) {
        let idle = |worker: &WorkerId| self.run.jobs.inner.desk.lock().board.queued(*worker) == 0;
        let workers: Vec<_> = self.packs.keys().copied().filter(idle).collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }

    fn flush(&mut self) {
        let workers: Vec<_> = self.packs.keys().copied().collect();
        workers.into_iter().for_each(|worker| self.place(worker));
    }

    /// Removes the directories of the source that are empty now, the deepest first. What still holds
    /// something stays: a file that failed, or one that came meanwhile.
    async fn remove_directories(&self) {
        if !self.chosen.is_all() {
            return;
        }
        let files = self.run.files();
        let mut open = vec![(self.from.clone(), None::<String>)];
        while let Some((directory, after)) = open.pop() {
            let page = files.state().list(&directory, after.as_deref(), PAGE).unwrap_or_default();
            match page.iter().find(|status| status.folder) {
                Some(folder) => {
                    open.push((directory, Some(folder.name().to_string())));
                    open.push((folder.path.clone(), None));
                }
                None if page.len() == PAGE => {
                    let last = page.last().map(|status| status.name().to_string());
                    open.push((directory, last));
                }
                None => {
                    let removed = files.remove(&self.caller, &directory, Removal::default()).await;
                    if let Err(error) = removed {
                        tracing::debug!(%directory, %error, "stays after a move");
                    }
                }
            }
        }
    }
}

/// What a copy takes the place of.
#[derive(Default)]
struct Replaced {
    /// Its version in the store; empty where the store has nothing.
    version: String,
    /// The id of a file in the cache only, which stays until the copy is written; 0 for none.
    only_here: i64,
}

fn in_the_way(to: &FsPath) -> Error {
    already_exists(format!("{to} is there already and differs: --overwrite replaces files"))
}

/// Notes a worker's report, and says which files it has written: they are not done yet.
pub(super) fn settle(
    task: &v1::CopyTask,
    settled: &mut HashSet<i64>,
    bytes: &mut i64,
    report: &v1::TaskReport,
    progress: &mut Progress,
) -> Vec<(v1::CopyFile, v1::CopiedFile)> {
    let files: HashMap<i64, &v1::CopyFile> = task.files.iter().map(|f| (f.file_id, f)).collect();
    for failure in &report.failed {
        if files.contains_key(&failure.id) && settled.insert(failure.id) {
            progress.file_part_failed(FileId(failure.id), &failure.cause);
        }
    }
    let mut written = Vec::new();
    for copied in &report.copied {
        if let Some(&file) = files.get(&copied.file_id)
            && settled.insert(copied.file_id)
        {
            written.push((file.clone(), copied.clone()));
        }
    }
    *bytes += report.bytes_done.max(0);
    let whole: i64 = settled.iter().filter_map(|id| Some(files.get(id)?.length)).sum();
    let under_way = if report.finished { 0 } else { *bytes - whole };
    progress.under_way(report.task_id, under_way);
    written
}

/// Takes the files of a report into the tree, and removes the sources of a move.
pub(super) async fn finish(
    jobs: &Jobs,
    job: i64,
    run: u64,
    copied: Vec<(v1::CopyFile, v1::CopiedFile)>,
) {
    let (caller, moves) = {
        let desk = jobs.inner.desk.lock();
        let Some(entry) = desk.jobs.get(&job).filter(|entry| entry.run == run) else { return };
        let super::Kind::Copy(copy) = &entry.spec.kind else { return };
        (entry.spec.caller(), copy.r#move)
    };
    let caller = &caller;
    futures::stream::iter(copied)
        .for_each_concurrent(FINISHING, |(file, copied)| async move {
            let result = finish_one(jobs, caller, moves, &file, &copied).await;
            jobs.note(job, run, |progress| match result {
                Ok(()) => progress.part_done(FileId(file.file_id), file.length as u64, false),
                Err(error) => {
                    progress.file_part_failed(FileId(file.file_id), &error.to_string());
                }
            });
            jobs.inner.room.notify_waiters();
        })
        .await;
}

async fn finish_one(
    jobs: &Jobs,
    caller: &Caller,
    moves: bool,
    file: &v1::CopyFile,
    copied: &v1::CopiedFile,
) -> Result<()> {
    let files = &jobs.inner.files;
    let (from, to): (FsPath, FsPath) = (file.path.parse()?, file.to_path.parse()?);
    let there = UfsStatus {
        name: to.name().into(),
        folder: false,
        length: file.length as u64,
        modified_ms: copied.modified_ms,
        version: copied.version.clone(),
        exact: true,
        owner: Some(file.owner.clone()),
        group: Some(file.group.clone()),
        mode: Some(file.mode),
    };
    make_way(files, caller, file, &to).await?;
    {
        // Neither deleted nor renamed while it is taken in.
        let _shared = files.locks.shared(&to).await?;
        let now = files.take_in(&to, Some(there), files.clock.now_ms()).await?;
        if now.is_none_or(|now| now.ufs_version != copied.version) {
            return Err(failed_precondition(format!(
                "it was written to {to}, where something else was made meanwhile: copy it again"
            )));
        }
    }
    if !moves {
        return Ok(());
    }
    if !is_still_there(files, file, &from).await? {
        return Err(failed_precondition(format!(
            "it changed since it was copied to {to}: the source stays, move it again"
        )));
    }
    let only = Removal { only: Some(FileId(file.file_id)), ..Default::default() };
    files.remove(caller, &from, only).await
}

/// Removes what is in the cache only where a copy has been written, unless it is another file by
/// now, or has come into the store itself.
async fn make_way(
    files: &FileSystem,
    caller: &Caller,
    file: &v1::CopyFile,
    to: &FsPath,
) -> Result<()> {
    let id = FileId(file.replaced_id);
    if id.0 == 0 || files.peek(to)?.is_none_or(|there| there.id != id || there.is_persisted()) {
        return Ok(());
    }
    let only = Removal { only: Some(id), here_only: true, ..Default::default() };
    match files.remove(caller, to, only).await {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // What is said of the store is believed only if it is younger than the removal.
    tokio::time::sleep(A_MOMENT).await;
    Ok(())
}

/// Whether the source of a copy is what was copied still. The store itself has to say so: the tree
/// answers with what it knows when the store does not answer.
async fn is_still_there(files: &FileSystem, file: &v1::CopyFile, from: &FsPath) -> Result<bool> {
    if file.persisted && !is_version_copied(file, files.ask(from).await?.as_ref()) {
        // The tree follows, so that it can be moved again as it is now.
        files.find(from, Freshness::Within(0)).await?;
        return Ok(false);
    }
    let freshness = if file.persisted { Freshness::Known } else { Freshness::Within(0) };
    let source = files.find(from, freshness).await?;
    Ok(source.is_some_and(|source| source.id.0 == file.file_id))
}

fn is_version_copied(file: &v1::CopyFile, now: Option<&UfsStatus>) -> bool {
    let same = |now: &UfsStatus| file.version.is_empty() || now.version == file.version;
    now.is_some_and(|now| !now.folder && now.length == file.length as u64 && same(now))
}

/// Has the files of a task whose worker is gone copied by others.
pub(super) fn place_again(jobs: &Jobs, job: i64, task: v1::CopyTask, attempts: u32) {
    let mut shares: HashMap<WorkerId, Vec<v1::CopyFile>> = HashMap::new();
    let ring = jobs.inner.workers.ring();
    for file in task.files {
        match ring.owner(FileId(file.file_id).block(0)) {
            Some(owner) if attempts < super::tasks::ATTEMPTS => {
                shares.entry(owner.id).or_default().push(file);
            }
            _ => jobs.note_now(job, |progress| {
                let cause = "the workers that copied it were lost: try it again";
                progress.file_part_failed(FileId(file.file_id), cause);
            }),
        }
    }
    for (worker, files) in shares {
        let task = v1::CopyTask { files, verify: task.verify };
        jobs.place(worker, job, Kind::Copy(task), attempts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_goes_only_if_its_store_has_the_version_that_was_copied() {
        let file = v1::CopyFile { length: 5, version: "v1".into(), ..Default::default() };
        let now = UfsStatus { length: 5, version: "v1".into(), ..Default::default() };
        assert!(is_version_copied(&file, Some(&now)));
        assert!(!is_version_copied(&file, None));
        let newer = UfsStatus { version: "v2".into(), ..now.clone() };
        assert!(!is_version_copied(&file, Some(&newer)));
        let unversioned = v1::CopyFile { version: String::new(), ..file };
        assert!(is_version_copied(&unversioned, Some(&newer)));
        let longer = UfsStatus { length: 6, ..now };
        assert!(!is_version_copied(&unversioned, Some(&longer)));
    }
}
