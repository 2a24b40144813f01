//! Which media a pinned file is to be kept on.
//!
//! Kept as an extended attribute of the file, since few files have any: what is pinned and has none is
//! kept wherever it is.

use crate::core::error::{Error, Result, invalid_argument};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The attribute with the media, as in `MEM,SSD`.
pub const PINNED_MEDIA: &str = "innerPinnedMedia";
/// The media there are, the fastest first.
const NAMES: [&str; 3] = ["MEM", "SSD", "HDD"];

/// A set of media; the empty one stands for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media(u8);

impl Media {
    /// Whichever.
    pub const ANY: Media = Media(0);

    /// What the attributes of a file say; what they say of no medium there is, says nothing.
    pub fn of(xattrs: &BTreeMap<String, Vec<u8>>) -> Media {
        let text = xattrs.get(PINNED_MEDIA).and_then(|value| std::str::from_utf8(value).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The set that these bits stand for.
    pub fn from_bits(bits: u8) -> Media {
        Media(bits & 0b111)
    }

    /// One bit a medium.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether every medium will do.
    pub fn is_any(self) -> bool {
        self == Media::ANY
    }

    /// Whether a medium of this name will do.
    pub fn allow(self, name: &str) -> bool {
        let bit = NAMES.iter().position(|known| *known == name).map_or(0, |index| 1 << index);
        self.is_any() || self.0 & bit != 0
    }

    /// Those of both.
    pub fn and(self, other: Media) -> Media {
        Media(self.0 | other.0)
    }

    /// Their names.
    pub fn names(self) -> Vec<&'static str> {
        NAMES.into_iter().filter(|name| !self.is_any() && self.allow(name)).collect()
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl FromStr for Media {
    type Err = Error;

    /// Reads `MEM` and `SSD,HDD`.
    fn from_str(text: &str) -> Result<Self> {
        let mut media = Media::ANY;
        for part in text.split(',') {
            let part = part.trim();
            let index = NAMES.iter().position(|name| name.eq_ignore_ascii_case(part));
            let index = index.ok_or_else(|| {
                invalid_argument(format!("{part:?} is no medium: those are MEM, SSD and HDD"))
            })?;
            media.0 |= 1 << index;
        }
        Ok(media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_read_as_they_are_shown() {
        let some: Media = "hdd, MEM".parse().unwrap();
        assert_eq!((some.to_string().as_str(), some.names().len()), ("MEM,HDD", 2));
        assert_eq!(some.to_string().parse::<Media>().unwrap(), some);
        assert_eq!(Media::from_bits(some.bits()), some);
        assert!(some.allow("MEM") && !some.allow("SSD") && Media::ANY.allow("SSD"));
        assert_eq!("SSD".parse::<Media>().unwrap().and(some).names().len(), 3);
        assert!(Media::ANY.names().is_empty());
        for wrong in ["", "TAPE", "MEM,", "MEM SSD"] {
            assert!(wrong.parse::<Media>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_attribute_that_makes_no_sense_says_nothing() {
        let of = |value: &[u8]| Media::of(&[(PINNED_MEDIA.to_string(), value.to_vec())].into());
        assert_eq!(of(b"SSD,HDD").names(), ["SSD", "HDD"]);
        assert!(
            of(b"TAPE").is_any() && of(&[0xff]).is_any() && Media::of(&BTreeMap::new()).is_any()
        );
    }
}
