//! Steps, read.

use std::ops::Range;

use nt::catalog::{self, EVENTS};
use nt::{Irql, NTSTATUS};

use super::read::Reader;
use super::settings::{LOOK, STEP, VERBS};
use super::value::{Table, Value};
use super::{Act, Expectation, ExpectedStatus, Mistake, Step, duration};
use crate::{Ring, object_path};

/// Finds an event of Windows.
///
/// # Errors
///
/// There is none of this name; the hint names a near one, or the events of the object that was named instead.
pub fn event(name: &str) -> Result<&'static catalog::Event, Mistake> {
    if let Some(event) = catalog::find_event(&name.to_ascii_lowercase()) {
        return Ok(event);
    }
    if let Some(entry) = catalog::find(name) {
        let events: Vec<_> = catalog::events_of(entry).map(|event| format!("`{}`", event.name)).collect();
        let message = format!("`{}` is an object, not an event", entry.key);
        return Err(match events.as_slice() {
            [] => Mistake::new(message, "no notifier of it is known; ring it"),
            known => Mistake::new(message, format!("its events: {}", known.join(", "))),
        });
    }
    let known = EVENTS.iter().map(|event| event.name);
    Err(Mistake::unknown("event", name, known, "`ringbell explain` lists the events"))
}

/// Most steps of a group: each has a thread.
const MOST_AT_ONCE: usize = 1000;

