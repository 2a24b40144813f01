//! Tiers of real workers: what is evicted, what moves, what stays, and what a disk that fails does to
//! the others. The disks are small tmpfs mounts where that matters, so some of these need root.

use crate::cluster::{Cluster, Disk, eventually, free_port, texts};
use goosefs::client::FileSystem;
use goosefs::core::model::FsPath;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MIB: usize = 1 << 20;
/// What is written goes to workers alone.
const KEPT: &str = "-Duser.file.writetype.default=MUST_CACHE";

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 3 + i / 4096 + seed * 7) as u8).collect()
}

/// A cluster with one worker, and the port of its web page.
struct Tiered {
    cluster: Cluster,
    web: u16,
}

impl std::ops::Deref for Tiered {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl std::ops::DerefMut for Tiered {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

/// A cluster with one worker on these directories.
fn cluster_on(dirs: &[(&str, &Path, &str)], own: &[(&str, &str)]) -> Tiered {
    let mut cluster = Cluster::setup().workers(0).start();
    let dirs: Vec<String> = dirs
        .iter()
        .map(|(medium, path, quota)| format!("{medium}:{}:{quota}", path.display()))
        .collect();
    let dirs = dirs.join(",");
    let web = free_port();
    let port = web.to_string();
    let mut properties = vec![
        ("worker.dirs", dirs.as_str()),
        ("worker.page.size", "256KB"),
        ("worker.web.port", port.as_str()),
    ];
    properties.extend(own);
    cluster.add_worker(&properties);
    cluster.wait_for_workers();
    Tiered { cluster, web }
}

/// Files `/dir/0` … in the under store, of one MiB each.
fn put_files(cluster: &Cluster, dir: &str, count: usize) {
    std::fs::create_dir_all(cluster.root_ufs().join(dir)).unwrap();
    for index in 0..count {
        let path = cluster.root_ufs().join(dir).join(index.to_string());
        std::fs::write(path, bytes(MIB, index)).unwrap();
    }
}

/// Reads files of `dir` and says how many were wrong.
fn cat(cluster: &Cluster, dir: &str, files: std::ops::Range<usize>) {
    for index in files {
        let output = cluster.run(&["fs", "cat", &format!("/{dir}/{index}")]);
        assert!(output.status.success(), "/{dir}/{index}: {}", texts(&output).1);
        assert!(output.stdout == bytes(MIB, index), "/{dir}/{index} has other bytes");
    }
}

fn json(cluster: &Cluster, args: &[&str]) -> Value {
    serde_json::from_str(&cluster.ok(args)).unwrap()
}

/// What each directory of the worker holds, and whether it is out of service.
fn tiers(cluster: &Cluster) -> Vec<(u64, bool)> {
    let report = json(cluster, &["fsadmin", "-o", "json", "report", "capacity"]);
    let tiers = report["workers"][0]["tiers"].as_array().cloned().unwrap_or_default();
    let tier = |t: &Value| (t["usedBytes"].as_u64().unwrap(), t["lost"].as_bool().unwrap());
    tiers.iter().map(tier).collect()
}

/// What the worker has counted as of now.
fn metric(cluster: &Tiered, name: &str) -> f64 {
    let mut page = TcpStream::connect(("127.0.0.1", cluster.web)).unwrap();
    page.write_all(b"GET /metrics HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).unwrap();
    let prefix = format!("goosefs_worker_{name}_total ");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().unwrap()
}

/// How much of a file is in the cache, as `fs du` says.
fn is_cached(cluster: &Cluster, path: &str) -> bool {
    cluster.ok(&["fs", "du", "-s", path]).contains("(100%)")
}

/// The block files below a directory.
fn block_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => found.extend(block_files(&path)),
            false if name.contains('-') && !name.contains('.') => found.push(path),
            false => {}
        }
    }
    found
}

