//! Block files of a worker on this host, read directly: the worker lends a descriptor and the
//! bytes never cross a socket.
//!
//! Descriptors are kept for a moment, since a file is read in many pieces; not longer, because a
//! block that was evicted meanwhile takes its space until the last descriptor is closed. Pages in
//! memory are read on the spot; where the disk would make us wait, a thread for waiting does it.

use super::super::context::Context;
use crate::core::config::host_name;
use crate::core::error::{Context as _, Result, data_loss, internal};
use crate::core::model::{BlockId, WorkerInfo};
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::rpc::lend::{self, LentBlock};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;

/// Lent files kept open.
const MOST_LENT: usize = 256;
/// How long a lent file is kept after its last use.
const KEPT: Duration = Duration::from_secs(10);
/// How long a worker that said no is not asked for the same block again.
const REFUSED_FOR: Duration = Duration::from_millis(500);
/// Refusals remembered.
const MOST_REFUSED: usize = 4096;
/// Idle sockets kept to one worker.
const MOST_IDLE: usize = 16;
/// How long a worker may take to answer; it never waits for a fill.
const PATIENCE: Duration = Duration::from_secs(10);
/// Up to this many bytes are read on the spot where they are in memory.
const SMALL_READ: u64 = 256 << 10;

/// Borrows block files, and keeps them for a moment.
#[derive(Default)]
pub(in super::super) struct Lender {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: HashMap<String, Vec<UnixStream>>,
    lent: HashMap<BlockId, (Arc<LentBlock>, Instant)>,
    refused: HashMap<BlockId, Instant>,
    sweeping: bool,
}

impl Lender {
    /// The file of `block`, if it was lent a moment ago.
    pub(in super::super) fn cached(&self, block: BlockId) -> Option<Arc<LentBlock>> {
        let mut state = self.state.lock();
        let (lent, used) = state.lent.get_mut(&block)?;
        *used = Instant::now();
        Some(lent.clone())
    }

    /// Closes the file of `block`.
    pub(super) fn forget(&self, block: BlockId) {
        self.state.lock().lent.remove(&block);
    }

    /// Asks `worker` for the file of `block`; none where the worker does not have it whole.
    pub(super) async fn ask(
        &self,
        context: &Arc<Context>,
        worker: &WorkerInfo,
        block: BlockId,
        open_ufs: Option<OpenUfsBlockOptions>,
        also: Vec<BlockId>,
    ) -> Result<Option<Arc<LentBlock>>> {
        if self.refused_lately(block) {
            return Ok(None);
        }
        let mut question = lend::question(block, open_ufs);
        question.also = self.missing(also);
        let asking = self.converse(&worker.address.domain_socket, &question);
        let lent = tokio::time::timeout(PATIENCE, asking)
            .await
            .map_err(|_| internal("the worker does not answer on its lending socket"))
            .flatten();
        let lent = lent.map(|lent| {
            for (id, block) in lent.also {
                self.keep(context, id, Arc::new(block));
            }
            lent.block
        });
        match lent {
            Ok(Some(lent)) => {
                let lent = Arc::new(lent);
                self.keep(context, block, lent.clone());
                Ok(Some(lent))
            }
            Ok(None) => {
                self.refuse(block);
                Ok(None)
            }
            Err(error) => {
                self.refuse(block);
                Err(error)
            }
        }
    }

    /// Those of `blocks` that are not here, as many as one question may name.
    fn missing(&self, blocks: Vec<BlockId>) -> Vec<i64> {
        let state = self.state.lock();
        let missing = blocks.into_iter().filter(|block| !state.lent.contains_key(block));
        missing.map(|block| block.0).take(lend::MOST_ALSO).collect()
    }

