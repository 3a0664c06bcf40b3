//! Every way of dying that a bundled victim driver shows, told in the words it deserves. An integration test on
//! purpose: the kernel process is a copy of this binary, which knows nothing of the crate's inside.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use common::{bugcheck, culprit, driver, machine, printed, run};
use record::{Access, Ending, What};
use ringbell_machine::{Config, Machine, plan};

#[test]
fn a_bad_access_is_told_with_address_instruction_and_function() {
    let (outcome, record) = bugcheck("read-null");
    assert_eq!((record.code, record.parameters[0]), (0x7E, 0xC000_0005));
    assert_eq!(culprit(&outcome, &record), "ReadNull");
    assert!(record.reason.contains("0x18"), "{}", record.reason);

    let (outcome, record) = bugcheck("write-unmapped");
    assert_eq!((record.code, record.parameters[..2].to_vec()), (0x50, vec![0xFFFF_A000_0000_1000, 1]));
    assert_eq!(culprit(&outcome, &record), "WriteUnmapped");
    assert!(record.instruction.is_some() && record.registers.is_some());

    let (_, record) = bugcheck("read-noncanonical");
    assert_eq!((record.code, record.parameters[0]), (0x7E, 0xC000_0005));
}

#[test]
fn a_jump_to_where_no_code_is_blames_the_caller() {
    let (outcome, record) = bugcheck("jump-nowhere");
    assert!(matches!(record.code, 0x50 | 0x7E), "{record:?}");
    assert_eq!(culprit(&outcome, &record), "JumpNowhere");

    let (outcome, record) = bugcheck("execute-data");
    assert_eq!(record.code, 0xFC);
    assert_eq!(culprit(&outcome, &record), "ExecuteData");
}

#[test]
fn an_exception_that_nobody_takes_is_told_with_its_stack_and_records() {
    let (outcome, record) = bugcheck("exception-unhandled");
    assert_eq!((record.code, record.parameters[0]), (0x7E, 0x8000_0002));
    assert_eq!(culprit(&outcome, &record), "Raise");
    assert!(record.parameters[2..].iter().all(|address| plan::STACKS.contains(*address)), "{record:?}");
    let names: Vec<String> = record
        .stack
        .iter()
        .map(|address| outcome.modules.locate(*address).symbol.map_or("", |(name, _)| name).to_owned())
        .collect();
    let expected = ["ExRaiseStatus", "Raise", "Raises", "ExNotifyCallback", "RingDeclining", "DriverEntry"];
    assert_eq!(names, expected);
    assert!(printed(&outcome).contains(&"exception-unhandled: asked about 80000002"));
    let raised =
        outcome.events.iter().find(|event| matches!(event.what, What::ExceptionRaised { .. })).unwrap();
    assert_eq!(raised.stack[..], record.stack[1..], "the event has it too, from the driver on");

    let (_, record) = bugcheck("exception-kernel-half");
    assert_eq!((record.code, record.parameters[0]), (0x50, 0xFFFF_A000_0000_1000));
    let (outcome, record) = bugcheck("exception-without-end");
    assert_eq!((record.code, record.parameters[0]), (0x7F, 8));
    assert!(record.stack.iter().all(|address| plan::is_guest(*address, 1)), "{:x?}", record.stack);
    assert!(outcome.events.iter().all(|event| event.caller.is_none_or(|caller| plan::is_guest(caller, 1))));
}

/// What a routine leaves by an exception is never finished: the kernel's frames have no handlers.
#[test]
fn an_exception_that_leaves_a_ring_leaves_it_as_it_is() {
    let outcome = run("exception-cut-short");
    let Ending::Hang(hang) = &outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(hang.deadlock);
    let lines = printed(&outcome);
    assert!(lines.contains(&"exception-cut-short: caught 1"), "{lines:?}");
    assert!(lines.contains(&"exception-cut-short: busy 1 and 0, reached 0, IRQL 0"), "{lines:?}");
    assert!(lines.contains(&"exception-cut-short: the second one left"), "{lines:?}");
    let left = outcome.events.iter().find_map(|event| match &event.what {
        What::ExceptionHandled { outcome, .. } => Some(outcome),
        _ => None,
    });
    assert_eq!(left.unwrap().notifies_left(&outcome.modules), 1);
    assert!(!outcome.events.iter().any(|event| matches!(event.what, What::NotifyEnd { .. })));

    let outcome = run("exception-keeps-lock");
    let Ending::Hang(hang) = &outcome.ending else { panic!("{:?}", outcome.ending) };
    assert!(hang.deadlock);
    let lines = printed(&outcome);
    assert!(lines.contains(&"exception-keeps-lock: caught 1, IRQL 2, lock 1"), "{lines:?}");
}