#[test]
fn memory_is_lowered_to_its_low_watermark_and_what_leaves_it_is_read_from_the_next_tier() {
    let temp = tempfile::tempdir().unwrap();
    let (mem, ssd) = (temp.path().join("mem"), temp.path().join("ssd"));
    let dirs = [("MEM", mem.as_path(), "20MB"), ("SSD", ssd.as_path(), "100MB")];
    let cluster = cluster_on(&dirs, &[]);
    put_files(&cluster, "data", 40);
    cluster.ok(&["load", "/data"]);
    assert_eq!(metric(&cluster, "evicted_blocks"), 0.0, "new blocks went where there was room");
    eventually("memory is below its high watermark and nothing is lost", || {
        let tiers = tiers(&cluster);
        let [(mem, _), (ssd, _)] = tiers[..] else { return None };
        (mem <= 19 * MIB as u64 && mem + ssd == 40 * MIB as u64).then_some(())
    });
    assert!(metric(&cluster, "moved_down_blocks") > 0.0);
    assert_eq!(metric(&cluster, "evicted_blocks"), 0.0);
    eventually("the report shows it", || {
        let report = json(&cluster, &["fsadmin", "-o", "json", "report"]);
        let tiers = report["tiers"].as_array()?;
        assert_eq!((tiers.len(), &tiers[0]["medium"]), (2, &"MEM".into()));
        let moves = &report["tierMoves"];
        let used = tiers[1]["usedBytes"].as_u64()? >= 20 * MIB as u64;
        let moved = moves["demotedBlocks"].as_u64()? > 0 && moves["movedBytes"].as_u64()? > 0;
        (used && moved && moves["evictedBlocks"] == 0).then_some(())
    });
    let page = cluster.ok(&["fsadmin", "report"]);
    assert!(page.contains("Moved Between Tiers: 0 blocks up") && page.contains("\nMEM "), "{page}");
    let filled = metric(&cluster, "filled_bytes");
    cat(&cluster, "data", 0..40);
    let table = cluster.ok(&["fsadmin", "report", "capacity"]);
    assert!(table.contains("SSD") && table.contains(&ssd.display().to_string()), "{table}");
    // Read again and again, a block comes up.
    let down = block_files(&ssd).len();
    (0..5).for_each(|_| cat(&cluster, "data", 0..3));
    eventually("the hot blocks are not read from the under store", || {
        (metric(&cluster, "filled_bytes") == filled).then_some(())
    });
    assert!(block_files(&ssd).len() <= down + 20 && block_files(&mem).len() <= 20);
}

