//! The text of calendar events.

use super::{Calendar, Component, Item};

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const SHORT: [(&str, &str); 9] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
];

pub(super) fn parse(text: &str) -> Result<Calendar, String> {
    let wrong = |what: &str| format!("no calendar event: {text:?}: {what}");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let utc = words.last().is_some_and(|word| word.eq_ignore_ascii_case("utc"));
    if utc {
        words.pop();
    }
    if let [word] = words[..]
        && let Some((_, long)) = SHORT.iter().find(|(short, _)| word.eq_ignore_ascii_case(short))
    {
        return Ok(Calendar { utc, ..parse(long)? });
    }
    let mut calendar = Calendar {
        weekdays: 0,
        year: Component::default(),
        month: Component::default(),
        day: Component::default(),
        from_end: false,
        hour: single(0),
        minute: single(0),
        second: single(0),
        utc,
    };
    let mut rest = words.as_slice();
    if let [word, after @ ..] = rest
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        calendar.weekdays = weekdays(word).ok_or_else(|| wrong(word))?;
        rest = after;
    }
    if let [word, after @ ..] = rest
        && !word.contains(':')
    {
        date(&mut calendar, word).ok_or_else(|| wrong(word))?;
        rest = after;
    }
    if let [word, after @ ..] = rest {
        time(&mut calendar, word).ok_or_else(|| wrong(word))?;
        rest = after;
    }
    match rest {
        _ if words.is_empty() => Err(wrong("nothing")),
        [] => Ok(calendar),
        [zone, ..] => Err(wrong(&format!("{zone}: no time zone but UTC and the machine's own"))),
    }
}

fn single(value: i64) -> Component {
    Component(vec![Item { first: value, last: None, step: None }])
}

fn weekday(word: &str) -> Option<usize> {
    let word = word.to_ascii_lowercase();
    WEEKDAYS.iter().position(|day| *day == word || day.get(..3) == Some(&word))
}

/// `Mon,Wed..Fri`; a range may go over Sunday.
fn weekdays(text: &str) -> Option<u8> {
    let mut bits = 0;
    for part in text.trim_end_matches(',').split(',') {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        bits |= 1 << day;
        while day != last {
            day = (day + 1) % 7;
            bits |= 1 << day;
        }
    }
    Some(bits)
}

/// `YEAR-MONTH-DAY`, `MONTH-DAY`, with `~` before the day to count from the end.
fn date(calendar: &mut Calendar, text: &str) -> Option<()> {
    let (before, day, from_end) = match text.rsplit_once('~') {
        Some((before, day)) => (before, day, true),
        None => {
            let (before, day) = text.rsplit_once('-')?;
            (before, day, false)
        }
    };
    let (year, month) = before.split_once('-').unwrap_or(("*", before));
    calendar.year = component(year, 1970, 2199)?;
    calendar.month = component(month, 1, 12)?;
    calendar.day = component(day, 1, 31)?;
    calendar.from_end = from_end;
    Some(())
}

/// `HOUR:MINUTE:SECOND`, `HOUR:MINUTE`.
fn time(calendar: &mut Calendar, text: &str) -> Option<()> {
    let mut parts = text.split(':');
    calendar.hour = component(parts.next()?, 0, 23)?;
    calendar.minute = component(parts.next()?, 0, 59)?;
    calendar.second = parts.next().map_or(Some(single(0)), |part| component(part, 0, 59))?;
    parts.next().is_none().then_some(())
}

/// `*`, `1,2`, `1..3`, `*/2`, `0/15`.
fn component(text: &str, least: i64, most: i64) -> Option<Component> {
    let number = |text: &str| -> Option<i64> {
        let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = digits.then(|| text.parse().ok())??;
        (least..=most).contains(&value).then_some(value)
    };
    if text == "*" {
        return Some(Component::default());
    }
    let mut items = Vec::new();
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            Some(step) => Some(step.parse::<i64>().ok().filter(|step| (1..=10_000).contains(step))?),
            None => None,
        };
        let item = match range.split_once("..") {
            Some((first, last)) => Item { first: number(first)?, last: Some(number(last)?), step },
            None if range == "*" => Item { first: least, last: Some(most), step },
            None => Item { first: number(range)?, last: None, step },
        };
        items.push(item);
    }
    (items.len() <= 100).then_some(Component(items))
}