    /// One question on an idle socket, or on a new one when that turns out to be closed.
    async fn converse(&self, socket: &str, question: &lend::LendRequest) -> Result<lend::Lent> {
        let idle = self.state.lock().idle.get_mut(socket).and_then(Vec::pop);
        if let Some(mut stream) = idle
            && let Ok(lent) = lend::request_with(&mut stream, question).await
        {
            self.put_back(socket, stream);
            return Ok(lent);
        }
        let mut stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("the worker's lending socket {socket}"))?;
        let lent = lend::request_with(&mut stream, question).await?;
        self.put_back(socket, stream);
        Ok(lent)
    }

    fn put_back(&self, socket: &str, stream: UnixStream) {
        let mut state = self.state.lock();
        let idle = state.idle.entry(socket.into()).or_default();
        if idle.len() < MOST_IDLE {
            idle.push(stream);
        }
    }

    fn refused_lately(&self, block: BlockId) -> bool {
        self.state.lock().refused.get(&block).is_some_and(|when| when.elapsed() < REFUSED_FOR)
    }

    fn refuse(&self, block: BlockId) {
        let mut state = self.state.lock();
        if state.refused.len() >= MOST_REFUSED {
            state.refused.clear();
        }
        state.refused.insert(block, Instant::now());
    }

    fn keep(&self, context: &Arc<Context>, block: BlockId, lent: Arc<LentBlock>) {
        let mut state = self.state.lock();
        if state.lent.len() >= MOST_LENT {
            let oldest = state.lent.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.map(|id| state.lent.remove(&id));
        }
        state.lent.insert(block, (lent, Instant::now()));
        state.refused.remove(&block);
        if std::mem::replace(&mut state.sweeping, true) {
            return;
        }
        let weak = Arc::downgrade(context);
        context.group.spawn_until_stop("close lent files", async move {
            loop {
                tokio::time::sleep(KEPT / 2).await;
                match weak.upgrade() {
                    Some(context) if context.lender.sweep() => {}
                    _ => return,
                }
            }
        });
    }

    /// Closes what was not used for a while; false when nothing is left to close later.
    fn sweep(&self) -> bool {
        let mut state = self.state.lock();
        state.lent.retain(|_, (_, used)| used.elapsed() < KEPT);
        state.sweeping = !state.lent.is_empty();
        if !state.sweeping {
            state.idle.clear();
        }
        state.sweeping
    }
}

/// Reads `length` bytes of a lent block.
///
/// # Errors
/// `DataLoss` when the file is shorter than it was said to be.
pub(super) async fn read_lent(lent: &Arc<LentBlock>, offset: u64, length: u64) -> Result<Bytes> {
    let end = offset.checked_add(length).filter(|&end| end <= lent.length);
    if end.is_none() {
        return Err(data_loss(format!("bytes {offset}+{length} of a block of {}", lent.length)));
    }
    let mut buffer = Vec::with_capacity(length as usize);
    if length <= SMALL_READ {
        match read_some(lent, &mut buffer, length, offset, libc::RWF_NOWAIT) {
            Ok(_) if buffer.len() as u64 == length => return Ok(buffer.into()),
            // Not all in memory, or a file system that cannot tell.
            Ok(_) | Err(_) => {}
        }
    }
    let lent = lent.clone();
    let read = move || {
        while (buffer.len() as u64) < length {
            let at = offset + buffer.len() as u64;
            if read_some(&lent, &mut buffer, length, at, 0)? == 0 {
                return Err(data_loss(format!("a lent block file ends at {at}")));
            }
        }
        Ok(Bytes::from(buffer))
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|e| internal("reading a lent block").with_source(e))?
}

/// One preadv2(2) at `offset` into the room that `buffer` has up to `length` bytes.
fn read_some(
    lent: &LentBlock,
    buffer: &mut Vec<u8>,
    length: u64,
    offset: u64,
    flags: libc::c_int,
) -> std::io::Result<usize> {
    let room = length as usize - buffer.len();
    let spare = &mut buffer.spare_capacity_mut()[..room];
    let io = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len() };
    // SAFETY: `io` describes memory that is ours to write for as long as the call takes, and the
    // descriptor is open, since `lent` owns it.
    let count = unsafe { libc::preadv2(lent.file.as_raw_fd(), &io, 1, offset as i64, flags) };
    if count < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has written this many bytes, no more than there was room for.
    unsafe { buffer.set_len(buffer.len() + count as usize) };
    Ok(count as usize)
}

/// Whether `host` is this machine: by name, or because its address is one of ours.
pub(in super::super) fn is_local(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        // Only an address of this machine can be bound.
        Ok(address) => address.is_loopback() || UdpSocket::bind((address, 0)).is_ok(),
        Err(_) => host_name().is_some_and(|own| own.eq_ignore_ascii_case(host)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn block(content: &[u8], length: u64) -> Arc<LentBlock> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(LentBlock { file, length })
    }

    #[tokio::test]
    async fn a_lent_block_is_read_anywhere() {
        let content: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        let block = block(&content, content.len() as u64);
        for (offset, length) in [(0, 10), (999_990, 10), (5, 0), (1, 999_999)] {
            let bytes = read_lent(&block, offset, length).await.unwrap();
            assert_eq!(bytes, content[offset as usize..(offset + length) as usize]);
        }
    }

    #[tokio::test]
    async fn a_block_file_that_is_too_short_is_lost_data_and_not_fewer_bytes() {
        let block = block(b"goose", 50);
        for (offset, length) in [(0, 50), (5, 1), (49, 2)] {
            let error = read_lent(&block, offset, length).await.unwrap_err();
            assert_eq!(error.kind(), crate::core::error::ErrorKind::DataLoss, "{error}");
        }
    }

    #[test]
    fn this_machine_knows_its_own_addresses() {
        assert!(is_local("localhost") && is_local("127.0.0.1") && is_local("::1"));
        assert!(!is_local("192.0.2.1") && !is_local("no-such-host.example"));
    }
}
