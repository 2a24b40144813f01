//! A connection between two masters that breaks in the middle of an image.

use super::*;
use crate::core::error::Result;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Directories in the image, and random bytes of each: nothing packs them.
const DIRECTORIES: usize = 120;
const RANDOM: usize = 60_000;
const IMAGE: u64 = (DIRECTORIES * RANDOM) as u64;
/// Where the connection breaks for the first time.
const BREAK: u64 = IMAGE / 2;

/// Passes on what comes for a master, and breaks all connections once.
struct Way {
    port: u16,
    passed: Arc<AtomicU64>,
    breaks: Arc<AtomicUsize>,
}

impl Way {
    async fn to(port: u16) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way {
            port: listener.local_addr().unwrap().port(),
            passed: Arc::default(),
            breaks: Arc::default(),
        };
        let (passed, breaks) = (way.passed.clone(), way.breaks.clone());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (passed, breaks) = (passed.clone(), breaks.clone());
                tokio::spawn(async move {
                    let Ok(to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (mut from_read, mut from_write) = from.into_split();
                    let (mut to_read, mut to_write) = to.into_split();
                    let back = tokio::io::copy(&mut to_read, &mut from_write);
                    let there = async {
                        let mut bytes = vec![0; 16 << 10];
                        while let Ok(count @ 1..) = from_read.read(&mut bytes).await {
                            let before = passed.fetch_add(count as u64, Ordering::SeqCst);
                            if before > BREAK && breaks.load(Ordering::SeqCst) == 0 {
                                breaks.fetch_add(1, Ordering::SeqCst);
                                return;
                            }
                            if to_write.write_all(&bytes[..count]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! { _ = back => {} () = there => {} }
                });
            }
        });
        way
    }
}

fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// A master that others reach at `journal`, listening on `port`.
async fn master(dir: &Path, name: &str, port: u16, journal: u16) -> Result<Journal> {
    let own = Node {
        name: name.into(),
        rpc: format!("127.0.0.1:{}", free_port()),
        journal: format!("127.0.0.1:{journal}"),
    };
    // The second one waits until it is added: the first of its list is never there.
    let text = match name {
        "m0" => format!("name=m0 host=127.0.0.1 journal_port={port}"),
        _ => format!("name=m9 host=127.0.0.1 journal_port={}", free_port()),
    };
    let listen = Some(("127.0.0.1".to_string(), port));
    let masters = vec![MasterAddress::parse(&text)?];
    Journal::open_with(Options { own, listen, masters, ..options(dir) }).await
}

fn random_directory(number: usize) -> Entry {
    let Change::CreateDirectory(mut create) = make_directory(&format!("/d{number}")).change else {
        unreachable!("it makes a directory")
    };
    let value: Vec<u8> = (0..RANDOM).map(|_| rand::random()).collect();
    create.xattrs = BTreeMap::from([("noise".to_string(), value)]);
    Entry::new(2, Change::CreateDirectory(create))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_whose_transfer_breaks_goes_on_where_it_broke() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ports = [free_port(), free_port()];
    let first = master(dirs[0].path(), "m0", ports[0], ports[0]).await.unwrap();
    until("the first is primary", || first.is_primary()).await;
    first.commit(initialize()).await.unwrap();
    for number in 0..DIRECTORIES {
        first.commit(random_directory(number)).await.unwrap();
    }
    // The log is cut: who is new gets an image.
    first.checkpoint().await.unwrap();
    until("the log is cut", || {
        let metrics = first.inner.raft.metrics();
        metrics.borrow_watched().purged.is_some_and(|purged| purged.index > DIRECTORIES as u64)
    })
    .await;
    let way = Way::to(ports[1]).await;
    let second = master(dirs[1].path(), "m1", ports[1], way.port).await.unwrap();
    first.add_member(&format!("127.0.0.1:{}", way.port)).await.unwrap();
    assert_eq!(way.breaks.load(Ordering::SeqCst), 1, "the connection broke");
    until("the second has it all", || second.standing().applied >= first.standing().applied).await;
    let names = |journal: &Journal| -> BTreeSet<String> {
        let names = (0..DIRECTORIES).map(|number| format!("/d{number}"));
        names.filter(|name| exists(journal, name)).collect()
    };
    assert_eq!(names(&second).len(), DIRECTORIES);
    let passed = way.passed.load(Ordering::SeqCst);
    assert!(passed > IMAGE, "{passed} of {IMAGE} bytes were sent");
    assert!(passed < IMAGE + BREAK / 2, "{passed} bytes were sent for {IMAGE}: it began anew");
    second.close().await.unwrap();
    first.close().await.unwrap();
}
