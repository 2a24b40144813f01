//! The worker: stores blocks and serves them.

pub mod store;
