//! A machine written as a Windows crash dump shows, to readers of such dumps, exactly what it showed alive.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod death;
mod file;

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

/// Looks into a dump that lacks nothing and shows no alarm.
fn inspected(dump: Vec<u8>) -> record::Inspection {
    let image = MemoryImage::from_bytes(dump).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let found = inspect::inspect("machine.dmp", &image, &kernel, &Options::default());
    assert!(found.partial.is_empty(), "{:?}", found.partial);
    assert_eq!(found.weighty(), 0, "{:?}", found.anomalies().collect::<Vec<_>>());
    found
}
