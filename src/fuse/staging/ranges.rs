//! Which bytes of a file are here: ranges that neither meet nor overlap.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The end of each, by its start.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Those of a list of starts and ends.
    pub fn of(list: &[(u64, u64)]) -> Self {
        let mut ranges = Ranges::default();
        list.iter().for_each(|&(start, end)| ranges.insert(start..end));
        ranges
    }

    /// Their starts and ends.
    pub fn list(&self) -> Vec<(u64, u64)> {
        self.ends.iter().map(|(&start, &end)| (start, end)).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Adds one.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // Those that meet it become one with it, from the last on.
        while let Some((&other, &other_end)) = self.ends.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.ends.remove(&other);
            (start, end) = (start.min(other), end.max(other_end));
        }
        self.ends.insert(start, end);
    }

    /// Takes out what lies at `end` and after it.
    pub fn truncate(&mut self, end: u64) {
        self.ends.split_off(&end);
        if let Some(mut last) = self.ends.last_entry() {
            let cut = end.min(*last.get());
            last.insert(cut);
        }
    }

    /// `range` in pieces, in order, each with whether it is in the set.
    pub fn pieces(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let mut pieces = Vec::new();
        let mut at = range.start;
        let before = self.ends.range(..=at).next_back();
        let inside = before.into_iter().chain(self.ends.range(at.saturating_add(1)..));
        for (&start, &end) in inside {
            if start >= range.end || at >= range.end {
                break;
            }
            let (start, end) = (start.max(at), end.min(range.end));
            if end <= at {
                continue;
            }
            if start > at {
                pieces.push((at..start, false));
            }
            pieces.push((start..end, true));
            at = end;
        }
        if at < range.end {
            pieces.push((at..range.end, false));
        }
        pieces
    }

    /// Bytes of `range` that are not in the set.
    pub fn missing(&self, range: Range<u64>) -> u64 {
        let pieces = self.pieces(range).into_iter().filter(|(_, here)| !here);
        pieces.map(|(piece, _)| piece.end - piece.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_become_one() {
        let mut ranges = Ranges::default();
        for (start, end) in [(10, 20), (30, 40), (20, 25), (50, 60), (5, 5), (39, 51)] {
            ranges.insert(start..end);
        }
        assert_eq!(ranges.list(), [(10, 25), (30, 60)]);
        ranges.insert(0..100);
        assert_eq!(ranges.list(), [(0, 100)]);
        ranges.truncate(7);
        assert_eq!(ranges.list(), [(0, 7)]);
        ranges.truncate(0);
        assert_eq!(ranges.count(), 0);
    }

    #[test]
    fn pieces_cover_what_was_asked_for() {
        let ranges = Ranges::of(&[(10, 20), (30, 40)]);
        let pieces = |range| {
            let pieces = ranges.pieces(range).into_iter();
            pieces.map(|(piece, here)| (piece.start, piece.end, here)).collect::<Vec<_>>()
        };
        assert_eq!(
            pieces(5..35),
            [(5, 10, false), (10, 20, true), (20, 30, false), (30, 35, true)]
        );
        assert_eq!(pieces(12..15), [(12, 15, true)]);
        assert_eq!(pieces(20..30), [(20, 30, false)]);
        assert_eq!(pieces(40..50), [(40, 50, false)]);
        assert_eq!(ranges.missing(0..100), 80);
        assert!(pieces(7..7).is_empty());
    }

    #[test]
    fn random_ranges_are_as_a_list_of_bytes_has_them() {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let (mut ranges, mut bytes) = (Ranges::default(), vec![false; 200]);
        for _ in 0..2000 {
            let start = random(200);
            let end = (start + random(20)).min(200);
            if random(20) == 0 {
                ranges.truncate(start);
                bytes[start as usize..].fill(false);
            } else {
                ranges.insert(start..end);
                bytes[start as usize..end as usize].fill(true);
            }
            for (piece, here) in ranges.pieces(0..200) {
                assert!(bytes[piece.start as usize..piece.end as usize].iter().all(|&b| b == here));
            }
        }
    }
}
