//! The store as its users see it: what is committed stays, what is not leaves nothing behind.

use super::*;
use crate::core::config::{StoreDir, StoreDirs, StoreQuota};
use crate::core::model::ByteSize;
use std::path::Path;

const PAGE: usize = 1000;

pub(super) fn config(root: &Path, dirs: &[(&str, &str, u64)]) -> config::Worker {
    let mut worker = config::Config::with(&[]).unwrap().worker;
    worker.page_size = ByteSize(PAGE as u64);
    // Far below the high one, for blocks of which ten fill a directory.
    worker.watermark_low = config::Share(0.8);
    let dir = |&(medium, name, quota): &(&str, &str, u64)| StoreDir {
        medium: medium.into(),
        path: root.join(name),
        quota: StoreQuota::Bytes(ByteSize(quota)),
    };
    worker.dirs = StoreDirs(dirs.iter().map(dir).collect());
    worker
}

pub(super) fn open_on(config: &config::Worker) -> Arc<BlockStore> {
    BlockStore::open(config, &Metrics::default()).unwrap()
}

fn open(root: &Path) -> Arc<BlockStore> {
    BlockStore::open(&config(root, &[("SSD", "a", 100_000)]), &Metrics::default()).unwrap()
}

pub(super) fn data(length: usize, seed: u8) -> Bytes {
    (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

pub(super) fn write(store: &Arc<BlockStore>, id: i64, data: &Bytes) -> Arc<Block> {
    let mut writing = store.write(BlockId(id), data.len() as u64).unwrap();
    data.chunks(333).for_each(|piece| writing.append(&[Bytes::copy_from_slice(piece)]).unwrap());
    writing.commit().unwrap()
}

pub(super) fn fill(store: &Arc<BlockStore>, id: i64, data: &Bytes) -> Arc<Block> {
    let block = store.begin(BlockId(id), data.len() as u64, "v1", 1).unwrap();
    for (index, page) in data.chunks(PAGE).enumerate() {
        store.put_pages(&block, index, &[vec![Bytes::copy_from_slice(page)]]).unwrap();
    }
    block
}

pub(super) fn read(block: &Block) -> Result<Bytes> {
    let file = block.open()?;
    let mut buffer = vec![0; block.length() as usize];
    block.read(&file, 0, &mut buffer)?;
    Ok(buffer.into())
}

fn files_in(path: &Path) -> usize {
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files_in(&path) } else { 1 }
    };
    std::fs::read_dir(path).unwrap().map(count).sum()
}

#[test]
fn a_committed_block_is_read_back_and_survives_the_process() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = data(2500, 1);
    {
        let store = open(temp.path());
        assert_eq!(read(&write(&store, 7, &bytes)).unwrap(), bytes);
        fill(&store, 8, &bytes);
        assert_eq!(store.usage().unpersisted, 2500);
    }
    let store = open(temp.path());
    let (written, filled) = (store.get(BlockId(7), 0).unwrap(), store.get(BlockId(8), 0).unwrap());
    assert!(written.is_unpersisted() && !filled.is_unpersisted());
    assert_eq!(filled.version(), "v1");
    assert_eq!((read(&written).unwrap(), read(&filled).unwrap()), (bytes.clone(), bytes));
    assert_eq!(store.usage(), Usage { capacity: 100_000, used: 5000, unpersisted: 2500 });
}

#[test]
fn what_is_not_committed_leaves_nothing_behind() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let mut writing = store.write(BlockId(7), 100).unwrap();
    writing.append(&[data(700, 1)]).unwrap();
    assert_eq!(store.usage().used, 700);
    drop(writing);
    assert!(store.get(BlockId(7), 0).is_none());
    assert_eq!((store.usage().used, files_in(temp.path())), (0, 1), "the lock alone");
}

