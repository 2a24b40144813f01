//! The master: owns the inode tree and tells workers what to do.

pub mod inode;
pub mod journal;
pub mod mount;
pub mod state;
pub mod workers;
