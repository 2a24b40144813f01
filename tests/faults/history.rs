//! What clients did and what they were told, and when: histories to be checked.

use std::collections::{HashMap, HashSet};

/// The names in a group: few, so that clients meet.
pub const NAMES: usize = 3;

/// Which of the names of a group.
pub type Name = usize;

/// What tells one thing made from every other that is ever made in its group. Never 0.
pub type Token = u16;

/// What a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make something new that bears this token.
    Create(Name, Token),
    /// Move what is there to another name.
    Rename(Name, Name),
    /// Remove what is there.
    Delete(Name),
    /// Say what is there.
    Stat(Name),
    /// Say what is everywhere.
    List,
}

/// What it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has been done.
    Done,
    /// Refused: nothing is there.
    Missing,
    /// Refused: something is there already.
    Exists,
    /// This is there.
    Is(Option<Token>),
    /// This is everywhere.
    All([Option<Token>; NAMES]),
    /// Nothing that can be relied upon: it may have been done, may be yet, or never.
    Unknown,
}

/// One operation: what was asked, what was answered, and between which moments.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub client: usize,
    pub op: Op,
    pub answer: Answer,
    pub start_ns: u64,
    pub end_ns: u64,
}

/// What is wrong with a history at a glance, whether or not it can be put in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Things that must be there and are not.
    pub lost: usize,
    /// Things that cannot be there and are, and things that are there twice.
    pub duplicated: usize,
}

/// Compares what was made and removed with what is there in the end.
pub fn balance(events: &[Event], there: &[Option<Token>; NAMES]) -> Balance {
    let count = |wanted: fn(&Op) -> bool, answer: Answer| {
        events.iter().filter(|event| wanted(&event.op) && event.answer == answer).count()
    };
    let creates: fn(&Op) -> bool = |op| matches!(op, Op::Create(..));
    let deletes: fn(&Op) -> bool = |op| matches!(op, Op::Delete(..));
    let (made, perhaps_made) = (count(creates, Answer::Done), count(creates, Answer::Unknown));
    let (gone, perhaps_gone) = (count(deletes, Answer::Done), count(deletes, Answer::Unknown));
    let present: Vec<Token> = there.iter().flatten().copied().collect();
    let asked: HashSet<Token> = events
        .iter()
        .filter(|event| event.answer != Answer::Exists)
        .filter_map(|event| match event.op {
            Op::Create(_, token) => Some(token),
            _ => None,
        })
        .collect();
    let mut seen = HashSet::new();
    let strangers =
        present.iter().filter(|token| !asked.contains(token) || !seen.insert(**token)).count();
    let most = (made + perhaps_made).saturating_sub(gone);
    let least = made.saturating_sub(gone + perhaps_gone);
    Balance {
        lost: least.saturating_sub(present.len()),
        duplicated: strangers.max(present.len().saturating_sub(most)),
    }
}

/// Under which file id each token was seen: two of them for one token, and it was made twice.
#[derive(Debug, Default)]
pub struct Identities(HashMap<Token, i64>);

impl Identities {
    /// Whether `token` may be `id`.
    pub fn agree(&mut self, token: Token, id: i64) -> bool {
        *self.0.entry(token).or_insert(id) == id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(op: Op, answer: Answer) -> Event {
        Event { client: 0, op, answer, start_ns: 0, end_ns: 1 }
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_counted() {
        let done = |op| told(op, Answer::Done);
        let events = [done(Op::Create(0, 1)), done(Op::Create(1, 2)), done(Op::Delete(0))];
        let balanced = Balance::default();
        assert_eq!(balance(&events, &[None, Some(2), None]), balanced);
        assert_eq!(balance(&events, &[None; 3]), Balance { lost: 1, ..balanced });
        let twice = Balance { duplicated: 1, ..balanced };
        assert_eq!(balance(&events, &[Some(1), Some(2), None]), twice);
        assert_eq!(balance(&events, &[None, Some(2), Some(2)]), twice);
        assert_eq!(balance(&events, &[None, Some(9), None]), twice);
    }

    #[test]
    fn what_nobody_knows_may_be_there_or_not() {
        let events =
            [told(Op::Create(0, 1), Answer::Unknown), told(Op::Create(1, 2), Answer::Done)];
        for there in [[Some(1), Some(2), None], [None, Some(2), None]] {
            assert_eq!(balance(&events, &there), Balance::default());
        }
        assert_eq!(balance(&events, &[None; 3]).lost, 1);
        let refused = [told(Op::Create(0, 1), Answer::Exists)];
        assert_eq!(balance(&refused, &[Some(1), None, None]).duplicated, 1);
    }

    #[test]
    fn one_token_has_one_identity() {
        let mut identities = Identities::default();
        assert!(identities.agree(1, 10) && identities.agree(2, 11) && identities.agree(1, 10));
        assert!(!identities.agree(1, 12));
    }
}
