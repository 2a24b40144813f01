//! The faults: what happens to the masters while clients are at work. Each one ends with all masters
//! there again.

use super::arena::Arena;
use crate::cluster::{Disk, End, Masters, Network, eventually};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than a primary that hears from nobody answers.
const SILENCE: Duration = Duration::from_secs(2);
/// Operations that show that the clients go on.
const SOME: usize = 150;
/// An hour, by which clocks jump.
const HOUR_MS: i64 = 3_600_000;

/// Three masters on this host.
pub fn plain() -> Option<Arena> {
    Some(Arena::new(Masters::start(3, &[]), Vec::new()))
}

/// Three masters that cut their log often, so that what one of them lacks comes as an image.
pub fn forgetful() -> Option<Arena> {
    let often = [("master.journal.checkpoint.period.entries", "300")];
    Some(Arena::new(Masters::start(3, &often), Vec::new()))
}

/// Three masters on a network that can be cut.
pub fn apart() -> Option<Arena> {
    let network = Network::new(3)?;
    Some(Arena::new(Masters::on(Some(network), 3, &[]).started(), Vec::new()))
}

/// Three masters, each with its journal on a small disk.
pub fn small_disks() -> Option<Arena> {
    let disks: Vec<Disk> = (0..3).map_while(|_| Disk::new("320m")).collect();
    let mut masters = Masters::new(3, &[]);
    for (node, disk) in masters.nodes.iter_mut().zip(&disks) {
        node.set("master.journal.folder", &disk.path("journal").display().to_string());
    }
    (disks.len() == 3).then(|| Arena::new(masters.started(), disks))
}

/// One master, as if the two others of its list had not been thought of.
pub fn alone() -> Option<Arena> {
    let mut masters = Masters::new(3, &[]);
    let own = masters.config().master.masters.0[0].clone();
    let only = format!(
        "name=m0 host={} rpc_port={} journal_port={}",
        own.host, own.rpc_port, own.journal_port
    );
    masters.nodes[0].set("masters", &only);
    masters.nodes[0].spawn();
    masters.wait_for_primary();
    Some(Arena::new(masters, Vec::new()))
}

fn others(number: usize) -> [usize; 2] {
    [(number + 1) % 3, (number + 2) % 3]
}

/// The primary is killed.
pub fn kill_of_the_primary(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    arena.kill(primary);
    arena.go_on(SOME);
    arena.revive(primary);
}

/// A standby is killed.
pub fn kill_of_a_standby(arena: &mut Arena) {
    let standby = others(arena.masters.wait_for_primary())[0];
    arena.kill(standby);
    arena.go_on(SOME);
    arena.revive(standby);
}

/// Both standbys are killed: nobody is answered until one is back.
pub fn kill_of_two(arena: &mut Arena) {
    let two = others(arena.masters.wait_for_primary());
    two.iter().for_each(|&number| arena.kill(number));
    std::thread::sleep(SILENCE);
    let before = arena.answered();
    std::thread::sleep(SILENCE);
    assert_eq!(arena.answered(), before, "one of three answers alone");
    arena.masters.nodes[two[0]].spawn();
    arena.go_on(SOME);
    arena.revive(two[1]);
}

/// The primary stops for a while, as a process that is swapped out does.
fn pause(arena: &mut Arena, pause: Duration) {
    let primary = arena.masters.wait_for_primary();
    let start = Instant::now();
    arena.masters.nodes[primary].signal("-STOP");
    arena.go_on(SOME);
    std::thread::sleep(pause.saturating_sub(start.elapsed()));
    arena.masters.nodes[primary].signal("-CONT");
    arena.go_on(SOME);
}

/// The primary stops for three seconds.
pub fn short_pause_of_the_primary(arena: &mut Arena) {
    pause(arena, Duration::from_secs(3));
}

/// The primary stops for ten seconds.
pub fn pause_of_the_primary(arena: &mut Arena) {
    pause(arena, Duration::from_secs(10));
}

