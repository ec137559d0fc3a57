//! The Gregorian calendar.

/// A date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day, from 1.
    pub day: i64,
}

impl Civil {
    /// The date so many days after 1970-01-01. Years are counted from March: leap days come last then.
    pub fn of_day(day: i64) -> Self {
        // 0000-03-01 is 719468 days before 1970-01-01; 400 years have 146097 days.
        let days = day + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        Self { year, month, day: of_year - (153 * from_march + 2) / 5 + 1 }
    }

    /// Days since 1970-01-01.
    pub fn day(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = (self.month + 9) % 12;
        let of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// The first day of the next month.
    pub(super) fn next_month(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1, day: 1 },
            month => Self { year: self.year, month: month + 1, day: 1 },
        }
    }
}

/// How many days a month has.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    let first = Civil { year, month, day: 1 };
    first.next_month().day() - first.day()
}

#[cfg(test)]
mod tests {
    use super::{Civil, days_in_month};

    #[test]
    fn counts_days() {
        for (year, month, date, day) in
            [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (2000, 3, 1, 11_017), (2026, 11, 22, 20_779), (1969, 12, 31, -1)]
        {
            let civil = Civil { year, month, day: date };
            assert_eq!((civil.day(), Civil::of_day(day)), (day, civil));
        }
        assert!((-800_000..800_000).all(|day| Civil::of_day(day).day() == day));
        assert_eq!([1900, 2000, 2023, 2024].map(|year| days_in_month(year, 2)), [28, 29, 28, 29]);
        assert_eq!((days_in_month(2026, 12), days_in_month(2026, 4)), (31, 30));
    }
}
