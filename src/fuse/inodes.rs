//! Inode numbers ↔ paths, and what is known of each.
//!
//! A number is derived from the file's id, so it is the same in every mount and after a restart, and
//! is never reused: a file that is replaced has another number. Only one that is replaced through this
//! mount keeps the number it had, for as long as the kernel knows it: whoever has it open goes on with
//! what was written, as on a local disk. A node knows its parent and its name
//! there, and a path is made by walking up, so that renaming a directory changes one node.
//!
//! What a node knows of its file (`Known`), and what a directory was listed to hold, is trusted until
//! it expires or the master tells of a change. A change that arrives while an answer is on its way
//! could be older or newer than the answer: every fetch takes a [`Ticket`] first, and what comes back
//! under an outdated ticket is used once and not kept.
//!
//! Nodes that the kernel holds (`lookups`) must stay; what is kept beyond that is bounded by `limit`.

use super::errno::Errno;
use crate::core::model::path::{MAX_NAME, MAX_PATH};
use crate::core::model::{FileId, FsPath, Status};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The mounted directory itself.
pub const ROOT: u64 = 1;
/// Numbers below this are the root and the two entries every directory has.
const FIRST: u64 = 3;
/// Numbers above this are of no file's id.
const RENUMBERED: u64 = 1 << 62;
/// A full table looks for expired nodes no more often than this.
const SWEEP: Duration = Duration::from_secs(1);
/// Entries looked at for the next directory.
const SEARCHED: usize = 64;
/// How long what was known of a deleted file is kept while it is open.
const DELETED: Duration = Duration::from_secs(365 * 24 * 3600);

/// What is known of a file: its status and the owner's numbers on this host.
#[derive(Debug, Default)]
pub struct Known {
    /// As the master has it.
    pub status: Status,
    /// Number of the owning user.
    pub uid: u32,
    /// Number of the owning group.
    pub gid: u32,
}

/// A node as an operation needs it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its number.
    pub ino: u64,
    /// What is known of it.
    pub known: Arc<Known>,
    /// How long that may be trusted.
    pub trusted: Duration,
}

/// One entry of a directory.
#[derive(Debug)]
pub struct Listed {
    /// Its number, which is also the place in the listing: entries are in this order, so that a
    /// reader who comes back finds its place whatever came and went.
    pub ino: u64,
    /// Its name.
    pub name: Arc<str>,
    /// What is known of it.
    pub known: Arc<Known>,
}

/// A directory's entries, in the order of their numbers.
#[derive(Debug)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Listed>,
    expires: Instant,
}

impl Listing {
    /// How long it may be trusted.
    pub fn trusted(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// The entries after the one numbered `ino`.
    pub fn after(&self, ino: u64) -> &[Listed] {
        &self.entries[self.entries.partition_point(|entry| entry.ino <= ino)..]
    }
}

/// The state of the tree before a fetch.
#[derive(Clone, Copy, Debug)]
pub struct Ticket(u64);

/// What a name in a directory stands for, as far as this process knows.
#[derive(Debug)]
pub enum Child {
    /// This.
    Fresh(Found),
    /// Nothing: a fresh listing does not have it.
    Absent,
    /// Ask the master.
    Unknown,
}

/// Something the kernel must not trust any more.
#[derive(Debug, PartialEq, Eq)]
pub enum Stale {
    /// The attributes of an inode.
    Inode(u64),
    /// The attributes and the entries of a directory.
    Listing(u64),
    /// A name in a directory.
    Name(u64, Arc<str>),
}

/// All inodes of one mount.
#[derive(Debug)]
pub struct Inodes {
    root: FsPath,
    keep: Duration,
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    nodes: HashMap<u64, Node, BuildHasherDefault<NumberHasher>>,
    /// Numbers of files that have one other than their id says, by that one.
    aliases: HashMap<u64, u64>,
    /// The last number that was given to no file's id.
    renumbered: u64,
    /// Counts changes that the master told of.
    changes: u64,
    /// Nodes with something known.
    known: usize,
    /// Entries in all listings.
    listed: usize,
    /// When what has expired was last looked for.
    swept: Option<Instant>,
}

/// Spreads inode numbers. The master counts them up, so nobody can choose many that collide.
#[derive(Debug, Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // The table takes its place from the low bits and its marks from the high ones.
        let product = u128::from(self.0 ^ number) * 0x9E37_79B9_7F4A_7C15_u128;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
struct Node {
    parent: u64,
    name: Arc<str>,
    /// The number that the file's id says, if it is another: 0 for none.
    natural: u64,
    /// Whether `parent` and `name` lead here; not after the file was deleted or replaced.
    linked: bool,
    /// References the kernel holds.
    lookups: u64,
    known: Option<(Arc<Known>, Instant)>,
    directory: Option<Box<Directory>>,
}

#[derive(Debug, Default)]
struct Directory {
    names: HashMap<Arc<str>, u64>,
    listing: Option<Arc<Listing>>,
    /// Until when the kernel may show the listing it has cached.
    shown: Option<Instant>,
}

/// The number of the file with that id.
pub fn number(id: FileId) -> u64 {
    (id.container() & ((1 << 40) - 1)) + FIRST
}

impl Inodes {
    /// The inodes below `root`; what is learned is kept for `keep`, of at most `limit` files.
    pub fn new(root: FsPath, keep: Duration, limit: usize) -> Self {
        let top = Node::new(ROOT, "".into());
        let table = Table { nodes: [(ROOT, top)].into_iter().collect(), ..Table::default() };
        Inodes { root, keep, limit, table: Mutex::new(table) }
    }

