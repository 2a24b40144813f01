//! Whether anybody else has a file open, or mapped.
//!
//! A mapping outlives every descriptor, and nobody is told when it ends. But the kernel grants the lease of
//! a file for writing to those alone who are the only ones to have it, by descriptor or mapping.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Which signal tells; the library does not name it everywhere.
const F_SETSIG: i32 = 10;

/// Whether others than `file` have that file open or mapped. No where the file system has no leases.
pub fn is_shared(file: &File) -> bool {
    // Whoever opens it while we hold the lease has us told by a signal: not by one that ends us.
    // SAFETY: as below.
    unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
    if set(file, libc::F_WRLCK) {
        // Held any longer, it would have others wait who open it.
        set(file, libc::F_UNLCK);
        return false;
    }
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)
}

fn set(file: &File, kind: i32) -> bool {
    // SAFETY: the descriptor is open as long as `file` is, and this command takes a number, no pointer.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

    #[test]
    fn who_has_a_file_mapped_has_it_without_any_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open().unwrap();
        file.set_len(4096).unwrap();
        assert!(!is_shared(&file));
        let other = open().unwrap();
        let length = std::num::NonZeroUsize::new(4096).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, of a length that the file has.
        let mapped =
            unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &other, 0) }.unwrap();
        drop(other);
        assert!(is_shared(&file));
        // SAFETY: nobody uses it.
        unsafe { munmap(mapped, 4096) }.unwrap();
        assert!(!is_shared(&file));
    }
}
