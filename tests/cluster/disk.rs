//! A disk of its own for a process, which can be filled: a small tmpfs.

use super::scratch_dir;
use std::io::Write;
use std::path::PathBuf;

/// A disk of its own, as large as asked for.
pub struct Disk(PathBuf);

impl Disk {
    /// None, said loudly, where file systems cannot be mounted.
    pub fn new(size: &str) -> Option<Disk> {
        let path = scratch_dir();
        let options = format!("size={size}");
        let flags = nix::mount::MsFlags::empty();
        let mounted =
            nix::mount::mount(Some("tmpfs"), &path, Some("tmpfs"), flags, Some(options.as_str()));
        if let Err(error) = mounted {
            eprintln!("SKIPPED: no full disk: a tmpfs cannot be mounted ({error}); run as root");
            std::fs::remove_dir(&path).ok();
            return None;
        }
        Some(Disk(path))
    }

    /// A path on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Takes all the space there is, down to the last byte.
    pub fn fill(&self) {
        let filler = self.path("filler");
        let mut file = std::fs::File::options().create(true).append(true).open(filler).unwrap();
        for size in [1 << 20, 4096, 1] {
            let piece = vec![b'x'; size];
            let full = loop {
                if let Err(error) = file.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        }
    }

    /// Gives back what `fill` took.
    pub fn clear(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).ok();
        std::fs::remove_dir(&self.0).ok();
    }
}
