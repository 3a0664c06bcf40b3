//! Exports of the kernel, explained from the ledger.

use ntoskrnl::State;
use ntoskrnl::ledger::{LedgerEntry, ledger};
use serde_json::{Value, json};
use view::fields::Fields;

/// Finds an export by its exact name, which may have its module before it.
pub(super) fn find(name: &str) -> Option<LedgerEntry<'static>> {
    ledger().get(name.rsplit('!').next().unwrap_or(name))
}

/// Tells an export to people.
pub(super) fn text(entry: &LedgerEntry<'_>) -> String {
    let mut fields = Fields::titled(&format!("{}!{}", entry.module.name(), entry.name));
    fields
        .add("what", if entry.data { "a variable of the kernel" } else { "a routine of the kernel" })
        .add("family", &entry.about.title)
        .add("state", entry.state.name())
        .list("irql", entry.irql.map(|irql| format!("<= {irql}")))
        .list("missing", entry.note)
        .list("held by", entry.test);
    if entry.state == State::Absent {
        fields.add("takes", &entry.about.takes);
    }
    fields.finish()
}

/// Tells an export to programs.
pub(super) fn json(entry: &LedgerEntry<'_>) -> Value {
    json!({
        "kind": "export",
        "name": entry.name,
        "module": entry.module.name(),
        "data": entry.data,
        "family": entry.about.title,
        "state": entry.state.name(),
        "irql": entry.irql.map(|irql| irql.0),
        "note": entry.note,
        "test": entry.test,
        "takes": (entry.state == State::Absent).then_some(&entry.about.takes),
    })
}
