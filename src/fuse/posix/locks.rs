//! Locks of programs on this mount, kept by the master among those of all hosts.
//!
//! What this mount holds is known here too, for two reasons: closing a file asks the master only if the
//! closer has locked it, and a new primary is told all of it. Changes to the locks of a file go to the
//! master one at a time, so that what is known here is what it knows. A change outlasts the program that
//! asked for it, which may be killed while no master answers: a lock that comes too late is given up again,
//! and where nobody knows whether the master has heard of a change it is told what is right.
//!
//! A lock is on a path: a file that gets a new version has a new number on other hosts, but the same
//! path. flock(2) and fcntl(2) are one kind here, as on NFS: the kernel does not let us tell them apart.

use super::Posix;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{RecordLock, RecordLocks};
use crate::core::proto::v1;
use crate::core::runtime::Group;
use crate::fuse::errno::Errno;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long one question to the master waits for a lock; also how late a signal may be noticed.
const WAIT: Duration = Duration::from_millis(500);
/// How long the end of a mount waits for the master to hear that its locks are free.
const LEAVING: Duration = Duration::from_secs(2);
/// How soon a session that could not be renewed is tried again, and a change that no master has heard of.
const RETRY: Duration = Duration::from_millis(500);
/// How long whoever gives up a lock waits for the master to hear of it.
const TELLING: Duration = Duration::from_secs(5);
/// Files whose locks change at a time.
const LANES: u64 = 64;

/// What the kernel wants to be done about a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nobody else may lock it.
    Exclusive,
    /// Others may share it.
    Shared,
    /// It is given up.
    Unlocked,
}

/// A range of a file and who wants it.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The file.
    pub ino: u64,
    /// Whose lock it is, as the kernel numbers them.
    pub owner: u64,
    /// The process, and the thread that waits.
    pub pid: u32,
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

/// What this mount holds.
#[derive(Default)]
pub struct Locks {
    held: Mutex<Held>,
    /// Held over one change of a file at a time; files share them.
    lanes: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
    begun: tokio::sync::Notify,
    group: OnceLock<Group>,
}

#[derive(Default)]
struct Held {
    session: Option<Session>,
    files: HashMap<u64, Locked>,
}

#[derive(Clone, Copy)]
struct Session {
    id: [u8; 16],
    lease: Duration,
    renewed: Instant,
}

/// A file of which something is locked.
struct Locked {
    /// What the master calls it.
    name: String,
    locks: RecordLocks<u64>,
    /// Owners, and the open files through which they have locked.
    handles: Vec<(u64, u64)>,
}

impl Posix {
    /// What is in the way of a lock, as the kernel asks for it.
    ///
    /// # Errors
    /// `ENOLCK` when the master takes no locks.
    pub async fn test_lock(
        &self,
        range: Range,
        exclusive: bool,
    ) -> Result<Option<v1::RecordLock>, Errno> {
        let asked = async {
            let session = self.session().await?;
            let lock = self.wire(range, exclusive);
            self.files.test_lock(&session, lock, Duration::ZERO).await
        };
        unless_signalled(range.pid, asked).await?.map_err(refused)
    }

