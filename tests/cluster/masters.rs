//! Several masters of one cluster, each a process of its own.

use super::network::Network;
use super::node::Node;
use super::{command, config, eventually, free_port, run, scratch_dir, texts};
use goosefs::client::FileSystem;
use goosefs::core::config::Config;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The masters, and what every process knows of them.
pub struct Masters {
    dir: PathBuf,
    /// The processes, by number.
    pub nodes: Vec<Node>,
    worker: Option<Node>,
    properties: Vec<(String, String)>,
    /// What joins them, if they have namespaces of their own.
    pub network: Option<Network>,
}

/// One entry of `goosefs.masters`.
fn entry(number: usize, host: &str) -> (u16, String) {
    let (rpc, journal) = (free_port(), free_port());
    let text = format!("name=m{number} host={host} rpc_port={rpc} journal_port={journal}");
    (rpc, text)
}

impl Masters {
    /// That many masters, which have not been started.
    pub fn new(count: usize, properties: &[(&str, &str)]) -> Masters {
        Self::on(None, count, properties)
    }

    /// The same on a network that can be cut.
    pub fn on(network: Option<Network>, count: usize, properties: &[(&str, &str)]) -> Masters {
        let (nodes, worker, known) = (Vec::new(), None, Vec::new());
        let mut masters = Masters { dir: scratch_dir(), nodes, worker, properties: known, network };
        let entries: Vec<_> = (0..count).map(|n| entry(n, &masters.host(n))).collect();
        let all: Vec<&str> = entries.iter().map(|(_, text)| text.as_str()).collect();
        masters.know(&all.join(","), properties);
        for (number, (port, _)) in entries.iter().enumerate() {
            masters.add_node(number, *port);
        }
        masters
    }

    /// The directory that is the root under store.
    pub fn root_ufs(&self) -> PathBuf {
        self.dir.join("ufs")
    }

    /// Where a master is.
    fn host(&self, number: usize) -> String {
        self.network.as_ref().map_or("127.0.0.1".into(), |network| network.address(number))
    }

    fn know(&mut self, all: &str, properties: &[(&str, &str)]) {
        let root_ufs = self.root_ufs();
        std::fs::create_dir_all(&root_ufs).unwrap();
        self.properties = [
            ("masters", all.to_string()),
            ("master.mount.table.root.ufs", root_ufs.display().to_string()),
            ("security.login.username", "root".into()),
            ("user.rpc.retry.max.duration", "30s".into()),
        ]
        .map(|(key, value)| (key.to_string(), value))
        .into();
        let own = properties.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        self.properties.extend(own);
    }

    fn add_node(&mut self, number: usize, port: u16) {
        let name = format!("m{number}");
        let mut properties = self.properties.clone();
        properties.push(("master.web.port".into(), free_port().to_string()));
        let command = ["master", "start", "--name", &name];
        let node = Node::new(&self.dir.join(&name), &command, &properties, port);
        let clock = self.clock(number).display().to_string();
        let node = node.with_env(&[("GOOSEFS_TEST_CLOCK".into(), clock)]);
        let namespace = self.network.as_ref().map(|network| network.namespace(number));
        self.nodes.push(node.within(namespace));
    }

    /// The file that says by how much a master's clock is wrong.
    fn clock(&self, number: usize) -> PathBuf {
        self.dir.join(format!("m{number}.clock"))
    }

    /// Sets a master's clock wrong by so many milliseconds, in one jump.
    pub fn set_clock(&self, number: usize, ms: i64) {
        let new = self.dir.join("clock.new");
        std::fs::write(&new, ms.to_string()).unwrap();
        std::fs::rename(new, self.clock(number)).unwrap();
    }

    /// All of them, started, with a primary.
    pub fn start(count: usize, properties: &[(&str, &str)]) -> Masters {
        Masters::new(count, properties).started()
    }

    /// The same masters, started, with a primary.
    pub fn started(mut self) -> Masters {
        self.nodes.iter_mut().for_each(Node::spawn);
        self.wait_for_primary();
        self
    }

    /// Starts a worker and waits until it is known.
    pub fn add_worker(&mut self) {
        let (dir, port) = (self.dir.join("worker"), free_port());
        let host = self.network.as_ref().map_or("127.0.0.1".into(), Network::here);
        let mut properties = self.properties.clone();
        properties.extend([
            ("worker.hostname".into(), host),
            ("worker.rpc.port".into(), port.to_string()),
            ("worker.web.port".into(), free_port().to_string()),
            ("worker.dirs".into(), format!("SSD:{}:1GB", dir.join("blocks").display())),
        ]);
        let mut worker = Node::new(&dir, &["worker", "start"], &properties, port);
        worker.spawn();
        self.worker = Some(worker);
        eventually("the primary knows the worker", || {
            let report = self.ok(&["fsadmin", "report", "-o", "json"]);
            let report: Value = serde_json::from_str(&report).ok()?;
            (report["liveWorkers"] == "1" || report["liveWorkers"] == 1).then_some(())
        });
    }

