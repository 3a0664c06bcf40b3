//! The table of anomalies: what each kind is called, and how it may come about where nothing is wrong.
//!
//! An anomaly is an observation, never a verdict: its words are neutral, and every kind has a harmless explanation.

/// Declares the kinds, so that none is without a name and an explanation.
macro_rules! kinds {
    ($($variant:ident $name:literal: $benign:literal;)+) => {
        /// A kind of anomaly.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($variant),+ }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the name that reports carry.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Gives the harmless explanation.
            pub(crate) const fn benign(self) -> &'static str {
                match self { $(Self::$variant => $benign),+ }
            }
        }
    };
}

kinds! {
    SignatureMissing "signature-missing": "torn acquisition";
    NotOnList "not-on-list": "caught while it was created or deleted";
    TypeIndexDiffers "type-index-differs":
        "torn acquisition, or a remnant whose header was used again";
    NoSecurity "no-security": "caught while it was created or deleted, or torn acquisition";
    NameRemoved "name-removed": "made temporary while a handle was open";
    TooFewReferences "too-few-references": "torn acquisition, or caught between two steps of registering or deleting";
    HeaderDoesNotFit "header-does-not-fit": "caught while it was created";
    NotInItsDirectory "not-in-its-directory": "torn acquisition";
    FreedButLinked "freed-but-linked": "caught while it was deleted";
    PoolDoesNotFit "pool-does-not-fit": "special pool, or the driver verifier";
    SingleWithMany "single-with-many": "torn acquisition; the kernel itself refuses a second routine";
    LockHeld "lock-held": "a notify at DISPATCH_LEVEL in progress, or a crash inside a routine";
    LinksDisagree "links-disagree": "torn acquisition";
    ListBroken "list-broken": "torn acquisition";
    NodeWithoutSignature "node-without-signature": "torn acquisition";
    ListenerOfAnother "listener-of-another": "torn acquisition";
    RegistrationDoesNotFit "registration-does-not-fit": "torn acquisition";
    RegistrationNotListed "registration-not-listed": "caught while it was registered or unregistered, or torn acquisition";
    UnregisterWaits "unregister-waits": "caught while a notify was in progress";
    RoutineBusy "routine-busy": "caught while a notify was in progress";
    RoutineOutsideModules "routine-outside-modules":
        "a driver was unloaded without unregistering, or the list of modules is incomplete";
    RoutineOutsideCode "routine-outside-code":
        "torn acquisition, or a protected driver whose sections do not say how they are used";
    RoutineInDiscardedCode "routine-in-discarded-code": "a driver that keeps its initialization code";
    RoutineJumpsAway "routine-jumps-away": "a hotpatch, or a monitoring product";
    ListenersReordered "listeners-reordered": "the kernel's routine was registered again";
    ListenerNotInCatalog "listener-not-in-catalog":
        "a security product, or a version that the catalog does not know";
    DirectoryBroken "directory-broken": "torn acquisition";
    EntryInWrongBucket "entry-in-wrong-bucket": "torn acquisition";
    EntryWithoutSignature "entry-without-signature": "torn acquisition";
    EntryToNoObject "entry-to-no-object": "torn acquisition";
    NameDoesNotFitHash "name-does-not-fit-hash": "torn acquisition";
    EntryAndObjectDisagree "entry-and-object-disagree": "torn acquisition";
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_harmless_explanation() {
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let benign = kind.benign();
            assert!(benign.len() > 10 && !benign.ends_with('.'), "{kind:?}: `{benign}`");
        }
    }

    /// What these sources may not say in a sentence to people.
    const VERDICTS: [&str; 8] =
        ["malicious", "malware", "rootkit", "attack", "hijack", "suspicious", "tamper", "infected"];

    #[test]
    fn the_words_are_neutral() {
        let sources = [
            include_str!("judge.rs"),
            include_str!("place.rs"),
            include_str!("namespace.rs"),
            include_str!("mod.rs"),
        ];
        for text in sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2)) {
            assert!(!VERDICTS.iter().any(|verdict| text.to_lowercase().contains(verdict)), "{text}");
        }
        for kind in Kind::ALL {
            let text = format!("{} {}", kind.name(), kind.benign());
            assert!(!VERDICTS.iter().any(|verdict| text.contains(verdict)), "{text}");
        }
    }

    #[test]
    fn the_manual_lists_them_all() {
        let manual = include_str!("../../../../docs/src/images.md");
        let rows: Vec<&str> = manual.lines().filter(|line| line.starts_with("| `")).collect();
        for kind in Kind::ALL {
            let row = format!("| `{}` | {} |", kind.name(), kind.benign());
            assert!(rows.contains(&row.as_str()), "docs/src/images.md lacks:\n{row}");
        }
        assert_eq!(rows.len(), Kind::ALL.len(), "docs/src/images.md lists what is no kind");
    }
}
