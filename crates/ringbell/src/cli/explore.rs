//! `ringbell explore`: many schedules, what they showed, and how to have it again.

mod faults;

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use record::SCHEDULER_VERSION;
use ringbell::explore::{Find, Progress};
use ringbell::{Exploration, Explore};
use serde_json::json;

use super::Failure;
use super::failure::printable;
use super::options::{self, Format};
use super::output::{Answer, Verdict, say};
use super::progress::Schedules;
use super::run::{self, Told};

/// Arguments of `ringbell explore`.
#[derive(Debug, Args)]
#[command(
    after_help = "The search chooses the schedules: `--seed`, `--schedule` and `--parallel` are for `ringbell run`, and refused here (with \
                        `--faults` a `--seed` is one to run with, and `--fault` is refused instead)"
)]
pub(super) struct Arguments {
    /// Driver images (`.sys`), loaded in this order and unloaded in reverse; one may be a scenario (`.toml`)
    #[arg(value_name = "DRIVER", required_unless_present = "scenario")]
    drivers: Vec<PathBuf>,
    #[command(flatten)]
    told: Told,
    /// How many schedules are tried, one per seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = options::positive, allow_hyphen_values = true)]
    schedules: u64,
    /// Seed of the first schedule; seed 0 takes threads in turn
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = options::number, allow_hyphen_values = true)]
    first_seed: u64,
    /// How many machines run at a time [default: one per processor]
    #[arg(long, value_name = "NUMBER", value_parser = options::jobs, allow_hyphen_values = true)]
    jobs: Option<NonZeroUsize>,
    /// Do not stop at the first schedule that shows something
    #[arg(long, visible_alias = "all")]
    keep_going: bool,
    /// Most schedules tried to make that of a find shorter; 0 leaves it as it is
    #[arg(long, value_name = "NUMBER", default_value_t = ringbell::explore::TRIES, value_parser = options::number, allow_hyphen_values = true)]
    tries: u64,
    /// Instead of schedules, let each call that can fail fail once for each path to it, until no new one appears
    #[arg(long, conflicts_with_all = ["first_seed", "jobs", "keep_going", "tries"])]
    faults: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What to do instead of naming a schedule.
const ONE_SCHEDULE: &str =
    "`--first-seed` says where a search begins; `ringbell run` plays a seed or schedule again";

/// Options of the search, which have no place in the command that plays one run again; with whether a value follows.
const OWN: [(&str, bool); 8] = [
    ("--faults", false),
    ("--schedules", true),
    ("--first-seed", true),
    ("--jobs", true),
    ("--keep-going", false),
    ("--all", false),
    ("--tries", true),
    ("--format", true),
];

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    // The path to a call is the same in every schedule, but a failure makes another run of it.
    let seed_is_one = !arguments.faults;
    let names = |key: &str| seed_is_one || key.ends_with("schedule");
    let (what, hint) = if arguments.faults {
        ("a run with a failure does not follow it", "leave it out; a seed will do")
    } else {
        ("a search tries many", ONE_SCHEDULE)
    };
    if let Some(option) = arguments.told.names_schedule().find(|option| names(option)) {
        return Err(Failure::new(format!("`{option}` names one schedule, and {what}")).hint(hint));
    }
    let scenario = arguments.told.scenario(&arguments.drivers)?;
    if let Some((key, place)) = scenario.names_schedule.iter().find(|(key, _)| names(key)) {
        let message = format!("{place}: the key `{key}` names one schedule, and {what}");
        return Err(Failure::new(message).hint(hint));
    }
    if arguments.faults && scenario.config.faults.is_some() {
        let (option, key) = ("`--fault`", "the scenario's key `fault`");
        let named = if arguments.told.names_fault() { option } else { key };
        return Err(Failure::new(format!("{named} makes one call fail, and `--faults` each in turn"))
            .hint("leave one of the two out"));
    }
    if scenario.config.parallel {
        return Err(Failure::new("a search orders the threads itself, and nothing orders processors that run at the same time")
            .hint("leave out `--parallel`, in a scenario `parallel-processors`; several `--cpus` are searched as well as one"));
    }
    if arguments.faults {
        return faults::run(&scenario, arguments.schedules, arguments.format);
    }
    let mut explore = Explore::new(scenario);
    explore.first_seed = arguments.first_seed;
    explore.schedules = arguments.schedules;
    explore.keep_going = arguments.keep_going;
    explore.tries = arguments.tries;
    if let Some(jobs) = arguments.jobs {
        let most = ringbell::explore::most_jobs();
        if jobs > most {
            say(&format!("`--jobs {jobs}` is more than this machine has a use for; {most} are used"));
        }
        explore.jobs = jobs.min(most);
    }
    run::catch_signals();
    let bar = Schedules::new(explore.schedules);
    let done = explore.run(|progress| match progress {
        Progress::Played { schedules, finds } => bar.played(schedules, finds),
        Progress::Shortening { tries } => bar.shortening(tries),
    });
    bar.end();
    let exploration = done.map_err(|stopped| run::refused(&stopped.error, stopped.place.as_ref()))?;
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let go_on = go_on(&words, &exploration, arguments);
    let replay = replay(&words);
    let text = match arguments.format {
        Format::Text => text(&exploration, &replay, go_on.as_deref(), arguments.keep_going),
        Format::Json => format!("{:#}\n", json(&exploration, &replay)),
    };
    Ok(Answer { text, verdict: verdict(&exploration) })
}

