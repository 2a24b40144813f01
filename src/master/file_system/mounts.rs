//! Under stores attached to the tree.

use super::{Caller, FileSystem, missing, unexpected};
use crate::core::error::{
    ErrorKind, Result, already_exists, failed_precondition, invalid_argument, not_found,
};
use crate::core::model::limits::of_connector;
use crate::core::model::{FsPath, Limits, MountId, MountInfo};
use crate::master::journal::entry::{Attributes, Change, Mount, Outcome, UpdateMount};
use crate::master::stores::{CALL_DEADLINE, within};
use crate::master::sync::Freshness;
use crate::ufs::Properties;
use std::sync::Arc;
use std::time::Duration;

/// How long a store may take to answer before it is mounted: somebody is waiting for the outcome.
const MOUNT_DEADLINE: Duration = Duration::from_secs(10);

/// A mount somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct NewMount {
    /// Address of the under store.
    pub ufs: String,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether every user may use it.
    pub shared: bool,
    /// Options of the connector.
    pub properties: Properties,
    /// Whether missing directories above are made.
    pub recursive: bool,
    /// Policies of what is below; nothing for a plain mount.
    pub attributes: Attributes,
}

/// What changes of a mount; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct MountChange {
    /// Whether writes are refused.
    pub read_only: Option<bool>,
    /// Whether every user may use it.
    pub shared: Option<bool>,
    /// Options of the connector to set; an empty value removes one.
    pub properties: Properties,
}

impl FileSystem {
    /// Attaches an under store, once it has answered with the credentials given.
    ///
    /// # Errors
    /// `AlreadyExists` on a mount point or where the store of the mount around has something;
    /// `FailedPrecondition` on what is not empty; what the store says when it refuses.
    pub async fn mount(&self, caller: &Caller, path: &FsPath, new: NewMount) -> Result<MountId> {
        if let Some(Outcome::Mounted(id)) = self.repeated(caller)? {
            return Ok(id);
        }
        let mounted = self.mount_now(caller, path, new).await;
        match (mounted, self.repeated(caller)?) {
            // The first attempt was on its way through the journal while this one looked.
            (Err(_), Some(Outcome::Mounted(id))) => Ok(id),
            (mounted, _) => mounted,
        }
    }

