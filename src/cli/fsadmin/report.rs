//! `fsadmin report`.

use crate::cli::fs::{left_out, mount_json, mount_line};
use crate::cli::print;
use crate::cli::session::Session;
use crate::core::error::{Result, unavailable};
use crate::core::model::{
    ByteSize, FsPath, Limits, MountInfo, Sums, TierUsage, WorkerInfo, WorkerState,
};
use clap::{Args, ValueEnum};

/// Report on the cluster, its capacity, its under stores, its metrics or blocks that move
///
/// The counts are of what workers have reported since the primary master started; more than 100,000
/// files to persist count as so many.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fsadmin report
  goosefs fsadmin -o json report | jq .tierMoves
  goosefs fsadmin report capacity
  goosefs fsadmin report metrics | grep Cache")]
pub struct Report {
    /// What to report on
    #[arg(value_enum, default_value_t)]
    topic: Topic,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Topic {
    /// Masters, workers, space, tiers, moves, verified blocks, jobs, and files to persist, in short
    #[default]
    Summary,
    /// Space on each worker
    Capacity,
    /// Under stores, and how much of each is cached
    Ufs,
    /// Counters and gauges
    Metrics,
    /// Blocks on their way to where they belong
    Migration,
}

impl Report {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        match self.topic {
            Topic::Summary => super::summary::report(session).await,
            Topic::Capacity => capacity(session).await,
            Topic::Ufs => ufs(session).await,
            Topic::Metrics => metrics(session).await,
            Topic::Migration => super::migrate::report(session).await,
        }
    }
}

async fn capacity(session: &mut Session) -> Result<()> {
    let workers = session.fs.worker_report().await?;
    let mounts = session.fs.mount_shares().await?;
    let live = || workers.iter().filter(|worker| worker.live);
    let total: u64 = live().map(|worker| worker.capacity_bytes).sum();
    let used: u64 = live().map(|worker| worker.used_bytes).sum();
    if session.out.is_json() {
        return session.out.json(&serde_json::json!({
            "totalCapacityBytes": total,
            "usedCapacityBytes": used,
            "workers": workers.iter().map(worker_json).collect::<Vec<_>>(),
            "mounts": mounts.iter().map(share_json).collect::<Vec<_>>(),
        }));
    }
    let percent = percent(used, total);
    session.out.line("Capacity information for all workers:")?;
    session.out.line(format!("    Total Capacity: {}", ByteSize(total)))?;
    session.out.line(format!("    Used Capacity: {}", ByteSize(used)))?;
    session.out.line(format!("    Used Percentage: {percent}%"))?;
    session.out.line(format!("    Free Percentage: {}%\n", 100 - percent))?;
    let header = ["Worker Name", "State", "Last Heartbeat", "Capacity", "Used", "Not Persisted"];
    session.out.table(&header, workers.iter().map(worker_row).collect(), &())?;
    let dirs: Vec<_> =
        live().flat_map(|w| w.tiers.iter().map(move |tier| tier_row(w, tier))).collect();
    if !dirs.is_empty() {
        session.out.line("\nDirectories:")?;
        let header = ["Worker Name", "Tier", "Directory", "State", "Capacity", "Used"];
        session.out.table(&header, dirs, &())?;
    }
    session.out.line("\nMounts:")?;
    session.out.table(
        &["Mount", "Cached", "Quota", "Priority"],
        mounts.iter().map(share_row).collect(),
        &(),
    )
}

/// A mount, what it may take, and the bytes of it in the cache.
type Share = (FsPath, Limits, u64);

fn share_row((path, limits, cached): &Share) -> Vec<String> {
    let used = |quota: ByteSize| format!("{} ({}%)", ByteSize(*cached), percent(*cached, quota.0));
    vec![
        path.to_string(),
        limits.cache_quota.map_or(ByteSize(*cached).to_string(), used),
        limits.cache_quota.map_or("-".into(), |quota| quota.to_string()),
        limits.cache_priority.to_string(),
    ]
}

fn share_json((path, limits, cached): &Share) -> serde_json::Value {
    serde_json::json!({
        "path": path.as_str(),
        "cachedBytes": cached,
        "cacheQuotaBytes": limits.cache_quota.map(|quota| quota.0),
        "cachePriority": limits.cache_priority.name(),
        "maxRequests": limits.requests,
    })
}

fn tier_row(worker: &WorkerInfo, tier: &TierUsage) -> Vec<String> {
    let used = percent(tier.used_bytes, tier.capacity_bytes);
    vec![
        worker.address.to_string(),
        tier.medium.clone(),
        tier.dir.clone(),
        if tier.lost { "OUT OF SERVICE" } else { "OK" }.into(),
        ByteSize(tier.capacity_bytes).to_string(),
        format!("{} ({used}%)", ByteSize(tier.used_bytes)),
    ]
}

