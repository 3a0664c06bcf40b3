//! The start of a machine as a list of `ExCreateCallback` calls.

use std::fmt::Write as _;

use nt::NTSTATUS;
use record::{CreateOutcome, Snapshot, What};
use serde_json::{Value, json};

use crate::text::printable;
use crate::windbg;

/// One call of `ExCreateCallback` and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateCall {
    /// Name asked for; `None` where `ObjectName` is NULL.
    pub name: Option<String>,
    /// Address of the `UNICODE_STRING`.
    pub name_at: u64,
    /// `OBJECT_ATTRIBUTES.Attributes`.
    pub attributes: u32,
    /// The `Create` argument.
    pub create: bool,
    /// The `AllowMultipleCallbacks` argument.
    pub multiple: bool,
    /// What it came to, and the status; `None` where the call never returned.
    pub result: Option<(CreateOutcome, NTSTATUS)>,
    /// Who called, where that is known.
    pub who: Option<String>,
    /// How far to trust caller and arguments, where they come from a record.
    pub certainty: Option<String>,
    /// What else is known; may be empty.
    pub note: String,
}

/// Collects the calls from what happened, in order. A call that is made inside another one is listed after it.
#[must_use]
pub fn create_calls<'a>(happened: impl IntoIterator<Item = &'a What>) -> Vec<CreateCall> {
    let mut calls = Vec::new();
    let mut open = Vec::new();
    for what in happened {
        match what {
            What::CreateAttempt { name, name_at, attributes, create, multiple } => {
                open.push(calls.len());
                calls.push(CreateCall {
                    name: name.clone(),
                    name_at: *name_at,
                    attributes: *attributes,
                    create: *create,
                    multiple: *multiple,
                    result: None,
                    who: None,
                    certainty: None,
                    note: String::new(),
                });
            }
            What::CreateResult { outcome, status, .. } => {
                if let Some(index) = open.pop() {
                    calls[index].result = Some((*outcome, NTSTATUS(*status)));
                }
            }
            _ => {}
        }
    }
    calls
}

/// Prints the calls as a breakpoint on `nt!ExCreateCallback` does.
#[must_use]
pub fn trace(calls: &[CreateCall]) -> String {
    calls.iter().map(|call| windbg::create_attempt(call.name_at, call.name.as_deref())).collect()
}

