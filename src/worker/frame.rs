//! `ReadResponse` messages on the wire, made without copying the data in them.
//!
//! A chunk is the five bytes of gRPC's framing, the protobuf tags of `ReadResponse{chunk{data}}`,
//! and the data. Buffers are read into behind some headroom, where the first two parts then go: one
//! piece of memory a chunk, and the bytes of the block are not touched again.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// Room for what comes before the data: gRPC's header, and two tags with lengths.
pub const HEADROOM: usize = 5 + 2 * (1 + 5);
/// Field 1, length-delimited: `ReadResponse.chunk`, and `Chunk.data` in it.
const TAG: u8 = 1 << 3 | 2;
/// Idle buffers kept.
const IDLE: usize = 64;

/// What comes before `length` bytes of data.
pub fn prefix(length: usize) -> Bytes {
    let mut buffer = [0; HEADROOM];
    let start = write_prefix(&mut buffer, length);
    Bytes::copy_from_slice(&buffer[start..])
}

/// Writes what comes before `length` bytes of data at the end of `room`; returns where it starts.
fn write_prefix(room: &mut [u8], length: usize) -> usize {
    let mut at = room.len();
    let inner = write_tag(room, &mut at, length);
    let outer = write_tag(room, &mut at, length + inner);
    let message = (length + inner + outer) as u32;
    at -= 4;
    room[at..at + 4].copy_from_slice(&message.to_be_bytes());
    at -= 1;
    // Not compressed.
    room[at] = 0;
    at
}

/// Writes a tag and a length before `at`; returns how many bytes that took.
fn write_tag(room: &mut [u8], at: &mut usize, length: usize) -> usize {
    let size = prost::length_delimiter_len(length);
    *at -= size + 1;
    room[*at] = TAG;
    let mut slot = &mut room[*at + 1..];
    prost::encode_length_delimiter(length, &mut slot).expect("there is room");
    size + 1
}

/// Buffers of one size that are used again and again.
#[derive(Clone, Debug)]
pub struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
    size: usize,
}

impl Buffers {
    /// Buffers for up to `size` bytes of data.
    pub fn new(size: usize) -> Self {
        Buffers { idle: Arc::default(), size }
    }

    /// A buffer for `length` bytes of data, which is at most the size asked for.
    pub fn take(&self, length: usize) -> Buffer {
        // A small one is cheaper made anew than kept large for as long as it is on its way.
        let pooled = length * 4 > self.size;
        let bytes = match pooled {
            true => self.idle.lock().pop().unwrap_or_else(|| vec![0; HEADROOM + self.size]),
            false => vec![0; HEADROOM + length],
        };
        Buffer { bytes, length, home: pooled.then(|| self.idle.clone()) }
    }
}

/// A buffer with room for what comes before the data.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl Buffer {
    /// Where the data goes.
    pub fn data(&mut self) -> &mut [u8] {
        &mut self.bytes[HEADROOM..HEADROOM + self.length]
    }

    /// The frames of messages of up to `chunk` bytes of data each.
    pub fn into_frames(mut self, chunk: usize) -> Vec<Bytes> {
        let (length, chunk) = (self.length, chunk.max(1));
        let start = write_prefix(&mut self.bytes[..HEADROOM], length.min(chunk));
        let all = Bytes::from_owner(self);
        let mut frames = vec![all.slice(start..HEADROOM + length.min(chunk))];
        let mut at = chunk;
        while at < length {
            let next = (at + chunk).min(length);
            frames.push(prefix(next - at));
            frames.push(all.slice(HEADROOM + at..HEADROOM + next));
            at = next;
        }
        frames
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let mut idle = home.lock();
            if idle.len() < IDLE {
                idle.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proto::grpc::block::{Chunk, ReadResponse};
    use prost::Message;

    fn decode(mut bytes: &[u8]) -> Vec<Bytes> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(bytes[0], 0);
            let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
            let message = ReadResponse::decode(&bytes[5..5 + length]).unwrap();
            messages.push(message.chunk.unwrap().data.unwrap());
            bytes = &bytes[5 + length..];
        }
        messages
    }

    #[test]
    fn a_chunk_is_framed_as_the_generated_code_would() {
        for length in [0, 1, 126, 127, 128, 16_383, 16_384, 1 << 20] {
            let data = Bytes::from(vec![7; length]);
            let chunk = Some(Chunk { data: Some(data.clone()) });
            let message = ReadResponse { chunk }.encode_to_vec();
            let mut expected = vec![0];
            expected.extend((message.len() as u32).to_be_bytes());
            expected.extend(message);
            assert_eq!([prefix(length), data].concat(), expected, "{length}");
        }
    }

    #[test]
    fn a_buffer_is_cut_into_chunks_and_used_again() {
        let buffers = Buffers::new(1000);
        let mut buffer = buffers.take(1000);
        let data: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        buffer.data().copy_from_slice(&data);
        let frames = buffer.into_frames(300);
        let chunks = decode(&frames.concat());
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [300, 300, 300, 100]);
        assert_eq!(chunks.concat(), data);
        assert!(buffers.idle.lock().is_empty());
        drop(frames);
        assert_eq!(buffers.idle.lock().len(), 1);
        assert_eq!(buffers.take(900).into_frames(2000).len(), 1);
    }
}
