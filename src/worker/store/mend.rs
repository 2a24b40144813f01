//! Pages of a block put right in place: the same bytes as were there before they were damaged.

use super::block::{Block, write_all_at};
use crate::core::error::{Context, Result, data_loss};
use std::fs::File;
use std::ops::Range;

impl Block {
    /// The pages that are not as they were, or cannot be read. Waits for the disk.
    ///
    /// # Errors
    /// `DataLoss` when the file is not there; why it cannot be opened.
    pub fn damaged_pages(&self) -> Result<Vec<usize>> {
        let file = self.open_to_mend()?;
        let is_bad = |&page: &usize| {
            self.bad_pages(&file, page..page + 1).map_or(true, |bad| !bad.is_empty())
        };
        Ok((0..self.page_count()).filter(is_bad).collect())
    }

    /// The bytes of a page within the block.
    pub fn page_range(&self, page: usize) -> Range<u64> {
        let start = page as u64 * self.page_size();
        start..(start + self.page_size()).min(self.length())
    }

    /// Puts the bytes of a page back, if they are what was there. Waits for the disk.
    ///
    /// # Errors
    /// `DataLoss` when they are not; why they cannot be written.
    pub fn mend_page(&self, page: usize, bytes: &[u8]) -> Result<()> {
        let range = self.page_range(page);
        let is_same = self.sums().get(page).is_some_and(|sum| *sum == crc32c::crc32c(bytes));
        if !is_same || bytes.len() as u64 != range.end - range.start {
            return Err(data_loss(format!("other bytes than page {page} of block {}", self.id())));
        }
        let file = self.open_to_mend()?;
        let what = || format!("mending block {}", self.id());
        write_all_at(&file, &[bytes], range.start).with_context(what)?;
        file.sync_all().with_context(what)
    }

    /// Its file, as long as it was.
    fn open_to_mend(&self) -> Result<File> {
        let path = self.path();
        let file = match File::options().read(true).write(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(data_loss(format!("block {}: {} is gone", self.id(), path.display())));
            }
            opened => opened.with_context(|| path.display().to_string())?,
        };
        let what = || path.display().to_string();
        if file.metadata().with_context(what)?.len() != self.length() {
            file.set_len(self.length()).with_context(what)?;
        }
        Ok(file)
    }
}
