//! A network that can be cut: every node in a network namespace of its own, all on one bridge, and
//! this process on it too. What is cut is lost without a word, in one direction: the sender is told
//! that the receiver has a hardware address that nobody has.

use std::process::Command;

/// Nobody's hardware address.
const NOBODY: &str = "02:00:00:00:00:01";

/// The network. It goes when it is dropped, with whatever was left in it.
pub struct Network {
    /// Tells this network from others on the machine.
    number: u8,
    nodes: usize,
}

/// One that sends or receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This process, and all that is in no namespace.
    Here,
    /// The node of that number.
    Node(usize),
}

/// Runs `ip` with these words; what it complained of, if it did.
fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|error| format!("ip (iproute2): {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Network {
    /// For that many nodes. None, said loudly, where there can be no namespaces.
    pub fn new(nodes: usize) -> Option<Network> {
        let made = Self::claim().and_then(|number| {
            let network = Network { number, nodes };
            network.join_all().map(|()| network)
        });
        if let Err(error) = &made {
            eprintln!("SKIPPED: no partitions: {error}; run as root, with iproute2");
        }
        made.ok()
    }

    /// The number of a network that nobody else on the machine has.
    fn claim() -> Result<u8, String> {
        let taken = |made: &Result<(), String>| made.as_ref().is_err_and(|e| e.contains("exists"));
        let mut claims = (1..=250).map(|n| (n, ip(&format!("link add gfs{n} type bridge"))));
        let claim = claims.find(|(_, made)| !taken(made));
        let (number, made) = claim.ok_or("250 networks are there already")?;
        made.map(|()| number)
    }

    fn join_all(&self) -> Result<(), String> {
        let number = self.number;
        ip(&format!("addr add {}/24 dev gfs{number}", self.here()))?;
        ip(&format!("link set gfs{number} up"))?;
        for node in 0..self.nodes {
            let (space, outer) = (self.namespace(node), format!("gfs{number}v{node}"));
            ip(&format!("netns add {space}"))?;
            ip(&format!("link add {outer} type veth peer name eth0 netns {space}"))?;
            ip(&format!("link set {outer} master gfs{number} up"))?;
            ip(&format!("-n {space} addr add {}/24 dev eth0", self.address(node)))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(())
    }

    /// The address of this process.
    pub fn here(&self) -> String {
        format!("10.213.{}.254", self.number)
    }

    /// The address of a node.
    pub fn address(&self, node: usize) -> String {
        format!("10.213.{}.{}", self.number, node + 1)
    }

    /// The namespace of a node.
    pub fn namespace(&self, node: usize) -> String {
        format!("gfs{}n{node}", self.number)
    }

    /// How `end` is addressed, and which words make `ip` speak for it.
    fn of(&self, end: End) -> (String, String, String) {
        match end {
            End::Here => (self.here(), String::new(), format!("gfs{}", self.number)),
            End::Node(node) => {
                (self.address(node), format!("-n {} ", self.namespace(node)), "eth0".into())
            }
        }
    }

    /// What `from` sends to `to` is lost from now on.
    pub fn cut(&self, from: End, to: End) {
        let (address, ..) = self.of(to);
        let (_, space, device) = self.of(from);
        ip(&format!("{space}neigh replace {address} lladdr {NOBODY} dev {device} nud permanent"))
            .unwrap();
    }

    /// What `from` sends to `to` arrives again.
    pub fn mend(&self, from: End, to: End) {
        let (address, ..) = self.of(to);
        let (_, space, device) = self.of(from);
        ip(&format!("{space}neigh del {address} dev {device}")).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for node in 0..self.nodes {
            // A namespace takes its end of a link with it, but only after a while.
            ip(&format!("link del gfs{}v{node}", self.number)).ok();
            ip(&format!("netns del {}", self.namespace(node))).ok();
        }
        ip(&format!("link del gfs{}", self.number)).ok();
    }
}