impl Reader<'_> {
    /// Reads one step, which may say several expectations.
    pub(super) fn step(&mut self, table: &Table<'_>, span: Range<usize>) -> Result<Vec<Step>, Mistake> {
        let values = table.values();
        let mut verbs = values.iter().filter(|value| VERBS.contains(&value.name()));
        let Some(verb) = verbs.next() else {
            let hint = format!("a step has one of the keys {}", VERBS.join(", "));
            return Err(match values.first() {
                Some(value) => {
                    let message = format!("`{}` alone is no step", value.name());
                    table.source.at(value.key_span(), Mistake::new(message, hint))
                }
                None => table.source.at(span, Mistake::new("the step says nothing to do", hint)),
            });
        };
        if let Some(other) = verbs.next() {
            let message =
                format!("a step does one thing, and this one has `{}` and `{}`", verb.name(), other.name());
            let mistake = Mistake::new(message, "begin another step for it");
            return Err(table.source.at(other.key_span(), mistake));
        }
        for value in &values {
            let goes_with = match value.name() {
                "as" => "load",
                "arguments" | "irql" => "ring",
                _ => continue,
            };
            if verb.name() != goes_with {
                let message = format!(
                    "`{}` goes with `{goes_with}`, and this step has `{}`",
                    value.name(),
                    verb.name()
                );
                let mistake = Mistake::new(message, format!("leave it out; {}", STEP.list()));
                return Err(table.source.at(value.key_span(), mistake));
            }
        }
        let place = Some(table.source.place(verb.at()));
        let acts = match verb.name() {
            "load" => vec![self.load(verb, table.get("as"))?],
            "ring" => vec![Act::Ring(ring(verb, table)?)],
            "event" => vec![Act::Event(event(verb.text()?).map_err(|mistake| verb.wrong(mistake))?)],
            "wait" => vec![Act::Wait(duration(verb.text()?).map_err(|mistake| verb.wrong(mistake))?)],
            "unload" => {
                let name = verb.text()?;
                let done = self.cast.leave(name, table.source.place(verb.at()));
                done.map_err(|mistake| verb.wrong(mistake))?;
                vec![Act::Unload(name.into())]
            }
            "parallel" => vec![Act::Parallel(self.parallel(verb)?)],
            _ => self.look(&verb.table(LOOK)?, verb)?.into_iter().map(Act::Expect).collect(),
        };
        Ok(acts.into_iter().map(|act| Step { act, place: place.clone() }).collect())
    }

    /// Reads the steps of a group. What one of them loads, another cannot ask to leave: which comes first is not decided.
    fn parallel(&mut self, verb: &Value<'_>) -> Result<Vec<Step>, Mistake> {
        let members = verb.tables(STEP)?;
        let bad = |message: String, hint: &str| Err(verb.wrong(Mistake::new(message, hint)));
        match members.len() {
            0 => {
                return bad(
                    "there is nothing to do at once".into(),
                    "list steps, such as `{ ring = \"PowerState\" }`",
                );
            }
            1..=MOST_AT_ONCE => {}
            number => {
                let message = format!("{number} things cannot be done at once");
                return bad(message, &format!("{MOST_AT_ONCE} are the limit; make several steps of it"));
            }
        }
        let mut steps = Vec::new();
        self.cast.begin_group();
        for (table, span) in members {
            for word in ["parallel", "expect"] {
                if let Some(value) = table.get(word) {
                    let message = format!("`{word}` cannot be done at the same time as something else");
                    let mistake = Mistake::new(message, "make a step of its own of it");
                    return Err(table.source.at(value.key_span(), mistake));
                }
            }
            steps.extend(self.step(&table, span)?);
        }
        self.cast.end_group();
        Ok(steps)
    }

    fn load(&mut self, file: &Value<'_>, name: Option<Value<'_>>) -> Result<Act, Mistake> {
        let mut driver = self.driver(file.text()?).map_err(|mistake| file.wrong(mistake))?;
        if let Some(name) = name {
            let text = name.text()?;
            let bad = |message: &str, hint: &str| Err(name.wrong(Mistake::new(message, hint)));
            if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > 100 {
                return bad(
                    "a driver cannot be called so",
                    "a name is printable, and has 1 to 100 characters",
                );
            }
            if self.cast.has(text) {
                return bad("another driver of this run has that name", "give each its own");
            }
            driver.name = text.into();
        }
        driver.name = self.cast.enter(&driver.name);
        Ok(Act::Load(driver))
    }

    /// Reads what an `expect` step says: one expectation for each of `listeners`, `deliveries`, `print`, `status` and `exists`.
    fn look(&self, table: &Table<'_>, verb: &Value<'_>) -> Result<Vec<Expectation>, Mistake> {
        let get = |name| table.get(name);
        let object = match get("object") {
            Some(value) => Some(object_path(value.text()?).map_err(|bad| value.wrong(Mistake::from(bad)))?),
            None => None,
        };
        let driver = match get("driver") {
            Some(value) => Some(self.cast.find(value.text()?).map_err(|mistake| value.wrong(mistake))?),
            None => None,
        };
        let needs = |value: &Value<'_>, name: &str| {
            let message = format!("`{}` needs `{name}`", value.name());
            let key = LOOK.find(name);
            let hint = format!("add for example `{name} = {}`", key.map_or("", |key| key.example));
            table.source.at(value.key_span(), Mistake::new(message, hint))
        };
        let mut all = Vec::new();
        if let Some(value) = get("exists") {
            let object = object.clone().ok_or_else(|| needs(&value, "object"))?;
            let exists = value.truth()?;
            if let Some(listeners) = get("listeners").filter(|_| !exists) {
                let mistake = Mistake::new(
                    "an object that must not exist has no listeners to count",
                    "leave out `listeners` or `exists`",
                );
                return Err(table.source.at(listeners.key_span(), mistake));
            }
            all.push(Expectation::Exists { object, exists });
        }
        if let Some(value) = get("listeners") {
            let object = object.clone().ok_or_else(|| needs(&value, "object"))?;
            all.push(Expectation::Listeners { object, driver: driver.clone(), count: value.count()? });
        }
        if let Some(value) = get("deliveries") {
            let (object, driver) = (object.clone(), driver.clone());
            all.push(Expectation::Deliveries { object, driver, count: value.count()? });
        }
        let count = get("count");
        match (get("print"), count) {
            (Some(value), _) => {
                let text = value.text()?;
                if text.is_empty() {
                    let mistake = Mistake::new("the text to be printed is empty", "write a part of the line");
                    return Err(value.wrong(mistake));
                }
                let count = count.map(|count| count.count()).transpose()?;
                all.push(Expectation::Printed { text: text.into(), driver: driver.clone(), count });
            }
            (None, Some(count)) => return Err(needs(&count, "print")),
            (None, None) => {}
        }
        if let Some(value) = get("status") {
            let driver = driver.ok_or_else(|| needs(&value, "driver"))?;
            all.push(Expectation::Status { driver, status: status(&value)? });
        }
        if all.is_empty() {
            let Some(object) = object else {
                let mistake = Mistake::new("the step expects nothing", LOOK.list());
                return Err(match get("driver") {
                    Some(value) => needs_more(&value),
                    None => table.source.at(verb.key_span(), mistake),
                });
            };
            if let Some(value) = get("driver") {
                return Err(needs_more(&value));
            }
            all.push(Expectation::Exists { object, exists: true });
        }
        Ok(all)
    }
}

