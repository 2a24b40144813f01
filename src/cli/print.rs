//! What commands say: lines and tables for people, JSON for programs, sizes and times for both.
//!
//! Standard output carries results, standard error carries what went wrong and how far a job is.
//! Listings are printed as they arrive and never held. Whoever reads us may hang up (`| head`): that
//! is no failure, the command ends there and says nothing.

use crate::core::error::{Context, Error, Result, invalid_argument};
use crate::core::model::{ByteSize, Status};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines and tables, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
}

// The option that chooses the format, the same in every command that lists something. No doc comment:
// it would be the help of commands that take theirs from another part of them.
#[derive(Args, Clone, Copy, Debug)]
pub struct Output {
    /// How to print what is listed
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true,
        help = "Format of listings: table or json [default: table]",
        global = true
    )]
    pub output: Format,
}

/// Where results go.
pub struct Out {
    format: Format,
    to: Box<dyn Write + Send>,
    /// Items so far in the JSON list that is open.
    items: u64,
}

impl Out {
    /// Standard output.
    pub fn stdout(format: Format) -> Self {
        Out::to(format, Box::new(BufWriter::with_capacity(64 << 10, io::stdout())))
    }

    /// Any other place.
    pub fn to(format: Format, to: Box<dyn Write + Send>) -> Self {
        Out { format, to, items: 0 }
    }

    /// Whether programs read this.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Writes one line of a result.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn line(&mut self, text: impl Display) -> Result<()> {
        written(writeln!(self.to, "{text}"))
    }

    /// Says that something was done; programs see that from the exit code.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn note(&mut self, text: impl Display) -> Result<()> {
        if self.is_json() { Ok(()) } else { self.line(text) }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        written(self.to.write_all(bytes))
    }

    /// Writes one JSON document.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(unprintable)?;
        self.line(text)
    }

    /// Begins a list that is printed item by item: in JSON an array, else just lines.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn begin_list(&mut self) -> Result<()> {
        self.items = 0;
        if self.is_json() { written(self.to.write_all(b"[")) } else { Ok(()) }
    }

    /// One item of a list: `value` in JSON, else the line that `text` makes.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn item<D: Display>(
        &mut self,
        value: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce() -> D,
    ) -> Result<()> {
        if !self.is_json() {
            return self.line(text());
        }
        let separator: &[u8] = if self.items == 0 { b"\n" } else { b",\n" };
        self.items += 1;
        written(self.to.write_all(separator))?;
        written(write!(self.to, "  {}", value()))
    }

    /// Ends a list.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn end_list(&mut self) -> Result<()> {
        if self.is_json() { self.line(if self.items == 0 { "]" } else { "\n]" }) } else { Ok(()) }
    }

    /// A table of `rows` under `header`, or `values` in JSON. For what fits a screen.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn table(
        &mut self,
        header: &[&str],
        rows: Vec<Vec<String>>,
        values: &impl Serialize,
    ) -> Result<()> {
        if self.is_json() {
            return self.json(values);
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(header.to_vec());
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        self.line(table.trim_fmt())
    }

    /// Sends on what is still buffered.
    ///
    /// # Errors
    /// When the place takes no more.
    pub fn flush(&mut self) -> Result<()> {
        written(self.to.flush())
    }
}

/// The result of a write. When nobody reads any more the process ends: its work is done.
fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("writing the output"),
    }
}

fn unprintable(error: serde_json::Error) -> Error {
    invalid_argument("this cannot be written as JSON").with_source(error)
}

/// Says on standard error what went wrong, in one line.
pub fn complain(error: &Error) {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = lines.next().unwrap_or("failed").to_string();
    for more in lines {
        line.push_str("; ");
        line.push_str(more);
    }
    // Nobody may be listening; there is no one else to tell.
    let _ = writeln!(io::stderr(), "goosefs: {line}");
}

/// A number of bytes, as it is or for people.
pub fn size(bytes: u64, human: bool) -> String {
    if human { ByteSize(bytes).to_string() } else { bytes.to_string() }
}

/// Bytes a second, for people.
pub fn rate(bytes: u64, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let rate = if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    format!("{}/s", ByteSize(rate as u64))
}

/// A time as GooseFS writes it, in the local time zone: `11-21-2026 23:50:17:042`. 0 is `-`.
pub fn time(ms: i64) -> String {
    if ms == 0 {
        return "-".into();
    }
    let zone = jiff::tz::TimeZone::system();
    time_in(ms, zone)
}

fn time_in(ms: i64, zone: jiff::tz::TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => {
            let at = at.to_zoned(zone);
            format!("{}:{:03}", at.strftime("%m-%d-%Y %H:%M:%S"), at.millisecond())
        }
        Err(_) => "-".into(),
    }
}

/// A time in UTC as `2026-11-21 23:50:17`.
pub fn time_utc(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "-".into(),
    }
}

