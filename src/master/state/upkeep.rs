//! Changes that no user asks for by name: operations told apart from their retries, workers, what
//! is left of deleted subtrees, records of others.

use super::namespace::{locations, set_persistence};
use super::store::{Stop, id_in};
use super::transaction::Transaction;
use crate::core::error::invalid_argument;
use crate::core::model::{FileId, PersistenceState, WorkerId};
use crate::master::inode::Inode;
use crate::master::inode::keys::{Section, number, time};
use crate::master::journal::entry::{
    Entry, OperationId, Outcome, PutRecord, RecordKey, RegisterWorker,
};
use std::collections::BTreeSet;
use std::ops::Bound;

/// Expired operations are looked for when time has moved on by this much: often enough that the
/// work never piles up, seldom enough that the look itself costs nothing.
const FORGET_EVERY_MS: i64 = 250;
/// The most that are forgotten at one entry.
const FORGET_AT_ONCE: usize = 4096;

/// Carries out `change`, unless its operation has been carried out before: then the outcome is the
/// one it had.
pub(super) fn once(
    tx: &mut Transaction,
    entry: &Entry,
    change: impl FnOnce(&mut Transaction) -> Result<Outcome, Stop>,
) -> Result<Outcome, Stop> {
    let Some(operation) = entry.operation else { return change(tx) };
    let now = tx.steady_ms();
    let expires_ms = now + (operation.expires_ms - entry.at_ms);
    let key = Section::Operations.key(&[&operation.id]);
    if let Some((expires_ms, outcome)) = tx.rest::<(i64, Outcome)>(&key)?
        && expires_ms > now
    {
        return Ok(outcome);
    }
    let outcome = change(tx)?;
    if expires_ms > now {
        tx.set_rest(key, &(expires_ms, &outcome));
        tx.put_rest(expiry_key(expires_ms, &operation.id), Some(Vec::new()));
    }
    forget(tx, now)?;
    Ok(outcome)
}

fn expiry_key(ms: i64, id: &OperationId) -> Vec<u8> {
    Section::OperationExpiry.key(&[&time(ms), id])
}

/// Forgets operations that nobody will retry any more. Starts where it ended, so that it never
/// wades through what it removed before.
fn forget(tx: &mut Transaction, now: i64) -> Result<(), Stop> {
    if now < tx.counters.forgotten_ms + FORGET_EVERY_MS {
        return Ok(());
    }
    let start = Section::OperationExpiry.key(&[&time(tx.counters.forgotten_ms)]);
    let end = Section::OperationExpiry.key(&[&time(now)]);
    let expired = tx.scan(Bound::Included(&start), &end, FORGET_AT_ONCE)?;
    let whole = expired.len() < FORGET_AT_ONCE;
    tx.counters.forgotten_ms = match expired.last() {
        Some((key, _)) if !whole => number(key, 1),
        _ => now,
    };
    for (key, _) in expired {
        let operation = Section::Operations.key(&[&key[9..]]);
        // A retry that came after the expiry has put a new row in its place.
        if tx.rest::<(i64, Outcome)>(&operation)?.is_some_and(|(expires, _)| expires < now) {
            tx.put_rest(operation, None);
        }
        tx.put_rest(key, None);
    }
    Ok(())
}

pub(super) fn register_worker(
    tx: &mut Transaction,
    register: &RegisterWorker,
) -> Result<Outcome, Stop> {
    let address_key = |text: &str| Section::WorkerAddresses.key(&[text.as_bytes()]);
    let by_address = address_key(&register.address.to_string());
    let known = tx.rest::<WorkerId>(&by_address)?;
    let id = match register.id.filter(|id| *id > 0).or(known) {
        Some(id) => id,
        None => new_worker_id(tx)?,
    };
    let by_id = Section::Workers.of(FileId(id));
    let old = tx.rest::<crate::core::model::WorkerAddress>(&by_id)?;
    if let Some(old) = old.filter(|old| old.to_string() != register.address.to_string()) {
        tx.put_rest(address_key(&old.to_string()), None);
    }
    if let Some(other) = known.filter(|known| *known != id) {
        tx.put_rest(Section::Workers.of(FileId(other)), None);
    }
    tx.set_rest(by_id, &register.address);
    tx.set_rest(by_address, &id);
    Ok(Outcome::Worker(id))
}

/// Ids are spread over the whole range: a worker that kept its id while the master was formatted
/// should not meet another that was given the same.
fn new_worker_id(tx: &mut Transaction) -> Result<WorkerId, Stop> {
    let cluster = tx.rest::<String>(&super::cluster_key())?.unwrap_or_default();
    loop {
        tx.counters.workers += 1;
        let seed = u64::from(crc32c::crc32c(cluster.as_bytes())) << 32 | tx.counters.workers;
        let id = (scramble(seed) >> 1) as i64;
        if id > 0 && tx.rest_bytes(&Section::Workers.of(FileId(id)))?.is_none() {
            return Ok(id);
        }
    }
}

