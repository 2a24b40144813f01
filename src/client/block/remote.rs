//! A part of a block from a worker, over gRPC.
//!
//! The few bytes of framing around the data are parsed as they pass, and the data is handed on as
//! the slices it arrived in.

use super::super::worker::BLOCK_READ;
use super::call::{Answer, Failure, encode};
use crate::core::error::{Error, Result, internal};
use crate::core::proto::grpc::block::ReadRequest;
use crate::core::rpc::{Channel, MAX_MESSAGE};
use bytes::{Buf, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc;

/// Bytes after which the worker is told how far we are; it may bound what is underway by this.
const ACK_EVERY: u64 = 4 << 20;

/// One open ReadBlock stream. Dropping it ends the call.
pub(super) struct Remote {
    answer: Answer,
    parser: Parser,
    /// What has arrived and is not parsed yet.
    segment: Bytes,
    questions: mpsc::Sender<ReadRequest>,
    position: u64,
    acknowledged: u64,
}

impl Remote {
    /// Asks, and waits until the worker has accepted the call.
    pub(super) async fn open(channel: Channel, request: ReadRequest) -> Result<Self, Failure> {
        let position = request.offset() as u64;
        let (questions, asked) = mpsc::channel(4);
        questions.try_send(request).expect("the queue is empty");
        let frames =
            tokio_stream::wrappers::ReceiverStream::new(asked).map(|message| Ok(encode(&message)));
        Ok(Remote {
            answer: Answer::of(channel, BLOCK_READ, frames).await?,
            parser: Parser::default(),
            segment: Bytes::new(),
            questions,
            position,
            acknowledged: position,
        })
    }

    /// The next bytes; none when the worker has sent what it will.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(data) = self.parser.feed(&mut self.segment)? {
                self.position += data.len() as u64;
                self.acknowledge();
                return Ok(Some(data));
            }
            match self.answer.next().await? {
                Some(segment) => self.segment = segment,
                None => return Ok(None),
            }
        }
    }

    /// Tells the worker how far we are. Best effort: a full queue means that it knows enough.
    fn acknowledge(&mut self) {
        if self.position - self.acknowledged >= ACK_EVERY {
            let offset_received = Some(self.position as i64);
            self.questions.try_send(ReadRequest { offset_received, ..Default::default() }).ok();
            self.acknowledged = self.position;
        }
    }
}

/// Finds the data in a stream of framed `ReadResponse{chunk{data}}` messages, whatever pieces they
/// arrive in. What it does not know, it skips.
#[derive(Debug, Default)]
struct Parser {
    state: State,
    /// Bytes left of the message, and of the chunk in it.
    message: u64,
    chunk: u64,
    /// A number as it comes in.
    value: u64,
    shift: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// In the five bytes before a message, with so many read.
    Prefix(u8),
    /// At a field's key.
    Key,
    /// At the length of the field with this key.
    Length(u64),
    /// In the data.
    Data(u64),
    /// In a field that is of no interest.
    Skip(u64),
    /// In a number that is of no interest.
    SkipNumber,
}

impl Default for State {
    fn default() -> Self {
        State::Prefix(0)
    }
}

/// Field 1, length-delimited: the chunk in the message, and the data in the chunk.
const FIELD_ONE: u64 = 1 << 3 | 2;

