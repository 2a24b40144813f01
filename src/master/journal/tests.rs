mod broken_transfer;

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
        own: Node { rpc: "localhost:9200".into(), ..Node::default() },
        masters: Vec::new(),
        listen: None,
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
    // What raft tells of itself comes a moment after it is so.
    until("all is applied again", || journal.standing().applied > applied).await;
    assert!(journal.is_primary());
    assert!((0..20).all(|number| exists(&journal, &format!("/d{number}"))));
    journal.close().await.unwrap();
    assert_eq!(
        journal.commit(make_directory("/x")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn an_operation_is_carried_out_once_even_when_its_retry_meets_a_new_process() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    let entry = || make_directory("/d").with_operation(Some([5; 16]), Duration::from_secs(60));
    let first = journal.commit(entry()).await.unwrap();
    crash(journal).await;
    let journal = open(dir.path()).await;
    assert_eq!(journal.commit(entry()).await.unwrap(), first);
    let other = journal.commit(make_directory("/d")).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_once_share_a_sync_and_racing_ones_are_put_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    let before = journal.syncs();
    let callers = (0..64).map(|caller| {
        let journal = journal.clone();
        tokio::spawn(async move {
            for round in 0..8 {
                journal.commit(make_directory(&format!("/c{caller}/r{round}"))).await.unwrap();
            }
            journal.commit(make_directory("/only-one")).await.is_ok()
        })
    });
    let won = futures::future::join_all(callers).await;
    assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    let syncs = journal.syncs() - before;
    assert!(syncs <= 64 * 9 / 8, "{} entries took {syncs} syncs", 64 * 9);
}

#[tokio::test]
async fn a_group_is_committed_in_order_with_an_outcome_each() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    let group = vec![make_directory("/a"), make_directory("/a"), make_directory("/a/b")];
    let outcomes = journal.commit_many(group).await.unwrap();
    let kinds = outcomes.into_iter().map(|o| o.err().map(|e| e.kind())).collect::<Vec<_>>();
    assert_eq!(kinds, [None, Some(ErrorKind::AlreadyExists), None]);
}

fn segments(dir: &Path) -> Vec<u64> {
    segment::list(&dir.join("log")).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_checkpoint_cuts_the_log_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let few = Options { checkpoint_entries: 10, ..options(dir.path()) };
    let journal = Journal::open_with(few.clone()).await.unwrap();
    journal.commit(initialize()).await.unwrap();
    assert_eq!(segments(dir.path()), [0]);
    for number in 0..30 {
        journal.commit(make_directory(&format!("/d{number}"))).await.unwrap();
    }
    until("the first segment is gone", || !segments(dir.path()).contains(&0)).await;
    crash(journal).await;
    let journal = Journal::open_with(few).await.unwrap();
    assert!((0..30).all(|number| exists(&journal, &format!("/d{number}"))));
    journal.commit(make_directory("/after")).await.unwrap();
    journal.close().await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_state_that_a_power_cut_set_back_is_brought_up_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    journal.commit(make_directory("/old")).await.unwrap();
    journal.close().await.unwrap();
    drop(journal);
    let kept = dir.path().join("kept");
    copy(&dir.path().join("state"), &kept);
    let journal = open(dir.path()).await;
    for number in 0..10 {
        journal.commit(make_directory(&format!("/new{number}"))).await.unwrap();
    }
    crash(journal).await;
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    std::fs::rename(&kept, dir.path().join("state")).unwrap();
    let journal = open(dir.path()).await;
    assert!(exists(&journal, "/old"));
    assert!((0..10).all(|number| exists(&journal, &format!("/new{number}"))));
}

#[tokio::test]
async fn damage_that_was_acknowledged_is_refused_and_a_torn_tail_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    for number in 0..10 {
        journal.commit(make_directory(&format!("/d{number}"))).await.unwrap();
    }
    journal.close().await.unwrap();
    drop(journal);
    let file = segment::path(&dir.path().join("log"), 0);
    let whole = std::fs::read(&file).unwrap();
    let mut torn = whole.clone();
    torn.extend_from_slice(&[0x55; 37]);
    std::fs::write(&file, torn).unwrap();
    let journal = open(dir.path()).await;
    assert!(exists(&journal, "/d9"));
    crash(journal).await;
    let mut damaged = whole;
    damaged[60] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let error = Journal::open_with(options(dir.path())).await.err().expect("it is damaged");
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let text = error.to_string();
    assert!(text.contains("offset") && text.contains("--from-backup"), "{text}");
}

