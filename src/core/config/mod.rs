//! The configuration of a node: one YAML file, `GOOSEFS_*` in the environment, `-D` on the command
//! line, in rising order of precedence.
//!
//! A property has a dotted name, `goosefs.master.rpc.port`. In the YAML file it is the same name,
//! with or without `goosefs.`, dotted or as nested maps; in the environment it is
//! `GOOSEFS_MASTER_RPC_PORT`. Whatever is wrong is found here, before a process starts anything:
//! file, line, key, and the nearest name that exists.

mod client;
mod master;
mod masters;
pub mod settings;
mod worker;
mod yaml;

pub use client::{Client, Fuse, Security};
pub use master::Master;
pub use masters::{MasterAddress, Masters};
pub use settings::{MaybeDuration, Setting, Share, TimeOfDay};
pub use worker::{StoreDir, StoreDirs, StoreQuota, Worker, least_worker_memory};

use crate::core::error::{Context, Error, Result, invalid_argument};
use settings::settings;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Properties below this prefix are handed to under-store connectors as they are.
pub const UFS_PREFIX: &str = "goosefs.underfs.";

/// Where the configuration is looked for when neither the command line nor `$GOOSEFS_CONF` names it.
const SEARCH: [&str; 2] = ["goosefs.yaml", "/etc/goosefs/goosefs.yaml"];

settings! {
    /// What belongs to every role.
    Node {
        /// Directory under which a node keeps its journal, its worker id and its sockets.
        data_dir: PathBuf = "goosefs.data.dir", "${state}/goosefs";
        /// The zone this node is in, as people name it: copies are kept in different ones, and readers
        /// prefer a copy in their own.
        zone: String = "goosefs.locality.zone", "";
        /// The rack this node is in, within its zone.
        rack: String = "goosefs.locality.rack", "";
        /// What is logged: error, warn, info, debug or trace, also per module as in `info,goosefs::master=debug`.
        log_level: String = "goosefs.log.level", "info";
        /// How logs are written: text or json.
        log_format: String = "goosefs.log.format", "text";
    }
}

/// All settings of a node, typed, and where each value came from.
#[derive(Clone, Debug)]
pub struct Config {
    /// What belongs to every role.
    pub node: Node,
    /// The master's settings.
    pub master: Master,
    /// The worker's settings.
    pub worker: Worker,
    /// What clients of every kind use.
    pub client: Client,
    /// The mounted directory's settings.
    pub fuse: Fuse,
    /// Who may what.
    pub security: Security,
    values: Values,
}

/// Every setting there is, by group.
pub fn all_settings() -> impl Iterator<Item = &'static Setting> {
    [
        Node::SETTINGS,
        Master::SETTINGS,
        Worker::SETTINGS,
        Client::SETTINGS,
        Fuse::SETTINGS,
        Security::SETTINGS,
    ]
    .into_iter()
    .flatten()
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the YAML file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// `-D` on the command line, or a test.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path, line) => write!(f, "{}:{line}", path.display()),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::CommandLine => f.write_str("command line"),
        }
    }
}

/// A value as written, and who wrote it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub source: Source,
}

/// Values by property name, before they have types.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, Written>);

impl Values {
    /// The value of a declared setting, with `${other.name}` replaced.
    ///
    /// # Errors
    /// `InvalidArgument` for a reference to a property that does not exist, or in a circle.
    pub fn resolve(&self, name: &str) -> Result<Written> {
        self.resolve_at(name, 0)
    }

    fn resolve_at(&self, name: &str, depth: usize) -> Result<Written> {
        let mut value = match self.0.get(name) {
            Some(value) => value.clone(),
            None => {
                let setting =
                    all_settings().find(|s| s.name == name).ok_or_else(|| unknown_key(name))?;
                Written { text: setting.default.into(), source: Source::Default }
            }
        };
        while let Some(start) = value.text.find("${") {
            let Some(length) = value.text[start..].find('}') else { break };
            if depth > 8 {
                return Err(invalid_argument(format!("{name} refers to itself")));
            }
            let inner = &value.text[start + 2..start + length];
            let text = match inner {
                "state" => state_home(),
                "user" => os_user(),
                other => self.resolve_at(&canonical(other), depth + 1)?.text,
            };
            value.text.replace_range(start..=start + length, &text);
        }
        Ok(value)
    }

