//! Names of users and groups, and their numbers.
//!
//! `/etc/passwd` and `/etc/group` are read directly: a static binary cannot load the C library's
//! lookup modules. Who has no name is shown by number, and a number is taken as a name.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long what was read from the files is used.
const KEPT: Duration = Duration::from_secs(60);

/// Both tables, read when first needed and again when they are old.
#[derive(Debug, Default)]
pub struct Owners(Mutex<Option<(Instant, Tables)>>);

#[derive(Debug)]
struct Tables {
    users: Table,
    groups: Table,
}

#[derive(Debug, Default)]
struct Table {
    names: HashMap<u32, String>,
    ids: HashMap<String, u32>,
}

impl Owners {
    /// The names of user `uid` and group `gid`.
    pub fn names(&self, uid: u32, gid: u32) -> (String, String) {
        self.with(|tables| (tables.users.name(uid), tables.groups.name(gid)))
    }

    /// The numbers of a user and a group; none for a name this host does not know.
    pub fn ids(&self, owner: Option<&str>, group: Option<&str>) -> (Option<u32>, Option<u32>) {
        self.with(|tables| {
            (owner.and_then(|o| tables.users.id(o)), group.and_then(|g| tables.groups.id(g)))
        })
    }

    fn with<R>(&self, look_up: impl FnOnce(&Tables) -> R) -> R {
        let mut kept = self.0.lock();
        match &*kept {
            Some((read, tables)) if read.elapsed() < KEPT => look_up(tables),
            _ => {
                let text = |path| std::fs::read_to_string(path).unwrap_or_default();
                let tables = Tables {
                    users: Table::parse(&text("/etc/passwd")),
                    groups: Table::parse(&text("/etc/group")),
                };
                look_up(&kept.insert((Instant::now(), tables)).1)
            }
        }
    }
}

impl Table {
    /// Reads lines of `name:x:id:…`; the first of several names for a number wins.
    fn parse(text: &str) -> Table {
        let mut table = Table::default();
        for line in text.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(id)) = (fields.next(), fields.nth(1)) else { continue };
            let Ok(id) = id.parse::<u32>() else { continue };
            table.names.entry(id).or_insert_with(|| name.into());
            table.ids.entry(name.into()).or_insert(id);
        }
        table
    }

    fn name(&self, id: u32) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied().or_else(|| name.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_goes_by_number() {
        let table =
            Table::parse("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nann:x:7:\n");
        assert_eq!((table.name(0).as_str(), table.name(7).as_str()), ("root", "ann"));
        assert_eq!(table.name(1234), "1234");
        assert_eq!(
            (table.id("toor"), table.id("1234"), table.id("bob")),
            (Some(0), Some(1234), None)
        );
    }
}
