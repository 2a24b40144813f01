//! Locks of programs on this mount, kept by the master among those of all hosts.
//!
//! What this mount holds is known here too, for two reasons: closing a file asks the master only if the
//! closer has locked it, and a new primary is told all of it. Changes go to the master one at a time, so
//! that what is known here is what it knows. Waiting changes nothing, so whoever is interrupted while
//! waiting leaves nothing behind.
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
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one question to the master waits for a lock; also how late a signal may be noticed.
const WAIT: Duration = Duration::from_millis(500);
/// How long the end of a mount waits for the master to hear that its locks are free.
const LEAVING: Duration = Duration::from_secs(2);
/// How soon a session that could not be renewed is tried again.
const RETRY: Duration = Duration::from_millis(500);

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
    /// Held over one change at a time.
    changing: tokio::sync::Mutex<()>,
    begun: tokio::sync::Notify,
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
        let session = self.session().await.map_err(refused)?;
        let lock = self.wire(range, exclusive);
        self.files.test_lock(&session, lock, Duration::ZERO).await.map_err(refused)
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
        &self,
        (range, handle): (Range, u64),
        wanted: Wanted,
        wait: bool,
    ) -> Result<bool, Errno> {
        if wanted == Wanted::Unlocked {
            return self.unlock(range).await.map(|()| false);
        }
        let exclusive = wanted == Wanted::Exclusive;
        loop {
            if self.try_lock((range, handle), exclusive).await.map_err(refused)? {
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
            let session = self.session().await.map_err(refused)?;
            let lock = self.wire(range, exclusive);
            self.files.test_lock(&session, lock, WAIT).await.map_err(refused)?;
        }
    }

    /// A descriptor was closed: what its owner had locked of that file is free.
    ///
    /// # Errors
    /// As [`Posix::lock`].
    pub async fn unlock_all(&self, ino: u64, owner: u64) -> Result<(), Errno> {
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

    async fn try_lock(&self, (range, handle): (Range, u64), exclusive: bool) -> Result<bool> {
        let _one = self.locks.changing.lock().await;
        let session = self.session().await?;
        let lock = self.wire(range, exclusive);
        let name = lock.file.clone();
        if self.files.set_lock(&session, lock, false).await?.is_some() {
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

    async fn unlock(&self, range: Range) -> Result<(), Errno> {
        let published = match self.has_locked(range.ino, range.owner) {
            true => self.publish_changed(range.ino).await,
            false => return Ok(()),
        };
        self.give_up(range).await.and(published)
    }

    async fn give_up(&self, range: Range) -> Result<(), Errno> {
        let _one = self.locks.changing.lock().await;
        if !self.has_locked(range.ino, range.owner) {
            return Ok(());
        }
        let Some(session) = self.locks.held.lock().session else { return Ok(()) };
        let lock = self.wire(range, true);
        let told = self.files.set_lock(&session.id, lock, true).await;
        let mut held = self.locks.held.lock();
        if let Some(file) = held.files.get_mut(&range.ino) {
            file.locks.give_up(&range.owner, range.start, range.end);
            let locks = &file.locks;
            file.handles.retain(|(by, _)| locks.iter().any(|lock| lock.owner == *by));
            if file.locks.is_empty() {
                held.files.remove(&range.ino);
            }
        }
        match told {
            // With its session, the lock has ended before.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            told => told.map(drop).map_err(refused),
        }
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
