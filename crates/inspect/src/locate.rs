//! Where the kernel image lies, when nothing names it.
//!
//! Three ways, cheapest first: back from an address known to be inside it (the entry of the low stub, an interrupt
//! handler), and through all pages of the part of the address space that boot-loaded images live in.

use core::cell::Cell;

use crate::fields::{u16_at, u64_at};
use crate::limits::limit;
use crate::memory::{KernelRange, Level, Memory as _, MemoryExt as _, Missing, PAGE_SIZE, Why};
use crate::pe::{Pe, PeFault};
use crate::translate::{AddressSpace, Paging};

/// How far back from an address inside it the kernel's header is looked for.
const MAX_BACK: u64 = limit(64 << 20, 1 << 20);
/// The most mappings and pages looked at for `MZ`, over all page-table roots that are tried: 16 GiB of small pages.
pub(crate) const MAX_LOOKS: u64 = limit(1 << 22, 1 << 9);
/// The most images kept.
const MAX_IMAGES: usize = 4096;
/// Where boot-loaded images live on Windows x64: the top table's entries 0x1F0 and 0x1F1.
const BOOT_IMAGES: KernelRange = KernelRange { first: 0xFFFF_F800_0000_0000, last: 0xFFFF_F8FF_FFFF_FFFF };

/// Returns the image at an address if it is the kernel: by the name it exports, or by its symbols' name.
pub(crate) fn kernel_at(space: &AddressSpace<'_>, base: u64) -> Option<Pe> {
    let pe = Pe::read(space, base).ok()?;
    let exported = pe.export_name(space).ok().flatten();
    if exported.is_some_and(|name| name.eq_ignore_ascii_case("ntoskrnl.exe")) {
        return Some(pe);
    }
    let pdb = pe.pdb(space).ok().flatten()?.name.to_ascii_lowercase();
    (pdb.starts_with("ntkr") || pdb.starts_with("ntoskrnl")).then_some(pe)
}

/// Looks for the kernel's header from an address inside its image downwards.
pub(crate) fn back_from(space: &AddressSpace<'_>, inside: u64) -> Option<Pe> {
    if !space.paging().is_canonical(inside) {
        return None;
    }
    let mut base = inside & !(PAGE_SIZE - 1);
    let lowest = base.saturating_sub(MAX_BACK);
    while base > lowest {
        match space.u16(base) {
            Ok(0x5A4D) => {
                if let Some(pe) = kernel_at(space, base).filter(|pe| pe.contains(inside)) {
                    return Some(pe);
                }
            }
            // Nothing is mapped in this whole piece of address space.
            Err(Missing { why: Why::NotPresent { level: Level::Pde }, .. }) => base &= !0x1F_FFFF,
            Err(Missing { why: Why::NotPresent { level: Level::Ppe | Level::Pxe }, .. }) => return None,
            _ => {}
        }
        base = base.checked_sub(PAGE_SIZE)?;
    }
    None
}

/// Returns the handler of an exception of the processor, from its interrupt descriptor table.
pub(crate) fn handler(space: &AddressSpace<'_>, idt: u64) -> Option<u64> {
    /// Breakpoint: `KiBreakpointTrap` lies in the kernel image on every Windows.
    const BREAKPOINT: u64 = 3;
    let gate: [u8; 16] = space.array(idt.checked_add(BREAKPOINT * 16)?).ok()?;
    let low = u64::from(u16_at(&gate, 0)) | u64::from(u16_at(&gate, 6)) << 16;
    Some(low | (u64_at(&gate, 8) & 0xFFFF_FFFF) << 32)
}

/// Returns the addresses of all pages that begin an image, in order. `budget` is how many more looks are allowed.
pub(crate) fn images(space: &AddressSpace<'_>, budget: &Cell<u64>) -> Vec<u64> {
    let upper_half = [Paging::FourLevels, Paging::FiveLevels].map(Paging::upper_half);
    let range = match space.kernel_range() {
        whole if upper_half.contains(&whole) => BOOT_IMAGES,
        other => other,
    };
    let mut left = budget.get();
    let mut found = Vec::new();
    space.mappings(range.first..=range.last, &mut |address, translation| {
        let first = translation.physical;
        let end = first + translation.page.bytes();
        // Large pages may be mostly holes: only what is present is asked.
        let mut at = first;
        while left > 0 && found.len() < MAX_IMAGES {
            left -= 1;
            let Some(run) = space.physical().next_run(at).filter(|run| run.start < end) else { break };
            at = run.start.next_multiple_of(PAGE_SIZE);
            while at < run.end.min(end) && left > 0 && found.len() < MAX_IMAGES {
                left -= 1;
                let mut mark = [0; 2];
                if space.physical().read(at, &mut mark).is_ok() && &mark == b"MZ" {
                    found.push(address + (at - first));
                }
                at += PAGE_SIZE;
            }
            if at >= end {
                break;
            }
        }
    });
    budget.set(left);
    found.retain(|&base| !matches!(Pe::read(space, base), Err(PeFault::Not(_))));
    found
}