    /// Takes or gives up a lock. With `wait`, once nothing is in its way. Says whether the bytes of the file
    /// are others than before.
    ///
    /// Whoever has locked a file sees what was written under the locks before it, so what is changed is
    /// published before a lock is given up, and a newer version looked for once one is got.
    ///
    /// # Errors
    /// `EAGAIN` when somebody else holds it; `EINTR` when the thread that waits has got a signal;
    /// `ENOLCK` when the master takes no more.
    pub async fn lock(
        self: &Arc<Self>,
        (range, handle): (Range, u64),
        wanted: Wanted,
        wait: bool,
    ) -> Result<bool, Errno> {
        if wanted == Wanted::Unlocked {
            return self.unlock(range).await.map(|()| false);
        }
        let exclusive = wanted == Wanted::Exclusive;
        loop {
            if self.take_lock((range, handle), exclusive).await? {
                let looked = self.look_anew(range.ino).await;
                if looked.is_err() {
                    self.unlock(range).await.ok();
                }
                return looked;
            }
            if !wait {
                return Err(Errno(libc::EAGAIN));
            }
            if has_signal(range.pid) {
                return Err(Errno(libc::EINTR));
            }
            let asked = async {
                let session = self.session().await?;
                self.files.test_lock(&session, self.wire(range, exclusive), WAIT).await
            };
            match unless_signalled(range.pid, asked).await? {
                // Asking for it tells what is wrong with the session.
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(refused(error)),
                _ => {}
            }
        }
    }

    /// A descriptor was closed: what its owner had locked of that file is free.
    ///
    /// # Errors
    /// As [`Posix::lock`].
    pub async fn unlock_all(self: &Arc<Self>, ino: u64, owner: u64) -> Result<(), Errno> {
        self.unlock(Range { ino, owner, pid: 0, start: 0, end: u64::MAX }).await
    }

    /// Whether `owner` has locked anything of `ino`.
    pub fn has_locked(&self, ino: u64, owner: u64) -> bool {
        let held = self.locks.held.lock();
        held.files.get(&ino).is_some_and(|file| file.locks.iter().any(|lock| lock.owner == owner))
    }

    /// Whether anybody has locked anything of `ino` through this mount.
    pub fn is_locked(&self, ino: u64) -> bool {
        self.locks.held.lock().files.contains_key(&ino)
    }

    /// Of those who have locked something of `ino`: whoever did through the handle `through`, and
    /// `owner`. The kernel does not tell of the closing of files that are only read.
    pub fn locked_through(&self, ino: u64, through: Option<u64>, owner: Option<u64>) -> Vec<u64> {
        let held = self.locks.held.lock();
        let Some(file) = held.files.get(&ino) else { return Vec::new() };
        let gone = |&&(by, handle): &&(u64, u64)| Some(by) == owner || Some(handle) == through;
        file.handles.iter().filter(gone).map(|&(by, _)| by).collect()
    }

    /// Asks for a lock, as long as whoever wants it waits for the answer.
    async fn take_lock(
        self: &Arc<Self>,
        (range, handle): (Range, u64),
        exclusive: bool,
    ) -> Result<bool, Errno> {
        let (answer, mut got) = oneshot::channel();
        let posix = self.clone();
        self.change_locks("take a lock", async move {
            let _one = posix.lane(range.ino).lock_owned().await;
            if answer.is_closed() {
                return;
            }
            let before = posix.held_of(range);
            let taken = posix.try_lock((range, handle), exclusive).await;
            let doubtful = taken.as_ref().is_err_and(is_doubtful);
            let unwanted = match answer.send(taken.map_err(refused)) {
                Err(Ok(true)) => true,
                Ok(()) | Err(_) => false,
            };
            if unwanted {
                // It is as it was when they asked.
                posix.put_back(range, before);
            }
            if unwanted || doubtful {
                posix.tell_locks(range).await;
            }
        })?;
        let waited = unless_signalled(range.pid, &mut got).await;
        if waited.is_err() {
            got.close();
        }
        let answered = match waited {
            Ok(answered) => answered.ok(),
            Err(_) => got.try_recv().ok(),
        };
        match answered {
            Some(taken) => taken,
            None => Err(Errno(libc::EINTR)),
        }
    }

