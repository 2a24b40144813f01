//! Streams to and from workers over real connections. The workers here keep blocks in memory and
//! fail on demand; the real ones are met in the tests of whole clusters.

use super::super::FileSystem;
use super::super::context::Workers;
use super::super::memory::Turn;
use super::call::Failure;
use super::copies::{Copies, Wanted};
use super::upload::Upload;
use super::*;
use crate::core::config::Config;
use crate::core::error::resource_exhausted;
use crate::core::model::{FileId, WorkerAddress};
use crate::core::proto::grpc::block::block_worker_server::{BlockWorker, BlockWorkerServer};
use crate::core::proto::grpc::block::*;
// By name: the wire has its own of these.
use crate::core::model::{BlockStatus, WorkerInfo};
use crate::core::rpc::Sessions;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status as Answer, Streaming};

/// A worker in memory. Clones share it.
#[derive(Clone, Default)]
struct Worker(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    blocks: HashMap<i64, Vec<u8>>,
    /// Streams that ended without a half-close.
    discarded: usize,
    /// Breaks a read off after so many bytes.
    breaks_after: Option<usize>,
    full: bool,
    asked: usize,
}

type Reply<T> = Result<Response<T>, Answer>;

/// Methods that no test calls.
macro_rules! absent {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'a, 'b>(
            &'a self,
            _: Request<$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Reply<$response>> + Send + 'b>>
        where
            'a: 'b,
        {
            Box::pin(async { Err(Answer::unimplemented("")) })
        })*
    };
}

#[tonic::async_trait]
impl BlockWorker for Worker {
    type ReadBlockStream = BoxStream<'static, Result<ReadResponse, Answer>>;
    type WriteBlockStream = BoxStream<'static, Result<WriteResponse, Answer>>;
    type OpenLocalBlockStream = BoxStream<'static, Result<OpenLocalBlockResponse, Answer>>;
    type CreateLocalBlockStream = BoxStream<'static, Result<CreateLocalBlockResponse, Answer>>;

    async fn read_block(
        &self,
        request: Request<Streaming<ReadRequest>>,
    ) -> Reply<Self::ReadBlockStream> {
        let first = request.into_inner().message().await?.expect("a first message");
        let (start, length) = (first.offset() as usize, first.length() as usize);
        let mut shelf = self.0.lock();
        shelf.asked += 1;
        let block = shelf.blocks.get(&first.block_id()).ok_or(Answer::unavailable("no block"))?;
        let most = shelf.breaks_after.unwrap_or(usize::MAX).min(length);
        let bytes = block[start..start + most.min(length)].to_vec();
        let chunks = bytes
            .chunks(first.chunk_size() as usize)
            .map(|c| Ok(ReadResponse { chunk: Some(Chunk { data: Some(c.to_vec().into()) }) }))
            .chain((most < length).then(|| Err(Answer::unavailable("broken off"))))
            .collect::<Vec<_>>();
        Ok(Response::new(futures::stream::iter(chunks).boxed()))
    }

