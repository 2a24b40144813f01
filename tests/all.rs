//! The one test executable: a list of suites.

mod cluster;

mod binary;
mod client;
mod conf;
mod crash;
mod fuse;
mod generated;
mod layers;
mod official;
mod ufs;
