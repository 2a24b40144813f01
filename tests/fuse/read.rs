//! open, read.

use super::{mount, mount_path, pattern};
use crate::cluster::{Cluster, eventually};
use std::os::unix::fs::FileExt;

#[test]
fn files_read_as_they_are_in_the_under_store_cold_and_warm() {
    let cluster = Cluster::setup()
        .set("user.block.size.bytes.default", "4MB")
        .set("master.file.single.block.max", "8MB")
        .start();
    let ufs = cluster.root_ufs();
    // Nothing, less than a page, one block, a longer one, and blocks that end within and at a page.
    let lengths = [0, 1, 5_000, 3 << 20, (4 << 20) + 1, (9 << 20) + 4_321, 8 << 20, 12 << 20];
    let files: Vec<_> = lengths.iter().map(|&n| (format!("d/{n}"), pattern(n, n as u64))).collect();
    std::fs::create_dir(ufs.join("d")).unwrap();
    for (name, bytes) in &files {
        std::fs::write(ufs.join(name), bytes).unwrap();
    }
    let Some(mounted) = mount(cluster, "ro") else { return };
    for round in 0..3 {
        for (name, bytes) in &files {
            let read = std::fs::read(mounted.path(name)).unwrap();
            assert!(read == *bytes, "{name} differs in round {round}: {} bytes", read.len());
        }
        // So that the kernel asks again.
        std::fs::write("/proc/sys/vm/drop_caches", "3").ok();
    }
}

#[test]
fn reads_at_any_place_and_many_at_a_time_agree() {
    let cluster = Cluster::setup()
        .set("user.block.size.bytes.default", "1MB")
        .set("master.file.single.block.max", "0")
        .start();
    let bytes = pattern(5 << 20, 7);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (bytes, mounted) = (&bytes, &mounted);
            scope.spawn(move || {
                let file = std::fs::File::open(mounted.path("f")).unwrap();
                for i in 0..200 {
                    let offset = (i * 7_919 * (thread + 1) * 131) % (bytes.len() - 70_000);
                    let mut buffer = vec![0; 1 + (i * 313) % 69_999];
                    file.read_exact_at(&mut buffer, offset as u64).unwrap();
                    assert!(buffer == bytes[offset..offset + buffer.len()], "at {offset}");
                }
                let mut beyond = [0; 10];
                assert_eq!(file.read_at(&mut beyond, bytes.len() as u64 + 5).unwrap(), 0);
            });
        }
    });
}

#[test]
fn a_file_open_many_times_is_read_the_same_by_all() {
    let cluster = Cluster::start();
    let bytes = pattern(300_000, 3);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mounted) = mount(cluster, "ro") else { return };
    // The first opens come before the block is on this host, later ones while the first are open.
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(std::fs::File::open(mounted.path("f")).unwrap());
        assert!(std::fs::read(mounted.path("f")).unwrap() == bytes);
    }
    for file in &open {
        let mut buffer = vec![0; bytes.len()];
        file.read_exact_at(&mut buffer, 0).unwrap();
        assert!(buffer == bytes);
    }
}

#[test]
fn a_directory_of_the_tree_can_be_mounted_alone() {
    let cluster = Cluster::start();
    std::fs::create_dir_all(cluster.root_ufs().join("a/b")).unwrap();
    std::fs::write(cluster.root_ufs().join("a/b/f"), "inside").unwrap();
    std::fs::write(cluster.root_ufs().join("outside"), "x").unwrap();
    let Some(mounted) = mount_path(cluster, "/a", "ro") else { return };
    assert_eq!(std::fs::read_to_string(mounted.path("b/f")).unwrap(), "inside");
    assert!(std::fs::metadata(mounted.path("outside")).is_err());
}

#[test]
fn an_open_file_keeps_its_bytes_when_it_is_deleted() {
    let cluster = Cluster::start();
    let bytes = pattern(100_000, 5);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mounted) = mount(cluster, "rw") else { return };
    assert!(std::fs::read(mounted.path("f")).unwrap() == bytes);
    let file = std::fs::File::open(mounted.path("f")).unwrap();
    mounted.cluster().ok(&["fs", "rm", "/f"]);
    eventually("the file is gone", || std::fs::metadata(mounted.path("f")).err());
    let mut buffer = vec![0; bytes.len()];
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer == bytes);
}
