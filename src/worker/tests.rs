//! The worker over its own gRPC, on a directory of this machine as the under store.

use super::*;
use crate::core::error::{Error, ErrorKind};
use crate::core::model::{BlockId, FileId};
use crate::core::proto::dataserver::{CreateUfsFileOptions, OpenUfsBlockOptions};
use crate::core::proto::grpc::block::block_worker_client::BlockWorkerClient;
use crate::core::proto::grpc::block::write_request::Value;
use crate::core::proto::grpc::block::*;
use crate::core::rpc::lend::{self, question};
use crate::core::rpc::{Channel, from_status};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use std::os::unix::fs::FileExt;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

const PAGE: usize = 64 << 10;
const BLOCK: usize = 10 * PAGE + 123;
const MOUNT: i64 = 1;

struct Rig {
    temp: tempfile::TempDir,
    parts: Parts,
    client: BlockWorkerClient<Channel>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    group: Group,
}

impl Rig {
    async fn start(medium: &str) -> Rig {
        Rig::start_with(medium, &[], |_| {}).await
    }

    /// With these properties, and with other parts.
    async fn start_with(
        medium: &str,
        properties: &[(&str, &str)],
        change: impl FnOnce(&mut Parts),
    ) -> Rig {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().to_str().unwrap().to_string();
        std::fs::create_dir(temp.path().join("ufs")).unwrap();
        let (dirs, meta) = (format!("{medium}:{root}/blocks:8MB"), format!("{root}/meta"));
        let usual = [
            ("goosefs.worker.dirs", dirs.as_str()),
            ("goosefs.worker.data.folder", &meta),
            ("goosefs.worker.page.size", "64KB"),
        ];
        let config = Config::with(&[&usual[..], properties].concat()).unwrap();
        let mut parts = Parts::open(&config, None).await.unwrap();
        change(&mut parts);
        parts.mounts.add(MOUNT, &format!("file://{root}/ufs"), &Default::default()).unwrap();
        let listener = server::bind("127.0.0.1", 0, "").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let group = Group::new("test");
        let routes = service::routes(parts.service(), &Sessions::new(true));
        group.spawn("serve", async move {
            let shutdown = async { drop(stopped.await) };
            server::serve(listener, routes, Duration::ZERO, shutdown).await.unwrap();
        });
        lend(&config, &parts, &group).unwrap();
        let channel = crate::core::rpc::connect(&address, &Credentials::of(&config)).await.unwrap();
        let client = BlockWorkerClient::new(channel).max_decoding_message_size(64 << 20);
        Rig { temp, parts, client, stop: Some(stop), group }
    }

    /// A file in the under store, and its first block as a reader asks for it.
    fn file(&self, name: &str, data: &[u8]) -> OpenUfsBlockOptions {
        let path = self.temp.path().join("ufs").join(name);
        std::fs::write(&path, data).unwrap();
        OpenUfsBlockOptions {
            ufs_path: Some(format!("file://{}", path.display())),
            offset_in_file: Some(0),
            block_size: Some(data.len() as i64),
            file_length: Some(data.len() as i64),
            mount_id: Some(MOUNT),
            ..Default::default()
        }
    }

    async fn read(&self, request: ReadRequest) -> Result<Bytes> {
        let (ask, requests) = mpsc::channel(4);
        ask.send(request).await.unwrap();
        let mut client = self.client.clone();
        let answers = client.read_block(ReceiverStream::new(requests)).await;
        let mut answers = answers.map_err(|s| from_status(&s))?.into_inner();
        let mut read = Vec::new();
        while let Some(answer) = answers.message().await.map_err(|s| from_status(&s))? {
            let data = answer.chunk.unwrap().data.unwrap();
            read.extend_from_slice(&data);
            let progress =
                ReadRequest { offset_received: Some(read.len() as i64), ..Default::default() };
            ask.try_send(progress).ok();
        }
        Ok(read.into())
    }

