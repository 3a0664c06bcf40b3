//! Victims that misuse exports: the kernel itself finds out, or faults on their behalf.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{bugcheck, bugcheck_of, culprit, printed, run, run_all};
use record::{Ending, What};

#[test]
fn a_fault_in_the_kernel_is_blamed_on_the_driver_whose_call_led_there() {
    let (outcome, record) = bugcheck("corrupt-event");
    // The dispatcher lock is held there, and it is the kernel that reads.
    assert_eq!((record.code, record.parameters[1..3].to_vec()), (0x0A, vec![2, 0]), "{record:?}");
    assert_eq!(culprit(&outcome, &record), "CorruptEvent");
    assert_eq!(record.registers, None, "the host's registers are nobody's business");
    assert_eq!(run("corrupt-event").events, outcome.events, "the same again, to the last bit");

    let (outcome, record) = bugcheck("corrupt-registration");
    assert_eq!((record.code, record.parameters[0]), (0x139, 3), "{record:?}");
    assert_eq!(culprit(&outcome, &record), "CorruptRegistration");
}

#[test]
fn a_fault_in_a_routine_is_told_with_the_listener_and_not_the_ringer() {
    let (outcome, record) = bugcheck_of("fault-in-routine", run_all(&["fault-in-routine", "ringer"]));
    assert!(record.reason.contains("0xc0ffee"), "{}", record.reason);
    let located = outcome.modules.locate(record.at.unwrap());
    assert_eq!(located.module.unwrap().name, "fault-in-routine.sys");
    let callers: Vec<_> = record.stack.iter().map(|at| outcome.modules.locate(*at).to_string()).collect();
    assert!(callers.iter().any(|caller| caller.starts_with("ringer.sys")), "{callers:?}");
}

#[test]
fn c094_a_routine_left_by_a_driver_that_is_gone_is_a_jump_into_what_was_unloaded() {
    let (outcome, record) =
        bugcheck_of("entry-fails-registered", run_all(&["entry-fails-registered", "ringer"]));
    assert_eq!(record.code, 0xCE, "{record:?}");
    let located = outcome.modules.locate(record.at.unwrap());
    assert_eq!(located.module.unwrap().name, "entry-fails-registered.sys", "{located}");
}

#[test]
fn misuse_of_an_export_is_a_bugcheck_that_names_the_driver() {
    for (name, symbol) in [
        ("double-free", "DoubleFree"),
        ("free-nonsense", "FreeNonsense"),
        ("unregister-null", "UnregisterNull"),
        ("unregister-twice", "UnregisterTwice"),
    ] {
        let (outcome, record) = bugcheck(name);
        assert_eq!(culprit(&outcome, &record), symbol, "{name}: {record:?}");
    }
    let (_, record) = bugcheck("unregister-twice");
    // Status and address of the call; where record and context lie is nobody's, and memory that was followed stands in the reason.
    assert_eq!((record.code, record.parameters), (0x7E, [0xC000_0005, record.at.unwrap(), 0, 0]));
    assert!(record.reason.ends_with("the kernel reads from 0xdddddddddddddddd"), "{record:?}");
    let (_, record) = bugcheck("bugcheck");
    assert_eq!((record.code, record.parameters), (0xE2, [0x1111, 0x2222, 0x3333, 0xFFFF_F800_4444_4444]));
}

#[test]
fn a_wait_without_an_end_is_found_at_once_and_named() {
    let started = std::time::Instant::now();
    let outcome = run("wait-forever");
    let Ending::Hang(hang) = &outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(hang.deadlock, "{hang:?}");
    assert!(started.elapsed().as_millis() < 1500, "long before the limit of two seconds");
    assert!(hang.details.iter().any(|line| line.contains("wait-forever.sys+")), "{hang:?}");
}

#[test]
fn endless_calls_of_exports_are_a_hang() {
    let outcome = run("endless-calls");
    let Ending::Hang(hang) = &outcome.ending else { panic!("{:?}", outcome.ending) };
    let located = outcome.modules.locate(hang.at.expect("an address"));
    assert_eq!(located.module.map(|module| module.name.as_str()), Some("endless-calls.sys"), "{located}");
}

#[test]
fn pool_ends_politely() {
    let outcome = run("pool-exhaustion");
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(outcome.drivers[0].entry_status, Some(0xC000_009A));
    assert!(printed(&outcome).contains(&"pool-exhaustion: refused, all given back"));
}

#[test]
fn an_entry_that_fails_leaves_nothing() {
    for (name, status) in [("entry-not-connected", 0xC000_009D), ("entry-no-resources", 0xC000_009A)] {
        let outcome = run(name);
        assert_eq!(outcome.ending, Ending::Finished);
        assert_eq!(outcome.drivers[0].entry_status, Some(status));
        assert_eq!(outcome.drivers[0].unload, record::UnloadOutcome::EntryFailed);
        assert!(outcome.events.iter().any(|event| matches!(event.what, What::ImageUnloaded { .. })));
    }
}
