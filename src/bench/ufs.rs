//! Cold reads: an object of an under store through a worker, against the same object read directly
//! with the same connector; and what many readers of one cold file cost the store.

use super::counters::Counters;
use super::{ROUNDS, Row, Scratch, alternate, objects};
use crate::client::{FileSystem, MountOptions, OpenOptions};
use crate::core::config::Config;
use crate::core::error::{Context, Result, data_loss, internal};
use crate::core::model::{ByteSize, FsPath};
use crate::core::rpc::server::free_port;
use crate::core::runtime::Group;
use crate::ufs::{self, Attributes, Ufs};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes written at a time.
const PIECE: u64 = 1 << 20;
/// Readers of one cold file at the same time.
const READERS: usize = 16;
/// How long clean-up waits for what is under way.
const END: Duration = Duration::from_secs(5);

/// Which store, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// A directory of an under store to use; an S3 server of our own where there is none.
    pub ufs: Option<String>,
    /// Properties of that under store.
    pub properties: BTreeMap<String, String>,
    /// Bytes of each object.
    pub size: u64,
    /// Bytes a second of the link to our own server in a second run.
    pub link: u64,
}

/// Reads objects cold; those of a store that was named are written first and removed at the end.
///
/// # Errors
/// When a process does not start or the store fails; `DataLoss` when other bytes come.
pub async fn cold(base: &Path, options: &Options) -> Result<Vec<Row>> {
    let page = free_port()?;
    let short_circuit = ("user.short.circuit.enabled", "false".to_string());
    let properties = [("worker.web.port", page.to_string()), short_circuit];
    let mut scratch = Scratch::start(base, &properties)?;
    scratch.start_worker()?;
    let rig = Rig { config: scratch.config()?, page, size: options.size };
    match &options.ufs {
        Some(ufs) => rig.written(ufs, &options.properties).await,
        None => rig.served(options.link).await,
    }
}

/// A cluster, and what is read through it.
struct Rig {
    config: Config,
    /// The port of the worker's page.
    page: u16,
    size: u64,
}

impl Rig {
    /// Measures a store that was named.
    async fn written(&self, parent: &str, given: &BTreeMap<String, String>) -> Result<Vec<Row>> {
        let above = ufs::open(parent.trim_end_matches('/'), given)?;
        let name = format!("goosefs-bench-{}", uuid::Uuid::new_v4());
        let result = async {
            let store = ufs::open(&format!("{}/{name}", above.address()), given)?;
            for number in 0..=ROUNDS {
                write(&store, number, self.size).await?;
            }
            let mounted = self.mount("/cold", &store, given).await?;
            Ok(vec![mounted.one_reader("the store directly").await?, mounted.many_readers().await?])
        };
        let result: Result<Vec<Row>> = result.await;
        let cleaned = above.delete_dir(&name).await;
        let rows = result?;
        cleaned.context("removing the objects that were read")?;
        Ok(rows)
    }

    /// Measures a server of our own, at full speed and over a link of `link` bytes a second.
    async fn served(&self, link: u64) -> Result<Vec<Row>> {
        let group = Group::new("bench");
        let result = async {
            let fast = self.serve("/fast", 0, &group).await?;
            let mut rows = vec![fast.one_reader("the store directly, in memory").await?];
            rows.push(fast.many_readers().await?);
            // Both have the same address, and one address is mounted once.
            fast.files.unmount(&fast.path).await?;
            let slow = self.serve("/slow", link, &group).await?;
            let floor = format!("the store directly, {} a second", ByteSize(link));
            rows.push(slow.one_reader(&floor).await?);
            Ok(rows)
        };
        let result: Result<Vec<Row>> = result.await;
        group.stop(END).await;
        result
    }

    async fn serve(&self, path: &str, link: u64, group: &Group) -> Result<Mounted> {
        let served = objects::Served { count: ROUNDS + 1, length: self.size, link };
        let url = objects::serve(served, group).await?;
        let properties = [("s3.endpoint", url), ("s3.anonymous", "true".into())];
        let properties = properties.map(|(name, value)| (name.to_string(), value)).into();
        let address = format!("s3://{}/{}", objects::BUCKET, objects::FOLDER);
        self.mount(path, &ufs::open(&address, &properties)?, &properties).await
    }

