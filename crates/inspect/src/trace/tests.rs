//! Logs in every dialect, and texts that are none.

use super::*;
use nt::catalog::{self, BOOT_ATTEMPTS, Verdict, boot_trace};
use record::AttemptVerdict;

fn names(log: &TraceLog) -> Vec<&str> {
    log.attempts.iter().map(|attempt| attempt.name.path().unwrap_or("-")).collect()
}

#[test]
fn the_published_boot_is_read_as_the_catalog_classifies_it() {
    let log = read("boot", boot_trace());
    assert_eq!(log.attempts.len(), 76);
    assert!(log.from_boot);
    for (attempt, row) in log.attempts.iter().zip(BOOT_ATTEMPTS) {
        let expected = match row.verdict {
            Verdict::Created => AttemptVerdict::Created,
            Verdict::Opened => AttemptVerdict::Opened,
            Verdict::Failed => AttemptVerdict::Failed,
            Verdict::Unnamed => AttemptVerdict::Unnamed,
        };
        assert_eq!(attempt.verdict, expected, "attempt {}: {}", row.number, attempt.why);
        assert_eq!(attempt.name.path(), row.name);
        assert_eq!(attempt.name_at.unwrap_or(0), row.recorded_at);
        assert_eq!(
            attempt.known_as.as_deref(),
            row.name.and_then(catalog::find).map(|entry| entry.key),
            "attempt {}",
            row.number
        );
    }
    assert_eq!(
        log.skipped,
        [
            ("debugger message".to_owned(), 1),
            ("driver failed to load".to_owned(), 1),
            ("symbols not found".to_owned(), 3)
        ]
    );
    assert_eq!(log.lines as usize, 76 + 5);
}

#[test]
fn a_string_at_the_same_address_again_is_told_by_its_place() {
    let log = read("boot", boot_trace());
    assert_eq!(log.attempts[6].same_slot_as, Some(6), "the loop over the built-in names");
    assert_eq!(log.attempts[0].place, NamePlace::StackOrPool);
    assert_eq!(log.attempts[73].same_slot_as, Some(59), "one static string asked for twice");
    assert_eq!(log.attempts[73].place, NamePlace::Image);
    assert_eq!(log.attempts[9].place, NamePlace::None);
}

#[test]
fn symbols_that_are_sought_tell_the_next_attempt() {
    let log = read("boot", boot_trace());
    let told: Vec<_> = log
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.symbols_sought.as_deref()?, attempt.name.path()?)))
        .collect();
    assert_eq!(
        told,
        [
            ("vmci.sys", "\\Callback\\VMCIDetachCB"),
            ("vsock.sys", "\\Callback\\VMCIDetachCB"),
            ("vmhgfs.sys", "\\Callback\\VMCIDetachCB")
        ]
    );
}

#[test]
fn a_log_that_starts_after_the_boot_claims_no_creation_of_what_was_there() {
    let later: String = boot_trace().lines().skip(17).take(6).map(|line| format!("{line}\n")).collect();
    let log = read("late", &later);
    assert!(!log.from_boot);
    assert_eq!(log.attempts.len(), 6);
    for attempt in &log.attempts {
        assert_ne!(attempt.verdict, AttemptVerdict::Created, "{:?}", attempt.name);
    }
    assert_eq!(log.attempts[0].verdict, AttemptVerdict::Opened, "{}", log.attempts[0].why);
}

#[test]
fn whole_structures_by_dt_and_dx_and_of_32_bits() {
    let text = "0: kd> dt nt!_OBJECT_ATTRIBUTES @rdx\n\
        nt!_OBJECT_ATTRIBUTES\n\
        \x20  +0x000 Length           : 0x30\n\
        \x20  +0x008 RootDirectory    : (null) \n\
        \x20  +0x010 ObjectName       : 0xfffff802`5c913000 _UNICODE_STRING \"\\Callback\\One\"\n\
        \x20  +0x018 Attributes       : 0x250\n\
        \x20  +0x020 SecurityDescriptor : (null) \n\
        \x20  +0x028 SecurityQualityOfService : (null) \n\
        @rdx                 : 0xffffef835e406570 [Type: _OBJECT_ATTRIBUTES *]\n\
        \x20   [+0x000] Length           : 0x30 [Type: unsigned long]\n\
        \x20   [+0x008] RootDirectory    : 0xffffffff800012a4 [Type: void *]\n\
        \x20   [+0x010] ObjectName       : 0xffffef835e406480 : \"Two\" [Type: _UNICODE_STRING *]\n\
        \x20   [+0x018] Attributes       : 0x40 [Type: unsigned long]\n\
        \x20  +0x008 ObjectName : 0x8f1a2b3c _UNICODE_STRING \"\\Callback\\Three\"\n\
        \x20  +0x00c Attributes : 80\n\
        \x20  +0x010 ObjectName : 0xffffef83`5e406480 _UNICODE_STRING \"--- memory read error at address 0x00000000`00000000 ---\"\n";
    let log = read("dt", text);
    assert_eq!(names(&log), ["\\Callback\\One", "Two", "\\Callback\\Three", "-"]);
    let attributes: Vec<_> = log.attempts.iter().map(|attempt| attempt.attributes).collect();
    assert_eq!(attributes, [Some(0x250), Some(0x40), Some(80), None]);
    assert!(log.attempts[1].why.starts_with("the name is relative"), "{}", log.attempts[1].why);
    assert!(!log.attempts[2].why.contains("relative"));
    assert!(
        matches!(&log.attempts[3].name, AskedName::Unreadable(words) if words.starts_with("memory read"))
    );
    assert_eq!(log.attempts[2].place, NamePlace::StackOrPool);
}

