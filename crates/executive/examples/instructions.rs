//! A number of notifies and nothing else, for whoever counts instructions: `instructions PROTOCOL ROUTINES TIMES`.
//!
//! `cargo run -p xtask -- callgrind` runs it under valgrind.

use core::ffi::c_void;
use core::hint::black_box;
use core::ptr::null_mut;
use std::process::ExitCode;

use ringbell_executive::solo::Solo;
use ringbell_executive::{CallbackOptions, Executive, Protocol, Routine};

#[cfg(target_arch = "x86_64")]
type Function = extern "win64" fn(*mut c_void, *mut c_void, *mut c_void);
#[cfg(not(target_arch = "x86_64"))]
type Function = extern "C" fn(*mut c_void, *mut c_void, *mut c_void);

macro_rules! nothing {
    ($abi:literal) => {
        extern $abi fn nothing(context: *mut c_void, argument1: *mut c_void, argument2: *mut c_void) {
            black_box((context, argument1, argument2));
        }
    };
}
#[cfg(target_arch = "x86_64")]
nothing!("win64");
#[cfg(not(target_arch = "x86_64"))]
nothing!("C");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let protocol = match arguments.first().map(String::as_str) {
        Some("Reference") => Protocol::Reference,
        Some("Swift") => Protocol::Swift,
        _ => return usage(),
    };
    let numbers: Vec<u64> = arguments.iter().filter_map(|number| number.parse().ok()).collect();
    let [routines, times] = numbers[..] else { return usage() };
    let Ok(nt) = Executive::boot_with(Solo::new(), nt::Profile::DEFAULT, protocol) else {
        return ExitCode::FAILURE;
    };
    let Ok(bell) = nt.create_callback(&CallbackOptions::unnamed()) else { return ExitCode::FAILURE };
    for _ in 0..routines {
        // SAFETY: `nothing` is a callback routine and looks at nothing.
        let made = unsafe { bell.register_raw(Routine(nothing as Function as usize), null_mut()) };
        match made {
            Ok(registration) => drop(registration.leak()),
            Err(_) => return ExitCode::FAILURE,
        }
    }
    for _ in 0..times {
        bell.notify(black_box(1), black_box(2));
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: instructions Reference|Swift ROUTINES TIMES");
    ExitCode::from(2)
}
