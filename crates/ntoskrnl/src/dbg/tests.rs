//! Debug output through the table.

use record::What;

use crate::testing::{Rig, Wide, at, narrow};

fn printed(rig: &Rig) -> (String, Option<(u32, u32)>) {
    match rig.events().as_slice() {
        [What::DebugPrint { text, filter }] => (text.clone(), *filter),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_become_events() {
    let rig = Rig::new();
    let mut name = Wide::new(r"\Callback\PowerState");
    let mut pattern = narrow("open %wZ: %08X at %p\n");
    let p = at(pattern.as_mut_slice());
    let slots = [name.at(), 0xC000_0034, 0x1234];
    let expected = "open \\Callback\\PowerState: C0000034 at 0000000000001234\n";
    assert_eq!(rig.call("DbgPrint", &[p, slots[0], slots[1], slots[2]]), 0);
    assert_eq!(printed(&rig), (expected.into(), None));
    // The sixth argument lies on the stack.
    assert_eq!(rig.call("DbgPrintEx", &[77, 0, p, slots[0], slots[1], slots[2]]), 0);
    assert_eq!(printed(&rig), (expected.into(), Some((77, 0))));
    let mut list = slots;
    rig.call("vDbgPrintEx", &[77, 3, p, at(&mut list)]);
    assert_eq!(printed(&rig), (expected.into(), Some((77, 3))));
    let mut prefix = narrow("ring: ");
    rig.call("vDbgPrintExWithPrefix", &[at(prefix.as_mut_slice()), 77, 3, p, at(&mut list)]);
    assert_eq!(printed(&rig), (format!("ring: {expected}"), Some((77, 3))));
}

#[test]
fn a_long_message_is_cut_at_512_bytes() {
    let rig = Rig::new();
    let mut pattern = narrow("%600d");
    rig.call("DbgPrint", &[at(pattern.as_mut_slice()), 1]);
    let (text, _) = printed(&rig);
    assert_eq!((text.len(), text.ends_with(" \n")), (512, true));
    let mut pattern = narrow("%512d");
    rig.call("DbgPrint", &[at(pattern.as_mut_slice()), 1]);
    let (text, _) = printed(&rig);
    assert_eq!((text.len(), text.ends_with(" 1")), (512, true));
}

#[test]
fn a_bad_string_argument_blames_the_caller() {
    let rig = Rig::new();
    let mut pattern = narrow("%s");
    rig.faults("DbgPrint", &[at(pattern.as_mut_slice()), 0x10]);
}

#[test]
fn a_failed_assertion_is_printed() {
    let rig = Rig::new();
    let (mut what, mut file) = (narrow("a == b"), narrow("a.c"));
    rig.call("RtlAssert", &[at(what.as_mut_slice()), at(file.as_mut_slice()), 7, 0]);
    let (text, _) = printed(&rig);
    assert_eq!(text, "\n*** Assertion failed: a == b\n***   Source File: a.c, line 7\n\n");
}
