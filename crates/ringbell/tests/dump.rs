//! A machine written as a Windows crash dump shows, to readers of such dumps, exactly what it showed alive.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use inspect::{FindOptions, Kernel, MemoryImage, Options};
use kdmp_parser::gxa::Gxa as _;
use nt::Profile;
use record::{Snapshot, Value};
use ringbell::{Config, DumpForm, Machine};

fn image(name: &str) -> Vec<u8> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A machine of `profile` with a listener, described alive and as a dump.
fn alive_and_dumped(profile: &Profile) -> (Snapshot, Vec<u8>) {
    let mut machine = Machine::boot(Config { profile: profile.name.into(), ..Config::default() }).unwrap();
    machine.load("listener.sys", &image("listener.sys")).unwrap();
    let alive = machine.snapshot().unwrap();
    let mut dump = Vec::new();
    machine.dump(DumpForm::Full, &mut dump).unwrap();
    drop(machine.finish());
    (alive, dump)
}

fn known<T: Clone + std::fmt::Debug>(value: &Value<T>) -> T {
    value.known().unwrap_or_else(|| panic!("{value:?}")).clone()
}

/// Inspects a dump: it must show what was alive, nothing else, and nothing that does not belong.
fn shows_what_was_alive(label: &str, profile: &'static Profile, alive: &Snapshot, dump: Vec<u8>) {
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let options = Options { profile: Some(profile), ..Options::default() };
    let found = inspect::inspect("machine.dmp", &image, &kernel, &options);

    assert!(found.partial.is_empty(), "{label}: {:?}", found.partial);
    assert_eq!(found.anomalies().next(), None, "{label}");
    assert!(found.remnants.iter().all(|remnant| alive.object(remnant.address).is_none()), "{label}");
    assert_eq!(found.objects.len(), alive.objects.len(), "{label}");
    for object in &found.objects {
        let live = alive.object(object.address).unwrap_or_else(|| panic!("{label}: {object:?}"));
        assert_eq!(object.name.known().cloned(), live.name, "{label}");
        assert_eq!(object.header, live.header);
        assert_eq!(known(&object.permanent), live.permanent);
        assert_eq!(known(&object.allow_multiple), live.allow_multiple);
        assert_eq!(known(&object.pointer_count), live.pointer_count, "{label}");
        assert_eq!(known(&object.handle_count), live.handle_count);
        assert_eq!(known(&object.flags), live.flags);
        assert_eq!(known(&object.info_mask), live.info_mask);
        let found: Vec<_> = object
            .listeners
            .iter()
            .map(|listener| (listener.registration, known(&listener.routine), known(&listener.context)))
            .collect();
        let live: Vec<_> = live
            .listeners
            .iter()
            .map(|listener| (listener.registration, listener.routine, listener.context))
            .collect();
        assert_eq!(found, live, "{label}");
    }
    // The kernels that have objects behind ports: each is found by its port.
    let mut ports: Vec<_> =
        found.objects.iter().filter_map(|object| object.attribution.known().cloned()).collect();
    ports.sort_unstable();
    let expected: &[&str] = if profile.has_global_list.value {
        &["\\PowerMonitorPort", "\\PowerPort", "\\SleepstudyControlPort"]
    } else {
        &[]
    };
    assert_eq!(ports, expected, "{label}");
}

#[test]
fn inspect_shows_in_a_dump_what_the_machine_showed_alive() {
    for profile in Profile::ALL {
        let (alive, dump) = alive_and_dumped(profile);
        let image = MemoryImage::from_bytes(dump.clone()).unwrap();
        let kernel = Kernel::find(&image, FindOptions::default());
        let options = Options { carve: false, ..Options::default() };
        let found = inspect::inspect("machine.dmp", &image, &kernel, &options);
        assert_eq!(found.profile, profile.name, "by the build alone");
        shows_what_was_alive(profile.name, profile, &alive, dump);
    }
}

