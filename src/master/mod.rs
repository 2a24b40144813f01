//! The master: owns the inode tree and tells workers what to do.

pub mod workers;
