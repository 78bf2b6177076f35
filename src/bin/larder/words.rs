//! Numbers as people read them, and durations as they write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `1.5 MiB`: powers of 1024, as the library's sizes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024.0 is one of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `340 us`, `1.25 s`, `2 h 05 min`, `12 d 3 h`.
pub(crate) fn duration(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (seconds, nanos) = (time.as_secs(), time.as_nanos());
    match nanos {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} us", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ if seconds < MINUTE => format!("{:.2} s", time.as_secs_f64().min(59.99)),
        _ if seconds < HOUR => format!("{} min {:02} s", seconds / MINUTE, seconds % MINUTE),
        _ if seconds < DAY => format!("{} h {:02} min", seconds / HOUR, seconds % HOUR / MINUTE),
        _ => format!("{} d {} h", seconds / DAY, seconds % DAY / HOUR),
    }
}

/// `2026-11-22T12:10:55Z`: UTC.
pub(crate) fn time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`: years that begin in March).
fn date(day: u64) -> (u64, u64, u64) {
    let since_0000_03 = day + 719_468;
    let (era, day_of_era) = (since_0000_03 / 146_097, since_0000_03 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Hits of all calls, in percent; `None` if there was no call.
pub(crate) fn hit_rate(hits: u64, misses: u64) -> Option<f64> {
    let calls = hits.saturating_add(misses);
    (calls > 0).then(|| hits as f64 / calls as f64)
}

/// `97 %`, or `-` without calls.
pub(crate) fn percent(rate: Option<f64>) -> String {
    // A rate of all but a few is not all.
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.0} %", (rate * 100.0).floor()))
}

/// `1 item`, `2 items`.
pub(crate) fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Text of a cache on a terminal: what would steer it is shown as `\u{..}`.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let steers = letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let escaped = steers.then(|| letter.escape_default());
            escaped.into_iter().flatten().chain((!steers).then_some(letter))
        })
        .collect()
}

/// `90s`, `45m`, `12h`, `30d`, `2w`.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("`{text}` is no duration: give a number with a letter, such as `90s`, `45m`, `12h`, `30d`, `2w`");
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let scale = match unit.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = number.parse::<u64>().map_err(|_| wrong())?;
    number.checked_mul(scale).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), words);
        }
    }

    #[test]
    fn durations_are_short() {
        for (nanos, words) in [
            (0, "0 s"),
            (999, "999 ns"),
            (340_000, "340 us"),
            (999_999_999, "999 ms"),
            (1_250_000_000, "1.25 s"),
            (59_999_999_999, "59.99 s"),
            (61_000_000_000, "1 min 01 s"),
            (7_500_000_000_000, "2 h 05 min"),
            (1_047_600_000_000_000, "12 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), words);
        }
    }

    #[test]
    fn times_are_utc() {
        for (seconds, words) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_349_455, "2026-11-22T12:10:55Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [("90s", 90), ("45m", 2700), ("12 h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "12", "-1d", "1.5h", "1y", "99999999999999999999d", "9999999999999999999w"] {
            assert!(parse_duration(text).is_err_and(|words| words.contains("is no duration")), "{text}");
        }
    }

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(plain("a\u{1b}[31mb\n\u{202e}é"), "a\\u{1b}[31mb\\n\\u{202e}é");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|number| count(number, "item")), ["0 items", "1 item", "2 items"]);
    }

    #[test]
    fn a_rate_is_never_rounded_up_to_all() {
        assert_eq!(percent(hit_rate(999, 1)), "99 %");
        assert_eq!(percent(hit_rate(5, 0)), "100 %");
        assert_eq!(percent(hit_rate(0, 0)), "-");
    }
}
