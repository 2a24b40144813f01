//! Locks on ranges of a file, as fcntl(2) has them. Pure: who waits for what is the caller's affair.

/// A lock that somebody holds, or would like to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLock<O> {
    /// Who: their locks never stand in each other's way.
    pub owner: O,
    /// The process, to be told to those who ask what is in their way.
    pub pid: u32,
    /// Whether nobody else may hold any; else others may share it.
    pub exclusive: bool,
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

/// The locks on one file. An owner's ranges never overlap.
#[derive(Clone, Debug)]
pub struct RecordLocks<O> {
    held: Vec<RecordLock<O>>,
}

impl<O> Default for RecordLocks<O> {
    fn default() -> Self {
        RecordLocks { held: Vec::new() }
    }
}

impl<O: Clone + PartialEq> RecordLocks<O> {
    /// What is in the way of `wanted`.
    pub fn conflict(&self, wanted: &RecordLock<O>) -> Option<&RecordLock<O>> {
        self.held.iter().find(|held| {
            held.owner != wanted.owner
                && (held.exclusive || wanted.exclusive)
                && held.start <= wanted.end
                && wanted.start <= held.end
        })
    }

    /// Takes `lock`, in the place of what its owner held of that range.
    pub fn take(&mut self, lock: RecordLock<O>) {
        self.give_up(&lock.owner, lock.start, lock.end);
        let mut lock = lock;
        // What touches and is of the same kind becomes one, or many small ones would add up.
        self.held.retain(|held| {
            let alike = held.owner == lock.owner && held.exclusive == lock.exclusive;
            let touches = held.end.checked_add(1) == Some(lock.start)
                || lock.end.checked_add(1) == Some(held.start);
            if alike && touches {
                (lock.start, lock.end) = (lock.start.min(held.start), lock.end.max(held.end));
            }
            !(alike && touches)
        });
        self.held.push(lock);
    }

    /// Gives up what `owner` holds of the bytes `start` to `end`. Whether there was anything.
    pub fn give_up(&mut self, owner: &O, start: u64, end: u64) -> bool {
        let mut rests = Vec::new();
        let before = self.held.len();
        self.held.retain(|held| {
            if held.owner != *owner || held.start > end || start > held.end {
                return true;
            }
            if held.start < start {
                rests.push(RecordLock { end: start - 1, ..held.clone() });
            }
            if held.end > end {
                rests.push(RecordLock { start: end + 1, ..held.clone() });
            }
            false
        });
        let changed = self.held.len() < before;
        self.held.extend(rests);
        changed
    }

    /// Gives up everything of those owners. Whether there was anything.
    pub fn give_up_all(&mut self, of: impl Fn(&O) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|held| !of(&held.owner));
        self.held.len() < before
    }

    /// All that is held.
    pub fn iter(&self) -> impl Iterator<Item = &RecordLock<O>> {
        self.held.iter()
    }

    /// How many ranges are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(owner: u8, exclusive: bool, start: u64, end: u64) -> RecordLock<u8> {
        RecordLock { owner, pid: 1, exclusive, start, end }
    }

    fn ranges(locks: &RecordLocks<u8>) -> Vec<(u8, bool, u64, u64)> {
        let mut all: Vec<_> =
            locks.iter().map(|l| (l.owner, l.exclusive, l.start, l.end)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn shared_locks_go_together_and_exclusive_ones_alone() {
        let mut locks = RecordLocks::default();
        locks.take(lock(1, false, 0, 9));
        assert_eq!(locks.conflict(&lock(2, false, 5, 15)), None);
        assert_eq!(locks.conflict(&lock(2, true, 9, 9)), Some(&lock(1, false, 0, 9)));
        assert_eq!(locks.conflict(&lock(2, true, 10, u64::MAX)), None);
        assert_eq!(locks.conflict(&lock(1, true, 0, 9)), None, "an owner's own");
    }

    #[test]
    fn a_range_is_split_by_what_is_given_up_and_joined_by_what_is_taken() {
        let mut locks = RecordLocks::default();
        locks.take(lock(1, true, 0, u64::MAX));
        assert!(locks.give_up(&1, 10, 19));
        assert_eq!(ranges(&locks), [(1, true, 0, 9), (1, true, 20, u64::MAX)]);
        assert!(!locks.give_up(&1, 10, 19));
        assert!(!locks.give_up(&2, 0, 5));
        locks.take(lock(1, false, 5, 9));
        assert_eq!(ranges(&locks)[0..2], [(1, false, 5, 9), (1, true, 0, 4)]);
        locks.take(lock(1, true, 5, 19));
        assert_eq!(ranges(&locks), [(1, true, 0, u64::MAX)]);
        assert!(locks.give_up_all(|owner| *owner == 1) && locks.is_empty());
    }
}
