//! Takes the older layout of one message.
//!
//! GooseFS 1.x numbered the fields of `ListStatusPOptions` differently (protocol, section 1.4), so
//! that the generated decoder fails on what a 1.x client sends. This wrapper looks at requests of
//! that one method and puts the options into today's order; everything else passes untouched.

use crate::core::proto::grpc::file::{FileSystemMasterCommonPOptions, ListStatusPOptions};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// The method whose requests are looked at.
const METHOD: &str = "/ListStatus";
/// A request of that method is a path and some options; more than this is none.
const MOST_BYTES: usize = 1 << 20;
/// Bytes before a message: a flag and its length.
const PREFIX: usize = 5;

/// A service whose `ListStatus` takes both layouts.
#[derive(Clone, Debug)]
pub struct Lenient<S>(pub S);

impl<S: NamedService> NamedService for Lenient<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Lenient<S>
where
    S: Service<http::Request<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // The clone takes our place; the one that said it is ready takes the call.
        let clone = self.0.clone();
        let mut inner = std::mem::replace(&mut self.0, clone);
        if !request.uri().path().ends_with(METHOD) {
            return Box::pin(inner.call(request));
        }
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // What cannot be read is refused by the decoder, in its own words.
            let sent = match Limited::new(body, MOST_BYTES).collect().await {
                Ok(sent) => sent.to_bytes(),
                Err(_) => Bytes::new(),
            };
            let body = renumbered(&sent).unwrap_or(sent);
            inner.call(http::Request::from_parts(head, Body::new(Full::new(body)))).await
        })
    }
}

/// The framed message in today's layout; none when it is in it already, or no message we know.
fn renumbered(framed: &Bytes) -> Option<Bytes> {
    let message = framed.get(PREFIX..).filter(|_| framed[0] == 0)?;
    let mut out = BytesMut::with_capacity(framed.len());
    let mut rest = message;
    let mut changed = false;
    while rest.has_remaining() {
        let start = rest;
        let (tag, wire) = decode_key(&mut rest).ok()?;
        if tag == 2 && wire == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let options = rest.get(..length)?;
            rest.advance(length);
            if let Some(modern) = modern(options) {
                let bytes = modern.encode_to_vec();
                prost::encoding::encode_key(tag, wire, &mut out);
                prost::encoding::encode_varint(bytes.len() as u64, &mut out);
                out.put_slice(&bytes);
                changed = true;
                continue;
            }
        } else {
            skip_field(wire, tag, &mut rest, DecodeContext::default()).ok()?;
        }
        out.put_slice(&start[..start.len() - rest.len()]);
    }
    if !changed {
        return None;
    }
    let mut whole = BytesMut::with_capacity(PREFIX + out.len());
    whole.put_u8(0);
    whole.put_u32(out.len() as u32);
    whole.put_slice(&out);
    Some(whole.freeze())
}

/// Options of the 1.x layout, which is known by a number in field 2 or a message in field 3.
fn modern(mut options: &[u8]) -> Option<ListStatusPOptions> {
    let mut found = ListStatusPOptions::default();
    let mut is_old = false;
    while options.has_remaining() {
        let (tag, wire) = decode_key(&mut options).ok()?;
        match (tag, wire) {
            (2, WireType::Varint) => {
                found.load_metadata_type = Some(decode_varint(&mut options).ok()? as i32);
                is_old = true;
            }
            (3, WireType::LengthDelimited) => {
                let length = usize::try_from(decode_varint(&mut options).ok()?).ok()?;
                let common = options.get(..length)?;
                options.advance(length);
                found.common_options = FileSystemMasterCommonPOptions::decode(common).ok();
                is_old = true;
            }
            (5, WireType::Varint) => {
                found.load_metadata_only = Some(decode_varint(&mut options).ok()? != 0);
            }
            (6, WireType::Varint) => {
                found.default_load_metadata_type = Some(decode_varint(&mut options).ok()? as i32);
            }
            _ => skip_field(wire, tag, &mut options, DecodeContext::default()).ok()?,
        }
    }
    is_old.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proto::grpc::file::ListStatusPRequest;

    fn framed(message: &[u8]) -> Bytes {
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        frame.into()
    }

    #[test]
    fn options_of_1_x_are_understood() {
        // path "/a"; options: loadDirectChildren, loadMetadataType ALWAYS, commonOptions with
        // syncIntervalMs 0, recursive false.
        let options = [0x08, 1, 0x10, 2, 0x1a, 2, 0x08, 0, 0x20, 0];
        let mut message = vec![0x0a, 2, b'/', b'a', 0x12, options.len() as u8];
        message.extend(options);
        assert!(ListStatusPRequest::decode(message.as_slice()).is_err(), "as it stands it is not");
        let modern = renumbered(&framed(&message)).unwrap();
        let request = ListStatusPRequest::decode(&modern[PREFIX..]).unwrap();
        assert_eq!(request.path(), "/a");
        let options = request.options.unwrap();
        assert_eq!(options.load_metadata_type, Some(2));
        assert_eq!(options.common_options.unwrap().sync_interval_ms, Some(0));
    }

    #[test]
    fn options_of_2_x_pass_untouched() {
        let request = ListStatusPRequest {
            path: Some("/a".into()),
            options: Some(ListStatusPOptions {
                load_metadata_type: Some(1),
                common_options: Some(Default::default()),
                load_metadata_only: Some(true),
                ..Default::default()
            }),
            request_id: None,
        };
        assert!(renumbered(&framed(&request.encode_to_vec())).is_none());
        for broken in [&b""[..], b"\0\0\0\0\x03\x12\xff\xff", b"\0\0\0\0\x01\xff"] {
            assert!(renumbered(&Bytes::copy_from_slice(broken)).is_none());
        }
    }
}
