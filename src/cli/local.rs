//! Master, worker and mounted directory in one process: `goosefs local start` with the node's own
//! configuration, `goosefs mount URI DIR` with one made for a single under store.

use super::{Global, background, block_on, key_value};
use crate::client::FileSystem;
use crate::core::config::{Config, Overrides, Source};
use crate::core::error::{Context, Result, deadline_exceeded, internal, invalid_argument};
use crate::core::model::FsPath;
use crate::core::rpc::server::free_port;
use crate::core::runtime::{logging, signals};
use crate::fuse::{self, Mount, Options, mountpoint};
use crate::{master, ufs, worker};
use clap::Subcommand;
use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The variable that takes the store's options to the process that serves them.
const STORE_OPTIONS: &str = "GOOSEFS_MOUNT_STORE_OPTIONS";
/// How long master and worker may take to find each other.
const START: Duration = Duration::from_secs(30);

/// Run master, worker and mounted directory in one process
#[derive(clap::Args, Debug)]
pub struct Local {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Start(StartArgs),
}

/// Run master, worker and mounted directory until this process is told to stop
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs local start
  goosefs local start --mount /mnt/goosefs")]
struct StartArgs {
    /// Directory of this host to mount the tree on
    #[arg(long, value_name = "DIR")]
    mount: Option<PathBuf>,
    /// Mount options, as for `goosefs fuse mount`
    #[arg(short = 'o', value_name = "OPTIONS", requires = "mount")]
    options: Vec<String>,
}

impl Local {
    /// Runs the roles until a signal comes.
    ///
    /// # Errors
    /// When one of them does not start, or fails.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let Verb::Start(args) = self.verb;
        let config = global.load()?;
        let mount = args.mount.map(|dir| mount_of(&config, dir, &args.options)).transpose()?;
        logging::start(&config.node)?;
        block_on(serve(config, mount, || {}))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Mount one under store as a cached directory, with no cluster and no configuration
///
/// What was cached is found again when the same store is mounted on the same directory.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs mount s3://bucket/data /mnt/data --option s3.endpoint=http://127.0.0.1:9000
  goosefs mount https://archive.example.org/pub /mnt/pub -o ro
  goosefs fuse umount /mnt/data")]
pub struct MountUri {
    /// The under store, such as s3://bucket/path, cosn://bucket, https://host/path or /a/directory
    #[arg(value_name = "URI")]
    uri: String,
    /// Directory of this host to mount it on
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Option of the under store, such as s3.endpoint=http://127.0.0.1:9000
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_value)]
    store_options: Vec<(String, String)>,
    /// Mount options, as for `goosefs fuse mount`
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Stay, and log to standard error
    #[arg(short, long)]
    foreground: bool,
    /// Say on standard output when the directory can be used
    #[arg(long, hide = true)]
    announce: bool,
}

impl MountUri {
    /// Mounts, and returns once the directory can be used.
    ///
    /// # Errors
    /// When the store does not answer, or the directory cannot be mounted on.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = self.config(global)?;
        mountpoint::check_device()?;
        mountpoint::check(&self.dir)?;
        if !self.foreground {
            block_on(self.check_store(&config))?;
            let secret = (STORE_OPTIONS, serde_json::json!(self.store_options).to_string());
            background::start(self.arguments(global), Some(secret), &config, &self.dir)?;
            return Ok(ExitCode::SUCCESS);
        }
        logging::start(&config.node)?;
        let mount = mount_of(&config, self.dir, &self.options)?;
        let announce = self.announce;
        let ready = move || {
            if announce {
                background::announce()
            }
        };
        block_on(serve(config, Some(mount), ready))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The user's configuration, with this store at the root, and directories and ports that no
    /// other mount uses.
    fn config(&self, global: &Global) -> Result<Config> {
        let base = global.load()?;
        let dir = std::path::absolute(&self.dir).context("finding the directory")?;
        let name = identity(&self.uri, &dir);
        let data_dir = base.node.data_dir.join("mounts").join(&name);
        let mut properties: Vec<(String, String)> = [
            ("data.dir", data_dir.display().to_string()),
            ("master.hostname", "127.0.0.1".into()),
            ("master.rpc.port", free_port()?.to_string()),
            ("master.web.port", "0".into()),
            ("master.rpc.addresses", String::new()),
            ("master.mount.table.root.ufs", self.uri.clone()),
            ("worker.hostname", "127.0.0.1".into()),
            ("worker.rpc.port", free_port()?.to_string()),
            ("worker.web.port", "0".into()),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into();
        if base.get("worker.dirs")?.source == Source::Default {
            let dirs = format!("MEM:/dev/shm/goosefs-${{user}}-{name}:50%");
            properties.push(("worker.dirs".into(), dirs));
        }
        properties.extend(global.properties.iter().cloned());
        let options = self.store_options()?;
        properties
            .extend(options.into_iter().map(|(key, value)| (format!("underfs.{key}"), value)));
        Config::load(&Overrides { file: global.config.clone(), properties })
    }

    /// Those of the command line, else those that [`background::start`] was given.
    fn store_options(&self) -> Result<Vec<(String, String)>> {
        match std::env::var(STORE_OPTIONS) {
            Ok(text) if self.store_options.is_empty() => serde_json::from_str(&text)
                .map_err(|e| invalid_argument(format!("${STORE_OPTIONS}: {e}"))),
            _ => Ok(self.store_options.clone()),
        }
    }

    /// Found out here, what is wrong with the store can be said here.
    async fn check_store(&self, config: &Config) -> Result<()> {
        let store = ufs::open(&self.uri, &config.ufs_properties())?;
        let asked = tokio::time::timeout(START, store.status("")).await;
        let status =
            asked.map_err(|_| deadline_exceeded(format!("{} does not answer", self.uri)))?;
        if !status.with_context(|| format!("mounting {}", self.uri))?.folder {
            return Err(invalid_argument(format!("{} is no directory", self.uri)));
        }
        Ok(())
    }

    /// The arguments that make this program serve what these ask for, but for the options of the
    /// store: they may be secret, and every user can see the arguments of a process.
    fn arguments(&self, global: &Global) -> Vec<OsString> {
        let mut arguments = background::global_arguments(global);
        arguments.extend(["mount", "--foreground", "--announce"].map(OsString::from));
        for list in &self.options {
            arguments.extend(["-o".into(), list.into()]);
        }
        arguments.extend(["--".into(), self.uri.clone().into(), (&self.dir).into()]);
        arguments
    }
}

/// Runs the roles until a signal comes or one of them ends; calls `ready` when all serve.
async fn serve(config: Config, mount: Option<Mount>, ready: impl FnOnce()) -> Result<()> {
    let mut roles = Roles::default();
    roles.start("master", {
        let config = config.clone();
        |stop| master::run(config, stop)
    });
    roles.start("worker", {
        let config = config.clone();
        |stop| worker::run(config, stop)
    });
    let result = roles.serve(&config, mount, ready).await;
    roles.stop().await.and(result)
}

/// The roles that run in this process, in the order they were started.
#[derive(Default)]
struct Roles(Vec<Role>);

struct Role {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Roles {
    fn start<F>(&mut self, name: &'static str, run: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(Box::pin(stop.clone().cancelled_owned())));
        self.0.push(Role { name, stop, task });
    }

