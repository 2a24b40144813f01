//! What every process is made of; knows no role. Top layer first, and as in the crate a module
//! uses only modules of lower groups:
//!
//! ```text
//! rpc web                               speech
//! eviction metrics proto runtime security   means
//! config                                settings
//! model                                 nouns
//! error                                 what can go wrong
//! ```

pub mod rpc;
pub mod web;

pub mod eviction;
pub mod metrics;
pub mod proto;
pub mod runtime;
pub mod security;

pub mod config;

pub mod model;

pub mod error;