    /// How a file in the under store begins.
    fn to_ufs(&self, name: &str) -> Value {
        Value::Command(WriteRequestCommand {
            r#type: Some(RequestType::UfsFile as i32),
            id: Some(-1),
            space_to_reserve: Some(i64::MAX),
            create_ufs_file_options: Some(CreateUfsFileOptions {
                ufs_path: Some(format!("file://{}/ufs/{name}", self.temp.path().display())),
                mount_id: Some(MOUNT),
                mode: Some(0o640),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    async fn write(&self, messages: Vec<Value>) -> Result<Vec<i64>> {
        let requests: Vec<_> =
            messages.into_iter().map(|value| WriteRequest { value: Some(value) }).collect();
        let mut client = self.client.clone();
        let answers = client.write_block(futures::stream::iter(requests)).await;
        let mut answers = answers.map_err(|s| from_status(&s))?.into_inner();
        let mut flushed = Vec::new();
        while let Some(answer) = answers.message().await.map_err(|s| from_status(&s))? {
            flushed.push(answer.offset());
        }
        Ok(flushed)
    }

    fn block_path(&self, id: BlockId) -> PathBuf {
        self.parts.reads.store.peek(id).unwrap().path()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        let group = self.group.clone();
        tokio::spawn(async move { group.stop(Duration::ZERO).await });
    }
}

fn data(length: usize, seed: u8) -> Bytes {
    (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8 ^ seed)).collect()
}

fn id(container: u64) -> BlockId {
    FileId::from_container(container).block(0)
}

fn whole(id: BlockId, length: usize, options: Option<OpenUfsBlockOptions>) -> ReadRequest {
    ReadRequest {
        block_id: Some(id.0),
        offset: Some(0),
        length: Some(length as i64),
        chunk_size: Some(100_000),
        open_ufs_block_options: options,
        ..Default::default()
    }
}

fn begin(id: BlockId) -> Value {
    Value::Command(WriteRequestCommand {
        r#type: Some(RequestType::GoosefsBlock as i32),
        id: Some(id.0),
        space_to_reserve: Some(64 << 20),
        ..Default::default()
    })
}

fn chunk(data: Bytes) -> Value {
    Value::Chunk(Chunk { data: Some(data) })
}

fn flush() -> Value {
    Value::Command(WriteRequestCommand { flush: Some(true), ..Default::default() })
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_of_a_cold_block_cost_one_fetch() {
    for medium in ["MEM", "SSD"] {
        let rig = Rig::start(medium).await;
        let bytes = data(BLOCK, 1);
        let options = rig.file("a", &bytes);
        let reads = (0..8).map(|_| rig.read(whole(id(1), BLOCK, Some(options.clone()))));
        for read in join_all(reads).await {
            assert!(read.unwrap() == bytes);
        }
        assert_eq!(rig.parts.reads.counts.filled_bytes.get(), BLOCK as u64);
        std::fs::remove_file(rig.temp.path().join("ufs/a")).unwrap();
        assert!(rig.read(whole(id(1), BLOCK, None)).await.unwrap() == bytes, "it was kept");
        let part = ReadRequest { offset: Some(70_000), ..whole(id(1), 1_000, None) };
        assert!(rig.read(part).await.unwrap() == bytes[70_000..71_000]);
        let check = CheckBlocksRequest { block_ids: vec![id(1).0, id(2).0] };
        let cached = rig.client.clone().check_blocks(check).await.unwrap().into_inner();
        assert_eq!(cached.block_cached_bytes, [(id(1).0, BLOCK as i64)].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_cold_block_fetches_its_pages_only_and_no_cache_keeps_none() {
    let rig = Rig::start("MEM").await;
    let bytes = data(BLOCK, 2);
    let options = rig.file("a", &bytes);
    let part = ReadRequest {
        offset: Some(3 * PAGE as i64 + 5),
        ..whole(id(1), 10, Some(options.clone()))
    };
    assert!(rig.read(part).await.unwrap() == bytes[3 * PAGE + 5..][..10]);
    assert_eq!(rig.parts.reads.counts.filled_bytes.get(), PAGE as u64);
    let options = OpenUfsBlockOptions { no_cache: Some(true), ..options };
    assert!(rig.read(whole(id(2), BLOCK, Some(options))).await.unwrap() == bytes);
    assert!(rig.parts.reads.store.peek(id(2)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_larger_than_the_store_is_read_through() {
    let rig = Rig::start("MEM").await;
    let bytes = data(9 << 20, 3);
    let options = rig.file("a", &bytes);
    assert!(rig.read(whole(id(1), bytes.len(), Some(options))).await.unwrap() == bytes);
    assert_eq!(rig.parts.reads.store.usage().used, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_of_which_nothing_came_leaves_no_block() {
    let rig = Rig::start("SSD").await;
    let options = rig.file("a", &data(BLOCK, 1));
    let (store, filler) = (&rig.parts.reads.store, &rig.parts.reads.filler);
    let wanted = rig.parts.mounts.locate(id(1), &options).await.unwrap();
    let fill = filler.open(&wanted).await.unwrap();
    assert!(store.peek(id(1)).is_some());
    drop(fill);
    assert!(store.peek(id(1)).is_none());
    filler.fill(&wanted, &Default::default(), |_| {}).await.unwrap();
    drop(filler.open(&wanted).await.unwrap());
    assert!(store.get_whole(id(1)).is_some(), "what came stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_filled_stays_until_whoever_had_it_filled_has_seen_to_it() {
    let rig = Rig::start("SSD").await;
    let bytes = 2 << 20;
    let options = rig.file("a", &data(bytes, 1));
    let (store, filler) = (&rig.parts.reads.store, &rig.parts.reads.filler);
    let fill = async |number| {
        let options = OpenUfsBlockOptions { block_size: Some(bytes as i64), ..options.clone() };
        let wanted = rig.parts.mounts.locate(id(number), &options).await.unwrap();
        filler.fill(&wanted, &Default::default(), |_| {}).await.unwrap()
    };
    let filled = fill(1).await;
    assert!(filled.fetched && !fill(1).await.fetched);
    for number in 2..12 {
        fill(number).await;
        assert!(store.get_whole(id(number)).is_some() && store.peek(id(1)).is_some());
    }
    drop(filled);
    // Who was passed over is looked at again.
    store.tend();
    for number in 12..22 {
        fill(number).await;
    }
    assert!(store.peek(id(1)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_an_error_and_never_mixed() {
    let rig = Rig::start("MEM").await;
    let old = data(BLOCK, 4);
    let options = rig.file("a", &old);
    let (ufs, path) = rig.parts.mounts.open(MOUNT, options.ufs_path()).await.unwrap();
    let version = ufs.status(&path).await.unwrap().version;
    let options = OpenUfsBlockOptions { version: Some(version), ..options };
    let part = whole(id(1), 10, Some(options.clone()));
    assert!(rig.read(part).await.unwrap() == old[..10]);
    // The rest of the block is now of another object.
    let new = rig.file("a", &data(BLOCK + 1, 5));
    let error = rig.read(whole(id(1), BLOCK, Some(options))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    until("what was filled is dropped", || rig.parts.reads.store.usage().used == 0).await;
    assert!(rig.read(whole(id(1), BLOCK + 1, Some(new))).await.unwrap() == data(BLOCK + 1, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_filled_again_and_a_damaged_only_copy_is_data_loss() {
    for medium in ["MEM", "SSD"] {
        let rig = Rig::start(medium).await;
        let bytes = data(BLOCK, 6);
        let options = rig.file("a", &bytes);
        rig.read(whole(id(1), BLOCK, Some(options.clone()))).await.unwrap();
        let file = std::fs::File::options().write(true).open(rig.block_path(id(1))).unwrap();
        file.write_all_at(b"!", 5 * PAGE as u64 + 7).unwrap();
        let again = rig.read(whole(id(1), BLOCK, Some(options.clone()))).await;
        assert!(again.unwrap() == bytes);
        assert_eq!(rig.parts.reads.counts.bad_pages.get(), 1);
        let file = std::fs::File::options().write(true).open(rig.block_path(id(1))).unwrap();
        file.set_len(100).unwrap();
        assert!(rig.read(whole(id(1), BLOCK, Some(options))).await.unwrap() == bytes);

        rig.write(vec![begin(id(2)), chunk(bytes.clone())]).await.unwrap();
        let file = std::fs::File::options().write(true).open(rig.block_path(id(2))).unwrap();
        file.set_len(100).unwrap();
        let error = rig.read(whole(id(2), BLOCK, None)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_there_after_its_stream_ends_and_flushes_are_answered() {
    let rig = Rig::start("SSD").await;
    let bytes = data(3 << 20, 7);
    let mut messages = vec![begin(id(1))];
    messages.extend(bytes.chunks(1_000_000).map(|piece| chunk(bytes.slice_ref(piece))));
    messages.insert(2, flush());
    messages.push(flush());
    assert_eq!(rig.write(messages).await.unwrap(), [1_000_000, 3 << 20]);
    assert!(rig.read(whole(id(1), bytes.len(), None)).await.unwrap() == bytes);
    rig.write(vec![begin(id(1)), chunk(data(10, 8))]).await.unwrap();
    assert!(rig.read(whole(id(1), 10, None)).await.unwrap() == data(10, 8));
    rig.write(vec![begin(id(2))]).await.unwrap();
    assert!(rig.parts.reads.store.peek(id(2)).is_some(), "an empty block is one too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_broken_off_leaves_nothing() {
    let rig = Rig::start("MEM").await;
    let to_ufs = rig.to_ufs("x/y");
    for first in [begin(id(1)), to_ufs.clone()] {
        let (messages, requests) = mpsc::channel(8);
        for value in [first, chunk(data(2 << 20, 9)), flush()] {
            messages.send(WriteRequest { value: Some(value) }).await.unwrap();
        }
        let mut client = rig.client.clone();
        let mut answers =
            client.write_block(ReceiverStream::new(requests)).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap().offset(), 2 << 20);
        // As the official client cancels: what is left of the call is dropped, which resets it.
        drop(answers);
        drop(messages);
    }
    until("the space is given back", || rig.parts.reads.store.usage().used == 0).await;
    assert!(rig.parts.reads.store.peek(id(1)).is_none());
    let error = rig.read(whole(id(1), 1, None)).await.unwrap_err();
    for word in [id(1).to_string().as_str(), "tiered storage", "UFS"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let written = rig.temp.path().join("ufs/x/y");
    assert!(!written.exists());
    rig.write(vec![to_ufs, chunk(data(100, 1)), flush(), chunk(data(50, 2))]).await.unwrap();
    assert_eq!(std::fs::read(written).unwrap(), [data(100, 1), data(50, 2)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_told_the_version_that_was_written() {
    let rig = Rig::start("MEM").await;
    for asks in [false, true] {
        let Value::Command(mut command) = rig.to_ufs("v") else { panic!("a command") };
        command.tell_version = asks.then_some(true);
        let values = [Value::Command(command), chunk(data(100, 1))];
        let requests = values.map(|value| WriteRequest { value: Some(value) });
        let mut client = rig.client.clone();
        let answers = client.write_block(futures::stream::iter(requests)).await.unwrap();
        let answers: Vec<WriteResponse> = answers.into_inner().try_collect().await.unwrap();
        let store = format!("file://{}/ufs", rig.temp.path().display());
        let store = crate::ufs::open(&store, &Default::default()).unwrap();
        let version = Some(store.status("v").await.unwrap().version);
        let told: Vec<_> = answers.into_iter().map(|answer| answer.version).collect();
        assert_eq!(told, if asks { vec![version] } else { vec![] });
    }
}

/// Room for one of each.
const BOUNDED: [(&str, &str); 1] = [("goosefs.worker.memory.budget", "54MB")];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_which_nothing_comes_ends_where_others_wait_and_leaves_nothing() {
    let idle = |parts: &mut Parts| parts.writes.upload_idle = Duration::from_millis(200);
    let rig = Rig::start_with("MEM", &BOUNDED, idle).await;
    let (messages, requests) = mpsc::channel(8);
    for value in [rig.to_ufs("idle"), chunk(data(100, 1)), flush()] {
        messages.send(WriteRequest { value: Some(value) }).await.unwrap();
    }
    let mut client = rig.client.clone();
    let answers = client.write_block(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().offset(), 100);
    // Nobody else wants to.
    assert!(tokio::time::timeout(Duration::from_secs(1), answers.message()).await.is_err());
    rig.write(vec![rig.to_ufs("other"), chunk(data(50, 2))]).await.unwrap();
    let error = Error::from(answers.message().await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("goosefs.worker.memory.budget"), "{error}");
    assert!(!rig.temp.path().join("ufs/idle").exists());
    assert_eq!(std::fs::read(rig.temp.path().join("ufs/other")).unwrap(), data(50, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_goes_on_for_long_lets_others_go_between() {
    let rig = Rig::start_with("MEM", &BOUNDED, |_| {}).await;
    let (messages, requests) = mpsc::channel(1);
    let mut client = rig.client.clone();
    let answers = tokio::spawn(async move {
        client.write_block(ReceiverStream::new(requests)).await.map(tonic::Response::into_inner)
    });
    for value in [begin(id(1)), chunk(data(1000, 0)), flush()] {
        messages.send(WriteRequest { value: Some(value) }).await.unwrap();
    }
    let mut answers = answers.await.unwrap().unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().offset(), 1000);
    let other = rig.write(vec![begin(id(2)), chunk(data(1000, 2))]);
    tokio::pin!(other);
    let mut written = 1;
    loop {
        // Never idle.
        let more = WriteRequest { value: Some(chunk(data(1000, written as u8))) };
        messages.send(more).await.unwrap();
        written += 1;
        if let Ok(other) = tokio::time::timeout(Duration::from_millis(50), &mut other).await {
            other.unwrap();
            break;
        }
        assert!(written < 600, "the other waits for the first to end");
    }
    drop(messages);
    assert!(answers.message().await.unwrap().is_none());
    let bytes = (0..written).map(|seed| data(1000, seed as u8)).collect::<Vec<_>>().concat();
    let read = rig.read(whole(id(1), bytes.len(), None)).await.unwrap();
    assert_eq!(read, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused() {
    let rig = Rig::start("MEM").await;
    rig.write(vec![begin(id(1)), chunk(data(100, 1))]).await.unwrap();
    let refused = [
        (ReadRequest { offset: Some(-1), ..whole(id(1), 1, None) }, ErrorKind::InvalidArgument),
        (ReadRequest { length: Some(-1), ..whole(id(1), 1, None) }, ErrorKind::InvalidArgument),
        (
            ReadRequest { offset: Some(i64::MAX), ..whole(id(1), 9, None) },
            ErrorKind::InvalidArgument,
        ),
        (whole(BlockId(-7), 1, None), ErrorKind::InvalidArgument),
        (whole(id(1), 101, None), ErrorKind::OutOfRange),
        (whole(id(2), 1, Some(OpenUfsBlockOptions::default())), ErrorKind::InvalidArgument),
    ];
    for (request, kind) in refused {
        let error = rig.read(request.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}: {error}");
    }
    let error = rig.write(vec![chunk(data(1, 1))]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let full = vec![begin(id(3)), chunk(data(4 << 20, 1)), chunk(data(5 << 20, 1))];
    assert_eq!(rig.write(full).await.unwrap_err().kind(), ErrorKind::ResourceExhausted);
    let kept = RemoveBlockRequest { block_id: Some(id(1).0) };
    assert!(rig.client.clone().remove_block(kept).await.is_err(), "the only copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_block_is_lent_and_a_missing_one_filled_behind() {
    let rig = Rig::start("MEM").await;
    let bytes = data(BLOCK, 1);
    let options = rig.file("a", &bytes);
    let socket = rig.temp.path().join("meta/lend.sock");
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let first = lend::request_async(&mut stream, &question(id(1), None)).await.unwrap();
    assert!(first.is_none());
    lend::request_async(&mut stream, &question(id(1), Some(options))).await.unwrap();
    let filled = || rig.parts.reads.store.peek(id(1)).is_some_and(|block| block.is_whole());
    until("it is filled behind", filled).await;
    let ask = question(id(1), None);
    let lent = lend::request_async(&mut stream, &ask).await.unwrap().unwrap();
    rig.parts.reads.store.remove(id(1));
    let mut read = vec![0; lent.length as usize];
    lent.file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes, "a lent block outlives its eviction");
    assert!(lent.file.write_at(b"x", 0).is_err(), "lent for reading only");
}
