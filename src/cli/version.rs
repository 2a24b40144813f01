//! `goosefs version`.

use crate::core::error::Result;
use std::process::ExitCode;

/// Print the version
#[derive(clap::Args, Debug)]
pub struct Version {}

impl Version {
    /// Prints the version.
    pub fn run(self) -> Result<ExitCode> {
        println!("{}", env!("CARGO_PKG_VERSION"));
        Ok(ExitCode::SUCCESS)
    }
}
