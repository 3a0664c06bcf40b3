//! RB016: a driver is gone, a handle that it opened is not closed.

use std::collections::BTreeMap;

use record::{Finding, Left, LeftKind, RuleId, Severity};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(16),
    slug: "handle-leak",
    severity: Severity::Warning,
    summary: "a driver was unloaded without closing a handle that it had opened",
    windows: "nothing tracks who opened a kernel handle: it stays in the table of the System process until the next boot, and with it the \
              object and, for a temporary object, its name; every load of the driver adds one more, and a device or file behind one cannot go away",
    fix: "call `ZwClose` once for each handle, on every path; after `PsCreateSystemThread` and `ObReferenceObjectByHandle` close the \
          handle at once and keep the reference",
    detection: "a handle that code of the driver opened, in whatever process, is open at its departure audit; one finding per call site and \
                type of object; a handle that is handed to another driver, which closes it later, counts too and may be allowed",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for left in run.left_behind() {
        let mut sites: BTreeMap<_, Vec<&Left>> = BTreeMap::new();
        for handle in left.things.iter().filter(|thing| thing.kind == LeftKind::Handle) {
            sites
                .entry((&handle.made.stack, handle.made.caller, &handle.object_type))
                .or_default()
                .push(handle);
        }
        for handles in sites.values() {
            let (first, count) = (handles[0], handles.len());
            let object = match (&first.object_type, &first.name) {
                (Some(kind), Some(name)) => format!(" to `{name}` ({kind})"),
                (Some(kind), None) => format!(" to an object of type {kind}"),
                (None, _) => String::new(),
            };
            let message = match count {
                1 => format!("`{}` left the handle {:#x}{object} open", left.driver, first.address),
                _ => {
                    format!(
                        "`{}` left {count} handles open, of them {:#x}{object}",
                        left.driver, first.address
                    )
                }
            } + &run.made("opened", &first.made);
            findings.push(rule.left(run, &left, &first.made, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::LeftKind;

    #[test]
    fn rb016_each_call_site_that_leaves_handles_is_found() {
        let handle = |address, caller| record::Left {
            object_type: Some("Event".into()),
            address,
            ..left(LeftKind::Handle, caller)
        };
        let things = vec![
            record::Left { name: Some(r"\X".into()), ..handle(0x40, IN_A) },
            handle(0x44, IN_A),
            handle(0x48, IN_A + 8),
        ];
        let events = stream([(0, left_behind("a.sys", things)), (0, departure("a.sys", vec![]))]);
        let findings = judge(&events, &modules(), &FINISHED);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (16, &[0, 1][..]));
        let [first, second] = [&findings[0].message, &findings[1].message];
        assert!(
            first.starts_with(
                r"`a.sys` left 2 handles open, of them 0x40 to `\X` (Event) (opened by a.sys+0x110"
            ),
            "{first}"
        );
        assert!(second.contains("the handle 0x48 to an object of type Event open"), "{second}");
        assert_eq!(findings[0].stack, [IN_A, IN_A + 1]);
    }

    #[test]
    fn rb016_other_things_are_no_handles() {
        let events = stream([
            (0, left_behind("a.sys", vec![left(LeftKind::Name, IN_A)])),
            (0, departure("a.sys", vec![])),
        ]);
        assert!(judge(&events, &modules(), &FINISHED).iter().all(|finding| finding.rule.0 != 16));
    }
}
