//! A bound on bytes per second, or on turns, for work that must leave room for other work.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time unused that may be caught up with at once: waking up late is no loss then.
const CREDIT: Duration = Duration::from_millis(100);
/// How long anybody waits before looking whether the bound has changed.
const NAP: Duration = Duration::from_secs(1);
/// Parts of a second that a step takes, so that nobody holds the others up for long.
const STEPS: u64 = 4;
/// The shortest and the longest step, in bytes.
const STEP: (u64, u64) = (4 << 10, 4 << 20);

/// A rate that those who share it keep together. Clones share it.
#[derive(Clone, Debug)]
pub struct Rate {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// 0 for no bound.
    bytes_per_second: u64,
    /// When all that was taken so far has had its time.
    paid: Instant,
    /// How often the bound has changed.
    changes: u64,
}

impl Rate {
    /// So many bytes a second; 0 for no bound.
    pub fn new(bytes_per_second: u64) -> Self {
        let state = State { bytes_per_second, paid: Instant::now(), changes: 0 };
        Rate { state: Arc::new(Mutex::new(state)) }
    }

    /// Changes it, for those who wait too: what they owe by the bound there was is forgiven.
    pub fn set(&self, bytes_per_second: u64) {
        let mut state = self.state.lock();
        if state.bytes_per_second != bytes_per_second {
            state.bytes_per_second = bytes_per_second;
            state.paid = state.paid.min(Instant::now());
            state.changes += 1;
        }
    }

    /// The bound in bytes a second; 0 for none.
    pub fn get(&self) -> u64 {
        self.state.lock().bytes_per_second
    }

    /// Bytes to take at a time; none where there is no bound.
    pub fn step(&self) -> Option<u64> {
        match self.get() {
            0 => None,
            bytes_per_second => Some((bytes_per_second / STEPS).clamp(STEP.0, STEP.1)),
        }
    }

    /// Waits for a turn of one at so many a second, unless that would take longer than `patience`:
    /// then says so at once, and no turn is taken. What was not used for `burst` may be used at once.
    pub async fn turn_within(&self, patience: Duration, burst: Duration) -> bool {
        let wait = self.state.lock().turn(patience, burst, Instant::now());
        match wait {
            Some(wait) if wait.is_zero() => true,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            None => false,
        }
    }

    /// Waits until `bytes` more may pass.
    pub async fn take(&self, bytes: u64) {
        let (mut wait, changes) = {
            let mut state = self.state.lock();
            (state.take(bytes, Instant::now()), state.changes)
        };
        while !wait.is_zero() {
            let nap = wait.min(NAP);
            tokio::time::sleep(nap).await;
            wait -= nap;
            if self.state.lock().changes != changes {
                return;
            }
        }
    }
}

impl Default for Rate {
    /// No bound.
    fn default() -> Self {
        Rate::new(0)
    }
}

impl State {
    /// How long to wait for a turn; none where that is longer than `patience`.
    fn turn(&mut self, patience: Duration, burst: Duration, now: Instant) -> Option<Duration> {
        if self.bytes_per_second == 0 {
            self.paid = now;
            return Some(Duration::ZERO);
        }
        let start = self.paid.max(now.checked_sub(burst).unwrap_or(now));
        let wait = start.saturating_duration_since(now);
        if wait > patience {
            return None;
        }
        self.paid = start + Duration::from_secs_f64(1.0 / self.bytes_per_second as f64);
        Some(wait)
    }

    /// How long to wait before `bytes` may pass.
    fn take(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.bytes_per_second == 0 {
            self.paid = now;
            return Duration::ZERO;
        }
        let start = self.paid.max(now.checked_sub(CREDIT).unwrap_or(now));
        self.paid = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.paid.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_what_the_rate_allows() {
        let start = Instant::now();
        let mut state = State { bytes_per_second: 1000, paid: start, changes: 0 };
        assert_eq!(state.take(500, start), Duration::from_millis(500));
        assert_eq!(state.take(1000, start), Duration::from_millis(1500));
        let later = start + Duration::from_secs(60);
        assert_eq!(state.take(100, later), Duration::ZERO);
        assert_eq!(state.take(1000, later), Duration::from_secs(1), "an idle minute buys little");
        state.bytes_per_second = 0;
        assert_eq!(state.take(1 << 40, later), Duration::ZERO);
    }

    #[test]
    fn turns_come_at_the_rate_and_those_that_are_too_far_off_are_not_taken() {
        let start = Instant::now();
        let mut state = State { bytes_per_second: 10, paid: start, changes: 0 };
        let second = Duration::from_secs(1);
        let mut turn = |now| state.turn(second / 4, second, now);
        let waits: Vec<_> = (0..5).map(|_| turn(start)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(waits, [ms(0), ms(100), ms(200), None, None]);
        assert_eq!(turn(start + second / 10), ms(200), "refused ones took nothing");
        let later = start + 60 * second;
        let burst = (0..20).filter(|_| turn(later) == ms(0)).count();
        assert_eq!(burst, 11, "a second's worth, and the one that is due");
    }
}
