//! What is known of a block's pages: which are filled, their checksums, which have been verified.
//!
//! A [`PageTable`] lives in memory with its block and, encoded, in a file beside the block's. The
//! encoding carries a checksum of itself, so that a torn one is noticed and taken for none.

use crate::core::error::{Context, Result, data_loss};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Marks an encoded page table, and which form it has.
const MAGIC: &[u8; 8] = b"GFSPAGE1";

/// One bit a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bits(Vec<u64>);

impl Bits {
    fn new(count: usize) -> Self {
        Bits(vec![0; count.div_ceil(64)])
    }

    fn get(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn set(&mut self, index: usize, value: bool) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word = *word & !(1 << (index % 64)) | u64::from(value) << (index % 64);
        }
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }
}

/// The pages of one block.
#[derive(Clone, Debug, PartialEq)]
pub struct PageTable {
    page_size: u64,
    length: u64,
    /// A checksum a page; empty where they are not known: then there is nothing to verify against.
    sums: Vec<u32>,
    filled: Bits,
    /// Pages whose bytes on disk this process has seen to match.
    verified: Bits,
}

/// A page table as it is written beside the block.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    block: i64,
    page_size: u64,
    length: u64,
    sums: Vec<u32>,
    filled: Bits,
    version: String,
    unpersisted: bool,
}

/// What the file beside a block says.
#[derive(Debug)]
pub struct Described {
    /// The pages.
    pub pages: PageTable,
    /// The version of the object the block is of; empty for one written here.
    pub version: String,
    /// Whether the block exists nowhere else.
    pub unpersisted: bool,
}

impl PageTable {
    /// A block of `length` bytes of which nothing is there.
    pub fn empty(length: u64, page_size: u64) -> Self {
        let count = length.div_ceil(page_size) as usize;
        let (filled, verified) = (Bits::new(count), Bits::new(count));
        PageTable { page_size, length, sums: vec![0; count], filled, verified }
    }

    /// A whole block with these checksums; none for unknown ones.
    pub fn whole(length: u64, page_size: u64, sums: Vec<u32>, verified: bool) -> Self {
        let mut table = PageTable { sums, ..PageTable::empty(length, page_size) };
        for page in 0..table.count() {
            table.filled.set(page, true);
            table.verified.set(page, verified);
        }
        table
    }

    /// Bytes in the block.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Pages in the block.
    pub fn count(&self) -> usize {
        self.length.div_ceil(self.page_size) as usize
    }

    /// Bytes in a page, but for the last.
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Whether page `index` is there.
    pub fn has(&self, index: usize) -> bool {
        self.filled.get(index)
    }

    /// Whether every page is there.
    pub fn is_whole(&self) -> bool {
        self.filled.count() == self.count()
    }

    /// Bytes in the pages that are there.
    pub fn bytes_filled(&self) -> u64 {
        let pages = (0..self.count()).filter(|&page| self.has(page));
        pages.map(|page| self.range(page)).map(|range| range.end - range.start).sum()
    }

    /// The block's bytes in page `index`.
    pub fn range(&self, index: usize) -> Range<u64> {
        let start = index as u64 * self.page_size;
        start..(start + self.page_size).min(self.length)
    }

    /// Notes that page `index` has been written with this checksum.
    pub fn fill(&mut self, index: usize, sum: u32) {
        if let Some(slot) = self.sums.get_mut(index) {
            *slot = sum;
        }
        self.filled.set(index, true);
        self.verified.set(index, true);
    }

    /// Notes that page `index` is not there.
    pub fn clear(&mut self, index: usize) {
        self.filled.set(index, false);
        self.verified.set(index, false);
    }

    /// Whether another table says of every page what this one does.
    pub fn has_same_pages(&self, other: &PageTable) -> bool {
        (self.page_size, self.length, &self.filled)
            == (other.page_size, other.length, &other.filled)
            && self.sums == other.sums
            && self.sums.len() == self.count()
    }

    /// Whether page `index` has been seen to match since the process started.
    pub fn is_verified(&self, index: usize) -> bool {
        self.verified.get(index)
    }

    /// The checksum that page `index` must have; none where it is not known.
    pub fn sum(&self, index: usize) -> Option<u32> {
        self.sums.get(index).copied()
    }

