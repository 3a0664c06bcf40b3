//! The dump of a machine that died shows what it died of, and memory as it was then.

use super::*;

#[test]
fn a_bugcheck_is_dumped_with_code_parameters_and_objects() {
    let fresh = Machine::boot(Config::default()).unwrap().snapshot().unwrap();
    for driver in [
        "bugcheck.sys",
        "fastfail.sys",
        "divide-by-zero.sys",
        "corrupt-event.sys",
        "double-free.sys",
        // Dies when it is asked to leave: the machine had been dumped before, and is dumped again.
        "fault-in-unload.sys",
    ] {
        let name = format!("{driver}-left.dmp");
        let (path, report) = played(driver, &name);
        let report = report.unwrap();
        let record::Ending::Bugcheck(check) = &report.ending else { panic!("{driver}: {:?}", report.ending) };
        assert_eq!(report.dump.as_deref(), path.to_str(), "{driver}");
        let dump = std::fs::read(&path).unwrap();
        assert!(!leftovers(&path), "{driver}");
        std::fs::remove_file(path).unwrap();

        for dump in [as_bitmap(&dump), dump.clone()] {
            let found = inspected(dump);
            let there = found.bugcheck.known().unwrap_or_else(|| panic!("{driver}: {:?}", found.bugcheck));
            assert_eq!((there.code, there.parameters), (check.code, check.parameters), "{driver}");
            let text = view::found::windbg(&found);
            assert!(text.contains(&format!("\nbugcheck {}, ", nt::BugCheck(check.code))), "{text}");
            for object in &fresh.objects {
                let there = found.objects.iter().find(|it| it.address == object.address);
                let there = there.unwrap_or_else(|| panic!("{driver}: {object:?}"));
                assert_eq!(there.name.known().cloned(), object.name, "{driver}");
                assert!(there.listeners.len() >= object.listeners.len(), "{driver}");
            }
        }
        if let Some(read) = read_by_python(&format!("python-{name}"), &dump) {
            let words = [u64::from(check.code)].into_iter().chain(check.parameters);
            assert_eq!(
                read,
                words.map(|word| format!("{word:#x}")).collect::<Vec<_>>().join(" "),
                "{driver}"
            );
        }
        let theirs = kdmp_parser::parse::KernelDumpParser::with_reader(Cursor::new(dump)).unwrap();
        let header = theirs.headers();
        assert_eq!(header.bug_check_code, check.code, "{driver}");
        assert_eq!(header.bug_check_code_parameters, check.parameters, "{driver}");
        if let Some(registers) = check.registers {
            let context = theirs.context_record();
            assert_eq!(
                (context.rip, context.rsp, context.r15),
                (registers.rip, registers.rsp, registers.r15)
            );
        }
    }
}

