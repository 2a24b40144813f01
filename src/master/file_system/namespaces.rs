//! Namespaces: mounts directly below the root, with a name and policies.

use super::FileSystem;
use crate::core::error::{Result, invalid_argument, not_found};
use crate::core::model::{FsPath, Status};

impl FileSystem {
    /// The path of a namespace: its name below the root.
    ///
    /// # Errors
    /// `InvalidArgument` when the name is none.
    pub fn namespace_path(&self, name: &str) -> Result<FsPath> {
        let path = match name.strip_prefix('/') {
            Some(_) => FsPath::parse(name)?,
            None => FsPath::root().join(name)?,
        };
        if path.components().count() == 1 {
            return Ok(path);
        }
        Err(invalid_argument(format!("{name:?} is no namespace: a name directly below /")))
    }

    /// A namespace as a directory.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn namespace(&self, name: &str) -> Result<Status> {
        let path = self.namespace_path(name)?;
        match self.peek(&path)? {
            Some(status) if status.mount_point => Ok(status),
            _ => {
                Err(not_found(format!("there is no namespace {name}: `goosefs ns ls` lists them")))
            }
        }
    }

    /// All namespaces.
    ///
    /// # Errors
    /// When the tree cannot be read.
    pub fn namespaces(&self) -> Result<Vec<Status>> {
        let mounts = self.mounts();
        let named = mounts.iter().filter(|mount| mount.path.components().count() == 1);
        let found = named.map(|mount| self.peek(&mount.path)).collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().collect())
    }
}
