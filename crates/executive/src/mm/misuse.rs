//! What is wrong with a call, or with a block: the event for the rules, and the bugcheck Windows shows.
//!
//! Sources: Microsoft's bugcheck reference for 0x19 `BAD_POOL_HEADER`, 0xC1 `SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION` and 0xC2
//! `BAD_POOL_CALLER`. A block that has pages of its own stands for one in Driver Verifier's special pool and gets its codes; one
//! that shares its pages gets those of the ordinary pool.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use nt::{BugCheck, POOL_BLOCK, POOL_HEADER};
use record::{PoolBlockRecord, PoolMisuse, PoolNoticed, PoolWrong, What};

use super::registry::{Entry, Freed};
use super::{PoolBlock, PoolRequest};
use crate::{Bugcheck, Executive, Platform, PoolKind};

/// First parameter of bugcheck 0xC2.
mod bad_caller {
    pub(super) const ALREADY_FREED: u64 = 0x07;
    pub(super) const ALLOCATE_AT_IRQL: u64 = 0x08;
    pub(super) const FREE_AT_IRQL: u64 = 0x09;
    pub(super) const WRONG_TAG: u64 = 0x0A;
    pub(super) const INVALID_ADDRESS: u64 = 0x46;
}

/// First parameter of bugcheck 0x19: the header's size is corrupt.
const HEADER_SIZE_CORRUPT: u64 = 0x20;

/// Fourth parameter of bugcheck 0xC1.
mod special {
    pub(super) const SAME_PAGE_CORRUPT: u64 = 0x23;
    pub(super) const BEHIND_CORRUPT: u64 = 0x24;
}

const HEADER: usize = size_of::<POOL_HEADER>();

/// What lies at an address in pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPlace {
    /// The block that is concerned.
    pub block: PoolBlockRecord,
    /// What touching the address is: outside of the block, or inside of a freed one. `None` inside of a live one.
    pub wrong: Option<PoolWrong>,
}

/// Says what a block is, in words: `40 bytes of paged pool tagged Rng1, allocated by @0x…, freed by @0x…`. A code address
/// after `@` is for whoever knows the modules to replace.
#[must_use]
pub fn describe_block(block: &PoolBlockRecord) -> String {
    let pool = if block.paged { "paged" } else { "nonpaged" };
    let tag = block.tag.to_le_bytes();
    let who = |caller: u64| match caller {
        0 => String::from("the kernel"),
        caller => format!("@{caller:#x}"),
    };
    let mut text = format!(
        "{} bytes of {pool} pool tagged `{}`, allocated by {}",
        block.bytes,
        tag.escape_ascii(),
        who(block.allocated_by)
    );
    if let Some(caller) = block.freed_by {
        text.push_str(&format!(", freed by {}", who(caller)));
    }
    text
}

impl PoolBlock {
    pub(super) fn record(&self, freed_by: Option<u64>) -> PoolBlockRecord {
        PoolBlockRecord {
            address: self.address as u64,
            bytes: self.bytes as u64,
            tag: self.tag,
            paged: self.pool == PoolKind::Paged,
            allocated_by: self.caller,
            freed_by,
        }
    }
}

impl Freed {
    pub(super) fn record(&self) -> PoolBlockRecord {
        self.entry.block.record(Some(self.by))
    }
}

impl<P: Platform> Executive<P> {
    fn report(&self, misuse: PoolMisuse) {
        self.tell(|| What::PoolMisused(misuse));
    }

    /// Tells what was done in the act and ends the world.
    fn misused(
        &self,
        misuse: PoolMisuse,
        code: BugCheck,
        parameters: [u64; 4],
        reason: impl core::fmt::Display,
    ) -> ! {
        self.report(misuse);
        let reason = match misuse.block {
            Some(block) => format!("{reason}: {}", describe_block(&block)),
            None => format!("{reason}"),
        };
        self.bugcheck(Bugcheck { code, parameters, reason: reason.into() })
    }

    /// Ends the world over a request at too high an IRQL.
    pub(super) fn bad_request(&self, request: &PoolRequest, pool: PoolKind, irql: u8) -> ! {
        let wanted = PoolBlockRecord {
            address: 0,
            bytes: request.bytes as u64,
            tag: request.tag,
            paged: pool == PoolKind::Paged,
            allocated_by: request.caller,
            freed_by: None,
        };
        let misuse = PoolMisuse {
            wrong: PoolWrong::AllocateIrql,
            noticed: PoolNoticed::Act,
            address: 0,
            access: None,
            at: known(request.caller),
            tag: 0,
            block: Some(wanted),
        };
        let parameters = [
            bad_caller::ALLOCATE_AT_IRQL,
            u64::from(irql),
            u64::from(request.pool_type),
            request.bytes as u64,
        ];
        let reason = "pool was allocated at an IRQL too high for it";
        self.misused(misuse, BugCheck::BAD_POOL_CALLER, parameters, reason)
    }

