//! The one test executable: a list of suites.

mod cluster;

mod conf;
mod generated;
mod layers;
