//! Seeds, schedules, faults and processors as people write them.

use record::{BadSchedule, FaultPlan, Schedule};

use super::Mistake;
use super::mistake::printable;

impl From<BadSchedule> for Mistake {
    fn from(error: BadSchedule) -> Self {
        let text = error.to_string();
        let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        Self::new(message, hint)
    }
}

/// Reads a seed: `42`, or `42@2` for one of scheduler version 2.
///
/// # Errors
///
/// It is no number, or of another version.
pub fn seed(text: &str) -> Result<u64, Mistake> {
    Ok(record::parse_seed(text)?)
}

/// Reads which call is to fail: a number from 1, or a name such as `IoCreateDevice-00c0ffee00c0ffee`.
///
/// # Errors
///
/// It is neither.
pub fn fault(text: &str) -> Result<FaultPlan, Mistake> {
    text.parse().map_err(|error: String| {
        Mistake::new(error, "`ringbell explore --faults` finds calls that can fail, and names them")
    })
}

/// Reads a schedule: `s2:12=256,40=step`.
///
/// # Errors
///
/// It is no schedule, or of another version.
pub fn schedule(text: &str) -> Result<Schedule, Mistake> {
    Ok(text.parse::<Schedule>()?)
}

/// Processors where they run at the same time and nobody says how many: enough for two threads to meet.
pub const PARALLEL_PROCESSORS: u8 = 2;

/// Reads a number of processors.
///
/// # Errors
///
/// It is no number from 1 to 64.
pub fn processors(text: &str) -> Result<u8, Mistake> {
    match text.parse() {
        Ok(number) if (1..=64).contains(&number) => Ok(number),
        _ => {
            let text = printable(text);
            Err(Mistake::new(format!("`{text}` is no number of processors"), "a machine has 1 to 64 of them"))
        }
    }
}