/// Makes a bitmap dump (type 5) of a full one by hand, as `BITMAP_DUMP` is publicly known: a bit for each page of physical memory.
fn as_bitmap(full: &[u8]) -> Vec<u8> {
    let word = |at: usize| u64::from_le_bytes(full[at..at + 8].try_into().unwrap());
    let (count, first) = (word(0xA0), word(0x98));
    assert_eq!(word(0x88) & 0xFFFF_FFFF, 1, "one run");
    let mut bitmap = vec![0_u8; (first + count).div_ceil(64) as usize * 8];
    for page in first..first + count {
        bitmap[page as usize / 8] |= 1 << (page % 8);
    }
    let pages_at = (0x2038 + bitmap.len()).next_multiple_of(0x1000);
    let mut out = full[..0x2000].to_vec();
    out[0xF98..0xF9C].copy_from_slice(&5_u32.to_le_bytes());
    out.resize(pages_at, 0);
    out[0x2000..0x2008].copy_from_slice(b"SDMPDUMP");
    for (at, value) in [(0x2020, pages_at as u64), (0x2028, count), (0x2030, first + count)] {
        out[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    out[0x2038..0x2038 + bitmap.len()].copy_from_slice(&bitmap);
    out.extend(&full[0x2000..]);
    let length = out.len() as u64;
    out[0xFA0..0xFA8].copy_from_slice(&length.to_le_bytes());
    out
}

/// Bundled drivers that do nothing wrong, each with those that it needs.
fn clean_drivers() -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin"))
            .unwrap()
            .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".sys")?.to_owned()))
            .filter(|name| {
                name.starts_with("exports-")
                    || name.starts_with("habits-")
                    || name.contains("-near-")
                    || name.ends_with("-fixed")
                    || ["listener", "absent-unused", "deep-stack", "halt"].contains(&&**name)
            })
            .map(|name| vec![name])
            .collect();
    all.push(vec!["listener".to_owned(), "ringer".to_owned()]);
    all.sort();
    all
}

/// Runs drivers and dumps the machine twice: with them loaded, and when they have left.
fn every_dump_of_a_clean_run_is_clean(drivers: &[String]) {
    let mut machine = Machine::boot(Config::default()).unwrap();
    let mut loaded = Vec::new();
    for name in drivers {
        let file = format!("{name}.sys");
        loaded.push(machine.load(&file, &image(&file)).unwrap());
    }
    for unloaded in [false, true] {
        if unloaded {
            for driver in loaded.iter().rev() {
                // One near miss refuses to load: there is nothing to unload.
                let _ = machine.unload(driver);
            }
        }
        let label = format!("{}, unloaded: {unloaded}", drivers.join(" and "));
        let alive = machine.snapshot().unwrap_or_else(|error| panic!("{label}: {error}"));
        let mut full = Vec::new();
        machine.dump(DumpForm::Full, &mut full).unwrap_or_else(|error| panic!("{label}: {error}"));
        let mut bitmap = Vec::new();
        machine.dump(DumpForm::Bitmap, &mut bitmap).unwrap_or_else(|error| panic!("{label}: {error}"));
        assert!(bitmap == as_bitmap(&full), "{label}: the same pages, described by bits");
        shows_what_was_alive(&format!("{label}, bitmap"), Profile::DEFAULT, &alive, bitmap);
        shows_what_was_alive(&label, Profile::DEFAULT, &alive, full);
    }
    drop(machine.finish());
}

#[test]
fn no_dump_of_a_clean_run_shows_an_anomaly() {
    let all = clean_drivers();
    assert!(all.len() > 40, "{all:?}");
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(drivers) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    every_dump_of_a_clean_run_is_clean(drivers);
                }
            });
        }
    });
}

#[test]
fn the_kernel_of_a_dump_has_the_names_that_it_exports() {
    let (_, dump) = alive_and_dumped(Profile::DEFAULT);
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let exports = kernel.image.as_ref().unwrap().exports(kernel.memory()).unwrap();
    let names: Vec<&str> = exports.iter().map(|(_, name)| name.as_str()).collect();
    for name in ["ExCreateCallback", "ExNotifyCallback", "KeSetEvent"] {
        assert!(names.contains(&name), "{} names, without {name}", names.len());
    }
}

