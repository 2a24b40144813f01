//! Patterns on names and paths, as shells and rsync have them, and the choice of files by them.
//!
//! `*` and `?` stand for what is in a name, `**` as a whole component for any number of directories,
//! a backslash takes a character as it is. A pattern that begins with a slash is about the path from
//! the top, any other about its last components; one that ends with a slash is about directories.
//! What matches a directory matches all that lies below it.

use crate::core::error::{Result, invalid_argument};

/// Patterns of one choice.
const MOST: usize = 1_000;
/// Bytes of one pattern.
const LONGEST: usize = 4_096;

/// A choice of files by patterns on their relative paths.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    components: Vec<String>,
    folders: bool,
}

impl Selection {
    /// Files that match any of `include`, or all where that is empty, but for those of `exclude`.
    ///
    /// # Errors
    /// `InvalidArgument` for a pattern that can match nothing.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        if include.len() + exclude.len() > MOST {
            return Err(invalid_argument(format!("over {MOST} patterns: use fewer, with * or **")));
        }
        let read = |all: &[String]| -> Result<Vec<Pattern>> {
            all.iter().map(|text| Pattern::read(text)).collect()
        };
        Ok(Selection { include: read(include)?, exclude: read(exclude)? })
    }

    /// Whether the file at this path, relative to where the choice is made, is chosen.
    pub fn takes(&self, relative: &str) -> bool {
        if self.include.is_empty() && self.exclude.is_empty() {
            return true;
        }
        let path: Vec<&str> = relative.split('/').collect();
        let included = self.include.is_empty() || self.include.iter().any(|p| p.covers(&path));
        included && !self.exclude.iter().any(|pattern| pattern.covers(&path))
    }

    /// Whether anything below the directory at this path can be chosen.
    pub fn enters(&self, relative: &str) -> bool {
        let path: Vec<&str> = relative.split('/').chain([""]).collect();
        relative.is_empty() || !self.exclude.iter().any(|pattern| pattern.covers(&path))
    }

    /// Whether everything is chosen.
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

impl Pattern {
    fn read(text: &str) -> Result<Self> {
        let components: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        if components.is_empty() || text.len() > LONGEST {
            return Err(invalid_argument(format!(
                "{text:?} is no pattern such as '*.parquet' or '/2026/**/part-*'"
            )));
        }
        let anywhere = (!text.starts_with('/')).then_some("**");
        let components = anywhere.into_iter().chain(components).map(String::from).collect();
        Ok(Pattern { components, folders: text.ends_with('/') })
    }

    /// Whether it matches the path or a directory on the way to it.
    fn covers(&self, path: &[&str]) -> bool {
        let most = if self.folders { path.len() - 1 } else { path.len() };
        self.reach(path, most)
    }

    /// Whether it matches one of the first `most` beginnings of the path: which beginnings the
    /// pattern's components so far can stand for, component by component.
    fn reach(&self, path: &[&str], most: usize) -> bool {
        let mut ends = vec![false; most + 1];
        ends[0] = true;
        for component in &self.components {
            let mut next = vec![false; most + 1];
            for at in 0..=most {
                if component == "**" {
                    next[at] = ends[at] || at > 0 && next[at - 1];
                } else {
                    next[at] = at > 0 && ends[at - 1] && matches(component, path[at - 1]);
                }
            }
            ends = next;
        }
        ends[1..].contains(&true)
    }
}

/// One step of a pattern.
#[derive(PartialEq)]
enum Step {
    Any,
    One,
    Exactly(char),
}

fn steps(pattern: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('*', _) => steps.push(Step::Any),
            ('?', _) => steps.push(Step::One),
            ('\\', Some(&next)) if "*?\\".contains(next) => {
                steps.push(Step::Exactly(next));
                characters.next();
            }
            _ => steps.push(Step::Exactly(c)),
        }
    }
    steps
}

/// Whether a name matches a pattern of one component. Goes back to the last `*` only, so it takes at
/// most length × length steps.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (steps, name) = (steps(pattern), name.chars().collect::<Vec<_>>());
    let (mut at, mut step) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match steps.get(step) {
            Some(Step::Any) => {
                star = Some((step, at));
                step += 1;
                continue;
            }
            Some(Step::One) => {}
            Some(Step::Exactly(c)) if *c == name[at] => {}
            _ => match star {
                // Let the star take one character more and try again from there.
                Some((star_step, star_at)) => {
                    star = Some((star_step, star_at + 1));
                    (at, step) = (star_at + 1, star_step + 1);
                    continue;
                }
                None => return false,
            },
        }
        at += 1;
        step += 1;
    }
    steps[step..].iter().all(|s| *s == Step::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txt.gz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("?ö*", "xö", true),
            (r"a\*", "a*", true),
            (r"a\*", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} against {name}");
        }
    }

    fn choice(include: &[&str], exclude: &[&str]) -> Selection {
        let texts = |all: &[&str]| all.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        Selection::new(&texts(include), &texts(exclude)).unwrap()
    }

    #[test]
    fn a_path_is_chosen_by_its_name_its_end_its_beginning_or_a_directory_above() {
        for (pattern, path, expected) in [
            ("*.csv", "a/b/c.csv", true),
            ("b", "a/b/c.csv", true),
            ("b/", "a/b/c.csv", true),
            ("c.csv/", "a/b/c.csv", false),
            ("b/*.csv", "a/b/c.csv", true),
            ("a/*.csv", "a/b/c.csv", false),
            ("a/**/*.csv", "a/b/c.csv", true),
            ("a/**/*.csv", "a/c.csv", true),
            ("/a", "a/b/c.csv", true),
            ("/b", "a/b/c.csv", false),
            ("/a/**", "a/b/c.csv", true),
        ] {
            assert_eq!(choice(&[pattern], &[]).takes(path), expected, "{pattern} against {path}");
            assert_eq!(choice(&[], &[pattern]).takes(path), !expected, "{pattern} against {path}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_entered() {
        let chosen = choice(&["*.csv"], &["_temporary", "/old/", "*.tmp"]);
        assert!(chosen.enters("") && chosen.enters("a") && chosen.enters("a/old"));
        assert!(!chosen.enters("old") && !chosen.enters("a/_temporary"));
        assert!(chosen.takes("a/x.csv") && !chosen.takes("a/x.txt") && !chosen.takes("old/x.csv"));
        assert!(Selection::default().is_all() && Selection::default().takes("x"));
        assert!(Selection::new(&["/".into()], &[]).is_err());
    }
}
