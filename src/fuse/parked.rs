//! What the kernel gave to be written and there is no memory for: it waits on disk.
//!
//! The kernel gives a write whole, up to a megabyte of it, and any number of programs may write at the
//! same time. Refused it cannot be, and a thread that waited would keep all others waiting, also the
//! one whose worker waits for his next bytes. So it goes to a file that has no name, and from there
//! to its worker, or where it is staged, in pieces, as there is room for them.

use super::errno::Errno;
use super::staging::Staged;
use crate::client::{Turn, Writer};
use crate::core::error::{Context, Result, internal};
use bytes::Bytes;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use parking_lot::Mutex;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What one write takes of the file, at most: as much as the kernel gives at a time.
const SLOT: u64 = super::kernel::MAX_REQUEST as u64;

/// What goes from there into a staged file at a time.
const PIECE: u64 = 64 << 10;

/// What was given to be written.
pub enum Incoming {
    /// In memory, with its turn there.
    Here(Bytes, Turn),
    /// On disk.
    Parked(Parked),
}

impl Incoming {
    /// A copy of `data`, for which there is memory.
    pub fn here(data: &[u8], turn: Turn) -> Self {
        Incoming::Here(Bytes::copy_from_slice(data), turn)
    }

    /// How many bytes.
    pub fn len(&self) -> u64 {
        match self {
            Incoming::Here(data, _) => data.len() as u64,
            Incoming::Parked(parked) => parked.left,
        }
    }

    /// Gives it to `writer`.
    ///
    /// # Errors
    /// As [`Writer::write`], and what reading the file fails with.
    pub async fn write_to(self, writer: &mut Writer) -> Result<()> {
        let mut parked = match self {
            Incoming::Here(data, turn) => return writer.write_within(data, turn).await,
            Incoming::Parked(parked) => parked,
        };
        while parked.left > 0 {
            let (turn, length) = writer.room(parked.left).await?;
            let bytes;
            (bytes, parked) = parked.read(length).await?;
            writer.write_within(bytes, turn).await?;
        }
        Ok(())
    }

    /// Writes it into `staged` at `offset`. Answers how many bytes: fewer where the disk took no more.
    ///
    /// # Errors
    /// As [`Staged::write`], and what reading the file fails with.
    pub async fn stage(self, staged: &Arc<Staged>, offset: u64) -> Result<u32, Errno> {
        let mut parked = match self {
            Incoming::Here(data, _turn) => return staged.write(offset, data).await,
            Incoming::Parked(parked) => parked,
        };
        let mut written = 0;
        while parked.left > 0 {
            let bytes;
            (bytes, parked) = parked.read(PIECE).await?;
            let length = bytes.len() as u32;
            match staged.write(offset + u64::from(written), bytes).await {
                Ok(count) if count == length => written += count,
                Ok(count) => return Ok(written + count),
                Err(_) if written > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(written)
    }
}

/// The file, made when it is first needed.
#[derive(Debug, Default)]
pub struct Parking {
    file: OnceLock<Option<File>>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Those below `end` that nobody has.
    free: Vec<u64>,
    end: u64,
}

/// Bytes on disk; their place is free again once this is dropped.
#[derive(Debug)]
pub struct Parked {
    parking: Arc<Parking>,
    slot: u64,
    read: u64,
    left: u64,
}

impl Parking {
    /// Keeps `data`, of a write's size at most; none where there is no disk for that.
    pub fn park(self: &Arc<Self>, data: &[u8]) -> Option<Parked> {
        let file = self.file.get_or_init(|| {
            let file = nameless();
            if file.is_none() {
                tracing::warn!(
                    "no disk at TMPDIR or /var/tmp for writes that wait: they keep others waiting"
                );
            }
            file
        });
        let file = file.as_ref()?;
        let (parking, left) = (self.clone(), data.len() as u64);
        let parked = Parked { parking, slot: self.slots.lock().take(), read: 0, left };
        match file.write_all_at(data, parked.slot * SLOT) {
            Ok(()) => Some(parked),
            Err(error) => {
                tracing::warn!(%error, "writing to the disk at TMPDIR or /var/tmp");
                None
            }
        }
    }
}

impl Slots {
    fn take(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        })
    }
}

impl Parked {
    /// The next `length` bytes, and the rest.
    async fn read(mut self, length: u64) -> Result<(Bytes, Parked)> {
        let reading = tokio::task::spawn_blocking(move || (self.next(length), self));
        let (bytes, rest) = reading.await.map_err(|_| internal("reading parked bytes panicked"))?;
        Ok((bytes?, rest))
    }

    /// The next `length` bytes. Waits for the disk; gives its space back with the last.
    fn next(&mut self, length: u64) -> Result<Bytes> {
        let file = self.parking.file.get().and_then(Option::as_ref);
        let file = file.ok_or_else(|| internal("parked bytes without a file"))?;
        let mut bytes = vec![0; length.min(self.left) as usize];
        let from = self.slot * SLOT;
        file.read_exact_at(&mut bytes, from + self.read).context("reading parked bytes")?;
        self.read += bytes.len() as u64;
        self.left -= bytes.len() as u64;
        if self.left == 0 {
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // A file system that cannot do that keeps the space for the next.
            fallocate(file, hole, from as i64, SLOT as i64).ok();
        }
        Ok(bytes.into())
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.parking.slots.lock().free.push(self.slot);
    }
}

/// A file that nobody else can open, and that goes with this process.
fn nameless() -> Option<File> {
    let dirs = [std::env::temp_dir(), PathBuf::from("/var/tmp")];
    let on_disk =
        |dir: &&PathBuf| statfs(dir.as_path()).is_ok_and(|at| at.filesystem_type() != TMPFS_MAGIC);
    dirs.iter().filter(on_disk).find_map(|dir| {
        let mut options = File::options();
        options.read(true).write(true).mode(0o600);
        let made = options.clone().custom_flags(libc::O_TMPFILE).open(dir);
        // Not every file system makes files without a name.
        let made = made.or_else(|_| {
            let path = dir.join(format!(".goosefs-parked-{}", std::process::id()));
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path).map(|()| file)
        });
        made.inspect_err(|error| said(dir, error)).ok()
    })
}

fn said(dir: &Path, error: &std::io::Error) {
    tracing::debug!(%error, dir = %dir.display(), "making a file without a name");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parked_comes_back_in_pieces_and_its_place_is_used_again() {
        let parking = Arc::new(Parking::default());
        let Some(mut first) = parking.park(&[1; 100_000]) else {
            return eprintln!("SKIPPED: no disk at TMPDIR or /var/tmp");
        };
        let mut second = parking.park(&[2; SLOT as usize]).unwrap();
        let mut came = Vec::new();
        while first.left > 0 {
            came.extend_from_slice(&first.next(16 << 10).unwrap());
        }
        assert_eq!(came, [1; 100_000]);
        drop(first);
        let mut third = parking.park(b"goose").unwrap();
        assert_eq!(third.slot, 0);
        assert_eq!(second.next(1 << 30).unwrap(), [2; SLOT as usize][..]);
        assert_eq!(third.next(1 << 30).unwrap(), "goose");
    }
}