#[test]
fn printf_lines_in_many_hands() {
    let text = "ExCreateCallback: \\Callback\\A\n\
        nt!ExCreateCallback \\Callback\\B create=1 multiple=0 attr=0x250 from=ndis+0x1234\n\
        [12:00:01.250] ExCreateCallback(\"\\Callback\\C d\", Create=FALSE)\n\
        *** ExCreateCallback -> (null)\n\
        [ExCreateCallback] name=\"\\Callback\\E\" status=c0000034\n\
        ObjectName = \"\\Callback\\F\"\n";
    let log = read("printf", text);
    assert_eq!(
        names(&log),
        ["\\Callback\\A", "\\Callback\\B", "\\Callback\\C d", "-", "\\Callback\\E", "\\Callback\\F"]
    );
    let b = &log.attempts[1];
    assert_eq!(
        (b.create, b.multiple, b.attributes, b.caller.as_deref()),
        (Some(true), Some(false), Some(0x250), Some("ndis+0x1234"))
    );
    assert_eq!(log.attempts[2].create, Some(false));
    assert_eq!(log.attempts[3].verdict, AttemptVerdict::Unnamed);
    assert_eq!(log.attempts[4].verdict, AttemptVerdict::Failed);
    assert!(log.attempts[4].why.contains("STATUS_OBJECT_NAME_NOT_FOUND"), "{}", log.attempts[4].why);
    assert_eq!(log.skipped_lines(), 0);
}

#[test]
fn bare_paths_count_only_after_a_breakpoint_was_set() {
    assert!(read("none", "\\Callback\\PowerState\n").attempts.is_empty());
    let text = "0: kd> bp nt!ExCreateCallback \".printf \\\"%msu\\\\n\\\", poi(@rdx+10); g\"\n0: kd> g\n\\Callback\\PowerState\n";
    assert_eq!(names(&read("armed", text)), ["\\Callback\\PowerState"]);
}

#[test]
fn stacks_name_the_caller_on_either_side() {
    let frame = |routine: &str| format!("00 ffffef83`5e406738 fffff802`5907a1c2     {routine}\n");
    let name = |leaf: &str| {
        format!("   +0x010 ObjectName : 0xffffef83`5e406770 _UNICODE_STRING \"\\Callback\\{leaf}\"\n")
    };
    let (routine, first, second) =
        (frame("nt!ExCreateCallback"), frame("ndis!DriverEntry+0x12"), frame("tdx!TdxCreate+0x9"));
    let (deeper, a, b) = (frame("nt!Deeper"), name("A"), name("B"));
    let after = [&a, &routine, &first, &deeper, &b, &routine, &second].map(String::as_str);
    let before = [&routine, &first, &deeper, &a, &routine, &second, &b].map(String::as_str);
    for text in [after.concat(), before.concat()] {
        let log = read("stack", &text);
        let callers: Vec<_> = log.attempts.iter().filter_map(|it| it.caller.as_deref()).collect();
        assert_eq!(callers, ["ndis!DriverEntry+0x12", "tdx!TdxCreate+0x9"], "{text}");
    }
}

#[test]
fn a_directory_listing_gives_objects_and_the_hash() {
    let text = "0: kd> !object \\Callback\n\
        Object: ffffb08f3c2126a0  Type: (ffffa10e5faa9d20) Directory\n\
        \x20   ObjectHeader: ffffb08f3c212670 (new version)\n\
        \x20   HandleCount: 0  PointerCount: 28\n\
        \x20   Directory Object: ffffb08f3c20e2a0  Name: Callback\n\
        \n\
        \x20   Hash Address          Type                      Name\n\
        \x20   ---- -------          ----                      ----\n\
        \x20    01  ffffa10e5fa7c3b0 Callback                      EnlightenmentState\n\
        \x20    13  ffffa10e5fa7c5f0 Callback                      ProcessorAdd\n\
        \x20        ffffa10e5fa7c6f0 Callback                      PowerState\n\
        \n\
        unrelated\n";
    let log = read("object", text);
    assert!(log.attempts.is_empty());
    let listed: Vec<_> = log
        .listed
        .iter()
        .map(|it| (it.bucket, it.address, it.name.as_str(), it.directory.as_str()))
        .collect();
    assert_eq!(
        listed,
        [
            (Some(1), 0xffffa10e5fa7c3b0, "EnlightenmentState", "Callback"),
            (Some(13), 0xffffa10e5fa7c5f0, "ProcessorAdd", "Callback"),
            (Some(13), 0xffffa10e5fa7c6f0, "PowerState", "Callback")
        ]
    );
    assert_eq!(log.hash.as_deref(), Some("four at a time"));
    assert_eq!(log.skipped, [("debugger command".to_owned(), 1), ("other text".to_owned(), 1)]);
}