    /// To be taken before something is fetched.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.table.lock().changes)
    }

    /// What is known of `ino`, if it may be trusted.
    pub fn known(&self, ino: u64) -> Option<Found> {
        let table = self.table.lock();
        table.nodes.get(&ino).filter(|node| node.linked)?.found(ino, Instant::now())
    }

    /// What was known last of `ino`, if it was deleted and is still open.
    pub fn deleted(&self, ino: u64) -> Option<Found> {
        let table = self.table.lock();
        table.nodes.get(&ino).filter(|node| !node.linked)?.found(ino, Instant::now())
    }

    /// What `name` in `parent` stands for; the kernel then holds one more reference to it.
    pub fn child(&self, parent: u64, name: &str) -> Child {
        let now = Instant::now();
        let mut table = self.table.lock();
        let Some(directory) = table.nodes.get(&parent).and_then(|node| node.directory.as_deref())
        else {
            return Child::Unknown;
        };
        let listed = directory.listing.as_ref().is_some_and(|listing| listing.expires > now);
        match directory.names.get(name).copied() {
            None if listed => Child::Absent,
            None => Child::Unknown,
            Some(ino) => {
                let Some(node) = table.nodes.get_mut(&ino) else { return Child::Unknown };
                match node.found(ino, now) {
                    Some(found) => {
                        node.lookups += 1;
                        Child::Fresh(found)
                    }
                    None => Child::Unknown,
                }
            }
        }
    }

    /// The entries of the directory `ino`, if they may be trusted.
    pub fn listing(&self, ino: u64) -> Option<Arc<Listing>> {
        let table = self.table.lock();
        let listing = table.nodes.get(&ino)?.directory.as_ref()?.listing.as_ref()?;
        (listing.expires > Instant::now()).then(|| listing.clone())
    }

    /// Of the `count` directories that are listed next after `ino` in `parent`, those whose own
    /// listing is not here; none when there is little room for more.
    pub fn unlisted_after(&self, parent: u64, ino: u64, count: usize) -> Vec<u64> {
        let Some(listing) = self.listing(parent) else { return Vec::new() };
        let table = self.table.lock();
        // What comes early must not push out what is being read.
        if table.listed > self.limit / 4 * 3 {
            return Vec::new();
        }
        let now = Instant::now();
        let fresh = |ino: u64| {
            let directory = table.nodes.get(&ino).and_then(|node| node.directory.as_ref());
            let listing = directory.and_then(|directory| directory.listing.as_ref());
            listing.is_some_and(|listing| listing.expires > now)
        };
        // A directory among many files is not looked for without end.
        let next = listing.after(ino).iter().take(SEARCHED);
        let directories = next.filter(|entry| entry.known.status.folder).take(count);
        directories.map(|entry| entry.ino).filter(|&ino| !fresh(ino)).collect()
    }

    /// Keeps what was fetched of the mounted directory itself.
    pub fn place_root(&self, known: Known, ticket: Ticket) -> Found {
        let mut table = self.table.lock();
        self.learn(&mut table, ROOT, Arc::new(known), ticket)
    }

