//! Extended attributes.
//!
//! Programs see those of `user.` and, where the kernel lets them, `trusted.`. What else the tree keeps
//! as attributes of a file is its own affair and has no name here. Nothing keeps access control lists or
//! security labels, so names of those are refused with `EOPNOTSUPP`, which programs that copy files take
//! for what it is.

use super::Posix;
use crate::client::SetAttributes;
use crate::fuse::errno::Errno;
use crate::fuse::inodes::Known;
use crate::fuse::posix::writes::Caller;

/// The beginnings of names that programs may use.
const OPEN: [&str; 2] = ["user.", "trusted."];
/// The longest name, in bytes, and the largest value; Linux's own.
const MAX_NAME: usize = 255;
const MAX_VALUE: usize = 64 << 10;
/// Bytes of all names and values of one file. All of them travel with its status.
const MAX_ALL: usize = 64 << 10;

impl Posix {
    /// The extended attribute `name` of `ino`; none where the master has to be asked.
    pub fn xattr_now(&self, ino: u64, name: &str) -> Option<Result<Vec<u8>, Errno>> {
        if let Err(errno) = check_name(name) {
            return Some(Err(errno));
        }
        Some(value(&self.inodes.known(ino)?.known, name))
    }

    /// The extended attribute `name` of `ino`.
    ///
    /// # Errors
    /// `ENODATA` when it has none of that name; `EOPNOTSUPP` for a name that none can have.
    pub async fn xattr(&self, ino: u64, name: &str) -> Result<Vec<u8>, Errno> {
        check_name(name)?;
        value(&self.find(ino).await?.known, name)
    }

    /// The names of the extended attributes of `ino`, each ended by a NUL.
    ///
    /// # Errors
    /// `ESTALE` when it is gone.
    pub async fn xattr_names(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        let known = self.find(ino).await?.known;
        let names = known.status.xattrs.keys().filter(|name| is_open(name));
        Ok(names.flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect())
    }

    /// Sets the extended attribute `name` of `ino`.
    ///
    /// # Errors
    /// `EEXIST` or `ENODATA` where `flags` (setxattr(2)) ask for the opposite of what is; `E2BIG` for
    /// a value and `ENOSPC` for a sum of all that is too large; `EOPNOTSUPP` for a name that none can
    /// have.
    pub async fn set_xattr(
        &self,
        ino: u64,
        (name, value): (&str, Vec<u8>),
        flags: i32,
        caller: Caller,
    ) -> Result<(), Errno> {
        self.check_writable()?;
        check_name(name)?;
        if value.len() > MAX_VALUE {
            return Err(Errno(libc::E2BIG));
        }
        let known = self.find(ino).await?.known;
        let xattrs = &known.status.xattrs;
        match (flags, xattrs.contains_key(name)) {
            (libc::XATTR_CREATE, true) => return Err(Errno::EXISTS),
            (libc::XATTR_REPLACE, false) => return Err(Errno::NO_DATA),
            (0 | libc::XATTR_CREATE | libc::XATTR_REPLACE, _) => {}
            _ => return Err(Errno::INVALID),
        }
        let others = xattrs.iter().filter(|(other, _)| is_open(other) && *other != name);
        let all = others.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if all + name.len() + value.len() > MAX_ALL {
            return Err(Errno(libc::ENOSPC));
        }
        let set_xattrs = [(name.to_string(), value)].into();
        let set = SetAttributes { set_xattrs, ..SetAttributes::default() };
        self.set(&self.inodes.path(ino)?, &set, caller).await?;
        self.inodes.touched(ino);
        Ok(())
    }

    /// Removes the extended attribute `name` of `ino`.
    ///
    /// # Errors
    /// `ENODATA` when it has none of that name.
    pub async fn remove_xattr(&self, ino: u64, name: &str, caller: Caller) -> Result<(), Errno> {
        self.check_writable()?;
        check_name(name)?;
        if !self.find(ino).await?.known.status.xattrs.contains_key(name) {
            return Err(Errno::NO_DATA);
        }
        let set = SetAttributes { remove_xattrs: vec![name.into()], ..SetAttributes::default() };
        self.set(&self.inodes.path(ino)?, &set, caller).await?;
        self.inodes.touched(ino);
        Ok(())
    }
}

fn is_open(name: &str) -> bool {
    OPEN.iter().any(|open| name.len() > open.len() && name.starts_with(open))
}

fn check_name(name: &str) -> Result<(), Errno> {
    match name.len() {
        0 => Err(Errno::INVALID),
        length if length > MAX_NAME => Err(Errno(libc::ERANGE)),
        _ if is_open(name) => Ok(()),
        _ => Err(Errno::UNSUPPORTED),
    }
}

fn value(known: &Known, name: &str) -> Result<Vec<u8>, Errno> {
    known.status.xattrs.get(name).cloned().ok_or(Errno::NO_DATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_their_own_names_and_no_others() {
        for open in ["user.a", "trusted.overlay.opaque"] {
            assert_eq!(check_name(open), Ok(()), "{open}");
        }
        for closed in ["innerNode", "user.", "security.capability", "system.posix_acl_access"] {
            assert_eq!(check_name(closed), Err(Errno::UNSUPPORTED), "{closed}");
        }
        assert_eq!(check_name(""), Err(Errno::INVALID));
        assert_eq!(check_name(&format!("user.{}", "x".repeat(251))), Err(Errno(libc::ERANGE)));
    }
}
