use super::*;
use crate::core::model::FileId;

const KEEP: Duration = Duration::from_secs(60);

fn inodes() -> Inodes {
    Inodes::new(FsPath::parse("/data").unwrap(), KEEP, 1000)
}

fn known(path: &str, container: u64) -> Known {
    let status = Status {
        id: FileId::from_container(container),
        path: FsPath::parse(path).unwrap(),
        ..Status::default()
    };
    Known { status, uid: 0, gid: 0 }
}

fn place(inodes: &Inodes, parent: u64, path: &str, container: u64) -> u64 {
    let known = known(path, container);
    let name = known.status.name().to_string();
    inodes.place((parent, &name), known, inodes.ticket(), 1).ino
}

fn fresh(inodes: &Inodes, parent: u64, name: &str) -> Option<u64> {
    match inodes.child(parent, name) {
        Child::Fresh(found) => Some(found.ino),
        Child::Absent | Child::Unknown => None,
    }
}

#[test]
fn numbers_follow_from_ids_and_paths_from_numbers() {
    let inodes = inodes();
    let a = place(&inodes, ROOT, "/data/a", 10);
    let b = place(&inodes, a, "/data/a/b", 11);
    assert_eq!(a, number(FileId::from_container(10)));
    assert_eq!(inodes.path(b).unwrap().as_str(), "/data/a/b");
    assert_eq!(inodes.path(ROOT).unwrap().as_str(), "/data");
    assert_eq!(inodes.path_of(b, "c").unwrap().as_str(), "/data/a/b/c");
    assert_eq!(inodes.parent(b), a);
    assert_eq!(inodes.path(999).unwrap_err(), Errno::STALE);
    assert_eq!(inodes.path_of(ROOT, &"x".repeat(256)).unwrap_err(), Errno::NAME_TOO_LONG);
}

#[test]
fn renaming_a_directory_moves_what_is_below() {
    let inodes = inodes();
    let a = place(&inodes, ROOT, "/data/a", 10);
    let b = place(&inodes, a, "/data/a/b", 11);
    inodes.renamed((ROOT, "a"), (ROOT, "z"));
    assert_eq!(inodes.path(b).unwrap().as_str(), "/data/z/b");
    assert!(inodes.known(b).is_none(), "its status names the old path");
}

#[test]
fn a_file_that_is_replaced_is_another_inode_and_the_old_one_is_stale() {
    let inodes = inodes();
    let old = place(&inodes, ROOT, "/data/f", 10);
    let new = place(&inodes, ROOT, "/data/f", 20);
    assert_ne!(old, new);
    assert_eq!(inodes.path(old).unwrap_err(), Errno::STALE);
    assert_eq!(fresh(&inodes, ROOT, "f"), Some(new));
}

#[test]
fn a_deleted_file_that_is_open_is_known_until_the_kernel_lets_go() {
    let inodes = inodes();
    let f = place(&inodes, ROOT, "/data/f", 10);
    inodes.removed(ROOT, "f");
    assert!(inodes.known(f).is_none() && inodes.deleted(f).is_some());
    inodes.changed(&FsPath::parse("/data/f").unwrap(), false);
    assert!(inodes.deleted(f).is_some());
    inodes.forget(f, 1);
    assert!(inodes.deleted(f).is_none());
}

#[test]
fn a_file_that_is_replaced_through_this_mount_keeps_its_number() {
    let inodes = inodes();
    let f = place(&inodes, ROOT, "/data/f", 10);
    let id = |container| FileId::from_container(container);
    inodes.published(f, id(20));
    assert!(inodes.known(f).is_none(), "what was known is of the old version");
    assert_eq!(place(&inodes, ROOT, "/data/f", 20), f);
    inodes.published(f, id(30));
    assert_eq!(place(&inodes, ROOT, "/data/f", 30), f);
    assert_ne!(inodes.number_of(id(20)), f, "that version is gone for good");
    // Whoever has it open keeps it, and others find the same file under another number.
    inodes.renumber(f);
    let other = place(&inodes, ROOT, "/data/f", 30);
    assert!(other != f && inodes.path(f).is_err() && inodes.path(other).is_ok());
    inodes.forget(f, 9);
    assert_eq!(place(&inodes, ROOT, "/data/f", 30), other);
    inodes.removed(ROOT, "f");
    inodes.forget(other, 9);
    assert_ne!(inodes.number_of(id(30)), other, "forgotten with the inode");
}

