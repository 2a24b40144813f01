//! The under stores of the mounts, opened once each.
//!
//! Every call here has a deadline and an error that names the store: a store that does not answer
//! makes its mount unavailable, never the master.

use crate::core::error::{Context, Error, ErrorKind, Result};
use crate::core::model::limits::of_connector;
use crate::core::model::{MountId, MountInfo};
use crate::ufs::{Properties, Ufs};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How long a store may take for one small question.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// A store, and the mount it was opened for.
type Opened = (Arc<MountInfo>, Ufs);

/// Opened stores by mount. Clones share them.
#[derive(Clone, Default)]
pub struct Stores {
    opened: Arc<Mutex<HashMap<MountId, Opened>>>,
    /// Settings of connectors for every mount; a mount's own come on top.
    defaults: Properties,
}

impl Stores {
    /// No stores yet; `defaults` are settings that mounts override.
    pub fn new(defaults: Properties) -> Self {
        Stores { opened: Arc::default(), defaults }
    }

    /// The store of a mount, opened anew when its settings have changed.
    ///
    /// # Errors
    /// `InvalidArgument` when the address or the settings make no sense.
    pub fn of(&self, mount: &Arc<MountInfo>) -> Result<Ufs> {
        if let Some((known, ufs)) = self.opened.lock().get(&mount.id)
            && (Arc::ptr_eq(known, mount) || is_same_store(known, mount))
        {
            return Ok(ufs.clone());
        }
        let ufs = self.open(&mount.ufs, &mount.properties)?;
        self.opened.lock().insert(mount.id, (mount.clone(), ufs.clone()));
        Ok(ufs)
    }

    /// Opens a store that is not mounted (yet).
    ///
    /// # Errors
    /// As [`Stores::of`].
    pub fn open(&self, address: &str, properties: &Properties) -> Result<Ufs> {
        crate::ufs::open(address, &self.merged(properties))
    }

    /// A mount's settings over those for every mount: what a worker opens the store with.
    pub fn merged(&self, properties: &Properties) -> Properties {
        let mut merged = self.defaults.clone();
        merged.extend(of_connector(properties));
        merged
    }

    /// Forgets the store of a mount that is gone.
    pub fn forget(&self, mount: MountId) {
        self.opened.lock().remove(&mount);
    }
}

/// Whether two descriptions of a mount are of the same store, opened alike.
fn is_same_store(one: &MountInfo, other: &MountInfo) -> bool {
    one.ufs == other.ufs && of_connector(&one.properties) == of_connector(&other.properties)
}

/// Waits for a store's answer, `deadline` at most; an error says which mount and store it is of.
///
/// # Errors
/// What `call` fails with; `Unavailable` when it takes too long.
pub async fn within<T>(
    mount: &MountInfo,
    deadline: Duration,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = |_| {
        let seconds = deadline.as_secs();
        Error::new(ErrorKind::Unavailable, format!("no answer within {seconds} s: is it up?"))
    };
    let answer = tokio::time::timeout(deadline, call).await.map_err(late);
    answer
        .and_then(|inner| inner)
        .with_context(|| format!("{} (mounted at {})", mount.ufs, mount.path))
}
