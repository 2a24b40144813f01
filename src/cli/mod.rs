//! The command line: one line a command, each in the file of its name.
//!
//! Arguments are checked here and become a [`Config`]; a command is then one call. This is the
//! only place that prints.

mod background;
mod bench;
mod conf;
mod fs;
mod fsadmin;
mod fuse;
mod generate;
mod job;
mod load;
mod local;
mod master;
mod masterinfo;
mod ns;
mod print;
mod progress;
mod session;
mod staged;
mod version;
mod worker;

use crate::core::config::{Config, Overrides};
use crate::core::error::{Context, Error, Result, invalid_argument};
use crate::core::runtime::limits;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A distributed cache file system: your data lake, as fast as local disks
#[derive(Debug, Parser)]
#[command(name = "goosefs", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs mount s3://bucket /mnt/x       A bucket as a cached directory, with no cluster
  goosefs local start --mount /mnt/x     Master, worker and mounted directory in one process
  goosefs master start                   A cluster: a master here, workers anywhere
  goosefs fs mount /data s3://bucket     Attach an under store to the tree
  goosefs load /data --progress          Bring it into the cache

Every node reads the same goosefs.yaml; see goosefs.yaml(5).")]
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
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = key_value)]
    #[arg(global = true, help_heading = "Configuration")]
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

/// One line a command. Each is a struct of its arguments with `run(self, &Global)`.
#[derive(Debug, Subcommand)]
enum Command {
    Master(master::Master),
    Worker(worker::Worker),
    Fuse(fuse::Fuse),
    Local(local::Local),
    Mount(local::MountUri),
    Fs(fs::Fs),
    Ns(ns::Ns),
    Load(load::LoadCommand),
    Job(job::Jobs),
    #[command(name = "fsadmin")]
    FsAdmin(fsadmin::FsAdmin),
    #[command(name = "masterinfo")]
    MasterInfo(masterinfo::MasterInfoCommand),
    Format(master::Format),
    #[command(name = "getConf", visible_alias = "getconf")]
    GetConf(conf::GetConf),
    #[command(name = "checkConf", visible_alias = "checkconf")]
    CheckConf(conf::CheckConf),
    Bench(bench::Bench),
    Version(version::Version),
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// Reads the command line and does what it says. The exit code is 0 when that worked, 1 when it did
/// not, 2 when the command line makes no sense.
pub fn run() -> ExitCode {
    limits::raise_open_files();
    limits::use_small_pages();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match personality(&arguments) {
        Ok(Some(instead)) => Cli::parse_from(instead),
        Ok(None) => Cli::parse_from(arguments),
        Err(error) => return failed(error),
    };
    dispatch(cli).unwrap_or_else(failed)
}

fn failed(error: Error) -> ExitCode {
    eprintln!("goosefs: {error}");
    ExitCode::FAILURE
}

/// Other names this binary answers to: the arguments to use in place of its own.
fn personality(arguments: &[OsString]) -> Result<Option<Vec<String>>> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_none_or(|name| name != "mount.goosefs") {
        return Ok(None);
    }
    let words: Vec<String> =
        arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    fuse::helper_arguments(&words).map(Some)
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    let global = &cli.global;
    match cli.command {
        Command::Master(command) => command.run(global),
        Command::Worker(command) => command.run(global),
        Command::Fuse(command) => command.run(global),
        Command::Local(command) => command.run(global),
        Command::Mount(command) => command.run(global),
        Command::Fs(command) => command.run(global),
        Command::Ns(command) => command.run(global),
        Command::Load(command) => command.run(global),
        Command::Job(command) => command.run(global),
        Command::FsAdmin(command) => command.run(global),
        Command::MasterInfo(command) => command.run(global),
        Command::Format(command) => command.run(global),
        Command::GetConf(command) => command.run(global),
        Command::CheckConf(command) => command.run(global),
        Command::Bench(command) => command.run(),
        Command::Version(command) => command.run(),
        Command::Generate(command) => command.run(),
    }
}

/// Runs a command's future to its end on a runtime of its own.
///
/// # Errors
/// What the future fails with; `Internal` when no runtime can be started.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let result = runtime.block_on(future);
    // A blocking call that hangs (a dead NFS mount, say) must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Reads `key=value`.
pub(crate) fn key_value(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(invalid_argument(format!("{text:?} is no key=value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn properties_are_read() {
        assert_eq!(key_value("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
    }
}
