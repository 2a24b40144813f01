//! The listening side.

use super::connection::Connection;
use super::{CONNECTION_WINDOW, FRAME_SIZE, STREAM_WINDOW};
use crate::core::error::{Context, Error, ErrorKind, Result};
use futures::TryStreamExt;
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

/// What may be on its way to us at once, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Of one stream.
    pub stream: u32,
    /// Of one connection.
    pub connection: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Windows { stream: STREAM_WINDOW, connection: CONNECTION_WINDOW }
    }
}

impl Windows {
    /// For a process that has little memory. What bounds it is the window of each stream: those
    /// that wait for memory are not read, and with a small window of the connection they would keep
    /// it from the one that has some, for which they wait.
    pub const SMALL: Windows = Windows { stream: 256 << 10, connection: 1 << 30 };
    /// The same for a process that is asked for much and told little.
    pub const SMALLEST: Windows = Windows { stream: 32 << 10, connection: 1 << 30 };
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
    serve_within(Windows::default(), listener, routes, grace, shutdown).await
}

/// Serves `routes` within these windows until `shutdown` ends, then lets calls in flight finish for
/// up to `grace`.
///
/// # Errors
/// `Internal` when the listener fails.
pub async fn serve_within(
    windows: Windows,
    listener: TcpListener,
    routes: Routes,
    grace: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(Connection::new);
    let (told, stopping) = tokio::sync::oneshot::channel();
    let server = Server::builder()
        .initial_stream_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
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
