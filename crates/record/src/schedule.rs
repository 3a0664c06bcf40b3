//! Which thread ran when, as far as it was not its turn.
//!
//! A machine numbers the moments at which more than one thing could happen next: *points*. At each there is an order of
//! turn, the one of seed 0. A [`Schedule`] holds the points at which a run left that order, and what ran instead, so the
//! empty schedule is seed 0's and a short one is a short story. Played again with the same drivers, steps and seed it gives
//! the same run.
//!
//! The text form is `s2:12=256,40=260@1,57=step`: version; then point, `=`, thread and (where it is not processor 0)
//! processor; `step` where the scenario went on although threads could have run, and `clock` where the clock interrupted.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// Says how seeds and schedules are understood. Another number: the same seed means another schedule.
pub const SCHEDULER_VERSION: u32 = 2;

/// What ran at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// A thread.
    Thread {
        /// Its identifier (`CLIENT_ID.UniqueThread`).
        id: u32,
        /// The processor it ran on.
        processor: u8,
    },
    /// The next step of the scenario.
    Step,
    /// The clock's interrupt: timers that are due expire, and where none is, time goes on to the next one first.
    Clock,
}

/// One departure from the order of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Switch {
    /// Number of the point, from 0.
    pub point: u64,
    /// What ran instead.
    pub to: Turn,
}

/// A schedule: where it leaves the order of turn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct Schedule {
    /// [`SCHEDULER_VERSION`] of the machine that made it.
    pub version: u32,
    /// Departures, by point.
    pub switches: Vec<Switch>,
}

/// The order of turn.
impl Default for Schedule {
    fn default() -> Self {
        Self { version: SCHEDULER_VERSION, switches: Vec::new() }
    }
}

impl Schedule {
    /// Most switches that a machine records and replays.
    pub const MOST: usize = 1 << 18;

    /// Highest number of a thread that a schedule can name.
    pub const LAST_THREAD: u32 = (1 << 22) - 2;

    /// Tells in one sentence where `ran`, the schedule of a run that was to follow this one, does not; `None` where it does.
    pub fn misfit(&self, ran: &Self) -> Option<String> {
        let same = self.switches.iter().zip(&ran.switches).take_while(|(wanted, got)| wanted == got).count();
        let wanted = self.switches.get(same)?;
        let what = match wanted.to {
            Turn::Thread { id, .. } => format!("thread {id} was to run at point {}", wanted.point),
            Turn::Step => format!("the scenario was to go on at point {}", wanted.point),
            Turn::Clock => format!("the clock was to interrupt at point {}", wanted.point),
        };
        Some(format!("the schedule does not fit this run: {what}, and could not"))
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Turn::Thread { id, processor: 0 } => write!(f, "{}={id}", self.point),
            Turn::Thread { id, processor } => write!(f, "{}={id}@{processor}", self.point),
            Turn::Step => write!(f, "{}=step", self.point),
            Turn::Clock => write!(f, "{}=clock", self.point),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}:", self.version)?;
        for (index, switch) in self.switches.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{switch}")?;
        }
        Ok(())
    }
}

/// Why a text is no schedule, or none of this version: a sentence, and behind a line break a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSchedule(String);

impl fmt::Display for BadSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BadSchedule {}

/// Longest piece of a bad text that is repeated.
const SHOWN: usize = 40;

fn bad(part: &str) -> BadSchedule {
    let shown: String = part.chars().flat_map(char::escape_debug).take(SHOWN).collect();
    BadSchedule(format!("`{shown}` is no part of a schedule\nhint: schedules look like `s2:12=256,40=step`"))
}

/// Says that a seed or schedule of version `version` means something else here.
fn other_version(what: &str, version: u32) -> BadSchedule {
    BadSchedule(format!(
        "{what} is of scheduler version {version}, and this is version {SCHEDULER_VERSION}\n\
         hint: use the release that printed it, or search again with `ringbell explore`"
    ))
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        let (head, list) = text.split_once(':').ok_or_else(|| bad(text))?;
        let version = head.strip_prefix('s').and_then(number).ok_or_else(|| bad(head))?;
        if version != SCHEDULER_VERSION {
            return Err(other_version("the schedule", version));
        }
        let mut switches: Vec<Switch> = Vec::new();
        for part in list.split(',').filter(|_| !list.is_empty()) {
            let switch = switch(part).ok_or_else(|| bad(part))?;
            if switches.last().is_some_and(|last| last.point >= switch.point) {
                return Err(BadSchedule(format!(
                    "point {} of the schedule does not come after the one before it\nhint: list points in order, each once",
                    switch.point
                )));
            }
            if switches.len() == Self::MOST {
                let most = Self::MOST;
                return Err(BadSchedule(format!(
                    "the schedule has more than {most} switches\nhint: play a shorter run"
                )));
            }
            switches.push(switch);
        }
        Ok(Self { version, switches })
    }
}

