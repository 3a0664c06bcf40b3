//! Initialization.

use core::ptr::null_mut;

use nt::Profile;
use record::What;
use ringbell_executive::{Executive, KernelRoutine};

use crate::support::*;

const SEVEN: [&str; 7] = [
    "EnlightenmentState",
    "SetSystemTime",
    "SetSystemState",
    "PowerState",
    "ProcessorAdd",
    "Phase1InitComplete",
    "SeImageVerificationDriverInfo",
];

#[test]
fn c001_callback_directory_is_permanent_without_handles() {
    for profile in all() {
        let nt = boot(profile);
        let directory = find(&nt, "\\Callback").expect("`\\Callback` in the root");
        assert_eq!(type_name(&nt, directory), "Directory");
        let header = header(directory);
        assert_eq!((header.Flags & 0x10, header.HandleCount), (0x10, 0), "{}", profile.name);
    }
}

#[test]
fn c002_type_has_its_attributes_and_mapping() {
    for profile in all() {
        let nt = boot(profile);
        let info = nt.ExCallbackObjectType().wrapping_byte_add(0x40).cast();
        assert_eq!(at::<u32>(info, 0x08), 0x100);
        assert_eq!(at::<[u32; 4]>(info, 0x0C), [0x2_0000, 0x2_0001, 0x12_0000, 0x1F_0001]);
        assert_eq!(at::<u32>(info, 0x1C), 0x1F_0001);
    }
}

#[test]
fn c003_type_flags_and_pool() {
    for profile in modern() {
        let nt = boot(profile);
        let object_type = nt.ExCallbackObjectType().cast();
        let info = nt.ExCallbackObjectType().wrapping_byte_add(0x40).cast();
        assert_eq!(at::<u8>(info, 0x02), 0x04, "waits use the default object, nothing else");
        assert_eq!(at::<u32>(info, 0x24), 0x200);
        assert_ne!(at::<usize>(object_type, 0x20), 0, "the default object");
    }
}

#[test]
fn c004_type_key_charge_and_procedures() {
    for profile in modern() {
        let nt = boot(profile);
        let object_type = nt.ExCallbackObjectType();
        let info = object_type.wrapping_byte_add(0x40).cast();
        assert_eq!(at::<[u8; 4]>(object_type.cast(), 0xC0), *b"Call");
        assert_eq!((at::<u32>(info, 0x28), at::<u32>(info, 0x2C)), (0, 0x58));
        for (offset, procedure) in [(0x30, 0), (0x38, 0), (0x40, 0), (0x50, 0), (0x60, 0), (0x68, 0)] {
            assert_eq!(at::<usize>(info, offset), procedure, "at {offset:#x}");
        }
        assert_eq!(at::<usize>(info, 0x48), nt.kernel_routine(KernelRoutine::ExpDeleteCallback));
        assert_eq!(at::<usize>(info, 0x58), nt.kernel_routine(KernelRoutine::SeDefaultObjectMethod));
        assert_eq!(stored_name(object_type.cast()).as_deref(), Some("Callback"));
    }
}

#[test]
fn c005_seven_builtins_and_nothing_else() {
    for profile in [Profile::WIN81, Profile::WIN10, Profile::WIN11] {
        let mut expected = SEVEN.map(str::to_owned);
        expected.sort();
        assert_eq!(callback_names(&boot(profile)), expected, "{}", profile.name);
    }
}

#[test]
fn c006_builtins_are_attempted_in_the_recorded_order() {
    let nt = boot_listening(Profile::WIN11);
    let attempts: Vec<String> = nt
        .platform()
        .take_events()
        .into_iter()
        .filter_map(|what| match what {
            What::CreateAttempt { name, attributes, create, multiple, .. } => {
                assert_eq!((attributes, create, multiple), (KEPT, true, true));
                name
            }
            _ => None,
        })
        .collect();
    assert_eq!(attempts, SEVEN.map(|name| format!("\\Callback\\{name}")));
}

