//! The workers, as the master knows them: who is there, what they hold, and what they are told.
//!
//! Nothing here is journaled. A worker keeps its own id, so after a restart of the master each one
//! is told to register by the answer to its next heartbeat, and the table is whole again within
//! seconds. The master keeps no list of cached blocks: the ring says where a block belongs, and what
//! workers are told to drop is told to all of them.

mod migration;
mod orders;
mod registry;

pub use migration::{Migration, Phase};
pub use registry::{Answer, Heartbeat, Registration, Registry, Totals};
