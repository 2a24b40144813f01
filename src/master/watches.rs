//! Tells caching clients what changed in the tree.
//!
//! The state announces each change once, and each watcher picks what lies at or below its path. A
//! watcher that falls behind is told so and starts anew, having dropped all it cached; no queue
//! grows for it.

use crate::core::error::{Error, Result, failed_precondition};
use crate::core::model::FsPath;
use crate::core::proto::v1::Change;
use crate::master::state::Notice;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Changes in one message to a watcher.
const PER_MESSAGE: usize = 1_024;

/// One client's view of the changes.
#[derive(Debug)]
pub struct Watcher {
    path: FsPath,
    notices: Receiver<Arc<[Notice]>>,
}

impl Watcher {
    /// Watches what happens at or below `path`, of what `notices` tells.
    pub fn new(path: FsPath, notices: Receiver<Arc<[Notice]>>) -> Self {
        Watcher { path, notices }
    }

    /// The next changes, at least one. `None` when the master stops.
    ///
    /// # Errors
    /// `FailedPrecondition` when changes were missed.
    pub async fn next(&mut self) -> Result<Option<Vec<Change>>> {
        let mut found = Vec::new();
        while found.is_empty() {
            match self.notices.recv().await {
                Ok(notices) => self.pick(&notices, &mut found),
                Err(RecvError::Lagged(_)) => return Err(lagged()),
                Err(RecvError::Closed) => return Ok(None),
            }
        }
        while found.len() < PER_MESSAGE {
            match self.notices.try_recv() {
                Ok(notices) => self.pick(&notices, &mut found),
                Err(TryRecvError::Lagged(_)) => return Err(lagged()),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(Some(found))
    }

    /// Changes at or below our path, and those of a whole tree that holds our path.
    fn pick(&self, notices: &[Notice], found: &mut Vec<Change>) {
        for notice in notices {
            let below = notice.path.starts_with(&self.path);
            let above = notice.subtree && self.path.starts_with(&notice.path);
            if below || above {
                found.push(Change { path: notice.path.to_string(), subtree: notice.subtree });
            }
        }
    }
}

fn lagged() -> Error {
    failed_precondition("this watch fell too far behind: drop what is cached and watch anew")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorKind;
    use tokio::sync::broadcast::Sender;

    fn path(text: &str) -> FsPath {
        FsPath::parse(text).unwrap()
    }

    fn send(sender: &Sender<Arc<[Notice]>>, text: &str, subtree: bool) {
        sender.send([Notice { path: path(text), subtree }].into()).unwrap();
    }

    #[tokio::test]
    async fn a_watcher_sees_what_concerns_its_path() {
        let sender = Sender::new(16);
        let mut watcher = Watcher::new(path("/a"), sender.subscribe());
        send(&sender, "/b", false);
        send(&sender, "/", false);
        send(&sender, "/a/x", false);
        send(&sender, "/", true);
        let seen = watcher.next().await.unwrap().unwrap().into_iter();
        let seen: Vec<_> = seen.map(|change| (change.path, change.subtree)).collect();
        assert_eq!(seen, [("/a/x".to_string(), false), ("/".to_string(), true)]);
        drop(sender);
        assert!(watcher.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_watcher_that_lags_is_told_to_start_anew() {
        let sender = Sender::new(2);
        let mut watcher = Watcher::new(FsPath::root(), sender.subscribe());
        (0..4).for_each(|_| send(&sender, "/a", false));
        assert_eq!(watcher.next().await.unwrap_err().kind(), ErrorKind::FailedPrecondition);
    }
}
