use super::*;
use crate::core::error::ErrorKind;
use crate::core::model::media::{Media, PINNED_MEDIA};
use crate::core::model::{BlockId, BlockStatus, FileId, FsPath, PersistenceState, WorkerAddress};
use crate::master::inode::Inode;
use crate::master::inode::metastore::Table;
use crate::master::journal::entry::*;
use std::collections::BTreeMap;
use std::ops::Bound;

mod next;
mod stage;

fn path(text: &str) -> FsPath {
    FsPath::parse(text).unwrap()
}

fn ownership() -> Ownership {
    Ownership { owner: "ann".into(), group: "users".into(), mode: 0o755 }
}

fn open(dir: &Path) -> State {
    State::open(dir, ByteSize(8 << 20)).unwrap()
}

fn initialized(dir: &Path) -> State {
    let state = open(dir);
    let init = Initialize {
        cluster_id: "c1".into(),
        ownership: ownership(),
        ufs: "file:///data".into(),
        properties: BTreeMap::new(),
    };
    run(&state, 1, Change::Initialize(init)).unwrap();
    state
}

fn run(state: &State, at_ms: i64, change: Change) -> Result<Outcome, ErrorKind> {
    let entry = Entry::new(at_ms, change);
    let outcome = state.apply(&[&entry], None).unwrap().pop().unwrap();
    outcome.map_err(|refusal| refusal.kind)
}

fn create_file(text: &str) -> Change {
    Change::CreateFile(CreateFile {
        path: path(text),
        ownership: ownership(),
        parents_mode: Some(0o755),
        block_size: 64,
        cacheable: true,
        ttl_ms: None,
        ttl_action: Default::default(),
        xattrs: BTreeMap::new(),
    })
}

fn make_directory(text: &str, persisted: bool) -> Change {
    Change::CreateDirectory(CreateDirectory {
        path: path(text),
        ownership: ownership(),
        parents_mode: None,
        allow_exists: false,
        persisted,
        xattrs: BTreeMap::new(),
    })
}

fn complete(text: &str, length: u64, persistence: PersistenceState) -> Change {
    Change::CompleteFile(CompleteFile {
        path: path(text),
        id: None,
        length,
        persistence,
        persist_at_ms: 0,
        ufs_version: String::new(),
        blocks: Vec::new(),
        xattrs: BTreeMap::new(),
    })
}

fn delete(text: &str, recursive: bool) -> Change {
    Change::Delete(Delete { path: path(text), id: None, recursive })
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename(Rename { from: path(from), to: path(to) })
}

fn id(state: &State, text: &str) -> FileId {
    state.inode(&path(text)).unwrap().id
}

fn names(state: &State, text: &str) -> Vec<String> {
    let children = state.children(&path(text), None, usize::MAX).unwrap();
    children.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_file_is_created_written_renamed_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 10, create_file("/a/b/f")).unwrap();
    assert_eq!(run(&state, 11, create_file("/a/b/f")), Err(ErrorKind::AlreadyExists));
    assert!(!state.status(&path("/a/b/f")).unwrap().completed);
    run(&state, 12, complete("/a/b/f", 100, PersistenceState::NotPersisted)).unwrap();
    let status = state.status(&path("/a/b/f")).unwrap();
    assert_eq!((status.length, status.block_count(), status.modified_ms), (100, 2, 12));
    assert_eq!(status.ufs_path, "file:///data/a/b/f");
    assert_eq!(run(&state, 13, rename("/a", "/a/b/c")), Err(ErrorKind::InvalidArgument));
    run(&state, 13, rename("/a/b", "/z")).unwrap();
    assert_eq!(state.path_of(status.id).unwrap(), path("/z/f"));
    assert_eq!(state.status(&path("/z/f")).unwrap().id, status.id);
    assert_eq!(run(&state, 14, delete("/z", false)), Err(ErrorKind::NotEmpty));
    run(&state, 15, delete("/z", true)).unwrap();
    assert_eq!(state.status_of(status.id).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(state.has_deleted().unwrap());
    let outcome = run(&state, 16, Change::Reap(10)).unwrap();
    assert_eq!(outcome, Outcome::Reaped { inodes: 2, more: false });
    let freed = state.freed(None, 10).unwrap();
    assert_eq!(freed.iter().map(|f| (f.file, f.blocks)).collect::<Vec<_>>(), [(status.id, 2)]);
    run(&state, 17, Change::BlocksFreed(vec![status.id])).unwrap();
    assert!(state.freed(None, 10).unwrap().is_empty());
    assert!(state.incomplete(None, 10).unwrap().is_empty());
}

