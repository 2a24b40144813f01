//! Where a block's bytes are in an under store: which store, which object, which version of it.
//!
//! Readers say most of it with the request. The rest is the master's to tell: the mount's address
//! and credentials, and for readers that do not know versions the one the inode tree knows. What
//! the master told is kept, so that it is asked once a mount and file, not once a block.

use crate::core::config::Config;
use crate::core::error::{
    Context, Error, ErrorKind, Result, failed_precondition, invalid_argument, unavailable,
};
use crate::core::model::limits::of_connector;
use crate::core::model::{BlockId, FileId, MountId, WorkerId};
use crate::core::proto::dataserver::OpenUfsBlockOptions;
use crate::core::proto::grpc::file::file_system_master_worker_service_client::FileSystemMasterWorkerServiceClient;
use crate::core::proto::grpc::file::{FileInfo, GetFileInfoPRequest, GetUfsInfoPRequest, UfsInfo};
use crate::core::rpc::Primary;
use crate::core::runtime::Rate;
use crate::ufs::{self, Properties, Ufs};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long what the master said of a mount is taken for true.
const FRESH: Duration = Duration::from_secs(30);
/// How long the master may take; a read is waiting.
const PATIENCE: Duration = Duration::from_secs(20);
/// Files whose versions are kept.
const FILES: usize = 100_000;

/// An object's bytes from `offset` on.
#[derive(Clone)]
pub struct Source {
    /// The store.
    pub ufs: Ufs,
    /// The object, relative to the store's address.
    pub path: String,
    /// Where in the object the block starts.
    pub offset: u64,
    /// The object's version.
    pub version: String,
}

/// A block to be had from an under store.
#[derive(Clone)]
pub struct Wanted {
    /// Its id.
    pub block: BlockId,
    /// Bytes in it.
    pub length: u64,
    /// The mount it belongs to.
    pub mount: MountId,
    /// Where they are.
    pub source: Source,
}

/// The mounts, as far as they were asked for.
pub struct Mounts {
    master: Option<Primary>,
    /// Settings under which the properties of a mount are laid.
    defaults: Properties,
    /// What no mount's own properties change.
    forced: Properties,
    mounts: Mutex<HashMap<MountId, Mount>>,
    /// At which the bytes of all stores together pass.
    rate: Rate,
    /// At which those of each mount do.
    rates: Mutex<HashMap<MountId, Rate>>,
    /// Version and length of files; they never change for an id.
    files: quick_cache::sync::Cache<FileId, (String, u64)>,
}

#[derive(Clone)]
struct Mount {
    ufs: Ufs,
    address: String,
    properties: Properties,
    asked: Instant,
}

impl Mounts {
    /// Asks `master`. Without one there are no mounts but those a test adds.
    pub fn new(config: &Config, master: Option<Primary>, rate: Rate) -> Self {
        Mounts {
            rate,
            rates: Mutex::default(),
            master,
            defaults: config.ufs_properties(),
            forced: Properties::new(),
            mounts: Mutex::default(),
            files: quick_cache::sync::Cache::new(FILES),
        }
    }

    /// Has connectors keep little of an object on its way in memory: one part at a time.
    pub fn one_part_at_a_time(mut self) -> Self {
        self.forced.insert("parts".into(), "1".into());
        self
    }

    /// Adds a mount by hand.
    #[cfg(test)]
    pub(super) fn add(&self, id: MountId, address: &str, properties: &Properties) -> Result<()> {
        let mount = self.mount_of(id, address, properties)?;
        self.mounts.lock().insert(id, mount);
        Ok(())
    }

