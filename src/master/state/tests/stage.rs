//! Stages.

use super::*;
use crate::master::journal::entry::{BeginStage, PublishStage, StageListing};

const JOB: i64 = 7;

/// `/d` with the files a and b, and the directory sub with c in it, as of version 1.
fn data(state: &State) {
    run(state, 2, make_directory("/d", true)).unwrap();
    let first = [found("a", 10, "v1"), found("b", 20, "v1"), found("sub", 0, "")];
    sync(state, "/d", 10, &first).unwrap();
    sync(state, "/d/sub", 10, &[found("c", 5, "v1")]).unwrap();
}

fn begin(state: &State, text: &str, job: i64) -> Result<Outcome, ErrorKind> {
    run(state, 100, Change::BeginStage(BeginStage { stage: job, path: path(text), most: 4 }))
}

fn stage(
    state: &State,
    directory: FileId,
    at_ms: i64,
    found: &[Found],
) -> Result<Synced, ErrorKind> {
    let listing = SyncLoad {
        directory,
        scope: SyncScope::All,
        found: found.to_vec(),
        listed_ms: at_ms,
        loaded: true,
    };
    let change = Change::StageListing(StageListing { stage: JOB, listing });
    match run(state, at_ms + 1, change)? {
        Outcome::Synced(synced) => Ok(synced),
        other => panic!("{other:?}"),
    }
}

fn publish(state: &State, listed_ms: i64) -> Result<Outcome, ErrorKind> {
    run(state, listed_ms + 1, Change::PublishStage(PublishStage { stage: JOB, listed_ms }))
}

fn next(state: &State, parent: FileId, name: &str) -> Option<std::sync::Arc<Inode>> {
    state.next_child(JOB, parent, name).unwrap()
}

/// Stages the second version: a replaced, b gone, e and the directory new with f in it.
fn second(state: &State) -> FileId {
    let d = id(state, "/d");
    begin(state, "/d", JOB).unwrap();
    let listing =
        [found("a", 11, "v2"), found("e", 7, "v1"), found("new", 0, ""), found("sub", 0, "")];
    let synced = stage(state, d, 200, &listing).unwrap();
    assert_eq!((synced.added, synced.removed), (3, 1));
    assert_eq!(stage(state, d, 210, &listing).unwrap(), Synced::default(), "nothing is new");
    let new = next(state, d, "new").unwrap().id;
    assert_eq!(stage(state, new, 220, &[found("f", 9, "v1")]).unwrap().added, 1);
    d
}

#[test]
fn all_of_a_stage_is_seen_at_once_and_nothing_of_it_before() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    data(&state);
    let old = (id(&state, "/d/a"), id(&state, "/d/sub/c"));
    let d = second(&state);
    assert_eq!(names(&state, "/d"), ["a", "b", "sub"]);
    assert_eq!(id(&state, "/d/a"), old.0);
    let a = next(&state, d, "a").unwrap().id;
    let f = next(&state, next(&state, d, "new").unwrap().id, "f").unwrap().id;
    assert!(next(&state, d, "b").is_none());
    assert_eq!(next(&state, d, "sub").unwrap().id, id(&state, "/d/sub"), "it is not made anew");
    // Nobody finds it, but who holds its blocks learns that there is such a file.
    assert!(state.find(a).is_err());
    assert_eq!(state.status_of(a).unwrap().path, path("/d/a"));
    let status = state.status_of(f).unwrap();
    assert_eq!((status.path, status.ufs_path.as_str()), (path("/d/new/f"), "file:///data/d/new/f"));
    assert!(state.freed(None, 9).unwrap().is_empty());

    drop(state);
    let state = open(dir.path());
    assert_eq!(state.held_back(&path("/d/sub/x")), Some(JOB), "a stage outlives the process");
    publish(&state, 300).unwrap();
    assert_eq!(names(&state, "/d"), ["a", "e", "new", "sub"]);
    assert_eq!(names(&state, "/d/new"), ["f"]);
    assert_eq!(
        (id(&state, "/d/a"), id(&state, "/d/new/f")),
        (a, f),
        "with the ids it was filled by"
    );
    assert_eq!(id(&state, "/d/sub/c"), old.1, "what is the same stays the same");
    assert_eq!(state.freed(None, 9).unwrap().len(), 2, "the blocks of what was replaced go");
    assert_eq!(state.held_back(&path("/d")), None);
    assert_eq!(sync(&state, "/d", 400, &[found("a", 11, "v2")]).unwrap().removed, 3);
}

