//! `ns setLimits`, and what of it `ns create` takes too.

use crate::cli::session::Session;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::{ByteSize, Priority, limits};
use clap::Args;
use std::collections::BTreeMap;

/// Bound what a namespace takes of the cache, of the master and of its under store
///
/// What is not named stays as it is; `none` removes a bound.
///
/// A quota is of the cache of all workers together; each keeps to its part of it, by its part of
/// all capacity. Beyond its quota a namespace makes room among its own blocks; what cannot be
/// cached is read from the under store. With a quota of 0 nothing is cached, and what is goes, but
/// for what is pinned or not persisted yet. Blocks of a lower priority go before those of a higher
/// one.
///
/// Above the bound on requests the master has callers wait, and tells those that would wait for
/// long to come again.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs ns setLimits sales --cacheQuota 2TB --cachePriority HIGH
  goosefs ns setLimits scratch --cachePriority LOW --maxRequests 500
  goosefs ns setLimits sales --ufsBandwidth 200MB
  goosefs ns setLimits sales --cacheQuota none")]
pub struct SetLimits {
    /// Name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    bounds: Bounds,
}

/// What a namespace may take.
#[derive(Args, Debug)]
pub struct Bounds {
    /// Bytes of the cluster's cache it may take, as in 500GB; none for no bound
    #[arg(long = "cacheQuota", visible_alias = "cache-quota", value_name = "SIZE", value_parser = bound::<ByteSize>)]
    cache_quota: Option<Bound>,
    /// How strongly its blocks stay: LOW, NORMAL or HIGH
    #[arg(long = "cachePriority", visible_alias = "cache-priority", value_name = "PRIORITY")]
    cache_priority: Option<Priority>,
    /// Requests a second that the master takes for it; none for no bound
    #[arg(long = "maxRequests", visible_alias = "max-requests", value_name = "NUMBER", value_parser = bound::<u64>)]
    max_requests: Option<Bound>,
    /// Bytes a second between all workers and its under store, as in 100MB; none for no bound
    #[arg(
        long = "ufsBandwidth",
        visible_alias = "ufs-bandwidth",
        value_name = "SIZE",
        value_parser = bound::<ByteSize>
    )]
    ufs_bandwidth: Option<Bound>,
}

/// The value of a property; empty to remove it.
#[derive(Clone, Debug)]
pub struct Bound(String);

/// Reads what a `T` can be read from, or `none`.
fn bound<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Bound, String> {
    match text {
        "none" => Ok(Bound(String::new())),
        _ => text.parse::<T>().map(|_| Bound(text.into())).map_err(|error| error.to_string()),
    }
}

impl Bounds {
    /// As properties of the mount, of which an empty one is to be removed.
    pub fn properties(self) -> BTreeMap<String, String> {
        let priority = self.cache_priority.map(|priority| priority.name().to_string());
        let said = [
            (limits::CACHE_QUOTA, self.cache_quota.map(|bound| bound.0)),
            (limits::CACHE_PRIORITY, priority),
            (limits::REQUESTS, self.max_requests.map(|bound| bound.0)),
            (limits::UFS_BANDWIDTH, self.ufs_bandwidth.map(|bound| bound.0)),
        ];
        said.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect()
    }
}

impl SetLimits {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let limits = self.bounds.properties();
        if limits.is_empty() {
            return Err(invalid_argument(
                "none of --cacheQuota, --cachePriority, --maxRequests and --ufsBandwidth says what to set",
            ));
        }
        session.fs.limit_namespace(&self.name, limits).await?;
        session.out.note(format!("Set the limits of namespace {}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_removes_a_bound_and_what_is_not_named_stays() {
        let bounds = Bounds {
            cache_quota: Some(bound::<ByteSize>("none").unwrap()),
            cache_priority: None,
            max_requests: Some(bound::<u64>("70").unwrap()),
            ufs_bandwidth: None,
        };
        let properties = bounds.properties();
        assert_eq!(properties[limits::CACHE_QUOTA], "");
        assert_eq!((properties[limits::REQUESTS].as_str(), properties.len()), ("70", 2));
        assert!(bound::<ByteSize>("much").is_err() && bound::<u64>("-1").is_err());
    }
}
