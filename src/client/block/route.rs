//! Which workers to ask for a block, and in which order.
//!
//! Data that is nowhere else has locations, and they come first. All other data belongs to its
//! owners on the ring: as many as there are copies, and of those the nearest first: on this host, in
//! its rack, in its zone. After them come more of the ring, for when the owners cannot be reached.

use super::super::context::{Context, Workers};
use crate::core::model::{BlockId, BlockStatus, Locality, WorkerId, WorkerInfo};

/// Workers that are asked at least before a read is given up.
const READ_TRIES: usize = 3;
/// Workers that are tried at least before a write is given up.
const WRITE_TRIES: usize = 3;

/// The workers to ask for `block` of a file that has at least `kept` copies, the best first.
pub(in super::super) fn candidates(
    context: &Context,
    workers: &Workers,
    block: &BlockStatus,
    kept: u32,
) -> Vec<WorkerInfo> {
    let copies = context.config.client.replicas.max(kept).max(1) as usize;
    let node = &context.config.node;
    let here = Locality { zone: node.zone.clone(), rack: node.rack.clone() };
    order(workers, block, copies, &here, |id| context.is_failed(id))
}

fn order(
    workers: &Workers,
    block: &BlockStatus,
    copies: usize,
    here: &Locality,
    failed: impl Fn(WorkerId) -> bool,
) -> Vec<WorkerInfo> {
    let distance = |worker: &WorkerInfo| match workers.local.contains(&worker.id) {
        true => 0,
        false => 1 + worker.locality.distance(here),
    };
    let mut chosen: Vec<WorkerInfo> =
        block.locations.iter().filter_map(|&id| workers.get(id)).cloned().collect();
    // Stable sorts: the nearest first, and those that failed lately last of all.
    chosen.sort_by_key(distance);
    chosen.sort_by_key(|worker| failed(worker.id));
    let wanted = copies.max(READ_TRIES);
    let mut owners: Vec<WorkerInfo> =
        workers.ring.owners(block.id, wanted, &failed).into_iter().cloned().collect();
    let primary = copies.min(owners.len());
    owners[..primary].sort_by_key(distance);
    for owner in owners {
        if chosen.iter().all(|worker| worker.id != owner.id) {
            chosen.push(owner);
        }
    }
    chosen.truncate(wanted.max(block.locations.len()));
    chosen
}

/// The workers to write `block` to, the best first; more than `copies`, so that one can fail.
/// With `unpersisted`, only those with room for data that is nowhere else: none when there is none.
pub(in super::super) fn writers(
    context: &Context,
    workers: &Workers,
    block: BlockId,
    copies: usize,
    unpersisted: bool,
) -> Option<Vec<WorkerInfo>> {
    let fits = |worker: &WorkerInfo| {
        !worker.forbid_write && (!unpersisted || has_room_for_unpersisted(worker))
    };
    let refused = |id| workers.get(id).is_none_or(|worker| !fits(worker));
    if workers.ring.workers().iter().all(|worker| refused(worker.id)) {
        return None;
    }
    let wanted = copies.max(WRITE_TRIES);
    let skip = |id| refused(id) || context.is_failed(id);
    let mut chosen: Vec<WorkerInfo> =
        workers.ring.owners(block, wanted, skip).into_iter().cloned().collect();
    // Where all that fit have failed lately, the ring gives everyone.
    chosen.retain(fits);
    if chosen.is_empty() {
        chosen = workers.ring.owners(block, wanted, refused).into_iter().cloned().collect();
        chosen.retain(fits);
    }
    Some(chosen)
}

/// Whether a worker may take data that cannot be evicted (protocol, section 5.8).
fn has_room_for_unpersisted(worker: &WorkerInfo) -> bool {
    let most = worker.capacity_bytes - worker.capacity_bytes / 10;
    let left = most.saturating_sub(worker.persist_used_bytes);
    left >= 128 << 20 && left >= worker.capacity_bytes / 1000 * 15
}

/// The workers to write a file through to the under store, the best first: one on this host, then
/// any, so that the load spreads.
pub(in super::super) fn gateways(context: &Context, workers: &Workers) -> Vec<WorkerInfo> {
    use rand::seq::SliceRandom;
    let mut all = workers.list.clone();
    all.shuffle(&mut rand::rng());
    all.sort_by_key(|worker| !workers.local.contains(&worker.id));
    all.sort_by_key(|worker| context.is_failed(worker.id) || worker.forbid_write);
    all.truncate(WRITE_TRIES);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::WorkerAddress;

    fn worker(id: i64) -> WorkerInfo {
        let address =
            WorkerAddress { host: format!("w{id}"), rpc_port: 9203, ..Default::default() };
        WorkerInfo { id, address, virtual_nodes: 200, live: true, ..Default::default() }
    }

    fn ids(workers: &Workers, block: &BlockStatus, copies: usize, failed: &[i64]) -> Vec<i64> {
        let here = Locality { zone: "a".into(), rack: "1".into() };
        let order = order(workers, block, copies, &here, |id| failed.contains(&id));
        order.iter().map(|worker| worker.id).collect()
    }

    fn block(locations: &[i64]) -> BlockStatus {
        BlockStatus { id: BlockId(42), locations: locations.to_vec(), ..Default::default() }
    }

    #[test]
    fn locations_come_before_owners() {
        let workers = Workers::of((1..=6).map(worker).collect(), &[]);
        let owners = ids(&workers, &block(&[]), 1, &[]);
        assert_eq!(owners.len(), 3);
        let elsewhere = (1..=6).find(|id| !owners.contains(id)).unwrap();
        let order = ids(&workers, &block(&[elsewhere, 99]), 1, &[]);
        assert_eq!(order[0], elsewhere);
        assert_eq!(order[1..], owners[..2], "a location of a worker that is gone is passed over");
    }

    #[test]
    fn a_worker_on_this_host_is_first_only_where_a_copy_belongs_to_it() {
        let all: Vec<_> = (1..=6).map(worker).collect();
        let owners = ids(&Workers::of(all.clone(), &[]), &block(&[]), 1, &[]);
        let second = Workers::of(all.clone(), &[owners[1]]);
        assert_eq!(ids(&second, &block(&[]), 1, &[]), owners);
        assert_eq!(ids(&second, &block(&[]), 2, &[])[0], owners[1]);
    }

    #[test]
    fn of_several_copies_the_nearest_is_asked_first() {
        let at = |zone: &str, rack: &str| Locality { zone: zone.into(), rack: rack.into() };
        let places = [at("b", "1"), at("a", "2"), at("a", "1")];
        let all = (1..).zip(places).map(|(id, locality)| WorkerInfo { locality, ..worker(id) });
        let workers = Workers::of(all.collect(), &[]);
        assert_eq!(ids(&workers, &block(&[]), 3, &[]), [3, 2, 1]);
        assert_eq!(ids(&workers, &block(&[1, 2]), 1, &[])[..2], [2, 1]);
        assert_eq!(ids(&workers, &block(&[]), 3, &[3]), [2, 1]);
    }

    #[test]
    fn a_worker_that_failed_is_asked_only_when_nothing_else_is_left() {
        let workers = Workers::of((1..=2).map(worker).collect(), &[]);
        let owners = ids(&workers, &block(&[]), 1, &[]);
        assert_eq!(ids(&workers, &block(&[]), 1, &[owners[0]]), [owners[1]]);
        assert_eq!(ids(&workers, &block(&[]), 1, &[1, 2]).len(), 2);
        assert_eq!(ids(&workers, &block(&[1, 2]), 1, &[1]), [2, 1]);
    }
}
