//! The way to other masters: what openraft wants said, over gRPC on the journal's port.
//!
//! A message names the master it is for, by the number that its journal has and no other, so that
//! what is meant for one is never taken by another that lives at its address now: a node that was
//! emptied, or one of another cluster.

use super::images::{Outgoing, Sending, name_of};
use super::pipeline::{self, Appended};
use super::raft::{Checkpoint, Node, RaftSnapshot, RaftSnapshotMeta, Types, Vote};
use crate::core::proto::v1;
use crate::core::proto::v1::quorum_client::QuorumClient;
use crate::master::state::image::Kept;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::v2::RaftNetworkV2;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_millis(500);
/// How long a connection may be silent before it is tried, and how long that may take.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long another master may take to say that it heard us.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long another master may take to write entries: its disk may be slow.
pub const APPEND: Duration = Duration::from_secs(10);
/// How long another master may take to look through what it has of an image.
const ASK: Duration = Duration::from_secs(60);
/// How long a whole image may take.
const IMAGE: Duration = Duration::from_secs(3600);
/// The longest message, in bytes.
pub const MAX_MESSAGE: usize = 128 << 20;
/// Frames of an image on their way at a time.
const FRAMES: usize = 4;

/// A client of the journal at `address`; it connects when it is first used, and again when the
/// connection is lost. None for what is no address.
pub fn client(address: &str) -> Option<QuorumClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let client = QuorumClient::new(endpoint.connect_lazy());
    Some(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
}

/// Reaches the other masters.
#[derive(Clone, Default)]
pub struct Network {
    /// Who did not answer when last asked: that is said once, and once that it answers again.
    silent: Arc<Mutex<HashSet<u64>>>,
    /// Images whose transfer broke.
    pub sending: Sending,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &Node) -> Peer {
        let (network, client) = (self.clone(), client(&node.journal));
        Peer { target, node: node.clone(), client, network }
    }
}

/// One other master.
#[derive(Clone)]
pub struct Peer {
    /// The number of its journal.
    pub target: u64,
    node: Node,
    client: Option<QuorumClient<Channel>>,
    network: Network,
}

/// The first message of an image.
#[derive(Serialize, Deserialize)]
pub struct ImageHeader {
    /// Who sends it.
    pub vote: Vote,
    /// Up to where it goes.
    pub meta: RaftSnapshotMeta,
    /// Frames that the receiver has already.
    pub kept: u64,
}

impl Peer {
    /// A client of its journal.
    ///
    /// # Errors
    /// `Unavailable` when its address is none.
    pub fn client(&self) -> Result<QuorumClient<Channel>, Status> {
        let address = || Status::unavailable(format!("{:?} is no address", self.node.journal));
        self.client.clone().ok_or_else(address)
    }

    fn message(&self, body: &impl Serialize) -> v1::QuorumMessage {
        v1::QuorumMessage { to: self.target, body: encode(body), ..Default::default() }
    }

    /// One question and its answer.
    async fn ask<Answer, F>(
        &self,
        question: &impl Serialize,
        patience: Duration,
        call: impl FnOnce(QuorumClient<Channel>, v1::QuorumMessage) -> F,
    ) -> Result<Answer, RPCError<Types>>
    where
        Answer: DeserializeOwned,
        F: Future<Output = Result<Response<v1::QuorumMessage>, Status>>,
    {
        let client = self.client().map_err(failed)?;
        let answer = tokio::time::timeout(patience, call(client, self.message(question))).await;
        let answer = answer.unwrap_or_else(|_| Err(late()));
        self.note(answer.as_ref().err());
        decode(&answer.map_err(failed)?.into_inner().body).map_err(failed)
    }

    /// Notes whether it answered.
    pub fn note(&self, failure: Option<&Status>) {
        let mut silent = self.network.silent.lock();
        let Node { name, journal, .. } = &self.node;
        match failure {
            Some(status) if silent.insert(self.target) => {
                tracing::warn!(name, journal, error = status.message(), "a master does not answer");
            }
            None if silent.remove(&self.target) => {
                tracing::info!(name, journal, "a master answers again");
            }
            _ => {}
        }
    }

