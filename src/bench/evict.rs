//! Which eviction policy keeps what matters: the very code that workers run, against made-up and
//! recorded accesses, and against what a clairvoyant would have kept.
//!
//! The clairvoyant evicts what is asked for again the latest, or passes by what would be that itself
//! (Belady). With blocks of one size nobody can do better. With mixed sizes the true optimum cannot
//! be computed in reasonable time; the same rule stands in for it, and may be beaten.

use crate::core::error::{Context, Result, invalid_argument};
use crate::core::eviction;
use crate::core::model::EvictionPolicy;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::BufRead;
use std::path::Path;

/// The policies that are compared.
pub const POLICIES: [EvictionPolicy; 3] =
    [EvictionPolicy::S3Fifo, EvictionPolicy::Lru, EvictionPolicy::Lfu];
/// A block of the made-up traces of one size.
const BLOCK: u64 = 1 << 20;
/// Where ids of a scan begin: nothing else asks for these.
const SCANNED: u64 = 1 << 40;

/// Accesses to blocks, and the cache they meet.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it stands for.
    pub name: String,
    /// Bytes the cache holds.
    pub capacity: u64,
    /// Blocks in the order they are asked for: id and size.
    pub accesses: Vec<(u64, u64)>,
    /// Accesses before which a scan begins and after which it has ended, where there is one.
    scan: Option<(usize, usize)>,
}

/// What came of a trace.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The trace.
    pub trace: String,
    /// How often something was asked for.
    pub accesses: usize,
    /// Bytes the cache holds.
    pub capacity_bytes: u64,
    /// Bytes of all blocks that were asked for.
    pub footprint_bytes: u64,
    /// One a policy.
    pub policies: Vec<Score>,
    /// The share of accesses that the clairvoyant finds in the cache.
    pub optimum: f64,
    /// The same in bytes.
    pub optimum_bytes: f64,
}

/// What a policy reached.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// Its name.
    pub policy: &'static str,
    /// The share of accesses found in the cache.
    pub hit_ratio: f64,
    /// The same in bytes.
    pub byte_hit_ratio: f64,
    /// `hit_ratio` as a share of the clairvoyant's.
    pub of_optimum: f64,
    /// Of the bytes of the hot set (the half of the cache asked for most often before a scan) those
    /// that are there after it.
    pub hot_set_kept: Option<f64>,
}

/// Plays every trace to every policy.
pub fn compare(traces: &[Trace]) -> Vec<Outcome> {
    traces.iter().map(Trace::compare).collect()
}

/// The made-up traces, each of about `accesses` accesses.
pub fn made_up(accesses: usize) -> Vec<Trace> {
    // The same every time: figures of two days can be compared.
    let mut random = StdRng::seed_from_u64(7);
    let blocks = (accesses / 10).max(100);
    let capacity = (blocks / 10) as u64;
    let zipf = Zipf::new(blocks, 1.0);
    let trace = |name: &str, ids: Vec<u64>| Trace {
        name: name.into(),
        capacity: capacity * BLOCK,
        accesses: ids.into_iter().map(|id| (id, BLOCK)).collect(),
        scan: None,
    };
    let half = zipf.take(accesses / 2, &mut random);
    let scan = half.len()..half.len() + 10 * capacity as usize;
    let scanned = scan.clone().map(|id| SCANNED + id as u64);
    let other = zipf.take(accesses / 2, &mut random);
    let with_scan = half.iter().copied().chain(scanned).chain(other).collect();
    let around = capacity * 11 / 10;
    let size = |id: u64| 1 << (16 + id.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 11);
    let mixed = zipf.take(accesses, &mut random);
    vec![
        trace("zipf", zipf.take(accesses, &mut random)),
        Trace {
            scan: Some((scan.start, scan.end)),
            ..trace("zipf and one scan of 10 caches", with_scan)
        },
        trace("loop of 1.1 caches", (0..accesses as u64).map(|at| at % around).collect()),
        trace("hot set that shifts", shifting(&zipf, accesses, &mut random)),
        Trace {
            accesses: mixed.iter().map(|&id| (id, size(id))).collect(),
            capacity: (0..blocks as u64).map(size).sum::<u64>() / 10,
            ..trace("zipf, blocks of 64 KiB to 64 MiB", Vec::new())
        },
    ]
}

/// What is popular moves on ten times.
fn shifting(zipf: &Zipf, accesses: usize, random: &mut StdRng) -> Vec<u64> {
    let blocks = zipf.0.len() as u64;
    let move_on = |(at, id): (usize, u64)| {
        let phase = (at * 10 / accesses) as u64;
        (id + phase * blocks / 20) % blocks
    };
    zipf.take(accesses, random).into_iter().enumerate().map(move_on).collect()
}

