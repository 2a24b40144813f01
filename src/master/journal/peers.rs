//! What other masters ask of this one, on the journal's port.

use super::Inner;
use super::disk;
use super::images::name_of;
use super::network::{ImageHeader, MAX_MESSAGE, decode, encode};
use super::raft::{Checkpoint, INCOMING};
use crate::core::error::{Result, data_loss, resource_exhausted, unavailable};
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
use tokio::sync::OwnedMutexGuard;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// What a handler answers.
type Answered<T> = std::result::Result<Response<T>, Status>;

/// The journal, as other masters see it.
pub(super) struct Peers {
    /// Weak: the journal owns the server.
    journal: Weak<Inner>,
    /// One image comes in at a time.
    incoming: Arc<tokio::sync::Mutex<()>>,
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

    /// Nobody else has to do with the image that is on its way in, as long as this is held.
    fn alone(&self) -> std::result::Result<OwnedMutexGuard<()>, Status> {
        let alone = self.incoming.clone().try_lock_owned();
        alone.map_err(|_| Status::aborted("another image is on its way in"))
    }

    /// Keeps the frames of an image in a file, until the last. What came of one that breaks stays.
    async fn receive(
        &self,
        journal: &Inner,
        header: &ImageHeader,
        messages: &mut Streaming<v1::QuorumMessage>,
        alone: OwnedMutexGuard<()>,
    ) -> std::result::Result<(PathBuf, OwnedMutexGuard<()>), Status> {
        let path = journal.options.dir.join(INCOMING);
        let (file, to) = (path.clone(), journal.identity.id);
        let (name, kept) = (name_of(&header.meta.last_log_id), header.kept);
        let (folder, reserve) = (journal.options.dir.clone(), journal.options.reserve);
        let (send, mut frames) = tokio::sync::mpsc::channel::<v1::QuorumMessage>(4);
        // Goes on to its end when the call is given up, and holds the file until then.
        let write = tokio::task::spawn_blocking(move || {
            let mut incoming = match kept {
                0 => Incoming::create(&file, &name)?,
                kept => Incoming::resume(&file, &name, kept)?,
            };
            while let Some(frame) = frames.blocking_recv() {
                // The empty one is the last.
                if !frame.body.is_empty() {
                    if disk::free_bytes(&folder)? < reserve.0 {
                        // The log needs what it would take.
                        drop(incoming);
                        std::fs::remove_file(&file)?;
                        return Err(resource_exhausted(format!(
                            "less than {reserve} are left for an image in {}",
                            folder.display()
                        )));
                    }
                    incoming.add(&frame.body)?;
                    continue;
                }
                if frame.crc32c != incoming.frames_sum() {
                    drop(incoming);
                    std::fs::remove_file(&file)?;
                    return Err(data_loss("the image that was sent is not the one that came"));
                }
                return incoming.finish().map(|()| alone);
            }
            Err(unavailable("the image ended early"))
        });
        let mut broken = None;
        while let Some(message) = messages.message().await.unwrap_or_else(|status| {
            broken = Some(status);
            None
        }) {
            let sound = message.body.is_empty() || crc32c::crc32c(&message.body) == message.crc32c;
            if message.to != to || !sound {
                broken = Some(Status::data_loss("a frame of the image was damaged on its way"));
                break;
            }
            if send.send(message).await.is_err() {
                break;
            }
        }
        drop(send);
        let alone = write.await.map_err(failed)?;
        match broken {
            Some(status) => Err(status),
            None => Ok((path, alone.map_err(Status::from)?)),
        }
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
        let alone = self.alone()?;
        let (upto, kept) = (&header.meta.last_log_id, header.kept);
        tracing::info!(?upto, kept, "the primary sends its state");
        let (file, _alone) = self.receive(&journal, &header, &mut messages, alone).await?;
        let snapshot = Snapshot { meta: header.meta, snapshot: Checkpoint::File(file) };
        let installed = journal.raft.install_full_snapshot(header.vote, snapshot).await;
        answer(&installed.map_err(failed)?)
    }

    async fn image_kept(&self, request: Request<v1::QuorumMessage>) -> Answered<v1::QuorumMessage> {
        let message = request.into_inner();
        let journal = self.addressed(message.to)?;
        let alone = self.alone()?;
        let path = journal.options.dir.join(INCOMING);
        let look = move || (Incoming::kept(&path, &message.body), alone).0;
        answer(&tokio::task::spawn_blocking(look).await.map_err(failed)?)
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
