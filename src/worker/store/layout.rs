//! Whether the directories, quotas and watermarks make sense, before anything is made.

use crate::core::config::{self, StoreDir, StoreQuota};
use crate::core::error::{Result, invalid_argument};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Checks the settings that only make sense together.
///
/// # Errors
/// `InvalidArgument`, naming the setting and the cure.
pub fn check(config: &config::Worker) -> Result<()> {
    let (low, high) = (config.watermark_low.0, config.watermark_high.0);
    if !(low > 0.0 && low < high && high <= 1.0) {
        return Err(invalid_argument(format!(
            "eviction starts at goosefs.worker.watermark.high ({:.0}%) and stops at \
             goosefs.worker.watermark.low ({:.0}%): set 0% < low < high <= 100%",
            high * 100.0,
            low * 100.0
        )));
    }
    let is_empty = |dir: &&StoreDir| match dir.quota {
        StoreQuota::Share(share) => share <= 0.0,
        StoreQuota::Bytes(bytes) => bytes.0 == 0,
    };
    if let Some(empty) = config.dirs.0.iter().find(is_empty) {
        return Err(invalid_argument(format!(
            "{}: a quota of 0 holds no block; raise it in goosefs.worker.dirs, or leave the \
             directory out",
            empty.path.display()
        )));
    }
    let dirs: Vec<&PathBuf> = config.dirs.0.iter().map(|dir| &dir.path).collect();
    for (index, dir) in dirs.iter().enumerate() {
        let others = dirs.iter().enumerate().filter(|(other, _)| *other != index);
        if let Some((_, other)) = others.into_iter().find(|(_, other)| is_within(dir, other)) {
            return Err(invalid_argument(format!(
                "{} is or lies in {}: blocks would be counted twice; take one of them out of \
                 goosefs.worker.dirs",
                dir.display(),
                other.display()
            )));
        }
    }
    Ok(())
}

/// Whether one directory is the other or lies in it, by whatever name: `..`, links, bind mounts.
fn is_within(dir: &Path, other: &Path) -> bool {
    let real = real(dir);
    if real.starts_with(self::real(other)) {
        return true;
    }
    let identity = |path: &Path| path.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    match identity(other) {
        Some(other) => real.ancestors().any(|above| identity(above) == Some(other)),
        None => false,
    }
}

/// The path without links and dots, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    match there {
        Some((above, real)) => real.join(path.strip_prefix(above).expect("one of its ancestors")),
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{Config, Share};

    #[test]
    fn a_directory_is_known_by_every_name() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::create_dir_all(at("a/sub")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        for inside in ["a", "a/sub", "a/../a", "link", "link/new", "a/new/deep"] {
            assert!(is_within(&at(inside), &at("a")), "{inside}");
        }
        for outside in ["ab", "b/a", "link/../../b"] {
            assert!(!is_within(&at(outside), &at("a")), "{outside}");
        }
        assert!(!is_within(&at("a"), &at("a/sub")));
    }

    #[test]
    fn a_directory_that_may_hold_nothing_is_refused_in_words() {
        let mut worker = Config::with(&[]).unwrap().worker;
        for quota in [StoreQuota::Bytes(crate::core::model::ByteSize(0)), StoreQuota::Share(0.0)] {
            worker.dirs.0[0].quota = quota;
            let error = check(&worker).unwrap_err().to_string();
            assert!(error.contains("goosefs.worker.dirs"), "{error}");
        }
    }

    #[test]
    fn watermarks_the_wrong_way_round_are_refused_in_words() {
        let mut worker = Config::with(&[]).unwrap().worker;
        check(&worker).unwrap();
        for (low, high) in [(0.9, 0.8), (0.8, 0.8), (0.0, 0.9)] {
            (worker.watermark_low, worker.watermark_high) = (Share(low), Share(high));
            let error = check(&worker).unwrap_err().to_string();
            assert!(error.contains("goosefs.worker.watermark.low"), "{error}");
        }
    }
}
