//! How fast the work of jobs may go: one rate a job, which the master sets. A byte is paid for before
//! it is asked for.

use crate::core::proto::v1::JobLimit;
use crate::core::runtime::Rate;
use parking_lot::Mutex;
use std::collections::HashMap;

/// The paces of all jobs that have a limit.
#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<i64, Rate>>);

impl Paces {
    /// Takes in what the master says of the jobs that this worker has tasks of.
    pub fn set(&self, limits: &[JobLimit]) {
        let mut paces = self.0.lock();
        for limit in limits {
            let bytes_per_s = limit.bytes_per_s.max(1);
            let new = || Rate::new(bytes_per_s);
            paces.entry(limit.job_id).or_insert_with(new).set(bytes_per_s);
        }
    }

    /// Forgets jobs that are not among `running`.
    pub fn keep(&self, running: impl Fn(i64) -> bool) {
        self.0.lock().retain(|&job, _| running(job));
    }

    /// The pace of a job.
    pub fn of(&self, job: i64) -> Rate {
        self.0.lock().get(&job).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_changes_for_those_who_have_it_already() {
        let paces = Paces::default();
        assert_eq!(paces.of(7).step(), None);
        paces.set(&[JobLimit { job_id: 7, bytes_per_s: 400_000 }]);
        let pace = paces.of(7);
        paces.set(&[JobLimit { job_id: 7, bytes_per_s: 800_000 }]);
        assert_eq!(pace.step(), Some(200_000));
        paces.keep(|job| job != 7);
        assert_eq!(paces.of(7).step(), None);
    }
}