/// Cuts what `cuts` gives for the primary and the others, until the clients have gone on.
fn partition(arena: &mut Arena, cuts: impl Fn(End, End) -> Vec<(End, End)>, here: bool) {
    let primary = arena.masters.wait_for_primary();
    let mut ends = others(primary).map(End::Node).to_vec();
    if here {
        ends.push(End::Here);
    }
    let all: Vec<_> = ends.iter().flat_map(|end| cuts(End::Node(primary), *end)).collect();
    let network = || arena.masters.network.as_ref().expect("a network that can be cut");
    all.iter().for_each(|(from, to)| network().cut(*from, *to));
    arena.go_on(SOME);
    // By now another one is primary, and the old one does not know.
    std::thread::sleep(SILENCE);
    arena.go_on(SOME);
    all.iter().for_each(|(from, to)| network().mend(*from, *to));
    arena.masters.wait_for_voters();
    arena.go_on(SOME);
}

/// The primary and the other masters do not hear each other; clients reach all.
pub fn partition_of_the_primary(arena: &mut Arena) {
    partition(arena, |primary, other| vec![(primary, other), (other, primary)], false);
}

/// Nobody reaches the primary, and it reaches nobody.
pub fn isolation_of_the_primary(arena: &mut Arena) {
    partition(arena, |primary, other| vec![(primary, other), (other, primary)], true);
}

/// The other masters do not hear the primary.
pub fn one_way_partition_from_the_primary(arena: &mut Arena) {
    partition(arena, |primary, other| vec![(primary, other)], false);
}

/// The primary does not hear the other masters.
pub fn one_way_partition_to_the_primary(arena: &mut Arena) {
    partition(arena, |primary, other| vec![(other, primary)], false);
}

/// The primary and the other masters do not hear each other, and two clients know only the old one.
pub fn partition_with_clients(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    for _ in 0..2 {
        let files = arena.masters.connect_only(primary);
        arena.clients.add(&arena.runtime, files);
    }
    arena.go_on(SOME);
    partition_of_the_primary(arena);
}

/// A standby loses its disk, and is then needed for a quorum.
pub fn emptied_standby(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    let [victim, _] = others(primary);
    arena.kill(victim);
    arena.masters.empty(victim);
    arena.go_on(500);
    arena.revive(victim);
    arena.kill(primary);
    arena.go_on(SOME);
    let text = arena.masters.nodes[victim].log_text();
    assert!(text.contains("took over the state"), "{}", arena.masters.logs());
    arena.revive(primary);
}

/// The primary loses its disk.
pub fn emptied_primary(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    arena.kill(primary);
    arena.masters.empty(primary);
    arena.go_on(SOME);
    arena.revive(primary);
    arena.go_on(SOME);
}

/// A command about the quorum.
fn quorum(arena: &Arena, words: &[&str]) {
    arena.masters.ok(&[&["fsadmin", "journal", "quorum"], words].concat());
}

/// Starts a master that has no journal, and adds it.
fn add(arena: &mut Arena, number: usize) {
    arena.masters.nodes[number].spawn();
    let journal = arena.masters.config().master.masters.0[number].journal();
    let args = ["fsadmin", "journal", "quorum", "add", &journal];
    eventually("a master is added", || arena.masters.run(&args).0.then_some(()));
}

/// Every master becomes primary in turn; one is removed, emptied and added again.
pub fn change_of_membership(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    for number in others(primary) {
        quorum(arena, &["elect", &format!("m{number}")]);
        arena.go_on(SOME);
    }
    let [victim, other] = others(arena.masters.wait_for_primary());
    quorum(arena, &["remove", &format!("m{victim}")]);
    arena.go_on(SOME);
    arena.masters.nodes[victim].kill();
    arena.masters.empty(victim);
    add(arena, victim);
    arena.masters.wait_for_voters();
    // The new one is needed now.
    arena.kill(other);
    arena.go_on(SOME);
    arena.revive(other);
}

/// One master becomes three, another of them primary, and that one is alone in the end.
pub fn growth_and_shrinking(arena: &mut Arena) {
    for number in [1, 2] {
        add(arena, number);
        arena.go_on(SOME);
    }
    arena.masters.wait_for_voters();
    quorum(arena, &["elect", "m1"]);
    assert_eq!(arena.masters.wait_for_primary(), 1);
    arena.go_on(SOME);
    for name in ["m0", "m2"] {
        quorum(arena, &["remove", name]);
    }
    arena.masters.wait_for_states(&[("m1", "VOTER", true)]);
    let (success, _, error) = arena.masters.run(&["fsadmin", "journal", "quorum", "remove", "m9"]);
    assert!(!success && error.contains("m9"), "{error}");
}

