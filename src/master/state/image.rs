//! The whole state as a stream of frames: what one master sends another that is too far behind the
//! log, or has nothing at all, and what a backup is.
//!
//! A frame is some hundred pairs of a key and a value, packed; the sender reads them out of a view
//! that later batches do not change. As a file ([`Encoder`], [`read`]) an image says what it is: a
//! mark, the format's version, a header, the frames each with its checksum, their number, and the
//! checksum of all of it at the end, so that one that was cut short or damaged anywhere is refused.
//!
//! The receiver keeps all frames in a file first: only a file that is whole is installed, and until
//! that is done the file stays, so a crash in the midst of it begins again with the same file.

use super::{Applied, Published, State, applied_key, counters_key, load_mounts};
use crate::core::error::{Context, Error, Result, data_loss, failed_precondition};
use crate::core::runtime::files;
use crate::master::inode::metastore::{Put, Table, View};
use crate::master::mount::MountTable;
use crc32c::{crc32c, crc32c_append};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::ops::Bound;
use std::path::Path;

/// What a file of an image begins with.
const MARK: &[u8; 8] = b"goosefs\x1a";
/// The version of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// A frame is closed once it has this many bytes, before it is packed.
const FRAME: usize = 256 << 10;
/// No frame has more, not even with one very long pair.
const LONGEST: usize = 64 << 20;
/// No header has more bytes.
const LONGEST_HEADER: usize = 1 << 20;
/// What the frames end with, as the length of a frame that is none.
const END: u32 = u32::MAX;
/// All tables, as they are numbered in frames.
const TABLES: [Table; 3] = [Table::Tree, Table::Ids, Table::Rest];

/// A key of a table, its number and its value.
type Pair = (u8, Vec<u8>, Vec<u8>);

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
    pub fn frames(&self) -> impl Iterator<Item = Result<Frame>> + Send {
        self.frames_after(None)
    }

    /// The frames that come after the one that ends with the key `after`.
    pub fn frames_after(
        &self,
        after: Option<Cursor>,
    ) -> impl Iterator<Item = Result<Frame>> + Send + use<'_> {
        let (first, mut key) = after.map_or((0, None), |after| (after.table, Some(after.key)));
        let mut tables = TABLES.iter().enumerate().skip(usize::from(first));
        let mut rows = None;
        let mut ended = false;
        std::iter::from_fn(move || {
            let (mut pairs, mut size) = (Vec::<Pair>::new(), 0);
            while !ended && size < FRAME {
                let Some((number, iter)) = &mut rows else {
                    match tables.next() {
                        // Keys begin with an id or the number of a section, and these are small.
                        Some((number, &table)) => {
                            let key = key.take();
                            let start = key.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                            let all = self.view.range(table, start, &[u8::MAX]);
                            rows = Some((number as u8, all));
                        }
                        None => ended = true,
                    }
                    continue;
                };
                match iter.next() {
                    Some(Ok((key, value))) => {
                        size += key.len() + value.len() + 8;
                        pairs.push((*number, key.to_vec(), value.to_vec()));
                    }
                    Some(Err(fault)) => {
                        ended = true;
                        return Some(Err(Error::from(fault)));
                    }
                    None => rows = None,
                }
            }
            (!pairs.is_empty()).then(|| Ok(Frame::of(&pairs)))
        })
    }
}

/// The last key of a frame, and the number of its table: where an image goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    table: u8,
    key: Vec<u8>,
}

/// The first frames of an image that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// How many.
    pub frames: u64,
    /// The checksum of all of them, one behind the other.
    pub sum: u32,
    /// The end of the last one.
    pub end: Cursor,
}

/// A part of an image, packed.
pub struct Frame {
    /// What is sent and kept of it.
    pub bytes: Vec<u8>,
    /// Files and directories in it, each counted once in an image.
    pub inodes: u64,
}

impl Frame {
    fn of(pairs: &[Pair]) -> Frame {
        let bytes = lz4_flex::compress_prepend_size(&super::encode(&pairs));
        let inodes = pairs.iter().filter(|(table, ..)| TABLES[*table as usize] == Table::Tree);
        Frame { bytes, inodes: inodes.count() as u64 }
    }
}

/// The pairs of a frame.
fn unpack(frame: &[u8]) -> Result<Vec<Pair>> {
    let damaged = || data_loss("a frame of an image cannot be read");
    let (size, _) = lz4_flex::block::uncompressed_size(frame).map_err(|_| damaged())?;
    if size > LONGEST {
        return Err(damaged());
    }
    let bytes = lz4_flex::decompress_size_prepended(frame).map_err(|_| damaged())?;
    postcard::from_bytes(&bytes).map_err(|_| damaged())
}

/// Makes the bytes of a file of an image, piece by piece.
pub struct Encoder {
    sum: u32,
    frames: u64,
}

