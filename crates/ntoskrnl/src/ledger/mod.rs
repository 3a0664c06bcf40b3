//! The ledger: every export of the kernel that is known, and how much of it is there.
//!
//! It is data (`exports.toml`) and works on every platform. `ringbell imports` and the book read it; the table of code is held to it
//! by tests.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use nt::Irql;
use serde::Deserialize;

use crate::export::{Module, State};

#[cfg(test)]
mod tests;

/// A group of exports that need the same thing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// What to call it.
    pub title: String,
    /// What it would take to build an export of it that is absent.
    pub takes: String,
}

/// What the ledger says about one export.
#[derive(Clone, Copy, Debug)]
pub struct LedgerEntry<'a> {
    /// Name.
    pub name: &'a str,
    /// Module that drivers import it from.
    pub module: Module,
    /// Key of its family.
    pub family: &'a str,
    /// Its family.
    pub about: &'a Family,
    /// How much of it is there.
    pub state: State,
    /// Whether it is a variable.
    pub data: bool,
    /// Highest IRQL its contract allows, for a routine that is there.
    pub irql: Option<Irql>,
    /// Lowest IRQL its contract allows, where there is one.
    pub lowest: Option<Irql>,
    /// Test that holds it: a function of this crate, `rtl::tests::memory`, or a line of a fixture driver.
    pub test: Option<&'a str>,
    /// What is missing, or different.
    pub note: Option<&'a str>,
}

/// All of it.
#[derive(Debug)]
pub struct Ledger {
    raw: Raw,
    /// Name to module, family and, where it is there, the line.
    index: BTreeMap<String, (Module, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    families: BTreeMap<String, Family>,
    routines: Modules<BTreeMap<String, Line>>,
    #[serde(default)]
    variables: BTreeMap<String, Line>,
    absent: Modules<BTreeMap<String, Vec<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Modules<T> {
    ntoskrnl: T,
    hal: T,
}

impl<T> Modules<T> {
    fn each(&self) -> [(Module, &T); 2] {
        [(Module::Ntoskrnl, &self.ntoskrnl), (Module::Hal, &self.hal)]
    }

    fn of(&self, module: Module) -> &T {
        match module {
            Module::Ntoskrnl => &self.ntoskrnl,
            Module::Hal => &self.hal,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    family: String,
    state: Word,
    irql: Option<Level>,
    lowest: Option<Level>,
    test: Option<String>,
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Full,
    Partial,
    Stub,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Passive,
    Apc,
    Dispatch,
    Clock,
    High,
}

impl Level {
    const fn irql(self) -> Irql {
        match self {
            Self::Passive => Irql::PASSIVE,
            Self::Apc => Irql::APC,
            Self::Dispatch => Irql::DISPATCH,
            Self::Clock => Irql::CLOCK,
            Self::High => Irql::HIGH,
        }
    }
}

impl Ledger {
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let raw: Raw = toml::from_str(text)?;
        let mut index = BTreeMap::new();
        for (module, lists) in raw.absent.each() {
            for (family, names) in lists {
                index.extend(names.iter().map(|name| (name.clone(), (module, family.clone()))));
            }
        }
        for (module, lines) in raw.routines.each() {
            index.extend(lines.iter().map(|(name, line)| (name.clone(), (module, line.family.clone()))));
        }
        let variables = raw.variables.iter();
        index.extend(variables.map(|(name, line)| (name.clone(), (Module::Ntoskrnl, line.family.clone()))));
        Ok(Self { raw, index })
    }

    /// Returns the entry of an export, whichever module a driver names: newer kernels export what the HAL used to.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<LedgerEntry<'_>> {
        let (name, (module, family)) = self.index.get_key_value(name)?;
        let variable = self.raw.variables.get(name);
        let line = variable.or_else(|| self.raw.routines.of(*module).get(name));
        Some(LedgerEntry {
            name,
            module: *module,
            family,
            about: self.raw.families.get(family)?,
            state: line.map_or(State::Absent, |line| match line.state {
                Word::Full => State::Full,
                Word::Partial => State::Partial,
                Word::Stub => State::Stub,
            }),
            data: variable.is_some(),
            irql: line.and_then(|line| line.irql).map(Level::irql),
            lowest: line.and_then(|line| line.lowest).map(Level::irql),
            test: line.and_then(|line| line.test.as_deref()),
            note: line.and_then(|line| line.note.as_deref()),
        })
    }

    /// Returns all entries, sorted by name.
    pub fn entries(&self) -> impl Iterator<Item = LedgerEntry<'_>> {
        self.index.keys().filter_map(|name| self.get(name))
    }

    /// Returns the families, sorted by key.
    pub fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.raw.families.iter().map(|(key, family)| (key.as_str(), family))
    }
}

/// Returns the ledger. The first call parses it.
///
/// # Panics
///
/// Never: a test parses the same text.
#[must_use]
pub fn ledger() -> &'static Ledger {
    static LEDGER: OnceLock<Ledger> = OnceLock::new();
    LEDGER.get_or_init(|| Ledger::parse(include_str!("../../exports.toml")).expect("the ledger is valid"))
}

/// Looks up what a driver imports. `None` for another module, and for a name that no kernel is known to export.
///
/// ```
/// use ringbell_ntoskrnl::{State, ledger};
/// let entry = ledger::lookup("NTOSKRNL.EXE", "DbgPrint").unwrap();
/// assert_eq!(entry.state, State::Full);
/// assert!(ledger::lookup("WDFLDR.SYS", "WdfVersionBind").is_none());
/// ```
#[must_use]
pub fn lookup(module: &str, name: &str) -> Option<LedgerEntry<'static>> {
    let ours =
        ["ntoskrnl.exe", "hal.dll", "ntoskrnl", "hal"].iter().any(|known| known.eq_ignore_ascii_case(module));
    if ours { ledger().get(name) } else { None }
}