impl Parser {
    /// The next data in `input`, taking from it what was used; none when more is needed.
    fn feed(&mut self, input: &mut Bytes) -> Result<Option<Bytes>> {
        while !input.is_empty() {
            match self.state {
                State::Prefix(read) => self.prefix(read, input.get_u8())?,
                State::Data(left) | State::Skip(left) => {
                    let piece = input.split_to(left.min(input.len() as u64) as usize);
                    let data = matches!(self.state, State::Data(_));
                    let left = left - piece.len() as u64;
                    self.used(piece.len() as u64);
                    match left {
                        0 => self.after_field(),
                        _ if data => self.state = State::Data(left),
                        _ => self.state = State::Skip(left),
                    }
                    if data && !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                State::Key | State::Length(_) | State::SkipNumber => {
                    if let Some(number) = self.number(input.get_u8())? {
                        self.numbered(number)?;
                    }
                }
            }
        }
        Ok(None)
    }

    fn prefix(&mut self, read: u8, byte: u8) -> Result<()> {
        match read {
            0 if byte != 0 => return Err(malformed("it is compressed")),
            0 => self.message = 0,
            _ => self.message = self.message << 8 | u64::from(byte),
        }
        self.state = State::Prefix(read + 1);
        if read == 4 {
            if self.message > MAX_MESSAGE as u64 {
                return Err(malformed("a message is too long"));
            }
            self.chunk = 0;
            self.after_field();
        }
        Ok(())
    }

    /// One more byte of a number; the number when it is whole.
    fn number(&mut self, byte: u8) -> Result<Option<u64>> {
        if self.message == 0 || self.shift > 63 {
            return Err(malformed("a number is cut off"));
        }
        self.used(1);
        self.value |= u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        self.shift = 0;
        Ok(Some(std::mem::take(&mut self.value)))
    }

    fn numbered(&mut self, number: u64) -> Result<()> {
        match self.state {
            State::Key => match number & 7 {
                0 => self.state = State::SkipNumber,
                1 => self.enter(State::Skip(8))?,
                2 => self.state = State::Length(number),
                5 => self.enter(State::Skip(4))?,
                _ => return Err(malformed("a field has no known type")),
            },
            State::Length(FIELD_ONE) if self.chunk == 0 => {
                if number > self.message {
                    return Err(malformed("a chunk is longer than its message"));
                }
                self.chunk = number;
                self.after_field();
            }
            State::Length(FIELD_ONE) => self.enter(State::Data(number))?,
            State::Length(_) => self.enter(State::Skip(number))?,
            _ => self.after_field(),
        }
        Ok(())
    }

    /// Goes on with a field, if it fits into what is around it.
    fn enter(&mut self, field: State) -> Result<()> {
        let (State::Data(length) | State::Skip(length)) = field else { return Ok(()) };
        let around = if self.chunk > 0 { self.chunk } else { self.message };
        if length > around {
            return Err(malformed("a field is longer than its message"));
        }
        match length {
            0 => self.after_field(),
            _ => self.state = field,
        }
        Ok(())
    }

    fn used(&mut self, count: u64) {
        self.message = self.message.saturating_sub(count);
        self.chunk = self.chunk.saturating_sub(count);
    }

    fn after_field(&mut self) {
        self.state = if self.message == 0 { State::Prefix(0) } else { State::Key };
    }
}

fn malformed(what: &str) -> Error {
    internal(format!("the worker's answer makes no sense: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proto::grpc::block::{Chunk, ReadResponse};
    use prost::Message;

    fn framed(messages: &[Option<&[u8]>]) -> Vec<u8> {
        let mut wire = Vec::new();
        for data in messages {
            let chunk = data.map(|data| Chunk { data: Some(Bytes::copy_from_slice(data)) });
            let message = ReadResponse { chunk }.encode_to_vec();
            wire.push(0);
            wire.extend((message.len() as u32).to_be_bytes());
            wire.extend(message);
        }
        wire
    }

    fn parsed(wire: &[u8], piece: usize) -> Result<Vec<u8>> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for piece in wire.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(data) = parser.feed(&mut piece)? {
                found.extend_from_slice(&data);
            }
        }
        Ok(found)
    }

    #[test]
    fn data_is_found_whatever_pieces_it_arrives_in() {
        let long: Vec<u8> = (0..70_000u32).map(|i| i as u8).collect();
        let wire = framed(&[Some(b"goose"), None, Some(b""), Some(&long), Some(b"!")]);
        let expected = [b"goose", &long[..], b"!"].concat();
        for piece in [1, 2, 3, 7, 1000, wire.len()] {
            assert_eq!(parsed(&wire, piece).unwrap(), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 9 a number, field 8 text, then the chunk with a field 2 of its own before the data.
        let chunk = [&[0x12, 1, b'x', 0x0a, 2][..], b"ok"].concat();
        let message = [&[0x48, 0x96, 1, 0x42, 2, b'h', b'i', 0x0a, 7][..], &chunk].concat();
        let wire = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
        assert_eq!(parsed(&wire, 1).unwrap(), b"ok");
    }

    #[test]
    fn nonsense_is_an_error() {
        for wire in [
            &[1, 0, 0, 0, 0][..],
            &[0, 255, 255, 255, 255],
            &[0, 0, 0, 0, 2, 0x0a, 200, 1],
            &[0, 0, 0, 0, 4, 0x0a, 2, 0x0a, 9],
            &[0, 0, 0, 0, 1, 0x0f],
        ] {
            assert!(parsed(wire, 1).is_err(), "{wire:?}");
        }
    }
}