    /// Keeps what was fetched of `name` in `parent`; the kernel then holds `lookups` more
    /// references to it.
    pub fn place(
        &self,
        (parent, name): (u64, &str),
        known: Known,
        ticket: Ticket,
        lookups: u64,
    ) -> Found {
        let mut table = self.table.lock();
        let ino = table.number_of(known.status.id);
        table.link(parent, name.into(), ino);
        let found = self.learn(&mut table, ino, Arc::new(known), ticket);
        if let Some(node) = table.nodes.get_mut(&ino) {
            node.lookups += lookups;
        }
        found
    }

    /// Keeps what the directory `parent` was listed to hold.
    pub fn place_listing(&self, parent: u64, children: Vec<Known>, ticket: Ticket) -> Arc<Listing> {
        let mut table = self.table.lock();
        if let Some(directory) = table.nodes.get_mut(&parent).map(Node::directory) {
            directory.names.reserve(children.len().saturating_sub(directory.names.len()));
        }
        table.nodes.reserve(children.len());
        let mut entries: Vec<Listed> = children
            .into_iter()
            .map(|known| {
                let ino = table.number_of(known.status.id);
                let name = Arc::<str>::from(known.status.name());
                let known = Arc::new(known);
                table.link(parent, name.clone(), ino);
                self.learn(&mut table, ino, known.clone(), ticket);
                Listed { ino, name, known }
            })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.ino);
        let current = table.changes == ticket.0;
        let keep = if current { self.keep } else { Duration::ZERO };
        let listing = Arc::new(Listing { entries, expires: Instant::now() + keep });
        if current {
            if table.listed + listing.entries.len() > self.limit {
                table.drop_listings();
            }
            table.listed += listing.entries.len();
            if let Some(directory) = table.nodes.get_mut(&parent).map(Node::directory) {
                directory.shown = Some(listing.expires);
                let old = directory.listing.replace(listing.clone());
                table.listed -= old.map_or(0, |old| old.entries.len());
            }
        }
        listing
    }

    fn learn(&self, table: &mut Table, ino: u64, known: Arc<Known>, ticket: Ticket) -> Found {
        let now = Instant::now();
        let current = table.changes == ticket.0;
        let due = table.swept.is_none_or(|swept| now - swept > SWEEP);
        if table.known >= self.limit && due {
            table.drop_expired(now);
        }
        let room = table.known < self.limit;
        let Some(node) = table.nodes.get_mut(&ino) else {
            return Found { ino, known, trusted: Duration::ZERO };
        };
        let had = node.known.is_some();
        node.known = (current && (room || had)).then(|| (known.clone(), now + self.keep));
        let has = node.known.is_some();
        table.known = table.known + usize::from(has) - usize::from(had);
        Found { ino, known, trusted: if current { self.keep } else { Duration::ZERO } }
    }

    /// The kernel takes an entry of a listing of `parent` and holds one more reference to it. Answers
    /// what was learned since it was listed; none when the name stands for something else now.
    pub fn enter(&self, parent: u64, listed: &Listed) -> Option<Option<Found>> {
        let mut table = self.table.lock();
        match table.names(parent).and_then(|names| names.get(&listed.name).copied()) {
            Some(ino) if ino == listed.ino => {}
            Some(_) => return None,
            None => table.link(parent, listed.name.clone(), listed.ino),
        }
        let node = table.nodes.get_mut(&listed.ino)?;
        node.lookups += 1;
        Some(node.found(listed.ino, Instant::now()))
    }

    /// The kernel gives up `lookups` references to `ino`. Says whether those were the last.
    pub fn forget(&self, ino: u64, lookups: u64) -> bool {
        let mut table = self.table.lock();
        let Some(node) = table.nodes.get_mut(&ino) else { return true };
        node.lookups = node.lookups.saturating_sub(lookups);
        let forgotten = node.lookups == 0;
        let idle = node.lookups == 0 && ino != ROOT;
        if idle && (!node.linked || table.nodes.len() > self.limit) {
            table.remove(ino);
        }
        forgotten
    }

    /// The path of `ino`.
    ///
    /// # Errors
    /// `ESTALE` when it was deleted or replaced.
    pub fn path(&self, ino: u64) -> Result<FsPath, Errno> {
        self.path_with(ino, None)
    }

    /// The path of `name` in the directory `parent`.
    ///
    /// # Errors
    /// `ENAMETOOLONG`; `EINVAL` for what is no name; `ESTALE` when `parent` is gone.
    pub fn path_of(&self, parent: u64, name: &str) -> Result<FsPath, Errno> {
        if name.len() > MAX_NAME {
            return Err(Errno::NAME_TOO_LONG);
        }
        self.path_with(parent, Some(name))
    }

    fn path_with(&self, ino: u64, last: Option<&str>) -> Result<FsPath, Errno> {
        let mut names: Vec<Arc<str>> = last.map(Arc::from).into_iter().collect();
        let table = self.table.lock();
        let mut at = ino;
        while at != ROOT {
            let node = table.nodes.get(&at).filter(|node| node.linked).ok_or(Errno::STALE)?;
            names.push(node.name.clone());
            at = node.parent;
        }
        drop(table);
        let mut path = self.root.as_str().trim_end_matches('/').to_string();
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        if path.is_empty() {
            return Ok(FsPath::root());
        }
        if path.len() > MAX_PATH {
            return Err(Errno::NAME_TOO_LONG);
        }
        FsPath::parse(&path).map_err(Errno::from)
    }

    /// The directory that `ino` is in; the root for the root.
    pub fn parent(&self, ino: u64) -> u64 {
        self.table.lock().nodes.get(&ino).map_or(ROOT, |node| node.parent)
    }

    /// The master says that `path` changed, with all below it if `subtree`. Answers what the kernel
    /// has to drop.
    pub fn changed(&self, path: &FsPath, subtree: bool) -> Vec<Stale> {
        let mut table = self.table.lock();
        table.changes += 1;
        let mut stale = Vec::new();
        let Some(below) = path.relative_to(&self.root) else {
            // A change above the mounted directory reaches it only with its subtree.
            if subtree && self.root.starts_with(path) {
                table.doubt_below(ROOT, &mut stale);
            }
            return stale;
        };
        let mut at = ROOT;
        let mut names = below.split('/').filter(|name| !name.is_empty()).peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                table.doubt(at, &mut stale);
                stale.push(Stale::Name(at, name.into()));
            }
            let directory = table.nodes.get(&at).and_then(|node| node.directory.as_deref());
            let Some(&next) = directory.and_then(|d| d.names.get(name)) else { return stale };
            at = next;
        }
        if subtree {
            table.doubt_below(at, &mut stale);
        } else {
            table.doubt(at, &mut stale);
        }
        stale
    }

    /// Nothing may be trusted any more: changes were missed. Answers what the kernel has to drop.
    pub fn doubt_all(&self) -> Vec<Stale> {
        let mut table = self.table.lock();
        table.changes += 1;
        let mut stale = Vec::new();
        table.doubt_below(ROOT, &mut stale);
        stale
    }

    /// The number of `name` in `parent`, if it is known.
    pub fn number_at(&self, parent: u64, name: &str) -> Option<u64> {
        self.table.lock().names(parent)?.get(name).copied()
    }

    /// Whether the kernel knows `ino`, and so may have it open.
    pub fn is_held(&self, ino: u64) -> bool {
        self.table.lock().nodes.get(&ino).is_some_and(|node| node.lookups > 0)
    }

    /// The master knows of no `name` in `parent`.
    pub fn vanished(&self, parent: u64, name: &str) {
        self.table.lock().unlink(parent, name);
    }

    /// The file with `id` is what `ino` is from now on: it was made in its place through this mount.
    pub fn published(&self, ino: u64, id: FileId) {
        let mut table = self.table.lock();
        table.changes += 1;
        table.name_after(ino, number(id));
        table.doubt(ino, &mut Vec::new());
        if let Some(parent) = table.nodes.get(&ino).map(|node| node.parent) {
            table.drop_listing(parent);
        }
    }

    /// The number of the file with that id.
    pub fn number_of(&self, id: FileId) -> u64 {
        self.table.lock().number_of(id)
    }

    /// Whether `ino` stands for the version with that id.
    pub fn is_version(&self, ino: u64, id: FileId) -> bool {
        let table = self.table.lock();
        let natural = table.nodes.get(&ino).map_or(0, |node| node.natural);
        number(id) == if natural == 0 { ino } else { natural }
    }

    /// Another number for the file that is `ino`: whoever has `ino` open keeps what
    /// they opened, and whoever opens its name from now on gets the new number, which is answered.
    pub fn renumber(&self, ino: u64) -> Option<u64> {
        let mut table = self.table.lock();
        table.changes += 1;
        let node = table.nodes.get(&ino).filter(|node| node.linked)?;
        let natural = if node.natural == 0 { ino } else { node.natural };
        let (parent, name) = (node.parent, node.name.clone());
        table.unlink(parent, &name);
        table.renumbered += 1;
        let new = RENUMBERED + table.renumbered;
        table.link(parent, name, new);
        table.name_after(new, natural);
        table.drop_listing(parent);
        Some(new)
    }

    /// `name` in `parent` was deleted through this mount.
    pub fn removed(&self, parent: u64, name: &str) {
        let mut table = self.table.lock();
        table.changes += 1;
        table.unlink(parent, name);
        table.doubt(parent, &mut Vec::new());
    }

    /// `ino`, of which this is known, was deleted or replaced through this mount: whoever has it open is
    /// told so, whatever was pushed meanwhile.
    pub fn departed(&self, ino: u64, known: Arc<Known>) {
        let mut table = self.table.lock();
        let Some(node) = table.nodes.get_mut(&ino).filter(|node| !node.linked) else { return };
        let had = node.known.replace((known, Instant::now() + DELETED)).is_some();
        table.known += usize::from(!had);
    }

    /// `from` was renamed to `to` through this mount, replacing what was there.
    pub fn renamed(&self, from: (u64, &str), to: (u64, &str)) {
        let mut table = self.table.lock();
        table.changes += 1;
        let moved = table.names(from.0).and_then(|names| names.get(from.1).copied());
        table.unlink(to.0, to.1);
        table.unlink(from.0, from.1);
        if let Some(ino) = moved {
            table.link(to.0, to.1.into(), ino);
            // What is below has other paths now, here and in the under store.
            table.doubt_below(ino, &mut Vec::new());
        }
        table.doubt(from.0, &mut Vec::new());
        table.doubt(to.0, &mut Vec::new());
    }

    /// `ino` was changed through this mount.
    pub fn touched(&self, ino: u64) {
        let mut table = self.table.lock();
        table.changes += 1;
        table.doubt(ino, &mut Vec::new());
        if let Some(parent) = table.nodes.get(&ino).map(|node| node.parent) {
            table.drop_listing(parent);
        }
    }

    /// Drops what has expired and what nobody holds. Answers the directories that the kernel, which
    /// caches listings without an end, must not show any longer.
    pub fn sweep(&self) -> Vec<Stale> {
        let now = Instant::now();
        let mut table = self.table.lock();
        table.drop_expired(now);
        let mut stale = Vec::new();
        for (&ino, node) in &mut table.nodes {
            let Some(directory) = &mut node.directory else { continue };
            if directory.shown.is_some_and(|until| until <= now) {
                directory.shown = None;
                stale.push(Stale::Listing(ino));
            }
        }
        loop {
            let idle: Vec<u64> = table
                .nodes
                .iter()
                .filter(|&(&ino, node)| ino != ROOT && node.is_idle())
                .map(|(&ino, _)| ino)
                .collect();
            // A directory is idle once its children are gone.
            if idle.is_empty() {
                break;
            }
            idle.into_iter().for_each(|ino| table.remove(ino));
        }
        stale
    }
}