#[tokio::test]
async fn a_second_master_on_the_same_directory_is_refused_and_harms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    let error = Journal::open_with(options(dir.path())).await.err().expect("it is taken");
    assert!(error.to_string().contains("another master"), "{error}");
    journal.commit(make_directory("/d")).await.unwrap();
    crash(journal).await;
    assert!(exists(&open(dir.path()).await, "/d"));
}

#[tokio::test]
async fn a_disk_without_space_refuses_entries_and_takes_them_again_later() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    journal.commit(initialize()).await.unwrap();
    crash(journal).await;
    let full = Options { reserve: ByteSize(u64::MAX), ..options(dir.path()) };
    let journal = Journal::open_with(full).await.unwrap();
    let error = journal.commit(make_directory("/d")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert!(!exists(&journal, "/d") && journal.is_primary());
    crash(journal).await;
    open(dir.path()).await.commit(make_directory("/d")).await.unwrap();
}

#[tokio::test]
async fn a_log_takes_back_what_another_primary_never_had() {
    use openraft::type_config::TypeConfigExt;
    use raft::{LogId, RaftEntry, Types};
    let leader = openraft::impls::leader_id_adv::LeaderId { term: 1, node_id: 1 };
    let at = |index| LogId::new(leader, index);
    let dir = tempfile::tempdir().unwrap();
    let entry = |index: u64, path: &str| RaftEntry {
        log_id: at(index),
        payload: openraft::EntryPayload::Normal(Arc::new(make_directory(path))),
    };
    let log = Log::open(dir.path()).unwrap();
    let vote = openraft::impls::Vote { leader_id: leader, committed: true };
    log.save_vote(vote).await.unwrap();
    let append = |log: &Arc<Log>, entries: Vec<RaftEntry>| {
        let (done, flushed) = Types::oneshot();
        log.append(entries, openraft::storage::IOFlushed::signal(done)).unwrap();
        async move { flushed.await.unwrap().unwrap() }
    };
    append(&log, (0..6).map(|index| entry(index, "/first")).collect()).await;
    log.truncate_after(Some(at(2))).await.unwrap();
    append(&log, vec![entry(3, "/second")]).await;
    let all = log.read(..).unwrap();
    drop(log);
    let log = Log::open(dir.path()).unwrap();
    assert_eq!(log.read(..).unwrap(), all);
    assert_eq!(all.len(), 4);
    assert_eq!(all[3], entry(3, "/second"));
    log.purge(at(1)).await.unwrap();
    assert_eq!(log.read(..).unwrap(), all[2..]);
    // What goes into one message: at least one entry, and never what is not asked for.
    let ends = [(2, 9, 1), (3, 9, 1), (2, 9, 1 << 20), (2, 3, 1 << 20), (0, 9, 1)];
    assert_eq!(ends.map(|(start, end, bytes)| log.end_within(start, end, bytes)), [3, 4, 4, 3, 3]);
    drop(log);
    assert_eq!(Log::open(dir.path()).unwrap().read(..).unwrap(), all[2..]);
}

/// Logs and states in directories of their own.
struct Fresh;

impl openraft::testing::log::StoreBuilder<raft::Types, Arc<Log>, Machine, tempfile::TempDir>
    for Fresh
{
    async fn build(
        &self,
    ) -> std::result::Result<
        (tempfile::TempDir, Arc<Log>, Machine),
        openraft::StorageError<raft::Types>,
    > {
        let dir = tempfile::tempdir().unwrap();
        let (log_dir, state_dir) = (dir.path().join("log"), dir.path().join("state"));
        [&log_dir, &state_dir].into_iter().for_each(|dir| create_private(dir).unwrap());
        let log = Log::open(&log_dir).unwrap();
        let state = State::open(&state_dir, ByteSize(1 << 20)).unwrap();
        let space = raft::Space { dir: state_dir, least: 0, stopping: Arc::default() };
        Ok((dir, log, Machine::new(state, space, Default::default()).unwrap()))
    }
}

#[tokio::test]
async fn log_and_state_are_as_openraft_expects_them() {
    let ended = openraft::testing::log::Suite::test_all(Fresh).await.unwrap_err().to_string();
    // Its last step installs what the same process made: between masters an image is always a file.
    assert!(ended.contains("only what another master has sent"), "{ended}");
}

#[tokio::test]
async fn who_is_no_longer_primary_changes_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).await;
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let changed = AtomicBool::new(false);
    let work = journal.while_primary(async {
        gone.await.unwrap();
        changed.store(true, Ordering::Relaxed);
    });
    let deposed = async {
        journal.close().await.unwrap();
        go.send(()).unwrap();
    };
    let (worked, ()) = tokio::join!(work, deposed);
    assert_eq!(worked, None);
    assert!(!changed.into_inner(), "the store is left alone");
}
