//! What was acknowledged, and what a close promises, in the corners of staged files.

use super::{Mounted, mount, pattern};
use crate::cluster::{Cluster, eventually};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

fn update(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn elsewhere(mounted: &Mounted, path: &str) -> Vec<u8> {
    mounted.cluster().run(&["fs", "cat", path]).stdout
}

/// What lies underneath at this moment.
fn below(mounted: &Mounted, name: &str) -> Vec<u8> {
    std::fs::read(mounted.cluster().root_ufs().join(name)).unwrap_or_default()
}

fn staged(mounted: &Mounted) -> String {
    mounted.cluster().ok(&["fuse", "staged", "ls", "-o", "json"])
}

#[test]
fn stores_through_a_mapping_are_published_also_after_a_publish() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let file = update(&mounted.path("f"));
    file.write_all_at(&[b'-'; 4096], 0).unwrap();
    let length = std::num::NonZeroUsize::new(4096).unwrap();
    use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, of a length that the file has.
    let mapped = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
    let store = |text: &[u8]| {
        // SAFETY: within the mapping, which nobody else uses.
        unsafe { mapped.cast::<u8>().as_ptr().copy_from(text.as_ptr(), text.len()) }
    };
    store(b"first");
    // Closing any descriptor of a file publishes it.
    drop(file.try_clone().unwrap());
    assert!(elsewhere(&mounted, "/f").starts_with(b"first-"));
    store(b"second");
    // SAFETY: it is not used any more.
    unsafe { munmap(mapped, 4096) }.unwrap();
    drop(file);
    assert!(elsewhere(&mounted, "/f").starts_with(b"second-"));
}

#[test]
fn stores_through_a_mapping_are_published_also_after_the_last_close() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("old"), [b'-'; 8192]).unwrap();
    for name in ["old", "new"] {
        let file = update(&mounted.path(name));
        file.set_len(8192).unwrap();
        let length = std::num::NonZeroUsize::new(8192).unwrap();
        use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, of a length that the file has.
        let mapped = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
        let store = |at: usize, text: &[u8]| {
            // SAFETY: within the mapping, which nobody else uses.
            unsafe { mapped.cast::<u8>().as_ptr().add(at).copy_from(text.as_ptr(), text.len()) }
        };
        store(0, b"before");
        drop(file);
        std::thread::sleep(Duration::from_millis(200));
        store(4096, b"after");
        let path = format!("/{name}");
        eventually("it is published while it is mapped", || {
            elsewhere(&mounted, &path)
                .get(4096..)
                .is_some_and(|read| read.starts_with(b"after"))
                .then_some(())
        });
        store(4096, b"at last");
        // SAFETY: it is not used any more.
        unsafe { munmap(mapped, 8192) }.unwrap();
        eventually("what was stored last is published", || {
            elsewhere(&mounted, &path)[4096..].starts_with(b"at last").then_some(())
        });
        assert!(elsewhere(&mounted, &path).starts_with(b"before"));
    }
}

#[test]
fn what_others_wrote_after_a_failed_close_is_not_overwritten_by_another_try() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    std::fs::write(mounted.path("old"), "original").unwrap();
    let (old, new) = (update(&mounted.path("old")), update(&mounted.path("new")));
    old.write_all_at(b"too late", 0).unwrap();
    new.write_all_at(b"first try", 0).unwrap();
    mounted.cluster_mut().workers[0].kill();
    assert!(nix::unistd::close(old).is_err());
    assert!(nix::unistd::close(new).is_err());
    mounted.cluster_mut().workers[0].start();
    // Whoever is told that closing failed begins anew; and somebody else works on the other.
    let write = |path: &Path, text: &str| {
        eventually("it is written", || std::fs::write(path, text).ok());
    };
    write(&other.path("old"), "newer");
    write(&mounted.path("new"), "second try");
    // Tried again before that, or given up.
    eventually("nothing is tried again any more", || {
        let left: serde_json::Value = serde_json::from_str(&staged(&mounted)).unwrap();
        let left = left.as_array().unwrap();
        left.iter().all(|left| left.to_string().contains("others changed")).then_some(())
    });
    let said = mounted.cluster().ok(&["fuse", "staged", "ls"]);
    assert!(!said.contains("tried again"), "{said}");
    assert_eq!(elsewhere(&mounted, "/old"), b"newer");
    assert_eq!(elsewhere(&mounted, "/new"), b"second try");
}

