//! Lending a block's file: how a descriptor gets from a worker to a client on its host.
//!
//! Over a unix socket, one question and one answer at a time: a frame is a length (four bytes,
//! little endian) and a message. The descriptor of a block that is lent travels with the first
//! byte of the answer (`SCM_RIGHTS`). It stays good for as long as the client keeps it: a block's
//! file never changes once it is whole, and one that is evicted is unlinked, not truncated.
//!
//! A client that opens a file of a directory soon opens the next: a question can name blocks that it
//! would take too, and the answer brings those that are whole at no further cost.
//!
//! The client's side exists twice, for a blocking socket (threads that serve the kernel) and for
//! tokio's.

use crate::core::error::{Context, Error, ErrorKind, Result, internal, unavailable};
use crate::core::model::BlockId;
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use prost::Message;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

/// The longest frame either side takes, in bytes.
const MAX_FRAME: usize = 64 << 10;
/// Blocks that one question may name beside the one it is about. The kernel passes at most 253
/// descriptors at a time.
pub const MOST_ALSO: usize = 128;

/// A client's question: may I have this block's file?
#[derive(Clone, PartialEq, prost::Message)]
pub struct LendRequest {
    /// The block's id.
    #[prost(int64, tag = "1")]
    pub block_id: i64,
    /// How to fill the block where it is missing; without it nothing is filled. The worker answers
    /// at once either way and fills behind.
    #[prost(message, optional, tag = "2")]
    pub open_ufs: Option<OpenUfsBlockOptions>,
    /// Blocks to lend with it where they are whole; never filled, and at most [`MOST_ALSO`].
    #[prost(int64, repeated, tag = "3")]
    pub also: Vec<i64>,
}

/// A worker's answer.
#[derive(Clone, PartialEq, prost::Message)]
struct LendReply {
    /// Whether the descriptor is with it.
    #[prost(bool, tag = "1")]
    lent: bool,
    /// The block's length, where it is lent.
    #[prost(uint64, tag = "2")]
    length: u64,
    /// Why the question was refused; empty where the block merely is not whole here.
    #[prost(string, tag = "3")]
    refused: String,
    /// Blocks that are lent beside it; their descriptors follow in this order.
    #[prost(message, repeated, tag = "4")]
    also: Vec<AlsoLent>,
}

/// A block that is lent though the question was about another.
#[derive(Clone, PartialEq, prost::Message)]
struct AlsoLent {
    /// The block's id.
    #[prost(int64, tag = "1")]
    block_id: i64,
    /// Its length.
    #[prost(uint64, tag = "2")]
    length: u64,
}

/// A block's file, open for reading: the block is its first `length` bytes.
#[derive(Debug)]
pub struct LentBlock {
    /// The file.
    pub file: File,
    /// The block's length in bytes.
    pub length: u64,
}

/// What a worker lends in answer to one question.
#[derive(Debug, Default)]
pub struct Lent {
    /// The block the question was about; none when it is not whole there.
    pub block: Option<LentBlock>,
    /// The others it named that are.
    pub also: Vec<(BlockId, LentBlock)>,
}

