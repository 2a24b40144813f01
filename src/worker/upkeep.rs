//! What keeps the block store in order while nobody waits for it: directories are lowered to their
//! low watermark and hot blocks moved up, disks are probed, everything is read once in a while, and accesses are recorded if that is asked for.

use super::Parts;
use super::fill::run_blocking;
use super::scrub::Scrubber;
use crate::core::config;
use crate::core::runtime::{Duties, Group};
use std::time::Duration;

/// How often the directories are looked at, when nobody says that it is time.
const TEND: Duration = Duration::from_secs(1);
/// How long the store is left alone after that.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the disks are probed.
const PROBE: Duration = Duration::from_secs(2);
/// How often recorded accesses are written.
const RECORD: Duration = Duration::from_secs(1);

/// Starts all of that.
pub fn start(config: &config::Worker, parts: &Parts, group: &Group) {
    let store = parts.reads.store.clone();
    group.spawn_until_stop("tend the store", async move {
        loop {
            tokio::time::timeout(TEND, store.untidy()).await.ok();
            let tending = store.clone();
            if let Err(error) = run_blocking(move || tending.tend()).await {
                tracing::error!(%error, "tending the block store");
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let duties = Duties::default();
    let probed = parts.reads.store.clone();
    duties.start(group, "probe the disks", PROBE, move || {
        let store = probed.clone();
        async move { run_blocking(move || store.check_dirs()).await }
    });
    if parts.reads.store.is_traced() {
        let traced = parts.reads.store.clone();
        duties.start(group, "record accesses", RECORD, move || {
            let store = traced.clone();
            async move { run_blocking(move || store.flush_trace()).await? }
        });
    }
    if let Some(scrubber) = Scrubber::new(config, &parts.reads) {
        group.spawn_until_stop("scrub", scrubber.run());
    }
}
