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
use crate::core::error::{Context, Result, failed_precondition};
use crate::core::model::BlockId;
use crate::core::rpc::lend::{self, LendRequest, LentBlock};
use crate::core::runtime::Group;
use std::fs::Permissions;
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
        let (block, also) = lend(reads, request).await;
        reads.counts.lent.inc_by(also.len() as u64 + u64::from(block.is_some()));
        lend::reply_with(&mut stream, block.as_ref(), &also).await?;
    }
    Ok(())
}

/// The block's file when it is whole and good, else none, and the block is filled behind where the
/// request tells how. With it come those others that are whole and good; what is wrong with one of
/// them shows when it is asked for by itself.
async fn lend(
    reads: &Reads,
    request: LendRequest,
) -> (Option<LentBlock>, Vec<(BlockId, LentBlock)>) {
    let id = BlockId(request.block_id);
    let whole = |id| reads.store.get_whole(id);
    let also = request.also.iter().take(lend::MOST_ALSO).map(|&id| BlockId(id));
    let blocks: Vec<_> = std::iter::once(id).chain(also).filter_map(whole).collect();
    let (mut lent, mut also) = (None, Vec::new());
    for (block, opened) in open_all(blocks).await {
        match opened {
            Ok(file) if block.id() == id => lent = Some(file),
            Ok(file) => also.push((block.id(), file)),
            Err(error) if block.id() == id => {
                if let Err(error) = reads.damaged(block, error).await {
                    tracing::warn!(block = %id, %error, "not lent");
                }
            }
            Err(_) => {}
        }
    }
    if lent.is_none()
        && let Some(options) = request.open_ufs.filter(|options| !options.no_cache())
    {
        let mounts = reads.mounts.clone();
        reads.filler.fill_behind(async move { mounts.locate(id, &options).await });
    }
    (lent, also)
}

/// Opens and verifies blocks; on the spot where none of that waits for a disk or reads a lot.
async fn open_all(blocks: Vec<Arc<Block>>) -> Vec<(Arc<Block>, Result<LentBlock>)> {
    let at_once = blocks.iter().all(|block| block.is_in_memory() && block.is_verified());
    let open = move || {
        let open = |block: Arc<Block>| (block.clone(), open_verified(&block));
        blocks.into_iter().map(open).collect()
    };
    match at_once {
        true => open(),
        false => run_blocking(open).await.unwrap_or_default(),
    }
}

/// The block's file, once its bytes are known to be good.
fn open_verified(block: &Block) -> Result<LentBlock> {
    let file = block.open_anew()?;
    block.verify(&file)?;
    Ok(LentBlock { file, length: block.length() })
}
