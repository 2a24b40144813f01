use super::*;
use crate::core::error::ErrorKind;
use crate::core::model::{FileId, FsPath, PersistenceState};
use crate::master::journal::entry::*;
use std::collections::BTreeMap;

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