impl Node {
    fn new(parent: u64, name: Arc<str>) -> Self {
        Node { parent, name, natural: 0, linked: true, lookups: 0, known: None, directory: None }
    }

    fn found(&self, ino: u64, now: Instant) -> Option<Found> {
        let (known, expires) = self.known.as_ref()?;
        let trusted = expires.saturating_duration_since(now);
        (!trusted.is_zero()).then(|| Found { ino, known: known.clone(), trusted })
    }

    fn directory(&mut self) -> &mut Directory {
        self.directory.get_or_insert_default()
    }

    fn is_idle(&self) -> bool {
        let empty = self.directory.as_ref().is_none_or(|d| d.names.is_empty() && d.shown.is_none());
        self.lookups == 0 && self.known.is_none() && empty
    }
}

impl Table {
    fn names(&self, directory: u64) -> Option<&HashMap<Arc<str>, u64>> {
        Some(&self.nodes.get(&directory)?.directory.as_ref()?.names)
    }

    /// The number of the file with that id.
    fn number_of(&self, id: FileId) -> u64 {
        let natural = number(id);
        self.aliases.get(&natural).copied().unwrap_or(natural)
    }

    /// `ino` is the number of the file whose own would be `natural`.
    fn name_after(&mut self, ino: u64, natural: u64) {
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        let before = std::mem::replace(&mut node.natural, natural);
        self.aliases.remove(&before);
        if natural != ino {
            self.aliases.insert(natural, ino);
        }
    }

