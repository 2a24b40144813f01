//! Whether anybody has a block's file open: a reader it was lent to, the kernel on behalf of a
//! mounted directory, a read of ours.
//!
//! Nobody keeps books of that, and books would be wrong when a client dies. The kernel knows: a
//! write lease (fcntl(2), F_SETLEASE) is given only on a file that nobody else has open. It is given
//! back at once. Whoever opens the file in that moment waits for as long, and the signal that tells
//! us so is one that is ignored by default, not SIGIO, which would end the process.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

/// The signal that says that somebody waits for our lease; the same number on every architecture.
const F_SETSIG: libc::c_int = 10;

/// Whether the file is open in another place.
///
/// # Errors
/// Why that cannot be told: its file system has no leases, the file is another user's.
pub fn is_open(path: &Path) -> Result<bool> {
    let file = File::open(path)?;
    let fd = file.as_raw_fd();
    fcntl(fd, F_SETSIG, libc::SIGURG)?;
    match fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK).map(|()| false),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether [`is_open`] tells the truth for files in this folder.
pub fn are_supported(folder: &Path) -> bool {
    let path = folder.join("lease");
    let asked = || {
        let file = File::create(&path)?;
        let while_open = is_open(&path)?;
        drop(file);
        let reading = File::open(&path)?;
        let while_read = is_open(&path)?;
        drop(reading);
        Ok::<_, Error>(while_open && while_read && !is_open(&path)?)
    };
    let told = asked();
    std::fs::remove_file(&path).ok();
    told.unwrap_or(false)
}

fn fcntl(fd: RawFd, command: libc::c_int, argument: libc::c_int) -> Result<()> {
    // SAFETY: these commands take an int and touch no memory of ours; the descriptor is open.
    match unsafe { libc::fcntl(fd, command, argument) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_open_file_is_noticed_whoever_has_it_and_only_as_long() {
        for base in ["/dev/shm", "/var/tmp"] {
            let temp = tempfile::tempdir_in(base).unwrap();
            assert!(are_supported(temp.path()), "{base}");
            let path = temp.path().join("block");
            std::fs::write(&path, "bytes").unwrap();
            assert!(!is_open(&path).unwrap());
            let first = File::open(&path).unwrap();
            // As a descriptor that was sent to somebody: the same open file.
            let sent = first.as_fd().try_clone_to_owned().unwrap();
            drop(first);
            assert!(is_open(&path).unwrap());
            drop(sent);
            assert!(!is_open(&path).unwrap());
        }
    }
}
