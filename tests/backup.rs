//! Backups: what was acknowledged before one is in it, what was damaged is refused, and a master
//! that is put back from one never gives out what the lost time has given out.

use crate::cluster::{Cluster, Masters, Node, eventually, scratch_dir};
use goosefs::client::{CreateOptions, FileSystem, ListOptions};
use goosefs::core::model::{FsPath, WriteType};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Callers at work while a backup is made.
const WRITERS: usize = 8;

fn path(text: &str) -> FsPath {
    FsPath::parse(text).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Writes a file that is nowhere else than in the cache.
async fn write(files: &FileSystem, name: &str, bytes: &[u8]) -> goosefs::core::error::Result<()> {
    let options = CreateOptions { write_type: Some(WriteType::MustCache), ..Default::default() };
    let mut writer = files.create(&path(name), &options).await?;
    if !bytes.is_empty() {
        writer.write(bytes.to_vec()).await?;
    }
    writer.close().await.map(drop)
}

async fn read(files: &FileSystem, name: &str) -> Vec<u8> {
    let reader = files.open(&path(name), &Default::default()).await.unwrap();
    reader.read_at(0, 1 << 30).await.unwrap().to_vec()
}

/// All that is in the root directory.
fn names(runtime: &tokio::runtime::Runtime, files: &FileSystem) -> BTreeSet<String> {
    let listed = runtime.block_on(files.list(&FsPath::root(), &ListOptions::default())).unwrap();
    listed.iter().map(|status| status.path.to_string()).collect()
}

/// What `fsadmin backup -o json` says.
fn told(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The file that a backup to a local directory lies in.
fn file_of(backup: &Value) -> PathBuf {
    backup["uri"].as_str().unwrap().strip_prefix("file://").unwrap().into()
}

/// Backs a cluster up to a directory beside it.
fn back_up(cluster: &Cluster) -> PathBuf {
    let dir = cluster.dir().join("backups");
    std::fs::create_dir_all(&dir).unwrap();
    let dir = dir.display().to_string();
    file_of(&told(&cluster.ok(&["fsadmin", "backup", &dir, "--local", "-o", "json"])))
}

/// Formats a cluster's master, as its own process would see its directories.
fn format(cluster: &Cluster, args: &[&str]) -> std::process::Output {
    let data = format!("-Ddata.dir={}", cluster.master.dir().join("data").display());
    let args = [&[data.as_str(), "format"], args].concat();
    cluster.run(&args)
}

fn format_ok(cluster: &Cluster, args: &[&str]) -> String {
    let output = format(cluster, args);
    let (out, err) = crate::cluster::texts(&output);
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out
}

fn journal(node: &Node) -> PathBuf {
    node.dir().join("data/master")
}

/// Every file below `dir`, with what is in it.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
            }
        }
    }
    found
}

