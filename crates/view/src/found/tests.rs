//! Every format over one small inspection with everything in it.

use super::*;
use record::{Confidence, FoundBugcheck, FoundObject, Remnant, UnloadedRange, ViewResult, Waiter};

fn anomaly_of(kind: &str, weight: Severity) -> Anomaly {
    Anomaly {
        kind: kind.to_owned(),
        severity: weight,
        message: "the routine 0xffffd000deadbee0 lies in no loaded module".to_owned(),
        benign: "a driver was unloaded without unregistering".to_owned(),
        at: Some(0xffff_d000_dead_bee0),
    }
}

fn object(name: Value<String>, listeners: Vec<FoundListener>) -> FoundObject {
    FoundObject {
        address: 0xffff_b08f_3c00_0100,
        header: 0xffff_b08f_3c00_00d0,
        name,
        former_name: None,
        attribution: Value::not_applicable("the object has a name"),
        known_as: Some("PowerState".to_owned()),
        permanent: Value::Known(true),
        allow_multiple: Value::Known(true),
        pointer_count: Value::Known(3),
        handle_count: Value::Known(0),
        flags: Value::Known(0x12),
        info_mask: Value::Known(2),
        security_descriptor: Value::Absent {
            absent: Because::PagedOut,
            why: "0xffffb08f3c0000f8: paged out".to_owned(),
        },
        lock: Value::Known(0),
        linkage: Value::Known("number 4 of 20, linked both ways".to_owned()),
        pool: Value::Known("block of 0xa0 bytes at 0xffffb08f3c0000a0, in use".to_owned()),
        listeners,
        listeners_cut: None,
        evidence: Evidence { list: true, namespace: false, carve: true },
        confidence: Confidence::Verified,
        anomalies: Vec::new(),
    }
}

fn listener() -> FoundListener {
    FoundListener {
        registration: 0xffff_b08f_3c00_0200,
        routine: Value::Known(0xffff_d000_dead_bee0),
        place: Value::not_found("in no loaded module"),
        symbol: Value::not_found("no symbols"),
        context: Value::Known(0x10),
        busy: Value::Known(1),
        waiting: Value::Known(true),
        anomalies: vec![anomaly_of("routine-outside-modules", Severity::Warning)],
    }
}

fn inspection() -> Inspection {
    Inspection {
        schema: Inspection::SCHEMA,
        source: "MEMORY.DMP".to_owned(),
        format: "Windows crash dump, full (type 1)".to_owned(),
        build: Value::Known(26100),
        profile: "win11-24h2".to_owned(),
        profile_because: "the image is of build 26100".to_owned(),
        bugcheck: Value::Known(FoundBugcheck { code: 0xD1, parameters: [0x10, 2, 0, 0xffff_f802_7000_1000] }),
        boot: FoundBoot {
            id: Value::Known(77),
            // 2026-11-24 12:34:56.7 UTC.
            system_time: Value::Known(134_399_972_967_000_000),
            up_time: Value::Known(36_610_000_000),
            times_from: "KUSER_SHARED_DATA".to_owned(),
        },
        kernel: Value::Known(0xffff_f802_5900_0000),
        modules: Value::Known(10),
        unloaded: Value::Known(vec![UnloadedRange {
            name: "old.sys".to_owned(),
            base: 0x1000,
            size: 0x1000,
        }]),
        waiters: Value::Known(vec![Waiter { thread: 0xffff_9a00_0000_1000 }]),
        views: vec![ViewResult {
            view: "list".to_owned(),
            objects: Value::Known(2),
            how: "head named by a symbol, at 0xfffff80259202000".to_owned(),
            cut: None,
        }],
        objects: vec![
            object(Value::Known("\\Callback\\PowerState".to_owned()), vec![listener()]),
            FoundObject {
                former_name: Some("=cmd|'/c'\u{1b}[2J\n,\"x\"".to_owned()),
                address: 0xffff_b08f_3c00_0300,
                ..object(Value::not_applicable("gone"), Vec::new())
            },
        ],
        findings: vec![anomaly_of("list-broken", Severity::Note)],
        remnants: vec![Remnant {
            address: 0xffff_b08f_3c00_0500,
            former_name: Value::Known("Gone".to_owned()),
            why: "its pool block is free".to_owned(),
        }],
        notes: vec!["a note".to_owned()],
        partial: vec!["a reason".to_owned()],
    }
}

