//! The YAML file as flat properties with line numbers.

use crate::core::error::{Result, invalid_argument};
use serde_yaml::Value;
use std::path::Path;

/// The leaves of a YAML document as (dotted key, text, line from 1). A list becomes one
/// comma-separated value; an item that is a map of scalars is written `key=value key=value`.
///
/// # Errors
/// `InvalidArgument` naming file and line when it is no YAML or a leaf cannot be a value.
pub fn flatten(text: &str, file: &Path) -> Result<Vec<(String, String, usize)>> {
    let document: Value = serde_yaml::from_str(text).map_err(|e| {
        let line = e.location().map_or(1, |l| l.line());
        invalid_argument(format!("{}:{line}: {e}", file.display()))
    })?;
    let lines = key_lines(text);
    let mut leaves = Vec::new();
    walk(&document, String::new(), &mut leaves)
        .map_err(|(key, e)| e.context(format!("{}:{}", file.display(), line_of(&lines, &key))))?;
    Ok(leaves
        .into_iter()
        .map(|(key, value)| {
            let line = line_of(&lines, &key);
            (key, value, line)
        })
        .collect())
}

type Failure = (String, crate::core::error::Error);

fn walk(value: &Value, key: String, leaves: &mut Vec<(String, String)>) -> Result<(), Failure> {
    match value {
        Value::Null => Ok(()),
        Value::Mapping(map) => {
            for (name, child) in map {
                let name = scalar(name).ok_or_else(|| no_value(&key))?;
                let child_key = if key.is_empty() { name } else { format!("{key}.{name}") };
                walk(child, child_key, leaves)?;
            }
            Ok(())
        }
        Value::Sequence(items) => {
            let items: Option<Vec<String>> = items.iter().map(item).collect();
            leaves.push((key.clone(), items.ok_or_else(|| no_value(&key))?.join(",")));
            Ok(())
        }
        other => {
            let text = scalar(other).ok_or_else(|| no_value(&key))?;
            if key.is_empty() {
                return Err((key, invalid_argument("the file is no map of keys to values")));
            }
            leaves.push((key, text));
            Ok(())
        }
    }
}

fn no_value(key: &str) -> Failure {
    let message = format!("{key} takes a single value or a list of them");
    (key.to_string(), invalid_argument(message))
}

/// An item of a list.
fn item(value: &Value) -> Option<String> {
    let Value::Mapping(map) = value else { return scalar(value) };
    let pair = |(key, value)| Some(format!("{}={}", scalar(key)?, scalar(value)?));
    let pairs: Option<Vec<String>> = map.iter().map(pair).collect();
    pairs.map(|pairs| pairs.join(" "))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) => Some(s.clone()),
        _ => None,
    }
}

fn line_of(lines: &[(String, usize)], key: &str) -> usize {
    lines.iter().rev().find(|(k, _)| k == key).map_or(1, |&(_, line)| line)
}

/// Which line each key of a block-style document stands on, by indentation; the YAML library keeps
/// no positions of values.
fn key_lines(text: &str) -> Vec<(String, usize)> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let Some((name, _)) = trimmed.split_once(':') else { continue };
        if trimmed.starts_with(['#', '-']) {
            continue;
        }
        while open.last().is_some_and(|&(depth, _)| depth >= indent) {
            open.pop();
        }
        let name = name.trim().trim_matches(['"', '\'']);
        let key = match open.last() {
            Some((_, parent)) => format!("{parent}.{name}"),
            None => name.to_string(),
        };
        found.push((key.clone(), number + 1));
        open.push((indent, key));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Vec<(String, String, usize)> {
        flatten(text, Path::new("x.yaml")).unwrap()
    }

    #[test]
    fn nested_and_dotted_keys_are_the_same() {
        let text =
            "# c\nmaster:\n  rpc:\n    port: 9300\ngoosefs.user.block.size.bytes.default: 1MB\n";
        let leaves = flat(text);
        assert_eq!(leaves[0], ("master.rpc.port".into(), "9300".into(), 4));
        assert_eq!(leaves[1].2, 5);
    }

    #[test]
    fn lists_are_joined() {
        assert_eq!(flat("worker:\n  dirs:\n    - a\n    - b\n")[0].1, "a,b");
        assert_eq!(flat("m:\n  - {a: x, b: 1}\n  - a: y\n    b: 2\n")[0].1, "a=x b=1,a=y b=2");
    }

    #[test]
    fn what_is_no_yaml_names_the_line() {
        let error = flatten("a: 1\nb: [\n", Path::new("x.yaml")).unwrap_err().to_string();
        assert!(error.contains("x.yaml:"), "{error}");
        let error = flatten("a:\n  b:\n    - [1]\n", Path::new("x.yaml")).unwrap_err().to_string();
        assert!(error.contains("x.yaml:2") && error.contains("a.b"), "{error}");
    }
}