#[test]
fn a_backup_holds_what_was_acknowledged_and_nothing_later_while_writers_go_on() {
    let mut cluster = Cluster::setup().workers(0).start();
    let runtime = runtime();
    let stop = Arc::new(AtomicBool::new(false));
    let done: Arc<Mutex<Vec<(String, Instant, Instant)>>> = Arc::default();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let files = FileSystem::connect(&cluster.config());
            let (stop, done) = (stop.clone(), done.clone());
            runtime.spawn(async move {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("/w{writer}-{number:06}");
                    let begun = Instant::now();
                    write(&files, &name, b"").await.unwrap();
                    done.lock().unwrap().push((name, begun, Instant::now()));
                }
            })
        })
        .collect();
    let count = || done.lock().unwrap().len();
    eventually("writers are at work", || (count() > 300).then_some(()));
    let dir = cluster.dir().join("backups");
    std::fs::create_dir(&dir).unwrap();
    let dir = dir.display().to_string();
    let asked = Instant::now();
    let backup = told(&cluster.ok(&["fsadmin", "backup", &dir, "--local", "-o", "json"]));
    let answered = Instant::now();
    let then = count();
    eventually("writers go on", || (count() > then + 300).then_some(()));
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| runtime.block_on(writer).unwrap());

    cluster.master.stop();
    let file = file_of(&backup);
    let said = format_ok(&cluster, &["--yes", "--from-backup", &file.display().to_string()]);
    let entries = backup["entries"].as_u64().unwrap();
    assert!(said.contains(&format!("{entries} files and directories")), "{said}");
    assert!(backup["bytes"].as_u64() == Some(std::fs::metadata(&file).unwrap().len()));
    cluster.master.start();
    let there = names(&runtime, &FileSystem::connect(&cluster.config()));
    assert_eq!(there.len() as u64 + 1, entries, "and the root");
    for (name, begun, ended) in done.lock().unwrap().iter() {
        let is = there.contains(name);
        assert!(is || *ended > asked, "{name} was acknowledged before the backup and is not in it");
        assert!(!is || *begun < answered, "{name} was begun after the backup and is in it");
    }
    // Each writer's files are there up to one of them: the backup is of one moment.
    for writer in 0..WRITERS {
        let own: Vec<_> = there.iter().filter(|n| n.starts_with(&format!("/w{writer}-"))).collect();
        let last = format!("/w{writer}-{:06}", own.len() - 1);
        assert_eq!(own.last().unwrap().as_str(), last, "no gaps");
    }
    // And it is a journal like any other: it goes on, also after a crash.
    let files = FileSystem::connect(&cluster.config());
    runtime.block_on(write(&files, "/later", b"")).unwrap();
    cluster.master.kill();
    cluster.master.start();
    let files = FileSystem::connect(&cluster.config());
    assert_eq!(names(&runtime, &files).len() as u64, entries);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_nothing_is_touched() {
    let mut cluster = Cluster::setup().workers(0).start();
    (0..3).for_each(|number| drop(cluster.ok(&["fs", "mkdir", &format!("/d{number}")])));
    let good = back_up(&cluster);
    let bytes = std::fs::read(&good).unwrap();
    cluster.master.stop();
    let before = contents(&journal(&cluster.master));
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut newer = bytes.clone();
    newer[8..12].copy_from_slice(&7u32.to_le_bytes());
    let mut cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "is no image"),
        ("text", b"not a backup at all".to_vec(), "is no image"),
        ("newer", newer, "has format 7, and this goosefs reads up to 1"),
        ("longer", [bytes.as_slice(), b"x"].concat(), "after its end"),
        ("cut-by-one", bytes[..bytes.len() - 1].to_vec(), "cut short"),
        ("cut-in-half", bytes[..bytes.len() / 2].to_vec(), "cut short"),
        ("cut-header", bytes[..20].to_vec(), "cut short"),
    ];
    for at in (12..bytes.len()).step_by(bytes.len() / 16 + 1).chain([bytes.len() - 1]) {
        cases.push(("flipped", flipped(at), "damaged"));
    }
    let bad = cluster.dir().join("bad.image");
    for (what, bytes, expected) in cases {
        std::fs::write(&bad, bytes).unwrap();
        let output = format(&cluster, &["--yes", "--from-backup", bad.to_str().unwrap()]);
        let error = crate::cluster::texts(&output).1;
        assert_eq!(output.status.code(), Some(1), "{what}: {error}");
        assert!(error.contains(expected) && error.contains("bad.image"), "{what}: {error}");
        assert!(contents(&journal(&cluster.master)) == before, "{what}: something was touched");
    }
    for (from, expected) in [
        ("/no/such/backup.image", "/no/such"),
        (cluster.dir().to_str().unwrap(), "is a directory"),
        ("gopher://x/y", "no under store serves gopher"),
    ] {
        let output = format(&cluster, &["--yes", "--from-backup", from]);
        let error = crate::cluster::texts(&output).1;
        assert!(!output.status.success() && error.contains(expected), "{from}: {error}");
        assert!(contents(&journal(&cluster.master)) == before, "{from}: something was touched");
    }
    // A good one is not put over a journal unless someone says yes.
    let output = format(&cluster, &["--from-backup", good.to_str().unwrap()]);
    let error = crate::cluster::texts(&output).1;
    assert!(!output.status.success() && error.contains("--yes"), "{error}");
    assert!(contents(&journal(&cluster.master)) == before);
    cluster.master.start();
    let output = format(&cluster, &["--yes", "--from-backup", good.to_str().unwrap()]);
    let error = crate::cluster::texts(&output).1;
    assert!(error.contains("a master listens"), "{error}");
    assert!(cluster.ok(&["fs", "ls", "/"]).contains("/d2"));
}

