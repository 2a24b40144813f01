//! Cutting a staged file, taking room for it, and its holes.

use super::{Staged, local};
use crate::fuse::errno::Errno;
use crate::fuse::staging::errno_of;
use crate::fuse::staging::ranges::Ranges;
use crate::fuse::staging::record::Record;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use std::ops::Range;
use std::sync::Arc;

impl Staged {
    /// Cuts it, or has it grow by nothing but zeros.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn truncate(self: &Arc<Self>, length: u64) -> Result<(), Errno> {
        let _alone = self.gate.write().await;
        let staged = self.clone();
        local(move || {
            let _one = staged.recording.lock();
            let noted = staged.note_cut(length)?;
            staged.data.set_len(length).map_err(errno_of)?;
            let mut state = staged.state.lock();
            if let Some(base) = &mut state.base {
                base.end = base.end.min(length);
            }
            state.present.truncate(length);
            if state.base.as_ref().is_some_and(|base| base.end == 0) {
                state.base = None;
            }
            state.touch();
            drop(state);
            staged.count();
            match noted {
                Some(mut record) => {
                    record.cut = None;
                    staged.record(record)
                }
                None => Ok(()),
            }
        })
        .await
    }

    /// A record that says where bytes are that are about to be cut off says so no longer: what comes in
    /// their place, should we be killed, would be taken for them. It says to cut the file, too, until that
    /// is done.
    fn note_cut(&self, length: u64) -> Result<Option<Record>, Errno> {
        let Some(mut record) = self.state.lock().saved.clone() else { return Ok(None) };
        let Some(mut base) = record.base.take() else { return Ok(None) };
        let ends = base.present.last().map_or(base.end, |&(_, end)| end.max(base.end));
        if ends <= length {
            return Ok(None);
        }
        let mut present = Ranges::of(&base.present);
        present.truncate(length);
        (base.end, base.present) = (base.end.min(length), present.list());
        record.base = Some(base).filter(|base| base.end > 0);
        record.cut = Some(length);
        self.record(record.clone())?;
        Ok(Some(record))
    }

    /// Takes room for a range, or makes it zeros, as fallocate(2) says.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for what would move bytes; `ENOSPC`.
    pub async fn allocate(
        self: &Arc<Self>,
        mode: i32,
        offset: u64,
        length: u64,
    ) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::UNSUPPORTED)?;
        let keep = mode.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE);
        let what = mode - FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE;
        if !what.is_empty() && what != hole && what != FallocateFlags::FALLOC_FL_ZERO_RANGE {
            return Err(Errno::UNSUPPORTED);
        }
        let end = offset.checked_add(length).filter(|&end| end <= i64::MAX as u64);
        let range = offset..end.ok_or(Errno(libc::EFBIG))?;
        let _alone = self.gate.write().await;
        let staged = self.clone();
        local(move || match what.is_empty() {
            true => staged.reserve(&range, keep),
            false => staged.zero(&range, what == hole || keep),
        })
        .await
    }

    pub(super) fn reserve(&self, range: &Range<u64>, keep: bool) -> Result<(), Errno> {
        let keep = if keep { FallocateFlags::FALLOC_FL_KEEP_SIZE } else { FallocateFlags::empty() };
        let length = range.end - range.start;
        self.home.take(length)?;
        self.home.give_back(length);
        let (grown, before) = (self.length() < range.end && keep.is_empty(), self.length());
        let reserved = fallocate(&*self.data, keep, range.start as i64, length as i64);
        if let Err(error) = reserved {
            self.data.set_len(before).ok();
            return Err(Errno(error as i32));
        }
        if grown {
            self.state.lock().touch();
        }
        self.count();
        Ok(())
    }

    fn zero(&self, range: &Range<u64>, keep: bool) -> Result<(), Errno> {
        let before = self.length();
        let inside = range.start.min(before)..range.end.min(before);
        if !inside.is_empty() {
            // Not every file system zeroes a range, but what makes holes does.
            let mode = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let length = inside.end - inside.start;
            fallocate(&*self.data, mode, inside.start as i64, length as i64)
                .map_err(|error| Errno(error as i32))?;
        }
        if !keep && range.end > before {
            self.data.set_len(range.end).map_err(errno_of)?;
        }
        let mut state = self.state.lock();
        if state.base.is_some() {
            state.present.insert(inside);
        }
        state.touch();
        drop(state);
        self.count();
        Ok(())
    }

    /// Where data or a hole is, at `offset` or after it, as lseek(2) says. What the base has counts as
    /// data.
    ///
    /// # Errors
    /// `ENXIO` beyond the end; `EINVAL`.
    pub fn seek(&self, offset: u64, whence: i32) -> Result<u64, Errno> {
        let length = self.length();
        if offset >= length {
            return Err(Errno(libc::ENXIO));
        }
        let whole = self.is_whole();
        let whence = match whence {
            libc::SEEK_DATA if !whole => return Ok(offset),
            libc::SEEK_HOLE if !whole => return Ok(length),
            libc::SEEK_DATA => Whence::SeekData,
            libc::SEEK_HOLE => Whence::SeekHole,
            _ => return Err(Errno::INVALID),
        };
        let found =
            lseek(&*self.data, offset as i64, whence).map_err(|error| Errno(error as i32))?;
        Ok(found as u64)
    }
}
