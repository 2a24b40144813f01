//! The mount table: which under store a path belongs to, and its address there.
//!
//! A handful of mounts, read on every call: the whole table is one immutable value that a change
//! replaces.

use crate::core::error::{Result, already_exists, invalid_argument};
use crate::core::model::{FsPath, MountId, MountInfo, limits};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All mounts. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MountTable {
    mounts: Arc<BTreeMap<String, Arc<MountInfo>>>,
    /// Whether requests for any of them are bounded.
    throttled: bool,
}

/// A path as a mount sees it.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The mount it belongs to.
    pub mount: Arc<MountInfo>,
    /// Its address in the under store.
    pub ufs_path: String,
}

impl MountTable {
    /// The table of these mounts.
    pub fn new(mounts: impl IntoIterator<Item = MountInfo>) -> Self {
        Self::of(mounts.into_iter().map(|m| (m.path.to_string(), Arc::new(m))).collect())
    }

    fn of(mounts: BTreeMap<String, Arc<MountInfo>>) -> Self {
        let throttled = mounts.values().any(|mount| requests_of(mount).is_some());
        MountTable { mounts: Arc::new(mounts), throttled }
    }

    /// The mount a path belongs to and its requests a second, where they are bounded. Costs nothing
    /// while none are.
    pub fn throttle(&self, path: &FsPath) -> Option<(&Arc<MountInfo>, u64)> {
        let mount = self.throttled.then(|| self.find(path)).flatten()?;
        Some((mount, requests_of(mount)?))
    }

    /// The mount `path` belongs to: that of its longest prefix which is a mount point. None only
    /// before there is a root mount.
    pub fn find(&self, path: &FsPath) -> Option<&Arc<MountInfo>> {
        let mut prefix = path.as_str();
        while !prefix.is_empty() {
            if let Some(mount) = self.mounts.get(prefix) {
                return Some(mount);
            }
            prefix = &prefix[..prefix.rfind('/')?];
        }
        self.mounts.get("/")
    }

    /// The mount and the address of `path` there.
    pub fn resolve(&self, path: &FsPath) -> Option<Resolved> {
        let mount = self.find(path)?.clone();
        let rest = path.relative_to(&mount.path)?;
        let ufs_path = join(&mount.ufs, rest);
        Some(Resolved { mount, ufs_path })
    }

    /// The path at which the under store's `address` appears in the tree, if it does.
    pub fn reverse(&self, address: &str) -> Option<FsPath> {
        let best = self.mounts.values().filter(|m| below(address, &m.ufs).is_some());
        let mount = best.max_by_key(|m| m.ufs.trim_end_matches('/').len())?;
        let rest = below(address, &mount.ufs)?;
        let base = if mount.path.is_root() { "" } else { mount.path.as_str() };
        FsPath::parse(&format!("{base}/{rest}")).ok()
    }

    /// The mount at exactly this path.
    pub fn at(&self, path: &FsPath) -> Option<&Arc<MountInfo>> {
        self.mounts.get(path.as_str())
    }

    /// The mount of that id.
    pub fn by_id(&self, id: MountId) -> Option<&Arc<MountInfo>> {
        self.mounts.values().find(|mount| mount.id == id)
    }