#[test]
fn c007_eighth_builtin_exists() {
    let names = callback_names(&boot(Profile::WIN11_24H2));
    assert_eq!(names.len(), 8);
    for name in SEVEN.iter().chain(&["SeImageVerificationBlockInfo"]) {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}

#[test]
fn c008_oldest_version_has_three_builtins() {
    assert_eq!(callback_names(&boot(Profile::ROS)), ["PowerState", "SetSystemState", "SetSystemTime"]);
}

#[test]
fn c009_builtin_headers() {
    for profile in all() {
        let nt = boot(profile);
        let directory = find(&nt, "\\Callback").expect("the directory");
        for entry in entries(directory) {
            let header = header(entry.object);
            assert_eq!((header.PointerCount, header.HandleCount), (2, 0), "{} {}", profile.name, entry.name);
            assert_eq!(header.Flags, 0x12);
            assert_eq!(header.InfoMask & 0x02, 0x02);
            assert_ne!(header.SecurityDescriptor & !0xF, 0);
            assert_eq!(header.ObjectCreateInfo, null_mut());
            assert_eq!(at::<u8>(entry.object, 0x20), 1, "several routines");
            assert_eq!(nt.builtin(&entry.name).cast(), entry.object, "the global variable");
        }
    }
}

#[test]
fn c010_directory_access_list() {
    for profile in all() {
        let nt = boot(profile);
        let directory = find(&nt, "\\Callback").expect("the directory");
        let descriptor = (header(directory).SecurityDescriptor & !0xF) as *const core::ffi::c_void;
        let control: u16 = at(descriptor, 2);
        assert_eq!(control & 0x0004, 0x0004, "the list is present");
        let list = if control & 0x8000 == 0 {
            at::<*const core::ffi::c_void>(descriptor, 0x20)
        } else {
            descriptor.wrapping_byte_add(at::<u32>(descriptor, 0x10) as usize)
        };
        assert_eq!((at::<u8>(list, 0), at::<u16>(list, 4)), (2, 3), "revision and entries");
        let expected: [(&[u8], u32); 3] = [
            (&[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], 0x0002_0003),
            (&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0], 0x000F_000F),
            (&[1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0], 0x000F_000F),
        ];
        let mut offset = 8;
        for (sid, mask) in expected {
            assert_eq!(
                (at::<u8>(list, offset), at::<u8>(list, offset + 1)),
                (0, 0),
                "allowed, not inherited"
            );
            assert_eq!(at::<u32>(list, offset + 4), mask);
            let found: Vec<u8> = (0..sid.len()).map(|index| at(list, offset + 8 + index)).collect();
            assert_eq!(found, sid);
            offset += usize::from(at::<u16>(list, offset + 2));
        }
    }
}

#[test]
fn c011_unregister_event() {
    for profile in all() {
        let nt = boot(profile);
        let event = nt.ExpCallbackEvent();
        assert_eq!(
            (at::<u8>(event.cast(), 0), at::<u8>(event.cast(), 2), at::<i32>(event.cast(), 4)),
            (0, 6, 0)
        );
        assert!(nodes(event.wrapping_byte_add(8).cast()).is_empty());
    }
}

/// Initializes with the `refused`-th allocation missing. Returns whether that worked, and whether it got as
/// far.
fn initialize_without(profile: &'static Profile, refused: u64) -> (Nt, bool, bool) {
    let nt = Executive::phase0(solo(), profile).expect("the object manager comes up");
    let count = nt.platform().allocations();
    nt.platform().refuse_allocation(refused);
    let worked = nt.ExpInitializeCallbacks();
    let reached = nt.platform().allocations() - count > refused;
    (nt, worked, reached)
}

#[test]
fn c012_failing_builtin_stops_initialization() {
    for profile in modern() {
        let names = profile.builtin_names.value;
        let mut third_failed = false;
        for refused in 0.. {
            let (nt, worked, reached) = initialize_without(profile, refused);
            let made = listed(&nt);
            if worked {
                // The open that precedes each creation may fail for want of memory; the creation does not
                // mind.
                assert_eq!(made.len(), names.len());
                if reached {
                    continue;
                }
                break;
            }
            assert!(made.len() < names.len(), "{}: a failure that left everything behind", profile.name);
            for (object, name) in made.iter().zip(names) {
                assert_eq!(stored_name(object.cast()).as_deref(), Some(*name));
                assert_eq!(nt.builtin(name), *object);
            }
            for missing in &names[made.len()..] {
                assert!(nt.builtin(missing).is_null());
            }
            third_failed |= made.len() == 2;
        }
        assert!(third_failed, "{}: no allocation belongs to the third object", profile.name);
    }
}

#[test]
fn c013_failing_type_or_directory_stops_initialization() {
    for profile in all() {
        let (mut type_failed, mut directory_failed) = (false, false);
        for refused in 0.. {
            let (nt, worked, _) = initialize_without(profile, refused);
            if worked {
                break;
            }
            if nt.ExCallbackObjectType().is_null() {
                type_failed = true;
                assert!(find(&nt, "\\Callback").is_none());
            } else if find(&nt, "\\Callback").is_none() {
                directory_failed = true;
            } else {
                break;
            }
            assert_eq!(nt.snapshot().objects, []);
        }
        assert!(type_failed && directory_failed, "{}", profile.name);
    }
}

#[test]
fn c014_global_list_has_builtins_in_order() {
    for profile in modern() {
        let nt = boot(profile);
        // `listed` walks forward and compares every backward link.
        let names: Vec<String> =
            listed(&nt).iter().map(|object| stored_name(object.cast()).expect("a name")).collect();
        assert_eq!(names, profile.builtin_names.value);
    }
}

#[test]
fn boot_reports_what_failed() {
    let solo = solo();
    solo.refuse_all(true);
    assert_eq!(
        Executive::boot(solo, Profile::DEFAULT).err(),
        Some(ringbell_executive::BootError::ObjectManager)
    );
}
