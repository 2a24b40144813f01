//! Workers as others see them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A worker's id: positive, stable over restarts, its key on the ring.
pub type WorkerId = i64;

/// Where a worker is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkerAddress {
    /// Host name or address, as clients can resolve it.
    pub host: String,
    /// Port of its gRPC services.
    pub rpc_port: u16,
    /// Port of its web page; 0 where it has none.
    pub web_port: u16,
    /// Socket by which it lends block files to clients on its host; empty where it lends none.
    pub domain_socket: String,
}

impl fmt::Display for WorkerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.rpc_port)
    }
}

/// Where a worker stands in its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkerState {
    /// On the ring: blocks belong to it.
    #[default]
    Active,
    /// New: blocks that will be its own are copied to it before anybody asks it for them.
    WarmingUp,
    /// Leaving: still on the ring, takes no data that is nowhere else, and gives away what it holds.
    Draining,
    /// It has given everything away and may be stopped.
    Drained,
}

impl WorkerState {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            WorkerState::Active => "ACTIVE",
            WorkerState::WarmingUp => "WARMING_UP",
            WorkerState::Draining => "DRAINING",
            WorkerState::Drained => "DRAINED",
        }
    }
}

/// Where in a data centre something is; empty names where nobody said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Locality {
    /// The zone: what fails together, and is expensive to cross.
    pub zone: String,
    /// The rack within it.
    pub rack: String,
}

impl Locality {
    /// How far away another is: 0 for the same rack, 1 for the same zone, 2 for neither. Names that
    /// nobody gave are alike.
    pub fn distance(&self, other: &Locality) -> u8 {
        match (self.zone == other.zone, self.rack == other.rack) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        }
    }
}

/// How full one directory of a worker's block store is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierUsage {
    /// MEM, SSD or HDD.
    pub medium: String,
    /// Where it is.
    pub dir: String,
    /// Bytes it may hold.
    pub capacity_bytes: u64,
    /// Bytes it holds.
    pub used_bytes: u64,
    /// Whether it is out of service.
    pub lost: bool,
}

/// What the master tells of a live worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its id.
    pub id: WorkerId,
    /// Where it is reached.
    pub address: WorkerAddress,
    /// Bytes its block store may hold.
    pub capacity_bytes: u64,
    /// Bytes its block store holds.
    pub used_bytes: u64,
    /// Of those: bytes that exist nowhere else yet.
    pub persist_used_bytes: u64,
    /// Points on the ring; 0 takes it off.
    pub virtual_nodes: u32,
    /// When it started, in milliseconds since 1970.
    pub start_ms: i64,
    /// Seconds since the master heard of it.
    pub last_contact_s: i32,
    /// Whether it takes no writes.
    pub forbid_write: bool,
    /// False once the master has given it up as lost.
    pub live: bool,
    /// Where it stands.
    pub state: WorkerState,
    /// Where it is.
    pub locality: Locality,
    /// How full its directories are; told in reports only.
    pub tiers: Vec<TierUsage>,
}

impl WorkerInfo {
    /// Whether blocks belong to it.
    pub fn is_on_ring(&self) -> bool {
        self.live && matches!(self.state, WorkerState::Active | WorkerState::Draining)
    }
}
