//! Several logs side by side.

use std::collections::BTreeMap;

use record::{AskedName, TraceLog};

/// How often each log asks for a name, or lists it where the log holds no attempts, only directory listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameCounts {
    /// The name as first spelled, `(unnamed)` or `(unreadable)`.
    pub name: String,
    /// Attempts in each log, in the order of the logs.
    pub attempts: Vec<u32>,
}

impl NameCounts {
    /// Tells whether some log lacks the name.
    #[must_use]
    pub fn is_missing_somewhere(&self) -> bool {
        self.attempts.contains(&0)
    }

    /// Tells whether the logs disagree.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.attempts.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Several logs compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Every name that occurs, sorted without regard to case.
    pub names: Vec<NameCounts>,
}

impl Comparison {
    /// Tells whether every log asks for the same names equally often.
    #[must_use]
    pub fn agrees(&self) -> bool {
        !self.names.iter().any(NameCounts::differs)
    }
}

/// Compares logs by name. A log of directory listings, without attempts, counts the callback objects that they list. Addresses say nothing across boots and are not compared.
#[must_use]
pub fn compare(logs: &[TraceLog]) -> Comparison {
    let mut names: BTreeMap<String, NameCounts> = BTreeMap::new();
    for (index, log) in logs.iter().enumerate() {
        let mut count = |name: &str| {
            let counts = names
                .entry(name.to_lowercase())
                .or_insert_with(|| NameCounts { name: name.to_owned(), attempts: vec![0; logs.len()] });
            counts.attempts[index] += 1;
        };
        for attempt in &log.attempts {
            count(match &attempt.name {
                AskedName::Path(path) => path.as_str(),
                AskedName::Unnamed => "(unnamed)",
                AskedName::Unreadable(_) => "(unreadable)",
            });
        }
        if log.attempts.is_empty() {
            for object in log.listed.iter().filter(|object| object.type_name == "Callback") {
                // The debugger prints a directory without what it lies in; callback objects live below the root's `Callback`.
                count(&format!("\\{}\\{}", object.directory.trim_matches('\\'), object.name));
            }
        }
    }
    Comparison { names: names.into_values().collect() }
}
