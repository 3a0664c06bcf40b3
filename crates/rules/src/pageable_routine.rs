//! RB009: code or data of a driver that may be paged out, at DISPATCH_LEVEL.

use std::collections::{BTreeMap, BTreeSet};

use nt::{BugCheck, Irql};
use record::{Ending, Finding, PageableSection, RuleId, Severity, What};

use crate::{Rule, Run};

pub(crate) const RULE: Rule = Rule {
    id: RuleId(9),
    slug: "pageable-routine",
    severity: Severity::Error,
    summary: "a routine in a pageable section, or data in one, was needed at DISPATCH_LEVEL",
    windows: "it works as long as the page happens to be in memory; when it is not, bugcheck 0xD3 (DRIVER_PORTION_MUST_BE_NONPAGED) or \
              0xD1, and with Driver Verifier's IRQL checking at once",
    fix: "take the routine or variable out of the `PAGE` section (no `alloc_text(PAGE, …)`), or keep the section locked with \
          `MmLockPagableCodeSection` while it can be called; a routine of an object that is rung at DISPATCH_LEVEL must not be pageable",
    detection: "a section whose name begins with `PAGE`, or any after `MmPageEntireDriver`, and that nobody has locked holds a routine that was called \
                at DISPATCH_LEVEL or above, or what code touched there; also a routine that is registered on an object after that was rung at \
                DISPATCH_LEVEL",
    check,
};

/// The sections that may be paged out at one moment.
#[derive(Default)]
struct Sections<'a> {
    images: BTreeMap<u64, &'a [PageableSection]>,
    locks: BTreeMap<u64, u32>,
}

impl<'a> Sections<'a> {
    fn follow(&mut self, what: &'a What) {
        match what {
            What::PageableSections { base, sections, .. } => {
                self.images.insert(*base, sections);
            }
            What::ImageUnloaded { base, .. } => {
                self.images.remove(base);
            }
            What::SectionLocked { address, locks } => {
                self.locks.insert(*address, *locks);
            }
            _ => {}
        }
    }

    fn at(&self, address: u64) -> Option<&'a PageableSection> {
        let mut sections = self.images.values().flat_map(|sections| sections.iter());
        sections.find(|section| {
            let inside = (section.address..section.address + section.size).contains(&address);
            inside && self.locks.get(&section.address).is_none_or(|locks| *locks == 0)
        })
    }
}

fn check(rule: &Rule, run: &Run<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sections = Sections::default();
    let mut told = BTreeSet::new();
    // Objects that were rung at DISPATCH_LEVEL, and by which event.
    let mut rung = BTreeMap::new();
    for (index, event) in run.events.iter().enumerate() {
        sections.follow(&event.what);
        let raised = Irql(event.irql) >= Irql::DISPATCH;
        if let What::NotifyBegin { object, .. } = event.what
            && raised
        {
            rung.entry(object).or_insert(event.sequence);
        }
        let (routine, how, mut evidence) = match event.what {
            What::DeliveryBegin { routine, registration, .. } if raised => {
                let made = run.registered(registration, index);
                let by = made.map_or(String::new(), |made| format!("; registered{}", run.by(made)));
                let how = format!("was called at {} (event {}{by})", Irql(event.irql), event.sequence);
                (routine, how, made.map(|made| made.sequence).into_iter().collect::<Vec<_>>())
            }
            What::EntryCalled { routine, .. } if raised => {
                (routine, format!("was called at {} (event {})", Irql(event.irql), event.sequence), vec![])
            }
            What::Registered { object, routine, .. } if rung.contains_key(&object) => {
                let how = format!(
                    "was registered on {}, which was rung at DISPATCH_LEVEL (event {})",
                    run.object_name(object, index),
                    rung[&object]
                );
                (routine, how, vec![rung[&object]])
            }
            _ => continue,
        };
        let Some(section) = sections.at(routine) else { continue };
        let Some(driver) = run.driver_at(routine) else { continue };
        if told.insert(routine) {
            evidence.push(event.sequence);
            let message =
                format!("{} lies in the pageable section `{}` and {how}", run.place(routine), section.name);
            findings.push(rule.finding(driver, message, Some(routine), evidence));
        }
    }
    findings.extend(touched(rule, run, &sections, &told));
    findings
}

/// What the run ended by: a touch of a pageable section that is not the call of a routine that was told already.
fn touched(rule: &Rule, run: &Run<'_>, sections: &Sections<'_>, told: &BTreeSet<u64>) -> Option<Finding> {
    let Ending::Bugcheck(record) = run.ending else { return None };
    let address = record.parameters[0];
    if BugCheck(record.code) != BugCheck::DRIVER_PORTION_MUST_BE_NONPAGED || told.contains(&address) {
        return None;
    }
    let section = sections.at(address)?;
    let driver = run.driver_at(address)?;
    let by = record.at.map_or_else(|| "the kernel".into(), |at| run.place(at));
    let message = format!(
        "{by} touched {} in the pageable section `{}` at {}",
        run.place(address),
        section.name,
        Irql(record.parameters[1] as u8)
    );
    let last = run.events.last().map(|event| event.sequence);
    Some(rule.finding(driver, message, record.at, last.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::testing::*;
    use record::{Event, Mode, PageableSection, What};

    fn sections() -> What {
        let section = PageableSection { name: "PAGE".into(), address: ROUTINE_A, size: 0x100 };
        What::PageableSections { name: "a.sys".into(), base: 0x1_0000, sections: vec![section] }
    }

    fn at(irql: u8, mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            if matches!(event.what, What::NotifyBegin { .. } | What::DeliveryBegin { .. }) {
                event.irql = irql;
            }
        }
        events
    }

    fn ring() -> Vec<(u64, What)> {
        vec![
            (0, sections()),
            (IN_A, registered(ROUTINE_A)),
            (IN_B, notify(OBJECT, Mode::Held)),
            (IN_B, delivery()),
        ]
    }

    #[test]
    fn rb009_a_pageable_routine_called_at_dispatch_level_is_found() {
        let findings = judge(&at(2, stream(ring())), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].rule.0, &findings[0].evidence[..]), (9, &[1, 3][..]));
        let message = &findings[0].message;
        assert!(message.contains("`PAGE` and was called at DISPATCH_LEVEL"), "{message}");
        assert!(message.contains("registered by a.sys+0x110"), "{message}");
    }

    #[test]
    fn rb009_a_locked_section_or_a_low_irql_is_not() {
        assert!(judge(&at(1, stream(ring())), &modules(), &FINISHED).is_empty());
        let mut events = ring();
        events.insert(1, (IN_A, What::SectionLocked { address: ROUTINE_A, locks: 1 }));
        assert!(judge(&at(2, stream(events.clone())), &modules(), &FINISHED).is_empty());
        events.insert(2, (IN_A, What::SectionLocked { address: ROUTINE_A, locks: 0 }));
        assert_eq!(judge(&at(2, stream(events)), &modules(), &FINISHED).len(), 1);
    }

    #[test]
    fn rb009_a_registration_on_an_object_that_is_rung_at_dispatch_level_is_found() {
        let events = vec![(0, sections()), (IN_B, notify(OBJECT, Mode::Held)), (IN_A, registered(ROUTINE_A))];
        let findings = judge(&at(2, stream(events)), &modules(), &FINISHED);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.contains("which was rung at DISPATCH_LEVEL (event 1)"), "{findings:?}");
    }
}
