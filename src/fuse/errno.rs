//! What went wrong, as the kernel says it: `ErrorKind` → errno, here and nowhere else.

use crate::core::error::{Error, ErrorKind};

/// An error number of Linux, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file or directory.
    pub const NOT_FOUND: Errno = Errno(libc::ENOENT);
    /// The inode is gone, or its name stands for another file now; the kernel looks it up anew.
    pub const STALE: Errno = Errno(libc::ESTALE);
    /// The name has more than 255 bytes, or the path more than 4,096.
    pub const NAME_TOO_LONG: Errno = Errno(libc::ENAMETOOLONG);
    /// There is no such extended attribute.
    pub const NO_DATA: Errno = Errno(libc::ENODATA);
    /// Something is there already.
    pub const EXISTS: Errno = Errno(libc::EEXIST);
    /// The argument makes no sense.
    pub const INVALID: Errno = Errno(libc::EINVAL);
    /// Not something a mounted directory can do.
    pub const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);
    /// Another handle writes or reads this file.
    pub const BUSY: Errno = Errno(libc::EBUSY);
    /// The handle is not open, or not for this.
    pub const BAD_HANDLE: Errno = Errno(libc::EBADF);
    /// The mount takes no writes.
    pub const READ_ONLY: Errno = Errno(libc::EROFS);
    /// A file was named where a directory must be.
    pub const NOT_DIRECTORY: Errno = Errno(libc::ENOTDIR);
    /// A directory was named where a file must be.
    pub const IS_DIRECTORY: Errno = Errno(libc::EISDIR);
    /// The device or the network failed.
    pub const IO: Errno = Errno(libc::EIO);
}

/// The errno that tells a program most about `kind`.
pub fn errno(kind: ErrorKind) -> Errno {
    Errno(match kind {
        ErrorKind::NotFound => libc::ENOENT,
        ErrorKind::AlreadyExists => libc::EEXIST,
        ErrorKind::InvalidArgument | ErrorKind::OutOfRange => libc::EINVAL,
        ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => libc::EACCES,
        ErrorKind::NotEmpty => libc::ENOTEMPTY,
        ErrorKind::Incomplete | ErrorKind::FailedPrecondition | ErrorKind::Aborted => libc::EBUSY,
        ErrorKind::IsDirectory => libc::EISDIR,
        ErrorKind::NotDirectory => libc::ENOTDIR,
        ErrorKind::ReadOnly => libc::EROFS,
        ErrorKind::Changed => libc::ESTALE,
        ErrorKind::ResourceExhausted => libc::ENOSPC,
        ErrorKind::DeadlineExceeded => libc::ETIMEDOUT,
        ErrorKind::Cancelled => libc::ECANCELED,
        ErrorKind::Unsupported => libc::EOPNOTSUPP,
        ErrorKind::Unavailable | ErrorKind::DataLoss | ErrorKind::Internal => libc::EIO,
    })
}

/// A program sees only the number, so what it hides is logged here.
impl From<Error> for Errno {
    fn from(error: Error) -> Self {
        let errno = errno(error.kind());
        if matches!(errno.0, libc::EIO | libc::ETIMEDOUT | libc::ENOSPC | libc::ESTALE) {
            tracing::warn!(%error, errno = errno.0, "an operation on the mounted directory failed");
        } else {
            tracing::debug!(%error, errno = errno.0, "refused");
        }
        errno
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_errno() {
        for kind in ErrorKind::ALL {
            assert!(errno(kind).0 > 0, "{kind:?}");
        }
        assert_eq!(Errno::from(Error::new(ErrorKind::NotEmpty, "x")).0, libc::ENOTEMPTY);
    }
}
