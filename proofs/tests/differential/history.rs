//! Histories: what a thread does, and what its routines do when they are called.

/// Places for references to objects.
pub(crate) const SLOTS: usize = 4;
/// Enumerations that can be under way.
pub(crate) const CURSORS: usize = 2;
/// Most deeds of a history, those of routines included.
pub(crate) const BUDGET: usize = 250;
/// Names that are fought for.
pub(crate) const NAMES: [&str; 3] = ["\\Callback\\One", "\\Callback\\Two", "\\Callback\\ONE"];

/// One deed. What it cannot be done with is passed over, so that a history stays one when deeds are taken out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Creates an object, or opens the one that has the name.
    Create { slot: usize, name: Option<usize>, permanent: bool, multiple: bool },
    /// Opens an object by its name.
    Open { slot: usize, name: usize, insensitive: bool },
    /// Gives a reference back.
    Drop { slot: usize },
    /// Takes the permanent mark off.
    MakeTemporary { slot: usize },
    /// Registers a routine that does what `script` says.
    Register { slot: usize, script: usize },
    /// Unregisters one of those that are registered. Only the `brave` do so where it cannot come back.
    Unregister { which: usize, brave: bool },
    /// Rings; `raised` at DISPATCH_LEVEL.
    Notify { slot: usize, raised: bool, brave: bool },
    /// Goes on with an enumeration, which pins a registration.
    Step { slot: usize, cursor: usize },
    /// Looks at everything.
    Look,
}

/// What happens, and what routines do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// Index of the version.
    pub(crate) profile: usize,
    /// Whether somebody wants events.
    pub(crate) listening: bool,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) scripts: Vec<Vec<Deed>>,
}

/// Numbers from a seed: SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_of(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn deed(&mut self, scripts: usize) -> Deed {
        let slot = self.below(SLOTS);
        let brave = self.one_of(40);
        match self.below(24) {
            0..=2 => Deed::Create {
                slot,
                name: (!self.one_of(3)).then(|| self.below(NAMES.len())),
                permanent: !self.one_of(3),
                multiple: !self.one_of(5),
            },
            3 => Deed::Open { slot, name: self.below(NAMES.len()), insensitive: !self.one_of(4) },
            4 => Deed::Drop { slot },
            5 => Deed::MakeTemporary { slot },
            6..=11 => Deed::Register { slot, script: self.below(scripts) },
            12..=14 => Deed::Unregister { which: self.below(8), brave },
            15..=19 => Deed::Notify { slot, raised: self.one_of(4), brave },
            20..=22 => Deed::Step { slot, cursor: self.below(CURSORS) },
            _ => Deed::Look,
        }
    }

    /// Draws a history.
    pub(crate) fn history(&mut self, profiles: usize) -> History {
        let count = 4;
        let scripts = (0..count).map(|_| (0..self.below(5)).map(|_| self.deed(count)).collect()).collect();
        let length = 10 + self.below(50);
        History {
            profile: self.below(profiles),
            listening: self.one_of(3),
            deeds: (0..length).map(|_| self.deed(count)).collect(),
            scripts,
        }
    }
}

/// Takes out of a history what `fails` without, until nothing is left to take.
pub(crate) fn shortest(mut history: History, fails: impl Fn(&History) -> bool) -> History {
    let lists = 1 + history.scripts.len();
    fn list(history: &mut History, index: usize) -> &mut Vec<Deed> {
        if index == 0 { &mut history.deeds } else { &mut history.scripts[index - 1] }
    }
    loop {
        let before = history.clone();
        for index in 0..lists {
            let mut size = list(&mut history, index).len();
            while size > 0 {
                let mut start = 0;
                while start < list(&mut history, index).len() {
                    let mut shorter = history.clone();
                    let deeds = list(&mut shorter, index);
                    deeds.drain(start..(start + size).min(deeds.len()));
                    if fails(&shorter) {
                        history = shorter;
                    } else {
                        start += size;
                    }
                }
                size /= 2;
            }
        }
        if history == before {
            return history;
        }
    }
}