#[test]
fn a_restore_that_is_killed_anywhere_leaves_the_old_or_the_new() {
    let mut cluster = Cluster::setup().workers(0).start();
    let runtime = runtime();
    let files = FileSystem::connect(&cluster.config());
    (0..300).for_each(|n| runtime.block_on(write(&files, &format!("/old{n}"), b"")).unwrap());
    let backup = back_up(&cluster);
    let expected = names(&runtime, &files);
    runtime.block_on(write(&files, "/new", b"")).unwrap();
    cluster.master.kill();
    // Killed while the backup was on its way: the old one.
    let dir = journal(&cluster.master);
    let bytes = std::fs::read(&backup).unwrap();
    std::fs::write(dir.join("restore.new"), &bytes[..bytes.len() / 2]).unwrap();
    cluster.master.start();
    let files = FileSystem::connect(&cluster.config());
    assert!(names(&runtime, &files).contains("/new"));
    cluster.master.kill();
    // Killed after it was there, before anything else was removed: the new one, however often the
    // master is killed while it takes it up.
    std::fs::copy(&backup, dir.join("restore.image")).unwrap();
    for pause_ms in (0..400).step_by(20) {
        cluster.master.spawn();
        std::thread::sleep(Duration::from_millis(pause_ms));
        cluster.master.kill();
    }
    cluster.master.start();
    let files = FileSystem::connect(&cluster.config());
    assert_eq!(names(&runtime, &files), expected);
    assert!(!dir.join("restore.image").exists());
    runtime.block_on(write(&files, "/goes-on", b"")).unwrap();
}

#[test]
fn ids_of_the_lost_time_are_never_given_out_again() {
    let mut cluster = Cluster::start();
    let runtime = runtime();
    let files = FileSystem::connect(&cluster.config());
    let (before, lost, later) = (vec![1u8; 100_000], vec![2u8; 100_000], vec![3u8; 100_000]);
    runtime.block_on(write(&files, "/before", &before)).unwrap();
    let backup = back_up(&cluster);
    runtime.block_on(write(&files, "/lost", &lost)).unwrap();
    let lost_id = runtime.block_on(files.status(&path("/lost"))).unwrap().id;
    let cluster_id = |cluster: &Cluster| {
        told(&cluster.ok(&["masterinfo", "-o", "json"]))["clusterId"].as_str().unwrap().to_string()
    };
    let id = cluster_id(&cluster);
    cluster.master.stop();
    format_ok(&cluster, &["--yes", "--from-backup", backup.to_str().unwrap()]);
    cluster.master.start();
    cluster.wait_for_workers();
    assert_eq!(cluster_id(&cluster), id, "the cluster is the same, so workers keep their blocks");
    let files = FileSystem::connect(&cluster.config());
    // The worker has kept what the backup knows of; the only copy is there.
    assert!(runtime.block_on(read(&files, "/before")) == before);
    assert!(!names(&runtime, &files).contains("/lost"));
    // The same name and length again: the worker still has the other bytes under the old id.
    runtime.block_on(write(&files, "/lost", &later)).unwrap();
    let status = runtime.block_on(files.status(&path("/lost"))).unwrap();
    assert!(status.id.container() > lost_id.container() + (1 << 31), "{lost_id} {}", status.id);
    assert!(runtime.block_on(read(&files, "/lost")) == later, "not the bytes of the lost time");
    // A worker that starts anew asks what still exists, and lets the rest go.
    cluster.workers[0].stop();
    cluster.workers[0].start();
    eventually("blocks of the lost time are dropped", || {
        cluster.workers[0].log_text().contains("their files do not exist any more").then_some(())
    });
}

