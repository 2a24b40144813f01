//! How the log lies in files, and what is left of it after a crash.
//!
//! A segment is a file named for the index of its first entry: a header, then records one behind
//! the other.
//!
//! ```text
//! header   "GFSLOG02", first index                                   16 bytes
//! record   length, crc32c, durable, payload                          16 bytes + length
//! ```
//!
//! `durable` is the first index not known to be safe when the record was made. It tells a torn
//! tail from damage: a record that cannot be read, with one behind it that says it had been safe, was
//! acknowledged once, and the log is damaged. Without one it never was, and is cut off.

use crate::core::error::{Context, Result, data_loss, failed_precondition};
use crc32c::{crc32c, crc32c_append};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// First bytes of a segment.
const MAGIC: &[u8; 8] = b"GFSLOG02";
/// Bytes before the first record.
pub const HEADER: u64 = 16;
/// Bytes before a record's payload.
pub const RECORD: usize = 16;
/// No entry is longer; a length beyond it is no length.
const LONGEST: usize = 256 << 20;

/// The header of the segment that begins with `first`.
pub fn header(first: u64) -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..].copy_from_slice(&first.to_le_bytes());
    bytes
}

/// Appends a record to `out`.
pub fn encode(out: &mut Vec<u8>, payload: &[u8], durable: u64) {
    let length = (payload.len() as u32).to_le_bytes();
    let durable = durable.to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, durable, payload).to_le_bytes());
    out.extend_from_slice(&durable);
    out.extend_from_slice(payload);
}

fn checksum(length: [u8; 4], durable: [u8; 8], payload: &[u8]) -> u32 {
    crc32c_append(crc32c_append(crc32c(&length), &durable), payload)
}

/// A record as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Indexes below this were safe when it was made.
    pub durable: u64,
    /// What it holds.
    pub payload: &'a [u8],
}

/// The record at the start of `bytes`, if there is a whole and sound one.
pub fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let length = bytes[..].first_chunk::<4>()?;
    let crc = bytes.get(4..)?.first_chunk::<4>()?;
    let durable = bytes.get(8..)?.first_chunk::<8>()?;
    let size = u32::from_le_bytes(*length) as usize;
    if size == 0 || size > LONGEST {
        return None;
    }
    let payload = bytes.get(RECORD..RECORD + size)?;
    let sound = checksum(*length, *durable, payload) == u32::from_le_bytes(*crc);
    sound.then_some(Record { durable: u64::from_le_bytes(*durable), payload })
}

/// The file of the segment that begins with `first`.
pub fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.log"))
}

/// First indexes of the segments in `dir`, ascending.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".log"));
        found.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The segment's first index.
    pub segment: u64,
    /// Where the record begins in it.
    pub offset: u64,
    /// Bytes of its payload.
    pub length: u32,
}

/// Reads one payload back.
///
/// # Errors
/// When the file cannot be read, or the record is damaged.
pub fn read(dir: &Path, at: Position) -> Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = path(dir, at.segment);
    let mut bytes = vec![0; RECORD + at.length as usize];
    let read = File::open(&file).and_then(|f| f.read_exact_at(&mut bytes, at.offset));
    read.with_context(|| format!("reading {}", file.display()))?;
    let Some(record) = decode(&bytes) else { return Err(damaged(&file, at.offset)) };
    Ok(record.payload.to_vec())
}

/// Reads all segments of `dir` in order and hands each payload to `take`, which gives the index it
/// stands for, or none if it cannot be what should come next. A torn tail is cut off, with a
/// warning.
///
/// # Errors
/// `DataLoss` when an entry that had been safe cannot be read.
pub fn recover(dir: &Path, mut take: impl FnMut(Position, &[u8]) -> Option<u64>) -> Result<()> {
    let segments = list(dir)?;
    let mut next = segments.first().copied().unwrap_or_default();
    for (number, &segment) in segments.iter().enumerate() {
        let file = path(dir, segment);
        let bytes = read_whole(&file)?;
        if bytes.len() >= MAGIC.len() && bytes[..6] == MAGIC[..6] && !bytes.starts_with(MAGIC) {
            return Err(failed_precondition(format!(
                "{} was written by another version of goosefs: run that one",
                file.display()
            )));
        }
        let mut offset = 0;
        // A segment that does not begin where the one before ended is not what follows.
        if segment == next && bytes.starts_with(&header(segment)) {
            offset = HEADER as usize;
            while let Some(record) = decode(&bytes[offset..]) {
                let length = record.payload.len() as u32;
                let at = Position { segment, offset: offset as u64, length };
                match take(at, record.payload) {
                    Some(index) => next = index + 1,
                    None => return Err(damaged(&file, offset as u64)),
                }
                offset += RECORD + record.payload.len();
            }
            if offset == bytes.len() {
                continue;
            }
        }
        let rest = &segments[number + 1..];
        if safe_behind(&bytes[offset..]) > next || later_safe(dir, rest)? > next {
            return Err(damaged(&file, offset as u64));
        }
        return cut(dir, segment, offset as u64, bytes.len() as u64, rest);
    }
    Ok(())
}

