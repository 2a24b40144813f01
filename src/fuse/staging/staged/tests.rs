use super::*;
use crate::client::{FileSystem, OpenOptions};
use crate::core::config::Config;
use crate::core::model::Status;
use crate::fuse::staging::left_in;

/// Reads the version `id`, which nobody is asked for here.
fn version(id: i64, length: u64) -> Reader {
    let files = FileSystem::connect(&Config::with(&[]).unwrap());
    let status = Status {
        id: FileId(id),
        length,
        block_size: 1 << 20,
        completed: true,
        ..Status::default()
    };
    files.open_status(status, &OpenOptions::default()).unwrap()
}

fn base(staged: &Staged) -> (i64, u64) {
    let state = staged.state.lock();
    let base = state.base.as_ref().unwrap();
    (base.reader.status().id.0, base.end)
}

#[tokio::test]
async fn a_published_version_that_could_not_be_asked_for_is_read_once_it_can_be() {
    let temp = tempfile::tempdir().unwrap();
    let home = Home::make(temp.path(), 1 << 30, "c").unwrap();
    let staged = Arc::new(Staged::new(&home, Some(version(7, 1000)), 5).unwrap());
    staged.write(1000, Bytes::from_static(b"behind")).await.unwrap();
    assert_eq!((staged.missing(), staged.outdated()), (1000, None));
    staged.published(staged.changes(), FileId(9), None);
    // Until then nothing says that the old version has what is not here.
    assert_eq!((base(&staged), staged.outdated()), ((7, 1006), Some(FileId(9))));
    staged.write(0, Bytes::from_static(b"again")).await.unwrap();
    staged.save(|| Record::new("c", "/f", 0)).await.unwrap();
    let left = left_in(&home.dir);
    assert_eq!(left[0].record.base.as_ref().unwrap().id, 9);
    staged.truncate(500).await.unwrap();
    staged.renew(version(9, 1006));
    assert_eq!((base(&staged), staged.outdated(), staged.missing()), ((9, 500), None, 495));
    staged.published(staged.changes(), FileId(11), Some(version(11, 500)));
    assert_eq!((base(&staged), staged.outdated()), ((11, 500), None));
}

#[tokio::test]
async fn there_is_no_more_room_than_the_limit_whoever_asks() {
    let temp = tempfile::tempdir().unwrap();
    let home = Home::make(temp.path(), 100, "c").unwrap();
    let staged = Arc::new(Staged::new(&home, None, 5).unwrap());
    staged.write(0, Bytes::from_static(&[1; 60])).await.unwrap();
    assert_eq!(staged.write(60, Bytes::from_static(&[1; 60])).await, Err(Errno(libc::ENOSPC)));
    // What was refused is not counted.
    staged.write(60, Bytes::from_static(&[1; 40])).await.unwrap();
    assert_eq!(staged.length(), 100);
}

#[tokio::test]
async fn what_was_cut_off_after_it_was_made_durable_is_not_found_by_the_next_mount() {
    let temp = tempfile::tempdir().unwrap();
    let home = Home::make(temp.path(), 1 << 30, "c").unwrap();
    let staged = Arc::new(Staged::new(&home, Some(version(7, 1000)), 5).unwrap());
    staged.write(900, Bytes::from_static(b"saved")).await.unwrap();
    staged.save(|| Record::new("c", "/f", 0)).await.unwrap();
    let adopted = || {
        let left = left_in(&home.dir).pop().unwrap();
        let base = left.record.base.as_ref().map(|base| version(base.id, 1000));
        std::mem::ManuallyDrop::new(Staged::adopt(&home, &left, base).unwrap())
    };
    staged.truncate(500).await.unwrap();
    staged.truncate(1000).await.unwrap();
    let plan = adopted().state.lock().plan(0..1000);
    assert_eq!(plan, [(0..500, Source::Base), (500..1000, Source::Nowhere)]);
    staged.truncate(0).await.unwrap();
    staged.write(0, Bytes::from_static(b"anew")).await.unwrap();
    assert!(adopted().is_whole() && adopted().length() == 4);
    // Killed before it was cut.
    let mut record = staged.state.lock().saved.clone().unwrap();
    record.cut = Some(1);
    staged.record(record).unwrap();
    assert_eq!((left_in(&home.dir)[0].length, adopted().length()), (1, 1));
}

#[tokio::test]
async fn what_goes_into_holes_is_counted_and_what_is_written_over_not_twice() {
    const MIB: usize = 1 << 20;
    let temp = tempfile::tempdir().unwrap();
    let home = Home::make(temp.path(), 8 << 20, "c").unwrap();
    let staged = Arc::new(Staged::new(&home, None, 5).unwrap());
    staged.truncate(1 << 30).await.unwrap();
    let bytes = Bytes::from(vec![1; MIB]);
    for _ in 0..40 {
        staged.write(0, bytes.clone()).await.unwrap();
    }
    let mut written = 1;
    while staged.write(written * 2 * MIB as u64, bytes.clone()).await.is_ok() {
        written += 1;
        assert!(written <= 8, "more than the limit");
    }
    assert!(written >= 7, "{written}");
}

#[tokio::test]
async fn who_still_has_what_was_left_open_writes_elsewhere() {
    let temp = tempfile::tempdir().unwrap();
    let home = Home::make(temp.path(), 1 << 30, "c").unwrap();
    let staged = Arc::new(Staged::new(&home, None, 5).unwrap());
    staged.write(0, Bytes::from_static(b"synced")).await.unwrap();
    staged.truncate(1 << 20).await.unwrap();
    staged.write(1 << 20, Bytes::from_static(b"end")).await.unwrap();
    staged.save(|| Record::new("c", "/f", 0)).await.unwrap();
    let left = left_in(&home.dir).remove(0);
    let old = staged.data.clone();
    left.detach().await.unwrap();
    old.write_all_at(b"torn!!", 0).unwrap();
    assert_eq!(left.read(0, 6).await.unwrap(), "synced");
    assert_eq!(left.read((1 << 20) - 1, 4).await.unwrap(), "\0end");
    // Nobody else has the copy.
    let inode = || own::metadata(&left.data()).unwrap().ino();
    let copy = inode();
    left.detach().await.unwrap();
    assert_eq!(inode(), copy);
}
