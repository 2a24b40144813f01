//! What every store that takes writes promises. Each leaves the store empty.

use super::{all as whole, get, list, names, put};
use goosefs::core::error::ErrorKind;
use goosefs::ufs::{Attributes, Ufs};
use std::time::Duration;

/// Names that break what is careless about encodings.
pub const ODD: [&str; 9] =
    ["a b", "100%", "a+b&c=d", "ünïcode-文件", "%41", "quote\"'<>", "a?b#c", "~tilde;,", "[x]{y}"];

pub async fn all(ufs: &Ufs) {
    an_object_is_read_back_whole_and_in_ranges(ufs).await;
    a_large_object_is_written_in_parts(ufs).await;
    odd_names_are_kept(ufs).await;
    directories_exist_while_they_hold_something_or_are_made(ufs).await;
    a_long_listing_is_whole(ufs).await;
    another_version_is_not_read(ufs).await;
    what_is_given_up_leaves_nothing(ufs).await;
    files_and_directories_are_renamed(ufs).await;
    deleting_what_is_not_there_is_fine(ufs).await;
}

async fn an_object_is_read_back_whole_and_in_ranges(ufs: &Ufs) {
    let written = put(ufs, "dir/file", "0123456789").await;
    let found = ufs.status("dir/file").await.unwrap();
    assert_eq!(
        (found.name.as_str(), found.length, found.folder, found.exact),
        ("dir/file", 10, false, true)
    );
    assert_eq!((written.length, &written.version), (10, &found.version));
    assert!(!found.version.is_empty() && found.modified_ms > 1_600_000_000_000);
    for version in [None, Some(found.version.as_str())] {
        for (range, bytes) in [
            (0..u64::MAX, "0123456789"),
            (0..10, "0123456789"),
            (3..7, "3456"),
            (7..100, "789"),
            (9..10, "9"),
            (10..11, ""),
            (50..60, ""),
            (4..4, ""),
        ] {
            let read = get(ufs, "dir/file", version, range.clone()).await.unwrap();
            assert_eq!(String::from_utf8(read).unwrap(), bytes, "{range:?} {version:?}");
        }
    }
    put(ufs, "dir/empty", "").await;
    assert_eq!(whole(ufs, "dir/empty").await.unwrap(), b"");
    assert_eq!(ufs.status("dir/empty").await.unwrap().length, 0);
    for missing in ["nothing", "dir/nothing", "dir/file2"] {
        assert_eq!(ufs.status(missing).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(whole(ufs, missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    ufs.delete_dir("dir").await.unwrap();
}

async fn a_large_object_is_written_in_parts(ufs: &Ufs) {
    let content: Vec<u8> =
        (0..20_000_003u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let written = put(ufs, "large", &content).await;
    assert!(whole(ufs, "large").await.unwrap() == content);
    let middle = get(ufs, "large", Some(&written.version), 8_388_600..8_388_700).await.unwrap();
    assert_eq!(middle, content[8_388_600..8_388_700]);
    ufs.delete("large").await.unwrap();
}

async fn odd_names_are_kept(ufs: &Ufs) {
    for name in ODD {
        put(ufs, &format!("odd/{name}"), name).await;
    }
    let mut expected = ODD.map(String::from);
    expected.sort();
    assert_eq!(names(ufs, "odd").await.unwrap(), expected);
    for name in ODD {
        assert_eq!(whole(ufs, &format!("odd/{name}")).await.unwrap(), name.as_bytes());
    }
    ufs.rename("odd", "odd +%41 ü", true).await.unwrap();
    assert_eq!(names(ufs, "odd +%41 ü").await.unwrap(), expected);
    ufs.delete_dir("odd +%41 ü").await.unwrap();
}

async fn directories_exist_while_they_hold_something_or_are_made(ufs: &Ufs) {
    assert_eq!(names(ufs, "").await.unwrap(), [""; 0]);
    assert_eq!(names(ufs, "no").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(ufs.status("").await.unwrap().folder);
    ufs.create_dir("a/empty", &Attributes::default()).await.unwrap();
    ufs.create_dir("a/empty", &Attributes::default()).await.unwrap();
    put(ufs, "a/b/c", "x").await;
    for dir in ["a", "a/empty", "a/b"] {
        let found = ufs.status(dir).await.unwrap();
        assert!(found.folder && found.length == 0 && found.exact, "{found:?}");
    }
    assert_eq!(names(ufs, "a/empty").await.unwrap(), [""; 0]);
    let found = list(ufs, "a").await.unwrap();
    let found: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.folder)).collect();
    assert_eq!(found, [("b", true), ("empty", true)]);
    let listed = list(ufs, "a/b").await.unwrap().remove(0);
    let asked = ufs.status("a/b/c").await.unwrap();
    assert_eq!((&listed.version, listed.length, listed.exact), (&asked.version, 1, true));
    ufs.delete_dir("a").await.unwrap();
    assert_eq!(names(ufs, "").await.unwrap(), [""; 0]);
}

async fn a_long_listing_is_whole(ufs: &Ufs) {
    let writes = (0..2100).map(|n| async move {
        put(ufs, &format!("many/{n:05}"), "x").await;
    });
    futures::StreamExt::for_each_concurrent(futures::stream::iter(writes), 32, |w| w).await;
    put(ufs, "many/sub/x", "x").await;
    let found = names(ufs, "many").await.unwrap();
    assert_eq!(found.len(), 2101);
    assert_eq!(
        (found[0].as_str(), found[2099].as_str(), found[2100].as_str()),
        ("00000", "02099", "sub")
    );
    ufs.delete_dir("many").await.unwrap();
    assert_eq!(names(ufs, "many").await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn another_version_is_not_read(ufs: &Ufs) {
    let old = put(ufs, "file", "old").await;
    let new = put(ufs, "file", "new").await;
    assert_ne!(old.version, new.version);
    let error = get(ufs, "file", Some(&old.version), 0..3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert_eq!(get(ufs, "file", Some(&new.version), 0..3).await.unwrap(), b"new");
    ufs.delete("file").await.unwrap();
    let gone = get(ufs, "file", Some(&new.version), 0..3).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

async fn what_is_given_up_leaves_nothing(ufs: &Ufs) {
    put(ufs, "kept", "old").await;
    for bytes in [10, 20 << 20] {
        for path in ["kept", "new"] {
            let mut writer = ufs.create(path, &Attributes::default()).await.unwrap();
            writer.write(vec![1; bytes].into()).await.unwrap();
            // Not to be seen before it is closed, either.
            assert_eq!(names(ufs, "").await.unwrap(), ["kept"]);
            drop(writer);
        }
    }
    // What is given up is cleaned up behind our back, soon.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(names(ufs, "").await.unwrap(), ["kept"]);
    assert_eq!(whole(ufs, "kept").await.unwrap(), b"old");
    ufs.delete("kept").await.unwrap();
}

async fn files_and_directories_are_renamed(ufs: &Ufs) {
    put(ufs, "from/file", "1").await;
    put(ufs, "to/other", "2").await;
    ufs.rename("from/file", "to/sub/file", false).await.unwrap();
    assert_eq!(whole(ufs, "to/sub/file").await.unwrap(), b"1");
    assert_eq!(ufs.status("from/file").await.unwrap_err().kind(), ErrorKind::NotFound);
    ufs.rename("to/sub/file", "to/other", false).await.unwrap();
    assert_eq!(whole(ufs, "to/other").await.unwrap(), b"1");
    put(ufs, "to/deep/er/x", "3").await;
    ufs.create_dir("to/empty", &Attributes::default()).await.unwrap();
    ufs.rename("to", "moved/here", true).await.unwrap();
    assert_eq!(whole(ufs, "moved/here/deep/er/x").await.unwrap(), b"3");
    assert!(ufs.status("moved/here/empty").await.unwrap().folder);
    assert_eq!(ufs.status("to").await.unwrap_err().kind(), ErrorKind::NotFound);
    let missing = ufs.rename("to", "nowhere", true).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    let missing = ufs.rename("nothing", "nowhere", false).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    ufs.delete_dir("from").await.unwrap();
    ufs.delete_dir("moved").await.unwrap();
}

async fn deleting_what_is_not_there_is_fine(ufs: &Ufs) {
    ufs.delete("nothing").await.unwrap();
    ufs.delete_dir("nothing").await.unwrap();
    assert_eq!(ufs.delete_dir("").await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}