#[test]
fn pinned_lent_and_hot_blocks_stay_while_a_scan_goes_by() {
    let temp = tempfile::tempdir().unwrap();
    let cluster = cluster_on(&[("SSD", &temp.path().join("ssd"), "20MB")], &[]);
    let put = |dir: &str, count: usize| {
        std::fs::create_dir_all(cluster.root_ufs().join(dir)).unwrap();
        for index in 0..count {
            let path = cluster.root_ufs().join(dir).join(index.to_string());
            std::fs::write(path, bytes(MIB / 4, index)).unwrap();
        }
    };
    let read = |path: String| assert!(cluster.run(&["fs", "cat", &path]).status.success());
    put("hot", 12);
    put("scan", 800);
    put("once", 2);
    cluster.ok(&["fs", "ls", "/once"]);
    cluster.ok(&["fs", "pin", "/once/0"]);
    cluster.ok(&["load", "/once"]);
    (0..48).for_each(|turn| read(format!("/hot/{}", turn % 12)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let files = FileSystem::connect(&cluster.config());
    let lent = eventually("the file is lent", || {
        let path = FsPath::parse("/once/1").unwrap();
        let reader = runtime.block_on(files.open(&path, &Default::default())).unwrap();
        runtime.block_on(reader.lend(0)).unwrap()
    });
    eventually("the worker knows what is pinned", || {
        cluster.workers[0].log_text().contains("learnt what is pinned").then_some(())
    });

    let copied = cluster.dir().join("copied");
    // Over the wire: a client that borrows the files has many of them open at a time.
    let wire = "-Duser.short.circuit.enabled=false";
    cluster.ok(&[wire, "fs", "copyToLocal", "-R", "/scan", copied.to_str().unwrap()]);
    assert!(metric(&cluster, "evicted_blocks") > 700.0);
    assert!(is_cached(&cluster, "/once/0"), "pinned");
    assert!(is_cached(&cluster, "/once/1"), "lent");
    let mut first = [0; 16];
    lent.file.read_exact_at(&mut first, 0).unwrap();
    assert_eq!(first, bytes(16, 1)[..]);
    let misses = metric(&cluster, "page_misses");
    (0..12).for_each(|index| read(format!("/hot/{index}")));
    assert_eq!(metric(&cluster, "page_misses"), misses, "the hot set survived ten times the cache");
}

/// Mounts a disk anew with or without writing.
fn remount(disk: &Disk, read_only: bool) {
    use nix::mount::MsFlags;
    let flags =
        if read_only { MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY } else { MsFlags::MS_REMOUNT };
    let none: Option<&str> = None;
    eventually("the disk is mounted anew", || {
        nix::mount::mount(none, &disk.path(""), none, flags, none).ok()
    });
}

#[test]
fn a_disk_that_becomes_read_only_or_vanishes_is_left_out_and_the_worker_goes_on() {
    let (Some(first), Some(second)) = (Disk::new("48m"), Disk::new("48m")) else { return };
    let (a, b) = (first.path("blocks"), second.path("blocks"));
    let cluster = cluster_on(&[("SSD", &a, "40MB"), ("SSD", &b, "40MB")], &[]);
    put_files(&cluster, "data", 20);
    cluster.ok(&["load", "/data"]);
    assert!(!block_files(&a).is_empty() && !block_files(&b).is_empty(), "both disks are used");
    let lost = |which: [bool; 2]| {
        eventually("the master knows which disks work", || {
            let tiers = tiers(&cluster);
            (tiers.iter().map(|tier| tier.1).eq(which)).then_some(())
        });
    };

    remount(&first, true);
    lost([true, false]);
    cat(&cluster, "data", 0..20);
    std::fs::write(cluster.dir().join("new"), bytes(MIB, 77)).unwrap();
    cluster.ok(&[KEPT, "fs", "copyFromLocal", "new", "/new"]);
    let report = cluster.ok(&["fsadmin", "report", "capacity"]);
    assert!(report.contains("OUT OF SERVICE"), "{report}");

    remount(&first, false);
    lost([false, false]);
    cat(&cluster, "data", 0..20);

    nix::mount::umount2(&first.path(""), nix::mount::MntFlags::MNT_DETACH).unwrap();
    lost([true, false]);
    cat(&cluster, "data", 0..20);
    assert!(std::fs::read_dir(first.path("")).unwrap().next().is_none(), "nothing is made there");
    let output = cluster.run(&["fs", "cat", "/new"]);
    assert!(output.stdout == bytes(MIB, 77), "what is nowhere else is on the other disk");
}

#[test]
fn a_disk_that_is_full_before_its_quota_takes_nothing_and_breaks_nothing() {
    let Some(disk) = Disk::new("24m") else { return };
    let temp = tempfile::tempdir().unwrap();
    let (mem, ssd) = (temp.path().join("mem"), disk.path("blocks"));
    let cluster = cluster_on(&[("MEM", &mem, "12MB"), ("SSD", &ssd, "20MB")], &[]);
    put_files(&cluster, "data", 8);
    put_files(&cluster, "more", 20);
    disk.fill();
    cat(&cluster, "data", 0..8);
    cat(&cluster, "more", 0..20);
    cat(&cluster, "data", 0..8);
    assert!(tiers(&cluster).iter().all(|tier| !tier.1), "a full disk is no broken one");
}

#[test]
fn a_damaged_page_is_found_filled_again_and_counted() {
    let temp = tempfile::tempdir().unwrap();
    let ssd = temp.path().join("ssd");
    let scrub = [("worker.scrub.interval", "1s"), ("worker.scrub.bandwidth", "100MB")];
    let cluster = cluster_on(&[("SSD", &ssd, "40MB")], &scrub);
    put_files(&cluster, "data", 4);
    cluster.ok(&["load", "/data"]);
    std::fs::write(cluster.dir().join("new"), bytes(MIB, 9)).unwrap();
    cluster.ok(&[KEPT, "fs", "copyFromLocal", "new", "/only-copy"]);
    let blocks = block_files(&ssd.join("filled"));
    let good = std::fs::read(&blocks[0]).unwrap();
    let damage = |path: &Path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(b"damaged", 300_000).unwrap();
    };
    damage(&blocks[0]);
    eventually("the page is good again", || {
        (std::fs::read(&blocks[0]).unwrap() == good).then_some(())
    });
    eventually("it is counted", || (metric(&cluster, "repaired_pages") == 1.0).then_some(()));
    let told = "Worker.goosefs_worker_repaired_pages";
    eventually("the master knows", || {
        let report = json(&cluster, &["fsadmin", "-o", "json", "report", "metrics"]);
        (report[told].as_f64() == Some(1.0)).then_some(())
    });
    assert_eq!(metric(&cluster, "scrub_bad_pages"), 1.0);
    assert!(metric(&cluster, "scrubbed_bytes") >= 5.0 * MIB as f64);
    eventually("the report shows it", || {
        let report = json(&cluster, &["fsadmin", "-o", "json", "report"]);
        let scrubbed = report["scrubbedBytes"].as_u64()? >= MIB as u64;
        let pages = [&report["scrubBadPages"], &report["repairedPages"]];
        (scrubbed && pages.iter().all(|count| **count == 1)).then_some(())
    });
    assert!(cluster.ok(&["fsadmin", "report"]).contains("1 found by scrubbing, 1 repaired"));
    assert_eq!(metric(&cluster, "filled_bytes"), 4.0 * MIB as f64 + 262_144.0, "one page alone");
    cat(&cluster, "data", 0..4);

    damage(&block_files(&ssd.join("written"))[0]);
    eventually("it is said loudly", || {
        cluster.workers[0].log_text().contains("the only copy of a block is damaged").then_some(())
    });
    assert_eq!(block_files(&ssd.join("written")).len(), 1, "and stays");
}

#[test]
fn a_damaged_copy_of_what_waits_to_be_persisted_is_put_right_from_another() {
    // Found by a reader, and by the scrub.
    for (scrub, least) in [("0", 1), ("100MB", 2)] {
        let mut cluster = Cluster::setup()
            .workers(0)
            .set("master.persistence.initial.interval", "1h")
            .set("user.file.writetype.default", "ASYNC_THROUGH")
            .set("user.short.circuit.enabled", "false")
            .set("worker.page.size", "256KB")
            .set("worker.scrub.interval", "1s")
            .set("worker.scrub.bandwidth", scrub)
            .start();
        let stores = [2, 3].map(|host| (host, cluster.dir().join(format!("store{host}"))));
        for (host, store) in &stores {
            let host = format!("127.0.0.{host}");
            // A worker with less room takes nothing that waits to be persisted.
            let dirs = format!("SSD:{}:400MB", store.display());
            let own = [("worker.hostname", host.as_str()), ("worker.dirs", dirs.as_str())];
            cluster.add_worker(&[&own[..], &[("worker.bind.host", "0.0.0.0")]].concat());
        }
        cluster.wait_for_workers();
        std::fs::write(cluster.dir().join("new"), bytes(MIB, 9)).unwrap();
        cluster.ok(&["fs", "copyFromLocal", "new", "/waiting"]);
        let copies = stores.map(|(_, store)| {
            eventually("there are two copies", || block_files(&store.join("written")).pop())
        });
        for (copy, at) in copies.iter().zip([300_000, 600_000]) {
            let file = std::fs::File::options().write(true).open(copy).unwrap();
            file.write_all_at(b"damaged", at).unwrap();
        }
        if least == 1 {
            let read = cluster.run(&["fs", "cat", "/waiting"]);
            assert!(read.stdout == bytes(MIB, 9), "{}", texts(&read).1);
        }
        let counter = |name| cluster.workers.iter().map(|w| w.counter(name)).sum::<u64>();
        eventually("it is put right and counted", || {
            (counter("goosefs_worker_repaired_pages") >= least).then_some(())
        });
        let good = copies.iter().filter(|copy| std::fs::read(copy).unwrap() == bytes(MIB, 9));
        assert!(good.count() as u64 >= least);
    }
}

#[test]
fn a_worker_killed_while_blocks_move_has_each_of_them_once() {
    let temp = tempfile::tempdir().unwrap();
    let (mem, ssd) = (temp.path().join("mem"), temp.path().join("ssd"));
    let slow = [("worker.move.bandwidth", "4MB")];
    let dirs = [("MEM", mem.as_path(), "20MB"), ("SSD", ssd.as_path(), "100MB")];
    let mut cluster = cluster_on(&dirs, &slow);
    put_files(&cluster, "data", 8);
    for index in 0..12 {
        let name = format!("new{index}");
        std::fs::write(cluster.dir().join(&name), bytes(MIB, index)).unwrap();
        cluster.ok(&[KEPT, "fs", "copyFromLocal", &name, &format!("/{name}")]);
    }
    cluster.ok(&["load", "/data"]);
    for round in 0..3 {
        eventually("a block is on its way", || {
            let moving = std::fs::read_dir(ssd.join("tmp")).ok()?.next().is_some();
            (moving || block_files(&ssd).len() > 3 + round).then_some(())
        });
        cluster.workers[0].kill();
        cluster.workers[0].start();
    }
    cluster.wait_for_workers();
    for index in 0..12 {
        let output = cluster.run(&["fs", "cat", &format!("/new{index}")]);
        assert!(output.stdout == bytes(MIB, index), "/new{index}: {}", texts(&output).1);
    }
    cat(&cluster, "data", 0..8);
    eventually("every block is there once", || {
        let files = block_files(&mem).len() + block_files(&ssd).len();
        let used: u64 = tiers(&cluster).iter().map(|tier| tier.0).sum();
        (used == files as u64 * MIB as u64 && files == 20).then_some(())
    });
}

#[test]
fn a_worker_killed_while_it_evicts_counts_what_it_has() {
    let temp = tempfile::tempdir().unwrap();
    let ssd = temp.path().join("ssd");
    let mut cluster = cluster_on(&[("SSD", ssd.as_path(), "12MB")], &[]);
    put_files(&cluster, "data", 36);
    for _ in 0..3 {
        let paths: Vec<String> = (0..36).map(|index| format!("/data/{index}")).collect();
        let words = ["fs", "cat"].into_iter().chain(paths.iter().map(String::as_str));
        let mut command = cluster.command(&words.collect::<Vec<_>>());
        let reader = std::thread::spawn(move || command.output().unwrap());
        eventually("it evicts", || (metric(&cluster, "evicted_blocks") > 4.0).then_some(()));
        cluster.workers[0].kill();
        cluster.workers[0].start();
        cluster.wait_for_workers();
        // It waits for the worker, or says that there was none.
        reader.join().unwrap();
    }
    cat(&cluster, "data", 0..36);
    eventually("no byte is there that is not counted", || {
        let lengths =
            block_files(&ssd).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
        (tiers(&cluster)[0].0 == lengths && lengths <= 12 << 20).then_some(())
    });
}

#[test]
fn what_a_worker_is_asked_for_is_recorded_and_replayed() {
    let mut cluster =
        Cluster::setup().workers(0).set("user.short.circuit.enabled", "false").start();
    let trace = cluster.dir().join("accesses");
    let file = trace.to_str().unwrap();
    cluster.add_worker(&[("worker.trace.file", file)]);
    cluster.wait_for_workers();
    let data = bytes(MIB, 1);
    (0..3).for_each(|i| std::fs::write(cluster.root_ufs().join(format!("{i}")), &data).unwrap());
    ["/0", "/1", "/2"].iter().for_each(|path| drop(cluster.ok(&["fs", "checksum", path])));
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(&trace).unwrap();
        text.lines().skip(1).map(str::to_string).collect()
    };
    // Reads that follow each other at once are one pass.
    eventually("the first file is recorded four times", || {
        cluster.ok(&["fs", "checksum", "/0"]);
        let lines = lines();
        let first = lines.first()?;
        (lines.iter().filter(|line| *line == first).count() >= 4).then_some(())
    });
    cluster.workers[0].stop();
    let lines = lines();
    let told = cluster.ok(&["bench", "evict", "--trace", file, "-o", "json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told[0]["accesses"].as_u64(), Some(lines.len() as u64), "{told} {lines:?}");
    assert_eq!(told[0]["footprint_bytes"], 3 * MIB, "{lines:?}");
    assert_eq!(told[0]["capacity_bytes"], 1 << 30, "as the worker has it");
    let hits = (lines.len() - 3) as f64 / lines.len() as f64;
    assert_eq!(told[0]["policies"][0]["hit_ratio"], hits);
    // And on a cache that holds one of them.
    let told = cluster.ok(&["bench", "evict", "--trace", file, "--capacity", "1MB", "-o", "json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(told[0]["policies"][0]["hit_ratio"].as_f64() < Some(hits), "{told}");
}