    /// All mounts, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<MountInfo>> {
        self.mounts.values()
    }

    /// A mount point strictly below `path`, if there is one.
    pub fn below(&self, path: &FsPath) -> Option<&Arc<MountInfo>> {
        self.mounts.values().find(|mount| mount.path != *path && mount.path.starts_with(path))
    }

    /// The same table with `mount` added or replaced.
    pub fn with(&self, mount: MountInfo) -> Self {
        let mut mounts = BTreeMap::clone(&self.mounts);
        mounts.insert(mount.path.to_string(), Arc::new(mount));
        Self::of(mounts)
    }

    /// The same table without the mount at `path`.
    pub fn without(&self, path: &FsPath) -> Self {
        let mut mounts = BTreeMap::clone(&self.mounts);
        mounts.remove(path.as_str());
        Self::of(mounts)
    }

    /// Whether `ufs` may be mounted at `path`: the same object must not appear at two paths, or a
    /// change at one would go unseen at the other.
    ///
    /// # Errors
    /// `AlreadyExists` when `path` is a mount point; `InvalidArgument` when `ufs` is inside, or
    /// around, what is mounted elsewhere.
    pub fn check_new(&self, path: &FsPath, ufs: &str) -> Result<()> {
        if let Some(mount) = self.at(path) {
            let other = &mount.ufs;
            return Err(already_exists(format!(
                "{path} is a mount point of {other}: unmount it first"
            )));
        }
        let clash = |m: &&Arc<MountInfo>| below(ufs, &m.ufs).or(below(&m.ufs, ufs)).is_some();
        match self.iter().find(clash) {
            None => Ok(()),
            Some(mount) => Err(invalid_argument(format!(
                "{ufs} overlaps {}, which is mounted at {}: use that path, or unmount it first",
                mount.ufs, mount.path
            ))),
        }
    }
}

/// Requests a second for a mount; none where they are not bounded.
fn requests_of(mount: &MountInfo) -> Option<u64> {
    let told = mount.properties.get(limits::REQUESTS)?;
    told.trim().parse().ok().filter(|&requests| requests > 0)
}

/// What is left of `address` below `base`, without a leading slash; none when it is not below.
fn below<'a>(address: &'a str, base: &str) -> Option<&'a str> {
    let rest = address.strip_prefix(base.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn join(base: &str, rest: &str) -> String {
    if rest.is_empty() {
        return base.to_string();
    }
    format!("{}/{rest}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> MountTable {
        let mount = |id, path: &str, ufs: &str| MountInfo {
            id,
            path: FsPath::parse(path).unwrap(),
            ufs: ufs.into(),
            read_only: false,
            shared: false,
            properties: BTreeMap::new(),
        };
        MountTable::new([mount(1, "/", "file:///data"), mount(2, "/s3", "s3://bucket/")])
    }

    fn ufs(path: &str) -> String {
        table().resolve(&FsPath::parse(path).unwrap()).unwrap().ufs_path
    }

    #[test]
    fn the_longest_mount_point_wins() {
        assert_eq!(ufs("/"), "file:///data");
        assert_eq!(ufs("/a/b"), "file:///data/a/b");
        assert_eq!(ufs("/s3/a"), "s3://bucket/a");
        assert_eq!(ufs("/s3x"), "file:///data/s3x");
        let reverse = |address| table().reverse(address).map(|p| p.to_string());
        assert_eq!(reverse("s3://bucket/a/b").as_deref(), Some("/s3/a/b"));
        assert_eq!(reverse("file:///data").as_deref(), Some("/"));
        assert_eq!(reverse("s3://bucket2/a"), None);
    }

    #[test]
    fn a_bound_on_requests_is_of_one_mount_and_all_below_it() {
        let path = |text| FsPath::parse(text).unwrap();
        assert!(table().throttle(&path("/s3/a")).is_none());
        let mut mount = MountInfo::clone(table().at(&path("/s3")).unwrap());
        mount.properties.insert(limits::REQUESTS.into(), "50".into());
        let bounded = table().with(mount);
        assert_eq!(bounded.throttle(&path("/s3/a/b")).map(|(m, n)| (m.id, n)), Some((2, 50)));
        assert!(bounded.throttle(&path("/s3x")).is_none());
        assert!(bounded.without(&path("/s3")).throttle(&path("/s3/a")).is_none());
    }

    #[test]
    fn an_under_store_is_mounted_once() {
        let path = FsPath::parse("/new").unwrap();
        assert!(table().check_new(&path, "s3://bucket/inner").is_err());
        assert!(table().check_new(&path, "s3://bucket").is_err());
        assert!(table().check_new(&path, "file:///").is_err());
        assert!(table().check_new(&path, "s3://bucket2").is_ok());
        assert!(table().check_new(&FsPath::parse("/s3").unwrap(), "s3://other").is_err());
    }
}
