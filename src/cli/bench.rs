//! `goosefs bench`: pick a workload, print its report.

use super::block_on;
use crate::bench::{Report, floor, metadata, start, worker};
use crate::core::error::Result;
use clap::{Subcommand, ValueEnum};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure goosefs on this machine, against a floor taken in the same minutes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs bench metadata              Calls and durable changes of a master
  goosefs bench worker -o json        A block over the wire, for scripts")]
pub struct Bench {
    #[command(subcommand)]
    workload: Workload,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// Options of every workload.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Directory on the disk to measure; what is written there goes again
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Stat against a gRPC echo, durable creates against fdatasync
    Metadata(Options),
    /// A block read over gRPC against sendfile
    Worker(Options),
    /// Start-up time and idle memory of each role
    Start(Options),
    /// Echo calls for ever; the floor of `metadata`, in a process of its own
    #[command(hide = true)]
    EchoServer { port: u16 },
}

impl Bench {
    /// Runs the workload and prints what it found.
    pub fn run(self) -> Result<ExitCode> {
        match self.workload {
            Workload::Metadata(options) => {
                let mut report = Report::default();
                report.rows.push(block_on(metadata::stat(&options.dir))?);
                report.rows.extend(block_on(metadata::create(&options.dir))?);
                print(&report, options.output);
            }
            Workload::Worker(options) => {
                let row = block_on(worker::read(&options.dir))?;
                print(&Report { rows: vec![row] }, options.output);
            }
            Workload::Start(options) => {
                print(&Report { rows: start::roles(&options.dir)? }, options.output);
            }
            Workload::EchoServer { port } => block_on(floor::serve_echo(port))?,
        }
        Ok(ExitCode::SUCCESS)
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
