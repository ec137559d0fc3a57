//! Times of messages: from the kernel's start to the clock on the wall, and as text (RFC 3339, always UTC).

use rustix::time::{ClockId, clock_gettime};

/// What the wall clock says at the kernel's start, by what it says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    start_us: i64,
}

impl Clock {
    /// By the clocks as they are now.
    pub(super) fn now() -> Self {
        Self { start_us: read_us(ClockId::Realtime).saturating_sub(read_us(ClockId::Boottime)) }
    }

    #[cfg(test)]
    pub(super) fn fixed(start_us: i64) -> Self {
        Self { start_us }
    }

    /// Microseconds since 1970.
    pub(super) fn wall_us(self, boot_us: u64) -> i64 {
        self.start_us.saturating_add(i64::try_from(boot_us).unwrap_or(i64::MAX))
    }

    /// The other way round; 0 for what was before the start.
    pub(super) fn boot_us(self, wall_us: i64) -> u64 {
        u64::try_from(wall_us.saturating_sub(self.start_us)).unwrap_or(0)
    }
}

/// Microseconds since the kernel's start, time asleep included.
pub(super) fn boot_us() -> u64 {
    u64::try_from(read_us(ClockId::Boottime)).unwrap_or(0)
}

/// How much further that is than the clock of kernel messages, which stands still while the machine sleeps.
pub(super) fn asleep_us() -> u64 {
    u64::try_from(read_us(ClockId::Boottime).saturating_sub(read_us(ClockId::Monotonic))).unwrap_or(0)
}

fn read_us(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

/// `2026-11-22T10:26:25.123Z`, with so many digits after the second, 6 at most.
pub(super) fn rfc3339(wall_us: i64, digits: u32) -> String {
    let (seconds, micros) = (wall_us.div_euclid(1_000_000), wall_us.rem_euclid(1_000_000));
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = micros / 10i64.pow(6u32.saturating_sub(digits));
    let width = digits as usize;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:0width$}Z")
}

/// Day of the Gregorian calendar by days since 1970-01-01. Years begin with March here, so that the leap day is the last.
fn date(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097; // 400 years
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153; // 0 is March
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + later, month, day)
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// A time to begin at, in microseconds since 1970: `30s`, `10m`, `2h`, `1d` before `now`, or `2026-11-22`,
/// `2026-11-22T10:26`, `2026-11-22T10:26:25` (UTC).
pub(super) fn since(text: &str, now_wall_us: i64) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    if let (Some(seconds), Ok(number)) = (seconds, number.parse::<u32>()) {
        return Some(now_wall_us - i64::from(number) * seconds * 1_000_000);
    }
    let text = text.trim_end_matches('Z');
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "0:0:0"));
    let mut numbers = date.split('-').map(|number| number.parse::<u16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut clock = time.split(':').map(|number| number.parse::<u16>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && numbers.next().is_none();
    if !is_date || hour > 23 || minute > 59 || second > 60 || clock.next().is_some() {
        return None;
    }
    let [year, month, day, hour, minute, second] = [year, month, day, hour, minute, second].map(i64::from);
    Some((days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::{Clock, date, days, rfc3339, since};

    #[test]
    fn knows_the_calendar() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (11_016, (2000, 2, 29)),
            (20_779, (2026, 11, 22)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(day), expected, "{day}");
        }
        assert!((-800_000..800_000).step_by(13).all(|day| {
            let (year, month, date) = date(day);
            days(year, month, date) == day
        }));
        assert_eq!(rfc3339(1_795_343_185_123_456, 6), "2026-11-22T10:26:25.123456Z");
        assert_eq!(rfc3339(1_795_343_185_123_456, 3), "2026-11-22T10:26:25.123Z");
    }

    #[test]
    fn reads_times() {
        let now = 1_795_343_185_000_000;
        let texts = |text: &str| since(text, now).map(|at| rfc3339(at, 0));
        assert_eq!(texts("25s").as_deref(), Some("2026-11-22T10:26:00.0Z"));
        assert_eq!(texts("1d").as_deref(), Some("2026-11-21T10:26:25.0Z"));
        assert_eq!(texts("2026-11-22").as_deref(), Some("2026-11-22T00:00:00.0Z"));
        assert_eq!(texts("2024-02-29T23:59:58Z").as_deref(), Some("2024-02-29T23:59:58.0Z"));
        assert_eq!(texts("2026-11-22 10:26").as_deref(), Some("2026-11-22T10:26:00.0Z"));
        for wrong in ["", "s", "-1h", "1w", "2026", "2026-13-01", "2026-01-01T25:00", "2026-1-1T1:1:1:1", "ä"] {
            assert_eq!(texts(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn both_ways() {
        let clock = Clock::fixed(1_000);
        assert_eq!((clock.wall_us(5), clock.boot_us(1_005), clock.boot_us(3)), (1_005, 5, 0));
    }
}