    fn set(&mut self, key: &str, text: &str, source: Source) -> Result<()> {
        let name = canonical(key);
        if !name.starts_with(UFS_PREFIX) && !all_settings().any(|s| s.name == name) {
            return Err(unknown_key(key).context(source));
        }
        self.0.insert(name, Written { text: text.into(), source });
        Ok(())
    }
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `-D key=value`, in order.
    pub properties: Vec<(String, String)>,
}

impl Config {
    /// Reads and checks the configuration: the file, then the environment, then `overrides`.
    ///
    /// # Errors
    /// `InvalidArgument` naming file, line and key for a key that does not exist, a value of the
    /// wrong type or an impossible combination; `NotFound` when a file that was named is missing.
    pub fn load(overrides: &Overrides) -> Result<Config> {
        let mut values = Values::default();
        if let Some(file) = find_file(overrides)? {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("reading configuration {}", file.display()))?;
            for (key, value, line) in yaml::flatten(&text, &file)? {
                values.set(&key, &value, Source::File(file.clone(), line))?;
            }
        }
        for setting in all_settings() {
            let derived = setting.name.to_ascii_uppercase().replace('.', "_");
            for name in [Some(derived.as_str()), setting.env].into_iter().flatten() {
                if let Ok(text) = std::env::var(name) {
                    values.set(setting.name, &text, Source::Environment(name.into()))?;
                }
            }
        }
        for (key, value) in &overrides.properties {
            values.set(key, value, Source::CommandLine)?;
        }
        Config::from_values(values)
    }

    /// The defaults with `properties` on top; what tests and embedded clusters start from.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn with(properties: &[(&str, &str)]) -> Result<Config> {
        let mut values = Values::default();
        for (key, value) in properties {
            values.set(key, value, Source::CommandLine)?;
        }
        Config::from_values(values)
    }

    /// This configuration with one property changed.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn and(&self, key: &str, value: &str) -> Result<Config> {
        let mut values = self.values.clone();
        values.set(key, value, Source::CommandLine)?;
        Config::from_values(values)
    }

    fn from_values(values: Values) -> Result<Config> {
        let config = Config {
            node: Node::read(&values)?,
            master: Master::read(&values)?,
            worker: Worker::read(&values)?,
            client: Client::read(&values)?,
            fuse: Fuse::read(&values)?,
            security: Security::read(&values)?,
            values,
        };
        config.check().map(|()| config)
    }

    /// What no single setting can tell: combinations that cannot work.
    fn check(&self) -> Result<()> {
        let (low, high) = (self.worker.watermark_low.0, self.worker.watermark_high.0);
        if low >= high {
            return Err(invalid_argument(format!(
                "goosefs.worker.watermark.low ({low}) must be below goosefs.worker.watermark.high ({high})"
            )));
        }
        if !["text", "json"].contains(&self.node.log_format.as_str()) {
            return Err(invalid_argument("goosefs.log.format is neither text nor json"));
        }
        let (block, page) = (self.client.block_size.0, self.worker.page_size.0);
        if page == 0 || block == 0 || block % page != 0 {
            return Err(invalid_argument(format!(
                "goosefs.user.block.size.bytes.default ({block}) must be a multiple of goosefs.worker.page.size ({page})"
            )));
        }
        Ok(())
    }

    /// The value of any property as text, and where it came from.
    ///
    /// # Errors
    /// `InvalidArgument` with the nearest name when there is no such property.
    pub fn get(&self, key: &str) -> Result<Written> {
        self.values.resolve(&canonical(key))
    }

    /// Properties for under-store connectors: those below `goosefs.underfs.`, without the prefix.
    pub fn ufs_properties(&self) -> BTreeMap<String, String> {
        self.values
            .0
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(UFS_PREFIX)?.to_string(), value.text.clone()))
            })
            .collect()
    }

    /// The properties somebody set, by name.
    pub fn explicit(&self) -> impl Iterator<Item = (&str, &Written)> {
        self.values.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The masters clients try, as host:port.
    pub fn master_addresses(&self) -> Vec<String> {
        let masters = &self.master.masters.0;
        if !self.client.master_addresses.is_empty() {
            self.client.master_addresses.clone()
        } else if !masters.is_empty() {
            masters.iter().map(MasterAddress::rpc).collect()
        } else {
            vec![format!("{}:{}", self.master.hostname, self.master.rpc_port)]
        }
    }

    /// The configuration of the master that this node is, one of `goosefs.masters` if there are any:
    /// its name, host and ports are set.
    ///
    /// # Errors
    /// `InvalidArgument` when it cannot be told which one that is.
    pub fn for_master(&self) -> Result<Config> {
        let masters = &self.master.masters;
        if masters.0.is_empty() {
            return Ok(self.clone());
        }
        let mut hosts = vec![self.master.hostname.clone()];
        hosts.extend(["POD_NAME", "HOSTNAME"].iter().filter_map(|name| std::env::var(name).ok()));
        hosts.extend(host_name());
        let own = masters.own(&self.master.name, &hosts)?.clone();
        let mut config = self.clone();
        // Several may be on this host: each has its page beside its services.
        if self.get("goosefs.master.web.port")?.source == Source::Default {
            let page = own.rpc_port.saturating_add(1).to_string();
            config = config.and("goosefs.master.web.port", &page)?;
        }
        config
            .and("goosefs.master.name", &own.name)?
            .and("goosefs.master.hostname", &own.host)?
            .and("goosefs.master.rpc.port", &own.rpc_port.to_string())?
            .and("goosefs.master.embedded.journal.port", &own.journal_port.to_string())
    }
}

