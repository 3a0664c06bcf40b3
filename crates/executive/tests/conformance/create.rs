//! What `ExCreateCallback` answers.

use record::What;

use crate::support::*;

const X: &str = "\\Callback\\X";

/// A world in which `\Callback\X` exists.
fn with_x(profile: &'static nt::Profile) -> (Nt, Object) {
    let nt = boot(profile);
    let x = ask(X, KEPT).object(&nt);
    (nt, x)
}

#[test]
fn c015_new_object_body() {
    for profile in all() {
        let (_nt, x) = with_x(profile);
        assert_eq!(at::<[u8; 4]>(x.cast(), 0), *b"Call");
        assert_eq!(lock_of(x), 0);
        let head = x.addr() + 0x10;
        assert_eq!(at::<[usize; 2]>(x.cast(), 0x10), [head, head]);
        assert_eq!(at::<u8>(x.cast(), 0x20), 1);
    }
}

#[test]
fn c016_open_returns_the_same_object() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        let (before, _) = counts(x);
        assert_eq!(ask(X, 0x40).open().multiple(0).object(&nt), x);
        assert_eq!(counts(x), (before + 1, 0));
    }
}

#[test]
fn c017_create_existing_ignores_multiple() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        assert_eq!(ask(X, 0x40).multiple(0).object(&nt), x);
        assert_eq!(at::<u8>(x.cast(), 0x20), 1);
        assert_eq!(header(x.cast()).Flags, 0x12, "PERMANENT is not taken from the second call either");
    }
}

#[test]
fn c018_case_insensitive_open() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        assert_eq!(ask("\\callback\\x", 0x40).open().object(&nt), x);
    }
}

#[test]
fn c019_case_sensitive_leaf() {
    for profile in all() {
        let (nt, _) = with_x(profile);
        assert_eq!(ask("\\Callback\\x", 0).open().status(&nt), 0xC000_0034);
    }
}

#[test]
fn c020_case_sensitive_directory() {
    for profile in all() {
        let (nt, _) = with_x(profile);
        assert_eq!(ask("\\callback\\X", 0).open().status(&nt), 0xC000_003A);
    }
}

#[test]
fn c021_case_sensitive_create_is_another_object() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        let other = ask("\\Callback\\x", 0x10).object(&nt);
        assert_ne!(other, x);
        assert_eq!(find(&nt, "\\Callback\\x"), Some(other.cast()));
        assert_eq!(find(&nt, X), Some(x.cast()));
    }
}

#[test]
fn c022_open_without_name() {
    for profile in all() {
        assert_eq!(ask_unnamed(0x200).open().status(&boot(profile)), 0xC000_0001);
    }
}

#[test]
fn c023_unnamed_object() {
    for profile in modern() {
        let nt = boot(profile);
        let object = ask_unnamed(0x200).multiple(0).object(&nt);
        assert_eq!(header(object.cast()).InfoMask & 2, 0);
        assert_eq!(counts(object), (1, 0));
        assert_eq!(listed(&nt).last(), Some(&object));
    }
}

#[test]
fn c038_wrong_attributes_length() {
    for profile in all() {
        let (nt, _) = with_x(profile);
        for create in [true, false] {
            let call = ask(X, 0x40).length(0x2F);
            let call = if create { call } else { call.open() };
            assert_eq!(call.status(&nt), 0xC000_000D);
        }
        assert_eq!(ask_unnamed(0x200).length(0x2F).open().status(&nt), 0xC000_0001);
        assert_eq!(ask_unnamed(0x200).length(0x2F).status(&nt), 0xC000_000D);
    }
}

#[test]
fn c039_unknown_attribute_bits() {
    for profile in modern() {
        let (nt, _) = with_x(profile);
        for bit in [0x1, 0x4, 0x8, 0x2000, 0x2_0000] {
            assert_eq!(ask(X, bit).status(&nt), 0xC000_000D, "{bit:#x}");
            assert_eq!(ask(X, bit).open().status(&nt), 0xC000_000D, "{bit:#x}");
        }
    }
}

