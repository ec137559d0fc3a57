//! Calendar events: systemd.time(7), "Calendar Events", without fractions of seconds and with the time zones that there are
//! here: the machine's own and UTC. The next time of an event is computed; nothing here looks at a clock.

mod civil;
mod parse;

pub use civil::{Civil, days_in_month};

/// After this year nothing happens.
const LAST_YEAR: i64 = 2199;
const DAY_SECS: i64 = 86_400;

/// One value, a range, or a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    first: i64,
    /// `..LAST`
    last: Option<i64>,
    /// `/STEP`
    step: Option<i64>,
}

impl Item {
    fn has(self, value: i64) -> bool {
        let (last, step) = match (self.last, self.step) {
            (None, None) => (self.first, 1),
            (last, step) => (last.unwrap_or(i64::MAX), step.unwrap_or(1)),
        };
        value >= self.first && value <= last && (value - self.first) % step == 0
    }
}

/// Values that fit; none given: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Component(Vec<Item>);

impl Component {
    fn has(&self, value: i64) -> bool {
        self.0.is_empty() || self.0.iter().any(|item| item.has(value))
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Bit 0 is Monday; none set: all days.
    weekdays: u8,
    year: Component,
    month: Component,
    day: Component,
    /// Days are counted from the month's end, 1 is the last one.
    from_end: bool,
    hour: Component,
    minute: Component,
    second: Component,
    utc: bool,
}

impl Calendar {
    /// Reads an event such as `Mon..Fri *-*-* 10:00`.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text)
    }

    /// The first time later than `after`, both in seconds since 1970 in UTC. `offset` is what local time is ahead of UTC at a
    /// time. A time that local clocks leave out (as summer time begins) is the one they show instead.
    pub fn next(&self, after: i64, offset: &dyn Fn(i64) -> i64) -> Option<i64> {
        let offset = |at: i64| if self.utc { 0 } else { offset(at) };
        let mut local = after.checked_add(offset(after))?;
        loop {
            local = self.next_local(local)?;
            let guess = local - offset(local - offset(after));
            let time = local - offset(guess);
            // An hour that there is twice (as summer time ends) counts once.
            if time > after {
                return Some(time);
            }
        }
    }

    fn next_local(&self, after: i64) -> Option<i64> {
        let from = after.checked_add(1)?;
        let mut day = from.div_euclid(DAY_SECS);
        let mut earliest = from.rem_euclid(DAY_SECS);
        loop {
            let date = Civil::of_day(day);
            if date.year > LAST_YEAR {
                return None;
            }
            if !self.year.has(date.year) {
                day = Civil { year: date.year + 1, month: 1, day: 1 }.day();
            } else if !self.month.has(date.month) {
                day = date.next_month().day();
            } else {
                if self.has_date(date, day)
                    && let Some(secs) = self.time_from(earliest)
                {
                    return Some(day * DAY_SECS + secs);
                }
                day += 1;
            }
            earliest = 0;
        }
    }

    fn has_date(&self, date: Civil, day: i64) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = (day + 3).rem_euclid(7);
        if self.weekdays != 0 && self.weekdays & (1 << weekday) == 0 {
            return false;
        }
        if !self.from_end {
            return self.day.has(date.day);
        }
        let of_end = |number: i64| days_in_month(date.year, date.month) + 1 - number;
        self.day.0.is_empty()
            || self.day.0.iter().any(|item| {
                let item = Item { first: of_end(item.first), last: item.last.map(of_end), step: item.step };
                item.has(date.day)
            })
    }

    /// The first fitting second of a day that is not before this one.
    fn time_from(&self, earliest: i64) -> Option<i64> {
        let (hour, minute, second) = (earliest / 3600, earliest / 60 % 60, earliest % 60);
        let first = |component: &Component, from: i64, to: i64| (from..to).find(|value| component.has(*value));
        let mut at = hour;
        loop {
            at = first(&self.hour, at, 24)?;
            let mut in_hour = if at == hour { minute } else { 0 };
            while let Some(found) = first(&self.minute, in_hour, 60) {
                let from = if at == hour && found == minute { second } else { 0 };
                if let Some(second) = first(&self.second, from, 60) {
                    return Some(at * 3600 + found * 60 + second);
                }
                in_hour = found + 1;
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
