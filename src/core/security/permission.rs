//! Permission bits.

/// What one wants to do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(u32);

impl Access {
    /// Read a file, list a directory.
    pub const READ: Access = Access(4);
    /// Change a file, add to or take from a directory.
    pub const WRITE: Access = Access(2);
    /// Walk through a directory.
    pub const EXECUTE: Access = Access(1);
    /// Add to or take from a directory on the way.
    pub const WRITE_EXECUTE: Access = Access(3);
    /// List what is in a directory, and see what it is.
    pub const READ_EXECUTE: Access = Access(5);

    /// The three bits, as in one octal digit of a mode.
    pub fn from_bits(bits: u32) -> Self {
        Access(bits & 7)
    }
}

/// Whether `user`, a member of `groups`, has `access` to what `owner` and `group` own with `mode`.
/// As in POSIX the first class that matches decides: owner, then group, then others.
pub fn may(
    user: &str,
    groups: &[String],
    (owner, group, mode): (&str, &str, u32),
    access: Access,
) -> bool {
    let shift = if user == owner {
        6
    } else if groups.iter().any(|g| g == group) {
        3
    } else {
        0
    };
    (mode >> shift) & access.0 == access.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_that_matches_decides() {
        let file = ("ann", "users", 0o467);
        let users = ["users".to_string()];
        assert!(!may("ann", &users, file, Access::WRITE), "the owner has r--");
        assert!(may("bob", &users, file, Access::WRITE), "the group has rw-");
        assert!(!may("bob", &users, file, Access::EXECUTE));
        assert!(may("eve", &[], file, Access::WRITE_EXECUTE), "others have rwx");
    }
}
