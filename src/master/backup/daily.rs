//! The daily backup: made by the primary at a time of the day, UTC; one that was missed, because no
//! master ran or making it failed, is made up for. Then those that are too many are deleted: the
//! oldest of this cluster's in that directory, and nothing else.

use super::{Backups, Place, Target};
use crate::core::config::TimeOfDay;
use crate::core::error::{ErrorKind, Result};
use crate::core::model::BackupName;
use crate::ufs::UfsStatus;
use futures::TryStreamExt;

/// How long it rests after a failure.
const RETRY_MS: i64 = 5 * 60 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// What is known of daily backups.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Daily {
    /// When the last one was made; none: nobody has looked yet.
    last_ms: Option<i64>,
    /// After a failure: not again before this time.
    not_before_ms: i64,
}

impl Daily {
    fn is_due(&self, now_ms: i64, at: TimeOfDay) -> bool {
        now_ms >= self.not_before_ms
            && self.last_ms.is_none_or(|last_ms| last_ms < latest(now_ms, at))
    }
}

/// The latest moment, not after `now_ms`, that is at that time of a day.
fn latest(now_ms: i64, at: TimeOfDay) -> i64 {
    let midnight_ms = now_ms - now_ms.rem_euclid(DAY_MS);
    let today_ms = midnight_ms + i64::from(at.minutes) * 60_000;
    if today_ms <= now_ms { today_ms } else { today_ms - DAY_MS }
}

impl Backups {
    /// Makes the daily backup, if it is due.
    ///
    /// # Errors
    /// Why it could not be made; it is tried again later.
    pub async fn make_daily(&self) -> Result<()> {
        let settings = &self.inner.config.master;
        let now_ms = self.inner.clock.now_ms();
        let daily = *self.inner.daily.lock();
        if !settings.daily_backup || !daily.is_due(now_ms, settings.daily_backup_time) {
            return Ok(());
        }
        let made = self.make_if_missing(now_ms, daily).await;
        if made.is_err() {
            self.inner.daily.lock().not_before_ms = now_ms + RETRY_MS;
        }
        made
    }

    async fn make_if_missing(&self, now_ms: i64, daily: Daily) -> Result<()> {
        let settings = &self.inner.config.master;
        let place = self.place(&Target::default())?;
        if daily.last_ms.is_none() {
            // An earlier primary may have made it.
            let own = self.own(&place).await?;
            let last_ms = own.last().map_or(0, |(name, _)| name.made_ms);
            self.inner.daily.lock().last_ms = Some(last_ms);
            let known = Daily { last_ms: Some(last_ms), ..daily };
            if !known.is_due(now_ms, settings.daily_backup_time) {
                return Ok(());
            }
        }
        self.begin(&format!("daily {now_ms}"))?;
        self.make(&place).await?;
        self.inner.daily.lock().last_ms = Some(now_ms);
        let own = self.own(&place).await?;
        let kept = settings.daily_backup_files_retained.max(1) as usize;
        for (_, file) in &own[..own.len().saturating_sub(kept)] {
            place.store.delete(&place.path(file)).await?;
            tracing::info!(file, directory = place.address(), "deleted an old backup");
        }
        Ok(())
    }

    /// This cluster's backups there, the oldest first.
    async fn own(&self, place: &Place) -> Result<Vec<(BackupName, String)>> {
        let cluster_id = self.inner.files.state().cluster_id()?.unwrap_or_default();
        let cluster = BackupName::new(0, &cluster_id).cluster;
        let listed =
            async { place.store.list(&place.dir).await?.try_collect::<Vec<UfsStatus>>().await };
        let listed = match listed.await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let files = listed.into_iter().filter(|status| !status.folder);
        let named = files.filter_map(|file| Some((BackupName::parse(&file.name)?, file.name)));
        let now_ms = self.inner.clock.now_ms();
        // One from the future, of a clock that was wrong, would count as the newest for long.
        let ours = |name: &BackupName| name.cluster == cluster && name.made_ms <= now_ms;
        let mut own: Vec<_> = named.filter(|(name, _)| ours(name)).collect();
        own.sort();
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daily_backup_is_due_once_a_day_and_made_up_for_when_it_was_missed() {
        let at = TimeOfDay { minutes: 5 * 60 };
        let hour_ms = 3600 * 1000;
        let day = 1000 * DAY_MS;
        assert_eq!(latest(day + 5 * hour_ms, at), day + 5 * hour_ms);
        assert_eq!(latest(day + 5 * hour_ms - 1, at), day - DAY_MS + 5 * hour_ms);
        let mut daily = Daily::default();
        assert!(daily.is_due(day, at), "nobody has looked yet");
        daily.last_ms = Some(day - DAY_MS + 5 * hour_ms);
        assert!(!daily.is_due(day + 5 * hour_ms - 1, at), "made yesterday");
        assert!(daily.is_due(day + 5 * hour_ms, at));
        assert!(daily.is_due(day + 23 * hour_ms, at), "missed this morning");
        daily.not_before_ms = day + 6 * hour_ms;
        assert!(!daily.is_due(day + 5 * hour_ms, at), "has just failed");
    }
}
