//! Several masters: how they find each other, and what workers notice. What they survive is in `faults`.

use crate::cluster::{Masters, eventually};
use goosefs::client::{CreateOptions, FileSystem};
use goosefs::core::model::{FsPath, WriteType};

fn path(text: &str) -> FsPath {
    FsPath::parse(text).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn make(runtime: &tokio::runtime::Runtime, files: &FileSystem, name: &str) {
    runtime.block_on(files.create_dir(&path(name), &Default::default())).unwrap();
}

#[test]
fn three_masters_agree_and_any_of_them_says_who_is_primary() {
    let masters = Masters::start(3, &[]);
    masters.wait_for_voters();
    let runtime = runtime();
    make(&runtime, &masters.connect(), "/d");
    let address = |number: usize| format!("127.0.0.1:{}", masters.nodes[number].port);
    let primary = address(masters.wait_for_primary());
    let text = masters.ok(&["masterinfo"]);
    let all: Vec<String> = (0..3).map(address).collect();
    let expected = format!("current leader master: {primary}\nAll masters: [{}]\n", all.join(", "));
    assert_eq!(text, expected);
    for number in 0..3 {
        let only = format!("-Dmaster.rpc.addresses={}", address(number));
        assert_eq!(masters.ok(&[&only, "masterinfo"]), expected, "m{number}");
    }
}

#[test]
fn a_worker_and_its_blocks_stay_when_the_primary_goes() {
    let mut masters = Masters::start(3, &[]);
    masters.add_worker();
    let runtime = runtime();
    let files = masters.connect();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    // Nowhere else than in the worker.
    let options = CreateOptions { write_type: Some(WriteType::MustCache), ..Default::default() };
    runtime.block_on(async {
        let mut writer = files.create(&path("/f"), &options).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.close().await.unwrap();
    });
    for _ in 0..2 {
        let primary = masters.wait_for_primary();
        masters.nodes[primary].kill();
        masters.wait_for_primary();
        let files = masters.connect();
        let read = async {
            let reader = files.open(&path("/f"), &Default::default()).await?;
            reader.read_at(0, bytes.len() as u64).await
        };
        assert!(runtime.block_on(read).unwrap() == bytes, "the same bytes");
        masters.nodes[primary].spawn();
        masters.wait_for_voters();
    }
}

#[test]
fn what_waits_to_be_persisted_is_persisted_when_the_primary_is_gone() {
    let settings =
        [("master.persistence.initial.interval", "3s"), ("user.file.replication.durable", "1")];
    let mut masters = Masters::start(3, &settings);
    masters.wait_for_voters();
    masters.add_worker();
    let runtime = runtime();
    let files = masters.connect();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|i| (i % 247) as u8).collect();
    let options = CreateOptions { write_type: Some(WriteType::AsyncThrough), ..Default::default() };
    runtime.block_on(async {
        let mut writer = files.create(&path("/f"), &options).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.close().await.unwrap();
    });
    let persisted = masters.root_ufs().join("f");
    let primary = masters.wait_for_primary();
    masters.nodes[primary].kill();
    assert!(!persisted.exists(), "it was persisted too soon for this test");
    eventually("the next primary has it persisted", || {
        persisted.exists().then(|| assert!(std::fs::read(&persisted).unwrap() == bytes))
    });
}