#[test]
fn the_debuggers_dialect_has_every_field_and_reason() {
    let text = windbg(&inspection());
    for line in [
        "MEMORY.DMP: Windows crash dump, full (type 1), build 26100, read as win11-24h2 because the image is of build 26100",
        "kernel at fffff802`59000000, loaded modules: 10, unloaded modules: 1",
        "bugcheck DRIVER_IRQL_NOT_LESS_OR_EQUAL (0xD1), parameters 0x10, 0x2, 0x0, 0xfffff80270001000",
        "booted 2026-11-24 11:33:55Z, taken 1 h 01 min 01 s later at 2026-11-24 12:34:56Z (by KUSER_SHARED_DATA); boot id 77",
        "view list       2 objects; head named by a symbol, at 0xfffff80259202000",
        "Object: ffffb08f`3c000100  Type: Callback",
        "    ObjectHeader: ffffb08f`3c0000d0",
        "    HandleCount: 0  PointerCount: 3",
        "    Name: \\Callback\\PowerState  permanent",
        "    Flags: 0x12  InfoMask: 0x02  SecurityDescriptor: (paged out: 0xffffb08f3c0000f8: paged out)",
        "    Seen by: list, carve (verified)",
        "     ffffb08f`3c000200  00000000`00000010     1 yes   ffffd000`deadbee0 (in no loaded module)",
        "    warning: the routine 0xffffd000deadbee0 lies in no loaded module [routine-outside-modules]; harmless if: a driver was unloaded without unregistering",
        "  ffffb08f`3c000500  was: Gone  (its pool block is free)",
        "2 callback objects with 1 listener; 1 finding, 1 remark; partial",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n---\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn the_table_has_a_line_for_each() {
    let text = table(&inspection());
    assert!(text.contains("ffffb08f`3c000100     3  several   permanent   L-C   verified\n"), "{text}");
    assert!(
        text.contains("  <- ffffd000`deadbee0 (in no loaded module)  busy 1  unregister waits\n"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.trim_end() == line || line.contains("(was:")), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn json_writes_addresses_as_strings_and_reasons_for_what_is_absent() {
    let value: serde_json::Value = serde_json::from_str(&json(&inspection()).unwrap()).unwrap();
    let first = &value["objects"][0];
    assert_eq!(first["address"], "0xffffb08f3c000100");
    assert_eq!(first["pointer_count"], 3);
    assert_eq!(first["security_descriptor"]["absent"], "paged-out");
    assert_eq!(first["listeners"][0]["routine"], "0xffffd000deadbee0");
    assert_eq!(first["listeners"][0]["context"], "0x10");
    assert_eq!(first["listeners"][0]["place"]["absent"], "not-found");
    assert_eq!(value["kernel"], "0xfffff80259000000");
    assert_eq!(value["unloaded"][0]["base"], "0x1000");
}

#[test]
fn json_lines_have_the_image_first_and_a_row_each() {
    let text = lines(&inspection()).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = rows.iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["image", "object", "object", "finding", "remnant"]);
    assert_eq!(rows[3]["kind"], "list-broken");
    assert_eq!(rows[0]["objects"], serde_json::Value::Null);
}

#[test]
fn csv_quotes_and_disarms_what_an_image_says() {
    let text = csv(&inspection());
    assert_eq!(text.split("\r\n").next(), Some(COLUMNS.join(",").as_str()));
    assert!(text.contains("\"'=cmd|'/c'\u{1b}[2J\n,\"\"x\"\"\""), "{text}");
    assert!(text.contains("absent:paged-out:"), "{text}");
    assert!(text.contains(",routine-outside-modules\r\n"), "{text}");
}
