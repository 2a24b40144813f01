//! How many copies of a file the cache is to hold.
//!
//! Kept as extended attributes of the file, since few files have any: what has none is cached as it
//! is read, at whatever number of workers.

use std::collections::BTreeMap;

/// The attribute with the number of copies that are always to be there.
pub const MIN: &str = "innerReplicationMin";
/// The attribute with the number of copies that there may be.
pub const MAX: &str = "innerReplicationMax";

/// Bounds on the cached copies of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// So many are always there; 0: none has to be.
    pub min: u32,
    /// So many at most; none: no bound.
    pub max: Option<u32>,
}

impl Replication {
    /// What the attributes of a file say.
    pub fn of(xattrs: &BTreeMap<String, Vec<u8>>) -> Self {
        let number = |name: &str| std::str::from_utf8(xattrs.get(name)?).ok()?.parse().ok();
        let min = number(MIN).unwrap_or_default();
        // A bound below the other one gives way to it.
        Replication { min, max: number(MAX).map(|max: u32| max.max(min)) }
    }

    /// Whether it says anything.
    pub fn is_set(&self) -> bool {
        *self != Replication::default()
    }

    /// `copies`, or the nearest number within the bounds.
    pub fn clamp(&self, copies: u32) -> u32 {
        copies.max(self.min).min(self.max.unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_come_from_attributes_and_the_minimum_wins() {
        let of = |pairs: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
            Replication::of(&pairs.iter().map(pair).collect())
        };
        assert!(!of(&[("x", "1"), (MIN, "many")]).is_set());
        assert_eq!(of(&[(MIN, "2")]), Replication { min: 2, max: None });
        assert_eq!(of(&[(MIN, "3"), (MAX, "1")]), Replication { min: 3, max: Some(3) });
        let bounds = of(&[(MIN, "2"), (MAX, "3")]);
        assert_eq!([1, 2, 3, 9].map(|n| bounds.clamp(n)), [2, 2, 3, 3]);
    }
}
