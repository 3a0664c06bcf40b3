//! Spans of time as people write them: `500ms`, `10s`.

use std::time::Duration;

use super::Mistake;
use super::mistake::printable;

/// Units, with their nanoseconds.
const UNITS: &[(&str, u128)] = &[
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const FORM: &str = "write a whole number and a unit (us, ms, s, m, h, d), such as `500ms` or `10s`";

/// Longest time there is: more than any clock of Windows is asked to wait, and far from its end.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads a span of time.
///
/// # Errors
///
/// It is no whole number with a unit, or longer than a hundred years.
pub fn duration(text: &str) -> Result<Duration, Mistake> {
    let written = printable(text);
    let bad = |why: &str| Err(Mistake::new(format!("the time `{written}` {why}"), FORM));
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if text.trim().is_empty() {
        return Err(Mistake::new("the time is empty", FORM));
    }
    if text.starts_with('-') {
        return bad("is negative");
    }
    if unit.starts_with(['.', ',']) && !digits.is_empty() {
        return bad("is no whole number");
    }
    let Ok(number) = digits.parse::<u128>() else {
        return bad(if digits.is_empty() { "does not begin with a number" } else { "is too long" });
    };
    if unit.is_empty() {
        let hint = format!("seconds are written `{number}s`, milliseconds `{number}ms`");
        return Err(Mistake::new(format!("the time `{written}` has no unit"), hint));
    }
    let Some((_, nanoseconds)) = UNITS.iter().find(|(known, _)| *known == unit) else {
        let message = format!("`{}` is no unit of time", printable(unit));
        return Err(Mistake::new(message, FORM));
    };
    match number.checked_mul(*nanoseconds).and_then(|all| u64::try_from(all).ok()).map(Duration::from_nanos) {
        Some(time) if time <= LONGEST => Ok(time),
        _ => Err(Mistake::new(format!("the time `{written}` is too long"), "a hundred years are the limit")),
    }
}

/// Reads the wall time that a step may take.
///
/// # Errors
///
/// As for [`duration`], and the limit lies between a millisecond and a day.
pub fn limit(text: &str) -> Result<Duration, Mistake> {
    let time = duration(text)?;
    if time < Duration::from_millis(1) || time > Duration::from_secs(86_400) {
        let message = format!(
            "the time limit `{}` is too {}",
            printable(text),
            if time.is_zero() || time < Duration::from_millis(1) { "short" } else { "long" }
        );
        return Err(Mistake::new(message, "the wall time that a step may take lies between `1ms` and `24h`"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, time) in [
            ("500ms", Duration::from_millis(500)),
            ("10s", Duration::from_secs(10)),
            ("2m", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("3d", Duration::from_secs(3 * 86_400)),
            ("7us", Duration::from_micros(7)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(duration(text).unwrap(), time, "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_words() {
        for (text, words) in [
            ("", "is empty"),
            ("10", "has no unit"),
            ("-3s", "is negative"),
            ("1.5s", "is no whole number"),
            ("soon", "does not begin with a number"),
            ("3 s", "` s` is no unit of time"),
            ("3S", "`S` is no unit of time"),
            ("9999999999999999999999999999999999999999999s", "is too long"),
            ("999999999999d", "is too long"),
            ("3\u{7}s", "`\\u{7}s` is no unit"),
        ] {
            let mistake = duration(text).unwrap_err();
            assert!(mistake.message().contains(words), "{text:?}: {mistake}");
            assert!(!mistake.hint().is_empty());
        }
        for (text, words) in [("0s", "too short"), ("999us", "too short"), ("25h", "too long")] {
            assert!(limit(text).unwrap_err().message().contains(words), "{text:?}");
        }
        assert_eq!(limit("24h").unwrap(), Duration::from_secs(86_400));
    }
}
