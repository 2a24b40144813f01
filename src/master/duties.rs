//! The master's periodic work. Only the primary does it.

use super::Master;
use super::file_system::{Caller, Removal};
use super::journal::entry::{Attributes, Change, Outcome, SetAttributes, Target};
use super::sync::Freshness;
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{FileId, FsPath, Status, TtlAction};
use crate::core::runtime::{Duties, Group};
use futures::{StreamExt, stream};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Items looked at in one step of a duty.
const PAGE: usize = 1_000;
/// Inodes of deleted directories taken apart by one entry.
const REAP: u32 = 5_000;
/// Files whose TTL has run out that are deleted or freed at a time.
const EXPIRED_AT_ONCE: usize = 16;

/// Starts all duties in `group`.
pub fn start(master: &Arc<Master>, duties: &Duties, group: &Group) {
    let config = &master.config.master;
    let every = |name, interval, work| run(master, duties, group, name, interval, work);
    every("lost workers", Duration::from_secs(1), |m| Box::pin(lost_workers(m)));
    every("membership", Duration::from_millis(500), |m| {
        Box::pin(async move { m.membership.tick().await })
    });
    every("durability", Duration::from_secs(1), |m| Box::pin(async move { m.durability.run() }));
    every("deleted files", Duration::from_millis(500), |m| Box::pin(deleted_files(m)));
    every("persist", Duration::from_millis(200), |m| Box::pin(persist(m)));
    every("replication", Duration::from_secs(1), |m| Box::pin(async move { m.jobs.replicate() }));
    every("stages", Duration::from_secs(1), |m| {
        Box::pin(async move { m.jobs.drop_stages().await })
    });
    every("daily backup", Duration::from_secs(1), |m| {
        Box::pin(async move { m.backups.make_daily().await })
    });
    every("locks", Duration::from_millis(500), |m| Box::pin(async move { m.locks.expire().await }));
    every("expired files", config.ttl_interval, |m| Box::pin(expired(m)));
    let incomplete =
        (config.incomplete_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(3600));
    every("incomplete files", incomplete, |m| Box::pin(incomplete_files(m)));
}

type Work = fn(Arc<Master>) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

fn run(
    master: &Arc<Master>,
    duties: &Duties,
    group: &Group,
    name: &'static str,
    interval: Duration,
    work: Work,
) {
    let master = master.clone();
    duties.start(group, name, interval, move || {
        let master = master.clone();
        async move { if master.is_primary() { work(master).await } else { Ok(()) } }
    });
}

/// Gives up workers that are silent, and what they were doing.
async fn lost_workers(master: Arc<Master>) -> Result<()> {
    for gone in master.workers.lose_silent() {
        if let Outcome::Lost(files) = master.files.commit(Change::ForgetWorker(gone)).await?
            && !files.is_empty()
        {
            tracing::error!(
                worker = gone,
                files = files.len(),
                "files were only there: they are lost"
            );
        }
    }
    master.jobs.replace_orphans();
    master.jobs.revoke_unwanted();
    Ok(())
}

/// Takes deleted directories apart and has the blocks of deleted files dropped.
async fn deleted_files(master: Arc<Master>) -> Result<()> {
    let state = master.files.state();
    while state.has_deleted()? {
        if let Outcome::Reaped { more: false, .. } = master.files.commit(Change::Reap(REAP)).await?
        {
            break;
        }
    }
    // Nobody would hear it; what workers hold then, they ask about when they come.
    while master.workers.totals().live > 0 {
        let freed = state.freed(None, PAGE)?;
        if freed.is_empty() {
            break;
        }
        for deleted in &freed {
            master.workers.free((0..deleted.blocks).map(|index| deleted.file.block(index)));
        }
        let files = freed.iter().map(|deleted| deleted.file).collect();
        master.files.commit(Change::BlocksFreed(files)).await?;
    }
    Ok(())
}

