//! The worker's gRPC services: one domain call each, one reply.
//!
//! ReadBlock and the ends of request streams are handled below the generated code ([`Blocks`]);
//! everything else is the generated service.

use super::body::{HonestEnd, ReadBody};
use super::fill::run_blocking;
use super::read::Reads;
use super::receive::receive;
use super::store::{BlockStore, Held};
use super::write::Writes;
use crate::core::error::{
    Error, ErrorKind, Result, failed_precondition, invalid_argument, unsupported,
};
use crate::core::model::BlockId;
use crate::core::proto::convert::Part;
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::proto::grpc::block::block_worker_server::{BlockWorker, BlockWorkerServer};
use crate::core::proto::grpc::block::*;
use crate::core::proto::v1::cache_server::{Cache, CacheServer};
use crate::core::proto::v1::{HoldsRequest, HoldsResponse};
use crate::core::rpc::{MAX_MESSAGE, Sessions};
use crate::core::runtime::{Group, Rate};
use futures::future::BoxFuture;
use futures::stream::Empty;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstDecoder;

/// What a call is answered with.
type Answered<T> = std::result::Result<Response<T>, Status>;
/// A stream of answers.
type Answers<T> = ReceiverStream<std::result::Result<T, Status>>;

/// What the services work on.
#[derive(Clone)]
pub struct Service {
    /// Reads.
    pub reads: Reads,
    /// Writes.
    pub writes: Writes,
    /// What streams run in.
    pub group: Group,
}

/// All services of a worker.
pub fn routes(service: Service, sessions: &Sessions) -> Routes {
    let (reads, group) = (service.reads.clone(), service.group.clone());
    let cache = CacheServer::new(Holdings(reads.store.clone()));
    let generated = BlockWorkerServer::new(service).max_decoding_message_size(MAX_MESSAGE);
    let blocks = Blocks { generated, reads, group };
    Routes::new(sessions.service()).add_service(blocks).add_service(cache).prepare()
}

/// What is in the store, for those who count.
struct Holdings(Arc<BlockStore>);

#[tonic::async_trait]
impl Cache for Holdings {
    async fn holds(&self, request: Request<HoldsRequest>) -> Answered<HoldsResponse> {
        let store = &self.0;
        let part = |id: BlockId| match store.peek(id) {
            None => Part::None,
            Some(block) if block.is_whole() => Part::Whole,
            Some(block) => Part::Bytes(block.bytes_held()),
        };
        let answer = HoldsResponse::tell(request.get_ref().blocks()?.map(part));
        Ok(Response::new(answer))
    }
}

/// The block service: ReadBlock by hand, without a copy; the rest generated, with honest ends.
#[derive(Clone)]
struct Blocks {
    generated: BlockWorkerServer<Service>,
    reads: Reads,
    group: Group,
}

impl NamedService for Blocks {
    const NAME: &'static str = <BlockWorkerServer<Service> as NamedService>::NAME;
}

impl tower::Service<http::Request<Body>> for Blocks {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let request = request.map(|body| Body::new(HonestEnd(body)));
        if !request.uri().path().ends_with("/ReadBlock") {
            return tower::Service::call(&mut self.generated, request);
        }
        let decoder = ProstDecoder::<ReadRequest>::default();
        let requests =
            Streaming::new_request(decoder, request.into_body(), None, Some(MAX_MESSAGE));
        let body = ReadBody::new(self.reads.clone(), self.group.clone(), requests);
        let mut response = http::Response::new(Body::new(body));
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
        Box::pin(std::future::ready(Ok(response)))
    }
}

fn unserved<T>(what: &str) -> Answered<T> {
    Err(unsupported(format!("{what} is not served by this worker")).into())
}

impl Service {
    /// Fills a block on request.
    async fn cache(&self, id: i64, options: Option<OpenUfsBlockOptions>) -> Result<()> {
        let id = BlockId(id);
        let options = told(id, options)?;
        if self.reads.store.peek(id).is_some_and(|block| block.is_whole()) {
            return Ok(());
        }
        let wanted = self.reads.mounts.locate(id, &options).await?;
        self.reads.filler.fill(&wanted, &Rate::default(), |_| {}).await.map(|_| ())
    }

    /// Pins a block and says where its file is.
    async fn open_local(&self, request: Option<OpenLocalBlockRequest>) -> Result<(Held, String)> {
        let id = BlockId(request.unwrap_or_default().block_id());
        let block = self.reads.store.get_whole(id);
        let block = block.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("block {id} is not whole in tiered storage"))
        })?;
        let held = Held::new(block);
        let checked = held.block().clone();
        let verified =
            run_blocking(move || checked.open().and_then(|file| checked.verify(&file))).await?;
        if let Err(error) = verified {
            let text = error.to_string();
            self.reads.damaged(held.block().clone(), error).await?;
            return Err(Error::new(ErrorKind::DataLoss, text));
        }
        let path = held.block().path();
        let path = path.to_str().ok_or_else(|| {
            failed_precondition(format!("{} is not a path in UTF-8", path.display()))
        })?;
        let path = path.to_string();
        Ok((held, path))
    }
}

/// The options, which must be there to find the block's bytes.
fn told(id: BlockId, options: Option<OpenUfsBlockOptions>) -> Result<OpenUfsBlockOptions> {
    if id.0 <= 0 {
        return Err(invalid_argument(format!("{id} is no block id")));
    }
    options.ok_or_else(|| invalid_argument(format!("no UFS file to fill block {id} from")))
}

