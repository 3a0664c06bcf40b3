//! From reasons to words.

use record::{Anomaly, Because, Severity, Value};

use super::kind::Kind;
use crate::memory::{Missing, Why};

/// Makes an anomaly.
pub(crate) fn anomaly(
    kind: Kind,
    severity: Severity,
    message: impl Into<String>,
    at: Option<u64>,
) -> Anomaly {
    Anomaly {
        kind: kind.name().to_owned(),
        severity,
        message: message.into(),
        benign: kind.benign().to_owned(),
        at,
    }
}

/// Turns a read into a value or its reason.
pub(crate) fn value<T>(read: Result<T, Missing>) -> Value<T> {
    match read {
        Ok(value) => Value::Known(value),
        Err(missing) => Value::Absent { absent: because(missing.why), why: missing.to_string() },
    }
}

fn because(why: Why) -> Because {
    match why {
        Why::NotInImage | Why::CutOff | Why::PrototypeMissing => Because::NotInImage,
        Why::PagedOut | Why::InFile => Because::PagedOut,
        _ => Because::Unreadable,
    }
}