/// Returns the worst of what the finds stand for: a bugcheck before a hang before the rest.
fn verdict(exploration: &Exploration) -> Verdict {
    if let Some(signal) = Verdict::of_signal() {
        return signal;
    }
    let all: Vec<Verdict> = exploration.finds.iter().map(|find| run::verdict(&find.report)).collect();
    [Verdict::Bugcheck, Verdict::Hang]
        .into_iter()
        .find(|verdict| all.contains(verdict))
        .unwrap_or(if all.is_empty() { Verdict::Clean } else { Verdict::Findings })
}

/// Returns the command that plays one run, but for its seed, from the words of the one that searched.
fn replay(words: &[String]) -> String {
    let mut out = "ringbell run".to_owned();
    let mut words = words.iter().skip_while(|word| *word != "explore").skip(1);
    while let Some(word) = words.next() {
        let own = OWN.iter().find(|(option, _)| word.split('=').next() == Some(option));
        match own {
            Some((_, true)) if !word.contains('=') => drop(words.next()),
            Some(_) => {}
            None => {
                out.push(' ');
                out.push_str(&quoted(word));
            }
        }
    }
    out
}

/// Returns the command that goes on with a search that was interrupted.
fn go_on(words: &[String], exploration: &Exploration, arguments: &Arguments) -> Option<String> {
    let seed = exploration.go_on?;
    let left = arguments.schedules - exploration.schedules;
    let mut out = "ringbell".to_owned();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.split('=').next() {
            Some("--first-seed" | "--schedules") if !word.contains('=') => drop(words.next()),
            Some("--first-seed" | "--schedules") => {}
            _ => out.push_str(&format!(" {}", quoted(word))),
        }
    }
    Some(format!("{out} --first-seed {seed} --schedules {left}"))
}

/// Puts a word into quotes where a shell would see more in it than the word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", printable(word).replace('\'', r"'\''"))
}

fn seed(find: &Find) -> String {
    format!("{}@{SCHEDULER_VERSION}", find.seed)
}

/// Writes a message of one or more lines, a long one clause by clause.
fn message(text: &str, margin: &str, out: &mut String) {
    for line in text.lines() {
        let clauses = view::text::clauses(line);
        for (index, clause) in clauses.iter().enumerate() {
            let more = if index + 1 < clauses.len() { ";" } else { "" };
            let deeper = if index == 0 { "" } else { "  " };
            let _ = writeln!(out, "{margin}{deeper}{}{more}", printable(clause));
        }
    }
}

/// Most switches of a schedule that a text shows; the answer for programs has them all.
const SWITCHES: usize = 12;

