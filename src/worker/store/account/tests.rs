//! Quotas and priorities in a real store.

use super::super::Pins;
use super::super::tests::{config, data, fill, write};
use super::*;
use crate::core::metrics::Metrics;
use crate::core::model::{FileId, Media};
use std::time::{Duration, UNIX_EPOCH};

const GOLD: MountId = 2;
const SAND: MountId = 3;

fn store(root: &std::path::Path, dirs: &[(&str, &str, u64)]) -> Arc<BlockStore> {
    BlockStore::open(&config(root, dirs), &Metrics::default()).unwrap()
}

/// Fills a block of `length` bytes of a mount; says whether it could.
fn cache(store: &Arc<BlockStore>, mount: MountId, id: i64, length: usize) -> Result<Arc<Block>> {
    let block = store.begin(BlockId(id), length as u64, "v1", mount)?;
    for (index, page) in data(length, id as u8).chunks(1000).enumerate() {
        let page = bytes::Bytes::copy_from_slice(page);
        store.put_pages(&block, index, &[vec![page]])?;
    }
    Ok(block)
}

fn allow(mount: MountId, quota: Option<u64>, priority: Priority) -> Allowance {
    Allowance { mount, name: format!("/ns{mount}"), quota, priority }
}

fn used(store: &BlockStore, mount: MountId) -> u64 {
    let all = store.usage_by_mount();
    all.into_iter().find(|(id, _)| *id == mount).map_or(0, |(_, bytes)| bytes)
}

fn has(store: &BlockStore, ids: impl IntoIterator<Item = i64>) -> Vec<i64> {
    ids.into_iter().filter(|&id| store.peek(BlockId(id)).is_some()).collect()
}

#[test]
fn a_mount_at_its_quota_makes_room_among_its_own_blocks_only() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 100_000)]);
    store.allow(&[allow(SAND, Some(5000), Priority::Normal)]);
    (1..=10).for_each(|id| drop(cache(&store, GOLD, id, 2000).unwrap()));
    for id in 101..=120 {
        cache(&store, SAND, id, 2000).unwrap();
        assert!(used(&store, SAND) <= 5000);
    }
    assert_eq!(has(&store, 1..=10).len(), 10);
    assert_eq!((used(&store, GOLD), used(&store, SAND)), (20_000, 4000));
    let error = cache(&store, SAND, 200, 5001).unwrap_err();
    assert!(
        error.to_string().contains("/ns3") && error.to_string().contains("cacheQuota"),
        "{error}"
    );
    assert!(store.peek(BlockId(200)).is_none(), "what can never fit is not begun");
}

#[test]
fn what_has_moved_to_another_worker_goes_before_what_has_not() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 100_000)]);
    store.allow(&[allow(SAND, Some(20_000), Priority::Normal)]);
    (1..=10).for_each(|id| drop(cache(&store, SAND, id, 2000).unwrap()));
    cache(&store, GOLD, 11, 2000).unwrap();
    // The hottest moved first.
    (6..=11).for_each(|id| {
        store.get(BlockId(id), 0).unwrap();
        store.is_elsewhere(BlockId(id));
    });
    store.tend();
    assert_eq!(has(&store, 1..=11).len(), 11, "none goes without need");
    store.allow(&[allow(SAND, Some(12_000), Priority::Normal)]);
    store.tend();
    assert_eq!(has(&store, 1..=5), [1, 2, 3, 4, 5]);
    assert_eq!((has(&store, 6..=10).len(), has(&store, [11])), (1, vec![11]));
    store.forget_elsewhere();
    store.allow(&[allow(SAND, Some(2000), Priority::Normal)]);
    store.tend();
    assert_eq!(used(&store, SAND), 2000);
}

#[test]
fn a_quota_of_nothing_keeps_nothing_and_drops_what_is_there() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 100_000)]);
    (1..=3).for_each(|id| drop(cache(&store, SAND, id, 2000).unwrap()));
    let only_copy = write(&store, 50, &data(1500, 1));
    store.belongs_to(&only_copy, SAND);
    assert_eq!(used(&store, SAND), 7500);
    store.allow(&[allow(SAND, Some(0), Priority::Normal)]);
    store.tend();
    assert_eq!(has(&store, (1..=3).chain([50])), [50], "the only copy stays");
    assert!(cache(&store, SAND, 4, 10).is_err());
    cache(&store, GOLD, 5, 10).unwrap();
    store.set_persisted(only_copy.id());
    store.tend();
    assert_eq!(used(&store, SAND), 0);
    store.allow(&[]);
    cache(&store, SAND, 4, 10).unwrap();
}

#[test]
fn what_is_pinned_counts_and_what_comes_beside_it_is_not_begun() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 100_000)]);
    store.allow(&[allow(SAND, Some(5000), Priority::Normal)]);
    let id = |file: u64| FileId::from_container(file).block(0).0;
    (1..=2).for_each(|file| drop(cache(&store, SAND, id(file), 2000).unwrap()));
    let any = |file| (FileId::from_container(file), Media::ANY);
    store.set_pins(Pins::new(vec![any(1), any(2)]));
    // The first that comes finds that nothing may go, the next one that nothing is left to ask.
    assert!(cache(&store, SAND, id(3), 2000).is_err());
    store.discard(&store.peek(BlockId(id(3))).unwrap());
    assert!(cache(&store, SAND, id(4), 2000).is_err());
    assert!(store.peek(BlockId(id(4))).is_none());
    assert_eq!(has(&store, [id(1), id(2)]).len(), 2);
    store.set_pins(Pins::default());
    cache(&store, SAND, id(4), 2000).unwrap();
}

