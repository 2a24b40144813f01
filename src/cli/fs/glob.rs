//! Operands with `*` and `?`: paths of the tree that match, found by listing.
//!
//! The shell cannot expand them, the tree is not its own. A backslash takes a character as it is.

use crate::cli::session::Session;
use crate::client::ListOptions;
use crate::core::error::{Error, ErrorKind, Result, not_found};
use crate::core::model::FsPath;
use crate::core::model::pattern::matches;
use futures::TryStreamExt;

/// The paths that `operand` stands for: itself, or all that match, in the order of their names.
///
/// # Errors
/// `InvalidArgument` when it is no path, `NotFound` when it is a pattern and nothing matches.
pub async fn expand(session: &Session, operand: &str) -> Result<Vec<FsPath>> {
    if !is_pattern(operand) {
        return Ok(vec![FsPath::parse(&unescape(operand))?]);
    }
    // Checks it as a path: the pattern's characters are fine in names.
    let pattern = FsPath::parse(operand)?;
    let mut found = vec![FsPath::root()];
    for component in pattern.components() {
        found = descend(session, found, component).await?;
    }
    if found.is_empty() {
        return Err(not_found(format!("nothing matches {operand}")));
    }
    Ok(found)
}

/// What matches `component` in each of the directories `parents`.
async fn descend(session: &Session, parents: Vec<FsPath>, component: &str) -> Result<Vec<FsPath>> {
    let mut found = Vec::new();
    for parent in parents {
        if is_pattern(component) {
            let mut matching = matching(session, &parent, component).await?;
            matching.sort();
            found.append(&mut matching);
            continue;
        }
        let path = parent.join(&unescape(component))?;
        match session.fs.status(&path).await {
            Ok(_) => found.push(path),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The children of `parent` that match `pattern`; none when it is no directory.
async fn matching(session: &Session, parent: &FsPath, pattern: &str) -> Result<Vec<FsPath>> {
    let mut found = Vec::new();
    let mut children = match session.fs.list_stream(parent, &ListOptions::default()).await {
        Err(error) if is_absent(&error) => return Ok(found),
        other => other?,
    };
    loop {
        match children.try_next().await {
            // A file lists itself.
            Ok(Some(child)) if child.path == *parent => {}
            Ok(Some(child)) if matches(pattern, child.name()) => found.push(child.path),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(found),
            Err(error) if is_absent(&error) => return Ok(found),
            Err(error) => return Err(error),
        }
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotDirectory)
}

/// Whether there is a `*` or `?` with no backslash before it.
pub fn is_pattern(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '*' | '?' => return true,
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    false
}

/// The text without the backslashes before `*`, `?` and `\`; other backslashes stay.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some(&next)) if "*?\\".contains(next) => {
                plain.push(next);
                characters.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_takes_the_meaning_away() {
        assert!(is_pattern("/a/*") && is_pattern("/?"));
        assert!(!is_pattern(r"/a/\*") && !is_pattern("/a"));
        assert_eq!(unescape(r"/a\*b\\c\d"), r"/a*b\c\d");
    }
}
