//! gRPC in, one domain call, gRPC out.

mod admission;
mod cluster;
mod file_system;
mod internal;
mod jobs;
mod journal;
mod layout;
mod metrics;
mod record_locks;
mod version;
mod workers;

pub use admission::share as memory_of_requests;

use super::Master;
use crate::core::proto::grpc::block::worker_manager_master_client_service_server::WorkerManagerMasterClientServiceServer;
use crate::core::proto::grpc::block::worker_manager_master_worker_service_server::WorkerManagerMasterWorkerServiceServer;
use crate::core::proto::grpc::file::file_system_master_client_service_server::FileSystemMasterClientServiceServer;
use crate::core::proto::grpc::file::file_system_master_job_service_server::FileSystemMasterJobServiceServer;
use crate::core::proto::grpc::file::file_system_master_worker_service_server::FileSystemMasterWorkerServiceServer;
use crate::core::proto::grpc::metric::metrics_master_client_service_server::MetricsMasterClientServiceServer;
use crate::core::proto::grpc::version::service_version_client_service_server::ServiceVersionClientServiceServer;
use crate::core::proto::v1;
use crate::core::rpc::{MAX_MESSAGE, Sessions};
use admission::Admission;
use axum::middleware::Next;
use std::sync::Arc;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Routes, RoutesBuilder};
use tonic::{Response, Status};

/// What a handler answers.
type Answered<T> = Result<Response<T>, Status>;

/// Everything the master serves. What changes or shows the tree wants to know who asks, where
/// authentication is on; what tells of workers, versions and masters answers anyone, since official
/// clients ask on channels whose session a restart has ended. What is asked of the tree at the same time
/// takes no more than `memory` bytes.
pub fn routes(master: &Arc<Master>, sessions: &Sessions, memory: Option<u64>) -> Routes {
    let (strict, lenient) = (sessions.strict(), sessions.lenient());
    let mut routes = RoutesBuilder::default();
    routes.add_service(sessions.service());

    let files = file_system::Files(master.clone());
    let client = FileSystemMasterClientServiceServer::new(files.clone())
        .max_decoding_message_size(MAX_MESSAGE);
    routes.add_service(layout::Lenient(InterceptedService::new(client, strict.clone())));
    let ours =
        v1::file_system_server::FileSystemServer::new(files).max_decoding_message_size(MAX_MESSAGE);
    // Workers ask this one too, beside clients.
    let strict_too = strict.clone();
    routes.add_service(InterceptedService::new(ours, strict));

    let internal = internal::Internal(master.clone());
    let worker = FileSystemMasterWorkerServiceServer::new(internal.clone());
    routes.add_service(InterceptedService::new(worker, lenient.clone()));
    let job = FileSystemMasterJobServiceServer::new(internal);
    routes.add_service(InterceptedService::new(job, lenient.clone()));

    let workers = workers::Workers(master.clone());
    let asked = WorkerManagerMasterClientServiceServer::new(workers.clone());
    routes.add_service(InterceptedService::new(asked, lenient.clone()));
    let reports = WorkerManagerMasterWorkerServiceServer::new(workers);
    routes.add_service(InterceptedService::new(reports, lenient.clone()));

    let metrics = MetricsMasterClientServiceServer::new(metrics::Metrics(master.clone()));
    routes.add_service(InterceptedService::new(metrics, lenient.clone()));
    let version = ServiceVersionClientServiceServer::new(version::Version(master.clone()));
    routes.add_service(version);
    let cluster = v1::cluster_server::ClusterServer::new(cluster::Cluster(master.clone()));
    routes.add_service(InterceptedService::new(cluster, lenient.clone()));
    let locks = record_locks::Locks(master.clone());
    let locks = v1::record_locks_server::RecordLocksServer::new(locks)
        .max_decoding_message_size(MAX_MESSAGE);
    routes.add_service(InterceptedService::new(locks, strict_too.clone()));
    let admin =
        v1::journal_admin_server::JournalAdminServer::new(journal::JournalAdmin(master.clone()));
    routes.add_service(InterceptedService::new(admin, strict_too));
    let jobs = v1::jobs_server::JobsServer::new(jobs::Jobs(master.clone()))
        .max_decoding_message_size(MAX_MESSAGE);
    routes.add_service(InterceptedService::new(jobs, lenient));
    let routes = match memory {
        Some(bytes) => Admission::new(bytes).guard(routes.routes()),
        None => routes.routes(),
    };
    match master.config.master.masters.0.is_empty() {
        true => routes,
        false => only_while_primary(routes, master),
    }
}

/// What a caller is told who asked this master while it still was the primary.
fn deposed() -> Status {
    Status::unavailable("this master is not the primary any more: try again")
}

/// Answers nothing that another master may have changed by now: a process that was paused between
/// looking and answering may have been deposed meanwhile. Who is primary, anyone may say.
fn only_while_primary(routes: Routes, master: &Arc<Master>) -> Routes {
    let master = master.clone();
    let layer = axum::middleware::from_fn(move |request: axum::extract::Request, next: Next| {
        let master = master.clone();
        async move {
            let path = request.uri().path();
            let open = ["Version", "Cluster", "Sasl"].iter().any(|name| path.contains(name));
            let answer = next.run(request).await;
            if open || master.journal.is_primary() {
                return answer;
            }
            deposed().into_http()
        }
    });
    Routes::from(routes.into_axum_router().layer(layer))
}
