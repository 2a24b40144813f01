//! `fs setReplication`.

use super::each;
use crate::cli::session::Session;
use crate::client::SetAttributes;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::replication::{MAX, MIN};
use clap::Args;

/// Say how many copies of files the cache holds
///
/// The minimum is always there once the file is in its under store: what is missing is loaded,
/// also when a worker is lost. Copies beyond the maximum are dropped. What comes into a directory
/// later is not included.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs fs setReplication --min 2 /models/current
  goosefs fs setReplication -R --min 0 --max -1 /models      As it was at first")]
pub struct SetReplication {
    /// Copies that are always there; 0 for as it comes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    min: Option<u32>,
    /// Copies at most; -1 for no bound
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(-1..=100))]
    max: Option<i32>,
    /// Directories with all that is below
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Files, and directories with -R
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

impl SetReplication {
    pub(super) async fn run(self, session: &mut Session) -> Result<()> {
        let (min, max) = (self.min, self.max);
        if min.is_none() && max.is_none() {
            return Err(invalid_argument("say --min, --max or both"));
        }
        if let (Some(min), Some(max @ 0..)) = (min, max)
            && min as i32 > max
        {
            return Err(invalid_argument(format!("--min {min} is over --max {max}")));
        }
        let mut set = SetAttributes { recursive: self.recursive, ..Default::default() };
        let mut put = |name: &str, value: i32, none: i32| {
            if value == none {
                set.remove_xattrs.push(name.into());
            } else {
                set.set_xattrs.insert(name.into(), value.to_string().into_bytes());
            }
        };
        min.into_iter().for_each(|min| put(MIN, min as i32, 0));
        max.into_iter().for_each(|max| put(MAX, max, -1));
        each(session, &self.paths, "setting the replication of", async |session, path| {
            if !self.recursive && session.fs.status(&path).await?.folder {
                return Err(invalid_argument(format!("{path} is a directory: give -R")));
            }
            session.fs.set_attributes(&path, &set).await?;
            session.out.note(format!("Changed the replication level of {path}"))
        })
        .await
    }
}