/// How long something took or will take, for people: `0.3s`, `42s`, `3m10s`, `2h05m`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Type and permission bits as `ls` shows them: `drwxr-xr-x`.
pub fn permissions(status: &Status) -> String {
    let kind = match status {
        s if s.is_symlink() => 'l',
        s if s.folder => 'd',
        s => s.node().map_or('-', |node| node.letter()),
    };
    let mut text = String::with_capacity(10);
    text.push(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = status.mode >> shift & 7;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, status.mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// A status in JSON, with the names of GooseFS's `FileInfo`.
pub fn status_json(status: &Status) -> serde_json::Value {
    let mut value = serde_json::json!({
        "fileId": status.id.0,
        "name": status.name(),
        "path": status.path.as_str(),
        "ufsPath": status.ufs_path,
        "folder": status.folder,
        "length": status.length,
        "blockSizeBytes": status.block_size,
        "completed": status.completed,
        "cacheable": status.cacheable,
        "persisted": status.is_persisted(),
        "persistenceState": status.persistence.name(),
        "inGooseFSPercentage": status.cached_percent,
        "creationTimeMs": status.created_ms,
        "lastModificationTimeMs": status.modified_ms,
        "lastAccessTimeMs": status.accessed_ms,
        "owner": status.owner,
        "group": status.group,
        "mode": format!("{:04o}", status.mode),
        "pinned": status.pinned,
        "mountPoint": status.mount_point,
        "mountId": status.mount_id,
    });
    let mut add = |name: &str, field: serde_json::Value| {
        value[name] = field;
    };
    if status.is_symlink() {
        add("symlink", status.symlink.clone().into());
    }
    if !status.pinned_media().is_any() {
        add("pinnedMedia", status.pinned_media().names().into());
    }
    if status.replication().is_set() {
        add("replicationMin", status.replication().min.into());
        add("replicationMax", status.replication().max.map_or(-1, i64::from).into());
    }
    if let Some(ttl_ms) = status.ttl_ms {
        add("ttlMs", ttl_ms.into());
        add("ttlAction", status.ttl_action.name().into());
    }
    if let Some(read_type) = status.read_type {
        add("readType", read_type.name().into());
    }
    if let Some(write_type) = status.write_type {
        add("writeType", write_type.name().into());
    }
    if !status.ufs_version.is_empty() {
        add("ufsFingerprint", status.ufs_version.clone().into());
    }
    value
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;
    use crate::core::model::FsPath;
    use std::sync::{Arc, Mutex};

    /// A place to write to that a test can read.
    #[derive(Clone, Default)]
    pub struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub fn out(&self, format: Format) -> Out {
            Out::to(format, Box::new(self.clone()))
        }

        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_list_in_json_is_an_array_however_many_items_it_has() {
        for count in 0..3 {
            let page = Page::default();
            let mut out = page.out(Format::Json);
            out.begin_list().unwrap();
            for i in 0..count {
                out.item(|| serde_json::json!({ "i": i }), || "never").unwrap();
            }
            out.end_list().unwrap();
            let value: serde_json::Value = serde_json::from_str(&page.text()).unwrap();
            assert_eq!(value.as_array().map(Vec::len), Some(count));
        }
    }

    #[test]
    fn notes_are_for_people_only() {
        let (page, json) = (Page::default(), Page::default());
        page.out(Format::Table).note("done").unwrap();
        json.out(Format::Json).note("done").unwrap();
        assert_eq!((page.text().as_str(), json.text().as_str()), ("done\n", ""));
    }

    #[test]
    fn a_table_has_its_columns_aligned() {
        let page = Page::default();
        let rows = vec![vec!["1".into(), "a path".into()], vec!["200".into(), "b".into()]];
        page.out(Format::Table).table(&["ID", "PATH"], rows, &()).unwrap();
        assert_eq!(page.text(), "ID    PATH\n1     a path\n200   b\n");
    }

    #[test]
    fn permissions_look_as_in_ls() {
        let status = |mode, folder| Status { mode, folder, ..Default::default() };
        assert_eq!(permissions(&status(0o755, true)), "drwxr-xr-x");
        assert_eq!(permissions(&status(0o4640, false)), "-rwSr-----");
        assert_eq!(permissions(&status(0o1777, true)), "drwxrwxrwt");
        let link = Status { symlink: "/x".into(), mode: 0o777, ..Default::default() };
        assert_eq!(permissions(&link), "lrwxrwxrwx");
    }

    #[test]
    fn times_are_written_as_goosefs_writes_them() {
        let utc = jiff::tz::TimeZone::UTC;
        assert_eq!(time_in(1_700_000_000_042, utc), "11-14-2023 22:13:20:042");
        assert_eq!(time_utc(1_700_000_000_042), "2023-11-14 22:13:20");
        assert_eq!(time(0), "-");
        assert_eq!(time_utc(i64::MAX), "-");
    }

    #[test]
    fn durations_keep_what_matters() {
        let of = |ms| took(Duration::from_millis(ms));
        assert_eq!(
            [of(278), of(42_400), of(190_000), of(7_500_000)],
            ["0.3s", "42s", "3m10s", "2h05m"]
        );
        assert_eq!(rate(10 << 20, Duration::from_secs(2)), "5MB/s");
    }

    #[test]
    fn a_status_in_json_says_what_is_set_and_no_more() {
        let mut status = Status { path: FsPath::parse("/a/b").unwrap(), ..Default::default() };
        let plain = status_json(&status);
        assert_eq!(plain["name"], "b");
        assert!(plain.get("ttlMs").is_none() && plain.get("symlink").is_none());
        status.ttl_ms = Some(5);
        assert_eq!(status_json(&status)["ttlAction"], "FREE");
    }
}
