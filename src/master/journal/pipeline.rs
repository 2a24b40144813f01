//! Entries on their way to another master, one request behind the other without waiting for the
//! answers: so its disk writes while the next ones travel.
//!
//! Requests are taken only while the answers are asked for, and let go with them: openraft begins
//! the next stream when it drops this one, and the two must not take from its log at a time.

use super::network::{APPEND, decode, encode, failed};
use super::raft::Types;
use crate::core::proto::v1;
use crate::core::proto::v1::quorum_client::QuorumClient;
use futures::stream::{BoxStream, Stream, StreamExt};
use openraft::errors::RPCError;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Requests on their way at a time; each has up to 1,024 entries.
const REQUESTS: usize = 16;
/// How long another master may take to say that it listens.
const OPEN: Duration = Duration::from_secs(1);

/// What came of a request: up to where the other master's log is like ours, or why it is not.
pub type Appended = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// Sends `requests` to the master with the journal `to`; what came of each, in their order.
///
/// # Errors
/// When nobody answers, or the journal there is another one.
pub async fn open<'s, S>(
    mut client: QuorumClient<Channel>,
    to: u64,
    requests: S,
) -> Result<BoxStream<'s, Appended>, Status>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    // Room for the first message too: putting a request in never waits.
    let (messages, sent) = mpsc::channel(REQUESTS + 1);
    let addressed = v1::QuorumMessage { to, ..Default::default() };
    messages.try_send(addressed).expect("the channel is empty");
    let answers = client.append_all(ReceiverStream::new(sent));
    let answers = tokio::time::timeout(OPEN, answers).await;
    let answers = answers.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
    let pipeline = Pipeline {
        requests,
        messages: Some(messages),
        answers: answers.into_inner(),
        waiting: 0,
        heard: Instant::now(),
    };
    let next = async |mut pipeline: Pipeline<S>| {
        let appended = pipeline.next().await?;
        Some((appended, pipeline))
    };
    Ok(futures::stream::unfold(pipeline, next).boxed())
}

struct Pipeline<S> {
    requests: S,
    /// None when there are no more requests.
    messages: Option<mpsc::Sender<v1::QuorumMessage>>,
    answers: Streaming<v1::QuorumMessage>,
    /// Requests without an answer.
    waiting: usize,
    /// When the other master was heard last, or had nothing to answer.
    heard: Instant,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Pipeline<S> {
    /// The next answer, sending what there is in the meantime; none when all is answered and no more
    /// comes.
    async fn next(&mut self) -> Option<Appended> {
        loop {
            if self.messages.is_none() && self.waiting == 0 {
                return None;
            }
            let may_send = self.messages.is_some() && self.waiting < REQUESTS;
            tokio::select! {
                request = self.requests.next(), if may_send => self.send(request),
                answer = self.answers.message() => return Some(self.take(answer)),
                () = tokio::time::sleep_until(self.heard + APPEND), if self.waiting > 0 => {
                    return Some(Err(failed(Status::deadline_exceeded("no answer in time"))));
                }
            }
        }
    }

    fn send(&mut self, request: Option<AppendEntriesRequest<Types>>) {
        let Some(request) = request else { return self.messages = None };
        if self.waiting == 0 {
            self.heard = Instant::now();
        }
        self.waiting += 1;
        let message = v1::QuorumMessage { body: encode(&request), ..Default::default() };
        // Full it cannot be; if the connection is gone, so the answers say.
        let _ = self.messages.as_ref().map(|messages| messages.try_send(message));
    }

    fn take(&mut self, answer: Result<Option<v1::QuorumMessage>, Status>) -> Appended {
        let answer = answer.map_err(failed)?;
        let answer = answer.ok_or_else(|| failed(Status::unavailable("the other master ended")))?;
        self.waiting = self.waiting.saturating_sub(1);
        self.heard = Instant::now();
        decode(&answer.body).map_err(failed)
    }
}
