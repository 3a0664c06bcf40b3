//! `ringbell explain`: what an object, an event, a rule, a status or a bugcheck is.

mod export;
mod rule;

use clap::Args;
use nt::catalog::{self, EVENTS, Name, ROUTINES};
use nt::{BugCheck, NTSTATUS};
use ntoskrnl::ledger::{LedgerEntry, ledger};
use record::RuleId;
use ringbell::scenario;
use rules::{RULES, Rule};
use serde_json::{Value, json};
use view::catalog as show;

use super::Failure;
use super::failure::printable;
use super::options::Format;
use super::output::Answer;

/// Arguments of `ringbell explain`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Object (`PowerState`, `\Callback\PowerState`, `PowerPort`), event (`power.ac`), routine
    /// (`ExNotifyCallback`), export (`ZwCreateFile`), rule (`RB004`), status
    /// (`C0000034`, `STATUS_OBJECT_NAME_NOT_FOUND`) or bugcheck (`0xD1`), or `scenario`; without it everything is listed but codes
    #[arg(value_name = "NAME", allow_negative_numbers = true)]
    name: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Some(name) = &arguments.name else { return Ok(list(arguments.format)) };
    let topic = find(name).ok_or_else(|| refuse(name))?;
    Ok(match arguments.format {
        Format::Text => Answer::clean(topic.text()),
        Format::Json => Answer::json(&topic.json()),
    })
}