/// Reads a number in its only spelling.
fn number<T: FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|value: &T| value.to_string() == text)
}

fn switch(part: &str) -> Option<Switch> {
    let (point, to) = part.split_once('=')?;
    let point = number(point).filter(|point: &u64| *point < 1 << 36)?;
    match to {
        "step" => return Some(Switch { point, to: Turn::Step }),
        "clock" => return Some(Switch { point, to: Turn::Clock }),
        _ => {}
    }
    let (id, processor) = match to.split_once('@') {
        Some((id, processor)) => (id, number(processor).filter(|number| (1..64).contains(number))?),
        None => (to, 0),
    };
    let id = number(id).filter(|id| *id <= Schedule::LAST_THREAD)?;
    Some(Switch { point, to: Turn::Thread { id, processor } })
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

impl TryFrom<String> for Schedule {
    type Error = BadSchedule;

    fn try_from(text: String) -> Result<Self, BadSchedule> {
        text.parse()
    }
}

/// Reads a seed: `42`, or `42@2` for seed 42 of scheduler version 2.
///
/// # Errors
///
/// Says what is wrong with the text, or that the seed is of another version.
pub fn parse_seed(text: &str) -> Result<u64, BadSchedule> {
    let (seed, version) = match text.split_once('@') {
        Some((seed, version)) => (seed, Some(version)),
        None => (text, None),
    };
    let wrong = || {
        let shown: String = text.chars().flat_map(char::escape_debug).take(SHOWN).collect();
        BadSchedule(format!(
            "`{shown}` is no seed\nhint: seeds are numbers up to 2^64-1, such as `42` or `42@2`"
        ))
    };
    let seed = seed.parse().map_err(|_| wrong())?;
    match version.map(number) {
        None | Some(Some(SCHEDULER_VERSION)) => Ok(seed),
        Some(Some(version)) => Err(other_version("the seed", version)),
        Some(None) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_the_text_it_prints() {
        for text in ["s2:", "s2:0=8", "s2:12=256,40=260@1,57=step,58=0@63,60=clock", "s2:68719476735=4194302"]
        {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        assert_eq!(Schedule::default().to_string(), "s2:");
    }

    #[test]
    fn what_is_none_is_refused_in_one_line_with_a_hint() {
        let texts = [
            "",
            "s2",
            "1:",
            "s:",
            "s2:1",
            "s2:1=",
            "s2:=8",
            "s2:1=8,",
            "s2:,1=8",
            "s2:01=8",
            "s2:1=+8",
            "s2:1=8@0",
            "s2:1=8@64",
            "s2:1=stepp",
            "s2:1=clock@1",
            "s2:1=8,1=8",
            "s2:2=8,1=8",
            "s2:68719476736=8",
            "s2:1=4194303",
            "s1:",
            "s0:1=8",
            "s2:\n=8",
            "s2: 1=8",
        ];
        for text in texts {
            let error = text.parse::<Schedule>().expect_err(text).to_string();
            let lines: Vec<_> = error.lines().collect();
            assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{text}: {error}");
        }
        let old = "s1:1=8".parse::<Schedule>().unwrap_err().to_string();
        assert!(old.starts_with("the schedule is of scheduler version 1, and this is version 2"), "{old}");
    }

    #[test]
    fn a_seed_may_name_its_version() {
        assert_eq!(parse_seed("42"), Ok(42));
        assert_eq!(parse_seed("42@2"), Ok(42));
        assert_eq!(parse_seed("18446744073709551615"), Ok(u64::MAX));
        for text in ["", "@1", "x", "42@", "42@x", "-1", "18446744073709551616", "42@01"] {
            assert!(parse_seed(text).unwrap_err().to_string().contains("is no seed"), "{text}");
        }
        let other = parse_seed("42@1").unwrap_err().to_string();
        assert!(
            other.starts_with("the seed is of scheduler version 1, and this is version 2\nhint: "),
            "{other}"
        );
    }

    #[test]
    fn a_misfit_names_the_first_switch_that_did_not_happen() {
        let parse = |text: &str| text.parse::<Schedule>().unwrap();
        let wanted = parse("s2:1=8,5=12,9=step");
        assert_eq!(wanted.misfit(&wanted), None);
        assert_eq!(Schedule::default().misfit(&wanted), None, "what it does not say it does not ask for");
        let text = wanted.misfit(&parse("s2:1=8")).unwrap();
        assert_eq!(
            text,
            "the schedule does not fit this run: thread 12 was to run at point 5, and could not"
        );
        let text = wanted.misfit(&parse("s2:1=8,5=12")).unwrap();
        assert_eq!(
            text,
            "the schedule does not fit this run: the scenario was to go on at point 9, and could not"
        );
        let text = parse("s2:3=clock").misfit(&Schedule::default()).unwrap();
        assert_eq!(
            text,
            "the schedule does not fit this run: the clock was to interrupt at point 3, and could not"
        );
    }
}
