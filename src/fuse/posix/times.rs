//! What a time has beyond the milliseconds that the tree keeps.
//!
//! Few times have any: those that a program has set to what another file system gave it. An attribute
//! of the file holds them together with the milliseconds that they belong to, so that they count for
//! nothing once the time is another one, whoever changed it.

use crate::client::SetAttributes;
use std::collections::BTreeMap;

/// The attribute that completes one of a file's times.
pub struct Beyond(&'static str);

/// Of the time of the last change of its bytes.
pub const MODIFIED: Beyond = Beyond("innerModifiedNs");
/// Of the time of the last access.
pub const ACCESSED: Beyond = Beyond("innerAccessedNs");

impl Beyond {
    /// Nanoseconds beyond `ms`; 0 where none are known.
    pub fn beyond(&self, ms: i64, xattrs: &BTreeMap<String, Vec<u8>>) -> u32 {
        let kept = || {
            let (of, beyond) = xattrs.get(self.0)?.split_first_chunk::<8>()?;
            let beyond = u32::from_be_bytes(beyond.try_into().ok()?);
            (i64::from_be_bytes(*of) == ms && beyond < 1_000_000).then_some(beyond)
        };
        kept().unwrap_or_default()
    }

    /// Has `set` keep what a time that it sets has beyond its milliseconds.
    pub fn note(&self, ms: Option<i64>, beyond: u32, set: &mut SetAttributes) {
        match ms {
            Some(ms) if beyond > 0 => {
                let value = [&ms.to_be_bytes()[..], &beyond.to_be_bytes()].concat();
                set.set_xattrs.insert(self.0.into(), value);
            }
            // Another time with the same milliseconds may have had some.
            Some(_) => set.remove_xattrs.push(self.0.into()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_belong_to_the_milliseconds_they_were_set_with() {
        let mut set = SetAttributes::default();
        MODIFIED.note(Some(-5), 999_999, &mut set);
        ACCESSED.note(Some(7), 0, &mut set);
        ACCESSED.note(None, 3, &mut set);
        assert_eq!(set.remove_xattrs, ["innerAccessedNs"]);
        assert_eq!(MODIFIED.beyond(-5, &set.set_xattrs), 999_999);
        assert_eq!(MODIFIED.beyond(-6, &set.set_xattrs), 0, "changed since");
        assert_eq!(ACCESSED.beyond(7, &set.set_xattrs), 0);
        let damaged = [("innerModifiedNs".to_string(), vec![0; 5])].into();
        assert_eq!(MODIFIED.beyond(0, &damaged), 0);
    }
}
