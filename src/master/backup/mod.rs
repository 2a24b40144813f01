//! Backups: the whole state as one file, away from the masters.
//!
//! ```text
//! catch up → a view of the state → frames → packed, with checksums → an under store
//! ```
//!
//! A view is taken in no time and later changes do not show in it, so nobody waits while a backup is
//! written, and it holds exactly what was acknowledged by then. It is streamed: memory does not
//! grow with the tree. An under store shows an object when it is whole and not before, also a local
//! directory, so a backup that was interrupted is not there.
//!
//! One backup at a time. Whoever asks for one gets its standing and asks again until it is done;
//! one that a primary had under way when it was deposed is over. The file's format is that of
//! images between masters; [`super::journal::restore`] takes it back.

mod daily;

use super::file_system::FileSystem;
use super::journal::restore::Header;
use super::state::image::{Encoder, Image};
use crate::core::config::{Config, os_user};
use crate::core::error::{
    Context, Result, failed_precondition, internal, invalid_argument, not_found,
};
use crate::core::metrics::{Counter, Metrics, names};
use crate::core::model::{BackupName, FsPath};
use crate::core::proto::v1;
use crate::core::runtime::{Clock, Group, blocking};
use crate::ufs::{Attributes, Ufs};
use bytes::Bytes;
use daily::Daily;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Bytes that are written at once, about.
const PIECE: usize = 1 << 20;
/// Pieces on their way to the store at a time.
const PIECES: usize = 4;
/// Nobody but the owner may read a backup: it holds the credentials of mounts.
const MODE: u32 = 0o600;

/// Where a backup is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The address of an under store, a directory of the root under store, or one of this host;
    /// empty for the configured one.
    pub directory: String,
    /// Whether `directory` is one of this host.
    pub local: bool,
}

/// Makes backups. Clones share it.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    files: FileSystem,
    clock: Clock,
    group: Group,
    /// The last one, which may be under way.
    last: Mutex<v1::Backup>,
    daily: Mutex<Daily>,
    made: Counter,
    failed: Counter,
}

/// A directory that backups lie in.
struct Place {
    store: Ufs,
    /// Its path in the store.
    dir: String,
}

impl Place {
    /// The path of a file in it.
    fn path(&self, name: &str) -> String {
        if self.dir.is_empty() { name.into() } else { format!("{}/{name}", self.dir) }
    }

    /// Its address, for people.
    fn address(&self) -> String {
        let address = self.store.address().trim_end_matches('/');
        if self.dir.is_empty() { address.into() } else { format!("{address}/{}", self.dir) }
    }
}

/// A piece of a backup on its way to the store.
struct Piece {
    bytes: Bytes,
    entries: u64,
}

impl Backups {
    /// None made yet.
    pub fn new(
        config: &Config,
        files: FileSystem,
        clock: Clock,
        group: Group,
        m: &Metrics,
    ) -> Self {
        let inner = Inner {
            config: config.clone(),
            files,
            clock,
            group,
            last: Mutex::default(),
            daily: Mutex::default(),
            made: m.counter(&names::MASTER_BACKUPS),
            failed: m.counter(&names::MASTER_FAILED_BACKUPS),
        };
        Backups { inner: Arc::new(inner) }
    }

    /// Begins a backup under an id of the caller's. Asked again with the same id, says how it goes
    /// with that one.
    ///
    /// # Errors
    /// `FailedPrecondition` while another is made; `InvalidArgument` for a directory that makes no
    /// sense.
    pub fn start(&self, id: &str, target: Target) -> Result<v1::Backup> {
        if let Ok(known) = self.get(id) {
            return Ok(known);
        }
        let place = self.place(&target)?;
        let begun = self.begin(id)?;
        let backups = self.clone();
        self.inner.group.spawn_until_stop("backup", async move {
            // Whoever asks for the standing is told of a failure.
            backups.make(&place).await.ok();
        });
        Ok(begun)
    }

    /// How it goes with a backup.
    ///
    /// # Errors
    /// `NotFound` for one that is not the last of this primary's.
    pub fn get(&self, id: &str) -> Result<v1::Backup> {
        let last = self.inner.last.lock();
        if !id.is_empty() && last.id == id {
            return Ok(last.clone());
        }
        Err(not_found(
            "this master does not know of the backup: it has become primary since; make another",
        ))
    }

