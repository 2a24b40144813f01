//! Processes that may have little memory: whoever needs some waits, and they live.

mod mount;

use crate::cluster::{Cluster, Node, eventually};
use crate::ufs::s3::request;
use crate::ufs::servers::moto;
use bytes::Bytes;
use goosefs::client::{CreateOptions, FileSystem};
use goosefs::core::model::WriteType;
use goosefs::core::proto::grpc::file::file_system_master_client_service_client::FileSystemMasterClientServiceClient;
use goosefs::core::proto::grpc::file::{ListStatusPRequest, ListStatusPResponse};
use goosefs::core::rpc::server::Windows;
use goosefs::core::rpc::{Channel, Credentials, Primary, connect};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Streaming;

/// How long jobs of a worker that has to wait for itself may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A control group with a bound on memory; removed when dropped.
struct Group(PathBuf);

impl Group {
    /// None, said loudly, where this machine lets nobody make one.
    fn new(name: &str, bytes: u64) -> Option<Group> {
        let first = Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists();
        let (root, limit) = match first {
            true => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            false => ("/sys/fs/cgroup", "memory.max"),
        };
        let path = Path::new(root).join(format!("goosefs-test-{name}-{}", std::process::id()));
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join(limit), bytes.to_string()))
            .map(|()| Group(path.clone()));
        if let Err(error) = &made {
            eprintln!("SKIPPED: no control group with a bound on memory: {error}");
            fs::remove_dir(&path).ok();
        }
        made.ok()
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

/// That the process lives, bounded, and has taken no more than `kilobytes` at any time.
fn assert_lives_within(node: &Node, kilobytes: u64) {
    assert!(node.log_text().contains("memory is bounded"));
    // The same process: nobody killed it meanwhile.
    node.signal("-0");
    let taken = peak_kb(node.pid());
    assert!(taken < kilobytes, "it took {taken} kB of memory at its peak");
}

/// The most memory that a process has had so far.
fn peak_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
    peak.trim_end_matches(" kB").parse().unwrap()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i ^ (i >> 13)) as u8).collect()
}

#[test]
fn many_readers_and_writers_of_a_small_worker_wait_and_it_lives() {
    const FILE: usize = 16 << 20;
    /// The budget, and what a worker that does nothing takes: its code for the most part.
    const MOST_KB: u64 = 208 << 10;
    // Room for the dirty pages of a disk that others keep busy, too: the kernel counts those, and an
    // old one kills rather than wait for them.
    let Some(group) = Group::new("streams", 240 << 20) else { return };
    let mut cluster =
        Cluster::setup().workers(0).set("user.short.circuit.enabled", "false").start();
    cluster.add_worker(&[("worker.memory.budget", "80MB")]);
    cluster.wait_for_workers();
    group.take(cluster.workers[0].pid());
    let data = bytes(FILE);
    (0..3).for_each(|i| fs::write(cluster.root_ufs().join(format!("{i}")), &data).unwrap());
    let local = cluster.dir().join("local");
    fs::write(&local, &data[..8 << 20]).unwrap();
    let mut work = Vec::new();
    for i in 0..24 {
        let (read, write) = (format!("/{}", i % 3), format!("/written-{i}"));
        let local = local.to_str().unwrap();
        let args = match i % 4 {
            0 => vec!["fs", "copyFromLocal", local, &write],
            _ => vec!["fs", "cat", &read],
        };
        let mut command = cluster.command(&args);
        work.push((i, std::thread::spawn(move || command.output().unwrap())));
    }
    for (i, done) in work {
        let output = done.join().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{i}: {error}{}", cluster.workers[0].log_text());
        assert!(i % 4 == 0 || output.stdout == data, "{i}: other bytes came");
    }
    assert_lives_within(&cluster.workers[0], MOST_KB);
    cluster.workers[0].kill();
}

