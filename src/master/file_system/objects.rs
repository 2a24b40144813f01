//! Objects of under stores that a worker is writing because the master told it to: nobody else writes
//! them meanwhile, so that what comes last in the tree comes last there.

use crate::core::error::{Result, unavailable};
use crate::core::model::FsPath;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for a worker that is to give an object up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// The objects that are being written. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<HashSet<String>>>);

impl Objects {
    /// Holds an object until [`Objects::release`]; false where somebody does.
    pub fn begin(&self, object: &str) -> bool {
        self.0.lock().insert(object.to_string())
    }

    /// Whoever held it is through, or gone.
    pub fn release(&self, object: &str) {
        self.0.lock().remove(object);
    }

    /// Whether somebody writes it.
    pub fn is_held(&self, object: &str) -> bool {
        self.0.lock().contains(object)
    }

    /// Waits until nobody writes `object`, which is to be at `path`.
    ///
    /// # Errors
    /// `Unavailable` when that takes too long.
    pub async fn free(&self, object: &str, path: &FsPath) -> Result<()> {
        let free = async {
            while self.is_held(object) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, free).await.map_err(|_| {
            unavailable(format!(
                "what was at {path} before is still being written to the under store: try again later"
            ))
        })
    }
}
