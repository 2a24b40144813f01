//! A worker's blocks over the wire, against sendfile, and recv and write, on the same loopback.

use super::{ROUNDS, Row, Scratch, alternate, floor};
use crate::client::BlockStream;
use crate::core::error::{Context, ErrorKind, Result, internal};
use crate::core::model::FileId;
use crate::core::proto::grpc::block::block_worker_client::BlockWorkerClient;
use crate::core::proto::grpc::block::{
    Chunk, ReadRequest, RequestType, WriteRequest, WriteRequestCommand, write_request,
};
use crate::core::rpc::{Channel, Credentials, MAX_MESSAGE, connect};
use bytes::Bytes;
use futures::stream;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes in the block that is read.
const BLOCK: usize = 256 << 20;
/// Bytes in one message, the official clients' default.
const CHUNK: usize = 1 << 20;
/// How long a worker may take until it takes blocks.
const READY: Duration = Duration::from_secs(10);

/// One block read by one stream over gRPC, against the same bytes by sendfile → recv.
///
/// # Errors
/// When a process does not start or a call fails.
pub async fn read(base: &Path) -> Result<Row> {
    let mut scratch = Scratch::start(base, &[])?;
    scratch.start_worker()?;
    let config = scratch.config()?;
    let address = format!("127.0.0.1:{}", config.worker.rpc_port);
    let channel = connect(&address, &Credentials::of(&config)).await?;
    let worker = BlockWorkerClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let block = FileId::from_container(1 << 30).block(0).0;
    write_first(&worker, block).await?;
    // On tmpfs, as the worker's own directory is.
    let mut file = tempfile::tempfile_in("/dev/shm").context("making the floor's file")?;
    for _ in 0..BLOCK / CHUNK {
        file.write_all(&[3; CHUNK]).context("filling the floor's file")?;
    }
    let before = scratch.cpu("worker")?;
    let rounds = alternate(
        ROUNDS,
        || async { Ok(read_block(channel.clone(), block).await? / 1e6) },
        || async {
            let file = file.try_clone().context("cloning the floor's file")?;
            let rate = move || floor::sendfile_rate(&file, BLOCK as u64, CHUNK);
            let rate = tokio::task::spawn_blocking(rate).await;
            Ok(rate.map_err(|_| internal("the floor panicked"))?? / 1e6)
        },
    )
    .await?;
    let gigabytes = (ROUNDS * BLOCK) as f64 / 1e9;
    let cpu = (scratch.cpu("worker")? - before).as_secs_f64() / gigabytes;
    let row = Row::new("W1 block read, one stream", "MB/s", "sendfile → recv", &rounds, false);
    Ok(row.note(format!("{cpu:.2} s of worker CPU per GB; client and worker share the cores")))
}

/// One block written by one stream over gRPC, against recv → write into the same memory.
///
/// # Errors
/// When a process does not start or a call fails.
pub async fn write(base: &Path) -> Result<Row> {
    let mut scratch = Scratch::start(base, &[])?;
    scratch.start_worker()?;
    let config = scratch.config()?;
    let address = format!("127.0.0.1:{}", config.worker.rpc_port);
    let channel = connect(&address, &Credentials::of(&config)).await?;
    let worker = BlockWorkerClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    // The same block again and again: what was written before makes way.
    let block = FileId::from_container(1 << 30).block(0).0;
    write_first(&worker, block).await?;
    let before = scratch.cpu("worker")?;
    let rounds = alternate(
        ROUNDS,
        || async {
            let start = Instant::now();
            write_block(worker.clone(), block).await?;
            Ok(BLOCK as f64 / start.elapsed().as_secs_f64() / 1e6)
        },
        || async {
            let rate = || floor::receive_rate(Path::new("/dev/shm"), BLOCK as u64, CHUNK);
            let rate = tokio::task::spawn_blocking(rate).await;
            Ok(rate.map_err(|_| internal("the floor panicked"))?? / 1e6)
        },
    )
    .await?;
    let gigabytes = (ROUNDS * BLOCK) as f64 / 1e9;
    let cpu = (scratch.cpu("worker")? - before).as_secs_f64() / gigabytes;
    let row = Row::new("W3 block write, one stream", "MB/s", "recv → write, tmpfs", &rounds, false);
    Ok(row.note(format!("{cpu:.2} s of worker CPU per GB; client and worker share the cores")))
}

/// Writes a block as soon as the worker takes any: first its master has to know it.
async fn write_first(worker: &BlockWorkerClient<Channel>, block: i64) -> Result<()> {
    let deadline = Instant::now() + READY;
    loop {
        match write_block(worker.clone(), block).await {
            Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() < deadline => {
                tokio::time::sleep(READY / 200).await;
            }
            written => return written,
        }
    }
}

async fn write_block(mut worker: BlockWorkerClient<Channel>, block: i64) -> Result<()> {
    let command = WriteRequestCommand {
        r#type: Some(RequestType::GoosefsBlock as i32),
        id: Some(block),
        offset: Some(0),
        space_to_reserve: Some(BLOCK as i64),
        ..Default::default()
    };
    let first = WriteRequest { value: Some(write_request::Value::Command(command)) };
    let data = Bytes::from(vec![5; CHUNK]);
    let chunks = (0..BLOCK / CHUNK).map(move |_| WriteRequest {
        value: Some(write_request::Value::Chunk(Chunk { data: Some(data.clone()) })),
    });
    let requests = stream::iter(std::iter::once(first).chain(chunks));
    let mut answers = worker.write_block(requests).await?.into_inner();
    while answers.message().await?.is_some() {}
    Ok(())
}

/// Bytes a second.
async fn read_block(channel: Channel, block: i64) -> Result<f64> {
    let request = ReadRequest {
        block_id: Some(block),
        offset: Some(0),
        length: Some(BLOCK as i64),
        chunk_size: Some(CHUNK as i64),
        ..Default::default()
    };
    let start = Instant::now();
    let mut stream = BlockStream::open(channel, request).await?;
    let mut received = 0;
    while received < BLOCK {
        received += stream.next().await?.ok_or_else(|| internal("the block ended early"))?.len();
    }
    Ok(received as f64 / start.elapsed().as_secs_f64())
}
