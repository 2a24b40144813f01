//! The worker's settings.

use super::settings::{Share, Value, settings};
use crate::core::error::{Result, invalid_argument};
use crate::core::model::size::parse_share;
use crate::core::model::{ByteSize, EvictionPolicy};
use std::path::PathBuf;
use std::time::Duration;

settings! {
    /// The worker's settings.
    Worker {
        /// Host name or address by which clients reach the worker.
        hostname: String = "goosefs.worker.hostname", "localhost";
        /// Address the worker listens on; 0.0.0.0 for all.
        bind_host: String = "goosefs.worker.bind.host", "${goosefs.worker.hostname}";
        /// Port of the worker's gRPC services.
        rpc_port: u16 = "goosefs.worker.rpc.port", "9203";
        /// Port of the worker's web page, metrics and health; 0 for none.
        web_port: u16 = "goosefs.worker.web.port", "9204";
        /// Directories that hold blocks, as MEDIUM:path:quota with MEDIUM one of MEM, SSD, HDD and quota a size or a share of the disk.
        dirs: StoreDirs = "goosefs.worker.dirs", "MEM:/dev/shm/goosefs-${user}:50%";
        /// Directory of the worker's id and page tables.
        meta_dir: PathBuf = "goosefs.worker.data.folder", "${goosefs.data.dir}/worker";
        /// Socket by which block files are lent to clients on this host; empty to lend none.
        domain_socket: PathBuf = "goosefs.worker.data.server.domain.socket.address", "${goosefs.worker.data.folder}/lend.sock";
        /// Bytes of a block that are filled, checked and counted at once.
        page_size: ByteSize = "goosefs.worker.page.size", "1MB";
        /// Reads of one block from an under store that run at the same time.
        fill_concurrency: u32 = "goosefs.worker.fill.concurrency", "8";
        /// Bytes a second between this worker and all under stores together, both ways; 0 for no bound.
        /// The cluster's own bound (`goosefs fsadmin ratelimit`) is divided among the workers.
        ufs_bandwidth: ByteSize = "goosefs.worker.ufs.bandwidth", "0";
        /// Memory that data on its way through the worker may take: what is being read, written, filled,
        /// moved to and from other workers, verified, persisted, copied by jobs and uploaded waits for
        /// its turn. 58MB at least, 0 for half of what its control group may have, and no bound where
        /// that has no limit. An object goes up one part at a time then, in place of four. Not in it are
        /// the program itself, what it knows of each block (under 1 KB), what lies in MEM directories,
        /// up to 256KB of each stream that waits, and larger parts of objects beyond 16GB.
        memory_budget: ByteSize = "goosefs.worker.memory.budget", "0";
        /// Share in use of a directory where eviction starts.
        watermark_high: Share = "goosefs.worker.watermark.high", "95%";
        /// Share in use of a directory where eviction stops.
        watermark_low: Share = "goosefs.worker.watermark.low", "90%";
        /// Which blocks go first: S3FIFO, which one large scan does not flush, LRU or LFU.
        eviction_policy: EvictionPolicy = "goosefs.worker.eviction.policy", "S3FIFO";
        /// File in which accesses to blocks are recorded, for `goosefs bench evict --trace`, which tells
        /// what each eviction policy would have kept of them; empty to record none. A file that is
        /// there is continued.
        trace_file: PathBuf = "goosefs.worker.trace.file", "";
        /// Share of the blocks whose accesses are recorded, chosen by their ids: a sample of 1% of the
        /// blocks shows a policy what all of them would, on a cache of 1%.
        trace_share: Share = "goosefs.worker.trace.share", "100%";
        /// Bytes of the record; it ends there. An access takes some 25.
        trace_size: ByteSize = "goosefs.worker.trace.size", "256MB";
        /// Reads of a block of a lower tier within goosefs.worker.promote.window that move it up a tier; 0 moves none.
        promote_reads: u32 = "goosefs.worker.promote.reads", "3";
        /// How long a read counts towards moving a block up.
        promote_window: Duration = "goosefs.worker.promote.window", "10min";
        /// Bytes a second that are moved between tiers; 0 for no limit.
        move_bandwidth: ByteSize = "goosefs.worker.move.bandwidth", "200MB";
        /// Bytes a second that are read in the background to verify their checksums; 0 for none.
        scrub_bandwidth: ByteSize = "goosefs.worker.scrub.bandwidth", "16MB";
        /// How often every block is verified in the background, as far as the bandwidth allows.
        scrub_interval: Duration = "goosefs.worker.scrub.interval", "7days";
        /// How often the worker reports to the master.
        heartbeat_interval: Duration = "goosefs.worker.block.heartbeat.interval", "1s";
        /// Points of this worker on the ring: more points, more blocks. 0 for as many as its capacity
        /// is worth, where the cluster's first worker has 5,000.
        virtual_nodes: u32 = "goosefs.worker.virtual.nodes", "0";
        /// Bytes a second at which blocks are sent to other workers when they belong there; 0 for no
        /// bound.
        migration_bandwidth: ByteSize = "goosefs.worker.migration.bandwidth", "256MB";
        /// Tasks of jobs the worker does at the same time.
        task_slots: u32 = "goosefs.worker.task.slots", "16";
        /// How long a worker that is told to stop (SIGTERM) first gives away what it holds, so that a
        /// cluster that shrinks stays warm and loses nothing; 0 to stop at once, for one that comes
        /// back. Give a pod a longer grace period than that.
        stop_drain: Duration = "goosefs.worker.stop.drain", "0s";
        /// How long a worker that is told to stop waits for streams to end.
        stop_grace: Duration = "goosefs.worker.stop.grace", "5s";
    }
}

