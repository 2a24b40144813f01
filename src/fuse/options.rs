//! What `-o` says about a mounted directory.

use crate::core::config::Config;
use crate::core::error::{Context, Result, invalid_argument};
use crate::core::model::size::parse_duration;
use std::time::Duration;

/// How a directory is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether users other than the one who mounts may enter.
    pub allow_other: bool,
    /// Whether programs on it may be run.
    pub exec: bool,
    /// How long the kernel may trust attributes.
    pub attribute_timeout: Duration,
    /// How long the kernel may trust names.
    pub entry_timeout: Duration,
    /// The number every owner has; none for each owner's own.
    pub uid: Option<u32>,
    /// The number every group has; none for each group's own.
    pub gid: Option<u32>,
    /// Bytes the kernel reads ahead.
    pub max_read_ahead: u64,
}

/// The names, as help and errors show them. Those after the break are mount(8)'s own, taken because
/// mount(8) and fstab pass them, and without effect here.
const NAMES: &[&str] = &[
    "ro",
    "rw",
    "allow_other",
    "noallow_other",
    "exec",
    "noexec",
    "attr_timeout",
    "entry_timeout",
    "uid",
    "gid",
    "max_readahead",
    // mount(8)
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "_netdev",
    "nofail",
    "nodev",
    "nosuid",
    "noatime",
    "relatime",
    "nodiratime",
    "async",
    "default_permissions",
];

impl Options {
    /// What the configuration says.
    pub fn of(config: &Config) -> Self {
        Options {
            read_only: false,
            allow_other: config.fuse.allow_other,
            exec: true,
            attribute_timeout: config.fuse.attribute_timeout,
            entry_timeout: config.fuse.attribute_timeout,
            uid: None,
            gid: None,
            max_read_ahead: config.fuse.read_ahead.0,
        }
    }

    /// Applies a list such as `ro,attr_timeout=5`; later ones win.
    ///
    /// # Errors
    /// `InvalidArgument` naming the option, and the nearest one there is.
    pub fn apply(&mut self, list: &str) -> Result<()> {
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (item, None),
            };
            self.set(name, value).with_context(|| format!("mount option {item:?}"))?;
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        // systemd's own options stand in fstab beside ours.
        if name.starts_with("x-") || name.starts_with("comment") {
            return Ok(());
        }
        if !NAMES.contains(&name) {
            return Err(unknown(name));
        }
        match name {
            "attr_timeout" => self.attribute_timeout = seconds(needed(name, value)?)?,
            "entry_timeout" => self.entry_timeout = seconds(needed(name, value)?)?,
            "uid" => self.uid = Some(id(needed(name, value)?)?),
            "gid" => self.gid = Some(id(needed(name, value)?)?),
            "max_readahead" => {
                let size: crate::core::model::ByteSize = needed(name, value)?.parse()?;
                self.max_read_ahead = size.0;
            }
            _ if value.is_some() => {
                return Err(invalid_argument(format!("{name} takes no value")));
            }
            "ro" => self.read_only = true,
            "rw" => self.read_only = false,
            "allow_other" => self.allow_other = true,
            "noallow_other" => self.allow_other = false,
            "exec" => self.exec = true,
            "noexec" => self.exec = false,
            _ => {}
        }
        Ok(())
    }
}

fn needed<'v>(name: &str, value: Option<&'v str>) -> Result<&'v str> {
    value.ok_or_else(|| invalid_argument(format!("{name} needs a value: write {name}=…")))
}

/// Seconds, as other FUSE mounts take them, or a duration with its unit.
fn seconds(text: &str) -> Result<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds)
            .map_err(|_| invalid_argument(format!("{text:?} is no time in seconds"))),
        Err(_) => parse_duration(text),
    }
}

fn id(text: &str) -> Result<u32> {
    text.parse().map_err(|_| invalid_argument(format!("{text:?} is no numeric id")))
}

fn unknown(name: &str) -> crate::core::error::Error {
    let near = NAMES
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min()
        .filter(|&(distance, _)| distance <= name.len() / 2)
        .map(|(_, near)| format!("; did you mean {near}?"))
        .unwrap_or_default();
    invalid_argument(format!("there is no such option{near}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &str) -> Result<Options> {
        let mut options = Options::of(&Config::with(&[]).unwrap());
        options.apply(list).map(|()| options)
    }

    #[test]
    fn options_are_read_and_the_last_one_wins() {
        let options =
            options("ro,rw,ro,attr_timeout=2.5,entry_timeout=3min,uid=7,gid=8,max_readahead=1M,_netdev,x-systemd.automount")
                .unwrap();
        assert!(options.read_only);
        assert_eq!(options.attribute_timeout, Duration::from_millis(2500));
        assert_eq!(options.entry_timeout, Duration::from_secs(180));
        assert_eq!((options.uid, options.gid), (Some(7), Some(8)));
        assert_eq!(options.max_read_ahead, 1 << 20);
    }

    #[test]
    fn an_unknown_option_is_met_with_the_nearest() {
        let error = options("atr_timeout=1").unwrap_err().to_string();
        assert!(error.contains("did you mean attr_timeout?"), "{error}");
        for bad in ["uid=me", "uid", "ro=1", "attr_timeout=soon", "attr_timeout=-1", "zzzzzz"] {
            assert!(options(bad).is_err(), "{bad:?} was taken");
        }
    }
}