#[test]
fn a_small_worker_takes_blocks_in_persists_and_copies_to_a_store_in_parts() {
    const FILE: usize = 24 << 20;
    const FILES: usize = 6;
    // Six uploads of three parts each would be 144 MiB at once.
    const MOST_KB: u64 = 188 << 10;
    let Some(server) = moto(false) else { return };
    let Some(group) = Group::new("moves", 224 << 20) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = server.url();
    runtime.block_on(request(reqwest::Method::PUT, format!("{url}/bucket")));
    let mut cluster =
        Cluster::setup().workers(0).set("user.short.circuit.enabled", "false").start();
    cluster.add_worker(&[("worker.memory.budget", "60MB")]);
    cluster.add_worker(&[]);
    cluster.wait_for_workers();
    group.take(cluster.workers[0].pid());
    let endpoint = format!("s3.endpoint={url}");
    let keys = ["--option", "s3.access.key=AK", "--option", "s3.secret.key=SK"];
    let mount = ["fs", "mount", "/s3", "s3://bucket/x", "--option", &endpoint];
    cluster.ok(&[&mount[..], &keys[..]].concat());
    let data = bytes(FILE);
    fs::create_dir(cluster.root_ufs().join("data")).unwrap();
    for i in 0..FILES {
        fs::write(cluster.root_ufs().join(format!("data/{i}")), &data).unwrap();
    }
    cluster.ok(&["load", "/data"]);

    // What the other holds moves here.
    let leaves = format!("127.0.0.1:{}", cluster.workers[1].port);
    let said = cluster.ok(&["fsadmin", "decommission", &leaves]);
    assert!(said.contains("has drained"), "{said}");
    cluster.workers[1].kill();

    let local = cluster.root_ufs().join("data/0").display().to_string();
    for i in 0..FILES {
        let (write, to) = ("-Duser.file.writetype.default=ASYNC_THROUGH", format!("/s3/new/{i}"));
        cluster.ok(&[write, "fs", "copyFromLocal", &local, &to]);
    }
    let mut copy = cluster.command(&["fs", "distributedCp", "--verify", "/data", "/s3/copy"]);
    let copying = std::thread::spawn(move || crate::cluster::run_for(PATIENCE, &mut copy));
    let persisted =
        crate::cluster::run_for(PATIENCE, &mut cluster.command(&["fs", "persist", "/s3/new"]));
    for done in [copying.join().unwrap(), persisted] {
        let (out, error) = crate::cluster::texts(&done);
        assert!(done.status.success(), "{out}{error}{}", cluster.workers[0].log_text());
    }
    let there = runtime.block_on(request(reqwest::Method::GET, format!("{url}/bucket")));
    for i in 0..FILES {
        assert!(there.contains(&format!("x/copy/{i}")) && there.contains(&format!("x/new/{i}")));
    }
    assert_lives_within(&cluster.workers[0], MOST_KB);
    cluster.workers[0].kill();
}

#[test]
fn a_client_that_writes_to_a_store_and_pauses_does_not_stop_jobs() {
    let mut cluster = Cluster::setup().workers(0).start();
    // Room for one upload of a client.
    cluster.add_worker(&[("worker.memory.budget", "58MB")]);
    cluster.wait_for_workers();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let files = FileSystem::connect(&cluster.config());
    let options = CreateOptions { write_type: Some(WriteType::CacheThrough), ..Default::default() };
    let data = bytes(5 << 20);
    let mut idle = runtime.block_on(files.create(&"/idle".parse().unwrap(), &options)).unwrap();
    runtime.block_on(idle.write(Bytes::from(data.clone()))).unwrap();
    runtime.block_on(idle.flush()).unwrap();

    let local = cluster.dir().join("local");
    fs::write(&local, &data).unwrap();
    let write = "-Duser.file.writetype.default=ASYNC_THROUGH";
    cluster.ok(&[write, "fs", "copyFromLocal", local.to_str().unwrap(), "/later"]);
    let there = cluster.root_ufs().join("later");
    eventually("the file is persisted", || (fs::read(&there).ok()? == data).then_some(()));
    fs::create_dir(cluster.root_ufs().join("data")).unwrap();
    (0..4).for_each(|i| fs::write(cluster.root_ufs().join(format!("data/{i}")), &data).unwrap());
    cluster.ok(&["load", "/data"]);

    // It has lost nothing meanwhile.
    runtime.block_on(idle.write(Bytes::from(data.clone()))).unwrap();
    runtime.block_on(idle.close()).unwrap();
    let whole = [&data[..], &data[..]].concat();
    assert!(fs::read(cluster.root_ufs().join("idle")).unwrap() == whole);
    assert!(runtime.block_on(files.status(&"/idle".parse().unwrap())).unwrap().completed);
}

