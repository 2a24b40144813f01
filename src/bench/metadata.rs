//! The master's calls: stat against a gRPC echo, durable creates against the disk's fdatasync.

use super::{ROUNDS, Row, Scratch, alternate, floor};
use crate::core::error::{Context, Error, ErrorKind, Result, internal};
use crate::core::proto::convert::pmode;
use crate::core::proto::grpc::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use crate::core::proto::grpc::file::{
    CreateFilePOptions, CreateFilePRequest, GetStatusPOptions, GetStatusPRequest, LoadMetadataPType,
};
use crate::core::proto::v1::EchoRequest;
use crate::core::proto::v1::echo_client::EchoClient;
use crate::core::rpc::server::free_port;
use crate::core::rpc::{Channel, Credentials, connect};
use futures::future::BoxFuture;
use prost::Message;
use std::future::Future;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long each side of a round runs.
const SPAN: Duration = Duration::from_secs(2);
/// Calls in flight of the stat workload.
const STATS_IN_FLIGHT: usize = 32;
/// Calls in flight of the create workload.
const CREATES_IN_FLIGHT: usize = 64;
/// How long masters may take to agree who is primary.
const ELECTION: Duration = Duration::from_secs(30);
/// What one journal record of a create takes, about; the size of the floor's records.
const RECORD_BYTES: usize = 256;

pub(super) type Master = FileSystemMasterClientServiceClient<Channel>;

/// Stats of one file by 32 callers, against echoes of the same sizes from a process that does
/// nothing else.
///
/// # Errors
/// When a process does not start or a call fails.
pub async fn stat(base: &Path) -> Result<Row> {
    let scratch = Scratch::start(base, &[])?;
    let config = scratch.config()?;
    let master = open(&scratch).await?;
    let path = "/bench/directory/file";
    create_file(&master, path).await?;
    let request = stat_request(path);
    let answer = master.clone().get_status(request.clone()).await?.into_inner();
    let sizes = EchoRequest {
        payload: vec![1; request.encoded_len()],
        answer_bytes: answer.encoded_len() as u32,
    };
    let echo_server = EchoProcess::start()?;
    let credentials = Credentials { user: None, ..Credentials::of(&config) };
    let echo = EchoClient::new(connect(&echo_server.address(), &credentials).await?);

    let (calls, busy) = (AtomicU64::new(0), AtomicU64::new(0));
    let rounds = alternate(
        ROUNDS,
        || async {
            let before = scratch.cpu("master")?;
            let (rate, count) = hammer(STATS_IN_FLIGHT, SPAN, || {
                let (mut master, request) = (master.clone(), request.clone());
                async move { Ok(master.get_status(request).await.map(drop)?) }
            })
            .await?;
            calls.fetch_add(count, Ordering::Relaxed);
            let spent = scratch.cpu("master")? - before;
            busy.fetch_add(spent.as_micros() as u64, Ordering::Relaxed);
            Ok(rate)
        },
        || async {
            let (rate, _) = hammer(STATS_IN_FLIGHT, SPAN, || {
                let (mut echo, sizes) = (echo.clone(), sizes.clone());
                async move { Ok(echo.echo(sizes).await.map(drop)?) }
            })
            .await?;
            Ok(rate)
        },
    )
    .await?;
    let per_call = busy.into_inner() as f64 / calls.into_inner().max(1) as f64;
    let name = format!("M7 stat, {STATS_IN_FLIGHT} in flight");
    let row = Row::new(&name, "calls/s", "gRPC echo, same sizes", &rounds, false);
    Ok(row.note(format!("{per_call:.1} µs of master CPU per call")))
}

