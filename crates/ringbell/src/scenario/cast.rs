//! The drivers of a scenario as far as the file tells: who is there at which step, and under which name.

use std::collections::BTreeMap;

use super::mistake::printable;
use super::{Mistake, Place};

/// Most names that a message lists.
const LISTED: usize = 12;

/// What is known of a driver.
#[derive(Debug)]
struct Role {
    /// How many came before it.
    number: usize,
    /// Where it was asked to leave.
    left: Option<Place>,
}

/// Every driver that was loaded so far.
#[derive(Debug, Default)]
pub(super) struct Cast {
    drivers: BTreeMap<String, Role>,
    /// The number that the last driver of a file name got.
    numbers: BTreeMap<String, u64>,
    /// Drivers there were when a group of steps began that is not over.
    group: Option<usize>,
}

impl Cast {
    /// Lets a driver enter. Returns its name in the run: that of the file, with `#2` behind it for the second.
    pub(super) fn enter(&mut self, file: &str) -> String {
        let mut name = file.to_owned();
        while self.has(&name) {
            let number = self.numbers.entry(file.into()).or_insert(1);
            *number += 1;
            name = format!("{file}#{number}");
        }
        self.drivers.insert(name.clone(), Role { number: self.drivers.len(), left: None });
        name
    }

    /// Returns whether a driver of this name was loaded.
    pub(super) fn has(&self, name: &str) -> bool {
        self.drivers.contains_key(name)
    }

    /// From here to the end of the group nothing comes before or after anything else.
    pub(super) fn begin_group(&mut self) {
        self.group = Some(self.drivers.len());
    }

    pub(super) fn end_group(&mut self) {
        self.group = None;
    }

    fn unknown(&self, name: &str) -> Mistake {
        let names = || self.drivers.keys().map(String::as_str);
        let otherwise = match self.drivers.len() {
            0 => "no driver is loaded before this".into(),
            1..=LISTED => format!("drivers loaded before: {}", names().collect::<Vec<_>>().join(", ")),
            many => format!("{many} drivers are loaded before"),
        };
        Mistake::unknown("driver", name, names(), &otherwise)
    }

    /// Finds a driver that was loaded.
    pub(super) fn find(&self, name: &str) -> Result<String, Mistake> {
        if self.has(name) { Ok(name.into()) } else { Err(self.unknown(name)) }
    }

    /// Lets a driver leave at `place`.
    pub(super) fn leave(&mut self, name: &str, place: Place) -> Result<(), Mistake> {
        if !self.has(name) {
            return Err(self.unknown(name));
        }
        let Some(role) = self.drivers.get_mut(name) else { return Ok(()) };
        if self.group.is_some_and(|before| role.number >= before) {
            let message = format!("`{}` is loaded by this very group", printable(name));
            let hint = "which of the two comes first is not decided; load it before, or unload it after";
            return Err(Mistake::new(message, hint));
        }
        if let Some(before) = &role.left {
            let message = format!("`{}` has left already, in line {}", printable(name), before.line);
            let hint = "load it again before; the second of a name is called `NAME#2`, or what `as` says";
            return Err(Mistake::new(message, hint));
        }
        role.left = Some(place);
        Ok(())
    }
}
