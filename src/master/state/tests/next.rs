//! Next versions, and renaming over what is there.

use super::*;
use crate::master::state::next::BELOW;

fn create(text: &str) -> Change {
    match create_file(text) {
        Change::CreateFile(create) => Change::CreateNext(create),
        other => panic!("{other:?}"),
    }
}

fn begin(state: &State, text: &str) -> FileId {
    match run(state, 100, create(text)).unwrap() {
        Outcome::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

fn replace(
    state: &State,
    text: &str,
    id: FileId,
    persistence: PersistenceState,
    expected: Option<Option<FileId>>,
) -> Result<Outcome, ErrorKind> {
    let Change::CompleteFile(mut done) = complete(text, 7, persistence) else { unreachable!() };
    done.id = Some(id);
    run(state, 200, Change::Replace(Replace { complete: done, modified_ms: Some(150), expected }))
}

fn rename_over(state: &State, from: &str, to: &str) -> Result<Outcome, ErrorKind> {
    run(state, 300, Change::RenameOver(Rename { from: path(from), to: path(to) }))
}

fn file(state: &State, text: &str, persistence: PersistenceState) -> FileId {
    run(state, 50, create_file(text)).unwrap();
    run(state, 60, complete(text, 3, persistence)).unwrap();
    id(state, text)
}

#[test]
fn a_next_version_is_seen_by_nobody_and_then_by_all() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let old = file(&state, "/d/f", PersistenceState::NotPersisted);
    let mode = Attributes {
        mode: Some(0o640),
        set_xattrs: [("user.a".to_string(), b"x".to_vec())].into(),
        ..Default::default()
    };
    let target = Target::Path(path("/d/f"));
    run(&state, 70, Change::SetAttributes(SetAttributes { target, attributes: mode })).unwrap();
    let new = begin(&state, "/d/f");
    assert_eq!(id(&state, "/d/f"), old);
    assert_eq!(state.list(&path("/d"), None, 10).unwrap().len(), 1);
    let found = state.status_of(new).unwrap();
    assert!(found.path == path("/d/f") && !found.completed, "found by its id: {found:?}");
    assert_eq!(state.incomplete(None, 10).unwrap(), [(new, 100)]);

    replace(&state, "/d/f", new, PersistenceState::NotPersisted, None).unwrap();
    let now = state.status(&path("/d/f")).unwrap();
    assert_eq!((now.id, now.length, now.mode, now.modified_ms), (new, 7, 0o640, 150));
    assert_eq!(now.xattrs["user.a"], b"x");
    assert!(state.status_of(old).is_err() && state.incomplete(None, 10).unwrap().is_empty());
    drop(state);
    assert_eq!(id(&open(dir.path()), "/d/f"), new, "also after a restart");
}

#[test]
fn a_next_version_replaces_only_what_it_may_and_can_be_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let old = file(&state, "/d/f", PersistenceState::NotPersisted);
    let not = PersistenceState::NotPersisted;
    let (one, other) = (begin(&state, "/d/f"), begin(&state, "/d/f"));
    replace(&state, "/d/f", one, not, Some(Some(old))).unwrap();
    assert_eq!(replace(&state, "/d/f", other, not, Some(Some(old))), Err(ErrorKind::Changed));
    assert_eq!(replace(&state, "/d/f", other, not, Some(None)), Err(ErrorKind::Changed));
    assert_eq!(id(&state, "/d/f"), one);
    run(&state, 210, Change::DropNext(other)).unwrap();
    assert!(state.status_of(other).is_err());
    assert_eq!(replace(&state, "/d/f", other, not, None), Err(ErrorKind::NotFound));
    // What is in its place by now is not given up.
    run(&state, 220, Change::DropNext(one)).unwrap();
    assert_eq!(id(&state, "/d/f"), one);
    // Where nothing is it is a new file, but not below what is no directory, nor over one.
    let new = begin(&state, "/d/g");
    replace(&state, "/d/g", new, not, Some(None)).unwrap();
    assert_eq!(run(&state, 230, create("/d")), Err(ErrorKind::IsDirectory));
    assert_eq!(run(&state, 230, create("/d/f/x")), Err(ErrorKind::NotDirectory));
    assert_eq!(run(&state, 230, create("/no/x")), Err(ErrorKind::NotFound));
}

#[test]
fn an_older_version_underneath_is_noted_until_the_file_is_persisted() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    file(&state, "/d/f", PersistenceState::Persisted);
    let noted = |text: &str| state.status(&path(text)).unwrap().xattrs.contains_key(BELOW);
    let new = begin(&state, "/d/f");
    replace(&state, "/d/f", new, PersistenceState::ToBePersisted, None).unwrap();
    assert!(noted("/d/f"));
    let new = begin(&state, "/d/f");
    replace(&state, "/d/f", new, PersistenceState::NotPersisted, None).unwrap();
    assert!(noted("/d/f"), "still");
    file(&state, "/d/g", PersistenceState::NotPersisted);
    rename_over(&state, "/d/g", "/d/f").unwrap();
    assert!(noted("/d/f"), "of what was replaced by renaming too");
    let new = begin(&state, "/d/f");
    replace(&state, "/d/f", new, PersistenceState::Persisted, None).unwrap();
    assert!(!noted("/d/f"));
    file(&state, "/d/h", PersistenceState::ToBePersisted);
    let new = begin(&state, "/d/h");
    replace(&state, "/d/h", new, PersistenceState::NotPersisted, None).unwrap();
    assert!(noted("/d/h"), "of what a worker may be writing too");
}

#[test]
fn renaming_over_takes_a_file_for_a_file_and_an_empty_directory_for_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let not = PersistenceState::NotPersisted;
    let (a, b) = (file(&state, "/d/a", not), file(&state, "/d/b", not));
    rename_over(&state, "/d/a", "/d/b").unwrap();
    assert!(id(&state, "/d/b") == a && state.status_of(b).is_err());
    assert_eq!(rename_over(&state, "/d/b", "/d/b"), Ok(Outcome::Done));
    run(&state, 301, make_directory("/e", false)).unwrap();
    assert_eq!(rename_over(&state, "/d/b", "/e"), Err(ErrorKind::IsDirectory));
    assert_eq!(rename_over(&state, "/e", "/d/b"), Err(ErrorKind::NotDirectory));
    assert_eq!(rename_over(&state, "/e", "/d"), Err(ErrorKind::NotEmpty));
    let d = id(&state, "/d");
    rename_over(&state, "/d", "/e").unwrap();
    assert!(id(&state, "/e") == d && id(&state, "/e/b") == a);
    assert!(state.status(&path("/d")).is_err());
}

#[test]
fn a_pipe_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    let not = PersistenceState::NotPersisted;
    file(&state, "/d/f", not);
    let new = begin(&state, "/d/p");
    let xattrs = [(crate::core::model::node::ATTRIBUTE.to_string(), b"p".to_vec())].into();
    let node = CreateNode { path: path("/d/p"), ownership: Default::default(), xattrs };
    run(&state, 150, Change::CreateNode(node)).unwrap();
    assert_eq!(run(&state, 160, create("/d/p")), Err(ErrorKind::AlreadyExists));
    assert_eq!(replace(&state, "/d/p", new, not, None), Err(ErrorKind::AlreadyExists));
}