#[test]
fn a_quota_counts_over_all_directories_and_follows_moves() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("MEM", "m", 10_000), ("SSD", "s", 100_000)]);
    store.allow(&[allow(SAND, Some(30_000), Priority::Normal)]);
    for id in 1..=40 {
        cache(&store, SAND, id, 2000).unwrap();
        store.tend();
        assert!(used(&store, SAND) <= 30_000);
    }
    assert_eq!(used(&store, SAND), store.usage().used);
    assert!(store.usage().used > 20_000, "both tiers are in use");
    assert!(store.ids().into_iter().all(|id| store.remove(id)));
    assert_eq!((used(&store, SAND), store.usage().used), (0, 0));
}

#[test]
fn a_lower_priority_goes_first_and_never_pushes_a_higher_one_out() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 20_000)]);
    (1..=5).for_each(|id| drop(cache(&store, GOLD, id, 2000).unwrap()));
    (11..=15).for_each(|id| drop(cache(&store, SAND, id, 2000).unwrap()));
    store.allow(&[allow(GOLD, None, Priority::High)]);
    (21..=30).for_each(|id| drop(cache(&store, SAND, id, 2000).unwrap()));
    assert_eq!(has(&store, 1..=5), [1, 2, 3, 4, 5]);
    (6..=10).for_each(|id| drop(cache(&store, GOLD, id, 2000).unwrap()));
    assert_eq!(has(&store, 11..=30), Vec::<i64>::new(), "all of it made way");
    assert!(cache(&store, SAND, 31, 2000).is_err());
    assert_eq!(has(&store, 1..=10).len(), 10);
    // Of one priority, they are as they were before.
    store.allow(&[]);
    cache(&store, SAND, 31, 2000).unwrap();
}

#[test]
fn what_came_without_a_name_is_asked_for_and_then_counted() {
    let temp = tempfile::tempdir().unwrap();
    let dirs = [("SSD", "a", 100_000)];
    {
        let store = store(temp.path(), &dirs);
        fill(&store, 1, &data(2500, 1));
        write(&store, 2, &data(1500, 1));
        assert_eq!(store.unknown(10), [BlockId(2)], "a filled one knows its mount");
    }
    let store = store(temp.path(), &dirs);
    let mut unknown = store.unknown(10);
    unknown.sort_unstable();
    assert_eq!(unknown, [BlockId(1), BlockId(2)]);
    assert_eq!(store.usage_by_mount(), [(0, 4000)]);
    assert!(store.unknown(10).is_empty());
    store.still_unknown(unknown);
    store.learn_owners(store.unknown(10).into_iter().map(|id| (id, SAND)));
    assert_eq!(store.usage_by_mount(), [(SAND, 4000)]);
    store.allow(&[allow(SAND, Some(2000), Priority::Normal)]);
    store.tend();
    assert_eq!(has(&store, 1..=2), [2]);
}

#[test]
fn what_came_since_the_start_stays_before_what_was_there_whoevers_that_turns_out_to_be() {
    let full = [
        allow(SAND, None, Priority::Normal),
        allow(SAND, None, Priority::High),
        allow(SAND, Some(20_000), Priority::Normal),
    ];
    for allowance in full {
        let temp = tempfile::tempdir().unwrap();
        let dirs = [("SSD", "a", 20_000)];
        {
            let store = store(temp.path(), &dirs);
            for id in 1..=9 {
                let path = cache(&store, SAND, id, 2000).unwrap().path();
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_modified(UNIX_EPOCH + Duration::from_secs(id as u64)).unwrap();
            }
        }
        let store = store(temp.path(), &dirs);
        store.allow(&[allowance]);
        assert!(store.keep(&cache(&store, SAND, 11, 2000).unwrap()));
        store.learn_owners(store.unknown(10).into_iter().map(|id| (id, SAND)));
        assert_eq!(store.usage_by_mount(), [(SAND, 20_000)]);
        for id in 12..=19 {
            assert!(store.keep(&cache(&store, SAND, id, 2000).unwrap()));
            assert_eq!(has(&store, 1..=9), (id - 10..=9).collect::<Vec<_>>());
        }
        assert_eq!(has(&store, 11..=19).len(), 9);
    }
}

#[test]
fn what_somebody_wants_while_it_is_about_to_go_stays() {
    let temp = tempfile::tempdir().unwrap();
    let store = store(temp.path(), &[("SSD", "a", 100_000)]);
    (1..=2).for_each(|id| drop(cache(&store, SAND, id, 2000).unwrap()));
    let victim = || match store.next_victim(&store.dirs[0], None, From::UpTo(Priority::High)) {
        Next::Victim(block) => block,
        _ => panic!("one may go"),
    };
    let (wanted, other) = (victim(), victim());
    assert!(store.keep(&wanted));
    assert_eq!((store.drop_victim(&wanted), store.drop_victim(&other)), (0, 2000));
    assert!(!store.keep(&other), "it has gone");
    assert!(wanted.open().is_ok());
    assert_eq!(store.drop_victim(&victim()), 2000);
    assert_eq!((store.count(), store.usage().used), (0, 0));
}
