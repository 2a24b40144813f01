//! Telling the kernel what it must not trust any more.
//!
//! The master streams what changes in its tree. Each change is dropped from what this process knows
//! first and from the kernel's caches second: an answer given in between is then a new one. While
//! there is no stream nothing is trusted for long, and when it comes back, nothing of before.

use super::inodes::Stale;
use super::posix::Posix;
use crate::core::runtime::Group;
use fuser::{INodeNo, Notifier};
use futures::StreamExt;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Batches on their way to the kernel.
const QUEUE: usize = 64;
/// How long to wait before the master is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often what has expired is looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Starts following the master's changes, and dropping what has expired.
pub fn start(posix: &Arc<Posix>, notifier: Notifier, group: &Group) {
    let (send, mut queue) = mpsc::channel::<Vec<Stale>>(QUEUE);
    // The kernel may make a notification wait for a read that this process is about to answer, so
    // they have a thread of their own.
    group.spawn_until_stop("notify the kernel", async move {
        while let Some(stale) = queue.recv().await {
            let notifier = notifier.clone();
            let told = tokio::task::spawn_blocking(move || tell(&notifier, &stale)).await;
            if told.is_err() {
                return;
            }
        }
    });
    let (watching, follower) = (posix.clone(), send.clone());
    group.spawn_until_stop("watch the tree", async move {
        loop {
            follow(&watching, &follower).await;
            watching.set_watched(false);
            tokio::time::sleep(RETRY).await;
        }
    });
    let posix = posix.clone();
    group.spawn_until_stop("forget what expired", async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            let stale = posix.sweep();
            if !stale.is_empty() && send.send(stale).await.is_err() {
                return;
            }
        }
    });
}

/// Follows changes until the stream ends.
async fn follow(posix: &Posix, queue: &mpsc::Sender<Vec<Stale>>) {
    let mut changes = match posix.watch().await {
        Ok(changes) => changes,
        Err(error) => {
            tracing::debug!(%error, "watching the tree");
            return;
        }
    };
    // What was learned before the stream began may have changed since.
    queue.send(posix.doubt_all()).await.ok();
    posix.set_watched(true);
    while let Some(batch) = changes.next().await {
        match batch {
            Ok(batch) => {
                let stale = posix.changed(&batch);
                if !stale.is_empty() && queue.send(stale).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::info!(%error, "lost track of changes: nothing is trusted until it is back");
                break;
            }
        }
    }
    posix.set_watched(false);
    queue.send(posix.doubt_all()).await.ok();
}

fn tell(notifier: &Notifier, stale: &[Stale]) {
    for item in stale {
        let told = match item {
            // A file's bytes never change: the kernel may keep its pages.
            Stale::Inode(ino) => notifier.inval_inode(INodeNo(*ino), -1, 0),
            Stale::Listing(ino) => notifier.inval_inode(INodeNo(*ino), 0, 0),
            Stale::Name(parent, name) => {
                notifier.inval_entry(INodeNo(*parent), OsStr::new(&**name))
            }
        };
        if let Err(error) = told {
            tracing::debug!(%error, ?item, "the kernel did not take an invalidation");
        }
    }
}
