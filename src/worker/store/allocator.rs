//! Where a block goes: the first tier that has room, spilling over to the next while what leaves the
//! first one does not leave as fast; within a tier a directory drawn by how much of it is free and how
//! fast it writes. Pure.

/// What the allocator knows of a directory.
#[derive(Clone, Debug)]
pub struct Room {
    /// MEM, SSD or HDD: neighbours of the same medium are one tier.
    pub medium: String,
    /// Bytes it may hold.
    pub quota: u64,
    /// Bytes it may still take.
    pub free: u64,
    /// Bytes a second it took lately; none when nothing was written yet.
    pub speed: Option<u64>,
}

/// The directories to try for `bytes` more, in order: those with room as they are first, then those
/// where eviction may make room. `draw`, from 0 to 1, picks the first of several in a tier: each is
/// picked as often as its free share times its speed says. So all disks of a tier work, a fast one
/// more, and they become full together.
pub fn order(rooms: &[Room], bytes: u64, draw: f64) -> Vec<usize> {
    let mut ready = Vec::new();
    let mut full = Vec::new();
    let mut start = 0;
    for tier in rooms.chunk_by(|a, b| a.medium == b.medium) {
        let weights = weights(tier);
        let mut indices: Vec<usize> = (0..tier.len()).collect();
        indices.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
        let (with_room, without): (Vec<_>, Vec<_>) =
            indices.into_iter().partition(|&index| tier[index].free >= bytes);
        let drawn = pick(&with_room, &weights, draw);
        ready.extend(drawn.map(|index| start + index));
        let others = with_room.into_iter().filter(|index| Some(*index) != drawn);
        ready.extend(others.map(|index| start + index));
        let large_enough = without.into_iter().filter(|&index| tier[index].quota >= bytes);
        full.extend(large_enough.map(|index| start + index));
        start += tier.len();
    }
    ready.extend(full);
    ready
}

/// What each directory of a tier weighs. One that was not written to yet is taken for as fast as
/// the others are on average.
fn weights(tier: &[Room]) -> Vec<f64> {
    let known: Vec<u64> = tier.iter().filter_map(|room| room.speed).collect();
    let mean = match known.len() {
        0 => 1.0,
        count => known.iter().sum::<u64>() as f64 / count as f64,
    };
    let speed = |room: &Room| room.speed.map_or(mean, |speed| speed as f64).max(1.0);
    tier.iter().map(|room| room.free as f64 / room.quota.max(1) as f64 * speed(room)).collect()
}

fn pick(indices: &[usize], weights: &[f64], draw: f64) -> Option<usize> {
    let total: f64 = indices.iter().map(|&index| weights[index]).sum();
    let mut left = draw * total;
    let drawn = indices.iter().find(|&&index| {
        left -= weights[index];
        left < 0.0
    });
    drawn.or(indices.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(medium: &str, quota: u64, free: u64) -> Room {
        Room { medium: medium.into(), quota, free, speed: None }
    }

    #[test]
    fn the_first_tier_with_room_is_taken_and_a_full_one_spills_over() {
        let rooms =
            [room("MEM", 100, 40), room("SSD", 200, 50), room("SSD", 200, 90), room("HDD", 9, 9)];
        assert_eq!(order(&rooms, 5, 0.0), [0, 2, 1, 3]);
        assert_eq!(order(&rooms, 60, 0.0), [2, 0, 1]);
        assert_eq!(order(&rooms, 150, 0.0), [2, 1], "the rest could never hold it");
        assert!(order(&rooms, 500, 0.0).is_empty());
    }

    #[test]
    fn directories_of_a_tier_are_used_by_free_share_and_speed() {
        let share = |rooms: &[Room]| {
            let first = |draw: usize| order(rooms, 1, draw as f64 / 1000.0)[0];
            (0..1000).filter(|&draw| first(draw) == 0).count()
        };
        let fast = |speed, free| Room { speed: Some(speed), ..room("SSD", 100, free) };
        assert_eq!(share(&[fast(300, 50), fast(100, 50)]), 750);
        assert_eq!(share(&[fast(100, 20), fast(100, 80)]), 200);
        assert_eq!(share(&[fast(100, 50), room("SSD", 100, 50)]), 500, "not written to yet");
        assert_eq!(share(&[fast(100, 50), fast(100, 0)]), 1000, "no room at all");
    }
}