#[test]
fn what_the_root_store_has_got_since_shows_after_a_restore() {
    let mut cluster = Cluster::setup().workers(0).start();
    std::fs::create_dir(cluster.root_ufs().join("d")).unwrap();
    std::fs::write(cluster.root_ufs().join("d/a"), "1").unwrap();
    assert!(cluster.ok(&["fs", "ls", "/d"]).contains("/d/a"));
    let backup = told(&cluster.ok(&["fsadmin", "backup", "-o", "json"]));
    let uri = backup["uri"].as_str().unwrap();
    let expected =
        format!("file://{}/goosefs_backups/goosefs-backup-", cluster.root_ufs().display());
    assert!(uri.starts_with(&expected), "{uri}");
    // It lies in the tree too, and holds secrets: it is nobody's but the superuser's.
    assert!(cluster.ok(&["fs", "ls", "/goosefs_backups"]).contains("-rw-------"));
    std::fs::write(cluster.root_ufs().join("d/b"), "2").unwrap();
    assert!(!cluster.ok(&["fs", "ls", "/d"]).contains("/d/b"), "known, and not looked up again");
    cluster.master.stop();
    format_ok(&cluster, &["--yes", "--from-backup", uri]);
    cluster.master.start();
    assert!(cluster.ok(&["fs", "ls", "/d"]).contains("/d/b"), "looked up once after a restore");
    std::fs::write(cluster.root_ufs().join("d/c"), "3").unwrap();
    assert!(!cluster.ok(&["fs", "ls", "/d"]).contains("/d/c"), "and once only");
}

#[test]
fn a_backup_goes_to_a_bucket_and_comes_back() {
    let Some(server) = crate::ufs::servers::moto(false) else { return };
    let runtime = runtime();
    runtime.block_on(crate::ufs::s3::request(
        reqwest::Method::PUT,
        format!("{}/bucket", server.url()),
    ));
    let mut cluster = Cluster::setup()
        .workers(0)
        .set("underfs.s3.endpoint", &server.url())
        .set("underfs.s3.access.key", "AK")
        .set("underfs.s3.secret.key", "SK")
        .start();
    let files = FileSystem::connect(&cluster.config());
    (0..20).for_each(|n| runtime.block_on(write(&files, &format!("/f{n}"), b"")).unwrap());
    let expected = names(&runtime, &files);
    let text = cluster.ok(&["fsadmin", "backup", "s3://bucket/some/backups"]);
    let uri = text.lines().find_map(|line| line.strip_prefix("Backup URI         : "));
    let uri = uri.unwrap_or_else(|| panic!("{text}"));
    assert!(uri.starts_with("s3://bucket/some/backups/goosefs-backup-"), "{uri}");
    assert!(text.contains("Backup Entry Count : 21"), "{text}");
    cluster.master.stop();
    format_ok(&cluster, &["--yes"]);
    // Into nothing: there is nothing to ask about.
    format_ok(&cluster, &["--from-backup", uri]);
    cluster.master.start();
    let files = FileSystem::connect(&cluster.config());
    assert_eq!(names(&runtime, &files), expected);
    let error = cluster.fails(&["fsadmin", "backup", "s3://no-such-bucket/x"]);
    assert!(error.contains("no-such-bucket"), "{error}");
    let error = cluster.fails(&["fsadmin", "backup", "relative/dir"]);
    assert!(error.contains("begins with /"), "{error}");
}