#[test]
fn the_second_commit_of_a_block_wins_and_readers_of_the_first_go_on() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let first = write(&store, 7, &data(1500, 1));
    let file = first.open().unwrap();
    write(&store, 7, &data(1200, 2));
    assert_eq!(read(&store.get(BlockId(7), 0).unwrap()).unwrap(), data(1200, 2));
    let mut buffer = vec![0; 1500];
    first.read(&file, 0, &mut buffer).unwrap();
    assert_eq!(buffer, data(1500, 1));
    assert_eq!(store.usage().used, 1200);
    drop((first, store));
    assert_eq!(read(&open(temp.path()).get(BlockId(7), 0).unwrap()).unwrap(), data(1200, 2));
}

#[test]
fn after_a_crash_a_torn_fill_is_dropped_and_a_torn_write_never_was() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let whole = fill(&store, 1, &data(2000, 1));
    let torn = store.begin(BlockId(2), 2000, "v1", 1).unwrap();
    store.put_pages(&torn, 1, &[vec![data(PAGE, 2)]]).unwrap();
    let mut writing = store.write(BlockId(3), 10).unwrap();
    writing.append(&[data(10, 3)]).unwrap();
    // As kill -9 leaves it: nothing of what is in memory is written, nothing is cleaned up.
    std::mem::forget(writing);
    drop((whole, torn, store));
    let lock = temp.path().join("a/lock");
    std::fs::rename(&lock, temp.path().join("a/old")).unwrap();
    let store = open(temp.path());
    assert_eq!(store.count(), 1);
    assert!(store.get(BlockId(1), 0).is_some());
    assert_eq!(store.usage().used, 2000);
}

#[test]
fn pages_of_a_half_filled_block_are_kept_when_they_are_saved() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let block = store.begin(BlockId(2), 2500, "v1", 1).unwrap();
    store.put_pages(&block, 1, &[vec![data(PAGE, 2)]]).unwrap();
    store.save_partial();
    drop((block, store));
    let store = open(temp.path());
    let block = store.get(BlockId(2), 0).unwrap();
    assert!(!block.is_whole() && block.has_page(1) && !block.has_page(0));
    assert_eq!(store.usage().used, PAGE as u64);
    store.put_pages(&block, 0, &[vec![data(PAGE, 1)]]).unwrap();
    store.put_pages(&block, 2, &[vec![data(500, 3)]]).unwrap();
    assert!(block.is_whole());
    let bytes = read(&block).unwrap();
    assert_eq!((&bytes[..PAGE], &bytes[2000..]), (&data(PAGE, 1)[..], &data(500, 3)[..]));
}

#[test]
fn a_flipped_bit_and_a_truncated_file_are_noticed_when_read() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let block = fill(&store, 1, &data(2500, 1));
    let mut bytes = std::fs::read(block.path()).unwrap();
    bytes[1700] ^= 1;
    std::fs::write(block.path(), &bytes).unwrap();
    assert_eq!(read(&block).unwrap_err().kind(), ErrorKind::DataLoss);
    let file = block.open().unwrap();
    block.read(&file, 0, &mut vec![0; PAGE]).unwrap();
    drop((file, block, store));
    // In a new process a part of a page is enough to notice.
    let store = open(temp.path());
    let block = store.get(BlockId(1), 0).unwrap();
    let file = block.open().unwrap();
    let part = block.read(&file, 1100, &mut [0; 10]).unwrap_err();
    assert!(part.to_string().contains("page 1"), "{part}");
    assert!(block.verify(&file).is_err());
    drop(file);
    std::fs::File::options().write(true).open(block.path()).unwrap().set_len(99).unwrap();
    assert_eq!(block.open().unwrap_err().kind(), ErrorKind::DataLoss);
    drop((block, store));
    assert!(open(temp.path()).get(BlockId(1), 0).is_none(), "it can be had again");
}

#[test]
fn the_only_copy_is_kept_whatever_became_of_it() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let (a, b) = (write(&store, 1, &data(1500, 1)), write(&store, 2, &data(1500, 2)));
    std::fs::remove_file(a.site().table_path()).unwrap();
    std::fs::File::options().write(true).open(b.path()).unwrap().set_len(99).unwrap();
    drop((a, b, store));
    let store = open(temp.path());
    assert_eq!(read(&store.get(BlockId(1), 0).unwrap()).unwrap(), data(1500, 1));
    let damaged = store.get(BlockId(2), 0).unwrap();
    assert_eq!(read(&damaged).unwrap_err().kind(), ErrorKind::DataLoss);
}