/// Prints the calls as a table with a sum below.
#[must_use]
pub fn table(calls: &[CreateCall]) -> String {
    let names: Vec<String> =
        calls.iter().map(|call| printable(call.name.as_deref().unwrap_or("(null)"))).collect();
    let callers: Vec<String> =
        calls.iter().map(|call| printable(call.who.as_deref().unwrap_or("?"))).collect();
    let trust: Vec<String> = calls.iter().map(|call| call.certainty.clone().unwrap_or_default()).collect();
    let width = |texts: &[String]| texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let (name_width, who_width) = (width(&names).max(4), width(&callers).max(3));
    let trust_width = match width(&trust) {
        0 => 0,
        longest => longest.max("known".len()) + 2,
    };
    let mut out = String::new();
    let head = if trust_width == 0 { "" } else { "known" };
    let _ = writeln!(
        out,
        "  #  {:<name_width$}  {:<who_width$}  {head:<trust_width$}outcome  status",
        "name", "who"
    );
    for (index, call) in calls.iter().enumerate() {
        let (name, who, trust) = (&names[index], &callers[index], &trust[index]);
        let (outcome, status) = match call.result {
            // The status says nothing that the outcome does not, unless the call failed.
            Some((outcome, status)) if status == nt::STATUS_SUCCESS => (outcome_word(outcome), String::new()),
            Some((outcome, status)) => (outcome_word(outcome), status.to_string()),
            None => ("never returned", String::new()),
        };
        let number = index + 1;
        let line = format!(
            "{number:>3}  {name:<name_width$}  {who:<who_width$}  {trust:<trust_width$}{outcome:<7}  {status}"
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{}", sum(calls));
    out
}

/// Prints who listens, one line per registration; nothing where nobody does.
#[must_use]
pub fn listeners(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for object in &snapshot.objects {
        for listener in &object.listeners {
            let routine = match &listener.routine_name {
                Some(name) => printable(name),
                None => format!("{:#x}", listener.routine),
            };
            let _ = writeln!(out, "  {routine} on {}", printable(&object.display_name()));
        }
    }
    if out.is_empty() { out } else { format!("\nlisteners\n{out}") }
}

/// `76 calls: 30 created, 5 unnamed, 40 opened, 1 failed`.
fn sum(calls: &[CreateCall]) -> String {
    let count = |wanted| {
        calls.iter().filter(|call| call.result.is_some_and(|(outcome, _)| outcome == wanted)).count()
    };
    let mut parts = Vec::new();
    for outcome in
        [CreateOutcome::Created, CreateOutcome::Unnamed, CreateOutcome::Opened, CreateOutcome::Failed]
    {
        if count(outcome) > 0 {
            parts.push(format!("{} {}", count(outcome), outcome_word(outcome)));
        }
    }
    let calls = if calls.len() == 1 { "1 call".to_owned() } else { format!("{} calls", calls.len()) };
    format!("{calls}: {}", parts.join(", "))
}

const fn outcome_word(outcome: CreateOutcome) -> &'static str {
    match outcome {
        CreateOutcome::Created => "created",
        CreateOutcome::Unnamed => "unnamed",
        CreateOutcome::Opened => "opened",
        CreateOutcome::Failed => "failed",
    }
}

/// Tells the calls to programs.
#[must_use]
pub fn json(calls: &[CreateCall]) -> Value {
    let call = |(index, call): (usize, &CreateCall)| {
        json!({
            "number": index + 1,
            "name": call.name,
            "name_at": format!("{:#x}", call.name_at),
            "attributes": format!("{:#x}", call.attributes),
            "create": call.create,
            "multiple": call.multiple,
            "who": call.who,
            "outcome": call.result.map(|(outcome, _)| outcome_word(outcome)),
            "status": call.result.map(|(_, status)| format!("0x{:08X}", status.0)),
            "status_name": call.result.and_then(|(_, status)| status.name()),
            "certainty": call.certainty,
            "note": (!call.note.is_empty()).then_some(&call.note),
        })
    };
    calls.iter().enumerate().map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: Option<&str>) -> What {
        What::CreateAttempt {
            name: name.map(str::to_owned),
            name_at: 0x10_0000_2000,
            attributes: 0x50,
            create: true,
            multiple: true,
        }
    }

    fn result(outcome: CreateOutcome, status: u32) -> What {
        What::CreateResult { name: None, outcome, object: 0, status }
    }

    #[test]
    fn calls_are_paired_with_their_results() {
        let happened = [
            attempt(Some("\\Callback\\A")),
            What::Note { text: "between".into(), details: Vec::new() },
            result(CreateOutcome::Created, 0),
            attempt(None),
            result(CreateOutcome::Failed, 0xC000_0001),
            attempt(Some("\\Callback\\B")),
        ];
        let mut calls = create_calls(&happened);
        calls[0].who = Some("nt!X".into());
        let text = table(&calls);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "  #  name         who   outcome  status",
                "  1  \\Callback\\A  nt!X  created",
                "  2  (null)       ?     failed   STATUS_UNSUCCESSFUL (0xC0000001)",
                "  3  \\Callback\\B  ?     never returned",
                "",
                "3 calls: 1 created, 1 failed",
            ]
        );
        assert_eq!(trace(&calls).lines().nth(1), Some("   +0x010 ObjectName : (null) "),);
        assert_eq!(json(&calls)[1]["status_name"], "STATUS_UNSUCCESSFUL");
        assert_eq!(json(&calls)[2]["outcome"], Value::Null);
    }

    #[test]
    fn a_call_inside_another_keeps_its_own_result() {
        let happened = [
            attempt(Some("outer")),
            attempt(Some("inner")),
            result(CreateOutcome::Opened, 0),
            result(CreateOutcome::Created, 0),
        ];
        let calls = create_calls(&happened);
        assert_eq!(calls[0].result, Some((CreateOutcome::Created, NTSTATUS(0))));
        assert_eq!(calls[1].result, Some((CreateOutcome::Opened, NTSTATUS(0))));
    }
}
