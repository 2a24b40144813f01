//! `goosefs bench`: pick a workload, print its report.

use super::print::{Format, Output};
use super::{block_on, key_value};
use crate::bench::{
    Report, cp, elastic, empty_fuse, evict, floor, fuse, load, metadata, scale, start, tiers, tree,
    ufs, worker,
};
use crate::core::error::{Result, internal};
use crate::core::model::ByteSize;
use clap::Subcommand;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure goosefs on this machine, against a floor taken in the same minutes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench cp                    A slow data set, copied cold, loaded, and copied warm
  goosefs bench evict                 What each eviction policy keeps
  goosefs bench metadata              Calls and durable changes of a master
  goosefs bench worker -o json        A block over the wire, for scripts")]
pub struct Bench {
    #[command(subcommand)]
    workload: Workload,
}

/// Options of every workload.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Directory on the disk to measure; what is written there goes again
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
    #[command(flatten)]
    format: Output,
}

/// Copy a tree from a slow archive: cold, loaded, and warm
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench cp                              545 MiB over a line of 8 MB/s
  goosefs bench cp --size 100MB --rate 20MB
  goosefs bench cp --ufs s3://bucket/data --option s3.endpoint=http://minio:9000")]
pub struct CpOptions {
    /// An under store to copy from, instead of files of this machine behind a slow line
    #[arg(long, value_name = "URI")]
    ufs: Option<String>,
    /// A property of that under store
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_value, requires = "ufs")]
    properties: Vec<(String, String)>,
    /// Size of the tree
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(tree::SEED_BYTES), conflicts_with = "ufs")]
    size: ByteSize,
    /// What the line lets through in a second
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(8 << 20), conflicts_with = "ufs")]
    rate: ByteSize,
    /// Warm copies
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    format: Output,
}

/// A master with very many files: memory, restart, checkpoints, renames
#[derive(clap::Args, Clone, Debug)]
pub struct ScaleOptions {
    /// Files to make; some 150 bytes of the disk each
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(200_000..))]
    files: u64,
    #[command(flatten)]
    options: Options,
}

/// What eviction policies keep, against a clairvoyant
///
/// Without --trace they meet accesses that are made up. To see what they would do with yours, have a
/// worker record them: set goosefs.worker.trace.file, and goosefs.worker.trace.share where it is busy,
/// see goosefs.yaml(5). The policy of a worker is goosefs.worker.eviction.policy.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench evict                               Made-up traces
  goosefs bench evict --trace /var/tmp/reads        What a worker recorded, on a cache of its size
  goosefs bench evict --trace reads --capacity 1TB  The same on another")]
pub struct EvictOptions {
    /// A recorded trace: a line "id size" for each access, as goosefs.worker.trace.file has it
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// What the cache holds [default: what the recording worker does, or a tenth of what is asked for]
    #[arg(long, value_name = "SIZE", requires = "trace")]
    capacity: Option<ByteSize>,
    /// Accesses of a made-up trace
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000), conflicts_with = "trace")]
    accesses: u64,
    #[command(flatten)]
    format: Output,
}

/// Cold reads through a worker, against the store itself
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench ufs                             An S3 server of its own, in memory
  goosefs bench ufs --size 1GB --link 125MB     The same, and over a link of 1 Gbit/s
  goosefs bench ufs --ufs s3://bucket --option s3.endpoint=http://minio:9000")]
pub struct UfsOptions {
    /// An under store to read from; objects are written there, and removed again
    #[arg(long, value_name = "URI")]
    ufs: Option<String>,
    /// A property of that under store
    #[arg(long = "option", value_name = "KEY=VALUE", value_parser = key_value, requires = "ufs")]
    properties: Vec<(String, String)>,
    /// Size of each of the six objects
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(256 << 20))]
    size: ByteSize,
    /// Bytes a second between cache and store in the second run of the store in memory
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(256 << 20), conflicts_with = "ufs")]
    link: ByteSize,
    #[command(flatten)]
    options: Options,
}

