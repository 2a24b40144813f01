//! Workers: who there is, as clients ask; and what they report, as they do every second.

use super::Answered;
use crate::core::error::{failed_precondition, invalid_argument, unsupported};
use crate::core::model::{BlockId, Locality, WorkerAddress, WorkerInfo, WorkerState};
use crate::core::proto::grpc::block::worker_manager_master_client_service_server::WorkerManagerMasterClientService;
use crate::core::proto::grpc::block::worker_manager_master_worker_service_server::WorkerManagerMasterWorkerService;
use crate::core::proto::grpc::block::*;
use crate::core::proto::grpc::{Command, CommandType, ManageWorkerAction, WorkerRateLimit};
use crate::core::rpc::user_of;
use crate::master::file_system::Caller;
use crate::master::workers::{Heartbeat, Migration, Registration};
use crate::master::{Master, limits};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// What callers of several methods may not, when they may not.
const MIGRATE: &str = "move blocks";

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
        let mut live = self.0.workers.live_within(self.0.config.master.worker_grace).await;
        if live.is_empty() {
            // Not a failure that goes away by asking again: we have waited already.
            let text = "no worker has registered: start one with `goosefs worker start`";
            return Err(failed_precondition(text).into());
        }
        // Every client asks, and none of them for that.
        live.iter_mut().for_each(|worker| worker.tiers = Vec::new());
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

    /// DELETE forgets a lost worker, ISOLATE has one leave, ACTIVATE takes one (back) in.
    async fn manage_worker(
        &self,
        request: Request<ManageWorkerPRequest>,
    ) -> Answered<ManageWorkerPResponse> {
        self.0.check_primary()?;
        // A worker that is told to stop says so itself, whoever it runs as.
        if !(request.get_ref().until_restart()
            && request.get_ref().action() == ManageWorkerAction::Isolate)
        {
            self.permit(&request, "change who takes part")?;
        }
        let request = request.into_inner();
        let address = request.address.clone().unwrap_or_default();
        let place = match address.rpc_port {
            Some(port) => format!("{}:{port}", address.host()),
            None => address.host().to_string(),
        };
        let membership = &self.0.membership;
        match request.action.map(|_| request.action()) {
            Some(ManageWorkerAction::Delete) => drop(membership.forget(&place).await?),
            Some(ManageWorkerAction::Isolate) => {
                membership.drain(&place, request.until_restart()).await?;
            }
            Some(ManageWorkerAction::Activate) => membership.activate(&place).await?,
            Some(ManageWorkerAction::UpdateAttribute) => {
                let wanted = request.update_attribute_params.unwrap_or_default();
                let nodes = wanted.virtual_node_num.map(|nodes| u32::try_from(nodes).unwrap_or(0));
                membership.set_attributes(&place, wanted.forbid_write, nodes).await?;
            }
            None => return Err(invalid_argument("nothing to do with the worker is named").into()),
        }
        Ok(Response::new(ManageWorkerPResponse {}))
    }

    /// Bytes a second between all workers and the under stores; 0 for no bound.
    async fn update_cluster_rate_limit(
        &self,
        request: Request<UpdateClusterRateLimitPRequest>,
    ) -> Answered<UpdateClusterRateLimitPResponse> {
        self.0.check_primary()?;
        self.permit(&request, "bound what under stores are asked")?;
        let rate = request.into_inner().rate_limit();
        if !rate.is_finite() || rate < 0.0 {
            return Err(invalid_argument(format!("{rate} bytes a second is no bound")).into());
        }
        self.0.membership.set_rate(rate as u64).await?;
        Ok(Response::new(UpdateClusterRateLimitPResponse {}))
    }

    async fn get_cluster_rate_limit(
        &self,
        _: Request<GetClusterRateLimitPRequest>,
    ) -> Answered<GetClusterRateLimitPResponse> {
        self.0.check_primary()?;
        let rate_limit = Some(self.0.membership.rate()?.unwrap_or_default() as f64);
        Ok(Response::new(GetClusterRateLimitPResponse { rate_limit }))
    }

    async fn block_apply_rate(
        &self,
        _: Request<BlockApplyRatePRequest>,
    ) -> Answered<BlockApplyRatePResponse> {
        unserved("BlockApplyRate")
    }

    async fn start_migration(
        &self,
        request: Request<StartMigrationPRequest>,
    ) -> Answered<StartMigrationPResponse> {
        self.0.check_primary()?;
        self.permit(&request, MIGRATE)?;
        let task_id = self.0.membership.start(named(&request.into_inner().task_id))?;
        Ok(Response::new(StartMigrationPResponse {
            success: Some(true),
            error_message: None,
            task_id: Some(task_id),
        }))
    }

    async fn pause_migration(
        &self,
        request: Request<PauseMigrationPRequest>,
    ) -> Answered<PauseMigrationPResponse> {
        self.0.check_primary()?;
        self.permit(&request, MIGRATE)?;
        self.0.membership.pause(named(&request.into_inner().task_id))?;
        Ok(Response::new(PauseMigrationPResponse {}))
    }

    async fn cancel_migration(
        &self,
        request: Request<CancelMigrationPRequest>,
    ) -> Answered<CancelMigrationPResponse> {
        self.0.check_primary()?;
        self.permit(&request, MIGRATE)?;
        self.0.membership.cancel(named(&request.into_inner().task_id))?;
        Ok(Response::new(CancelMigrationPResponse {}))
    }

    async fn get_migration_progress(
        &self,
        request: Request<GetMigrationProgressPRequest>,
    ) -> Answered<GetMigrationProgressPResponse> {
        self.0.check_primary()?;
        let migration = self.0.membership.migration(named(&request.into_inner().task_id))?;
        Ok(Response::new(progress_of(&migration)))
    }

    async fn activate_warming_up_workers(
        &self,
        request: Request<ActivateWarmingUpWorkersPRequest>,
    ) -> Answered<ActivateWarmingUpWorkersPResponse> {
        self.0.check_primary()?;
        self.permit(&request, "change who takes part")?;
        let count = self.0.membership.activate_warming().await?;
        let activated_count = Some(count as i32);
        Ok(Response::new(ActivateWarmingUpWorkersPResponse { activated_count }))
    }
}

