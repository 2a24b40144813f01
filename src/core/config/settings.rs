//! One declaration per setting: `settings!` makes a typed struct of a group and a table of what
//! is in it. Parsing, `getConf`, goosefs.yaml(5) and validation all read that table.

use super::Values;
use crate::core::error::{Result, invalid_argument};
use crate::core::model::size::{parse_duration, parse_share};
use crate::core::model::{ByteSize, EvictionPolicy, ReadType, WriteType};
use std::path::PathBuf;
use std::time::Duration;

/// What is declared of one setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Dotted property name, e.g. `goosefs.master.rpc.port`.
    pub name: &'static str,
    /// Type, as people call it: size, duration, port …
    pub kind: &'static str,
    /// The value where none is set, as one would write it.
    pub default: &'static str,
    /// An environment variable that sets it, beside `GOOSEFS_MASTER_RPC_PORT` and the like.
    pub env: Option<&'static str>,
    /// What it means.
    pub doc: &'static str,
    /// Whether `text` is a valid value.
    pub check: fn(&str) -> Result<()>,
}

/// A type that settings can have.
pub trait Value: Sized {
    /// What people call it.
    const KIND: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// `InvalidArgument`, saying what was expected.
    fn read(text: &str) -> Result<Self>;
}

/// Implements [`Value`] by a reading expression.
macro_rules! value {
    ($type:ty, $kind:literal, $text:ident => $read:expr) => {
        impl Value for $type {
            const KIND: &'static str = $kind;

            fn read($text: &str) -> Result<Self> {
                $read
            }
        }
    };
}

value!(String, "text", text => Ok(text.to_string()));
value!(PathBuf, "path", text => Ok(PathBuf::from(text)));
value!(ByteSize, "size", text => text.parse());
value!(Duration, "duration", text => parse_duration(text));
value!(ReadType, "read type", text => text.parse());
value!(WriteType, "write type", text => text.parse());
value!(EvictionPolicy, "eviction policy", text => text.parse());
value!(u16, "port", text => number(text, "a port from 0 to 65535"));
value!(u32, "number", text => number(text, "a whole number"));
value!(u64, "number", text => number(text, "a whole number"));
value!(bool, "true or false", text => match text.to_ascii_lowercase().as_str() {
    "true" | "yes" | "on" | "1" => Ok(true),
    "false" | "no" | "off" | "0" => Ok(false),
    _ => Err(invalid_argument(format!("{text:?} is neither true nor false"))),
});
value!(Vec<String>, "list", text => Ok(text
    .split(',')
    .map(str::trim)
    .filter(|item| !item.is_empty())
    .map(String::from)
    .collect()));

/// A share of a whole, 0.0 to 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);
value!(Share, "share", text => parse_share(text).map(Share));

/// A duration, or none: written `-1` or `never`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaybeDuration(pub Option<Duration>);
value!(MaybeDuration, "duration or -1", text => match text.trim() {
    "-1" | "never" => Ok(MaybeDuration(None)),
    text => parse_duration(text).map(|d| MaybeDuration(Some(d))),
});

/// A time of the day, written `05:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// Minutes since midnight.
    pub minutes: u32,
}
value!(TimeOfDay, "time of day", text => {
    let parsed = text.trim().split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes) = (hours.parse::<u32>().ok()?, minutes.parse::<u32>().ok()?);
        (hours < 24 && minutes < 60).then_some(TimeOfDay { minutes: hours * 60 + minutes })
    });
    parsed.ok_or_else(|| invalid_argument(format!("{text:?} is no time of day, such as 05:00")))
});

fn number<T: std::str::FromStr>(text: &str, what: &str) -> Result<T> {
    text.trim().parse().map_err(|_| invalid_argument(format!("{text:?} is not {what}")))
}

/// Declares a group of settings: `field: type = "property.name", "default";`, with an environment
/// variable of another shape after the default where the official clients have one.
macro_rules! settings {
    ($(#[doc = $group_doc:literal])* $group:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $name:literal, $default:literal $(, $env:literal)?;)*
    }) => {
        $(#[doc = $group_doc])*
        #[derive(Clone, Debug)]
        pub struct $group {
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        impl $group {
            /// What is declared of each setting in this group.
            pub const SETTINGS: &'static [$crate::core::config::settings::Setting] = &[
                $($crate::core::config::settings::Setting {
                    name: $name,
                    kind: <$type as $crate::core::config::settings::Value>::KIND,
                    default: $default,
                    env: $crate::core::config::settings::first_of(&[$($env)?]),
                    doc: concat!($($doc),+),
                    check: |text| {
                        <$type as $crate::core::config::settings::Value>::read(text).map(|_| ())
                    },
                },)*
            ];

            /// This group, from checked values.
            pub(super) fn read(values: &$crate::core::config::Values) -> $crate::core::error::Result<Self> {
                Ok($group { $($field: $crate::core::config::settings::typed(values, $name)?,)* })
            }
        }
    };
}
pub(super) use settings;

/// The first of a list that holds one element or none.
pub const fn first_of(list: &[&'static str]) -> Option<&'static str> {
    if list.is_empty() { None } else { Some(list[0]) }
}

/// The value of `name`, as its type.
pub(super) fn typed<T: Value>(values: &Values, name: &str) -> Result<T> {
    let value = values.resolve(name)?;
    T::read(&value.text).map_err(|e| e.context(format!("{name} ({})", value.source)))
}