/// Three workers become five, and then two, under a steady load of random reads
#[derive(clap::Args, Clone, Debug)]
pub struct ElasticOptions {
    /// Files of 256 KiB in the data set
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=8_000))]
    files: u32,
    #[command(flatten)]
    options: Options,
}

/// Very many small objects brought into the cache, against rclone
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench load                          20,000 objects of 12 KiB
  goosefs bench load --files 1000 --length 10MB")]
pub struct LoadOptions {
    /// Objects
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    files: u64,
    /// Bytes of each
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(12 << 10))]
    length: ByteSize,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Workload {
    Cp(CpOptions),
    Elastic(ElasticOptions),
    Evict(EvictOptions),
    Load(LoadOptions),
    /// Stat against a gRPC echo, durable creates against fdatasync
    Metadata(Options),
    Scale(ScaleOptions),
    /// What a worker keeps of more than its memory holds, and what a scan costs it
    Tiers(Options),
    Ufs(UfsOptions),
    /// A block read and written over gRPC, against sendfile and recv
    Worker(Options),
    /// Start-up time and idle memory of each role
    Start(Options),
    /// A mounted directory against tmpfs and an empty FUSE; takes root
    Fuse(Options),
    /// A file system that does nothing; the floor of `fuse`, in a process of its own
    #[command(hide = true)]
    EmptyFuse {
        dir: PathBuf,
    },
    /// Echo calls for ever; the floor of `metadata`, in a process of its own
    #[command(hide = true)]
    EchoServer {
        port: u16,
    },
}

