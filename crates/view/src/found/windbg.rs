//! The dialect of `!object`, with what a debugger does not print for a callback object below it.

use std::fmt::Write as _;

use record::{FoundObject, Inspection};

use super::{address, anomaly, evidence, foot, head, routine, told};
use crate::text::printable;

/// Prints an inspection as a debugger would.
#[must_use]
pub fn windbg(found: &Inspection) -> String {
    let mut out = head(found);
    for it in &found.objects {
        out.push('\n');
        object(it, &mut out);
    }
    out.push_str(&foot(found));
    out
}

fn object(object: &FoundObject, out: &mut String) {
    let _ = writeln!(out, "Object: {}  Type: Callback", address(object.address));
    let _ = writeln!(out, "    ObjectHeader: {}", address(object.header));
    let _ = writeln!(
        out,
        "    HandleCount: {}  PointerCount: {}",
        told(&object.handle_count, i64::to_string),
        told(&object.pointer_count, i64::to_string)
    );
    let permanent = told(&object.permanent, |it| if *it { "permanent" } else { "temporary" }.to_owned());
    let _ = writeln!(out, "    Name: {}  {permanent}", printable(&object.display_name()));
    let _ = writeln!(
        out,
        "    Flags: {}  InfoMask: {}  SecurityDescriptor: {}",
        told(&object.flags, |flags| format!("{flags:#04x}")),
        told(&object.info_mask, |mask| format!("{mask:#04x}")),
        told(&object.security_descriptor, |at| address(*at))
    );
    let _ = writeln!(
        out,
        "    AllowMultipleCallbacks: {}  Lock: {}",
        told(&object.allow_multiple, |it| if *it { "TRUE" } else { "FALSE" }.to_owned()),
        told(&object.lock, |lock| format!("{lock:#x}"))
    );
    let _ = writeln!(out, "    Global list: {}", told(&object.linkage, |text| printable(text)));
    let _ = writeln!(out, "    Pool: {}", told(&object.pool, |text| printable(text)));
    if let Some(whose) = object.attribution.known() {
        let _ = writeln!(out, "    Rung by: {}", printable(whose));
    }
    if let Some(known) = &object.known_as {
        let _ = writeln!(out, "    Catalog: {}", printable(known));
    }
    let _ = writeln!(out, "    Seen by: {} ({})", evidence(object.evidence), object.confidence.word());
    if !object.listeners.is_empty() {
        let _ = writeln!(out, "\n     Registration       Context            Busy Wait  Routine");
        let _ = writeln!(out, "     ------------       -------            ---- ----  -------");
        for listener in &object.listeners {
            let _ = writeln!(
                out,
                "     {:<17}  {:<17}  {:>4} {:<4}  {}",
                address(listener.registration),
                told(&listener.context, |at| address(*at)),
                told(&listener.busy, u32::to_string),
                told(&listener.waiting, |it| if *it { "yes" } else { "no" }.to_owned()),
                routine(listener)
            );
        }
    }
    if let Some(cut) = &object.listeners_cut {
        let _ = writeln!(out, "    listeners: not all: {}", printable(cut));
    }
    for it in object.all_anomalies() {
        let _ = writeln!(out, "    {}", anomaly(it));
    }
}