/// Hands files that wait to be persisted to workers.
async fn persist(master: Arc<Master>) -> Result<()> {
    for (worker, task) in master.persister.due()? {
        master.jobs.persist(worker, task);
    }
    master.persister.forget_deleted()
}

/// Deletes or frees what has outlived its TTL. What cannot go keeps nothing else from going.
async fn expired(master: Arc<Master>) -> Result<()> {
    let now_ms = master.clock.now_ms();
    let mut after = None;
    while master.is_primary() {
        let page = master.files.state().expired(now_ms, after, PAGE)?;
        let each = stream::iter(&page).for_each_concurrent(EXPIRED_AT_ONCE, |&(id, _)| {
            let master = &master;
            async move {
                if let Err(error) = expire(master, id).await {
                    tracing::warn!(%id, %error, "its TTL has run out, but it stays for now");
                }
            }
        });
        each.await;
        after = page.last().copied();
        if page.len() < PAGE {
            break;
        }
    }
    Ok(())
}

async fn expire(master: &Master, id: FileId) -> Result<()> {
    let Some(status) = known(master, id)? else { return Ok(()) };
    match status.ttl_action {
        TtlAction::Delete if !status.mount_point => delete_expired(master, &status).await,
        // Nowhere else yet: freed once its store has it.
        _ if !status.folder && !status.is_persisted() => Ok(()),
        _ => free_expired(master, &status).await,
    }
}

/// Deletes what has outlived its TTL, in the store too. What has taken its place there meanwhile is
/// somebody else's, and has no TTL.
async fn delete_expired(master: &Master, status: &Status) -> Result<()> {
    let now = master.files.find(&status.path, Freshness::Within(0)).await?;
    if now.is_none_or(|now| now.id != status.id) {
        tracing::info!(path = %status.path, "its TTL has run out, and its store has it no more");
        return Ok(());
    }
    tracing::info!(path = %status.path, "deleted: its TTL has run out");
    let removal = Removal { recursive: true, here_only: false, only: Some(status.id) };
    master.files.remove(&Caller::master(), &status.path, removal).await
}

/// Frees a file once; then its TTL has done its work.
async fn free_expired(master: &Master, status: &Status) -> Result<()> {
    tracing::info!(path = %status.path, "freed: its TTL has run out");
    master.files.free(&Caller::master(), &status.path, true, true).await?;
    let attributes = Attributes { ttl_ms: Some(None), ..Default::default() };
    let set = SetAttributes { target: Target::Inodes(vec![status.id]), attributes };
    master.files.commit(Change::SetAttributes(set)).await.map(drop)
}

/// Removes files that nobody has completed for too long.
async fn incomplete_files(master: Arc<Master>) -> Result<()> {
    let oldest = master.clock.now_ms() - master.config.master.incomplete_timeout.as_millis() as i64;
    let mut after = None;
    loop {
        let page = master.files.state().incomplete(after, PAGE)?;
        for &(id, created_ms) in &page {
            if created_ms < oldest
                && let Some(status) = known(&master, id)?
            {
                match remove_incomplete(&master, &status).await {
                    Ok(()) => tracing::info!(path = %status.path, "removed: never completed"),
                    Err(error) => {
                        tracing::warn!(path = %status.path, %error, "never completed; it stays");
                    }
                }
            }
        }
        after = page.last().map(|&(id, _)| id);
        if page.len() < PAGE {
            return Ok(());
        }
    }
}

async fn remove_incomplete(master: &Master, status: &Status) -> Result<()> {
    let (id, caller) = (status.id, Caller::master());
    if known_at(master, &status.path)? != Some(id) {
        return master.files.drop_next(&caller, id).await;
    }
    let removal = Removal { only: Some(id), ..Default::default() };
    master.files.remove(&caller, &status.path, removal).await
}

fn known_at(master: &Master, path: &FsPath) -> Result<Option<FileId>> {
    Ok(master.files.peek(path)?.map(|status| status.id))
}

fn known(master: &Master, id: FileId) -> Result<Option<Status>> {
    match master.files.by_id(id) {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