    /// Makes `name` in `parent` stand for `ino`, wherever that was before.
    fn link(&mut self, parent: u64, name: Arc<str>, ino: u64) {
        if let Some(node) = self.nodes.get(&ino) {
            if node.linked && node.parent == parent && node.name == name {
                return;
            }
            let (old_parent, old_name) = (node.parent, node.name.clone());
            if node.linked
                && let Some(directory) = self.nodes.get_mut(&old_parent).map(Node::directory)
            {
                // It stays what it is, whether anybody holds it or not.
                directory.names.remove(&old_name);
            }
            // What is known of it says where it was.
            self.unlearn(ino);
        }
        self.unlink(parent, &name);
        let Some(directory) = self.nodes.get_mut(&parent).map(Node::directory) else { return };
        directory.names.insert(name.clone(), ino);
        let node = self.nodes.entry(ino).or_insert_with(|| Node::new(parent, name.clone()));
        (node.parent, node.name, node.linked) = (parent, name, true);
    }

    /// `name` in `parent` stands for nothing any more.
    fn unlink(&mut self, parent: u64, name: &str) {
        let Some(directory) = self.nodes.get_mut(&parent).map(Node::directory) else { return };
        let Some(ino) = directory.names.remove(name) else { return };
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        node.linked = false;
        if let Some((_, expires)) = &mut node.known {
            // For those who have it open: nothing about it will change any more.
            *expires = Instant::now() + DELETED;
        }
        if node.lookups == 0 && node.directory.is_none() {
            self.remove(ino);
        }
    }