/// What a small master's directory has to list: about 1.5 MB of answer.
const ENTRIES: usize = 4_000;

/// A master with 32 MB for requests and little else, and a directory `/data` that takes long to list.
fn small_master() -> Cluster {
    let cluster = Cluster::setup()
        .workers(0)
        .set("master.metastore.cache.size", "8MB")
        .set("master.memory.budget", "168MB")
        .start();
    let dir = cluster.root_ufs().join("data");
    fs::create_dir(&dir).unwrap();
    for i in 0..ENTRIES {
        fs::write(dir.join(format!("a-name-that-takes-room-{i}")), "").unwrap();
    }
    assert_eq!(cluster.ok(&["fs", "ls", "/data"]).lines().count(), ENTRIES);
    cluster
}

/// The official call, of which nothing has been read.
async fn list(
    channel: Channel,
) -> Result<tonic::Response<Streaming<ListStatusPResponse>>, tonic::Status> {
    let request = ListStatusPRequest { path: Some("/data".into()), ..Default::default() };
    FileSystemMasterClientServiceClient::new(channel).list_status(request).await
}

/// How many it lists; as a client does that comes again after a moment when it is told to or has lost
/// its connection, and says why in `errors`.
async fn count(primary: Primary, errors: Arc<Mutex<BTreeMap<String, usize>>>) -> usize {
    let whole = async || {
        let (mut pages, mut found) = (primary.call(list).await?, 0);
        while let Some(page) = pages.message().await? {
            found += page.file_infos.len();
        }
        Ok::<_, goosefs::core::error::Error>(found)
    };
    loop {
        match whole().await {
            Ok(found) => return found,
            Err(error) => *errors.lock().unwrap().entry(error.to_string()).or_default() += 1,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_small_master_that_many_ask_at_once_lets_them_wait_and_lives() {
    const CALLERS: usize = 240;
    /// What requests may have, 32 MiB, and what they leave with the allocator and in half-built pages.
    /// Without a bound it is more than 100.
    const MOST_KB: u64 = 56 << 10;
    let Some(group) = Group::new("asked", 240 << 20) else { return };
    let cluster = small_master();
    group.take(cluster.master.pid());
    let idle = peak_kb(cluster.master.pid());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (mut asking, errors) = (tokio::task::JoinSet::new(), Arc::default());
        for _ in 0..8 {
            let primary = Primary::new(&cluster.config());
            for _ in 0..CALLERS / 8 {
                asking.spawn(count(primary.clone(), Arc::clone(&errors)));
            }
        }
        // However long all of them take: a machine may be busy, but not the master stuck.
        while !asking.is_empty() {
            let next = tokio::time::timeout(crate::cluster::PATIENCE, asking.join_next()).await;
            let Ok(Some(found)) = next else {
                let (left, log) = (asking.len(), cluster.master.log_text());
                panic!("{left} get no answer: {:?}\n{log}", errors.lock().unwrap());
            };
            assert_eq!(found.unwrap(), ENTRIES);
        }
    });
    eprintln!("idle {idle} kB, at its peak {} kB", peak_kb(cluster.master.pid()));
    assert_lives_within(&cluster.master, idle + MOST_KB);
}

#[test]
fn who_reads_nothing_of_a_small_masters_answer_makes_room_for_others() {
    let cluster = small_master();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let unread = runtime.block_on(async {
        let windows = Windows { stream: 1, connection: 64 << 10 };
        let credentials = Credentials { windows, ..Credentials::of(&cluster.config()) };
        let channel = connect(&cluster.master_address(), &credentials).await.unwrap();
        let mut unread = Vec::new();
        // As many as there is room for: the next one has to wait.
        for _ in 0..8 {
            unread.push(list(channel.clone()).await.unwrap().into_inner());
        }
        unread
    });
    assert_eq!(cluster.ok(&["fs", "ls", "/data"]).lines().count(), ENTRIES);
    assert!(cluster.master.log_text().contains("a client does not read what it asked for"));
    for mut pages in unread {
        runtime.block_on(async {
            let first = pages.message().await;
            assert!(first.is_err(), "its connection has ended");
        });
    }
}
