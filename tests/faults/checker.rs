//! Whether a history is linearizable: whether all it tells could have come from one tree that did one
//! operation after the other, each at some moment between its question and its answer.
//!
//! The search is that of Wing and Gong in the form Lowe gave it: take an operation that nothing else
//! must precede, do it if the answer fits, go on with the rest, take it back where that leads
//! nowhere; and never look twice at the same operations done with the same outcome. An operation
//! whose outcome is unknown has no end: it may take effect at any later time, or never, which is the
//! same as after everything else.

use super::history::{Answer, Event, NAMES, Op, Token};
use std::collections::HashSet;

/// What is in a group.
type State = [Option<Token>; NAMES];

/// What `op` leads to in `state`, if it can have that answer there.
fn step(state: &State, op: Op, answer: Answer) -> Option<State> {
    let mut next = *state;
    let possible = match op {
        Op::Create(at, token) => match state[at] {
            Some(_) => Answer::Exists,
            None => {
                next[at] = Some(token);
                Answer::Done
            }
        },
        Op::Delete(at) => match next[at].take() {
            Some(_) => Answer::Done,
            None => Answer::Missing,
        },
        Op::Rename(from, to) => match (state[from], state[to]) {
            // Either refusal is right.
            (None, Some(_)) if answer == Answer::Exists => Answer::Exists,
            (None, _) => Answer::Missing,
            (Some(_), Some(_)) => Answer::Exists,
            (Some(token), None) => {
                (next[from], next[to]) = (None, Some(token));
                Answer::Done
            }
        },
        Op::Stat(at) => Answer::Is(state[at]),
        Op::List => Answer::All(*state),
    };
    (possible == answer || answer == Answer::Unknown).then_some(next)
}

/// A question or an answer, in a list from which both are lifted when their operation is done.
struct Moment {
    event: usize,
    answer: bool,
    before: usize,
    after: usize,
}

/// The moments in order; the first one is the list's head.
struct Moments {
    list: Vec<Moment>,
    /// Where the answer of each event is; none for what was never answered.
    answers: Vec<Option<usize>>,
}

impl Moments {
    fn of(events: &[Event]) -> Moments {
        let mut times: Vec<(u64, bool, usize)> = Vec::new();
        for (number, event) in events.iter().enumerate() {
            times.push((event.start_ns, false, number));
            if event.answer != Answer::Unknown {
                times.push((event.end_ns, true, number));
            }
        }
        // At one moment questions come first: that only allows more.
        times.sort_unstable();
        let mut list = vec![Moment { event: usize::MAX, answer: false, before: 0, after: 0 }];
        let mut answers = vec![None; events.len()];
        for (_, answer, event) in times {
            let at = list.len();
            if answer {
                answers[event] = Some(at);
            }
            list[at - 1].after = at;
            list.push(Moment { event, answer, before: at - 1, after: 0 });
        }
        Moments { list, answers }
    }

    fn unlink(&mut self, at: usize) {
        let (before, after) = (self.list[at].before, self.list[at].after);
        self.list[before].after = after;
        if after != 0 {
            self.list[after].before = before;
        }
    }

    fn link(&mut self, at: usize) {
        let (before, after) = (self.list[at].before, self.list[at].after);
        self.list[before].after = at;
        if after != 0 {
            self.list[after].before = at;
        }
    }

    fn lift(&mut self, question: usize) {
        self.unlink(question);
        if let Some(answer) = self.answers[self.list[question].event] {
            self.unlink(answer);
        }
    }

    fn unlift(&mut self, question: usize) {
        if let Some(answer) = self.answers[self.list[question].event] {
            self.link(answer);
        }
        self.link(question);
    }
}

/// A search for an order: what has been done so far, and what was left before.
struct Search<'a> {
    events: &'a [Event],
    moments: Moments,
    state: State,
    /// A bit for each event that has been done.
    done: Vec<u64>,
    /// What has been done and what came of it, wherever the search has been.
    seen: HashSet<(Vec<u64>, State)>,
    /// The questions done, each with the state before it.
    path: Vec<(usize, State)>,
    /// Answers still to be given.
    left: usize,
}

