//! Calendar time. The machine's local time is UTC.

use nt::time::{DAY, SECOND, date, days};

use crate::guest::Guest;
use crate::kernel::Kernel;

/// Seconds from 1601 to 1970.
const TO_1970: i64 = 11_644_473_600;
/// Seconds from 1601 to 1980.
const TO_1980: i64 = 11_960_006_400;

/// `TIME_FIELDS`: year, month, day, hour, minute, second, millisecond, weekday from Sunday.
pub(crate) type TimeFields = [i16; 8];

/// Takes a time apart.
pub(crate) fn RtlTimeToTimeFields(_: &Kernel, time: Guest<i64>, fields: Guest<TimeFields>) {
    let time = time.read();
    let (whole, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = date(whole);
    let seconds = rest / SECOND;
    fields.write(
        [
            year,
            month,
            day,
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            rest % SECOND / 10_000,
            (whole + 1).rem_euclid(7),
        ]
        .map(|value| value as i16),
    );
}

/// Puts a time together; refuses a date that does not exist. The weekday is not looked at.
pub(crate) fn RtlTimeFieldsToTime(_: &Kernel, fields: Guest<TimeFields>, time: Guest<i64>) -> u8 {
    let [year, month, day, hour, minute, second, millisecond, _] = fields.read().map(i64::from);
    let date_exists = year >= 1601 && (1..=12).contains(&month) && day >= 1 && {
        let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        day <= days(next_year, next_month, 1) - days(year, month, 1)
    };
    let time_exists = (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second)
        && (0..1000).contains(&millisecond);
    if !date_exists || !time_exists {
        return 0;
    }
    let seconds = hour * 3600 + minute * 60 + second;
    time.write(days(year, month, day) * DAY + seconds * SECOND + millisecond * 10_000);
    1
}

fn to_seconds(time: Guest<i64>, epoch: i64, seconds: Guest<u32>) -> u8 {
    match u32::try_from(time.read() / SECOND - epoch) {
        Ok(value) => {
            seconds.write(value);
            1
        }
        Err(_) => 0,
    }
}

/// Returns the seconds since 1970, where they fit.
pub(crate) fn RtlTimeToSecondsSince1970(_: &Kernel, time: Guest<i64>, seconds: Guest<u32>) -> u8 {
    to_seconds(time, TO_1970, seconds)
}

/// Returns the seconds since 1980, where they fit.
pub(crate) fn RtlTimeToSecondsSince1980(_: &Kernel, time: Guest<i64>, seconds: Guest<u32>) -> u8 {
    to_seconds(time, TO_1980, seconds)
}

/// Makes a time from seconds since 1970.
pub(crate) fn RtlSecondsSince1970ToTime(_: &Kernel, seconds: u32, time: Guest<i64>) {
    time.write((i64::from(seconds) + TO_1970) * SECOND);
}

/// Makes a time from seconds since 1980.
pub(crate) fn RtlSecondsSince1980ToTime(_: &Kernel, seconds: u32, time: Guest<i64>) {
    time.write((i64::from(seconds) + TO_1980) * SECOND);
}

/// `ExSystemTimeToLocalTime`, `ExLocalTimeToSystemTime`: the machine lives in UTC, so both copy.
pub(crate) fn ExSystemTimeToLocalTime(_: &Kernel, from: Guest<i64>, to: Guest<i64>) {
    to.write(from.read());
}
