//! `fsadmin report`: the cluster on one page. Counts are of what the workers have reported since the
//! primary master started.

use crate::cli::print;
use crate::cli::session::Session;
use crate::core::error::{ErrorKind, Result};
use crate::core::metrics::names::{self, Name};
use crate::core::model::{ByteSize, TierUsage, WorkerInfo};
use crate::core::proto::grpc::block::GetMigrationProgressPResponse;
use crate::core::proto::v1::{Job, JobState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints the page.
pub(super) async fn report(session: &mut Session) -> Result<()> {
    let masters = session.fs.masters().await?;
    let capacity = session.fs.capacity().await?;
    let free = capacity.total_bytes.saturating_sub(capacity.used_bytes);
    let work = Work::of(session).await?;
    if session.out.is_json() {
        let mut value = json!({
            "masterAddress": masters.leader,
            "masters": masters.masters.iter().map(|m| json!({
                "address": m.address, "role": m.role,
            })).collect::<Vec<_>>(),
            "startedMs": masters.start_ms,
            "version": masters.version,
            "clusterId": masters.cluster_id,
            "liveWorkers": capacity.live_workers,
            "lostWorkers": capacity.lost_workers,
            "totalCapacityBytes": capacity.total_bytes,
            "usedCapacityBytes": capacity.used_bytes,
            "freeCapacityBytes": free,
        });
        work.tell(&mut value);
        return session.out.json(&value);
    }
    let all: Vec<_> =
        masters.masters.iter().map(|m| format!("{} ({})", m.address, m.role)).collect();
    let lines = [
        ("Master Address", masters.leader.clone()),
        ("Masters", all.join(", ")),
        ("Started", print::time(masters.start_ms)),
        ("Uptime", uptime(masters.start_ms)),
        ("Version", masters.version.clone()),
        ("Cluster Id", masters.cluster_id.clone()),
        ("Live Workers", capacity.live_workers.to_string()),
        ("Lost Workers", capacity.lost_workers.to_string()),
        ("Total Capacity", ByteSize(capacity.total_bytes).to_string()),
        ("Used Capacity", ByteSize(capacity.used_bytes).to_string()),
        ("Free Capacity", ByteSize(free).to_string()),
    ];
    session.out.line("GooseFS cluster summary:")?;
    for (name, text) in lines.into_iter().chain(work.lines()) {
        session.out.line(format!("    {name}: {text}"))?;
    }
    if !work.tiers.is_empty() {
        session.out.line("\nTiers:")?;
        let header = ["Tier", "Directories", "Out of Service", "Capacity", "Used"];
        session.out.table(&header, work.tiers.iter().map(Tier::row).collect(), &())?;
    }
    Ok(())
}

/// What the cluster does by itself, and what of.
struct Work {
    tiers: Vec<Tier>,
    metrics: BTreeMap<String, f64>,
    /// The last migration; nothing in it where there was none.
    migration: GetMigrationProgressPResponse,
    jobs: Vec<Job>,
}

impl Work {
    async fn of(session: &Session) -> Result<Work> {
        let migration = match session.fs.migration().await {
            Err(error) if error.kind() == ErrorKind::NotFound => Default::default(),
            migration => migration?,
        };
        Ok(Work {
            tiers: Tier::all(&session.fs.worker_report().await?),
            metrics: session.fs.metrics().await?,
            migration,
            jobs: session.fs.jobs().await?,
        })
    }

    /// What all workers together have counted.
    fn count(&self, name: &Name) -> u64 {
        self.figure(&format!("Worker.{}", name.text))
    }

    fn figure(&self, name: &str) -> u64 {
        self.metrics.get(name).copied().unwrap_or_default() as u64
    }

    fn jobs(&self, is: impl Fn(&Job) -> bool) -> usize {
        self.jobs.iter().filter(|job| is(job)).count()
    }

    fn lines(&self) -> [(&'static str, String); 6] {
        let running = self.jobs(|job| job.ended_ms == 0);
        let paused = self.jobs(|job| job.state() == JobState::Paused);
        let failed = self.jobs(|job| job.state() == JobState::Failed);
        [
            ("Running Jobs", format!("{running}, {paused} of them paused; {failed} failed before")),
            ("Moving Blocks", self.moving()),
            (
                "Moved Between Tiers",
                format!(
                    "{} blocks up, {} down ({}), {} evicted",
                    self.count(&names::WORKER_MOVED_UP),
                    self.count(&names::WORKER_MOVED_DOWN),
                    ByteSize(self.count(&names::WORKER_TIER_MOVED_BYTES)),
                    self.count(&names::WORKER_EVICTED_BLOCKS),
                ),
            ),
            ("Scrubbed", ByteSize(self.count(&names::WORKER_SCRUBBED_BYTES)).to_string()),
            (
                "Bad Pages",
                format!(
                    "{} dropped, {} found by scrubbing, {} repaired",
                    self.count(&names::WORKER_BAD_PAGES),
                    self.count(&names::WORKER_SCRUB_BAD_PAGES),
                    self.count(&names::WORKER_REPAIRED_PAGES),
                ),
            ),
            (
                "To Persist",
                format!(
                    "{} files, {} of them failed so far",
                    self.figure("Master.FilesToPersist"),
                    self.figure("Master.FilesNotPersisted"),
                ),
            ),
        ]
    }

    fn moving(&self) -> String {
        let migration = &self.migration;
        let size = |bytes: i64| ByteSize(bytes.max(0) as u64);
        let so_far = format!(
            "{}, {} of {} blocks, {} of {}",
            migration.status(),
            migration.migrated_blocks(),
            migration.total_blocks(),
            size(migration.migrated_bytes()),
            size(migration.total_bytes()),
        );
        match migration.status() {
            "" => "no".into(),
            "RUNNING" | "PAUSED" => so_far,
            _ => format!("no; the last time {so_far}"),
        }
    }

    /// Adds it to a report in JSON.
    fn tell(&self, value: &mut Value) {
        let migration = &self.migration;
        value["runningJobs"] = self.jobs(|job| job.ended_ms == 0).into();
        value["pausedJobs"] = self.jobs(|job| job.state() == JobState::Paused).into();
        value["failedJobs"] = self.jobs(|job| job.state() == JobState::Failed).into();
        value["tiers"] = self.tiers.iter().map(Tier::json).collect();
        value["tierMoves"] = json!({
            "promotedBlocks": self.count(&names::WORKER_MOVED_UP),
            "demotedBlocks": self.count(&names::WORKER_MOVED_DOWN),
            "movedBytes": self.count(&names::WORKER_TIER_MOVED_BYTES),
            "evictedBlocks": self.count(&names::WORKER_EVICTED_BLOCKS),
        });
        value["migration"] = migration.status().into();
        value["migrationMovedBytes"] = migration.migrated_bytes().into();
        value["migrationTotalBytes"] = migration.total_bytes().into();
        value["migrationMovedBlocks"] = migration.migrated_blocks().into();
        value["migrationTotalBlocks"] = migration.total_blocks().into();
        value["migrationFailedBlocks"] = migration.failed_blocks().into();
        value["scrubbedBytes"] = self.count(&names::WORKER_SCRUBBED_BYTES).into();
        value["scrubBadPages"] = self.count(&names::WORKER_SCRUB_BAD_PAGES).into();
        value["badPages"] = self.count(&names::WORKER_BAD_PAGES).into();
        value["repairedPages"] = self.count(&names::WORKER_REPAIRED_PAGES).into();
        value["filesToPersist"] = self.figure("Master.FilesToPersist").into();
        value["filesNotPersisted"] = self.figure("Master.FilesNotPersisted").into();
    }
}

/// All directories of one medium.
#[derive(Debug, Default)]
struct Tier {
    medium: String,
    dirs: usize,
    lost: usize,
    capacity: u64,
    used: u64,
}

impl Tier {
    /// The tiers of live workers, the fastest first.
    fn all(workers: &[WorkerInfo]) -> Vec<Tier> {
        let mut tiers = BTreeMap::new();
        for dir in workers.iter().filter(|worker| worker.live).flat_map(|worker| &worker.tiers) {
            let speed = ["MEM", "SSD", "HDD"].iter().position(|medium| *medium == dir.medium);
            let place = (speed.unwrap_or(usize::MAX), dir.medium.clone());
            tiers.entry(place).or_insert_with(Tier::default).add(dir);
        }
        tiers.into_values().collect()
    }

    fn add(&mut self, dir: &TierUsage) {
        self.medium = dir.medium.clone();
        self.dirs += 1;
        self.lost += usize::from(dir.lost);
        self.capacity += dir.capacity_bytes;
        self.used += dir.used_bytes;
    }

    fn row(&self) -> Vec<String> {
        let used = super::report::percent(self.used, self.capacity);
        vec![
            self.medium.clone(),
            self.dirs.to_string(),
            self.lost.to_string(),
            ByteSize(self.capacity).to_string(),
            format!("{} ({used}%)", ByteSize(self.used)),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "medium": self.medium,
            "dirs": self.dirs,
            "lostDirs": self.lost,
            "capacityBytes": self.capacity,
            "usedBytes": self.used,
        })
    }
}

/// How long ago `start_ms` is, in the words of GooseFS.
fn uptime(start_ms: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let seconds = (now - start_ms).max(0) / 1000;
    format!(
        "{} day(s), {} hour(s), {} minute(s), and {} second(s)",
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_summed_by_medium_and_the_fastest_comes_first() {
        let dir = |medium: &str, used_bytes, lost| TierUsage {
            medium: medium.into(),
            capacity_bytes: 100,
            used_bytes,
            lost,
            ..Default::default()
        };
        let worker = |live, tiers| WorkerInfo { live, tiers, ..Default::default() };
        let tiers = Tier::all(&[
            worker(true, vec![dir("SSD", 10, false), dir("HDD", 1, false)]),
            worker(true, vec![dir("MEM", 50, false), dir("SSD", 20, true)]),
            worker(false, vec![dir("MEM", 100, false)]),
        ]);
        let rows: Vec<_> = tiers.iter().map(Tier::row).collect();
        assert_eq!(rows[0], ["MEM", "1", "0", "100B", "50B (50%)"]);
        assert_eq!(rows[1], ["SSD", "2", "1", "200B", "30B (15%)"]);
        assert_eq!(rows[2][0], "HDD");
    }

    #[test]
    fn a_migration_that_is_over_is_not_said_to_be_under_way() {
        let migration = |status: &str| GetMigrationProgressPResponse {
            status: Some(status.into()),
            migrated_blocks: Some(2),
            total_blocks: Some(3),
            ..Default::default()
        };
        let (tiers, metrics, jobs) = Default::default();
        let mut work = Work { tiers, metrics, jobs, migration: migration("PAUSED") };
        assert_eq!(work.moving(), "PAUSED, 2 of 3 blocks, 0B of 0B");
        work.migration = migration("COMPLETED");
        assert!(work.moving().starts_with("no; the last time COMPLETED"), "{}", work.moving());
        work.migration = Default::default();
        assert_eq!(work.moving(), "no");
    }
}
