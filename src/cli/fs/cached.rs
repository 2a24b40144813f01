//! The share of files that is cached: asked of the workers, since the master does not know it.

use crate::cli::session::Session;
use crate::core::model::Status;
use crate::core::model::measure::percent;

/// Files that are asked for at once.
pub const BATCH: usize = 512;

/// Sets how much of each file is cached. Where workers do not answer, less shows.
pub async fn fill_in(session: &Session, files: &mut [Status]) {
    let cached = session.fs.cached_bytes(files).await;
    for (file, cached) in files.iter_mut().zip(cached) {
        if !file.folder {
            file.cached_percent = percent(cached, file.length);
        }
    }
}
