//! Many callback objects: creating, opening by name, registering and unregistering, against a standard hash map of boxes.
//!
//! The yardstick does by hand what the namespace and the lists do: a `HashMap<String, Box<Bell>>` behind a lock, keyed by the
//! name in upper case because names are found whatever their case, each bell with a count of references and a list of boxed
//! listeners behind a lock of its own. Both sides have their names ready in the form they take them in: `&str` there, a
//! `UNICODE_STRING` as a driver has it here.
//!
//! Both sides run in turn in slices of 256 operations of each kind: objects are created beside those that are there, objects picked at
//! random are opened and closed, a listener is registered with others and unregistered, and what was created is taken away again.
//! Aim: at each size at most 4 times the yardstick; creating misses it where there are few objects. In parentheses is the ratio to a bare map in
//! one thread, without locks, counts and upper case.
//!
//! Run with `cargo bench -p ringbell-benches --bench scale`, with `-- 1000 1000000` for other sizes, with `-- swift` for the other protocol.

// The example platform names the crate as its users do.
extern crate executive as ringbell_executive;

#[path = "scale/by_hand.rs"]
mod by_hand;
#[path = "../../crates/executive/examples/threads/platform.rs"]
mod platform;

use std::hint::black_box;
use std::ptr::{self, null_mut};
use std::time::Instant;

use by_hand::{Bare, Map};
use executive::{Executive, Protocol, Routine};
use nt::{
    CALLBACK_OBJECT, NTSTATUS, OBJ_CASE_INSENSITIVE, OBJ_PERMANENT, OBJECT_ATTRIBUTES, Profile,
    UNICODE_STRING,
};
use platform::Threads;
use ringbell_benches::processor;

/// Operations of one slice.
const SLICE: usize = 256;
/// Pairs of slices at each size.
const PAIRS: usize = 201;
/// What is measured.
const STEPS: [&str; 4] = ["create", "open", "register", "remove"];

/// One way to keep many bells.
trait Side {
    fn create(&mut self, numbers: std::ops::Range<usize>);
    /// Opens and closes.
    fn open(&mut self, picks: &[usize]);
    /// Registers a listener and unregisters it.
    fn register(&mut self, picks: &[usize]);
    /// Takes away what was created last.
    fn remove(&mut self, numbers: std::ops::Range<usize>);
}

extern "win64" fn nothing(
    context: *mut std::ffi::c_void,
    argument1: *mut std::ffi::c_void,
    argument2: *mut std::ffi::c_void,
) {
    black_box((context, argument1, argument2));
}

/// The executive.
struct Nt {
    executive: Executive<Threads>,
    names: Vec<Vec<u16>>,
    objects: Vec<*mut CALLBACK_OBJECT>,
    routine: Routine,
}

impl Nt {
    fn new(protocol: Protocol, names: &[String]) -> Self {
        let executive =
            Executive::boot_with(Threads::new(), Profile::DEFAULT, protocol).expect("the executive boots");
        let names = names.iter().map(|name| format!(r"\Callback\{name}").encode_utf16().collect()).collect();
        let routine = Routine(nothing as extern "win64" fn(_, _, _) as usize);
        Self { executive, names, objects: Vec::new(), routine }
    }

    fn make(&mut self, number: usize, attributes: u32, create: bool) -> *mut CALLBACK_OBJECT {
        let name = &mut self.names[number];
        let bytes = size_of_val(&**name) as u16;
        let mut name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
        let attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: null_mut(),
            ObjectName: &raw mut name,
            Attributes: attributes,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: null_mut(),
        };
        let mut object = null_mut();
        // SAFETY: output, attributes and name live across the call.
        let status: NTSTATUS = unsafe {
            self.executive.ExCreateCallback(&raw mut object, &raw const attributes, create.into(), 1)
        };
        assert!(status.is_success(), "{status}");
        object
    }
}

