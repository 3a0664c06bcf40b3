//! A kernel in this process: the executive on its single-threaded platform, for commands that need no driver's code.
//!
//! It runs on any operating system. Its structures lie in ordinary memory, whose addresses differ from run to run;
//! [`Places`] replaces them before anything is shown.

use std::collections::BTreeMap;

use executive::Executive;
use executive::ex;
use executive::solo::Solo;
use nt::Profile;
use nt::catalog::{self, BOOT_ATTEMPTS};
use record::{CreateOutcome, Snapshot, What};
use view::boot::CreateCall;

use super::{Failure, output};

/// A started kernel.
pub(super) struct World {
    executive: Executive<Solo>,
}

impl World {
    /// Starts the executive as far as `ExpInitializeCallbacks`, every call of `ExCreateCallback` recorded.
    pub(super) fn start(profile: &'static Profile) -> Result<Self, Failure> {
        let platform = Solo::new();
        platform.listen();
        let executive = Executive::boot(platform, profile)
            .map_err(|error| Failure::new(format!("the executive did not start: {error}")))?;
        Ok(Self { executive })
    }

    /// Goes on as the kernel does: its later objects and its own listeners.
    pub(super) fn go_on(&self) -> Result<(), Failure> {
        self.executive
            .boot_kernel()
            .map_err(|status| Failure::new(format!("the kernel's later boot phases failed with {status}")))
    }

    /// Says where the later objects of a version are not known: then there are none.
    pub(super) fn admit(&self) {
        let profile = self.executive.profile();
        let known = |entry: &catalog::Entry| entry.exists_in(profile) == Some(true);
        let mut later = catalog::entries().filter(|entry| entry.gathered == catalog::Gathered::Unnamed);
        if !later.all(known) {
            output::say(&format!(
                "which objects the kernel of `{}` creates after the built-in ones has not been examined; none are made",
                profile.name
            ));
        }
    }

    /// Makes recorded calls.
    pub(super) fn replay<'a>(&self, rows: impl IntoIterator<Item = &'a catalog::Attempt>) {
        for row in rows {
            self.executive.attempt(&ex::Attempt::from(row));
        }
    }

    /// Returns the calls of `ExCreateCallback` so far, with stable addresses, and forgets them.
    pub(super) fn calls(&self) -> Vec<CreateCall> {
        let happened: Vec<What> = self.executive.platform().take_events();
        let mut calls = view::boot::create_calls(&happened);
        for (call, place) in calls.iter_mut().zip(0..) {
            // A name lies on the caller's stack, where depends on how this program was compiled.
            call.name_at = if call.name_at == 0 { 0 } else { STACK + 0x10 * place };
        }
        calls
    }

    /// Returns the objects and the namespace, with stable addresses.
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.executive.snapshot();
        let (mut bodies, mut blocks, mut code) =
            (Places::new(POOL, 0x100), Places::new(POOL + 0x10_0000, 0x40), Places::new(TEXT, 0x10));
        for object in &mut snapshot.objects {
            let distance = object.address.wrapping_sub(object.header);
            object.address = bodies.of(object.address);
            object.header = object.address.wrapping_sub(distance);
            object.security_descriptor = blocks.of(object.security_descriptor);
            for listener in &mut object.listeners {
                listener.registration = blocks.of(listener.registration);
                listener.routine = code.of(listener.routine);
            }
        }
        for entry in &mut snapshot.namespace {
            entry.address = bodies.of(entry.address);
        }
        snapshot
    }
}

/// Where stable addresses begin: the first of the kernel's half.
const STACK: u64 = 0xFFFF_8000_0000_1000;
const POOL: u64 = 0xFFFF_8000_1000_0030;
const TEXT: u64 = 0xFFFF_8000_4000_0000;

/// Gives each distinct address, in the order of appearance, a place of its own.
struct Places {
    known: BTreeMap<u64, u64>,
    next: u64,
    step: u64,
}

impl Places {
    fn new(first: u64, step: u64) -> Self {
        Self { known: BTreeMap::new(), next: first, step }
    }

    /// Returns the place of an address; nothing stays nothing.
    fn of(&mut self, address: u64) -> u64 {
        if address == 0 {
            return 0;
        }
        *self.known.entry(address).or_insert_with(|| {
            let place = self.next;
            self.next += self.step;
            place
        })
    }
}

/// Names the callers of the start's own calls, as far as the catalog knows them.
pub(super) fn name_callers(calls: &mut [CreateCall]) {
    let mut unnamed = catalog::entries().filter(|entry| matches!(entry.name, catalog::Name::Unnamed { .. }));
    for call in calls {
        let outcome = call.result.map(|(outcome, _)| outcome);
        let entry = match &call.name {
            Some(name) => catalog::find(name),
            None => unnamed.next(),
        };
        let Some(entry) = entry else { continue };
        if call.name.is_none() {
            entry.key.clone_into(&mut call.note);
        }
        let party = match outcome {
            Some(CreateOutcome::Created | CreateOutcome::Unnamed) => entry.creator,
            _ => entry.openers.iter().find(|opener| opener.attributes == Some(call.attributes)).copied(),
        };
        call.who = party.map(|party| party.who.to_owned());
        call.certainty = party.map(|party| party.certainty.to_string());
    }
}

/// Takes callers and notes from the rows that were replayed.
pub(super) fn name_callers_by_row<'a>(
    calls: &mut [CreateCall],
    rows: impl IntoIterator<Item = &'a catalog::Attempt>,
) {
    for (call, row) in calls.iter_mut().zip(rows) {
        call.who = Some(row.caller.name().to_owned());
        call.certainty = Some(row.certainty.to_string());
        row.note.clone_into(&mut call.note);
    }
}

/// The rows that a replay makes: all but the executive's own.
pub(super) fn replayable() -> impl Iterator<Item = &'static catalog::Attempt> {
    BOOT_ATTEMPTS.iter().filter(|row| !row.is_built_in())
}
