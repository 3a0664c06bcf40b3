//! With names from symbol files.

use record::Value;
use ringbell_inspect::{Options, Symbols};
use synth::{Era, KERNEL_ROUTINES, World};

use crate::support::{Form, at, kinds, look_with};

/// Knows the kernel's routines, and says where the list's head is.
struct Names {
    head: u64,
    event: Option<u64>,
    world: World,
}

impl Symbols for Names {
    fn global(&self, name: &str) -> Option<u64> {
        match name {
            "ExpCallbackListHead" => Some(self.head),
            "ExpCallbackEvent" => self.event,
            _ => None,
        }
    }

    fn routine(&self, address: u64) -> Option<String> {
        let index =
            (0..KERNEL_ROUTINES.len()).find(|index| self.world.kernel_routine(*index as u64) == address)?;
        Some(KERNEL_ROUTINES[index].to_owned())
    }
}

#[test]
fn symbols_name_the_head_and_the_routines() {
    let world = World::booted(Era::TwentyFourH2);
    let names = Names { head: world.list_head(), event: None, world: world.clone() };
    let found = look_with(&world, Form::Full, &Options { symbols: &names, ..Options::default() });
    assert_eq!(kinds(&found), [""; 0]);
    assert!(found.views[0].how.starts_with("head named by a symbol"), "{}", found.views[0].how);
    assert!(!found.notes.iter().any(|note| note.contains("no symbols")), "{:?}", found.notes);
    let power = at(&found, world.named("PowerState").body);
    assert_eq!(power.listeners[0].symbol, Value::Known("EtwpPowerStateCallback".to_owned()));
    assert!(matches!(power.listeners[1].symbol, Value::Absent { .. }));
}

#[test]
fn symbols_of_another_kernel_do_not_mislead() {
    let world = World::booted(Era::TwentyFourH2);
    let names = Names { head: world.list_head() + 0x40, event: None, world: world.clone() };
    let found = look_with(&world, Form::Full, &Options { symbols: &names, ..Options::default() });
    assert_eq!(kinds(&found), [""; 0]);
    assert!(found.views[0].how.starts_with("recovered from the ring"), "{}", found.views[0].how);
    assert_eq!(found.objects.len(), world.objects.len());
}

#[test]
fn routines_attribute_objects_without_a_name_where_no_port_does() {
    let mut world = World::booted(Era::TwentyFourH2);
    for (_, made) in world.objects.clone().iter().filter(|(leaf, _)| leaf.is_none()) {
        // The ports are taken away; what is left are the routines.
        for place in 0..0x2000_u64 {
            let at = synth::plan::NONPAGED + place * 8;
            if world.memory.translate(at).is_some()
                && world.memory.get64(at) == made.body
                && !world.registrations(made.body).contains(&(at - 0x10))
            {
                world.memory.put64(at, 0);
            }
        }
    }
    let names = Names { head: world.list_head(), event: None, world: world.clone() };
    let found = look_with(&world, Form::Full, &Options { symbols: &names, ..Options::default() });
    let mut whose: Vec<_> = found.objects.iter().filter_map(|it| it.attribution.known().cloned()).collect();
    whose.sort();
    assert_eq!(whose, ["PowerMonitorPort", "PowerPort", "SleepstudyControlPort"]);
}

#[test]
fn without_symbols_a_routine_that_the_kernel_exports_has_its_name() {
    let mut world = World::booted(Era::TwentyFourH2);
    let body = world.named("VendorEvents").body;
    let routine = world.at(synth::plan::rva::EXPORT);
    for at in [routine, routine + 4] {
        world.register(body, at, 0);
    }
    let found = look_with(&world, Form::Full, &Options::default());
    let names: Vec<_> =
        at(&found, body).listeners.iter().filter_map(|listener| listener.symbol.known().cloned()).collect();
    assert_eq!(names, ["ExNotifyCallback"], "only where it begins");
}

#[test]
fn without_symbols_it_is_told_what_to_fetch() {
    let found = look_with(&World::booted(Era::Ten), Form::Full, &Options::default());
    assert!(
        found.notes.iter().any(|note| note.contains("`ntkrnlmp.pdb`")
            && note.contains("GUID 44332211-6655-8877-0102-030405060708, age 1")
            && note.contains(
                "https://msdl.microsoft.com/download/symbols/ntkrnlmp.pdb/44332211665588770102030405060708"
            )),
        "{:?}",
        found.notes
    );
}

#[test]
fn threads_that_wait_to_unregister_are_told_where_symbols_name_the_event() {
    const THREAD: u64 = 0xFFFF_B08F_3D00_0080;
    for (era, new) in [(Era::Seven, false), (Era::Eight, true), (Era::TwentyFourH2, true)] {
        let mut world = World::booted(era);
        let event = synth::fixtures::waiting_thread(&mut world, new, THREAD);
        let look = |event| {
            let names = Names { head: world.list_head(), event, world: world.clone() };
            look_with(&world, Form::Full, &Options { symbols: &names, ..Options::default() })
        };
        let found = look(Some(event));
        assert_eq!(kinds(&found), [""; 0], "{era:?}");
        assert_eq!(found.waiters, Value::Known(vec![record::Waiter { thread: THREAD }]), "{era:?}");
        for (event, words) in [(None, "no symbols name"), (Some(event + 0x20), "there is no event at")] {
            let Value::Absent { why, .. } = look(event).waiters else { panic!("{era:?}") };
            assert!(why.contains(words), "{why}");
        }
    }
}
