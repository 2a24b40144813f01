//! Sizes, durations and percentages as people write and read them.

use crate::core::error::{Error, Result, invalid_argument};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. Units are powers of 1,024, as everywhere in GooseFS: `2G` = `2GB` = `2GiB`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

impl FromStr for ByteSize {
    type Err = Error;

    /// Reads `2G`, `1.5GiB`, `1953125KB`, `4096`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || invalid_argument(format!("{text:?} is no size such as 512MB, 1.5GiB or 4096"));
        let upper = text.trim().to_ascii_uppercase();
        let digits = upper.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(upper.len());
        let (number, unit) = upper.split_at(digits);
        let unit = unit.trim_start();
        let scale = match unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(unit) {
            "" => 1u64,
            one if one.len() == 1 => {
                let letter = one.chars().next().ok_or_else(wrong)?;
                let power = SIZE_UNITS.iter().position(|&u| u == letter).ok_or_else(wrong)?;
                1u64 << (10 * (power + 1))
            }
            _ => return Err(wrong()),
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(scale).map(ByteSize).ok_or_else(wrong);
        }
        let value = number.parse::<f64>().map_err(|_| wrong())? * scale as f64;
        if value.is_finite() && value < u64::MAX as f64 {
            Ok(ByteSize(value as u64))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for ByteSize {
    /// `1.5GB`, `64MB`, `4096B`: the shape GooseFS prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = String::from("B");
        for letter in SIZE_UNITS {
            // One decimal: 1023.95 would already print as 1024.0.
            if value < 1023.95 {
                break;
            }
            value /= 1024.0;
            unit = format!("{letter}B");
        }
        let text = format!("{value:.1}");
        f.pad(&format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text)))
    }
}

/// Reads a duration as GooseFS writes it: `500ms`, `10s`, `10sec`, `5min`, `2h`, `1day`; a bare
/// number is milliseconds.
///
/// # Errors
/// `InvalidArgument` when it is none.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let wrong = || invalid_argument(format!("{text:?} is no duration such as 500ms, 30s or 10min"));
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let scale_ms = match unit.trim() {
        "" | "ms" | "msec" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "second" | "seconds" => 1e3,
        "m" | "min" | "minute" | "minutes" => 60e3,
        "h" | "hr" | "hour" | "hours" => 3_600e3,
        "d" | "day" | "days" => 86_400e3,
        _ => return Err(wrong()),
    };
    let value_ms = number.parse::<f64>().map_err(|_| wrong())? * scale_ms;
    if value_ms > 1e15 {
        return Err(wrong());
    }
    Ok(Duration::from_secs_f64(value_ms / 1e3))
}

/// Writes a duration in the largest unit that loses nothing: `90s`, `10min`, `1500ms`.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, scale) in [("day", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms >= scale && ms.is_multiple_of(scale) {
            return format!("{}{unit}", ms / scale);
        }
    }
    format!("{ms}ms")
}

/// Reads a share: `90%` or `0.9`. Returns 0.0 to 1.0.
///
/// # Errors
/// `InvalidArgument` when it is none, or outside 0 to 100 %.
pub fn parse_share(text: &str) -> Result<f64> {
    let wrong = || invalid_argument(format!("{text:?} is no share such as 90% or 0.9"));
    let text = text.trim();
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => text.parse::<f64>().map_err(|_| wrong())?,
    };
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("2G", 2 << 30),
            ("1.5GiB", 3 << 29),
            ("1953125KB", 1953125 << 10),
            ("4096", 4096),
            ("64 MB", 64 << 20),
            ("0", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
        }
        for bad in ["", "G", "1.2.3G", "-1", "5X", "1KKB", "99999999999E", "NaN", "inf"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn sizes_are_printed_short() {
        let cases = [
            (0, "0B"),
            (4095, "4KB"),
            (1 << 20, "1MB"),
            (3 << 29, "1.5GB"),
            ((1 << 30) - 1, "1GB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn durations_go_both_ways() {
        for (text, ms) in [
            ("500ms", 500),
            ("10sec", 10_000),
            ("5min", 300_000),
            ("2day", 172_800_000),
            ("250", 250),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        assert_eq!(format_duration(Duration::from_secs(600)), "10min");
        assert_eq!(format_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(
            parse_duration(&format_duration(Duration::from_secs(90))).unwrap().as_secs(),
            90
        );
        assert!(parse_duration("5 fortnights").is_err());
        assert!(parse_duration("-5s").is_err());
    }

    #[test]
    fn shares_are_percent_or_fraction() {
        assert_eq!(parse_share("90%").unwrap(), 0.9);
        assert_eq!(parse_share("0.5").unwrap(), 0.5);
        assert!(parse_share("90").is_err());
        assert!(parse_share("-1%").is_err());
    }
}