/// A name, where one is given.
fn named(id: &Option<String>) -> Option<&str> {
    id.as_deref().filter(|id| !id.is_empty())
}

fn progress_of(migration: &Migration) -> GetMigrationProgressPResponse {
    let mut sums = GetMigrationProgressPResponse {
        task_id: Some(migration.id.clone()),
        status: Some(migration.phase.name().into()),
        ..Default::default()
    };
    let add = |sum: &mut Option<i64>, more: i64| *sum = Some(sum.unwrap_or_default() + more);
    for (worker, report) in migration.progress() {
        add(&mut sums.total_blocks, report.total_blocks());
        add(&mut sums.migrated_blocks, report.migrated_blocks());
        add(&mut sums.failed_blocks, report.failed_blocks());
        add(&mut sums.skipped_blocks, report.skipped_blocks());
        add(&mut sums.total_bytes, report.total_bytes());
        add(&mut sums.migrated_bytes, report.migrated_bytes());
        sums.worker_progress.push(WorkerMigrationProgress {
            worker_id: Some(worker.id),
            progress: Some(report),
            worker_address: Some(worker.address.to_string()),
        });
    }
    sums
}

impl Workers {
    /// Only who looks after the cluster may.
    fn permit<T>(&self, request: &Request<T>, what: &str) -> crate::core::error::Result<()> {
        let caller = Caller::of(user_of(request));
        self.0.files.permit_superuser(&caller, what)
    }

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
        let id = beat.worker_id();
        if beat.stopping() {
            self.0.workers.stopped(id);
            return Ok(Response::new(BlockHeartbeatPResponse::default()));
        }
        let options = beat.options.clone().unwrap_or_default();
        let answer = self.0.workers.heartbeat(Heartbeat {
            id,
            capacity_bytes: options.capacity_bytes.map(bytes),
            used_bytes: bytes(beat.used_bytes()),
            persist_used_bytes: bytes(beat.persist_used_bytes()),
            evicts_above: beat.evicts_above.map(bytes),
            open_writes: u32::try_from(beat.open_writes()).unwrap_or_default(),
            start_ms: beat.start_time_ms,
            lost_storage: beat.lost_storage.unwrap_or_default().storage,
            tiers: beat.tiers.iter().map(Into::into).collect(),
            mounts: beat
                .mount_usages
                .iter()
                .map(|m| (m.mount_id(), bytes(m.used_bytes())))
                .collect(),
        });
        let Some(answer) = answer else {
            let command = command(CommandType::Register, Vec::new());
            return Ok(Response::new(BlockHeartbeatPResponse { command, ..Default::default() }));
        };
        self.0.metrics.report("Worker", &id.to_string(), &options.metrics);
        let state = self.0.workers.state_of(id);
        let drained = state == Some(WorkerState::Drained);
        let kind = if answer.free.is_empty() { CommandType::Nothing } else { CommandType::Free };
        Ok(Response::new(BlockHeartbeatPResponse {
            command: command(kind, answer.free),
            persisted_move_blocks: answer.persisted,
            copy_blocks: answer.copies.iter().map(copy_block).collect(),
            pins_version: Some(self.0.journal.state().pins_version()),
            sync_cache_rate_limit: Some(WorkerRateLimit {
                rate_limit: self.0.membership.rate_share()?,
            }),
            migration_command: self.0.membership.heard(id, beat.migration_progress),
            ring_version: Some(self.0.workers.ring().fingerprint()),
            refuse_writes: Some(drained || state == Some(WorkerState::Draining)),
            drained: Some(drained),
            allowances: limits::allowances(&self.0, id, beat.allowances_version),
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
        self.0.membership.check_alone(sent.worker_id(), &address)?;
        let id = self.0.files.worker_id(&address, sent.worker_id).await?;
        let identity = sent.address.as_ref().and_then(|address| address.tiered_identity.as_ref());
        let registration = Registration {
            id,
            address,
            capacity_bytes: bytes(sent.capacity_bytes()),
            used_bytes: bytes(sent.used_bytes()),
            persist_used_bytes: bytes(sent.persist_used_bytes()),
            evicts_above: sent.evicts_above.map(bytes),
            start_ms: sent.start_time_ms.unwrap_or_else(|| self.0.clock.now_ms()),
            lost_storage: sent.lost_storage.clone().unwrap_or_default().storage,
            locality: identity.map(Locality::from).unwrap_or_default(),
            ..Default::default()
        };
        let points = u32::try_from(sent.virtual_node_num()).ok().filter(|&points| points > 0);
        self.0.membership.admit(registration, points).await?;
        Ok(Response::new(RegisterWorkerPResponse {}))
    }

    async fn block_apply_rate(
        &self,
        _: Request<BlockApplyRatePRequest>,
    ) -> Answered<BlockApplyRatePResponse> {
        unserved("BlockApplyRate")
    }
}

fn copy_block((block, to): &(BlockId, crate::core::model::WorkerInfo)) -> CopyBlock {
    CopyBlock { block_id: Some(block.0), to: Some(to.into()) }
}

fn bytes(sent: i64) -> u64 {
    u64::try_from(sent).unwrap_or_default()
}

fn command(kind: CommandType, data: Vec<i64>) -> Option<Command> {
    Some(Command { command_type: Some(kind as i32), data })
}