#[test]
fn a_change_is_dropped_here_and_named_for_the_kernel() {
    let inodes = inodes();
    let a = place(&inodes, ROOT, "/data/a", 10);
    let f = place(&inodes, a, "/data/a/f", 11);
    let stale = inodes.changed(&FsPath::parse("/data/a/f").unwrap(), false);
    assert!(stale.contains(&Stale::Listing(a)), "its listing: {stale:?}");
    assert!(stale.contains(&Stale::Inode(f)));
    assert!(stale.contains(&Stale::Name(a, "f".into())));
    assert!(inodes.known(f).is_none());
    let elsewhere = inodes.changed(&FsPath::parse("/other/f").unwrap(), true);
    assert!(elsewhere.is_empty());
    place(&inodes, a, "/data/a/f", 11);
    let above = inodes.changed(&FsPath::root(), true);
    assert!(above.contains(&Stale::Inode(f)) && inodes.known(f).is_none());
}

#[test]
fn an_answer_that_a_change_overtook_is_used_once_and_not_kept() {
    let inodes = inodes();
    let ticket = inodes.ticket();
    inodes.changed(&FsPath::parse("/data/f").unwrap(), false);
    let found = inodes.place((ROOT, "f"), known("/data/f", 10), ticket, 1);
    assert!(found.trusted.is_zero());
    assert!(inodes.known(found.ino).is_none());
    let listing = inodes.place_listing(ROOT, vec![known("/data/f", 10)], ticket);
    assert!(listing.trusted().is_zero() && inodes.listing(ROOT).is_none());
}

#[test]
fn a_listing_answers_lookups_also_of_what_is_not_there() {
    let inodes = inodes();
    let children = vec![known("/data/b", 20), known("/data/a", 10)];
    let listing = inodes.place_listing(ROOT, children, inodes.ticket());
    assert_eq!(listing.entries.iter().map(|e| &*e.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(listing.after(0).len(), 2);
    assert_eq!(listing.after(listing.entries[0].ino).len(), 1);
    assert!(fresh(&inodes, ROOT, "a").is_some());
    assert!(matches!(inodes.child(ROOT, "c"), Child::Absent));
    inodes.changed(&FsPath::parse("/data/c").unwrap(), false);
    assert!(matches!(inodes.child(ROOT, "c"), Child::Unknown));
}

#[test]
fn what_nobody_holds_goes_and_what_the_kernel_holds_stays() {
    let inodes = Inodes::new(FsPath::root(), Duration::ZERO, 1000);
    let a = place(&inodes, ROOT, "/a", 10);
    let b = place(&inodes, a, "/a/b", 11);
    inodes.sweep();
    assert_eq!(inodes.table.lock().nodes.len(), 3);
    inodes.forget(a, 1);
    inodes.sweep();
    assert_eq!(inodes.path(b).unwrap().as_str(), "/a/b", "b needs a to know its path");
    inodes.forget(b, 1);
    inodes.sweep();
    assert_eq!(inodes.table.lock().nodes.len(), 1);
}

#[test]
fn the_kernel_is_told_when_a_listing_it_caches_has_expired() {
    let inodes = Inodes::new(FsPath::root(), Duration::ZERO, 1000);
    inodes.place_listing(ROOT, vec![known("/a", 10)], inodes.ticket());
    assert_eq!(inodes.sweep(), [Stale::Listing(ROOT)]);
    assert_eq!(inodes.sweep(), []);
}

#[test]
fn beyond_the_limit_less_is_kept_but_everything_is_answered() {
    let inodes = Inodes::new(FsPath::root(), KEEP, 10);
    let children = (0..100).map(|i| known(&format!("/f{i}"), 100 + i)).collect();
    let listing = inodes.place_listing(ROOT, children, inodes.ticket());
    assert_eq!(listing.entries.len(), 100);
    let remembered = listing.entries.iter().filter(|e| inodes.known(e.ino).is_some()).count();
    assert_eq!(remembered, 10);
}

#[test]
fn a_version_made_here_stays_what_it_is_when_others_rename_it() {
    let inodes = inodes();
    let a = place(&inodes, ROOT, "/data/a", 9);
    let f = place(&inodes, a, "/data/a/f", 10);
    inodes.published(f, FileId::from_container(11));
    // Nobody holds it any more; and a listing shows where it is now.
    inodes.forget(f, 1);
    let listing = inodes.place_listing(ROOT, vec![known("/data/g", 11)], inodes.ticket());
    assert_eq!(listing.after(0).first().map(|entry| entry.ino), Some(f));
    assert!(inodes.is_version(f, FileId::from_container(11)));
    assert_eq!(inodes.path(f).unwrap().as_str(), "/data/g");
}
