//! The listening side.

use super::{CONNECTION_WINDOW, FRAME_SIZE, STREAM_WINDOW};
use crate::core::error::{Context, Error, ErrorKind, Result};
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Streams one connection may have open: clients read many blocks at a time.
const MAX_STREAMS: u32 = 10_000;

/// Binds `host:port`; port 0 takes any that is free.
///
/// # Errors
/// `AlreadyExists` when the port is in use, naming `property`, which sets it.
pub async fn bind(host: &str, port: u16, property: &str) -> Result<TcpListener> {
    TcpListener::bind((host, port)).await.map_err(|e| {
        let kind = match e.kind() {
            std::io::ErrorKind::AddrInUse => ErrorKind::AlreadyExists,
            _ => ErrorKind::InvalidArgument,
        };
        Error::new(kind, format!("cannot listen on {host}:{port}: {e}; set {property} to another"))
    })
}

/// A port of 127.0.0.1 that was free a moment ago, for a cluster that nobody else has to find.
///
/// # Errors
/// `Internal` when there is none.
pub fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

/// Serves `routes` until `shutdown` ends, then lets calls in flight finish for up to `grace`.
///
/// # Errors
/// `Internal` when the listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    grace: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let (told, stopping) = tokio::sync::oneshot::channel();
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move {
            shutdown.await;
            told.send(()).ok();
        });
    tokio::pin!(server);
    let result = tokio::select! {
        result = &mut server => result,
        // Authentication streams stay open as long as their clients do; they must not hold us up.
        () = async { stopping.await.ok(); tokio::time::sleep(grace).await } => Ok(()),
    };
    result
        .map_err(|e| Error::new(ErrorKind::Internal, "listening").with_source(e))
        .context("serving gRPC")
}
