//! readdir.

use super::mount;
use crate::cluster::{Cluster, eventually};
use std::collections::BTreeSet;

fn names(dir: &std::path::Path) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(seen.insert(name.clone()), "{name} came twice");
    }
    seen
}

#[test]
fn every_entry_is_listed_once_with_its_kind() {
    let cluster = Cluster::start();
    let ufs = cluster.root_ufs();
    let expected: BTreeSet<String> = (0..3000).map(|i| format!("file-{i:04}")).collect();
    std::fs::create_dir_all(ufs.join("big/deep/er")).unwrap();
    for name in &expected {
        std::fs::write(ufs.join("big").join(name), name).unwrap();
    }
    let Some(mounted) = mount(cluster, "ro") else { return };
    for _ in 0..3 {
        let mut seen = names(&mounted.path("big"));
        assert!(seen.remove("deep"));
        assert!(seen == expected, "{} of {}", seen.len(), expected.len());
    }
    let deep = std::fs::read_dir(mounted.path("big/deep")).unwrap().next().unwrap().unwrap();
    assert!(deep.file_type().unwrap().is_dir());
    assert_eq!(names(&mounted.path("big/deep/er")), BTreeSet::new());
}

#[test]
fn what_others_make_and_delete_shows() {
    let cluster = Cluster::start();
    std::fs::create_dir(cluster.root_ufs().join("d")).unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    assert_eq!(names(&mounted.path("d")), BTreeSet::new());
    assert!(std::fs::metadata(mounted.path("d/new")).is_err());
    mounted.cluster().ok(&["fs", "mkdir", "/d/new"]);
    eventually("a new directory shows", || std::fs::metadata(mounted.path("d/new")).ok());
    eventually("it is listed", || names(&mounted.path("d")).contains("new").then_some(()));
    mounted.cluster().ok(&["fs", "rm", "-R", "/d/new"]);
    eventually("it is gone", || std::fs::metadata(mounted.path("d/new")).err());
    eventually("it is not listed", || names(&mounted.path("d")).is_empty().then_some(()));
}