impl Encoder {
    /// The beginning of a file, with a header that whoever reads it understands.
    pub fn new(header: &[u8]) -> (Encoder, Vec<u8>) {
        let mut bytes = MARK.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(crc32c(header).to_le_bytes());
        bytes.extend(header);
        (Encoder { sum: crc32c(&bytes), frames: 0 }, bytes)
    }

    /// Adds the bytes of a frame to `bytes`.
    pub fn frame(&mut self, frame: &[u8], bytes: &mut Vec<u8>) {
        let from = bytes.len();
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend(crc32c(frame).to_le_bytes());
        bytes.extend(frame);
        self.frames += 1;
        self.sum = crc32c_append(self.sum, &bytes[from..]);
    }

    /// Adds the end, without which no file is taken for whole.
    pub fn end(self, bytes: &mut Vec<u8>) {
        let from = bytes.len();
        bytes.extend(END.to_le_bytes());
        bytes.extend(self.frames.to_le_bytes());
        let sum = crc32c_append(self.sum, &bytes[from..]);
        bytes.extend(sum.to_le_bytes());
    }
}

/// Frames on their way into a file.
pub struct Incoming {
    file: BufWriter<File>,
    encoder: Encoder,
    /// The checksum of the frames, one behind the other.
    frames_sum: u32,
}

impl Incoming {
    /// Begins a file at `path`, in place of what is there, with the name of the image.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path, image: &[u8]) -> Result<Incoming> {
        let file = files::create_private(path).with_context(|| path.display().to_string())?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let (encoder, bytes) = Encoder::new(image);
        file.write_all(&bytes)?;
        Ok(Incoming { file, encoder, frames_sum: 0 })
    }

    /// What the file at `path` has of the image of that name: as many frames as are whole; none when
    /// it has none, or is of another image.
    pub fn kept(path: &Path, image: &[u8]) -> Option<Kept> {
        let mut kept = None;
        let mut last = Vec::new();
        // It ends early, or it would have been installed: what was read until then is good.
        let header = read_some(path, |header, frame| {
            if header != image {
                return Err(data_loss("of another image"));
            }
            let (frames, sum) = kept.unwrap_or_default();
            kept = Some((frames + 1, crc32c_append(sum, frame)));
            last.clear();
            last.extend_from_slice(frame);
            Ok(())
        });
        let (frames, sum) = kept.filter(|_| header.is_err())?;
        let (table, key, _) = unpack(&last).ok()?.pop()?;
        Some(Kept { frames, sum, end: Cursor { table, key } })
    }

    /// Goes on with the file at `path`, behind so many frames; what comes after them goes.
    ///
    /// # Errors
    /// `FailedPrecondition` when it has not so many; what the file system says.
    pub fn resume(path: &Path, image: &[u8], frames: u64) -> Result<Incoming> {
        let (mut encoder, header) = Encoder::new(image);
        let (mut frames_sum, mut length, mut bytes) = (0, header.len() as u64, Vec::new());
        let read = read_some(path, |_, frame| {
            if encoder.frames == frames {
                return Err(data_loss("enough"));
            }
            bytes.clear();
            encoder.frame(frame, &mut bytes);
            length += bytes.len() as u64;
            frames_sum = crc32c_append(frames_sum, frame);
            Ok(())
        });
        if encoder.frames != frames || read.is_ok() {
            return Err(failed_precondition("the first part of an image has gone: begin anew"));
        }
        let file = File::options().append(true).open(path)?;
        file.set_len(length)?;
        Ok(Incoming { file: BufWriter::with_capacity(1 << 20, file), encoder, frames_sum })
    }

    /// The checksum of all frames, one behind the other.
    pub fn frames_sum(&self) -> u32 {
        self.frames_sum
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add(&mut self, frame: &[u8]) -> Result<()> {
        let mut bytes = Vec::with_capacity(frame.len() + 8);
        self.encoder.frame(frame, &mut bytes);
        self.frames_sum = crc32c_append(self.frames_sum, frame);
        Ok(self.file.write_all(&bytes)?)
    }

    /// Ends the file and brings it safely to disk.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.encoder.end(&mut bytes);
        self.file.write_all(&bytes)?;
        self.file.flush()?;
        Ok(self.file.get_ref().sync_all()?)
    }
}

/// A file of an image, as it is read.
struct Reader<R> {
    file: R,
    name: String,
    sum: u32,
}

impl Reader<BufReader<File>> {
    fn open(path: &Path, name: &str) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Ok(Reader { file: BufReader::with_capacity(1 << 20, file), name: name.into(), sum: 0 })
    }
}

