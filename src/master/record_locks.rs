//! Locks that programs on many hosts hold on files.
//!
//! The journal knows which sessions there are; which locks they hold only the primary does. So a lock
//! costs no entry, and a new primary still knows whom to wait for: until each of those sessions has told
//! its locks anew, or a lease has passed, it grants nothing to others. A session that is not renewed
//! within its lease ends and so do its locks: the host is dead, or cut off and to find that out itself.
//!
//! What is locked is a name, a path as a rule: it stays what it is when the file gets a new version.
//!
//! A session publishes a file whole, so between sessions an exclusive lock is on all of the file, whatever
//! its range: else what one wrote in its range would go with the version of another, who did not see it.

use super::file_system::FileSystem;
use super::journal::entry::LOCK_SESSIONS;
use crate::core::error::{Error, ErrorKind, Result, not_found, resource_exhausted};
use crate::core::model::{RecordLock, RecordLocks};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A client's session.
pub type Session = [u8; 16];
/// Who holds a lock: one of those in a session.
pub type Owner = (Session, u64);

/// Sessions there may be.
const MOST_SESSIONS: usize = 10_000;
/// Ranges that one session may hold.
const MOST_RANGES: usize = 100_000;
/// Bytes of the names of what one session has locked.
const MOST_NAMES: usize = 16 << 20;
/// Calls that may wait at a time. Others are told at once what is in their way, and ask again.
const MOST_WAITING: usize = 10_000;
/// The longest that a call waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// When this process itself was held up for so long, nobody could renew anything.
const HELD_UP: Duration = Duration::from_secs(2);

/// All locks on files. Clones share them.
#[derive(Clone)]
pub struct FileLocks {
    inner: Arc<Inner>,
}

struct Inner {
    files: FileSystem,
    lease: Duration,
    table: Mutex<Table>,
    /// Some lock was given up.
    freed: Notify,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Table {
    sessions: HashMap<Session, Known>,
    locks: HashMap<String, RecordLocks<Owner>>,
    /// When the duty last ran.
    looked: Option<Instant>,
}

struct Known {
    expires: Instant,
    /// Whether we know its locks; not those of a session that an earlier primary had.
    told: bool,
    /// Files that it may have locked.
    files: HashSet<String>,
    /// Bytes of their names.
    names: usize,
    /// Ranges of them that it has.
    ranges: usize,
}

impl Known {
    fn new(expires: Instant, told: bool) -> Self {
        Known { expires, told, files: HashSet::new(), names: 0, ranges: 0 }
    }
}

impl FileLocks {
    /// No locks yet; each session lasts `lease`.
    pub fn new(files: FileSystem, lease: Duration) -> Self {
        let (table, freed, waiting) = Default::default();
        FileLocks { inner: Arc::new(Inner { files, lease, table, freed, waiting }) }
    }

    /// How long a session lasts without being renewed.
    pub fn lease(&self) -> Duration {
        self.inner.lease
    }

    /// Takes up the sessions of an earlier primary, whose locks are not known yet.
    ///
    /// # Errors
    /// When the journal's state cannot be read.
    pub fn restore(&self) -> Result<()> {
        let records = self.inner.files.records(LOCK_SESSIONS)?;
        let expires = Instant::now() + self.inner.lease;
        let sessions = records.iter().filter_map(|(key, _)| Session::try_from(key.as_slice()).ok());
        let known = |session| (session, Known::new(expires, false));
        let mut table = self.inner.table.lock();
        *table = Table { sessions: sessions.map(known).collect(), ..Table::default() };
        Ok(())
    }

    /// Renews a session; whether its locks are to be told. Begins it, if `begin`.
    ///
    /// # Errors
    /// `NotFound` for one that has ended; `ResourceExhausted` where there are too many.
    pub async fn renew(&self, session: Session, begin: bool) -> Result<bool> {
        let expires = Instant::now() + self.inner.lease;
        {
            let mut table = self.inner.table.lock();
            if let Some(known) = table.sessions.get_mut(&session) {
                known.expires = expires;
                return Ok(!known.told);
            }
            if !begin {
                return Err(ended());
            }
            if table.sessions.len() >= MOST_SESSIONS {
                let text = format!("there are {MOST_SESSIONS} sessions with locks already");
                return Err(resource_exhausted(text));
            }
        }
        // Durable first: a primary that does not know of it would not wait for its locks.
        self.inner.files.put_record(LOCK_SESSIONS, &session, Vec::new()).await?;
        let known = Known::new(expires, true);
        self.inner.table.lock().sessions.entry(session).or_insert(known);
        Ok(false)
    }

