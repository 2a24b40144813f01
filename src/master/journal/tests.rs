use super::*;
use crate::core::error::ErrorKind;
use crate::core::model::FsPath;
use crate::master::journal::entry::{CreateDirectory, Initialize, Ownership};
use std::path::Path;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.into(),
        memory: ByteSize(8 << 20),
        checkpoint_entries: 1_000_000,
        address: "localhost:9200".into(),
        reserve: ByteSize(0),
        deadline: Duration::from_secs(20),
    }
}

async fn open(dir: &Path) -> Journal {
    Journal::open_with(options(dir)).await.unwrap()
}

fn ownership() -> Ownership {
    Ownership { owner: "ann".into(), group: "users".into(), mode: 0o755 }
}

fn initialize() -> Entry {
    let ufs = "file:///data".to_string();
    let cluster_id = "c1".to_string();
    let properties = BTreeMap::new();
    let init = Initialize { cluster_id, ownership: ownership(), ufs, properties };
    Entry::new(1, Change::Initialize(init))
}

fn make_directory(path: &str) -> Entry {
    let create = CreateDirectory {
        path: FsPath::parse(path).unwrap(),
        ownership: ownership(),
        parents_mode: Some(0o755),
        allow_exists: false,
        persisted: false,
        xattrs: BTreeMap::new(),
    };
    Entry::new(2, Change::CreateDirectory(create))
}

fn exists(journal: &Journal, path: &str) -> bool {
    journal.state().inode(&FsPath::parse(path).unwrap()).is_ok()
}

/// Ends a journal as a crash would: nothing is brought to disk that was not there.
async fn crash(journal: Journal) {
    let stop = journal.inner.stop.lock().take().unwrap();
    stop.tell.send(()).unwrap();
    drop(journal);
    tokio::task::spawn_blocking(move || stop.thread.join()).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    for number in 0..20 {
        journal.commit(make_directory(&format!("/d{number}"))).await.unwrap();
    }
    let again = journal.commit(make_directory("/d3")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    let applied = journal.standing().applied;
    crash(journal).await;
    let journal = open(dir.path()).await;
    assert!(journal.standing().applied > applied && journal.is_primary());
    assert!((0..20).all(|number| exists(&journal, &format!("/d{number}"))));
    journal.close().await.unwrap();
    assert_eq!(
        journal.commit(make_directory("/x")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}
