//! A cluster of this binary's own processes, for the length of a benchmark: on free ports of
//! 127.0.0.1, in a directory that goes with it.

use crate::core::config::Config;
use crate::core::error::{Context, Result, deadline_exceeded, internal};
use crate::core::rpc::server::free_port;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to serve.
const START: Duration = Duration::from_secs(30);

/// A master, and what else is started; killed and removed when dropped.
pub struct Scratch {
    dir: tempfile::TempDir,
    properties: Vec<(String, String)>,
    processes: Vec<(&'static str, Child)>,
    /// Directories elsewhere that go with it.
    others: Vec<PathBuf>,
}

impl Scratch {
    /// Starts a master with its journal below `base`; `properties` hold for every process.
    ///
    /// # Errors
    /// `Internal` when a process does not start, `DeadlineExceeded` when it does not serve.
    pub fn start(base: &Path, properties: &[(&str, String)]) -> Result<Scratch> {
        let mut scratch = Scratch::prepare(base, properties)?;
        scratch.spawn("master", &["master", "start"])?;
        let port = scratch.config()?.master.rpc_port;
        scratch.wait_for_port("master", port)?;
        Ok(scratch)
    }

    /// Starts three masters that keep one journal; which of them is primary has to be found out.
    ///
    /// # Errors
    /// As [`Scratch::start`].
    pub fn start_three(base: &Path) -> Result<Scratch> {
        const NAMES: [&str; 3] = ["m0", "m1", "m2"];
        let entry = |name: &&str| {
            let (rpc, journal) = (free_port()?, free_port()?);
            Ok(format!("name={name} host=127.0.0.1 rpc_port={rpc} journal_port={journal}"))
        };
        let entries: Vec<String> = NAMES.iter().map(entry).collect::<Result<_>>()?;
        let mut scratch = Scratch::prepare(base, &[("masters", entries.join(","))])?;
        let ports = scratch.config()?.master.masters.0;
        for (name, master) in NAMES.into_iter().zip(ports) {
            let data = format!("data.dir={}", scratch.dir.path().join(name).display());
            scratch.spawn(name, &["-D", &data, "master", "start", "--name", name])?;
            scratch.wait_for_port(name, master.rpc_port)?;
        }
        Ok(scratch)
    }

    /// A directory and a configuration; nothing is started.
    fn prepare(base: &Path, properties: &[(&str, String)]) -> Result<Scratch> {
        let dir = tempfile::Builder::new()
            .prefix("goosefs-bench-")
            .tempdir_in(base)
            .with_context(|| format!("making a directory in {}", base.display()))?;
        let root = dir.path().join("ufs");
        std::fs::create_dir(&root).context("making the root under store")?;
        let mut all: Vec<(String, String)> = [
            ("data.dir", dir.path().join("data").display().to_string()),
            ("master.hostname", "127.0.0.1".into()),
            ("master.rpc.port", free_port()?.to_string()),
            ("master.web.port", "0".into()),
            ("master.mount.table.root.ufs", root.display().to_string()),
            ("worker.hostname", "127.0.0.1".into()),
            ("worker.rpc.port", free_port()?.to_string()),
            ("worker.web.port", "0".into()),
            ("worker.dirs", format!("MEM:{}:60%", free_dir(dir.path())?.display())),
            ("log.level", "warn".into()),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into();
        all.extend(properties.iter().map(|(key, value)| (key.to_string(), value.clone())));
        let (processes, others) = Default::default();
        Ok(Scratch { dir, properties: all, processes, others })
    }

    /// Kills the master and starts it again on what it left.
    ///
    /// # Errors
    /// As [`Scratch::start`].
    pub fn restart_master(&mut self) -> Result<()> {
        self.kill("master")?;
        self.spawn("master", &["master", "start"])?;
        let port = self.config()?.master.rpc_port;
        self.wait_for_port("master", port)
    }

    /// Starts the worker.
    ///
    /// # Errors
    /// As [`Scratch::start`].
    pub fn start_worker(&mut self) -> Result<()> {
        self.spawn("worker", &["worker", "start"])?;
        let port = self.config()?.worker.rpc_port;
        self.wait_for_port("worker", port)
    }

    /// Has a directory removed with this cluster.
    pub fn clears(&mut self, dir: PathBuf) {
        self.others.push(dir);
    }

    /// Kills the process of that name.
    ///
    /// # Errors
    /// `Internal` when there is no such process.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let found = self.processes.iter().position(|(started, _)| *started == name);
        let index = found.ok_or_else(|| internal(format!("no {name} was started")))?;
        let (_, mut child) = self.processes.remove(index);
        child.kill().with_context(|| format!("killing the {name}"))?;
        child.wait().with_context(|| format!("waiting for the end of the {name}")).map(drop)
    }

