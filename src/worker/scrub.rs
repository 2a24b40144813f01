//! Reads everything once in a while to see that it is still what was written.
//!
//! A disk forgets silently, and what nobody reads nobody notices. Blocks are read one after another,
//! at a bounded rate; a page that does not match its checksum is forgotten and filled again from the
//! under store, while the rest of its block stays. What is not in the under store yet is put right from
//! another worker that holds it; where there is none, that it is bad is said loudly, each time round.

use super::fill::{Filler, run_blocking};
use super::mend::Mender;
use super::metrics::Counts;
use super::mounts::Mounts;
use super::read::Reads;
use super::store::{Block, BlockStore, Damage};
use crate::core::config;
use crate::core::error::Result;
use crate::core::runtime::Rate;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes read at a time.
const STEP: u64 = 1 << 20;
/// How long a pass takes at the least: an empty store is no reason to hurry.
const PASS_LEAST: Duration = Duration::from_secs(1);

/// What scrubbing needs.
pub struct Scrubber {
    /// The blocks.
    pub store: Arc<BlockStore>,
    /// What fills bad pages again.
    pub filler: Filler,
    /// Where they are to be had.
    pub mounts: Arc<Mounts>,
    /// What has good pages of what is not there yet.
    pub mender: Mender,
    /// What is counted.
    pub counts: Counts,
    bandwidth: u64,
    interval: Duration,
}

impl Scrubber {
    /// Scrubs as the settings say; none where they say not to.
    pub fn new(config: &config::Worker, reads: &Reads) -> Option<Scrubber> {
        let Reads { store, filler, mounts, mender, counts, .. } = reads.clone();
        let (bandwidth, interval) = (config.scrub_bandwidth.0, config.scrub_interval);
        let scrubber = Scrubber { store, filler, mounts, mender, counts, bandwidth, interval };
        (bandwidth > 0).then_some(scrubber)
    }

    /// Goes round and round, each time over all there is.
    pub async fn run(self) {
        loop {
            let begun = Instant::now();
            for id in self.store.ids() {
                let Some(block) = self.store.peek(id) else { continue };
                if let Err(error) = self.scrub(block).await {
                    tracing::warn!(block = %id, %error, "not scrubbed");
                }
            }
            let rest = self.interval.saturating_sub(begun.elapsed());
            tokio::time::sleep(rest.max(PASS_LEAST)).await;
        }
    }

    /// Verifies one block, and has bad pages filled again.
    async fn scrub(&self, block: Arc<Block>) -> Result<()> {
        let id = block.id();
        let (only_copy, version) = (block.is_unpersisted(), block.version().to_string());
        let bad = self.verify(&block).await?;
        if bad == 0 {
            return Ok(());
        }
        self.counts.scrub_bad_pages.inc_by(bad);
        self.counts.bad_pages.inc_by(bad);
        if only_copy {
            match self.mender.mend(&block).await {
                Ok(pages) => {
                    self.counts.repaired_pages.inc_by(pages);
                    tracing::warn!(block = %id, pages, "bad pages were copied from another worker");
                }
                Err(error) => {
                    tracing::error!(block = %id, pages = bad, %error, "the only copy of a block is damaged; write its file again");
                }
            }
            return Ok(());
        }
        drop(block);
        let repaired = async {
            let wanted = self.mounts.find(id, &version).await?;
            self.filler.fill(&wanted, &Rate::default(), |_| {}).await
        };
        match repaired.await {
            Ok(_) => {
                self.counts.repaired_pages.inc_by(bad);
                tracing::warn!(block = %id, pages = bad, "bad pages were filled again");
            }
            Err(error) => {
                tracing::warn!(block = %id, pages = bad, %error, "bad pages are filled when they are read");
            }
        }
        Ok(())
    }

    /// Reads all pages that are there; returns how many were bad. Those that can be had again are
    /// forgotten.
    async fn verify(&self, block: &Arc<Block>) -> Result<u64> {
        if block.bytes_held() == 0 {
            return Ok(0);
        }
        let step = (STEP / block.page_size()).max(1) as usize;
        let mut bad = 0;
        for start in (0..block.page_count()).step_by(step) {
            let pages = start..(start + step).min(block.page_count());
            let bytes = pages.len() as u64 * block.page_size();
            let (store, block) = (self.store.clone(), block.clone());
            let found = run_blocking(move || {
                let read = block.open().and_then(|file| store.lose_bad_pages(&block, &file, pages));
                match read {
                    Ok(pages) => Ok((pages as u64, true)),
                    Err(_) if block.is_removed() => Ok((0, false)),
                    Err(error) => match store.examine(&block, &error) {
                        Damage::Lost(pages) => Ok((pages as u64, false)),
                        Damage::Dropped | Damage::OnlyCopy => Ok((1, false)),
                        Damage::None => Err(error),
                    },
                }
            });
            let (pages, go_on) = found.await??;
            bad += pages;
            self.counts.scrubbed_bytes.inc_by(bytes);
            if !go_on {
                break;
            }
            let nanos = bytes * 1_000_000_000 / self.bandwidth;
            tokio::time::sleep(Duration::from_nanos(nanos)).await;
        }
        Ok(bad)
    }
}
