//! A cluster of real processes for tests: one a role, on free ports of 127.0.0.1, in a directory of
//! its own. A test that fails leaves the directory and says where it is.

#![allow(dead_code)]

mod disk;
mod masters;
mod network;
mod node;

pub use disk::Disk;
pub use masters::Masters;
pub use network::{End, Network};
pub use node::{Node, http_get};

use goosefs::core::config::Config;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything that should happen may take before a test gives it up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A master and workers.
pub struct Cluster {
    dir: PathBuf,
    pub master: Node,
    pub workers: Vec<Node>,
    properties: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

/// What a cluster is made of; `Cluster::start()` is one worker and nothing special.
#[derive(Clone)]
pub struct Setup {
    workers: usize,
    properties: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// That many workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A property of every process.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.properties.push((key.into(), value.into()));
        self
    }

    /// A variable of every process's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the processes and waits until they serve.
    pub fn start(self) -> Cluster {
        let dir = scratch_dir();
        let root_ufs = dir.join("ufs");
        std::fs::create_dir_all(&root_ufs).unwrap();
        let master_port = free_port();
        let mut properties = vec![
            ("master.hostname".into(), "127.0.0.1".into()),
            ("master.rpc.port".into(), master_port.to_string()),
            ("master.web.port".into(), free_port().to_string()),
            ("master.mount.table.root.ufs".into(), root_ufs.display().to_string()),
            ("security.login.username".into(), "root".into()),
            ("user.file.replication.durable.min".into(), "1".into()),
            ("fuse.staging.dir".into(), dir.join("staging").display().to_string()),
        ];
        properties.extend(self.properties);
        let environment = self.environment;
        let master = Node::new(&dir.join("master"), &["master", "start"], &properties, master_port);
        let master = master.with_env(&environment);
        let mut cluster = Cluster { dir, master, workers: Vec::new(), properties, environment };
        cluster.master.start();
        for _ in 0..self.workers {
            cluster.add_worker(&[]);
        }
        if !cluster.workers.is_empty() {
            cluster.wait_for_workers();
        }
        cluster
    }
}

impl Cluster {
    /// A master and one worker.
    pub fn start() -> Cluster {
        Cluster::setup().start()
    }

    /// Says what the cluster shall be made of; then `start` it.
    pub fn setup() -> Setup {
        Setup { workers: 1, properties: Vec::new(), environment: Vec::new() }
    }

    /// Starts one more worker, with properties of its own.
    pub fn add_worker(&mut self, own: &[(&str, &str)]) -> &mut Node {
        let number = self.workers.len();
        let dir = self.dir.join(format!("worker{number}"));
        let port = free_port();
        let mut properties = self.properties.clone();
        properties.extend([
            ("worker.hostname".into(), "127.0.0.1".into()),
            ("worker.rpc.port".into(), port.to_string()),
            ("worker.web.port".into(), free_port().to_string()),
            ("worker.dirs".into(), format!("SSD:{}:1GB", dir.join("blocks").display())),
        ]);
        properties.extend(own.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        let node = Node::new(&dir, &["worker", "start"], &properties, port);
        self.workers.push(node.with_env(&self.environment));
        let worker = &mut self.workers[number];
        worker.start();
        worker
    }

    /// Waits until the master lists every worker: a client keeps the first list it gets for a while.
    pub fn wait_for_workers(&self) {
        let (config, count) = (self.config(), self.workers.len());
        // On a thread of its own: the test may be inside a runtime already.
        let listed = move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let files = goosefs::client::FileSystem::connect(&config);
            eventually("the master lists every worker", || {
                let workers = runtime.block_on(files.workers());
                (workers.is_ok_and(|workers| workers.len() == count)).then_some(())
            });
        };
        std::thread::spawn(listed).join().expect("the workers register");
    }

    /// The directory all processes live in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory that is mounted at the root of the tree.
    pub fn root_ufs(&self) -> PathBuf {
        self.dir.join("ufs")
    }

    /// The master's address.
    pub fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.master.port)
    }

    /// A configuration for the client library in this process.
    pub fn config(&self) -> Config {
        config(&self.properties)
    }

    /// A `goosefs` command that knows this cluster.
    pub fn command(&self, args: &[&str]) -> Command {
        command(&self.properties, &self.dir, args)
    }

    /// Runs a command to its end, within the patience of a test.
    pub fn run(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "goosefs {args:?}: {out}{err}");
        out
    }

    /// Runs a command that must fail with exit code 1; its standard error.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "goosefs {args:?}: {out}{err}");
        err
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.kill();
        }
        self.master.kill();
        if std::thread::panicking() {
            eprintln!("the cluster's directory is left at {}", self.dir.display());
        } else {
            std::fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// The binary under test, free of this machine's configuration.
pub fn goosefs() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goosefs"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GOOSEFS_")) {
        command.env_remove(name);
    }
    command
}

/// `goosefs args` with these properties, run in `dir`.
fn command(properties: &[(String, String)], dir: &Path, args: &[&str]) -> Command {
    let mut command = goosefs();
    for (key, value) in properties {
        command.arg("-D").arg(format!("{key}={value}"));
    }
    command.args(args).current_dir(dir);
    command
}

/// A configuration of these properties, for the client library in this process.
fn config(properties: &[(String, String)]) -> Config {
    let properties: Vec<(&str, &str)> =
        properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Config::with(&properties).unwrap()
}

/// Runs `command` to its end, and kills it when it outlasts a test's patience.
pub fn run(command: &mut Command) -> Output {
    run_for(PATIENCE, command)
}

/// Runs `command` to its end, and kills it when it takes longer than `patience`.
pub fn run_for(patience: Duration, command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let id = child.id().to_string();
    let (done, waiting) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || done.send(child.wait_with_output()));
    match waiting.recv_timeout(patience) {
        Ok(output) => {
            reader.join().expect("the reader does not panic").ok();
            output.expect("the process is waited for")
        }
        Err(_) => {
            Command::new("kill").args(["-9", &id]).status().ok();
            panic!("{command:?} did not end in {patience:?}");
        }
    }
}

/// Standard output and standard error as text.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A port that was free a moment ago. Not one of those that the system gives to connections: one of
/// them would take it while its process is down.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    let ports = std::iter::repeat_with(|| 10_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 22_000);
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    ports.take(22_000).find(is_free).expect("some port is free")
}

/// A directory for one test, on a real disk.
pub fn scratch_dir() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(base).unwrap();
    tempfile::Builder::new().prefix("t").tempdir_in(base).unwrap().keep()
}

/// Waits until `condition` gives a value, and fails the test naming `what` when it never does.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