    /// Starts `goosefs args` as a part of this cluster.
    ///
    /// # Errors
    /// `Internal` when it does not start.
    pub fn spawn(&mut self, name: &'static str, args: &[&str]) -> Result<()> {
        let log = std::fs::File::create(self.dir.path().join(format!("{name}.log")))
            .context("creating a log")?;
        let child = self
            .command(args)?
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting the {name}"))?;
        self.processes.push((name, child));
        Ok(())
    }

    /// `goosefs args` with this cluster's configuration.
    ///
    /// # Errors
    /// `Internal` when this binary cannot be found.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let binary = std::env::current_exe().context("finding this binary")?;
        let mut command = Command::new(binary);
        for (key, value) in &self.properties {
            command.arg("-D").arg(format!("{key}={value}"));
        }
        command.args(args);
        Ok(command)
    }

    /// The configuration of a client of this cluster.
    ///
    /// # Errors
    /// `InvalidArgument` when the properties it was started with make no sense.
    pub fn config(&self) -> Result<Config> {
        let properties: Vec<(&str, &str)> =
            self.properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Config::with(&properties)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// CPU time of the process of that name so far: user and system, of all its threads.
    ///
    /// # Errors
    /// `Internal` when there is no such process.
    pub fn cpu(&self, name: &str) -> Result<Duration> {
        cpu_of(self.pid(name)?)
    }

    /// The process id of the process of that name.
    ///
    /// # Errors
    /// `Internal` when there is no such process.
    pub fn pid(&self, name: &str) -> Result<u32> {
        let found = self.processes.iter().find(|(started, _)| *started == name);
        found.map(|(_, child)| child.id()).ok_or_else(|| internal(format!("no {name} was started")))
    }

    fn wait_for_port(&mut self, name: &'static str, port: u16) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let (_, child) = self.processes.last_mut().expect("it was just started");
            if let Some(status) = child.try_wait().context("waiting for a process")? {
                let log = self.dir.path().join(format!("{name}.log"));
                let text = std::fs::read_to_string(log).unwrap_or_default();
                return Err(internal(format!("the {name} ended with {status}: {}", text.trim())));
            }
            if start.elapsed() > START {
                return Err(deadline_exceeded(format!("the {name} does not serve on {port}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for (_, child) in self.processes.iter_mut().rev() {
            child.kill().ok();
            child.wait().ok();
        }
        if let Ok(config) = self.config() {
            for dir in &config.worker.dirs.0 {
                std::fs::remove_dir_all(&dir.path).ok();
            }
        }
        for dir in &self.others {
            std::fs::remove_dir_all(dir).ok();
        }
    }
}

/// A new directory for a worker's blocks: in memory, where there is some.
///
/// # Errors
/// `Internal` when it cannot be made.
pub fn free_dir(fallback: &Path) -> Result<PathBuf> {
    let base = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm") } else { fallback };
    let dir = tempfile::Builder::new().prefix("goosefs-bench-").tempdir_in(base);
    Ok(dir.context("making a directory for blocks")?.keep())
}

/// CPU time of a process so far, from `/proc/PID/stat` (proc(5): fields 14 and 15, in ticks).
///
/// # Errors
/// `NotFound` when there is no such process.
pub fn cpu_of(pid: u32) -> Result<Duration> {
    /// Ticks a second that user space sees; fixed at 100 on every Linux we run on.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("reading CPU time")?;
    // The second field is a name in brackets that may hold blanks.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = rest.split_whitespace().filter_map(|f| f.parse().ok()).collect();
    // The state letter is no number: utime is the 11th number after it, stime the 12th.
    let ticks = fields.get(10).zip(fields.get(11)).map(|(user, system)| user + system);
    let ticks = ticks.ok_or_else(|| internal("/proc/PID/stat is not as proc(5) says"))?;
    Ok(Duration::from_secs_f64(ticks / TICKS))
}