#[test]
fn the_coldest_cached_blocks_make_room_and_unpersisted_ones_never() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("MEM", "a", 10_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    for id in 1..=8 {
        fill(&store, id, &data(1000, 1));
    }
    (0..2).for_each(|_| drop(store.get_whole(BlockId(1)).unwrap()));
    write(&store, 9, &data(1600, 1));
    assert_eq!(store.count(), 9, "a write does not wait while there is room");
    store.tend();
    assert_eq!(store.usage().used, 7600, "down to the low watermark");
    assert!(store.peek(BlockId(1)).is_some(), "asked for lately");
    assert!(store.peek(BlockId(2)).is_none(), "the coldest");
    write(&store, 10, &data(8000, 1));
    let kept: Vec<bool> = (1..=10).map(|id| store.peek(BlockId(id)).is_some()).collect();
    assert_eq!(kept.iter().filter(|kept| **kept).count(), 2, "{kept:?}");
    let full = store.write(BlockId(11), 100).and_then(|mut w| w.append(&[data(1000, 1)]));
    assert_eq!(full.unwrap_err().kind(), ErrorKind::ResourceExhausted);
    store.set_persisted(BlockId(10));
    write(&store, 11, &data(1000, 1));
    assert!(store.peek(BlockId(10)).is_none() && store.peek(BlockId(9)).is_some());
}

#[test]
fn blocks_of_pinned_files_are_passed_over_and_can_go_again_once_unpinned() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("MEM", "a", 10_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    let block = |file: u64| FileId::from_container(file).block(0).0;
    (1..=8).for_each(|file| drop(fill(&store, block(file), &data(1000, 1))));
    let any = |file: u64| (FileId::from_container(file), crate::core::model::Media::ANY);
    store.set_pins(Pins::new(vec![any(2), any(1)]));
    write(&store, block(9), &data(7000, 1));
    let kept: Vec<bool> = (1..=8).map(|id| store.peek(BlockId(block(id))).is_some()).collect();
    assert!(kept[0] && kept[1] && !kept[2], "{kept:?}");
    let full = store.write(BlockId(block(10)), 100).and_then(|mut w| w.append(&[data(2000, 1)]));
    assert!(full.unwrap_err().to_string().contains("unpin"));
    store.set_pins(Pins::default());
    write(&store, block(10), &data(2000, 1));
    assert!(store.peek(BlockId(block(1))).is_none());
}

#[test]
fn what_somebody_has_open_is_passed_over() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("SSD", "a", 10_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    for id in 1..=8 {
        fill(&store, id, &data(1000, 1));
    }
    let lent = store.peek(BlockId(1)).unwrap().open_anew().unwrap();
    let held = Held::new(store.peek(BlockId(2)).unwrap());
    write(&store, 9, &data(8000, 1));
    assert_eq!(store.count(), 3);
    assert!(store.peek(BlockId(1)).is_some() && store.peek(BlockId(2)).is_some());
    let full = store.write(BlockId(10), 100).and_then(|mut w| w.append(&[data(1000, 1)]));
    assert!(full.unwrap_err().to_string().contains("in use"));
    drop((lent, held));
    write(&store, 10, &data(2000, 1));
    assert!(store.peek(BlockId(1)).is_none() && store.peek(BlockId(2)).is_none());
}

fn two_tiers(root: &Path) -> Arc<BlockStore> {
    let config = config(root, &[("MEM", "mem", 10_000), ("SSD", "ssd", 100_000)]);
    BlockStore::open(&config, &Metrics::default()).unwrap()
}