#[test]
fn text_that_mentions_the_routines_yields_nothing() {
    let text = "ExCreateCallback opens or creates a callback object.\n\
        ExCreateCallback: opens `\\Callback\\PowerState` when it exists.\n\
        Call nt!ExCreateCallback, then ExRegisterCallback and ExNotifyCallback.\n\
        status = ExCreateCallback(&object, &attributes, TRUE, TRUE);\n\
        ExCreateCallback(&object, &attributes, TRUE, TRUE);\n\
        ExCreateCallback(\"\\\\Callback\\\\PowerState\")\n\
        RtlInitUnicodeString(&name, L\"\\\\Callback\\\\PowerState\");\n\
        nt!ExCreateCallback\n\
        nt!ExCreateCallback:\n\
        \x20  +0x010 ObjectName       : Ptr64 _UNICODE_STRING\n\
        ObjectName: pointer to the name\n\
        | `+0x010 ObjectName` | 0xffffef83`5e406770 | \"\\Callback\\PowerState\" |\n\
        - \\Callback\\PowerState\n\
        \\Callback\\PowerState\n\
        00 ffffef83`5e406738 fffff802`5907a1c2     nt!ExCreateCallback\n\
        see https://example.org/ExCreateCallback\n";
    let log = read("prose", text);
    assert_eq!(log.attempts, []);
    assert_eq!(log.listed, []);
}

#[test]
fn logs_are_decoded_as_they_were_written() {
    let wide: Vec<u8> =
        std::iter::once(0xFEFF).chain(boot_trace().encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read("wide", &decode(&wide)).attempts.len(), 76);
    let with_returns = boot_trace().replace('\n', "\r\n");
    assert_eq!(read("crlf", &decode(with_returns.as_bytes())).attempts.len(), 76);
    assert_eq!(read("bom", &decode(&[b"\xEF\xBB\xBF", boot_trace().as_bytes()].concat())).attempts.len(), 76);
    assert!(read("binary", &decode(&[0xC3, 0x28, 0xFF, 0, 10, 13])).attempts.is_empty());
}

#[test]
fn logs_are_compared_by_name() {
    let one = read("a", "ExCreateCallback: \\Callback\\A\nExCreateCallback: \\Callback\\B\n");
    let two = read("b", "ExCreateCallback: \\CALLBACK\\a\nExCreateCallback: (null)\n");
    let comparison = compare(&[one.clone(), two]);
    let rows: Vec<_> =
        comparison.names.iter().map(|row| (row.name.as_str(), row.attempts.as_slice())).collect();
    assert_eq!(
        rows,
        [("(unnamed)", [0, 1].as_slice()), ("\\Callback\\A", &[1, 1]), ("\\Callback\\B", &[1, 0])]
    );
    assert!(!comparison.agrees());
    assert!(compare(&[one.clone(), one.clone()]).agrees());
    let listing = read(
        "l",
        "Directory Object: ffffb08f3c20e2a0  Name: Callback\n Hash Address Type Name\n 01  ffffa10e5fa7c3b0 Callback  A\n",
    );
    let rows = compare(&[one, listing]).names;
    assert_eq!((rows[0].name.as_str(), rows[0].attempts.as_slice()), ("\\Callback\\A", &[1, 1][..]));
    assert_eq!(rows[1].attempts, [1, 0]);
}

#[test]
fn damaged_logs_are_read_as_far_as_they_go() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound.max(1) as u64) as usize
    };
    let boot = boot_trace().as_bytes();
    for _ in 0..400 {
        let mut bytes = boot.to_vec();
        for _ in 0..=random(20) {
            match random(4) {
                0 => {
                    let at = random(bytes.len());
                    bytes[at] = random(256) as u8;
                }
                1 => {
                    let at = random(bytes.len());
                    bytes.insert(at, b"\n\"\\`:+[(kd>"[random(11)]);
                }
                2 => bytes.truncate(bytes.len() - random(200)),
                _ => {
                    let from = random(bytes.len());
                    let piece = bytes[from..(from + random(80)).min(bytes.len())].to_vec();
                    let at = random(bytes.len());
                    bytes.splice(at..at, piece);
                }
            }
        }
        let text = decode(&bytes);
        let log = read("damaged", &text);
        let lines = text.lines().count();
        assert!(log.attempts.len() + log.listed.len() + log.skipped_lines() as usize <= lines);
        assert!(log.attempts.len() > 5, "what is whole is still read");
        assert!(log.attempts.iter().all(|it| it.same_slot_as.is_none_or(|earlier| earlier < it.number)));
    }
}
