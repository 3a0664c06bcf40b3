//! Rules, explained.

use record::Severity;
use rules::Rule;
use serde_json::{Value, json};
use view::fields::Fields;

/// Tells a rule to people.
pub(super) fn text(rule: &Rule) -> String {
    let mut fields = Fields::titled(&format!("{} {}", rule.id, rule.slug));
    fields
        .add("what", rule.summary)
        .add("severity", severity(rule))
        .add("windows", rule.windows)
        .add("fix", rule.fix)
        .add("found by", rule.detection);
    fields.finish()
}

/// Tells a rule to programs.
pub(super) fn json(rule: &Rule) -> Value {
    json!({
        "kind": "rule",
        "id": rule.id.to_string(),
        "slug": rule.slug,
        "severity": severity(rule),
        "summary": rule.summary,
        "windows": rule.windows,
        "fix": rule.fix,
        "detection": rule.detection,
    })
}

fn severity(rule: &Rule) -> &'static str {
    match rule.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
