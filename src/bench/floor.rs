//! Floors: what the machine does when nothing of ours is in the way.

use crate::core::error::{Context, Result, internal};
use crate::core::proto::v1::echo_server::{Echo, EchoServer};
use crate::core::proto::v1::{EchoRequest, EchoResponse};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::{Request, Response, Status};

/// Answers each call with as many bytes as it asks for.
pub struct EchoService;

#[tonic::async_trait]
impl Echo for EchoService {
    async fn echo(&self, request: Request<EchoRequest>) -> Result<Response<EchoResponse>, Status> {
        // Bounded: whoever reaches this port may ask.
        let length = (request.into_inner().answer_bytes as usize).min(1 << 20);
        Ok(Response::new(EchoResponse { payload: vec![7; length] }))
    }
}

/// Serves echoes on `port` for ever: the floor of a master's calls, in a process of its own.
///
/// # Errors
/// As [`crate::core::rpc::server::serve`].
pub async fn serve_echo(port: u16) -> Result<()> {
    let listener = crate::core::rpc::server::bind("127.0.0.1", port, "the port").await?;
    let routes = tonic::service::Routes::new(EchoServer::new(EchoService));
    crate::core::rpc::server::serve(listener, routes, Duration::ZERO, std::future::pending()).await
}

/// How often a second a record of `bytes` is appended to a file in `dir` and made durable.
///
/// # Errors
/// As the file system fails.
pub fn fdatasyncs(dir: &Path, bytes: usize, span: Duration) -> Result<f64> {
    let path = dir.join("fdatasync");
    let mut file = File::create(&path).context("creating a file to sync")?;
    let record = vec![1; bytes];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < span {
        file.write_all(&record).context("appending")?;
        file.sync_data().context("fdatasync")?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    std::fs::remove_file(&path).context("removing the file")?;
    Ok(rate)
}

/// Bytes a second from `file` by sendfile(2) over loopback into a buffer of `chunk` bytes.
///
/// # Errors
/// As sockets and the file fail.
pub fn sendfile_rate(file: &File, length: u64, chunk: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let address = listener.local_addr().context("listening")?;
    let source = file.try_clone().context("cloning the file")?;
    let sender = std::thread::spawn(move || -> Result<()> {
        let (socket, _) = listener.accept().context("accepting")?;
        let mut offset: libc::off_t = 0;
        while (offset as u64) < length {
            let left = (length - offset as u64) as usize;
            let sent = nix::sys::sendfile::sendfile(
                socket.as_fd(),
                source.as_fd(),
                Some(&mut offset),
                left,
            )
            .map_err(std::io::Error::from)
            .context("sendfile")?;
            if sent == 0 {
                break;
            }
        }
        Ok(())
    });
    let mut socket = TcpStream::connect(address).context("connecting")?;
    let start = Instant::now();
    let received = receive_all(&mut socket, chunk, |_| Ok(()))?;
    let rate = received as f64 / start.elapsed().as_secs_f64();
    sender.join().map_err(|_| internal("the sender panicked"))??;
    if received != length {
        return Err(internal(format!("received {received} of {length} bytes")));
    }
    Ok(rate)
}

/// Gives what comes to `take`, up to `chunk` bytes at a time, until the sender closes; how much came.
fn receive_all(
    socket: &mut TcpStream,
    chunk: usize,
    mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<u64> {
    let mut buffer = vec![0; chunk];
    let mut received = 0;
    loop {
        let bytes = socket.read(&mut buffer).context("receiving")?;
        if bytes == 0 {
            return Ok(received);
        }
        take(&buffer[..bytes]).context("taking what came")?;
        received += bytes as u64;
    }
}

/// Bytes a second that come over loopback and are written to a new file in `dir`, in steps of
/// `chunk` bytes.
///
/// # Errors
/// As sockets and the file fail.
pub fn receive_rate(dir: &Path, length: u64, chunk: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let address = listener.local_addr().context("listening")?;
    let sender = std::thread::spawn(move || -> Result<()> {
        let mut socket = TcpStream::connect(address).context("connecting")?;
        let data = vec![5; chunk];
        for _ in 0..length / chunk as u64 {
            socket.write_all(&data).context("sending")?;
        }
        Ok(())
    });
    let (mut socket, _) = listener.accept().context("accepting")?;
    let mut file = tempfile::tempfile_in(dir).context("making a file")?;
    let start = Instant::now();
    let received = receive_all(&mut socket, chunk, |bytes| file.write_all(bytes))?;
    let rate = received as f64 / start.elapsed().as_secs_f64();
    sender.join().map_err(|_| internal("the sender panicked"))??;
    Ok(rate)
}