#[test]
fn what_others_wrote_after_a_failed_close_is_not_overwritten_when_the_mount_ends() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let other = mounted.again();
    for name in ["open", "closed"] {
        std::fs::write(mounted.path(name), "original").unwrap();
    }
    let (open, closed) = (update(&mounted.path("open")), update(&mounted.path("closed")));
    let second = open.try_clone().unwrap();
    for file in [&open, &closed] {
        file.write_all_at(b"too late", 0).unwrap();
    }
    mounted.cluster_mut().workers[0].kill();
    for file in [open, closed] {
        assert!(nix::unistd::close(file).is_err());
    }
    mounted.cluster_mut().workers[0].start();
    for name in ["open", "closed"] {
        eventually("another writes it", || std::fs::write(other.path(name), "newer").ok());
    }
    // Its program does not look at errors.
    second.write_all_at(b"and more", 0).unwrap();
    drop(second);
    assert_eq!(elsewhere(&mounted, "/open"), b"newer");
    mounted.unmount();
    mounted.server().wait().unwrap();
    for name in ["/open", "/closed"] {
        assert_eq!(elsewhere(&mounted, name), b"newer", "{name}");
    }
    assert!(staged(&mounted).contains("/open"), "what was not published is kept");
}

#[test]
fn syncing_what_is_published_leaves_nothing_behind() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("clean"), "published").unwrap();
    let file = update(&mounted.path("clean"));
    file.sync_all().unwrap();
    assert!(staged(&mounted).contains("[]"), "nothing of it is staged");
    drop(file);
    let file = update(&mounted.path("new"));
    file.write_all_at(b"hello", 0).unwrap();
    file.sync_all().unwrap();
    assert!(staged(&mounted).contains("/new"));
    std::fs::rename(mounted.path("new"), mounted.path("final")).unwrap();
    file.sync_all().unwrap();
    drop(file);
    eventually("nothing is staged", || staged(&mounted).contains("[]").then_some(()));
    assert_eq!(elsewhere(&mounted, "/final"), b"hello");
}

#[test]
fn close_returns_when_the_file_is_published_whoever_of_the_process_opened_it() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let bytes = pattern(300_000, 1);
    for n in 0..10 {
        let name = format!("two{n}");
        let (one, two) = (update(&mounted.path(&name)), update(&mounted.path(&name)));
        one.write_all_at(&bytes, 0).unwrap();
        drop(one);
        drop(two);
        assert!(below(&mounted, &name) == bytes, "{name} was closed twice");
        let name = format!("thread{n}");
        let path = mounted.path(&name);
        let file = std::thread::spawn(move || File::create(path).unwrap()).join().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        drop(file);
        assert!(below(&mounted, &name) == bytes, "{name} was opened by a thread that has ended");
    }
}

#[test]
fn a_reader_for_whom_there_is_no_room_leaves_the_writer_alone() {
    let cluster = Cluster::setup().set("fuse.staging.size", "1MB").start();
    let Some(mounted) = mount(cluster, "rw") else { return };
    let bytes = pattern(5 << 20, 1);
    let mut file = File::create(mounted.path("f")).unwrap();
    file.write_all(&bytes).unwrap();
    let refused = File::open(mounted.path("f")).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOSPC));
    file.write_all(b"and on").unwrap();
    drop(file);
    assert!(elsewhere(&mounted, "/f") == [&bytes[..], b"and on"].concat());
}

#[test]
fn a_mount_that_ends_saves_all_files_before_it_tries_to_publish_them() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let names: Vec<String> = (0..8).map(|n| format!("f{n}")).collect();
    let files: Vec<File> = names.iter().map(|name| update(&mounted.path(name))).collect();
    for (name, file) in names.iter().zip(&files) {
        file.write_all_at(name.as_bytes(), 0).unwrap();
    }
    mounted.cluster_mut().workers[0].kill();
    let server = nix::unistd::Pid::from_raw(mounted.server().id() as i32);
    nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGTERM).unwrap();
    eventually("all are saved", || {
        let said = staged(&mounted);
        names.iter().all(|name| said.contains(&format!("/{name}\""))).then_some(())
    });
    mounted.kill_process();
    drop(files);
    mounted.cluster_mut().workers[0].start();
    mounted.cluster().wait_for_workers();
    mounted.serve_killed_again();
    for name in &names {
        eventually("the next mount publishes it", || {
            (elsewhere(&mounted, &format!("/{name}")) == name.as_bytes()).then_some(())
        });
    }
}

