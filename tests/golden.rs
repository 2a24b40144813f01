//! A journal and a backup that an earlier build wrote: this build starts on both and shows the tree
//! that is in them. `tests/golden/` has one folder for each format there was.

use crate::cluster::{Cluster, Setup, scratch_dir};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of `tests/golden`, the newest format last.
const FORMATS: [&str; 1] = ["1"];
/// The under store in them. Nothing need be there: the tree knows all it is asked for.
const UFS: &str = "/var/lib/goosefs-golden";
/// What is asked about the tree.
const QUESTIONS: [&[&str]; 3] = [
    &[KNOWN, "fs", "-o", "json", "ls", "-R", "/"],
    &[KNOWN, "fs", "-o", "json", "stat", "/dir/file"],
    &["ns", "-o", "json", "ls"],
];
/// After a restore a master asks the under store again, where nothing is.
const KNOWN: &str = "-Duser.file.metadata.load.type=NEVER";
const WHAT_TO_DO: &str = "\
This build does not read what an earlier one wrote: an upgrade would lose the tree, or stop. If that
was not meant, undo it. If the format is to change, have the code read the old one too, in
src/master/journal/entry.rs or src/master/state (image.rs has the number of the format of images).
Leave the folders of tests/golden as they are, put the next number at the end of FORMATS, write what
it names with
    cargo test --test all golden::write -- --ignored
and say so in CHANGELOG.md.";

fn folder(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format)
}

fn setup() -> Setup {
    let setup =
        Cluster::setup().workers(0).set("master.mount.table.root.ufs", &format!("{UFS}/root"));
    // No path of the machine that it is written on is to be in it.
    let setup = setup.set("worker.data.server.domain.socket.address", "");
    setup.set("master.worker.grace", "100ms").set("master.journal.checkpoint.period.entries", "10")
}

fn tar(args: &[&str], dir: &Path) {
    let done = Command::new("tar").args(args).current_dir(dir).status().unwrap();
    assert!(done.success(), "tar {args:?}");
}

fn answers(cluster: &Cluster) -> Vec<Value> {
    let ask = |args: &&[&str]| serde_json::from_str(&cluster.ok(args)).unwrap();
    QUESTIONS.iter().map(ask).collect()
}

/// Whether all that was said is said still; there may be more by now.
fn says(now: &Value, then: &Value) -> bool {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(key, then)| now.get(key).is_some_and(|now| says(now, then)))
        }
        (Value::Array(now), Value::Array(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| says(now, then))
        }
        _ => now == then,
    }
}

fn check(format: &str, what: &str, cluster: &Cluster) {
    let text = fs::read_to_string(folder(format).join("tree.json")).unwrap();
    let then: Vec<Value> = serde_json::from_str(&text).unwrap();
    for (now, then) in answers(cluster).iter().zip(&then) {
        assert!(says(now, then), "the {what} of format {format}: {then}\nbecame {now}");
    }
}

/// Starts a master on what `prepare` puts in its directory.
fn started(prepare: impl FnOnce(&Cluster)) -> Cluster {
    // Shown only where something fails.
    println!("{WHAT_TO_DO}");
    let mut cluster = setup().start();
    cluster.master.kill();
    let data = cluster.master.dir().join("data");
    fs::remove_dir_all(&data).ok();
    fs::create_dir(&data).unwrap();
    prepare(&cluster);
    cluster.master.start();
    cluster
}

#[test]
fn a_journal_of_an_earlier_build_is_read() {
    for format in FORMATS {
        let cluster = started(|cluster| {
            let journal = folder(format).join("journal.tar.gz").display().to_string();
            tar(&["-xzf", &journal], &cluster.master.dir().join("data"));
        });
        check(format, "journal", &cluster);
        // And it goes on from there.
        cluster.ok(&["fs", "pin", "/dir/only"]);
    }
}

#[test]
fn a_backup_of_an_earlier_build_is_read() {
    for format in FORMATS {
        let cluster = started(|cluster| {
            let data = format!("-Ddata.dir={}", cluster.master.dir().join("data").display());
            let image = folder(format).join("backup.image").display().to_string();
            cluster.ok(&[&data, "format", "--yes", "--from-backup", &image]);
        });
        check(format, "backup", &cluster);
    }
}

#[test]
#[ignore = "writes what the tests above read"]
fn write() {
    let folder = folder(FORMATS[FORMATS.len() - 1]);
    assert!(!folder.exists(), "{} stays as it is", folder.display());
    fs::remove_dir_all(UFS).ok();
    let store = |name: &str| Path::new(UFS).join(name);
    fs::create_dir_all(store("root/dir/sub")).unwrap();
    fs::create_dir_all(store("sales")).unwrap();
    fs::write(store("root/dir/file"), "three").unwrap();
    let mut cluster = setup().start();
    cluster.add_worker(&[]);
    cluster.wait_for_workers();
    let sales = format!("file://{}", store("sales").display());
    let local = format!("file://{}", store("root/dir/file").display());
    for args in [
        &["fs", "ls", "-R", "/"][..],
        &["load", "/dir/file"],
        &["fs", "mkdir", "/dir/new/deep"],
        &["fs", "touch", "/dir/empty"],
        &["fs", "mv", "/dir/empty", "/dir/moved"],
        &["-D", "user.file.writetype.default=MUST_CACHE", "fs", "cp", &local, "/dir/only"],
        &["fs", "chmod", "640", "/dir/file"],
        &["fs", "chown", "someone:some", "/dir/moved"],
        &["fs", "pin", "/dir/file", "SSD"],
        &["fs", "setReplication", "--min", "1", "--max", "3", "/dir/file"],
        &["fs", "setTtl", "--action", "delete", "/dir/new", "36500day"],
        &["ns", "create", "sales", &sales, "--wPolicy", "THROUGH"],
        &["ns", "setLimits", "sales", "--cacheQuota", "2TB", "--maxRequests", "5000"],
        &["fs", "touch", "/sales/gone"],
        &["fs", "rm", "/sales/gone"],
    ] {
        cluster.ok(args);
    }
    let made = scratch_dir();
    cluster.ok(&["fsadmin", "backup", &made.display().to_string(), "--local"]);
    cluster.workers[0].kill();
    // As a crash leaves it: the last entries are in the log only.
    cluster.master.kill();
    cluster.master.start();
    let answers = answers(&cluster);
    cluster.master.kill();
    fs::create_dir_all(&folder).unwrap();
    let journal = folder.join("journal.tar.gz").display().to_string();
    let sparse = ["--sparse", "--hole-detection=raw", "-czf", &journal, "master"];
    tar(&sparse, &cluster.master.dir().join("data"));
    let image = fs::read_dir(&made).unwrap().next().unwrap().unwrap().path();
    fs::rename(image, folder.join("backup.image")).unwrap();
    fs::write(folder.join("tree.json"), serde_json::to_string_pretty(&answers).unwrap()).unwrap();
    fs::remove_dir_all(made).unwrap();
    fs::remove_dir_all(UFS).unwrap();
}
