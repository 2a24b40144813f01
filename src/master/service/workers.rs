//! Workers: who there is, as clients ask; and what they report, as they do every second.

use super::Answered;
use crate::core::error::{failed_precondition, invalid_argument, unsupported};
use crate::core::model::{WorkerAddress, WorkerInfo};
use crate::core::proto::grpc::block::worker_manager_master_client_service_server::WorkerManagerMasterClientService;
use crate::core::proto::grpc::block::worker_manager_master_worker_service_server::WorkerManagerMasterWorkerService;
use crate::core::proto::grpc::block::*;
use crate::core::proto::grpc::{Command, CommandType};
use crate::master::Master;
use crate::master::workers::{Heartbeat, Registration};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Both worker services.
#[derive(Clone)]
pub struct Workers(pub Arc<Master>);

/// What the product has and we do not: answered so that nobody waits for it.
fn unserved<T>(what: &str) -> Answered<T> {
    Err(unsupported(format!("{what} is not served by this master")).into())
}

#[tonic::async_trait]
impl WorkerManagerMasterClientService for Workers {
    async fn get_worker_manager_master_info(
        &self,
        _: Request<GetWorkerManagerMasterInfoPOptions>,
    ) -> Answered<GetWorkerManagerMasterInfoPResponse> {
        let totals = self.0.workers.totals();
        let free = totals.capacity_bytes.saturating_sub(totals.used_bytes);
        let info = WorkerManagerMasterInfo {
            capacity_bytes: Some(totals.capacity_bytes as i64),
            free_bytes: Some(free as i64),
            live_worker_num: Some(totals.live as i32),
            lost_worker_num: Some(totals.lost as i32),
            used_bytes: Some(totals.used_bytes as i64),
        };
        let worker_manager_master_info = Some(info);
        Ok(Response::new(GetWorkerManagerMasterInfoPResponse { worker_manager_master_info }))
    }

    async fn get_capacity_bytes(
        &self,
        _: Request<GetCapacityBytesPOptions>,
    ) -> Answered<GetCapacityBytesPResponse> {
        let bytes = Some(self.0.workers.totals().capacity_bytes as i64);
        Ok(Response::new(GetCapacityBytesPResponse { bytes }))
    }

    async fn get_used_bytes(
        &self,
        _: Request<GetUsedBytesPOptions>,
    ) -> Answered<GetUsedBytesPResponse> {
        let bytes = Some(self.0.workers.totals().used_bytes as i64);
        Ok(Response::new(GetUsedBytesPResponse { bytes }))
    }

    /// Never answers with an empty list: official clients that see one never ask again.
    async fn get_worker_info_list(
        &self,
        _: Request<GetWorkerInfoListPOptions>,
    ) -> Answered<GetWorkerInfoListPResponse> {
        self.0.check_primary()?;
        let live = self.0.workers.live_within(self.0.config.master.worker_grace).await;
        if live.is_empty() {
            // Not a failure that goes away by asking again: we have waited already.
            let text = "no worker has registered: start one with `goosefs worker start`";
            return Err(failed_precondition(text).into());
        }
        self.listed(&live)
    }

    async fn get_worker_report(
        &self,
        request: Request<GetWorkerReportPOptions>,
    ) -> Answered<GetWorkerInfoListPResponse> {
        self.0.check_primary()?;
        let wanted = request.into_inner();
        let range = wanted.worker_range.map_or(WorkerRange::All, |_| wanted.worker_range());
        let mut workers = match range {
            WorkerRange::Lost => Vec::new(),
            _ => self.0.workers.live(),
        };
        if !matches!(range, WorkerRange::Live | WorkerRange::ForbidWrite) {
            workers.extend(self.0.workers.lost());
        }
        match range {
            WorkerRange::Specified => workers.retain(|worker| {
                let at = worker.address.to_string();
                wanted.addresses.iter().any(|a| *a == at || *a == worker.address.host)
            }),
            WorkerRange::ForbidWrite => workers.retain(|worker| worker.forbid_write),
            _ => {}
        }
        self.listed(&workers)
    }

    async fn get_worker_lost_storage(
        &self,
        _: Request<GetWorkerLostStoragePOptions>,
    ) -> Answered<GetWorkerLostStoragePResponse> {
        let told = |(address, storage): (WorkerAddress, Vec<String>)| WorkerLostStorageInfo {
            address: Some((&address).into()),
            lost_storage: Some(StorageList { storage }),
        };
        let worker_lost_storage_info =
            self.0.workers.lost_storage().into_iter().map(told).collect();
        Ok(Response::new(GetWorkerLostStoragePResponse { worker_lost_storage_info }))
    }

    async fn manage_worker(
        &self,
        _: Request<ManageWorkerPRequest>,
    ) -> Answered<ManageWorkerPResponse> {
        unserved("ManageWorker")
    }

    async fn update_cluster_rate_limit(
        &self,
        _: Request<UpdateClusterRateLimitPRequest>,
    ) -> Answered<UpdateClusterRateLimitPResponse> {
        unserved("UpdateClusterRateLimit")
    }

    async fn get_cluster_rate_limit(
        &self,
        _: Request<GetClusterRateLimitPRequest>,
    ) -> Answered<GetClusterRateLimitPResponse> {
        unserved("GetClusterRateLimit")
    }