#[test]
fn kdmp_parser_lists_the_same_modules() {
    let (_, dump) = alive_and_dumped(Profile::DEFAULT);
    let ours = MemoryImage::from_bytes(dump.clone()).unwrap();
    let kernel = Kernel::find(&ours, FindOptions::default());
    let mut expected: Vec<(u64, u64)> =
        kernel.modules.iter().map(|module| (module.base, module.base + u64::from(module.size))).collect();
    expected.sort_unstable();
    let theirs = kdmp_parser::parse::KernelDumpParser::with_reader(Cursor::new(dump)).unwrap();
    let mut listed: Vec<(u64, u64)> =
        theirs.kernel_modules().map(|(range, _)| (range.start.u64(), range.end.u64())).collect();
    listed.sort_unstable();
    assert_eq!(listed, expected);
    assert!(theirs.kernel_modules().any(|(_, name)| name.to_lowercase().contains("listener.sys")));
}

/// The interpreter that has the package `kdmp_parser`: `RINGBELL_PYTHON`, or the one that `.ci/run` sets up.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin/python3");
    let candidates = std::env::var_os("RINGBELL_PYTHON").map(PathBuf::from).into_iter().chain([own]);
    let has_package = |python: &PathBuf| {
        let import = std::process::Command::new(python).args(["-c", "import kdmp_parser"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().find(has_package)
}

/// Lets the package read a dump that has these modules, and returns what it says. `None` where it is not there and need not be.
fn read_by_python(name: &str, dump: &[u8]) -> Option<String> {
    let Some(python) = python() else {
        assert!(
            std::env::var_os("RINGBELL_REQUIRE_ALL").is_none(),
            "no Python with the package `kdmp_parser`; `.ci/run` installs it, or set RINGBELL_PYTHON"
        );
        eprintln!("skipped: no Python with the package `kdmp_parser`");
        return None;
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, dump).unwrap();
    let image = MemoryImage::from_bytes(dump.to_vec()).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let bases: Vec<String> = kernel.modules.iter().map(|module| format!("{:#x}", module.base)).collect();
    assert_eq!(bases.len(), 2, "the kernel and the driver");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_dump.py");
    let output = std::process::Command::new(python).arg(script).arg(&path).args(&bases).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(path).unwrap();
    let pages = (dump.len() - 0x2000) / 0x1000;
    let expected = format!("type 1, root 0x1000, {pages} pages, 2 modules, bugcheck ");
    Some(said.trim().strip_prefix(&expected).unwrap_or_else(|| panic!("{said}")).to_owned())
}

#[test]
fn the_python_package_reads_the_same_bytes() {
    let (_, dump) = alive_and_dumped(Profile::DEFAULT);
    if let Some(bugcheck) = read_by_python("python.dmp", &dump) {
        assert_eq!(bugcheck, "0x0 0x0 0x0 0x0 0x0", "a machine that lives");
    }
}

/// Plays one bundled driver, with a dump to `name`, and returns where that is.
fn played(driver: &str, name: &str) -> (PathBuf, Result<record::Report, ringbell::Stopped>) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let play = ringbell::Play {
        drivers: vec![(driver.into(), image(driver))],
        dump: Some(path.clone()),
        ..ringbell::Play::default()
    };
    (path, play.run())
}

/// Tells whether a part of a dump to `path` lies about. Other tests write dumps meanwhile.
fn leftovers(path: &Path) -> bool {
    let own = format!(".{}.", path.file_name().unwrap().to_str().unwrap());
    let mut folder = std::fs::read_dir(path.parent().unwrap()).unwrap();
    folder.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(&own))
}

