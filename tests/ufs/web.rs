//! Web archives: nginx's own index pages, and pages as Apache makes them, over HTTP.

use super::promises::ODD;
use super::servers::{Server, free_port, nginx};
use super::{all, get, list, names};
use crate::cluster::{Cluster, eventually};
use goosefs::core::error::ErrorKind;
use goosefs::ufs::{self, Attributes, Properties, Ufs, UfsStatus};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file of `www`, modified so many seconds ago.
fn file(dir: &Path, path: &str, content: &[u8], age: u64) {
    let path = dir.join("www").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    let time = SystemTime::now() - Duration::from_secs(age);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
}

fn open(server: &Server) -> Ufs {
    ufs::open(&format!("{}/archive/", server.url()), &Properties::new()).unwrap()
}

/// How often the server was asked about a file without being read.
fn heads(dir: &Path) -> usize {
    let log = std::fs::read_to_string(dir.join("access.log")).unwrap_or_default();
    log.lines().filter(|line| line.contains("\"HEAD ")).count()
}

fn access_log(dir: &Path) -> String {
    format!("autoindex on; access_log {}/access.log;", dir.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_on_nginx_is_listed_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
    for name in ODD {
        file(dir.path(), &format!("archive/odd +%41 ü/{name}"), name.as_bytes(), 1000);
    }
    file(dir.path(), "archive/big", &content, 100_000);
    file(dir.path(), "archive/empty", b"", 100_000);
    file(dir.path(), "archive/fresh", b"fresh", 1);
    let Some(server) = nginx(dir.path(), &access_log(dir.path())) else { return };
    let ufs = open(&server);
    assert!(ufs.status("").await.unwrap().folder && ufs.status("odd +%41 ü").await.unwrap().folder);

    let top = list(&ufs, "").await.unwrap();
    let found: Vec<_> = top.iter().map(|e| (e.name.as_str(), e.folder, e.exact)).collect();
    let expected = [
        ("big", false, true),
        ("empty", false, true),
        ("fresh", false, false),
        ("odd +%41 ü", true, true),
    ];
    assert_eq!(found, expected);
    let mut odd = ODD.map(String::from);
    odd.sort();
    assert_eq!(names(&ufs, "odd +%41 ü").await.unwrap(), odd);
    for name in ODD {
        assert_eq!(all(&ufs, &format!("odd +%41 ü/{name}")).await.unwrap(), name.as_bytes());
    }
    for listed in &top[..2] {
        let asked = ufs.status(&listed.name).await.unwrap();
        assert_eq!((&listed.version, listed.length), (&asked.version, asked.length));
    }
    let version = Some(top[0].version.as_str());
    for range in
        [0..u64::MAX, 0..10, 1_000_000..2_000_001, 2_999_999..9_000_000, 3_000_000..3_000_001]
    {
        let read = get(&ufs, "big", version, range.clone()).await.unwrap();
        let end = range.end.min(3_000_000) as usize;
        assert!(read == content[(range.start as usize).min(end)..end], "{range:?}");
    }
    assert_eq!(all(&ufs, "empty").await.unwrap(), b"");
    for missing in ["nothing", "odd +%41 ü/nothing"] {
        assert_eq!(ufs.status(missing).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(names(&ufs, missing).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(all(&ufs, missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_tree_is_listed_without_asking_about_each_file() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..2000 {
        file(dir.path(), &format!("archive/{}/{n}", n % 10), b"x", 5000);
    }
    let Some(server) = nginx(dir.path(), &access_log(dir.path())) else { return };
    let ufs = open(&server);
    let mut files = 0;
    for sub in list(&ufs, "").await.unwrap() {
        let entries = list(&ufs, &sub.name).await.unwrap();
        assert!(entries.iter().all(|entry| entry.exact));
        files += entries.len();
    }
    assert_eq!((files, heads(dir.path())), (2000, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_not_read_from_the_web() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "archive/settled", b"old", 5000);
    file(dir.path(), "archive/fresh", b"old", 2);
    let Some(server) = nginx(dir.path(), &access_log(dir.path())) else { return };
    let ufs = open(&server);
    for name in ["settled", "fresh"] {
        let old: UfsStatus = ufs.status(name).await.unwrap();
        assert_eq!(get(&ufs, name, Some(&old.version), 0..9).await.unwrap(), b"old");
        file(dir.path(), &format!("archive/{name}"), b"new", 0);
        let error = get(&ufs, name, Some(&old.version), 0..9).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        let new = ufs.status(name).await.unwrap();
        assert_eq!(get(&ufs, name, Some(&new.version), 1..9).await.unwrap(), b"ew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_is_read_by_skipping() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "archive/file", b"0123456789", 5000);
    let Some(server) = nginx(dir.path(), "autoindex on; max_ranges 0;") else { return };
    let ufs = open(&server);
    let version = ufs.status("file").await.unwrap().version;
    assert_eq!(get(&ufs, "file", Some(&version), 3..7).await.unwrap(), b"3456");
    assert_eq!(get(&ufs, "file", None, 7..70).await.unwrap(), b"789");
    assert_eq!(get(&ufs, "file", None, 10..70).await.unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_pages_and_apache_pages_are_read_over_http() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "archive/file", b"0123456789", 5000);
    file(dir.path(), "archive/sub/x", b"x", 5000);
    let json = "autoindex on; autoindex_format json;";
    let Some(server) = nginx(dir.path(), json) else { return };
    let found = list(&open(&server), "").await.unwrap();
    let found: Vec<_> =
        found.iter().map(|e| (e.name.as_str(), e.folder, e.length, e.exact)).collect();
    assert_eq!(found, [("file", false, 10, true), ("sub", true, 0, true)]);

    // Rounded sizes, and a clock that is an hour off: each file has to be asked about.
    let page = r#"<table><tr><td><a href="/">Parent Directory</a></td></tr>
        <tr><td><a href="file">file</a></td><td>2001-02-03 04:05</td><td align="right">10 </td></tr>
        <tr><td><a href="sub/">sub/</a></td><td>2001-02-03 04:05</td><td align="right">  - </td></tr>
        <tr><td><a href="round">round</a></td><td>2001-02-03 04:05</td><td align="right">1.2K</td></tr>
        </table>"#;
    file(dir.path(), "archive/index.html", page.as_bytes(), 5000);
    let Some(server) = nginx(dir.path(), "index index.html;") else { return };
    let ufs = open(&server);
    let found = list(&ufs, "").await.unwrap();
    let found: Vec<_> =
        found.iter().map(|e| (e.name.as_str(), e.folder, e.length, e.exact)).collect();
    let expected =
        [("file", false, 10, false), ("round", false, 1228, false), ("sub", true, 0, true)];
    assert_eq!(found, expected);
    assert_eq!(ufs.status("file").await.unwrap().length, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_web_archive_refuses_is_named_with_its_cure() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path(), "archive/file", b"x", 5000);
    let Some(server) = nginx(dir.path(), "") else { return };
    let ufs = open(&server);
    let error = names(&ufs, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("turn on the index"), "{error}");
    for error in [
        ufs.create("new", &Attributes::default()).await.err().unwrap(),
        ufs.delete("file").await.unwrap_err(),
        ufs.rename("file", "new", false).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    }
    let down = format!("http://127.0.0.1:{}/x", free_port());
    let error = ufs::open(&down, &Properties::new()).unwrap().status("").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&down), "{error}");
    let error = ufs::open("http://user:hush@host/", &Properties::new()).err().unwrap();
    assert!(error.to_string().contains("http.password") && !error.to_string().contains("hush"));
}

#[test]
fn an_archive_that_is_overwhelmed_and_slow_is_loaded_whole_all_the_same() {
    const FILES: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let content = |n: usize| (0..100_000 + n).map(|at| (at * 3 + n) as u8).collect::<Vec<u8>>();
    (0..FILES).for_each(|n| file(dir.path(), &format!("archive/{n}"), &content(n), 100_000));
    // One request in eight is turned away, at random; the others are answered at a crawl.
    let moods = "if ($request_id ~ ^0) { return 503; } if ($request_id ~ ^1) { return 429; }";
    let config = format!("{} limit_rate 200k; {moods}", access_log(dir.path()));
    let Some(server) = nginx(dir.path(), &config) else { return };
    let cluster = Cluster::start();
    let mounted = || {
        let archive = format!("{}/archive/", server.url());
        cluster.run(&["fs", "mount", "/archive", &archive]).status.success().then_some(())
    };
    eventually("it is mounted", mounted);
    cluster.ok(&["load", "/archive"]);
    let copy = cluster.dir().join("copy");
    cluster.ok(&["fs", "copyToLocal", "-R", "/archive", copy.to_str().unwrap()]);
    for n in 0..FILES {
        let inner = copy.join("archive").join(n.to_string());
        let read = std::fs::read(&inner).or_else(|_| std::fs::read(copy.join(n.to_string())));
        assert!(read.unwrap() == content(n), "file {n}");
    }
    let log = std::fs::read_to_string(dir.path().join("access.log")).unwrap();
    let said = |status: &str| log.lines().filter(|line| line.contains(status)).count();
    assert!(said("\" 503 ") > 0 && said("\" 429 ") > 0, "nobody was turned away:\n{log}");
}
