//! What workers ask about files and under stores.

use super::Answered;
use crate::core::error::{ErrorKind, Result, not_found};
use crate::core::model::{FileId, MountInfo};
use crate::core::proto::grpc::CommandType;
use crate::core::proto::grpc::file::file_system_master_job_service_server::FileSystemMasterJobService;
use crate::core::proto::grpc::file::file_system_master_worker_service_server::FileSystemMasterWorkerService;
use crate::core::proto::grpc::file::*;
use crate::master::Master;
use std::sync::Arc;
use tonic::{Request, Response};

/// The worker-facing services of the file system.
#[derive(Clone)]
pub struct Internal(pub Arc<Master>);

impl Internal {
    fn file_info(&self, request: &GetFileInfoPRequest) -> Result<GetFileInfoPResponse> {
        self.0.check_primary()?;
        let status = self.0.files.by_id(FileId(request.file_id()))?;
        Ok(GetFileInfoPResponse { file_info: Some((&status).into()) })
    }

    /// How to open a mount's store, with its secrets in clear: workers need them.
    fn ufs_info(&self, request: &GetUfsInfoPRequest) -> Result<GetUfsInfoPResponse> {
        self.0.check_primary()?;
        let mounts = self.0.files.mounts();
        let mount = match &request.mount_id {
            Some(id) => mounts.by_id(*id),
            None => mounts.reverse(request.ufs_uri()).and_then(|path| mounts.find(&path)),
        };
        let mount: &MountInfo = mount.ok_or_else(|| {
            not_found(format!("no mount has the id {}: it was unmounted", request.mount_id()))
        })?;
        let properties = MountPOptions {
            read_only: Some(mount.read_only),
            properties: mount.properties.clone().into_iter().collect(),
            shared: Some(mount.shared),
            common_options: None,
        };
        let info = UfsInfo { uri: Some(mount.ufs.clone()), properties: Some(properties) };
        Ok(GetUfsInfoPResponse { ufs_info: Some(info) })
    }

    fn persistence(&self, id: i64) -> Result<Option<PersistenceStateBatchEntry>> {
        match self.0.files.by_id(FileId(id)) {
            Ok(status) => Ok(Some(PersistenceStateBatchEntry {
                file_id: Some(id),
                persistence_state: Some(status.persistence.name().into()),
                completed: Some(status.completed),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[tonic::async_trait]
impl FileSystemMasterWorkerService for Internal {
    async fn file_system_heartbeat(
        &self,
        _: Request<FileSystemHeartbeatPRequest>,
    ) -> Answered<FileSystemHeartbeatPResponse> {
        self.0.check_primary()?;
        let command = FileSystemCommand {
            command_type: Some(CommandType::Nothing as i32),
            command_options: None,
        };
        Ok(Response::new(FileSystemHeartbeatPResponse { command: Some(command) }))
    }

    async fn get_file_info(
        &self,
        request: Request<GetFileInfoPRequest>,
    ) -> Answered<GetFileInfoPResponse> {
        Ok(Response::new(self.file_info(request.get_ref())?))
    }

    async fn get_persistence_state_batch(
        &self,
        request: Request<GetPersistenceStateBatchPRequest>,
    ) -> Answered<GetPersistenceStateBatchPResponse> {
        self.0.check_primary()?;
        let ids = request.into_inner().file_ids;
        let entries = ids.into_iter().filter_map(|id| self.persistence(id).transpose());
        let entries = entries.collect::<Result<_>>()?;
        Ok(Response::new(GetPersistenceStateBatchPResponse { entries }))
    }

    async fn get_ufs_info(
        &self,
        request: Request<GetUfsInfoPRequest>,
    ) -> Answered<GetUfsInfoPResponse> {
        Ok(Response::new(self.ufs_info(request.get_ref())?))
    }
}

#[tonic::async_trait]
impl FileSystemMasterJobService for Internal {
    async fn get_file_info(
        &self,
        request: Request<GetFileInfoPRequest>,
    ) -> Answered<GetFileInfoPResponse> {
        Ok(Response::new(self.file_info(request.get_ref())?))
    }

    async fn get_ufs_info(
        &self,
        request: Request<GetUfsInfoPRequest>,
    ) -> Answered<GetUfsInfoPResponse> {
        Ok(Response::new(self.ufs_info(request.get_ref())?))
    }
}
