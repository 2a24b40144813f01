//! The master's settings.

use super::masters::Masters;
use super::settings::{MaybeDuration, TimeOfDay, settings};
use crate::core::error::{Result, invalid_argument};
use crate::core::model::ByteSize;
use std::path::PathBuf;
use std::time::Duration;

settings! {
    /// The master's settings.
    Master {
        /// All masters, each with name, host, rpc_port and journal_port; empty for a single one at
        /// goosefs.master.hostname. The same on every node.
        masters: Masters = "goosefs.masters", "";
        /// Which of goosefs.masters this node is; empty to find out by goosefs.master.hostname, the
        /// pod's name and the host's name.
        name: String = "goosefs.master.name", "";
        /// Host name or address by which clients and workers reach the master.
        hostname: String = "goosefs.master.hostname", "localhost";
        /// Address the master listens on; 0.0.0.0 for all.
        bind_host: String = "goosefs.master.bind.host", "${goosefs.master.hostname}";
        /// Port of the master's gRPC services.
        rpc_port: u16 = "goosefs.master.rpc.port", "9200";
        /// Port of the master's web page, metrics and health; 0 for none.
        web_port: u16 = "goosefs.master.web.port", "9201";
        /// Port of the journal, between masters.
        journal_port: u16 = "goosefs.master.embedded.journal.port", "9202";
        /// Directory of the journal and the metastore.
        journal_dir: PathBuf = "goosefs.master.journal.folder", "${goosefs.data.dir}/master";
        /// Entries after which a checkpoint is made and the log is cut.
        checkpoint_entries: u64 = "goosefs.master.journal.checkpoint.period.entries", "200000";
        /// Memory for cached inodes and blocks of the metastore.
        metastore_cache: ByteSize = "goosefs.master.metastore.cache.size", "64MB";
        /// Memory of what the master caches and is asked at the same time: the metastore's cache (above),
        /// 128MB of its write buffers, and 4MB for each listing or status that is being answered (256KB for
        /// other requests about the tree); others wait, and at last are told to try again, and who does
        /// not read what he asked for loses his connection to them. 0 for half of what its control
        /// group may have, and no bound where that has no limit. Not in it are the program itself,
        /// entries of the journal on their way, what it knows of blocks, workers and jobs, and
        /// connections.
        memory_budget: ByteSize = "goosefs.master.memory.budget", "0";
        /// Under store mounted at the root; empty for a directory below goosefs.data.dir.
        root_ufs: String = "goosefs.master.mount.table.root.ufs", "";
        /// How long a worker may be silent before it counts as lost.
        worker_timeout: Duration = "goosefs.master.worker.timeout", "1min";
        /// How long the first question for workers waits for one to register.
        worker_grace: Duration = "goosefs.master.worker.grace", "10s";
        /// Whether a new worker gets copies of the blocks that will be its own before it is asked for
        /// them.
        warm_up: bool = "goosefs.master.worker.warmup.enabled", "true";
        /// How long after a worker joined or was told to leave blocks begin to move: several that
        /// come or go together move blocks once.
        migration_delay: Duration = "goosefs.master.migration.delay", "5s";
        /// How long moving blocks may get nowhere before it is given up; reads then fill what is
        /// missing.
        migration_timeout: Duration = "goosefs.master.migration.timeout", "10min";
        /// How long metadata loaded from an under store is trusted; -1 until someone asks for a sync.
        sync_interval: MaybeDuration = "goosefs.master.file.metadata.sync.interval", "-1";
        /// How long operation ids of changes are kept, so that a retry is answered and not repeated.
        operation_ids_kept: Duration = "goosefs.master.operation.ids.kept", "10min";
        /// How long a file with no writer may stay incomplete before it is removed.
        incomplete_timeout: Duration = "goosefs.master.file.incomplete.timeout", "1day";
        /// How long a mounted directory may be silent before the locks of programs on it are free for
        /// others; also how long others wait for them after another master has become primary.
        lock_lease: Duration = "goosefs.master.lock.lease", "20s";
        /// How often expired files are looked for.
        ttl_interval: Duration = "goosefs.master.ttl.checker.interval", "1min";
        /// How long a file written ASYNC_THROUGH waits before it is persisted.
        persist_delay: Duration = "goosefs.master.persistence.initial.interval", "1s";
        /// Files of an under store up to this are one block, which a mounted directory reads with no
        /// process in the path; longer ones have blocks of goosefs.user.block.size.bytes.default. An
        /// eighth of the smallest worker is the most; 0 for none.
        single_block_max: ByteSize = "goosefs.master.file.single.block.max", "512MB";
        /// Bytes of small files that one task of a load takes together.
        load_task_size: ByteSize = "goosefs.master.load.task.size", "64MB";
        /// Names that an atomic load may change, so that all of them change in one moment. A directory
        /// that is new counts as one, with all it holds.
        atomic_changes_max: u64 = "goosefs.master.load.atomic.changes.max", "20000";
        /// Bytes a second, all workers together, by which missing copies of files with a minimum of
        /// copies are filled.
        replication_rate: ByteSize = "goosefs.master.replication.rate", "200MB";
        /// Directory for backups: of the root under store, or the address of any under store. They
        /// hold the credentials of mounts: nobody else is to read it.
        backup_directory: String = "goosefs.master.backup.directory", "/goosefs_backups";
        /// Whether the primary makes a backup every day.
        daily_backup: bool = "goosefs.master.daily.backup.enabled", "false";
        /// When it does, in UTC; one that was missed is made up for.
        daily_backup_time: TimeOfDay = "goosefs.master.daily.backup.time", "05:00";
        /// Backups of this cluster that are kept there; after each daily one the oldest are deleted.
        daily_backup_files_retained: u32 = "goosefs.master.daily.backup.files.retained", "3";
        /// The cluster's name in reports.
        cluster_name: String = "goosefs.cluster.name", "goosefs";
    }
}

/// What the metastore gathers before it writes: its tables' buffers, and as much on its way to the disk.
const WRITE_BUFFERS: u64 = 128 << 20;
/// What requests have at least.
const REQUESTS: u64 = 32 << 20;

impl Master {
    /// Bytes that the metastore takes of the memory budget.
    pub fn metastore_memory(&self) -> u64 {
        self.metastore_cache.0.saturating_add(WRITE_BUFFERS)
    }

    /// The least memory budget with this cache, in bytes.
    pub fn least_memory(&self) -> u64 {
        self.metastore_memory().saturating_add(REQUESTS)
    }

    /// That its budget of memory is enough for a master; for where one starts, as others may have the
    /// same configuration and take no notice of it.
    ///
    /// # Errors
    /// `InvalidArgument` saying how much is.
    pub fn check_memory(&self) -> Result<()> {
        let (budget, least) = (self.memory_budget.0, self.least_memory());
        if budget == 0 || budget >= least {
            return Ok(());
        }
        Err(invalid_argument(format!(
            "goosefs.master.memory.budget ({budget}) holds not the metastore's cache and write buffers \
             ({}) and {REQUESTS} for requests; give it {least} or more, or 0, or make \
             goosefs.master.metastore.cache.size smaller",
            self.metastore_memory()
        )))
    }
}