#[test]
fn an_entry_that_is_refused_halfway_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, create_file("/f")).unwrap();
    run(&state, 2, create_file("/full/g")).unwrap();
    let before = dump(&state);
    let file = id(&state, "/f");
    let block = |id: BlockId| BlockStatus { id, offset: 0, length: 1, locations: vec![7] };
    let blocks = vec![block(file.block(0)), block(FileId::from_container(99).block(0))];
    let commit = Change::CommitLocation(CommitLocation { id: file, blocks });
    assert_eq!(run(&state, 2, commit), Err(ErrorKind::InvalidArgument));
    assert_eq!(run(&state, 2, mount("/full", "s3://b")), Err(ErrorKind::FailedPrecondition));
    assert_eq!(dump(&state), before);
}

#[test]
fn a_retry_of_an_operation_gets_the_first_outcome_until_it_expires() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let at = |ms: i64| {
        let kept = std::time::Duration::from_millis(1000);
        Entry::new(ms, create_file("/f")).with_operation(Some([7; 16]), kept)
    };
    let apply = |state: &State, entry: &Entry| state.apply(&[entry], None).unwrap().pop().unwrap();
    let first = apply(&state, &at(100)).unwrap();
    // Another client's delete in between does not matter: the operation has been carried out.
    run(&state, 200, delete("/f", false)).unwrap();
    drop(state);
    let state = open(dir.path());
    assert_eq!(apply(&state, &at(1099)), Ok(first.clone()));
    assert!(state.inode(&path("/f")).is_err());
    assert_ne!(apply(&state, &at(1100)).unwrap(), first);
    // Everything but the second operation is forgotten in time.
    let rows = |state: &State| {
        let sections = [Section::Operations as u8, Section::OperationExpiry as u8];
        dump(state).iter().filter(|(t, k, _)| *t == 2 && sections.contains(&k[0])).count()
    };
    assert_eq!(rows(&state), 3, "one operation, and both times it expires");
    let late = Entry::new(9000, create_file("/g"))
        .with_operation(Some([8; 16]), std::time::Duration::from_millis(1));
    apply(&state, &late).unwrap();
    assert_eq!(rows(&state), 2);
}

#[test]
fn an_operation_is_known_again_however_the_clocks_leap() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let hour = 3_600_000;
    for (number, leap) in [hour, -hour, -2 * hour, 5 * hour].into_iter().enumerate() {
        let start = 100 * hour + number as i64;
        let id = [number as u8; 16];
        let at = |ms: i64| {
            let change = create_file(&format!("/f{number}"));
            Entry::new(ms, change).with_operation(Some(id), std::time::Duration::from_secs(600))
        };
        let apply = |entry: &Entry| state.apply(&[entry], None).unwrap().pop().unwrap();
        let first = apply(&at(start));
        assert!(first.is_ok(), "{first:?}");
        run(&state, start + leap, delete(&format!("/f{number}"), false)).unwrap();
        // Others, by the clock that leapt.
        for later in 0..10 {
            let change = make_directory(&format!("/d{number}-{later}"), false);
            run(&state, start + leap + later, change).unwrap();
        }
        assert_eq!(apply(&at(start + leap)), first, "a leap of {leap} ms");
        assert_eq!(apply(&at(start)), first);
    }
}

fn mount(at: &str, ufs: &str) -> Change {
    Change::Mount(Mount {
        path: path(at),
        ufs: ufs.into(),
        read_only: false,
        shared: false,
        properties: BTreeMap::new(),
        ownership: ownership(),
        parents_mode: None,
        attributes: Attributes::default(),
    })
}