/// SplitMix64's finisher: one to one, and no pattern left.
fn scramble(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

pub(super) fn forget_worker(tx: &mut Transaction, worker: WorkerId) -> Result<Outcome, Stop> {
    let rows = tx.prefix(&Section::Locations.key(&[]))?;
    let files = rows.iter().map(|(key, _)| FileId(number(key, 1))).collect::<BTreeSet<_>>();
    let mut lost = Vec::new();
    for id in files {
        let mut whole = true;
        for (key, mut location) in locations(tx, id)? {
            if location.workers.contains(&worker) {
                location.workers.retain(|w| *w != worker);
                if location.workers.is_empty() {
                    tx.put_rest(key, None);
                } else {
                    tx.set_rest(key, &location);
                }
            }
            whole &= !location.workers.is_empty();
        }
        if whole {
            continue;
        }
        let Some((path, node)) = tx.find(id)? else { continue };
        if node.inode.file().is_some_and(|file| file.completed) && !node.inode.is_persisted() {
            let mut inode = Inode::clone(&node.inode);
            set_persistence(tx, &mut inode, PersistenceState::Lost, 0)?;
            tx.update(&node, inode);
            tx.notice(&path, false);
            lost.push(id);
        }
    }
    Ok(Outcome::Lost(lost))
}

/// Takes the next `limit` inodes of deleted subtrees apart.
pub(super) fn reap(tx: &mut Transaction, limit: u32) -> Result<Outcome, Stop> {
    let mut inodes = 0;
    while inodes < limit {
        let Some((directory, after)) = next_deleted(tx)? else {
            return Ok(Outcome::Reaped { inodes, more: false });
        };
        // The name in the row keeps this from wading through what it removed before.
        let after = (!after.is_empty()).then_some(after);
        let wanted = (limit - inodes) as usize;
        let children = tx.children(directory, after.as_deref(), wanted)?;
        // The directory itself counts too, or a million empty ones would be one entry's work.
        inodes += 1 + children.len() as u32;
        let key = Section::Reap.of(directory);
        match children.last() {
            Some(last) if children.len() == wanted => {
                let name = last.place.name().to_string();
                tx.set_rest(key, &name);
            }
            _ => tx.put_rest(key, None),
        }
        for child in children {
            tx.remove(&child)?;
        }
    }
    let more = next_deleted(tx)?.is_some();
    Ok(Outcome::Reaped { inodes, more })
}

/// The next deleted directory, and the last name of it that was taken apart.
fn next_deleted(tx: &mut Transaction) -> Result<Option<(FileId, String)>, Stop> {
    let start = Section::Reap.of(FileId(tx.counters.reap_from));
    let next = tx.scan(Bound::Included(&start), &Section::Reap.end(), 1)?.pop();
    let Some((key, value)) = next else { return Ok(None) };
    let directory = id_in(Section::Reap, &key);
    tx.counters.reap_from = directory.0;
    Ok(Some((directory, super::store::decode(&value, "a name")?)))
}

pub(super) fn blocks_freed(tx: &mut Transaction, files: &[FileId]) -> Result<Outcome, Stop> {
    for file in files {
        let key = Section::Freed.of(*file);
        if tx.rest_bytes(&key)?.is_some() {
            tx.put_rest(key, None);
        }
    }
    let start = Section::Freed.of(FileId(tx.counters.freed_from));
    let first = tx.scan(Bound::Included(&start), &Section::Freed.end(), 1)?.pop();
    let last = files.iter().max().map_or(0, |file| file.0 + 1);
    tx.counters.freed_from = match first {
        Some((key, _)) => id_in(Section::Freed, &key).0,
        None => tx.counters.freed_from.max(last),
    };
    Ok(Outcome::Done)
}

/// The key of a record. Tables are told apart by a zero byte, which no table's name has.
pub(super) fn record_key(table: &str, key: &[u8]) -> Vec<u8> {
    Section::Records.key(&[table.as_bytes(), &[0], key])
}

pub(super) fn put_record(tx: &mut Transaction, put: &PutRecord) -> Result<Outcome, Stop> {
    let RecordKey { table, key } = &put.key;
    if table.is_empty() || table.contains('\0') {
        return Err(invalid_argument(format!("{table:?} is no name of a table")).into());
    }
    tx.put_rest(record_key(table, key), Some(put.value.clone()));
    Ok(Outcome::Done)
}

pub(super) fn delete_record(tx: &mut Transaction, key: &RecordKey) -> Result<Outcome, Stop> {
    tx.put_rest(record_key(&key.table, &key.key), None);
    Ok(Outcome::Done)
}