/// Which part of the whole it is; nothing of nothing.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(0).min(100) as u64
}

fn worker_row(worker: &WorkerInfo) -> Vec<String> {
    let used = percent(worker.used_bytes, worker.capacity_bytes);
    vec![
        worker.address.to_string(),
        state(worker).into(),
        format!("{}s ago", worker.last_contact_s),
        ByteSize(worker.capacity_bytes).to_string(),
        format!("{} ({used}%)", ByteSize(worker.used_bytes)),
        ByteSize(worker.persist_used_bytes).to_string(),
    ]
}

/// How a worker is, in a word.
fn state(worker: &WorkerInfo) -> &'static str {
    match worker.state {
        _ if !worker.live => "LOST",
        WorkerState::Active => "LIVE",
        other => other.name(),
    }
}

fn worker_json(worker: &WorkerInfo) -> serde_json::Value {
    serde_json::json!({
        "id": worker.id,
        "address": worker.address.to_string(),
        "live": worker.live,
        "state": state(worker),
        "virtualNodes": worker.virtual_nodes,
        "forbidWrite": worker.forbid_write,
        "zone": worker.locality.zone,
        "rack": worker.locality.rack,
        "lastContactSec": worker.last_contact_s,
        "startMs": worker.start_ms,
        "capacityBytes": worker.capacity_bytes,
        "usedBytes": worker.used_bytes,
        "persistUsedBytes": worker.persist_used_bytes,
        "tiers": worker.tiers.iter().map(|tier| serde_json::json!({
            "medium": tier.medium,
            "dir": tier.dir,
            "lost": tier.lost,
            "capacityBytes": tier.capacity_bytes,
            "usedBytes": tier.used_bytes,
        })).collect::<Vec<_>>(),
    })
}

async fn ufs(session: &mut Session) -> Result<()> {
    let mounts = session.fs.mounts().await?;
    let (found, measured_ms) = session.fs.measure_mounts().await?.unwrap_or_default();
    let sums = |path: &FsPath| found.measured.iter().find(|m| m.path == *path).map(|m| m.sums);
    if session.out.is_json() {
        let with_sums = |mount: &MountInfo| {
            let mut value = mount_json(mount);
            if let Some(Sums { files, bytes, cached_bytes, .. }) = sums(&mount.path) {
                value["files"] = files.into();
                value["bytes"] = bytes.into();
                value["cachedBytes"] = cached_bytes.into();
                value["measuredMs"] = measured_ms.into();
            }
            value
        };
        return session.out.json(&mounts.iter().map(with_sums).collect::<Vec<_>>());
    }
    let ufs = mounts.iter().map(|m| m.ufs.len()).max().unwrap_or(0);
    let path = mounts.iter().map(|m| m.path.as_str().len()).max().unwrap_or(0);
    session.out.line("GooseFS under storage system information:")?;
    mounts.iter().try_for_each(|mount| session.out.line(mount_line(mount, (ufs, path))))?;
    if found.measured.is_empty() {
        return session.out.line("\nWhat is cached of each is still being measured: ask again.");
    }
    session.out.line(format!("\nCached, as of {}:", print::time(measured_ms)))?;
    let rows = mounts.iter().filter_map(|mount| Some(sums_row(mount, sums(&mount.path)?)));
    session.out.table(&["Path", "Files", "Bytes", "Cached"], rows.collect(), &())?;
    if let Some(text) = left_out(&found.silent, found.unread) {
        session.fail(&unavailable(text));
    }
    Ok(())
}

fn sums_row(mount: &MountInfo, sums: Sums) -> Vec<String> {
    let cached = format!("{} ({}%)", ByteSize(sums.cached_bytes), sums.cached_percent());
    let bytes = ByteSize(sums.bytes).to_string();
    vec![mount.path.to_string(), sums.files.to_string(), bytes, cached]
}

async fn metrics(session: &mut Session) -> Result<()> {
    let metrics = session.fs.metrics().await?;
    if session.out.is_json() {
        return session.out.json(&metrics);
    }
    for (name, value) in metrics {
        session.out.line(format!("{name}  {value}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::WorkerAddress;

    #[test]
    fn a_worker_has_a_row_whatever_its_figures() {
        let address = WorkerAddress { host: "w1".into(), rpc_port: 9203, ..Default::default() };
        let worker = WorkerInfo {
            address,
            capacity_bytes: 4 << 30,
            used_bytes: 1 << 30,
            last_contact_s: 3,
            live: true,
            ..Default::default()
        };
        assert_eq!(worker_row(&worker), ["w1:9203", "LIVE", "3s ago", "4GB", "1GB (25%)", "0B"]);
        let empty = WorkerInfo::default();
        assert_eq!(worker_row(&empty)[4], "0B (0%)");
    }
}
