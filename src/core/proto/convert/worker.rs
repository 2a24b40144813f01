//! Workers.

use crate::core::model::ring::DEFAULT_VIRTUAL_NODES;
use crate::core::model::{WorkerAddress, WorkerInfo};
use crate::core::proto::grpc;

impl From<&WorkerAddress> for grpc::WorkerNetAddress {
    fn from(address: &WorkerAddress) -> Self {
        grpc::WorkerNetAddress {
            host: Some(address.host.clone()),
            rpc_port: Some(address.rpc_port.into()),
            data_port: Some(address.rpc_port.into()),
            web_port: Some(address.web_port.into()),
            domain_socket_path: Some(address.domain_socket.clone()),
            ..Default::default()
        }
    }
}

impl From<&grpc::WorkerNetAddress> for WorkerAddress {
    fn from(address: &grpc::WorkerNetAddress) -> Self {
        WorkerAddress {
            host: address.host.clone().unwrap_or_else(|| "127.0.0.1".into()),
            rpc_port: u16::try_from(address.rpc_port.unwrap_or(9203)).unwrap_or_default(),
            web_port: u16::try_from(address.web_port()).unwrap_or_default(),
            domain_socket: address.domain_socket_path().into(),
        }
    }
}

impl From<&WorkerInfo> for grpc::block::WorkerInfo {
    fn from(worker: &WorkerInfo) -> Self {
        let state =
            if worker.live { grpc::WorkerStatus::Active } else { grpc::WorkerStatus::Inactive };
        // Absent means the default to every client, and that is the safest thing to say.
        let nodes = worker.virtual_nodes;
        grpc::block::WorkerInfo {
            id: Some(worker.id),
            address: Some((&worker.address).into()),
            last_contact_sec: Some(worker.last_contact_s),
            state: Some(state as i32),
            capacity_bytes: Some(worker.capacity_bytes as i64),
            used_bytes: Some(worker.used_bytes as i64),
            cache_used_bytes: Some(
                worker.used_bytes.saturating_sub(worker.persist_used_bytes) as i64
            ),
            persist_used_bytes: Some(worker.persist_used_bytes as i64),
            start_time_ms: Some(worker.start_ms),
            virtual_node_num: (nodes != DEFAULT_VIRTUAL_NODES).then_some(nodes as i32),
            alive: Some(worker.live),
            sync_cache_rate_limit: None,
            forbid_write: Some(worker.forbid_write),
        }
    }
}

impl From<&grpc::block::WorkerInfo> for WorkerInfo {
    fn from(worker: &grpc::block::WorkerInfo) -> Self {
        WorkerInfo {
            id: worker.id(),
            address: worker.address.as_ref().map(WorkerAddress::from).unwrap_or_default(),
            capacity_bytes: worker.capacity_bytes() as u64,
            used_bytes: worker.used_bytes() as u64,
            persist_used_bytes: worker.persist_used_bytes() as u64,
            virtual_nodes: worker
                .virtual_node_num
                .map_or(DEFAULT_VIRTUAL_NODES, |nodes| u32::try_from(nodes).unwrap_or_default()),
            start_ms: worker.start_time_ms(),
            last_contact_s: worker.last_contact_sec(),
            forbid_write: worker.forbid_write(),
            live: worker.alive(),
        }
    }
}