/// Looks for the head of the module list in the kernel's data: the list whose first entry is the kernel itself.
pub(crate) fn module_list(space: &AddressSpace<'_>, kernel: &Pe) -> Option<u64> {
    /// Bytes of data looked at.
    const MAX_DATA: u64 = limit(16 << 20, 1 << 14);
    /// The most pairs of pointers followed: data may be made of nothing else.
    const MAX_PROBES: u64 = limit(1 << 17, 1 << 7);
    let mut probes = MAX_PROBES;
    let mut left = MAX_DATA;
    for section in kernel.sections.iter().filter(|section| section.is_writable() && !section.is_executable())
    {
        let start = kernel.base.wrapping_add(u64::from(section.rva)) & !(PAGE_SIZE - 1);
        let mut offset = 0;
        while offset < u64::from(section.size) && left > 0 {
            let at = start.wrapping_add(offset);
            let mut page = [0; PAGE_SIZE as usize];
            let there = match space.read(at, &mut page) {
                Ok(()) => page.len(),
                Err(partial) => partial.read,
            };
            for index in (0..there.saturating_sub(15)).step_by(8) {
                let (first, last) = (u64_at(&page, index), u64_at(&page, index + 8));
                let head = at.wrapping_add(index as u64);
                let plausible = |node: u64| {
                    space.kernel_range().contains(node) && node.is_multiple_of(8) && !kernel.contains(node)
                };
                if probes == 0 || !plausible(first) || !plausible(last) {
                    continue;
                }
                probes -= 1;
                if space.u64(first.wrapping_add(0x30)) == Ok(kernel.base)
                    && space.u64(first.wrapping_add(8)) == Ok(head)
                {
                    return Some(head);
                }
            }
            offset += PAGE_SIZE;
            left = left.saturating_sub(PAGE_SIZE);
        }
    }
    None
}

/// Looks for the text that names the build in the kernel's data, such as `19041.1.amd64fre.vb_release.191206-1406`.
pub(crate) fn build_lab(space: &AddressSpace<'_>, kernel: &Pe) -> Option<String> {
    const MARK: &[u8] = b".amd64fre.";
    const MAX_DATA: u64 = limit(32 << 20, 1 << 15);
    let mut left = MAX_DATA;
    for section in kernel.sections.iter().filter(|section| !section.is_executable()) {
        let start = kernel.base.wrapping_add(u64::from(section.rva)) & !(PAGE_SIZE - 1);
        // The end of a page is carried over, so that a text across two pages is whole.
        let mut window: Vec<u8> = Vec::new();
        let mut offset = 0;
        while offset < u64::from(section.size) && left > 0 {
            let (page, _) = space.bytes(start.wrapping_add(offset), PAGE_SIZE as usize);
            window.drain(..window.len().saturating_sub(128));
            window.extend_from_slice(&page);
            let mut marks = window.windows(MARK.len()).enumerate().filter(|(_, text)| *text == MARK);
            if let Some(lab) = marks.find_map(|(at, _)| lab_around(&window, at)) {
                return Some(lab);
            }
            if page.len() < PAGE_SIZE as usize {
                window.clear();
            }
            offset += PAGE_SIZE;
            left = left.saturating_sub(PAGE_SIZE);
        }
    }
    None
}

/// Returns the text around the mark, if it begins with a build number.
fn lab_around(bytes: &[u8], at: usize) -> Option<String> {
    let is_text = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-()".contains(byte);
    let before = bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let after = bytes[at..].iter().take(100).take_while(|byte| is_text(byte)).count();
    let lab: String = bytes[at - before..at + after].iter().map(|&byte| char::from(byte)).collect();
    build_number(&lab).map(|_| lab)
}

/// Returns the build number that a build lab begins with.
pub(crate) fn build_number(lab: &str) -> Option<u32> {
    let number: u32 = lab.split('.').next()?.parse().ok()?;
    (2600..200_000).contains(&number).then_some(number)
}
