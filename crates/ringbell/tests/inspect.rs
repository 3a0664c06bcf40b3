//! `ringbell inspect` over images made by hand: exit codes, every format, and what a damaged image answers.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use synth::{CallbackSpec, Dump, Era, World};

/// A folder of images that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringbell-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn image(&self, name: &str, world: &World) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, world.dump(Dump::Full)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(command: &str, arguments: &[&str], paths: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbell")).arg(command).args(arguments).args(paths).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_clean_image_answers_clean_in_every_format() {
    let folder = Folder::new("clean");
    let world = World::booted(Era::TwentyFourH2);
    let image = folder.image("MEMORY.DMP", &world);
    for format in ["text", "table", "json", "jsonl", "csv"] {
        let output = ask("inspect", &["--format", format], &[&image]);
        assert_eq!(output.status.code(), Some(0), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(text(&output).contains("VendorEvents"), "{format}");
        assert_eq!(
            text(&output),
            text(&ask("inspect", &["--format", format], &[&image])),
            "{format} is stable"
        );
        if format != "csv" {
            assert!(
                output.stderr.is_empty(),
                "no bar where nobody looks: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    let output = text(&ask("inspect", &[], &[&image]));
    let listeners: usize = world.objects.iter().map(|(_, made)| world.registrations(made.body).len()).sum();
    let objects = world.objects.len();
    let sum =
        format!("{objects} callback objects with {listeners} listeners; nothing that does not belong\n");
    assert!(output.ends_with(&sum), "{output}");
}

#[test]
fn a_hidden_object_turns_the_exit_code_and_is_named() {
    let folder = Folder::new("hidden");
    let mut world = World::booted(Era::TwentyFourH2);
    let victim = world.named("WdProcessNotificationCallback");
    world.unlink(victim.body);
    let image = folder.image("hidden.dmp", &world);
    let output = ask("inspect", &[], &[&image]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output);
    assert!(shown.contains("[not-on-list]"), "{shown}");
    assert!(shown.contains("1 finding"), "{shown}");
}

#[test]
fn a_routine_outside_every_module_is_found_without_the_search_too() {
    let folder = Folder::new("outside");
    let mut world = World::booted(Era::Ten);
    let object = world.named("PowerState").body;
    world.register(object, 0xFFFF_B08F_3C00_0F00, 0);
    let image = folder.image("outside.dmp", &world);
    let output = ask("inspect", &["--no-carve", "--format", "jsonl"], &[&image]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("\"kind\":\"routine-outside-modules\""), "{}", text(&output));
    assert!(text(&output).contains("\"routine\":\"0xffffb08f3c000f00\""), "{}", text(&output));
}

#[test]
fn a_cut_image_is_read_as_far_as_it_goes() {
    let folder = Folder::new("cut");
    let mut world = World::booted(Era::TwentyFourH2);
    let registration = world.registrations(world.named("PowerState").body)[1];
    let page = world.memory.translate(registration).unwrap();
    world.memory.forget(page);
    let image = folder.image("cut.dmp", &world);
    let output = ask("inspect", &["--format", "table"], &[&image]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("the result is partial"), "{}", text(&output));
}

#[test]
fn an_object_with_a_hostile_name_prints_no_control_characters() {
    let folder = Folder::new("hostile");
    let mut world = World::booted(Era::Ten);
    world.callback(CallbackSpec::named("a\u{1b}[2J\nb"));
    let image = folder.image("hostile.dmp", &world);
    for format in ["text", "table", "json", "jsonl"] {
        let output = ask("inspect", &["--format", format], &[&image]);
        assert!(!output.stdout.contains(&0x1B), "{format}");
        assert_eq!(output.status.code(), Some(0), "{format}: a name alone is no finding");
    }
}

#[test]
fn what_is_no_memory_image_is_refused_with_a_next_step() {
    let folder = Folder::new("refused");
    let wide: Vec<u8> =
        "\u{FEFF}0: kd> g\r\n".repeat(600).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty.dmp", b"", "the file is empty"),
        (
            "user.dmp",
            b"MDMP\x93\xa7\0\0 and so on, long enough to be looked at, which takes 64 bytes",
            "user-mode",
        ),
        ("small.dmp", b"PAGEDU64 but then nothing", "truncated"),
        (
            "memory.zip",
            b"PK\x03\x04 and so on, long enough to be looked at, which takes 64 bytes...",
            "compressed",
        ),
        ("windbg.log", include_bytes!("data/dt.log"), "a text file, not a memory image"),
        ("README.md", include_bytes!("../../../README.md"), "a text file, not a memory image"),
        ("unicode.log", &wide, "a text file, not a memory image"),
        ("two.raw", b"\0\x01", "2 bytes are no memory image: a page has 4096"),
    ];
    for (name, bytes, words) in cases {
        let path = folder.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        let output = ask("inspect", &[], &[&path]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(output.stdout.is_empty());
        let lines: Vec<_> = said.lines().collect();
        assert!(lines[0].starts_with("error: `") && lines[0].contains(words), "{said}");
        assert!(lines[1].starts_with("hint: "), "{said}");
        let diff = ask("diff", &[], &[&path, &path]);
        assert_eq!(diff.status.code(), Some(2), "{name}");
        assert_eq!(String::from_utf8(diff.stderr).unwrap(), said);
    }
}

#[test]
fn text_in_the_first_page_hides_no_memory() {
    let folder = Folder::new("page-of-text");
    let path = folder.0.join("memory.raw");
    let mut memory = b"0: kd> g\n".repeat(456);
    memory.resize(0x20_0000, 0);
    std::fs::write(&path, memory).unwrap();
    let output = ask("inspect", &[], &[&path]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn noise_is_read_as_raw_memory_without_a_kernel() {
    let folder = Folder::new("noise");
    let path = folder.0.join("noise.raw");
    let noise: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(&path, noise).unwrap();
    let output = ask("inspect", &[], &[&path]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("no page tables of Windows x64 were found"), "{}", text(&output));
    assert!(
        text(&output).ends_with("0 callback objects with 0 listeners; nothing could be judged; partial\n")
    );
    let hint =
        "  `--os NAME` chooses how the image is read: ros, nt6, win8, win81, win10, win11, win11-24h2\n";
    assert!(text(&output).contains(hint), "{}", text(&output));
}

#[test]
fn two_images_are_compared() {
    let folder = Folder::new("diff");
    let before = World::booted(Era::Ten);
    let mut after = before.clone();
    let routine = after.module("vendor.sys").at(0x1900);
    after.register(after.named("ProcessorAdd").body, routine, 0);
    let (before, after) = (folder.image("before.dmp", &before), folder.image("after.dmp", &after));
    let output = ask("diff", &[], &[&before, &after]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = text(&output);
    assert!(shown.contains("~ \\Callback\\ProcessorAdd  changed"), "{shown}");
    assert!(shown.contains("    + <- vendor.sys+0x1900\n"), "{shown}");
    assert!(shown.contains("the images do not tell whether they are of one boot, and look so: the kernel and most objects lie where they lay (not both have a boot id and a time), addresses are compared\n"), "{shown}");
    let same = ask("diff", &["--no-carve"], &[&before, &before]);
    assert_eq!(same.status.code(), Some(0));
    assert!(text(&same).ends_with("no differences among 19 objects\n"), "{}", text(&same));
    let json: serde_json::Value =
        serde_json::from_str(&text(&ask("diff", &["--format", "json"], &[&before, &after]))).unwrap();
    let change = &json["changes"][0];
    assert_eq!(change["change"], "changed");
    assert!(change["listeners"][0]["registration_after"].as_str().unwrap().starts_with("0x"));
    assert_eq!(change["listeners"][0]["registration_before"], serde_json::Value::Null);
}

#[test]
fn an_image_without_objects_removes_none() {
    let folder = Folder::new("blind");
    let image = folder.image("MEMORY.DMP", &World::booted(Era::Ten));
    let blind = folder.0.join("zeros.raw");
    std::fs::write(&blind, vec![0; 0x2_0000]).unwrap();
    for pair in [[&*image, &blind], [&blind, &image]] {
        let output = ask("diff", &["--no-carve"], &pair);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("image is partial: "), "{}", text(&output));
        assert!(text(&output).ends_with("\nnothing could be compared\n"), "{}", text(&output));
    }
}

#[test]
fn symbols_are_looked_for_where_they_are_said_to_be() {
    let folder = Folder::new("symbols");
    let image = folder.image("MEMORY.DMP", &World::booted(Era::TwentyFourH2));
    let store = folder.0.join("store");
    std::fs::create_dir_all(&store).unwrap();
    let store_text = store.to_str().unwrap();
    let output = ask("inspect", &["--symbols", store_text], &[&image]);
    let talk = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "missing symbols are no finding: {talk}");
    let id = "44332211665588770102030405060708";
    assert!(
        talk.starts_with(
            "note: no symbols: `ntkrnlmp.pdb`, GUID 44332211-6655-8877-0102-030405060708, age 1"
        ),
        "{talk}"
    );
    assert!(
        talk.contains(&format!(
            "fetch https://msdl.microsoft.com/download/symbols/ntkrnlmp.pdb/{id}1/ntkrnlmp.pdb"
        )),
        "{talk}"
    );
    // Where a debugger keeps it, something else stands: it is told, and not believed.
    let place = store.join(format!("ntkrnlmp.pdb/{id}1"));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("ntkrnlmp.pdb"), b"no database").unwrap();
    let output = ask("inspect", &["--symbols", store_text], &[&image]);
    let talk = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(talk.contains(&format!("ntkrnlmp.pdb/{id}1/ntkrnlmp.pdb`, but ")), "{talk}");
    assert_eq!(output.status.code(), Some(0));
    let output = ask("inspect", &["--symbols", "/no/such/folder"], &[&image]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: `/no/such/folder` is no folder\nhint: give the folder that holds the program databases\n"
    );
}

#[test]
fn an_image_made_to_be_slow_is_cut_short_and_partial() {
    let folder = Folder::new("endless");
    let mut world = World::booted(Era::TwentyFourH2);
    synth::fixtures::endless_ring(&mut world, 1_000_000);
    let image = folder.image("endless.dmp", &world);
    let output = ask("inspect", &["--format", "json"], &[&image]);
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_str(&text(&output)).unwrap();
    let why = found["partial"].as_array().unwrap();
    assert!(why.iter().any(|why| why.as_str().unwrap().contains("more than 16384 entries")), "{why:?}");
}