/// Asks the worker at the other end of `stream` for a block. None when the block is not whole there.
///
/// # Errors
/// `PermissionDenied` when the worker refuses this user; `Unavailable` when the worker is gone:
/// connect anew before the next question.
pub fn request(stream: &UnixStream, request: &LendRequest) -> Result<Option<LentBlock>> {
    let mut writer = stream;
    writer.write_all(&frame(request)).map_err(gone)?;
    let mut received = Received::default();
    while !received.is_whole()? {
        if received.step(stream.as_fd()).map_err(gone)? == 0 {
            return Err(gone(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(received.lent()?.block)
}

/// The same for a socket of tokio's.
///
/// # Errors
/// As [`request`]. A future that is dropped half-way leaves the socket unusable: connect anew.
pub async fn request_async(
    stream: &mut tokio::net::UnixStream,
    request: &LendRequest,
) -> Result<Option<LentBlock>> {
    Ok(request_with(stream, request).await?.block)
}

/// The same with what comes beside the block.
///
/// # Errors
/// As [`request_async`].
pub async fn request_with(
    stream: &mut tokio::net::UnixStream,
    request: &LendRequest,
) -> Result<Lent> {
    stream.write_all(&frame(request)).await.map_err(gone)?;
    let mut received = Received::default();
    while !received.is_whole()? {
        let step = stream.async_io(Interest::READABLE, || received.step(stream.as_fd())).await;
        if step.map_err(gone)? == 0 {
            return Err(gone(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    received.lent()
}

/// The next question on a client's connection; none once the client has hung up.
///
/// # Errors
/// `InvalidArgument` for a frame that is none: hang up.
pub async fn receive(stream: &mut tokio::net::UnixStream) -> Result<Option<LendRequest>> {
    let mut length = [0; 4];
    if let Err(error) = stream.read_exact(&mut length).await {
        return match error.kind() {
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => Ok(None),
            _ => Err(error.into()),
        };
    }
    let mut body = vec![0; frame_length(length)?];
    stream.read_exact(&mut body).await?;
    LendRequest::decode(&body[..]).map(Some).map_err(malformed)
}

/// Answers a question: the block's file, or that it is not whole here.
///
/// # Errors
/// `Unavailable` when the client is gone.
pub async fn reply(stream: &mut tokio::net::UnixStream, block: Option<&LentBlock>) -> Result<()> {
    reply_with(stream, block, &[]).await
}

/// The same, with other blocks that the question named.
///
/// # Errors
/// `Unavailable` when the client is gone.
pub async fn reply_with(
    stream: &mut tokio::net::UnixStream,
    block: Option<&LentBlock>,
    also: &[(BlockId, LentBlock)],
) -> Result<()> {
    let frame = frame(&answer(block, also));
    let blocks = block.into_iter().chain(also.iter().map(|(_, block)| block));
    let fds: Vec<_> = blocks.map(|block| block.file.as_fd()).collect();
    let first = || send(stream.as_fd(), &frame, &fds);
    let sent = stream.async_io(Interest::WRITABLE, first).await.map_err(gone)?;
    stream.write_all(&frame[sent..]).await.map_err(gone)
}

/// Refuses a question with the reason.
///
/// # Errors
/// `Unavailable` when the client is gone.
pub async fn refuse(stream: &mut tokio::net::UnixStream, why: &str) -> Result<()> {
    let refusal = LendReply { refused: why.into(), ..Default::default() };
    stream.write_all(&frame(&refusal)).await.map_err(gone)
}

/// A question for `block`, with how to fill it where it is missing.
pub fn question(block: BlockId, open_ufs: Option<OpenUfsBlockOptions>) -> LendRequest {
    LendRequest { block_id: block.0, open_ufs, also: Vec::new() }
}

fn answer(block: Option<&LentBlock>, also: &[(BlockId, LentBlock)]) -> LendReply {
    LendReply {
        lent: block.is_some(),
        length: block.map_or(0, |block| block.length),
        refused: String::new(),
        also: also
            .iter()
            .map(|(id, block)| AlsoLent { block_id: id.0, length: block.length })
            .collect(),
    }
}

fn frame(message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut frame = Vec::with_capacity(4 + length);
    frame.extend_from_slice(&(length as u32).to_le_bytes());
    message.encode(&mut frame).expect("a vector grows as needed");
    frame
}

fn frame_length(bytes: [u8; 4]) -> Result<usize> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length > MAX_FRAME {
        return Err(Error::new(ErrorKind::InvalidArgument, "a frame that is too long"));
    }
    Ok(length)
}

fn malformed(error: prost::DecodeError) -> Error {
    Error::new(ErrorKind::InvalidArgument, "no lending frame").with_source(error)
}

fn gone(error: std::io::Error) -> Error {
    unavailable("the other end of the lending socket is gone").with_source(error)
}

/// Sends as much of `frame` as fits, the descriptors with its first byte.
fn send(socket: BorrowedFd<'_>, frame: &[u8], fds: &[BorrowedFd<'_>]) -> std::io::Result<usize> {
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    let data = [IoSlice::new(frame)];
    let sent =
        sendmsg::<UnixAddr>(socket.as_raw_fd(), &data, rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(sent)
}

/// An answer as it comes in.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Received {
    /// One recvmsg(2): more of the frame, and never anything beyond it. Returns the bytes it got.
    fn step(&mut self, socket: BorrowedFd<'_>) -> std::io::Result<usize> {
        let mut buffer = [0; 1024];
        let wanted = self.missing().min(buffer.len());
        // They come with the first byte, whatever is read of the frame with it.
        let mut control = match self.bytes.is_empty() {
            true => nix::cmsg_space!([std::os::fd::RawFd; 1 + MOST_ALSO]),
            false => Vec::new(),
        };
        let (count, fds) = {
            let mut data = [IoSliceMut::new(&mut buffer[..wanted])];
            let message = recvmsg::<UnixAddr>(
                socket.as_raw_fd(),
                &mut data,
                Some(&mut control),
                MsgFlags::MSG_CMSG_CLOEXEC,
            )?;
            let mut fds = Vec::new();
            for control in message.cmsgs()? {
                if let ControlMessageOwned::ScmRights(rights) = control {
                    fds.extend(rights);
                }
            }
            (message.bytes, fds)
        };
        for fd in fds {
            // SAFETY: the kernel has just installed this descriptor for us, and nobody else knows
            // its number; owning it here is what closes it.
            self.fds.push(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Bytes until the frame is whole, as far as is known yet.
    fn missing(&self) -> usize {
        match self.bytes.first_chunk::<4>() {
            Some(length) => {
                (4 + u32::from_le_bytes(*length) as usize).saturating_sub(self.bytes.len())
            }
            None => 4 - self.bytes.len(),
        }
    }

    fn is_whole(&self) -> Result<bool> {
        match self.bytes.first_chunk::<4>() {
            Some(length) => Ok(self.bytes.len() >= 4 + frame_length(*length)?),
            None => Ok(false),
        }
    }

    fn lent(self) -> Result<Lent> {
        let reply = LendReply::decode(&self.bytes[4..])
            .map_err(malformed)
            .context("the worker's answer on the lending socket")?;
        if !reply.refused.is_empty() {
            return Err(Error::new(ErrorKind::PermissionDenied, reply.refused));
        }
        if self.fds.len() != usize::from(reply.lent) + reply.also.len() {
            return Err(internal("the worker's answer has not as many descriptors as it says"));
        }
        let mut files = self.fds.into_iter().map(File::from);
        let mut lent = Lent::default();
        if reply.lent {
            lent.block = files.next().map(|file| LentBlock { file, length: reply.length });
        }
        let also = reply.also.into_iter().zip(files);
        lent.also = also
            .map(|(also, file)| (BlockId(also.block_id), LentBlock { file, length: also.length }))
            .collect();
        Ok(lent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> LentBlock {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"goose").unwrap();
        LentBlock { file, length: 5 }
    }

    #[tokio::test]
    async fn a_lent_descriptor_reads_the_block() {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut server = tokio::net::UnixStream::from_std(server).unwrap();
        let asking = std::thread::spawn(move || {
            let lent = request(&client, &question(BlockId(7), None)).unwrap().unwrap();
            let nothing = request(&client, &question(BlockId(8), None)).unwrap();
            (lent, nothing.is_none())
        });
        assert_eq!(receive(&mut server).await.unwrap().unwrap().block_id, 7);
        reply(&mut server, Some(&block())).await.unwrap();
        assert_eq!(receive(&mut server).await.unwrap().unwrap().block_id, 8);
        reply(&mut server, None).await.unwrap();
        let (lent, nothing) = asking.join().unwrap();
        assert!(nothing);
        let mut bytes = [0; 5];
        std::os::unix::fs::FileExt::read_exact_at(&lent.file, &mut bytes, 0).unwrap();
        assert_eq!((&bytes, lent.length), (b"goose", 5));
        assert!(receive(&mut server).await.unwrap().is_none(), "the client has hung up");
    }

    #[tokio::test]
    async fn others_come_along_where_they_are_whole() {
        let (mut client, mut server) = tokio::net::UnixStream::pair().unwrap();
        let serve = async {
            let also = receive(&mut server).await.unwrap().unwrap().also;
            let also: Vec<_> = also.into_iter().map(|id| (BlockId(id), block())).collect();
            reply_with(&mut server, None, &also).await.unwrap();
        };
        let also: Vec<i64> = (0..MOST_ALSO as i64).collect();
        let question = LendRequest { also, ..question(BlockId(999), None) };
        let ((), lent) = tokio::join!(serve, request_with(&mut client, &question));
        let lent = lent.unwrap();
        assert!(lent.block.is_none());
        assert_eq!(lent.also.len(), MOST_ALSO);
        for (place, (id, block)) in lent.also.iter().enumerate() {
            let mut bytes = [0; 5];
            std::os::unix::fs::FileExt::read_exact_at(&block.file, &mut bytes, 0).unwrap();
            assert_eq!((id.0, &bytes), (place as i64, b"goose"));
        }
    }

    #[tokio::test]
    async fn a_refusal_says_why_and_a_dead_worker_is_unavailable() {
        let (mut client, mut server) = tokio::net::UnixStream::pair().unwrap();
        let serve = async {
            receive(&mut server).await.unwrap();
            refuse(&mut server, "not your worker").await.unwrap();
            drop(server);
        };
        let ask = async {
            let first = request_async(&mut client, &question(BlockId(1), None)).await;
            let second = request_async(&mut client, &question(BlockId(1), None)).await;
            (first.unwrap_err().kind(), second.unwrap_err().kind())
        };
        let ((), kinds) = tokio::join!(serve, ask);
        assert_eq!(kinds, (ErrorKind::PermissionDenied, ErrorKind::Unavailable));
    }
}
