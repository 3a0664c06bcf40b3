//! RB014: a driver is gone, pool it allocated is not.

use std::collections::BTreeMap;

use record::{Finding, LeftKind, Made, RuleId, Severity, What};

use crate::run::LeftBehind;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(14),
    slug: "pool-leak",
    severity: Severity::Warning,
    summary: "a driver was unloaded without freeing pool that it had allocated",
    windows: "the memory is lost until the next boot, once more with every load; Driver Verifier's pool tracking ends the \
              unload with bugcheck 0xC4 (DRIVER_VERIFIER_DETECTED_VIOLATION), first parameter 0x62",
    fix: "free what the call site allocates, on every path, at the latest in `DriverUnload`",
    detection: "pool that code of the driver allocated, also as IRP, MDL, work item or contiguous memory, lives at its departure \
                audit, or a lookaside list or executive resource that it made was not deleted; one finding per call stack and tag; a block handed to another driver that frees it later counts too and may be \
                allowed",
    check,
};

/// What one call stack left under one tag.
struct Site<'a> {
    count: u64,
    bytes: u64,
    made: &'a Made,
}

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for left in run.left_behind() {
        for thing in left.things.iter().filter(|thing| thing.kind == LeftKind::LiveResource) {
            let at = run.place(thing.address);
            let made = run.made("initialized", &thing.made);
            let message = format!("`{}` left the executive resource at {at} undeleted{made}", left.driver);
            findings.push(rule.left(run, &left, &thing.made, message));
        }
    }
    for (index, event) in run.events.iter().enumerate() {
        let (driver, blocks, lists) = match &event.what {
            What::PoolLeft { driver, blocks } => (driver, blocks, false),
            What::LookasideLeft { driver, lists } => (driver, lists, true),
            _ => continue,
        };
        let mut sites: BTreeMap<(&[u64], u64, u32), Site<'_>> = BTreeMap::new();
        for block in blocks {
            let made = &block.made;
            let site = sites.entry((&made.stack, made.caller, block.tag)).or_insert(Site {
                count: 0,
                bytes: 0,
                made,
            });
            site.count += 1;
            site.bytes += block.bytes;
        }
        for ((.., tag), Site { count, bytes, made }) in sites {
            let what = if lists { "lookaside list" } else { kind(tag) };
            let message = format!(
                "`{driver}` left {count} {what}{} behind, {}{bytes} bytes, tag `{}`{}",
                if count == 1 { "" } else { "s" },
                if lists { "of blocks of " } else { "" },
                tag.to_le_bytes().escape_ascii(),
                run.made(if lists { "made" } else { "allocated" }, made),
            );
            let left = LeftBehind { index, driver, things: &[] };
            findings.push(rule.left(run, &left, made, message));
        }
    }
    findings
}

/// Says what a block is that the kernel allocates for a driver under a tag of its own.
fn kind(tag: u32) -> &'static str {
    match &tag.to_le_bytes() {
        b"Mdl " => "memory descriptor list",
        b"MmCm" => "block of contiguous memory",
        _ => "pool block",
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{PoolBlockLeft, What};

    #[test]
    fn rb014_each_call_site_that_leaves_pool_is_found() {
        let block = |caller| PoolBlockLeft {
            address: 0x7000,
            bytes: 24,
            tag: u32::from_le_bytes(*b"RbAa"),
            made: made(caller),
        };
        let blocks = vec![block(IN_A), block(IN_A), block(IN_A + 8)];
        let left = What::PoolLeft { driver: "a.sys".into(), blocks };
        let findings = judge(&stream([(0, left), (0, departure("a.sys", vec![]))]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (14, &[0, 1][..]));
        let message = &findings[0].message;
        assert!(
            message.contains("2 pool blocks behind, 48 bytes, tag `RbAa` (allocated by a.sys+0x110"),
            "{message}"
        );
        assert!(message.ends_with(" at 2.0000007 s)"), "{message}");
        assert_eq!(findings[0].stack, [IN_A, IN_A + 1]);
        assert!(judge(&stream([(0, departure("a.sys", vec![]))]), &modules(), &FINISHED).is_empty());
    }

    #[test]
    fn rb014_what_the_kernel_allocated_for_a_driver_has_its_name() {
        let block = |tag: &[u8; 4]| PoolBlockLeft {
            address: 0x7000,
            bytes: 64,
            tag: u32::from_le_bytes(*tag),
            made: made(IN_A),
        };
        let left = What::PoolLeft { driver: "a.sys".into(), blocks: vec![block(b"Mdl "), block(b"MmCm")] };
        let lists = What::LookasideLeft { driver: "a.sys".into(), lists: vec![block(b"RbLl")] };
        let events = stream([(0, left), (0, lists), (0, departure("a.sys", vec![]))]);
        let messages: Vec<_> =
            judge(&events, &modules(), &FINISHED).into_iter().map(|found| found.message).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        let all = messages.join("\n");
        assert!(all.contains("1 memory descriptor list behind, 64 bytes"), "{all}");
        assert!(all.contains("1 block of contiguous memory behind"), "{all}");
        assert!(
            all.contains("1 lookaside list behind, of blocks of 64 bytes, tag `RbLl` (made by a.sys"),
            "{all}"
        );
    }
}
