//! The journal: the one way by which the master's state changes.

pub mod entry;

pub use entry::{Change, Entry, Outcome, Refusal};
