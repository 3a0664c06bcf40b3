use core::ffi::c_void;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::ToString;
use std::vec::Vec;

use nt::{
    BugCheck, Irql, NonPagedPool, NonPagedPoolNx, PAGE_SIZE, POOL_HEADER, PagedPool, Profile, pool_tag,
};

use crate::solo::{Outcome, Solo};
use crate::{Bugcheck, Executive, PoolKind};

const TAG: u32 = pool_tag(b"Test");

fn boot() -> Executive<Solo> {
    boot_as(Profile::DEFAULT)
}

fn boot_as(profile: &'static Profile) -> Executive<Solo> {
    let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
    Executive::phase0(solo, profile).expect("the executive comes up")
}

/// Runs what must end the world and returns how.
fn bugcheck(f: impl FnOnce()) -> Bugcheck {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("the world must end");
    match *payload.downcast::<Outcome>().expect("an outcome") {
        Outcome::Bugcheck(check) => check,
        Outcome::Deadlock(deadlock) => panic!("deadlock: {}", deadlock.reason),
    }
}

fn header_of(block: *mut c_void) -> POOL_HEADER {
    // SAFETY: a pool block has its header right before it.
    unsafe { block.cast::<POOL_HEADER>().wrapping_sub(1).read() }
}

#[test]
fn a_block_carries_its_header() {
    let executive = boot();
    let block = executive.ExAllocatePoolWithTag(NonPagedPoolNx, 0x30, TAG);
    assert_eq!(block.addr() % 16, 0);
    let header = header_of(block);
    assert_eq!(header.PoolTag, TAG);
    assert_eq!(header.BlockSize, 4, "0x30 and the header, in units of 16");
    assert_eq!(header.PoolType, 2);
    let known = executive.pool_block(block.addr()).expect("a live block");
    assert_eq!((known.bytes, known.tag, known.pool), (0x30, TAG, PoolKind::NonPagedNx));
    // SAFETY: allocated above.
    unsafe { executive.ExFreePoolWithTag(block, TAG) };
    assert_eq!(executive.pool_block(block.addr()), None);
}

#[test]
fn the_pool_follows_the_version() {
    for (profile, expected) in [(Profile::NT6, PoolKind::NonPaged), (Profile::DEFAULT, PoolKind::NonPagedNx)]
    {
        let executive = boot_as(profile);
        let block = executive.ExAllocatePoolWithTag(NonPagedPoolNx, 8, TAG);
        assert_eq!(executive.pool_block(block.addr()).expect("live").pool, expected, "{}", profile.name);
    }
}

#[test]
fn a_page_starts_on_a_page() {
    let executive = boot();
    let block = executive.ExAllocatePoolWithTag(PagedPool, PAGE_SIZE, TAG);
    assert_eq!(block.addr() % PAGE_SIZE, 0);
    // SAFETY: allocated above.
    unsafe { executive.ExFreePoolWithTag(block, TAG) };
}

#[test]
fn an_aligned_block_is_given_back_whole() {
    /// `POOL_TYPE` bit of the cache-aligned pools.
    const CACHE_ALIGNED: u32 = 4;
    let executive = boot();
    // Some lie at the place that they would have without alignment; the platform tells when less than was taken comes back.
    let sizes = (0..256).flat_map(|index| [8, 8 + 16 * index, PAGE_SIZE + 16 * index]);
    let blocks: Vec<_> = sizes
        .map(|bytes| executive.ExAllocatePoolWithTag(NonPagedPool | CACHE_ALIGNED, bytes, TAG))
        .collect();
    assert!(blocks.iter().all(|block| block.addr() % 64 == 0));
    for block in blocks {
        // SAFETY: allocated above.
        unsafe { executive.ExFreePoolWithTag(block, TAG) };
    }
}

#[test]
fn pool2_zeroes_and_checks_its_flags() {
    let executive = boot();
    let block = executive.ExAllocatePool2(nt::POOL_FLAG_NON_PAGED, 64, TAG);
    // SAFETY: 64 bytes, allocated above.
    let bytes = unsafe { block.cast::<[u8; 64]>().read() };
    assert_eq!(bytes, [0; 64]);
    for flags in [0, nt::POOL_FLAG_PAGED | nt::POOL_FLAG_NON_PAGED, nt::POOL_FLAG_PAGED | 0x8000] {
        assert!(executive.ExAllocatePool2(flags, 64, TAG).is_null(), "flags {flags:#x}");
    }
    assert!(executive.ExAllocatePool2(nt::POOL_FLAG_NON_PAGED, 64, 0).is_null(), "no tag");
    assert!(
        executive.ExAllocatePool2(nt::POOL_FLAG_NON_PAGED, usize::MAX - 8, TAG).is_null(),
        "too long to round"
    );
}