#[test]
fn what_leaves_memory_moves_down_and_readers_go_on() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    for id in 1..=9 {
        fill(&store, id, &data(1000, id as u8));
    }
    let only_copy = write(&store, 10, &data(900, 10));
    store.tend();
    assert_eq!(store.count(), 10, "nothing went away");
    let (mem, ssd) = (temp.path().join("mem"), temp.path().join("ssd"));
    let moved: Vec<i64> = (1..=9).filter(|&id| in_dir(&store, id, &ssd)).collect();
    assert_eq!(moved, [1, 2]);
    assert_eq!((store.dirs[0].used(), store.dirs[1].used()), (7900, 2000));
    assert!(only_copy.path().starts_with(&mem));
    for id in 1..=9 {
        assert_eq!(read(&store.peek(BlockId(id)).unwrap()).unwrap(), data(1000, id as u8));
    }
    drop((only_copy, store));
    let store = two_tiers(temp.path());
    assert_eq!((store.count(), store.dirs[1].used()), (10, 2000));
    assert_eq!(files_in(&ssd), 1 + 2 * 2, "the lock, two blocks and their tables");
}

fn in_dir(store: &BlockStore, id: i64, dir: &Path) -> bool {
    store.peek(BlockId(id)).unwrap().path().starts_with(dir)
}

#[test]
fn the_only_copies_move_down_when_nothing_else_can_make_room() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    for id in 1..=4 {
        let mut writing = store.write(BlockId(id), 2400).unwrap();
        writing.append(&[data(2400, id as u8)]).unwrap();
        writing.commit().unwrap();
    }
    assert_eq!(store.dirs[0].used(), 9600);
    store.tend();
    assert!(store.dirs[0].used() <= 8000, "{}", store.dirs[0].used());
    assert_eq!(store.usage().unpersisted, 9600);
    drop(store);
    let store = two_tiers(temp.path());
    for id in 1..=4 {
        let block = store.peek(BlockId(id)).unwrap();
        assert!(block.is_unpersisted());
        assert_eq!(read(&block).unwrap(), data(2400, id as u8));
        store.set_persisted(BlockId(id));
    }
}

#[test]
fn a_damaged_only_copy_does_not_keep_the_others_from_moving_down() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    (1..=8).for_each(|id| drop(write(&store, id, &data(1200, id as u8))));
    for id in 1..=6 {
        let path = store.peek(BlockId(id)).unwrap().path();
        std::fs::write(path, data(1200, 99)).unwrap();
    }
    store.tend();
    let ssd = temp.path().join("ssd");
    let moved: Vec<i64> = (1..=8).filter(|&id| in_dir(&store, id, &ssd)).collect();
    assert_eq!(moved, [7, 8]);
    assert_eq!(store.usage().unpersisted, 8 * 1200);
}

#[test]
fn a_hot_block_moves_up_at_the_cost_of_colder_ones() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    for id in 1..=9 {
        fill(&store, id, &data(1000, id as u8));
    }
    fill(&store, 20, &data(3000, 20));
    let (mem, ssd) = (temp.path().join("mem"), temp.path().join("ssd"));
    assert!(in_dir(&store, 20, &ssd), "it did not fit above");
    (0..4).for_each(|_| drop(store.get_whole(BlockId(20)).unwrap()));
    store.tend();
    assert!(in_dir(&store, 20, &mem));
    assert_eq!(store.count(), 10);
    assert!(in_dir(&store, 1, &ssd), "the coldest made room");
    assert_eq!(read(&store.peek(BlockId(20)).unwrap()).unwrap(), data(3000, 20));
}

#[test]
fn the_only_copy_stays_on_its_disk_however_hot_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    (1..=9).for_each(|id| drop(fill(&store, id, &data(1000, id as u8))));
    write(&store, 20, &data(3000, 20));
    let (mem, ssd) = (temp.path().join("mem"), temp.path().join("ssd"));
    assert!(in_dir(&store, 20, &ssd), "it did not fit above");
    let read_often = || (0..4).for_each(|_| drop(store.get_whole(BlockId(20)).unwrap()));
    read_often();
    store.tend();
    assert!(in_dir(&store, 20, &ssd), "memory is emptied by a power cut");
    store.set_persisted(BlockId(20));
    read_often();
    store.tend();
    assert!(in_dir(&store, 20, &mem));
}

