//! Times as machines and people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;

/// A time in UTC, to the second (RFC 3339 §5.6). Times before 1970 are shown as its beginning.
pub fn to_the_second(time: SystemTime) -> String {
    format!("{}Z", without_zone(since_1970(time).as_secs()))
}

/// As [`to_the_second`], with milliseconds.
pub fn to_the_millisecond(time: SystemTime) -> String {
    let since = since_1970(time);
    format!("{}.{:03}Z", without_zone(since.as_secs()), since.subsec_millis())
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn without_zone(seconds: u64) -> String {
    let (year, month, day) = date(seconds / SECONDS_A_DAY);
    let second = seconds % SECONDS_A_DAY;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years begin with March here, so that the leap day is the last of its year; the calendar repeats every 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (cycle, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days_before = day / 1_460 + day / 146_096 - day / 36_524;
    let year = (day - leap_days_before) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to January have 153 days in every five months.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_234_567_890, "2009-02-13T23:31:30"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 250);
            assert_eq!(to_the_second(time), format!("{expected}Z"));
            assert_eq!(to_the_millisecond(time), format!("{expected}.250Z"));
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = date(0);
        for day in 1..200_000 {
            let (year, month, of_month) = date(day);
            let next_day = (year, month, of_month) == (before.0, before.1, before.2 + 1);
            let next_month = of_month == 1 && before.2 >= 28;
            assert!(next_day || next_month, "{before:?}, then {:?}", date(day));
            before = date(day);
        }
    }
}