    async fn block_apply_rate(
        &self,
        _: Request<BlockApplyRatePRequest>,
    ) -> Answered<BlockApplyRatePResponse> {
        unserved("BlockApplyRate")
    }

    async fn start_migration(
        &self,
        _: Request<StartMigrationPRequest>,
    ) -> Answered<StartMigrationPResponse> {
        unserved("StartMigration")
    }

    async fn pause_migration(
        &self,
        _: Request<PauseMigrationPRequest>,
    ) -> Answered<PauseMigrationPResponse> {
        unserved("PauseMigration")
    }

    async fn cancel_migration(
        &self,
        _: Request<CancelMigrationPRequest>,
    ) -> Answered<CancelMigrationPResponse> {
        unserved("CancelMigration")
    }

    async fn get_migration_progress(
        &self,
        _: Request<GetMigrationProgressPRequest>,
    ) -> Answered<GetMigrationProgressPResponse> {
        unserved("GetMigrationProgress")
    }

    async fn activate_warming_up_workers(
        &self,
        _: Request<ActivateWarmingUpWorkersPRequest>,
    ) -> Answered<ActivateWarmingUpWorkersPResponse> {
        unserved("ActivateWarmingUpWorkers")
    }
}

impl Workers {
    fn listed(&self, workers: &[WorkerInfo]) -> Answered<GetWorkerInfoListPResponse> {
        Ok(Response::new(GetWorkerInfoListPResponse {
            worker_infos: workers.iter().map(Into::into).collect(),
            last_updated_timestamp: Some(self.0.clock.now_ms()),
        }))
    }
}

#[tonic::async_trait]
impl WorkerManagerMasterWorkerService for Workers {
    async fn block_heartbeat(
        &self,
        request: Request<BlockHeartbeatPRequest>,
    ) -> Answered<BlockHeartbeatPResponse> {
        self.0.check_primary()?;
        let beat = request.into_inner();
        let options = beat.options.clone().unwrap_or_default();
        let answer = self.0.workers.heartbeat(Heartbeat {
            id: beat.worker_id(),
            capacity_bytes: options.capacity_bytes.map(bytes),
            used_bytes: bytes(beat.used_bytes()),
            persist_used_bytes: bytes(beat.persist_used_bytes()),
            lost_storage: beat.lost_storage.unwrap_or_default().storage,
        });
        let Some(answer) = answer else {
            let command = command(CommandType::Register, Vec::new());
            return Ok(Response::new(BlockHeartbeatPResponse { command, ..Default::default() }));
        };
        let source = beat.worker_id.unwrap_or_default().to_string();
        self.0.metrics.report("Worker", &source, &options.metrics);
        let kind = if answer.free.is_empty() { CommandType::Nothing } else { CommandType::Free };
        Ok(Response::new(BlockHeartbeatPResponse {
            command: command(kind, answer.free),
            persisted_move_blocks: answer.persisted,
            pins_version: Some(self.0.journal.state().pins_version()),
            ..Default::default()
        }))
    }

    async fn get_worker_id(
        &self,
        request: Request<GetWorkerIdPRequest>,
    ) -> Answered<GetWorkerIdPResponse> {
        self.0.check_primary()?;
        let address = request.into_inner().worker_net_address;
        let address = address
            .as_ref()
            .map(WorkerAddress::from)
            .ok_or_else(|| Status::from(invalid_argument("a worker without an address")))?;
        let id = self.0.files.worker_id(&address, None).await?;
        self.0.workers.expect(id, address);
        Ok(Response::new(GetWorkerIdPResponse { worker_id: Some(id) }))
    }

    async fn register_worker(
        &self,
        request: Request<RegisterWorkerPRequest>,
    ) -> Answered<RegisterWorkerPResponse> {
        self.0.check_primary()?;
        let sent = request.into_inner();
        let told = sent.address.as_ref().map(WorkerAddress::from);
        let address =
            told.or_else(|| self.0.workers.place_of(sent.worker_id())).ok_or_else(|| {
                Status::from(invalid_argument(
                    "no address is known for this worker: ask for an id first",
                ))
            })?;
        let id = self.0.files.worker_id(&address, sent.worker_id).await?;
        self.0.workers.register(Registration {
            id,
            address,
            capacity_bytes: bytes(sent.capacity_bytes()),
            used_bytes: bytes(sent.used_bytes()),
            persist_used_bytes: bytes(sent.persist_used_bytes()),
            start_ms: sent.start_time_ms.unwrap_or_else(|| self.0.clock.now_ms()),
            virtual_nodes: sent.virtual_node_num.and_then(|nodes| u32::try_from(nodes).ok()),
            lost_storage: sent.lost_storage.unwrap_or_default().storage,
        });
        Ok(Response::new(RegisterWorkerPResponse {}))
    }

    async fn block_apply_rate(
        &self,
        _: Request<BlockApplyRatePRequest>,
    ) -> Answered<BlockApplyRatePResponse> {
        unserved("BlockApplyRate")
    }
}

fn bytes(sent: i64) -> u64 {
    u64::try_from(sent).unwrap_or_default()
}

fn command(kind: CommandType, data: Vec<i64>) -> Option<Command> {
    Some(Command { command_type: Some(kind as i32), data })
}
