//! The six races and their twins: schedules find each race, and none finds anything in a twin.
//!
//! A race is clean when threads take turns (seed 0): nothing but an interruption at the right point shows it.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use record::{Ending, Report, Schedule};
use ringbell::scenario::DriverImage;
use ringbell::{Base, Config, Explore, Machine, Scenario, shortest};

/// Schedules within which a race has to show itself.
const WITHIN: u64 = 1000;

/// Schedules that a twin has to survive here; a hundred thousand are run by hand, as `docs/src/explore.md` tells.
const TWIN: u64 = 300;

/// Switches that the shortest schedule of a race may have: the story of each takes no more.
const SWITCHES: usize = 4;

/// Returns the settings that the driver `name` is explored with. One races with another processor.
fn config(name: &str) -> Config {
    let processors = if name.starts_with("race-timer-dpc") { 2 } else { 1 };
    Config { processors, ..Config::default() }
}

/// A driver, and a machine that is booted once and forked for each schedule.
struct Subject {
    name: &'static str,
    scenario: Scenario,
    base: Base,
}

impl Subject {
    fn new(name: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../drivers/bin/{name}.sys"));
        let scenario = Scenario::of([DriverImage::read(&path).unwrap()]);
        let base = Machine::boot(config(name)).unwrap().into_base();
        Self { name, scenario, base }
    }

    fn play(&mut self, seed: u64) -> Report {
        self.follow(seed, None)
    }

    fn follow(&mut self, seed: u64, schedule: Option<Schedule>) -> Report {
        let machine = self.base.fork(Config { seed, schedule, ..config(self.name) }).unwrap();
        self.scenario.run_on(machine).unwrap_or_else(|stopped| {
            // A schedule that does not fit: what ran instead is as good a run.
            *stopped.report.unwrap_or_else(|| panic!("{}: {}", self.name, stopped.error))
        })
    }
}

fn clean(report: &Report) -> bool {
    report.ending == Ending::Finished && report.findings.is_empty() && report.tainted.is_empty()
}

/// Returns the rules that found something, and the symbol of the place where the run ended.
fn shown(report: &Report) -> (Vec<u16>, Option<String>) {
    let at = match &report.ending {
        Ending::Bugcheck(bugcheck) => bugcheck.at,
        Ending::Hang(hang) => hang.at,
        _ => None,
    };
    let symbol = at.and_then(|at| report.modules.locate(at).symbol.map(|(symbol, _)| symbol.to_owned()));
    (report.findings.iter().map(|finding| finding.rule.0).collect(), symbol)
}

/// Schedules find the race `name`, seed 0 does not. `found` says whether what a schedule showed is the consequence that the
/// race's comment tells of.
fn is_found(name: &'static str, found: impl Fn(&Report) -> bool) {
    let mut race = Subject::new(name);
    let report = race.play(0);
    assert!(clean(&report), "{name} is not clean in turn\n{}", ringbell::story(&report));
    let seed = (1..=WITHIN).find(|seed| found(&race.play(*seed)));
    let seed = seed.unwrap_or_else(|| panic!("{name} survived {WITHIN} schedules"));
    let (first, second) = (race.play(seed), race.play(seed));
    assert_eq!(first.events, second.events, "{name}, seed {seed}");
    assert_eq!(first.findings, second.findings, "{name}, seed {seed}");
    is_short(&mut race, seed, &first);
}

/// Of the schedule that found a race hardly anything is needed, and what is left shows the same when it is played.
fn is_short(race: &mut Subject, seed: u64, report: &Report) {
    let start = report.schedule.as_ref().unwrap();
    let short = shortest(start, u64::MAX, |schedule| {
        let run = race.follow(seed, Some(schedule.clone()));
        if shown(&run) == shown(report) { run.schedule } else { None }
    });
    let name = race.name;
    println!(
        "{name}: seed {seed}, {} switches, {} tries: {}",
        start.switches.len(),
        short.tries,
        short.schedule
    );
    assert!((1..=SWITCHES).contains(&short.schedule.switches.len()), "{name}: {start} to {}", short.schedule);
    let again = race.follow(seed, Some(short.schedule.clone()));
    assert_eq!((shown(&again), again.schedule), (shown(report), Some(short.schedule)));
}

fn survives(name: &'static str) {
    let mut twin = Subject::new(name);
    for seed in 0..TWIN {
        let report = twin.play(seed);
        assert!(clean(&report), "{name}, seed {seed}\n{}", ringbell::story(&report));
    }
}

macro_rules! races {
    ($($race:ident, $twin:ident = $name:literal: $found:expr;)+) => {
        $(
            #[test]
            fn $race() {
                is_found($name, $found);
            }

            #[test]
            fn $twin() {
                survives(concat!($name, "-fixed"));
            }
        )+

        /// The races that this list covers.
        const RACES: &[&str] = &[$($name),+];
    };
}

races! {
    a_context_freed_under_its_routine_is_found, unregistering_before_freeing_survives = "race-context-freed":
        |report| matches!(report.ending, Ending::Bugcheck(_)) && shown(report).1.as_deref() == Some("OnRing");
    unregistering_under_a_lock_is_found, unregistering_without_it_survives = "race-unregister-under-lock":
        |report| matches!(&report.ending, Ending::Hang(hang) if hang.deadlock) && shown(report).0 == [18];
    a_second_registrant_is_found, taking_turns_survives = "race-two-registrants":
        |report| matches!(report.ending, Ending::Bugcheck(_)) && shown(report).0 == [12];
    a_name_closed_too_early_is_found, closing_it_late_survives = "race-closing-name":
        |report| matches!(report.ending, Ending::Bugcheck(_)) && shown(report).1.as_deref() == Some("VisitingThread");
    a_dpc_behind_a_canceled_timer_is_found, flushing_dpcs_survives = "race-timer-dpc":
        |report| matches!(report.ending, Ending::Bugcheck(_)) && shown(report).1.as_deref() == Some("OnBeat");
    a_work_item_that_comes_too_late_is_found, one_of_a_device_survives = "race-late-work-item":
        |report| matches!(report.ending, Ending::Bugcheck(_)) && shown(report).0.contains(&20);
}

/// The table of the documentation: first seed, schedules of the first thousand, and switches of the shortest one.
#[test]
fn the_documentation_tells_what_a_search_finds() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/explore.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in RACES {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap();
        let scenario = Scenario { config: config(name), ..Subject::new(name).scenario };
        let mut explore = Explore::new(scenario);
        (explore.schedules, explore.keep_going) = (WITHIN, true);
        let done = explore.run(|_| ()).unwrap();
        assert!(!done.finds.is_empty(), "{name}");
        for find in done.finds {
            let switches = find.shortest.unwrap().schedule.switches.len();
            let figures = format!(" | {} | {} | {switches} |", find.seed, find.count);
            assert!(row.ends_with(&figures), "{row}: {figures}, {}", find.complaint.what);
        }
    }
}

#[test]
fn every_race_has_a_twin_and_a_test() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/races");
    let mut names: Vec<String> = std::fs::read_dir(sources)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".c")?.to_owned()))
        .collect();
    names.sort();
    let mut expected: Vec<String> =
        RACES.iter().flat_map(|race| [(*race).to_owned(), format!("{race}-fixed")]).collect();
    expected.sort();
    assert_eq!(names, expected);
}