    async fn write_block(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Reply<Self::WriteBlockStream> {
        if self.0.lock().full {
            return Err(resource_exhausted("no room").into());
        }
        let mut requests = request.into_inner();
        let shelf = self.0.clone();
        let (answers, outbound) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let (mut id, mut bytes) = (0, Vec::new());
            loop {
                let value = match requests.message().await {
                    Ok(Some(request)) => request.value.expect("a value"),
                    Ok(None) => break,
                    Err(_) => {
                        shelf.lock().discarded += 1;
                        return;
                    }
                };
                match value {
                    write_request::Value::Chunk(chunk) => bytes.extend_from_slice(chunk.data()),
                    write_request::Value::Command(command) if command.flush() => {
                        let offset = Some(bytes.len() as i64);
                        answers.send(Ok(WriteResponse { offset, version: None })).await.ok();
                    }
                    write_request::Value::Command(command) => id = command.id(),
                }
            }
            shelf.lock().blocks.insert(id, bytes);
        });
        Ok(Response::new(tokio_stream::wrappers::ReceiverStream::new(outbound).boxed()))
    }

    absent! {
        open_local_block(Streaming<OpenLocalBlockRequest>) -> Self::OpenLocalBlockStream;
        create_local_block(Streaming<CreateLocalBlockRequest>) -> Self::CreateLocalBlockStream;
        async_cache(AsyncCacheRequest) -> AsyncCacheResponse;
        remove_block(RemoveBlockRequest) -> RemoveBlockResponse;
        move_block(MoveBlockRequest) -> MoveBlockResponse;
        free_worker(FreeWorkerRequest) -> FreeWorkerResponse;
        clear_metrics(ClearMetricsRequest) -> ClearMetricsResponse;
        avoid_block_dead_lock(AvoidBlockDeadLockRequest) -> AvoidBlockDeadLockResponse;
        sync_cache(SyncCacheRequest) -> SyncCacheResponse;
        check_blocks(CheckBlocksRequest) -> CheckBlocksResponse;
        migrate_block(Streaming<MigrateBlockRequest>) -> MigrateBlockResponse;
    }
}

/// Serves `worker` on a loopback address of its own; what the master would tell of it.
async fn serve(id: i64, worker: &Worker) -> WorkerInfo {
    let host = format!("127.0.0.{}", id + 1);
    let listener = crate::core::rpc::server::bind(&host, 0, "nothing").await.unwrap();
    let rpc_port = listener.local_addr().unwrap().port();
    let sessions = Sessions::new(false);
    let service = BlockWorkerServer::new(worker.clone()).max_decoding_message_size(64 << 20);
    let routes = tonic::service::Routes::new(sessions.service()).add_service(service);
    let grace = Duration::from_secs(1);
    tokio::spawn(crate::core::rpc::server::serve(listener, routes, grace, std::future::pending()));
    let address = WorkerAddress { host, rpc_port, ..Default::default() };
    WorkerInfo { id, address, virtual_nodes: 200, live: true, ..Default::default() }
}

/// A client of these workers; there is no master.
async fn client(workers: &[Worker]) -> (FileSystem, Vec<WorkerInfo>) {
    let config = Config::with(&[
        ("user.short.circuit.enabled", "false"),
        ("user.rpc.retry.max.duration", "50ms"),
        ("master.rpc.port", "1"),
    ]);
    let fs = FileSystem::connect(&config.unwrap());
    let mut list = Vec::new();
    for (index, worker) in workers.iter().enumerate() {
        list.push(serve(index as i64 + 1, worker).await);
    }
    fs.context.know(Workers::of(list.clone(), &[]));
    (fs, list)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 253) as u8).collect()
}

/// A file of one block whose copies are on `workers`, in that order.
fn file(fs: &FileSystem, length: usize, workers: &[i64]) -> (Blocks, i64) {
    let id = FileId::from_container(9);
    let block = id.block(0);
    let length = length as u64;
    let locations = workers.to_vec();
    let status = Status {
        id,
        path: FsPath::parse("/f").unwrap(),
        length,
        block_size: 64 << 20,
        completed: true,
        blocks: vec![BlockStatus { id: block, offset: 0, length, locations }],
        ..Default::default()
    };
    (Blocks::new(fs, status, false), block.0)
}

fn whole(length: usize) -> Part {
    Part { index: 0, offset: 0, length: length as u64, alone: false }
}

fn command(id: i64) -> WriteRequestCommand {
    WriteRequestCommand { id: Some(id), offset: Some(0), ..Default::default() }
}

