//! Signals that end a process.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is asked to stop: SIGTERM or SIGINT.
pub async fn shutdown() {
    // Installing a handler fails only outside a runtime or for a forbidden signal; both are bugs.
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping on SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping on SIGINT"),
    }
}
