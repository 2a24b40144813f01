//! `man/` and `completions/` are what the binary generates.

use crate::cluster::{goosefs, run, scratch_dir, texts};
use clap::CommandFactory;
use goosefs::cli::Cli;
use std::collections::BTreeMap;
use std::path::Path;

fn files(dir: &Path) -> BTreeMap<String, String> {
    let read = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read_to_string(entry.path()).unwrap())
    };
    std::fs::read_dir(dir)
        .map(|dir| dir.map(|entry| read(entry.unwrap())).collect())
        .unwrap_or_default()
}

/// Pages written by hand.
const BY_HAND: [&str; 1] = ["goosefs.7"];

#[test]
fn man_pages_and_completions_are_fresh() {
    let scratch = scratch_dir();
    let output = run(goosefs().arg("generate").arg(&scratch));
    assert!(output.status.success(), "{}", texts(&output).1);
    for dir in ["man", "completions"] {
        let generated = files(&scratch.join(dir));
        let mut committed = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir));
        committed.retain(|name, _| !BY_HAND.contains(&name.as_str()));
        let stale: Vec<&String> = generated
            .iter()
            .filter(|(name, text)| committed.get(*name) != Some(*text))
            .map(|(name, _)| name)
            .chain(committed.keys().filter(|name| !generated.contains_key(*name)))
            .collect();
        assert!(stale.is_empty(), "run `make generate`: stale in {dir}: {stale:?}");
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

/// The command and all below it that have a long description, with the words that lead to each.
fn at_length(command: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, String)>) {
    if let Some(long) = command.get_long_about() {
        found.push((words.to_vec(), long.to_string()));
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        at_length(below, &[words, &[below.get_name().to_string()]].concat(), found);
    }
}

/// Its words, whatever the lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_a_command_says_at_length_is_in_its_help_and_its_page() {
    let mut found = Vec::new();
    at_length(&Cli::command(), &[], &mut found);
    // One line of an enum must not take the place of what a command says of itself.
    for known in ["load", "format", "master", "worker", "fs ls", "fs pin", "fs cp", "bench evict"] {
        assert!(found.iter().any(|(command, _)| command.join(" ") == known), "{known}: {found:?}");
    }
    for (command, long) in found {
        let help = |how| words(&texts(&run(goosefs().args(&command).arg(how))).0);
        let (_, more) = long.split_once("\n\n").unwrap();
        assert!(help("--help").contains(&words(&long)), "{command:?}: {}", help("--help"));
        assert!(!help("-h").contains(&words(more)), "{command:?} is short with -h");
        let name = [&["goosefs".to_string()], &command[..]].concat().join("-");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("man/{name}.1"));
        let page = std::fs::read_to_string(page).unwrap();
        let page = page.replace(".PP", "").replace("\\*(Aq", "'").replace('\\', "");
        assert!(words(&page).contains(&words(&long)), "{name}: {page}");
    }
}