#[test]
fn a_mount_comes_and_goes_with_its_part_of_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    assert_eq!(run(&state, 2, mount("/s3", "s3://b")), Ok(Outcome::Mounted(2)));
    assert_eq!(run(&state, 2, mount("/s3", "s3://c")), Err(ErrorKind::AlreadyExists));
    assert_eq!(run(&state, 2, mount("/x", "s3://b/in")), Err(ErrorKind::InvalidArgument));
    assert_eq!(run(&state, 2, mount("/no/where", "s3://d")), Err(ErrorKind::NotFound));
    let status = state.status(&path("/s3")).unwrap();
    assert!(status.mount_point && status.mount_id == 2 && status.ufs_path == "s3://b");
    run(&state, 3, create_file("/s3/f")).unwrap();
    run(&state, 4, complete("/s3/f", 9, PersistenceState::ToBePersisted)).unwrap();
    run(&state, 4, create_file("/f")).unwrap();
    assert_eq!(run(&state, 5, rename("/f", "/s3/g")), Err(ErrorKind::InvalidArgument));
    assert_eq!(run(&state, 5, rename("/s3", "/s4")), Err(ErrorKind::FailedPrecondition));
    assert_eq!(run(&state, 5, delete("/s3", true)), Err(ErrorKind::FailedPrecondition));
    let waiting = run(&state, 5, Change::Unmount(path("/s3")));
    assert_eq!(waiting, Err(ErrorKind::FailedPrecondition), "the file is not persisted yet");
    let file = id(&state, "/s3/f");
    run(
        &state,
        6,
        set(
            file,
            Attributes { persistence: Some(PersistenceState::Persisted), ..Default::default() },
        ),
    )
    .unwrap();
    run(&state, 7, Change::Unmount(path("/s3"))).unwrap();
    assert!(state.inode(&path("/s3")).is_err() && state.lookup(file).unwrap().is_none());
    drop(state);
    assert_eq!(open(dir.path()).mounts().iter().count(), 1);
}

fn set(id: FileId, attributes: Attributes) -> Change {
    Change::SetAttributes(SetAttributes { target: Target::Inodes(vec![id]), attributes })
}

#[test]
fn attributes_are_found_by_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 100, create_file("/f")).unwrap();
    let file = id(&state, "/f");
    assert_eq!(state.incomplete(None, 9).unwrap(), [(file, 100)]);
    let incomplete = set(
        file,
        Attributes { persistence: Some(PersistenceState::ToBePersisted), ..Default::default() },
    );
    assert_eq!(run(&state, 100, incomplete.clone()), Err(ErrorKind::Incomplete));
    run(&state, 101, complete("/f", 1, PersistenceState::NotPersisted)).unwrap();
    run(&state, 102, incomplete).unwrap();
    let attributes = Attributes {
        ttl_ms: Some(Some(50)),
        pinned: Some(true),
        mode: Some(0o4755),
        set_xattrs: [("k".to_string(), vec![1])].into(),
        ..Default::default()
    };
    run(&state, 103, set(file, attributes)).unwrap();
    assert_eq!(state.expired(149, None, 9).unwrap(), []);
    assert_eq!(state.expired(150, None, 9).unwrap(), [(file, 150)]);
    assert_eq!(state.expired(150, Some((file, 150)), 9).unwrap(), []);
    assert_eq!(state.pinned(None, 9).unwrap(), [(file, Media::ANY)]);
    let on_disk = [(PINNED_MEDIA.to_string(), b"SSD,HDD".to_vec())].into();
    let to_disk = Attributes { set_xattrs: on_disk, ..Default::default() };
    let before = state.pins_version();
    run(&state, 103, set(file, to_disk)).unwrap();
    assert_ne!(state.pins_version(), before, "where it is pinned to is news");
    assert_eq!(state.pinned(None, 9).unwrap()[0].1.names(), ["SSD", "HDD"]);
    let pins = state.pins_version();
    assert_eq!(state.to_persist(None, 9).unwrap(), [(file, 0)]);
    let status = state.status(&path("/f")).unwrap();
    assert_eq!((status.mode, &status.xattrs["k"][..]), (0o4755, &[1][..]));
    run(&state, 104, set(file, Attributes { ttl_ms: Some(None), ..Default::default() })).unwrap();
    assert_eq!(state.expired(i64::MAX - 1, None, 9).unwrap(), []);
    assert_eq!(state.pins_version(), pins, "another attribute is no news for pins");
    run(&state, 105, delete("/f", false)).unwrap();
    assert_ne!(state.pins_version(), pins);
    assert!(
        state.pinned(None, 9).unwrap().is_empty() && state.to_persist(None, 9).unwrap().is_empty()
    );
}

