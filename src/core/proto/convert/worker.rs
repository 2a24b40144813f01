//! Workers.

use crate::core::model::ring::DEFAULT_VIRTUAL_NODES;
use crate::core::model::{Locality, TierUsage, WorkerAddress, WorkerInfo, WorkerState};
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

/// The names that official workers use for where they are.
const ZONE: &str = "zone";
const RACK: &str = "rack";

impl From<&Locality> for grpc::TieredIdentity {
    fn from(locality: &Locality) -> Self {
        let tier = |name: &str, value: &str| grpc::LocalityTier {
            tier_name: Some(name.into()),
            value: Some(value.into()),
        };
        let tiers = vec![tier(ZONE, &locality.zone), tier(RACK, &locality.rack)];
        grpc::TieredIdentity { tiers }
    }
}

impl From<&grpc::TieredIdentity> for Locality {
    fn from(identity: &grpc::TieredIdentity) -> Self {
        let named = |name: &str| {
            let tier = identity.tiers.iter().find(|tier| tier.tier_name() == name);
            tier.map(|tier| tier.value().to_string()).unwrap_or_default()
        };
        Locality { zone: named(ZONE), rack: named(RACK) }
    }
}

impl From<&WorkerInfo> for grpc::block::WorkerInfo {
    fn from(worker: &WorkerInfo) -> Self {
        let state = match worker.state {
            WorkerState::WarmingUp if worker.live => grpc::WorkerStatus::WarmingUp,
            WorkerState::Active | WorkerState::Draining if worker.live => {
                grpc::WorkerStatus::Active
            }
            _ => grpc::WorkerStatus::Inactive,
        };
        // Absent means the default to every client, and that is the safest thing to say; none means
        // that no block belongs there.
        let nodes = if worker.is_on_ring() { worker.virtual_nodes } else { 0 };
        let mut address = grpc::WorkerNetAddress::from(&worker.address);
        if worker.locality != Locality::default() {
            address.tiered_identity = Some((&worker.locality).into());
        }
        grpc::block::WorkerInfo {
            id: Some(worker.id),
            address: Some(address),
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
            forbid_write: Some(worker.forbid_write || worker.state == WorkerState::Draining),
            draining: Some(worker.state == WorkerState::Draining),
            tiers: worker.tiers.iter().map(Into::into).collect(),
        }
    }
}

impl From<&grpc::block::WorkerInfo> for WorkerInfo {
    fn from(worker: &grpc::block::WorkerInfo) -> Self {
        let address = worker.address.as_ref();
        let state = match worker.state() {
            grpc::WorkerStatus::WarmingUp => WorkerState::WarmingUp,
            grpc::WorkerStatus::Inactive if worker.alive() => WorkerState::Drained,
            _ if worker.draining() => WorkerState::Draining,
            _ => WorkerState::Active,
        };
        WorkerInfo {
            id: worker.id(),
            address: address.map(WorkerAddress::from).unwrap_or_default(),
            locality: address
                .and_then(|address| address.tiered_identity.as_ref())
                .map(Locality::from)
                .unwrap_or_default(),
            state,
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
            tiers: worker.tiers.iter().map(Into::into).collect(),
        }
    }
}

impl From<&TierUsage> for grpc::block::TierUsage {
    fn from(tier: &TierUsage) -> Self {
        grpc::block::TierUsage {
            medium: Some(tier.medium.clone()),
            dir: Some(tier.dir.clone()),
            capacity_bytes: Some(tier.capacity_bytes as i64),
            used_bytes: Some(tier.used_bytes as i64),
            lost: Some(tier.lost),
        }
    }
}

impl From<&grpc::block::TierUsage> for TierUsage {
    fn from(tier: &grpc::block::TierUsage) -> Self {
        TierUsage {
            medium: tier.medium().into(),
            dir: tier.dir().into(),
            capacity_bytes: u64::try_from(tier.capacity_bytes()).unwrap_or_default(),
            used_bytes: u64::try_from(tier.used_bytes()).unwrap_or_default(),
            lost: tier.lost(),
        }
    }
}
