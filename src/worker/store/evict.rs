//! Which blocks go first: those nobody has asked for the longest, and never those of pinned files.
//! Pure; the store does what it says.

use crate::core::model::{BlockId, FileId};
use std::sync::Arc;

/// A block that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// When it was last asked for, on the store's own count.
    pub accessed: u64,
    /// Which it is.
    pub block: BlockId,
    /// Bytes that come free.
    pub bytes: u64,
}

/// The files whose blocks stay whatever comes. Eight bytes a file, and a copy costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Pins(Arc<[FileId]>);

impl Pins {
    /// These, in any order.
    pub fn new(mut files: Vec<FileId>) -> Self {
        files.sort_unstable();
        Pins(files.into())
    }

    /// Whether the file is among them.
    pub fn contains(&self, file: FileId) -> bool {
        self.0.binary_search(&file).is_ok()
    }
}

/// The candidates to evict, the longest unused first, until `need` bytes come free. Fewer bytes than
/// that only where there are no more.
pub fn coldest(mut candidates: Vec<Candidate>, need: u64) -> Vec<BlockId> {
    candidates.sort_unstable();
    let mut freed = 0;
    candidates
        .into_iter()
        .filter(|candidate| candidate.bytes > 0)
        .take_while(|candidate| {
            let more = freed < need;
            freed += candidate.bytes;
            more
        })
        .map(|candidate| candidate.block)
        .collect()
}

/// Bytes to free in a directory of `quota` bytes with `used` in use, so that `more` fit below the
/// high watermark: none, or as many as bring it down to the low one.
pub fn excess(used: u64, more: u64, quota: u64, low: f64, high: f64) -> u64 {
    let share = |part: f64| (quota as f64 * part) as u64;
    let wanted = used.saturating_add(more);
    if wanted <= share(high) {
        return 0;
    }
    // A block larger than the low watermark still gets in, alone.
    wanted.saturating_sub(share(low)).min(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: i64, accessed: u64, bytes: u64) -> Candidate {
        Candidate { block: BlockId(id), accessed, bytes }
    }

    #[test]
    fn the_longest_unused_go_first_and_no_more_than_needed() {
        let all = vec![candidate(1, 30, 10), candidate(2, 10, 10), candidate(3, 20, 10)];
        let ids = |need| coldest(all.clone(), need).iter().map(|b| b.0).collect::<Vec<_>>();
        assert!(ids(0).is_empty());
        assert_eq!(ids(5), [2]);
        assert_eq!(ids(11), [2, 3]);
        assert_eq!(ids(1000), [2, 3, 1]);
    }

    #[test]
    fn pins_are_found_in_whatever_order_they_came() {
        let pins = Pins::new(vec![FileId(30), FileId(10), FileId(20)]);
        assert!([10, 20, 30].into_iter().all(|id| pins.contains(FileId(id))));
        assert!(!pins.contains(FileId(11)) && !Pins::default().contains(FileId(10)));
    }

    #[test]
    fn eviction_starts_at_the_high_watermark_and_stops_at_the_low_one() {
        assert_eq!(excess(900, 50, 1000, 0.8, 0.95), 0);
        assert_eq!(excess(900, 51, 1000, 0.8, 0.95), 151);
        assert_eq!(excess(10, 990, 1000, 0.8, 0.95), 10);
    }
}