fn text(exploration: &Exploration, replay: &str, go_on: Option<&str>, keep_going: bool) -> String {
    let Exploration { first_seed, schedules, finds, .. } = exploration;
    let last = first_seed.saturating_add(schedules.saturating_sub(1));
    let mut out = match schedules {
        0 => "explored no schedule to its end: ".into(),
        1 => format!("explored 1 schedule, seed {first_seed}: "),
        _ => format!("explored {schedules} schedules, seeds {first_seed} to {last}: "),
    };
    let _ = match finds.len() {
        0 => writeln!(out, "nothing found"),
        1 => writeln!(out, "1 find"),
        number => writeln!(out, "{number} finds"),
    };
    if let Some(go_on) = go_on {
        let _ = writeln!(out, "interrupted; go on with: {go_on}");
    }
    for find in finds {
        let complaint = &find.complaint;
        let place =
            if complaint.place.is_empty() { String::new() } else { format!(" at {}", complaint.place) };
        let _ = writeln!(out, "\n{}{place}", complaint.what);
        message(&complaint.message, "  ", &mut out);
        let shown =
            if keep_going { format!(", by {} of {schedules} schedules", find.count) } else { String::new() };
        let _ = writeln!(out, "  found with seed {}{shown}", find.seed);
        let _ = writeln!(out, "  replay: {replay} --seed {}", seed(find));
        let _ = match (&find.shortest, &find.report.schedule) {
            (Some(found), _) if found.schedule.switches.is_empty() => {
                writeln!(out, "  no switch is needed: the order of turn shows it too")
            }
            (Some(found), _) => {
                let count = found.schedule.switches.len();
                let plural = if count == 1 { "switch" } else { "switches" };
                let _ = writeln!(out, "  shortest schedule: {count} {plural}");
                if count <= SWITCHES {
                    writeln!(out, "  replay: {replay} --seed {} --schedule {}", seed(find), found.schedule)
                } else {
                    writeln!(out, "  `--format json` shows it")
                }
            }
            (None, Some(schedule)) if schedule.switches.is_empty() => {
                writeln!(out, "  no switch is needed: threads ran in turn")
            }
            (None, _) => Ok(()),
        };
    }
    out
}

fn json(exploration: &Exploration, replay: &str) -> serde_json::Value {
    let finds: Vec<_> = exploration
        .finds
        .iter()
        .map(|find| {
            let shortest = find.shortest.as_ref().map(|found| {
                json!({
                    "schedule": found.schedule.to_string(),
                    "switches": found.schedule.switches.len(),
                    "tries": found.tries,
                    "complete": found.complete,
                    "replay": format!("{replay} --seed {} --schedule {}", seed(find), found.schedule),
                })
            });
            json!({
                "what": find.complaint.what,
                "place": find.complaint.place,
                "message": find.complaint.message,
                "seed": find.seed,
                "count": find.count,
                "schedule": find.report.schedule.as_ref().map(ToString::to_string),
                "replay": format!("{replay} --seed {}", seed(find)),
                "shortest": shortest,
            })
        })
        .collect();
    json!({
        "version": 1,
        "scheduler_version": SCHEDULER_VERSION,
        "first_seed": exploration.first_seed,
        "schedules": exploration.schedules,
        "go_on": exploration.go_on,
        "finds": finds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> String {
        replay(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_that_plays_again_says_what_the_search_was_told_and_nothing_of_the_search() {
        let line =
            "explore a.sys --schedules 50 --notify X=1 --all --jobs=2 b.sys --format json --allow RB004";
        assert_eq!(words(line), "ringbell run a.sys --notify X=1 b.sys --allow RB004");
        assert_eq!(words("explore --first-seed=9 a.sys --keep-going --tries 0"), "ringbell run a.sys");
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_read_more_in_them() {
        assert_eq!(quoted(r"\Callback\X"), r"'\\Callback\\X'".replace(r"\\", r"\"));
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a-b_c.sys"), "a-b_c.sys");
    }
}
