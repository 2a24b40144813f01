//! A journal that begins with a backup.
//!
//! Two steps, so that a crash at any moment leaves the old journal or the whole new one. First
//! [`take`] brings the backup into the journal's directory, checks all of it, and gives it its final
//! name with one rename: from then on everything else there counts for nothing. Then the master
//! that starts takes the state out of it (`carry_out`), and removes the file when that is safe;
//! until then it begins again with the same file.
//!
//! The journal is a new one, with a number of its own, that goes on behind the backup's last entry.
//! With several masters the rule is that of every new cluster: it begins when all masters of the
//! list are there and none of the others has a journal. One that had would be a cluster of its own,
//! with another past under the same name.

use super::disk::Log;
use super::identity::Identity;
use super::quorum::{LOOK, SAY, ask_others, newcomers};
use super::raft::{Membership, Node, Vote, position};
use super::{Options, create_private};
use crate::core::error::{
    Context, Error, ErrorKind, Result, data_loss, failed_precondition, internal,
};
use crate::core::runtime::{Clock, blocking, files};
use crate::master::state::restore::Restore;
use crate::master::state::{Applied, State, image};
use crate::ufs::{self, Properties};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::time::Instant;

/// The backup that the journal is to begin with.
const FILE: &str = "restore.image";
/// The same on its way here.
const NEW: &str = "restore.new";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The cluster it is of.
    pub cluster_id: String,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The last entry of the journal in it.
    pub last_entry: u64,
    /// The election that entry is of.
    pub term: u64,
    /// The version that wrote it.
    pub version: String,
}

impl Header {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a header is valid JSON")
    }

    fn decode(bytes: &[u8], name: &str) -> Result<Header> {
        serde_json::from_slice(bytes).map_err(|error| {
            failed_precondition(format!("{name} is an image of a state, and no backup"))
                .with_source(error)
        })
    }
}

