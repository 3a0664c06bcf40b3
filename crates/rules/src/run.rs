//! A run as the rules see it: the stream with the questions that several rules ask of it.

use record::{CreateOutcome, Event, KERNEL, Modules, Snapshot, What};

/// The records of one run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The event stream.
    pub events: &'a [Event],
    /// Every module of the run.
    pub modules: &'a Modules,
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

impl<'a> Run<'a> {
    /// Wraps the records of a run.
    pub fn new(events: &'a [Event], modules: &'a Modules) -> Self {
        Self { events, modules }
    }

    /// Returns the departures in order.
    pub(crate) fn departures(&self) -> impl Iterator<Item = Departure<'a>> {
        self.events.iter().enumerate().filter_map(|(index, event)| match &event.what {
            What::Audit { driver: Some(driver), snapshot } => Some(Departure { index, driver, snapshot }),
            _ => None,
        })
    }

    /// Returns the name of the driver whose code contains `address`; the kernel is not a driver.
    pub(crate) fn driver_at(&self, address: u64) -> Option<&'a str> {
        self.modules.find(address).map(|module| module.name.as_str()).filter(|name| *name != KERNEL)
    }

    /// Returns the driver whose code caused `event`.
    pub(crate) fn driver_of(&self, event: &Event) -> Option<&'a str> {
        event.caller.and_then(|caller| self.driver_at(caller))
    }

    /// Returns how to print a code address.
    pub(crate) fn place(&self, address: u64) -> String {
        self.modules.locate(address).to_string()
    }

    /// Returns ` by listener.sys+0x1a2c (DriverEntry+0x1c)`, or nothing where the caller is not known.
    pub(crate) fn by(&self, event: &Event) -> String {
        event.caller.map(|caller| format!(" by {}", self.place(caller))).unwrap_or_default()
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
            Some(Some(name)) => format!("`{name}`"),
            Some(None) => format!("the unnamed callback object {address:#x}"),
            None => format!("the callback object {address:#x}"),
        }
    }
}
