//! Which workers to ask for a block, and in which order.
//!
//! Data that is nowhere else has locations, and they come first. All other data belongs to its
//! owners on the ring: as many as there are copies, and of those the one on this host first. After
//! them come more of the ring, for when the owners cannot be reached.

use super::super::context::{Context, Workers};
use crate::core::model::{BlockStatus, WorkerId, WorkerInfo};

/// Workers that are asked at least before a read is given up.
const READ_TRIES: usize = 3;

/// The workers to ask for `block`, the best first.
pub(in super::super) fn candidates(
    context: &Context,
    workers: &Workers,
    block: &BlockStatus,
) -> Vec<WorkerInfo> {
    let copies = context.config.client.replicas.max(1) as usize;
    order(workers, block, copies, |id| context.is_failed(id))
}

fn order(
    workers: &Workers,
    block: &BlockStatus,
    copies: usize,
    failed: impl Fn(WorkerId) -> bool,
) -> Vec<WorkerInfo> {
    let is_remote = |worker: &WorkerInfo| !workers.local.contains(&worker.id);
    let mut chosen: Vec<WorkerInfo> =
        block.locations.iter().filter_map(|&id| workers.get(id)).cloned().collect();
    // Stable sorts: this host's first, and those that failed lately last of all.
    chosen.sort_by_key(is_remote);
    chosen.sort_by_key(|worker| failed(worker.id));
    let wanted = copies.max(READ_TRIES);
    let mut owners: Vec<WorkerInfo> =
        workers.ring.owners(block.id, wanted, &failed).into_iter().cloned().collect();
    let primary = copies.min(owners.len());
    owners[..primary].sort_by_key(is_remote);
    for owner in owners {
        if chosen.iter().all(|worker| worker.id != owner.id) {
            chosen.push(owner);
        }
    }
    chosen.truncate(wanted.max(block.locations.len()));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{BlockId, WorkerAddress};

    fn worker(id: i64) -> WorkerInfo {
        let address =
            WorkerAddress { host: format!("w{id}"), rpc_port: 9203, ..Default::default() };
        WorkerInfo { id, address, virtual_nodes: 200, live: true, ..Default::default() }
    }

    fn ids(workers: &Workers, block: &BlockStatus, copies: usize, failed: &[i64]) -> Vec<i64> {
        order(workers, block, copies, |id| failed.contains(&id)).iter().map(|w| w.id).collect()
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
    fn a_worker_that_failed_is_asked_only_when_nothing_else_is_left() {
        let workers = Workers::of((1..=2).map(worker).collect(), &[]);
        let owners = ids(&workers, &block(&[]), 1, &[]);
        assert_eq!(ids(&workers, &block(&[]), 1, &[owners[0]]), [owners[1]]);
        assert_eq!(ids(&workers, &block(&[]), 1, &[1, 2]).len(), 2);
        assert_eq!(ids(&workers, &block(&[1, 2]), 1, &[1]), [2, 1]);
    }
}