/// Something that can be explained.
enum Topic {
    Object(&'static catalog::Entry),
    Event(&'static catalog::Event),
    Rule(&'static Rule),
    Routine(&'static catalog::RoutineEntry),
    Export(LedgerEntry<'static>),
    Status(NTSTATUS),
    BugCheck(BugCheck),
    Scenario,
}

impl Topic {
    fn text(&self) -> String {
        match self {
            Self::Object(entry) => show::entry(entry),
            Self::Event(event) => show::event(event),
            Self::Rule(rule) => rule::text(rule),
            Self::Routine(routine) => show::routine(routine),
            Self::Export(entry) => export::text(entry),
            Self::Status(status) => show::status(*status),
            Self::BugCheck(check) => show::bugcheck(*check),
            Self::Scenario => scenario::help(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Object(entry) => show::entry_json(entry),
            Self::Event(event) => show::event_json(event),
            Self::Rule(rule) => rule::json(rule),
            Self::Routine(routine) => show::routine_json(routine),
            Self::Export(entry) => export::json(entry),
            Self::Status(status) => show::status_json(*status),
            Self::BugCheck(check) => show::bugcheck_json(*check),
            Self::Scenario => scenario::schema(),
        }
    }
}

fn find(name: &str) -> Option<Topic> {
    catalog::find(name)
        .map(Topic::Object)
        .or_else(|| catalog::find_event(&name.to_ascii_lowercase()).map(Topic::Event))
        .or_else(|| catalog::find_routine(name).map(Topic::Routine))
        .or_else(|| rules::find(name).map(Topic::Rule))
        .or_else(|| by_word(name))
        .or_else(|| export::find(name).map(Topic::Export))
        .or_else(|| by_number(name))
        .or_else(|| name.eq_ignore_ascii_case(SCENARIO).then_some(Topic::Scenario))
}

/// The word that has the keys of a scenario file explained; in JSON it is their schema.
const SCENARIO: &str = "scenario";

/// Finds a status or bugcheck by name; `STATUS_` may be left out.
fn by_word(name: &str) -> Option<Topic> {
    let upper = name.to_ascii_uppercase();
    // A bugcheck comes before a status that would need its prefix: some words are both.
    NTSTATUS::from_name(&upper)
        .map(Topic::Status)
        .or_else(|| BugCheck::ALL.iter().copied().find(|it| it.name() == Some(&upper)).map(Topic::BugCheck))
        .or_else(|| NTSTATUS::from_name(&format!("STATUS_{upper}")).map(Topic::Status))
}

/// Finds a code by number. Eight digits are a status, fewer a bugcheck; a negative number is a status as C prints it.
fn by_number(text: &str) -> Option<Topic> {
    if let Some(negative) = text.parse::<i32>().ok().filter(|number| *number < 0) {
        return Some(Topic::Status(NTSTATUS::from_i32(negative)));
    }
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(digits, 16).ok()?;
    let check = BugCheck(value);
    if digits.len() == 8 {
        Some(Topic::Status(NTSTATUS(value)))
    } else if check.name().is_some() {
        Some(Topic::BugCheck(check))
    } else {
        let status = NTSTATUS(value);
        status.name().is_some().then_some(Topic::Status(status))
    }
}

/// The last number of a rule that the documentation knows of.
const LAST_RULE: RuleId = RuleId(21);

fn refuse(name: &str) -> Failure {
    if let Ok(rule) = name.parse::<RuleId>()
        && (RuleId(1)..=LAST_RULE).contains(&rule)
    {
        return Failure::new(format!("no rule has the number {rule}: it is kept free"))
            .hint("`ringbell explain` lists the rules there are");
    }
    if name.contains('/') {
        return Failure::new(format!("unknown name `{}`", printable(name)))
            .hint("names in the NT namespace are separated by `\\`, as in `\\Callback\\PowerState`");
    }
    if let Some(layout) = nt::layout_for(name, nt::Profile::DEFAULT) {
        return Failure::new(format!("`{}` is a structure, not a name to explain", layout.nt_name()))
            .hint(format!("`ringbell dt {}` prints its layout", layout.nt_name()));
    }
    let objects = catalog::entries().map(|entry| entry.key);
    let events = EVENTS.iter().map(|event| event.name);
    let rules: Vec<_> = RULES.iter().map(|rule| rule.id.to_string()).collect();
    let slugs = RULES.iter().map(|rule| rule.slug);
    let routines = ROUTINES.iter().map(|routine| routine.name);
    let statuses = NTSTATUS::names().map(|(name, _)| name);
    let exports = ledger().entries().map(|entry| entry.name);
    let checks = BugCheck::ALL.iter().filter_map(|check| check.name());
    Failure::unknown(
        "name",
        name,
        objects
            .chain(events)
            .chain(rules.iter().map(String::as_str))
            .chain(slugs)
            .chain(routines)
            .chain(statuses)
            .chain(checks)
            .chain(exports),
        "`ringbell explain` lists objects, events, routines and rules",
    )
}

fn list(format: Format) -> Answer {
    match format {
        Format::Text => {
            let mut text = String::from("objects\n");
            for entry in catalog::entries() {
                let name = match entry.name {
                    Name::Unnamed { .. } => format!("{} (unnamed)", entry.key),
                    _ => entry.key.to_owned(),
                };
                text.push_str(&format!("  {name:<34} {}\n", entry.summary));
            }
            text.push_str("\nevents\n");
            for event in EVENTS {
                text.push_str(&format!("  {:<34} {}\n", event.name, event.summary));
            }
            text.push_str("\nroutines\n");
            for routine in ROUTINES {
                text.push_str(&format!("  {:<34} {}\n", routine.name, routine.summary));
            }
            text.push_str("\nrules\n");
            for rule in RULES {
                text.push_str(&format!("  {:<34} {}\n", format!("{} {}", rule.id, rule.slug), rule.summary));
            }
            text.push_str(&format!(
                "\nfiles\n  {SCENARIO:<34} what `ringbell run` does, and what is expected of it, as TOML\n"
            ));
            Answer::clean(text)
        }
        Format::Json => Answer::json(&json!({
            "objects": catalog::entries().map(show::entry_json).collect::<Vec<_>>(),
            "events": EVENTS.iter().map(show::event_json).collect::<Vec<_>>(),
            "routines": ROUTINES.iter().map(show::routine_json).collect::<Vec<_>>(),
            "rules": RULES.iter().map(rule::json).collect::<Vec<_>>(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_by_number_and_slug() {
        for rule in RULES {
            for name in [rule.id.to_string(), rule.id.to_string().to_lowercase(), rule.slug.to_owned()] {
                let topic = find(&name).unwrap_or_else(|| panic!("{name}"));
                assert!(topic.text().starts_with(&format!("{} {}\n", rule.id, rule.slug)), "{name}");
                assert_eq!(topic.json()["slug"], rule.slug);
            }
        }
    }

    #[test]
    fn a_number_without_a_rule_is_said_to_be_kept_free() {
        for number in 1..=LAST_RULE.0 {
            let name = RuleId(number).to_string();
            let free = refuse(&name).to_string().contains("it is kept free\n");
            assert!(find(&name).is_some() || free, "{name}");
        }
        assert!(RULES.iter().all(|rule| rule.id <= LAST_RULE));
        assert!(!refuse("RB022").to_string().contains("kept free"));
    }

    #[test]
    fn every_export_of_the_ledger_can_be_explained() {
        for entry in ledger().entries() {
            let topic = find(entry.name).unwrap_or_else(|| panic!("{}", entry.name));
            // The mechanism's own routines have more to say than the ledger.
            assert!(matches!(topic, Topic::Export(_) | Topic::Routine(_)), "{}", entry.name);
        }
        let absent = ledger().entries().find(|entry| entry.state == ntoskrnl::State::Absent).unwrap();
        let name = format!("{}!{}", absent.module.name(), absent.name);
        assert!(find(&name).unwrap().text().contains("takes"), "{name}");
    }

    #[test]
    fn everything_that_is_listed_can_be_explained() {
        for entry in catalog::entries() {
            assert!(matches!(find(entry.key), Some(Topic::Object(found)) if found.key == entry.key));
        }
        for event in EVENTS {
            assert!(matches!(find(event.name), Some(Topic::Event(found)) if found.name == event.name));
        }
        for (name, status) in NTSTATUS::names() {
            assert!(matches!(find(name), Some(Topic::Status(found)) if found == status), "{name}");
            assert!(
                matches!(find(&format!("0x{:08X}", status.0)), Some(Topic::Status(found)) if found == status)
            );
        }
        for routine in ROUTINES {
            let name = format!("nt!{}", routine.name.to_lowercase());
            assert!(matches!(find(&name), Some(Topic::Routine(found)) if found == routine), "{name}");
        }
        assert!(matches!(find(SCENARIO), Some(Topic::Scenario)));
        for check in BugCheck::ALL {
            assert!(matches!(find(check.name().unwrap()), Some(Topic::BugCheck(found)) if found == *check));
        }
    }
}
