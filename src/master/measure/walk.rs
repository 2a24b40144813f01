//! The walk over the inodes that are measured: off the runtime's threads, a page at a time.

use super::Split;
use crate::core::error::{Error, ErrorKind, Result, resource_exhausted};
use crate::core::model::{BlockId, FsPath, PersistenceState, Ring, Status, Sums, WorkerId, block};
use crate::core::proto::convert::MOST_BLOCKS;
use crate::master::file_system::{Caller, FileSystem};
use crate::master::inode::Inode;
use crate::master::sync::Freshness;
use crate::master::workers::Registry;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Inodes in a page.
const PAGE: usize = 10_000;
/// Directories with sums of their own, at most.
const MOST_GROUPS: usize = 20_000;
/// Blocks asked about at once.
const BATCH: usize = MOST_BLOCKS / 2;

/// A block somebody is to be asked about.
pub(super) struct Wanted {
    pub id: BlockId,
    pub length: u64,
    /// Whose sum it belongs to.
    pub group: usize,
}

/// Blocks, and who is asked about which of them.
#[derive(Default)]
pub(super) struct Batch {
    pub blocks: Vec<Wanted>,
    pub questions: HashMap<WorkerId, Vec<usize>>,
}

impl Batch {
    /// Asks about a block its owners, and those that are known to hold it.
    pub fn want(
        &mut self,
        ring: &Ring,
        block: Wanted,
        copies: usize,
        known: impl Iterator<Item = WorkerId>,
    ) {
        let owners = ring.owners(block.id, copies, |_| false);
        for worker in owners.iter().map(|owner| owner.id).chain(known) {
            self.questions.entry(worker).or_default().push(self.blocks.len());
        }
        self.blocks.push(block);
    }
}

/// What has a sum of its own.
pub(super) struct Group {
    pub path: FsPath,
    /// The group it is in; its own index for the first.
    pub above: usize,
    pub sums: Sums,
}

/// What the walk found.
pub(super) struct Groups {
    pub groups: Vec<Group>,
    pub unread: u64,
}

/// See the module.
pub(super) struct Walker {
    files: FileSystem,
    ring: Arc<Ring>,
    copies: u32,
    enters: Box<dyn Fn(&Inode) -> bool + Send>,
    freshness: Freshness,
}

/// A directory that is being walked.
struct Open {
    path: FsPath,
    inode: Arc<Inode>,
    depth: u32,
    group: usize,
    after: Option<String>,
}

impl Walker {
    /// A walk over what the caller may see.
    pub fn new(files: &FileSystem, caller: &Caller, workers: &Registry) -> Self {
        Walker {
            files: files.clone(),
            ring: workers.ring(),
            copies: files.config().client.replicas,
            enters: Box::new(files.entry_of(caller)),
            freshness: Freshness::Known,
        }
    }

    /// The same without a look at under stores.
    pub fn of_what_is_here(self) -> Self {
        Walker { freshness: Freshness::Here, ..self }
    }

    /// Walks `top`, sending what workers are to be asked about. Waits for the disk, for who takes the
    /// batches, and for under stores. Ends early when nobody takes them any more.
    pub fn walk(self, top: &FsPath, split: Split, out: &mpsc::Sender<Batch>) -> Result<Groups> {
        let inode = self.files.state().inode(top)?;
        let first = Group { path: top.clone(), above: 0, sums: Sums::default() };
        let mut walk = Walk {
            walker: self,
            split,
            out,
            batch: Batch::default(),
            groups: vec![first],
            unread: 0,
        };
        if inode.is_directory() {
            walk.groups[0].sums.folders += 1;
            walk.directory(top, inode)?;
        } else {
            walk.count(0, &inode)?;
        }
        walk.send()?;
        Ok(Groups { groups: walk.groups, unread: walk.unread })
    }
}

struct Walk<'a> {
    walker: Walker,
    split: Split,
    out: &'a mpsc::Sender<Batch>,
    batch: Batch,
    groups: Vec<Group>,
    unread: u64,
}

