//! `goosefs fs`: one file a verb, with GooseFS's names and output shapes.
//!
//! A verb takes operands, does each and says so. What fails is reported at once, the others go on,
//! and the exit code is 1 at the end.

mod bytes;
mod cached;
mod cat;
mod checksum;
mod chmod;
mod chown;
mod copy;
mod count;
mod cp;
mod distributed_cp;
mod du;
mod free;
mod glob;
mod load_metadata;
mod location;
mod ls;
mod mkdir;
mod mount;
mod mv;
mod persist;
mod pin;
mod rm;
mod set_replication;
mod stat;
mod test;
mod touch;
mod transfer;
mod ttl;
mod verify;
mod walk;

use super::print::Output;
use super::session::Session;
use super::{Global, load, masterinfo};
use crate::core::error::{Error, Result, invalid_argument};
use crate::core::model::FsPath;
use clap::{Args, CommandFactory, Subcommand};
pub(in crate::cli) use du::left_out;
pub(in crate::cli) use mount::{mount_json, mount_line};
use std::process::ExitCode;

/// Work with files and directories of the tree
///
/// Paths are absolute paths of the tree; * and ? stand for what matches there (quote them from the
/// shell). A backslash before one takes it as it is.
///
/// Exit codes: 0 all went well, 1 something failed, 2 the command line makes no sense.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  goosefs fs ls -R /data
  goosefs fs -o json ls /data | jq -r '.[].path'
  goosefs fs cp -R file:///home/me/photos /photos")]
pub struct Fs {
    #[command(flatten)]
    output: Output,
    #[command(subcommand)]
    verb: Verb,
}

/// One line a verb, in the order of the alphabet.
#[derive(Debug, Subcommand)]
enum Verb {
    Cat(cat::Cat),
    Checksum(checksum::Checksum),
    Chgrp(chown::Chgrp),
    Chmod(chmod::Chmod),
    Chown(chown::Chown),
    #[command(name = "copyFromLocal", visible_alias = "put")]
    CopyFromLocal(cp::CopyFromLocal),
    #[command(name = "copyToLocal", visible_alias = "get")]
    CopyToLocal(cp::CopyToLocal),
    Count(count::Count),
    Cp(cp::Cp),
    #[command(name = "distributedCp", visible_alias = "distributed-cp")]
    DistributedCp(distributed_cp::DistributedCp),
    #[command(name = "distributedMv", visible_alias = "distributed-mv")]
    DistributedMv(distributed_cp::DistributedMv),
    Du(du::Du),
    Free(free::Free),
    #[command(name = "getCapacityBytes")]
    GetCapacityBytes(bytes::GetCapacityBytes),
    #[command(name = "getUsedBytes")]
    GetUsedBytes(bytes::GetUsedBytes),
    Head(cat::Head),
    /// Print help on a verb
    #[command(after_help = "Examples:\n  goosefs fs help cp")]
    Help {
        /// The verb; an overview without it
        verb: Option<String>,
    },
    Leader(masterinfo::Leader),
    Load(load::Load),
    #[command(name = "loadMetadata", visible_alias = "sync")]
    LoadMetadata(load_metadata::LoadMetadata),
    Location(location::Location),
    Ls(ls::Ls),
    #[command(name = "masterInfo", visible_alias = "masterinfo")]
    MasterInfo(masterinfo::MasterInfo),
    Mkdir(mkdir::Mkdir),
    Mount(mount::Mount),
    Mv(mv::Mv),
    Persist(persist::Persist),
    Pin(pin::Pin),
    Rm(rm::Rm),
    #[command(name = "setReplication", visible_alias = "set-replication")]
    SetReplication(set_replication::SetReplication),
    #[command(name = "setTtl")]
    SetTtl(ttl::SetTtl),
    Stat(stat::Stat),
    Tail(cat::Tail),
    Test(test::Test),
    Touch(touch::Touch),
    #[command(visible_alias = "umount")]
    Unmount(mount::Unmount),
    Unpin(pin::Unpin),
    #[command(name = "unsetTtl")]
    UnsetTtl(ttl::UnsetTtl),
    #[command(name = "updateMount")]
    UpdateMount(mount::UpdateMount),
    Verify(verify::Verify),
}

impl Fs {
    /// Does what the verb says.
    ///
    /// # Errors
    /// What keeps the verb from doing anything.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let verb = self.verb;
        Session::run(global, self.output, async |session| verb.run(session).await)
    }
}

