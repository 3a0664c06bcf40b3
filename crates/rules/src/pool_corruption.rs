//! RB015: pool that was damaged, used after it was freed, or freed wrongly.

use record::{
    Access, Event, Finding, PoolBlockRecord, PoolMisuse, PoolNoticed, PoolWrong, RuleId, Severity, What,
};

use crate::called_after_unload::pending_thing;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(15),
    slug: "pool-corruption",
    severity: Severity::Error,
    summary: "pool was written or read outside of a block, used after it was freed, executed, or freed wrongly or while in use",
    windows: "whoever owns the memory next is damaged, and the crash comes later and elsewhere: bugcheck 0x19 (BAD_POOL_HEADER), 0xC5, \
              0x50 or 0x139; a wrong free is 0xC2 (BAD_POOL_CALLER), and with Driver Verifier's special pool it is \
              0xC1, 0xCC, 0xCD, 0xD5 or 0xD6 at once, as is the free of a block with a timer, DPC, work item or resource in use in it: 0xC7, \
              0xE4 or 0xC4",
    fix: "keep to the size that was asked for, free each block once, with its own tag and at an IRQL its pool allows, and make \
          sure that nobody has a pointer to it any more",
    detection: "what a driver allocates lies on pages of its own, at their end, with a page behind it that nobody can touch, and \
                its pages go when it is freed; what lies before a block, each byte of its header too, and what rounding to 16 bytes leaves behind it is looked \
                at when it is freed, when a driver leaves and at the end; what a driver frees \
                must hold no set timer, queued DPC or work item and no resource that was not deleted; lookaside lists keep nothing, so \
                that their blocks are pool blocks; a read before a block, and one of the up to 15 bytes that \
                rounding leaves, is not noticed, and of more than 8,192 \
                live blocks (128 of paged pool), of one above 256 KiB and of the kernel's own only writes close by are",
    check,
};

/// How to mend a call at too high an IRQL.
const AT_ITS_IRQL: &str = "allocate and free paged pool at APC_LEVEL or below and nonpaged pool at DISPATCH_LEVEL or below: before \
                           raising the IRQL, after lowering it or in a work item; what is needed while it is raised belongs in \
                           `NonPagedPoolNx`";

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in run.events {
        if let What::FreedInUse { block, thing } = &event.what {
            let at = event.caller.unwrap_or(block.allocated_by);
            let Some(driver) = run.driver_at(at) else { continue };
            let message = format!(
                "{} freed a pool block while in it {}: {} (event {})",
                run.place(at),
                pending_thing(run, thing, None),
                block_text(run, block),
                event.sequence,
            );
            findings.push(rule.finding(driver, message, Some(at), vec![event.sequence]));
        }
        let What::PoolMisused(misuse) = &event.what else { continue };
        if misuse.wrong == PoolWrong::Paged {
            continue;
        }
        let at = misuse.at.or(event.caller).filter(|at| run.driver_at(*at).is_some());
        let owner = misuse.block.map(|block| block.allocated_by);
        // Damage that is found later is the owner's to look into: it knows who has pointers to the block.
        let late = misuse.noticed != PoolNoticed::Act;
        let blamed = if late { owner.or(at) } else { at.or(owner) };
        let Some(driver) = blamed.and_then(|address| run.driver_at(address)) else { continue };
        let mut message = said(run, event, misuse);
        if let Some(block) = &misuse.block {
            message.push_str(&format!(": {}", block_text(run, block)));
            // A call is named by where it returns to.
            if block.freed_by.is_some() && block.freed_by == misuse.at {
                message.push_str(", the call just before");
            }
        }
        message.push_str(&format!(" (event {})", event.sequence));
        let mut finding = rule.finding(driver, message, blamed, vec![event.sequence]);
        if let PoolWrong::AllocateIrql | PoolWrong::FreeIrql = misuse.wrong {
            finding.fix = AT_ITS_IRQL.into();
        }
        findings.push(finding);
    }
    findings
}

