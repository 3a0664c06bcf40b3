//! RB013: paged pool at DISPATCH_LEVEL.

use nt::Irql;
use record::{Access, Event, Finding, PoolBlockRecord, PoolWrong, RuleId, Severity, What};

use crate::pool_corruption::block_text;
use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(13),
    slug: "paged-context",
    severity: Severity::Error,
    summary: "a context, an argument or other memory in paged pool was touched at DISPATCH_LEVEL or above, or holds an object that the kernel touches there",
    windows: "it works as long as the page happens to be in memory; when it is not, bugcheck 0xD1 (DRIVER_IRQL_NOT_LESS_OR_EQUAL), or 0xA where the \
              kernel touches it for the driver, and with Driver Verifier's IRQL checking at once",
    fix: "allocate what a routine may touch at DISPATCH_LEVEL, and events, semaphores, mutexes, timers, DPCs and resources, from nonpaged pool (`POOL_FLAG_NON_PAGED`, `NonPagedPoolNx`), or leave the work to a \
          work item",
    detection: "paged pool cannot be touched while driver code runs at DISPATCH_LEVEL or above; what a driver passes to an export there is \
                looked at when it is passed; an event, semaphore, mutex, timer, DPC or resource in paged pool is told at any IRQL, once, when it is \
                initialized, set, queued or waited for",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    run.walk(|index, event, open| {
        if let What::PagedObject { export, object, block } = &event.what {
            // Where it was touched too high, that tells more.
            if run.events.iter().any(|event| touches(event, block)) {
                return;
            }
            let Some((at, driver)) = event.caller.and_then(|at| Some((at, run.driver_at(at)?))) else { return };
            let message = format!(
                "{} gave `{export}` an object that lies in paged pool, at offset {} of {}; the kernel touches it at \
                 DISPATCH_LEVEL (event {})",
                run.place(at),
                object - block.address,
                block_text(run, block),
                event.sequence,
            );
            findings.push(rule.finding(driver, message, Some(at), vec![event.sequence]));
            return;
        }
        let What::PoolMisused(misuse) = &event.what else { return };
        let (PoolWrong::Paged, Some(block)) = (misuse.wrong, misuse.block) else { return };
        let at = misuse.at.or(event.caller);
        let Some(driver) = at.and_then(|at| run.driver_at(at)) else { return };
        let verb = match misuse.access {
            Some(Access::Read) => "read",
            Some(Access::Call) => "executed",
            Some(Access::Write) | None => "wrote to",
        };
        let (what, evidence) = role(run, open, index, &block);
        let message = format!(
            "{} {verb} {what} at {}: {} (event {})",
            at.map(|at| run.place(at)).unwrap_or_default(),
            Irql(event.irql),
            block_text(run, &block),
            event.sequence,
        );
        let evidence = evidence.into_iter().chain([event.sequence]).collect();
        findings.push(rule.finding(driver, message, at, evidence));
    });
    findings
}

/// Tells whether a driver touched the block too high.
fn touches(event: &Event, block: &PoolBlockRecord) -> bool {
    let What::PoolMisused(misuse) = &event.what else { return false };
    misuse.wrong == PoolWrong::Paged && misuse.block.is_some_and(|touched| touched.address == block.address)
}

/// Says what the block is to the routine that runs, and which events tell.
fn role(run: &Run<'_>, open: &[&Event], index: usize, block: &PoolBlockRecord) -> (String, Vec<u64>) {
    let inside = |word: u64| (block.address..block.address + block.bytes.max(1)).contains(&word);
    for begin in open.iter().rev() {
        match begin.what {
            What::DeliveryBegin { context, routine, registration, .. } if inside(context) => {
                let made = run.registered(registration, index);
                let by = made.map_or(String::new(), |made| format!(", registered{}", run.by(made)));
                let what = format!("the context of {}{by},", run.place(routine));
                return (what, made.into_iter().map(|made| made.sequence).chain([begin.sequence]).collect());
            }
            What::NotifyBegin { argument1, argument2, .. } if inside(argument1) || inside(argument2) => {
                let which = if inside(argument1) { "first" } else { "second" };
                return (format!("the {which} argument of the ring{},", run.by(begin)), vec![begin.sequence]);
            }
            _ => {}
        }
    }
    ("paged pool".into(), vec![])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{Access, Mode, PoolBlockRecord, PoolMisuse, PoolNoticed, PoolWrong, What};

    fn touched(address: u64) -> What {
        let block = PoolBlockRecord {
            address,
            bytes: 32,
            tag: u32::from_le_bytes(*b"Rng3"),
            paged: true,
            allocated_by: IN_A,
            freed_by: None,
        };
        What::PoolMisused(PoolMisuse {
            wrong: PoolWrong::Paged,
            noticed: PoolNoticed::Act,
            address: address + 8,
            access: Some(Access::Read),
            at: Some(ROUTINE_A + 4),
            tag: 0,
            block: Some(block),
        })
    }

    fn ring(touched: What) -> Vec<(u64, What)> {
        let context = |what| match what {
            What::DeliveryBegin { object, registration, routine, .. } => {
                What::DeliveryBegin { object, registration, routine, context: 0x7000 }
            }
            other => other,
        };
        vec![
            (IN_A, registered(ROUTINE_A)),
            (IN_B, notify(OBJECT, Mode::Held)),
            (IN_B, context(delivery())),
            (0, touched),
        ]
    }

    #[test]
    fn rb013_a_context_in_paged_pool_is_found_with_its_registration() {
        let findings = judge(&stream(ring(touched(0x7000))), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (13, &[0, 2, 3][..]));
        let message = &findings[0].message;
        assert!(
            message.contains("read the context of a.sys+0x200 (OnRing), registered by a.sys+0x110"),
            "{message}"
        );
        assert!(
            message.contains("32 bytes of paged pool tagged `Rng3` allocated by a.sys+0x110"),
            "{message}"
        );
    }

    #[test]
    fn rb013_other_paged_pool_is_found_as_such() {
        let findings = judge(&stream(ring(touched(0x9000))), &modules(), &FINISHED);
        assert!(findings[0].message.contains("read paged pool at"), "{findings:?}");
    }
}