impl Search<'_> {
    fn flip(&mut self, event: usize) {
        self.done[event / 64] ^= 1 << (event % 64);
    }

    fn counts(&self, event: usize) -> usize {
        usize::from(self.moments.answers[event].is_some())
    }

    /// Does the operation of the question `at`, if it can be and leads anywhere new.
    fn advance(&mut self, at: usize) -> bool {
        let event = self.moments.list[at].event;
        let Event { op, answer, .. } = self.events[event];
        let Some(next) = step(&self.state, op, answer) else { return false };
        self.flip(event);
        if !self.seen.insert((self.done.clone(), next)) {
            self.flip(event);
            return false;
        }
        self.path.push((at, std::mem::replace(&mut self.state, next)));
        self.moments.lift(at);
        self.left -= self.counts(event);
        true
    }

    /// Takes back what was done last; where to go on from.
    fn back(&mut self) -> Option<usize> {
        let (at, before) = self.path.pop()?;
        let event = self.moments.list[at].event;
        self.flip(event);
        self.state = before;
        self.left += self.counts(event);
        self.moments.unlift(at);
        Some(self.moments.list[at].after)
    }
}

/// Whether the events of one group, which began empty, can be put in an order.
///
/// # Errors
/// The operation that none of the orders tried could get past.
pub fn check(events: &[Event]) -> Result<(), Event> {
    let moments = Moments::of(events);
    let left = moments.answers.iter().flatten().count();
    let done = vec![0u64; events.len().div_ceil(64)];
    let (state, seen, path) = ([None; NAMES], HashSet::new(), Vec::new());
    let mut search = Search { events, moments, state, done, seen, path, left };
    let mut furthest = 0;
    let mut at = search.moments.list[0].after;
    // There is always an answer ahead: all that are left come after whatever was done last.
    while search.left > 0 {
        let Moment { answer, after, .. } = search.moments.list[at];
        if answer {
            // Its operation should have been done by now: another order.
            furthest = furthest.max(at);
            let failed = search.moments.list[furthest].event;
            at = search.back().ok_or(events[failed])?;
        } else if search.advance(at) {
            at = search.moments.list[0].after;
        } else {
            at = after;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{All, Done, Exists, Is, Missing, Unknown};
    use Op::{Create, Delete, List, Rename, Stat};

    /// One event per entry: what, answer, from, to.
    fn history(events: &[(Op, Answer, u64, u64)]) -> Vec<Event> {
        let event = |(client, &(op, answer, start_ns, end_ns))| Event {
            client,
            op,
            answer,
            start_ns,
            end_ns,
        };
        events.iter().enumerate().map(event).collect()
    }

    fn good(events: &[(Op, Answer, u64, u64)]) {
        let found = check(&history(events));
        assert!(found.is_ok(), "{events:?} is fine, and was refused at {found:?}");
    }

    fn bad(events: &[(Op, Answer, u64, u64)]) {
        assert!(check(&history(events)).is_err(), "{events:?} cannot have been");
    }

    #[test]
    fn one_after_the_other_is_fine() {
        good(&[]);
        good(&[
            (Create(0, 1), Done, 0, 1),
            (Create(0, 2), Exists, 2, 3),
            (Rename(0, 1), Done, 4, 5),
            (Stat(0), Is(None), 6, 7),
            (List, All([None, Some(1), None]), 8, 9),
            (Delete(0), Missing, 10, 11),
            (Delete(1), Done, 12, 13),
            (Create(1, 3), Done, 14, 15),
        ]);
    }

    #[test]
    fn of_two_at_once_either_may_be_first() {
        for seen in [Some(1), None] {
            good(&[(Create(0, 1), Done, 0, 10), (Stat(0), Is(seen), 5, 6)]);
        }
        good(&[(Create(0, 1), Exists, 0, 10), (Create(0, 2), Done, 0, 10)]);
        // Found by taking back the obvious order.
        good(&[
            (Create(0, 1), Done, 0, 20),
            (Create(0, 2), Done, 1, 30),
            (Delete(0), Done, 2, 40),
            (Stat(0), Is(Some(1)), 50, 60),
        ]);
        bad(&[(Create(0, 1), Done, 0, 10), (Create(0, 2), Done, 0, 10)]);
    }

    #[test]
    fn a_lost_acknowledged_create_is_found() {
        bad(&[(Create(0, 1), Done, 0, 1), (Stat(0), Is(None), 2, 3)]);
        bad(&[(Create(0, 1), Done, 0, 1), (List, All([None; 3]), 2, 3)]);
        bad(&[(Create(0, 1), Done, 0, 1), (Delete(0), Missing, 2, 3)]);
        bad(&[(Create(0, 1), Done, 0, 1), (Create(0, 2), Done, 2, 3)]);
    }

    #[test]
    fn a_stale_stat_after_an_acknowledged_delete_is_found() {
        bad(&[(Create(0, 1), Done, 0, 1), (Delete(0), Done, 2, 3), (Stat(0), Is(Some(1)), 4, 5)]);
    }

    #[test]
    fn a_create_applied_twice_is_found() {
        let applied_again = [
            (Create(0, 1), Done, 0, 1),
            (Delete(0), Done, 2, 3),
            (Stat(0), Is(None), 4, 5),
            (Stat(0), Is(Some(1)), 6, 7),
        ];
        bad(&applied_again);
        // A refusal after which it is there all the same.
        bad(&[(Create(0, 1), Exists, 0, 1), (Stat(0), Is(Some(1)), 2, 3)]);
        // Also one whose answer was lost is applied once at most.
        bad(&[
            (Create(0, 1), Unknown, 0, 1),
            (Delete(0), Done, 2, 3),
            (Stat(0), Is(Some(1)), 4, 5),
        ]);
    }

    #[test]
    fn a_rename_that_leaves_both_or_none_is_found() {
        let begin = [(Create(0, 1), Done, 0, 1), (Rename(0, 1), Done, 2, 3)];
        for left in [[Some(1), Some(1), None], [None; 3], [Some(1), None, None]] {
            bad(&[begin[0], begin[1], (List, All(left), 4, 5)]);
        }
        good(&[begin[0], begin[1], (List, All([None, Some(1), None]), 4, 5)]);
        // It replaces nothing.
        bad(&[begin[0], (Create(1, 2), Done, 0, 1), begin[1]]);
    }

    #[test]
    fn a_stale_read_of_a_deposed_primary_is_found() {
        bad(&[
            (Create(0, 1), Done, 0, 1),
            // Through the new primary.
            (Rename(0, 1), Done, 2, 3),
            (Create(0, 2), Done, 4, 5),
            // From the one before.
            (Stat(0), Is(Some(1)), 6, 7),
        ]);
        // Two readers, one after the other, who see time go back while a change is under way.
        bad(&[
            (Create(0, 1), Done, 0, 100),
            (Stat(0), Is(Some(1)), 10, 20),
            (Stat(0), Is(None), 30, 40),
        ]);
    }

    #[test]
    fn what_is_unknown_takes_effect_at_any_later_time_or_never() {
        let lost = (Create(0, 1), Unknown, 0, 1);
        good(&[lost, (Stat(0), Is(None), 2, 3)]);
        good(&[lost, (Stat(0), Is(None), 2, 3), (Stat(0), Is(Some(1)), 4, 5)]);
        bad(&[lost, (Stat(0), Is(Some(1)), 2, 3), (Stat(0), Is(None), 4, 5)]);
        // Not before it was asked for.
        bad(&[(Stat(0), Is(Some(1)), 0, 1), (Create(0, 1), Unknown, 2, 3)]);
        let deleted = (Delete(0), Unknown, 6, 7);
        good(&[lost, (Stat(0), Is(Some(1)), 4, 5), deleted, (Stat(0), Is(None), 8, 9)]);
    }

    #[test]
    fn many_unknown_outcomes_are_sorted_out() {
        let mut events: Vec<_> =
            (1..=12).map(|token| (Create(0, token), Unknown, u64::from(token), 20)).collect();
        for round in 0..12u64 {
            let at = 100 + round * 10;
            let token = 12 - round as Token;
            events.push((Stat(0), Is(Some(token)), at, at + 1));
            events.push((Delete(0), Done, at + 2, at + 3));
        }
        good(&events);
        events.push((Stat(0), Is(Some(3)), 900, 901));
        bad(&events);
    }

    /// Clients of a tree that behaves, at random; then one answer is changed.
    #[test]
    fn a_random_history_is_fine_until_one_answer_of_it_is_changed() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};
        for seed in 0..200 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut state: State = [None; NAMES];
            let mut events = Vec::new();
            for turn in 0..120u64 {
                let (a, b) = (random.random_range(0..NAMES), random.random_range(1..NAMES));
                let op = match random.random_range(0..5) {
                    0 | 1 => Create(a, turn as Token + 1),
                    2 => Rename(a, (a + b) % NAMES),
                    3 => Delete(a),
                    _ => Stat(a),
                };
                let answers = [Done, Missing, Exists, Is(state[a])];
                let (answer, next) = answers
                    .iter()
                    .find_map(|answer| Some((*answer, step(&state, op, *answer)?)))
                    .expect("one of them is right");
                state = next;
                // Took effect at 10 * turn + 50, within a span that overlaps with others'.
                let at = 10 * turn + 50;
                let span = (at - random.random_range(0..40), at + random.random_range(1..40));
                let answer = if random.random_range(0..40) == 0 { Unknown } else { answer };
                events.push((op, answer, span.0, span.1));
            }
            events.push((List, All(state), 5_000, 5_001));
            good(&events);
            let mut lost = state;
            let Some(at) = lost.iter().position(Option::is_some) else { continue };
            lost[at] = Some(999);
            events.pop();
            events.push((List, All(lost), 5_000, 5_001));
            bad(&events);
        }
    }
}
