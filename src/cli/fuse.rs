//! `goosefs fuse mount` and `goosefs fuse umount`, and what mount(8) runs for type `goosefs`.
//!
//! Mounting returns once the directory can be used; see [`super::background`].

use super::staged::StagedArgs;
use super::{Global, background};
use crate::core::error::{Result, invalid_argument};
use crate::core::model::FsPath;
use crate::core::runtime::{logging, signals};
use crate::fuse::{self, Mount, Options, mountpoint};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// Mount the tree as a directory of this host
#[derive(Args, Debug)]
pub struct Fuse {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Mount(MountArgs),
    #[command(visible_alias = "unmount")]
    Umount(UmountArgs),
    /// Files that were changed in a mounted directory and are not published
    Staged(StagedArgs),
}

/// Mount a directory of the tree, and return once it can be used
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Mount options:
  ro, rw                 Refuse writes, or take them [default: rw]
  allow_other            Let other users in [default: goosefs.fuse.allow.other]
  exec, noexec           Whether programs on it may be run [default: exec]
  attr_timeout=SECONDS   How long the kernel trusts attributes [default: goosefs.fuse.attribute.timeout]
  entry_timeout=SECONDS  How long it trusts names [default: the same]
  uid=ID, gid=ID         Show every file as this user's, or group's
  max_readahead=SIZE     Bytes read ahead [default: goosefs.fuse.read.ahead]

Examples:
  goosefs fuse mount / /mnt/goosefs
  goosefs fuse mount /datasets /mnt/data -o ro,attr_timeout=600")]
pub struct MountArgs {
    /// Directory of the tree, such as /datasets
    #[arg(value_name = "PATH")]
    path: FsPath,
    /// Directory of this host to mount it on
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Mount options, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Stay, and log to standard error
    #[arg(short, long)]
    foreground: bool,
    /// Say on standard output when the directory can be used
    #[arg(long, hide = true)]
    announce: bool,
}

/// Unmount a mounted directory, also when the process behind it is dead
#[derive(Args, Debug)]
pub struct UmountArgs {
    /// The mounted directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Fuse {
    /// Mounts or unmounts.
    ///
    /// # Errors
    /// As [`fuse::run`], [`mountpoint::unmount`] and [`StagedArgs::run`].
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        match self.verb {
            Verb::Mount(args) => args.run(global),
            Verb::Staged(args) => args.run(global),
            Verb::Umount(args) => mountpoint::unmount(&args.dir).map(|()| ExitCode::SUCCESS),
        }
    }
}

impl MountArgs {
    /// Mounts.
    ///
    /// # Errors
    /// As [`fuse::run`].
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        let mut options = Options::of(&config);
        self.options.iter().try_for_each(|list| options.apply(list))?;
        if !self.foreground {
            fuse::memory(&config)?;
            // Found out here, what is wrong can be said here.
            mountpoint::check_device()?;
            mountpoint::check(&self.dir)?;
            background::start(self.arguments(global), None, &config, &self.dir)?;
            return Ok(ExitCode::SUCCESS);
        }
        logging::start(&config.node)?;
        let announce = self.announce;
        let ready = move || {
            if announce {
                background::announce();
            }
        };
        let mount = Mount { path: self.path, dir: self.dir, options };
        super::block_on(fuse::run(config, mount, ready, signals::shutdown()))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl MountArgs {
    /// The arguments that make this program serve what these ask for.
    fn arguments(&self, global: &Global) -> Vec<OsString> {
        let mut arguments = background::global_arguments(global);
        arguments.extend(["fuse", "mount", "--foreground", "--announce"].map(OsString::from));
        for list in &self.options {
            arguments.extend(["-o".into(), list.into()]);
        }
        arguments.extend(["--".into(), self.path.as_str().into(), (&self.dir).into()]);
        arguments
    }
}

/// The command line of `goosefs` that does what mount(8) asks of `mount.goosefs SRC DIR -o …`. SRC is
/// a path of the tree, or `host:port/path` or `gfs://host:port/path` with the masters to ask, several
/// separated by commas.
///
/// # Errors
/// `InvalidArgument` where source or directory are missing or make no sense.
pub fn helper_arguments(words: &[String]) -> Result<Vec<String>> {
    let mut places = Vec::new();
    let mut options = Vec::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-o" => options.extend(rest.next().into_iter().flat_map(|o| ["-o".into(), o.clone()])),
            // The type and namespace are mount(8)'s business.
            "-t" | "-N" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            place => places.push(place),
        }
    }
    let [source, dir] = places[..] else {
        return Err(invalid_argument("usage: mount.goosefs SOURCE DIR [-o OPTIONS]"));
    };
    let bare = source.strip_prefix("gfs://").or(source.strip_prefix("goosefs://"));
    let bare = bare.unwrap_or(source);
    let (masters, path) = bare.find('/').map_or((bare, "/"), |slash| bare.split_at(slash));
    let mut arguments = vec!["goosefs".to_string()];
    if !masters.is_empty() {
        if !masters.contains(':') {
            return Err(invalid_argument(format!(
                "source {source:?} is neither an absolute path of the tree nor HOST:PORT/PATH"
            )));
        }
        arguments.extend(["-D".into(), format!("goosefs.master.rpc.addresses={masters}")]);
    }
    arguments.extend(["fuse", "mount", path, dir].map(String::from));
    arguments.extend(options);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn the_serving_process_is_asked_for_the_same() {
        let line = "goosefs -D a=b fuse mount /data /mnt/x -o ro -o uid=3";
        let cli = super::super::Cli::try_parse_from(words(line)).unwrap();
        let super::super::Command::Fuse(Fuse { verb: Verb::Mount(args) }) = cli.command else {
            panic!("no mount");
        };
        let mut again = vec![OsString::from("goosefs")];
        again.extend(args.arguments(&cli.global));
        let cli = super::super::Cli::try_parse_from(again).unwrap();
        assert_eq!(cli.global.properties, [("a".to_string(), "b".to_string())]);
        let super::super::Command::Fuse(Fuse { verb: Verb::Mount(args) }) = cli.command else {
            panic!("no mount");
        };
        assert!(args.foreground && args.announce);
        assert_eq!((args.path.as_str(), args.options.len()), ("/data", 2));
    }

    #[test]
    fn what_mount_8_passes_becomes_a_mount() {
        let line =
            "mount.goosefs master-1:9300/data /mnt/x -n -o ro,attr_timeout=5 -t fuse.goosefs";
        let args = helper_arguments(&words(line)).unwrap();
        let expected = "goosefs -D goosefs.master.rpc.addresses=master-1:9300 fuse mount /data \
                        /mnt/x -o ro,attr_timeout=5";
        assert_eq!(args.join(" "), expected);
        assert!(super::super::Cli::try_parse_from(&args).is_ok());
    }

    #[test]
    fn a_path_alone_means_the_configured_cluster() {
        let args = helper_arguments(&words("mount.goosefs /data /mnt/x")).unwrap();
        assert_eq!(args.join(" "), "goosefs fuse mount /data /mnt/x");
        let args = helper_arguments(&words("mount.goosefs gfs://h:9200/ /mnt/x")).unwrap();
        assert_eq!(args[2], "goosefs.master.rpc.addresses=h:9200");
        assert!(helper_arguments(&words("mount.goosefs /data")).is_err());
        assert!(helper_arguments(&words("mount.goosefs data /mnt/x")).is_err());
    }
}
