//! Which Windows this is. All answers come from the version profile.

use nt::{
    NTSTATUS, RTL_OSVERSIONINFOEXW, RTL_OSVERSIONINFOW_SIZE, STATUS_INVALID_PARAMETER,
    STATUS_REVISION_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
};

use super::counted::Counted;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `VER_NT_WORKSTATION`
const WORKSTATION: u8 = 1;
/// `VER_SUITE_SINGLEUSERTS`
const SUITE: u16 = 0x0100;

/// Fills in the version, the long form where the caller's size says so.
pub(crate) fn RtlGetVersion(k: &Kernel, information: Guest<u32>) -> NTSTATUS {
    let profile = k.executive().profile();
    let size = information.read() as usize;
    // The prototype promises the short form only, so the long one is checked when it is asked for.
    let long = size == size_of::<RTL_OSVERSIONINFOEXW>();
    let bytes = if long { size } else { RTL_OSVERSIONINFOW_SIZE };
    let words = GuestSlice::<u32>::new(k, information.address(), bytes / 4);
    for (index, value) in [profile.major, profile.minor, profile.build, 2].into_iter().enumerate() {
        words.at(index + 1).write(value);
    }
    let text = GuestSlice::<u16>::new(k, information.address() + 0x14, 128);
    let service_pack: Vec<u16> = profile.service_pack.encode_utf16().chain([0]).collect();
    text.fill_from(&service_pack);
    if long {
        let whole = Guest::<RTL_OSVERSIONINFOEXW>::new(k, information.address());
        field!(whole, RTL_OSVERSIONINFOEXW, wServicePackMajor).write(profile.service_pack_major);
        field!(whole, RTL_OSVERSIONINFOEXW, wServicePackMinor).write(0);
        field!(whole, RTL_OSVERSIONINFOEXW, wSuiteMask).write(SUITE);
        field!(whole, RTL_OSVERSIONINFOEXW, wProductType).write(WORKSTATION);
        field!(whole, RTL_OSVERSIONINFOEXW, wReserved).write(0);
    }
    STATUS_SUCCESS
}

/// Condition codes of `VerSetConditionMask`, three bits per field.
const EQUAL: u64 = 1;
const GREATER: u64 = 2;
const GREATER_EQUAL: u64 = 3;
const LESS: u64 = 4;
const LESS_EQUAL: u64 = 5;
const AND: u64 = 6;
const OR: u64 = 7;

/// `VER_*` type bits in the order of their positions.
const MINOR: u32 = 0x01;
const MAJOR: u32 = 0x02;
const BUILD: u32 = 0x04;
const PLATFORM: u32 = 0x08;
const SERVICE_MINOR: u32 = 0x10;
const SERVICE_MAJOR: u32 = 0x20;
const SUITES: u32 = 0x40;
const PRODUCT: u32 = 0x80;

/// Adds the condition for the highest type bit to a mask.
pub(crate) fn VerSetConditionMask(_: &Kernel, mask: u64, types: u32, condition: u8) -> u64 {
    let condition = u64::from(condition & 7);
    let Some(position) = (types & 0xFF).checked_ilog2() else { return mask };
    mask | condition << (position * 3)
}

fn holds(condition: u64, actual: u64, wanted: u64) -> bool {
    match condition {
        EQUAL => actual == wanted,
        GREATER => actual > wanted,
        GREATER_EQUAL => actual >= wanted,
        LESS => actual < wanted,
        LESS_EQUAL => actual <= wanted,
        _ => false,
    }
}