fn read_whole(file: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|mut f| f.read_to_end(&mut bytes));
    read.with_context(|| format!("reading {}", file.display()))?;
    Ok(bytes)
}

/// The highest `durable` of any sound record in `bytes`, wherever it begins; 0 if there is none.
fn safe_behind(bytes: &[u8]) -> u64 {
    let mut safe = 0;
    let mut at = 0;
    while at + RECORD < bytes.len() {
        match decode(&bytes[at..]) {
            Some(record) => {
                safe = safe.max(record.durable);
                at += RECORD + record.payload.len();
            }
            None => at += 1,
        }
    }
    safe
}

fn later_safe(dir: &Path, segments: &[u64]) -> Result<u64> {
    let mut safe = 0;
    for &segment in segments {
        safe = safe.max(safe_behind(&read_whole(&path(dir, segment))?));
    }
    Ok(safe)
}

fn cut(dir: &Path, segment: u64, offset: u64, length: u64, rest: &[u64]) -> Result<()> {
    let file = path(dir, segment);
    tracing::warn!(
        file = %file.display(), offset, dropped = length - offset,
        "cut a torn tail off the journal: it was being written in a crash and never acknowledged"
    );
    for &later in rest {
        std::fs::remove_file(path(dir, later))?;
    }
    if offset == 0 {
        std::fs::remove_file(&file)?;
    } else {
        let file = File::options().write(true).open(&file)?;
        file.set_len(offset)?;
        file.sync_all()?;
    }
    Ok(File::open(dir)?.sync_all()?)
}

fn damaged(file: &Path, offset: u64) -> crate::core::error::Error {
    data_loss(format!(
        "the journal is damaged: {} cannot be read at offset {offset}, though what stood there \
         was acknowledged",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::error::ErrorKind;

    /// A segment of entries 1 to 5, one byte each repeated, synced one by one.
    fn write(dir: &Path) -> Vec<u8> {
        let mut bytes = header(1).to_vec();
        for index in 1..=5u64 {
            encode(&mut bytes, &[index as u8; 100], index);
        }
        std::fs::write(path(dir, 1), &bytes).unwrap();
        bytes
    }

    fn indexes(dir: &Path) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        recover(dir, |_, payload| {
            found.push(u64::from(payload[0]));
            Some(u64::from(payload[0]))
        })?;
        Ok(found)
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let whole = write(dir.path());
        let last = whole.len() - RECORD - 100;
        for end in last + 1..whole.len() {
            std::fs::write(path(dir.path(), 1), &whole[..end]).unwrap();
            assert_eq!(indexes(dir.path()).unwrap(), [1, 2, 3, 4], "torn at {end}");
            assert_eq!(std::fs::read(path(dir.path(), 1)).unwrap().len(), last);
        }
    }

    #[test]
    fn a_damaged_middle_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let whole = write(dir.path());
        for at in [20, HEADER as usize + 2 * (RECORD + 100) + 50] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(path(dir.path(), 1), &bytes).unwrap();
            let error = indexes(dir.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DataLoss);
            assert!(error.to_string().contains("00001.log"), "{error}");
            assert_eq!(std::fs::read(path(dir.path(), 1)).unwrap(), bytes, "nothing was cut");
        }
    }

    #[test]
    fn what_was_written_together_and_never_synced_is_cut_together() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = header(1).to_vec();
        for index in 1..=5u64 {
            // Entries 3 to 5 went out in one write, when 2 was safe.
            encode(&mut bytes, &[index as u8; 100], index.min(3));
        }
        bytes[HEADER as usize + 2 * (RECORD + 100) + 50] ^= 1;
        std::fs::write(path(dir.path(), 1), &bytes).unwrap();
        assert_eq!(indexes(dir.path()).unwrap(), [1, 2]);
    }

    #[test]
    fn a_missing_segment_is_damage_and_an_empty_last_one_is_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        std::fs::write(path(dir.path(), 6), b"").unwrap();
        assert_eq!(indexes(dir.path()).unwrap(), [1, 2, 3, 4, 5]);
        assert!(!path(dir.path(), 6).exists());
        let mut bytes = header(9).to_vec();
        encode(&mut bytes, &[9; 10], 9);
        std::fs::write(path(dir.path(), 9), &bytes).unwrap();
        assert_eq!(indexes(dir.path()).unwrap_err().kind(), ErrorKind::DataLoss);
    }
}
