//! Cold reads: an object of an under store through a worker, against the same object read directly
//! with the same connector; and what many readers of one cold file cost the store.

use super::counters::Counters;
use super::{ROUNDS, Row, Scratch, alternate};
use crate::client::{FileSystem, MountOptions, OpenOptions};
use crate::core::error::{Context, Result, data_loss, internal};
use crate::core::model::FsPath;
use crate::core::rpc::server::free_port;
use crate::ufs::{self, Attributes, Ufs};
use bytes::Bytes;
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Bytes written and compared at a time.
const PIECE: usize = 1 << 20;
/// Readers of one cold file at the same time.
const READERS: usize = 16;

/// Which store, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// A directory of an under store to use; a directory of this machine where there is none.
    pub ufs: Option<String>,
    /// Properties of that under store.
    pub properties: BTreeMap<String, String>,
    /// Bytes of each object.
    pub size: u64,
}

/// Writes objects, reads them cold, and removes them again.
///
/// # Errors
/// When a process does not start or the store fails; `DataLoss` when other bytes come.
pub async fn cold(base: &Path, options: &Options) -> Result<Vec<Row>> {
    let page = free_port()?;
    let short_circuit = ("user.short.circuit.enabled", "false".to_string());
    let properties = [("worker.web.port", page.to_string()), short_circuit];
    let mut scratch = Scratch::start(base, &properties)?;
    scratch.start_worker()?;
    let config = scratch.config()?;
    let parent = match &options.ufs {
        Some(ufs) => ufs.trim_end_matches('/').to_string(),
        None => format!("file://{}", scratch.dir().display()),
    };
    let store = ufs::open(&parent, &options.properties)?;
    let name = format!("goosefs-bench-{}", uuid::Uuid::new_v4());
    let result = measure(&config, &store, &name, page, options).await;
    let cleaned = store.delete_dir(&name).await;
    let rows = result?;
    cleaned.context("removing the objects that were read")?;
    Ok(rows)
}

async fn measure(
    config: &crate::core::config::Config,
    store: &Ufs,
    name: &str,
    page: u16,
    options: &Options,
) -> Result<Vec<Row>> {
    let size = options.size;
    for number in 0..=ROUNDS {
        write(store, &format!("{name}/{number}"), number, size).await?;
    }
    let address = format!("{}/{name}", store.address());
    let files = FileSystem::connect(config);
    let mount = MountOptions { properties: options.properties.clone(), ..Default::default() };
    files.mount(&FsPath::parse("/cold")?, &address, &mount).await?;
    let (mut ours, mut floor) = (0..ROUNDS, 0..ROUNDS);
    let rate = |start: Instant| size as f64 / start.elapsed().as_secs_f64() / 1e6;
    let rounds = alternate(
        ROUNDS,
        || {
            let (files, number) = (files.clone(), ours.next().unwrap_or_default());
            async move {
                let start = Instant::now();
                read_file(&files, number, size).await?;
                Ok(rate(start))
            }
        },
        || {
            let (store, number) = (store.clone(), floor.next().unwrap_or_default());
            async move {
                let start = Instant::now();
                let mut pieces = store.read(&format!("{name}/{number}"), None, 0..size).await?;
                let mut check = Check::new(number);
                while let Some(piece) = pieces.try_next().await? {
                    check.take(&piece)?;
                }
                check.end(size)?;
                Ok(rate(start))
            }
        },
    )
    .await?;
    let cold =
        Row::new("U1 cold read through a worker", "MB/s", "the store directly", &rounds, false);

    let before = Counters::at("127.0.0.1", page)?.filled;
    let start = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let files = FileSystem::connect(config);
            tokio::spawn(async move { read_file(&files, ROUNDS, size).await })
        })
        .collect();
    for reader in readers {
        reader.await.map_err(|e| internal(e.to_string()))??;
    }
    let took = start.elapsed().as_secs_f64();
    let filled = Counters::at("127.0.0.1", page)?.filled - before;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let once = [(mb(filled), mb(size))];
    let shared = Row::new(
        &format!("{READERS} readers of one cold file"),
        "MB read",
        "the file",
        &once,
        true,
    );
    let all = mb(size * READERS as u64) / took;
    Ok(vec![cold, shared.note(format!("{took:.1} s, {all:.0} MB/s to all readers together"))])
}

async fn write(store: &Ufs, path: &str, number: usize, size: u64) -> Result<()> {
    let mut writer = store.create(path, &Attributes::default()).await?;
    let mut left = size;
    while left > 0 {
        let piece = content(number, size - left, left.min(PIECE as u64) as usize);
        left -= piece.len() as u64;
        writer.write(piece).await?;
    }
    writer.close().await.map(drop)
}

/// What an object holds from `offset` on: its pieces differ, and so do objects.
fn content(number: usize, offset: u64, length: usize) -> Bytes {
    (offset..offset + length as u64).map(|at| byte(number, at)).collect::<Vec<u8>>().into()
}

fn byte(number: usize, at: u64) -> u8 {
    let piece = PIECE as u64;
    ((at / piece) * 7 + number as u64 * 31 + at % piece % 251) as u8
}

async fn read_file(files: &FileSystem, number: usize, size: u64) -> Result<()> {
    let path = FsPath::parse(&format!("/cold/{number}"))?;
    let reader = files.open(&path, &OpenOptions::default()).await?;
    let mut pieces = reader.stream_all();
    let mut check = Check::new(number);
    while let Some(piece) = pieces.next().await? {
        check.take(&piece)?;
    }
    check.end(size)
}

/// Compares what comes with what was written: the first byte of every piece, and the length. A full
/// comparison would be measured with it.
struct Check {
    number: usize,
    offset: u64,
}

impl Check {
    fn new(number: usize) -> Check {
        Check { number, offset: 0 }
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        if piece.first().is_some_and(|first| *first != byte(self.number, self.offset)) {
            return Err(data_loss(format!("other bytes came at {}", self.offset)));
        }
        self.offset += piece.len() as u64;
        Ok(())
    }

    fn end(&self, size: u64) -> Result<()> {
        match self.offset == size {
            true => Ok(()),
            false => Err(data_loss(format!("{} of {size} bytes came", self.offset))),
        }
    }
}
