//! The architecture holds: a module uses only modules of lower groups.
//!
//! Groups are read off `src/lib.rs` (and `src/core/mod.rs` for the inside of `core`): runs of `mod`
//! lines, top layer first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Module → group number, 0 at the top.
fn groups(list: &str) -> HashMap<String, usize> {
    let mut groups = HashMap::new();
    let mut group = 0;
    let mut open = false;
    for line in list.lines().map(str::trim) {
        let module = line.strip_prefix("pub mod ").or(line.strip_prefix("mod "));
        match module.and_then(|rest| rest.strip_suffix(';')) {
            Some(name) => {
                groups.insert(name.to_string(), group);
                open = true;
            }
            None if line.is_empty() && open => {
                group += 1;
                open = false;
            }
            None => {}
        }
    }
    groups
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("build.rs") {
            files.push(path);
        }
    }
}

/// The modules that `text` names after `prefix`, as in `crate::core::error::Result`.
fn uses<'t>(text: &'t str, prefix: &'t str) -> impl Iterator<Item = &'t str> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

/// Every use of a module that is not in a lower group.
fn violations(list: &str, source: &Path, prefix: &str) -> Vec<String> {
    let groups = groups(&std::fs::read_to_string(list).unwrap());
    let mut files = Vec::new();
    rust_files(source, &mut files);
    let mut found = Vec::new();
    for file in files {
        let module = file.strip_prefix(source).unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string();
        let Some(own) = groups.get(&module) else { continue };
        let text = std::fs::read_to_string(&file).unwrap();
        for used in uses(&text, prefix).filter(|used| *used != module) {
            match groups.get(used) {
                Some(group) if group > own => {}
                Some(_) => found.push(format!("{}: {module} uses {used}", file.display())),
                None => {}
            }
        }
    }
    found
}

#[test]
fn modules_use_only_lower_layers() {
    let source = Path::new(ROOT).join("src");
    let found = violations(&format!("{ROOT}/src/lib.rs"), &source, "crate::");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_inside_of_core_has_layers_too() {
    let source = Path::new(ROOT).join("src/core");
    let found = violations(&format!("{ROOT}/src/core/mod.rs"), &source, "crate::core::");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_violation_is_found() {
    let groups = groups("pub mod top;\n\npub mod a;\npub mod b;\n\npub mod low;\n");
    assert_eq!((groups["top"], groups["a"], groups["b"], groups["low"]), (0, 1, 1, 2));
    assert_eq!(
        uses("use crate::low::x; crate::top::y()", "crate::").collect::<Vec<_>>(),
        ["low", "top"]
    );
}