#[test]
fn a_block_does_not_move_into_a_directory_that_was_lost_meanwhile() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    let block = fill(&store, 1, &data(2500, 1));
    let ssd = store.dirs[1].clone();
    let copy = Site { dir: ssd.clone(), ..block.site() };
    ssd.lose("its disk fails".into());
    assert!(!store.switch(&block, copy, Space::of(&ssd, 2500), false));
    assert_eq!((read(&block).unwrap(), ssd.used()), (data(2500, 1), 0));
}

#[test]
fn a_written_block_that_moved_after_it_was_persisted_is_no_only_copy_again() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    let block = write(&store, 1, &data(1000, 1));
    store.set_persisted(BlockId(1));
    (2..=9).for_each(|id| drop(fill(&store, id, &data(1000, id as u8))));
    fill(&store, 10, &data(900, 10));
    store.tend();
    assert!(in_dir(&store, 1, &temp.path().join("ssd")), "the coldest");
    // As a power cut can leave it: neither file was synced.
    std::fs::remove_file(block.site().table_path()).unwrap();
    std::fs::File::options().write(true).open(block.path()).unwrap().set_len(0).unwrap();
    drop((block, store));
    let store = two_tiers(temp.path());
    assert!(store.peek(BlockId(1)).is_none(), "it can be had again");
    assert_eq!(store.usage().unpersisted, 0);
}

#[test]
fn of_two_equal_copies_that_a_broken_move_left_the_faster_one_stays() {
    let temp = tempfile::tempdir().unwrap();
    let store = two_tiers(temp.path());
    let block = fill(&store, 1, &data(2500, 1));
    let site = block.site();
    // As after kill -9 between the rename of the copy and the removal of the file before.
    let later = Name { generation: site.name.generation + 1, ..site.name };
    let ssd = store.dirs[1].clone();
    std::fs::copy(site.data_path(), ssd.data_path(site.origin, later)).unwrap();
    std::fs::copy(site.table_path(), ssd.table_path(site.origin, later)).unwrap();
    drop((block, site, ssd, store));
    let store = two_tiers(temp.path());
    assert!(in_dir(&store, 1, &temp.path().join("mem")));
    assert_eq!((store.usage().used, files_in(&temp.path().join("ssd"))), (2500, 1));
}

#[test]
fn a_damaged_page_alone_is_forgotten_and_the_rest_stays() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let block = fill(&store, 1, &data(2500, 1));
    let file = std::fs::File::options().write(true).open(block.path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"bad", 1700).unwrap();
    let error = read(&block).unwrap_err();
    assert_eq!(store.examine(&block, &error), Damage::Lost(1));
    assert!(!block.is_whole() && block.has_page(0) && !block.has_page(1));
    assert_eq!(store.usage().used, 1500);
    store.put_pages(&block, 1, &[vec![data(2500, 1).slice(PAGE..2 * PAGE)]]).unwrap();
    assert!(block.is_whole());
    assert_eq!((read(&block).unwrap(), store.usage().used), (data(2500, 1), 2500));
    let only_copy = write(&store, 2, &data(1500, 2));
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::File::options().write(true).open(only_copy.path()).unwrap(),
        b"bad",
        7,
    )
    .unwrap();
    let error = read(&only_copy).unwrap_err();
    assert_eq!(store.examine(&only_copy, &error), Damage::OnlyCopy);
    assert!(only_copy.is_whole());
}

