//! What time it is. Everything that expires asks a [`Clock`], so that a test moves time instead of
//! waiting for it.
//!
//! Time never goes back, and it never stands still: what is compared by time, such as a listing of a
//! store with what was removed since it began, stays in order when somebody sets the host's clock
//! back. Until that has caught up, time goes on at half its speed.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The system's time plus an offset that tests move. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    offset_ms: AtomicI64,
    /// What was told last, in microseconds, and when.
    last: Mutex<Option<(i64, Instant)>>,
}

impl Clock {
    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.after_ms(i64::MIN)
    }

    /// The same, and from now on it is never before `ms`: somebody whose clock is ahead of ours has
    /// told that time already.
    pub fn after_ms(&self, ms: i64) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let moved_ms = self.inner.offset_ms.load(Ordering::Relaxed) + jump_ms();
        let host_us = since.as_micros() as i64 + moved_ms * 1000;
        let mut last = self.inner.last.lock();
        let at = Instant::now();
        let least_us = last.map_or(i64::MIN, |(told_us, then)| {
            told_us + at.saturating_duration_since(then).as_micros() as i64 / 2
        });
        let now_us = host_us.max(least_us).max(ms.saturating_mul(1000));
        *last = Some((now_us, at));
        now_us / 1000
    }

    /// Moves this clock forward.
    pub fn advance(&self, ms: i64) {
        self.inner.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// By how much the host's clock is wrong, as tests would have it: the number in the file that
/// `GOOSEFS_TEST_CLOCK` names. In debug builds only.
#[cfg(debug_assertions)]
fn jump_ms() -> i64 {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("GOOSEFS_TEST_CLOCK"));
    let text = FILE.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

#[cfg(not(debug_assertions))]
fn jump_ms() -> i64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_hosts_clock_is_set_back() {
        let clock = Clock::default();
        let start = clock.now_ms();
        clock.advance(60_000);
        let ahead = clock.now_ms();
        assert!(ahead >= start + 60_000);
        clock.advance(-3_600_000);
        let told = clock.now_ms();
        assert!((ahead..ahead + 10_000).contains(&told), "{ahead} {told}");
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        while clock.now_ms() == told {
            assert!(Instant::now() < deadline, "time stands still");
        }
        assert!(clock.now_ms() > told);
    }

    #[test]
    fn time_is_after_what_others_have_told() {
        let clock = Clock::default();
        let others = clock.now_ms() + 5_000;
        assert_eq!(clock.after_ms(others), others);
        assert!(clock.clone().now_ms() >= others);
        assert!(clock.after_ms(0) >= others);
    }
}