/// What the registers and parameters of the death lead to is in the dump, too: the exception that Windows' 0x7E names.
#[test]
fn what_the_parameters_of_a_bugcheck_lead_to_is_in_its_dump() {
    let (path, report) = played("divide-by-zero.sys", "exception-left.dmp");
    let report = report.unwrap();
    let record::Ending::Bugcheck(check) = &report.ending else { panic!("{:?}", report.ending) };
    assert_eq!((check.code, check.parameters[0]), (0x7E, 0xC000_0094));
    let image = MemoryImage::from_bytes(std::fs::read(&path).unwrap()).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let mut record = [0; 0x18];
    kernel.memory().read(check.parameters[2], &mut record).unwrap();
    assert_eq!(record[..4], 0xC000_0094_u32.to_le_bytes(), "ExceptionCode");
    assert_eq!(record[0x10..], check.parameters[1].to_le_bytes(), "ExceptionAddress");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn the_same_bugcheck_gives_the_same_dump() {
    let dumps = [1, 2].map(|number| {
        let (path, report) = played("divide-by-zero.sys", &format!("twin-{number}-left.dmp"));
        assert!(report.unwrap().reproducible.yes);
        let dump = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        dump
    });
    assert!(dumps[0] == dumps[1]);
}

#[test]
fn dumps_of_one_run_are_of_one_boot_and_those_of_another_are_not() {
    let mut machine = Machine::boot(Config::default()).unwrap();
    let [mut before, mut after] = [Vec::new(), Vec::new()];
    machine.dump(DumpForm::Full, &mut before).unwrap();
    machine.load("listener.sys", &image("listener.sys")).unwrap();
    machine.advance(std::time::Duration::from_secs(60)).unwrap();
    machine.dump(DumpForm::Full, &mut after).unwrap();
    drop(machine.finish());
    let (before, after) = (inspected(before), inspected(after));
    let difference = inspect::diff(&before, &after);
    assert_eq!(difference.boots, record::Boots::Same, "{}", difference.boots_because);
    assert!(after.boot.up_time.get().unwrap() >= before.boot.up_time.get().unwrap() + 600_000_000);
    assert_eq!(before.boot.time(), after.boot.time());
    assert_eq!(after.boot.times_from, "KUSER_SHARED_DATA");

    let dumps = ["listener.sys", "ringer.sys", "listener.sys"].map(|driver| {
        let (path, report) = played(driver, "boots-left.dmp");
        report.unwrap();
        let dump = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        dump
    });
    assert!(dumps[0] == dumps[2], "the same run gives the same bytes");
    let theirs = kdmp_parser::parse::KernelDumpParser::with_reader(Cursor::new(dumps[0].clone())).unwrap();
    let header = theirs.headers();
    let [first, second, again] = dumps.map(inspected);
    assert_eq!(u64::try_from(header.system_time).ok(), first.boot.system_time.get());
    assert_eq!(u64::try_from(header.system_up_time).ok(), first.boot.up_time.get());
    let difference = inspect::diff(&first, &second);
    assert_eq!(difference.boots, record::Boots::Different, "{}", difference.boots_because);
    assert!(!difference.same_boot && difference.boots_because.starts_with("their boot ids are "));
    assert_eq!(inspect::diff(&first, &again).boots, record::Boots::Same);
}

#[test]
fn a_deadlock_and_a_hang_are_dumped_as_machines_that_ran() {
    for (driver, deadlock) in [("deadlock-abandoned.sys", true), ("endless-loop.sys", false)] {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{driver}-left.dmp"));
        let config = if deadlock {
            Config::default()
        } else {
            Config { timeout: std::time::Duration::from_secs(3), ..Config::default() }
        };
        let play = ringbell::Play {
            config,
            drivers: vec![(driver.into(), image(driver))],
            dump: Some(path.clone()),
            ..ringbell::Play::default()
        };
        let report = play.run().unwrap();
        let record::Ending::Hang(hang) = &report.ending else { panic!("{driver}: {:?}", report.ending) };
        assert_eq!(hang.deadlock, deadlock, "{driver}");
        assert_eq!(report.dump.as_deref(), path.to_str(), "{driver}");
        let found = inspected(std::fs::read(&path).unwrap());
        assert_eq!(found.bugcheck.known(), None, "{driver}");
        assert!(found.objects.len() >= 14, "{driver}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn processors_at_the_same_time_are_stopped_for_the_dump_of_a_bugcheck() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parallel-left.dmp");
    let play = ringbell::Play {
        config: Config { processors: 4, parallel: true, ..Config::default() },
        drivers: vec![("divide-by-zero.sys".into(), image("divide-by-zero.sys"))],
        dump: Some(path.clone()),
        ..ringbell::Play::default()
    };
    let report = play.run().unwrap();
    let record::Ending::Bugcheck(check) = &report.ending else { panic!("{:?}", report.ending) };
    let found = inspected(std::fs::read(&path).unwrap());
    assert_eq!(found.bugcheck.known().map(|it| it.parameters), Some(check.parameters));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_machine_that_is_not_asked_to_stay_ends_at_once() {
    let mut machine = Machine::boot(Config::default()).unwrap();
    machine.load("fastfail.sys", &image("fastfail.sys")).unwrap_err();
    assert!(machine.has_ended() && !machine.has_remains());
    let mut out = Vec::new();
    assert!(matches!(machine.dump(DumpForm::Full, &mut out), Err(ringbell::MachineError::Ended)));
    assert!(out.is_empty());
    assert!(matches!(machine.finish().ending, record::Ending::Bugcheck(_)));
}

#[test]
fn a_dead_machine_is_dumped_once_more_and_does_nothing_else() {
    let mut machine = Machine::boot(Config::default()).unwrap();
    machine.keep_remains().unwrap();
    machine.load("fastfail.sys", &image("fastfail.sys")).unwrap_err();
    assert!(machine.has_ended() && machine.has_remains());
    assert!(matches!(machine.snapshot(), Err(ringbell::MachineError::Ended)));
    let [mut first, mut second] = [Vec::new(), Vec::new()];
    machine.dump(DumpForm::Full, &mut first).unwrap();
    machine.dump(DumpForm::Full, &mut second).unwrap();
    assert!(first == second && first.starts_with(b"PAGEDU64"));
    assert!(matches!(machine.finish().ending, record::Ending::Bugcheck(_)));
}
