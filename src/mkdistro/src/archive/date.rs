//! Dates of Release files, as seconds since 1970-01-01 UTC.
//!
//! `Date` and `Valid-Until` are written as in RFC 5322, section 3.3, always in UTC; the lock has RFC 3339. Both are read
//! with days of the proleptic Gregorian calendar; leap seconds do not exist here.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sat, 12 Sep 2026 07:55:41 UTC`.
pub fn parse_release(text: &str) -> Option<u64> {
    let text = text.trim();
    let text = text.split_once(',').filter(|(weekday, _)| weekday.len() == 3).map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[day, month, year, time, zone] = words.as_slice() else { return None };
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    seconds(number(year, 4)?, month, number(day, day.len())?, time)
}

/// Reads `2026-09-12T07:55:41Z`.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let parts: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return None };
    seconds(number(year, 4)?, number(month, 2)?, number(day, 2)?, time)
}

/// Writes `2026-09-12T07:55:41Z`.
pub fn format_rfc3339(seconds: u64) -> String {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

/// `digits` decimal digits and nothing else.
fn number(text: &str, digits: usize) -> Option<u64> {
    let decimal = text.len() == digits && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if decimal { text.parse().ok() } else { None }
}

fn seconds(year: u64, month: u64, day: u64, time: &str) -> Option<u64> {
    let parts: Vec<&str> = time.split(':').collect();
    let &[hour, minute, second] = parts.as_slice() else { return None };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let valid = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return None;
    }
    let days = (1970..year).map(days_of_year).sum::<u64>()
        + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
        + day
        - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        // Seconds from `date -u -d ... +%s`.
        for (release, rfc3339, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", "1970-01-01T00:00:00Z", 0),
            ("Sat, 12 Sep 2026 07:55:41 UTC", "2026-09-12T07:55:41Z", 1_789_199_741),
            ("Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z", 1_709_251_199),
            ("1 Mar 2100 00:00:00 +0000", "2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(parse_release(release), Some(seconds), "{release}");
            assert_eq!(parse_rfc3339(rfc3339), Some(seconds), "{rfc3339}");
            assert_eq!(format_rfc3339(seconds), rfc3339);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "Sat, 12 Sep 2026 07:55:41",
            "Sat, 12 Sep 2026 07:55:41 CET",
            "Sat, 31 Sep 2026 07:55:41 UTC",
            "Sat, 12 Sep 2026 24:00:00 UTC",
            "Sat, 12 Sep 99999 07:55:41 UTC",
            "Sat, 12 Sep 1969 07:55:41 UTC",
            "Thu, 29 Feb 2023 00:00:00 UTC",
        ] {
            assert_eq!(parse_release(text), None, "{text}");
        }
        for text in ["2026-09-12", "2026-09-12T07:55:41", "2026-9-12T07:55:41Z", "2026-13-12T07:55:41Z"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
