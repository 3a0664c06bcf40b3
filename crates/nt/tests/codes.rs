//! Status, bugcheck and fast-fail codes against `windows-sys`.
//!
//! The crate's own tables are read once more here, with macros that list each entry beside the value of the constant
//! of the same name over there. A name that `windows-sys` does not have would not compile.

use ringbell_nt as nt;
use ringbell_nt::status::Severity;
use ringbell_nt::{BugCheck, FastFail, Irql, NTSTATUS};
use windows_sys::Win32::Foundation as foundation;
use windows_sys::Win32::System::Diagnostics::Debug as debug;

macro_rules! statuses {
    ($($name:ident = $value:literal)*) => {
        pub(crate) const STATUSES: &[(&str, u32, i32)] =
            &[$((stringify!($name), $value, crate::foundation::$name)),*];
    };
}
#[path = "../src/status/table.rs"]
mod status_table;

macro_rules! bugchecks {
    ($( $(#[doc = $doc:literal])+ $name:ident = $value:literal, )*) => {
        pub(crate) const BUGCHECKS: &[(&str, u32, u32)] =
            &[$((stringify!($name), $value, crate::debug::$name)),*];
    };
}
macro_rules! fast_fail_codes {
    ($( $(#[doc = $doc:literal])+ $name:ident = $value:literal, )*) => {
        pub(crate) const FAST_FAILS: &[(&str, u32)] = &[$((stringify!($name), $value)),*];
    };
}
#[path = "../src/bugcheck/table.rs"]
mod bugcheck_table;

#[test]
fn statuses_agree_with_windows_sys() {
    assert!(status_table::STATUSES.len() > 600);
    for &(name, ours, theirs) in status_table::STATUSES {
        assert_eq!(NTSTATUS(ours), NTSTATUS::from_i32(theirs), "{name}");
        assert_eq!(NTSTATUS(ours).to_i32(), theirs, "{name}");
        assert_eq!(NTSTATUS::from_name(name), Some(NTSTATUS(ours)), "{name}");
    }
    assert_eq!(NTSTATUS::names().count(), status_table::STATUSES.len());
}

#[test]
fn statuses_are_ordered_and_named_once() {
    let table = status_table::STATUSES;
    for pair in table.windows(2) {
        assert!(pair[0].1 <= pair[1].1, "{} stands before {}", pair[0].0, pair[1].0);
    }
    let mut names: Vec<_> = table.iter().map(|entry| entry.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table.len());
    assert_eq!(nt::STATUS_SUCCESS.name(), Some("STATUS_SUCCESS"), "not STATUS_WAIT_0");
    assert_eq!(NTSTATUS(0x80).name(), Some("STATUS_ABANDONED"));
    assert_eq!(NTSTATUS(0xFFFF_FFFF).name(), None);
    assert_eq!(NTSTATUS::from_name("STATUS_NO_SUCH_STATUS"), None);
}

#[test]
fn statuses_of_the_callback_mechanism_have_their_values() {
    for (status, value) in [
        (nt::STATUS_SUCCESS, 0),
        (nt::STATUS_OBJECT_NAME_EXISTS, 0x4000_0000),
        (nt::STATUS_UNSUCCESSFUL, 0xC000_0001),
        (nt::STATUS_INVALID_HANDLE, 0xC000_0008),
        (nt::STATUS_INVALID_PARAMETER, 0xC000_000D),
        (nt::STATUS_NO_MEMORY, 0xC000_0017),
        (nt::STATUS_ALREADY_COMMITTED, 0xC000_0021),
        (nt::STATUS_ACCESS_DENIED, 0xC000_0022),
        (nt::STATUS_OBJECT_TYPE_MISMATCH, 0xC000_0024),
        (nt::STATUS_OBJECT_NAME_INVALID, 0xC000_0033),
        (nt::STATUS_OBJECT_NAME_NOT_FOUND, 0xC000_0034),
        (nt::STATUS_OBJECT_NAME_COLLISION, 0xC000_0035),
        (nt::STATUS_OBJECT_PATH_NOT_FOUND, 0xC000_003A),
        (nt::STATUS_OBJECT_PATH_SYNTAX_BAD, 0xC000_003B),
        (nt::STATUS_PRIVILEGE_NOT_HELD, 0xC000_0061),
        (nt::STATUS_INVALID_SECURITY_DESCR, 0xC000_0079),
        (nt::STATUS_INSUFFICIENT_RESOURCES, 0xC000_009A),
        (nt::STATUS_BAD_IMPERSONATION_LEVEL, 0xC000_00A5),
        (nt::STATUS_INVALID_PARAMETER_1, 0xC000_00EF),
        (nt::STATUS_INVALID_PARAMETER_2, 0xC000_00F0),
        (nt::STATUS_INVALID_PARAMETER_5, 0xC000_00F3),
        (nt::STATUS_REPARSE_POINT_ENCOUNTERED, 0xC000_050B),
    ] {
        assert_eq!(status.0, value);
    }
}

#[test]
fn statuses_tell_success_from_failure() {
    assert!(nt::STATUS_SUCCESS.is_success());
    assert!(nt::STATUS_OBJECT_NAME_EXISTS.is_success(), "informational is success");
    assert!(!nt::STATUS_BUFFER_OVERFLOW.is_success() && !nt::STATUS_BUFFER_OVERFLOW.is_error());
    assert!(nt::STATUS_ACCESS_DENIED.is_error());
    let severities = [
        nt::STATUS_PENDING,
        nt::STATUS_OBJECT_NAME_EXISTS,
        nt::STATUS_BUFFER_OVERFLOW,
        nt::STATUS_UNSUCCESSFUL,
    ]
    .map(NTSTATUS::severity);
    assert_eq!(severities, [Severity::Success, Severity::Informational, Severity::Warning, Severity::Error]);
    assert_eq!(nt::STATUS_FLT_DO_NOT_ATTACH.facility(), 0x1C);
}

#[test]
fn bugchecks_agree_with_windows_sys() {
    for &(name, ours, theirs) in bugcheck_table::BUGCHECKS {
        assert_eq!(ours, theirs, "{name}");
        assert_eq!(BugCheck(ours).name(), Some(name));
        assert!(BugCheck(ours).meaning().is_some_and(|meaning| meaning.ends_with('.')), "{name}");
    }
    assert!(BugCheck::ALL.is_sorted_by(|a, b| a < b));
    for code in [
        0x0A, 0x18, 0x19, 0x1E, 0x3B, 0x50, 0x7E, 0x7F, 0x8E, 0xC1, 0xC2, 0xC4, 0xC5, 0xC9, 0xCE, 0xD1, 0xD5,
        0xD6, 0xDA, 0xE2, 0xF7, 0x109, 0x133, 0x139, 0x189,
    ] {
        assert!(BugCheck::ALL.contains(&BugCheck(code)), "{code:#x} is missing");
    }
}

#[test]
fn fast_fail_codes_agree_with_windows_sys() {
    use windows_sys::Win32::System::SystemServices as services;
    for &(name, value) in bugcheck_table::FAST_FAILS {
        assert_eq!(FastFail(value).name().and_then(|full| full.strip_prefix("FAST_FAIL_")), Some(name));
        assert!(FastFail::ALL.contains(&FastFail(value)));
    }
    assert!(FastFail::ALL.is_sorted_by(|a, b| a < b));
    assert_eq!(FastFail::STACK_COOKIE_CHECK_FAILURE.0, services::FAST_FAIL_STACK_COOKIE_CHECK_FAILURE);
    assert_eq!(FastFail::CORRUPT_LIST_ENTRY.0, services::FAST_FAIL_CORRUPT_LIST_ENTRY);
    assert_eq!(FastFail::APCS_DISABLED.0, services::FAST_FAIL_APCS_DISABLED);
    assert_eq!(FastFail::INVALID_REFERENCE_COUNT.0, services::FAST_FAIL_INVALID_REFERENCE_COUNT);
    assert_eq!(FastFail::GUARD_ICALL_CHECK_FAILURE.0, services::FAST_FAIL_GUARD_ICALL_CHECK_FAILURE);
}

#[test]
fn levels_print_their_names() {
    assert_eq!(Irql::PASSIVE.to_string(), "PASSIVE_LEVEL");
    assert_eq!(Irql::DISPATCH.to_string(), "DISPATCH_LEVEL");
    assert_eq!(Irql(7).to_string(), "DIRQL 7");
    assert_eq!(Irql(16).to_string(), "invalid IRQL 16");
    assert!(Irql::APC < Irql::DISPATCH);
    assert!(Irql::HIGH.is_valid() && !Irql(16).is_valid());
}

#[test]
fn control_codes_and_events_have_their_values() {
    assert_eq!(nt::CTL_CODE(0x22, 0x801, nt::METHOD_NEITHER, nt::FILE_ANY_ACCESS), 0x22_2007);
    assert_eq!(nt::major_function_name(nt::IRP_MJ_DEVICE_CONTROL), Some("IRP_MJ_DEVICE_CONTROL"));
    assert_eq!(nt::major_function_name(0x1C), None);
    assert_eq!(nt::po_cb_name(nt::PO_CB_SYSTEM_STATE_LOCK), Some("PO_CB_SYSTEM_STATE_LOCK"));
    assert_eq!(nt::CALLBACK_SIGNATURE, 0x6C6C_6143);
    assert_eq!(nt::tag::CALLBACK_REGISTRATION, 0x6552_4243);
    assert_eq!(nt::tag::OBJECT_NAME, 0x6D4E_624F);
    assert_eq!(nt::tag::OBJECT_DIRECTORY_ENTRY, 0x6944_624F);
    assert_eq!(nt::tag::ENUMERATION, 0x6E45_7845);
}
