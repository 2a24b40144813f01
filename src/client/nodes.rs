//! Files without bytes, and what this user may do beyond what modes say.

use super::FileSystem;
use super::master::named;
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{FsPath, Node};
use crate::core::proto::v1;
use crate::core::proto::v1::file_system_client::FileSystemClient;

impl FileSystem {
    /// Makes a pipe, a socket or a device.
    ///
    /// # Errors
    /// `AlreadyExists` where something is; `NotFound` without a parent.
    pub async fn make_node(&self, path: &FsPath, node: Node, mode: u32) -> Result<()> {
        let (owner, group) = self.behalf.as_deref().cloned().unwrap_or_default();
        let request = v1::MakeNodeRequest {
            path: path.as_str().into(),
            kind: node.letter().into(),
            device: node.device,
            mode,
            owner,
            group,
            operation_id: uuid::Uuid::new_v4().as_bytes().to_vec(),
        };
        self.primary
            .call(|channel| {
                let request = request.clone();
                async move { FileSystemClient::new(channel).make_node(request).await }
            })
            .await
            .map(drop)
            .map_err(|e| named(e, path))
    }

    /// Whether the master refuses this user nothing. One that is too old to say so does not.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn is_superuser(&self) -> Result<bool> {
        let asked = self.primary.call(|channel| async move {
            FileSystemClient::new(channel).get_rights(v1::GetRightsRequest {}).await
        });
        match asked.await {
            Ok(rights) => Ok(rights.superuser),
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(error),
        }
    }
}
