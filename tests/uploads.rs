//! Files on their way to a store: an object is whole, or it is not there, and it is the newest.

use crate::cluster::{Cluster, eventually, run_for};
use crate::ufs::s3::request;
use crate::ufs::servers::{Server, moto, nginx};
use std::fs;
use std::time::Duration;

/// Three parts.
const LENGTH: usize = 24 << 20;
/// How long a file may take that is turned away and tried again.
const PATIENCE: Duration = Duration::from_secs(180);

fn content(seed: usize) -> Vec<u8> {
    (0..LENGTH / 8).flat_map(|i| ((i * 7 + seed) as u64).to_le_bytes()).collect()
}

/// What lies there; nothing where it is refused.
fn get(url: &str) -> Vec<u8> {
    rustls::crypto::ring::default_provider().install_default().ok();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(url).send().await.unwrap();
        match answer.status().is_success() {
            true => answer.bytes().await.unwrap().to_vec(),
            false => Vec::new(),
        }
    })
}

fn text(url: &str) -> String {
    String::from_utf8(get(url)).unwrap()
}

/// A store with a bucket.
fn store() -> Option<Server> {
    let server = moto(false)?;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(request(reqwest::Method::PUT, format!("{}/bucket", server.url())));
    Some(server)
}

fn mount(cluster: &Cluster, endpoint: &str) {
    let endpoint = format!("s3.endpoint={endpoint}");
    let keys = ["--option", "s3.access.key=AK", "--option", "s3.secret.key=SK"];
    let mount = ["fs", "mount", "/s3", "s3://bucket", "--option", &endpoint];
    let args = [&mount[..], &keys[..]].concat();
    eventually("it is mounted", || cluster.run(&args).status.success().then_some(()));
}

/// Writes a file that is not yet in the store when it is closed.
fn write(cluster: &Cluster, seed: usize) {
    let local = cluster.dir().join(format!("local-{seed}"));
    fs::write(&local, content(seed)).unwrap();
    let (how, to) = ("-Duser.file.writetype.default=ASYNC_THROUGH", format!("/s3/{seed}"));
    cluster.ok(&[how, "fs", "copyFromLocal", local.to_str().unwrap(), &to]);
}

fn persist(cluster: &Cluster, seed: usize) {
    let path = format!("/s3/{seed}");
    let done = run_for(PATIENCE, &mut cluster.command(&["fs", "persist", &path]));
    assert!(done.status.success(), "{}", crate::cluster::texts(&done).1);
}

#[test]
fn a_store_that_turns_requests_away_has_whole_objects_in_the_end() {
    const FILES: usize = 4;
    let Some(server) = store() else { return };
    let dir = tempfile::tempdir().unwrap();
    // Half of all requests, at random: also those that begin, go on with and complete an upload.
    let log = dir.path().join("access.log");
    let locations = format!(
        "access_log {}; client_max_body_size 0; location / {{
           if ($request_id ~ ^[0-3]) {{ return 503; }} if ($request_id ~ ^[4-7]) {{ return 429; }}
           proxy_pass {}; proxy_set_header Host $http_host; }}",
        log.display(),
        server.url()
    );
    let Some(moody) = nginx(dir.path(), &locations) else { return };
    let cluster = Cluster::start();
    mount(&cluster, &moody.url());
    (0..FILES).for_each(|seed| write(&cluster, seed));
    for seed in 0..FILES {
        persist(&cluster, seed);
        let object = get(&format!("{}/bucket/{seed}", server.url()));
        assert!(object == content(seed), "object {seed} is another");
    }
    let log = fs::read_to_string(log).unwrap();
    let refused = log.lines().filter(|line| line.contains("\" 503 ") || line.contains("\" 429 "));
    assert!(refused.filter(|line| line.contains("uploadId")).count() > 0, "{log}");
}

#[test]
fn a_worker_killed_amid_an_upload_leaves_no_half_object() {
    let Some(server) = store() else { return };
    let mut cluster = Cluster::setup().workers(0).start();
    // The upload takes several seconds.
    cluster.add_worker(&[("worker.ufs.bandwidth", "6MB")]);
    cluster.wait_for_workers();
    mount(&cluster, &server.url());
    let uploads = format!("{}/bucket?uploads", server.url());
    for seed in 0..3 {
        write(&cluster, seed);
        let object = format!("{}/bucket/{seed}", server.url());
        eventually("it is being uploaded", || {
            text(&uploads).contains(&format!("<Key>{seed}</Key>")).then_some(())
        });
        cluster.workers[0].kill();
        let left = get(&object);
        assert!(left.is_empty() || left == content(seed), "half an object, {}", left.len());
        cluster.workers[0].start();
        persist(&cluster, seed);
        assert!(get(&object) == content(seed), "object {seed} is another");
        cluster.ok(&["fs", "free", &format!("/s3/{seed}")]);
        let read = cluster.run(&["fs", "cat", &format!("/s3/{seed}")]);
        assert!(read.stdout == content(seed), "/s3/{seed} has other bytes");
    }
}

