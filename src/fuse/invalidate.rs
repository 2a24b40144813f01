//! Telling the kernel what it must not trust any more.
//!
//! The master streams what changes in its tree. Each change is dropped from what this process knows
//! at once, and from the kernel's caches after that: an answer given in between is then a new one.
//! While there is no stream nothing is trusted for long, and when it comes back, nothing of before.
//!
//! The kernel may take its time to drop a name, and is not told of one in a directory where somebody
//! waits for us (`underway.rs`). What it is still to be told is kept meanwhile, each thing once,
//! and where that becomes too much all that it knows of goes.

use super::inodes::Stale;
use super::posix::Posix;
use super::underway::{LOOK, Underway};
use crate::core::runtime::Group;
use fuser::{INodeNo, Notifier};
use futures::StreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Things the kernel is still to be told; with more, it is told to drop all it has.
const MOST: usize = 64 << 10;
/// How long to wait before the master is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often what has expired is looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Starts following the master's changes, and dropping what has expired.
pub fn start(posix: &Arc<Posix>, notifier: Notifier, underway: Arc<Underway>, group: &Group) {
    let backlog = Arc::new(Backlog::default());
    let telling = backlog.clone();
    group.spawn_until_stop("notify the kernel", async move {
        loop {
            let (notifier, backlog, underway) =
                (notifier.clone(), telling.clone(), underway.clone());
            // The kernel may still make one wait, for an operation that it has yet to give to us.
            let told = tokio::task::spawn_blocking(move || {
                backlog.tell(&underway, |stale| tell(&notifier, stale));
            });
            if told.await.is_err() {
                return;
            }
            telling.next().await;
        }
    });
    let (watching, following) = (posix.clone(), backlog.clone());
    group.spawn_until_stop("watch the tree", async move {
        loop {
            follow(&watching, &following).await;
            watching.set_watched(false);
            tokio::time::sleep(RETRY).await;
        }
    });
    let posix = posix.clone();
    group.spawn_until_stop("forget what expired", async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            backlog.push(posix.sweep(), || posix.doubt_all());
        }
    });
}

/// Follows changes until the stream ends.
async fn follow(posix: &Posix, backlog: &Backlog) {
    let mut changes = match posix.watch().await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::debug!(%error, "watching the tree");
            return;
        }
    };
    let doubt_all = || posix.doubt_all();
    // What was learned before the stream began may have changed since.
    backlog.push(doubt_all(), doubt_all);
    posix.set_watched(true);
    while let Some(batch) = changes.next().await {
        match batch {
            Ok(batch) => backlog.push(posix.changed(&batch), doubt_all),
            Err(error) => {
                tracing::info!(%error, "lost track of changes: nothing is trusted until it is back");
                break;
            }
        }
    }
    posix.set_watched(false);
    backlog.push(doubt_all(), doubt_all);
}

/// What the kernel is still to be told.
#[derive(Debug, Default)]
struct Backlog {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    inodes: BTreeMap<u64, Inode>,
    /// Things of all of them.
    count: usize,
    /// How many there were when it was told to drop all: that many are kept beyond [`MOST`].
    all: usize,
}

/// What it is to be told of one inode, and since when.
#[derive(Debug)]
struct Inode {
    since: Instant,
    attributes: bool,
    entries: bool,
    names: BTreeSet<Arc<str>>,
}