    /// A configuration for the client library in this process.
    pub fn config(&self) -> Config {
        config(&self.properties)
    }

    /// A client of all of them.
    pub fn connect(&self) -> FileSystem {
        FileSystem::connect(&self.config())
    }

    /// A client that knows only the master of that number.
    pub fn connect_only(&self, number: usize) -> FileSystem {
        let address = format!("{}:{}", self.host(number), self.nodes[number].port);
        let config = self.config().and("goosefs.master.rpc.addresses", &address).unwrap();
        FileSystem::connect(&config.and("goosefs.user.rpc.retry.max.duration", "1s").unwrap())
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let (success, out, err) = self.run(args);
        assert!(success, "goosefs {args:?}: {out}{err}\n{}", self.logs());
        out
    }

    /// Runs a command; whether it succeeded, its output, what it complained of.
    pub fn run(&self, args: &[&str]) -> (bool, String, String) {
        let output = run(&mut self.command(args));
        let (out, err) = texts(&output);
        (output.status.success(), out, err)
    }

    /// Who is primary, as `masterinfo` says.
    pub fn info(&self) -> Value {
        serde_json::from_str(&self.ok(&["masterinfo", "-o", "json"])).unwrap()
    }

    /// The number of the primary, if there is one that serves.
    pub fn primary(&self) -> Option<usize> {
        let (success, out, _) = self.run(&["masterinfo", "-o", "json"]);
        let info: Value = serde_json::from_str(&out).ok().filter(|_| success)?;
        let serves = |master: &&Value| master["role"] == "PRIMARY";
        let master = info["masters"].as_array()?.iter().find(serves)?;
        let port: u16 = master["address"].as_str()?.rsplit(':').next()?.parse().ok()?;
        self.nodes.iter().position(|node| node.port == port)
    }

    /// Waits until there is a primary that serves; its number.
    pub fn wait_for_primary(&self) -> usize {
        eventually(&format!("a primary serves: {}", self.dir.display()), || self.primary())
    }

    /// Waits until all masters vote and answer.
    pub fn wait_for_voters(&self) {
        let names: Vec<String> = (0..self.nodes.len()).map(|number| format!("m{number}")).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), "VOTER", true)).collect();
        self.wait_for_states(&all);
    }

    /// Waits until `quorum info` has these states of the masters, by name.
    pub fn wait_for_states(&self, states: &[(&str, &str, bool)]) {
        let what = format!("the masters are {states:?}: {}", self.dir.display());
        eventually(&what, || {
            let args = ["fsadmin", "journal", "quorum", "info", "-o", "json"];
            let (success, out, _) = self.run(&args);
            let info: Value = serde_json::from_str(&out).ok().filter(|_| success)?;
            let members = info["members"].as_array()?;
            let is = |&(name, role, reachable): &(&str, &str, bool)| {
                let alike = |m: &&Value| m["name"] == name && m["role"] == role;
                members.iter().find(alike).is_some_and(|m| m["reachable"] == reachable)
            };
            (members.len() == states.len() && states.iter().all(is)).then_some(())
        });
    }

    /// The last words of all.
    pub fn logs(&self) -> String {
        let last = |node: &Node| {
            let text = node.log_text();
            let lines: Vec<&str> = text.lines().rev().take(20).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {}\n{}\n", node.dir().display(), lines.join("\n"))
        };
        self.nodes.iter().map(last).collect()
    }

    /// The directory of all of it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `goosefs args` with what every process knows of the masters.
    pub fn command(&self, args: &[&str]) -> Command {
        command(&self.properties, &self.dir, args)
    }

    /// Takes from a master all that it keeps; it must not run.
    pub fn empty(&self, number: usize) {
        std::fs::remove_dir_all(self.nodes[number].dir().join("data")).unwrap();
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        self.nodes.iter_mut().chain(&mut self.worker).for_each(Node::kill);
        if std::thread::panicking() {
            eprintln!("{}the masters' directory is left at {}", self.logs(), self.dir.display());
        } else {
            std::fs::remove_dir_all(&self.dir).ok();
        }
    }
}
