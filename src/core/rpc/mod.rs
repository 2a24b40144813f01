//! Speech between processes: gRPC listeners, authenticated channels, the way to the primary master,
//! and errors on the wire.

pub mod auth;
pub mod channel;
pub mod connection;
pub mod error;
pub mod lend;
pub mod primary;
pub mod server;

pub use auth::{Sessions, user_of};
pub use channel::{Channel, Credentials, connect};
pub use connection::Cut;
pub use error::{from_status, to_status};
pub use primary::Primary;

/// The largest message either side takes, in bytes. Official clients may be told to use chunks of
/// more than tonic's default of 4 MiB.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Bytes one stream may have in flight: enough for several chunks, so that neither side idles.
pub(crate) const STREAM_WINDOW: u32 = 8 << 20;
/// Bytes one connection may have in flight.
pub(crate) const CONNECTION_WINDOW: u32 = 32 << 20;
/// The largest HTTP/2 frame we take: fewer frames a chunk, less work a byte.
pub(crate) const FRAME_SIZE: u32 = 1 << 20;