/// Looks into a dump of a machine that died: no alarm, and the objects that the same machine had before the driver came.
fn inspected(dump: Vec<u8>) -> record::Inspection {
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let found = inspect::inspect("machine.dmp", &image, &kernel, &Options::default());
    assert!(found.partial.is_empty(), "{:?}", found.partial);
    assert_eq!(found.weighty(), 0, "{:?}", found.anomalies().collect::<Vec<_>>());
    found
}

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
    let look = |dump: Vec<u8>| {
        let image = MemoryImage::from_bytes(dump).unwrap();
        let kernel = Kernel::find(&image, FindOptions::default());
        inspect::inspect("machine.dmp", &image, &kernel, &Options::default())
    };
    let mut machine = Machine::boot(Config::default()).unwrap();
    let [mut before, mut after] = [Vec::new(), Vec::new()];
    machine.dump(DumpForm::Full, &mut before).unwrap();
    machine.load("listener.sys", &image("listener.sys")).unwrap();
    machine.advance(std::time::Duration::from_secs(60)).unwrap();
    machine.dump(DumpForm::Full, &mut after).unwrap();
    drop(machine.finish());
    let (before, after) = (look(before), look(after));
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
    let [first, second, again] = dumps.map(look);
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

#[test]
fn a_kernel_process_that_was_killed_leaves_the_dump_that_was_there() {
    let (path, report) = played("listener.sys", "kept-left.dmp");
    assert_eq!(report.unwrap().dump.as_deref(), path.to_str());
    let before = std::fs::read(&path).unwrap();
    let endless = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/endless-loop.sys");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
        .arg("run")
        .arg(endless)
        .args(["--timeout", "600s", "--dump"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The kernel process is the command's only child; it is killed while the driver loops.
    let kernel = loop {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let Some(kernel) = children.split_whitespace().next().map(str::to_owned) else {
            std::thread::sleep(std::time::Duration::from_millis(5));
            continue;
        };
        let name = std::fs::read_to_string(format!("/proc/{kernel}/cmdline")).unwrap_or_default();
        if name.starts_with("ringbell-kernel")
            && std::fs::read_to_string(format!("/proc/{kernel}/maps"))
                .unwrap_or_default()
                .contains("1020010000-")
        {
            break kernel;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(std::process::Command::new("kill").args(["-KILL", &kernel]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("because the kernel process is gone, and memory with it\nhint: the file that is there is older than this run\n"), "{said}");
    assert!(said.contains("ended from outside, by signal 9"), "{said}");
    assert!(std::fs::read(&path).unwrap() == before);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn only_a_dump_is_replaced_by_a_dump() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver-left.dmp");
    std::fs::write(&path, image("listener.sys")).unwrap();
    let (_, stopped) = played("listener.sys", "driver-left.dmp");
    let said = stopped.unwrap_err().to_string();
    assert!(said.contains("it is there already, and no crash dump"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), image("listener.sys"));
    assert!(!leftovers(&path));
    std::fs::remove_file(path).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_is_written_to_and_stays_one() {
    use std::os::unix::fs::FileTypeExt as _;
    let play = ringbell::Play {
        drivers: vec![("listener.sys".into(), image("listener.sys"))],
        dump: Some("/dev/full".into()),
        ..ringbell::Play::default()
    };
    let stopped = play.run().unwrap_err();
    assert!(stopped.to_string().starts_with("cannot write the dump: "), "{stopped}");
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn a_run_writes_the_form_of_dump_that_it_is_asked_for() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dump-forms");
    std::fs::create_dir_all(&folder).unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/listener.sys");
    let run = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
            .current_dir(&folder)
            .arg("run")
            .args(arguments)
            .output()
            .unwrap()
    };
    let text = format!("dump = 'key.dmp'\ndump-form = 'bitmap'\n[[step]]\nload = '{}'\n", driver.display());
    std::fs::write(folder.join("form.toml"), text).unwrap();
    let driver = driver.to_str().unwrap();
    for (arguments, file, form) in [
        (&[driver, "--dump", "full.dmp"][..], "full.dmp", 1),
        (&[driver, "--dump", "bits.dmp", "--dump-form", "bitmap"], "bits.dmp", 5),
        (&["form.toml"], "key.dmp", 5),
    ] {
        let done = run(arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let dump = std::fs::read(folder.join(file)).unwrap();
        assert_eq!(dump[0xF98], form, "{file}");
        assert_eq!(dump.len().to_le_bytes(), dump[0xFA0..0xFA8], "{file}");
    }
    let done = run(&[driver, "--dump-form", "bitmap"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("no dump to have the form"));
}