    /// Waits for a worker, mounts, and goes on until there is a reason to stop.
    async fn serve(
        &mut self,
        config: &Config,
        mount: Option<Mount>,
        ready: impl FnOnce(),
    ) -> Result<()> {
        let signal = signals::shutdown();
        tokio::pin!(signal);
        tokio::select! {
            result = wait_for_worker(config) => result?,
            result = self.first_end() => return result,
            () = &mut signal => return Ok(()),
        }
        let master = &config.master_addresses()[0];
        tracing::info!(master, worker = config.worker.rpc_port, "serving");
        let Some(mount) = mount else {
            ready();
            return tokio::select! {
                result = self.first_end() => result,
                () = signal => Ok(()),
            };
        };
        // The mount is the last to start and the first to stop: it ends with the signal, or when the
        // directory is unmounted.
        let stop = CancellationToken::new();
        let serving = fuse::run(config.clone(), mount, ready, stop.clone().cancelled_owned());
        tokio::pin!(serving);
        let reason = tokio::select! {
            result = &mut serving => return result,
            result = self.first_end() => result,
            () = signal => Ok(()),
        };
        stop.cancel();
        serving.await.and(reason)
    }

    /// Ends when any role does, which it should not by itself.
    async fn first_end(&mut self) -> Result<()> {
        let ends = self.0.iter_mut().map(|role| {
            Box::pin(async move {
                let end = (&mut role.task).await;
                ended(role.name, end)
            })
        });
        let (result, index, _) = futures::future::select_all(ends).await;
        let role = self.0.remove(index);
        result.and_then(|()| Err(internal(format!("the {} ended by itself", role.name))))
    }

    /// Stops them in the reverse of the order they were started in.
    async fn stop(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(role) = self.0.pop() {
            role.stop.cancel();
            result = result.and(ended(role.name, role.task.await));
        }
        result
    }
}

/// Tells a role to stop.
type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn ended(name: &str, end: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    end.map_err(|_| internal(format!("the {name} panicked")))?.context(name)
}

async fn wait_for_worker(config: &Config) -> Result<()> {
    let files = FileSystem::connect(config);
    let start = Instant::now();
    // The master answers once a worker has registered, or with an empty list after a while.
    while files.workers().await.is_ok_and(|workers| workers.is_empty()) {
        if start.elapsed() > START {
            return Err(deadline_exceeded("the worker did not register with the master"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn mount_of(config: &Config, dir: PathBuf, lists: &[String]) -> Result<Mount> {
    let mut options = Options::of(config);
    lists.iter().try_for_each(|list| options.apply(list))?;
    Ok(Mount { path: FsPath::root(), dir, options })
}

/// A name for a store and where it is mounted, the same every time.
fn identity(uri: &str, dir: &Path) -> String {
    let dir = dir.as_os_str().as_encoded_bytes();
    format!("{:08x}{:08x}", crc32c::crc32c(uri.as_bytes()), crc32c::crc32c(dir))
}