impl<R: Read> Reader<R> {
    fn damaged(&self, how: &str) -> Error {
        data_loss(format!("{} is damaged: {how}", self.name))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.damaged("it was cut short"),
            _ => Error::from(error).context(&self.name),
        })?;
        self.sum = crc32c_append(self.sum, bytes);
        Ok(())
    }

    fn word(&mut self) -> Result<u32> {
        let mut word = [0; 4];
        self.fill(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    /// The bytes of a part that has its length and checksum before it.
    fn part(&mut self, length: u32, longest: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let sum = self.word()?;
        if length as usize > longest {
            return Err(self.damaged("a length makes no sense"));
        }
        bytes.resize(length as usize, 0);
        self.fill(bytes)?;
        if crc32c(bytes) != sum {
            return Err(self.damaged("a checksum is wrong"));
        }
        Ok(())
    }

    fn header(&mut self) -> Result<Vec<u8>> {
        let mut mark = [0; MARK.len()];
        let read = self.fill(&mut mark);
        if read.is_err() || &mark != MARK {
            let name = &self.name;
            return Err(failed_precondition(format!("{name} is no image of a master's state")));
        }
        let format = self.word()?;
        if format == 0 || format > FORMAT {
            return Err(failed_precondition(format!(
                "{} has format {format}, and this goosefs reads up to {FORMAT}: use the version \
                 that wrote it, or a newer one",
                self.name
            )));
        }
        let (length, mut header) = (self.word()?, Vec::new());
        self.part(length, LONGEST_HEADER, &mut header)?;
        Ok(header)
    }

    /// What comes after the last frame.
    fn end(&mut self, frames: u64) -> Result<()> {
        let mut told = [0; 8];
        self.fill(&mut told)?;
        if u64::from_le_bytes(told) != frames {
            return Err(self.damaged("frames are missing"));
        }
        let sum = self.sum;
        if self.word()? != sum {
            return Err(self.damaged("the checksum of the whole is wrong"));
        }
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            _ => Err(self.damaged("something comes after its end")),
        }
    }
}

/// Calls `act` with the header and each frame of a file that may end early, until there is an error.
fn read_some(path: &Path, mut act: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
    let mut reader = Reader::open(path, "")?;
    let (header, mut frame) = (reader.header()?, Vec::new());
    loop {
        match reader.word()? {
            END => return Ok(()),
            length => reader.part(length, LONGEST, &mut frame)?,
        }
        act(&header, &frame)?;
    }
}

/// Reads the image in the file at `path` to its end, checks all of it, and calls `act` with every
/// frame on the way; its header. Errors call it `name`.
///
/// # Errors
/// `FailedPrecondition` for what is no image, or one of a newer format; `DataLoss` for one that is
/// damaged, which may show only after many frames; what `act` says.
pub fn read(path: &Path, name: &str, mut act: impl FnMut(&[u8]) -> Result<()>) -> Result<Vec<u8>> {
    let mut reader = Reader::open(path, name)?;
    let header = reader.header()?;
    let (mut frames, mut frame) = (0, Vec::new());
    loop {
        let length = reader.word()?;
        if length == END {
            reader.end(frames)?;
            return Ok(header);
        }
        reader.part(length, LONGEST, &mut frame)?;
        act(&frame)?;
        frames += 1;
    }
}

/// Reads the image in the file at `path`, and checks that each of its frames can be taken in; its
/// header, and the number of files and directories in it.
///
/// # Errors
/// As [`read`].
pub fn check(path: &Path, name: &str) -> Result<(Vec<u8>, u64)> {
    let mut inodes = 0;
    let header = read(path, name, |frame| {
        inodes += puts(frame)?.iter().filter(|(table, ..)| *table == Table::Tree).count() as u64;
        Ok(())
    })?;
    Ok((header, inodes))
}

fn puts(frame: &[u8]) -> Result<Vec<Put>> {
    let put = |(table, key, value): Pair| {
        let table = TABLES.get(usize::from(table));
        let table = table.ok_or_else(|| data_loss("an image has a table that does not exist"))?;
        Ok((*table, key, Some(value)))
    };
    unpack(frame)?.into_iter().map(put).collect()
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
        self.install_with(path, Some, || Ok(Vec::new()))
    }

    /// The same, with `keep` changing or leaving out what is in the image and `add` saying what is
    /// to be written behind it.
    pub(super) fn install_with(
        &self,
        path: &Path,
        keep: impl Fn(Put) -> Option<Put>,
        add: impl FnOnce() -> Result<Vec<Put>>,
    ) -> Result<()> {
        let name = path.display().to_string();
        check(path, &name)?;
        let _one = self.inner.applying.lock();
        let store = &self.inner.store;
        store.disk.clear()?;
        read(path, &name, |frame| {
            Ok(store.disk.write(puts(frame)?.into_iter().filter_map(&keep))?)
        })?;
        store.forget_cached();
        store.disk.write(add()?)?;
        store.disk.sync()?;
        let mut published = self.inner.published.write();
        store.forget_cached();
        *published = Published {
            mounts: MountTable::new(load_mounts(store)?),
            stages: super::stage::load_stages(store)?,
            counters: store.rest(&counters_key())?.unwrap_or_default(),
            restored_ms: store.rest(&super::restored_key())?.unwrap_or_default(),
        };
        drop(published);
        debug_assert!(store.disk.get(Table::Rest, &applied_key()).is_ok());
        self.inner.pins_version.fetch_add(1, std::sync::atomic::Ordering::Release);
        Ok(())
    }
}
