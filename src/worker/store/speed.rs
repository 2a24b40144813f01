//! How fast a directory took bytes lately.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A moving average over writes, in bytes a second; 0 before the first.
#[derive(Debug, Default)]
pub struct Speed(AtomicU64);

impl Speed {
    /// Notes that `bytes` took so long.
    pub fn measured(&self, bytes: u64, took: Duration) {
        if bytes == 0 {
            return;
        }
        let now = (bytes as f64 / took.as_secs_f64().max(1e-6)) as u64;
        // A write that is lost to another one at the same time is no loss.
        let average = match self.0.load(Ordering::Relaxed) {
            0 => now,
            before => before - before / 8 + now / 8,
        };
        self.0.store(average.max(1), Ordering::Relaxed);
    }

    /// Bytes a second; none before anything was written.
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&speed| speed > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_write_changes_little_and_many_much() {
        let speed = Speed::default();
        assert_eq!(speed.get(), None);
        speed.measured(8000, Duration::from_secs(1));
        speed.measured(0, Duration::from_secs(9));
        assert_eq!(speed.get(), Some(8000));
        speed.measured(800, Duration::from_secs(1));
        assert_eq!(speed.get(), Some(7100));
        (0..50).for_each(|_| speed.measured(800, Duration::from_secs(1)));
        assert!(speed.get().unwrap() < 900);
    }
}