#[test]
fn deleting_a_file_that_is_open_waits_for_no_large_fetch_and_needs_no_room() {
    let cluster = Cluster::setup().set("fuse.staging.size", "16MB").start();
    for (name, length) in [("large", 200 << 20), ("medium", 30 << 20)] {
        let below = File::create(cluster.root_ufs().join(name)).unwrap();
        below.set_len(length).unwrap();
    }
    let Some(mounted) = mount(cluster, "rw") else { return };
    for name in ["large", "medium"] {
        let file = update(&mounted.path(name));
        // The kernel reads pages.
        file.write_all_at(&[7; 4096], 1 << 20).unwrap();
        std::fs::remove_file(mounted.path(name)).unwrap();
        let mut read = [0; 4096];
        file.read_exact_at(&mut read, 1 << 20).unwrap();
        assert_eq!(read, [7; 4096]);
        use std::os::unix::fs::MetadataExt;
        assert_eq!(file.metadata().unwrap().nlink(), 0);
        drop(file);
        assert!(std::fs::metadata(mounted.path(name)).is_err());
        assert!(!mounted.cluster().root_ufs().join(name).exists());
    }
}

#[test]
fn a_time_that_is_set_while_a_file_is_written_in_order_keeps_its_nanoseconds() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let path = mounted.path("f");
    let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
    let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890);
    for nanos in [123_456_789, 123_000_000] {
        let then = since + std::time::Duration::from_nanos(nanos);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"written in order").unwrap();
        file.set_modified(then).unwrap();
        drop(file);
        eventually("it has that time", || (modified() == then).then_some(()));
        mounted.cluster().ok(&["fs", "chmod", "600", "/f"]);
        eventually("and keeps it", || {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
            (mode & 0o777 == 0o600 && modified() == then).then_some(())
        });
        mounted.cluster().ok(&["fs", "chmod", "644", "/f"]);
    }
}

#[test]
fn a_file_that_is_deleted_while_it_is_closed_does_not_come_back() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let bytes = pattern(16 << 20, 1);
    for n in 0..12 {
        let (name, path) = (format!("/f{n}"), mounted.path(&format!("f{n}")));
        std::fs::write(&path, "original").unwrap();
        let file = update(&path);
        file.write_all_at(&bytes, 0).unwrap();
        let closed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(500 * n));
            nix::unistd::close(file)
        });
        let begun = Instant::now();
        std::fs::remove_file(&path).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "deleting waits for no publish");
        closed.join().unwrap().ok();
        assert!(!path.exists());
        assert!(!mounted.cluster().run(&["fs", "stat", &name]).status.success(), "{name}");
    }
}

#[test]
fn what_is_written_below_a_directory_that_is_renamed_moves_with_it() {
    let Some(mounted) = mount(Cluster::start(), "rw") else { return };
    let names = ["stream", "staged", "emptied", "changed"];
    std::fs::create_dir(mounted.path("old")).unwrap();
    for name in &names[2..] {
        std::fs::write(mounted.path("old").join(name), "original").unwrap();
    }
    let path = |name: &str| mounted.path("old").join(name);
    let mut files = vec![
        File::create(path("stream")).unwrap(),
        update(&path("staged")),
        File::create(path("emptied")).unwrap(),
        update(&path("changed")),
    ];
    for file in &mut files {
        file.write_all(&[b'1'; 100_000]).unwrap();
    }
    std::fs::rename(mounted.path("old"), mounted.path("new")).unwrap();
    for file in &mut files {
        file.write_all(&[b'2'; 100_000]).unwrap();
    }
    for file in files {
        nix::unistd::close(file).unwrap();
    }
    let expected = [[b'1'; 100_000], [b'2'; 100_000]].concat();
    for name in names {
        assert!(elsewhere(&mounted, &format!("/new/{name}")) == expected, "{name}");
    }
    assert!(!mounted.cluster().run(&["fs", "stat", "/old"]).status.success());
    assert!(!mounted.path("old").exists());
}

#[test]
fn a_new_file_that_cannot_be_published_is_seen_and_can_be_deleted() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    let files = ["kept", "deleted"].map(|name| update(&mounted.path(name)));
    for file in &files {
        file.write_all_at(b"not to be lost", 0).unwrap();
    }
    mounted.cluster_mut().workers[0].kill();
    for file in files {
        assert!(nix::unistd::close(file).is_err());
    }
    for name in ["kept", "deleted"] {
        assert_eq!(std::fs::read(mounted.path(name)).unwrap(), b"not to be lost", "{name}");
    }
    std::fs::remove_file(mounted.path("deleted")).unwrap();
    let listed = std::fs::read_dir(mounted.path("")).unwrap();
    let listed: Vec<_> = listed.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(listed, ["kept"]);
    assert!(!staged(&mounted).contains("/deleted"));
    mounted.cluster_mut().workers[0].start();
    eventually("it is published once it can be", || {
        (elsewhere(&mounted, "/kept") == b"not to be lost").then_some(())
    });
    assert!(std::fs::metadata(mounted.path("deleted")).is_err());
}
