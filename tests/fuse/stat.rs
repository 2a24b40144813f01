//! getattr, statfs, readlink, getxattr, access.

use super::mount;
use crate::cluster::{Cluster, eventually};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

#[test]
fn attributes_are_those_of_the_tree() {
    let cluster = Cluster::start();
    let file = cluster.root_ufs().join("f");
    std::fs::write(&file, "twelve bytes").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    let (here, there) =
        (std::fs::metadata(mounted.path("f")).unwrap(), std::fs::metadata(&file).unwrap());
    assert_eq!(here.len(), 12);
    assert_eq!(here.mode() & 0o7777, 0o640);
    assert_eq!(here.mtime(), there.mtime());
    assert_eq!(here.uid(), nix::unistd::geteuid().as_raw());
    assert_eq!(here.blocks(), 1);
    let again = std::fs::metadata(mounted.path("f")).unwrap();
    assert_eq!(here.ino(), again.ino());
    assert!(std::fs::metadata(mounted.path("")).unwrap().is_dir());
    let missing = std::fs::metadata(mounted.path("none/f")).unwrap_err();
    assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    let long = std::fs::metadata(mounted.path(&"x".repeat(256))).unwrap_err();
    assert_eq!(long.raw_os_error(), Some(libc::ENAMETOOLONG));
}

#[test]
fn links_lead_where_they_say() {
    let cluster = Cluster::start();
    let Some(mounted) = mount(cluster, "rw") else { return };
    std::fs::write(mounted.path("target"), "found").unwrap();
    std::os::unix::fs::symlink("target", mounted.path("link")).unwrap();
    let target = std::fs::read_link(mounted.path("link")).unwrap();
    assert_eq!(target.to_str(), Some("target"));
    assert_eq!(std::fs::read_to_string(mounted.path("link")).unwrap(), "found");
    assert!(std::fs::symlink_metadata(mounted.path("link")).unwrap().is_symlink());
}

#[test]
fn a_change_of_mode_elsewhere_shows() {
    let cluster = Cluster::start();
    std::fs::write(cluster.root_ufs().join("f"), "x").unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    std::fs::metadata(mounted.path("f")).unwrap();
    mounted.cluster().ok(&["fs", "chmod", "0600", "/f"]);
    eventually("the new mode shows", || {
        let mode = std::fs::metadata(mounted.path("f")).unwrap().mode();
        (mode & 0o777 == 0o600).then_some(())
    });
}

#[test]
fn owners_can_be_shown_as_one_and_df_has_figures() {
    let cluster = Cluster::start();
    std::fs::write(cluster.root_ufs().join("f"), "x").unwrap();
    let Some(mounted) = mount(cluster, "ro,uid=1234,gid=4321") else { return };
    let meta = std::fs::metadata(mounted.path("f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (1234, 4321));
    let df = Command::new("df").arg(mounted.path("")).output().unwrap();
    assert!(df.status.success());
    // The figures are those of the workers, and a moment old.
    eventually("df has figures", || {
        let stat = nix::sys::statfs::statfs(&mounted.path("")).unwrap();
        assert_eq!(stat.maximum_name_length(), 255);
        (stat.blocks() > 0).then_some(())
    });
}