#[test]
fn code_pages_are_not_writable() {
    let (outcome, record) = bugcheck("write-code");
    assert_eq!(record.code, 0xBE);
    assert_eq!(culprit(&outcome, &record), "WriteCode");
}

#[test]
fn processor_exceptions_keep_their_status() {
    for (name, status) in [
        ("divide-by-zero", 0xC000_0094),
        ("breakpoint", 0x8000_0003),
        ("undefined-instruction", 0xC000_001D),
        ("assertion", 0xC000_0420),
    ] {
        let (_, record) = bugcheck(name);
        assert_eq!((record.code, record.parameters[0]), (0x7E, status), "{name}");
        assert_eq!(record.at, Some(record.parameters[1]), "{name}");
    }
    let (_, record) = bugcheck("fastfail");
    assert_eq!((record.code, record.parameters[0]), (0x139, 3));
}

#[test]
fn what_only_ring_0_may_do_is_refused_by_name() {
    for name in ["load-gdt", "write-cr0", "unknown-msr"] {
        let (_, record) = bugcheck(name);
        assert_eq!((record.code, record.parameters[0]), (0x7E, 0xC000_0096), "{name}");
        assert!(record.reason.contains("does not emulate"), "{name}: {}", record.reason);
    }
}

#[test]
fn a_linux_system_call_does_not_get_through() {
    for name in ["raw-syscall", "raw-int80"] {
        let (outcome, record) = bugcheck(name);
        assert_eq!(record.parameters[0], 0xC000_0096, "{name}");
        assert!(record.reason.contains("Linux system call"), "{name}: {}", record.reason);
        assert!(!outcome.host_output.contains("escaped"), "{name}");
    }
}

#[test]
fn the_stack_ends_with_a_guard() {
    let (outcome, record) = bugcheck("stack-overflow");
    assert_eq!((record.code, record.parameters[0]), (0x7F, 8));
    assert_eq!(culprit(&outcome, &record), "Recurse");

    let outcome = run("deep-stack");
    assert_eq!(outcome.ending, Ending::Finished);
    assert!(printed(&outcome).contains(&"deep-stack: survived"));
}

#[test]
fn an_absent_import_is_told_by_name_and_kind_of_access_and_only_when_touched() {
    let function = "FsRtlRegisterFileSystemFilterCallbacks";
    for (name, export, expected) in [
        ("absent-call", function, Access::Call),
        ("absent-data-read", "PsUILanguageComitted", Access::Read),
        ("absent-data-write", "PsUILanguageComitted", Access::Write),
    ] {
        let outcome = run(name);
        let Ending::AbsentExport { name: told, module, at } = &outcome.ending else {
            panic!("{name}: {:?}", outcome.ending)
        };
        assert_eq!((told.as_str(), module.to_lowercase().as_str()), (export, "ntoskrnl.exe"));
        let located = outcome.modules.locate(*at);
        assert_eq!(located.module.map(|module| module.name.as_str()), Some(format!("{name}.sys").as_str()));
        let What::AbsentExport { access, arguments, .. } = &outcome.events.last().unwrap().what else {
            panic!("{name}: {:?}", outcome.events.last())
        };
        assert_eq!(*access, expected, "{name}");
        if expected == Access::Call {
            assert_eq!(arguments[..2], [0x1111, 0x2222]);
        }
    }
    let outcome = run("absent-unused");
    assert_eq!(outcome.ending, Ending::Finished);
    assert!(printed(&outcome).contains(&"absent-unused: survived"));
}

#[test]
fn an_endless_loop_is_a_hang_that_names_the_loop() {
    for name in ["endless-loop", "endless-loop-cli"] {
        let outcome = run(name);
        let Ending::Hang(hang) = &outcome.ending else { panic!("{name}: {:?}", outcome.ending) };
        assert!(!hang.deadlock);
        let located = outcome.modules.locate(hang.at.expect("an address"));
        assert!(located.symbol.is_some_and(|(symbol, _)| symbol.contains("Endless")), "{name}: {located}");
        assert_eq!(printed(&outcome).len(), 1);
    }
}

#[test]
fn a_flood_of_events_ends_at_the_limit_with_every_line_before_it() {
    let limit = 5000;
    let config = Config { event_limit: limit, ..Config::default() };
    let mut machine = Machine::boot(config).unwrap_or_else(|error| panic!("{error}"));
    machine.load("print-flood.sys", &driver("print-flood")).unwrap_err();
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::EventLimit { limit });
    assert_eq!(outcome.events.len() as u64, limit);
    let lines = printed(&outcome);
    for (number, line) in lines[1..].iter().enumerate() {
        assert_eq!(*line, format!("print-flood: line {number}"));
    }
}