/// A recorded trace: a line `id size` for each access. The cache holds `capacity` bytes, or what the
/// worker that recorded it holds, or else a tenth of what is asked for; of a sample of all blocks, it
/// holds that share of it.
///
/// # Errors
/// Why the file cannot be read, and which line is wrong.
pub fn recorded(path: &Path, capacity: Option<u64>) -> Result<Trace> {
    let reading = || format!("reading {}", path.display());
    let file = std::fs::File::open(path).with_context(reading)?;
    let mut accesses = Vec::new();
    let (mut share, mut recorded) = (1.0, None);
    for (number, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.with_context(reading)?;
        if line.trim().is_empty() || line.starts_with('#') {
            let told = |name| line.split_whitespace().find_map(|word| word.strip_prefix(name));
            share = told("share=").and_then(|text| text.parse().ok()).unwrap_or(share);
            recorded = told("capacity=").and_then(|text| text.parse().ok()).or(recorded);
            continue;
        }
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        match (words.next(), words.next()) {
            (Some(Ok(id)), Some(Ok(size))) => accesses.push((id, size)),
            _ => {
                let at = format!("{}:{}", path.display(), number + 1);
                return Err(invalid_argument(format!("{at}: {line:?} is no \"id size\"")));
            }
        }
    }
    let mut trace = Trace { name: path.display().to_string(), capacity: 0, accesses, scan: None };
    let held = capacity.or(recorded).map(|bytes: u64| (bytes as f64 * share) as u64);
    trace.capacity = held.unwrap_or_else(|| trace.footprint() / 10);
    Ok(trace)
}

impl Trace {
    fn compare(&self) -> Outcome {
        let (optimum, optimum_bytes) = self.clairvoyant();
        let score = |policy: EvictionPolicy| {
            let played = self.play(policy);
            Score {
                policy: policy.name(),
                hit_ratio: played.hit_ratio,
                byte_hit_ratio: played.byte_hit_ratio,
                of_optimum: if optimum > 0.0 { played.hit_ratio / optimum } else { 1.0 },
                hot_set_kept: played.hot_set_kept,
            }
        };
        Outcome {
            trace: self.name.clone(),
            accesses: self.accesses.len(),
            capacity_bytes: self.capacity,
            footprint_bytes: self.footprint(),
            policies: POLICIES.into_iter().map(score).collect(),
            optimum,
            optimum_bytes,
        }
    }

    fn footprint(&self) -> u64 {
        self.accesses.iter().copied().collect::<HashMap<u64, u64>>().values().sum()
    }

    fn bytes(&self) -> u64 {
        self.accesses.iter().map(|(_, size)| size).sum::<u64>().max(1)
    }

    fn play(&self, policy: EvictionPolicy) -> Played {
        let mut order = eviction::new(policy);
        let mut cached: HashSet<u64> = HashSet::new();
        let (mut hits, mut bytes) = (0u64, 0u64);
        let mut hot: Vec<(u64, u64)> = Vec::new();
        let mut kept = None;
        for (at, &(id, size)) in self.accesses.iter().enumerate() {
            match self.scan {
                Some((start, _)) if at == start => {
                    hot = self.hot_set(start);
                    hot.retain(|(id, _)| cached.contains(id));
                }
                Some((_, end)) if at == end => kept = Some(share(&hot, &cached)),
                _ => {}
            }
            if cached.contains(&id) {
                hits += 1;
                bytes += size;
                order.access(id);
            } else if size <= self.capacity {
                while order.bytes() + size > self.capacity {
                    let Some((gone, _)) = order.evict() else { break };
                    cached.remove(&gone);
                }
                order.insert(id, size);
                cached.insert(id);
            }
        }
        Played {
            hit_ratio: hits as f64 / self.accesses.len().max(1) as f64,
            byte_hit_ratio: bytes as f64 / self.bytes() as f64,
            hot_set_kept: kept,
        }
    }

    /// What was asked for most often in the first `end` accesses, as much as half of the cache holds.
    fn hot_set(&self, end: usize) -> Vec<(u64, u64)> {
        let mut times: HashMap<(u64, u64), u64> = HashMap::new();
        self.accesses[..end].iter().for_each(|access| *times.entry(*access).or_default() += 1);
        let mut blocks: Vec<_> = times.into_iter().collect();
        blocks.sort_unstable_by_key(|&(block, times)| (std::cmp::Reverse(times), block));
        let mut total = 0;
        let hot = blocks.into_iter().map(|(block, _)| block);
        hot.take_while(|(_, size)| {
            total += size;
            total <= self.capacity / 2
        })
        .collect()
    }

