//! Inodes: what is known of each file and directory, and how it lies on disk.

#[allow(clippy::module_inception)]
mod inode;
pub mod keys;
pub mod metastore;

pub use inode::{Directory, Extra, File, Inode, Kind};
pub use keys::{Place, ROOT};
