//! Paths of the inode tree: absolute, `/`-separated, normal.
//!
//! Whoever holds an [`FsPath`] need not check again: it starts with `/`, has no empty, `.` or `..`
//! component, no NUL byte, no component over 255 bytes, and is at most 4,096 bytes long.

use crate::core::error::{Result, invalid_argument};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of one component, in bytes; what every file system under us takes.
pub const MAX_NAME: usize = 255;
/// The longest path, in bytes; Linux's PATH_MAX.
pub const MAX_PATH: usize = 4096;

/// An absolute, normal path of the inode tree. The root is `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FsPath(String);

impl FsPath {
    /// The root of the tree.
    pub fn root() -> Self {
        FsPath("/".into())
    }

    /// Reads a path as clients send it. A scheme and authority (`gfs://host:9200/a`) are dropped,
    /// a trailing slash and doubled slashes are folded.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty or relative path, a `.` or `..` component, a NUL byte, or a
    /// name or path that is too long.
    pub fn parse(text: &str) -> Result<Self> {
        let path = strip_scheme(text);
        if path.is_empty() {
            return Err(invalid_argument("the path is empty; give an absolute path such as /a/b"));
        }
        if !path.starts_with('/') {
            return Err(invalid_argument(format!(
                "path {text:?} is not absolute: start it with /"
            )));
        }
        if path.len() > MAX_PATH {
            let length = path.len();
            return Err(invalid_argument(format!("a path of {length} bytes: over {MAX_PATH}")));
        }
        let mut normal = String::with_capacity(path.len());
        for name in path.split('/').filter(|name| !name.is_empty()) {
            check_name(name).map_err(|e| e.context(format!("path {text:?}")))?;
            normal.push('/');
            normal.push_str(name);
        }
        Ok(if normal.is_empty() { Self::root() } else { FsPath(normal) })
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory this path is in; none for the root.
    pub fn parent(&self) -> Option<FsPath> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) | None => Some(Self::root()),
            Some(cut) => Some(FsPath(self.0[..cut].into())),
        }
    }

    /// The components from the top; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// This path with one more component.
    ///
    /// # Errors
    /// `InvalidArgument` when `name` is no valid component or the path grows too long.
    pub fn join(&self, name: &str) -> Result<FsPath> {
        check_name(name)?;
        if self.0.len() + 1 + name.len() > MAX_PATH {
            return Err(invalid_argument(format!("the path of {name:?} is over {MAX_PATH} bytes")));
        }
        Ok(if self.is_root() {
            FsPath(format!("/{name}"))
        } else {
            FsPath(format!("{}/{name}", self.0))
        })
    }

    /// Whether this path is `ancestor` or below it.
    pub fn starts_with(&self, ancestor: &FsPath) -> bool {
        self.relative_to(ancestor).is_some()
    }

    /// What is left below `ancestor`, without a leading slash; empty when they are equal.
    pub fn relative_to(&self, ancestor: &FsPath) -> Option<&str> {
        if ancestor.is_root() {
            return Some(&self.0[1..]);
        }
        let rest = self.0.strip_prefix(ancestor.as_str())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

/// Whether `name` may be one component of a path.
///
/// # Errors
/// `InvalidArgument`, saying what is wrong with it.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(invalid_argument("a name is empty"));
    }
    if name == "." || name == ".." {
        return Err(invalid_argument(format!("a component is {name:?}: give the path without it")));
    }
    if name.len() > MAX_NAME {
        let length = name.len();
        return Err(invalid_argument(format!(
            "a name of {length} bytes: names are at most {MAX_NAME}"
        )));
    }
    if name.contains(['/', '\0']) {
        return Err(invalid_argument(format!("name {name:?} has a slash or a NUL byte")));
    }
    Ok(())
}

/// `gfs://h:9200/a` and `goosefs://h/a` → `/a`; other text as it is.
fn strip_scheme(text: &str) -> &str {
    for scheme in ["gfs://", "goosefs://"] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return rest.find('/').map_or("/", |slash| &rest[slash..]);
        }
    }
    text
}

impl fmt::Display for FsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::str::FromStr for FsPath {
    type Err = crate::core::error::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<String> for FsPath {
    type Error = crate::core::error::Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<FsPath> for String {
    fn from(path: FsPath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FsPath {
        FsPath::parse(text).unwrap()
    }

    #[test]
    fn slashes_are_folded_and_the_scheme_is_dropped() {
        assert_eq!(path("//a///b/").as_str(), "/a/b");
        assert_eq!(path("gfs://h1:9200,h2:9200/a").as_str(), "/a");
        assert_eq!(path("gfs://h1:9200").as_str(), "/");
        assert!(path("/").is_root());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = format!("/{}", "x".repeat(256));
        let deep = "/abc".repeat(1025);
        for bad in ["", "a/b", "/a/../b", "/a/./b", "/a\0b", &long, &deep] {
            assert!(FsPath::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(FsPath::parse(&format!("/{}", "x".repeat(255))).is_ok());
    }

    #[test]
    fn below_means_whole_components() {
        assert!(path("/a/b").starts_with(&path("/a")));
        assert!(!path("/ab").starts_with(&path("/a")));
        assert_eq!(path("/a/b/c").relative_to(&path("/a")), Some("b/c"));
        assert_eq!(path("/a").relative_to(&path("/a")), Some(""));
        assert_eq!(path("/a").relative_to(&FsPath::root()), Some("a"));
    }

    #[test]
    fn parent_and_name_take_a_path_apart() {
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(FsPath::root()));
        assert_eq!(FsPath::root().parent(), None);
        assert_eq!(path("/a/b").name(), "b");
        assert_eq!(path("/a").join("b").unwrap(), path("/a/b"));
    }
}
