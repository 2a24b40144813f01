//! Who may: modes, owners and groups, where they are enforced.

use super::{Caller, FileSystem};
use crate::core::error::{Result, permission_denied};
use crate::core::model::FsPath;
use crate::core::security::{Access, may};
use crate::master::inode::Inode;
use crate::master::state::Walk;

impl FileSystem {
    /// Whether the caller may do everything.
    pub(in crate::master) fn is_superuser(&self, caller: &Caller) -> bool {
        let group = &self.config.security.supergroup;
        *caller.user.name == *self.superuser
            || self.groups.of(&caller.user).iter().any(|g| g == group)
    }

    pub(super) fn is_checked(&self, caller: &Caller) -> bool {
        self.config.security.permission_checks && !self.is_superuser(caller)
    }

    /// The caller may do this with what is at `path`, and may walk there.
    ///
    /// # Errors
    /// `PermissionDenied`, naming the first directory or file that does not let the caller.
    pub(in crate::master) fn permit(
        &self,
        caller: &Caller,
        path: &FsPath,
        access: Access,
    ) -> Result<()> {
        if !self.is_checked(caller) {
            return Ok(());
        }
        let walk = self.state().walk(path)?;
        self.permit_way(caller, path, &walk)?;
        match walk.last() {
            Some(inode) => self.permit_one(caller, inode, path, access),
            None => Ok(()),
        }
    }

    /// The caller may add to or take from the directory that `path` is in, or from the nearest one
    /// above it that exists.
    pub(in crate::master) fn permit_parent(&self, caller: &Caller, path: &FsPath) -> Result<()> {
        if !self.is_checked(caller) {
            return Ok(());
        }
        let walk = self.state().walk(path)?;
        self.permit_way(caller, path, &walk)?;
        match walk.inodes.iter().rev().nth(usize::from(walk.whole)) {
            Some(parent) => self.permit_one(caller, parent, path, Access::WRITE_EXECUTE),
            None => Ok(()),
        }
    }

    /// Only the owner, or a superuser.
    pub(in crate::master) fn permit_owner(&self, caller: &Caller, path: &FsPath) -> Result<()> {
        if !self.is_checked(caller) {
            return Ok(());
        }
        let walk = self.state().walk(path)?;
        self.permit_way(caller, path, &walk)?;
        match walk.last() {
            Some(inode) if inode.owner != *caller.user.name => Err(permission_denied(format!(
                "{} may not change {path}: it belongs to {}",
                caller.user.name, inode.owner
            ))),
            _ => Ok(()),
        }
    }

    /// Only a superuser.
    pub(in crate::master) fn permit_superuser(&self, caller: &Caller, what: &str) -> Result<()> {
        if !self.is_checked(caller) {
            return Ok(());
        }
        let (user, group) = (&caller.user.name, &self.config.security.supergroup);
        Err(permission_denied(format!("{user} may not {what}: only members of {group} may")))
    }

    /// Says of each directory whether the caller may look into it, where he may be on the way to it.
    pub(in crate::master) fn entry_of(
        &self,
        caller: &Caller,
    ) -> impl Fn(&Inode) -> bool + Send + use<> {
        let checked = self.is_checked(caller).then(|| self.groups.of(&caller.user));
        let user = caller.user.name.clone();
        move |inode| {
            let owner = (inode.owner.as_str(), inode.group.as_str(), inode.mode);
            let allowed = |groups| may(&user, groups, owner, Access::READ_EXECUTE);
            checked.as_ref().is_none_or(|groups| allowed(groups))
        }
    }

    /// The caller may walk through every directory above `path`.
    fn permit_way(&self, caller: &Caller, path: &FsPath, walk: &Walk) -> Result<()> {
        let above = walk.inodes.len() - usize::from(walk.whole);
        walk.inodes[..above]
            .iter()
            .try_for_each(|inode| self.permit_one(caller, inode, path, Access::EXECUTE))
    }

    fn permit_one(
        &self,
        caller: &Caller,
        inode: &Inode,
        path: &FsPath,
        access: Access,
    ) -> Result<()> {
        let groups = self.groups.of(&caller.user);
        let owner = (inode.owner.as_str(), inode.group.as_str(), inode.mode);
        if may(&caller.user.name, &groups, owner, access) {
            return Ok(());
        }
        let (user, mode) = (&caller.user.name, inode.mode & 0o7777);
        Err(permission_denied(format!(
            "{user} may not: on the way to {path} something belongs to {}:{} with mode {mode:04o}",
            inode.owner, inode.group
        )))
    }
}
