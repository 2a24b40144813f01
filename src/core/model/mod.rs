//! The nouns that every process shares, with the rules that belong to them and nothing else.

pub mod backup;
pub mod block;
pub mod caching;
pub mod file;
pub mod limits;
pub mod measure;
pub mod media;
pub mod mount;
pub mod node;
pub mod path;
pub mod pattern;
pub mod record_locks;
pub mod replication;
pub mod ring;
pub mod size;
pub mod worker;

pub use backup::BackupName;
pub use block::{BlockId, FileId, MountId};
pub use caching::{EvictionPolicy, ReadType, TtlAction, WriteType};
pub use file::{BlockStatus, PersistenceState, Status};
pub use limits::{Limits, Priority};
pub use measure::{Measured, Measurement, Sums};
pub use media::Media;
pub use mount::MountInfo;
pub use node::{Node, NodeKind};
pub use path::FsPath;
pub use record_locks::{RecordLock, RecordLocks};
pub use ring::Ring;
pub use size::ByteSize;
pub use worker::{Locality, TierUsage, WorkerAddress, WorkerId, WorkerInfo, WorkerState};
