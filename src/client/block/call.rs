//! A gRPC call whose bytes are not copied on the way: framing by hand, around data that passes as
//! the slices it came in. The generated client copies every byte into a buffer of its own, in both
//! directions; at the speed of memory that is half of the work.

use crate::core::error::{Error, ErrorKind, Result, internal, unavailable};
use crate::core::rpc::{Channel, from_status};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tonic::body::Body;
use tower::{Service, ServiceExt};

/// Why a worker did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the worker itself could not be reached, or was lost on the way.
    pub(super) unreachable: bool,
}

impl Failure {
    /// Whether a new connection may do better.
    pub(super) fn stale(&self) -> bool {
        self.unreachable || self.error.kind() == ErrorKind::Unauthenticated
    }

    /// What the worker itself said.
    fn said(status: &tonic::Status) -> Self {
        Failure { error: from_status(status), unreachable: false }
    }

    pub(super) fn broken(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let error = unavailable("the connection broke").with_source(cause);
        Failure { error, unreachable: true }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let unreachable = error.kind() == ErrorKind::Unavailable;
        Failure { error, unreachable }
    }
}

/// The answer to a call, as it comes in.
pub(super) struct Answer(Body);

impl Answer {
    /// Calls `method` with what `frames` gives, and waits until the other side has accepted. The
    /// call is half-closed when `frames` ends, and reset when it fails.
    pub(super) async fn of<S>(
        mut channel: Channel,
        method: &'static str,
        frames: S,
    ) -> Result<Answer, Failure>
    where
        S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
    {
        let call = http::Request::post(method)
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(Body::new(StreamBody::new(frames.map(|bytes| bytes.map(Frame::data)))))
            .expect("a constant address and constant headers are valid");
        let channel = channel.ready().await.map_err(Failure::broken)?;
        let answer = channel.call(call).await.map_err(Failure::broken)?;
        if let Some(status) = tonic::Status::from_header_map(answer.headers())
            && status.code() != tonic::Code::Ok
        {
            return Err(Failure::said(&status));
        }
        if answer.status() != http::StatusCode::OK {
            let text = format!("not a worker: it answers HTTP {}", answer.status());
            return Err(internal(text).into());
        }
        Ok(Answer(Body::new(answer.into_body())))
    }

    /// The next bytes; none when the call has ended well.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(frame) = self.0.frame().await else {
            // A call ends with trailers; without them the connection went away.
            return Err(Failure::broken("the answer has no end"));
        };
        match frame.map_err(Failure::broken)?.into_data() {
            Ok(data) => Ok(Some(data)),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                match tonic::Status::from_header_map(&trailers) {
                    Some(status) if status.code() != tonic::Code::Ok => Err(Failure::said(&status)),
                    _ => Ok(None),
                }
            }
        }
    }
}

/// A message in gRPC's framing: not compressed, its length, itself.
pub(super) fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode(&mut frame).expect("there is room for it");
    frame.freeze()
}
