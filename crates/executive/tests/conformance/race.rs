//! Two creators of one name: what one processor does in the middle of another's call.

use std::cell::Cell;
use std::rc::Rc;

use crate::support::*;

const NAME: &str = "\\Callback\\Raced";

/// Lets another creator run inside the `moment`-th allocation of a creation. Returns what both got, or
/// nothing where the moment is one in which the other has to wait for a lock of the first, which one thread
/// cannot play.
fn race(
    profile: &'static nt::Profile,
    attributes: u32,
    moment: u64,
) -> Option<(Nt2, Result<Object, u32>, Option<Object>)> {
    let nt: Nt2 = Box::leak(Box::new(boot(profile)));
    let other: Rc<Cell<Option<Object>>> = Rc::default();
    let seen = Rc::clone(&other);
    nt.platform().interleave(moment, move || {
        let made = nt.attempt(&ringbell_executive::Attempt {
            name: Some(NAME),
            attributes: KEPT,
            create: true,
            multiple: true,
            keep_reference: true,
        });
        assert!(made.status.is_success(), "{}", made.status);
        seen.set(Some(made.object));
    });
    let handles_before = handles(nt);
    let result = try_end(|| ask_raw(nt, attributes)).ok()?;
    assert_eq!(handles(nt), handles_before);
    Some((nt, result, other.get()))
}

type Nt2 = &'static Nt;

/// As `ask`, without the comparison of counts around the call.
fn ask_raw(nt: &Nt, attributes: u32) -> Result<Object, u32> {
    let made = nt.attempt(&ringbell_executive::Attempt {
        name: Some(NAME),
        attributes,
        create: true,
        multiple: true,
        keep_reference: true,
    });
    if made.status.is_success() {
        assert_eq!(made.status.0, 0, "never the informational code");
        Ok(made.object)
    } else {
        Err(made.status.0)
    }
}

/// Plays every moment and counts the ones in which the race was lost. Some moment has to let the other one in at all.
fn lost(
    profile: &'static nt::Profile,
    attributes: u32,
    check: impl Fn(Nt2, Result<Object, u32>, Object) -> bool,
) -> usize {
    let (mut lost, mut played) = (0, 0);
    for moment in 0..40 {
        if let Some((nt, result, Some(other))) = race(profile, attributes, moment) {
            played += 1;
            lost += usize::from(check(nt, result, other));
        }
    }
    assert!(played >= 3, "{}: the other creator came in {played} times", profile.name);
    lost
}

#[test]
fn c048_lost_race() {
    for profile in modern() {
        let collisions = lost(profile, KEPT, |_, result, other| match result {
            Ok(object) => {
                assert_eq!(object, other);
                false
            }
            Err(status) => {
                assert_eq!(status, 0xC000_0035);
                true
            }
        });
        assert!(collisions > 0, "{}", profile.name);
        lost(profile, KEPT | 0x80, |_, result, other| {
            assert_eq!(result, Ok(other), "{}", profile.name);
            false
        });
    }
}

#[test]
fn c049_lost_race_leaves_no_object() {
    for profile in modern() {
        for attributes in [KEPT, KEPT | 0x80] {
            let failed = lost(profile, attributes, |nt, result, other| {
                let objects = listed(nt);
                assert_eq!(objects.len(), profile.builtin_names.value.len() + 1, "{}", profile.name);
                assert_eq!(objects.last(), Some(&other));
                // The other creator's reference and the name, and ours where we got the object.
                assert_eq!(counts(other), (2 + i64::from(result.is_ok()), 0));
                result.is_err()
            });
            assert_eq!(
                failed > 0,
                attributes == KEPT,
                "{}: only without OPENIF a creator fails",
                profile.name
            );
        }
    }
}
