//! Owners by name, as the inode tree has them, and by number, as the kernel has them.
//!
//! Names are looked up in this host's `/etc/passwd` and `/etc/group`, read directly because a static
//! binary cannot load the C library's lookup modules. A name that this host does not know belongs to
//! the user who mounted: the mount acts with that user's rights, so it shows no more than that user
//! may see.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long what was read from the files is used before an unknown name reads them again.
const KEPT: Duration = Duration::from_secs(60);

/// Names and numbers of users and groups.
#[derive(Debug)]
pub struct Owners {
    users: Names,
    groups: Names,
}

impl Owners {
    /// Those of this host; a number given in `uid` or `gid` stands for every owner or group.
    pub fn new(uid: Option<u32>, gid: Option<u32>) -> Self {
        let (own_uid, own_gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Owners {
            users: Names::new("/etc/passwd", uid, own_uid),
            groups: Names::new("/etc/group", gid, own_gid),
        }
    }

    /// The number that stands for the user `name`.
    pub fn uid(&self, name: &str) -> u32 {
        self.users.number(name)
    }

    /// The number that stands for the group `name`.
    pub fn gid(&self, name: &str) -> u32 {
        self.groups.number(name)
    }

    /// The name of the user `uid`; none when this host knows none.
    pub fn user(&self, uid: u32) -> Option<String> {
        self.users.name(uid)
    }

    /// The name of the group `gid`; none when this host knows none.
    pub fn group(&self, gid: u32) -> Option<String> {
        self.groups.name(gid)
    }
}

#[derive(Debug)]
struct Names {
    file: PathBuf,
    forced: Option<u32>,
    fallback: u32,
    read: Mutex<(Instant, HashMap<String, u32>)>,
}

impl Names {
    fn new(file: &str, forced: Option<u32>, fallback: u32) -> Self {
        let file = PathBuf::from(file);
        let names = parse(&std::fs::read_to_string(&file).unwrap_or_default());
        Names { file, forced, fallback, read: Mutex::new((Instant::now(), names)) }
    }

    fn number(&self, name: &str) -> u32 {
        if let Some(number) = self.forced {
            return number;
        }
        let mut read = self.read.lock();
        if !read.1.contains_key(name) {
            self.refresh(&mut read);
        }
        // An owner that is a number already came from a store that keeps numbers.
        read.1.get(name).copied().or_else(|| name.parse().ok()).unwrap_or(self.fallback)
    }

    fn name(&self, number: u32) -> Option<String> {
        let mut read = self.read.lock();
        let found = |names: &HashMap<String, u32>| {
            names.iter().find(|&(_, &n)| n == number).map(|(name, _)| name.clone())
        };
        found(&read.1).or_else(|| {
            self.refresh(&mut read);
            found(&read.1)
        })
    }

    fn refresh(&self, read: &mut (Instant, HashMap<String, u32>)) {
        if read.0.elapsed() >= KEPT {
            *read =
                (Instant::now(), parse(&std::fs::read_to_string(&self.file).unwrap_or_default()));
        }
    }
}

/// `name:password:number:…` lines, as both files have them.
fn parse(text: &str) -> HashMap<String, u32> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let number = fields.nth(1)?.parse().ok()?;
            Some((name.to_string(), number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers_and_unknown_ones_the_mounting_user() {
        let owners = Owners::new(None, None);
        assert_eq!(owners.uid("root"), 0);
        assert_eq!(owners.user(0).as_deref(), Some("root"));
        assert_eq!(owners.uid("nobody-has-this-name"), nix::unistd::geteuid().as_raw());
        assert_eq!(owners.uid("4711"), 4711);
        assert_eq!(owners.user(3_999_999_999), None);
        assert_eq!(Owners::new(Some(7), Some(8)).uid("root"), 7);
        assert_eq!(Owners::new(Some(7), Some(8)).gid("root"), 8);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        assert_eq!(parse("a:x:1:\nnonsense\n+::::\nb:x:two:\n"), [("a".to_string(), 1)].into());
    }
}
