//! Users and their groups.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// The name it gave when it authenticated.
    pub name: Arc<str>,
}

impl User {
    /// The user of that name.
    pub fn named(name: &str) -> Self {
        User { name: name.into() }
    }
}

/// Groups of users, from this host's `/etc/group` and `/etc/passwd`.
///
/// Read directly: a static binary cannot load the C library's lookup modules. A user this host
/// does not know has one group of the user's own name.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    cache: Arc<Mutex<HashMap<Arc<str>, Known>>>,
}

/// When the files were read, and what they said.
type Known = (Instant, Arc<[String]>);

/// How long what was read from the files is used.
const KEPT: Duration = Duration::from_secs(60);
/// Users remembered; clients choose their names, so there must be an end.
const MOST_USERS: usize = 10_000;

impl Groups {
    /// The groups of `user`, the primary one first. Never empty.
    pub fn of(&self, user: &User) -> Arc<[String]> {
        let mut cache = self.cache.lock();
        if let Some((read, groups)) = cache.get(&user.name)
            && read.elapsed() < KEPT
        {
            return groups.clone();
        }
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        let groups: Arc<[String]> =
            groups_of(&user.name, &text("/etc/passwd"), &text("/etc/group")).into();
        if cache.len() >= MOST_USERS {
            cache.clear();
        }
        cache.insert(user.name.clone(), (Instant::now(), groups.clone()));
        groups
    }

    /// The primary group of `user`.
    pub fn primary(&self, user: &User) -> String {
        self.of(user)[0].clone()
    }
}

fn groups_of(user: &str, passwd: &str, group: &str) -> Vec<String> {
    let fields = |line: &str| line.split(':').map(String::from).collect::<Vec<_>>();
    let gid = passwd.lines().map(fields).find(|f| f[0] == user).and_then(|f| f.get(3).cloned());
    let mut primary = None;
    let mut others = Vec::new();
    for entry in group.lines().map(fields).filter(|f| f.len() >= 4) {
        if gid.as_ref() == Some(&entry[2]) {
            primary = Some(entry[0].clone());
        } else if entry[3].split(',').any(|member| member == user) {
            others.push(entry[0].clone());
        }
    }
    let mut groups = vec![primary.unwrap_or_else(|| user.into())];
    groups.append(&mut others);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_group_comes_first() {
        let passwd = "ann:x:1000:100::/home/ann:/bin/sh\n";
        let group = "wheel:x:10:bob,ann\nusers:x:100:\nbob:x:7:\n";
        assert_eq!(groups_of("ann", passwd, group), ["users", "wheel"]);
        assert_eq!(groups_of("bob", passwd, group), ["bob", "wheel"]);
        assert_eq!(groups_of("eve", passwd, group), ["eve"]);
    }
}
