//! Calls to the master about namespaces.

use super::FileSystem;
use super::master::status_of;
use super::options::{MountOptions, NamespaceOptions};
use crate::core::error::Result;
use crate::core::model::{FsPath, Limits, Status};
use crate::core::proto::grpc::file::*;
use futures::TryStreamExt;
use std::collections::BTreeMap;

/// A namespace.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Its directory.
    pub status: Status,
    /// What it may take.
    pub limits: Limits,
    /// Bytes of it in the stores of all workers, copies counted as often as they are there.
    pub cached_bytes: u64,
}

impl Namespace {
    fn new(status: Status, share: Option<&MountShare>) -> Self {
        let (limits, cached_bytes) = share_of(share);
        Namespace { status, limits, cached_bytes }
    }
}

/// What a mount may take and takes; nothing where the master does not say.
fn share_of(share: Option<&MountShare>) -> (Limits, u64) {
    let Some(share) = share else { return Default::default() };
    let limits = share.limits.clone().into_iter().collect();
    (Limits::known(&limits), u64::try_from(share.cached_bytes()).unwrap_or_default())
}

impl FileSystem {
    /// Makes the namespace `name`: the directory `/name`, attached to `ufs`, with policies.
    ///
    /// # Errors
    /// As [`FileSystem::mount`].
    pub async fn create_namespace(
        &self,
        name: &str,
        ufs: &str,
        options: &NamespaceOptions,
    ) -> Result<()> {
        let request = CreateNamespacePRequest {
            namespace: Some(name.into()),
            ufs_path: Some(ufs.into()),
            options: Some(CreateNamespacePOptions {
                read_only: Some(options.mount.read_only),
                properties: options.mount.properties.clone().into_iter().collect(),
                shared: Some(options.mount.shared),
                common_options: Some(self.change()),
                read_p_type: options.read_type.map(|read| ReadPType::from(read) as i32),
                write_p_type: options.write_type.map(super::master::wire_write),
            }),
        };
        self.tree(&namespace_path(name)?, |mut tree| {
            let request = request.clone();
            async move { tree.create_namespace(request).await }
        })
        .await
        .map(drop)
    }

    /// Replaces how the under store of namespace `name` is attached.
    ///
    /// # Errors
    /// `NotFound` where there is no such namespace.
    pub async fn update_namespace(&self, name: &str, mount: &MountOptions) -> Result<()> {
        let request = UpdateNamespacePRequest {
            namespace: Some(name.into()),
            options: Some(UpdateNamespacePOptions {
                read_only: Some(mount.read_only),
                properties: mount.properties.clone().into_iter().collect(),
                shared: Some(mount.shared),
                common_options: Some(self.change()),
            }),
        };
        self.tree(&namespace_path(name)?, |mut tree| {
            let request = request.clone();
            async move { tree.update_namespace(request).await }
        })
        .await
        .map(drop)
    }

    /// Deletes the namespace `name`; what its under store holds stays there.
    ///
    /// # Errors
    /// `NotFound` where there is no such namespace.
    pub async fn delete_namespace(&self, name: &str) -> Result<()> {
        let request = DeleteNamespacePRequest {
            namespace: Some(name.into()),
            options: Some(DeleteNamespacePOptions { common_options: Some(self.change()) }),
        };
        self.tree(&namespace_path(name)?, |mut tree| {
            let request = request.clone();
            async move { tree.delete_namespace(request).await }
        })
        .await
        .map(drop)
    }

    /// All namespaces.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn namespaces(&self) -> Result<Vec<Namespace>> {
        let answers = self
            .tree(&FsPath::root(), |mut tree| async move {
                tree.list_namespace(ListNamespacePRequest::default()).await
            })
            .await?;
        let batches: Vec<ListNamespacePResponse> = answers.try_collect().await?;
        let mut found = Vec::new();
        for ListNamespacePResponse { file_info, shares } in batches {
            for info in file_info {
                let status = status_of(Some(info))?;
                let share = shares.iter().find(|share| share.mount_id() == status.mount_id);
                found.push(Namespace::new(status, share));
            }
        }
        Ok(found)
    }

    /// The namespace `name`.
    ///
    /// # Errors
    /// `NotFound` where there is no such namespace.
    pub async fn namespace(&self, name: &str) -> Result<Namespace> {
        let request = StatNamespacePRequest {
            namespace: Some(name.into()),
            options: Some(Default::default()),
        };
        let answer = self
            .tree(&namespace_path(name)?, |mut tree| {
                let request = request.clone();
                async move { tree.stat_namespace(request).await }
            })
            .await?;
        Ok(Namespace::new(status_of(answer.file_info)?, answer.share.as_ref()))
    }

    /// What every mount takes of the cache and may take, by its path.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn mount_shares(&self) -> Result<Vec<(FsPath, Limits, u64)>> {
        let answers = self
            .tree(&FsPath::root(), |mut tree| async move {
                tree.list_namespace(ListNamespacePRequest::default()).await
            })
            .await?;
        let batches: Vec<ListNamespacePResponse> = answers.try_collect().await?;
        let shares = batches.iter().flat_map(|batch| &batch.shares);
        let told = |share: &MountShare| {
            let (limits, cached) = share_of(Some(share));
            Ok((FsPath::parse(share.path())?, limits, cached))
        };
        shares.map(told).collect()
    }

    /// Changes what namespace `name` may take: the properties of `limits`, of which an empty one
    /// removes a bound; what is not named stays.
    ///
    /// # Errors
    /// `NotFound` where there is no such namespace, `InvalidArgument` for what makes no sense.
    pub async fn limit_namespace(
        &self,
        name: &str,
        limits: BTreeMap<String, String>,
    ) -> Result<()> {
        let options = UpdateNamespacePOptions {
            properties: limits.into_iter().collect(),
            common_options: Some(self.change()),
            ..Default::default()
        };
        let request =
            UpdateNamespacePRequest { namespace: Some(name.into()), options: Some(options) };
        self.tree(&namespace_path(name)?, |mut tree| {
            let request = request.clone();
            async move { tree.update_namespace(request).await }
        })
        .await
        .map(drop)
    }

    /// Changes the policies of namespace `name`; what is none stays.
    ///
    /// # Errors
    /// `NotFound` where there is no such namespace.
    pub async fn set_namespace(&self, name: &str, options: &NamespaceOptions) -> Result<()> {
        let request = SetNamespaceAttributePRequest {
            namespace: Some(name.into()),
            options: Some(SetNamespaceAttributePOptions {
                common_options: Some(self.change()),
                read_p_type: options.read_type.map(|read| ReadPType::from(read) as i32),
                write_p_type: options.write_type.map(super::master::wire_write),
                ..Default::default()
            }),
        };
        self.tree(&namespace_path(name)?, |mut tree| {
            let request = request.clone();
            async move { tree.set_namespace_attribute(request).await }
        })
        .await
        .map(drop)
    }
}

/// The directory of a namespace.
fn namespace_path(name: &str) -> Result<FsPath> {
    FsPath::root().join(name.trim_start_matches('/'))
}
