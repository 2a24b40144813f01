//! Files that the kernel reads and writes by itself, beside those who change them.

use super::{mount, pattern};
use crate::cluster::Cluster;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn in_cache_only() -> Cluster {
    Cluster::setup().set("user.file.writetype.default", "MUST_CACHE").start()
}

#[test]
fn whoever_waits_for_a_block_while_the_file_is_replaced_keeps_it_from_nobody() {
    let Some(mounted) = mount(in_cache_only(), "rw") else { return };
    let (old, new) = (pattern(8_400, 1), pattern(20_000, 2));
    for n in 0..3 {
        let name = format!("f{n}");
        let path = mounted.path(&name);
        let below = mounted.cluster().dir().join(&name);
        std::fs::write(&below, &old).unwrap();
        let below = below.to_str().unwrap();
        mounted.cluster().ok(&["fs", "copyFromLocal", below, &format!("/{name}")]);
        std::fs::metadata(&path).unwrap();
        let worker = &mounted.cluster().workers[0];
        worker.signal("-STOP");
        let opening = {
            let path = path.clone();
            std::thread::spawn(move || File::open(path))
        };
        std::thread::sleep(Duration::from_millis(150));
        drop(OpenOptions::new().read(true).write(true).truncate(true).open(&path));
        worker.signal("-CONT");
        let _reader = opening.join().unwrap();
        assert!(std::fs::read(&path).unwrap().is_empty(), "{name} was emptied");
        let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        file.write_all(&new).unwrap();
        drop(file);
        assert!(std::fs::read(&path).unwrap() == new, "{name}");
    }
}

#[test]
fn who_reads_over_and_over_keeps_nobody_from_writing() {
    let Some(mounted) = mount(in_cache_only(), "rw") else { return };
    let path = mounted.path("f");
    std::fs::write(&path, pattern(8_000, 1)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(mut file) = File::open(&path) {
                        file.read_exact(&mut [0; 10]).ok();
                    }
                }
            });
        }
        let begun = Instant::now();
        let mut failed = Vec::new();
        for n in 0_u32.. {
            if begun.elapsed() > Duration::from_secs(6) {
                break;
            }
            let bytes = format!("{n:08}").repeat(1_000);
            let opened = OpenOptions::new().read(true).write(true).truncate(n % 2 == 0).open(&path);
            match opened {
                Ok(file) => file.write_all_at(bytes.as_bytes(), 0).unwrap(),
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            }
            match std::fs::read(&path) {
                Ok(read) => assert!(read == bytes.as_bytes(), "{n}"),
                Err(error) => failed.push(error),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "{failed:?}");
    });
}

#[test]
fn what_is_written_synchronously_outlasts_the_process() {
    let Some(mut mounted) = mount(Cluster::start(), "rw") else { return };
    std::fs::write(mounted.path("old"), "original").unwrap();
    let mut files = Vec::new();
    for (name, flag) in [("old", libc::O_SYNC), ("new", libc::O_DSYNC), ("written", libc::O_SYNC)] {
        let mut options = OpenOptions::new();
        options.read(name != "written").write(true).create(true).custom_flags(flag);
        let file = options.open(mounted.path(name)).unwrap();
        file.write_all_at(b"SYNC", 0).unwrap();
        files.push(file);
    }
    // Not beside somebody for whom the kernel writes by itself: nothing would say what it wrote.
    let mut options = File::options();
    let plain =
        options.read(true).write(true).create_new(true).open(mounted.path("plain")).unwrap();
    plain.write_all_at(b"any", 0).unwrap();
    let refused =
        File::options().write(true).custom_flags(libc::O_SYNC).open(mounted.path("plain"));
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EBUSY));
    mounted.kill();
    drop((files, plain));
    mounted.serve_killed_again();
    for (name, text) in [("old", "SYNCinal"), ("new", "SYNC"), ("written", "SYNC")] {
        assert_eq!(std::fs::read(mounted.path(name)).unwrap(), text.as_bytes(), "{name}");
    }
}
