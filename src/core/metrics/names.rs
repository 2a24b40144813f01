//! Every metric's name and meaning, once.

/// A metric as it is declared. A counter's name gets `_total` where it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The name, with the unit last.
    pub text: &'static str,
    /// What it counts, for people.
    pub help: &'static str,
}

/// Declares metrics: `CONSTANT = "name", "meaning";`.
macro_rules! metrics {
    ($($constant:ident = $text:literal, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Name = Name { text: $text, help: $help };)*
    };
}

metrics! {
    MASTER_CALLS = "goosefs_master_calls", "Calls the master answered";
    MASTER_ENTRIES = "goosefs_master_journal_entries", "Entries committed to the journal";
    MASTER_LIVE_WORKERS = "goosefs_master_live_workers", "Workers that report to the master";
    MASTER_LOST_WORKERS = "goosefs_master_lost_workers", "Workers the master has given up";
    MASTER_CAPACITY = "goosefs_master_cluster_capacity_bytes", "Bytes all live workers may hold";
    MASTER_USED = "goosefs_master_cluster_used_bytes", "Bytes all live workers hold";
    MASTER_BACKUPS = "goosefs_master_backups", "Backups the master made";
    MASTER_FAILED_BACKUPS = "goosefs_master_failed_backups", "Backups that could not be made";
    WORKER_CAPACITY = "goosefs_worker_capacity_bytes", "Bytes the block store may hold";
    WORKER_USED = "goosefs_worker_used_bytes", "Bytes the block store holds";
    WORKER_DIR_CAPACITY = "goosefs_worker_dir_capacity_bytes", "Bytes a directory of the block store may hold";
    WORKER_DIR_USED = "goosefs_worker_dir_used_bytes", "Bytes a directory of the block store holds";
    WORKER_DIR_LOST = "goosefs_worker_dir_lost", "1 for a directory that is out of service, else 0";
    WORKER_BLOCKS = "goosefs_worker_blocks", "Blocks the store holds";
    WORKER_READ_BYTES = "goosefs_worker_read_bytes", "Bytes served to readers";
    WORKER_WRITTEN_BYTES = "goosefs_worker_written_bytes", "Bytes taken from writers";
    WORKER_FILLED_BYTES = "goosefs_worker_filled_bytes", "Bytes fetched from under stores";
    WORKER_COPIED_BYTES = "goosefs_worker_copied_bytes", "Bytes fetched from other workers";
    WORKER_MOVED_BYTES = "goosefs_worker_moved_bytes", "Bytes sent to workers they belong to now";
    WORKER_UFS_RATE = "goosefs_worker_ufs_rate_bytes", "Bytes a second it may exchange with under stores; 0 for no bound";
    WORKER_HITS = "goosefs_worker_page_hits", "Pages served from the store";
    WORKER_MISSES = "goosefs_worker_page_misses", "Pages that had to be fetched";
    WORKER_EVICTED_BLOCKS = "goosefs_worker_evicted_blocks", "Blocks evicted to make room";
    WORKER_MOVED_DOWN = "goosefs_worker_moved_down_blocks", "Blocks moved to a slower tier instead of being evicted";
    WORKER_MOVED_UP = "goosefs_worker_moved_up_blocks", "Blocks moved to a faster tier because they were hot";
    WORKER_TIER_MOVED_BYTES = "goosefs_worker_tier_moved_bytes", "Bytes moved between tiers";
    WORKER_BAD_PAGES = "goosefs_worker_bad_pages", "Pages dropped because their checksum was wrong";
    WORKER_SCRUBBED_BYTES = "goosefs_worker_scrubbed_bytes", "Bytes read in the background to verify their checksums";
    WORKER_SCRUB_BAD_PAGES = "goosefs_worker_scrub_bad_pages", "Pages that did not match their checksums when they were scrubbed";
    WORKER_REPAIRED_PAGES = "goosefs_worker_repaired_pages", "Bad pages that were filled again from the under store";
    WORKER_LENT_BLOCKS = "goosefs_worker_lent_blocks", "Blocks lent to clients on this host";
}
