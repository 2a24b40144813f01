//! Which master a journal is: a number that no other journal has, and its name.
//!
//! The number belongs to the journal, not to the node. A node that lost its journal comes back with
//! another number, under its old name: so it cannot vote as the one it was, and vote away what that
//! one had acknowledged. The primary takes it in as somebody new, in the place of the one it was.

use crate::core::error::{Context, Result, failed_precondition, invalid_argument};
use crate::core::runtime::files;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file in the journal's directory.
const FILE: &str = "identity.json";
/// The number of journals from before there were several masters.
const FIRST: u64 = 1;

/// A journal's number and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub id: u64,
    /// Its name in `goosefs.masters`; empty for a master that is configured by itself.
    pub name: String,
}

impl Identity {
    /// Reads the identity kept in `dir`, or makes one for the master called `name`; `used` says
    /// whether there is a journal already.
    ///
    /// # Errors
    /// `FailedPrecondition` when the journal is another master's; `InvalidArgument` when the file is
    /// damaged; else why it cannot be written.
    pub fn open(dir: &Path, name: &str, used: bool) -> Result<Identity> {
        let path = dir.join(FILE);
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Identity>(&bytes).map(Some).map_err(|error| {
                let path = path.display();
                invalid_argument(format!("{path} is damaged: put it back, or empty the journal"))
                    .with_source(error)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let identity = match kept {
            Some(kept) if kept.name == name => return Ok(kept),
            Some(kept) if kept.name.is_empty() || name.is_empty() => {
                Identity { name: name.into(), ..kept }
            }
            Some(kept) => {
                return Err(failed_precondition(format!(
                    "the journal in {} is that of master {}, and this node is {name}: see --name \
                     and goosefs.master.journal.folder",
                    dir.display(),
                    kept.name
                )));
            }
            None if used => Identity { id: FIRST, name: name.into() },
            None => Identity { id: rand::random::<u64>() >> 1 | 2, name: name.into() },
        };
        identity.write(dir).with_context(|| format!("writing {}", path.display()))?;
        Ok(identity)
    }

    fn write(&self, dir: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(self).expect("an identity is valid JSON");
        files::replace(&dir.join(FILE), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_its_number_and_is_never_taken_for_another_masters() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::open(dir.path(), "m0", false).unwrap();
        assert_eq!(Identity::open(dir.path(), "m0", true).unwrap(), first);
        let error = Identity::open(dir.path(), "m1", true).unwrap_err().to_string();
        assert!(error.contains("m0") && error.contains("m1"), "{error}");
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        assert_ne!(Identity::open(dir.path(), "m0", false).unwrap().id, first.id);
    }

    #[test]
    fn a_single_master_is_given_a_name_later() {
        let dir = tempfile::tempdir().unwrap();
        let alone = Identity::open(dir.path(), "", true).unwrap();
        assert_eq!(alone.id, FIRST);
        let named = Identity::open(dir.path(), "m0", true).unwrap();
        assert_eq!(named, Identity { id: FIRST, name: "m0".into() });
    }
}
