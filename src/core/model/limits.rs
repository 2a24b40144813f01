//! What a namespace may take: of the cache, and of the master's time.
//!
//! Kept among the properties of its mount, under names of their own, since few mounts have any: so
//! they are set and shown wherever a mount's properties are, by official clients too. A connector
//! never sees them.

use super::size::ByteSize;
use crate::core::error::{Context, Error, Result, invalid_argument};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What the names of all of these properties begin with.
const PREFIX: &str = "goosefs.namespace.";
/// The property with the bytes of the cluster's cache that a namespace may take.
pub const CACHE_QUOTA: &str = "goosefs.namespace.cache.quota";
/// The property with how strongly its blocks stay.
pub const CACHE_PRIORITY: &str = "goosefs.namespace.cache.priority";
/// The property with the requests a second that the master takes for it.
pub const REQUESTS: &str = "goosefs.namespace.requests.max";

/// The property with the bytes a second between all workers and its under store.
pub const UFS_BANDWIDTH: &str = "goosefs.namespace.ufs.bandwidth";

/// How strongly blocks stay in the cache: none goes while one of a lower priority may.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Priority {
    /// These go first.
    Low,
    /// What nothing is said of.
    #[default]
    Normal,
    /// These go last.
    High,
}

impl Priority {
    /// Every priority, the first to go first.
    pub const ALL: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Priority::Low => "LOW",
            Priority::Normal => "NORMAL",
            Priority::High => "HIGH",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = |priority: &Priority| priority.name().eq_ignore_ascii_case(text.trim());
        Priority::ALL.into_iter().find(named).ok_or_else(|| {
            invalid_argument(format!("{text:?} is no priority: it is LOW, NORMAL or HIGH"))
        })
    }
}

/// What a namespace may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the cluster's cache; none: as much as there is. With 0 nothing of it is cached.
    pub cache_quota: Option<ByteSize>,
    /// How strongly its blocks stay.
    pub cache_priority: Priority,
    /// Requests a second at the master; none: no bound.
    pub requests: Option<u64>,
    /// Bytes a second between all workers and its under store; none: no bound.
    pub ufs_bandwidth: Option<ByteSize>,
}

impl Limits {
    /// What the properties of a mount say.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that makes no sense or a name that means nothing, with the cure.
    pub fn of(properties: &BTreeMap<String, String>) -> Result<Limits> {
        let mut limits = Limits::default();
        let ours = properties.range(PREFIX.to_string()..);
        for (name, value) in ours.take_while(|(name, _)| name.starts_with(PREFIX)) {
            match name.as_str() {
                CACHE_QUOTA => limits.cache_quota = Some(value.parse().context(name)?),
                CACHE_PRIORITY => limits.cache_priority = value.parse().context(name)?,
                REQUESTS => limits.requests = Some(requests(value).context(name)?),
                UFS_BANDWIDTH => limits.ufs_bandwidth = Some(bandwidth(value).context(name)?),
                _ => {
                    return Err(invalid_argument(format!(
                        "{name} means nothing: a namespace has {CACHE_QUOTA}, {CACHE_PRIORITY}, \
                         {REQUESTS} and {UFS_BANDWIDTH}"
                    )));
                }
            }
        }
        Ok(limits)
    }

    /// What of it the properties of a mount say, for one that was let in: what makes no sense says
    /// nothing.
    pub fn known(properties: &BTreeMap<String, String>) -> Limits {
        Limits::of(properties).unwrap_or_default()
    }

    /// As the properties of a mount say it.
    pub fn to_properties(&self) -> BTreeMap<String, String> {
        let priority =
            Some(self.cache_priority).filter(|&priority| priority != Priority::default());
        let said = [
            (CACHE_QUOTA, self.cache_quota.map(|quota| quota.0.to_string())),
            (CACHE_PRIORITY, priority.map(|priority| priority.to_string())),
            (REQUESTS, self.requests.map(|requests| requests.to_string())),
            (UFS_BANDWIDTH, self.ufs_bandwidth.map(|bytes| bytes.0.to_string())),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect()
    }

    /// Whether anything is said that workers have to know.
    pub fn bound_workers(&self) -> bool {
        self.cache_quota.is_some()
            || self.cache_priority != Priority::default()
            || self.ufs_bandwidth.is_some()
    }
}

fn requests(value: &str) -> Result<u64> {
    let number = value.trim().parse::<u64>().ok().filter(|&number| number > 0);
    number.ok_or_else(|| {
        invalid_argument(format!("{value:?} is no number of requests a second, from 1 on"))
    })
}

fn bandwidth(value: &str) -> Result<ByteSize> {
    match value.parse()? {
        ByteSize(0) => Err(invalid_argument("0 bytes a second would never end: remove the bound")),
        bytes => Ok(bytes),
    }
}

/// The properties of a mount that are its connector's.
pub fn of_connector(properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut own = properties.clone();
    own.retain(|name, _| !name.starts_with(PREFIX));
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Limits> {
        Limits::of(
            &pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        )
    }

    #[test]
    fn limits_come_from_the_properties_of_a_mount() {
        assert_eq!(of(&[("s3.region", "eu"), ("zzz", "1")]).unwrap(), Limits::default());
        let set = of(&[
            (CACHE_QUOTA, "1GB"),
            (CACHE_PRIORITY, "high"),
            (REQUESTS, "500"),
            (UFS_BANDWIDTH, "10MB"),
        ]);
        let set = set.unwrap();
        assert_eq!(set.cache_quota, Some(ByteSize(1 << 30)));
        assert_eq!((set.cache_priority, set.requests), (Priority::High, Some(500)));
        assert!(set.bound_workers() && !of(&[(REQUESTS, "1")]).unwrap().bound_workers());
        assert_eq!(Limits::of(&set.to_properties()).unwrap(), set);
        assert_eq!(of(&[(CACHE_QUOTA, "0")]).unwrap().cache_quota, Some(ByteSize(0)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let wrong = [
            (CACHE_QUOTA, "much"),
            (CACHE_PRIORITY, "urgent"),
            (REQUESTS, "0"),
            (REQUESTS, "-3"),
            (UFS_BANDWIDTH, "0"),
            ("goosefs.namespace.cache.qouta", "1GB"),
        ];
        for (name, value) in wrong {
            let error = of(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_connector_sees_none_of_them() {
        let all = [(CACHE_QUOTA, "1GB"), ("s3.region", "eu")];
        let all = all.map(|(name, value)| (name.to_string(), value.to_string())).into();
        assert_eq!(of_connector(&all).into_keys().collect::<Vec<_>>(), ["s3.region"]);
    }
}
