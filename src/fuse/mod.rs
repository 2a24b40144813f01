//! A mounted directory: the tree as a file system of this host.
//!
//! ```text
//! kernel ── /dev/fuse ── kernel.rs ── posix.rs ── inodes.rs, handles.rs ── client
//!    └── passthrough: a block's file that this host's worker lent (backing.rs)
//! ```
//!
//! A file whose single block lies whole on this host's worker is read by the kernel itself, from the
//! worker's own file: no process is in the path. Other files are read through us, from block files of
//! this host or from workers elsewhere. Attributes, names and listings are cached here and in the
//! kernel, and both drop what the master says has changed (`invalidate.rs`). Bytes are never
//! invalidated: a file that is replaced is another file, with another inode.
//!
//! Files can be changed anywhere. What is being changed lies on a disk of this host (`staging`), and
//! becomes a new version of the file when it is closed.
//!
//! Killing the process loses nothing but what it was in the midst of writing and nobody had made
//! durable; `umount` then frees the directory.

mod ahead;
mod backing;
pub mod errno;
mod handles;
mod inodes;
mod invalidate;
mod kernel;
pub mod mountpoint;
pub mod options;
mod owners;
mod parked;
mod posix;
pub mod staging;
mod underway;

pub use options::Options;
pub use posix::{Verdict, publish_left, version_of};

use crate::client::{FileSystem, Memory};
use crate::core::config::Config;
use crate::core::error::{Context, Error, Result, internal, unavailable};
use crate::core::model::FsPath;
use crate::core::runtime::{Group, blocking};
use fuser::{MountOption, Session, SessionACL};
use kernel::Kernel;
use posix::Posix;
use staging::Home;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long what is still running gets when the directory is unmounted.
const GRACE: Duration = Duration::from_secs(5);
/// How long a cluster may take to answer the first question.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// What is mounted where, and how.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The directory of the tree.
    pub path: FsPath,
    /// The directory of this host.
    pub dir: PathBuf,
    /// How.
    pub options: Options,
}

/// Mounts a directory and serves it until it is unmounted or `shutdown` ends; calls `ready` once it
/// can be used.
///
/// # Errors
/// What is wrong with the mount point or the device, and the cure; `Unavailable` when no master
/// answers in time.
pub async fn run(
    config: Config,
    mount: Mount,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    mountpoint::check_device()?;
    let dir = mountpoint::check(&mount.dir)?;
    let memory = memory(&config)?;
    let keep = config.fuse.metadata_cache_timeout;
    let limit = memory.entries(config.fuse.metadata_cache_entries);
    if memory.is_bounded() {
        let budget = config.fuse.memory_budget.0;
        tracing::info!(budget, entries = limit, "memory is bounded");
    }
    let files = FileSystem::connect_within(&config, memory);
    let options = mount.options.clone();
    let posix = Posix::new(files, mount.path.clone(), options, limit as usize, keep)
        .publishing_on_fsync(config.fuse.publish_on_fsync);
    first_answer(&posix, &config).await?;
    if !mount.options.read_only {
        stage(&posix, &config).await?;
    }

    let posix = Arc::new(posix);
    let group = Group::new("fuse");
    let kernel = Kernel::new(posix.clone(), group.clone(), config.fuse.passthrough);
    let (notifier, underway) = (kernel.notifier.clone(), kernel.underway.clone());
    let session = connect(kernel, &config, &mount, &dir).await?;
    notifier.set(session.notifier()).ok();
    invalidate::start(&posix, session.notifier(), underway, &group);
    posix.retry_kept(&group);
    posix.follow_mapped(&group);
    posix::locks::start(&posix, &group);
    let ended = serve(session)?;
    let number = mountpoint::device(&dir);
    raise_read_ahead(&dir, mount.options.max_read_ahead);
    tracing::info!(path = %mount.path, dir = %dir.display(), "mounted");
    ready();

    let result = until_unmounted(ended, shutdown, (&dir, number)).await;
    posix.abandon_writes().await;
    posix.leave_locks().await;
    group.stop(GRACE).await;
    result
}

/// What data on its way through a mount may take.
///
/// # Errors
/// `InvalidArgument` for a budget that is too small.
pub fn memory(config: &Config) -> Result<Memory> {
    Memory::new(config.fuse.memory_budget.0, config.fuse.metadata_cache_entries)
}

/// The mounted directory's own status: whether the cluster is there, and the path in it.
async fn first_answer(posix: &Posix, config: &Config) -> Result<()> {
    let masters = || config.master_addresses().join(", ");
    let first = async {
        posix.learn_rights().await?;
        posix.load_root().await
    };
    let asked = tokio::time::timeout(FIRST_ANSWER, first).await;
    match asked {
        Ok(answer) => answer.map(drop).with_context(|| format!("mounting {}", posix.root())),
        Err(_) => Err(unavailable(format!(
            "no master answered at {}: start one, or name yours with -D \
             goosefs.master.rpc.addresses=HOST:PORT",
            masters()
        ))),
    }
}