impl Verb {
    async fn run(self, session: &mut Session) -> Result<()> {
        match self {
            Verb::Cat(verb) => verb.run(session).await,
            Verb::Checksum(verb) => verb.run(session).await,
            Verb::Chgrp(verb) => verb.run(session).await,
            Verb::Chmod(verb) => verb.run(session).await,
            Verb::Chown(verb) => verb.run(session).await,
            Verb::CopyFromLocal(verb) => verb.run(session).await,
            Verb::CopyToLocal(verb) => verb.run(session).await,
            Verb::Count(verb) => verb.run(session).await,
            Verb::Cp(verb) => verb.run(session).await,
            Verb::DistributedCp(verb) => verb.run(session).await,
            Verb::DistributedMv(verb) => verb.run(session).await,
            Verb::Du(verb) => verb.run(session).await,
            Verb::Free(verb) => verb.run(session).await,
            Verb::GetCapacityBytes(verb) => verb.run(session).await,
            Verb::GetUsedBytes(verb) => verb.run(session).await,
            Verb::Head(verb) => verb.run(session).await,
            Verb::Help { verb } => help(session, verb.as_deref()),
            Verb::Leader(verb) => verb.run(session).await,
            Verb::Load(verb) => verb.run(session).await,
            Verb::LoadMetadata(verb) => verb.run(session).await,
            Verb::Location(verb) => verb.run(session).await,
            Verb::Ls(verb) => verb.run(session).await,
            Verb::MasterInfo(verb) => verb.run(session).await,
            Verb::Mkdir(verb) => verb.run(session).await,
            Verb::Mount(verb) => verb.run(session).await,
            Verb::Mv(verb) => verb.run(session).await,
            Verb::Persist(verb) => verb.run(session).await,
            Verb::Pin(verb) => verb.run(session).await,
            Verb::Rm(verb) => verb.run(session).await,
            Verb::SetReplication(verb) => verb.run(session).await,
            Verb::SetTtl(verb) => verb.run(session).await,
            Verb::Stat(verb) => verb.run(session).await,
            Verb::Tail(verb) => verb.run(session).await,
            Verb::Test(verb) => verb.run(session).await,
            Verb::Touch(verb) => verb.run(session).await,
            Verb::Unmount(verb) => verb.run(session).await,
            Verb::Unpin(verb) => verb.run(session).await,
            Verb::UnsetTtl(verb) => verb.run(session).await,
            Verb::UpdateMount(verb) => verb.run(session).await,
            Verb::Verify(verb) => verb.run(session).await,
        }
    }
}

/// Prints what `--help` prints.
fn help(session: &mut Session, verb: Option<&str>) -> Result<()> {
    let mut command = super::Cli::command();
    command.build();
    let fs = command.find_subcommand_mut("fs").expect("this is `goosefs fs`");
    let asked = match verb {
        None => Some(fs),
        Some(verb) => fs.find_subcommand_mut(verb),
    };
    let unknown = || {
        invalid_argument(format!(
            "there is no verb {}: see `goosefs fs help`",
            verb.unwrap_or_default()
        ))
    };
    session.out.line(asked.ok_or_else(unknown)?.render_long_help())
}

/// Does `work` for every path the operands stand for, in order. What fails is reported with
/// `doing` before it, as in "listing /a: ...", and the others go on.
///
/// # Errors
/// What `work` cannot be given, such as an output that takes no more.
pub(in crate::cli) async fn each(
    session: &mut Session,
    operands: &[String],
    doing: &str,
    mut work: impl AsyncFnMut(&mut Session, FsPath) -> Result<()>,
) -> Result<()> {
    for operand in operands {
        let paths = match glob::expand(session, operand).await {
            Ok(paths) => paths,
            Err(error) => {
                session.fail(&naming(error, doing, operand));
                continue;
            }
        };
        for path in paths {
            let name = path.clone();
            if let Err(error) = work(session, path).await {
                session.fail(&naming(error, doing, name.as_str()));
            }
        }
    }
    Ok(())
}

/// The error with what was being done before it; the path only where the message lacks it.
fn naming(error: Error, doing: &str, path: &str) -> Error {
    if error.message().contains(path) && path != "/" {
        error.context(doing)
    } else {
        error.context(format!("{doing} {path}"))
    }
}