    /// Ends the world over an address that is no live block.
    pub(super) fn bad_free(&self, address: usize, tag: u32, caller: u64) -> ! {
        let (freed, near) =
            self.registry().with(|registry| (registry.freed_at(address), registry.place(address)));
        let misuse = PoolMisuse {
            wrong: if freed.is_some() { PoolWrong::DoubleFree } else { PoolWrong::NoBlock },
            noticed: PoolNoticed::Act,
            address: address as u64,
            access: None,
            at: known(caller),
            tag,
            block: freed.map(|freed| freed.record()).or(near.map(|near| near.block)),
        };
        let code = BugCheck::BAD_POOL_CALLER;
        if let Some(freed) = freed {
            let was = u128::from_le_bytes(freed.entry.header) as u64;
            let parameters = [bad_caller::ALREADY_FREED, 0, was, address as u64];
            self.misused(misuse, code, parameters, "a pool block was freed that had been freed already");
        }
        let parameters = [bad_caller::INVALID_ADDRESS, address as u64, 0, 0];
        let reason = match near {
            Some(PoolPlace { block, wrong: None }) => {
                format!(
                    "an address was freed that lies {} bytes into a pool block",
                    address as u64 - block.address
                )
            }
            Some(_) => format!("the address {address:#x} was freed, which lies beside a pool block"),
            None => format!("the address {address:#x} was freed, which is no pool block"),
        };
        self.misused(misuse, code, parameters, reason)
    }

    /// Ends the world over a free of the live block `entry` that may not be: the IRQL is too high for it, it is damaged, or `tag` is not
    /// its own.
    pub(super) fn refuse_free(&self, entry: &Entry, tag: u32, caller: u64) -> ! {
        let block = &entry.block;
        let misuse = |wrong, noticed, address: usize| PoolMisuse {
            wrong,
            noticed,
            address: address as u64,
            access: None,
            at: known(caller),
            tag,
            block: Some(block.record(None)),
        };
        let highest = super::pool::highest(block.pool);
        let irql = self.platform().irql();
        if irql > highest {
            self.misused(
                misuse(PoolWrong::FreeIrql, PoolNoticed::Act, block.address),
                BugCheck::BAD_POOL_CALLER,
                [
                    bad_caller::FREE_AT_IRQL,
                    u64::from(irql.0),
                    u64::from(entry.header[3]),
                    block.address as u64,
                ],
                "pool was freed at an IRQL too high for it",
            );
        }
        if let Some((wrong, at)) = entry.damage() {
            let found = PoolMisuse { at: None, ..misuse(wrong, PoolNoticed::Free, at) };
            let in_header = (block.address - HEADER..block.address).contains(&at);
            let reason = match wrong {
                PoolWrong::Overrun => {
                    format!("memory behind a pool block was overwritten at offset {}", at - block.address)
                }
                _ if in_header => "the header of a pool block was overwritten".into(),
                _ => format!("memory before a pool block was overwritten at offset -{}", block.address - at),
            };
            if entry.apart {
                let kind = match wrong {
                    PoolWrong::Overrun => special::BEHIND_CORRUPT,
                    _ => special::SAME_PAGE_CORRUPT,
                };
                let code = BugCheck::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION;
                self.misused(found, code, [block.address as u64, at as u64, 0, kind], reason);
            }
            let header = core::ptr::with_exposed_provenance::<u64>(block.address - HEADER);
            // SAFETY: the block is live, so the header before it is there to read.
            let header = unsafe { header.read_volatile() };
            let parameters = [
                HEADER_SIZE_CORRUPT,
                (block.address - HEADER) as u64,
                (block.address + block.bytes).next_multiple_of(POOL_BLOCK) as u64,
                header,
            ];
            self.misused(found, BugCheck::BAD_POOL_HEADER, parameters, reason);
        }
        self.misused(
            misuse(PoolWrong::WrongTag, PoolNoticed::Act, block.address),
            BugCheck::BAD_POOL_CALLER,
            [bad_caller::WRONG_TAG, block.address as u64, u64::from(block.tag), u64::from(tag)],
            format_args!(
                "a pool block was freed with the tag `{}`, which is not its own",
                tag.to_le_bytes().escape_ascii()
            ),
        )
    }

    /// Tells of a freed block that was written to while it waited for its reuse. NT goes on, and so does this.
    pub(super) fn check_reuse(&self, freed: &Freed, noticed: PoolNoticed) {
        if freed.entry.told {
            return;
        }
        if let Some(at) = freed.entry.damage_after_free() {
            self.report(PoolMisuse {
                wrong: PoolWrong::Freed,
                noticed,
                address: at as u64,
                access: Some(record::Access::Write),
                at: None,
                tag: 0,
                block: Some(freed.record()),
            });
        }
    }

    /// Looks at every block, live or waiting for its reuse, and tells of each damaged one that was not told yet: an event for the
    /// rules. Ordinary Windows would not look.
    pub fn check_pool(&self, noticed: PoolNoticed) {
        let (live, waiting) = self.registry().with(|registry| (registry.live(), registry.waiting()));
        let mut told = Vec::new();
        for entry in live.iter().filter(|entry| !entry.told) {
            let Some((wrong, at)) = entry.damage() else { continue };
            told.push(entry.block.address);
            self.report(PoolMisuse {
                wrong,
                noticed,
                address: at as u64,
                access: Some(record::Access::Write),
                at: None,
                tag: 0,
                block: Some(entry.block.record(None)),
            });
        }
        for freed in &waiting {
            if freed.entry.damage_after_free().is_some() {
                told.push(freed.entry.block.address);
            }
            self.check_reuse(freed, noticed);
        }
        self.registry().with(|registry| registry.told(&told));
    }

    /// Says what lies at an address in pool. `None` where nothing is known of it, or where the bookkeeping is in use at this moment: a fault
    /// may ask.
    pub fn pool_place(&self, address: usize) -> Option<PoolPlace> {
        self.registry().try_with(|registry| registry.place(address)).flatten()
    }
}

fn known(caller: u64) -> Option<u64> {
    (caller != 0).then_some(caller)
}