impl Worker {
    /// That its budget of memory is enough for a worker; for where one starts, as others may have the
    /// same configuration and take no notice of it.
    ///
    /// # Errors
    /// `InvalidArgument` saying how much is.
    pub fn check_memory(&self) -> Result<()> {
        let (budget, least) = (self.memory_budget.0, least_worker_memory(self.page_size.0));
        if budget == 0 || budget >= least {
            return Ok(());
        }
        Err(invalid_argument(format!(
            "goosefs.worker.memory.budget ({budget}) holds not one of each: a reader, a writer, a \
             fill, a block that moves in and one that moves out, and a file on its way to its under \
             store for a client and one for a job; give it {least} or more, or 0"
        )))
    }
}

/// The least memory for data on its way through a worker: one of each kind of work at a time, where
/// blocks have pages of `page` bytes.
pub fn least_worker_memory(page: u64) -> u64 {
    page.saturating_mul(5).saturating_add(53 << 20)
}

/// How much of a directory's disk blocks may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StoreQuota {
    /// That many bytes.
    Bytes(ByteSize),
    /// That share of the file system's size, 0.0 to 1.0.
    Share(f64),
}

/// One directory of the block store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreDir {
    /// MEM, SSD or HDD.
    pub medium: String,
    /// Where it is.
    pub path: PathBuf,
    /// How much it may hold.
    pub quota: StoreQuota,
}

/// The directories of the block store, the first choice first.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreDirs(pub Vec<StoreDir>);

impl Value for StoreDirs {
    const KIND: &'static str = "list of MEDIUM:path:quota";

    fn read(text: &str) -> Result<Self> {
        let dirs = Vec::<String>::read(text)?
            .iter()
            .map(|item| read_dir(item))
            .collect::<Result<Vec<_>>>()?;
        if dirs.is_empty() {
            return Err(invalid_argument(
                "name at least one directory, as SSD:/data/goosefs:100GB",
            ));
        }
        Ok(StoreDirs(dirs))
    }
}

fn read_dir(text: &str) -> Result<StoreDir> {
    let wrong = || {
        invalid_argument(format!(
            "{text:?} is no MEDIUM:path:quota such as SSD:/data/goosefs:100GB"
        ))
    };
    let (medium, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (path, quota) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let medium = medium.to_ascii_uppercase();
    if !["MEM", "SSD", "HDD"].contains(&medium.as_str()) || !path.starts_with('/') {
        return Err(wrong());
    }
    let quota = if quota.ends_with('%') {
        StoreQuota::Share(parse_share(quota)?)
    } else {
        StoreQuota::Bytes(quota.parse()?)
    };
    Ok(StoreDir { medium, path: path.into(), quota })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_have_a_medium_a_path_and_a_quota() {
        let dirs = StoreDirs::read("MEM:/dev/shm/g:1GB, hdd:/data:90%").unwrap().0;
        assert_eq!(dirs[0].quota, StoreQuota::Bytes(ByteSize(1 << 30)));
        assert_eq!(dirs[1].medium, "HDD");
        assert_eq!(dirs[1].quota, StoreQuota::Share(0.9));
        for bad in ["", "MEM:/x", "RAM:/x:1G", "SSD:x:1G", "SSD:/x:much"] {
            assert!(StoreDirs::read(bad).is_err(), "{bad:?} was taken");
        }
    }
}
