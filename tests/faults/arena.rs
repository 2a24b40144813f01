//! Masters with clients at work, something that happens to them, and the proof that nobody noticed
//! more than a pause.

use super::checker::check;
use super::clients::{Clients, Group, Kind, Seen};
use super::history::{Answer, Balance, Event, Op, balance};
use crate::cluster::{Disk, Masters, eventually};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Masters and clients at work.
pub struct Arena {
    pub masters: Masters,
    pub runtime: tokio::runtime::Runtime,
    pub clients: Clients,
    /// The disks of the journals, by the number of the master, if they have one of their own.
    pub disks: Vec<Disk>,
    pub kills: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Row {
    pub fault: String,
    pub kills: usize,
    pub operations: usize,
    pub unknown: usize,
    pub balance: Balance,
    /// Histories that no order explains, and answers that can never be right.
    pub wrong: Vec<String>,
    pub longest: Duration,
}

impl Arena {
    /// Puts clients to work on masters that have been started.
    pub fn new(mut masters: Masters, disks: Vec<Disk>) -> Arena {
        masters.add_worker();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let clients = Clients::start(&runtime, || masters.connect(), true);
        let arena = Arena { masters, runtime, clients, disks, kills: 0 };
        arena.go_on(100);
        arena
    }

    /// How many operations were answered so far.
    pub fn answered(&self) -> usize {
        self.clients.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until that many more operations are answered.
    pub fn go_on(&self, more: usize) {
        let target = self.answered() + more;
        let what = format!("the clients go on: {}", self.masters.logs());
        eventually(&what, || (self.answered() >= target).then_some(()));
    }

    /// Kills a master.
    pub fn kill(&mut self, number: usize) {
        self.masters.nodes[number].kill();
        self.kills += 1;
    }

    /// Starts a master again and waits until all vote.
    pub fn revive(&mut self, number: usize) {
        self.masters.nodes[number].spawn();
        self.masters.wait_for_voters();
    }

    /// Ends the work, and looks at everything that the clients have seen and at what is there now.
    pub fn end(self, fault: &str) -> Row {
        self.go_on(100);
        let Seen { groups, mut wrong, answered, unknown, longest } =
            self.clients.end(&self.runtime);
        let auditor = self.masters.connect();
        let mut sum = Balance::default();
        let mut broken = false;
        for group in &groups {
            let mut events = group.history();
            if let Some(there) = final_list(&self.runtime, &auditor, group, &events) {
                match there {
                    Ok(there) => {
                        let Balance { lost, duplicated } = balance(&events, &there);
                        sum.lost += lost;
                        sum.duplicated += duplicated;
                        events.push(last(&events, Answer::All(there)));
                    }
                    Err(error) => wrong.push(format!("{}: {error}", group.dir())),
                }
            }
            if let Err(event) = check(&events) {
                let text = format!("{} cannot have been so, at {event:?}", group.dir());
                tell(&text, &events);
                broken = true;
                wrong.push(text);
            }
        }
        if broken || !wrong.is_empty() {
            eprintln!("{}", self.masters.logs());
        }
        sum.duplicated += wrong.iter().filter(|wrong| wrong.contains("made twice")).count();
        let kills = self.kills;
        let fault = fault.to_string();
        Row { fault, kills, operations: answered, unknown, balance: sum, wrong, longest }
    }
}

/// What is in the group now. None where that says nothing: a file was perhaps being written.
fn final_list(
    runtime: &tokio::runtime::Runtime,
    auditor: &goosefs::client::FileSystem,
    group: &Arc<Group>,
    events: &[Event],
) -> Option<Result<[Option<u16>; super::history::NAMES], String>> {
    let unknown = || events.iter().any(|event| event.answer == Answer::Unknown);
    if group.kind() == Kind::Written && unknown() {
        return None;
    }
    let listed = runtime.block_on(group.list(auditor));
    Some(listed.map_err(|error| format!("in the end: {error}")).and_then(|listed| listed))
}

/// An event after all others that were answered.
fn last(events: &[Event], answer: Answer) -> Event {
    let start_ns = events.iter().map(|event| event.end_ns).max().unwrap_or_default() + 1;
    Event { client: usize::MAX, op: Op::List, answer, start_ns, end_ns: start_ns + 1 }
}

/// A history, for people.
fn tell(what: &str, events: &[Event]) {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.start_ns);
    eprintln!("{what}:");
    for Event { client, op, answer, start_ns, end_ns } in events {
        let ms = |ns: u64| ns as f64 / 1e6;
        eprintln!(
            "  {:10.1} to {:10.1}  {client:>3}  {op:?}: {answer:?}",
            ms(start_ns),
            ms(end_ns)
        );
    }
}

impl Row {
    /// What is left to say of a fault in whose course something failed; what, has been said.
    pub fn broken(fault: &str) -> Row {
        Row {
            fault: fault.to_string(),
            kills: 0,
            operations: 0,
            unknown: 0,
            balance: Balance::default(),
            wrong: vec!["it ended before its time: see above".into()],
            longest: Duration::ZERO,
        }
    }

    /// Whether nothing was lost, nothing done twice, and all can be put in order.
    pub fn is_clean(&self) -> bool {
        self.balance == Balance::default() && self.wrong.is_empty()
    }

    /// The first line of a table of these.
    pub fn heading() -> String {
        format!(
            "{:<44} {:>5} {:>10} {:>7} {:>4} {:>10} {:>5} {:>13}",
            "fault",
            "kills",
            "operations",
            "unknown",
            "lost",
            "duplicated",
            "wrong",
            "longest pause"
        )
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:<44} {:>5} {:>10} {:>7} {:>4} {:>10} {:>5} {:>11.1} s",
            self.fault,
            self.kills,
            self.operations,
            self.unknown,
            self.balance.lost,
            self.balance.duplicated,
            self.wrong.len(),
            self.longest.as_secs_f64()
        )
    }
}