/// Whether there is something in the journal's directory that a backup would replace.
pub fn is_used(dir: &Path) -> Result<bool> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| dir.display().to_string()),
    };
    for entry in entries {
        let name = entry?.file_name();
        // What a mount point of its own has from the start.
        if name != NEW && name != "lost+found" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Replaces the journal in `dir` by the backup at `from`, the address of an under store or a path of
/// this host. Until all of the backup is here and has been checked, nothing else is touched. What it
/// says of itself, and the number of files and directories in it.
///
/// # Errors
/// `NotFound` when there is no backup; `FailedPrecondition` for what is none, or one of a newer
/// format; `DataLoss` for a damaged one; else what the store or the disk says.
pub async fn take(dir: &Path, from: &str, properties: &Properties) -> Result<(Header, u64)> {
    let new_dir = !dir.exists();
    create_private(dir).with_context(|| format!("creating {}", dir.display()))?;
    let taken = fetch(dir, from, properties).await;
    match taken {
        Ok(taken) => {
            commit(dir).with_context(|| dir.display().to_string())?;
            begin(dir)?;
            Ok(taken)
        }
        Err(error) => {
            // Leaves things as they were, as far as that is possible; the error is what counts.
            std::fs::remove_file(dir.join(NEW)).ok();
            if new_dir {
                std::fs::remove_dir(dir).ok();
            }
            Err(error)
        }
    }
}

/// Brings the backup here and checks it.
async fn fetch(dir: &Path, from: &str, properties: &Properties) -> Result<(Header, u64)> {
    let (path, name) = (dir.join(NEW), from.to_string());
    let reading = || format!("reading {from}");
    let (address, file) = from.rsplit_once('/').unwrap_or((".", from));
    let address = match address.contains("://") {
        true => address.to_string(),
        false => std::path::absolute(Path::new(if address.is_empty() { "/" } else { address }))?
            .display()
            .to_string(),
    };
    let store = ufs::open(&address, properties).with_context(reading)?;
    let status = store.status(file).await.with_context(reading)?;
    if status.folder {
        let message = format!("{from} is a directory: name one of the backups in it");
        return Err(Error::new(ErrorKind::IsDirectory, message));
    }
    let version = Some(status.version.as_str());
    let mut bytes = store.read(file, version, 0..status.length).await.with_context(reading)?;
    let mut kept = files::create_private(&path).with_context(|| path.display().to_string())?;
    while let Some(piece) = bytes.try_next().await.with_context(reading)? {
        kept = blocking(move || Ok(kept.write_all(&piece).map(|()| kept)?))
            .await
            .with_context(|| path.display().to_string())?;
    }
    let check = move || {
        kept.sync_all()?;
        let (header, inodes) = image::check(&path, &name)?;
        Ok((Header::decode(&header, &name)?, inodes))
    };
    blocking(check).await
}

/// From here on the backup is the journal.
fn commit(dir: &Path) -> std::io::Result<()> {
    std::fs::rename(dir.join(NEW), dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// The backup that the journal in `dir` is to begin with, if there is one; everything else there
/// has been removed then.
pub(super) fn begin(dir: &Path) -> Result<Option<PathBuf>> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(None);
    }
    let removing = || format!("removing what was in {}", dir.display());
    for entry in std::fs::read_dir(dir).with_context(removing)? {
        let entry = entry.with_context(removing)?;
        let name = entry.file_name();
        if name == FILE || name == "lost+found" {
            continue;
        }
        let removed = match entry.file_type().with_context(removing)?.is_dir() {
            true => std::fs::remove_dir_all(entry.path()),
            false => std::fs::remove_file(entry.path()),
        };
        removed.with_context(removing)?;
    }
    Ok(Some(path))
}

/// Makes the state that of the backup, and the journal one that goes on behind it, with all masters
/// of the list.
pub(super) async fn carry_out(
    options: &Options,
    state: &State,
    log: &Log,
    identity: &Identity,
    backup: &Path,
) -> Result<()> {
    let name = backup.display().to_string();
    let (path, checked) = (backup.to_path_buf(), name.clone());
    let (header, _) = blocking(move || image::check(&path, &checked)).await?;
    let header = Header::decode(&header, &name)?;
    let members = gather(options, identity).await?;
    tracing::info!(?header, masters = members.len(), "the journal begins with a backup");
    let vote = Vote::new(header.term, identity.id);
    log.save_vote(vote).await.context("writing the first vote")?;
    let (state, path) = (state.clone(), backup.to_path_buf());
    let restore = move || {
        let restore = Restore {
            made_ms: header.made_ms,
            now_ms: Clock::default().now_ms(),
            position: &|old| place(old, &header, &members),
        };
        state.restore(&path, &restore)?;
        std::fs::remove_file(&path)?;
        Ok(File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?)
    };
    blocking(restore).await
}

/// The place of the state in the new log: behind the same entry, with other masters.
fn place(old: &Applied, header: &Header, members: &BTreeMap<u64, Node>) -> Result<Applied> {
    let (last, _) = position(old)?;
    let last = last.filter(|last| last.index == header.last_entry);
    let last = last.ok_or_else(|| data_loss("a backup's header is not that of its state"))?;
    let voters: BTreeSet<u64> = members.keys().copied().collect();
    let membership = openraft::Membership::new(vec![voters], members.clone());
    let membership = membership.map_err(|error| internal(error.to_string()))?;
    let place = (Some(last), Membership::new(Some(last), membership));
    let bytes = postcard::to_allocvec(&place).map_err(|error| internal(error.to_string()))?;
    Ok(Applied(bytes))
}

/// All masters of the new journal; waits for those that are not there.
async fn gather(options: &Options, identity: &Identity) -> Result<BTreeMap<u64, Node>> {
    let mut said = None::<Instant>;
    loop {
        let (others, answers) = ask_others(options, &identity.name).await;
        match newcomers(&others, &answers) {
            Ok(mut members) => {
                members.insert(identity.id, options.own.clone());
                return Ok(members);
            }
            Err(error) if said.is_none_or(|at| at.elapsed() > SAY) => {
                tracing::warn!(%error, "the backup waits: restore it on one master, and empty \
                                        the others by goosefs format");
                said = Some(Instant::now());
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK).await;
    }
}