/// Makes room for files that are changed, and takes over what earlier mounts left there.
async fn stage(posix: &Posix, config: &Config) -> Result<()> {
    let cluster = posix.cluster().await?;
    let (above, limit) = (config.fuse.staging_dir.clone(), config.fuse.staging_size.0);
    let home = blocking(move || Home::make(&above, limit, &cluster)).await?;
    posix.stage_in(home);
    posix.recover(&config.fuse.staging_dir).await;
    Ok(())
}

/// Mounts, and agrees with the kernel on how to talk.
async fn connect(
    kernel: Kernel,
    config: &Config,
    mount: &Mount,
    dir: &Path,
) -> Result<Session<Kernel>> {
    let mut options = fuser::Config::default();
    options.mount_options = vec![
        MountOption::FSName(format!("goosefs:{}", mount.path)),
        MountOption::CUSTOM("subtype=goosefs".into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoAtime,
        if mount.options.read_only { MountOption::RO } else { MountOption::RW },
        if mount.options.exec { MountOption::Exec } else { MountOption::NoExec },
    ];
    options.acl = match mount.options.allow_other && others_allowed() {
        true => SessionACL::All,
        false => SessionACL::Owner,
    };
    options.n_threads = Some(threads(config.fuse.threads));
    options.clone_fd = true;
    let (mount, target) = (mount.clone(), dir.to_path_buf());
    let mounting = tokio::task::spawn_blocking(move || begin(kernel, &mount, &target, &options));
    mounting
        .await
        .map_err(|_| internal("mounting panicked"))?
        .map_err(|error| mountpoint::mount_failed(error, dir))
}

/// Mounts. A session that does that itself also unmounts, by the path, once it has ended: by then
/// another may be mounted there. Only who is not root has it so.
fn begin(
    kernel: Kernel,
    mount: &Mount,
    dir: &Path,
    options: &fuser::Config,
) -> std::io::Result<Session<Kernel>> {
    if !nix::unistd::geteuid().is_root() {
        return Session::new(kernel, dir, options);
    }
    let how = mountpoint::How {
        name: &format!("goosefs:{}", mount.path),
        read_only: mount.options.read_only,
        exec: mount.options.exec,
        others: options.acl == SessionACL::All,
    };
    let device = mountpoint::mount(dir, &how)?;
    let session = Session::from_fd(kernel, device, options.acl, options.clone());
    session.inspect_err(|_| drop(mountpoint::unmount(dir)))
}

/// How many threads answer the kernel where `asked` were asked for.
fn threads(asked: u32) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(2, |count| count.get().max(2)),
        _ => asked as usize,
    }
}

/// Whether this user may let others in: root may, others if /etc/fuse.conf says so.
fn others_allowed() -> bool {
    nix::unistd::geteuid().is_root()
        || std::fs::read_to_string("/etc/fuse.conf")
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"))
}

/// Answers the kernel, on threads of its own, until the directory is unmounted.
fn serve(session: Session<Kernel>) -> Result<oneshot::Receiver<std::io::Result<()>>> {
    let (send, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("fuse".into())
        .spawn(move || send.send(session.run()))
        .context("starting the threads that answer the kernel")?;
    Ok(ended)
}

async fn until_unmounted(
    mut ended: oneshot::Receiver<std::io::Result<()>>,
    shutdown: impl Future<Output = ()>,
    (dir, number): (&Path, Option<String>),
) -> Result<()> {
    tokio::select! {
        result = &mut ended => return served(result),
        () = shutdown => {}
    }
    // Not what was mounted there after this was unmounted, while files on it are still open. The
    // number is ours until the last of them is closed.
    if mountpoint::device(dir) != number {
        tracing::warn!(dir = %dir.display(), "unmounted; files on it are open: they fail from now on");
        return Ok(());
    }
    let target = dir.to_path_buf();
    let unmounted = tokio::task::spawn_blocking(move || mountpoint::unmount(&target)).await;
    match unmounted {
        Ok(Ok(())) => tracing::info!(dir = %dir.display(), "unmounted"),
        Ok(Err(error)) => tracing::warn!(%error, "unmounting"),
        Err(_) => return Err(internal("unmounting panicked")),
    }
    match tokio::time::timeout(GRACE, ended).await {
        Ok(result) => served(result),
        Err(_) => {
            tracing::warn!(dir = %dir.display(), "files on it are still open: they fail from now on");
            Ok(())
        }
    }
}

fn served(
    result: std::result::Result<std::io::Result<()>, oneshot::error::RecvError>,
) -> Result<()> {
    match result {
        Ok(result) => result.map_err(|e| Error::from(e).context("talking to the kernel")),
        Err(_) => Err(internal("the threads that answer the kernel panicked")),
    }
}

/// The kernel starts out reading 128 KiB ahead, whatever was asked for when mounting; root may raise
/// that.
fn raise_read_ahead(dir: &Path, bytes: u64) {
    let Some(device) = mountpoint::device(dir) else { return };
    let file = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(&file, (bytes >> 10).to_string()) {
        tracing::debug!(%error, file, "the kernel reads ahead as much as it likes");
    }
}