#[test]
fn three_masters_are_put_back_from_a_backup_of_one_of_them() {
    let mut masters = Masters::start(3, &[]);
    let voters = [("m0", "VOTER", true), ("m1", "VOTER", true), ("m2", "VOTER", true)];
    masters.wait_for_states(&voters);
    let runtime = runtime();
    let files = masters.connect();
    (0..50).for_each(|n| runtime.block_on(write(&files, &format!("/f{n}"), b"")).unwrap());
    let dir = scratch_dir();
    let target = dir.display().to_string();
    let backup = told(&masters.ok(&["fsadmin", "backup", &target, "--local", "-o", "json"]));
    let expected = names(&runtime, &files);
    runtime.block_on(write(&files, "/lost", b"")).unwrap();
    masters.nodes.iter_mut().for_each(Node::kill);
    let format = |masters: &Masters, number: usize, more: &[&str]| {
        let data = format!("-Ddata.dir={}", masters.nodes[number].dir().join("data").display());
        let name = format!("m{number}");
        let args = [&[data.as_str(), "format", "--yes", "--name", &name], more].concat();
        masters.ok(&args);
    };
    format(&masters, 0, &["--from-backup", file_of(&backup).to_str().unwrap()]);
    // One of the others still has its journal: two clusters would come of it.
    format(&masters, 1, &[]);
    masters.nodes.iter_mut().for_each(Node::spawn);
    eventually("the backup waits and says why", || {
        let log = masters.nodes[0].log_text();
        (log.contains("the backup waits") && log.contains("there is one at m2")).then_some(())
    });
    assert_eq!(masters.primary(), None);
    masters.nodes[2].kill();
    format(&masters, 2, &[]);
    masters.nodes[2].spawn();
    masters.wait_for_states(&voters);
    let files = masters.connect();
    assert_eq!(names(&runtime, &files), expected);
    // All of them have it, and they go on as ever.
    runtime.block_on(write(&files, "/after", b"")).unwrap();
    let primary = masters.wait_for_primary();
    masters.nodes[primary].kill();
    masters.wait_for_primary();
    let mut expected = expected;
    expected.insert("/after".into());
    assert_eq!(names(&runtime, &masters.connect()), expected);
    masters.nodes[primary].spawn();
    masters.wait_for_states(&voters);
    std::fs::remove_dir_all(&dir).ok();
}

#[test]
fn a_daily_backup_is_made_and_only_our_oldest_are_deleted() {
    let mut cluster = Cluster::setup().workers(0).start();
    let id = told(&cluster.ok(&["masterinfo", "-o", "json"]))["clusterId"].to_string();
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    cluster.master.stop();
    let dir = cluster.dir().join("daily");
    std::fs::create_dir(&dir).unwrap();
    // Of the first days of 1970.
    let ours = |day: u64| {
        format!("goosefs-backup-1970-01-{:02}-{:013}-{id}.image", day + 1, day * 86_400_000)
    };
    let others = ["goosefs-backup-1970-01-02-0000086400000-abcdabcd.image", "notes.txt"];
    (0..4).for_each(|day| std::fs::write(dir.join(ours(day)), "").unwrap());
    others.iter().for_each(|name| std::fs::write(dir.join(name), "").unwrap());
    let address = format!("file://{}", dir.display());
    cluster.master.set("master.backup.directory", &address);
    cluster.master.set("master.daily.backup.enabled", "true");
    cluster.master.set("master.daily.backup.time", "00:00");
    let listed = || -> BTreeSet<String> {
        let entries = std::fs::read_dir(&dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    cluster.master.start();
    let kept = eventually("a backup is made and two are deleted", || {
        let listed = listed();
        (!listed.contains(&ours(1)) && listed.len() == 5).then_some(listed)
    });
    assert!(others.iter().all(|name| kept.contains(*name)), "{kept:?}");
    assert!(kept.contains(&ours(2)) && kept.contains(&ours(3)), "{kept:?}");
    // The next master of the day finds it done.
    cluster.master.stop();
    cluster.master.start();
    cluster.ok(&["fsadmin", "backup", &address]);
    assert_eq!(listed().len(), 6, "one by hand, and no other");
}
