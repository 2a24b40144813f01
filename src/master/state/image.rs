//! The whole state as a stream of frames: what one master sends another that is too far behind the
//! log, or has nothing at all.
//!
//! A frame is some hundred pairs of a key and a value; the sender reads them out of a view that
//! later batches do not change. The receiver keeps all frames in a file first: only a file that is
//! whole is installed, and until that is done the file stays, so a crash in the midst of it begins
//! again with the same file.

use super::{Applied, Published, State, applied_key, counters_key, load_mounts};
use crate::core::error::{Context, Error, Result, data_loss};
use crate::master::inode::metastore::{Put, Table, View};
use crate::master::mount::MountTable;
use crc32c::crc32c;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::ops::Bound;
use std::path::Path;

/// A frame is closed once it has this many bytes.
const FRAME: usize = 256 << 10;
/// No frame has more, not even with one very long pair.
const LONGEST: usize = 64 << 20;
/// What a file of frames ends with, as the length of a frame that is none.
const END: u32 = u32::MAX;
/// All tables, as they are numbered in frames.
const TABLES: [Table; 3] = [Table::Tree, Table::Ids, Table::Rest];

/// The state as it was at one moment.
pub struct Image {
    view: View,
    applied: Applied,
}

impl Image {
    /// Up to where the log is in it.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Its frames, in order. Each is read when it is asked for, which may wait for the disk.
    pub fn frames(self) -> impl Iterator<Item = Result<Vec<u8>>> + Send {
        let mut tables = TABLES.iter().enumerate();
        let mut pairs = None;
        let mut ended = false;
        std::iter::from_fn(move || {
            let mut frame = Frame::default();
            while !ended && frame.size < FRAME {
                let Some((number, iter)) = &mut pairs else {
                    match tables.next() {
                        // Keys begin with an id or the number of a section, and these are small.
                        Some((number, &table)) => {
                            let all = self.view.range(table, Bound::Unbounded, &[u8::MAX]);
                            pairs = Some((number as u8, all));
                        }
                        None => ended = true,
                    }
                    continue;
                };
                match iter.next() {
                    Some(Ok((key, value))) => frame.add(*number, &key, &value),
                    Some(Err(fault)) => {
                        ended = true;
                        return Some(Err(Error::from(fault)));
                    }
                    None => pairs = None,
                }
            }
            (!frame.pairs.is_empty()).then(|| Ok(super::encode(&frame.pairs)))
        })
    }
}

#[derive(Default)]
struct Frame {
    pairs: Vec<(u8, Vec<u8>, Vec<u8>)>,
    size: usize,
}

impl Frame {
    fn add(&mut self, table: u8, key: &[u8], value: &[u8]) {
        self.size += key.len() + value.len() + 8;
        self.pairs.push((table, key.to_vec(), value.to_vec()));
    }
}

/// Frames on their way into a file.
pub struct Incoming {
    file: BufWriter<File>,
    count: u64,
}

impl Incoming {
    /// Begins a file at `path`, in place of what is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path) -> Result<Incoming> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Incoming { file: BufWriter::with_capacity(1 << 20, file), count: 0 })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&mut self, frame: &[u8]) -> Result<()> {
        self.count += 1;
        self.file.write_all(&(frame.len() as u32).to_le_bytes())?;
        self.file.write_all(&crc32c(frame).to_le_bytes())?;
        self.file.write_all(frame)?;
        Ok(())
    }

    /// Ends the file and brings it safely to disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> Result<()> {
        self.file.write_all(&END.to_le_bytes())?;
        self.file.write_all(&self.count.to_le_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(())
    }
}

/// Calls `act` with every frame of the file at `path`.
fn read_frames(path: &Path, mut act: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let damaged = || data_loss(format!("the image {} is damaged", path.display()));
    let short = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => damaged(),
        _ => Error::from(error).context(path.display()),
    };
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let (mut count, mut word, mut frame) = (0u64, [0; 4], Vec::new());
    loop {
        file.read_exact(&mut word).map_err(short)?;
        let length = u32::from_le_bytes(word);
        if length == END {
            let mut told = [0; 8];
            file.read_exact(&mut told).map_err(short)?;
            return if u64::from_le_bytes(told) == count { Ok(()) } else { Err(damaged()) };
        }
        file.read_exact(&mut word).map_err(short)?;
        let sum = u32::from_le_bytes(word);
        if length as usize > LONGEST {
            return Err(damaged());
        }
        frame.resize(length as usize, 0);
        file.read_exact(&mut frame).map_err(short)?;
        if crc32c(&frame) != sum {
            return Err(damaged());
        }
        act(&frame)?;
        count += 1;
    }
}

fn puts(frame: &[u8]) -> Result<Vec<Put>> {
    let damaged = || data_loss("a frame of an image cannot be read");
    let pairs: Vec<(u8, Vec<u8>, Vec<u8>)> = postcard::from_bytes(frame).map_err(|_| damaged())?;
    let put = |(table, key, value): (u8, Vec<u8>, Vec<u8>)| {
        let table = TABLES.get(usize::from(table)).ok_or_else(damaged)?;
        Ok((*table, key, Some(value)))
    };
    pairs.into_iter().map(put).collect()
}

impl State {
    /// The state as it is now; none before anything was applied. Later changes do not show in it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn image(&self) -> Result<Option<Image>> {
        // Nobody publishes meanwhile, so view and position belong together.
        let _published = self.inner.published.read();
        let applied = self.applied()?;
        Ok(applied.map(|applied| Image { view: self.inner.store.disk.view(), applied }))
    }

    /// Replaces all of it by the image in the file at `path`. Until that has been done, keep the
    /// file: after a crash what is here is neither the old nor the new.
    ///
    /// # Errors
    /// `DataLoss` when the file is damaged, before anything has changed; else when the store fails.
    pub fn install(&self, path: &Path) -> Result<()> {
        read_frames(path, |frame| puts(frame).map(drop))?;
        let _one = self.inner.applying.lock();
        let store = &self.inner.store;
        store.disk.clear()?;
        read_frames(path, |frame| Ok(store.disk.write(puts(frame)?)?))?;
        store.disk.sync()?;
        let mut published = self.inner.published.write();
        store.forget_cached();
        *published = Published {
            mounts: MountTable::new(load_mounts(store)?),
            counters: store.rest(&counters_key())?.unwrap_or_default(),
        };
        drop(published);
        debug_assert!(store.disk.get(Table::Rest, &applied_key()).is_ok());
        self.inner.pins_version.fetch_add(1, std::sync::atomic::Ordering::Release);
        Ok(())
    }
}
