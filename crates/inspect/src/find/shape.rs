//! Which layouts the kernel of the image uses: the tables of [`nt`], picked by the profile.

use nt::catalog::Entry;
use nt::layout::Layout;
use nt::profile::TypeIndexEncoding;
use nt::{CALLBACK_REGISTRATION, LIST_ENTRY, OBJECT_HEADER, Profile};

/// Offsets of what is read, for one generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) profile: &'static Profile,
    pub(crate) lock: u64,
    pub(crate) registered: u64,
    pub(crate) multiple: u64,
    /// The node of the global list, where this generation has one.
    pub(crate) list: Option<u64>,
    /// Offset of `_ALPC_PORT.CallbackObject`.
    pub(crate) port_callback: u64,
}

impl Shape {
    pub(crate) fn of(profile: &'static Profile) -> Self {
        let layout = profile.callback_object_layout();
        Self {
            profile,
            lock: offset(layout, "Lock"),
            registered: offset(layout, "RegisteredCallbacks"),
            multiple: offset(layout, "AllowMultipleCallbacks"),
            list: layout.field("ExpCallbackList").map(|field| field.offset as u64),
            port_callback: offset(profile.alpc_port_layout(), "CallbackObject"),
        }
    }

    /// Whether headers mix the type index with a cookie and their address.
    pub(crate) fn has_cookie(&self) -> bool {
        self.profile.typeindex_encoding.value == TypeIndexEncoding::Cookie
    }
}

/// Distance from an object's header to its body.
pub(crate) const BODY: u64 = OBJECT_HEADER::BODY_OFFSET as u64;
/// Bytes of a registration.
pub(crate) const REGISTRATION: usize = size_of::<CALLBACK_REGISTRATION>();
/// `Blink` of a `LIST_ENTRY`.
pub(crate) const BLINK: u64 = core::mem::offset_of!(LIST_ENTRY, Blink) as u64;

/// Gives the offset of a field that the tables have.
pub(crate) fn offset(layout: &Layout, name: &str) -> u64 {
    layout
        .field(name)
        .map_or_else(|| unreachable!("{} has no {name}", layout.name), |field| field.offset as u64)
}

/// Builds between NT 5.2 and Windows 7: Vista, Server 2008 and what came before the release of Windows 7. None has a profile of its own.
pub(crate) const VISTA: core::ops::Range<u32> = 6000..7600;

/// Picks the profile for a build number: the newest one that is not newer. For [`VISTA`] the nearest one, that of Windows 7.
pub(crate) fn profile_for(build: u32) -> Option<&'static Profile> {
    // The first builds of Windows 10 and 11 come before those that the profiles are named after.
    const FIRST: &[(u32, &Profile)] = &[
        (VISTA.start, Profile::NT6),
        (9200, Profile::WIN8),
        (9600, Profile::WIN81),
        (10240, Profile::WIN10),
        (22000, Profile::WIN11),
        (26100, Profile::WIN11_24H2),
    ];
    if build == Profile::ROS.build {
        return Some(Profile::ROS);
    }
    FIRST.iter().rev().find(|(first, _)| build >= *first).map(|(_, profile)| *profile)
}

/// Objects whose listeners are worth a look when nobody knows them: lax discovery, and reach.
pub(crate) fn is_watched(entry: &Entry) -> bool {
    entry.key.starts_with("SeImageVerification")
        || entry.key.starts_with("Wd")
        || matches!(entry.key, "IoSessionNotifications" | "542875F90F9B47F497B64BA219CACF69")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_pick_their_generation() {
        for (build, name) in [
            (3790, "ros"),
            (6002, "nt6"),
            (7601, "nt6"),
            (9200, "win8"),
            (9600, "win81"),
            (10586, "win10"),
            (19045, "win10"),
            (22000, "win11"),
            (22631, "win11"),
            (26200, "win11-24h2"),
        ] {
            assert_eq!(profile_for(build).unwrap().name, name);
        }
        assert!([2600, 3789, 3791, 5999].iter().all(|build| profile_for(*build).is_none()));
    }

    #[test]
    fn generations_differ_in_the_list() {
        assert_eq!(Shape::of(Profile::WIN8).list, None);
        assert_eq!(Shape::of(Profile::WIN81).list, Some(0x28));
    }
}
