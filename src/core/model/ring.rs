//! The ring: which workers a block belongs to, computed alike by every client, worker and master
//! (protocol, section 5.6). No one has to ask.

use super::block::BlockId;
use super::worker::{Locality, WorkerId, WorkerInfo};

/// Points each worker has on the ring when it does not say otherwise.
pub const DEFAULT_VIRTUAL_NODES: u32 = 5000;
/// Points a worker has at most: everybody who knows of it has them in memory.
pub const MOST_VIRTUAL_NODES: u32 = 50_000;
/// How often a lookup tries another point before it gives up.
const MAX_ATTEMPTS: i32 = 100;

/// A consistent-hash ring over a set of workers.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    workers: Vec<WorkerInfo>,
    /// (key, index into `workers`), ordered by the signed key.
    points: Vec<(i64, u32)>,
    /// Whether anybody said where a worker is, so that copies can be kept apart.
    located: bool,
    fingerprint: i64,
}

impl Ring {
    /// A ring of these workers, each with its own number of virtual nodes. One that has none is not
    /// on it.
    pub fn new(workers: impl IntoIterator<Item = WorkerInfo>) -> Self {
        let on_ring = |worker: &WorkerInfo| worker.virtual_nodes > 0;
        let workers: Vec<WorkerInfo> = workers.into_iter().filter(on_ring).collect();
        let mut points = Vec::new();
        for (index, worker) in workers.iter().enumerate() {
            for node in 0..worker.virtual_nodes.min(MOST_VIRTUAL_NODES) as i32 {
                points.push((hash(worker.id, node), index as u32));
            }
        }
        // Of equal keys the later insert wins, as in the ordered map of the official client.
        points.sort_by_key(|&(key, _)| key);
        points.reverse();
        points.dedup_by_key(|&mut (key, _)| key);
        points.reverse();
        let located = workers.iter().any(|worker| worker.locality != Locality::default());
        let each = workers.iter().map(|worker| hash(worker.id, worker.virtual_nodes as i32));
        let fingerprint = each.fold(0, i64::wrapping_add);
        Ring { workers, points, located, fingerprint }
    }

    /// A number that is another one, in all likelihood, for a ring that places blocks otherwise.
    pub fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    /// The workers on this ring, in the order given.
    pub fn workers(&self) -> &[WorkerInfo] {
        &self.workers
    }

    /// Up to `count` workers on distinct hosts for `block`, the owner first. Where workers say in
    /// which zone and rack they are, each further one is as far from those before as can be. Workers
    /// for which `skip` says true are passed over, unless nothing else is left.
    pub fn owners(
        &self,
        block: BlockId,
        count: usize,
        skip: impl Fn(WorkerId) -> bool,
    ) -> Vec<&WorkerInfo> {
        let chosen = self.walk(block, count, &skip);
        if chosen.is_empty() { self.walk(block, count, &|_| false) } else { chosen }
    }

    /// The first worker for `block`; none on an empty ring.
    pub fn owner(&self, block: BlockId) -> Option<&WorkerInfo> {
        self.owners(block, 1, |_| false).first().copied()
    }

    fn walk(
        &self,
        block: BlockId,
        count: usize,
        skip: &dyn Fn(WorkerId) -> bool,
    ) -> Vec<&WorkerInfo> {
        if self.located && count > 1 {
            return apart(self.in_order(block, usize::MAX, skip), count);
        }
        self.in_order(block, count, skip)
    }

    /// Up to `count` workers on distinct hosts in the order in which the ring gives them.
    fn in_order(
        &self,
        block: BlockId,
        count: usize,
        skip: &dyn Fn(WorkerId) -> bool,
    ) -> Vec<&WorkerInfo> {
        let mut chosen: Vec<&WorkerInfo> = Vec::with_capacity(count.min(self.workers.len()));
        if self.points.is_empty() {
            return chosen;
        }
        for attempt in 0..MAX_ATTEMPTS {
            if chosen.len() >= count {
                break;
            }
            let point = hash(block.0, attempt);
            let at = self.points.partition_point(|&(key, _)| key < point);
            let (_, index) = self.points[at % self.points.len()];
            let worker = &self.workers[index as usize];
            let taken = chosen.iter().any(|w| w.address.host == worker.address.host);
            if !taken && !skip(worker.id) {
                chosen.push(worker);
            }
        }
        chosen
    }
}

/// `count` of `workers`: the first, then always the one that is farthest from the nearest of those
/// chosen already, and of equals the earlier.
fn apart(mut workers: Vec<&WorkerInfo>, count: usize) -> Vec<&WorkerInfo> {
    let mut chosen: Vec<&WorkerInfo> = Vec::with_capacity(count.min(workers.len()));
    while chosen.len() < count && !workers.is_empty() {
        let nearest = |worker: &WorkerInfo| {
            let distances = chosen.iter().map(|other| worker.locality.distance(&other.locality));
            distances.min().unwrap_or(u8::MAX)
        };
        let farthest = workers.iter().map(|worker| nearest(worker)).max();
        let next = workers.iter().position(|worker| Some(nearest(worker)) == farthest);
        chosen.push(workers.remove(next.unwrap_or(0)));
    }
    chosen
}