    /// What the other master has of an image that was on its way to it before.
    async fn kept(
        &self,
        image: &Outgoing,
        meta: &RaftSnapshotMeta,
    ) -> Result<Option<Kept>, Status> {
        let name = name_of(&meta.last_log_id);
        let message = v1::QuorumMessage { to: self.target, body: name, ..Default::default() };
        let mut client = self.client()?;
        let answer = tokio::time::timeout(ASK, client.image_kept(message)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        let kept: Option<Kept> = decode(&answer.into_inner().body)?;
        Ok(kept.filter(|kept| image.begins_with(kept)))
    }

    async fn send_image(
        &self,
        image: Arc<Outgoing>,
        meta: RaftSnapshotMeta,
        vote: Vote,
    ) -> Result<Vec<u8>, Status> {
        let kept = self.kept(&image, &meta).await?;
        let frames = kept.as_ref().map_or(0, |kept| kept.frames);
        if frames > 0 {
            tracing::info!(address = %self.node.journal, frames, "goes on sending the state");
        }
        let header = self.message(&ImageHeader { vote, meta, kept: frames });
        let to = self.target;
        let (send, frames) = tokio::sync::mpsc::channel(FRAMES);
        let read = tokio::task::spawn_blocking(move || image.send(header, kept, to, &send));
        let answer = self.client()?.install_image(ReceiverStream::new(frames)).await;
        let sent = read.await.map_err(|error| Status::internal(error.to_string()))?;
        // Why the receiver gave it up says more than that it did.
        let answer = answer?;
        sent?;
        Ok(answer.into_inner().body)
    }
}

/// Nobody answered in time.
pub fn late() -> Status {
    Status::deadline_exceeded("no answer in time")
}

/// What came of a call, in openraft's words: whoever cannot be reached is left alone for a while.
pub fn failed(status: Status) -> RPCError<Types> {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::FailedPrecondition => {
            RPCError::Unreachable(Unreachable::new(&status))
        }
        _ => RPCError::Network(NetworkError::new(&status)),
    }
}

/// A consensus message as bytes.
pub fn encode(body: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(body).expect("consensus messages have known lengths")
}

/// A consensus message from bytes.
///
/// # Errors
/// `InvalidArgument` for what is none.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Status> {
    postcard::from_bytes(body).map_err(|_| {
        Status::invalid_argument("no consensus message of this version: run one version everywhere")
    })
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let patience = match rpc.entries.is_empty() {
            true => option.hard_ttl().max(HEARTBEAT),
            false => APPEND,
        };
        self.ask(&rpc, patience, |mut client, message| async move { client.append(message).await })
            .await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move { Ok(pipeline::run(self.clone(), input)) })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let patience = option.soft_ttl();
        self.ask(&rpc, patience, |mut client, message| async move { client.vote(message).await })
            .await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let patience = option.soft_ttl();
        self.ask(
            &rpc,
            patience,
            |mut client, message| async move { client.pre_vote(message).await },
        )
        .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: RaftSnapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let RaftSnapshot { meta, snapshot: Checkpoint::Image(image) } = snapshot else {
            let status = Status::internal("a checkpoint of this master is no image");
            return Err(StreamingError::Unreachable(Unreachable::new(&status)));
        };
        let sending = self.send_image(image.clone(), meta.clone(), vote);
        let sent = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            sent = tokio::time::timeout(IMAGE, sending) => sent,
        };
        let sent = sent.unwrap_or_else(|_| Err(late()));
        if sent.is_err() {
            self.network.sending.keep(meta, image);
        }
        let answer = sent.and_then(|body| decode(&body));
        answer.map_err(|status| {
            tracing::warn!(address = self.node.journal, %status, "sending the state to another master");
            StreamingError::Unreachable(Unreachable::new(&status))
        })
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let patience = option.hard_ttl().max(CONNECT);
        self.ask(&request, patience, |mut client, message| async move {
            client.transfer_leader(message).await
        })
        .await
    }
}
