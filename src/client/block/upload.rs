//! One WriteBlock stream: a block into one worker's cache, or a file into the under store through
//! one worker.
//!
//! The worker commits what it got when the request half-closes. So the stream ends well only after
//! [`Upload::end`]; in every other way of going, a drop included, it is reset, and the worker
//! discards what it got.

use super::super::context::Context;
use super::super::worker::BLOCK_WRITE;
use super::call::{Answer, Failure, encode};
use crate::core::error::{Error, ErrorKind, Result, internal};
use crate::core::model::WorkerInfo;
use crate::core::proto::grpc::block::{
    WriteRequest, WriteRequestCommand, WriteResponse, write_request,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Pieces on their way to the connection; a chunk is two.
const QUEUE: usize = 8;

/// What goes into the request.
enum Piece {
    Bytes(Bytes),
    /// Half-closes: commit.
    End,
}

/// An open WriteBlock stream. Dropping it discards what was written.
pub(super) struct Upload {
    pieces: mpsc::Sender<Piece>,
    /// Bytes sent, and bytes the worker has confirmed by its last answer to a flush.
    sent: u64,
    confirmed: watch::Receiver<u64>,
    ended: bool,
    outcome: oneshot::Receiver<Result<Option<String>, Failure>>,
}

impl Upload {
    /// Opens the stream; the worker's answer is not waited for. An error shows at a later call.
    pub(super) fn open(
        context: &Arc<Context>,
        worker: &WorkerInfo,
        command: WriteRequestCommand,
    ) -> Self {
        let (pieces, queue) = mpsc::channel(QUEUE);
        let (confirm, confirmed) = watch::channel(0);
        let (tell, outcome) = oneshot::channel();
        let command = WriteRequest { value: Some(write_request::Value::Command(command)) };
        let weak = Arc::downgrade(context);
        let address = worker.address.clone();
        context.group.spawn_until_stop("write a block", async move {
            let Some(context) = weak.upgrade() else { return };
            let result = match context.channels.get(&address).await {
                Ok(connection) => {
                    let first = encode(&command);
                    let result = run(connection.channel.clone(), first, queue, confirm).await;
                    // A stream that we reset ourselves says nothing about the connection.
                    if result.as_ref().is_err_and(Failure::stale) && !tell.is_closed() {
                        context.channels.forget(&address, &connection).await;
                    }
                    result
                }
                Err(error) => Err(error.into()),
            };
            tell.send(result).ok();
        });
        Upload { pieces, sent: 0, ended: false, confirmed, outcome }
    }

    /// Sends one chunk; waits while the worker is slower than we are.
    pub(super) async fn write(&mut self, data: Bytes) -> Result<(), Failure> {
        let length = data.len() as u64;
        self.send(Piece::Bytes(chunk_header(length))).await?;
        self.send(Piece::Bytes(data)).await?;
        self.sent += length;
        Ok(())
    }

    /// Waits until the worker has made everything so far durable and visible.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        let flush = WriteRequestCommand { flush: Some(true), ..Default::default() };
        let flush = WriteRequest { value: Some(write_request::Value::Command(flush)) };
        self.send(Piece::Bytes(encode(&flush))).await?;
        let sent = self.sent;
        let confirmed = self.confirmed.wait_for(|&confirmed| confirmed >= sent).await.is_ok();
        if confirmed { Ok(()) } else { Err(self.why().await) }
    }

    /// Asks the worker to commit; asking again changes nothing. [`Upload::committed`] tells how that went.
    pub(super) async fn end(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.send(Piece::End).await
    }

    /// Waits until the worker has committed. Tells the version that it wrote, if it was asked to.
    pub(super) async fn committed(self) -> Result<Option<String>, Failure> {
        // Held until now: the request must not look cut off before the worker has answered.
        let _pieces = self.pieces;
        self.outcome.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Failure> {
        match self.pieces.send(piece).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why().await),
        }
    }

    /// Why the stream ended before we ended it.
    async fn why(&mut self) -> Failure {
        match (&mut self.outcome).await {
            Ok(Err(failure)) => failure,
            Ok(Ok(_)) => internal("the worker ended a write that had not ended").into(),
            Err(_) => stopped().into(),
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "the client is shutting down")
}