    /// A session tells all its locks. Those that somebody else holds are not its own any more.
    ///
    /// # Errors
    /// `NotFound` for one that has ended.
    pub fn reassert(
        &self,
        session: Session,
        locks: Vec<(String, RecordLock<Owner>)>,
    ) -> Result<()> {
        let mut table = self.inner.table.lock();
        let known = table.sessions.get_mut(&session).ok_or_else(ended)?;
        if known.told {
            // The answer to the first time was lost.
            return Ok(());
        }
        known.told = true;
        for (file, lock) in locks.into_iter().take(MOST_RANGES) {
            if table.locks.get(&file).is_some_and(|held| conflict(held, &lock).is_some()) {
                tracing::error!(%file, "a lock that two sessions say is theirs");
                continue;
            }
            table.take(&file, lock);
        }
        drop(table);
        self.inner.freed.notify_waiters();
        Ok(())
    }

    /// A session ends, and its locks with it.
    ///
    /// # Errors
    /// When the journal takes no entry.
    pub async fn end(&self, session: Session) -> Result<()> {
        self.drop_session(&session);
        self.inner.files.delete_record(LOCK_SESSIONS, &session).await
    }

    /// Takes a lock, or gives up its range with `unlock`. What is in its way otherwise.
    ///
    /// # Errors
    /// `NotFound` for a session that has ended; `Aborted` while locks are being told anew;
    /// `ResourceExhausted` for too many ranges.
    pub fn set(
        &self,
        file: &str,
        lock: RecordLock<Owner>,
        unlock: bool,
    ) -> Result<Option<RecordLock<Owner>>> {
        let mut table = self.inner.table.lock();
        table.check(&lock.owner.0)?;
        if unlock {
            let gave = table.give_up(file, &lock);
            drop(table);
            if gave {
                self.inner.freed.notify_waiters();
            }
            return Ok(None);
        }
        table.check_settled()?;
        if let Some(conflict) = table.locks.get(file).and_then(|held| conflict(held, &lock)) {
            return Ok(Some(conflict.clone()));
        }
        table.check_room(&lock.owner.0)?;
        table.take(file, lock);
        drop(table);
        // What was exclusive may be shared now.
        self.inner.freed.notify_waiters();
        Ok(None)
    }

    /// What is in the way of a lock, once nothing is or `wait` is over.
    ///
    /// # Errors
    /// As [`FileLocks::set`].
    pub async fn test(
        &self,
        file: &str,
        lock: &RecordLock<Owner>,
        wait: Duration,
    ) -> Result<Option<RecordLock<Owner>>> {
        let place = Waiting::enter(&self.inner.waiting);
        let wait = if place.allowed { wait.min(LONGEST_WAIT) } else { Duration::ZERO };
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let freed = self.inner.freed.notified();
            let conflict = {
                let table = self.inner.table.lock();
                table.check(&lock.owner.0)?;
                table.check_settled()?;
                table.locks.get(file).and_then(|held| conflict(held, lock)).cloned()
            };
            if conflict.is_none() || tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Ok(conflict);
            }
        }
    }

    /// Ends the sessions that were not renewed.
    ///
    /// # Errors
    /// When the journal takes no entry.
    pub async fn expire(&self) -> Result<()> {
        for session in self.expired() {
            tracing::warn!("a mounted directory was silent for too long: its locks are free");
            self.end(session).await?;
        }
        Ok(())
    }

    fn expired(&self) -> Vec<Session> {
        let mut table = self.inner.table.lock();
        let now = Instant::now();
        let since = table.looked.replace(now).map_or(Duration::ZERO, |looked| now - looked);
        if since > HELD_UP {
            table.sessions.values_mut().for_each(|known| known.expires += since);
        }
        let late = table.sessions.iter().filter(|(_, known)| known.expires <= now);
        late.map(|(session, _)| *session).collect()
    }

    fn drop_session(&self, session: &Session) {
        let mut table = self.inner.table.lock();
        let Some(known) = table.sessions.remove(session) else { return };
        for file in known.files {
            if let Some(held) = table.locks.get_mut(&file) {
                held.give_up_all(|owner| owner.0 == *session);
                if held.is_empty() {
                    table.locks.remove(&file);
                }
            }
        }
        drop(table);
        self.inner.freed.notify_waiters();
    }
}