impl Side for Nt {
    fn create(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let object = self.make(number, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT, true);
            self.objects.push(object);
        }
    }

    fn open(&mut self, picks: &[usize]) {
        for &pick in picks {
            let object = black_box(self.make(pick, OBJ_CASE_INSENSITIVE, false));
            // SAFETY: gives back the reference just taken.
            unsafe { self.executive.ObfDereferenceObject(object.cast()) };
        }
    }

    fn register(&mut self, picks: &[usize]) {
        for &pick in picks {
            let object = self.objects[pick];
            // SAFETY: the object is referenced; the routine uses its context as a number only.
            let registration = unsafe {
                self.executive.ExRegisterCallback(object, self.routine, ptr::without_provenance_mut(1))
            };
            assert!(!registration.is_null());
            // SAFETY: registered just now.
            unsafe { self.executive.ExUnregisterCallback(black_box(registration)) };
        }
    }

    fn remove(&mut self, numbers: std::ops::Range<usize>) {
        for object in self.objects.drain(numbers) {
            // SAFETY: the object is referenced since it was created.
            unsafe { self.executive.ObMakeTemporaryObject(object.cast()) };
            // SAFETY: gives that reference back.
            unsafe { self.executive.ObfDereferenceObject(object.cast()) };
        }
    }
}

/// Nanoseconds per operation of each step.
fn slice(side: &mut dyn Side, size: usize, picks: &[usize]) -> [f64; STEPS.len()] {
    let time = |step: &mut dyn FnMut()| {
        let start = Instant::now();
        step();
        start.elapsed().as_nanos() as f64 / SLICE as f64
    };
    [
        time(&mut || side.create(size..size + SLICE)),
        time(&mut || side.open(picks)),
        time(&mut || side.register(picks)),
        time(&mut || side.remove(size..size + SLICE)),
    ]
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

fn measure(protocol: Protocol, size: usize) {
    let names: Vec<String> = (0..size + SLICE).map(|number| format!("Bell{number:07}")).collect();
    let mut nt = Nt::new(protocol, &names);
    let mut map = Map::new(&names);
    let mut bare = Bare::new(&names);
    let mut sides: [&mut dyn Side; 3] = [&mut map, &mut nt, &mut bare];
    sides.iter_mut().for_each(|side| side.create(0..size));

    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut times: [[Vec<f64>; STEPS.len()]; 3] = Default::default();
    for pair in 0..PAIRS {
        let picks: Vec<usize> = (0..SLICE)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as usize % size
            })
            .collect();
        for turn in 0..sides.len() {
            let which = (turn + pair) % sides.len();
            let figures = slice(sides[which], size, &picks);
            for (times, figure) in times[which].iter_mut().zip(figures) {
                times.push(figure);
            }
        }
    }
    let [map, nt, bare] = times;
    let both = |times: &[Vec<f64>; STEPS.len()]| -> Vec<f64> {
        times[0].iter().zip(&times[1]).map(|(create, open)| create + open).collect()
    };
    row(size, "create + open", both(&map), both(&nt), &both(&bare));
    let steps = STEPS.into_iter().zip(map).zip(nt).zip(bare);
    for (((name, map), nt), bare) in steps {
        row(size, name, map, nt, &bare);
    }
}

fn row(size: usize, name: &str, mut map: Vec<f64>, mut nt: Vec<f64>, bare: &[f64]) {
    let ratios = |base: &[f64], other: &[f64]| -> Vec<f64> {
        base.iter().zip(other).map(|(base, other)| other / base).collect()
    };
    let mut ratio = ratios(&map, &nt);
    let mut to_bare = ratios(bare, &nt);
    println!(
        "{size:>8} {name:>14} {:>9.0} {:>9.0} {:>7.2} {:>6.2} - {:<6.2} ({:.2})",
        percentile(&mut map, 50),
        percentile(&mut nt, 50),
        percentile(&mut ratio, 50),
        percentile(&mut ratio, 10),
        percentile(&mut ratio, 90),
        percentile(&mut to_bare, 50),
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let protocol = if arguments.iter().any(|argument| argument == "swift") {
        Protocol::Swift
    } else {
        Protocol::Reference
    };
    let sizes: Vec<usize> = arguments.iter().filter_map(|size| size.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000, 1_000_000] } else { sizes };
    println!("scale: many objects against a standard hash map, {protocol:?}, {}", processor());
    println!(
        "ns per operation; median of {PAIRS} pairs of slices of {SLICE}; ratio with its 10-90 % band; ratio to a bare map\n"
    );
    println!("{:>8} {:>14} {:>9} {:>9} {:>7} {:>15}", "objects", "step", "map", "NT", "ratio", "10 - 90 %");
    for size in sizes {
        measure(protocol, size);
    }
}
