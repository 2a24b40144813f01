//! Who this worker is, over restarts: its id, which is its key on the ring, and the cluster whose
//! blocks it holds.

use crate::core::error::{Context, Result, invalid_argument};
use crate::core::model::WorkerId;
use crate::core::runtime::files;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file in the worker's data folder.
const FILE: &str = "identity.json";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The worker's id; 0 before it has one.
    pub worker_id: WorkerId,
    /// The cluster's id; empty before the first contact.
    pub cluster_id: String,
}

/// The worker's identity, kept in a file.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    kept: Mutex<Kept>,
}

impl Identity {
    /// Reads the identity kept in `folder`, which is made when it is missing.
    ///
    /// # Errors
    /// `InvalidArgument` when the file there is damaged: a worker that guessed its id would move on
    /// the ring. Else why the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Identity> {
        let unusable = || {
            let folder = folder.display();
            format!("{folder} cannot keep the worker's identity: see goosefs.worker.data.folder")
        };
        std::fs::create_dir_all(folder).with_context(unusable)?;
        let kept = match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                let path = folder.join(FILE);
                invalid_argument(format!(
                    "{} is damaged; without it this worker comes back as a new one: remove it if \
                     that is fine",
                    path.display()
                ))
                .with_source(e)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error).with_context(unusable),
        };
        Ok(Identity { folder: folder.into(), kept: Mutex::new(kept) })
    }

    /// What is kept now.
    pub fn get(&self) -> Kept {
        self.kept.lock().clone()
    }

    /// Changes what is kept. Waits for the disk.
    ///
    /// # Errors
    /// Why it could not be written; then nothing has changed.
    pub fn set(&self, change: impl FnOnce(&mut Kept)) -> Result<()> {
        let mut kept = self.kept.lock();
        let mut new = kept.clone();
        change(&mut new);
        if new != *kept {
            self.write(&new).with_context(|| format!("writing {}", self.folder.display()))?;
            *kept = new;
        }
        Ok(())
    }

    fn write(&self, kept: &Kept) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(kept).expect("an identity is valid JSON");
        files::replace(&self.folder.join(FILE), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_kept_and_a_damaged_one_is_no_new_one() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("worker");
        assert_eq!(Identity::open(&folder).unwrap().get(), Kept::default());
        let identity = Identity::open(&folder).unwrap();
        identity.set(|kept| kept.worker_id = 7).unwrap();
        identity.set(|kept| kept.cluster_id = "c".into()).unwrap();
        let kept = Identity::open(&folder).unwrap().get();
        assert_eq!((kept.worker_id, kept.cluster_id.as_str()), (7, "c"));
        std::fs::write(folder.join(FILE), b"{").unwrap();
        let error = Identity::open(&folder).unwrap_err();
        assert!(error.to_string().contains("identity.json is damaged"), "{error}");
    }
}
