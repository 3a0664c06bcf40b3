//! Every prototype against the headers that drivers are compiled with.
//!
//! The test writes one C line per export: a call with arguments of the kinds that the handler's Rust type says, and assertions about the
//! result. mingw-w64's compiler then judges the number of arguments, integers against pointers, integers that are too wide, and
//! the result's size and kind. C widens a narrow integer in silence, so a second test has the compiler list its declarations, and
//! asserts the size of every argument.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::export::{Export, Kind};
use crate::table::EXPORTS;

const COMPILER: &str = "x86_64-w64-mingw32-gcc";
const HEADERS: &str = "/usr/x86_64-w64-mingw32/include/ddk";
/// What stands before the lines.
const PREFIX: &str = "#define NTDDI_VERSION 0x0A000000
#include <ntifs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <ctype.h>
extern UCHAR i1; extern USHORT i2; extern ULONG i4; extern ULONGLONG i8; extern LARGE_INTEGER li; extern void *p;
";

/// Exports that the headers of mingw-w64 10 do not declare, and why that is.
#[rustfmt::skip]
const UNDECLARED: &[(&str, &[&str])] = &[
    ("newer than these headers", &[
        "ExAcquireSpinLockExclusive", "ExAcquireSpinLockExclusiveAtDpcLevel", "ExAcquireSpinLockShared",
        "ExAcquireSpinLockSharedAtDpcLevel", "ExAllocatePool2", "ExAllocatePool3", "ExReleaseSpinLockExclusive",
        "ExReleaseSpinLockExclusiveFromDpcLevel", "ExReleaseSpinLockShared", "ExReleaseSpinLockSharedFromDpcLevel",
        "ExTryConvertSharedSpinLockExclusive", "IoRegisterBootDriverCallback", "IoUnRegisterBootDriverCallback",
        "KeQueryInterruptTimePrecise", "KeQuerySystemTimePrecise",
        "SeRegisterImageVerificationCallback", "SeUnregisterImageVerificationCallback",
    ]),
    ("macros on x64; drivers built otherwise import them", &[
        "KeAcquireSpinLock", "KeGetCurrentProcessorIndex", "KeQueryInterruptTime", "KeQuerySystemTime", "KeQueryTickCount",
        "KeRaiseIrql", "KfAcquireSpinLock", "KfLowerIrql", "KfReleaseSpinLock", "RtlCopyMemory", "RtlFillMemory",
        "RtlMoveMemory", "RtlZeroMemory",
    ]),
    ("exported, but in no header of theirs", &[
        "NtCreateEvent", "NtSetEvent", "NtWaitForSingleObject", "ObCloseHandle", "ObGetObjectType", "ObOpenObjectByName",
        "ObReferenceObjectSafe", "PsGetProcessImageFileName", "PsGetProcessPeb", "PsGetThreadProcess",
        "RtlAppendAsciizToString", "RtlImageNtHeader", "RtlPrefixString",
    ]),
    ("in winnt.h only, or in no header of theirs", &[
        "ExRaiseException", "RtlLookupFunctionEntry", "RtlPcToFileHeader", "RtlRaiseException", "RtlUnwind", "RtlUnwindEx",
        "RtlVirtualUnwind", "_local_unwind",
    ]),
    ("the kernel's own", &["IopInvalidDeviceRequest"]),
];

/// Routines whose declaration is another routine's: `swprintf` takes a size in ISO C and none in the kernel.
const DECLARED_OTHERWISE: &[&str] = &["swprintf"];

fn line(export: &Export) -> String {
    let mut call = format!("({})(", export.name);
    let fixed = export.signature.arguments.iter().filter(|kind| **kind != Kind::Variable);
    for (index, kind) in fixed.enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let argument = match kind {
            Kind::Integer(bytes) => format!("i{bytes}"),
            Kind::LargeInteger => "li".into(),
            _ => "p".into(),
        };
        let _ = write!(call, "{separator}{argument}");
    }
    call.push(')');
    let result = match export.signature.result {
        Kind::Void | Kind::Never => format!("__builtin_types_compatible_p(__typeof__({call}), void)"),
        Kind::LargeInteger => format!("__builtin_types_compatible_p(__typeof__({call}), LARGE_INTEGER)"),
        Kind::Integer(bytes) => format!("sizeof({call}) == {bytes} && __builtin_classify_type({call}) != 5"),
        Kind::Pointer | Kind::Variable => format!("__builtin_classify_type({call}) == 5"),
    };
    format!("void t_{}(void) {{ {call}; _Static_assert({result}, \"result\"); }}", export.name)
}

