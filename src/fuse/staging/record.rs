//! What is noted beside a staged file, so that a mount after this one can publish it.
//!
//! It is written when the file is made durable (fsync), and when publishing fails. Text, since people
//! look into it when things have gone wrong.

use super::own;
use crate::core::error::{Context, Result, invalid_argument};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// The form in which it is written.
const VERSION: u32 = 1;
/// No record that we write has more bytes.
const LARGEST: u64 = 16 << 20;

/// What a staged file is, beside its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    version: u32,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Where it goes.
    pub path: String,
    /// Number of the user who wrote it.
    pub uid: u32,
    /// Permission bits, owner and group, should the file have to be made again.
    pub mode: u32,
    /// Its owner, as the tree has it.
    pub owner: String,
    /// Its group.
    pub group: String,
    /// The file that was at the path when it was changed first; none where nothing was.
    pub replaces: Option<i64>,
    /// Whether no version of it was ever published: then its file may be missing.
    pub new: bool,
    /// When its bytes were last changed, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Where the bytes are from that were not changed; none where all are here.
    pub base: Option<BaseRecord>,
    /// The length to which it is being cut, which may not have happened yet.
    #[serde(default)]
    pub cut: Option<u64>,
    /// Why it was not published, if that was tried.
    pub failure: Option<String>,
    /// Whether it is not tried again: others have changed the file.
    pub given_up: bool,
}

/// The version under a staged file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseRecord {
    /// The file's id.
    pub id: i64,
    /// How many of its first bytes count.
    pub end: u64,
    /// Starts and ends of what is here instead.
    pub present: Vec<(u64, u64)>,
}

impl Record {
    /// One for `path`.
    pub fn new(cluster: &str, path: &str, uid: u32) -> Self {
        Record {
            version: VERSION,
            cluster: cluster.into(),
            path: path.into(),
            uid,
            mode: 0o600,
            owner: String::new(),
            group: String::new(),
            replaces: None,
            new: false,
            modified_ms: 0,
            base: None,
            cut: None,
            failure: None,
            given_up: false,
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// `InvalidArgument` when it makes no sense, or a newer goosefs wrote it.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut text = Vec::new();
        let file = own::open(path, std::fs::File::options().read(true))?;
        let read = file.take(LARGEST).read_to_end(&mut text);
        read.with_context(|| format!("reading {shown}"))?;
        let record: Record = serde_json::from_slice(&text)
            .map_err(|e| invalid_argument(format!("{shown} makes no sense")).with_source(e))?;
        if record.version != VERSION {
            let version = record.version;
            return Err(invalid_argument(format!("{shown} has the unknown version {version}")));
        }
        Ok(record)
    }

    /// As text.
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("text and numbers can be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_foreign_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.json");
        let mut record = Record::new("c", "/a b", 7);
        record.base = Some(BaseRecord { id: 3, end: 10, present: vec![(1, 2)] });
        std::fs::write(&path, record.bytes()).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
        record.version = 2;
        std::fs::write(&path, record.bytes()).unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("version 2"));
        std::fs::write(&path, "{").unwrap();
        assert!(Record::read(&path).is_err());
    }
}
