//! The command line: one line a command, each in the file of its name.
//!
//! Arguments are checked here and become a [`Config`]; a command is then one call. This is the
//! only place that prints.

use crate::core::config::{Config, Overrides};
use crate::core::error::{Result, invalid_argument};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A distributed cache file system: your data lake, as fast as local disks
#[derive(Debug, Parser)]
#[command(name = "goosefs", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration file [default: $GOOSEFS_CONF, ./goosefs.yaml, /etc/goosefs/goosefs.yaml]
    #[arg(long, value_name = "FILE", global = true, help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// Set a property, as in -D goosefs.master.rpc.port=9300
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value, global = true, help_heading = "Configuration")]
    properties: Vec<(String, String)>,
}

impl Global {
    /// The configuration that the file, the environment and these options make.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(&self) -> Result<Config> {
        let overrides =
            Overrides { file: self.config.clone(), properties: self.properties.clone() };
        Config::load(&overrides)
    }
}

#[derive(Debug, Subcommand)]
enum Command {}

/// Reads the command line and does what it says. The exit code is 0 when that worked, 1 when it did
/// not, 2 when the command line makes no sense.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("goosefs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    cli.global.load()?;
    match cli.command {}
}

fn key_value(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(invalid_argument(format!("{text:?} is no key=value"))),
    }
}