/// Says what was done, by whom, and when it was noticed.
fn said(run: &Run<'_>, event: &Event, misuse: &PoolMisuse) -> String {
    let place = |at: Option<u64>| at.map(|at| run.place(at)).unwrap_or_else(|| "the kernel".into());
    let by = place(misuse.at);
    let verb = match misuse.access {
        Some(Access::Call) => "executed",
        Some(Access::Read) => "read",
        Some(Access::Write) | None => "wrote",
    };
    // An address in another block's reach is not worth a number.
    let offset = misuse.block.map(|block| misuse.address.wrapping_sub(block.address).cast_signed());
    let offset = offset.filter(|offset| offset.unsigned_abs() < 1 << 32);
    let offset = offset.map_or(String::new(), |offset| format!(", at offset {offset}"));
    let found = match misuse.noticed {
        PoolNoticed::Act => String::new(),
        PoolNoticed::Free => format!(", found when {} freed it", place(event.caller)),
        PoolNoticed::Reuse => ", found when the memory was to be used again".into(),
        PoolNoticed::Unload => ", found when a driver had left".into(),
        PoolNoticed::End => ", found at the end of the run".into(),
    };
    let who = if misuse.noticed == PoolNoticed::Act { by.as_str() } else { "somebody" };
    match misuse.wrong {
        PoolWrong::Overrun => format!("{who} {verb} past the end of a pool block{offset}{found}"),
        PoolWrong::Underrun => format!("{who} {verb} before a pool block{offset}{found}"),
        PoolWrong::Freed if verb == "wrote" => format!("{who} wrote to a freed pool block{offset}{found}"),
        PoolWrong::Freed => format!("{who} {verb} a freed pool block{offset}{found}"),
        PoolWrong::DoubleFree => format!("{by} freed a pool block that had been freed already"),
        PoolWrong::WrongTag => {
            format!("{by} freed a pool block with the tag `{}`", misuse.tag.to_le_bytes().escape_ascii())
        }
        PoolWrong::NoBlock if misuse.block.is_some() => {
            format!("{by} freed an address inside of or beside a pool block{offset}")
        }
        PoolWrong::NoBlock => format!("{by} freed {:#x}, which is no pool block", misuse.address),
        PoolWrong::FreeIrql => format!("{by} freed pool at an IRQL too high for it"),
        PoolWrong::AllocateIrql => format!("{by} allocated pool at an IRQL too high for it"),
        PoolWrong::Execute => format!("{by} jumped into pool that is not executable"),
        PoolWrong::Paged => format!("{by} touched paged pool{offset}"),
    }
}

/// Says what a block is, whose, and who freed it.
pub(crate) fn block_text(run: &Run<'_>, block: &PoolBlockRecord) -> String {
    let who = |caller| if caller == 0 { "the kernel".into() } else { run.place(caller) };
    let mut text = format!(
        "{} bytes of {} pool tagged `{}` allocated by {}",
        block.bytes,
        if block.paged { "paged" } else { "nonpaged" },
        block.tag.to_le_bytes().escape_ascii(),
        who(block.allocated_by),
    );
    if let Some(caller) = block.freed_by {
        text.push_str(&format!(", freed by {}", who(caller)));
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{Access, PoolBlockRecord, PoolMisuse, PoolNoticed, PoolWrong, What};

    fn misuse(wrong: PoolWrong, noticed: PoolNoticed) -> PoolMisuse {
        let block = PoolBlockRecord {
            address: 0x7000,
            bytes: 40,
            tag: u32::from_le_bytes(*b"Rng1"),
            paged: false,
            allocated_by: IN_A,
            freed_by: None,
        };
        let act = noticed == PoolNoticed::Act;
        PoolMisuse {
            wrong,
            noticed,
            address: 0x7029,
            access: Some(Access::Write),
            at: act.then_some(IN_B),
            tag: 0,
            block: Some(block),
        }
    }

    #[test]
    fn rb015_misuse_in_the_act_is_that_of_the_code_that_did_it() {
        let mut read = misuse(PoolWrong::Freed, PoolNoticed::Act);
        read.access = Some(Access::Read);
        read.address = 0x7008;
        read.block.as_mut().unwrap().freed_by = Some(IN_A + 0x20);
        let findings = judge(&stream([(0, What::PoolMisused(read))]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, findings[0].driver.as_deref()), (15, Some("b.sys")));
        let message = &findings[0].message;
        assert!(
            message.starts_with("b.sys+0x110 (DriverEntry+0x10) read a freed pool block, at offset 8:"),
            "{message}"
        );
        assert!(
            message.contains("40 bytes of nonpaged pool tagged `Rng1` allocated by a.sys+0x110"),
            "{message}"
        );
        assert!(message.contains("freed by a.sys+0x130 (DriverEntry+0x30) (event 0)"), "{message}");
        read.block.as_mut().unwrap().freed_by = read.at;
        let findings = judge(&stream([(0, What::PoolMisused(read))]), &modules(), &FINISHED);
        let message = &findings[0].message;
        let expected = "freed by b.sys+0x110 (DriverEntry+0x10), the call just before (event 0)";
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn rb015_damage_found_later_is_the_owners() {
        let found = misuse(PoolWrong::Overrun, PoolNoticed::Unload);
        let findings = judge(&stream([(0, What::PoolMisused(found))]), &modules(), &FINISHED);
        assert_eq!(findings[0].driver.as_deref(), Some("a.sys"));
        assert!(
            findings[0]
                .message
                .starts_with("somebody wrote past the end of a pool block, at offset 41, found"),
            "{findings:?}"
        );
    }

    #[test]
    fn rb015_paged_pool_at_dispatch_level_is_another_rule() {
        let touched = What::PoolMisused(misuse(PoolWrong::Paged, PoolNoticed::Act));
        let findings = judge(&stream([(0, touched)]), &modules(), &FINISHED);
        assert!(findings.iter().all(|finding| finding.rule.0 != 15), "{findings:?}");
    }
}
