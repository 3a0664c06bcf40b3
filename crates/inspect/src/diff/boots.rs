//! Whether two images are of one boot, as far as they tell.
//!
//! What differs within no boot decides: the build, the place of the kernel, the number of the boot. What may be alike by chance, or move when somebody sets
//! the clock, decides nothing by itself: only a number and a time together say that two boots are one.

use record::{Boots, Inspection};

/// Most that the time of a boot may differ from image to image, in units of 100 ns: a clock that is corrected moves it. No machine boots twice
/// that quickly and keeps the number.
const SLACK: u64 = 600 * 10_000_000;

/// Compares the boots, and says why.
pub(super) fn compare(before: &Inspection, after: &Inspection) -> (Boots, String) {
    let different = |what: String| (Boots::Different, what);
    if let (Some(left), Some(right)) = (before.build.get(), after.build.get())
        && left != right
    {
        return different(format!("the builds are {left} and {right}"));
    }
    if let (Some(left), Some(right)) = (before.kernel.get(), after.kernel.get())
        && left != right
    {
        return different(format!("the kernel lies at {left:#x} and at {right:#x}"));
    }
    let ids = before.boot.id.get().zip(after.boot.id.get());
    if let Some((left, right)) = ids.filter(|(left, right)| left != right) {
        return different(format!("their boot ids are {left} and {right}"));
    }
    let close = before.boot.time().zip(after.boot.time()).map(|(left, right)| left.abs_diff(right) <= SLACK);
    match (ids, close) {
        (Some((id, _)), Some(true)) => (Boots::Same, format!("boot id {id}, booted at the same time")),
        (Some((id, _)), Some(false)) => (
            Boots::Unknown,
            format!("both have the boot id {id}, but were booted at other times, or the clock was set"),
        ),
        (Some((id, _)), None) => {
            (Boots::Unknown, format!("both have the boot id {id}, and one does not tell when it was booted"))
        }
        (None, Some(true)) => {
            (Boots::Unknown, "they were booted at the same time, and not both have a boot id".to_owned())
        }
        (None, Some(false)) => (
            Boots::Unknown,
            "they were booted at other times, or the clock was set, and not both have a boot id".to_owned(),
        ),
        (None, None) => (Boots::Unknown, "not both have a boot id and a time".to_owned()),
    }
}
