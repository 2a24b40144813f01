//! The master's page: health, metrics, configuration.

use super::Master;
use crate::core::metrics::names;
use crate::core::runtime::Group;
use crate::core::web::{self, Pages};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves the page until `group` stops.
pub fn show(master: &Arc<Master>, listener: TcpListener, group: &Group) {
    let (refreshed, asked) = (master.clone(), master.clone());
    let pages = Pages {
        role: "master",
        metrics: master.counts.clone(),
        refresh: Arc::new(move || refresh(&refreshed)),
        // A standby is healthy: it is there to take over.
        unhealthy: Arc::new(move || {
            let waits = asked.journal.is_primary() && !asked.is_primary();
            waits.then(|| "primary, but not ready yet".to_string())
        }),
        config: Arc::new(master.config.clone()),
    };
    let stopping = group.stopping();
    group.spawn("web page", async move {
        if let Err(error) = web::serve(listener, pages, stopping).await {
            tracing::warn!(%error, "the web page is gone");
        }
    });
}

fn refresh(master: &Master) {
    let totals = master.workers.totals();
    let set = |name, value: u64| {
        master.counts.gauge(name).set(value as i64);
    };
    set(&names::MASTER_LIVE_WORKERS, totals.live as u64);
    set(&names::MASTER_LOST_WORKERS, totals.lost as u64);
    set(&names::MASTER_CAPACITY, totals.capacity_bytes);
    set(&names::MASTER_USED, totals.used_bytes);
    let entries = master.counts.counter(&names::MASTER_ENTRIES);
    entries.inc_by(master.journal.standing().applied.saturating_sub(entries.get()));
}
