//! `Mm` through the table.

use nt::{BugCheck, MDL};

use crate::testing::{Rig, Wide, at, zeroed};

#[test]
fn routines_by_name() {
    let rig = Rig::new();
    let mut name = Wide::new("DbgPrint");
    assert_ne!(rig.call("MmGetSystemRoutineAddress", &[name.at()]), 0);
    let mut missing = Wide::new("NoSuchRoutine");
    assert_eq!(rig.call("MmGetSystemRoutineAddress", &[missing.at()]), 0);
}

#[test]
fn validity() {
    let rig = Rig::new();
    let mut word = 0u64;
    assert_eq!(rig.call("MmIsAddressValid", &[at(&mut word)]), 1);
    assert_eq!(rig.call("MmIsAddressValid", &[0]), 0);
}

#[test]
fn probing() {
    for name in ["ProbeForRead", "ProbeForWrite"] {
        let rig = Rig::new();
        rig.call(name, &[0, 0, 1]);
        if name == "ProbeForRead" {
            rig.call(name, &[0x7000_0000, 16, 8]);
        }
        let kernel = rig.bugcheck(name, &[0x10_0000_0000, 16, 1]);
        assert_eq!(kernel.code, BugCheck::KMODE_EXCEPTION_NOT_HANDLED);
        assert_eq!(kernel.parameters[0], u64::from(nt::STATUS_ACCESS_VIOLATION.0));
        let misaligned = Rig::new().bugcheck(name, &[0x7000_0001, 16, 8]);
        assert_eq!(misaligned.parameters[0], u64::from(nt::STATUS_DATATYPE_MISALIGNMENT.0));
        let wrapping = Rig::new().bugcheck(name, &[0x7000_0000, u64::MAX, 1]);
        assert_eq!(wrapping.parameters[0], u64::from(nt::STATUS_ACCESS_VIOLATION.0));
    }
}

#[test]
fn sections_are_locked_by_their_handles() {
    let rig = Rig::new();
    assert_eq!(rig.call("MmLockPagableDataSection", &[0x14_2000]), 0x14_2000);
    rig.call("MmLockPagableSectionByHandle", &[0x14_2000]);
    rig.call("MmUnlockPagableImageSection", &[0x14_2000]);
    assert_eq!(rig.call("MmPageEntireDriver", &[0x14_2000]), 0x14_0000);
    rig.call("MmResetDriverPaging", &[0x14_2000]);
    assert_eq!(rig.call("MmQuerySystemSize", &[]), 2);
    assert_eq!(rig.call("MmIsThisAnNtAsSystem", &[]), 0);
    let mut flags = 9u32;
    assert_eq!(rig.call("MmIsVerifierEnabled", &[at(&mut flags)]), u64::from(nt::STATUS_NOT_SUPPORTED.0));
    assert_eq!(flags, 0);
}

#[test]
fn descriptor_lists() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let mut buffer = vec![0u8; 0x3000];
    let b = at(buffer.as_mut_slice());
    let list = rig.call("IoAllocateMdl", &[b + 5, 0x1800, 0, 0, 0]);
    assert_ne!(list, 0);
    let read = || {
        // SAFETY: a live list of the test.
        unsafe { core::ptr::with_exposed_provenance::<MDL>(list as usize).read() }
    };
    let start = |list: MDL| list.StartVa as u64 + u64::from(list.ByteOffset);
    assert_eq!((start(read()), read().ByteCount), (b + 5, 0x1800));
    assert_eq!(u64::from(read().Size), rig.call("MmSizeOfMdl", &[b + 5, 0x1800]));
    rig.call("MmBuildMdlForNonPagedPool", &[list]);
    assert_eq!((read().MdlFlags & 4, read().MappedSystemVa as u64), (4, b + 5));
    let mut partial = [zeroed::<MDL>(), zeroed::<MDL>()];
    partial[0].Size = 0x38;
    rig.call("IoBuildPartialMdl", &[list, at(&mut partial), b + 0x105, 0]);
    assert_eq!(
        (start(partial[0]), partial[0].ByteCount, partial[0].MdlFlags & 0x10),
        (b + 0x105, 0x1700, 0x10)
    );
    rig.call("IoFreeMdl", &[list]);

    let list = rig.call("IoAllocateMdl", &[b, 0x1000, 0, 0, 0]);
    rig.call("MmProbeAndLockPages", &[list, 0, 0]);
    assert_eq!(rig.call("MmMapLockedPagesSpecifyCache", &[list, 0, 1, 0, 0, 0]), b);
    rig.call("MmUnmapLockedPages", &[b, list]);
    assert_eq!(rig.call("MmMapLockedPages", &[list, 0]), b);
    rig.call("MmUnlockPages", &[list]);
    rig.call("IoFreeMdl", &[list]);
    assert_eq!(rig.driver_blocks(), before);

    let list = rig.call("IoAllocateMdl", &[0x100, 16, 0, 0, 0]);
    let check = rig.bugcheck("MmProbeAndLockPages", &[list, 0, 0]);
    assert_eq!(check.parameters[0], u64::from(nt::STATUS_ACCESS_VIOLATION.0));
}

#[test]
fn contiguous_memory() {
    let rig = Rig::new();
    let before = rig.driver_blocks();
    let everything = i64::MAX as u64;
    let block = rig.call("MmAllocateContiguousMemory", &[100, everything]);
    assert!(block != 0 && block.is_multiple_of(0x1000));
    assert_eq!(rig.call("MmGetPhysicalAddress", &[block + 5]), block + 5);
    assert_eq!(rig.call("MmGetPhysicalAddress", &[0]), 0);
    rig.call("MmFreeContiguousMemory", &[block]);
    let block = rig.call("MmAllocateContiguousMemorySpecifyCache", &[100, 0, everything, 0, 1]);
    rig.call("MmFreeContiguousMemorySpecifyCache", &[block, 100, 1]);
    let block = rig.call("MmAllocateNonCachedMemory", &[100]);
    rig.call("MmFreeNonCachedMemory", &[block, 100]);
    assert_eq!(rig.call("MmAllocateContiguousMemory", &[100, 0xFF_FFFF]), 0, "none is that low");
    assert_eq!(rig.driver_blocks(), before);
}
