//! Measures what goosefs is for, always against a floor taken in the same minutes on the same
//! machine: a raw socket, an echo, the disk's fdatasync, tmpfs.
//!
//! Each workload runs ours and the floor in turn, several rounds (A B B A …), and reports the ratio
//! of every round: its median, minimum and maximum. Absolute numbers drift from machine to machine;
//! ratios travel.

pub mod archive;
pub mod cluster;
pub mod counters;
pub mod cp;
pub mod elastic;
pub mod empty_fuse;
pub mod evict;
pub mod floor;
pub mod fuse;
pub mod load;
pub mod metadata;
pub mod objects;
pub mod report;
pub mod scale;
pub mod start;
pub mod tiers;
pub mod tree;
pub mod ufs;
pub mod worker;

pub use cluster::Scratch;
pub use report::{Report, Row};

use crate::core::error::{Error, ErrorKind, Result};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rounds of ours and the floor that a workload runs.
pub const ROUNDS: usize = 5;

/// A word to blocking work that it shall end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Tells it.
    pub fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Fails once it was told.
    ///
    /// # Errors
    /// `Cancelled`.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Cancelled, "interrupted")),
            false => Ok(()),
        }
    }
}

/// Runs `ours` and `floor` in turn, `rounds` times, the order swapped each time. Both return what
/// they reached, in the same unit.
///
/// # Errors
/// What either of them fails with.
pub async fn alternate<A, B>(
    rounds: usize,
    mut ours: impl FnMut() -> A,
    mut floor: impl FnMut() -> B,
) -> Result<Vec<(f64, f64)>>
where
    A: Future<Output = Result<f64>>,
    B: Future<Output = Result<f64>>,
{
    let mut pairs = Vec::with_capacity(rounds);
    for round in 0..rounds {
        pairs.push(if round % 2 == 0 {
            let ours = ours().await?;
            (ours, floor().await?)
        } else {
            let floor = floor().await?;
            (ours().await?, floor)
        });
    }
    Ok(pairs)
}