#[test]
fn a_file_is_lost_with_its_last_worker_and_found_again_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, create_file("/f")).unwrap();
    let file = id(&state, "/f");
    let blocks = |workers: &[i64]| {
        let block = |i: u64| BlockStatus {
            id: file.block(i),
            offset: i * 64,
            length: 64,
            locations: workers.to_vec(),
        };
        vec![block(0), block(1)]
    };
    let commit =
        |workers| Change::CommitLocation(CommitLocation { id: file, blocks: blocks(workers) });
    run(&state, 3, commit(&[1])).unwrap();
    run(&state, 3, commit(&[2])).unwrap();
    run(&state, 4, complete("/f", 128, PersistenceState::ToBePersisted)).unwrap();
    assert_eq!(state.status(&path("/f")).unwrap().blocks, blocks(&[1, 2]));
    assert_eq!(run(&state, 5, Change::ForgetWorker(1)), Ok(Outcome::Lost(vec![])));
    assert_eq!(run(&state, 6, Change::ForgetWorker(2)), Ok(Outcome::Lost(vec![file])));
    assert_eq!(state.status_of(file).unwrap().persistence, PersistenceState::Lost);
    assert!(state.to_persist(None, 9).unwrap().is_empty());
    run(&state, 7, commit(&[2])).unwrap();
    assert_eq!(state.status_of(file).unwrap().persistence, PersistenceState::ToBePersisted);
    run(
        &state,
        8,
        set(
            file,
            Attributes { persistence: Some(PersistenceState::Persisted), ..Default::default() },
        ),
    )
    .unwrap();
    assert!(state.status_of(file).unwrap().blocks.is_empty());
}

#[test]
fn a_worker_keeps_its_id_and_its_address_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let register = |host: &str, id| {
        let address = WorkerAddress { host: host.into(), rpc_port: 1, ..Default::default() };
        match run(&state, 2, Change::RegisterWorker(RegisterWorker { address, id })) {
            Ok(Outcome::Worker(id)) => id,
            other => panic!("{other:?}"),
        }
    };
    let a = register("a", None);
    let b = register("b", None);
    assert!(a > 0 && b > 0 && a != b);
    assert_eq!(register("a", None), a);
    assert_eq!(register("moved", Some(a)), a);
    assert_eq!(state.worker(a).unwrap().unwrap().host, "moved");
    assert_ne!(register("a", None), a, "the old address is free again");
    assert_eq!(state.workers().unwrap().len(), 3);
}

fn found(name: &str, length: u64, version: &str) -> Found {
    Found {
        name: name.into(),
        folder: length == 0,
        length,
        block_size: 64,
        modified_ms: 5,
        version: version.into(),
        ownership: ownership(),
        symlink: String::new(),
    }
}

fn sync(state: &State, dir: &str, listed_ms: i64, found: &[Found]) -> Result<Synced, ErrorKind> {
    let load = SyncLoad {
        directory: id(state, dir),
        scope: SyncScope::All,
        found: found.to_vec(),
        listed_ms,
        loaded: true,
    };
    match run(state, listed_ms + 1, Change::SyncLoad(load))? {
        Outcome::Synced(synced) => Ok(synced),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tree_follows_the_under_store_but_for_what_is_only_here() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, make_directory("/d", true)).unwrap();
    let first = [found("a", 10, "v1"), found("b", 20, "v1"), found("sub", 0, "")];
    assert_eq!(sync(&state, "/d", 10, &first).unwrap().added, 3);
    assert_eq!(sync(&state, "/d", 20, &first).unwrap(), Synced::default());
    let (a, b) = (id(&state, "/d/a"), id(&state, "/d/b"));
    run(&state, 21, create_file("/d/mine")).unwrap();
    run(&state, 21, create_file("/d/sub/mine")).unwrap();
    let second = [found("a", 10, "v2"), found("mine", 99, "v9")];
    let synced = sync(&state, "/d", 30, &second).unwrap();
    assert_eq!((synced.added, synced.replaced, synced.removed), (0, 1, 1));
    assert_eq!(synced.kept, ["sub"], "it holds a file that is nowhere else");
    assert_eq!(names(&state, "/d"), ["a", "mine", "sub"]);
    assert_ne!(id(&state, "/d/a"), a, "other bytes have another id");
    assert!(!state.status(&path("/d/mine")).unwrap().completed);
    let freed = state.freed(None, 9).unwrap();
    assert_eq!(freed.iter().map(|f| f.file).collect::<Vec<_>>(), [a, b]);
    assert_eq!(state.inode(&path("/d")).unwrap().directory().unwrap().children_loaded_ms, Some(30));
}

