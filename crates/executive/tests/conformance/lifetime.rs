//! Names, permanence, lifetime.

use core::ptr::null_mut;

use nt::{LIST_ENTRY, OBJECT_ATTRIBUTES, UNICODE_STRING};
use record::What;

use crate::support::*;

const T: &str = "\\Callback\\T";

fn deletions(nt: &Nt, object: Object) -> usize {
    let events = nt.platform().take_events();
    let address = object.addr() as u64;
    events
        .iter()
        .filter(|what| matches!(what, What::ObjectDeleted { object, .. } if *object == address))
        .count()
}

#[test]
fn c042_permanent_needs_no_privilege_from_kernel_code() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().attach(nt.platform().user_process());
        nt.platform().set_previous_mode(nt::UserMode);
        let object = ask("\\Callback\\P", KEPT).object(&nt);
        assert_eq!(header(object.cast()).Flags & 0x10, 0x10);
        assert_eq!(find(&nt, "\\Callback\\P"), Some(object.cast()));
    }
}

#[test]
fn c043_user_probe_needs_the_privilege() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().attach(nt.platform().user_process());
        nt.platform().set_previous_mode(nt::UserMode);
        let mut units: Vec<u16> = "\\Callback\\P".encode_utf16().collect();
        let mut name = UNICODE_STRING { Length: 22, MaximumLength: 22, Buffer: units.as_mut_ptr() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: 0x30,
            RootDirectory: null_mut(),
            ObjectName: &raw mut name,
            Attributes: KEPT,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: null_mut(),
        };
        let mut object = null_mut();
        let object_type = nt.ExCallbackObjectType();
        // SAFETY: all of it lives across the call.
        let status = unsafe {
            nt.ObCreateObject(
                nt::UserMode,
                object_type,
                &raw const attributes,
                nt::UserMode,
                null_mut(),
                profile.object_size.value as u32,
                0,
                0,
                &raw mut object,
            )
        };
        assert_eq!(status.0, 0xC000_0061, "{}", profile.name);
        assert!(object.is_null());
    }
}

#[test]
fn c056_temporary_name_vanishes() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask(T, 0x40).object(&nt);
        assert_eq!(counts(object), (1, 0));
        assert_eq!(ask(T, 0x40).open().status(&nt), 0xC000_0034);
        assert_eq!(find(&nt, T), None);
        let name = name_info(object.cast()).expect("the name header stays");
        assert!(name.Directory.is_null());
        assert_eq!(stored_name(object.cast()).as_deref(), Some("T"));
        assert_eq!(header(object.cast()).Flags, 0x02);
    }
}

#[test]
fn c057_temporary_object_stays_on_the_list() {
    for profile in modern() {
        let nt = boot(profile);
        let object = ask(T, 0x40).object(&nt);
        assert!(listed(&nt).contains(&object));
    }
}

#[test]
fn c058_temporary_name_is_free_again() {
    for profile in all() {
        let nt = boot(profile);
        let first = ask(T, 0x40).object(&nt);
        assert_ne!(ask(T, 0x40).object(&nt), first);
    }
}

#[test]
fn c059_last_reference_deletes() {
    for profile in all() {
        let nt = boot(profile);
        let before = nt.platform().outstanding();
        nt.platform().listen();
        let object = ask(T, 0x40).object(&nt);
        dereference(&nt, object);
        assert_eq!(deletions(&nt, object), 1);
        assert_eq!(nt.platform().outstanding(), before, "{}: every block is given back", profile.name);
        if profile.has_global_list.value {
            assert!(!listed(&nt).contains(&object));
        }
    }
}

#[test]
fn c060_permanent_name_stays() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask(T, KEPT).object(&nt);
        assert_eq!(counts(object), (2, 0));
        assert_eq!(header(object.cast()).Flags, 0x12);
        assert_eq!(find(&nt, T), Some(object.cast()));
    }
}

#[test]
fn c061_name_keeps_the_object() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask(T, KEPT).object(&nt);
        dereference(&nt, object);
        assert_eq!(counts(object), (1, 0));
        assert_eq!(ask(T, 0x40).open().object(&nt), object);
    }
}

#[test]
fn c062_make_temporary() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        let object = ask(T, KEPT).object(&nt);
        make_temporary(&nt, object);
        assert_eq!(find(&nt, T), None);
        assert_eq!(counts(object), (1, 0));
        assert_eq!(header(object.cast()).Flags, 0x02);
        let removed = nt.platform().take_events().into_iter().find_map(|what| match what {
            What::NameRemoved { object: at, name } if at == object.addr() as u64 => Some(name),
            _ => None,
        });
        assert_eq!(removed.as_deref(), Some(T), "the loss of the name is told");
    }
}

