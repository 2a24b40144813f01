//! Files that have a number of copies to be cached: they are filled where copies are missing, and
//! dropped where there are too many.
//!
//! The master does not know who holds a block, so it asks: whoever ought to have one is sent it to
//! load, and passes over it when it is there; whoever ought not is told to drop it. All such files
//! are gone through, from an index of their own, when one of them changes, and every now and then,
//! since copies are evicted too; when the ring changes, only what that gives to somebody new.

use super::{Jobs, MOST_BLOCKS, Share};
use crate::core::error::{ErrorKind, Result};
use crate::core::model::{FileId, Ring, Status, WorkerId};
use crate::core::proto::v1;
use crate::core::proto::v1::task::Kind;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the tasks of this belong to; no job has this number.
pub(super) const REPLICATION: i64 = -1;
/// How often all files are looked at, though nothing changed.
const AGAIN: Duration = Duration::from_secs(600);
/// Files looked at in one step.
const PAGE: usize = 1_000;
/// Tasks that wait at a worker, beyond which nothing more is given out.
const BACKLOG: usize = 4;

/// Where the going through is.
#[derive(Default)]
pub(super) struct Pass {
    /// Goes on after this file; none while there is nothing to do.
    at: Option<FileId>,
    /// Whether everything is asked for, or only what the ring gives to others than before.
    all: bool,
    /// The ring of the last pass that came to its end, and that of this one.
    before: Option<Arc<Ring>>,
    ring: Arc<Ring>,
    /// What the index counted when this pass began.
    version: u64,
    ended: Option<Instant>,
}

impl Pass {
    /// Begins to go through the files if something has changed.
    fn begin_if_due(&mut self, ring: &Arc<Ring>, version: u64) {
        let changed = self.version != version || self.before.is_none();
        let late = self.ended.is_none_or(|ended| ended.elapsed() > AGAIN);
        let other_ring = !Arc::ptr_eq(&self.ring, ring);
        if self.at.is_some() && !changed && !other_ring || ring.workers().is_empty() {
            return;
        }
        if changed || late || other_ring {
            // A pass that was under way begins anew.
            self.all |= changed || late;
            self.at = Some(FileId(0));
            self.version = version;
            self.ring = ring.clone();
        }
    }

    fn end(&mut self) {
        self.before = Some(self.ring.clone());
        self.at = None;
        self.all = false;
        self.ended = Some(Instant::now());
    }
}