    async fn mount_now(&self, caller: &Caller, path: &FsPath, new: NewMount) -> Result<MountId> {
        self.permit_superuser(caller, "mount")?;
        let ufs = address(&new.ufs)?;
        let _alone = self.locks.exclusive(std::slice::from_ref(path)).await?;
        self.mounts().check_new(path, &ufs)?;
        Limits::of(&new.properties)?;
        self.check_place(path).await?;
        let (read_only, properties) = (new.read_only, new.properties);
        self.check_store(path, &ufs, read_only, &properties).await?;
        let change = Mount {
            path: path.clone(),
            ufs,
            read_only,
            shared: new.shared,
            properties,
            ownership: self.ownership(caller, 0o755),
            parents_mode: new.recursive.then_some(0o755),
            attributes: new.attributes,
        };
        match self.commit_for(caller, Change::Mount(change)).await? {
            Outcome::Mounted(id) => {
                self.sync.moved();
                Ok(id)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// A mount may be at `path`: nothing is there, or an empty directory that only we have.
    async fn check_place(&self, path: &FsPath) -> Result<()> {
        let Some(found) = self.find_held(path, Freshness::Within(0)).await? else { return Ok(()) };
        if !found.folder {
            return Err(already_exists(format!("{path} is a file: mount at a new path")));
        }
        if !self.state().children(path, None, 1)?.is_empty() {
            return Err(failed_precondition(format!(
                "{path} is not empty: mount at a new path or at an empty directory"
            )));
        }
        if found.is_persisted() {
            return Err(already_exists(format!(
                "{path} exists in {}: a mount would hide it; mount at another path",
                found.ufs_path
            )));
        }
        Ok(())
    }

    /// The store answers, with these credentials, and what is to be mounted is a directory.
    async fn check_store(
        &self,
        path: &FsPath,
        address: &str,
        read_only: bool,
        properties: &Properties,
    ) -> Result<()> {
        let store = self.stores.open(address, properties)?;
        let trial = MountInfo {
            id: 0,
            path: path.clone(),
            ufs: address.into(),
            read_only,
            shared: false,
            properties: Properties::new(),
        };
        let server = store.server();
        match within(&trial, MOUNT_DEADLINE, store.status("")).await {
            Ok(status) if !status.folder => {
                Err(invalid_argument(format!("{address} is a file: mount a directory")))
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(not_found(format!(
                "there is no {address}: check the address, or make the directory first"
            ))),
            // The connector has tried more than once: the client shall not do so all over again.
            Err(error) if error.kind().is_transient() => {
                let at = if server.is_empty() { String::new() } else { format!(" ({server})") };
                Err(failed_precondition(format!("the store does not answer{at}: {error}")))
            }
            Err(error) => Err(error.context(format!("mounting at {path}"))),
        }
    }

    /// Detaches an under store; what it holds stays there.
    ///
    /// # Errors
    /// `NotFound` for what is no mount point; `InvalidArgument` for the root.
    pub async fn unmount(&self, caller: &Caller, path: &FsPath) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        let unmounted = self.unmount_now(caller, path).await;
        self.unless_repeated(caller, unmounted)
    }

    async fn unmount_now(&self, caller: &Caller, path: &FsPath) -> Result<()> {
        self.permit_superuser(caller, "unmount")?;
        let mount = self.mount_at(path)?;
        let _alone = self.locks.exclusive(std::slice::from_ref(path)).await?;
        self.commit_for(caller, Change::Unmount(path.clone())).await?;
        self.stores.forget(mount.id);
        self.sync.moved();
        Ok(())
    }

    /// Changes a mount's settings, once its store has answered with them.
    ///
    /// # Errors
    /// `NotFound` for what is no mount point; what the store says when it refuses.
    pub async fn update_mount(
        &self,
        caller: &Caller,
        path: &FsPath,
        change: MountChange,
    ) -> Result<()> {
        if self.repeated(caller)?.is_some() {
            return Ok(());
        }
        self.permit_superuser(caller, "change mounts")?;
        // One at a time: each changes some of the properties that it has read.
        let _alone = self.updating.lock().await;
        let mount = self.mount_at(path)?;
        let mut properties = mount.properties.clone();
        for (name, value) in change.properties {
            match value.as_str() {
                "" => drop(properties.remove(&name)),
                _ => drop(properties.insert(name, value)),
            }
        }
        let read_only = change.read_only.unwrap_or(mount.read_only);
        Limits::of(&properties)?;
        if of_connector(&properties) != of_connector(&mount.properties) {
            self.check_store(path, &mount.ufs, read_only, &properties).await?;
        }
        let update = UpdateMount {
            path: path.clone(),
            ufs: None,
            read_only: change.read_only,
            shared: change.shared,
            properties: Some(properties),
        };
        self.commit_for(caller, Change::UpdateMount(update)).await.map(drop)
    }

    /// The mount at exactly this path.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn mount_at(&self, path: &FsPath) -> Result<Arc<MountInfo>> {
        let mounts = self.mounts();
        mounts.at(path).cloned().ok_or_else(|| {
            not_found(format!("{path} is not a mount point: `goosefs fs mount` lists them"))
        })
    }

    /// The mount a path belongs to.
    ///
    /// # Errors
    /// `NotFound` before there is a root mount.
    pub fn mount_of(&self, path: &FsPath) -> Result<Arc<MountInfo>> {
        self.mounts().find(path).cloned().ok_or_else(|| missing(path))
    }

    /// Capacity and use of a mount's store, where it tells; -1 where not.
    pub async fn space_of(&self, mount: &Arc<MountInfo>) -> (i64, i64) {
        let asked = async { within(mount, CALL_DEADLINE, self.stores.of(mount)?.space()).await };
        match asked.await {
            Ok(Some(space)) => (space.capacity as i64, space.used as i64),
            _ => (-1, -1),
        }
    }
}

/// An address as it is kept: a bare absolute path is one of this machine, and a slash at the end
/// says nothing.
fn address(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(invalid_argument("the address of the under store is empty"));
    }
    let trimmed = text.trim_end_matches('/');
    Ok(match trimmed {
        "" => "file:///".into(),
        "file:" => "file:///".into(),
        path if path.starts_with('/') => format!("file://{path}"),
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        assert_eq!(address("/data/").unwrap(), "file:///data");
        assert_eq!(address("/").unwrap(), "file:///");
        assert_eq!(address("file:///").unwrap(), "file:///");
        assert_eq!(address("s3://bucket/a/").unwrap(), "s3://bucket/a");
        assert!(address("").is_err());
    }
}
