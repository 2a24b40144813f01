//! Changing files anywhere, and what others see of that.

use super::{Mounted, mount, pattern};
use crate::cluster::{Cluster, eventually};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

fn update(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// What a client elsewhere reads.
fn elsewhere(mounted: &Mounted, path: &str) -> Vec<u8> {
    mounted.cluster().run(&["fs", "cat", path]).stdout
}

#[test]
fn bytes_are_changed_anywhere_and_others_see_them_when_the_file_is_closed() {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "4MB").start();
    let mut bytes = pattern(9 << 20, 1);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mounted) = mount(cluster, "rw") else { return };
    let path = mounted.path("f");
    let file = update(&path);
    for (offset, length) in [(5, 100), (4 << 20, 10), ((8 << 20) - 3, 6), (9 << 20, 1000)] {
        let new = pattern(length, offset as u64);
        file.write_all_at(&new, offset as u64).unwrap();
        bytes.resize(bytes.len().max(offset + length), 0);
        bytes[offset..offset + length].copy_from_slice(&new);
    }
    let mut read = vec![0; bytes.len()];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes, "what was written is read through the same handle");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes.len() as u64);
    assert!(std::fs::read(&path).unwrap() == bytes, "and through another");
    assert!(elsewhere(&mounted, "/f") == pattern(9 << 20, 1), "others see the old version");
    drop(file);
    assert!(elsewhere(&mounted, "/f") == bytes, "and the new one once it is closed");
    assert!(std::fs::read(&path).unwrap() == bytes);
    let below = mounted.cluster().root_ufs().join("f");
    assert!(std::fs::read(below).unwrap() == bytes, "a plain file underneath");
    let staging = mounted.cluster().dir().join("staging");
    eventually("nothing is staged any more", || {
        let homes = std::fs::read_dir(&staging).unwrap().flatten();
        let files = homes.flat_map(|home| std::fs::read_dir(home.path()).unwrap());
        (files.count() == 1).then_some(())
    });
}

#[test]
fn files_are_cut_and_grown_by_handle_and_by_path() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "original").unwrap();
    let number = std::fs::metadata(&path).unwrap().ino();
    let mut append = OpenOptions::new().append(true).open(&path).unwrap();
    append.write_all(b" and more").unwrap();
    drop(append);
    assert_eq!(elsewhere(&mounted, "/f"), b"original and more");
    let file = update(&path);
    file.set_len(3).unwrap();
    file.set_len(6).unwrap();
    drop(file);
    assert_eq!(elsewhere(&mounted, "/f"), b"ori\0\0\0");
    for (length, expected) in [(2, b"or".as_slice()), (4, b"or\0\0"), (0, b""), (2, b"\0\0")] {
        nix::unistd::truncate(&path, length).unwrap();
        assert_eq!(elsewhere(&mounted, "/f"), expected);
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), number, "it is the same file");
    // A new file with a hole before its first byte.
    let new = File::create(mounted.path("holes")).unwrap();
    new.write_all_at(b"x", 100_000).unwrap();
    new.write_all_at(b"y", 5).unwrap();
    drop(new);
    let mut expected = vec![0; 100_001];
    (expected[5], expected[100_000]) = (b'y', b'x');
    assert!(elsewhere(&mounted, "/holes") == expected);
}

#[test]
fn a_file_that_is_written_in_order_may_change_its_mind() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let (path, mut bytes) = (mounted.path("f"), pattern(20 << 20, 3));
    let mut file = File::create(&path).unwrap();
    file.write_all(&bytes).unwrap();
    // A header is filled in last.
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"header").unwrap();
    bytes[..6].copy_from_slice(b"header");
    assert!(std::fs::read(&path).unwrap() == bytes, "read while it is written");
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(b"tail").unwrap();
    bytes.extend_from_slice(b"tail");
    drop(file);
    assert!(elsewhere(&mounted, "/f") == bytes);
    // One that is read while it is written.
    let mut file = File::create(mounted.path("log")).unwrap();
    let mut all = Vec::new();
    for line in ["one\n", "two\n", "three\n"] {
        file.write_all(line.as_bytes()).unwrap();
        all.extend_from_slice(line.as_bytes());
        assert_eq!(std::fs::read(mounted.path("log")).unwrap(), all);
    }
}