    /// Notes that page `index` on disk has been seen to match.
    pub fn set_verified(&mut self, index: usize) {
        self.verified.set(index, true);
    }

    /// The form that is written beside the block.
    pub fn encode(&self, block: i64, version: &str, unpersisted: bool) -> Vec<u8> {
        let record = Record {
            block,
            page_size: self.page_size,
            length: self.length,
            sums: self.sums.clone(),
            filled: self.filled.clone(),
            version: version.into(),
            unpersisted,
        };
        let body = postcard::to_stdvec(&record).expect("a record has no form that fails");
        let mut bytes = Vec::with_capacity(12 + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Reads what [`PageTable::encode`] wrote for `block`.
    ///
    /// # Errors
    /// `DataLoss` when it is torn, damaged, or of another block.
    pub fn decode(bytes: &[u8], block: i64) -> Result<Described> {
        let damaged = || data_loss("the page table is damaged");
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (sum, body) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let record: Record =
            postcard::from_bytes(body).map_err(|e| damaged().with_source(e)).context("decoding")?;
        let count = record.length.div_ceil(record.page_size.max(1)) as usize;
        let fits = record.sums.is_empty() || record.sums.len() == count;
        if record.block != block || record.page_size == 0 || !fits {
            return Err(damaged());
        }
        let pages = PageTable {
            page_size: record.page_size,
            length: record.length,
            sums: record.sums,
            filled: record.filled,
            verified: Bits::new(count),
        };
        Ok(Described { pages, version: record.version, unpersisted: record.unpersisted })
    }
}

/// Checksums of pages as their bytes come by in order.
#[derive(Debug)]
pub struct Summing {
    page_size: u64,
    length: u64,
    current: u32,
    sums: Vec<u32>,
}

impl Summing {
    /// Nothing has come by yet.
    pub fn new(page_size: u64) -> Self {
        Summing { page_size, length: 0, current: 0, sums: Vec::new() }
    }

    /// The next bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.page_size - self.length % self.page_size;
            let (now, later) = bytes.split_at(bytes.len().min(room as usize));
            self.current = crc32c::crc32c_append(self.current, now);
            self.length += now.len() as u64;
            if self.length.is_multiple_of(self.page_size) {
                self.sums.push(self.current);
                self.current = 0;
            }
            bytes = later;
        }
    }

    /// The table of the whole block that came by.
    pub fn finish(mut self) -> PageTable {
        if !self.length.is_multiple_of(self.page_size) {
            self.sums.push(self.current);
        }
        PageTable::whole(self.length, self.page_size, self.sums, true)
    }
}

/// The checksum of pieces that lie one after another.
pub fn sum_of(pieces: &[Bytes]) -> u32 {
    pieces.iter().fold(0, |sum, piece| crc32c::crc32c_append(sum, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_summed_however_the_bytes_are_cut() {
        let data: Vec<u8> = (0..1000u32).map(|i| i as u8).collect();
        let mut table = None;
        for cut in [1, 7, 256, 1000] {
            let mut summing = Summing::new(256);
            data.chunks(cut).for_each(|piece| summing.add(piece));
            let pages = summing.finish();
            assert_eq!(pages.count(), 4);
            assert_eq!(pages.sum(3), Some(crc32c::crc32c(&data[768..])));
            assert_eq!(*table.get_or_insert(pages.clone()), pages);
        }
    }

    #[test]
    fn a_table_survives_its_file_and_a_damaged_one_is_noticed() {
        let mut table = PageTable::empty(130, 64);
        table.fill(0, 7);
        table.fill(2, 9);
        assert!(!table.is_whole());
        assert_eq!(table.range(2), 128..130);
        let bytes = table.encode(5, "v1", true);
        let read = PageTable::decode(&bytes, 5).unwrap();
        assert_eq!((read.version.as_str(), read.unpersisted), ("v1", true));
        assert!(read.pages.has(0) && !read.pages.has(1) && read.pages.has(2));
        assert_eq!(read.pages.sum(2), Some(9));
        assert!(!read.pages.is_verified(2), "nothing on disk has been seen yet");
        assert!(PageTable::decode(&bytes, 6).is_err(), "another block's");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(PageTable::decode(&bad, 5).is_err(), "bit {at}");
            assert!(PageTable::decode(&bytes[..at], 5).is_err(), "cut at {at}");
        }
    }
}