#[test]
fn wrong_frees_are_the_bugchecks_windows_has() {
    let executive = boot();
    let block = executive.ExAllocatePoolWithTag(NonPagedPool, 16, TAG);
    let other = pool_tag(b"Othr");
    // SAFETY: refused.
    let check = bugcheck(|| unsafe { executive.ExFreePoolWithTag(block, other) });
    assert_eq!((check.code, check.parameters[0]), (BugCheck::BAD_POOL_CALLER, 0x0A));

    // SAFETY: allocated above.
    unsafe { executive.ExFreePool(block) };
    // SAFETY: refused.
    let check = bugcheck(|| unsafe { executive.ExFreePool(block) });
    assert_eq!((check.code, check.parameters[0]), (BugCheck::BAD_POOL_CALLER, 0x07));

    let foreign = core::ptr::without_provenance_mut(0x1230);
    // SAFETY: refused.
    let check = bugcheck(|| unsafe { executive.ExFreePool(foreign) });
    assert_eq!((check.code, check.parameters[0]), (BugCheck::BAD_POOL_CALLER, 0x46));
}

#[test]
fn an_overwritten_header_is_noticed() {
    let executive = boot();
    let block = executive.ExAllocatePoolWithTag(NonPagedPool, 16, TAG);
    // SAFETY: the header is there; this is what a driver's underrun does.
    unsafe { block.cast::<u8>().wrapping_sub(14).write(0x77) };
    // SAFETY: refused.
    let check = bugcheck(|| unsafe { executive.ExFreePool(block) });
    assert_eq!((check.code, check.parameters[0]), (BugCheck::BAD_POOL_HEADER, 0x20));
    assert!(check.reason.to_string().contains("header"));
}

/// Every byte of the header, of a driver's block and of the kernel's own, plain and billed to a process, in each pool.
#[test]
fn each_byte_before_a_block_is_compared() {
    let executive = boot();
    for pool_type in [NonPagedPool, NonPagedPoolNx, PagedPool] {
        for (pool_type, caller) in [
            (pool_type, 0),
            (pool_type, 0xABCD),
            (pool_type | nt::POOL_QUOTA, 0),
            (pool_type | nt::POOL_QUOTA, 0xABCD),
        ] {
            for back in 1..=16 {
                let request = super::PoolRequest { pool_type, bytes: 40, tag: TAG, caller };
                let block = executive.allocate_pool(&request);
                let byte = block.cast::<u8>().wrapping_sub(back);
                // SAFETY: the header is there; this is what a driver's underrun does.
                let was = unsafe { byte.read() };
                // SAFETY: as above.
                unsafe { byte.write(was ^ 0x5A) };
                // SAFETY: refused.
                let check = bugcheck(|| unsafe { executive.free_pool(block, TAG, 0xABCD) });
                assert_eq!(check.code, BugCheck::BAD_POOL_HEADER, "{back} of {pool_type:#x} by {caller:#x}");
                // SAFETY: as above.
                unsafe { byte.write(was) };
                // SAFETY: allocated above; it is whole again.
                unsafe { executive.free_pool(block, TAG, 0xABCD) };
            }
        }
    }
}

#[test]
fn paged_pool_is_not_for_dispatch_level() {
    let executive = boot();
    crate::Platform::set_irql(executive.platform(), Irql::DISPATCH);
    assert!(!executive.ExAllocatePoolWithTag(NonPagedPool, 16, TAG).is_null());
    let check = bugcheck(|| {
        executive.ExAllocatePoolWithTag(PagedPool, 16, TAG);
    });
    assert_eq!((check.code, check.parameters[0], check.parameters[1]), (BugCheck::BAD_POOL_CALLER, 8, 2));
}

