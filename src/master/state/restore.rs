//! The state out of a backup: the same tree, in another time.
//!
//! Since the backup was made the cluster has gone on: it gave out ids of files, workers and mounts
//! that the backup does not know, and workers and clients may hold what they stood for. An id stands
//! for the same bytes for ever, so all of them are skipped: more than there can have been. What was
//! under way when the backup was made is under way no more and must not be carried out on stores
//! that have changed since.

use super::transaction::Counters;
use super::{Applied, State, applied_key, counters_key, encode, restored_key};
use crate::core::error::{Result, failed_precondition, internal};
use crate::master::inode::metastore::{Put, Table};
use crate::master::journal::entry::UNFINISHED;
use std::path::Path;

/// Files that are made in a second at most, over a long time.
const FILES_PER_SECOND: u64 = 100_000;
/// Ids of files that are skipped at least.
const LEAST_SKIPPED: u64 = 1 << 32;
/// One restore takes no more than one of so many of the ids that are left, so that there are always
/// some left for the next.
const SHARE: u64 = 8;
/// There are no ids of files from here on.
const LAST_CONTAINER: u64 = 1 << 39;
/// Ids of workers and mounts that are skipped.
const SMALL_SKIPPED: u64 = 1 << 20;

/// A time and a place for a state that comes out of a backup.
pub struct Restore<'a> {
    /// When the backup was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// What time it is now.
    pub now_ms: i64,
    /// Where in the new log it stands, by where it stood in the old.
    pub position: &'a dyn Fn(&Applied) -> Result<Applied>,
}

impl State {
    /// Replaces all of it by the backup in the file at `path`; see the module. As
    /// [`State::install`], it can be done again after a crash.
    ///
    /// # Errors
    /// `DataLoss` when the file is damaged, before anything has changed; `FailedPrecondition` when
    /// the ids run out; else when the store fails.
    pub fn restore(&self, path: &Path, restore: &Restore) -> Result<()> {
        let unfinished: Vec<Vec<u8>> =
            UNFINISHED.iter().map(|table| super::upkeep::record_key(table, &[])).collect();
        let keep = |put: Put| {
            let (table, key, _) = &put;
            let drops = *table == Table::Rest && unfinished.iter().any(|own| key.starts_with(own));
            (!drops).then_some(put)
        };
        self.install_with(path, keep, || {
            let rest = |key, value| (Table::Rest, key, Some(value));
            let applied = self.applied()?;
            let applied = applied.ok_or_else(|| internal("a backup without a position"))?;
            let counters = self.inner.store.rest::<Counters>(&counters_key())?.unwrap_or_default();
            let now_ms = restore.now_ms.max(counters.now_ms);
            let counters = later(counters, now_ms - restore.made_ms)?;
            // Nothing is decided before the tree was put back, whatever the clock of its next master.
            let counters = Counters { now_ms, ..counters };
            Ok(vec![
                rest(applied_key(), (restore.position)(&applied)?.0),
                rest(counters_key(), encode(&counters)),
                rest(restored_key(), encode(&now_ms)),
            ])
        })
    }
}

/// The numbers that come after all that can have been given out in `passed_ms`.
fn later(counters: Counters, passed_ms: i64) -> Result<Counters> {
    let left = LAST_CONTAINER.saturating_sub(counters.next_container);
    let made = (passed_ms.max(0) as u64 / 1000).saturating_mul(FILES_PER_SECOND);
    let skipped = made.saturating_add(LEAST_SKIPPED).min(left / SHARE);
    if skipped < LEAST_SKIPPED {
        return Err(failed_precondition(
            "this backup has been restored too often: too few ids of files are left",
        ));
    }
    Ok(Counters {
        next_container: counters.next_container + skipped,
        next_mount: counters.next_mount + SMALL_SKIPPED as i64,
        workers: counters.workers + SMALL_SKIPPED,
        ..counters
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_given_out_since_the_backup_are_skipped_and_never_run_out() {
        let day_ms = 24 * 3600 * 1000;
        let now = Counters { next_container: 10, ..Default::default() };
        assert!(later(now.clone(), day_ms).unwrap().next_container > 24 * 3600 * 100_000);
        assert!(later(now.clone(), -day_ms).unwrap().next_container > LEAST_SKIPPED);
        let mut often = now;
        for _ in 0..20 {
            often = later(often, 365 * day_ms).unwrap();
            assert!(often.next_container < LAST_CONTAINER);
        }
        assert!(often.next_mount > 20 << 20 && often.workers >= 20 << 20);
    }
}
