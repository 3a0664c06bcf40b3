//! The version table: spelling, consistency, and the cells that are not assumed.

use ringbell_nt::hash::NameHash;
use ringbell_nt::profile::{
    Certainty, DirectoryLayout, NonPagedKind, NotifyDispatchMode, TypeIndexEncoding, WrongTypeCreate,
};
use ringbell_nt::{Profile, tag};

#[test]
fn presets_are_found_by_exactly_these_names() {
    let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
    assert_eq!(names, ["ros", "nt6", "win8", "win81", "win10", "win11", "win11-24h2"]);
    for profile in Profile::ALL {
        let found = Profile::by_name(profile.name).unwrap();
        assert!(std::ptr::eq(found, *profile));
    }
    assert_eq!(Profile::DEFAULT.name, "win11-24h2");
    assert!(Profile::by_name("win11_24h2").is_none());
    assert!(Profile::by_name("").is_none());
}

#[test]
fn versions_are_what_the_system_reports() {
    let version = |name: &str| {
        let profile = Profile::by_name(name).unwrap();
        (profile.major, profile.minor, profile.build)
    };
    assert_eq!(version("nt6"), (6, 1, 7601));
    assert_eq!(version("win8"), (6, 2, 9200));
    assert_eq!(version("win81"), (6, 3, 9600));
    assert_eq!(version("win10"), (10, 0, 19045));
    assert_eq!(version("win11-24h2"), (10, 0, 26100));
    assert_eq!(Profile::DEFAULT.nt_build_number(), 0xF000_65F4);
    assert!(Profile::ALL.is_sorted_by_key(|profile| (profile.major, profile.minor, profile.build)));
    for profile in Profile::ALL {
        assert_eq!(profile.service_pack.is_empty(), profile.service_pack_major == 0, "{}", profile.name);
    }
}

/// Runs `check` on the value of every profile that has more than a guess for it.
macro_rules! each_known {
    ($field:ident, |$name:ident, $value:ident| $check:expr) => {{
        let mut seen = 0;
        for profile in Profile::ALL {
            if !profile.$field.is_assumed() {
                let ($name, $value) = (profile.name, profile.$field.value);
                assert!($check, "{} of {}: {:?}", stringify!($field), $name, $value);
                seen += 1;
            }
        }
        assert!(seen > 0, "every {} is assumed", stringify!($field));
    }};
}

#[test]
fn switches_have_their_known_values() {
    let old = |name: &str| matches!(name, "ros" | "nt6" | "win8");
    let before_8 = |name: &str| matches!(name, "ros" | "nt6");
    let before_10 = |name: &str| old(name) || name == "win81";
    each_known!(object_size, |name, value| value == if old(name) { 0x28 } else { 0x38 });
    each_known!(has_global_list, |name, value| value != old(name));
    each_known!(force_kernel_handle, |name, value| value == (name != "ros"));
    each_known!(silo_aware, |name, value| value != before_10(name));
    each_known!(zero_object_pool, |name, value| value == (name == "win11-24h2"));
    each_known!(zero_registration_pool, |name, value| value != before_10(name));
    each_known!(object_pool_tag, |name, value| value
        == if before_8(name) { tag::CALL_PROTECTED } else { tag::CALL });
    each_known!(nonpaged_kind, |name, value| (value == NonPagedKind::NonPagedPool) == before_8(name));
    each_known!(typeindex_encoding, |name, value| value
        == match name {
            "ros" => TypeIndexEncoding::Pointer,
            "nt6" | "win8" | "win81" => TypeIndexEncoding::Plain,
            _ => TypeIndexEncoding::Cookie,
        });
    each_known!(directory_layout, |name, value| (value == DirectoryLayout::V1) == before_10(name));
    each_known!(hash, |name, value| (value == NameHash::PerChar) == before_10(name));
    each_known!(valid_attribute_mask, |name, value| value == if old(name) { 0x7F2 } else { 0x1_1FF2 });
    each_known!(wrong_type_create_status, |name, value| (value == WrongTypeCreate::TypeMismatch)
        != old(name));
    each_known!(notify_dispatch_mode, |name, value| (value == NotifyDispatchMode::Dropped)
        == (name == "ros"));
    each_known!(unregister_reset_under_lock, |name, value| value == (name != "ros"));
    each_known!(use_default_object, |name, value| value == (name != "ros"));
    each_known!(type_initializer_size, |name, value| value == if before_8(name) { 0x70 } else { 0x78 });
    each_known!(pointer_width, |_name, value| value == 8);
}

#[test]
fn built_ins_are_those_of_the_version() {
    let names = |profile: &Profile| profile.builtin_names.value;
    assert_eq!(names(Profile::ROS), ["SetSystemTime", "SetSystemState", "PowerState"]);
    assert_eq!(
        names(Profile::WIN11),
        [
            "EnlightenmentState",
            "SetSystemTime",
            "SetSystemState",
            "PowerState",
            "ProcessorAdd",
            "Phase1InitComplete",
            "SeImageVerificationDriverInfo",
        ]
    );
    // Where the eighth stands is assumed, so only that it is there is checked.
    assert_eq!(names(Profile::WIN11_24H2).len(), 8);
    assert!(names(Profile::WIN11_24H2).contains(&"SeImageVerificationBlockInfo"));
    assert_eq!(Profile::WIN11_24H2.builtin_names.certainty, Certainty::Assumed);
    assert_eq!(Profile::NT6.builtin_names.certainty, Certainty::Assumed);
    for profile in Profile::ALL {
        for always in ["SetSystemTime", "SetSystemState", "PowerState"] {
            assert!(names(profile).contains(&always), "{} lacks {always}", profile.name);
        }
    }
}

#[test]
fn switches_can_be_listed() {
    for profile in Profile::ALL {
        let switches: Vec<_> = profile.switches().collect();
        assert_eq!(switches[0].name, "object_size");
        let assumed = switches.iter().filter(|switch| switch.certainty == Certainty::Assumed).count();
        assert!(assumed < switches.len() / 3, "{} is mostly guesswork", profile.name);
        assert!(switches.iter().all(|switch| !format!("{:?}", switch.value).is_empty()));
    }
}