impl Jobs {
    /// Takes one step. To be called about once a second.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn replicate(&self) -> Result<()> {
        let (files, ring) = (&self.inner.files, self.inner.workers.ring());
        let mut pass = self.inner.pass.lock();
        pass.begin_if_due(&ring, files.state().replicated_version());
        let Some(after) = pass.at else { return Ok(()) };
        let busy = |id: &WorkerId| self.inner.desk.lock().board.queued(*id) >= BACKLOG;
        if ring.workers().iter().any(|worker| busy(&worker.id)) {
            return Ok(());
        }
        let page = files.state().replicated(Some(after), PAGE)?;
        let (mut loads, mut drops) = (Share::new(), HashMap::new());
        for &id in &page {
            match files.by_id(id) {
                Ok(status) => pass.look_at(&status, &mut loads, &mut drops),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        match page.last() {
            Some(&last) if page.len() == PAGE => pass.at = Some(last),
            _ => pass.end(),
        }
        drop(pass);
        for (worker, blocks) in loads {
            for blocks in blocks.chunks(MOST_BLOCKS) {
                let task = v1::LoadTask { blocks: blocks.to_vec(), verify: false };
                self.place(worker, REPLICATION, Kind::Load(task), 0);
            }
        }
        for (worker, block_ids) in drops {
            self.place(worker, REPLICATION, Kind::Drop(v1::DropTask { block_ids }), 0);
        }
        Ok(())
    }
}

impl Pass {
    /// Who is to load and who is to drop what of a file.
    fn look_at(&self, status: &Status, loads: &mut Share, drops: &mut HashMap<WorkerId, Vec<i64>>) {
        let bounds = status.replication();
        if !status.is_persisted() || !status.completed {
            return;
        }
        for index in 0..status.block_count() {
            let block = status.block(index);
            let had = self.before.as_ref().filter(|_| !self.all);
            let had = had.map(|ring| ring.owners(block.id, bounds.min as usize, |_| false));
            for owner in self.ring.owners(block.id, bounds.min as usize, |_| false) {
                let known = had.as_ref().is_some_and(|had| had.iter().any(|w| w.id == owner.id));
                if !known {
                    loads.entry(owner.id).or_default().push(super::load::block_of(status, index));
                }
            }
            let Some(max) = bounds.max else { continue };
            let keep = self.ring.owners(block.id, max as usize, |_| false);
            for worker in self.ring.workers() {
                if !keep.iter().any(|kept| kept.id == worker.id) {
                    drops.entry(worker.id).or_default().push(block.id.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::replication::{MAX, MIN};
    use crate::core::model::{PersistenceState, WorkerAddress, WorkerInfo};

    fn ring(ids: impl IntoIterator<Item = WorkerId>) -> Arc<Ring> {
        Arc::new(Ring::new(ids.into_iter().map(|id| WorkerInfo {
            id,
            address: WorkerAddress { host: format!("h{id}"), ..Default::default() },
            virtual_nodes: 100,
            live: true,
            ..Default::default()
        })))
    }

    fn file(bounds: &[(&str, &str)]) -> Status {
        let xattr = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
        Status {
            id: FileId::from_container(7),
            length: 10,
            block_size: 10,
            completed: true,
            persistence: PersistenceState::Persisted,
            xattrs: bounds.iter().map(xattr).collect(),
            ..Default::default()
        }
    }

    fn asked(pass: &Pass, status: &Status) -> (Vec<WorkerId>, Vec<WorkerId>) {
        let (mut loads, mut drops) = (Share::new(), HashMap::new());
        pass.look_at(status, &mut loads, &mut drops);
        let sorted =
            |ids: Vec<WorkerId>| ids.into_iter().collect::<std::collections::BTreeSet<_>>();
        let (loads, drops) = (loads.into_keys().collect(), drops.into_keys().collect());
        (sorted(loads).into_iter().collect(), sorted(drops).into_iter().collect())
    }

    #[test]
    fn a_pass_asks_those_who_ought_to_have_copies_and_those_who_ought_not() {
        let mut pass = Pass::default();
        let ring4 = ring(1..=4);
        pass.begin_if_due(&ring4, 1);
        let bounded = file(&[(MIN, "2"), (MAX, "2")]);
        let (loads, drops) = asked(&pass, &bounded);
        assert_eq!((loads.len(), drops.len()), (2, 2));
        assert!(loads.iter().all(|id| !drops.contains(id)));
        assert_eq!(asked(&pass, &file(&[(MIN, "2")])), (loads.clone(), vec![]));
        let writing = Status { persistence: PersistenceState::NotPersisted, ..bounded.clone() };
        assert_eq!(asked(&pass, &writing), (vec![], vec![]));
        pass.end();
        pass.begin_if_due(&ring4, 1);
        assert_eq!(pass.at, None, "nothing has changed");

        // A worker is lost: only whoever takes its place is asked.
        let lost = loads[0];
        let ring3 = ring((1..=4).filter(|&id| id != lost));
        pass.begin_if_due(&ring3, 1);
        let (new, _) = asked(&pass, &bounded);
        assert_eq!(new.len(), 1);
        assert!(!loads.contains(&new[0]));
        pass.end();
        pass.begin_if_due(&ring3, 2);
        assert_eq!(asked(&pass, &bounded).0.len(), 2, "a file has changed");
    }
}
