//! How much there is in a part of the tree, and how much of it is in the cache.

use super::path::FsPath;
use std::ops::AddAssign;

/// Sums over files and directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Files, and symbolic links.
    pub files: u64,
    /// Directories.
    pub folders: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Of those: what is in the cache, where a reader looks for it.
    pub cached_bytes: u64,
}

impl Sums {
    /// Which part of the bytes is cached; all of nothing is 100.
    pub fn cached_percent(&self) -> i32 {
        percent(self.cached_bytes, self.bytes)
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Sums) {
        self.files += more.files;
        self.folders += more.folders;
        self.bytes += more.bytes;
        self.cached_bytes += more.cached_bytes;
    }
}

/// How much of `length` bytes `cached` is; all of nothing is 100, and only the whole is.
pub fn percent(cached: u64, length: u64) -> i32 {
    let percent = (u128::from(cached) * 100).checked_div(u128::from(length)).unwrap_or(100);
    percent.min(100) as i32
}

/// What there is at a path and below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The path.
    pub path: FsPath,
    /// What there is.
    pub sums: Sums,
}

/// What somebody found who looked at a part of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// In the order of paths.
    pub measured: Vec<Measured>,
    /// Workers that did not answer, as host:port: what they hold is not in the sums.
    pub silent: Vec<String>,
    /// Directories that could not be read or may not be: what is in them is not in the sums.
    pub unread: u64,
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn only_the_whole_is_all_of_it() {
        assert_eq!([percent(0, 0), percent(0, 9), percent(999, 1000)], [100, 0, 99]);
        assert_eq!([percent(1000, 1000), percent(u64::MAX, u64::MAX)], [100, 100]);
    }
}
