//! The drivers of a scenario as far as the file tells: who is there at which step, and under which name.

use super::driver::unique;
use super::mistake::printable;
use super::{Mistake, Place};

/// What is known of a driver.
#[derive(Clone, Debug)]
enum Life {
    Here,
    Left(Option<Place>),
}

/// Every driver that was loaded so far.
#[derive(Debug, Default)]
pub(super) struct Cast(Vec<(String, Life)>);

impl Cast {
    /// Lets a driver enter. Returns its name in the run.
    pub(super) fn enter(&mut self, name: &str) -> String {
        let name = unique(name, |name| self.has(name));
        self.0.push((name.clone(), Life::Here));
        name
    }

    /// Returns whether a driver of this name was loaded.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn unknown(&self, name: &str) -> Mistake {
        let names = self.0.iter().map(|(name, _)| name.as_str());
        let all: Vec<&str> = names.clone().collect();
        let otherwise = match all.as_slice() {
            [] => "no driver is loaded before this step".into(),
            few if few.len() <= 12 => format!("drivers loaded before: {}", few.join(", ")),
            many => format!("{} drivers are loaded before", many.len()),
        };
        Mistake::unknown("driver", name, names, &otherwise)
    }

    /// Finds a driver that was loaded.
    pub(super) fn find(&self, name: &str) -> Result<String, Mistake> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(known, _)| known.clone())
            .ok_or_else(|| self.unknown(name))
    }

    /// Lets a driver leave at `place`.
    pub(super) fn leave(&mut self, name: &str, place: Place) -> Result<(), Mistake> {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            None => Err(self.unknown(name)),
            Some((_, Life::Left(before))) => {
                let line =
                    before.as_ref().map(|place| format!(" in line {}", place.line)).unwrap_or_default();
                let message = format!("`{}` has left already{line}", printable(name));
                let hint = "load it again before; the second of a name is called `NAME#2`, or what `as` says";
                Err(Mistake::new(message, hint))
            }
            Some((_, life)) => {
                *life = Life::Left(Some(place));
                Ok(())
            }
        }
    }
}
