//! Questions to under stores about what is being written there.
//!
//! An object is visible before the tree says what became of it: its file may have been deleted or
//! renamed meanwhile, and the object is about to be withdrawn. While somebody of ours holds an object,
//! and for questions that were on their way when it was released, the store has nothing to say about
//! it: the tree has.

use super::FileSystem;
use crate::core::error::{Result, unavailable};
use crate::core::model::{FsPath, Status};
use crate::master::sync::{A_MOMENT, TRIES};
use crate::ufs::UfsStatus;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// Objects remembered that were released while a question was on its way: those of a long listing.
const REMEMBERED: usize = 1 << 18;

/// The questions on their way, and what was released meanwhile. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    /// Counts what is released.
    now: u64,
    /// How many questions are on their way, by when they were asked.
    open: BTreeMap<u64, usize>,
    /// What was released since the oldest of them was asked, and when last.
    released: BTreeMap<String, u64>,
    order: VecDeque<(u64, String)>,
    /// What was released up to then is not remembered.
    forgotten: u64,
}

impl Asked {
    fn forget_first(&mut self) {
        let Some((at, object)) = self.order.pop_front() else { return };
        if self.released.get(&object) == Some(&at) {
            self.released.remove(&object);
        }
    }

    /// Forgets what no open question was asked before.
    fn tidy(&mut self) {
        let oldest = self.open.keys().next().copied().unwrap_or(u64::MAX);
        while self.order.front().is_some_and(|(at, _)| *at <= oldest) {
            self.forget_first();
        }
    }

    /// What was released at or below `prefix` since then.
    fn since<'a>(&'a self, then: u64, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.released.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let there = from.take_while(move |(object, _)| object.starts_with(prefix));
        there.filter(move |(_, at)| **at > then).map(|(object, _)| object.as_str())
    }
}

impl Questions {
    /// A question is about to be asked.
    pub fn ask(&self) -> Question {
        let mut asked = self.0.lock();
        let at = asked.now;
        *asked.open.entry(at).or_default() += 1;
        Question { questions: self.clone(), at }
    }

    /// Nobody holds `object` any more in a moment.
    pub fn released(&self, object: &str) {
        let mut asked = self.0.lock();
        asked.now += 1;
        if asked.open.is_empty() {
            return;
        }
        let now = asked.now;
        asked.released.insert(object.to_string(), now);
        asked.order.push_back((now, object.to_string()));
        if asked.order.len() > REMEMBERED {
            asked.forgotten = asked.order.front().map_or(0, |(at, _)| *at);
            asked.forget_first();
        }
    }
}

/// A question on its way, until this is dropped.
#[derive(Debug)]
pub(in crate::master) struct Question {
    questions: Questions,
    at: u64,
}

impl Question {
    /// Whether `object`, or one below it, was released after this was asked; so it is taken to be where
    /// nobody remembers.
    pub fn is_outdated(&self, object: &str) -> bool {
        let asked = self.questions.0.lock();
        let exact = asked.released.get(object).is_some_and(|&at| at > self.at);
        let below = format!("{object}/");
        self.at < asked.forgotten || exact || asked.since(self.at, &below).next().is_some()
    }

    /// The names in a directory, an address that ends in a slash, of which that is so; none where nobody
    /// remembers.
    fn outdated_in(&self, directory: &str) -> Option<HashSet<String>> {
        let asked = self.questions.0.lock();
        let names = asked.since(self.at, directory).filter_map(|at| name_in(directory, at));
        (self.at >= asked.forgotten).then(|| names.map(str::to_string).collect())
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        let mut asked = self.questions.0.lock();
        if let Some(open) = asked.open.get_mut(&self.at) {
            *open -= 1;
            if *open == 0 {
                asked.open.remove(&self.at);
            }
        }
        asked.tidy();
    }
}

/// The name in `directory`, an address that ends in a slash, at or below which `object` is.
pub(super) fn name_in<'a>(directory: &str, object: &'a str) -> Option<&'a str> {
    object.strip_prefix(directory)?.split('/').next().filter(|name| !name.is_empty())
}

/// What a directory holds, as far as its under store may say so.
pub(in crate::master) struct Below {
    /// What is there, sorted by name.
    pub entries: Vec<UfsStatus>,
    /// Whether nothing of it was left out.
    pub whole: bool,
}