/// `master.rpc.port` → `goosefs.master.rpc.port`.
fn canonical(key: &str) -> String {
    if key.starts_with("goosefs.") { key.into() } else { format!("goosefs.{key}") }
}

fn unknown_key(key: &str) -> Error {
    let name = canonical(key);
    let near = all_settings()
        .map(|s| (strsim::damerau_levenshtein(s.name, &name), s.name))
        .min()
        .filter(|&(distance, _)| distance <= name.len() / 3)
        .map(|(_, near)| format!("; did you mean {near}?"))
        .unwrap_or_default();
    invalid_argument(format!("there is no setting {key}{near}"))
}

fn find_file(overrides: &Overrides) -> Result<Option<PathBuf>> {
    let named =
        overrides.file.clone().or_else(|| std::env::var_os("GOOSEFS_CONF").map(PathBuf::from));
    match named {
        Some(file) => Ok(Some(file)),
        None => Ok(SEARCH.iter().map(PathBuf::from).find(|path| Path::new(path).is_file())),
    }
}

/// Where a program of this user keeps its state.
fn state_home() -> String {
    if nix::unistd::geteuid().is_root() {
        return "/var/lib".into();
    }
    std::env::var("XDG_STATE_HOME").unwrap_or_else(|_| {
        format!("{}/.local/state", std::env::var("HOME").unwrap_or_else(|_| "/tmp".into()))
    })
}

/// The name of this host, as its kernel has it.
pub fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_string()).filter(|name| !name.is_empty())
}

/// The user this process runs as, by name where the environment tells it.
pub fn os_user() -> String {
    ["USER", "USERNAME", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| {
            if nix::unistd::geteuid().is_root() { "root".into() } else { "unknown".into() }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_valid_and_every_name_is_declared_once() {
        Config::with(&[]).unwrap();
        let mut names: Vec<_> = all_settings().map(|s| s.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for setting in all_settings() {
            assert!(setting.name.starts_with("goosefs."), "{}", setting.name);
            assert!(!setting.doc.is_empty(), "{}", setting.name);
        }
    }

    #[test]
    fn a_wrong_key_is_met_with_the_nearest_right_one() {
        let error = Config::with(&[("goosefs.master.rpc.prt", "1")]).unwrap_err().to_string();
        assert!(error.contains("did you mean goosefs.master.rpc.port?"), "{error}");
    }

    #[test]
    fn a_wrong_type_names_the_key_and_what_was_expected() {
        let error = Config::with(&[("master.rpc.port", "many")]).unwrap_err().to_string();
        assert!(error.contains("goosefs.master.rpc.port") && error.contains("a port"), "{error}");
    }

    #[test]
    fn impossible_combinations_are_refused() {
        let error = Config::with(&[("worker.watermark.low", "99%")]).unwrap_err().to_string();
        assert!(error.contains("must be below"), "{error}");
    }

    #[test]
    fn references_are_replaced() {
        let config = Config::with(&[("data.dir", "/x")]).unwrap();
        assert!(config.get("goosefs.master.journal.folder").unwrap().text.starts_with("/x/"));
        assert!(Config::with(&[("data.dir", "${goosefs.data.dir}")]).is_err());
    }

    #[test]
    fn connector_properties_pass_unchecked_and_without_their_prefix() {
        let config = Config::with(&[("goosefs.underfs.s3.endpoint", "http://x")]).unwrap();
        assert_eq!(config.ufs_properties()["s3.endpoint"], "http://x");
    }
}
