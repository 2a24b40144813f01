//! `man/` and `completions/` are what the binary generates.

use crate::cluster::{goosefs, run, scratch_dir, texts};
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
