//! Listeners of one object in two images.

use std::collections::{BTreeMap, VecDeque};

use record::{Change, FoundListener, FoundObject, ListenerChange, Value};

/// What may be relied on to match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// The kernels are of one build.
    pub(super) same_build: bool,
    /// The images look like one boot.
    pub(super) same_boot: bool,
}

impl Keys {
    /// What a listener is matched by.
    fn of(self, listener: &FoundListener) -> String {
        match (&listener.symbol, &listener.place, &listener.routine) {
            (Value::Known(symbol), Value::Known(place), _) => {
                format!("{}!{symbol}", module(place)).to_lowercase()
            }
            (_, Value::Known(place), _) if self.same_build => place.to_lowercase(),
            (_, Value::Known(place), _) => module(place).to_lowercase(),
            // Outside every module an address means something within one boot only.
            (_, _, Value::Known(routine)) if self.same_boot => format!("{routine:#x}"),
            _ => "outside".to_owned(),
        }
    }

    /// The keys of all listeners, in order.
    pub(super) fn of_all(self, object: &FoundObject) -> String {
        object.listeners.iter().map(|it| format!(" <- {}", self.of(it))).collect()
    }

    /// The modules of all listeners, in order.
    pub(super) fn modules_of(self, object: &FoundObject) -> String {
        object.listeners.iter().map(|it| format!(" <- {}", owner(it))).collect()
    }
}

fn module(place: &str) -> &str {
    place.split_once('+').map_or(place, |(module, _)| module)
}

fn owner(listener: &FoundListener) -> String {
    listener.place.known().map_or_else(|| "outside".to_owned(), |place| module(place).to_lowercase())
}

fn shown(listener: &FoundListener) -> String {
    match (&listener.place, &listener.routine) {
        (Value::Known(place), _) => match &listener.symbol {
            Value::Known(symbol) => format!("{place} ({symbol})"),
            Value::Absent { .. } => place.clone(),
        },
        (_, Value::Known(routine)) => format!("{routine:#x}"),
        (Value::Absent { absent, .. }, _) => format!("({absent})"),
    }
}

fn change(
    change: Change,
    before: Option<&FoundListener>,
    after: Option<&FoundListener>,
    what: &str,
) -> ListenerChange {
    ListenerChange {
        change,
        before: before.map(shown),
        after: after.map(shown),
        registration_before: before.map(|it| it.registration),
        registration_after: after.map(|it| it.registration),
        what: what.to_owned(),
    }
}

/// Lists every listener of an object that was added or removed.
pub(super) fn all(object: &FoundObject, what: Change) -> Vec<ListenerChange> {
    object
        .listeners
        .iter()
        .map(|it| {
            if what == Change::Removed {
                change(what, Some(it), None, "")
            } else {
                change(what, None, Some(it), "")
            }
        })
        .collect()
}

/// Compares the listeners of an object with those of its counterpart.
pub(super) fn compare(before: &FoundObject, after: &FoundObject, keys: Keys) -> Vec<ListenerChange> {
    let mut left: Vec<(usize, &FoundListener)> = before.listeners.iter().enumerate().collect();
    let mut right: Vec<(usize, &FoundListener)> = after.listeners.iter().enumerate().collect();
    let mut out = Vec::new();
    let mut kept = Vec::new();
    pair(
        &mut left,
        &mut right,
        |it| keys.of(it.1),
        |a, b| {
            kept.push((a.0, b.0));
            if keys.same_boot
                && let (Some(was), Some(is)) = (a.1.context.get(), b.1.context.get())
                && was != is
            {
                let what = format!("the context was {was:#x}, is {is:#x}");
                out.push(change(Change::Changed, Some(a.1), Some(b.1), &what));
            }
        },
    );
    // Of what is left, the same module at another offset is another routine of it, or an update of the driver.
    pair(
        &mut left,
        &mut right,
        |it| owner(it.1),
        |a, b| {
            let what = "another routine of the same module, or another version of it";
            out.push(change(Change::Replaced, Some(a.1), Some(b.1), what));
        },
    );
    // The same place on the list is an exchange; routines are only ever appended.
    pair(
        &mut left,
        &mut right,
        |it| it.0,
        |a, b| {
            out.push(change(Change::Replaced, Some(a.1), Some(b.1), "at the same place on the list"));
        },
    );
    out.extend(left.into_iter().map(|(_, it)| change(Change::Removed, Some(it), None, "")));
    out.extend(right.into_iter().map(|(_, it)| change(Change::Added, None, Some(it), "")));
    if kept.windows(2).any(|two| two[0].0 < two[1].0 && two[0].1 > two[1].1) {
        out.push(ListenerChange {
            change: Change::Changed,
            before: None,
            after: None,
            registration_before: None,
            registration_after: None,
            what: "routines that both images have stand in another order; the kernel only ever appends"
                .to_owned(),
        });
    }
    out
}

type Place<'a> = (usize, &'a FoundListener);

/// Pairs what has the same key, first come first served, and takes it off both lists.
fn pair<'a, K: Ord>(
    left: &mut Vec<Place<'a>>,
    right: &mut Vec<Place<'a>>,
    key: impl Fn(&Place<'a>) -> K,
    mut found: impl FnMut(Place<'a>, Place<'a>),
) {
    let mut waiting: BTreeMap<K, VecDeque<Place<'a>>> = BTreeMap::new();
    for it in right.iter() {
        waiting.entry(key(it)).or_default().push_back(*it);
    }
    left.retain(|it| match waiting.get_mut(&key(it)).and_then(VecDeque::pop_front) {
        Some(other) => {
            found(*it, other);
            false
        }
        None => true,
    });
    let mut rest: Vec<Place<'a>> = waiting.into_values().flatten().collect();
    rest.sort_by_key(|it| it.0);
    *right = rest;
}