/// A directory as the store, to which a file of this size takes a worker six seconds.
fn slow(cluster: &mut Cluster) {
    cluster.add_worker(&[("worker.ufs.bandwidth", "4MB")]);
    cluster.wait_for_workers();
}

/// Bytes of what is being uploaded; none when nothing is.
fn uploaded(cluster: &Cluster) -> Option<u64> {
    let mut found = fs::read_dir(cluster.root_ufs()).unwrap().map(|entry| entry.unwrap());
    let begun = found.find(|entry| entry.file_name().to_string_lossy().starts_with(".goosefs-tmp"));
    begun.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len()))
}

fn is_uploading(cluster: &Cluster) -> bool {
    uploaded(cluster).is_some()
}

/// Puts a file at `/f`, in the place of what is there.
fn put(cluster: &Cluster, how: &str, content: &[u8]) {
    let local = cluster.dir().join("local");
    fs::write(&local, content).unwrap();
    cluster.run(&["fs", "rm", "/f"]);
    let how = format!("-Duser.file.writetype.default={how}");
    cluster.ok(&[&how, "fs", "copyFromLocal", local.to_str().unwrap(), "/f"]);
}

/// Nothing is on its way any more, and the store has what was written last.
fn assert_newest(cluster: &Cluster, content: &[u8]) {
    eventually("nothing is uploaded", || (!is_uploading(cluster)).then_some(()));
    assert!(fs::read(cluster.root_ufs().join("f")).unwrap() == content, "the store has another");
    cluster.ok(&["fs", "free", "/f"]);
    assert!(cluster.run(&["fs", "cat", "/f"]).stdout == content, "/f has other bytes");
}

#[test]
fn what_is_replaced_while_it_is_uploaded_does_not_come_after_what_replaced_it() {
    let mut cluster = Cluster::setup().workers(0).start();
    slow(&mut cluster);
    for how in ["ASYNC_THROUGH", "CACHE_THROUGH"] {
        put(&cluster, "ASYNC_THROUGH", &content(1));
        eventually("it is being uploaded", || is_uploading(&cluster).then_some(()));
        put(&cluster, how, b"the newest");
        let done = run_for(PATIENCE, &mut cluster.command(&["fs", "persist", "/f"]));
        assert!(done.status.success(), "{}", crate::cluster::texts(&done).1);
        assert_newest(&cluster, b"the newest");
    }
    // What is deleted does not come at all.
    put(&cluster, "ASYNC_THROUGH", &content(1));
    eventually("it is being uploaded", || is_uploading(&cluster).then_some(()));
    cluster.ok(&["fs", "rm", "/f"]);
    eventually("nothing is uploaded", || (!is_uploading(&cluster)).then_some(()));
    assert!(!cluster.root_ufs().join("f").exists());
    assert!(cluster.master.log_text().lines().all(|line| !line.contains("not persisted")));
}

#[test]
fn a_worker_that_was_taken_for_lost_does_not_finish_what_it_had_begun() {
    let mut cluster = Cluster::setup().workers(0).set("master.worker.timeout", "3s").start();
    slow(&mut cluster);
    put(&cluster, "ASYNC_THROUGH", &content(1));
    // All but the end.
    eventually("it is uploaded", || (uploaded(&cluster)? > LENGTH as u64 * 9 / 10).then_some(()));
    cluster.workers[0].signal("-STOP");
    cluster.add_worker(&[]);
    eventually("it is lost", || {
        let workers = cluster.ok(&["fsadmin", "report", "-o", "json"]);
        let report: serde_json::Value = serde_json::from_str(&workers).unwrap();
        (report["lostWorkers"] == 1 && report["liveWorkers"] == 1).then_some(())
    });
    put(&cluster, "ASYNC_THROUGH", b"the newest");
    let done = run_for(PATIENCE, &mut cluster.command(&["fs", "persist", "/f"]));
    assert!(done.status.success(), "{}", crate::cluster::texts(&done).1);
    cluster.workers[0].signal("-CONT");
    assert_newest(&cluster, b"the newest");
}
