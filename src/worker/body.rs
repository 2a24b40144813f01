//! The answer to ReadBlock as an HTTP body, and the honest end of request streams.

use super::memory::Turn;
use super::read::{Read, Reads, broken_off};
use super::store::Block;
use crate::core::error::{Error, ErrorKind, Result, invalid_argument};
use crate::core::proto::grpc::block::ReadRequest;
use crate::core::runtime::Group;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use http_body::Frame;
use std::collections::VecDeque;
use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// Frames that wait for the connection: the disk works ahead of it by this much.
const AHEAD: usize = 4;
/// Pieces read in one go before others get their turn on this thread.
const BURST: u32 = 4;

type Requests = Streaming<ReadRequest>;
type Queue = mpsc::Receiver<std::result::Result<Option<Bytes>, Status>>;

/// The frames of one ReadBlock call. Headers go out before the first is made.
pub struct ReadBody {
    reads: Reads,
    group: Group,
    /// What the reader says meanwhile: how far it got, which HTTP/2's own windows say better.
    requests: Option<Requests>,
    /// The memory that its pieces may take.
    turn: Turn,
    state: State,
}

#[expect(clippy::large_enum_variant, reason = "one a stream, and always in its largest state")]
enum State {
    Starting(BoxFuture<'static, (Requests, Result<Opened>)>),
    /// A whole block in memory: read here, as the connection takes it.
    Memory {
        read: Read,
        block: Arc<Block>,
        file: Arc<File>,
        ready: VecDeque<Bytes>,
        burst: u32,
    },
    /// Such a block turned out damaged.
    Damaged(BoxFuture<'static, Result<Read>>),
    /// Anything that waits: read by a task ahead of the connection.
    Queue(Queue),
    Done,
}

struct Opened {
    turn: Turn,
    read: Read,
    stored: Option<(Arc<Block>, Arc<File>)>,
}

impl ReadBody {
    /// The answer to a call with these requests. What waits runs in `group`.
    pub fn new(reads: Reads, group: Group, mut requests: Requests) -> Self {
        let opening = reads.clone();
        let starting = async move {
            let opened = open(&opening, &mut requests).await;
            (requests, opened)
        };
        let state = State::Starting(Box::pin(starting));
        ReadBody { reads, group, requests: None, turn: None, state }
    }

    fn start(&mut self, opened: Opened) -> State {
        match opened.stored {
            Some((block, file)) if block.is_in_memory() => {
                State::Memory { read: opened.read, block, file, ready: VecDeque::new(), burst: 0 }
            }
            _ => self.queue(opened.read),
        }
    }

    fn queue(&self, read: Read) -> State {
        let (frames, queue) = mpsc::channel(AHEAD);
        self.group.spawn_until_stop("read", self.reads.clone().feed(read, frames));
        State::Queue(queue)
    }

    /// Takes what the reader has said without waiting for more of it.
    fn drain_requests(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(requests) = &mut self.requests {
            match Pin::new(requests).poll_next(&mut cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) => self.requests = None,
                Poll::Pending => return,
            }
        }
    }

    fn end(&mut self, status: Status) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        self.state = State::Done;
        self.turn = None;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(match status.add_header(&mut trailers) {
            Ok(()) => Ok(Frame::trailers(trailers)),
            Err(status) => Err(status),
        }))
    }
}

async fn open(reads: &Reads, requests: &mut Requests) -> Result<Opened> {
    let first = requests.next().await.transpose().map_err(Error::from)?;
    let read = Read::of(first.ok_or_else(|| invalid_argument("a read without a request"))?)?;
    let turn = reads.memory.reader().await?;
    let stored = reads.stored(&read).await?;
    Ok(Opened { turn, read, stored })
}

impl http_body::Body for ReadBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Starting(starting) => {
                    let (requests, opened) = ready!(starting.as_mut().poll(cx));
                    this.requests = Some(requests);
                    match opened {
                        Ok(mut opened) => {
                            this.turn = opened.turn.take();
                            this.state = this.start(opened);
                        }
                        Err(error) => return this.end(error.into()),
                    }
                }
                State::Memory { read, block, file, ready, burst } => {
                    if let Some(frame) = ready.pop_front() {
                        return Poll::Ready(Some(Ok(Frame::data(frame))));
                    }
                    if read.is_done() {
                        return this.end(Status::ok(""));
                    }
                    *burst += 1;
                    if *burst > BURST {
                        *burst = 0;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    match this.reads.next_piece(read, block, file) {
                        Ok(frames) => ready.extend(frames),
                        Err(error) => {
                            let (reads, block) = (this.reads.clone(), block.clone());
                            let read = read.clone();
                            let damaged =
                                async move { reads.damaged(block, error).await.map(|()| read) };
                            this.state = State::Damaged(Box::pin(damaged));
                        }
                    }
                    this.drain_requests();
                }
                State::Damaged(damaged) => match ready!(damaged.as_mut().poll(cx)) {
                    Ok(read) => this.state = this.queue(read),
                    Err(error) => return this.end(error.into()),
                },
                State::Queue(queue) => {
                    let next = ready!(queue.poll_recv(cx));
                    this.drain_requests();
                    return match next {
                        Some(Ok(Some(frame))) => Poll::Ready(Some(Ok(Frame::data(frame)))),
                        Some(Ok(None)) => this.end(Status::ok("")),
                        Some(Err(status)) => this.end(status),
                        None => this.end(broken_off()),
                    };
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }
}

/// A request body whose end means what it says. Below us a stream that the client reset looks just
/// like one that it closed, and closing a write is what commits it: here only the end that the
/// client sent is an end, anything else is an error.
pub struct HonestEnd(pub tonic::body::Body);

impl http_body::Body for HonestEnd {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Status>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(status)) => Some(Err(reset(&status))),
            None if self.0.is_end_stream() => None,
            None => Some(Err(reset(&Status::cancelled("reset")))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

/// A status that is not Cancelled, which the layer above would take for an end as well.
fn reset(status: &Status) -> Status {
    let text = format!("the client broke the call off: {}", status.message());
    Error::new(ErrorKind::Aborted, text).into()
}
