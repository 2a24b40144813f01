//! Mounts.

use crate::core::error::Result;
use crate::core::model::{FsPath, MountInfo};
use crate::core::proto::grpc::file::MountPointInfo;

impl From<&MountInfo> for MountPointInfo {
    /// The redacted form: what goes over this message is shown to people.
    fn from(mount: &MountInfo) -> Self {
        let mount = mount.redacted();
        MountPointInfo {
            ufs_type: Some(mount.ufs.split("://").next().unwrap_or_default().to_string()),
            ufs_uri: Some(mount.ufs),
            read_only: Some(mount.read_only),
            properties: mount.properties.into_iter().collect(),
            shared: Some(mount.shared),
            mount_id: Some(mount.id),
            ..Default::default()
        }
    }
}

impl MountPointInfo {
    /// The mount at `path`, as the wire tells of it.
    ///
    /// # Errors
    /// `InvalidArgument` when `path` is none.
    pub fn to_model(&self, path: &str) -> Result<MountInfo> {
        Ok(MountInfo {
            id: self.mount_id(),
            path: FsPath::parse(path)?,
            ufs: self.ufs_uri().into(),
            read_only: self.read_only(),
            shared: self.shared(),
            properties: self.properties.clone().into_iter().collect(),
        })
    }
}