#[test]
fn a_driver_can_die_in_its_unload() {
    let (outcome, record) = bugcheck("fault-in-unload");
    assert_eq!(record.code, 0x7E);
    assert_eq!(culprit(&outcome, &record), "DriverUnload");

    let (outcome, record) = bugcheck("discarded-code");
    assert!(printed(&outcome).contains(&"discarded-code: value 1"), "the code was there at first");
    assert_eq!(culprit(&outcome, &record), "DriverUnload");
}

#[test]
fn a_driver_without_unload_stays() {
    let mut machine = machine();
    let (name, status) = machine.load("no-unload.sys", &driver("no-unload")).unwrap();
    assert_eq!(status, 0);
    assert_eq!(machine.unload(&name).unwrap(), record::UnloadOutcome::NotUnloadable);
    assert_eq!(machine.finish().ending, Ending::Finished);
}

#[test]
fn images_land_at_fixed_addresses_that_are_never_used_twice() {
    let mut bases = Vec::new();
    for _ in 0..2 {
        let mut machine = machine();
        for _ in 0..2 {
            let (name, status) = machine.load("deep-stack.sys", &driver("deep-stack")).unwrap();
            assert_eq!(status, 0);
            machine.unload(&name).unwrap();
        }
        let outcome = machine.finish();
        assert_eq!(outcome.ending, Ending::Finished);
        let names: Vec<_> = outcome.drivers.iter().map(|driver| driver.name.as_str()).collect();
        assert_eq!(names, ["deep-stack.sys", "deep-stack.sys#2"]);
        bases.push(outcome.drivers.iter().map(|driver| driver.base).collect::<Vec<_>>());
    }
    assert_eq!(bases[0], bases[1], "two runs, the same addresses");
    assert!(bases[0][0] < bases[0][1] && plan::IMAGES.contains(bases[0][0]));
}

#[test]
fn what_is_no_driver_is_refused_in_one_sentence_and_the_machine_lives_on() {
    let mut machine = machine();
    for bytes in [&b""[..], b"MZ", &[0xFF; 4096]] {
        let error = machine.load("junk.sys", bytes).unwrap_err();
        assert!(matches!(error, ringbell_machine::MachineError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("junk.sys"), "{error}");
    }
    let (_, status) = machine.load("deep-stack.sys", &driver("deep-stack")).unwrap();
    assert_eq!(status, 0);
    let outcome = machine.finish();
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(outcome.drivers.len(), 1);
}

#[test]
fn a_call_stack_goes_through_the_kernel_and_frame_pointers() {
    let (outcome, record) = bugcheck("call-stack");
    assert_eq!(culprit(&outcome, &record), "OnInner");
    let name = |address: &u64| {
        let located = outcome.modules.locate(*address);
        located.symbol.map_or_else(|| located.to_string(), |(name, _)| name.to_owned())
    };
    let names: Vec<_> = record.stack.iter().map(name).collect();
    assert_eq!(
        names,
        ["ExNotifyCallback", "RingInner", "WithArray", "OnOuter", "ExNotifyCallback", "DriverEntry"]
    );
    // Each ring carries its own, which starts at the driver's call.
    let rings: Vec<_> = outcome
        .events
        .iter()
        .filter(|event| matches!(event.what, What::NotifyBegin { .. }))
        .map(|event| (event.caller, event.stack.clone()))
        .collect();
    let [(first, outer), (second, inner)] = &rings[..] else { panic!("{rings:x?}") };
    assert_eq!((*first, *second), (outer.first().copied(), inner.first().copied()));
    assert_eq!(outer.iter().map(name).collect::<Vec<_>>(), ["DriverEntry"]);
    assert_eq!(inner.iter().map(name).collect::<Vec<_>>(), names[1..]);
}

#[test]
fn a_deadlock_shows_the_calls_that_wait() {
    let outcome = run("wait-forever");
    let Ending::Hang(hang) = &outcome.ending else { panic!("{:?}", outcome.ending) };
    let places: Vec<_> = hang.stack.iter().map(|at| outcome.modules.locate(*at).to_string()).collect();
    assert!(places[0].starts_with("nt!Ke"), "{places:?}");
    assert_eq!(hang.stack.get(1).copied(), hang.at, "{places:?}");
}
