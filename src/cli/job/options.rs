//! Which files a job is about, and how fast it may go.

use crate::core::model::ByteSize;
use crate::core::proto::v1::Selection;
use clap::Args;

/// A choice of files by patterns.
#[derive(Args, Clone, Debug, Default)]
pub struct Choice {
    /// Only files whose path below PATH matches, as '*.parquet' or 'day=2026-*/part-*'; may be given
    /// several times
    #[arg(long, value_name = "PATTERN", help_heading = "Selection")]
    include: Vec<String>,
    /// But no files that match, and nothing below directories that do
    #[arg(long, value_name = "PATTERN", help_heading = "Selection")]
    exclude: Vec<String>,
}

impl Choice {
    /// The choice as a job has it; none where it is all.
    pub fn selection(&self) -> Option<Selection> {
        let Choice { include, exclude } = self.clone();
        (!include.is_empty() || !exclude.is_empty()).then_some(Selection { include, exclude })
    }
}

/// How fast a job may go.
#[derive(Args, Clone, Debug, Default)]
pub struct Speed {
    /// Bytes a second it may move, all workers together, as 100MB
    #[arg(long, value_name = "SIZE")]
    bandwidth: Option<ByteSize>,
}

impl Speed {
    /// Bytes a second; 0 for no limit.
    pub fn bandwidth(&self) -> u64 {
        self.bandwidth.map_or(0, |size| size.0)
    }
}
