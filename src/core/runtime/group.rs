//! What starts and stops together.
//!
//! Nothing runs unowned: every future that is spawned belongs to a group. A group is told once to
//! stop and is then waited for, up to a deadline; what has not ended by then is aborted and named
//! in the log.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A set of tasks with one shutdown signal. Clones are handles to the same group.
#[derive(Clone, Debug)]
pub struct Group {
    name: &'static str,
    stop: CancellationToken,
    tasks: TaskTracker,
    running: Arc<Mutex<HashMap<tokio::task::Id, (&'static str, AbortHandle)>>>,
}

impl Group {
    /// An empty group.
    pub fn new(name: &'static str) -> Self {
        Group {
            name,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            running: Arc::default(),
        }
    }

    /// Runs `future` as a part of this group. It should end soon after [`Group::stopping`] does.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.clone();
        // Held while spawning, so that a task that ends at once cannot leave before it is listed.
        let mut listed = self.running.lock();
        let handle = self.tasks.spawn(async move {
            future.await;
            running.lock().remove(&tokio::task::id());
        });
        listed.insert(handle.id(), (name, handle.abort_handle()));
    }

    /// Runs `future` until it ends or the group stops, whichever is first.
    pub fn spawn_until_stop(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = future => {}
            }
        });
    }

    /// What `future` gives, which is carried to its end as a part of this group also when nobody
    /// waits for it any more; none when the group stops first.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.spawn_until_stop(name, async move {
            // Whoever asked may have left.
            let _ = tell.send(future.await);
        });
        told.await.ok()
    }

    /// Ends when the group has been told to stop.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Whether the group has been told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Tells all tasks to stop and waits for none: for owners that go without a moment to wait.
    pub fn cancel(&self) {
        self.stop.cancel();
    }

    /// Tells all tasks to stop and waits for them; aborts those still running after `deadline`.
    pub async fn stop(&self, deadline: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok() {
            return;
        }
        for (name, handle) in self.running.lock().values() {
            tracing::warn!(group = self.name, task = name, "aborted: it did not stop in time");
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_waits_for_its_tasks_and_aborts_the_stubborn() {
        let group = Group::new("test");
        let stopping = group.stopping();
        let (tell, told) = tokio::sync::oneshot::channel();
        group.spawn("polite", async move {
            stopping.await;
            tell.send(()).ok();
        });
        group.spawn("stubborn", std::future::pending());
        group.stop(Duration::from_millis(50)).await;
        told.await.expect("the polite task ended by itself");
        assert!(group.is_stopping());
    }

    #[tokio::test]
    async fn what_is_carried_out_ends_although_nobody_waits() {
        let group = Group::new("test");
        assert_eq!(group.carry_out("asked", async { 7 }).await, Some(7));
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let left = group.carry_out("left", async move {
            gone.await.ok();
            tell.send(()).ok();
        });
        assert!(futures::future::FutureExt::now_or_never(left).is_none());
        go.send(()).unwrap();
        told.await.expect("it went on");
        group.cancel();
        assert_eq!(group.carry_out("late", std::future::pending::<()>()).await, None);
    }
}