#[test]
fn c040_openlink_on_existing() {
    for profile in all() {
        let (nt, _) = with_x(profile);
        assert_eq!(ask(X, 0x100).open().status(&nt), 0xC000_000D);
        assert_eq!(ask(X, 0x100).status(&nt), 0xC000_000D);
    }
}

#[test]
fn c041_openlink_on_absent() {
    for profile in all() {
        let nt = boot(profile);
        assert_eq!(ask("\\Callback\\Z", 0x100).open().status(&nt), 0xC000_0034);
        assert_eq!(ask("\\Callback\\Z", 0x100).status(&nt), 0xC000_000D);
    }
}

#[test]
fn c044_quality_of_service() {
    for profile in all() {
        let (nt, _) = with_x(profile);
        for call in [ask(X, 0x40), ask(X, 0x40).open(), ask("\\Callback\\New", 0x50)] {
            assert_eq!(call.clone().quality(0, 2).status(&nt), 0xC000_000D);
            assert_eq!(call.quality(4, 0).status(&nt), 0xC000_00A5);
        }
    }
}

#[test]
fn c051_output_untouched_on_failure() {
    for profile in all() {
        let nt = boot(profile);
        // `Ask` compares the output after every failed call of every test; these fail at each stage once.
        for call in [
            ask_unnamed(0).open(),
            ask("\\Callback\\None", 0).open(),
            ask(X, 0x100),
            ask(X, 0x50).length(1),
            ask("\\NoDirectory\\X", 0x50),
        ] {
            call.status(&nt);
        }
        nt.platform().refuse_all(true);
        assert_eq!(ask(X, 0x50).status(&nt), 0xC000_009A);
    }
}

#[test]
fn c052_attributes_unchanged() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        // `Ask` compares the attributes around every call; the kernel handle bit is the one a careless copy
        // would leave.
        assert_eq!(ask(X, 0x40).quality(2, 1).open().object(&nt), x);
        ask("\\Callback\\Other", 0x50).quality(2, 1).object(&nt);
        ask_unnamed(0).object(&nt);
    }
}

#[test]
fn c053_no_handle_left() {
    for profile in all() {
        let (nt, x) = with_x(profile);
        let before = handles(&nt);
        for _ in 0..3 {
            ask(X, 0x40).open().object(&nt);
            ask("\\Callback\\Temporary", 0x40).object(&nt);
            ask_unnamed(0x200).object(&nt);
            ask(X, 0x100).open().status(&nt);
        }
        assert_eq!(handles(&nt), before);
        assert_eq!(header(x.cast()).HandleCount, 0);
    }
}

#[test]
fn c055_irql_contract() {
    for profile in all() {
        let nt = boot(profile);
        nt.platform().listen();
        nt.KeRaiseIrql(nt::Irql::DISPATCH);
        // Pageable code and paged pool at this level: how far the call gets is not part of the statement.
        let _ = try_end(|| ask(X, 0x40).open().result(&nt));
        let reported = nt.platform().take_events().into_iter().any(|what| {
            matches!(what, What::IrqlContract { name, highest: 1, actual: 2, .. } if name == "ExCreateCallback")
        });
        assert!(reported, "{}", profile.name);
    }
}

#[test]
fn the_highest_level_of_a_contract_is_within_it() {
    let nt = boot(nt::Profile::DEFAULT);
    nt.platform().listen();
    nt.KeRaiseIrql(nt::Irql::APC);
    ask(X, 0x50).result(&nt).expect("created");
    let reported =
        nt.platform().take_events().into_iter().any(|what| matches!(what, What::IrqlContract { .. }));
    assert!(!reported);
}

#[test]
fn a_name_beyond_a_counted_string_is_refused() {
    let nt = boot(nt::Profile::DEFAULT);
    let attempt = |units: usize| {
        let name = format!("\\{}", "n".repeat(units - 1));
        let attempt = ringbell_executive::Attempt {
            name: Some(&name),
            attributes: 0x50,
            create: true,
            multiple: true,
            keep_reference: true,
        };
        nt.attempt(&attempt).status.0
    };
    // The length of the longer one would be 6 bytes, if nobody looked.
    assert_eq!((attempt(0x7FFF), attempt(0x8003)), (0xC000_0033, 0xC000_0033));
    assert_eq!(attempt(0x7FFE), 0);
}
