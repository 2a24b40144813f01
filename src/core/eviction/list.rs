//! Lists of keys in one arena: every operation takes the same short time, and a key costs some fifty
//! bytes however many there are.

use std::collections::HashMap;

/// No node.
const NONE: u32 = u32::MAX;

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// The key.
    pub key: u64,
    /// What it weighs.
    pub bytes: u64,
    /// For the owner: which list it is in.
    pub list: u8,
    /// For the owner: how often it was asked for.
    pub asked: u8,
    newer: u32,
    older: u32,
}

/// A list of keys, from the oldest to the newest.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
    bytes: u64,
}

/// `LISTS` lists; a key is in one of them or in none.
#[derive(Debug)]
pub struct Lists<const LISTS: usize> {
    nodes: Vec<Node>,
    free: Vec<u32>,
    index: HashMap<u64, u32>,
    lists: [List; LISTS],
}

impl<const LISTS: usize> Default for Lists<LISTS> {
    fn default() -> Self {
        let empty = List { oldest: NONE, newest: NONE, bytes: 0 };
        Lists { nodes: Vec::new(), free: Vec::new(), index: HashMap::new(), lists: [empty; LISTS] }
    }
}

impl<const LISTS: usize> Lists<LISTS> {
    /// Keys in all lists.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// What the keys of a list weigh.
    pub fn bytes(&self, list: u8) -> u64 {
        self.lists[usize::from(list)].bytes
    }

    /// The list a key is in.
    pub fn list_of(&self, key: u64) -> Option<u8> {
        self.index.get(&key).map(|&at| self.nodes[at as usize].list)
    }

    /// What is known of a key.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut Node> {
        self.index.get(&key).map(|&at| &mut self.nodes[at as usize])
    }

    /// Puts a key at the newest end of a list; takes it from where it was.
    pub fn push(&mut self, list: u8, key: u64, bytes: u64) {
        self.remove(key);
        let older = self.lists[usize::from(list)].newest;
        self.link(Node { key, bytes, list, asked: 0, newer: NONE, older });
    }

    /// Puts a key at the oldest end of a list; takes it from where it was.
    pub fn push_oldest(&mut self, list: u8, key: u64, bytes: u64) {
        self.remove(key);
        let newer = self.lists[usize::from(list)].oldest;
        self.link(Node { key, bytes, list, asked: 0, newer, older: NONE });
    }

    /// Puts a node between its neighbours, of which at most one is there.
    fn link(&mut self, node: Node) {
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.index.insert(node.key, at);
        let list = &mut self.lists[usize::from(node.list)];
        list.bytes += node.bytes;
        match node.older {
            NONE => list.oldest = at,
            older => self.nodes[older as usize].newer = at,
        }
        match node.newer {
            NONE => list.newest = at,
            newer => self.nodes[newer as usize].older = at,
        }
    }

    /// Sets what a key weighs.
    pub fn resize(&mut self, key: u64, bytes: u64) {
        let Some(&at) = self.index.get(&key) else { return };
        let node = &mut self.nodes[at as usize];
        let list = &mut self.lists[usize::from(node.list)];
        list.bytes = list.bytes - node.bytes + bytes;
        node.bytes = bytes;
    }

    /// Takes a key out of its list.
    pub fn remove(&mut self, key: u64) -> Option<Node> {
        let at = self.index.remove(&key)?;
        let node = self.nodes[at as usize];
        let list = &mut self.lists[usize::from(node.list)];
        list.bytes -= node.bytes;
        match node.older {
            NONE => list.oldest = node.newer,
            older => self.nodes[older as usize].newer = node.newer,
        }
        match node.newer {
            NONE => self.lists[usize::from(node.list)].newest = node.older,
            newer => self.nodes[newer as usize].older = node.older,
        }
        self.free.push(at);
        Some(node)
    }

    /// Takes the oldest key out of a list.
    pub fn pop(&mut self, list: u8) -> Option<Node> {
        match self.lists[usize::from(list)].oldest {
            NONE => None,
            at => self.remove(self.nodes[at as usize].key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_leave_in_the_order_they_came_and_each_is_in_one_list() {
        let mut lists = Lists::<2>::default();
        (0..5).for_each(|key| lists.push(0, key, 10));
        lists.push(1, 2, 7);
        lists.remove(0);
        lists.resize(3, 1);
        assert_eq!((lists.bytes(0), lists.bytes(1), lists.len()), (21, 7, 4));
        let order: Vec<u64> = std::iter::from_fn(|| lists.pop(0)).map(|node| node.key).collect();
        assert_eq!(order, [1, 3, 4]);
        lists.push(0, 9, 1);
        assert_eq!((lists.pop(0).unwrap().key, lists.pop(1).unwrap().key), (9, 2));
        assert!(lists.pop(0).is_none() && lists.len() == 0 && lists.nodes.len() == 5);
        [7, 8].into_iter().for_each(|key| lists.push_oldest(0, key, 1));
        lists.push(0, 9, 1);
        lists.push_oldest(0, 9, 1);
        let order: Vec<u64> = std::iter::from_fn(|| lists.pop(0)).map(|node| node.key).collect();
        assert_eq!((order, lists.bytes(0)), (vec![9, 8, 7], 0));
    }
}
