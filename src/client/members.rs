//! Calls to the master about who takes part: workers that leave and come back, and the blocks that
//! move with them.

use super::FileSystem;
use crate::core::error::{Result, invalid_argument};
use crate::core::proto::grpc::block::*;
use crate::core::proto::grpc::{ManageWorkerAction, WorkerNetAddress};

impl FileSystem {
    /// Has a worker, named by host:port or by a host that has one, give away what it holds and leave.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it is the last one.
    pub async fn decommission(&self, worker: &str) -> Result<()> {
        self.manage(worker, ManageWorkerAction::Isolate, None).await
    }

    /// Takes a worker back that was told to leave, or one in that still warms up.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn recommission(&self, worker: &str) -> Result<()> {
        self.manage(worker, ManageWorkerAction::Activate, None).await
    }

    /// Forgets a lost worker for good: what was only there is lost.
    ///
    /// # Errors
    /// `NotFound`; `FailedPrecondition` when it lives.
    pub async fn forget_worker(&self, worker: &str) -> Result<()> {
        self.manage(worker, ManageWorkerAction::Delete, None).await
    }

    /// Has a worker take no writes or take them again, and gives it another number of points on the
    /// ring.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn update_worker(
        &self,
        worker: &str,
        forbid_write: Option<bool>,
        points: Option<u32>,
    ) -> Result<()> {
        let virtual_node_num = points.map(|points| points as i32);
        let wanted = UpdateAttributeParams { forbid_write, virtual_node_num };
        self.manage(worker, ManageWorkerAction::UpdateAttribute, Some(wanted)).await
    }

    async fn manage(
        &self,
        worker: &str,
        action: ManageWorkerAction,
        update_attribute_params: Option<UpdateAttributeParams>,
    ) -> Result<()> {
        let request = ManageWorkerPRequest {
            address: Some(address(worker)?),
            action: Some(action as i32),
            update_attribute_params,
            until_restart: None,
        };
        let call = self.manager(|mut manager| {
            let request = request.clone();
            async move { manager.manage_worker(request).await }
        });
        call.await.map(drop)
    }

    /// Begins to move blocks to where they belong, or goes on; the migration's name.
    ///
    /// # Errors
    /// `FailedPrecondition` when blocks move already.
    pub async fn start_migration(&self) -> Result<String> {
        let call = self.manager(|mut manager| async move {
            manager.start_migration(StartMigrationPRequest::default()).await
        });
        call.await.map(|answer| answer.task_id().to_string())
    }

    /// Holds the migration under way.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn pause_migration(&self) -> Result<()> {
        let call = self.manager(|mut manager| async move {
            manager.pause_migration(PauseMigrationPRequest::default()).await
        });
        call.await.map(drop)
    }

    /// Ends the migration under way.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn cancel_migration(&self) -> Result<()> {
        let call = self.manager(|mut manager| async move {
            manager.cancel_migration(CancelMigrationPRequest::default()).await
        });
        call.await.map(drop)
    }

    /// How far the migration under way is, or what came of the last one.
    ///
    /// # Errors
    /// `NotFound` when there has been none since this master became primary.
    pub async fn migration(&self) -> Result<GetMigrationProgressPResponse> {
        self.manager(|mut manager| async move {
            manager.get_migration_progress(GetMigrationProgressPRequest::default()).await
        })
        .await
    }

    /// Bytes a second that all workers together may exchange with under stores; 0 for no bound.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn ufs_rate(&self) -> Result<u64> {
        let call = self.manager(|mut manager| async move {
            manager.get_cluster_rate_limit(GetClusterRateLimitPRequest {}).await
        });
        call.await.map(|answer| answer.rate_limit() as u64)
    }

    /// Sets that bound.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn set_ufs_rate(&self, bytes_per_second: u64) -> Result<()> {
        let rate_limit = Some(bytes_per_second as f64);
        let call = self.manager(|mut manager| async move {
            manager.update_cluster_rate_limit(UpdateClusterRateLimitPRequest { rate_limit }).await
        });
        call.await.map(drop)
    }

    /// Makes all workers active that warm up, as warm as they are; how many.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn activate_warming(&self) -> Result<u32> {
        let call = self.manager(|mut manager| async move {
            manager.activate_warming_up_workers(ActivateWarmingUpWorkersPRequest {}).await
        });
        call.await.map(|answer| answer.activated_count() as u32)
    }
}

/// A worker's place as the wire has it.
fn address(worker: &str) -> Result<WorkerNetAddress> {
    let (host, port) = match worker.rsplit_once(':') {
        Some((host, port)) => {
            let port = port.parse::<u16>().map_err(|_| {
                invalid_argument(format!("{worker:?} is no worker's host or host:port"))
            })?;
            (host, Some(port.into()))
        }
        None => (worker, None),
    };
    Ok(WorkerNetAddress { host: Some(host.into()), rpc_port: port, ..Default::default() })
}
