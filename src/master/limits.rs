//! What namespaces may take, and what they take.
//!
//! A quota is of the cluster's cache, a bandwidth is of all workers; each keeps to its part, which is
//! the part of all capacity that it has: blocks are spread like that too. While blocks move, since
//! workers come or go, the parts of a quota overlap, so that nothing is dropped before it has moved;
//! those of a bandwidth never do. Workers are told with a heartbeat, when what they keep to is not
//! what holds now, and say with each what mounts take.

use crate::core::model::{ByteSize, Limits, MountId, Priority, WorkerId};
use crate::core::proto::grpc::block::{Allowances, MountAllowance};
use crate::core::proto::grpc::file::MountShare;
use crate::master::Master;
use prost::Message;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// What a worker is to keep to; none where that is what it keeps to, by the version it says.
pub fn allowances(master: &Master, worker: WorkerId, kept: Option<u64>) -> Option<Allowances> {
    let mounts = master.files.mounts();
    let bound = mounts.iter().filter_map(|mount| {
        let limits = Limits::known(&mount.properties);
        limits.bound_workers().then(|| (mount.id, mount.path.as_str().to_string(), limits))
    });
    let bound: Vec<_> = bound.collect();
    // Where nothing is bound, nothing has to be shared.
    let parts = match bound.is_empty() {
        true => Parts::default(),
        false => Parts {
            cache: master.workers.cache_share_of(worker),
            bandwidth: master.workers.share_of(worker),
        },
    };
    let mounts = bound.into_iter().map(|(id, path, limits)| allowance(id, path, limits, parts));
    let allowances = Allowances { version: None, mounts: mounts.collect() };
    let mut hasher = DefaultHasher::new();
    hasher.write(&allowances.encode_to_vec());
    let version = hasher.finish();
    (kept != Some(version)).then_some(Allowances { version: Some(version), ..allowances })
}

/// The parts of what all workers may take that one may.
#[derive(Clone, Copy, Default)]
struct Parts {
    cache: f64,
    bandwidth: f64,
}

fn allowance(id: MountId, path: String, limits: Limits, parts: Parts) -> MountAllowance {
    let part = |ByteSize(bytes), part: f64| (bytes as f64 * part) as i64;
    let priority = Some(limits.cache_priority).filter(|&priority| priority != Priority::default());
    MountAllowance {
        mount_id: Some(id),
        path: Some(path),
        quota_bytes: limits.cache_quota.map(|bytes| part(bytes, parts.cache)),
        priority: priority.map(|priority| priority.name().into()),
        ufs_bandwidth: limits.ufs_bandwidth.map(|bytes| match part(bytes, parts.bandwidth) {
            // One without any capacity still reads through.
            0 => bytes.0 as i64,
            part => part,
        }),
    }
}

/// What each mount takes of the cache, and what it may take.
pub fn shares(master: &Master) -> Vec<MountShare> {
    let cached: HashMap<MountId, u64> = master.workers.cached();
    let mounts = master.files.mounts();
    let share = |mount: &crate::core::model::MountInfo| MountShare {
        mount_id: Some(mount.id),
        path: Some(mount.path.to_string()),
        cached_bytes: Some(cached.get(&mount.id).copied().unwrap_or_default() as i64),
        limits: Limits::known(&mount.properties).to_properties().into_iter().collect(),
    };
    mounts.iter().map(|mount| share(mount)).collect()
}