/// The first 64 bits of MurmurHash3 x64-128 (seed 0) over `a` as 8 and `b` as 4 little-endian
/// bytes; what Guava's `murmur3_128` gives for `putLong(a).putInt(b)`.
pub fn hash(a: i64, b: i32) -> i64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    const LENGTH: u64 = 12;
    fn finish(mut k: u64) -> u64 {
        k ^= k >> 33;
        k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
        k ^= k >> 33;
        k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        k ^ (k >> 33)
    }
    let k2 = u64::from(b as u32).wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let k1 = (a as u64).wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mut h1 = k1 ^ LENGTH;
    let mut h2 = k2 ^ LENGTH;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::worker::WorkerAddress;

    fn worker(id: i64, host: &str, virtual_nodes: u32) -> WorkerInfo {
        let address = WorkerAddress { host: host.into(), rpc_port: 9203, ..Default::default() };
        WorkerInfo { id, address, virtual_nodes, ..Default::default() }
    }

    fn ids(ring: &Ring, block: i64, count: usize) -> Vec<i64> {
        ring.owners(BlockId(block), count, |_| false).iter().map(|w| w.id).collect()
    }

    #[test]
    fn the_hash_is_the_official_one() {
        let vectors = [
            (1, 0, 8673688779682957586),
            (42, 7, 1969424773395075097),
            (100, 1, -8854681018154386345),
            (-1, 0, 7097917686268154775),
            (0, 0, -6568239567428591645),
            (85429583872, 0, -5867849384608515022),
            (8769479697893324776, 0, -6296241382218419536),
        ];
        for (a, b, expected) in vectors {
            assert_eq!(hash(a, b), expected, "hash({a}, {b})");
        }
    }

    #[test]
    fn the_ring_is_the_official_one() {
        let [a, b, c, d, e] = [
            8769479697893324776,
            8349952073724719185,
            144281688392029313,
            6124739522353643542,
            8816614835528527236,
        ];
        let hosts = [
            (a, "172.16.16.42"),
            (b, "172.16.16.14"),
            (c, "172.16.16.35"),
            (d, "172.16.16.46"),
            (e, "172.16.16.18"),
        ];
        let ring = Ring::new(hosts.map(|(id, host)| worker(id, host, 200)));
        assert_eq!(ids(&ring, 85429583872, 3), [e, a, d]);
        assert_eq!(ids(&ring, 85429583873, 3), [b, e, a]);
        assert_eq!(ids(&ring, 85429583874, 3), [a, e, b]);
        assert_eq!(ids(&ring, 85429583875, 3), [d, a, c]);
        assert_eq!(ids(&ring, 85429583876, 3), [a, e, c]);
        assert_eq!(ids(&ring, 85429583877, 3), [b, d, a]);
    }

    #[test]
    fn workers_on_one_host_count_once() {
        let mut workers = [
            worker(1, "w1", 200),
            worker(2, "w1", 200),
            worker(3, "w2", 200),
            worker(4, "w3", 200),
        ];
        workers[1].address.rpc_port = 9204;
        let ring = Ring::new(workers);
        assert_eq!(ids(&ring, 42, 3), [2, 3, 4]);
    }

    #[test]
    fn copies_are_in_other_zones_and_racks_where_there_are_any() {
        let at = |id, zone: &str, rack: &str| {
            let locality = Locality { zone: zone.into(), rack: rack.into() };
            WorkerInfo { locality, ..worker(id, &format!("w{id}"), 200) }
        };
        let all = [at(1, "a", "r1"), at(2, "a", "r1"), at(3, "a", "r2"), at(4, "b", "r1")];
        let plain =
            Ring::new(all.clone().map(|w| WorkerInfo { locality: Locality::default(), ..w }));
        let ring = Ring::new(all);
        for block in (1 << 24)..(1 << 24) + 200 {
            let owners = ids(&ring, block, 3);
            assert_eq!(owners[0], ids(&plain, block, 1)[0], "the owner is everyone's owner");
            let zone_b = owners.iter().position(|&id| id == 4);
            assert!(matches!(zone_b, Some(0 | 1)), "{owners:?}");
            if owners[0] == 4 {
                let racks = [owners[1], owners[2]].map(|id| id == 3);
                assert!(racks[0] != racks[1], "{owners:?}");
            }
        }
    }

    #[test]
    fn who_has_no_points_is_not_there() {
        let ring = Ring::new([worker(1, "a", 200), worker(2, "b", 0)]);
        assert_eq!(ring.workers().len(), 1);
        let same = Ring::new([worker(1, "x", 200)]);
        assert_eq!(ring.fingerprint(), same.fingerprint());
        let other = Ring::new([worker(1, "a", 200), worker(2, "b", 200)]);
        assert_ne!(ring.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_failed_worker_is_passed_over_unless_it_is_the_last() {
        let ring = Ring::new([worker(1, "a", 200), worker(2, "b", 200)]);
        let owners = ring.owners(BlockId(7), 2, |id| id == 1);
        assert_eq!(owners.iter().map(|w| w.id).collect::<Vec<_>>(), [2]);
        assert_eq!(ring.owners(BlockId(7), 2, |_| true).len(), 2);
        assert!(Ring::default().owner(BlockId(7)).is_none());
    }
}
