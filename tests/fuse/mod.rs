//! The mounted directory, through the real binary and the kernel. On a machine where this process may
//! not mount (no /dev/fuse, no capability) these tests say so and prove nothing.

mod backing;
mod changes;
mod crash;
mod failover;
mod lifecycle;
mod list;
mod locks;
mod model;
mod model_names;
mod mounts;
mod nodes;
mod read;
mod recover;
mod safe;
mod staged;
mod stat;
mod work;
mod write;

use crate::cluster::{Cluster, eventually, texts};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// A directory of the tree, mounted.
pub struct Mounted {
    dir: PathBuf,
    server: Child,
    cluster: Cluster,
}

/// Mounts the root of `cluster`'s tree; none where this machine does not let us.
pub fn mount(cluster: Cluster, options: &str) -> Option<Mounted> {
    mount_path(cluster, "/", options)
}

/// The same for a directory of the tree.
pub fn mount_path(cluster: Cluster, path: &str, options: &str) -> Option<Mounted> {
    if !may_mount() {
        return None;
    }
    let dir = cluster.dir().join("mnt");
    std::fs::create_dir_all(&dir).unwrap();
    let server = serve(&cluster, path, &dir, options);
    Some(Mounted { dir, server, cluster })
}

/// Whether this process may mount at all.
pub fn may_mount() -> bool {
    let may = nix::unistd::geteuid().is_root()
        && std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok();
    if !may {
        eprintln!("skipped: this machine does not let us mount");
    }
    may
}

fn serve(cluster: &Cluster, path: &str, dir: &Path, options: &str) -> Child {
    let target = dir.to_str().unwrap();
    let mut command =
        cluster.command(&["fuse", "mount", path, target, "-o", options, "--foreground"]);
    let log = std::fs::File::create(cluster.dir().join("fuse.log")).unwrap();
    let mut server = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    eventually("the directory is mounted", || {
        let ended = server.try_wait().unwrap();
        let said = || std::fs::read_to_string(cluster.dir().join("fuse.log")).unwrap();
        assert!(ended.is_none(), "{ended:?}: {}", said());
        is_mounted(dir).then_some(())
    });
    server
}

/// Whether something is mounted on `dir`, by the kernel's table.
pub fn is_mounted(dir: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == dir.to_str())
}

impl Mounted {
    /// Where something of the tree is in the mounted directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The cluster behind it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The process that serves it.
    pub fn server(&mut self) -> &mut Child {
        &mut self.server
    }

    /// Serves it again, after it was unmounted.
    pub fn serve_again(&mut self) {
        self.server.wait().unwrap();
        self.server = serve(&self.cluster, "/", &self.dir, "rw");
    }

    /// Kills the process behind it, and serves it again.
    pub fn kill_and_serve_again(&mut self) {
        self.kill();
        self.serve_killed_again();
    }

    /// Kills the process behind it, and unmounts what is left.
    pub fn kill(&mut self) {
        self.kill_process();
        self.unmount();
    }

    /// Kills the process behind it.
    pub fn kill_process(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Serves it again, after it was killed and unmounted.
    pub fn serve_killed_again(&mut self) {
        self.server = serve(&self.cluster, "/", &self.dir, "rw");
    }

    /// The cluster behind it, to be changed.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Serves it again, while what served it before may still run: that.
    pub fn serve_beside(&mut self) -> Child {
        let server = serve(&self.cluster, "/", &self.dir, "rw");
        std::mem::replace(&mut self.server, server)
    }

    /// Runs `goosefs fuse umount` on it.
    pub fn unmount(&self) {
        let output = self.cluster.run(&["fuse", "umount", self.dir.to_str().unwrap()]);
        assert!(output.status.success(), "{:?}", texts(&output));
        assert!(!is_mounted(&self.dir));
    }
}

/// One more mount of a cluster, on a directory of its own.
pub struct Other {
    dir: PathBuf,
    server: Child,
    cluster_dir: PathBuf,
}

impl Mounted {
    /// Mounts the same tree once more.
    pub fn again(&self) -> Other {
        let dir = self.cluster.dir().join("mnt2");
        std::fs::create_dir_all(&dir).unwrap();
        let server = serve(&self.cluster, "/", &dir, "rw");
        Other { dir, server, cluster_dir: self.cluster.dir().to_path_buf() }
    }
}

impl Other {
    /// Where something of the tree is in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        nix::mount::umount2(&self.dir, nix::mount::MntFlags::MNT_DETACH).ok();
        self.server.kill().ok();
        self.server.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.cluster_dir.join("fuse.log"));
            eprintln!("fuse: {}", log.unwrap_or_default());
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Before the cluster goes, and its directory with the mount point in it.
        self.cluster.run(&["fuse", "umount", self.dir.to_str().unwrap()]);
        self.server.kill().ok();
        self.server.wait().ok();
        if std::thread::panicking() {
            let log = self.cluster.dir().join("fuse.log");
            eprintln!("fuse: {}", std::fs::read_to_string(log).unwrap_or_default());
        }
    }
}

/// Bytes that differ at every place.
pub fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
