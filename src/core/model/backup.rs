//! Names of backups: `goosefs-backup-2026-11-22-1795412345678-1f0c9a3e.image`, by the day (UTC), the
//! moment in milliseconds since 1970, and the beginning of the cluster's id. Sorted by name they are
//! sorted by time.

use std::fmt;

const BEFORE: &str = "goosefs-backup-";
const AFTER: &str = ".image";
/// Letters of the cluster's id in a name.
const CLUSTER: usize = 8;

/// The name of a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupName {
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The beginning of the id of the cluster it is of.
    pub cluster: String,
}

impl BackupName {
    /// Of a backup made then, of the cluster with that id.
    pub fn new(made_ms: i64, cluster_id: &str) -> BackupName {
        let letters = cluster_id.chars().filter(char::is_ascii_alphanumeric);
        BackupName { made_ms, cluster: letters.take(CLUSTER).collect() }
    }

    /// What `text` names, if that is a backup and written as we write it.
    pub fn parse(text: &str) -> Option<BackupName> {
        let rest = text.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
        let mut parts = rest.rsplitn(3, '-');
        let (cluster, made_ms) = (parts.next()?, parts.next()?.parse().ok()?);
        let name = BackupName { made_ms, cluster: cluster.into() };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = jiff::Timestamp::from_millisecond(self.made_ms).unwrap_or_default();
        let day = made.strftime("%Y-%m-%d");
        write!(f, "{BEFORE}{day}-{:013}-{}{AFTER}", self.made_ms, self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_as_we_write_them_are_backups() {
        let name = BackupName::new(1_795_412_345_678, "1f0c9a3e-77aa-4b3b");
        let text = name.to_string();
        assert_eq!(text, "goosefs-backup-2026-11-23-1795412345678-1f0c9a3e.image");
        assert_eq!(BackupName::parse(&text), Some(name));
        for other in [
            "goosefs-backup-2026-11-22-1795412345678-1f0c9a3e.image",
            "goosefs-backup-2026-11-23-1795412345678-1f0c9a3e.image.old",
            "goosefs-backup-2026-11-23-01795412345678-1f0c9a3e.image",
            "my-goosefs-backup-2026-11-23-1795412345678-1f0c9a3e.image",
            "goosefs-backup-.image",
            "notes.txt",
        ] {
            assert_eq!(BackupName::parse(other), None, "{other}");
        }
    }
}
