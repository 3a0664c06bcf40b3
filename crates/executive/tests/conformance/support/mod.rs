//! A booted executive, calls that check what every call must keep, and raw views of NT's structures.

mod ask;
mod calls;
mod memory;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, Profile};
use ringbell_executive::Executive;
use ringbell_executive::ob::ProcessKind;
use ringbell_executive::se::{Sid, Token};
use ringbell_executive::solo::{Outcome, Solo};

pub(crate) use self::ask::*;
pub(crate) use self::calls::*;
pub(crate) use self::memory::*;

pub(crate) type Nt = Executive<Solo>;
pub(crate) type Object = *mut CALLBACK_OBJECT;
pub(crate) type Registered = *mut CALLBACK_REGISTRATION;

/// CASE_INSENSITIVE and PERMANENT.
pub(crate) const KEPT: u32 = 0x50;

/// Every version.
pub(crate) fn all() -> impl Iterator<Item = &'static Profile> {
    Profile::ALL.iter().copied()
}

/// Versions with the list of all objects: Windows 8.1 and later.
pub(crate) fn modern() -> impl Iterator<Item = &'static Profile> {
    all().filter(|profile| profile.has_global_list.value)
}

/// Versions that hold the lock across a notify at DISPATCH_LEVEL.
pub(crate) fn holding() -> impl Iterator<Item = &'static Profile> {
    all().filter(|profile| profile.name != "ros")
}

pub(crate) fn solo() -> Solo {
    Solo::with_end(|outcome| resume_unwind(Box::new(outcome)))
}

pub(crate) fn boot(profile: &'static Profile) -> Nt {
    boot_on(solo(), profile)
}

fn boot_on(solo: Solo, profile: &'static Profile) -> Nt {
    let nt = Executive::boot_with(solo, profile, crate::PROTOCOL)
        .unwrap_or_else(|error| panic!("{}: {error}", profile.name));
    let user = Token::user(&Sid::users());
    nt.register_process(nt.platform().user_process(), ProcessKind::Ordinary, 0x1000, user);
    nt
}

/// Boots while somebody listens.
pub(crate) fn boot_listening(profile: &'static Profile) -> Nt {
    let solo = solo();
    solo.listen();
    boot_on(solo, profile)
}

/// Runs to the end of the world and returns it.
pub(crate) fn end_of(action: impl FnOnce()) -> Outcome {
    match try_end(action) {
        Ok(()) => panic!("the world went on"),
        Err(outcome) => outcome,
    }
}

/// Runs, possibly to the end of the world.
pub(crate) fn try_end<R>(action: impl FnOnce() -> R) -> Result<R, Outcome> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|payload: Box<dyn Any + Send>| {
        match payload.downcast::<Outcome>() {
            Ok(outcome) => *outcome,
            Err(other) => resume_unwind(other),
        }
    })
}

/// Code and parameters of the bugcheck that `action` ends in.
pub(crate) fn bugcheck_of(action: impl FnOnce()) -> (u32, [u64; 4]) {
    match end_of(action) {
        Outcome::Bugcheck(check) => (check.code.0, check.parameters),
        other @ Outcome::Deadlock(_) => panic!("{other}"),
    }
}

pub(crate) fn assert_deadlock(action: impl FnOnce()) {
    let outcome = end_of(action);
    assert!(matches!(outcome, Outcome::Deadlock(_)), "{outcome}");
}
