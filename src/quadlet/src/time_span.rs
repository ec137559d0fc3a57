//! Lengths of time: systemd.time(7), "Parsing Time Spans".

/// Units and their microseconds.
const UNITS: [(&[&str], u64); 10] = [
    (&["us", "usec", "\u{b5}s", "\u{3bc}s"], 1),
    (&["ms", "msec"], 1_000),
    (&["", "s", "sec", "second", "seconds"], 1_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000),
    (&["h", "hr", "hour", "hours"], 3_600_000_000),
    (&["d", "day", "days"], 86_400_000_000),
    (&["w", "week", "weeks"], 604_800_000_000),
    // 30.44 and 365.25 days.
    (&["M", "month", "months"], 2_629_800_000_000),
    (&["y", "year", "years"], 31_557_600_000_000),
    (&["infinity"], u64::MAX),
];

/// Milliseconds of a text such as `5min 20s`; [`u64::MAX`] of `infinity`.
///
/// # Errors
/// Says what is wrong.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("no length of time: {text:?}");
    if text.trim() == "infinity" {
        return Ok(u64::MAX);
    }
    let mut rest = text.trim_start();
    let mut total_us: u64 = 0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, us) = UNITS.iter().find(|(names, _)| names.contains(&unit) && unit != "infinity").ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return Err(wrong());
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
        let mut sum = digits(whole).and_then(|whole| whole.checked_mul(*us)).ok_or_else(wrong)?;
        let mut place = *us;
        for digit in part.chars() {
            let digit = digit.to_digit(10).ok_or_else(wrong)?;
            place /= 10;
            sum = sum.saturating_add(place.saturating_mul(digit.into()));
        }
        total_us = total_us.checked_add(sum).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(total_us / 1000)
}

/// Bytes of a text such as `512M` (systemd.resource-control(5): base 1024); `None` of `infinity`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn bytes(text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text == "infinity" {
        return Ok(None);
    }
    let (number, shift) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => {
            let shift = "BKMGT".find(unit).ok_or_else(|| format!("no size: {text:?}"))?;
            (text.get(..at).unwrap_or_default(), shift * 10)
        }
        _ => (text, 0),
    };
    let number = number.trim_end().parse::<u64>().map_err(|_| format!("no size: {text:?}"))?;
    Ok(Some(number.saturating_mul(1 << shift)))
}

#[cfg(test)]
mod tests {
    use super::{bytes, milliseconds};

    #[test]
    fn reads_lengths_of_time() {
        for (text, expected) in [
            ("90", 90_000),
            ("5min 20s", 320_000),
            ("1h30m", 5_400_000),
            ("2.5s", 2_500),
            ("100ms", 100),
            (" 1 d ", 86_400_000),
            ("0", 0),
            ("infinity", u64::MAX),
            ("1M", 2_629_800_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "x", "1x", "-1", "5 minus", ".", "1..2", "99999999999999999999", "999999999999y", "1infinity"]
        {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(bytes("512M"), Ok(Some(512 << 20)));
        assert_eq!((bytes("1024"), bytes("infinity")), (Ok(Some(1024)), Ok(None)));
        assert!(bytes("50%").is_err() && bytes("M").is_err() && bytes("").is_err());
    }
}
