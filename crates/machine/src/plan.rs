//! The address plan: where everything a driver can see lies.
//!
//! On Windows x64 the kernel owns the upper half of the canonical address space and most of its addresses are random.
//! A Linux process owns only the lower half, so the machine splits that: 64 KiB to 4 GiB is the *user half*, which
//! stays empty, and the kernel is a fixed range above 64 GiB. `MmUserProbeAddress` and `MmSystemRangeStart` say so.
//! Fixed addresses make every `%p` a driver prints the same in every run.
//!
//! Every region is reserved without access when the kernel process starts and committed piece by piece. Nothing of the
//! host lies between [`KERNEL`]'s ends, and nothing a driver is entitled to touch lies outside of them.

use core::ops::Range;

/// A named, fixed range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// What it is for, in a few lowercase words.
    pub name: &'static str,
    /// First address.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
}

impl Region {
    /// Returns the first address after the region.
    pub const fn end(&self) -> u64 {
        self.base + self.size
    }

    /// Returns the lower half, page-aligned.
    pub const fn lower_half(&self) -> Self {
        Self { size: self.size / 2 / PAGE * PAGE, ..*self }
    }

    /// Returns what is not the lower half.
    pub const fn upper_half(&self) -> Self {
        let lower = self.lower_half();
        Self { base: lower.end(), size: self.size - lower.size, ..*self }
    }

    /// Returns whether `address` lies in the region.
    pub const fn contains(&self, address: u64) -> bool {
        address >= self.base && address < self.end()
    }
}

/// Bytes of a page.
pub const PAGE: u64 = 0x1000;

/// The user half. Nothing is mapped in it; an access is a fault, as in a system process on Windows.
pub const USER: Range<u64> = 0x1_0000..0x1_0000_0000;

/// `MmSystemRangeStart`.
pub const SYSTEM_RANGE_START: u64 = KERNEL.start;

/// `MmHighestUserAddress`: 64 KiB short of the end of the user half, as on Windows.
pub const HIGHEST_USER_ADDRESS: u64 = USER.end - 0x1_0001;

/// `MmUserProbeAddress`.
pub const USER_PROBE_ADDRESS: u64 = USER.end - 0x1_0000;

/// One processor's `KPCR` and what the machine keeps behind it.
pub const PROCESSORS: Region =
    Region { name: "processor control regions", base: 0x10_0000_0000, size: 0x0100_0000 };

/// Distance between two processors' `KPCR`s.
pub const PROCESSOR_STRIDE: u64 = 0x1_0000;

/// The page that reads of `KUSER_SHARED_DATA` are answered from.
pub const SHARED_DATA: Region = Region { name: "shared user data", base: 0x10_0100_0000, size: 0x1_0000 };

/// Address of `KUSER_SHARED_DATA` in every Windows kernel; unmappable on Linux, so accesses to it are emulated.
pub const KUSER_SHARED_DATA: u64 = 0xFFFF_F780_0000_0000;

/// One never accessible slot per import that is not there: who touches it is told what it was.
pub const ABSENT: Region = Region { name: "absent imports", base: 0x10_0200_0000, size: 0x0010_0000 };

/// Bytes of a slot in [`ABSENT`], and of a stub in the kernel image.
pub const SLOT: u64 = 16;

/// The kernel's own image, `ntoskrnl.exe`.
pub const KERNEL_IMAGE: Region = Region { name: "kernel image", base: 0x10_1000_0000, size: 0x0100_0000 };

/// Driver images. A range is never used twice.
pub const IMAGES: Region = Region { name: "driver images", base: 0x10_2000_0000, size: 0x6000_0000 };

/// Inaccessible bytes on each side of a driver image.
pub const IMAGE_GAP: u64 = 0x1_0000;

/// Nonpaged pool that is never executable (`NonPagedPoolNx`).
pub const NONPAGED_POOL: Region = Region { name: "nonpaged pool", base: 0x10_8000_0000, size: 0x2000_0000 };