#[test]
fn all_handles_of_a_mount_see_the_same_bytes() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "0123456789").unwrap();
    let (one, other) = (update(&path), update(&path));
    one.write_all_at(b"AB", 0).unwrap();
    other.write_all_at(b"CD", 8).unwrap();
    let mut read = [0; 10];
    one.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"AB234567CD");
    // Two that append never write over one another.
    let append = || OpenOptions::new().append(true).open(&path).unwrap();
    let (mut first, mut second) = (append(), append());
    for n in 0..5 {
        first.write_all(format!("<{n}>").as_bytes()).unwrap();
        second.write_all(format!("[{n}]").as_bytes()).unwrap();
    }
    let mut reader = File::open(&path).unwrap();
    drop((one, other, first));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "AB234567CD<0>[0]<1>[1]<2>[2]<3>[3]<4>[4]");
    assert_eq!(elsewhere(&mounted, "/f"), b"0123456789", "one of them still writes");
    drop(second);
    eventually("the last close publishes", || {
        (elsewhere(&mounted, "/f") == text.as_bytes()).then_some(())
    });
    // A reader that was there before sees what is written now.
    update(&path).write_all_at(b"Z", 0).unwrap();
    let mut first = [0];
    reader.read_exact_at(&mut first, 0).unwrap();
    assert_eq!(&first, b"Z");
}

#[test]
fn space_is_taken_made_zero_and_given_back() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, [7; 300_000]).unwrap();
    let file = update(&path);
    let allocate = |mode: i32, offset: i64, length: i64| {
        // SAFETY: the descriptor is open, and the call touches no memory of ours.
        let done = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, length) };
        if done == 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
    };
    let mut bytes = vec![7; 300_000];
    let keep = libc::FALLOC_FL_KEEP_SIZE;
    assert_eq!(allocate(libc::FALLOC_FL_PUNCH_HOLE | keep, 4096, 8192), 0);
    bytes[4096..12288].fill(0);
    assert_eq!(allocate(libc::FALLOC_FL_ZERO_RANGE, 100, 50), 0);
    bytes[100..150].fill(0);
    assert_eq!(allocate(keep, 0, 1_000_000), 0);
    assert_eq!(file.metadata().unwrap().len(), 300_000);
    assert_eq!(allocate(libc::FALLOC_FL_ZERO_RANGE | keep, 299_999, 50), 0);
    bytes[299_999] = 0;
    assert_eq!(allocate(0, 0, 300_010), 0);
    bytes.resize(300_010, 0);
    assert_eq!(allocate(libc::FALLOC_FL_COLLAPSE_RANGE, 0, 4096), libc::EOPNOTSUPP);
    assert_eq!(file.metadata().unwrap().len(), 300_010);
    drop(file);
    assert!(elsewhere(&mounted, "/f") == bytes);
    // Holes of a new file are found.
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(mounted.path("g"))
        .unwrap();
    file.write_all_at(&[1; 4096], 1 << 20).unwrap();
    let seek = |offset, whence| {
        // SAFETY: as above.
        unsafe { libc::lseek(file.as_raw_fd(), offset, whence) }
    };
    assert_eq!(seek(0, libc::SEEK_DATA), 1 << 20);
    assert_eq!(seek(0, libc::SEEK_HOLE), 0);
    assert_eq!(seek(1 << 20, libc::SEEK_HOLE), (1 << 20) + 4096);
    assert_eq!(seek(2 << 20, libc::SEEK_DATA), -1);
}

