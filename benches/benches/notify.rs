//! `ExNotifyCallback` against calling the same routines by hand, in one thread.
//!
//! The yardstick is a loop over an array of function pointers and contexts: the least that any notify must do. Routines do nothing, so what is
//! measured is the protocol: *Reference*, NT's own, takes, drops and takes again the object's spin lock around each routine and
//! counts `Busy`; *Swift* names the routine in the thread's own record. Nanoseconds are per routine called.
//!
//! Run with `cargo bench -p ringbell-benches --bench notify`.

use std::ffi::c_void;
use std::hint::black_box;
use std::ptr;
use std::time::Duration;

use executive::solo::Solo;
use executive::{CallbackOptions, Executive, Protocol, Routine};
use nt::Profile;
use ringbell_benches::{compare, processor};

extern "win64" fn nothing(context: *mut c_void, argument1: *mut c_void, argument2: *mut c_void) {
    black_box((context, argument1, argument2));
}

type Function = extern "win64" fn(*mut c_void, *mut c_void, *mut c_void);

fn main() {
    println!("notify against a bare loop, one thread, {}", processor());
    println!("ns per routine called; median of 201 pairs of 2 ms slices; ratio with its 10-90 % band\n");
    println!(
        "{:>10} {:>8} {:>10} {:>10} {:>8} {:>17}",
        "protocol", "routines", "bare loop", "notify", "ratio", "10 - 90 %"
    );
    for (protocol, name) in [(Protocol::Reference, "Reference"), (Protocol::Swift, "Swift")] {
        for count in [1_usize, 4, 16, 64] {
            row(protocol, name, count);
        }
    }
}

fn row(protocol: Protocol, name: &str, count: usize) {
    let executive =
        Executive::boot_with(Solo::new(), Profile::DEFAULT, protocol).expect("the executive boots");
    let object = executive.create_callback(&CallbackOptions::unnamed()).expect("an unnamed object");
    let routine = Routine(nothing as Function as usize);
    for _ in 0..count {
        // SAFETY: `nothing` is a callback routine and uses its context as a number only.
        let registration = unsafe { object.register_raw(routine, ptr::null_mut()) };
        registration.expect("a registration").leak();
    }
    let bare: Vec<(Function, *mut c_void)> = vec![(black_box(nothing as Function), ptr::null_mut()); count];
    let calls = count as u64;
    let comparison = compare(
        201,
        Duration::from_millis(2),
        |times| {
            for _ in 0..times.div_ceil(calls) {
                for (function, context) in black_box(&bare) {
                    function(
                        *context,
                        black_box(ptr::without_provenance_mut(1)),
                        black_box(ptr::without_provenance_mut(2)),
                    );
                }
            }
        },
        |times| {
            for _ in 0..times.div_ceil(calls) {
                object.notify(black_box(1), black_box(2));
            }
        },
    );
    println!("{name:>10} {count:>8} {comparison}");
}
