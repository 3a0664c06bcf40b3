//! What happened since the last look, gathered from the event stream as it grows.

use std::collections::BTreeMap;
use std::ops::Range;

use record::{CreateOutcome, Event, What};

/// A routine that was called.
#[derive(Clone, Debug)]
struct Delivery {
    object: Option<String>,
    driver: Option<String>,
}

/// A text that a driver printed.
#[derive(Clone, Debug)]
struct Print {
    text: String,
    driver: Option<String>,
}

/// Reads each event once.
#[derive(Clone, Debug, Default)]
pub(super) struct Observer {
    /// Events read so far.
    read: usize,
    /// Names of callback objects by address.
    names: BTreeMap<u64, String>,
    /// Every image that was ever mapped: no range is used twice.
    images: Vec<(String, Range<u64>)>,
    deliveries: Vec<Delivery>,
    prints: Vec<Print>,
}

impl Observer {
    /// Forgets what happened before, and reads what happened since.
    pub(super) fn look(&mut self, events: &[Event]) {
        self.deliveries.clear();
        self.prints.clear();
        for event in events.get(self.read..).unwrap_or_default() {
            self.learn(event);
        }
        self.read = events.len();
    }

    fn learn(&mut self, event: &Event) {
        match &event.what {
            What::ImageLoaded { name, base, size, .. } => {
                self.images.push((name.clone(), *base..base + size));
            }
            What::CreateResult { name: Some(name), object, outcome, .. }
                if *outcome != CreateOutcome::Failed =>
            {
                self.names.insert(*object, name.clone());
            }
            What::CreateResult { name: None, object, .. } | What::ObjectDeleted { object, .. } => {
                self.names.remove(object);
            }
            What::DeliveryBegin { object, routine, .. } => {
                let (object, driver) = (self.names.get(object).cloned(), self.driver(*routine));
                self.deliveries.push(Delivery { object, driver });
            }
            What::DebugPrint { text, .. } => {
                let driver = event.caller.and_then(|caller| self.driver(caller));
                self.prints.push(Print { text: text.clone(), driver });
            }
            _ => {}
        }
    }

    /// Returns the driver whose image holds `address`.
    pub(super) fn driver(&self, address: u64) -> Option<String> {
        self.images.iter().find(|(_, range)| range.contains(&address)).map(|(name, _)| name.clone())
    }

    /// Counts calls of routines.
    pub(super) fn deliveries(&self, object: Option<&str>, driver: Option<&str>) -> u32 {
        let named = |delivery: &&Delivery| {
            object.is_none_or(|wanted| {
                delivery.object.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            }) && driver.is_none_or(|wanted| delivery.driver.as_deref() == Some(wanted))
        };
        self.deliveries.iter().filter(named).count() as u32
    }

    /// Returns what was printed.
    pub(super) fn prints<'a>(&'a self, driver: Option<&'a str>) -> impl Iterator<Item = &'a str> {
        let by = move |print: &&Print| driver.is_none_or(|wanted| print.driver.as_deref() == Some(wanted));
        self.prints.iter().filter(by).map(|print| print.text.as_str())
    }
}