/// Returns whether there is a compiler with headers; where there must be one, insists.
fn is_there() -> bool {
    let there =
        std::path::Path::new(HEADERS).is_dir() && Command::new(COMPILER).arg("--version").output().is_ok();
    let required = std::env::var_os("RINGBELL_REQUIRE_ALL").is_some();
    assert!(there || !required, "{COMPILER} or its headers in {HEADERS} are missing");
    there
}

/// Checks C and returns what the compiler prints on its two streams.
fn compile(source: &str, flags: &[&str]) -> (String, String) {
    let mut child = Command::new(COMPILER)
        .args(["-fsyntax-only", "-fno-builtin", "-fmax-errors=0", "-fno-diagnostics-show-caret", "-xc"])
        .args(flags)
        .arg(format!("-I{HEADERS}"))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the compiler runs");
    let mut input = child.stdin.take().expect("a pipe");
    let source = source.to_owned();
    // The compiler may print before it has read everything.
    let writer = std::thread::spawn(move || input.write_all(source.as_bytes()));
    let output = child.wait_with_output().expect("the compiler ends");
    writer.join().expect("no panic").expect("the compiler reads");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn arguments_have_the_widths_of_the_driver_headers() {
    if !is_there() {
        return;
    }
    let (declarations, _) = compile(PREFIX, &["-aux-info", "/dev/stdout"]);
    let mut source = PREFIX.to_owned();
    let mut checked = 0;
    for declaration in declarations.lines().filter(|line| line.contains(":NC */")) {
        let Some((head, arguments)) = declaration.trim_end_matches(");").split_once(" (") else { continue };
        let name = head.rsplit([' ', '*']).next().unwrap_or(head);
        let Some(export) = EXPORTS.iter().find(|export| export.name == name) else { continue };
        // A function pointer has commas of its own, so a declaration with one is left out.
        if arguments.contains('(') || DECLARED_OTHERWISE.contains(&name) {
            continue;
        }
        for (kind, declared) in export.signature.arguments.iter().zip(arguments.split(", ")) {
            let bytes = match kind {
                Kind::Integer(bytes) => *bytes,
                Kind::Variable => continue,
                _ => 8,
            };
            let _ =
                writeln!(source, "_Static_assert(sizeof({declared}) == {bytes}, \"{name}: {declared}\");");
            checked += 1;
        }
    }
    assert!(checked > 800, "only {checked} arguments were found");
    let (_, complaints) = compile(&source, &[]);
    let wrong: Vec<&str> = complaints.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn prototypes_are_those_of_the_driver_headers() {
    if !is_there() {
        return;
    }
    let mut source = PREFIX.to_owned();
    let first = source.lines().count() + 1;
    for export in EXPORTS {
        source.push_str(&line(export));
        source.push('\n');
    }
    let flags = ["-Wconversion", "-Wno-sign-conversion", "-Wint-conversion", "-Wincompatible-pointer-types"];
    let (_, text) = compile(&source, &flags);
    let mut complaints: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for complaint in text.lines() {
        let Some(rest) = complaint.strip_prefix("<stdin>:") else { continue };
        let Some((number, message)) = rest.split_once(':') else { continue };
        let kind = message.split_once(": ").map_or("", |(_, kind)| kind);
        if kind.starts_with("error") || kind.starts_with("warning") {
            complaints.entry(number.parse().unwrap_or(0)).or_default().push(kind);
        }
    }
    let mut undeclared = Vec::new();
    let mut wrong = Vec::new();
    for (number, messages) in complaints {
        let export = number.checked_sub(first).and_then(|index| EXPORTS.get(index));
        let export = export.unwrap_or_else(|| panic!("line {number}: {messages:?}"));
        if messages
            .iter()
            .any(|message| message.contains("implicit declaration") || message.contains("undeclared"))
        {
            undeclared.push(export.name);
        } else if !DECLARED_OTHERWISE.contains(&export.name) {
            wrong.push(format!("{}: {}", export.name, messages.join("; ")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let mut known: Vec<&str> = UNDECLARED.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    known.sort_unstable();
    assert_eq!(undeclared, known, "what the headers lack");
}
