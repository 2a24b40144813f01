//! The master's page: health, metrics, configuration, and where data is.
//!
//! `GET /api/v1/locations?path=/data/train` tells a scheduler which hosts to run on: those that the
//! blocks of a file, or of the files below a directory, belong to, with the bytes each has or will
//! have once they are read. Nobody has to log in for it, so it tells only of what everyone may read.

use super::Master;
use super::file_system::Caller;
use crate::core::error::{Error, ErrorKind, Result};
use crate::core::metrics::names;
use crate::core::model::{FsPath, Status, WorkerId};
use crate::core::runtime::{Group, blocking};
use crate::core::security::{Access, User};
use crate::core::web::{self, Pages};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Files looked at for one answer: enough to see where a data set is.
const MOST_FILES: usize = 10_000;
/// Who asks without saying who it is: no user's name, not even the one this process runs as.
const ANYONE: &str = "anyone:without a name";

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
        more: Router::new().route("/api/v1/locations", get(locations)).with_state(master.clone()),
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

#[derive(serde::Deserialize)]
struct Question {
    path: String,
}

type Answer = std::result::Result<Json<serde_json::Value>, (StatusCode, String)>;

async fn locations(State(master): State<Arc<Master>>, Query(asked): Query<Question>) -> Answer {
    // The tree lies on a disk.
    let answer = blocking(move || locate(&master, &asked.path)).await;
    answer.map(Json).map_err(|error| {
        let code = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (code, format!("{error}\n"))
    })
}

fn locate(master: &Master, path: &str) -> Result<serde_json::Value> {
    master.check_primary()?;
    let path: FsPath = path.parse()?;
    let anyone = Caller::of(User::named(ANYONE));
    let may_read = |path: &FsPath| master.files.permit(&anyone, path, Access::READ);
    may_read(&path)?;
    let top = master.files.peek(&path)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("{path} does not exist, or has not been read yet"))
    })?;
    let ring = master.workers.ring();
    let mut bytes: HashMap<WorkerId, u64> = HashMap::new();
    let (mut files, mut length) = (0, 0);
    let mut count = |status: &Status| {
        files += 1;
        length += status.length;
        for index in 0..status.block_count() {
            let block = status.block(index);
            match block.locations.as_slice() {
                [] => {
                    if let Some(owner) = ring.owner(block.id) {
                        *bytes.entry(owner.id).or_default() += block.length;
                    }
                }
                holders => {
                    holders.iter().for_each(|id| *bytes.entry(*id).or_default() += block.length);
                }
            }
        }
    };
    let whole = match top.folder {
        false => {
            count(&top);
            true
        }
        true => master.files.each_known(&path, MOST_FILES, |status| {
            if may_read(&status.path).is_ok() {
                count(status);
            }
        })?,
    };
    let mut hosts: Vec<_> = master.workers.live();
    hosts.retain(|worker| bytes.contains_key(&worker.id));
    hosts.sort_by_key(|worker| std::cmp::Reverse(bytes[&worker.id]));
    let hosts = hosts.iter().map(|worker| {
        serde_json::json!({
            "host": worker.address.host,
            "port": worker.address.rpc_port,
            "zone": worker.locality.zone,
            "rack": worker.locality.rack,
            "bytes": bytes[&worker.id],
        })
    });
    Ok(serde_json::json!({
        "path": path.as_str(),
        "files": files,
        "length": length,
        "complete": whole,
        "hosts": hosts.collect::<Vec<_>>(),
    }))
}