impl Walk<'_> {
    /// The directory at `top` and all below it. Of each directory on the way one page is in memory.
    fn directory(&mut self, top: &FsPath, inode: Arc<Inode>) -> Result<()> {
        let top = Open { path: top.clone(), inode, depth: 0, group: 0, after: None };
        let mut open = vec![top];
        while let Some(mut at) = open.pop() {
            if at.after.is_none() && !self.opens(&at)? {
                continue;
            }
            let state = self.walker.files.state();
            let page = state.children_of(at.inode.id, at.after.as_deref(), PAGE)?;
            let (path, depth, group) = (at.path.clone(), at.depth, at.group);
            if page.len() == PAGE {
                at.after = page.last().map(|(name, _)| name.clone());
                open.push(at);
            }
            for (name, inode) in page {
                if inode.is_directory() {
                    let path = path.join(&name)?;
                    let group = self.group_of(&path, &inode, depth + 1, group)?;
                    self.groups[group].sums.folders += 1;
                    let inode = Arc::new(inode);
                    open.push(Open { path, inode, depth: depth + 1, group, after: None });
                } else {
                    self.count(group, &inode)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a directory can be looked into, once it is as it has to be.
    fn opens(&mut self, at: &Open) -> Result<bool> {
        let mut opens = (self.walker.enters)(&at.inode);
        let loaded = at.inode.directory().is_some_and(|d| d.children_loaded_ms.is_some());
        if opens && !loaded && at.inode.is_persisted() && self.walker.freshness != Freshness::Here {
            opens = self.bring_in(&at.path)?;
        }
        self.unread += u64::from(!opens);
        Ok(opens)
    }

    /// Has the under store listed; whether that went well.
    fn bring_in(&self, path: &FsPath) -> Result<bool> {
        let Walker { files, freshness, .. } = &self.walker;
        let Some(status) = files.peek(path)?.filter(|status: &Status| status.folder) else {
            return Ok(true);
        };
        let loaded = files.load_children(&status, *freshness);
        match tokio::runtime::Handle::current().block_on(loaded) {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::debug!(%path, %error, "not measured");
                Ok(false)
            }
        }
    }

    /// The group that a directory found in `above` counts in.
    fn group_of(
        &mut self,
        path: &FsPath,
        inode: &Inode,
        depth: u32,
        above: usize,
    ) -> Result<usize> {
        let own = match self.split {
            Split::Depth(most) => depth <= most,
            Split::Mounts => inode.directory().is_some_and(|directory| directory.mount_point),
        };
        if !own {
            return Ok(above);
        }
        if self.groups.len() >= MOST_GROUPS {
            return Err(resource_exhausted(format!(
                "more than {MOST_GROUPS} directories to tell of: ask for a smaller depth"
            )));
        }
        self.groups.push(Group { path: path.clone(), above, sums: Sums::default() });
        Ok(self.groups.len() - 1)
    }

    /// A file, or a symbolic link.
    fn count(&mut self, group: usize, inode: &Inode) -> Result<()> {
        let sums = &mut self.groups[group].sums;
        sums.files += 1;
        let Some(file) = inode.file() else { return Ok(()) };
        sums.bytes += file.length;
        if inode.persistence == PersistenceState::Lost {
            return Ok(());
        }
        let copies = match inode.extra {
            Some(_) => inode.replication().clamp(self.walker.copies),
            None => self.walker.copies,
        };
        let known = match file.located {
            true => self.walker.files.state().locations(inode.id)?,
            false => Vec::new(),
        };
        for index in 0..inode.block_count() {
            let id = inode.id.block(index);
            let known = known.iter().filter(|block| block.id == id).flat_map(|b| &b.locations);
            let length = block::block_length(file.length, file.block_size, index);
            self.want(Wanted { id, length, group }, copies.max(1) as usize, known.copied())?;
        }
        Ok(())
    }

    fn want(
        &mut self,
        block: Wanted,
        copies: usize,
        known: impl Iterator<Item = WorkerId>,
    ) -> Result<()> {
        self.batch.want(&self.walker.ring, block, copies, known);
        if self.batch.blocks.len() >= BATCH { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.blocks.is_empty() {
            return Ok(());
        }
        let sent = self.out.blocking_send(batch);
        sent.map_err(|_| Error::new(ErrorKind::Cancelled, "nobody waits for the sums any more"))
    }
}