/// Compares the system's version with the caller's wishes.
pub(crate) fn RtlVerifyVersionInfo(
    k: &Kernel,
    wanted: Guest<RTL_OSVERSIONINFOEXW>,
    types: u32,
    conditions: u64,
) -> NTSTATUS {
    let profile = k.executive().profile();
    let wanted = wanted.read();
    if types == 0 || conditions == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let condition = |bit: u32| conditions >> (bit.ilog2() * 3) & 7;
    if types & SUITES != 0 {
        let (has, wants) = (u64::from(SUITE), u64::from(wanted.wSuiteMask));
        let fits = match condition(SUITES) {
            AND => has & wants == wants,
            OR => has & wants != 0 || wants == 0,
            _ => return STATUS_INVALID_PARAMETER,
        };
        if !fits {
            return STATUS_REVISION_MISMATCH;
        }
    }
    let single = [
        (PRODUCT, u64::from(WORKSTATION), u64::from(wanted.wProductType)),
        (PLATFORM, 2, u64::from(wanted.dwPlatformId)),
        (BUILD, u64::from(profile.build), u64::from(wanted.dwBuildNumber)),
    ];
    for (bit, actual, wanted) in single {
        if types & bit != 0 && !holds(condition(bit), actual, wanted) {
            return STATUS_REVISION_MISMATCH;
        }
    }
    // Major, minor and service pack are one number: a lower part counts only where the higher ones are equal.
    let parts = [
        (MAJOR, profile.major, wanted.dwMajorVersion),
        (MINOR, profile.minor, wanted.dwMinorVersion),
        (SERVICE_MAJOR, u32::from(profile.service_pack_major), u32::from(wanted.wServicePackMajor)),
        (SERVICE_MINOR, 0, u32::from(wanted.wServicePackMinor)),
    ];
    let asked: Vec<_> = parts.into_iter().filter(|(bit, ..)| types & bit != 0).collect();
    for (index, (bit, actual, wanted)) in asked.iter().enumerate() {
        let last = index + 1 == asked.len();
        if actual == wanted && !last {
            continue;
        }
        let fits = holds(condition(*bit), u64::from(*actual), u64::from(*wanted));
        return if fits { STATUS_SUCCESS } else { STATUS_REVISION_MISMATCH };
    }
    STATUS_SUCCESS
}

/// Tells whether the version is at least `version`, a `NTDDI_*` number such as `0x0A000000`.
pub(crate) fn RtlIsNtDdiVersionAvailable(k: &Kernel, version: u32) -> u8 {
    let profile = k.executive().profile();
    // The low 16 bits hold service pack and sub-version; a caller must leave them zero.
    let own = profile.major << 24 | profile.minor << 16;
    u8::from(version & 0xFFFF == 0 && own >= version)
}

/// Tells whether the driver model is at least `major.minor`. The last version ever was 6.0 of Windows Vista.
pub(crate) fn IoIsWdmVersionAvailable(_: &Kernel, major: u8, minor: u8) -> u8 {
    u8::from((major, minor) <= (6, 0))
}

/// The older way to ask. Returns TRUE for a checked build: never.
pub(crate) fn PsGetVersion(
    k: &Kernel,
    major: Option<Guest<u32>>,
    minor: Option<Guest<u32>>,
    build: Option<Guest<u32>>,
    service_pack: Option<Guest<UNICODE_STRING>>,
) -> u8 {
    let profile = k.executive().profile();
    for (target, value) in [(major, profile.major), (minor, profile.minor), (build, profile.build)] {
        if let Some(target) = target {
            target.write(value);
        }
    }
    if let Some(service_pack) = service_pack {
        // NT points the caller at its own `CmCSDVersionString`, which is empty unless a service pack is installed. That text
        // lives in the kernel image and is not modeled, so the string has no buffer.
        Counted::wide(service_pack).set(0, 0, 0);
        if !profile.service_pack.is_empty() {
            k.partial("PsGetVersion", "the name of the service pack is left empty");
        }
    }
    0
}

/// Finds the headers of an image in memory.
pub(crate) fn RtlImageNtHeader(k: &Kernel, base: crate::export::Address) -> crate::export::Address {
    use crate::export::Address;
    if base == Address::NULL || Guest::<u16>::new(k, base.0).read() != u16::from_le_bytes(*b"MZ") {
        return Address::NULL;
    }
    let headers = base.0 + u64::from(Guest::<u32>::new(k, base.0 + 0x3C).read());
    if Guest::<u32>::new(k, headers).read() == u32::from_le_bytes(*b"PE\0\0") {
        Address(headers)
    } else {
        Address::NULL
    }
}