    fn unlearn(&mut self, ino: u64) {
        let known = self.nodes.get_mut(&ino).and_then(|node| node.known.take());
        self.known -= usize::from(known.is_some());
    }

    fn remove(&mut self, ino: u64) {
        if self
            .nodes
            .get(&ino)
            .is_some_and(|n| n.directory.as_ref().is_some_and(|d| !d.names.is_empty()))
        {
            // Its children need it to know their path.
            return;
        }
        self.drop_listing(ino);
        let Some(node) = self.nodes.remove(&ino) else { return };
        if self.aliases.get(&node.natural) == Some(&ino) {
            self.aliases.remove(&node.natural);
        }
        self.known -= usize::from(node.known.is_some());
        if node.linked
            && let Some(directory) = self.nodes.get_mut(&node.parent).map(Node::directory)
        {
            directory.names.remove(&node.name);
        }
    }

    fn doubt(&mut self, ino: u64, stale: &mut Vec<Stale>) {
        self.drop_listing(ino);
        let Some(node) = self.nodes.get(&ino).filter(|node| node.linked) else { return };
        stale.push(match node.directory {
            Some(_) => Stale::Listing(ino),
            None => Stale::Inode(ino),
        });
        self.unlearn(ino);
    }

    fn doubt_below(&mut self, top: u64, stale: &mut Vec<Stale>) {
        let mut todo = vec![top];
        while let Some(ino) = todo.pop() {
            self.doubt(ino, stale);
            for (name, &child) in self.names(ino).into_iter().flatten() {
                stale.push(Stale::Name(ino, name.clone()));
                todo.push(child);
            }
        }
    }

    fn drop_listing(&mut self, ino: u64) {
        let directory = self.nodes.get_mut(&ino).and_then(|node| node.directory.as_mut());
        if let Some(listing) = directory.and_then(|d| d.listing.take()) {
            self.listed -= listing.entries.len();
        }
    }

    fn drop_listings(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(directory) = &mut node.directory {
                directory.listing = None;
            }
        }
        self.listed = 0;
    }

    fn drop_expired(&mut self, now: Instant) {
        self.swept = Some(now);
        for node in self.nodes.values_mut() {
            if node.known.as_ref().is_some_and(|(_, expires)| *expires <= now) {
                node.known = None;
                self.known -= 1;
            }
            if let Some(directory) = &mut node.directory
                && directory.listing.as_ref().is_some_and(|listing| listing.expires <= now)
            {
                let entries = directory.listing.take().map_or(0, |listing| listing.entries.len());
                self.listed -= entries;
            }
        }
    }
}

#[cfg(test)]
mod tests;