#[test]
fn a_listing_older_than_a_change_does_not_undo_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, make_directory("/d", true)).unwrap();
    sync(&state, "/d", 10, &[found("a", 10, "v1")]).unwrap();
    // Written through after the listing began: not in it, yet it must stay.
    run(&state, 20, create_file("/d/new")).unwrap();
    run(&state, 21, complete("/d/new", 5, PersistenceState::Persisted)).unwrap();
    assert_eq!(sync(&state, "/d", 15, &[found("a", 10, "v1")]).unwrap(), Synced::default());
    run(&state, 30, delete("/d/a", false)).unwrap();
    let stale = [found("a", 10, "v1"), found("new", 5, "v1")];
    assert_eq!(sync(&state, "/d", 29, &stale), Err(ErrorKind::Aborted));
    assert_eq!(names(&state, "/d"), ["new"]);
}

#[test]
fn readers_never_see_half_a_rename() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, create_file("/d/a")).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) || reads < 100 {
                assert_eq!(names(&state, "/d").len(), 1);
                reads += 1;
            }
        });
        for _ in 0..500 {
            run(&state, 3, rename("/d/a", "/d/b")).unwrap();
            run(&state, 3, rename("/d/b", "/d/a")).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn watchers_are_told_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    run(&state, 2, create_file("/d/a")).unwrap();
    let mut watch = state.watch();
    run(&state, 3, rename("/d", "/e")).unwrap();
    run(&state, 3, delete("/nothing", false)).unwrap_err();
    let told = watch.try_recv().unwrap();
    let notice = |text: &str| Notice { path: path(text), subtree: true };
    assert_eq!(&told[..], [notice("/d"), notice("/e")]);
    assert!(watch.try_recv().is_err());
}

#[test]
fn a_large_deleted_tree_is_taken_apart_in_steps() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    for number in 0..30 {
        run(&state, 2, create_file(&format!("/d/s{}/f{number}", number % 3))).unwrap();
    }
    run(&state, 3, delete("/d", true)).unwrap();
    let mut steps = 0;
    while state.has_deleted().unwrap() {
        let Ok(Outcome::Reaped { inodes, .. }) = run(&state, 4, Change::Reap(5)) else { panic!() };
        assert!(inodes <= 6, "{inodes} at once");
        steps += 1;
        assert!(steps < 50);
    }
    assert_eq!(state.freed(None, 99).unwrap().len(), 30);
    let inodes = dump(&state).iter().filter(|(table, ..)| *table == 0).count();
    assert_eq!(inodes, 1, "only the root is left");
}

type Row = (u8, Vec<u8>, Vec<u8>);

/// Everything in the store.
fn dump(state: &State) -> Vec<Row> {
    let view = state.inner.store.disk.view();
    let mut rows = Vec::new();
    for (number, table) in [Table::Tree, Table::Ids, Table::Rest].into_iter().enumerate() {
        for pair in view.range(table, Bound::Unbounded, &[0xFF; 9]) {
            let (key, value) = pair.unwrap();
            rows.push((number as u8, key.to_vec(), value.to_vec()));
        }
    }
    rows
}

mod against_a_model {
    use super::*;
    use proptest::prelude::*;

    /// What a tree of names is, said as simply as possible: path → whether it is a directory.
    #[derive(Default)]
    struct Model(BTreeMap<String, bool>);

    impl Model {
        fn parent_ok(&self, path: &str) -> bool {
            let parent = &path[..path.rfind('/').unwrap()];
            parent.is_empty() || self.0.get(parent) == Some(&true)
        }

        fn below(&self, path: &str) -> Vec<String> {
            let inside = format!("{path}/");
            self.0.keys().filter(|key| key.starts_with(&inside)).cloned().collect()
        }

