//! The one test executable: a list of suites.

mod cluster;

mod backup;
mod binary;
mod client;
mod conf;
mod crash;
mod disk;
mod elastic;
mod faults;
mod fs;
mod fuse;
mod generated;
mod golden;
mod identity;
mod jobs;
mod layers;
mod limits;
mod load;
mod local;
mod locality;
mod masters;
mod memory;
mod ns;
mod official;
mod permissions;
mod pins;
mod tiers;
mod ufs;
mod uploads;