    /// Runs what goes on without the program that asked for it.
    fn change_locks(
        &self,
        name: &'static str,
        change: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Errno> {
        let group = self.locks.group.get().ok_or(Errno(libc::ENOLCK))?;
        group.spawn_until_stop(name, change);
        Ok(())
    }

    fn lane(&self, ino: u64) -> Arc<tokio::sync::Mutex<()>> {
        self.locks.lanes.lock().entry(ino % LANES).or_default().clone()
    }

    async fn try_lock(&self, (range, handle): (Range, u64), exclusive: bool) -> Result<bool> {
        let lock = self.wire(range, exclusive);
        let name = lock.file.clone();
        let session = self.session().await?;
        let conflict = match self.files.set_lock(&session, lock.clone(), false).await {
            // We were silent for too long, and asked before we noticed.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.lose_session(&session);
                let session = self.session().await?;
                self.files.set_lock(&session, lock, false).await?
            }
            answered => answered?,
        };
        if conflict.is_some() {
            return Ok(false);
        }
        let mut held = self.locks.held.lock();
        let file = held.files.entry(range.ino);
        let file = file.or_insert_with(|| Locked {
            name,
            locks: RecordLocks::default(),
            handles: Vec::new(),
        });
        let Range { owner, pid, start, end, .. } = range;
        if !file.handles.contains(&(owner, handle)) {
            file.handles.push((owner, handle));
        }
        file.locks.take(RecordLock { owner, pid, exclusive, start, end });
        Ok(true)
    }

    async fn unlock(self: &Arc<Self>, range: Range) -> Result<(), Errno> {
        let published = match self.has_locked(range.ino, range.owner) {
            true => self.publish_changed(range.ino).await,
            false => return Ok(()),
        };
        let (done, told) = oneshot::channel::<()>();
        let posix = self.clone();
        self.change_locks("give up a lock", async move {
            let _one = posix.lane(range.ino).lock_owned().await;
            let name = posix.forget_lock(range);
            if let Some(name) = name {
                posix.tell_name(range, name).await;
            }
            drop(done);
        })?;
        // Should no master answer, it is told later; nobody else gets the lock before.
        tokio::time::timeout(TELLING, told).await.ok();
        published
    }

    /// What its owner holds of a range.
    fn held_of(&self, range: Range) -> Vec<RecordLock<u64>> {
        let held = self.locks.held.lock();
        let locks = held.files.get(&range.ino).into_iter().flat_map(|file| file.locks.iter());
        let parts = locks.filter(|lock| {
            lock.owner == range.owner && lock.start <= range.end && lock.end >= range.start
        });
        parts.cloned().collect()
    }

    /// Of a range that was just taken, its owner holds again what they held before.
    fn put_back(&self, range: Range, before: Vec<RecordLock<u64>>) {
        let mut held = self.locks.held.lock();
        if let Some(file) = held.files.get_mut(&range.ino) {
            file.locks.give_up(&range.owner, range.start, range.end);
            before.into_iter().for_each(|lock| file.locks.take(lock));
            let locks = &file.locks;
            file.handles.retain(|(by, _)| locks.iter().any(|lock| lock.owner == *by));
            if file.locks.is_empty() {
                held.files.remove(&range.ino);
            }
        }
    }

    /// What a range was of is not locked any more; what the master calls it, if it was.
    fn forget_lock(&self, range: Range) -> Option<String> {
        let mut held = self.locks.held.lock();
        let file = held.files.get_mut(&range.ino)?;
        let name = file.name.clone();
        file.locks.give_up(&range.owner, range.start, range.end);
        let locks = &file.locks;
        file.handles.retain(|(by, _)| locks.iter().any(|lock| lock.owner == *by));
        if file.locks.is_empty() {
            held.files.remove(&range.ino);
        }
        Some(name)
    }

    async fn tell_locks(&self, range: Range) {
        let name = self.wire(range, true).file;
        self.tell_name(range, name).await;
    }