#[test]
fn c063_make_temporary_twice() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask(T, KEPT).object(&nt);
        make_temporary(&nt, object);
        let before = (counts(object), header(object.cast()).Flags, callback_names(&nt));
        make_temporary(&nt, object);
        assert_eq!(before, (counts(object), header(object.cast()).Flags, callback_names(&nt)));
    }
}

#[test]
fn c064_name_stays_while_a_handle_is_open() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask(T, KEPT).object(&nt);
        let mut handle = null_mut();
        // SAFETY: a live object; the output is a local.
        let status = unsafe {
            nt.ObOpenObjectByPointer(
                object.cast(),
                nt::OBJ_KERNEL_HANDLE,
                0x1_0000,
                nt.ExCallbackObjectType(),
                nt::KernelMode,
                &raw mut handle,
            )
        };
        assert!(status.is_success(), "{status}");
        make_temporary(&nt, object);
        assert_eq!(find(&nt, T), Some(object.cast()), "{}: the handle keeps the name", profile.name);
        assert_eq!(header(object.cast()).HandleCount, 1);
        nt.ZwClose(handle);
        assert_eq!(find(&nt, T), None);
        assert_eq!(counts(object), (1, 0));
    }
}

#[test]
fn c065_registration_keeps_the_object() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        let object = ask(T, KEPT).object(&nt);
        let registration = listen(&nt, object, |_, _| {});
        make_temporary(&nt, object);
        dereference(&nt, object);
        assert_eq!(deletions(&nt, object), 0);
        assert_eq!(counts(object), (1, 0));
        ring(&nt, object, 0, 0);
        unregister(&nt, registration);
        assert_eq!(deletions(&nt, object), 1);
    }
}

#[test]
fn c066_descriptor_of_named_and_unnamed() {
    for profile in all() {
        let nt = boot(profile);
        for attributes in [0x40, KEPT] {
            let named = ask(T, attributes).object(&nt);
            assert_ne!(header(named.cast()).SecurityDescriptor & !0xF, 0, "{}", profile.name);
        }
        let unnamed = ask_unnamed(0x200).object(&nt);
        assert_eq!(header(unnamed.cast()).SecurityDescriptor, 0);
    }
}

#[test]
fn c067_stored_name() {
    for profile in all() {
        let nt = boot(profile);
        let object = ask("\\Callback\\SomeLeaf", KEPT).object(&nt);
        let name = name_info(object.cast()).expect("a name").Name;
        assert_eq!((name.Length, name.MaximumLength), (16, 16));
        assert_eq!(stored_name(object.cast()).as_deref(), Some("SomeLeaf"));
        let tag: [u8; 4] = at(name.Buffer.cast(), 0usize.wrapping_sub(0xC));
        assert_eq!(tag, *b"ObNm", "{}: the tag in the pool header", profile.name);
    }
}

#[test]
fn c069_quota_header() {
    for profile in all() {
        let nt = boot(profile);
        let system = ask("\\Callback\\System", KEPT).object(&nt);
        assert_eq!(header(system.cast()).InfoMask & 0x08, 0);
        nt.platform().attach(nt.platform().user_process());
        let user = ask("\\Callback\\User", KEPT).object(&nt);
        assert_eq!(header(user.cast()).InfoMask & 0x08, 0x08, "{}", profile.name);
        assert_eq!(stored_name(user.cast()).as_deref(), Some("User"), "the name header is where it was");
    }
}

#[test]
fn c070_delete_runs_once() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        let object = ask_unnamed(0x200).object(&nt);
        reference(&nt, object);
        dereference(&nt, object);
        assert_eq!(deletions(&nt, object), 0);
        dereference(&nt, object);
        // `Solo` keeps freed blocks for a while, so what the delete procedure left can be looked at.
        assert_eq!(at::<[u8; 4]>(object.cast(), 0), *b"Call", "{}", profile.name);
        assert_eq!(deletions(&nt, object), 1);
    }
}

#[test]
fn c071_corrupt_list_node() {
    for profile in modern() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).object(&nt);
        let mut stranger = LIST_ENTRY { Flink: null_mut(), Blink: null_mut() };
        let node: *mut LIST_ENTRY = object.wrapping_byte_add(0x28).cast();
        write(node, LIST_ENTRY { Flink: &raw mut stranger, ..read(node) });
        let (code, parameters) = bugcheck_of(|| dereference(&nt, object));
        assert_eq!((code, parameters[0]), (0x139, 3));
    }
}

#[test]
fn c072_bootdriver_is_invisible() {
    for profile in all() {
        let nt = boot(profile);
        let before = callback_names(&nt);
        let object = ask("\\Callback\\BootDriver", 0x240).object(&nt);
        assert_eq!(callback_names(&nt), before);
        assert_eq!(counts(object), (1, 0));
    }
}
