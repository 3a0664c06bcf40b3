//! Tests of the kernel process as a process. This very test binary is started again as the kernel process, so they
//! prove the take-over from a libtest binary too.

use std::io::{BufRead, BufReader};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use record::Ending;

use super::Machine;
use super::exercise::Exercise;
use crate::wire::{Command, Reply};
use crate::{Config, MachineError};

pub(super) fn boot(config: Config) -> Machine {
    Machine::boot(config).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn ask(machine: &mut Machine, exercise: Exercise) -> Result<(), MachineError> {
    machine.ask(&Command::Exercise(exercise)).map(|reply| assert!(matches!(reply, Reply::Done)))
}

/// Returns whether the process is gone or only waits to be reaped.
pub(super) fn is_gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}

pub(super) fn notes(machine_events: &[record::Event]) -> usize {
    machine_events.iter().filter(|event| matches!(event.what, record::What::Note { .. })).count()
}

#[test]
fn a_machine_boots_in_a_process_of_its_own_and_finishes() {
    let machine = boot(Config::default());
    let pid = machine.process_id();
    assert_ne!(pid, std::process::id());
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::Finished, "{}", outcome.host_output);
    assert_eq!(outcome.tainted, Vec::<String>::new());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "reaped");
}

#[test]
fn sixteen_machines_run_at_once_from_sixteen_threads() {
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut machine = boot(Config { ring_bytes: 4096, ..Config::default() });
                ask(&mut machine, Exercise::Emit { count: 500, bytes: 50 }).unwrap();
                let outcome = machine.finish();
                assert_eq!(outcome.ending, Ending::Finished);
                assert_eq!(notes(&outcome.events), 500);
            });
        }
    });
}

#[test]
fn more_events_than_the_ring_holds_all_arrive() {
    let mut machine = boot(Config { ring_bytes: 4096, ..Config::default() });
    ask(&mut machine, Exercise::Emit { count: 3, bytes: 20_000 }).unwrap();
    ask(&mut machine, Exercise::Emit { count: 5000, bytes: 30 }).unwrap();
    let outcome = machine.finish();
    assert_eq!(notes(&outcome.events), 5003);
    assert!(outcome.events.iter().zip(0..).all(|(event, number)| event.sequence == number));
}

#[test]
fn a_process_that_dies_leaves_every_event_it_emitted() {
    let mut machine = boot(Config::default());
    let error = ask(&mut machine, Exercise::EmitAndDie { count: 777 }).unwrap_err();
    assert!(matches!(error, MachineError::Ended));
    assert!(machine.has_ended());
    assert!(matches!(ask(&mut machine, Exercise::Print), Err(MachineError::Ended)));
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::Died { signal: Some(libc::SIGABRT), code: None });
    assert_eq!(notes(&outcome.events), 777);
}

#[test]
fn an_exit_of_its_own_accord_is_told_with_its_code() {
    let mut machine = boot(Config::default());
    ask(&mut machine, Exercise::Exit(42)).unwrap_err();
    assert_eq!(machine.finish().ending, Ending::Died { signal: None, code: Some(42) });
}

#[test]
fn an_endless_loop_ends_at_the_limit_with_last_words() {
    let mut machine = boot(Config { timeout: Duration::from_millis(200), ..Config::default() });
    ask(&mut machine, Exercise::Emit { count: 5, bytes: 1 }).unwrap();
    let started = Instant::now();
    ask(&mut machine, Exercise::Spin).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
    let outcome = machine.finish();
    let Ending::Hang(hang) = outcome.ending else { panic!("{:?}", outcome.ending) };
    assert_eq!((hang.limit_ms, hang.deadlock), (200, false));
    assert!(!hang.details.iter().any(|line| line.contains("did not say")), "{:?}", hang.details);
    assert_eq!(notes(&outcome.events), 5);
}

#[test]
fn one_event_too_many_ends_the_run() {
    let mut machine = boot(Config { event_limit: 100, ..Config::default() });
    ask(&mut machine, Exercise::Emit { count: 5000, bytes: 1 }).unwrap_err();
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::EventLimit { limit: 100 });
    assert_eq!(outcome.events.len(), 100);
}

