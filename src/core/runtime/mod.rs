//! How a process runs: what starts and stops together, what happens periodically, what time it is,
//! and where its words go.

pub mod clock;
pub mod duty;
pub mod files;
pub mod group;
pub mod limits;
pub mod logging;
pub mod rate;
pub mod signals;

pub use clock::Clock;
pub use duty::{Duties, DutyStatus};
pub use group::Group;
pub use rate::Rate;

use crate::core::error::{Error, ErrorKind, Result};

/// Runs `work` on a thread where it may wait for a disk.
///
/// # Errors
/// What `work` fails with; `Cancelled` when the process is stopping.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let stopping =
        |gone| Error::new(ErrorKind::Cancelled, "the process is stopping").with_source(gone);
    tokio::task::spawn_blocking(work).await.map_err(stopping)?
}
