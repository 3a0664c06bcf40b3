//! RB017: a routine that returned with APCs disabled, or enabled once too often.

use record::{Finding, LeftKind, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(17),
    slug: "apc-disable-unbalanced",
    severity: Severity::Warning,
    summary: "a routine of the driver returned with another count of disabled APCs than it was called with",
    windows: "the thread goes on with APCs disabled, so that I/O it waits for never completes; where the kernel checks the \
              count, as at the end of a system call, it is bugcheck 0x1 (APC_INDEX_MISMATCH)",
    fix: "pair `KeEnterCriticalRegion` with `KeLeaveCriticalRegion` and `KeEnterGuardedRegion` with `KeLeaveGuardedRegion`, \
          and release mutexes, on every path of the same routine",
    detection: "`KernelApcDisable` or `SpecialApcDisable` of the thread differ before and after a call into the driver; a \
                region that one routine enters and another leaves, in the same thread, counts twice and may be allowed",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for event in run.events {
        let What::ApcDisableLeft { routine, kernel, special, ref entered } = event.what else { continue };
        let Some(driver) = run.driver_at(routine) else { continue };
        let counts = [("KernelApcDisable", kernel), ("SpecialApcDisable", special)];
        let changed: Vec<String> = counts
            .into_iter()
            .filter(|(_, [before, after])| before != after)
            .map(|(name, [before, after])| format!("`{name}` {before} before and {after} after"))
            .collect();
        let mut message =
            format!("{} returned with {} (event {})", run.place(routine), changed.join(", "), event.sequence);
        for left in entered {
            let (what, verb) = match left.kind {
                LeftKind::Mutex => {
                    (format!("the owner of the mutex at {}", run.place(left.address)), "taken")
                }
                kind => (format!("in a {kind}"), "entered"),
            };
            message.push_str(&format!("; it is still {what}{}", run.made(verb, &left.made)));
        }
        findings.push(rule.finding(driver, message, Some(routine), vec![event.sequence]));
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{LeftKind, What};

    #[test]
    fn rb017_a_routine_that_leaves_apcs_disabled_is_found() {
        let told = |routine, entered| {
            (0, What::ApcDisableLeft { routine, kernel: [0, -1], special: [0, 0], entered })
        };
        for (kind, said) in [
            (
                LeftKind::CriticalRegion,
                "; it is still in a critical region (entered by a.sys+0x110 (DriverEntry+0x10) at",
            ),
            (
                LeftKind::Mutex,
                "; it is still the owner of the mutex at 0x7000 (taken by a.sys+0x110 (DriverEntry+0x10) at",
            ),
        ] {
            let events = stream([told(ROUTINE_A, vec![left(kind, IN_A)])]);
            let findings = judge(&events, &modules(), &FINISHED);
            assert!(findings[0].message.contains(said), "{findings:?}");
        }
        let plain = |routine| told(routine, Vec::new());
        let findings = judge(&stream([plain(ROUTINE_A)]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].message.ends_with("`KernelApcDisable` 0 before and -1 after (event 0)"),
            "{findings:?}"
        );
        assert!(judge(&stream([plain(0x9_0200)]), &modules(), &FINISHED).is_empty());
    }
}
