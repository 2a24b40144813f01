//! The list of masters, the same on every node, and which of them a node is.

use super::settings::Value;
use crate::core::error::{Result, invalid_argument};
use std::collections::BTreeSet;

/// Where one master is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddress {
    /// Its name among the masters.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port of its gRPC services.
    pub rpc_port: u16,
    /// Port of its journal, between masters.
    pub journal_port: u16,
}

impl MasterAddress {
    /// `host:port` of its gRPC services.
    pub fn rpc(&self) -> String {
        format!("{}:{}", self.host, self.rpc_port)
    }

    /// `host:port` of its journal.
    pub fn journal(&self) -> String {
        format!("{}:{}", self.host, self.journal_port)
    }

    /// Reads `name=m0 host=h0 rpc_port=9200 journal_port=9202`; the ports have these defaults, and
    /// the host is the name's.
    ///
    /// # Errors
    /// `InvalidArgument`, saying what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            let example = "name=m0 host=h0 rpc_port=9200 journal_port=9202";
            invalid_argument(format!("{what}: write a master as {example}"))
        };
        let (mut name, mut host, mut rpc_port, mut journal_port) = (None, None, 9200, 9202);
        for part in text.split_whitespace() {
            let pair = part.split_once('=').filter(|(_, value)| !value.is_empty());
            let (key, value) = pair.ok_or_else(|| wrong(format!("{part:?} is no key=value")))?;
            match key {
                "name" => name = Some(value.to_string()),
                "host" => host = Some(value.to_string()),
                "rpc_port" => rpc_port = u16::read(value)?,
                "journal_port" => journal_port = u16::read(value)?,
                _ => return Err(wrong(format!("a master has no {key}"))),
            }
        }
        let name = name.or_else(|| host.clone());
        let name = name.ok_or_else(|| wrong(format!("{text:?} has neither name nor host")))?;
        if rpc_port == journal_port {
            return Err(wrong(format!("master {name} has port {rpc_port} twice")));
        }
        Ok(MasterAddress {
            host: host.unwrap_or_else(|| name.clone()),
            name,
            rpc_port,
            journal_port,
        })
    }
}

/// All masters of a cluster; empty where there is one that is configured by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masters(pub Vec<MasterAddress>);

impl Value for Masters {
    const KIND: &'static str = "list of masters";

    fn read(text: &str) -> Result<Self> {
        let items = Vec::<String>::read(text)?;
        let masters: Vec<_> =
            items.iter().map(|item| MasterAddress::parse(item)).collect::<Result<_>>()?;
        let count = masters.len();
        if count > 1 && count.is_multiple_of(2) {
            return Err(invalid_argument(format!(
                "{count} masters stand no more failures than {}: name an odd number",
                count - 1
            )));
        }
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for master in &masters {
            if !names.insert(&master.name) {
                return Err(invalid_argument(format!("two masters have the name {}", master.name)));
            }
            for address in [master.rpc(), master.journal()] {
                if !addresses.insert(address.clone()) {
                    return Err(invalid_argument(format!("two masters share the port {address}")));
                }
            }
        }
        Ok(Masters(masters))
    }
}

impl Masters {
    /// The entry of this node: the one called `name`, if there is a name; else the one that has
    /// one of `hosts` as its host or its name.
    ///
    /// # Errors
    /// `InvalidArgument` naming the masters when none is meant, or several are.
    pub fn own(&self, name: &str, hosts: &[String]) -> Result<&MasterAddress> {
        let names = || self.0.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
        if !name.is_empty() {
            return self.0.iter().find(|master| master.name == name).ok_or_else(|| {
                invalid_argument(format!("no master is called {name}: there are {}", names()))
            });
        }
        for host in hosts {
            let (host, short) = (host.as_str(), label(host));
            let is_host = |text: &str| text == host || label(text) == short;
            let by_name: Vec<_> =
                self.0.iter().filter(|m| m.name == host || m.name == short).collect();
            let by_host: Vec<_> = self.0.iter().filter(|master| is_host(&master.host)).collect();
            for found in [by_name, by_host] {
                match found[..] {
                    [own] => return Ok(own),
                    [] => {}
                    _ => break,
                }
            }
        }
        Err(invalid_argument(format!(
            "which master is this node, of {}? Say so with --name or goosefs.master.name",
            names()
        )))
    }
}

/// The first part of a host's name; all of an address.
fn label(host: &str) -> &str {
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => host,
        Err(_) => host.split('.').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str =
        "name=m0 host=a.net, name=m1 host=b.net rpc_port=9300, host=c.net journal_port=9400";

    #[test]
    fn masters_are_read_with_their_defaults() {
        let masters = Masters::read(THREE).unwrap().0;
        assert_eq!(
            (masters[0].rpc(), masters[0].journal()),
            ("a.net:9200".into(), "a.net:9202".into())
        );
        assert_eq!(masters[1].rpc(), "b.net:9300");
        assert_eq!((masters[2].name.as_str(), masters[2].journal_port), ("c.net", 9400));
    }

    #[test]
    fn what_could_not_agree_is_refused() {
        for (text, word) in [
            ("name=a,name=b", "odd"),
            ("name=a,name=a host=b,name=c", "name a"),
            ("name=a host=h,name=b host=h,name=c", "share the port h:9200"),
            ("name=a rpc_port=9202", "twice"),
            ("name=a port=1", "no port"),
            ("a", "key=value"),
            ("rpc_port=9", "neither"),
        ] {
            let error = Masters::read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_node_finds_itself() {
        let masters = Masters::read(THREE).unwrap();
        let own = |name: &str, hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            masters.own(name, &hosts).map(|own| own.name.clone()).map_err(|e| e.to_string())
        };
        assert_eq!(own("m1", &[]).unwrap(), "m1");
        assert_eq!(own("", &["x", "m0"]).unwrap(), "m0");
        assert_eq!(own("", &["b.net"]).unwrap(), "m1");
        assert_eq!(own("", &["a"]).unwrap(), "m0");
        assert!(own("m9", &[]).unwrap_err().contains("m0, m1, c.net"));
        assert!(own("", &["x"]).unwrap_err().contains("--name"));
    }
}
