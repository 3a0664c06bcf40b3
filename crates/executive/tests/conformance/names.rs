//! How names are resolved.

use core::ptr::null_mut;

use nt::{HANDLE, OBJECT_ATTRIBUTES, OBJECT_TYPE_INITIALIZER, UNICODE_STRING};
use ringbell_executive::ob::Procedures;

use crate::support::*;

const X: &str = "\\Callback\\X";

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn unicode(units: &mut [u16]) -> UNICODE_STRING {
    let bytes = (units.len() * 2) as u16;
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
}

fn attributes(name: &mut UNICODE_STRING, bits: u32) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: name,
        Attributes: bits,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    }
}

/// Opens a handle to an object of any type.
fn open(nt: &Nt, path: &str) -> HANDLE {
    let mut text = units(path);
    let mut name = unicode(&mut text);
    let attributes = attributes(&mut name, 0x240);
    let mut handle = null_mut();
    // SAFETY: all of it lives across the call.
    let status = unsafe {
        nt.ObOpenObjectByName(&raw const attributes, null_mut(), 0, 0, null_mut(), &raw mut handle)
    };
    assert!(status.is_success(), "{path}: {status}");
    handle
}

/// Creates a permanent symbolic link.
fn link(nt: &Nt, path: &str, target: &str) {
    let (mut text, mut target) = (units(path), units(target));
    let mut name = unicode(&mut text);
    let target = unicode(&mut target);
    let attributes = attributes(&mut name, 0x250);
    let mut handle = null_mut();
    // SAFETY: all of it lives across the call.
    let status = unsafe {
        nt.NtCreateSymbolicLinkObject(&raw mut handle, 0xF_0001, &raw const attributes, &raw const target)
    };
    assert!(status.is_success(), "{path}: {status}");
    nt.ZwClose(handle);
}

/// Creates `\E`, a permanent object of a type `Event`.
fn event(nt: &Nt) {
    let object_type = nt.object_type("Event").unwrap_or_else(|| {
        // SAFETY: plain data, for which zero is a value.
        let mut initializer: OBJECT_TYPE_INITIALIZER = unsafe { core::mem::zeroed() };
        initializer.Length = nt.profile().type_initializer_size.value as u16;
        initializer.ValidAccessMask = 0x1F_0003;
        initializer.PoolType = nt.profile().nonpaged_kind.value.pool_type();
        nt.ObCreateObjectType("Event", &initializer, Procedures::NONE).expect("a new type")
    });
    let mut text = units("\\E");
    let mut name = unicode(&mut text);
    let attributes = attributes(&mut name, 0x250);
    let mut object = null_mut();
    // SAFETY: all of it lives across the call.
    let status = unsafe {
        nt.ObCreateObject(
            0,
            object_type.as_ptr(),
            &raw const attributes,
            0,
            null_mut(),
            0x18,
            0,
            0,
            &raw mut object,
        )
    };
    assert!(status.is_success(), "{status}");
    let mut handle = null_mut();
    // SAFETY: a new object that is not inserted yet.
    let status = unsafe { nt.ObInsertObject(object, 1, 0, null_mut(), &raw mut handle) };
    assert!(status.is_success(), "{status}");
    nt.ZwClose(handle);
}

#[test]
fn c024_root_without_name() {
    for profile in all() {
        let nt = boot(profile);
        let root = open(&nt, "\\Callback");
        assert_eq!(ask_unnamed(0).root(root).status(&nt), 0xC000_0033);
        assert_eq!(ask_unnamed(0).root(root).open().status(&nt), 0xC000_0001);
    }
}

#[test]
fn c025_empty_name() {
    for profile in all() {
        let nt = boot(profile);
        assert_eq!(ask("", 0).open().status(&nt), 0xC000_003B);
        let object = ask("", 0).object(&nt);
        assert_eq!(header(object.cast()).InfoMask & 2, 0, "no name header");
        let root = open(&nt, "\\Callback");
        assert_eq!(ask("", 0).root(root).open().status(&nt), 0xC000_0024, "the directory itself");
        assert_eq!(header(ask("", 0).root(root).object(&nt).cast()).InfoMask & 2, 0);
    }
}