    /// Tells the master what its owner holds of a range, until it has heard or this session is over. The
    /// lane is to be held.
    async fn tell_name(&self, range: Range, name: String) {
        let Some(session) = self.locks.held.lock().session else { return };
        loop {
            match self.tell_once(&session.id, range, &name).await {
                Ok(()) => return,
                // With its session, all of it has ended.
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(error) => tracing::debug!(%error, file = name, "telling what is locked"),
            }
            tokio::time::sleep(RETRY).await;
            let now = self.locks.held.lock().session;
            if now.is_none_or(|now| now.id != session.id) {
                return;
            }
        }
    }

    async fn tell_once(&self, session: &[u8; 16], range: Range, name: &str) -> Result<()> {
        let Range { owner, pid, start, end, .. } = range;
        let file = name.to_string();
        let all = v1::RecordLock { file, owner, pid, exclusive: true, start, end };
        let mut kept = self.held_of(range);
        kept.sort_unstable_by_key(|lock| lock.start);
        // What stays is never free in between.
        for (start, end) in gaps((start, end), &kept) {
            let gap = v1::RecordLock { start, end, ..all.clone() };
            self.files.set_lock(session, gap, true).await?;
        }
        for lock in kept {
            let RecordLock { pid, exclusive, start, end, .. } = lock;
            let again = v1::RecordLock { pid, exclusive, start, end, ..all.clone() };
            if self.files.set_lock(session, again, false).await?.is_some() {
                tracing::error!(
                    file = name,
                    "a lock is lost: others got it while no master was reached"
                );
                self.forget_lock(Range { start, end, pid, ..range });
            }
        }
        Ok(())
    }

    /// A lock as the master knows it. A file keeps the name under which the first lock was taken.
    fn wire(&self, range: Range, exclusive: bool) -> v1::RecordLock {
        let known = self.locks.held.lock().files.get(&range.ino).map(|file| file.name.clone());
        let file = known.unwrap_or_else(|| match self.inodes.path(range.ino) {
            Ok(path) => path.as_str().into(),
            // It has no name any more, so nobody else can open it.
            Err(_) => format!("#{}", range.ino),
        });
        let Range { owner, pid, start, end, .. } = range;
        v1::RecordLock { file, owner, pid, exclusive, start, end }
    }

    /// This mount's session, begun now if there is none.
    async fn session(&self) -> Result<[u8; 16]> {
        if let Some(session) = self.locks.held.lock().session {
            return Ok(session.id);
        }
        let id = *uuid::Uuid::new_v4().as_bytes();
        let renewed = Instant::now();
        let (lease, _) = self.files.renew_locks(&id, true).await?;
        let mut held = self.locks.held.lock();
        let session = *held.session.get_or_insert(Session { id, lease, renewed });
        self.locks.begun.notify_one();
        // Should another call have begun one meanwhile, ours runs out.
        Ok(session.id)
    }

