//! `goosefs fuse staged`: files that were changed in a mounted directory and are not published.

use super::Global;
use super::print::{Out, Output, size};
use crate::client::{FileSystem, OpenOptions, Turn};
use crate::core::config::Config;
use crate::core::error::{Context, Result, failed_precondition, not_found};
use crate::fuse::staging::{self, Home, Left, Staged};
use crate::fuse::{Verdict, publish_left, version_of};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Bytes copied at a time.
const PIECE: u32 = 4 << 20;

/// Files that were changed in a mounted directory and are not published
#[derive(Args, Debug)]
pub struct StagedArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them
    Ls(Output),
    /// Make one the newest version of its file
    Publish {
        /// Which, as ls names it
        id: String,
        /// Also if others have changed the file since: what they wrote is replaced
        #[arg(long)]
        force: bool,
    },
    /// Copy the bytes of one to a file of this host
    Export {
        /// Which, as ls names it
        id: String,
        /// The file; nothing may be there
        file: PathBuf,
    },
    /// Throw one away
    Drop {
        /// Which, as ls names it
        id: String,
    },
}

impl StagedArgs {
    /// Does what the verb says.
    ///
    /// # Errors
    /// `NotFound` for an id that there is not; `FailedPrecondition` where a mount still has it.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        match self.verb {
            Verb::Ls(output) => list(&config, Out::stdout(output.output))?,
            Verb::Publish { id, force } => {
                super::block_on(publish(config, find(&global.load()?, &id)?, force))?;
            }
            Verb::Export { id, file } => {
                super::block_on(export(config, find(&global.load()?, &id)?, file))?;
            }
            Verb::Drop { id } => {
                let left = find(&config, &id)?;
                let _home = free_home(&left, "")?;
                left.remove()?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn all(config: &Config) -> Result<Vec<Left>> {
    let homes = staging::homes(&config.fuse.staging_dir)?;
    Ok(homes.iter().flat_map(|home| staging::left_in(home)).collect())
}

fn find(config: &Config, id: &str) -> Result<Left> {
    let found = all(config)?.into_iter().find(|left| left.id() == id);
    let dir = config.fuse.staging_dir.display();
    found.ok_or_else(|| {
        not_found(format!("nothing is staged as {id} in {dir}: see goosefs fuse staged ls"))
    })
}

fn list(config: &Config, mut out: Out) -> Result<()> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for left in all(config)? {
        let mounted = Home::adopt(&left.home, u64::MAX, "")?.is_none();
        let record = &left.record;
        let state = match (&record.failure, mounted) {
            (Some(failure), true) if !record.given_up => {
                format!("tried again by its mount: {failure}")
            }
            (Some(failure), _) => failure.clone(),
            (None, true) => "open in its mount".into(),
            (None, false) => "left by a mount that has gone".into(),
        };
        values.push(serde_json::json!({
            "id": left.id(),
            "path": record.path,
            "length": left.length,
            "bytesOnDisk": left.used,
            "mounted": mounted,
            "failure": record.failure,
        }));
        let (length, used) = (size(left.length, true), size(left.used, true));
        rows.push(vec![left.id(), length, used, state, record.path.clone()]);
    }
    out.table(&["ID", "Size", "On disk", "State", "Path"], rows, &values)?;
    out.flush()
}

/// The directory of something staged, which no mount has.
fn free_home(left: &Left, cluster: &str) -> Result<Arc<Home>> {
    Home::adopt(&left.home, u64::MAX, cluster)?.ok_or_else(|| {
        failed_precondition(format!(
            "a mount still has {}, and tries to publish it by itself: unmount it first",
            left.record.path
        ))
    })
}

async fn publish(config: Config, left: Left, force: bool) -> Result<()> {
    let files = FileSystem::connect(&config);
    let home = free_home(&left, &files.masters().await?.cluster_id)?;
    match publish_left(&files, &home, &left, force).await? {
        Verdict::Published | Verdict::Known => Ok(()),
        Verdict::Changed => Err(failed_precondition(format!(
            "{} was changed by others since: publish it with --force, or export it",
            left.record.path
        ))),
    }
}

async fn export(config: Config, left: Left, file: PathBuf) -> Result<()> {
    let files = FileSystem::connect(&config);
    let home = free_home(&left, "")?;
    let base = match &left.record.base {
        None => None,
        Some(base) => {
            let (_, now) = version_of(&files, &left).await?;
            let Some(now) = now.filter(|now| now.id.0 == base.id) else {
                return Err(failed_precondition(format!(
                    "only a part of {} was changed, and the version that the rest is of has gone; what \
                     was changed is in {}, at the offsets that the record beside it says",
                    left.record.path,
                    left.data().display()
                )));
            };
            Some(files.open_status(now, &OpenOptions::default())?)
        }
    };
    let staged = Arc::new(Staged::adopt(&home, &left, base)?);
    copy(&staged, &file).await.with_context(|| format!("writing {}", file.display()))
}

async fn copy(staged: &Arc<Staged>, file: &Path) -> Result<()> {
    let mut out = std::fs::File::options().write(true).create_new(true).open(file)?;
    let mut at = 0;
    while at < staged.length() {
        let bytes = staged.read(at, PIECE, &Turn::default()).await;
        let bytes = bytes.map_err(|errno| std::io::Error::from_raw_os_error(errno.0))?;
        at += bytes.len() as u64;
        out.write_all(&bytes)?;
    }
    Ok(out.sync_all()?)
}