#[test]
fn c026_relative_name_without_root() {
    for profile in all() {
        let nt = boot(profile);
        assert_eq!(ask("Callback\\X", 0).open().status(&nt), 0xC000_003B);
        assert_eq!(ask("Callback\\X", 0).status(&nt), 0xC000_003B);
    }
}

#[test]
fn c027_relative_name() {
    for profile in all() {
        let nt = boot(profile);
        let root = open(&nt, "\\Callback");
        let x = ask("X", 0x10).root(root).object(&nt);
        assert_eq!(ask(X, 0).open().object(&nt), x);
        assert_eq!(find(&nt, X), Some(x.cast()));
    }
}

#[test]
fn c028_absolute_name_with_root() {
    for profile in all() {
        let nt = boot(profile);
        let root = open(&nt, "\\Callback");
        assert_eq!(ask("\\X", 0).root(root).open().status(&nt), 0xC000_003B);
        assert_eq!(ask("\\X", 0).root(root).status(&nt), 0xC000_003B);
    }
}

#[test]
fn c029_invalid_root_handle() {
    for profile in all() {
        let nt = boot(profile);
        for garbage in [0x7654, 0xFFFF_FFFF_8000_7654] {
            assert_eq!(ask("X", 0).root(pointer(garbage)).open().status(&nt), 0xC000_0008);
            assert_eq!(ask("X", 0x10).root(pointer(garbage)).status(&nt), 0xC000_0008);
        }
    }
}

#[test]
fn c030_root_is_no_callback() {
    for profile in all() {
        let nt = boot(profile);
        assert_eq!(ask("\\", 0).open().status(&nt), 0xC000_0024);
        assert_eq!(ask("\\", 0).status(&nt), 0xC000_0024);
    }
}

#[test]
fn c031_name_of_a_directory() {
    for profile in all() {
        let nt = boot(profile);
        assert_eq!(ask("\\Callback", 0x40).open().status(&nt), 0xC000_0024);
        if !profile.wrong_type_create_status.is_assumed() {
            let expected = if profile.has_global_list.value { 0xC000_0024 } else { 0xC000_0035 };
            assert_eq!(ask("\\Callback", 0x40).status(&nt), expected, "{}", profile.name);
        }
    }
}

#[test]
fn c032_name_of_an_event_with_openif() {
    for profile in all() {
        let nt = boot(profile);
        event(&nt);
        assert_eq!(ask("\\E", 0x80).status(&nt), 0xC000_0024, "{}", profile.name);
    }
}

#[test]
fn c033_missing_directory() {
    for profile in all() {
        assert_eq!(ask("\\NoDir\\X", 0).status(&boot(profile)), 0xC000_003A);
    }
}

#[test]
fn c034_path_below_a_callback() {
    for profile in all() {
        let nt = boot(profile);
        ask(X, KEPT).object(&nt);
        assert_eq!(ask("\\Callback\\X\\Y", 0).status(&nt), 0xC000_0024);
        assert_eq!(ask("\\Callback\\X\\Y", 0).open().status(&nt), 0xC000_0024);
    }
}

#[test]
fn c035_empty_components() {
    for profile in all() {
        let nt = boot(profile);
        for name in ["\\Callback\\", "\\Callback\\\\X"] {
            assert_eq!(ask(name, 0).status(&nt), 0xC000_0033, "{name}");
            assert_eq!(ask(name, 0).open().status(&nt), 0xC000_0033, "{name}");
        }
    }
}

#[test]
fn c036_missing_before_empty() {
    for profile in all() {
        assert_eq!(ask("\\Callback\\Nope\\", 0).status(&boot(profile)), 0xC000_003A);
    }
}

#[test]
fn c037_odd_or_too_long_name() {
    for profile in all() {
        let nt = boot(profile);
        for bytes in [21, 0xFFFE, 0xFFFF] {
            assert_eq!(ask(X, 0).name_bytes(bytes).status(&nt), 0xC000_0033, "{bytes:#x}");
            assert_eq!(ask(X, 0).name_bytes(bytes).open().status(&nt), 0xC000_0033, "{bytes:#x}");
        }
        let longest = ask(X, 0x10).name_bytes(0xFFFC).object(&nt);
        assert_eq!(
            name_info(longest.cast()).expect("a name").Name.Length,
            0xFFFC - 20,
            "the longest name is legal"
        );
    }
}

