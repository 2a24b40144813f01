//! Periodic work that operators can see: each duty has a name, an interval, a count and its last
//! error.

use super::group::Group;
use crate::core::error::Result;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a duty is doing.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct DutyStatus {
    /// How often it runs, in milliseconds.
    pub interval_ms: u64,
    /// Times it has run.
    pub runs: u64,
    /// Times it has failed.
    pub failures: u64,
    /// How long the last run took, in milliseconds.
    pub last_ms: u64,
    /// What the last failure was.
    pub last_error: String,
}

/// The duties of one process, by name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Duties(Arc<Mutex<BTreeMap<&'static str, DutyStatus>>>);

impl Duties {
    /// Runs `work` every `interval` in `group`, one run at a time, the first one at once. A failure
    /// is logged and counted, and the next run comes as usual.
    pub fn start<W, F>(&self, group: &Group, name: &'static str, interval: Duration, mut work: W)
    where
        W: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send,
    {
        let status = DutyStatus { interval_ms: interval.as_millis() as u64, ..Default::default() };
        self.0.lock().insert(name, status);
        let duties = self.clone();
        group.spawn_until_stop(name, async move {
            let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let start = Instant::now();
                let result = work().await;
                duties.record(name, start.elapsed(), result);
            }
        });
    }

    /// All duties as they stand.
    pub fn list(&self) -> BTreeMap<&'static str, DutyStatus> {
        self.0.lock().clone()
    }

    fn record(&self, name: &'static str, took: Duration, result: Result<()>) {
        let mut duties = self.0.lock();
        let status = duties.entry(name).or_default();
        status.runs += 1;
        status.last_ms = took.as_millis() as u64;
        if let Err(error) = result {
            tracing::warn!(duty = name, %error, "failed; it will run again");
            status.failures += 1;
            status.last_error = error.to_string();
        }
    }
}