impl FileSystem {
    /// What the store has at `path`; what the tree has of it, while somebody of ours writes there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(in crate::master) async fn look_below(&self, path: &FsPath) -> Result<Option<UfsStatus>> {
        let object = self.resolve(path)?.ufs_path;
        for _ in 0..TRIES {
            let question = self.objects.question();
            if self.objects.is_held(&object) {
                return Ok(self.peek(path)?.and_then(known_below));
            }
            let found = self.ask(path).await?;
            // In this order: it is noted as released before nobody holds it.
            if self.objects.is_held(&object) {
                continue;
            }
            if !question.is_outdated(&object) {
                return Ok(found);
            }
            tokio::time::sleep(A_MOMENT).await;
        }
        Err(unavailable(format!("{path} is written too often to be looked for: try again")))
    }

    /// Leaves out of a listing what somebody of ours wrote while it was made: that is as the tree has it.
    ///
    /// # Errors
    /// When too much of it was.
    pub(in crate::master) fn settled_of(
        &self,
        directory: &Status,
        question: &Question,
        mut entries: Vec<UfsStatus>,
    ) -> Result<Below> {
        let mut prefix = self.resolve(&directory.path)?.ufs_path;
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let mut written = self.objects.held_in(&prefix);
        let outdated = question.outdated_in(&prefix).ok_or_else(|| {
            let text = format!("too much is written to {} to list it: try again", directory.path);
            unavailable(text)
        })?;
        written.extend(outdated);
        let mut known = Vec::new();
        for name in &written {
            known.extend(self.peek(&directory.path.join(name)?)?.and_then(known_below));
        }
        let is_known = |name: &str| known.iter().any(|status: &UfsStatus| status.name == name);
        let news = |entry: &UfsStatus| written.contains(&entry.name) && !is_known(&entry.name);
        let whole = !entries.iter().any(news);
        entries.retain(|entry| !written.contains(&entry.name));
        entries.append(&mut known);
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Below { entries, whole })
    }
}

/// What the tree says that the under store has of something; none where that is nothing.
fn known_below(status: Status) -> Option<UfsStatus> {
    (status.is_persisted() && !status.is_symlink()).then(|| UfsStatus {
        name: status.path.name().to_string(),
        folder: status.folder,
        length: status.length,
        modified_ms: status.modified_ms,
        version: status.ufs_version,
        exact: true,
        owner: Some(status.owner),
        group: Some(status.group),
        mode: Some(status.mode),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_does_not_tell_of_what_was_released_since_it_was_asked() {
        let questions = Questions::default();
        questions.released("s3://b/a/x");
        let first = questions.ask();
        assert!(!first.is_outdated("s3://b/a/x"));
        questions.released("s3://b/a/x");
        let second = questions.ask();
        questions.released("s3://b/a/d/y");
        questions.released("s3://b/ab");
        assert!(first.is_outdated("s3://b/a/x") && !second.is_outdated("s3://b/a/x"));
        assert!(second.is_outdated("s3://b/a") && second.is_outdated("s3://b/a/d"));
        assert!(!second.is_outdated("s3://b/a/d/y/z") && !second.is_outdated("s3://b/a/"));
        let names = |question: &Question| {
            let names = question.outdated_in("s3://b/a/").unwrap();
            names.into_iter().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(names(&first), ["d".into(), "x".into()].into());
        assert_eq!(names(&second), ["d".into()].into());
        drop(first);
        assert_eq!(questions.0.lock().released.len(), 2);
        drop(second);
        let asked = questions.0.lock();
        assert!(asked.released.is_empty() && asked.order.is_empty() && asked.open.is_empty());
    }

    #[test]
    fn what_was_released_is_remembered_up_to_a_bound_beyond_which_no_answer_counts() {
        let questions = Questions::default();
        let first = questions.ask();
        (0..REMEMBERED).for_each(|n| questions.released(&format!("/d/{n}")));
        assert!(!first.is_outdated("/other") && first.outdated_in("/d/").is_some());
        let second = questions.ask();
        questions.released("/d/more");
        assert!(first.is_outdated("/other") && first.outdated_in("/d/").is_none());
        assert!(!second.is_outdated("/other"));
        assert_eq!(questions.0.lock().released.len(), REMEMBERED);
    }
}
