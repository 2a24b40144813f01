//! The HTTP side of a role: `/health` for probes, `/metrics` for Prometheus, `/config` for people.
//!
//! Nothing here changes anything, and credentials show as stars.

use crate::core::config::{Config, all_settings};
use crate::core::error::{Context, Result};
use crate::core::metrics::Metrics;
use crate::core::model::mount::is_secret;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What a role shows.
#[derive(Clone)]
pub struct Pages {
    /// The role's name.
    pub role: &'static str,
    /// Its metrics, refreshed by [`Pages::refresh`] before they are shown.
    pub metrics: Metrics,
    /// Sets gauges that are cheaper to read than to keep.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
    /// Why the role is not healthy; none when it is.
    pub unhealthy: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// What it runs with.
    pub config: Arc<Config>,
    /// What only this role answers.
    pub more: Router,
}

/// Serves a role's pages until `shutdown` ends.
///
/// # Errors
/// `Internal` when the listener fails.
pub async fn serve(
    listener: TcpListener,
    pages: Pages,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let role = pages.role;
    let more = pages.more.clone();
    let router = Router::new()
        .route(
            "/",
            get(move || async move { format!("goosefs {role}: /health /metrics /config\n") }),
        )
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/config", get(config))
        .with_state(pages)
        .merge(more);
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
        .context("serving the web page")
}

async fn health(State(pages): State<Pages>) -> (StatusCode, String) {
    match (pages.unhealthy)() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    (pages.refresh)();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], pages.metrics.encode()).into_response()
}

async fn config(State(pages): State<Pages>) -> String {
    let line = |name: &str| {
        let value = pages.config.get(name).ok()?;
        let text = if is_secret(name) { "******" } else { &value.text };
        Some(format!("{name}={text} ({})\n", value.source))
    };
    all_settings().filter_map(|setting| line(setting.name)).collect()
}