impl Table {
    /// The session is there, and we know its locks.
    fn check(&self, session: &Session) -> Result<()> {
        match self.sessions.get(session) {
            Some(known) if known.told => Ok(()),
            Some(_) => Err(unsettled()),
            None => Err(ended()),
        }
    }

    /// We know everybody's locks.
    fn check_settled(&self) -> Result<()> {
        if self.sessions.values().all(|known| known.told) { Ok(()) } else { Err(unsettled()) }
    }

    fn check_room(&self, session: &Session) -> Result<()> {
        let has_room = |known: &Known| known.ranges < MOST_RANGES && known.names < MOST_NAMES;
        if self.sessions.get(session).is_none_or(has_room) {
            return Ok(());
        }
        Err(resource_exhausted(format!(
            "a session holds at most {MOST_RANGES} locks, on names of {MOST_NAMES} bytes together"
        )))
    }

    fn take(&mut self, file: &str, lock: RecordLock<Owner>) {
        let session = lock.owner.0;
        let held = self.locks.entry(file.into()).or_default();
        let before = held.len();
        held.take(lock);
        if let Some(known) = self.sessions.get_mut(&session) {
            // Only those of its own become more or fewer.
            known.ranges = (known.ranges + held.len()).saturating_sub(before);
            if known.files.insert(file.into()) {
                known.names += file.len();
            }
        }
    }

    /// Says whether there was anything to be given up.
    fn give_up(&mut self, file: &str, lock: &RecordLock<Owner>) -> bool {
        let Some(held) = self.locks.get_mut(file) else { return false };
        let before = held.len();
        let gave = held.give_up(&lock.owner, lock.start, lock.end);
        if let Some(known) = self.sessions.get_mut(&lock.owner.0) {
            known.ranges = (known.ranges + held.len()).saturating_sub(before);
        }
        self.tidy(file, &lock.owner.0);
        gave
    }

    /// Forgets what is empty after a range was given up.
    fn tidy(&mut self, file: &str, session: &Session) {
        let held = self.locks.get(file);
        let still = held.is_some_and(|held| held.iter().any(|lock| lock.owner.0 == *session));
        if held.is_some_and(RecordLocks::is_empty) {
            self.locks.remove(file);
        }
        if !still
            && let Some(known) = self.sessions.get_mut(session)
            && known.files.remove(file)
        {
            known.names -= file.len();
        }
    }
}

/// What is in the way of `wanted` on one file.
fn conflict<'h>(
    held: &'h RecordLocks<Owner>,
    wanted: &RecordLock<Owner>,
) -> Option<&'h RecordLock<Owner>> {
    let elsewhere = |lock: &&RecordLock<Owner>| lock.owner.0 != wanted.owner.0;
    let excludes = |lock: &&RecordLock<Owner>| lock.exclusive || wanted.exclusive;
    held.iter().filter(elsewhere).find(excludes).or_else(|| held.conflict(wanted))
}

/// A place among those who wait.
struct Waiting<'w> {
    count: &'w AtomicUsize,
    allowed: bool,
}

impl<'w> Waiting<'w> {
    fn enter(count: &'w AtomicUsize) -> Self {
        Waiting { count, allowed: count.fetch_add(1, Ordering::Relaxed) < MOST_WAITING }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ended() -> Error {
    not_found("this session has ended: its locks are free")
}

fn unsettled() -> Error {
    let text = "locks are being told to a new primary: try again";
    Error::new(ErrorKind::Aborted, text)
}
