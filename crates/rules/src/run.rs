//! A run as the rules see it: the stream with the questions that several rules ask of it.

use std::collections::BTreeMap;

use record::{CreateOutcome, Ending, EntryPoint, Event, KERNEL, Left, Made, Modules, Snapshot, What};

/// The records of one run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The event stream.
    pub events: &'a [Event],
    /// Every module of the run.
    pub modules: &'a Modules,
    /// How it ended.
    pub ending: &'a Ending,
}

/// A driver's departure: its audit in the stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure<'a> {
    /// Index of the audit event.
    pub(crate) index: usize,
    /// The driver that left.
    pub(crate) driver: &'a str,
    /// Callback objects at that moment.
    pub(crate) snapshot: &'a Snapshot,
}

/// What a driver left behind, other than pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeftBehind<'a> {
    /// Index of the event that tells it.
    pub(crate) index: usize,
    /// The driver that left.
    pub(crate) driver: &'a str,
    /// The things.
    pub(crate) things: &'a [Left],
}

impl<'a> Run<'a> {
    /// Wraps the records of a run.
    pub fn new(events: &'a [Event], modules: &'a Modules, ending: &'a Ending) -> Self {
        Self { events, modules, ending }
    }

    /// Visits every event with what is open around it: the calls of routines and the notifies of its thread that have
    /// begun and not ended, outermost first. The event that ends one is visited with that one innermost.
    pub(crate) fn walk(&self, mut visit: impl FnMut(usize, &'a Event, &[&'a Event])) {
        let mut threads: BTreeMap<u32, Vec<&'a Event>> = BTreeMap::new();
        for (index, event) in self.events.iter().enumerate() {
            let open = threads.entry(event.thread).or_default();
            match &event.what {
                // A thread that ended inside of a call left it open, and its number may be used again.
                What::EntryCalled { entry: EntryPoint::Thread, .. } => open.clear(),
                what => {
                    if let Some(begin) = open.iter().rposition(|begin| ends(&begin.what, what)) {
                        open.truncate(begin + 1);
                        visit(index, event, open);
                        open.pop();
                        continue;
                    }
                }
            }
            visit(index, event, open);
            if let What::ExceptionHandled { outcome, .. } = &event.what {
                // A notify that an exception left never ends.
                for _ in 0..outcome.notifies_left(self.modules) {
                    let notify =
                        open.iter().rposition(|begin| matches!(begin.what, What::NotifyBegin { .. }));
                    open.truncate(notify.unwrap_or(open.len()));
                }
            }
            if matches!(
                event.what,
                What::EntryCalled { .. } | What::NotifyBegin { .. } | What::DeliveryBegin { .. }
            ) {
                open.push(event);
            }
        }
    }

    /// Returns whether the image at `base` has been unloaded before event `index`.
    pub(crate) fn unloaded_before(&self, base: u64, index: usize) -> bool {
        self.events[..index]
            .iter()
            .any(|event| matches!(event.what, What::ImageUnloaded { base: gone, .. } if gone == base))
    }

    /// Returns who registered `registration` last before event `index`.
    pub(crate) fn registered(&self, registration: u64, index: usize) -> Option<&'a Event> {
        self.events[..index]
            .iter()
            .rev()
            .find(|event| matches!(event.what, What::Registered { registration: r, .. } if r == registration))
    }

    /// Returns the departures in order.
    pub(crate) fn departures(&self) -> impl Iterator<Item = Departure<'a>> {
        self.events.iter().enumerate().filter_map(|(index, event)| match &event.what {
            What::Audit { driver: Some(driver), snapshot } => Some(Departure { index, driver, snapshot }),
            _ => None,
        })
    }

    /// Returns what drivers left behind, in order.
    pub(crate) fn left_behind(&self) -> impl Iterator<Item = LeftBehind<'a>> {
        self.events.iter().enumerate().filter_map(|(index, event)| match &event.what {
            What::LeftBehind { driver, things } => Some(LeftBehind { index, driver, things }),
            _ => None,
        })
    }

    /// Returns the departure audit of `driver` that follows event `index`.
    pub(crate) fn audit_of(&self, driver: &str, index: usize) -> Option<&'a Event> {
        self.events[index..]
            .iter()
            .find(|later| matches!(&later.what, What::Audit { driver: Some(gone), .. } if gone == driver))
    }

    /// Returns the name of the driver whose code contains `address`; the kernel is not a driver.
    pub(crate) fn driver_at(&self, address: u64) -> Option<&'a str> {
        self.modules.find(address).map(|module| module.name.as_str()).filter(|name| *name != KERNEL)
    }

    /// Returns the driver whose code caused `event`.
    pub(crate) fn driver_of(&self, event: &Event) -> Option<&'a str> {
        event.caller.and_then(|caller| self.driver_at(caller))
    }

    /// Returns the call stack at `at`: that of the event among `evidence` which happened there, or that of the ending.
    pub(crate) fn stack(&self, at: Option<u64>, evidence: &[u64]) -> Vec<u64> {
        let happened = |event: &&Event| event.caller == at && !event.stack.is_empty();
        let mut shown = evidence.iter().filter_map(|sequence| {
            let index = self.events.binary_search_by_key(sequence, |event| event.sequence).ok()?;
            self.events.get(index)
        });
        match (shown.find(happened), self.ending) {
            _ if at.is_none() => Vec::new(),
            (Some(event), _) => event.stack.clone(),
            (None, Ending::Hang(hang)) if hang.at == at => hang.stack.clone(),
            (None, Ending::Bugcheck(check)) if check.at == at => check.stack.clone(),
            (None, _) => Vec::new(),
        }
    }

    /// Returns how to print a code address.
    pub(crate) fn place(&self, address: u64) -> String {
        self.modules.locate(address).to_string()
    }

    /// Returns ` by listener.sys+0x1a2c (DriverEntry+0x1c)`, or nothing where the caller is not known.
    pub(crate) fn by(&self, event: &Event) -> String {
        event.caller.map(|caller| format!(" by {}", self.place(caller))).unwrap_or_default()
    }

    /// Returns ` (set by listener.sys+0x1a2c (DriverEntry+0x1c) at 0.0000007 s)` for the verb `set`, or nothing where nobody knows.
    pub(crate) fn made(&self, verb: &str, made: &Made) -> String {
        /// Units of virtual time in a second.
        const SECOND: u64 = 10_000_000;
        if made.caller == 0 {
            return String::new();
        }
        let (seconds, rest) = (made.time / SECOND, made.time % SECOND);
        format!(" ({verb} by {} at {seconds}.{rest:07} s)", self.place(made.caller))
    }

    /// Returns the name the object at `address` was last created or opened under before event `index`.
    ///
    /// Addresses are reused after an object is deleted, so the search goes backward.
    pub(crate) fn object_name(&self, address: u64, index: usize) -> String {
        let name = self.events[..index].iter().rev().find_map(|event| match &event.what {
            What::CreateResult { name, object, outcome, .. }
                if *object == address && *outcome != CreateOutcome::Failed =>
            {
                Some(name.clone())
            }
            _ => None,
        });
        match name {
            Some(Some(name)) if !name.is_empty() => format!("`{name}`"),
            Some(_) => format!("the unnamed callback object {address:#x}"),
            None => format!("the callback object {address:#x}"),
        }
    }
}

/// Whether `end` ends what `begin` began.
fn ends(begin: &What, end: &What) -> bool {
    match (begin, end) {
        (What::EntryCalled { routine, .. }, What::EntryReturned { routine: over, .. }) => routine == over,
        (What::NotifyBegin { object, .. }, What::NotifyEnd { object: over, .. }) => object == over,
        (What::DeliveryBegin { registration, .. }, What::DeliveryEnd { registration: over, .. }) => {
            registration == over
        }
        _ => false,
    }
}