        /// Carries out the change if it is allowed; whether it was.
        fn run(&mut self, step: &Step) -> bool {
            match step {
                Step::Directory(path) => {
                    let ok = !self.0.contains_key(path) && self.parent_ok(path);
                    ok.then(|| self.0.insert(path.clone(), true));
                    ok
                }
                Step::File(path) => {
                    let ok = !self.0.contains_key(path) && self.parent_ok(path);
                    ok.then(|| self.0.insert(path.clone(), false));
                    ok
                }
                Step::Delete(path, recursive) => {
                    let ok =
                        self.0.contains_key(path) && (*recursive || self.below(path).is_empty());
                    if ok {
                        self.below(path).iter().for_each(|inner| {
                            self.0.remove(inner);
                        });
                        self.0.remove(path);
                    }
                    ok
                }
                Step::Rename(from, to) => {
                    let ok = self.0.contains_key(from)
                        && !self.0.contains_key(to)
                        && self.parent_ok(to)
                        && !format!("{to}/").starts_with(&format!("{from}/"));
                    if ok {
                        for inner in self.below(from).into_iter().chain([from.clone()]) {
                            let kind = self.0.remove(&inner).unwrap();
                            self.0.insert(format!("{to}{}", &inner[from.len()..]), kind);
                        }
                    }
                    ok
                }
                Step::Reap => true,
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Directory(String),
        File(String),
        Delete(String, bool),
        Rename(String, String),
        Reap,
    }

    impl Step {
        fn change(&self) -> Change {
            match self {
                Step::Directory(path) => make_directory(path, false),
                Step::File(path) => match create_file(path) {
                    Change::CreateFile(create) => {
                        Change::CreateFile(CreateFile { parents_mode: None, ..create })
                    }
                    other => other,
                },
                Step::Delete(path, recursive) => delete(path, *recursive),
                Step::Rename(from, to) => rename(from, to),
                Step::Reap => Change::Reap(2),
            }
        }
    }

    /// Few names, so that they meet.
    fn a_path() -> impl Strategy<Value = String> {
        let name = prop_oneof![Just("/a"), Just("/b"), Just("/c")];
        prop::collection::vec(name, 1..4).prop_map(|names| names.concat())
    }

    fn a_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => a_path().prop_map(Step::Directory),
            3 => a_path().prop_map(Step::File),
            1 => (a_path(), any::<bool>()).prop_map(|(path, all)| Step::Delete(path, all)),
            3 => (a_path(), a_path()).prop_map(|(from, to)| Step::Rename(from, to)),
            1 => Just(Step::Reap),
        ]
    }

    fn tree(state: &State, at: &str, found: &mut BTreeMap<String, bool>) {
        let dir = if at.is_empty() { "/" } else { at };
        for (name, inode) in state.children(&path(dir), None, usize::MAX).unwrap() {
            let inner = format!("{at}/{name}");
            assert_eq!(state.path_of(inode.id).unwrap().as_str(), inner);
            assert_eq!(*state.inode(&path(&inner)).unwrap(), inode, "cache and store agree");
            found.insert(inner.clone(), inode.is_directory());
            if inode.is_directory() {
                tree(state, &inner, found);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..Default::default() })]

        /// Whatever the entries, the tree is what the model says, and the same entries in other
        /// groups, with a restart between, give the same store byte for byte.
        #[test]
        fn the_tree_is_what_the_entries_say(
            steps in prop::collection::vec(a_step(), 1..60),
            group in 1..9usize,
        ) {
            let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            let state = initialized(dirs[0].path());
            let mut model = Model::default();
            for (number, step) in steps.iter().enumerate() {
                let went = run(&state, number as i64, step.change()).is_ok();
                prop_assert_eq!(went, model.run(step), "step {}: {:?}", number, step);
            }
            let mut found = BTreeMap::new();
            tree(&state, "", &mut found);
            prop_assert_eq!(&found, &model.0);
            let mut again = initialized(dirs[1].path());
            let entries = steps.iter().enumerate().map(|(n, s)| Entry::new(n as i64, s.change()));
            let entries = entries.collect::<Vec<_>>();
            for (number, part) in entries.chunks(group).enumerate() {
                if number == 2 {
                    drop(again);
                    again = open(dirs[1].path());
                }
                again.apply(&part.iter().collect::<Vec<_>>(), None).unwrap();
            }
            prop_assert_eq!(dump(&state), dump(&again));
        }
    }
}