#[test]
fn a_panic_of_the_host_is_told_and_is_not_mistaken_for_the_driver() {
    let mut machine = boot(Config::default());
    ask(&mut machine, Exercise::Panic).unwrap_err();
    let outcome = machine.finish();
    assert!(matches!(outcome.ending, Ending::Died { signal: None, code: Some(_) }));
    assert!(outcome.host_output.contains("told to"), "{}", outcome.host_output);
}

#[test]
fn a_signal_from_outside_is_not_taken_for_a_trap() {
    for signal in [libc::SIGSEGV, libc::SIGFPE] {
        let mut machine = boot(Config::default());
        super::sys::signal_process(machine.process_id(), signal).unwrap();
        // It may die before it hears the question, or after.
        while ask(&mut machine, Exercise::Emit { count: 1, bytes: 1 }).is_ok() {}
        assert_eq!(machine.finish().ending, Ending::Died { signal: Some(signal), code: None });
    }
}

#[test]
fn code_in_the_kernel_process_reaches_no_file_no_network_and_no_process() {
    let file = std::path::Path::new("/tmp/ringbell-escaped");
    let _ = std::fs::remove_file(file);
    let alone = || {
        let mut machine = boot(Config::default());
        machine.never_fork().unwrap();
        machine
    };
    let base = || boot(Config::default());
    let fork = || base().into_base().fork(Config::default()).unwrap();
    // A base may signal any process of its own user: its forks are to signal themselves and inherit its filter.
    for (mut machine, done) in [(alone(), 0), (fork(), 0), (base(), 1)] {
        ask(&mut machine, Exercise::Escape).unwrap();
        let outcome = machine.finish();
        assert_eq!(outcome.ending, Ending::Finished, "{}", outcome.host_output);
        let notes = outcome.events.iter().filter_map(|event| match &event.what {
            record::What::Note { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let (tried, refused): (Vec<_>, Vec<_>) =
            notes.filter(|text| text.contains(": ")).partition(|text| !text.ends_with(": PermissionDenied"));
        assert_eq!((tried.len(), refused.len() + tried.len()), (done, 13), "{tried:?} {refused:?}");
        assert!(!file.exists());
    }
}

#[test]
fn host_code_that_reads_the_clock_is_a_defect_and_told() {
    let mut machine = boot(Config::default());
    ask(&mut machine, Exercise::ReadClock).unwrap_err();
    let outcome = machine.finish();
    assert!(matches!(outcome.ending, Ending::Died { .. }), "{:?}", outcome.ending);
    assert!(outcome.host_output.contains("read the processor's clock"), "{}", outcome.host_output);
}

#[test]
fn prints_of_the_host_do_not_disturb_the_protocol() {
    let mut machine = boot(Config::default());
    ask(&mut machine, Exercise::Print).unwrap();
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::Finished);
    assert!(outcome.host_output.contains("to stdout") && outcome.host_output.contains("to stderr"));
}

#[test]
fn a_process_that_babbles_is_ended_and_its_run_is_tainted() {
    for bytes in [vec![0xFF; 64], vec![1, 0, 0, 0, 0xEE], vec![0; 16], b"Refused\n".to_vec()] {
        let mut machine = boot(Config::default());
        ask(&mut machine, Exercise::Emit { count: 3, bytes: 1 }).unwrap();
        ask(&mut machine, Exercise::Babble(bytes)).unwrap_err();
        let pid = machine.process_id();
        let outcome = machine.finish();
        assert!(matches!(outcome.ending, Ending::Died { .. }), "{:?}", outcome.ending);
        assert_eq!(outcome.tainted.len(), 1);
        assert_eq!(notes(&outcome.events), 3);
        assert!(is_gone(pid));
    }
}

#[test]
fn an_answer_to_another_question_ends_the_machine() {
    let mut machine = boot(Config::default());
    let error = machine.done(&Command::Exercise(Exercise::Confuse)).unwrap_err();
    assert!(matches!(error, MachineError::Ended));
    let outcome = machine.finish();
    assert!(outcome.tainted[0].contains("another question"), "{:?}", outcome.tainted);
}

#[test]
fn a_process_that_nags_for_ever_is_late_all_the_same() {
    let mut machine = boot(Config { timeout: Duration::from_millis(200), ..Config::default() });
    ask(&mut machine, Exercise::Nag).unwrap_err();
    assert!(matches!(machine.finish().ending, Ending::Hang(_)));
}

#[test]
fn an_answer_too_many_is_not_taken_for_the_next_one() {
    let mut machine = boot(Config::default());
    ask(&mut machine, Exercise::AnswerTwice).unwrap();
    // The second answer is read before the answer to this, at the latest.
    let _ = ask(&mut machine, Exercise::Print);
    let outcome = machine.finish();
    assert_eq!(outcome.tainted, ["the kernel process sent an answer to another question"]);
}

#[test]
fn a_process_that_scribbles_over_shared_memory_cannot_fool_or_crash_its_parent() {
    for byte in [0x00, 0x01, 0x7F, 0xFF] {
        let mut machine = boot(Config::default());
        ask(&mut machine, Exercise::Emit { count: 7, bytes: 5 }).unwrap();
        ask(&mut machine, Exercise::Scribble(byte)).unwrap();
        let outcome = machine.finish();
        assert_eq!(notes(&outcome.events), 7, "what had been read stays");
        assert!(!outcome.tainted.is_empty(), "{byte:#x}: {:?}", outcome.ending);
    }
}

#[test]
fn a_stopped_process_is_killed_after_the_limit() {
    let mut machine = boot(Config { timeout: Duration::from_millis(100), ..Config::default() });
    let started = Instant::now();
    // The stop may take effect right after the answer.
    let _ = ask(&mut machine, Exercise::Stop);
    let _ = ask(&mut machine, Exercise::Emit { count: 1, bytes: 1 });
    assert!(machine.has_ended());
    assert!(started.elapsed() < Duration::from_secs(3));
    let Ending::Hang(hang) = machine.finish().ending else { panic!("no hang") };
    assert!(hang.details[0].contains("did not say"), "{:?}", hang.details);
}

#[test]
fn a_process_that_hangs_up_and_lives_on_is_killed() {
    let mut machine = boot(Config::default());
    let pid = machine.process_id();
    let started = Instant::now();
    ask(&mut machine, Exercise::HangUp).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(is_gone(pid));
    assert!(matches!(machine.finish().ending, Ending::Died { .. }));
}

#[test]
fn a_dropped_machine_leaves_no_process() {
    let machine = boot(Config::default());
    let pid = machine.process_id();
    drop(machine);
    assert!(is_gone(pid));
}

#[test]
fn a_wrong_ring_size_is_refused_before_anything_starts() {
    let error = Machine::boot(Config { ring_bytes: 5000, ..Config::default() }).unwrap_err();
    assert!(matches!(error, MachineError::Config(_)));
}

const HELPER: &str = "RINGBELL_TEST_PARENT";

/// Not a test of its own: the parent that the test below kills.
#[test]
fn helper_parent_that_hangs() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let mut machine = boot(Config { timeout: Duration::from_secs(60), ..Config::default() });
    println!("kernel process {}", machine.process_id());
    let _ = ask(&mut machine, Exercise::Spin);
}

#[test]
fn a_killed_parent_takes_an_endlessly_looping_machine_with_it() {
    let mut parent = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "native::tests::helper_parent_that_hangs", "--nocapture", "--test-threads=1"])
        .env(HELPER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = lines
        .map_while(Result::ok)
        .find_map(|line| line.rsplit_once("kernel process ").and_then(|(_, pid)| pid.trim().parse().ok()))
        .expect("the helper names its kernel process");
    assert!(!is_gone(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    while !is_gone(pid) {
        assert!(killed.elapsed() < Duration::from_secs(1), "the kernel process outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}
