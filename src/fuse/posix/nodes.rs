//! Who acts, and pipes, sockets and devices.
//!
//! The kernel checks modes, owners and sticky bits before it asks us anything. Where the master refuses
//! the one who mounted nothing, that is all the checking there is: we act as ourselves and say whose the
//! new things are, by number where this host has no name for it. Where the master does refuse things, we
//! act as the user who asks, and it checks once more.

use super::{Entry, Posix};
use crate::client::FileSystem;
use crate::core::error::Result;
use crate::core::model::Node;
use crate::fuse::errno::Errno;
use crate::fuse::posix::writes::Caller;
use std::sync::atomic::Ordering;

/// The permission bit of a directory whose group all that is made in it gets.
const SET_GROUP: u32 = 0o2000;

impl Posix {
    /// Asks whether the master refuses this process anything.
    ///
    /// # Errors
    /// `Unavailable` when no master answers.
    pub async fn learn_rights(&self) -> Result<()> {
        self.trusted.store(self.files.is_superuser().await?, Ordering::Relaxed);
        Ok(())
    }

    /// The file system for a change of something that is there, as the user `uid` of this host.
    pub(super) fn files_of(&self, uid: u32) -> FileSystem {
        if self.trusted.load(Ordering::Relaxed) || uid == nix::unistd::geteuid().as_raw() {
            return self.files.clone();
        }
        match self.owners.user(uid) {
            Some(name) => self.files.as_user(&name),
            None => self.files.clone(),
        }
    }

    /// The file system for making something that is to belong to `owner` and `group`.
    pub(super) fn files_as(&self, owner: &str, group: &str, caller: Caller) -> FileSystem {
        self.files_of(caller.uid).on_behalf_of(owner.into(), group.into())
    }

    /// The file system for making something in the directory `parent`, and the bits that a directory
    /// made there inherits.
    pub(super) async fn files_in(
        &self,
        parent: u64,
        caller: Caller,
    ) -> Result<(FileSystem, u32), Errno> {
        let status = &self.find(parent).await?.known.status;
        let inherited = status.mode & SET_GROUP;
        let group = match inherited {
            0 => self.group_name(caller.gid),
            _ => status.group.clone(),
        };
        Ok((self.files_as(&self.user_name(caller.uid), &group, caller), inherited))
    }

    /// What the tree calls the user `uid`.
    pub(super) fn user_name(&self, uid: u32) -> String {
        self.owners.user(uid).unwrap_or_else(|| uid.to_string())
    }

    /// What the tree calls the group `gid`.
    pub(super) fn group_name(&self, gid: u32) -> String {
        self.owners.group(gid).unwrap_or_else(|| gid.to_string())
    }

    /// Makes the pipe, socket or device `name` in `parent`.
    ///
    /// # Errors
    /// `EEXIST` where something is.
    pub async fn make_node(
        &self,
        (parent, name): (u64, &str),
        (node, mode): (Node, u32),
        caller: Caller,
    ) -> Result<Entry, Errno> {
        self.check_writable()?;
        let path = self.inodes.path_of(parent, name)?;
        let (files, _) = self.files_in(parent, caller).await?;
        files.make_node(&path, node, mode & 0o7777).await?;
        self.inodes.touched(parent);
        self.lookup(parent, name).await
    }
}