#[test]
fn audits_find_blocks_by_tag_in_order() {
    let executive = boot();
    let before = executive.pool_sequence();
    let first = executive.ExAllocatePoolWithTag(NonPagedPool, 16, TAG);
    let request = super::PoolRequest { pool_type: PagedPool, bytes: 32, tag: TAG, caller: 0xABCD };
    let second = executive.allocate_pool(&request);
    let blocks = executive.pool_blocks_tagged(TAG);
    assert_eq!(blocks.iter().map(|block| block.address).collect::<Vec<_>>(), [first.addr(), second.addr()]);
    assert_eq!((blocks[0].sequence, blocks[1].sequence), (before, before + 1));
    assert_eq!((blocks[0].caller, blocks[1].caller), (0, 0xABCD));
    let statistics = executive.pool_statistics();
    let paged = statistics.iter().find(|&&(tag, paged, _)| tag == TAG && paged).expect("statistics");
    assert_eq!((paged.2.live(), paged.2.bytes), (1, 32));
}

/// A block as a test remembers it: address, bytes, tag, whether a driver asked.
type Known = (usize, usize, u32, bool);

#[test]
fn the_registry_tells_what_a_random_history_left() {
    let executive = boot();
    let mut live: Vec<Known> = Vec::new();
    let before = executive.pool_blocks().len();
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random & 1 == 0 || live.is_empty() {
            let tag = pool_tag(if random & 2 == 0 { b"Tst1" } else { b"Tst2" });
            let (bytes, driver) = ((random >> 8) as usize % 300 + 1, random & 12 == 0);
            let request = super::PoolRequest {
                pool_type: if random & 16 == 0 { PagedPool } else { NonPagedPoolNx },
                bytes,
                tag,
                caller: if driver { 0xABCD } else { 0 },
            };
            live.push((executive.allocate_pool(&request).addr(), bytes, tag, driver));
        } else {
            let (address, _, tag, _) = live.swap_remove((random >> 8) as usize % live.len());
            // SAFETY: allocated above and freed once.
            unsafe { executive.ExFreePoolWithTag(core::ptr::with_exposed_provenance_mut(address), tag) };
            assert_eq!(executive.pool_block(address), None);
        }
    }
    assert_eq!(executive.pool_blocks().len() - before, live.len());
    for &(address, bytes, tag, driver) in &live {
        let block = executive.pool_block(address).expect("a live block");
        assert_eq!((block.address, block.bytes, block.tag), (address, bytes, tag));
        assert_eq!(block.caller != 0, driver);
        let inside = executive.pool_place(address + bytes - 1).expect("a place in pool");
        assert_eq!((inside.block.address, inside.wrong), (address as u64, None));
    }
    for tag in [pool_tag(b"Tst1"), pool_tag(b"Tst2")] {
        let statistics = executive.pool_statistics();
        let mine = statistics.iter().filter(|&&(of, _, _)| of == tag);
        let bytes: usize = mine.map(|(_, _, statistics)| statistics.bytes).sum();
        assert_eq!(bytes, live.iter().filter(|known| known.2 == tag).map(|known| known.1).sum());
    }
    let order = executive.pool_blocks();
    assert!(order.is_sorted_by_key(|block| block.sequence));
}

#[test]
fn a_block_is_packed_wherever_it_lies_or_not_at_all() {
    use super::dense::{Kind, Kinds, Packed};
    use super::registry::Entry;
    let mut kinds = Kinds::default();
    let kind = kinds.number(Kind { tag: TAG, pool: PoolKind::Paged, pool_type: 3 });
    let block = |address: usize, bytes, sequence| super::PoolBlock {
        address,
        bytes,
        tag: TAG,
        pool: PoolKind::Paged,
        sequence,
        caller: 0,
        origin: crate::Origin::default(),
    };
    for address in [0x1010, 0x7FFF_FFFF_FFF0, 0xFFFF_8000_0000_0010, 0xFFFF_FFFF_FFFF_FFF0] {
        let block = block(address, 1000, 1 << 35);
        let packed = Packed::new(&Entry::ordinary(block, 3, 16), kind, 16).expect("an ordinary block");
        let entry = packed.entry(&kinds, 16);
        assert_eq!((entry.block, entry.base, entry.total), (block, address - 16, 16 + 1008 + 16));
    }
    for odd in [block(0x8000_0000_0010, 1, 0), block(0x1010, 1 << 28, 0), block(0x1010, 1, 1 << 36)] {
        assert!(Packed::new(&Entry::ordinary(odd, 3, 16), kind, 16).is_none(), "{odd:?}");
    }
    let mut apart = Entry::ordinary(block(0x1010, 1, 0), 3, 16);
    apart.apart = true;
    assert!(Packed::new(&apart, kind, 16).is_none());
}
