//! Several masters under faults: ten clients make, rename, delete, stat and list the same few names
//! while something happens to the masters. All that they were told must be what one tree, doing one
//! thing after the other, could have told them; nothing acknowledged may be lost, nothing done twice.
//!
//! ```text
//! matrix (what happens) → arena (masters, clients) → clients → history → checker, balance
//! ```
//!
//! `make test` runs a short set. `make e2e` runs all of it, with at least fifty kills of the primary,
//! and prints a table.

mod arena;
mod checker;
mod clients;
mod history;
mod matrix;

use arena::{Arena, Row};
use matrix::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Kills of the primary in the long run.
const KILLS: usize = 50;

/// Lets `strike` happen to what `begin` sets up; none where it cannot be set up here.
fn prove(fault: &str, begin: fn() -> Option<Arena>, strike: impl Fn(&mut Arena)) -> Option<Row> {
    let mut arena = begin()?;
    strike(&mut arena);
    Some(arena.end(fault))
}

/// The same for a test.
fn test(begin: fn() -> Option<Arena>, strikes: &[fn(&mut Arena)]) {
    let strike = |arena: &mut Arena| strikes.iter().for_each(|strike| strike(arena));
    let Some(row) = prove("all of these", begin, strike) else { return };
    println!("{}\n{row}", Row::heading());
    assert!(row.is_clean(), "{row:#?}");
}

#[test]
fn kills_of_masters_lose_nothing_and_are_a_pause() {
    test(plain, &[kill_of_a_standby, kill_of_the_primary, kill_of_two, kill_of_the_primary]);
}

#[test]
fn a_primary_that_was_paused_serves_nothing_old() {
    test(plain, &[short_pause_of_the_primary]);
}

#[test]
fn a_primary_that_is_cut_off_serves_nothing_old() {
    test(apart, &[partition_with_clients, one_way_partition_from_the_primary]);
}

#[test]
fn a_primary_that_hears_nobody_makes_way() {
    test(apart, &[one_way_partition_to_the_primary, isolation_of_the_primary]);
}

#[test]
fn an_emptied_master_gets_all_from_the_others_and_is_relied_upon_again() {
    test(forgetful, &[emptied_standby, emptied_primary]);
}

#[test]
fn masters_are_replaced_and_restarted_under_load() {
    test(plain, &[change_of_membership, rolling_restart]);
}

#[test]
fn one_master_becomes_three_and_one_again_while_it_serves() {
    test(alone, &[growth_and_shrinking]);
}

#[test]
fn clocks_that_jump_repeat_nothing() {
    test(plain, &[clock_jumps]);
}

/// One fault of the long run: what it is called, what it happens to, what happens.
type Fault = (&'static str, fn() -> Option<Arena>, fn(&mut Arena));

const MATRIX: &[Fault] = &[
    ("kill of a standby", plain, kill_of_a_standby),
    ("kill of two of three", plain, kill_of_two),
    ("primary stopped for 10 s", plain, pause_of_the_primary),
    ("primary and others cut off, both ways", apart, partition_of_the_primary),
    ("primary cut off from all, both ways", apart, isolation_of_the_primary),
    ("primary not heard by the others", apart, one_way_partition_from_the_primary),
    ("primary does not hear the others", apart, one_way_partition_to_the_primary),
    ("clients cut off with the old primary", apart, partition_with_clients),
    ("slow disk, primary then standby", plain, slow_disk),
    ("full disk of the primary", small_disks, full_disk_of_the_primary),
    ("full disk of a standby", small_disks, full_disk_of_a_standby),
    ("emptied standby", forgetful, emptied_standby),
    ("emptied primary", forgetful, emptied_primary),
    ("change of membership", plain, change_of_membership),
    ("one master becomes three and one again", alone, growth_and_shrinking),
    ("rolling restart", plain, rolling_restart),
    ("clocks jump by an hour", plain, clock_jumps),
];

#[test]
#[ignore = "the long run, by make e2e"]
fn the_whole_matrix() {
    // A part of it, for whoever looks for one thing.
    let only = std::env::var("FAULT").unwrap_or_default();
    let mut rows = Vec::new();
    let mut row = |name: &str, begin, strike: &dyn Fn(&mut Arena)| {
        if !name.contains(&only) {
            return;
        }
        let proved = AssertUnwindSafe(|| prove(name, begin, strike));
        match catch_unwind(proved).unwrap_or_else(|_| Some(Row::broken(name))) {
            Some(row) => {
                eprintln!("{row}");
                row.wrong.iter().for_each(|wrong| eprintln!("  {wrong}"));
                rows.push(row);
            }
            None => eprintln!("{name:<44} SKIPPED"),
        }
    };
    eprintln!("{}", Row::heading());
    row("kill of the primary", plain, &|arena| {
        (0..KILLS).for_each(|_| kill_of_the_primary(arena));
    });
    for (name, begin, strike) in MATRIX {
        row(name, *begin, strike);
    }
    println!("{}", Row::heading());
    rows.iter().for_each(|row| println!("{row}"));
    let bad: Vec<&str> =
        rows.iter().filter(|row| !row.is_clean()).map(|row| row.fault.as_str()).collect();
    assert!(bad.is_empty(), "not survived: {bad:?}");
}
