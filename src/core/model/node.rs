//! Files without bytes: pipes, sockets and devices, which the kernel of each host gives their meaning.
//!
//! The tree keeps one as an empty file with an attribute that says what it is. So it has a name,
//! owners and times as any other, whoever does not know the attribute sees an empty file, and no
//! under store ever hears of it.

use std::collections::BTreeMap;

/// The attribute that says what a file without bytes is.
pub const ATTRIBUTE: &str = "innerNode";

/// What kind of file without bytes it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A named pipe.
    Pipe,
    /// A local socket.
    Socket,
    /// A character device.
    Character,
    /// A block device.
    Block,
}

impl NodeKind {
    /// The kind that listings show by that letter.
    pub fn named(letter: &str) -> Option<Self> {
        match letter {
            "p" => Some(NodeKind::Pipe),
            "s" => Some(NodeKind::Socket),
            "c" => Some(NodeKind::Character),
            "b" => Some(NodeKind::Block),
            _ => None,
        }
    }
}

/// A file without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which kind.
    pub kind: NodeKind,
    /// The number of a device, as the kernel encodes it; 0 for anything else.
    pub device: u32,
}

impl Node {
    /// The node that those attributes make of a file; none for one that has bytes.
    pub fn of(xattrs: &BTreeMap<String, Vec<u8>>) -> Option<Node> {
        let (&kind, device) = xattrs.get(ATTRIBUTE)?.split_first()?;
        let kind = NodeKind::named(std::str::from_utf8(&[kind]).ok()?)?;
        Some(Node { kind, device: u32::from_be_bytes(device.try_into().ok()?) })
    }

    /// The attribute's value.
    pub fn value(&self) -> Vec<u8> {
        let mut value = vec![self.letter() as u8];
        value.extend_from_slice(&self.device.to_be_bytes());
        value
    }

    /// As listings show its kind.
    pub fn letter(&self) -> char {
        match self.kind {
            NodeKind::Pipe => 'p',
            NodeKind::Socket => 's',
            NodeKind::Character => 'c',
            NodeKind::Block => 'b',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_back_from_its_attribute_and_nothing_else_is_one() {
        for kind in [NodeKind::Pipe, NodeKind::Socket, NodeKind::Character, NodeKind::Block] {
            let node = Node { kind, device: 0x0103_0507 };
            assert_eq!(Node::of(&[(ATTRIBUTE.into(), node.value())].into()), Some(node));
        }
        assert_eq!(Node::of(&BTreeMap::new()), None);
        for damaged in [&b""[..], b"p", b"x\0\0\0\0", b"p\0\0\0"] {
            assert_eq!(Node::of(&[(ATTRIBUTE.into(), damaged.to_vec())].into()), None);
        }
    }
}
