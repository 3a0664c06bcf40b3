//! How findings are taken, where it is not by their rule's own severity: the `[rules]` table, `--allow` and `--deny`.

use std::collections::BTreeMap;

use record::{Finding, RuleId, Severity};

use super::Mistake;

/// How the findings of a rule are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Not reported.
    Allow,
    /// A note: told, and no matter for the exit code.
    Note,
    /// A warning.
    Warn,
    /// An error.
    Deny,
}

impl Level {
    /// Every level with the word for it.
    pub(super) const ALL: [(&'static str, Self); 4] =
        [("allow", Self::Allow), ("note", Self::Note), ("warn", Self::Warn), ("deny", Self::Deny)];

    fn severity(self) -> Option<Severity> {
        match self {
            Self::Allow => None,
            Self::Note => Some(Severity::Note),
            Self::Warn => Some(Severity::Warning),
            Self::Deny => Some(Severity::Error),
        }
    }
}

/// The levels of rules. A rule without one keeps its severity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(BTreeMap<RuleId, Level>);

impl Levels {
    /// Sets the level of a rule, and returns the one it had.
    pub fn set(&mut self, rule: RuleId, level: Level) -> Option<Level> {
        self.0.insert(rule, level)
    }

    /// Returns the level of a rule, where one was set.
    pub fn get(&self, rule: RuleId) -> Option<Level> {
        self.0.get(&rule).copied()
    }

    /// Drops the findings that are allowed, gives the others the severity that was set, and returns how many were dropped.
    pub fn apply(&self, findings: &mut Vec<Finding>) -> usize {
        let before = findings.len();
        findings.retain(|finding| self.get(finding.rule) != Some(Level::Allow));
        for finding in findings.iter_mut() {
            if let Some(severity) = self.get(finding.rule).and_then(Level::severity) {
                finding.severity = severity;
            }
        }
        before - findings.len()
    }
}

/// Finds a rule by number or name.
///
/// # Errors
///
/// There is no such rule; the hint names a near one.
pub fn rule(name: &str) -> Result<RuleId, Mistake> {
    rules::find(name).map(|rule| rule.id).ok_or_else(|| {
        let numbers: Vec<String> = rules::RULES.iter().map(|rule| rule.id.to_string()).collect();
        let known = rules::RULES.iter().map(|rule| rule.slug).chain(numbers.iter().map(String::as_str));
        Mistake::unknown("rule", name, known, "`ringbell explain` lists the rules")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: u16) -> Finding {
        Finding {
            rule: RuleId(rule),
            slug: String::new(),
            severity: Severity::Warning,
            driver: None,
            message: String::new(),
            windows: String::new(),
            fix: String::new(),
            at: None,
            stack: Vec::new(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn what_is_allowed_goes_and_the_others_have_the_severity_that_was_set() {
        let mut levels = Levels::default();
        for (name, level) in [("RB004", Level::Allow), ("pool-leak", Level::Deny), ("rb001", Level::Note)] {
            assert_eq!(levels.set(rule(name).unwrap(), level), None);
        }
        let mut findings = vec![finding(4), finding(14), finding(2), finding(1)];
        assert_eq!(levels.apply(&mut findings), 1);
        let left: Vec<_> = findings.iter().map(|finding| (finding.rule.0, finding.severity)).collect();
        assert_eq!(left, [(14, Severity::Error), (2, Severity::Warning), (1, Severity::Note)]);
    }

    #[test]
    fn an_unknown_rule_is_refused_with_the_near_one() {
        let mistake = rule("pool-leek").unwrap_err();
        assert_eq!(mistake.message(), "unknown rule `pool-leek`");
        assert!(mistake.hint().starts_with("did you mean `pool-leak`?"), "{}", mistake.hint());
        assert!(rule("RB099").is_err());
        assert_eq!(rule("").unwrap_err().message(), "the rule is empty");
    }
}
