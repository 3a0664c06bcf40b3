//! Times of Windows: units of 100 ns, since 1601 in UTC, and the Gregorian calendar.

/// Units of 100 ns in a second.
pub const SECOND: i64 = 10_000_000;
/// Units of 100 ns in a day.
pub const DAY: i64 = 86_400 * SECOND;

/// Returns the days from 1601-01-01 to a date.
#[must_use]
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Counts years from March, so that the leap day is the last of its year.
    let shifted = (month + 9) % 12;
    let year = if month < 3 { year - 1 } else { year };
    let since_0000_03_01 =
        365 * year + year / 4 - year / 100 + year / 400 + (shifted * 306 + 5) / 10 + day - 1;
    since_0000_03_01 - 584_694
}

/// Returns year, month and day of a number of days since 1601-01-01.
#[must_use]
pub fn date(days: i64) -> (i64, i64, i64) {
    let mut year = 1601 + days / 366;
    while self::days(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| self::days(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - self::days(year, month, 1) + 1)
}