/// Durable creates by 64 callers, against fdatasyncs of the same disk; and the latency of one
/// caller against that of one fdatasync.
///
/// # Errors
/// As [`stat`].
pub async fn create(base: &Path) -> Result<Vec<Row>> {
    let scratch = Scratch::start(base, &[])?;
    let next = creates(primary(&scratch).await?);
    let mut rows = Vec::new();
    for (in_flight, unit) in [(CREATES_IN_FLIGHT, "ops/s"), (1, "ops/s")] {
        let rounds = alternate(
            ROUNDS,
            || async { Ok(hammer(in_flight, SPAN, &next).await?.0) },
            || async { floor::fdatasyncs(scratch.dir(), RECORD_BYTES, SPAN / 2) },
        )
        .await?;
        let name = format!("M8 durable create, {in_flight} in flight");
        let row = Row::new(&name, unit, "fdatasync, same disk", &rounds, false);
        let note = match in_flight {
            1 => format!("{:.2} fdatasyncs long", 1.0 / row.ratio),
            _ => format!("{:.0} creates per fdatasync", row.ratio),
        };
        rows.push(row.note(note));
    }
    let three = Scratch::start_three(base)?;
    let by_three = creates(primary(&three).await?);
    for in_flight in [CREATES_IN_FLIGHT, 1] {
        let rounds = alternate(
            ROUNDS,
            || async { Ok(hammer(in_flight, SPAN, &by_three).await?.0) },
            || async { Ok(hammer(in_flight, SPAN, &next).await?.0) },
        )
        .await?;
        let name = format!("M8 the same with three masters, {in_flight} in flight");
        rows.push(Row::new(&name, "ops/s", "one master", &rounds, false));
    }
    Ok(rows)
}

/// Makes one file after another.
fn creates(master: Master) -> impl Fn() -> BoxFuture<'static, Result<()>> {
    let number = AtomicU64::new(0);
    move || {
        let (master, number) = (master.clone(), number.fetch_add(1, Ordering::Relaxed));
        Box::pin(
            async move { create_file(&master, &format!("/create/{}/{number}", number % 97)).await },
        )
    }
}

/// The master of a cluster that has one.
pub(super) async fn open(scratch: &Scratch) -> Result<Master> {
    let config = scratch.config()?;
    let channel = connect(&config.master_addresses()[0], &Credentials::of(&config)).await?;
    Ok(Master::new(channel))
}

/// The master that makes a file, as soon as there is one.
async fn primary(scratch: &Scratch) -> Result<Master> {
    let config = scratch.config()?;
    let start = Instant::now();
    loop {
        for address in config.master_addresses() {
            let Ok(channel) = connect(&address, &Credentials::of(&config)).await else { continue };
            let master = Master::new(channel);
            match create_file(&master, "/create/first").await {
                Ok(()) => return Ok(master),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(master),
                Err(error) if start.elapsed() > ELECTION => {
                    return Err(error.context("no master became primary"));
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) fn stat_request(path: &str) -> GetStatusPRequest {
    let options = GetStatusPOptions {
        load_metadata_type: Some(LoadMetadataPType::Once as i32),
        without_cached: Some(true),
        ..Default::default()
    };
    GetStatusPRequest { path: Some(path.into()), options: Some(options), request_id: None }
}

pub(super) async fn create_file(master: &Master, path: &str) -> Result<()> {
    let options = CreateFilePOptions {
        block_size_bytes: Some(64 << 20),
        recursive: Some(true),
        mode: Some(pmode(0o644)),
        ..Default::default()
    };
    let request = CreateFilePRequest { path: Some(path.into()), options: Some(options) };
    master.clone().create_file(request).await?;
    Ok(())
}

/// Keeps `in_flight` calls going for `span`. Returns the rate a second, and how many there were.
async fn hammer<F>(in_flight: usize, span: Duration, call: impl Fn() -> F) -> Result<(f64, u64)>
where
    F: Future<Output = Result<()>>,
{
    let start = Instant::now();
    let caller = || async {
        let mut count = 0u64;
        while start.elapsed() < span {
            call().await?;
            count += 1;
        }
        Ok::<u64, Error>(count)
    };
    let counts: Vec<u64> = futures::future::try_join_all((0..in_flight).map(|_| caller())).await?;
    let count = counts.iter().sum::<u64>();
    Ok((count as f64 / start.elapsed().as_secs_f64(), count))
}

/// A process that only echoes.
struct EchoProcess {
    child: Child,
    port: u16,
}

impl EchoProcess {
    fn start() -> Result<EchoProcess> {
        let port = free_port()?;
        let binary = std::env::current_exe().context("finding this binary")?;
        let child = std::process::Command::new(binary)
            .args(["bench", "echo-server", &port.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .context("starting the echo server")?;
        let server = EchoProcess { child, port };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(10) {
                return Err(internal("the echo server does not start"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