    /// The store of a mount, and the path in it that the address `ufs_path` means.
    ///
    /// # Errors
    /// `FailedPrecondition` when the path is not below the mount's address, else why the master or
    /// the store cannot tell.
    pub async fn open(&self, id: MountId, ufs_path: &str) -> Result<(Ufs, String)> {
        let mount = self.mount(id, ufs_path).await?;
        let inner = [mount.address.as_str(), mount.ufs.address()].into_iter().find_map(|address| {
            let rest = ufs_path.strip_prefix(address.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
        });
        if let Some(inner) = inner {
            return Ok((mount.ufs.clone(), inner.into()));
        }
        Err(failed_precondition(format!(
            "{ufs_path} is not below {}, the address of mount {id}",
            mount.ufs.address()
        )))
    }

    /// Where block `id` is to be had, from what a reader sent.
    ///
    /// # Errors
    /// `InvalidArgument` for options that make no sense; what [`Mounts::open`] and the store say.
    pub async fn locate(&self, id: BlockId, options: &OpenUfsBlockOptions) -> Result<Wanted> {
        let number = |value: Option<i64>, name: &str| {
            u64::try_from(value.unwrap_or_default())
                .map_err(|_| invalid_argument(format!("{name} of block {id} is negative")))
        };
        let offset = number(options.offset_in_file, "offset_in_file")?;
        let block_size = number(options.block_size, "block_size")?;
        let file_length = options.file_length.filter(|&length| length > 0);
        if options.ufs_path().is_empty() || block_size == 0 {
            return Err(invalid_argument(format!(
                "block {id} is not in tiered storage, and the request tells no UFS path and block size"
            )));
        }
        let (ufs, path) = self.open(options.mount_id(), options.ufs_path()).await?;
        let told = options.version().to_string();
        let (version, length) = match file_length {
            Some(length) if !told.is_empty() => (told, length as u64),
            _ => {
                let (version, length) = self.known(id.file(), &ufs, &path).await?;
                let version = if told.is_empty() { version } else { told };
                (version, file_length.map_or(length, |length| length as u64))
            }
        };
        let length = block_size.min(length.saturating_sub(offset));
        if length == 0 {
            return Err(invalid_argument(format!("block {id} is beyond the end of its file")));
        }
        let source = Source { ufs, path, offset, version };
        Ok(Wanted { block: id, length, mount: options.mount_id(), source })
    }

    /// Where block `id` is to be had when no reader says: the master knows its file.
    ///
    /// # Errors
    /// `NotFound` when the file is gone, `FailedPrecondition` when it is in no under store, else as
    /// [`Mounts::locate`].
    pub async fn find(&self, id: BlockId, version: &str) -> Result<Wanted> {
        let info = self.file_info(id.file()).await?;
        if !info.persisted() {
            return Err(failed_precondition(format!("{} is in no under store", info.path())));
        }
        let version = if version.is_empty() { info.ufs_fingerprint() } else { version };
        let options = OpenUfsBlockOptions {
            ufs_path: info.ufs_path.clone(),
            mount_id: info.mount_id,
            offset_in_file: Some(id.index() as i64 * info.block_size_bytes()),
            block_size: info.block_size_bytes,
            file_length: info.length,
            version: Some(version.into()),
            ..Default::default()
        };
        self.locate(id, &options).await
    }

    /// Version and length of a file: as the inode tree knows them, else as the store does.
    async fn known(&self, file: FileId, ufs: &Ufs, path: &str) -> Result<(String, u64)> {
        if let Some(known) = self.files.get(&file) {
            return Ok(known);
        }
        let known = match self.file_info(file).await {
            Ok(info) if !info.ufs_fingerprint().is_empty() && info.persisted() => {
                (info.ufs_fingerprint().to_string(), info.length().max(0) as u64)
            }
            told => {
                if let Err(error) = told {
                    tracing::debug!(%file, %error, "the master does not tell the version");
                }
                let status = ufs.status(path).await?;
                // Not kept: the tree may learn of another version any time.
                return Ok((status.version, status.length));
            }
        };
        self.files.insert(file, known.clone());
        Ok(known)
    }

    async fn file_info(&self, file: FileId) -> Result<FileInfo> {
        let request = GetFileInfoPRequest { file_id: Some(file.0), options: None };
        let ask = |master: Primary| async move {
            master
                .call(|channel| async move {
                    FileSystemMasterWorkerServiceClient::new(channel).get_file_info(request).await
                })
                .await
        };
        let answer = self.ask(ask).await?;
        answer.file_info.ok_or_else(|| unavailable("the master's answer has no file"))
    }

    /// The workers that hold a block of a file that is not persisted yet, by what the master knows.
    ///
    /// # Errors
    /// Why the master cannot tell.
    pub async fn locations(&self, id: BlockId) -> Result<Vec<WorkerId>> {
        let infos = self.file_info(id.file()).await?.file_block_infos;
        let blocks = infos.into_iter().filter_map(|info| info.block_info);
        let block = blocks.into_iter().find(|block| block.block_id() == id.0);
        let locations = block.map(|block| block.locations).unwrap_or_default();
        Ok(locations.iter().map(|location| location.worker_id()).collect())
    }

    async fn mount(&self, id: MountId, ufs_path: &str) -> Result<Mount> {
        let known = self.mounts.lock().get(&id).cloned();
        if let Some(mount) = &known
            && (self.master.is_none() || mount.asked.elapsed() < FRESH)
        {
            return Ok(mount.clone());
        }
        let info = match (self.ufs_info(id, ufs_path).await, known) {
            (Ok(info), _) => info,
            // The master is away: what it said before is the best there is.
            (Err(error), Some(mount)) if error.kind().is_transient() => return Ok(mount),
            (Err(error), _) => return Err(error.context(format!("asking for mount {id}"))),
        };
        let properties = info.properties.clone().unwrap_or_default().properties;
        let properties: Properties = of_connector(&properties.into_iter().collect());
        let mut mount = self.mount_of(id, info.uri(), &properties)?;
        let mut mounts = self.mounts.lock();
        // The same store as before keeps its connections.
        if let Some(before) = mounts.get(&id)
            && (&before.address, &before.properties) == (&mount.address, &mount.properties)
        {
            mount.ufs = before.ufs.clone();
        }
        mounts.insert(id, mount.clone());
        Ok(mount)
    }

    async fn ufs_info(&self, id: MountId, ufs_path: &str) -> Result<UfsInfo> {
        let request = GetUfsInfoPRequest {
            mount_id: Some(id),
            options: None,
            ufs_uri: Some(ufs_path.into()),
        };
        let ask = |master: Primary| async move {
            master
                .call(|channel| {
                    let request = request.clone();
                    async move {
                        FileSystemMasterWorkerServiceClient::new(channel)
                            .get_ufs_info(request)
                            .await
                    }
                })
                .await
        };
        let answer = self.ask(ask).await?;
        let info = answer.ufs_info.filter(|info| !info.uri().is_empty());
        info.ok_or_else(|| Error::new(ErrorKind::NotFound, "the master knows no such mount"))
    }

    async fn ask<T, F>(&self, question: impl FnOnce(Primary) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let master = self.master.clone().ok_or_else(|| unavailable("there is no master to ask"))?;
        tokio::time::timeout(PATIENCE, question(master))
            .await
            .unwrap_or_else(|_| Err(unavailable("the master does not answer")))
    }

    /// Bounds the bytes a second between here and the stores of mounts; those that are not named are
    /// not bounded.
    pub fn bound(&self, bounds: &HashMap<MountId, u64>) {
        for &mount in bounds.keys() {
            self.rate_of(mount);
        }
        for (mount, rate) in self.rates.lock().iter() {
            rate.set(bounds.get(mount).copied().unwrap_or_default());
        }
    }

    fn rate_of(&self, mount: MountId) -> Rate {
        self.rates.lock().entry(mount).or_default().clone()
    }

    fn mount_of(&self, id: MountId, address: &str, properties: &Properties) -> Result<Mount> {
        let mut all = self.defaults.clone();
        all.extend(properties.clone());
        all.extend(self.forced.clone());
        let ufs = ufs::open(address, &all).with_context(|| format!("opening {address}"))?;
        Ok(Mount {
            ufs: ufs::paced(ufs::paced(ufs, self.rate_of(id)), self.rate.clone()),
            address: address.into(),
            properties: properties.clone(),
            asked: Instant::now(),
        })
    }
}