impl Bench {
    /// Runs the workload and prints what it found.
    pub fn run(self) -> Result<ExitCode> {
        match self.workload {
            Workload::Cp(options) => options.run()?,
            Workload::Elastic(ElasticOptions { files, options }) => {
                let dir = options.dir.clone();
                let say = |what: &str| eprintln!("{what}");
                let work = async move { elastic::run(&dir, files as usize, &say).await };
                print(&Report { rows: on_runtime(work)? }, options.format.output);
            }
            Workload::Evict(options) => options.run()?,
            Workload::Ufs(UfsOptions { ufs, properties, size, link, options }) => {
                let properties = properties.into_iter().collect();
                let what = ufs::Options { ufs, properties, size: size.0, link: link.0 };
                let dir = options.dir.clone();
                let work = async move { ufs::cold(&dir, &what).await };
                print(&Report { rows: on_runtime(work)? }, options.format.output);
            }
            Workload::Tiers(options) => {
                let dir = options.dir.clone();
                let rows = on_runtime(async move { tiers::run(&dir).await })?;
                print(&Report { rows }, options.format.output);
            }
            Workload::Metadata(options) => {
                let mut report = Report::default();
                let dir = options.dir.clone();
                report.rows.push(on_runtime(async move { metadata::stat(&dir).await })?);
                let dir = options.dir.clone();
                report.rows.extend(on_runtime(async move { metadata::create(&dir).await })?);
                print(&report, options.format.output);
            }
            Workload::Load(LoadOptions { files, length, options }) => {
                let dir = options.dir.clone();
                let what = load::Options { files: files as usize, length: length.0 as usize };
                let say = |what: &str| eprintln!("{what}");
                let work = async move { load::run(&dir, what, &say).await };
                print(&on_runtime(work)?, options.format.output);
            }
            Workload::Scale(ScaleOptions { files, options }) => {
                let dir = options.dir.clone();
                let say = |what: &str| eprintln!("{what}");
                let work = async move { scale::files(&dir, files, &say).await };
                print(&Report { rows: on_runtime(work)? }, options.format.output);
            }
            Workload::Worker(options) => {
                let read = block_on(worker::read(&options.dir))?;
                let write = block_on(worker::write(&options.dir))?;
                print(&Report { rows: vec![read, write] }, options.format.output);
            }
            Workload::Start(options) => {
                print(&Report { rows: start::roles(&options.dir)? }, options.format.output);
            }
            Workload::Fuse(options) => {
                print(&Report { rows: fuse::all(&options.dir)? }, options.format.output);
            }
            Workload::EmptyFuse { dir } => empty_fuse::serve(&dir)?,
            Workload::EchoServer { port } => block_on(floor::serve_echo(port))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs callers where a client's are: on the runtime's own threads, next to their connection.
fn on_runtime<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    block_on(async { tokio::spawn(work).await.map_err(|e| internal(e.to_string()))? })
}

impl CpOptions {
    fn run(self) -> Result<()> {
        let options = cp::Options {
            ufs: self.ufs,
            properties: self.properties.into_iter().collect(),
            size: self.size.0,
            rate: self.rate.0,
            rounds: self.rounds,
        };
        let found = block_on(async { cp::run(&options, &|what| eprintln!("{what}")).await })?;
        if self.format.output == Format::Json {
            println!("{}", serde_json::json!(found));
            return Ok(());
        }
        let line = found
            .rate
            .map_or(String::new(), |rate| format!(", {:.1} MiB/s", rate as f64 / 1048576.0));
        let tree = &found.tree;
        let what = format!("{} files, {} MiB{line}", tree.small + tree.large, tree.bytes >> 20);
        let seconds = |s: f64| format!("{s:.3} s");
        let warm = &found.warm;
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["cp -r", what.as_str()]);
        table.add_row(["cold, from the source".into(), seconds(found.cold_s)]);
        table.add_row(["goosefs load".into(), seconds(found.load_s)]);
        table.add_row(["warm, from goosefs".into(), seconds(warm.ours)]);
        table.add_row(["tmpfs to tmpfs".into(), seconds(warm.floor)]);
        table.add_row(["warm is faster than cold".into(), format!("{:.0} times", found.speed_up)]);
        let ratio = format!("{:.2} ({:.2}–{:.2})", warm.ratio, warm.ratio_min, warm.ratio_max);
        table.add_row(["tmpfs time / warm time, median (min–max)".into(), ratio]);
        println!("{table}");
        if !found.caches_dropped {
            println!(
                "The kernel's caches were not dropped before the warm copies: that needs root."
            );
        }
        Ok(())
    }
}

impl EvictOptions {
    fn run(self) -> Result<()> {
        let traces = match &self.trace {
            Some(path) => vec![evict::recorded(path, self.capacity.map(|size| size.0))?],
            None => evict::made_up(self.accesses as usize),
        };
        let found = evict::compare(&traces);
        if self.format.output == Format::Json {
            println!("{}", serde_json::json!(found));
            return Ok(());
        }
        let percent = |share: f64| format!("{:.1}%", share * 100.0);
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "trace",
            "policy",
            "hits",
            "of the optimum",
            "byte hits",
            "hot set kept",
        ]);
        for outcome in &found {
            for score in &outcome.policies {
                table.add_row([
                    outcome.trace.clone(),
                    score.policy.into(),
                    percent(score.hit_ratio),
                    percent(score.of_optimum),
                    percent(score.byte_hit_ratio),
                    score.hot_set_kept.map_or(String::new(), percent),
                ]);
            }
            let (hits, bytes) = (percent(outcome.optimum), percent(outcome.optimum_bytes));
            let name = outcome.trace.clone();
            table.add_row([name, "clairvoyant".into(), hits, String::new(), bytes, String::new()]);
        }
        println!("{table}");
        Ok(())
    }
}

/// Prints a report as a table or as JSON.
pub fn print(report: &Report, format: Format) {
    if format == Format::Json {
        println!("{}", serde_json::json!(report));
        return;
    }
    let mut table = comfy_table::Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["workload", "ours", "floor", "", "ratio (min–max)", "note"]);
    for row in &report.rows {
        table.add_row([
            row.name.clone(),
            amount(row.ours, row.unit),
            amount(row.floor, row.unit),
            row.floor_name.clone(),
            format!("{:.2} ({:.2}–{:.2})", row.ratio, row.ratio_min, row.ratio_max),
            row.note.clone(),
        ]);
    }
    println!("{table}");
}

/// A number with its unit, with as many digits as say something.
fn amount(value: f64, unit: &str) -> String {
    let digits = if value < 10.0 { 2 } else { 0 };
    format!("{value:.digits$} {unit}")
}
