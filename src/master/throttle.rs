//! How many requests a namespace may make of the master: so that one that asks without end leaves time
//! for the others.
//!
//! Requests beyond the bound wait for their turn, and are refused where it is far off: what waits is
//! bounded too. Whoever is refused may come again; our clients do, with longer and longer waits between.
//! What ends something that was let in before, such as the end of a write, always gets through.

use super::mount::MountTable;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::model::{FsPath, MountId};
use crate::core::runtime::Rate;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// What was not asked for in so long may be asked for at once.
const BURST: Duration = Duration::from_secs(1);

/// The rates of all mounts whose requests are bounded.
#[derive(Debug, Default)]
pub struct Throttle {
    rates: Mutex<HashMap<MountId, Rate>>,
}

impl Throttle {
    /// Lets a request about `path` through when its turn comes.
    ///
    /// # Errors
    /// `Aborted` when that is too far off.
    pub async fn admit(&self, mounts: &MountTable, path: &FsPath) -> Result<()> {
        let Some((mount, requests)) = mounts.throttle(path) else { return Ok(()) };
        let rate = self.rate_of(mounts, mount.id, requests);
        if rate.turn_within(PATIENCE, BURST).await {
            return Ok(());
        }
        let name = mount.path.as_str().trim_start_matches('/');
        let name = if name.is_empty() { "/" } else { name };
        Err(Error::new(
            ErrorKind::Aborted,
            format!(
                "namespace {name} is busy: more than its {requests} requests a second are made; try \
                 again later, or raise the bound with `goosefs ns setLimits {name} --maxRequests`"
            ),
        ))
    }

    fn rate_of(&self, mounts: &MountTable, mount: MountId, requests: u64) -> Rate {
        let mut rates = self.rates.lock();
        if let Some(rate) = rates.get(&mount) {
            rate.set(requests);
            return rate.clone();
        }
        // Those of mounts that are gone go with the next that comes.
        rates.retain(|&id, _| mounts.by_id(id).is_some());
        rates.entry(mount).or_insert_with(|| Rate::new(requests)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::{MountInfo, limits};
    use std::time::Instant;

    #[tokio::test]
    async fn what_is_beyond_the_bound_waits_and_what_is_far_beyond_is_refused() {
        let properties = [(limits::REQUESTS.to_string(), "100".to_string())].into();
        let mount = MountInfo {
            id: 2,
            path: FsPath::parse("/busy").unwrap(),
            ufs: "file:///busy".into(),
            read_only: false,
            shared: false,
            properties,
        };
        let mounts = MountTable::new([mount]);
        let throttle = Throttle::default();
        let (inside, outside) = (FsPath::parse("/busy/x").unwrap(), FsPath::parse("/x").unwrap());
        let start = Instant::now();
        let all = futures::future::join_all((0..300).map(|_| throttle.admit(&mounts, &inside)));
        let refused: Vec<_> = all.await.into_iter().filter_map(Result::err).collect();
        assert!((50..=199).contains(&refused.len()), "{} of 300", refused.len());
        assert!(start.elapsed() >= PATIENCE / 2, "some waited");
        let error = &refused[0];
        assert_eq!(error.kind(), ErrorKind::Aborted);
        assert!(error.to_string().contains("namespace busy is busy"), "{error}");
        for _ in 0..1000 {
            throttle.admit(&mounts, &outside).await.unwrap();
        }
    }
}