/// Nobody finds nothing, a mixture or a part while a file is rewritten again and again.
fn whole_versions_only(write_type: &str) {
    let cluster = Cluster::setup().set("user.file.writetype.default", write_type).start();
    let Some(mounted) = mount(cluster, "rw,attr_timeout=0,entry_timeout=0") else { return };
    let other = mounted.again();
    let content = |n: u8| vec![b'a' + n % 26; 200_000 + usize::from(n)];
    let path = mounted.path("f");
    std::fs::write(&path, content(0)).unwrap();
    let (stop, stopped) = (std::sync::atomic::AtomicBool::new(false), "f");
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let read = match std::fs::read(other.path(stopped)) {
                    Ok(read) => read,
                    // The version it opened was replaced, and nobody has its bytes any more.
                    Err(error) if error.raw_os_error() == Some(libc::ESTALE) => continue,
                    Err(error) => panic!("{error}"),
                };
                assert!(!read.is_empty() && read.iter().all(|&byte| byte == read[0]), "a mixture");
                assert_eq!(read.len(), 200_000 + usize::from(read[0] - b'a'), "a part");
                looks += 1;
            }
            looks
        });
        for n in 1..26_u8 {
            match n % 3 {
                0 => std::fs::write(&path, content(n)).unwrap(),
                1 => {
                    std::fs::write(mounted.path("new"), content(n)).unwrap();
                    std::fs::rename(mounted.path("new"), &path).unwrap();
                }
                _ => {
                    let file = update(&path);
                    file.write_all_at(&content(n), 0).unwrap();
                    file.set_len(content(n).len() as u64).unwrap();
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(looks > 0, "the reader saw nothing at all");
    eventually("the other mount is told", || {
        std::fs::read(other.path("f")).is_ok_and(|read| read == content(25)).then_some(())
    });
    if write_type != "MUST_CACHE" {
        let below = mounted.cluster().root_ufs().join("f");
        eventually("the newest version is underneath", || {
            std::fs::read(&below).is_ok_and(|read| read == content(25)).then_some(())
        });
    }
}

#[test]
fn readers_elsewhere_see_whole_versions_only_written_through() {
    whole_versions_only("CACHE_THROUGH");
}

#[test]
fn readers_elsewhere_see_whole_versions_only_persisted_later() {
    whole_versions_only("ASYNC_THROUGH");
}

#[test]
fn readers_elsewhere_see_whole_versions_only_in_the_cache() {
    whole_versions_only("MUST_CACHE");
}

#[test]
fn without_a_cache_files_are_changed_all_the_same() {
    let cluster = Cluster::setup().set("user.file.writetype.default", "THROUGH").start();
    let Some(mounted) = mount(cluster, "rw") else { return };
    let path = mounted.path("f");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"one two three").unwrap();
    file.write_all_at(b"TWO", 4).unwrap();
    drop(file);
    assert_eq!(elsewhere(&mounted, "/f"), b"one TWO three");
    update(&path).write_all_at(b"ONE", 0).unwrap();
    assert_eq!(std::fs::read(mounted.cluster().root_ufs().join("f")).unwrap(), b"ONE TWO three");
    std::fs::write(&path, "short").unwrap();
    assert_eq!(elsewhere(&mounted, "/f"), b"short");
}

#[test]
fn what_was_overwritten_in_the_cache_only_does_not_come_back() {
    let cluster = Cluster::setup().set("user.file.writetype.default", "MUST_CACHE").start();
    for name in ["f", "g", "h"] {
        std::fs::write(cluster.root_ufs().join(name), "old").unwrap();
    }
    let Some(mounted) = mount(cluster, "rw") else { return };
    for name in ["f", "g", "h"] {
        std::fs::write(mounted.path(name), "new").unwrap();
    }
    std::fs::remove_file(mounted.path("f")).unwrap();
    std::fs::rename(mounted.path("g"), mounted.path("i")).unwrap();
    let names = mounted.cluster().ok(&["fs", "ls", "/", "-o", "json"]);
    assert!(!names.contains("\"/f\"") && !names.contains("\"/g\""), "{names}");
    assert_eq!(std::fs::read(mounted.path("i")).unwrap(), b"new");
    assert_eq!(std::fs::read(mounted.path("h")).unwrap(), b"new");
}

#[test]
fn a_full_staging_disk_is_told_and_the_old_version_stays() {
    // What the kernel writes by itself is counted later, so here it does not.
    let cluster = Cluster::setup().set("fuse.staging.size", "1MB").set("fuse.passthrough", "false");
    let Some(mounted) = mount(cluster.start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "old").unwrap();
    let file = update(&path);
    let full = file.write_all_at(&[1; 3 << 20], 0).unwrap_err();
    assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
    file.set_len(0).unwrap();
    file.write_all_at(b"smaller", 0).unwrap();
    drop(file);
    assert_eq!(elsewhere(&mounted, "/f"), b"smaller");
    // Files that are written in order are on no disk of ours.
    std::fs::write(mounted.path("large"), pattern(3 << 20, 1)).unwrap();
    assert!(elsewhere(&mounted, "/large") == pattern(3 << 20, 1));
}

/// A small file system in memory, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn new() -> Small {
        let dir = tempfile::tempdir().unwrap();
        let flags = nix::mount::MsFlags::empty();
        let (kind, size) = (Some("tmpfs"), Some("size=4m"));
        nix::mount::mount(Some("small"), dir.path(), kind, flags, size).unwrap();
        Small(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).ok();
    }
}