/// A driver is named, and nothing is said about it.
fn needs_more(driver: &Value<'_>) -> Mistake {
    let message = "nothing is said about the driver";
    let hint = "add `status`, `listeners`, `deliveries` or `print`";
    driver.source.at(driver.key_span(), Mistake::new(message, hint))
}

fn ring(verb: &Value<'_>, table: &Table<'_>) -> Result<Ring, Mistake> {
    let wrong = |bad: crate::BadRing| verb.wrong(Mistake::from(bad));
    let (arguments, irql) = (table.get("arguments"), table.get("irql"));
    if arguments.is_none() && irql.is_none() {
        return verb.text()?.parse().map_err(wrong);
    }
    let object = object_path(verb.text()?).map_err(wrong)?;
    if let Ok(whole) = verb.text()?.parse::<Ring>()
        && whole.object != object
    {
        let other = if arguments.is_some() { "arguments" } else { "irql" };
        let message = format!("`ring` says more than a name, and `{other}` stands beside it");
        let hint = format!("write the name alone, `{}`, or say all of it in `ring`", whole.object);
        return Err(verb.wrong(Mistake::new(message, hint)));
    }
    let [argument1, argument2] = arguments.map_or(Ok([0; 2]), |value| value.words())?;
    let irql = match irql {
        None => Irql::PASSIVE,
        Some(value) => crate::ring::level_of(value.text()?).map_err(|bad| value.wrong(Mistake::from(bad)))?,
    };
    Ok(Ring { object, argument1, argument2, irql })
}

/// Reads a status: a number, a name, `success` or `failure`.
fn status(value: &Value<'_>) -> Result<ExpectedStatus, Mistake> {
    if value.is_number() {
        let number = value.number(0, u64::from(u32::MAX))?;
        return Ok(ExpectedStatus::Exactly(NTSTATUS(u32::try_from(number).unwrap_or(0))));
    }
    let text = value.text()?;
    match text.to_ascii_lowercase().as_str() {
        "success" => return Ok(ExpectedStatus::Success),
        "failure" => return Ok(ExpectedStatus::Failure),
        _ => {}
    }
    let upper = text.to_ascii_uppercase();
    let named = NTSTATUS::from_name(&upper).or_else(|| NTSTATUS::from_name(&format!("STATUS_{upper}")));
    let digits = upper.strip_prefix("0X").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    named.or(digits.map(NTSTATUS)).map(ExpectedStatus::Exactly).ok_or_else(|| {
        let known = NTSTATUS::names().map(|(name, _)| name).chain(["success", "failure"]);
        let otherwise =
            "write a status, such as `STATUS_UNSUCCESSFUL` or `0xC0000001`, or `success` or `failure`";
        value.wrong(Mistake::unknown("status", text, known, otherwise))
    })
}