#[tonic::async_trait]
impl BlockWorker for Service {
    type ReadBlockStream = Empty<std::result::Result<ReadResponse, Status>>;
    type WriteBlockStream = Answers<WriteResponse>;
    type OpenLocalBlockStream = Answers<OpenLocalBlockResponse>;
    type CreateLocalBlockStream = Empty<std::result::Result<CreateLocalBlockResponse, Status>>;

    async fn read_block(
        &self,
        _: Request<Streaming<ReadRequest>>,
    ) -> Answered<Self::ReadBlockStream> {
        // `Blocks` takes these calls.
        unserved("ReadBlock in this way")
    }

    async fn write_block(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Answered<Self::WriteBlockStream> {
        let (answers, outbound) = mpsc::channel(2);
        self.group.spawn("write", self.writes.clone().take(request.into_inner(), answers));
        Ok(Response::new(ReceiverStream::new(outbound)))
    }

    async fn open_local_block(
        &self,
        request: Request<Streaming<OpenLocalBlockRequest>>,
    ) -> Answered<Self::OpenLocalBlockStream> {
        let (answers, outbound) = mpsc::channel(1);
        let service = self.clone();
        let mut requests = request.into_inner();
        self.group.spawn_until_stop("open local block", async move {
            let Ok(first) = requests.message().await else { return };
            match service.open_local(first).await {
                Ok((held, path)) => {
                    let block_size = Some(held.block().length() as i64);
                    let answer = OpenLocalBlockResponse { path: Some(path), block_size };
                    answers.send(Ok(answer)).await.ok();
                    // The open stream is the client's lock on the file.
                    while let Ok(Some(_)) = requests.message().await {}
                }
                Err(error) => {
                    answers.send(Err(error.into())).await.ok();
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }

    async fn create_local_block(
        &self,
        _: Request<Streaming<CreateLocalBlockRequest>>,
    ) -> Answered<Self::CreateLocalBlockStream> {
        unserved("CreateLocalBlock")
    }

    async fn async_cache(
        &self,
        request: Request<AsyncCacheRequest>,
    ) -> Answered<AsyncCacheResponse> {
        let request = request.into_inner();
        let id = BlockId(request.block_id());
        let options = told(id, request.open_ufs_block_options)?;
        if !self.reads.store.peek(id).is_some_and(|block| block.is_whole()) {
            let mounts = self.reads.mounts.clone();
            self.reads.filler.fill_behind(async move { mounts.locate(id, &options).await });
        }
        Ok(Response::new(AsyncCacheResponse {}))
    }

    async fn sync_cache(&self, request: Request<SyncCacheRequest>) -> Answered<SyncCacheResponse> {
        let request = request.into_inner();
        self.cache(request.block_id(), request.open_ufs_block_options).await?;
        Ok(Response::new(SyncCacheResponse { result: Some(true) }))
    }

    async fn remove_block(
        &self,
        request: Request<RemoveBlockRequest>,
    ) -> Answered<RemoveBlockResponse> {
        let id = BlockId(request.into_inner().block_id());
        if self.reads.store.peek(id).is_some_and(|block| block.is_unpersisted()) {
            let text = format!("block {id} exists nowhere else: delete its file instead");
            return Err(failed_precondition(text).into());
        }
        let store = self.reads.store.clone();
        run_blocking(move || store.remove(id)).await?;
        Ok(Response::new(RemoveBlockResponse {}))
    }

    async fn move_block(&self, _: Request<MoveBlockRequest>) -> Answered<MoveBlockResponse> {
        unserved("MoveBlock")
    }

    async fn free_worker(&self, _: Request<FreeWorkerRequest>) -> Answered<FreeWorkerResponse> {
        let store = self.reads.store.clone();
        let freed = run_blocking(move || {
            let blocks = store.persisted();
            blocks.into_iter().filter(|&id| store.remove(id)).count()
        });
        let blocks = freed.await?;
        tracing::info!(blocks, "freed all that exists elsewhere too");
        Ok(Response::new(FreeWorkerResponse {}))
    }

    async fn clear_metrics(
        &self,
        _: Request<ClearMetricsRequest>,
    ) -> Answered<ClearMetricsResponse> {
        unserved("ClearMetrics")
    }

    async fn avoid_block_dead_lock(
        &self,
        _: Request<AvoidBlockDeadLockRequest>,
    ) -> Answered<AvoidBlockDeadLockResponse> {
        unserved("AvoidBlockDeadLock")
    }

    async fn check_blocks(
        &self,
        request: Request<CheckBlocksRequest>,
    ) -> Answered<CheckBlocksResponse> {
        let cached = |&id: &i64| {
            let block = self.reads.store.peek(BlockId(id)).filter(|block| block.is_whole())?;
            Some((id, block.length() as i64))
        };
        let block_cached_bytes = request.into_inner().block_ids.iter().filter_map(cached).collect();
        Ok(Response::new(CheckBlocksResponse { block_cached_bytes }))
    }

    async fn migrate_block(
        &self,
        request: Request<Streaming<MigrateBlockRequest>>,
    ) -> Answered<MigrateBlockResponse> {
        Ok(Response::new(receive(&self.writes, request.into_inner()).await))
    }
}
