//! Dates and times of file systems that do not count seconds.

/// A date and time in UTC.
pub(crate) struct Civil {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
}

/// Seconds since 1970 as date and time in UTC (proleptic Gregorian calendar, no leap seconds, as POSIX counts).
pub(crate) fn civil(unix_secs: u32) -> Civil {
    let (mut days, seconds) = (unix_secs / 86_400, unix_secs % 86_400);
    let is_leap = |year: u32| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u32::from(is_leap(year));
    let mut month = 1;
    for month_days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < month_days {
            break;
        }
        days -= month_days;
        month += 1;
    }
    Civil { year, month, day: days + 1, hour: seconds / 3600, minute: seconds / 60 % 60, second: seconds % 60 }
}
