//! Lends a block's file to a client on this host, by descriptor over a unix socket.
//!
//! Blocks are what users may or may not read, and a descriptor passes over every permission: only
//! the worker's own user and root are lent to; a mounted directory, which checks permissions for
//! its users, runs as one of them. The socket itself is open to everyone so that a stranger is told
//! why, instead of guessing. Only whole blocks are lent, for reading, and each is verified once in
//! the life of the process before it first is.

use super::fill::run_blocking;
use super::read::Reads;
use super::store::Block;
use crate::core::error::{Context, Error, Result, failed_precondition};
use crate::core::model::BlockId;
use crate::core::rpc::lend::{self, LendRequest, LentBlock};
use crate::core::runtime::Group;
use std::fs::{File, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Clients at a time.
const CLIENTS: usize = 1024;

/// Binds the socket, in place of one that a worker left behind.
///
/// # Errors
/// `FailedPrecondition` when another worker listens there or the path is no socket's, else why it
/// cannot be bound, naming the setting.
pub fn bind(path: &Path) -> Result<UnixListener> {
    let setting = "goosefs.worker.data.server.domain.socket.address";
    let what = || format!("cannot lend blocks at {}; see {setting}", path.display());
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(failed_precondition("something else is there")).with_context(what);
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(failed_precondition("another worker listens there")).with_context(what);
        }
        std::fs::remove_file(path).with_context(what)?;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(what)?;
    }
    let listener = UnixListener::bind(path).with_context(what)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666)).with_context(what)?;
    Ok(listener)
}

/// Lends blocks to whoever connects and may, until it is dropped.
pub async fn serve(listener: UnixListener, reads: Reads, group: Group) {
    let clients = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(permit) = clients.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let reads = reads.clone();
                group.spawn_until_stop("lend", async move {
                    if let Err(error) = serve_client(stream, &reads).await {
                        tracing::debug!(%error, "a client of the lending socket");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accepting on the lending socket");
                // Out of descriptors, say: a moment later there may be some.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_client(mut stream: UnixStream, reads: &Reads) -> Result<()> {
    let peer = stream.peer_cred().context("asking who connected")?.uid();
    let own = nix::unistd::geteuid().as_raw();
    while let Some(request) = lend::receive(&mut stream).await? {
        if peer != own && peer != 0 {
            lend::refuse(&mut stream, "blocks are lent to the worker's own user only").await?;
            continue;
        }
        let also = lend_also(reads, &request.also).await;
        let block = lend(reads, request).await;
        reads.counts.lent.inc_by(also.len() as u64 + u64::from(block.is_some()));
        lend::reply_with(&mut stream, block.as_ref(), &also).await?;
    }
    Ok(())
}

/// The block's file when it is whole and good; else none, and the block is filled behind where the
/// request tells how.
async fn lend(reads: &Reads, request: LendRequest) -> Option<LentBlock> {
    let id = BlockId(request.block_id);
    if let Some(block) = reads.store.get(id).filter(|block| block.is_whole()) {
        let opening = block.clone();
        match run_blocking(move || open_verified(&opening)).await {
            Ok(Ok(lent)) => return Some(lent),
            Ok(Err(error)) | Err(error) => {
                if let Err(error) = reads.damaged(block, error).await {
                    tracing::warn!(block = %id, %error, "not lent");
                }
            }
        }
    }
    let options = request.open_ufs.filter(|options| !options.no_cache())?;
    let mounts = reads.mounts.clone();
    reads.filler.fill_behind(async move { mounts.locate(id, &options).await });
    None
}

/// Those of `ids` that are whole and good. What is wrong with another shows when it is asked for by
/// itself.
async fn lend_also(reads: &Reads, ids: &[i64]) -> Vec<(BlockId, LentBlock)> {
    let known = ids.iter().take(lend::MOST_ALSO).filter_map(|&id| reads.store.get(BlockId(id)));
    let whole: Vec<_> = known.filter(|block| block.is_whole()).collect();
    if whole.is_empty() {
        return Vec::new();
    }
    let open = move || {
        let opened = whole.iter().map(|block| (block.id(), open_verified(block)));
        opened.filter_map(|(id, lent)| Some((id, lent.ok()?))).collect()
    };
    run_blocking(open).await.unwrap_or_default()
}

/// The block's file, once its bytes are known to be good.
fn open_verified(block: &Block) -> Result<LentBlock> {
    // Verified by the descriptor it is read with here, lent by one that can only read.
    block.verify(&*block.open()?)?;
    let file = File::open(block.path()).map_err(Error::from)?;
    Ok(LentBlock { file, length: block.length() })
}
