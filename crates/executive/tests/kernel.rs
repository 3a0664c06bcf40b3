//! The kernel's own objects and listeners after the later boot phases, held against the catalog.

use std::panic::resume_unwind;

use nt::Profile;
use nt::catalog::{self, Gathered, Permanence, Sharing};
use record::ObjectSnapshot;
use ringbell_executive::Executive;
use ringbell_executive::solo::Solo;

fn boot(profile: &'static Profile) -> Executive<Solo> {
    let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
    let nt = Executive::boot(solo, profile).expect("it boots");
    nt.boot_kernel().expect("the later boot phases");
    nt
}

fn routines(object: &ObjectSnapshot) -> Vec<&str> {
    object.listeners.iter().filter_map(|listener| listener.routine_name.as_deref()).collect()
}

#[test]
fn every_object_is_as_the_catalog_says() {
    let mut checked = 0;
    for profile in Profile::ALL {
        let nt = boot(profile);
        let snapshot = nt.snapshot();
        for entry in catalog::entries() {
            let made_by_kernel = match entry.gathered {
                Gathered::BuiltIn | Gathered::Unnamed => true,
                Gathered::Kernel => nt.kernel_object(entry.key).addr() != 0,
                Gathered::Driver => false,
            };
            if !made_by_kernel || entry.exists_in(profile) != Some(true) {
                continue;
            }
            checked += 1;
            let address = if entry.gathered == Gathered::BuiltIn {
                nt.builtin(entry.key)
            } else {
                nt.kernel_object(entry.key)
            };
            let object = snapshot.object(address.addr() as u64).unwrap_or_else(|| panic!("{}", entry.key));
            assert_eq!(object.name.as_deref(), entry.path(), "{} {}", profile.name, entry.key);
            assert_eq!(object.permanent, entry.permanence == Permanence::Permanent, "{}", entry.key);
            assert_eq!(object.allow_multiple, entry.sharing == Sharing::Multiple, "{}", entry.key);
            let expected: Vec<&str> = entry.boot_listeners().map(|listener| listener.routine).collect();
            assert_eq!(routines(object), expected, "{} {}", profile.name, entry.key);
            // The registrations, the name, and the kernel's variable.
            let references = expected.len() as i64 + i64::from(object.name.is_some()) + 1;
            assert_eq!((object.pointer_count, object.handle_count), (references, 0), "{}", entry.key);
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn the_newest_version_has_all_six_later_objects() {
    let nt = boot(Profile::DEFAULT);
    let keys = [
        "LicensingData",
        "PowerPort",
        "PowerMonitorPort",
        "SleepstudyControlPort",
        "IoSessionNotifications",
        "IoExternalDmaUnblock",
    ];
    for key in keys {
        assert!(!nt.kernel_object(key).is_null(), "{key}");
    }
    assert!(nt.kernel_object("AfdTdxCallback").is_null());
}

#[test]
fn symbols_lead_to_what_they_name() {
    for profile in Profile::ALL {
        let nt = boot(profile);
        let symbols = nt.kernel_symbols();
        let find = |name: &str| symbols.iter().find(|symbol| symbol.name == name);
        assert_eq!(find("ExpCallbackListHead").is_some(), profile.has_global_list.value);
        let event = find("ExpCallbackEvent").expect("the event");
        assert_eq!((event.address, event.bytes), (nt.ExpCallbackEvent().addr(), 0x18));
        let variable = find("ExCbPowerState").expect("the variable");
        let pointer: *const usize = std::ptr::with_exposed_provenance(variable.address);
        // SAFETY: a pointer-sized variable of the live executive.
        assert_eq!(unsafe { pointer.read() }, nt.builtin("PowerState").addr());
        for pair in symbols.windows(2) {
            assert!(
                pair[0].address + pair[0].bytes <= pair[1].address,
                "{:?} runs into {:?}",
                pair[0],
                pair[1]
            );
        }
    }
}
