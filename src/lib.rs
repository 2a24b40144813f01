#![doc = include_str!("README.md")]

// The layers, top to bottom: a module uses only modules of lower groups, and modules of one group
// never use each other. `tests/layers.rs` reads this list and holds everyone to it.

// Entry: a command line becomes one call.
pub mod cli;

// Roles: the processes of a cluster; they meet on the wire, never in code.
pub mod bench;
pub mod fuse;
pub mod master;
pub mod worker;

// Access: the file system as every front end sees it.
pub mod client;

// Storage: the file systems under this one.
pub mod ufs;

// Core: what every process is made of.
pub mod core;
