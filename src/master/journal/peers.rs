//! What other masters ask of this one, on the journal's port.

use super::Inner;
use super::network::{ImageHeader, MAX_MESSAGE, decode, encode};
use super::raft::{Checkpoint, INCOMING};
use crate::core::error::{Result, internal};
use crate::core::proto::v1;
use crate::core::proto::v1::quorum_server::{Quorum, QuorumServer};
use crate::master::state::image::Incoming;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::storage::Snapshot;
use serde::Serialize;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// What a handler answers.
type Answered<T> = std::result::Result<Response<T>, Status>;

/// The journal, as other masters see it.
pub(super) struct Peers {
    /// Weak: the journal owns the server.
    journal: Weak<Inner>,
    /// One image comes in at a time.
    incoming: tokio::sync::Mutex<()>,
}

/// What is served on the journal's port.
pub(super) fn routes(journal: &Arc<Inner>) -> Routes {
    let peers = Peers { journal: Arc::downgrade(journal), incoming: Default::default() };
    let server = QuorumServer::new(peers);
    Routes::new(
        server.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE),
    )
}

fn failed(error: impl Display) -> Status {
    Status::unavailable(error.to_string())
}

fn answer(body: &impl Serialize) -> Answered<v1::QuorumMessage> {
    Ok(Response::new(v1::QuorumMessage { body: encode(body), ..Default::default() }))
}

impl Peers {
    fn journal(&self) -> std::result::Result<Arc<Inner>, Status> {
        self.journal.upgrade().ok_or_else(|| Status::unavailable("this master is stopping"))
    }

    /// The journal, if the message is for it.
    fn addressed(&self, to: u64) -> std::result::Result<Arc<Inner>, Status> {
        let journal = self.journal()?;
        let own = &journal.identity;
        if to == own.id {
            return Ok(journal);
        }
        Err(Status::failed_precondition(format!(
            "master {} has the journal {:x} now, not {to:x}: it was emptied, or is one of another \
             cluster",
            own.name, own.id
        )))
    }

    /// Keeps the frames of an image in a file, until the last.
    async fn receive(
        &self,
        journal: &Inner,
        messages: &mut Streaming<v1::QuorumMessage>,
    ) -> std::result::Result<PathBuf, Status> {
        let path = journal.options.dir.join(INCOMING);
        let (file, to) = (path.clone(), journal.identity.id);
        let (send, mut frames) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
        let write = tokio::task::spawn_blocking(move || {
            let mut incoming = Incoming::create(&file)?;
            while let Some(frame) = frames.blocking_recv() {
                // The empty one is the last.
                if frame.is_empty() {
                    return incoming.finish();
                }
                incoming.add(&frame)?;
            }
            Err(internal("the image ended early"))
        });
        while let Some(message) = messages.message().await? {
            if message.to != to || crc32c::crc32c(&message.body) != message.crc32c {
                return Err(Status::data_loss("a frame of the image was damaged on its way"));
            }
            if send.send(message.body).await.is_err() {
                break;
            }
        }
        drop(send);
        write.await.map_err(failed)?.map_err(Status::from)?;
        Ok(path)
    }
}

#[tonic::async_trait]
impl Quorum for Peers {
    async fn append(&self, request: Request<v1::QuorumMessage>) -> Answered<v1::QuorumMessage> {
        let message = request.into_inner();
        let journal = self.addressed(message.to)?;
        let appended = journal.raft.append_entries(decode(&message.body)?).await;
        answer(&appended.map_err(failed)?)
    }

    type AppendAllStream = BoxStream<'static, std::result::Result<v1::QuorumMessage, Status>>;

    async fn append_all(
        &self,
        request: Request<Streaming<v1::QuorumMessage>>,
    ) -> Answered<Self::AppendAllStream> {
        let mut messages = request.into_inner();
        let first = messages.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("nobody is addressed"))?;
        let journal = self.addressed(first.to)?;
        // What cannot be read ends it: the primary waits for an answer in vain and begins anew.
        let requests = messages
            .scan((), |(), message| {
                std::future::ready(message.ok().and_then(|m| decode(&m.body).ok()))
            })
            .take_until(journal.group.stopping());
        let results = journal.raft.stream_append(requests).map(|result| {
            let result = result.map_err(failed)?;
            Ok(v1::QuorumMessage { body: encode(&result), ..Default::default() })
        });
        Ok(Response::new(results.boxed()))
    }

    async fn vote(&self, request: Request<v1::QuorumMessage>) -> Answered<v1::QuorumMessage> {
        let message = request.into_inner();
        let journal = self.addressed(message.to)?;
        answer(&journal.raft.vote(decode(&message.body)?).await.map_err(failed)?)
    }

    async fn pre_vote(&self, request: Request<v1::QuorumMessage>) -> Answered<v1::QuorumMessage> {
        let message = request.into_inner();
        let journal = self.addressed(message.to)?;
        answer(&journal.raft.pre_vote(decode(&message.body)?).await.map_err(failed)?)
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::QuorumMessage>,
    ) -> Answered<v1::QuorumMessage> {
        let message = request.into_inner();
        let journal = self.addressed(message.to)?;
        let handled = journal.raft.handle_transfer_leader(decode(&message.body)?).await;
        answer(&handled.map_err(failed)?)
    }

    async fn install_image(
        &self,
        request: Request<Streaming<v1::QuorumMessage>>,
    ) -> Answered<v1::QuorumMessage> {
        let mut messages = request.into_inner();
        let first = messages.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("an image has a header"))?;
        let journal = self.addressed(first.to)?;
        let header: ImageHeader = decode(&first.body)?;
        let Ok(_alone) = self.incoming.try_lock() else {
            return Err(Status::aborted("another image is on its way in"));
        };
        tracing::info!(upto = ?header.meta.last_log_id, "the primary sends its state");
        let file = self.receive(&journal, &mut messages).await?;
        let snapshot = Snapshot { meta: header.meta, snapshot: Checkpoint::File(file) };
        let installed = journal.raft.install_full_snapshot(header.vote, snapshot).await;
        answer(&installed.map_err(failed)?)
    }

    async fn standing(&self, _: Request<v1::StandingRequest>) -> Answered<v1::StandingResponse> {
        let journal = self.journal()?;
        Ok(Response::new(journal.tell().await?))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Answered<v1::JoinResponse> {
        let journal = self.journal()?;
        let result: Result<()> = journal.take_in(request.into_inner()).await;
        result.map_err(Status::from)?;
        Ok(Response::new(v1::JoinResponse {}))
    }
}