#[test]
fn a_staging_disk_that_is_really_full_is_told_and_the_old_version_stays() {
    if !super::may_mount() {
        return;
    }
    for passthrough in ["true", "false"] {
        let small = Small::new();
        let staging = small.0.path().display().to_string();
        let cluster = Cluster::setup().set("fuse.staging.dir", &staging);
        let cluster = cluster.set("fuse.passthrough", passthrough).start();
        let Some(mounted) = mount(cluster, "rw") else { return };
        let path = mounted.path("f");
        std::fs::write(&path, "old").unwrap();
        let file = update(&path);
        let mut full = None;
        for n in 0..8 {
            full = full.or(file.write_all_at(&[1; 1 << 20], n << 20).err());
        }
        assert_eq!(full.unwrap().raw_os_error(), Some(libc::ENOSPC), "{passthrough}");
        assert_eq!(elsewhere(&mounted, "/f"), b"old");
        file.set_len(0).unwrap();
        file.write_all_at(b"smaller", 0).unwrap();
        drop(file);
        assert_eq!(elsewhere(&mounted, "/f"), b"smaller");
    }
}

#[test]
fn a_deleted_file_that_is_open_keeps_its_bytes_and_is_never_published() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, "0123456789").unwrap();
    let file = update(&path);
    file.write_all_at(b"X", 0).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all_at(b"Y", 9).unwrap();
    let mut read = [0; 10];
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(&read, b"X12345678Y");
    file.sync_all().unwrap();
    std::fs::write(&path, "another").unwrap();
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"another");
    assert_eq!(elsewhere(&mounted, "/f"), b"another");
    // The same where a file takes its place.
    let file = update(&path);
    file.write_all_at(b"Z", 0).unwrap();
    std::fs::write(mounted.path("g"), "successor").unwrap();
    std::fs::rename(mounted.path("g"), &path).unwrap();
    file.write_all_at(b"Z", 1).unwrap();
    drop(file);
    assert_eq!(std::fs::read(&path).unwrap(), b"successor");
}

#[test]
fn two_mounts_follow_one_another_from_close_to_open() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    std::fs::write(mounted.path("f"), "0").unwrap();
    for n in 1..20 {
        let (writer, reader) = match n % 2 {
            0 => (mounted.path("f"), other.path("f")),
            _ => (other.path("f"), mounted.path("f")),
        };
        let text = format!("{n}").repeat(n);
        eventually("the other mount's version is opened", || {
            OpenOptions::new().append(true).open(&writer).ok()
        })
        .write_all(text.as_bytes())
        .unwrap();
        let expected: String = (0..=n).map(|n| format!("{n}").repeat(n.max(1))).collect();
        eventually("what was closed is read", || {
            (std::fs::read_to_string(&reader).ok()? == expected).then_some(())
        });
    }
    // Two that write at once: the last close wins, whole.
    let (one, two) = (update(&mounted.path("f")), update(&other.path("f")));
    one.set_len(0).unwrap();
    two.set_len(0).unwrap();
    one.write_all_at(b"from one", 0).unwrap();
    two.write_all_at(b"from the other", 0).unwrap();
    drop(two);
    drop(one);
    assert_eq!(elsewhere(&mounted, "/f"), b"from one");
}

#[test]
fn what_the_kernel_writes_by_itself_is_published_and_read_anew() {
    let cluster = Cluster::setup().set("user.block.size.bytes.default", "1MB").start();
    let mut bytes = pattern(2_500_000, 1);
    std::fs::write(cluster.root_ufs().join("f"), &bytes).unwrap();
    let Some(mounted) = mount(cluster, "rw") else { return };
    let path = mounted.path("f");
    for round in 0..5_u8 {
        // Through the kernel's cache, for the file has several blocks.
        assert!(std::fs::read(&path).unwrap() == bytes, "round {round}");
        let file = update(&path);
        let now = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
        file.set_modified(now).unwrap();
        file.write_all_at(&[round; 10], 70_000).unwrap();
        bytes[70_000..70_010].fill(round);
        assert!(file.metadata().unwrap().modified().unwrap() > now, "writing dates it");
        let at_close = file.metadata().unwrap().modified().unwrap();
        drop(file);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), at_close);
        assert!(elsewhere(&mounted, "/f") == bytes, "round {round}");
    }
    // Opened and closed, nothing is a new version.
    let id = || mounted.cluster().ok(&["fs", "stat", "/f"]);
    let before = id();
    drop(update(&path));
    assert_eq!(id(), before);
}