#[test]
fn c045_symbolic_link() {
    for profile in all() {
        let nt = boot(profile);
        let x = ask(X, KEPT).object(&nt);
        link(&nt, "\\L", "\\Callback");
        assert_eq!(ask("\\L\\X", 0x40).open().object(&nt), x);
        link(&nt, "\\Leaf", X);
        assert_eq!(ask("\\Leaf", 0x40).open().object(&nt), x, "as last component too");
        let through = ask("\\L\\Made", KEPT).object(&nt);
        assert_eq!(find(&nt, "\\Callback\\Made"), Some(through.cast()), "creation follows links too");
    }
}

#[test]
fn c046_dont_reparse() {
    for profile in modern() {
        let nt = boot(profile);
        ask(X, KEPT).object(&nt);
        link(&nt, "\\L", "\\Callback");
        assert_eq!(ask("\\L\\X", 0x1000).open().status(&nt), 0xC000_050B);
        assert_eq!(ask("\\L\\X", 0x1000).status(&nt), 0xC000_050B);
    }
}

#[test]
fn c047_link_circle() {
    for profile in all() {
        let nt = boot(profile);
        for index in 0..64 {
            link(&nt, &format!("\\L{index}"), &format!("\\L{}", (index + 1) % 64));
        }
        assert_eq!(ask("\\L0\\X", 0x40).open().status(&nt), 0xC000_0034);
        assert_eq!(ask("\\L0\\X", 0x50).status(&nt), 0xC000_0034);
    }
}

#[test]
fn c054_any_directory_will_do() {
    for profile in all() {
        let nt = boot(profile);
        let foo = ask("\\Foo", KEPT).object(&nt);
        assert_eq!(find(&nt, "\\Foo"), Some(foo.cast()));
        assert_eq!(counts(foo), (2, 0));
    }
}

#[test]
fn c068_hash_and_chain_head() {
    let known = [
        ("PowerState", 0x0086_AF0B, 26, 0xBFDE_A54E, 13),
        ("SetSystemTime", 0x1695_DF28, 7, 0x22EE_A689, 12),
        ("SetSystemState", 0x4F0C_8E49, 27, 0x79A4_07E1, 4),
        ("ProcessorAdd", 0x0673_C6C6, 33, 0x49DD_4A45, 13),
        ("EnlightenmentState", 0xF09F_D307, 23, 0xA97F_1E21, 1),
        ("Phase1InitComplete", 0xECA1_2725, 29, 0x4020_54CA, 27),
        ("SeImageVerificationDriverInfo", 0xF90C_D99E, 33, 0xE889_65FA, 22),
        ("AB", 0x0000_0125, 34, 0x0000_0125, 34),
    ];
    for profile in all() {
        let nt = boot(profile);
        let directory = find(&nt, "\\Callback").expect("the directory");
        ask("\\Callback\\AB", KEPT).object(&nt);
        let fast = profile.hash.value == nt::hash::NameHash::Fast4;
        for (name, slow_hash, slow_bucket, fast_hash, fast_bucket) in known {
            let Some(entry) = entries(directory).into_iter().find(|entry| entry.name == name) else {
                continue;
            };
            let expected = if fast { (fast_hash, fast_bucket) } else { (slow_hash, slow_bucket) };
            assert_eq!((entry.hash, entry.bucket), expected, "{} {name}", profile.name);
        }
        // New entries go to the head of their chain, whatever is there.
        for index in 0..100 {
            let object = ask(&format!("\\Callback\\N{index}"), KEPT).object(&nt);
            let entry = entries(directory)
                .into_iter()
                .find(|entry| entry.object == object.cast())
                .expect("its entry");
            assert_eq!(entry.depth, 0);
        }
        let callback =
            entries(root(&nt)).into_iter().find(|entry| entry.name == "Callback").expect("`\\Callback`");
        let expected = if fast { (0x0279_8279, 26) } else { (0x0009_39C4, 32) };
        assert_eq!((callback.hash, callback.bucket), expected);
    }
}
