//! Tests of machines that are forked off a base.

use std::io::{BufRead, BufReader};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use record::{Ending, Event, What};

use super::exercise::Exercise;
use super::tests::{ask, boot, is_gone, notes};
use super::{Base, Machine, memory, sys};
use crate::{Config, MachineError};

fn base_config() -> Config {
    Config { ring_bytes: 4096, ..Config::default() }
}

fn base() -> Base {
    boot(base_config()).into_base()
}

fn fork(base: &mut Base) -> Machine {
    let config = base.config().clone();
    base.fork(config).unwrap_or_else(|error| panic!("{error}"))
}

fn texts(events: &[Event]) -> Vec<&str> {
    let text = |event| match event {
        &Event { what: What::Note { ref text, .. }, .. } => Some(text.as_str()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn a_fork_goes_the_very_way_of_a_machine_that_is_booted_with_its_seed() {
    for (processors, seed) in
        [(1, 0), (1, 1), (1, 2), (1, 3), (1, 99), (1, u64::MAX), (2, 0), (2, 7), (4, 0), (4, 5)]
    {
        let mut base = boot(Config { processors, ..base_config() }).into_base();
        let config = Config { seed, ..base.config().clone() };
        let [forked, booted] = [base.fork(config.clone()), Machine::boot(config)].map(|machine| {
            let mut machine = machine.unwrap();
            machine.step("a step").unwrap();
            ask(&mut machine, Exercise::Draw).unwrap();
            ask(&mut machine, Exercise::TakeTurns).unwrap();
            machine.finish()
        });
        assert_eq!(forked.ending, Ending::Finished, "{}", forked.host_output);
        assert_eq!(forked.tainted, Vec::<String>::new());
        assert_eq!(forked.events, booted.events, "{processors} processors, seed {seed}");
        assert_eq!((forked.last, forked.modules), (booted.last, booted.modules));
    }
}

#[test]
fn a_fork_plays_a_schedule_again() {
    for processors in [1, 2, 4] {
        plays_a_schedule_again(processors);
    }
}

fn plays_a_schedule_again(processors: u8) {
    let mut base = boot(Config { processors, ..base_config() }).into_base();
    let mut play = |seed, schedule| {
        let mut machine = base.fork(Config { seed, schedule, ..base.config().clone() }).unwrap();
        ask(&mut machine, Exercise::TakeTurns).unwrap();
        machine.finish()
    };
    let mut switched = 0;
    for seed in 1..20 {
        let first = play(seed, None);
        assert!(first.schedule.is_some());
        let again = play(seed, first.schedule.clone());
        assert_eq!((first.events, &first.schedule), (again.events, &again.schedule), "seed {seed}");
        switched += first.schedule.map_or(0, |schedule| schedule.switches.len());
    }
    assert!(switched > 0);
}

#[test]
fn a_fork_begins_with_what_its_base_recorded_and_neither_sees_what_the_other_does() {
    let mut machine = boot(Config { ring_bytes: 4096, ..Config::default() });
    ask(&mut machine, Exercise::Emit { count: 100, bytes: 90 }).unwrap();
    let mut base = machine.into_base();
    let mut first = fork(&mut base);
    let mut second = fork(&mut base);
    for (machine, count) in [(&mut first, 300), (&mut second, 2)] {
        ask(machine, Exercise::Emit { count, bytes: 90 }).unwrap();
    }
    let mut machine = base.into_machine();
    ask(&mut machine, Exercise::Emit { count: 10, bytes: 90 }).unwrap();
    for (machine, count) in [(first, 400), (second, 102), (machine, 110)] {
        let outcome = machine.finish();
        assert_eq!(outcome.ending, Ending::Finished, "{}", outcome.host_output);
        assert_eq!((notes(&outcome.events), outcome.tainted), (count, Vec::new()));
        assert!(outcome.events.iter().zip(0..).all(|(event, number)| event.sequence == number));
    }
}

#[test]
fn a_fork_is_a_child_of_this_process_and_is_reaped() {
    let mut base = base();
    let mut ids = Vec::new();
    for _ in 0..20 {
        let machine = fork(&mut base);
        let id = machine.process_id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        assert!(status.contains(&format!("PPid:\t{}\n", std::process::id())), "{status}");
        ids.push(id);
        // Every second one is dropped as it is.
        if ids.len() % 2 == 0 {
            assert_eq!(machine.finish().ending, Ending::Finished);
        }
    }
    for id in ids {
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists(), "reaped");
    }
}

#[test]
fn only_the_base_can_fork() {
    let mut base = base();
    let mut machine = fork(&mut base);
    ask(&mut machine, Exercise::Multiply).unwrap();
    let mut heir = machine.into_base();
    let config = heir.config().clone();
    let error = heir.fork(config).unwrap_err();
    assert!(matches!(&error, MachineError::Refused(why) if why.contains("cannot fork")), "{error}");
    let outcome = heir.into_machine().finish();
    assert_eq!(outcome.ending, Ending::Finished, "{}", outcome.host_output);
    let refused = ["clone: Err(PermissionDenied)", "fork: false", "command: false", "thread: false"];
    assert_eq!(texts(&outcome.events), refused);
    // So has a machine that was told never to.
    let mut alone = boot(Config::default());
    alone.never_fork().unwrap();
    ask(&mut alone, Exercise::Multiply).unwrap();
    assert_eq!(texts(&alone.finish().events), refused);
    // The base still can, which shows that the exercise does what it says.
    let mut machine = base.into_machine();
    ask(&mut machine, Exercise::Multiply).unwrap();
    let mut clone = machine.events().iter().filter_map(|event| match &event.what {
        What::Note { text, .. } => {
            text.strip_prefix("clone: Ok(Some(")?.strip_suffix("))")?.parse::<u32>().ok()
        }
        _ => None,
    });
    let clone = clone.next_back().expect("a process");
    super::offspring::wait(clone, true).unwrap();
}

#[test]
fn a_fork_that_loops_ends_at_its_own_limit_with_last_words() {
    let mut base = base();
    let config = Config { timeout: Duration::from_millis(200), ..base.config().clone() };
    let mut machine = base.fork(config).unwrap();
    ask(&mut machine, Exercise::Spin).unwrap_err();
    let Ending::Hang(hang) = machine.finish().ending else { panic!("no hang") };
    assert_eq!((hang.limit_ms, hang.deadlock), (200, false));
    assert!(!hang.details.iter().any(|line| line.contains("did not say")), "{:?}", hang.details);
    assert_eq!(fork(&mut base).finish().ending, Ending::Finished);
}

#[test]
fn a_fork_has_an_event_limit_of_its_own() {
    let mut base = base();
    let config = Config { event_limit: 150, ..base.config().clone() };
    let mut machine = base.fork(config).unwrap();
    ask(&mut machine, Exercise::Emit { count: 5000, bytes: 1 }).unwrap_err();
    let outcome = machine.finish();
    assert_eq!((outcome.ending, outcome.events.len()), (Ending::EventLimit { limit: 150 }, 150));
    let mut machine = fork(&mut base);
    ask(&mut machine, Exercise::Emit { count: 5000, bytes: 1 }).unwrap();
    assert_eq!(machine.finish().ending, Ending::Finished);
}

#[test]
fn a_system_call_in_driver_code_traps_in_a_fork_too() {
    let mut base = base();
    let mut machine = fork(&mut base);
    // mov eax, 39 (getpid); syscall; ret
    ask(&mut machine, Exercise::Run(vec![0xB8, 39, 0, 0, 0, 0x0F, 0x05, 0xC3])).unwrap_err();
    let outcome = machine.finish();
    let Ending::Bugcheck(bugcheck) = outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(bugcheck.reason.contains("system call"), "{}", bugcheck.reason);
    assert!(bugcheck.registers.is_some());
}

#[test]
fn what_a_fork_destroys_is_its_own() {
    let mut base = base();
    let mut sibling = fork(&mut base);
    let bad: [fn(&mut Machine); 5] = [
        |machine| drop(ask(machine, Exercise::Scribble(0xFF))),
        |machine| drop(ask(machine, Exercise::Babble(vec![0xFF; 64]))),
        |machine| drop(ask(machine, Exercise::Panic)),
        |machine| drop(ask(machine, Exercise::EmitAndDie { count: 3 })),
        |machine| drop(ask(machine, Exercise::HangUp)),
    ];
    for destroy in bad {
        let mut machine = fork(&mut base);
        let id = machine.process_id();
        destroy(&mut machine);
        let outcome = machine.finish();
        assert!(
            !outcome.tainted.is_empty() || matches!(outcome.ending, Ending::Died { .. }),
            "{:?}",
            outcome.ending
        );
        assert!(is_gone(id));
        ask(&mut sibling, Exercise::Emit { count: 10, bytes: 30 }).unwrap();
    }
    let outcomes = [sibling.finish(), fork(&mut base).finish(), base.into_machine().finish()];
    for outcome in outcomes {
        assert_eq!((outcome.ending, outcome.tainted), (Ending::Finished, Vec::new()));
        assert_eq!(outcome.host_output, "", "the panic of another is not this one's");
    }
}

#[test]
fn a_fork_that_overwrites_all_guest_memory_harms_nobody_else() {
    let mut base = base();
    let mut sibling = fork(&mut base);
    let before = sibling.snapshot().unwrap();
    let mut machine = fork(&mut base);
    let regions = memory::accessible(machine.process_id()).unwrap();
    assert!(regions.iter().any(|region| region.write));
    ask(&mut machine, Exercise::Devastate(regions)).unwrap();
    // The machine is a ruin, and any step shows it.
    machine.snapshot().unwrap_err();
    assert_ne!(machine.finish().ending, Ending::Finished);
    let mut other = fork(&mut base);
    for machine in [&mut sibling, &mut other] {
        assert_eq!(machine.snapshot().unwrap(), before);
        ask(machine, Exercise::TakeTurns).unwrap();
    }
    for outcome in [sibling.finish(), other.finish(), base.into_machine().finish()] {
        assert_eq!((outcome.ending, outcome.tainted), (Ending::Finished, Vec::new()));
    }
}

#[test]
fn a_fork_outlives_its_base_and_a_dead_base_says_so() {
    let mut base = base();
    let mut machine = fork(&mut base);
    sys::signal_process(base.process_id(), libc::SIGKILL).unwrap();
    ask(&mut machine, Exercise::Emit { count: 10, bytes: 30 }).unwrap();
    let config = base.config().clone();
    let errors = [base.fork(config.clone()).unwrap_err(), base.fork(config).unwrap_err()];
    assert!(errors.iter().all(|error| matches!(error, MachineError::Killed(libc::SIGKILL))), "{errors:?}");
    assert!(is_gone(base.process_id()));
    assert_eq!(machine.finish().ending, Ending::Finished);
}

#[test]
fn what_was_settled_at_boot_cannot_differ() {
    let mut base = base();
    let config = Config { profile: "win7".into(), ..base.config().clone() };
    assert!(matches!(base.fork(config), Err(MachineError::Config(_))));
    let config = Config { ring_bytes: 8192, ..base.config().clone() };
    assert!(matches!(base.fork(config), Err(MachineError::Config(_))));
    let config = Config { processors: 2, ..base.config().clone() };
    assert!(matches!(base.fork(config), Err(MachineError::Config(_))));
    let mut base = boot(Config { processors: 2, parallel: true, ..base_config() }).into_base();
    let config = base.config().clone();
    assert!(matches!(base.fork(config), Err(MachineError::Config(why)) if why.contains("cannot be forked")));
    assert_eq!(base.into_machine().finish().ending, Ending::Finished);
}

const HELPER: &str = "RINGBELL_TEST_FORKING_PARENT";

/// Not a test of its own: the parent that the test below kills.
#[test]
fn helper_parent_with_a_base_and_a_looping_fork() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let mut base = base();
    let idle = fork(&mut base);
    let config = Config { timeout: Duration::from_secs(60), ..base.config().clone() };
    let mut looping = base.fork(config).unwrap();
    let ids = [base.process_id(), idle.process_id(), looping.process_id()];
    println!("kernel processes {}", ids.map(|id| id.to_string()).join(" "));
    let _ = ask(&mut looping, Exercise::Spin);
}

#[test]
fn a_killed_parent_takes_base_and_forks_with_it() {
    let mut parent = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "native::fork_tests::helper_parent_with_a_base_and_a_looping_fork"])
        .args(["--nocapture", "--test-threads=1"])
        .env(HELPER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let ids: Vec<u32> = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("kernel processes ").map(|(_, ids)| ids.to_owned()))
        .map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect())
        .expect("the helper names its processes");
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| !is_gone(*id)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    while !ids.iter().all(|id| is_gone(*id)) {
        assert!(killed.elapsed() < Duration::from_secs(30), "a kernel process outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
