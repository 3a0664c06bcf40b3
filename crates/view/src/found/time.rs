//! Times of Windows, spelled.

use nt::time::date;

/// Units of 100 ns in a second.
const SECOND: u64 = nt::time::SECOND.cast_unsigned();

/// Spells a moment: `2026-11-24 12:34:56Z`.
pub(super) fn moment(time: u64) -> String {
    let seconds = time / SECOND;
    let (year, month, day) = date((seconds / 86_400).cast_signed());
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Spells a time span, to the millisecond where it is short: `1 h 01 min 01 s`, `2.500 s`.
pub(super) fn duration(time: u64) -> String {
    let seconds = time / SECOND;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, second) => format!("{second}.{:03} s", time % SECOND / 10_000),
        (0, 0, minute, second) => format!("{minute} min {second:02} s"),
        (0, hour, minute, second) => format!("{hour} h {minute:02} min {second:02} s"),
        (day, hour, minute, _) => format!("{day} d {hour:02} h {minute:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        // Unix times of `date -u`, plus the seconds from 1601 to 1970.
        let at = |unix: i64| moment((unix + 11_644_473_600) as u64 * SECOND);
        assert_eq!(moment(0), "1601-01-01 00:00:00Z");
        assert_eq!(at(0), "1970-01-01 00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29 23:59:59Z");
        assert_eq!(at(1_709_251_200), "2024-03-01 00:00:00Z");
        assert_eq!(at(1_795_523_696), "2026-11-24 12:34:56Z");
        assert_eq!(at(-2_203_891_200), "1900-03-01 00:00:00Z");
        assert!(moment(u64::MAX).starts_with("60056-"));
    }

    #[test]
    fn spans_have_the_units_that_matter() {
        assert_eq!(duration(25_000_000), "2.500 s");
        assert_eq!(duration(61 * SECOND), "1 min 01 s");
        assert_eq!(duration(3661 * SECOND), "1 h 01 min 01 s");
        assert_eq!(duration(90_061 * SECOND), "1 d 01 h 01 min");
    }
}
