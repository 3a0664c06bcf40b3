//! RB010: a registered routine that lies in no loaded image.

use record::{Finding, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(10),
    slug: "routine-outside-module",
    severity: Severity::Error,
    summary: "a driver registered a routine that lies in no loaded image",
    windows: "registering takes any address; on the objects that PatchGuard watches it is bugcheck 0x109 with fourth \
              parameter 0x1D, and where the memory is not executable the first notify is bugcheck 0xFC",
    fix: "register a routine of the driver's own image; code made at run time has no place in a driver",
    detection: "the routine given to `ExRegisterCallback` lies in no image that is loaded at that moment; a routine in the \
                kernel or in another loaded driver is fine, and NULL is a matter of its own",
    check,
};

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, event) in run.events.iter().enumerate() {
        let What::Registered { object, routine, .. } = event.what else { continue };
        let Some(driver) = run.driver_of(event).filter(|_| routine != 0) else { continue };
        let module = run.modules.find(routine);
        let why = match module {
            None => "which lies in no image".to_owned(),
            Some(module) if run.unloaded_before(module.base, index) => {
                format!("which lay in `{}`, unloaded before", module.name)
            }
            Some(_) => continue,
        };
        let message = format!(
            "`{driver}` registered {} on {}, {why} (registered{}, event {})",
            run.place(routine),
            run.object_name(object, index),
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

    #[test]
    fn rb010_a_routine_in_no_image_is_found() {
        let findings = judge(&stream([(IN_A, registered(0x77_0000))]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].rule.0, 10);
        assert!(findings[0].message.contains("0x770000"), "{findings:?}");
    }

    #[test]
    fn rb010_a_routine_of_an_unloaded_image_is_found() {
        let gone = What::ImageUnloaded { name: "b.sys".into(), base: 0x2_0000 };
        let findings = judge(&stream([(0, gone), (IN_A, registered(0x2_0200))]), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].message.contains("unloaded before"), "{findings:?}");
    }

    #[test]
    fn rb010_a_routine_of_any_loaded_image_is_not() {
        for routine in [ROUTINE_A, 0x2_0200, 0x9_0200] {
            assert!(judge(&stream([(IN_A, registered(routine))]), &modules(), &FINISHED).is_empty());
        }
    }
}