    /// Where a target's backups lie.
    fn place(&self, target: &Target) -> Result<Place> {
        let Inner { config, files, .. } = &*self.inner;
        let directory = match target.directory.as_str() {
            "" => config.master.backup_directory.as_str(),
            other => other,
        };
        let trimmed = directory.trim_end_matches('/');
        let no_store = || format!("opening {directory} for a backup");
        if directory.contains("://") && !target.local {
            // Most likely with the credentials of a mount.
            let mounts = files.mounts();
            let mount = mounts.reverse(trimmed).and_then(|path| mounts.find(&path));
            let properties = mount.map(|mount| mount.properties.clone()).unwrap_or_default();
            let store = files.stores.open(trimmed, &properties).with_context(no_store)?;
            return Ok(Place { store, dir: String::new() });
        }
        if !directory.starts_with('/') {
            return Err(invalid_argument(format!(
                "{directory:?} is neither the address of an under store nor a path that begins \
                 with /"
            )));
        }
        if target.local {
            let address = format!("file://{trimmed}");
            let store = files.stores.open(&address, &Default::default()).with_context(no_store)?;
            return Ok(Place { store, dir: String::new() });
        }
        // A directory of the root store is made if there is none.
        let dir = FsPath::parse(directory)?.as_str()[1..].to_string();
        let store = files.stores.of(&files.resolve(&FsPath::root())?.mount)?;
        Ok(Place { store, dir })
    }

    /// Notes that a backup is under way, if none is.
    fn begin(&self, id: &str) -> Result<v1::Backup> {
        let mut last = self.inner.last.lock();
        if last.state() == v1::BackupState::Running && !last.id.is_empty() {
            return Err(failed_precondition("a backup is being made already: wait for it"));
        }
        *last = v1::Backup {
            id: id.into(),
            host: self.inner.config.master.hostname.clone(),
            started_ms: self.inner.clock.now_ms(),
            ..Default::default()
        };
        Ok(last.clone())
    }

    /// Makes the backup that has begun.
    async fn make(&self, place: &Place) -> Result<()> {
        let start = Instant::now();
        let made = self.write(place).await;
        let mut last = self.inner.last.lock();
        last.took_ms = start.elapsed().as_millis() as i64;
        match &made {
            Ok(()) => {
                last.set_state(v1::BackupState::Done);
                self.inner.made.inc();
                let v1::Backup { uri, entries, bytes, took_ms, .. } = &*last;
                tracing::info!(uri, entries, bytes, took_ms, "made a backup");
            }
            Err(error) => {
                last.set_state(v1::BackupState::Failed);
                last.message = error.to_string();
                self.inner.failed.inc();
                tracing::error!(to = place.address(), %error, "no backup was made");
            }
        }
        made
    }

    async fn write(&self, place: &Place) -> Result<()> {
        let Inner { files, clock, last, .. } = &*self.inner;
        // What any primary before has acknowledged is in it too.
        files.journal.catch_up().await?;
        let state = files.state().clone();
        let image = blocking(move || state.image()).await?;
        let image = image.ok_or_else(|| failed_precondition("there is nothing to back up yet"))?;
        let (term, last_entry) = files.journal.place(image.applied())?;
        let header = Header {
            cluster_id: files.state().cluster_id()?.unwrap_or_default(),
            made_ms: clock.now_ms(),
            last_entry,
            term,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let name = BackupName::new(header.made_ms, &header.cluster_id).to_string();
        {
            let mut last = last.lock();
            last.uri = format!("{}/{name}", place.address());
            last.cluster_id = header.cluster_id.clone();
            last.last_entry = header.last_entry;
        }
        let attributes =
            Attributes { owner: Some(os_user()), mode: Some(MODE), ..Default::default() };
        let mut writer = place.store.create(&place.path(&name), &attributes).await?;
        let (send, mut pieces) = mpsc::channel(PIECES);
        let encode = tokio::task::spawn_blocking(move || encode(image, &header, &send));
        while let Some(Piece { bytes, entries }) = pieces.recv().await {
            let length = bytes.len() as u64;
            writer.write(bytes).await?;
            let mut last = last.lock();
            last.bytes += length;
            last.entries += entries;
        }
        encode.await.map_err(|error| internal(error.to_string()))??;
        writer.close().await.map(drop)
    }
}

/// Sends the bytes of a backup, piece by piece.
fn encode(image: Image, header: &Header, to: &mpsc::Sender<Piece>) -> Result<()> {
    let (mut encoder, mut bytes) = Encoder::new(&header.encode());
    let mut entries = 0;
    let send = |bytes: Vec<u8>, entries: u64| {
        let piece = Piece { bytes: bytes.into(), entries };
        to.blocking_send(piece).map_err(|_| internal("the backup was given up"))
    };
    for frame in image.frames() {
        let frame = frame.context("reading the state")?;
        encoder.frame(&frame.bytes, &mut bytes);
        entries += frame.inodes;
        if bytes.len() >= PIECE {
            send(std::mem::take(&mut bytes), std::mem::take(&mut entries))?;
        }
    }
    encoder.end(&mut bytes);
    send(bytes, entries)
}