    async fn mount(
        &self,
        path: &str,
        store: &Ufs,
        properties: &BTreeMap<String, String>,
    ) -> Result<Mounted> {
        let files = FileSystem::connect(&self.config);
        let mount = MountOptions { properties: properties.clone(), ..Default::default() };
        let path = FsPath::parse(path)?;
        files.mount(&path, store.address(), &mount).await?;
        let (config, page, size) = (self.config.clone(), self.page, self.size);
        Ok(Mounted { config, files, path, store: store.clone(), page, size })
    }
}

/// A store with objects 0 to [`ROUNDS`], of which nothing is cached.
struct Mounted {
    config: Config,
    files: FileSystem,
    path: FsPath,
    store: Ufs,
    page: u16,
    size: u64,
}

impl Mounted {
    /// All objects but the last, one after the other.
    async fn one_reader(&self, floor_name: &str) -> Result<Row> {
        let (mut ours, mut floor) = (0..ROUNDS, 0..ROUNDS);
        let rate = |start: Instant| self.size as f64 / start.elapsed().as_secs_f64() / 1e6;
        let ours = || {
            let number = ours.next().unwrap_or_default();
            async move {
                let start = Instant::now();
                read_file(&self.files, &self.path, number, self.size).await?;
                Ok(rate(start))
            }
        };
        let floor = || {
            let number = floor.next().unwrap_or_default();
            async move {
                let start = Instant::now();
                let mut pieces =
                    self.store.read(&objects::name(number), None, 0..self.size).await?;
                let mut check = Check::new(number);
                while let Some(piece) = pieces.try_next().await? {
                    check.take(&piece)?;
                }
                check.end(self.size)?;
                Ok(rate(start))
            }
        };
        let rounds = alternate(ROUNDS, ours, floor).await?;
        Ok(Row::new("U1 cold read through a worker", "MB/s", floor_name, &rounds, false))
    }

    /// The last object, by many at the same time.
    async fn many_readers(&self) -> Result<Row> {
        let before = Counters::at("127.0.0.1", self.page)?.filled;
        let (start, size) = (Instant::now(), self.size);
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                let (files, path) = (FileSystem::connect(&self.config), self.path.clone());
                tokio::spawn(async move { read_file(&files, &path, ROUNDS, size).await })
            })
            .collect();
        for reader in readers {
            reader.await.map_err(|e| internal(e.to_string()))??;
        }
        let took = start.elapsed().as_secs_f64();
        let filled = Counters::at("127.0.0.1", self.page)?.filled - before;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let once = [(mb(filled), mb(size))];
        let name = format!("{READERS} readers of one cold file");
        let all = mb(size * READERS as u64) / took;
        let note = format!("{took:.1} s, {all:.0} MB/s to all readers together");
        Ok(Row::new(&name, "MB read", "the file", &once, true).note(note))
    }
}

async fn write(store: &Ufs, number: usize, size: u64) -> Result<()> {
    let mut writer = store.create(&objects::name(number), &Attributes::default()).await?;
    let mut at = 0;
    while at < size {
        let to = (at + PIECE).min(size);
        writer.write(objects::content(number, at..to)).await?;
        at = to;
    }
    writer.close().await.map(drop)
}

async fn read_file(files: &FileSystem, below: &FsPath, number: usize, size: u64) -> Result<()> {
    let path = below.join(&objects::name(number))?;
    let reader = files.open(&path, &OpenOptions::default()).await?;
    let mut pieces = reader.stream_all();
    let mut check = Check::new(number);
    while let Some(piece) = pieces.next().await? {
        check.take(&piece)?;
    }
    check.end(size)
}

/// Compares what comes with what was written: the first bytes of every piece, and the length. A full
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
        let first = piece.len().min(size_of::<u64>());
        let expected = objects::content(self.number, self.offset..self.offset + first as u64);
        if piece[..first] != expected {
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
