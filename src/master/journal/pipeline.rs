//! Entries on their way to another master, one request behind the other without waiting for the
//! answers: so its disk writes while the next ones travel.
//!
//! Requests are taken only while the answers are asked for, and let go with them: openraft begins
//! the next stream when it drops this one, and the two must not take from its log at a time.

use super::network::{APPEND, Peer, decode, encode, failed, late};
use super::raft::Types;
use crate::core::proto::v1;
use futures::stream::{BoxStream, Stream, StreamExt};
use openraft::errors::RPCError;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Requests on their way at a time; each has up to 1,024 entries.
const REQUESTS: usize = 16;
/// How long another master may take to say that it listens.
const OPEN: Duration = Duration::from_secs(1);

/// What came of a request: up to where the other master's log is like ours, or why it is not.
pub type Appended = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// Sends `requests` to `peer`; what came of each, in their order. The first that is not taken is the
/// last.
pub fn run<'s, S>(peer: Peer, requests: S) -> BoxStream<'s, Appended>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    let pipeline = Pipeline { peer, requests, open: None, waiting: 0, heard: Instant::now() };
    let next = async |pipeline: Option<Pipeline<S>>| {
        let mut pipeline = pipeline?;
        let appended = pipeline.next().await?;
        let goes_on = matches!(appended, Ok(Ok(_)));
        Some((appended, goes_on.then_some(pipeline)))
    };
    futures::stream::unfold(Some(pipeline), next).boxed()
}

struct Pipeline<S> {
    peer: Peer,
    requests: S,
    open: Option<Open>,
    /// Requests without an answer.
    waiting: usize,
    /// When the other master was heard last, or had nothing to answer.
    heard: Instant,
}

/// A call that is under way.
struct Open {
    /// None when there are no more requests.
    messages: Option<mpsc::Sender<v1::QuorumMessage>>,
    answers: Streaming<v1::QuorumMessage>,
}

impl<S: Stream<Item = AppendEntriesRequest<Types>> + Unpin> Pipeline<S> {
    /// The next answer, sending what there is in the meantime; none when all is answered and no more
    /// comes.
    async fn next(&mut self) -> Option<Appended> {
        if self.open.is_none() {
            // Only a master that there is something for is called: openraft lets us wait here for
            // one that did not answer lately.
            let request = self.requests.next().await?;
            match self.call().await {
                Ok(open) => self.open = Some(open),
                Err(status) => return Some(Err(self.lost(status))),
            }
            self.send(Some(request));
        }
        loop {
            let Open { messages, answers } = self.open.as_mut()?;
            if messages.is_none() && self.waiting == 0 {
                return None;
            }
            let may_send = messages.is_some() && self.waiting < REQUESTS;
            tokio::select! {
                request = self.requests.next(), if may_send => self.send(request),
                answer = answers.message() => return Some(self.take(answer)),
                () = tokio::time::sleep_until(self.heard + APPEND), if self.waiting > 0 => {
                    return Some(Err(self.lost(late())));
                }
            }
        }
    }

    async fn call(&mut self) -> Result<Open, Status> {
        // Room for the first message too: putting a request in never waits.
        let (messages, sent) = mpsc::channel(REQUESTS + 1);
        let addressed = v1::QuorumMessage { to: self.peer.target, ..Default::default() };
        messages.try_send(addressed).expect("the channel is empty");
        let mut client = self.peer.client()?;
        let answers = client.append_all(ReceiverStream::new(sent));
        let answers = tokio::time::timeout(OPEN, answers).await;
        let answers = answers.map_err(|_| late())??;
        Ok(Open { messages: Some(messages), answers: answers.into_inner() })
    }

    fn send(&mut self, request: Option<AppendEntriesRequest<Types>>) {
        let Some(open) = &mut self.open else { return };
        let Some(request) = request else { return open.messages = None };
        if self.waiting == 0 {
            self.heard = Instant::now();
        }
        self.waiting += 1;
        let message = v1::QuorumMessage { body: encode(&request), ..Default::default() };
        // Full it cannot be; if the connection is gone, so the answers say.
        let _ = open.messages.as_ref().map(|messages| messages.try_send(message));
    }

    fn take(&mut self, answer: Result<Option<v1::QuorumMessage>, Status>) -> Appended {
        let ended = || Status::unavailable("the other master ended");
        let answer = answer.and_then(|answer| answer.ok_or_else(ended));
        let answer = answer.map_err(|status| self.lost(status))?;
        self.peer.note(None);
        self.waiting = self.waiting.saturating_sub(1);
        self.heard = Instant::now();
        decode(&answer.body).map_err(failed)
    }

    fn lost(&self, status: Status) -> RPCError<Types> {
        self.peer.note(Some(&status));
        failed(status)
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::Network;
    use super::super::raft::Node;
    use super::*;
    use openraft::network::RaftNetworkFactory;

    /// A master that nobody reaches.
    async fn nobody() -> Peer {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let journal = listener.local_addr().unwrap().to_string();
        Network::default().new_client(7, &Node { journal, ..Default::default() }).await
    }

    #[tokio::test]
    async fn what_fails_is_said_once_and_is_the_end() {
        let leader_id = openraft::impls::leader_id_adv::LeaderId { term: 1, node_id: 1 };
        let heartbeat = AppendEntriesRequest {
            vote: openraft::impls::Vote { leader_id, committed: true },
            prev_log_id: None,
            leader_commit: None,
            entries: Vec::new(),
        };
        let mut answers = run(nobody().await, futures::stream::iter([heartbeat]));
        assert!(matches!(answers.next().await, Some(Err(RPCError::Unreachable(_)))));
        assert!(answers.next().await.is_none());
    }

    #[tokio::test]
    async fn nobody_is_called_before_there_is_something_to_say() {
        let mut answers = run(nobody().await, futures::stream::pending());
        let waits = tokio::time::timeout(OPEN / 10, answers.next()).await;
        assert!(waits.is_err(), "it waits for the first request");
    }
}
