//! How a process runs: what starts and stops together, what happens periodically, what time it is,
//! and where its words go.

pub mod clock;
pub mod duty;
pub mod files;
pub mod group;
pub mod limits;
pub mod logging;
pub mod signals;

pub use clock::Clock;
pub use duty::{Duties, DutyStatus};
pub use group::Group;
