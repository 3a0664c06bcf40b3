//! RB007: an export called at an IRQL that its contract forbids.

use std::collections::BTreeSet;

use nt::Irql;
use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(7),
    slug: "irql-contract",
    severity: Severity::Warning,
    summary: "a routine of the kernel was called at another IRQL than its documentation allows",
    windows: "nothing is checked in an ordinary kernel, and the call often works; Driver Verifier stops it, and where \
              the routine touches paged memory or waits it is bugcheck 0xA; a spin lock that is taken below DISPATCH_LEVEL is held by a \
              thread that can lose its processor, and who wants it there spins for good",
    fix: "make the call at the documented IRQL: before raising, after lowering, or from a work item; below \
          DISPATCH_LEVEL take a spin lock with the routine that raises the IRQL",
    detection: "the IRQL of every call of a driver is compared with the export's documented maximum and, where it has \
                one, minimum; one finding per \
                call site, and the run goes on where NT's code would",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told = BTreeSet::new();
    for event in run.events {
        let What::IrqlContract { name, lowest, highest, actual } = &event.what else { continue };
        let Some(driver) = run.driver_of(event) else { continue };
        if !told.insert((event.caller, name)) {
            continue;
        }
        let (bound, which) = if actual < lowest { (lowest, "lowest") } else { (highest, "highest") };
        let message = format!(
            "`{name}` was called at {}, {} is the {which} it allows (called{}, event {})",
            Irql(*actual),
            Irql(*bound),
            run.by(event),
            event.sequence,
        );
        findings.push(rule.finding(driver, message, event.caller, vec![event.sequence]));
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::What;

    fn contract() -> What {
        What::IrqlContract { name: "ExRegisterCallback".into(), lowest: 0, highest: 1, actual: 2 }
    }

    #[test]
    fn rb007_a_call_site_is_found_once() {
        let events = stream([(IN_A, contract()), (IN_A, contract()), (IN_B, contract())]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings.iter().all(|finding| finding.rule.0 == 7));
        assert!(findings[0].message.contains("at DISPATCH_LEVEL, APC_LEVEL is the highest"), "{findings:?}");
    }

    #[test]
    fn rb007_a_call_below_the_minimum_is_found() {
        let low = What::IrqlContract {
            name: "KeAcquireSpinLockAtDpcLevel".into(),
            lowest: 2,
            highest: 15,
            actual: 0,
        };
        let findings = judge(&stream([(IN_A, low)]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].message.contains("at PASSIVE_LEVEL, DISPATCH_LEVEL is the lowest"),
            "{findings:?}"
        );
    }

    #[test]
    fn rb007_the_kernels_own_calls_are_no_finding() {
        assert!(judge(&stream([(0, contract())]), &modules(), &FINISHED).is_empty());
    }
}