#[test]
fn a_directory_that_is_gone_is_left_out_and_taken_back() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("SSD", "a", 10_000), ("HDD", "b", 10_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    store.set_cluster("ours").unwrap();
    fill(&store, 1, &data(1000, 1));
    let only_copy = write(&store, 2, &data(1000, 2));
    let (there, gone) = (temp.path().join("a"), temp.path().join("gone"));
    std::fs::rename(&there, &gone).unwrap();
    assert!(read(&store.peek(BlockId(1)).unwrap()).is_err());
    store.check_dirs();
    assert_eq!(store.lost_dirs(), [there.display().to_string()]);
    assert!(store.peek(BlockId(1)).is_none(), "read elsewhere");
    assert!(store.peek(BlockId(2)).is_some() && read(&only_copy).is_err());
    assert_eq!(store.usage(), Usage { capacity: 10_000, used: 0, unpersisted: 1000 });
    fill(&store, 3, &data(1000, 3));
    assert!(in_dir(&store, 3, &temp.path().join("b")));
    // An empty folder in its place, as of a disk that is not mounted, is not ours to fill.
    std::fs::create_dir(&there).unwrap();
    store.check_dirs();
    assert_eq!((store.lost_dirs().len(), files_in(&there)), (1, 0));
    std::fs::remove_dir(&there).unwrap();
    std::fs::rename(&gone, &there).unwrap();
    std::fs::write(there.join("cluster"), "theirs").unwrap();
    store.check_dirs();
    assert_eq!(store.lost_dirs().len(), 1, "another cluster's");
    std::fs::write(there.join("cluster"), "ours").unwrap();
    store.check_dirs();
    assert!(store.lost_dirs().is_empty());
    assert_eq!(read(&store.peek(BlockId(1)).unwrap()).unwrap(), data(1000, 1));
    assert_eq!(read(&only_copy).unwrap(), data(1000, 2));
    assert_eq!(store.usage(), Usage { capacity: 20_000, used: 3000, unpersisted: 1000 });
}

#[test]
fn a_write_begins_in_another_directory_when_the_first_has_failed() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("SSD", "a", 10_000), ("HDD", "b", 10_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    std::fs::remove_dir(temp.path().join("a/tmp")).unwrap();
    write(&store, 1, &data(1000, 1));
    assert!(in_dir(&store, 1, &temp.path().join("b")));
    assert_eq!(store.lost_dirs().len(), 1);
}

#[test]
fn one_directory_that_cannot_be_used_is_left_out_and_none_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("file"), "").unwrap();
    let dirs = [("SSD", "file/a", 10_000), ("SSD", "b", 10_000)];
    let store = BlockStore::open(&config(temp.path(), &dirs), &Metrics::default()).unwrap();
    assert_eq!((store.lost_dirs().len(), store.usage().capacity), (1, 10_000));
    drop(store);
    let none = BlockStore::open(&config(temp.path(), &dirs[..1]), &Metrics::default());
    assert!(none.unwrap_err().to_string().contains("goosefs.worker.dirs"));
    let twice = [("SSD", "b", 10_000), ("SSD", "b/c", 10_000)];
    let error = BlockStore::open(&config(temp.path(), &twice), &Metrics::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_write_goes_on_in_the_next_directory_when_the_first_is_full() {
    let temp = tempfile::tempdir().unwrap();
    let config = config(temp.path(), &[("MEM", "a", 3_000), ("SSD", "b", 100_000)]);
    let store = BlockStore::open(&config, &Metrics::default()).unwrap();
    let bytes = data(20_000, 1);
    let mut writing = store.write(BlockId(1), 1_000).unwrap();
    bytes.chunks(700).for_each(|piece| writing.append(&[bytes.slice_ref(piece)]).unwrap());
    let block = writing.commit().unwrap();
    assert!(block.path().starts_with(temp.path().join("b")));
    assert_eq!(read(&block).unwrap(), bytes);
    assert_eq!(store.dirs[0].used(), 0);
}

#[test]
fn of_two_generations_found_the_later_one_stays() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let old = write(&store, 1, &data(10, 1));
    let (path, table) = (old.path(), old.site().table_path());
    let (saved, saved_table) = (std::fs::read(&path).unwrap(), std::fs::read(&table).unwrap());
    write(&store, 1, &data(12, 2));
    assert!(!path.exists());
    drop((old, store));
    // As if the process had died between the rename and the removal.
    std::fs::write(&path, saved).unwrap();
    std::fs::write(&table, saved_table).unwrap();
    let store = open(temp.path());
    assert_eq!(read(&store.get(BlockId(1), 0).unwrap()).unwrap(), data(12, 2));
    assert!(!path.exists());
    assert_eq!(store.usage().used, 12);
}