    /// Renews the session as long as there is one.
    async fn keep_locks(&self) {
        loop {
            let Some(session) = self.locks.held.lock().session else {
                self.locks.begun.notified().await;
                continue;
            };
            let pause = match self.renew(session).await {
                Ok(()) => session.lease / 4,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.lose_locks();
                    RETRY
                }
                Err(error) => {
                    tracing::debug!(%error, "renewing locks");
                    if session.renewed.elapsed() > session.lease {
                        self.lose_locks();
                    }
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&self, session: Session) -> Result<()> {
        let renewed = Instant::now();
        let asked = tokio::time::timeout(session.lease, self.files.renew_locks(&session.id, false));
        let (lease, reassert) = asked.await.map_err(|_| late())??;
        if reassert {
            // A change that is under way is refused until all of it is told.
            let locks = self.all_locks();
            self.files.reassert_locks(&session.id, locks).await?;
        }
        if let Some(session) = &mut self.locks.held.lock().session {
            (session.lease, session.renewed) = (lease, renewed);
        }
        Ok(())
    }

    fn all_locks(&self) -> Vec<v1::RecordLock> {
        let held = self.locks.held.lock();
        let locks = held.files.values().flat_map(|file| {
            file.locks.iter().map(|lock| {
                let RecordLock { owner, pid, exclusive, start, end } = *lock;
                v1::RecordLock { file: file.name.clone(), owner, pid, exclusive, start, end }
            })
        });
        locks.collect()
    }

    /// That session has ended at the master.
    fn lose_session(&self, session: &[u8; 16]) {
        let now = self.locks.held.lock().session;
        if now.is_some_and(|now| now.id == *session) {
            self.lose_locks();
        }
    }

    /// The master has given our locks to others, or is about to.
    fn lose_locks(&self) {
        let mut held = self.locks.held.lock();
        held.session = None;
        for (_, file) in held.files.drain() {
            tracing::error!(file = file.name, "a lock is lost: no master was reached for too long");
        }
    }

    /// Ends this mount's session.
    pub async fn leave_locks(&self) {
        let session = self.locks.held.lock().session.take();
        if let Some(session) = session {
            tokio::time::timeout(LEAVING, self.files.end_locks(&session.id)).await.ok();
        }
    }
}

/// Keeps the locks of a mount until it ends.
pub fn start(posix: &Arc<Posix>, group: &Group) {
    posix.locks.group.set(group.clone()).ok();
    let posix = posix.clone();
    group.spawn_until_stop("keep locks", async move { posix.keep_locks().await });
}

fn late() -> Error {
    crate::core::error::unavailable("no master answered within a lease")
}

fn refused(error: Error) -> Errno {
    match error.kind() {
        ErrorKind::ResourceExhausted | ErrorKind::NotFound | ErrorKind::Unsupported => {
            tracing::warn!(%error, "no lock");
            Errno(libc::ENOLCK)
        }
        _ => error.into(),
    }
}

/// What of a range, from its first byte to its last, is in none of `locks`, which are in order.
fn gaps((start, end): (u64, u64), locks: &[RecordLock<u64>]) -> Vec<(u64, u64)> {
    let (mut gaps, mut next) = (Vec::new(), Some(start));
    for lock in locks {
        if let Some(at) = next.filter(|&at| at < lock.start && at <= end) {
            gaps.push((at, (lock.start - 1).min(end)));
        }
        next = next.and_then(|at| lock.end.checked_add(1).map(|after| after.max(at)));
    }
    gaps.extend(next.filter(|&at| at <= end).map(|at| (at, end)));
    gaps
}

/// Whether the master may have done what was asked, and not said so.
fn is_doubtful(error: &Error) -> bool {
    let told = [ErrorKind::NotFound, ErrorKind::ResourceExhausted, ErrorKind::InvalidArgument];
    !told.contains(&error.kind())
}

/// What comes of `work`, unless the thread that waits for it gets a signal before.
async fn unless_signalled<T>(thread: u32, work: impl Future<Output = T>) -> Result<T, Errno> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(WAIT, &mut work).await {
            Ok(done) => return Ok(done),
            Err(_) if has_signal(thread) => return Err(Errno(libc::EINTR)),
            Err(_) => {}
        }
    }
}

/// Whether that thread of this host has got a signal that it does not block. The kernel would tell us
/// that it was interrupted, but the library that we talk to the kernel with does not pass it on.
fn has_signal(thread: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default()
    };
    (set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_no_lock_is_found_to_the_last_byte() {
        let lock = |start, end| RecordLock { owner: 1, pid: 1, exclusive: true, start, end };
        assert_eq!(gaps((5, 9), &[]), [(5, 9)]);
        assert_eq!(gaps((5, 9), &[lock(0, 20)]), []);
        assert_eq!(gaps((5, 9), &[lock(6, 6), lock(8, u64::MAX)]), [(5, 5), (7, 7)]);
        assert_eq!(gaps((0, u64::MAX), &[lock(0, 0)]), [(1, u64::MAX)]);
        assert_eq!(gaps((0, u64::MAX), &[lock(3, u64::MAX)]), [(0, 2)]);
    }
}