/// Nonpaged pool that is executable (`NonPagedPool`, which Windows keeps executable for old drivers).
pub const EXECUTABLE_POOL: Region =
    Region { name: "executable nonpaged pool", base: 0x10_A000_0000, size: 0x2000_0000 };

/// Paged pool.
pub const PAGED_POOL: Region = Region { name: "paged pool", base: 0x10_C000_0000, size: 0x4000_0000 };

/// Kernel stacks that driver code runs on.
pub const STACKS: Region = Region { name: "kernel stacks", base: 0x11_0000_0000, size: 0x4000_0000 };

/// Distance between two stacks. The part that is no stack is a guard.
pub const STACK_STRIDE: u64 = 0x1_0000;

/// Bytes of a kernel stack (`KERNEL_STACK_SIZE` of x64 Windows).
pub const STACK_SIZE: u64 = 0x6000;

/// `KTHREAD`s and `EPROCESS`es.
pub const THREADS: Region = Region { name: "threads and processes", base: 0x11_4000_0000, size: 0x0400_0000 };

/// Bytes kept for one `KTHREAD` or `EPROCESS`.
pub const THREAD_STRIDE: u64 = 0x1000;

/// Where the host's own stack for each kernel stack lies: no guest memory, but at fixed addresses too, so that what
/// host code keeps there (a name it passes to itself) has the same address in every run.
pub const HOST_STACKS: u64 = 0x20_0000_0000;

/// Distance between two host stacks.
pub const HOST_STACK_STRIDE: u64 = 0x20_0000;

/// All regions, by address.
pub const REGIONS: [Region; 10] = [
    PROCESSORS,
    SHARED_DATA,
    ABSENT,
    KERNEL_IMAGE,
    IMAGES,
    NONPAGED_POOL,
    EXECUTABLE_POOL,
    PAGED_POOL,
    STACKS,
    THREADS,
];

/// The kernel range.
pub const KERNEL: Range<u64> = PROCESSORS.base..THREADS.end();

/// Returns whether code at `address` is the driver's to answer for: its image, code it wrote into pool, or the
/// kernel's stubs, which run on its stack.
pub fn is_driver_code(address: u64) -> bool {
    IMAGES.contains(address) || EXECUTABLE_POOL.contains(address) || KERNEL_IMAGE.contains(address)
}

/// Returns whether the `bytes` from `address` up lie in guest memory: the user half, or one region of the kernel range.
pub fn is_guest(address: u64, bytes: u64) -> bool {
    let Some(end) = address.checked_add(bytes) else { return false };
    (address >= USER.start && end <= USER.end) || region(address).is_some_and(|region| end <= region.end())
}

/// Returns the region that `address` lies in.
pub fn region(address: u64) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_sorted_page_aligned_and_do_not_overlap() {
        for pair in REGIONS.windows(2) {
            assert!(pair[0].end() <= pair[1].base, "{} runs into {}", pair[0].name, pair[1].name);
        }
        for region in REGIONS {
            assert_eq!(region.base % PAGE, 0, "{}", region.name);
            assert_eq!(region.size % PAGE, 0, "{}", region.name);
            assert!(KERNEL.contains(&region.base) && region.end() <= KERNEL.end, "{}", region.name);
        }
        const { assert!(USER.end <= KERNEL.start && KERNEL.end <= HOST_STACKS) };
    }

    #[test]
    fn an_address_is_found_in_its_region_and_in_no_other() {
        assert_eq!(region(IMAGES.base), Some(&IMAGES));
        assert_eq!(region(IMAGES.end() - 1), Some(&IMAGES));
        assert_eq!(region(NONPAGED_POOL.base), Some(&NONPAGED_POOL));
        assert_eq!(region(0), None);
        assert_eq!(region(KERNEL.end), None);
    }
}
