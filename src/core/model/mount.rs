//! Mounts as others see them.

use super::block::MountId;
use super::path::FsPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An under store attached to a path of the tree.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MountInfo {
    /// Its id; the root mount's is 1.
    pub id: MountId,
    /// Where it is attached.
    pub path: FsPath,
    /// Address of the under store, e.g. `s3://bucket/data`.
    pub ufs: String,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether every user may use it.
    pub shared: bool,
    /// Options of the connector, with secrets in clear: see [`MountInfo::redacted`].
    pub properties: BTreeMap<String, String>,
}

impl MountInfo {
    /// The same with every secret replaced by stars: the only form that may be shown or logged.
    pub fn redacted(&self) -> MountInfo {
        let mut shown = self.clone();
        for (name, value) in &mut shown.properties {
            if is_secret(name) {
                *value = "******".into();
            }
        }
        shown
    }
}

/// Prints the redacted form, so that a mount in a log line gives nothing away.
impl std::fmt::Debug for MountInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.redacted();
        f.debug_struct("MountInfo")
            .field("id", &shown.id)
            .field("path", &shown.path)
            .field("ufs", &shown.ufs)
            .field("read_only", &shown.read_only)
            .field("properties", &shown.properties)
            .finish()
    }
}

/// Whether the value of a property is a credential. Errs on the side of hiding.
pub fn is_secret(property: &str) -> bool {
    let name = property.to_ascii_lowercase();
    ["secret", "password", "token", "accesskey", "access_key", "credential"]
        .iter()
        .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_never_show() {
        let mount = MountInfo {
            id: 2,
            path: FsPath::parse("/x").unwrap(),
            ufs: "s3://bucket".into(),
            read_only: false,
            shared: false,
            properties: [("s3a.secretKey", "hush"), ("s3.region", "eu")]
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .into(),
        };
        let text = format!("{mount:?} {:?}", mount.redacted().properties);
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("eu"), "{text}");
    }
}