/// The call itself: requests from the queue, answers to the watch.
async fn run(
    channel: crate::core::rpc::Channel,
    first: Bytes,
    queue: mpsc::Receiver<Piece>,
    confirm: watch::Sender<u64>,
) -> Result<Option<String>, Failure> {
    let frames = futures::stream::unfold((Some(first), queue), |(first, mut queue)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, queue)));
        }
        match queue.recv().await {
            Some(Piece::Bytes(bytes)) => Some((Ok(bytes), (None, queue))),
            Some(Piece::End) => None,
            // The writer went without ending: an error here resets the stream.
            None => Some((Err(Error::new(ErrorKind::Cancelled, "not ended")), (None, queue))),
        }
    });
    let mut answer = Answer::of(channel, BLOCK_WRITE, frames).await?;
    let mut arrived = BytesMut::new();
    let mut version = None;
    while let Some(bytes) = answer.next().await? {
        arrived.extend_from_slice(&bytes);
        while let Some(response) = next_response(&mut arrived)? {
            if let Some(offset) = response.offset {
                confirm.send_replace(offset as u64);
            }
            version = response.version.or(version);
        }
    }
    Ok(version.filter(|version| !version.is_empty()))
}

/// Takes one whole message off `arrived`.
fn next_response(arrived: &mut BytesMut) -> Result<Option<WriteResponse>> {
    let Some(prefix) = arrived.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] != 0 || length > 1 << 16 {
        return Err(internal("the worker's answer makes no sense"));
    }
    if arrived.len() < 5 + length {
        return Ok(None);
    }
    arrived.advance(5);
    let message = arrived.split_to(length);
    WriteResponse::decode(message.freeze())
        .map(Some)
        .map_err(|e| internal("the worker's answer makes no sense").with_source(e))
}

/// Field 2, length-delimited: the chunk in the request. Field 1: the data in the chunk.
const CHUNK: u8 = 2 << 3 | 2;
const DATA: u8 = 1 << 3 | 2;

/// All that comes before `length` bytes of data in a framed `WriteRequest{chunk{data}}`.
fn chunk_header(length: u64) -> Bytes {
    let chunk = 1 + encoded_len_varint(length) as u64 + length;
    let message = 1 + encoded_len_varint(chunk) as u64 + chunk;
    let mut header = BytesMut::with_capacity(32);
    header.put_u8(0);
    header.put_u32(message as u32);
    header.put_u8(CHUNK);
    encode_varint(chunk, &mut header);
    header.put_u8(DATA);
    encode_varint(length, &mut header);
    header.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proto::grpc::block::Chunk;

    #[test]
    fn a_chunk_framed_by_hand_is_the_generated_one() {
        for length in [1, 127, 128, 16_383, 16_384, 1 << 20] {
            let data = Bytes::from(vec![7; length]);
            let chunk = Chunk { data: Some(data.clone()) };
            let generated =
                encode(&WriteRequest { value: Some(write_request::Value::Chunk(chunk)) });
            let by_hand = [&chunk_header(length as u64)[..], &data[..]].concat();
            assert!(generated == by_hand, "a chunk of {length} bytes");
        }
    }

    #[test]
    fn answers_are_found_in_pieces() {
        let wire = encode(&WriteResponse { offset: Some(300), version: None });
        let mut arrived = BytesMut::from(&wire[..6]);
        assert!(next_response(&mut arrived).unwrap().is_none());
        arrived.extend_from_slice(&wire[6..]);
        assert_eq!(next_response(&mut arrived).unwrap().unwrap().offset(), 300);
        assert!(arrived.is_empty());
        assert!(next_response(&mut BytesMut::from(&[1, 0, 0, 0, 0][..])).is_err());
    }
}
