//! What NT allows, held against what came of a history.
//!
//! A history has one thread, so for every call there is one right answer: a notify calls the first registration behind the one it
//! called last, in the order of registration, among those that are registered at that moment; it ends when there is none. What follows is what people
//! rely on: the order of registration, that what a routine registers is called by the same notify, and that nothing is called after
//! `ExUnregisterCallback` returned.

use std::collections::BTreeMap;

use crate::play::Line;

/// A notify under way.
struct Ringing {
    object: usize,
    last: Option<usize>,
}

/// Looks through the lines.
///
/// # Errors
///
/// Returns the first line that NT would not write, and why.
pub(crate) fn judge(lines: &[Line]) -> Result<(), String> {
    // Objects of the listeners that are registered. Listeners have numbers in the order of their registration.
    let mut registered: BTreeMap<usize, usize> = BTreeMap::new();
    let mut ringing: BTreeMap<usize, Ringing> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let wrong = |why: &str| Err(format!("line {index}, {line:?}: {why}"));
        let next = |registered: &BTreeMap<usize, usize>, object: usize, last: Option<usize>| {
            let later = registered.range(last.map_or(0, |last| last + 1)..);
            later.filter(|(_, its)| **its == object).map(|(listener, _)| *listener).next()
        };
        match line {
            Line::Registered { object, listener: Some(listener) } => {
                registered.insert(*listener, *object);
            }
            Line::Leaves { listener } => match registered.remove(listener) {
                Some(_) => {}
                None => return wrong("it is not registered"),
            },
            Line::Rings { notify, object } => {
                ringing.insert(*notify, Ringing { object: *object, last: None });
            }
            Line::Called { notify, listener } => {
                let Some(its) = ringing.get_mut(notify) else {
                    return wrong("a notify that is not under way");
                };
                match next(&registered, its.object, its.last) {
                    Some(due) if due == *listener => its.last = Some(due),
                    Some(due) => return wrong(&format!("the next is listener {due}")),
                    None => return wrong("there is no next"),
                }
            }
            Line::Rung { notify } => {
                let Some(its) = ringing.remove(notify) else {
                    return wrong("a notify that is not under way");
                };
                if let Some(due) = next(&registered, its.object, its.last) {
                    return wrong(&format!("listener {due} was not called"));
                }
            }
            Line::Stepped { object, from, to } if next(&registered, *object, *from) != *to => {
                return wrong("not the next");
            }
            Line::Seen(objects) => {
                for seen in objects {
                    let Some(object) = seen.object else { continue };
                    let listed = seen.listeners.iter().map(|(listener, _)| *listener);
                    let due = registered
                        .iter()
                        .filter(|(_, its)| **its == object)
                        .map(|(listener, _)| Some(*listener));
                    if !listed.eq(due) {
                        return wrong(&format!("the list of object {object}"));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}
