//! Settings of clients, the mounted directory and security. Names and meanings are those of the
//! official clients (protocol, section 9).

use super::settings::{MaybeDuration, settings};
use crate::core::model::{ByteSize, ReadType, WriteType};
use std::time::Duration;

settings! {
    /// What clients of every kind use.
    Client {
        /// Masters to try, as host:port; empty for goosefs.master.hostname and its port.
        master_addresses: Vec<String> = "goosefs.master.rpc.addresses", "", "GOOSEFS_MASTER_ADDR";
        /// How files are written where nobody says otherwise.
        write_type: WriteType = "goosefs.user.file.writetype.default", "CACHE_THROUGH", "GOOSEFS_WRITE_TYPE";
        /// Whether reads leave data in the cache.
        read_type: ReadType = "goosefs.user.file.readtype.default", "CACHE";
        /// Bytes in a block of new files.
        block_size: ByteSize = "goosefs.user.block.size.bytes.default", "64MB", "GOOSEFS_BLOCK_SIZE";
        /// Bytes in one message of a data stream.
        chunk_size: ByteSize = "goosefs.user.network.data.transfer.chunk.size", "1MB", "GOOSEFS_CHUNK_SIZE";
        /// Copies of a block that writes make.
        replicas: u32 = "goosefs.user.file.replication.number", "1";
        /// Copies that an ASYNC_THROUGH write makes.
        durable_replicas: u32 = "goosefs.user.file.replication.durable", "2";
        /// Copies that an ASYNC_THROUGH write must make to succeed.
        durable_replicas_min: u32 = "goosefs.user.file.replication.durable.min", "1";
        /// Whether metadata is looked up in the under store: ONCE, ALWAYS or NEVER.
        metadata_load: String = "goosefs.user.file.metadata.load.type", "ONCE", "GOOSEFS_FILE_METADATA_LOAD_TYPE";
        /// How old metadata from an under store may be; -1 for the master's own setting.
        sync_interval: MaybeDuration = "goosefs.user.file.metadata.sync.interval", "-1", "GOOSEFS_FILE_METADATA_SYNC_INTERVAL";
        /// How long a connection may take to come about.
        connect_timeout: Duration = "goosefs.user.network.rpc.connect.timeout", "10s";
        /// How long a call may take.
        rpc_timeout: Duration = "goosefs.user.network.rpc.timeout", "5min";
        /// How long a call is tried again while no master or worker answers.
        retry_max: Duration = "goosefs.user.rpc.retry.max.duration", "2min";
        /// Connections to each worker.
        worker_connections: u32 = "goosefs.user.worker.connection.pool.size", "2";
        /// Times this client asks for a block before a worker on its host, to which the block does not
        /// belong, gets a copy of it; never more copies than the file may have. 0 for never.
        hot_reads: u32 = "goosefs.user.hot.reads", "3";
        /// Whether block files of a worker on this host are read directly.
        short_circuit: bool = "goosefs.user.short.circuit.enabled", "true", "GOOSEFS_SHORT_CIRCUIT_ENABLED";
    }
}

settings! {
    /// The mounted directory's settings.
    Fuse {
        /// How long the kernel may trust attributes and names without asking.
        attribute_timeout: Duration = "goosefs.fuse.attribute.timeout", "1min";
        /// How long a listing that a mount fetched is trusted between invalidations.
        metadata_cache_timeout: Duration = "goosefs.fuse.metadata.cache.timeout", "1min";
        /// Entries in a mount's metadata cache.
        metadata_cache_entries: u64 = "goosefs.fuse.metadata.cache.entries", "200000";
        /// Bytes of memory for file data and metadata in the process of a mount, whatever the number of
        /// files, readers and writers; 0 for no bound. What counts: reads on their way; what was written
        /// until it is with the connections to the workers, small writes that are gathered, and what is held
        /// of a file for a second worker; the metadata cache, 1.25 KB an entry, which has fewer entries if
        /// they do not fit. Beyond it reads wait, and writes wait on disk, in a file without a name in TMPDIR
        /// or /var/tmp; a file for which nothing can be held fails with its worker, where another would have
        /// been given it. What does not count: the kernel's page cache, code and stacks, the request each
        /// thread of the mount has at hand (1 MB), what it takes to know of an open file (some KB), and
        /// entries that the kernel holds itself.
        memory_budget: ByteSize = "goosefs.fuse.memory.budget", "256MB";
        /// Whether the kernel reads cached files of this host's worker by itself.
        passthrough: bool = "goosefs.fuse.passthrough", "true";
        /// Whether users other than the one who mounted may enter.
        allow_other: bool = "goosefs.fuse.allow.other", "true";
        /// Bytes read ahead of a sequential reader.
        read_ahead: ByteSize = "goosefs.fuse.read.ahead", "8MB";
        /// Threads that answer the kernel; 0 for one for each processor, and two at least. What takes
        /// long is not done by them.
        threads: u32 = "goosefs.fuse.threads", "0";
    }
}

settings! {
    /// Who may what.
    Security {
        /// How clients say who they are: SIMPLE or NOSASL.
        authentication: String = "goosefs.security.authentication.type", "SIMPLE", "GOOSEFS_AUTH_TYPE";
        /// The user name clients give; empty for the user of the operating system.
        username: String = "goosefs.security.login.username", "", "GOOSEFS_AUTH_USERNAME";
        /// Whether modes, owners and groups are enforced by the master.
        permission_checks: bool = "goosefs.security.authorization.permission.enabled", "false", "GOOSEFS_AUTHORIZATION_PERMISSION_ENABLED";
        /// Group whose members may do everything, as may the user the master runs as.
        supergroup: String = "goosefs.security.authorization.permission.supergroup", "supergroup";
        /// Permission bits taken from those a new file or directory asks for, in octal.
        umask: String = "goosefs.security.authorization.permission.umask", "022";
    }
}
