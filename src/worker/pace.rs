//! How fast the work of jobs may go: one bucket of tokens a job, which the master fills.
//!
//! A byte is paid for before it is asked for. Whoever takes is given a time in the order of asking,
//! so many small takers share a rate as evenly as a few large ones.

use crate::core::proto::v1::JobLimit;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an idle bucket saves up.
const BURST: Duration = Duration::from_millis(100);
/// Paid for at a time at most, and in this many parts of a second, so that no taker holds the others
/// up for long.
const STEP_MAX: u64 = 4 << 20;
const STEPS_PER_S: u64 = 4;

/// The pace of one job: none is no limit. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pace(Option<Arc<Mutex<Bucket>>>);

#[derive(Debug)]
struct Bucket {
    bytes_per_s: u64,
    /// When the next byte may be asked for.
    next: Instant,
}

impl Pace {
    /// So many bytes a second.
    pub fn of(bytes_per_s: u64) -> Self {
        let bucket = Bucket { bytes_per_s: bytes_per_s.max(1), next: Instant::now() };
        Pace(Some(Arc::new(Mutex::new(bucket))))
    }

    /// Bytes to pay for at a time; none where there is no limit.
    pub fn step(&self) -> Option<u64> {
        let bytes_per_s = self.0.as_ref()?.lock().bytes_per_s;
        Some((bytes_per_s / STEPS_PER_S).clamp(1, STEP_MAX))
    }

    /// Waits until so many bytes may be asked for.
    pub async fn take(&self, bytes: u64) {
        let Some(bucket) = &self.0 else { return };
        let at = {
            let mut bucket = bucket.lock();
            let now = Instant::now();
            let at = bucket.next.max(now.checked_sub(BURST).unwrap_or(now));
            let cost = Duration::from_secs_f64(bytes as f64 / bucket.bytes_per_s as f64);
            bucket.next = at + cost;
            at
        };
        tokio::time::sleep_until(at.into()).await;
    }

    fn set(&self, bytes_per_s: u64) {
        if let Some(bucket) = &self.0 {
            bucket.lock().bytes_per_s = bytes_per_s.max(1);
        }
    }
}

/// The paces of all jobs that have a limit.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<i64, Pace>>);

impl Paces {
    /// Takes in what the master says of the jobs that this worker has tasks of.
    pub fn set(&self, limits: &[JobLimit]) {
        let mut paces = self.0.lock();
        for limit in limits {
            let new = || Pace::of(limit.bytes_per_s);
            paces.entry(limit.job_id).or_insert_with(new).set(limit.bytes_per_s);
        }
    }

    /// Forgets jobs that are not among `running`.
    pub fn keep(&self, running: impl Fn(i64) -> bool) {
        self.0.lock().retain(|&job, _| running(job));
    }

    /// The pace of a job.
    pub fn of(&self, job: i64) -> Pace {
        self.0.lock().get(&job).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_takers_together_keep_to_the_rate() {
        let pace = Pace::of(1000);
        let start = Instant::now();
        futures::future::join_all((0..20).map(|_| pace.take(100))).await;
        // The last one starts when all others are paid for.
        let next = pace.0.as_ref().unwrap().lock().next;
        let paid = next.duration_since(start);
        assert!(
            (Duration::from_millis(1890)..=Duration::from_millis(2010)).contains(&paid),
            "{paid:?}"
        );
    }

    #[test]
    fn a_limit_changes_for_those_who_have_it_already() {
        let paces = Paces::default();
        assert_eq!(paces.of(7).step(), None);
        paces.set(&[JobLimit { job_id: 7, bytes_per_s: 4000 }]);
        let pace = paces.of(7);
        paces.set(&[JobLimit { job_id: 7, bytes_per_s: 8000 }]);
        assert_eq!(pace.step(), Some(2000));
        paces.keep(|job| job != 7);
        assert_eq!(paces.of(7).step(), None);
    }
}