#[test]
fn a_stage_that_is_dropped_leaves_the_tree_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    data(&state);
    let tree = |state: &State| {
        let rows = dump(state).into_iter().filter(|(table, key, _)| {
            let counts = [Section::Meta as u8, Section::Freed as u8, Section::Reap as u8];
            *table != 2 || !counts.contains(&key[0])
        });
        rows.collect::<Vec<_>>()
    };
    let before = tree(&state);
    second(&state);
    run(&state, 300, Change::DropStage(JOB)).unwrap();
    run(&state, 301, Change::Reap(100)).unwrap();
    assert_eq!(tree(&state), before, "nothing is left over");
    let freed = state.freed(None, 9).unwrap();
    assert_eq!(freed.len(), 3, "the blocks of the three staged files go: {freed:?}");
    assert_eq!(run(&state, 302, Change::DropStage(JOB)), Ok(Outcome::Done), "once is enough");
    assert_eq!(publish(&state, 310), Err(ErrorKind::NotFound));
}

#[test]
fn below_a_stage_the_under_store_is_not_followed_and_what_users_do_wins() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    data(&state);
    let d = second(&state);
    let later = [found("a", 12, "v3")];
    assert_eq!(sync(&state, "/d", 230, &later), Err(ErrorKind::FailedPrecondition));
    assert_eq!(sync(&state, "/d/sub", 230, &later), Err(ErrorKind::FailedPrecondition));
    assert_eq!(sync(&state, "/", 230, &[]).unwrap(), Synced::default(), "the directory stays");
    assert_eq!(begin(&state, "/d/sub", 8), Err(ErrorKind::FailedPrecondition));
    assert_eq!(begin(&state, "/", 8), Err(ErrorKind::FailedPrecondition));
    assert_eq!(begin(&state, "/d", JOB), Ok(Outcome::Done), "it goes on");

    // Made here since the last listing: neither replaced nor removed.
    run(&state, 240, create_file("/d/e")).unwrap();
    run(&state, 241, complete("/d/e", 3, PersistenceState::Persisted)).unwrap();
    run(&state, 242, create_file("/d/new")).unwrap();
    let e = id(&state, "/d/e");
    // Removed here since: the listing has it still.
    run(&state, 243, delete("/d/b", false)).unwrap();
    assert_eq!(publish(&state, 230), Err(ErrorKind::Aborted));
    assert_eq!(names(&state, "/d"), ["a", "e", "new", "sub"], "nothing of it has happened");
    assert_eq!(state.inode(&path("/d/a")).unwrap().file().unwrap().length, 10);
    let again =
        [found("a", 11, "v2"), found("e", 7, "v1"), found("new", 0, ""), found("sub", 0, "")];
    stage(&state, d, 241, &again).unwrap_err();
    stage(&state, d, 244, &again).unwrap();
    publish(&state, 244).unwrap();
    assert_eq!(state.inode(&path("/d/a")).unwrap().file().unwrap().length, 11);
    assert!(state.inode(&path("/d/new")).unwrap().file().is_some(), "it is being written");
    assert_ne!(id(&state, "/d/e"), e, "listed after it was written, it is another version");
}

#[test]
fn a_stage_follows_a_store_that_goes_on_changing_and_has_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    data(&state);
    let d = second(&state);
    let third =
        [found("a", 10, "v1"), found("b", 20, "v1"), found("e", 8, "v2"), found("sub", 0, "")];
    let synced = stage(&state, d, 230, &third).unwrap();
    assert_eq!((synced.added, synced.removed), (1, 3), "a, b and the directory are as they were");
    assert_eq!(stage(&state, id(&state, "/d/sub"), 231, &[]).unwrap().removed, 1);
    assert_eq!(stage(&state, id(&state, "/"), 232, &[]), Err(ErrorKind::NotFound));
    let many: Vec<_> = (0..5).map(|i| found(&format!("x{i}"), 1, "v1")).collect();
    assert_eq!(stage(&state, d, 240, &many), Err(ErrorKind::ResourceExhausted));
    publish(&state, 250).unwrap();
    assert_eq!(names(&state, "/d"), ["a", "b", "e", "sub"]);
    assert!(names(&state, "/d/sub").is_empty());
    run(&state, 260, create_file("/file")).unwrap();
    assert_eq!(begin(&state, "/file", 9), Err(ErrorKind::NotDirectory));
    run(&state, 261, mount("/d/m", "s3://b")).unwrap();
    assert_eq!(begin(&state, "/d", 9), Err(ErrorKind::FailedPrecondition));
}

#[test]
fn a_directory_that_is_another_one_by_now_is_not_switched() {
    let dir = tempfile::tempdir().unwrap();
    let state = initialized(dir.path());
    data(&state);
    second(&state);
    run(&state, 230, rename("/d", "/old")).unwrap();
    assert_eq!(publish(&state, 240), Err(ErrorKind::NotFound));
    run(&state, 250, make_directory("/d", true)).unwrap();
    assert_eq!(publish(&state, 260), Err(ErrorKind::FailedPrecondition));
    // Who begins anew has nothing of that.
    begin(&state, "/d", JOB).unwrap();
    publish(&state, 280).unwrap();
    assert!(names(&state, "/d").is_empty());
    assert_eq!(names(&state, "/old"), ["a", "b", "sub"]);
    assert_eq!(state.freed(None, 9).unwrap().len(), 2, "a and e, whose directory is another");
}
