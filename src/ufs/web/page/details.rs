//! The date and the size that follow a link.

/// How much a page tells of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// Bytes.
    Exact(u64),
    /// Rounded, as in `1.2K`.
    About(u64),
    /// Nothing.
    Unknown,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The first date in the text, in seconds since 1970 if its clock is UTC, and the size behind it.
pub fn read(text: &str) -> (Option<i64>, Size) {
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let Some(day) = day(word) else { continue };
        let Some(second) = words.peek().and_then(|time| time_of_day(time)) else { continue };
        words.next();
        let size = match (words.next(), words.next()) {
            (Some(size), unit) => self::size(size, unit.unwrap_or_default()),
            _ => Size::Unknown,
        };
        return (Some(day * 86_400 + second), size);
    }
    (None, Size::Unknown)
}

/// Days since 1970 of `21-Nov-2026`, `2026-11-21` or `2026-Nov-21`.
fn day(word: &str) -> Option<i64> {
    let mut parts = word.split('-');
    let (first, month, last) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, day) = if first.len() == 4 { (first, last) } else { (last, first) };
    let month = month.to_ascii_lowercase();
    let month = match MONTHS.iter().position(|name| *name == month) {
        Some(index) => index as i64 + 1,
        None => month.parse().ok().filter(|month| (1..=12).contains(month))?,
    };
    let year: i64 = (year.len() == 4).then(|| year.parse().ok()).flatten()?;
    let day: i64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    Some(days_since_1970(year, month, day))
}

/// Days from 1 January 1970 in the Gregorian calendar; years begin in March, so that the leap day
/// is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Seconds of `23:10` or `23:10:05`.
fn time_of_day(word: &str) -> Option<i64> {
    let mut parts = word.split(':').map(|part| part.parse::<i64>().ok().filter(|n| *n >= 0));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    (hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second)
}

fn size(word: &str, next: &str) -> Size {
    let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
    let (number, unit) = word.split_at(digits);
    let unit = if unit.is_empty() { next } else { unit };
    let factor = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1u64 << 40,
        _ if digits < word.len() && !matches!(unit, "B" | "b") => return Size::Unknown,
        _ => 1,
    };
    match (number.parse::<u64>(), number.parse::<f64>()) {
        (Ok(bytes), _) if factor == 1 => Size::Exact(bytes),
        (_, Ok(number)) => Size::About((number * factor as f64) as u64),
        _ => Size::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_servers_write_them() {
        let expected = Some(1_795_302_600);
        for text in [
            " 21-Nov-2026 23:10    -",
            "2026-11-21 23:10  1.2K",
            "2026-Nov-21 23:10:00 7",
            "some words 2026-11-21 23:10",
        ] {
            assert_eq!(read(text).0, expected, "{text}");
        }
        assert_eq!(read("29-Feb-2024 00:00").0, Some(1_709_164_800));
        assert_eq!(read("01-Jan-1970 00:00:01").0, Some(1));
        for text in ["", "32-Nov-2026 23:10", "2026-13-01 00:00", "21-Nov-2026", "1-2-3-4 10:00"] {
            assert_eq!(read(text), (None, Size::Unknown), "{text}");
        }
    }

    #[test]
    fn only_bytes_are_exact() {
        let size = |text: &str| read(&format!("2026-11-21 23:10 {text}")).1;
        assert_eq!(size("1234"), Size::Exact(1234));
        assert_eq!(size("512 "), Size::Exact(512));
        assert_eq!(size("1.5K"), Size::About(1536));
        assert_eq!(size("2.0 MiB"), Size::About(2 << 20));
        assert_eq!(size("3 KB"), Size::About(3 << 10));
        assert_eq!(size("7B"), Size::Exact(7));
        for text in ["-", "", "x12", "12x", "1.2.3K", "99999999999999999999999"] {
            assert!(!matches!(size(text), Size::Exact(_)), "{text}");
        }
    }
}
