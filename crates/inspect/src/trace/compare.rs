//! Several logs side by side.

use std::collections::BTreeMap;

use record::{AskedName, TraceLog};

/// How often each log asks for a name.
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

/// Compares logs by name. Addresses say nothing across boots and are not compared.
#[must_use]
pub fn compare(logs: &[TraceLog]) -> Comparison {
    let mut names: BTreeMap<String, NameCounts> = BTreeMap::new();
    for (index, log) in logs.iter().enumerate() {
        for attempt in &log.attempts {
            let name = match &attempt.name {
                AskedName::Path(path) => path.as_str(),
                AskedName::Unnamed => "(unnamed)",
                AskedName::Unreadable(_) => "(unreadable)",
            };
            let counts = names
                .entry(name.to_lowercase())
                .or_insert_with(|| NameCounts { name: name.to_owned(), attempts: vec![0; logs.len()] });
            counts.attempts[index] += 1;
        }
    }
    Comparison { names: names.into_values().collect() }
}
