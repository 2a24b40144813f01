//! Where a block goes: the first tier that has room, spilling over to the next; within a tier the
//! directory with the most room. Pure.

/// What the allocator knows of a directory.
#[derive(Clone, Debug)]
pub struct Room {
    /// MEM, SSD or HDD: neighbours of the same medium are one tier.
    pub medium: String,
    /// Bytes it may hold.
    pub quota: u64,
    /// Bytes it may still take before eviction starts.
    pub free: u64,
}

/// The directories to try for `bytes` more, in order: those with room as they are first, then those
/// where eviction may make room.
pub fn order(rooms: &[Room], bytes: u64) -> Vec<usize> {
    let mut ready = Vec::new();
    let mut full = Vec::new();
    let mut start = 0;
    for tier in rooms.chunk_by(|a, b| a.medium == b.medium) {
        let mut indices: Vec<usize> = (start..start + tier.len()).collect();
        indices.sort_by_key(|&index| std::cmp::Reverse(rooms[index].free));
        start += tier.len();
        for index in indices {
            if rooms[index].free >= bytes {
                ready.push(index);
            } else if rooms[index].quota >= bytes {
                full.push(index);
            }
        }
    }
    ready.extend(full);
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(medium: &str, quota: u64, free: u64) -> Room {
        Room { medium: medium.into(), quota, free }
    }

    #[test]
    fn the_first_tier_with_room_is_taken_and_a_full_one_spills_over() {
        let rooms =
            [room("MEM", 100, 40), room("SSD", 200, 50), room("SSD", 200, 90), room("HDD", 9, 9)];
        assert_eq!(order(&rooms, 5), [0, 2, 1, 3]);
        assert_eq!(order(&rooms, 60), [2, 0, 1]);
        assert_eq!(order(&rooms, 150), [2, 1], "the rest could never hold it");
        assert!(order(&rooms, 500).is_empty());
    }
}
