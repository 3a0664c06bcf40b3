//! Guest memory: reserved as a whole when the kernel process starts, made accessible piece by piece.

use std::ptr::NonNull;

use super::sys::{self, Access};
use crate::plan::{self, PAGE, REGIONS};
use crate::wire::Accessible;

/// Reserves every region of the plan.
///
/// # Errors
///
/// Says in a sentence which range is taken.
pub(crate) fn reserve() -> Result<(), String> {
    for region in REGIONS {
        sys::reserve(region.base, region.size).map_err(|error| {
            format!(
                "cannot reserve {:#x}..{:#x} for {}: {error}\nhint: something else lies there, or a limit on \
                 address space is set (`ulimit -v`)",
                region.base,
                region.end(),
                region.name
            )
        })?;
    }
    Ok(())
}

/// Changes what the pages that hold `[address, address + bytes)` allow.
///
/// # Safety
///
/// The range is guest memory, and no Rust reference into it contradicts the change.
pub(crate) unsafe fn set_access(address: u64, bytes: u64, access: Access) -> bool {
    let base = address & !(PAGE - 1);
    let size = (address + bytes).next_multiple_of(PAGE) - base;
    // SAFETY: passed on: the regions are reserved by this module, and references are the caller's care.
    unsafe { sys::protect(base, size, access) }.is_ok()
}

/// Makes `[address, address + bytes)` readable and writable.
pub(crate) fn commit(address: u64, bytes: u64) -> Option<NonNull<u8>> {
    debug_assert!(plan::is_guest(address, bytes));
    // SAFETY: guest memory, and more access contradicts no reference.
    unsafe { set_access(address, bytes, Access::ReadWrite) }.then_some(())?;
    NonNull::new(std::ptr::with_exposed_provenance_mut(address as usize))
}

/// Takes all access from `[address, address + bytes)` and gives the pages back to the host.
///
/// # Safety
///
/// The range is guest memory that no Rust reference leads to.
pub(crate) unsafe fn withdraw(address: u64, bytes: u64) {
    // SAFETY: the caller's promise.
    unsafe { set_access(address, bytes, Access::None) };
    let base = address & !(PAGE - 1);
    let size = (address + bytes).next_multiple_of(PAGE) - base;
    // SAFETY: the caller's promise. A failure costs memory and nothing else.
    let _ = unsafe { sys::discard(base, size) };
}

/// Returns guest memory as a slice.
///
/// # Safety
///
/// The range is readable and writable guest memory, no driver code runs and no other reference into it exists while the
/// slice does.
pub(crate) unsafe fn slice<'a>(address: u64, bytes: usize) -> &'a mut [u8] {
    let start = std::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: the caller's promise; bytes have no invalid values.
    unsafe { std::slice::from_raw_parts_mut(start, bytes) }
}

/// Lists the guest memory that process `id` can read now, by address: what the host's map of it says. The process itself cannot open that.
///
/// # Errors
///
/// The host does not show it.
pub(crate) fn accessible(id: u32) -> std::io::Result<Vec<Accessible>> {
    let map = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    let lines = map.lines().filter_map(accessible_line);
    Ok(lines.filter(|part| plan::is_guest(part.base, part.size)).collect())
}

/// Below this lie guest memory and [`plan::HOST_STACKS`], whose addresses are the same in every run.
const CHOSEN_BY_HOST: u64 = 0x100_0000_0000;

/// Lists the memory of process `id` whose place the host chose, by address: host code and its data.
///
/// # Errors
///
/// The host does not show it.
pub(crate) fn of_host(id: u32) -> std::io::Result<Vec<std::ops::Range<u64>>> {
    let map = std::fs::read_to_string(format!("/proc/{id}/maps"))?;
    let lines = map.lines().filter_map(range);
    Ok(lines.filter(|range| range.start >= CHOSEN_BY_HOST).collect())
}

fn range(line: &str) -> Option<std::ops::Range<u64>> {
    let (first, end) = line.split_once(' ')?.0.split_once('-')?;
    let range = u64::from_str_radix(first, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
    (range.start < range.end).then_some(range)
}

/// Reads a line such as `1080000000-1080010000 rw-p 00000000 00:00 0`.
fn accessible_line(line: &str) -> Option<Accessible> {
    let std::ops::Range { start: base, end } = range(line)?;
    let size = end - base;
    let (_, rest) = line.split_once(' ')?;
    let rights = rest.as_bytes();
    let has = |at: usize, letter: u8| rights.get(at) == Some(&letter);
    has(0, b'r').then_some(Accessible { base, size, write: has(1, b'w'), execute: has(2, b'x') })
}

/// Returns how many of the `bytes` of guest memory at `address` can be read without a gap. Callable from a signal handler.
pub(crate) fn readable(address: u64, bytes: u64) -> u64 {
    if !address.checked_add(bytes).is_some_and(|_| plan::is_guest(address, bytes)) {
        return 0;
    }
    let end = address + bytes;
    let mut page = address & !(PAGE - 1);
    while page < end && sys::is_readable(page) {
        page += PAGE;
    }
    page.min(end).saturating_sub(address)
}

/// Copies guest memory. `None` where a part of it cannot be read.
pub(crate) fn copy(address: u64, bytes: usize) -> Option<Vec<u8>> {
    let end = address.checked_add(bytes as u64)?;
    let pages = (address / PAGE..end.div_ceil(PAGE)).map(|page| page * PAGE);
    let readable =
        bytes > 0 && plan::is_guest(address, bytes as u64) && pages.into_iter().all(sys::is_readable);
    readable.then(|| {
        let start: *const u8 = std::ptr::with_exposed_provenance(address as usize);
        let byte = |offset| {
            // SAFETY: the host says that each page can be read, and pages go away only on this thread or with the giant lock. Driver
            // code of another processor may write meanwhile, so there is no reference.
            unsafe { start.wrapping_add(offset).read_volatile() }
        };
        (0..bytes).map(byte).collect()
    })
}