#[tokio::test]
async fn a_read_goes_on_at_the_next_worker_where_the_first_broke_off() {
    let workers = [Worker::default(), Worker::default()];
    let (fs, _) = client(&workers).await;
    let content = content(5 << 20);
    let (blocks, id) = file(&fs, content.len(), &[1, 2]);
    for worker in &workers {
        worker.0.lock().blocks.insert(id, content.clone());
    }
    workers[0].0.lock().breaks_after = Some((2 << 20) + 77);
    assert!(blocks.read(whole(content.len())).await.unwrap() == content);
    assert_eq!((workers[0].0.lock().asked, workers[1].0.lock().asked), (1, 1));
}

#[tokio::test]
async fn when_nobody_serves_the_error_names_block_path_and_workers() {
    let workers = [Worker::default(), Worker::default()];
    let (fs, list) = client(&workers).await;
    let (blocks, id) = file(&fs, 10, &[1, 2]);
    let error = blocks.read(whole(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    for part in ["/f", &id.to_string(), &list[0].address.to_string(), &list[1].address.to_string()]
    {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn a_write_commits_at_its_end_and_only_then() {
    let worker = Worker::default();
    let (fs, list) = client(std::slice::from_ref(&worker)).await;
    let mut upload = Upload::open(&fs.context, &list[0], command(5));
    upload.write(Bytes::from(content(300_000))).await.unwrap();
    upload.flush().await.unwrap();
    assert!(worker.0.lock().blocks.is_empty(), "flushed is not committed");
    upload.write(Bytes::from_static(b"end")).await.unwrap();
    upload.end().await.unwrap();
    upload.committed().await.unwrap();
    assert_eq!(worker.0.lock().blocks[&5].len(), 300_003);
    let mut dropped = Upload::open(&fs.context, &list[0], command(6));
    dropped.write(Bytes::from(content(300_000))).await.unwrap();
    dropped.flush().await.unwrap();
    drop(dropped);
    let start = Instant::now();
    while worker.0.lock().discarded == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "the worker never saw the reset");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!worker.0.lock().blocks.contains_key(&6), "a dropped write was committed");
}

#[tokio::test]
async fn a_worker_that_refuses_is_replaced_with_all_that_was_written() {
    let workers = [Worker::default(), Worker::default()];
    workers[0].0.lock().full = true;
    let (fs, list) = client(&workers).await;
    let wanted = Wanted { copies: 1, least: 1 };
    let mut copies = Copies::open(&fs.context, command(7), list.clone(), wanted);
    let content = content(3 << 20);
    for chunk in content.chunks(1 << 20) {
        copies.write(Bytes::copy_from_slice(chunk), Turn::default()).await.unwrap();
    }
    copies.end().await;
    assert_eq!(copies.committed().await.unwrap(), [2]);
    assert!(workers[1].0.lock().blocks[&7] == content);
    workers[1].0.lock().full = true;
    let mut copies = Copies::open(&fs.context, command(8), list, wanted);
    let written = copies.write(Bytes::from_static(b"x"), Turn::default()).await;
    copies.end().await;
    let error = written.and(copies.committed().await.map(drop)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
}

#[tokio::test]
async fn every_copy_gets_the_same_bytes() {
    let workers = [Worker::default(), Worker::default(), Worker::default()];
    let (fs, list) = client(&workers).await;
    let mut copies = Copies::open(&fs.context, command(3), list, Wanted { copies: 2, least: 1 });
    copies.write(Bytes::from_static(b"goose"), Turn::default()).await.unwrap();
    copies.flush().await.unwrap();
    copies.end().await;
    let mut holders = copies.committed().await.unwrap();
    holders.sort_unstable();
    assert_eq!(holders, [1, 2]);
    for worker in &workers[..2] {
        assert_eq!(worker.0.lock().blocks[&3], b"goose");
    }
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_unreachable() {
    let (fs, mut list) = client(&[Worker::default()]).await;
    list[0].address.rpc_port = 1;
    let mut upload = Upload::open(&fs.context, &list[0], command(1));
    upload.end().await.ok();
    let failure: Failure = upload.committed().await.unwrap_err();
    assert!(failure.unreachable, "{failure:?}");
}
