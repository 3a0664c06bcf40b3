//! A machine written as a Windows crash dump shows, to readers of such dumps, exactly what it showed alive.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use inspect::{FindOptions, Kernel, MemoryImage, Options};
use kdmp_parser::gxa::Gxa as _;
use nt::Profile;
use record::{Snapshot, Value};
use ringbell::{Config, Machine};

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
    machine.dump(&mut dump).unwrap();
    drop(machine.finish());
    (alive, dump)
}

fn known<T: Clone + std::fmt::Debug>(value: &Value<T>) -> T {
    value.known().unwrap_or_else(|| panic!("{value:?}")).clone()
}

#[test]
fn inspect_shows_in_a_dump_what_the_machine_showed_alive() {
    for profile in Profile::ALL.iter().filter(|profile| profile.name != "ros") {
        let name = profile.name;
        let (alive, dump) = alive_and_dumped(profile);
        let image = MemoryImage::from_bytes(dump).unwrap();
        let kernel = Kernel::find(&image, FindOptions::default());
        let options = Options { profile: Some(profile), ..Options::default() };
        let found = inspect::inspect("machine.dmp", &image, &kernel, &options);

        assert!(found.partial.is_empty(), "{name}: {:?}", found.partial);
        assert!(found.findings.is_empty(), "{name}: {:?}", found.findings);
        assert_eq!(found.objects.len(), alive.objects.len(), "{name}");
        for object in &found.objects {
            let live = alive.object(object.address).unwrap_or_else(|| panic!("{name}: {object:?}"));
            assert!(object.anomalies.is_empty(), "{name}: {:?}", object.anomalies);
            assert_eq!(object.name.known().cloned(), live.name, "{name}");
            assert_eq!(object.header, live.header);
            assert_eq!(known(&object.permanent), live.permanent);
            assert_eq!(known(&object.allow_multiple), live.allow_multiple);
            assert_eq!(known(&object.pointer_count), live.pointer_count);
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
            assert_eq!(found, live, "{name}");
        }
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

#[test]
fn a_machine_that_died_leaves_no_dump() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("died.dmp");
    let play = ringbell::Play {
        drivers: vec![("fastfail.sys".into(), image("fastfail.sys"))],
        dump: Some(path.clone()),
        ..ringbell::Play::default()
    };
    let report = play.run().unwrap();
    assert!(matches!(report.ending, record::Ending::Bugcheck(_)));
    assert!(!path.exists());
}