    /// The hit ratios, by accesses and by bytes, of who knows what will be asked for.
    fn clairvoyant(&self) -> (f64, f64) {
        // For each access, when the same block is asked for the next time.
        let mut next = vec![usize::MAX; self.accesses.len()];
        let mut later: HashMap<u64, usize> = HashMap::new();
        for (at, (id, _)) in self.accesses.iter().enumerate().rev() {
            next[at] = later.insert(*id, at).unwrap_or(usize::MAX);
        }
        let mut cached: HashMap<u64, (usize, u64)> = HashMap::new();
        let mut by_next: BTreeSet<(usize, u64)> = BTreeSet::new();
        let (mut used, mut hits, mut bytes) = (0, 0u64, 0u64);
        for (at, &(id, size)) in self.accesses.iter().enumerate() {
            if let Some((when, size)) = cached.remove(&id) {
                hits += 1;
                bytes += size;
                used -= size;
                by_next.remove(&(when, id));
            }
            if next[at] == usize::MAX {
                continue;
            }
            used += size;
            cached.insert(id, (next[at], size));
            by_next.insert((next[at], id));
            while used > self.capacity {
                let Some((_, gone)) = by_next.pop_last() else { break };
                used -= cached.remove(&gone).map_or(0, |(_, size)| size);
            }
        }
        (hits as f64 / self.accesses.len().max(1) as f64, bytes as f64 / self.bytes() as f64)
    }
}

struct Played {
    hit_ratio: f64,
    byte_hit_ratio: f64,
    hot_set_kept: Option<f64>,
}

/// The share of `blocks`' bytes that is cached.
fn share(blocks: &[(u64, u64)], cached: &HashSet<u64>) -> f64 {
    let sum = |keep: &dyn Fn(u64) -> bool| {
        blocks.iter().filter(|(id, _)| keep(*id)).map(|(_, size)| size).sum::<u64>() as f64
    };
    sum(&|id| cached.contains(&id)) / sum(&|_| true).max(1.0)
}

/// Blocks of which the first is asked for most often, the n-th 1/n^s times as often.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(blocks: usize, exponent: f64) -> Zipf {
        let mut total = 0.0;
        let add = |rank: usize| {
            total += (rank as f64).powf(-exponent);
            total
        };
        Zipf((1..=blocks).map(add).collect())
    }

    fn take(&self, count: usize, random: &mut StdRng) -> Vec<u64> {
        let total = self.0.last().copied().unwrap_or_default();
        let mut draw = || random.random::<f64>() * total;
        let at = |drawn: f64| self.0.partition_point(|&sum| sum < drawn) as u64;
        (0..count).map(|_| at(draw())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str) -> Outcome {
        let traces = made_up(100_000);
        traces.iter().find(|trace| trace.name.starts_with(name)).unwrap().compare()
    }

    #[test]
    fn the_default_is_near_the_optimum_where_some_blocks_are_popular() {
        let found = outcome("zipf");
        let [default, lru, _] = &found.policies[..] else { panic!("{found:?}") };
        assert_eq!(default.policy, EvictionPolicy::default().name());
        assert!(default.of_optimum >= 0.9, "{found:?}");
        assert!(default.hit_ratio > lru.hit_ratio, "{found:?}");
    }

    #[test]
    fn one_scan_of_ten_caches_does_not_flush_the_hot_set_by_default() {
        let found = outcome("zipf and one scan");
        let kept = |index: usize| found.policies[index].hot_set_kept.unwrap();
        assert!(kept(0) > 0.95, "{found:?}");
        assert_eq!(kept(1), 0.0, "LRU keeps nothing");
    }

    #[test]
    fn nobody_beats_the_clairvoyant_with_blocks_of_one_size() {
        for trace in &made_up(20_000)[..4] {
            let found = trace.compare();
            assert!(found.policies.iter().all(|score| score.of_optimum <= 1.0), "{found:?}");
        }
        let accesses = [1, 2, 3, 1, 2, 3, 1, 2, 3].map(|id| (id, 1)).to_vec();
        let trace = Trace { name: "loop".into(), capacity: 2, accesses, scan: None };
        assert_eq!(trace.clairvoyant().0, 4.0 / 9.0);
    }

    #[test]
    fn a_recorded_trace_is_read_and_a_wrong_line_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("trace");
        std::fs::write(&path, "# id size\n1 10\n2 20\n\n1 10\n").unwrap();
        let trace = recorded(&path, None).unwrap();
        assert_eq!((trace.accesses.len(), trace.footprint(), trace.capacity), (3, 30, 3));
        assert_eq!(recorded(&path, Some(30)).unwrap().compare().optimum, 1.0 / 3.0);
        // Half of the blocks meet half of the cache.
        std::fs::write(&path, "# share=0.5 capacity=60\n1 10\n").unwrap();
        assert_eq!(recorded(&path, None).unwrap().capacity, 30);
        assert_eq!(recorded(&path, Some(100)).unwrap().capacity, 50);
        std::fs::write(&path, "1 10\n2 x\n").unwrap();
        assert!(recorded(&path, None).unwrap_err().to_string().contains("trace:2"));
    }
}
