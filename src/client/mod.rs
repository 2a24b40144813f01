//! The library's face: the file system as every front end sees it.
//!
//! ```no_run
//! # async fn example() -> goosefs::core::error::Result<()> {
//! use goosefs::client::{CreateOptions, FileSystem, OpenOptions};
//! use goosefs::core::{config::Config, model::FsPath};
//!
//! let fs = FileSystem::connect(&Config::with(&[])?);
//! let path = FsPath::parse("/hello")?;
//! let mut writer = fs.create(&path, &CreateOptions::default()).await?;
//! writer.write("good morning").await?;
//! writer.close().await?;
//! let reader = fs.open(&path, &OpenOptions::default()).await?;
//! assert_eq!(&reader.read_at(5, 7).await?[..], b"morning");
//! # Ok(())
//! # }
//! ```
//!
//! A [`FileSystem`] is a cheap handle; its clones share connections, the worker list and lent
//! block files. It connects when first used and runs nothing while nobody asks. Metadata comes
//! from the master; bytes come from the workers that the ring names, and from this host's worker
//! without a copy over the wire where it has them.

mod block;
mod cluster;
mod context;
mod master;
mod members;
mod memory;
mod namespaces;
mod nodes;
mod options;
mod presence;
mod reader;
mod record_locks;
mod worker;
mod writer;

pub use crate::core::rpc::lend::LentBlock;
pub use block::BlockStream;
pub use cluster::{BlockLocations, Capacity};
pub use memory::{Memory, Turn};
pub use namespaces::Namespace;
pub use options::*;
pub use reader::{ReadStream, Reader};
pub use writer::{Expected, Writer};

use crate::core::config::Config;
use crate::core::error::Result;
use crate::core::model::{BlockId, FsPath, Status};
use crate::core::rpc::Primary;
use context::Context;
use std::sync::Arc;

/// The file system of one cluster, as one user. Clones share everything.
#[derive(Clone)]
pub struct FileSystem {
    context: Arc<Context>,
    primary: Primary,
    metadata_load: MetadataLoad,
    /// Owner and group of what is made through this handle; none for those of the user.
    behalf: Option<Arc<(String, String)>>,
}

impl FileSystem {
    /// The file system that `config` names. Nobody is called yet: an absent cluster shows in the
    /// first call.
    pub fn connect(config: &Config) -> Self {
        Self::connect_within(config, Memory::default())
    }

    /// The same, where data on its way takes no more than `memory`.
    pub fn connect_within(config: &Config, memory: Memory) -> Self {
        let context = Context::new(config, memory);
        let primary = context.primary.clone();
        let metadata_load = config.client.metadata_load.parse().unwrap_or_default();
        FileSystem { context: Arc::new(context), primary, metadata_load, behalf: None }
    }

    /// The same file system for another user: who owns what it makes, and what it may do.
    /// Connections to workers are shared.
    pub fn as_user(&self, name: &str) -> Self {
        FileSystem { primary: self.context.primary_as(name), ..self.clone() }
    }

    /// The same file system, where what is made belongs to `owner` and `group`. The master lets only a
    /// superuser do that.
    pub fn on_behalf_of(&self, owner: String, group: String) -> Self {
        FileSystem { behalf: Some(Arc::new((owner, group))), ..self.clone() }
    }

    /// The configuration this client works by.
    pub fn config(&self) -> &Config {
        &self.context.config
    }

    /// What data on its way may take.
    pub fn memory(&self) -> &Memory {
        &self.context.memory
    }

    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    /// `NotFound` where there is nothing, `IsDirectory` for a directory, `Incomplete` for a file
    /// that is still being written.
    pub async fn open(&self, path: &FsPath, options: &OpenOptions) -> Result<Reader> {
        let follow = StatusOptions { follow: true, read: true, ..Default::default() };
        let status = self.status_with(path, &follow).await?;
        self.open_status(status, options)
    }

    /// The file of a block that this host's worker lent a moment ago; nobody is asked.
    pub fn lent(&self, block: BlockId) -> Option<Arc<LentBlock>> {
        self.context.lender.cached(block)
    }

    /// Opens a file whose status is known, without asking the master.
    ///
    /// # Errors
    /// As [`FileSystem::open`].
    pub fn open_status(&self, status: Status, options: &OpenOptions) -> Result<Reader> {
        Reader::open(self, status, options)
    }

    fn umask(&self) -> u32 {
        u32::from_str_radix(&self.context.config.security.umask, 8).unwrap_or(0o022) & 0o777
    }
}

impl std::fmt::Debug for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSystem").field("masters", &self.primary.addresses()).finish()
    }
}