impl Backlog {
    /// The kernel is to be told of `stale`; where that is too much to keep, of what `all` answers.
    fn push(&self, stale: Vec<Stale>, all: impl FnOnce() -> Vec<Stale>) {
        if stale.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock();
        waiting.extend(stale);
        if waiting.count > MOST + waiting.all {
            *waiting = Waiting::default();
            waiting.extend(all());
            waiting.all = waiting.count;
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Calls `tell` with each thing once, but for names in directories where somebody waits for us.
    fn tell(&self, underway: &Underway, tell: impl Fn(&Stale)) {
        let mut at = 0;
        while let Some(ino) = self.after(at) {
            while let Some(stale) = self.take(ino, underway) {
                tell(&stale);
            }
            at = ino;
        }
    }

    fn after(&self, ino: u64) -> Option<u64> {
        self.waiting.lock().inodes.range(ino + 1..).next().map(|(&next, _)| next)
    }

    /// The next thing to be told of `ino`. Only for names the kernel takes a lock that others may have
    /// while they wait for us.
    fn take(&self, ino: u64, underway: &Underway) -> Option<Stale> {
        let mut waiting = self.waiting.lock();
        let inode = waiting.inodes.get_mut(&ino)?;
        let stale = if std::mem::take(&mut inode.attributes) {
            Stale::Inode(ino)
        } else if std::mem::take(&mut inode.entries) {
            Stale::Listing(ino)
        } else if underway.is_clear(ino, inode.since) {
            Stale::Name(ino, inode.names.pop_first()?)
        } else {
            return None;
        };
        if !inode.attributes && !inode.entries && inode.names.is_empty() {
            waiting.inodes.remove(&ino);
        }
        waiting.count -= 1;
        if waiting.count == 0 {
            waiting.all = 0;
        }
        Some(stale)
    }

    /// Waits for something to tell, or for a time when what was held back is looked at again.
    async fn next(&self) {
        let more = self.more.notified();
        if self.waiting.lock().count == 0 {
            return more.await;
        }
        tokio::time::timeout(LOOK, more).await.ok();
    }
}

impl Waiting {
    fn extend(&mut self, stale: Vec<Stale>) {
        let since = Instant::now();
        for item in stale {
            let (Stale::Inode(ino) | Stale::Listing(ino) | Stale::Name(ino, _)) = &item;
            let none =
                || Inode { since, attributes: false, entries: false, names: BTreeSet::new() };
            let inode = self.inodes.entry(*ino).or_insert_with(none);
            let new = match item {
                Stale::Inode(_) => !std::mem::replace(&mut inode.attributes, true),
                Stale::Listing(_) => !std::mem::replace(&mut inode.entries, true),
                Stale::Name(_, name) => inode.names.insert(name),
            };
            self.count += usize::from(new);
        }
    }
}

fn tell(notifier: &Notifier, item: &Stale) {
    let told = match item {
        // A file's bytes never change: the kernel may keep its pages.
        Stale::Inode(ino) => notifier.inval_inode(INodeNo(*ino), -1, 0),
        Stale::Listing(ino) => notifier.inval_inode(INodeNo(*ino), 0, 0),
        Stale::Name(parent, name) => notifier.inval_entry(INodeNo(*parent), OsStr::new(&**name)),
    };
    if let Err(error) = told {
        tracing::debug!(%error, ?item, "the kernel did not take an invalidation");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(backlog: &Backlog, underway: &Underway) -> Vec<String> {
        let told = Mutex::new(Vec::new());
        backlog.tell(underway, |stale| told.lock().push(format!("{stale:?}")));
        told.into_inner()
    }

    fn name(ino: u64, name: &str) -> Stale {
        Stale::Name(ino, name.into())
    }

    #[test]
    fn names_where_somebody_waits_for_us_are_kept_and_hold_up_no_others() {
        let (backlog, underway) = (Backlog::default(), Arc::new(Underway::default()));
        let renaming = underway.begin([5, 0, 0, 0]);
        backlog.push(vec![name(5, "a"), Stale::Listing(5), name(6, "b"), name(5, "a")], Vec::new);
        assert_eq!(told(&backlog, &underway), ["Listing(5)", "Name(6, \"b\")"]);
        assert_eq!(told(&backlog, &underway), [""; 0]);
        drop(renaming);
        assert_eq!(told(&backlog, &underway), ["Name(5, \"a\")"], "once");
        assert_eq!(backlog.waiting.lock().count, 0);
    }

    #[test]
    fn where_too_much_is_kept_all_goes() {
        let (backlog, underway) = (Backlog::default(), Arc::new(Underway::default()));
        let _renaming = underway.begin([5, 0, 0, 0]);
        let many = |from: usize| (0..MOST).map(move |at| name(5, &(from + at).to_string()));
        backlog.push(many(0).collect(), || panic!("there is room"));
        backlog.push(many(MOST).collect(), || vec![Stale::Inode(7), name(5, "x")]);
        assert_eq!(told(&backlog, &underway), ["Inode(7)"]);
        assert_eq!(backlog.waiting.lock().count, 1);
    }
}