/// All masters are stopped and started in turn, as for an upgrade.
pub fn rolling_restart(arena: &mut Arena) {
    for number in 0..3 {
        assert!(arena.masters.nodes[number].stop(), "{}", arena.masters.logs());
        arena.go_on(SOME);
        arena.revive(number);
    }
}

/// Clocks jump by an hour, forward and back, and the next primary's goes otherwise.
pub fn clock_jumps(arena: &mut Arena) {
    for ms in [HOUR_MS, -HOUR_MS] {
        let primary = arena.masters.wait_for_primary();
        arena.masters.set_clock(primary, ms);
        arena.go_on(SOME);
        // Its clock, an hour from the others', was the cluster's.
        kill_of_the_primary(arena);
        let primary = arena.masters.wait_for_primary();
        arena.masters.set_clock(primary, ms);
        others(primary).iter().for_each(|&number| arena.masters.set_clock(number, 0));
        arena.go_on(SOME);
        kill_of_the_primary(arena);
        (0..3).for_each(|number| arena.masters.set_clock(number, 0));
    }
}

/// `strace`, which has every sync of a process take a while; ended when it is dropped.
struct Slow(Child);

impl Slow {
    /// None, said loudly, where processes cannot be traced.
    fn new(pid: u32) -> Option<Slow> {
        let inject = "inject=fsync,fdatasync:delay_enter=100ms";
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", inject])
            .args(["-p", &pid.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let traced = child.and_then(|mut child| {
            // An error shows at once; else it stays until it is told to go.
            std::thread::sleep(Duration::from_millis(500));
            match child.try_wait()? {
                None => Ok(Slow(child)),
                Some(status) => Err(std::io::Error::other(format!("strace: {status}"))),
            }
        });
        let said = |error| eprintln!("SKIPPED: no slow disk: {error}; run as root, with strace");
        traced.map_err(said).ok()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        // So that it lets go of the process in order.
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().ok();
        self.0.wait().ok();
    }
}

/// Every sync of the primary takes a tenth of a second longer, then every sync of a standby.
pub fn slow_disk(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    for number in [primary, others(primary)[0]] {
        let Some(slow) = Slow::new(arena.masters.nodes[number].pid()) else { return };
        arena.go_on(2 * SOME);
        drop(slow);
        arena.go_on(SOME);
    }
}

/// The primary's disk is full: it takes no changes, says why, and goes on when there is space.
pub fn full_disk_of_the_primary(arena: &mut Arena) {
    let primary = arena.masters.wait_for_primary();
    // What the store has is known.
    arena.masters.ok(&["fs", "ls", "/"]);
    arena.disks[primary].fill();
    let refused = eventually("changes are refused", || {
        let (done, _, error) = arena.masters.run(&["fs", "mkdir", "/full"]);
        (!done).then_some(error).or_else(|| {
            arena.masters.ok(&["fs", "rm", "-R", "/full"]);
            None
        })
    });
    assert!(refused.contains("free some space"), "{refused}");
    let text = arena.masters.nodes[primary].log_text();
    assert!(text.contains("free some space"), "{}", arena.masters.logs());
    arena.masters.ok(&["fs", "ls", "/"]);
    assert_eq!(arena.masters.wait_for_primary(), primary);
    arena.disks[primary].clear();
    arena.go_on(2 * SOME);
}

/// A standby's disk is full: nobody notices, and it follows when there is space.
pub fn full_disk_of_a_standby(arena: &mut Arena) {
    let [victim, other] = others(arena.masters.wait_for_primary());
    arena.disks[victim].fill();
    arena.go_on(10 * SOME);
    arena.disks[victim].clear();
    arena.go_on(SOME);
    // Now it is needed.
    arena.kill(other);
    arena.go_on(SOME);
    arena.revive(other);
}
