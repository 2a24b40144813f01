//! One process of a cluster: start, ready, stop, kill.

use super::{eventually, goosefs};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A process of one role. Its directory and its command line survive a kill, so that it can be
/// started again as the same node.
pub struct Node {
    dir: PathBuf,
    args: Vec<String>,
    environment: Vec<(String, String)>,
    /// The network namespace it lives in, if it has one.
    namespace: Option<String>,
    /// The port it serves on.
    pub port: u16,
    child: Option<Child>,
}

impl Node {
    pub(super) fn new(
        dir: &Path,
        command: &[&str],
        properties: &[(String, String)],
        port: u16,
    ) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let mut args: Vec<String> = Vec::new();
        args.push(format!("-Ddata.dir={}", dir.join("data").display()));
        args.extend(properties.iter().map(|(key, value)| format!("-D{key}={value}")));
        args.extend(command.iter().map(|word| word.to_string()));
        let (environment, namespace) = (Vec::new(), None);
        Node { dir: dir.into(), args, environment, namespace, port, child: None }
    }

    /// With variables of its environment.
    pub(super) fn with_env(mut self, environment: &[(String, String)]) -> Self {
        self.environment = environment.to_vec();
        self
    }

    /// In a network namespace.
    pub(super) fn within(mut self, namespace: Option<String>) -> Self {
        self.namespace = namespace;
        self
    }

    /// Sets a property from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        let prefix = format!("-D{key}=");
        self.args.retain(|arg| !arg.starts_with(&prefix));
        self.args.insert(0, format!("{prefix}{value}"));
    }

    /// Starts the process and waits until it listens.
    pub fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// Starts the process and does not wait.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.dir.display());
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let child = self
            .program()
            .args(&self.args)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.child = Some(child);
    }

    /// The binary, in its namespace: `ip` becomes the program it is given.
    fn program(&self) -> Command {
        let binary = goosefs();
        let Some(namespace) = &self.namespace else { return binary };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(binary.get_program());
        for (name, _) in binary.get_envs() {
            command.env_remove(name);
        }
        command
    }

    /// Waits until the process listens.
    pub fn wait_ready(&mut self) {
        let port = self.port;
        let what = format!("{} listens on {port}", self.dir.display());
        eventually(&what, || {
            let status = self.child.as_mut().expect("it was started").try_wait().unwrap();
            assert!(status.is_none(), "{status:?}: {}", self.log_text());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }

    /// SIGKILL: what a crash is to everyone else.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// SIGTERM, and waits for the end; whether it ended well.
    pub fn stop(&mut self) -> bool {
        let mut child = self.child.take().expect("it runs");
        self.signal_pid(child.id(), "-TERM");
        let status = eventually("the process ends on SIGTERM", || child.try_wait().unwrap());
        status.success()
    }

    /// Sends a signal such as `-STOP` to the process.
    pub fn signal(&self, signal: &str) {
        self.signal_pid(self.child.as_ref().expect("it runs").id(), signal);
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Whether it has been started and not ended by us since.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The value of a property it was given.
    pub fn property(&self, key: &str) -> Option<&str> {
        let prefix = format!("-D{key}=");
        self.args.iter().rev().find_map(|arg| arg.strip_prefix(&prefix))
    }

    /// A worker's counter, as its own page tells it now.
    pub fn counter(&self, name: &str) -> u64 {
        let port = self.property("worker.web.port").expect("it has a page");
        let host = self.property("worker.bind.host").or(self.property("worker.hostname"));
        let host = host.filter(|host| *host != "0.0.0.0").unwrap_or("127.0.0.1");
        let page = http_get(&format!("{host}:{port}"), "/metrics");
        let total = format!("{name}_total ");
        let plain = format!("{name} ");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&total).or_else(|| line.strip_prefix(&plain)));
        let text = line.unwrap_or_else(|| panic!("no {name} in {page}"));
        text.trim().parse().expect("a counter is a whole number")
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All it has said.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn signal_pid(&self, pid: u32, signal: &str) {
        let status = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
        assert!(status.success(), "kill {signal} {pid}");
    }
}

/// The answer to a plain HTTP request, with its header.
pub fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the page is served");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
